//! Everything that the handlers share.

use crate::arm::ArmState;
use crate::blob::Blob;
use crate::clock::Clock;
use crate::config::{KeyVaultSeed, Seed, Transport};
use crate::data_plane::DataPlane;
use crate::endpoints::Endpoints;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::keys::SigningKey;
use crate::secrets::Secrets;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The state of one simulator.
pub(crate) struct World {
    pub(crate) seed: Seed,
    pub(crate) transport: Transport,
    pub(crate) port: u16,
    pub(crate) endpoints: Endpoints,
    pub(crate) clock: Arc<Clock>,
    pub(crate) key: SigningKey,
    pub(crate) arm: Mutex<ArmState>,
    pub(crate) vaults: Mutex<Vec<KeyVaultSeed>>,
    pub(crate) blobs: Mutex<HashMap<String, Blob>>,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) client: reqwest::Client,
    /// What must not be shown.
    pub(crate) secrets: Mutex<Secrets>,
    /// Where there is a gateway.
    pub(crate) data_plane: Option<DataPlane>,
}

impl World {
    /// `https` or `http`.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.transport {
            Transport::Https => "https",
            Transport::Http => "http",
        }
    }

    /// The address under which the simulator introduces itself.
    pub(crate) fn base_url(&self) -> String {
        format!("{}://localhost:{}", self.scheme(), self.port)
    }

    /// Lets the gateway, if there is one, serve what is stored.
    pub(crate) fn publish(&self, arm: &ArmState) {
        self.secrets.lock().note(arm);
        if let Some(data_plane) = &self.data_plane {
            data_plane.publish(arm, &self.seed);
        }
    }

    /// The addresses under which it may be known as ARM.
    pub(crate) fn origins(&self) -> Vec<String> {
        ["localhost", "127.0.0.1", "apim-simulator"]
            .into_iter()
            .map(|host| format!("{}://{host}:{}", self.scheme(), self.port))
            .collect()
    }
}

/// 24 hexadecimal digits, as APIM numbers operations.
pub(crate) fn hex_id() -> String {
    format!(
        "{:08x}{:016x}",
        rand::random::<u32>(),
        rand::random::<u64>()
    )
}

/// A random GUID (version 4).
pub(crate) fn guid() -> String {
    let bits = rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}
