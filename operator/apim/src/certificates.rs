//! Certificates of a service: when they end.

use jiff::Timestamp;
use serde::Deserialize;

use crate::arm::{ArmReader, absent};
use crate::error::ArmError;

/// A certificate, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateThere {
    /// Its id.
    pub id: String,
    /// Its thumbprint.
    pub thumbprint: String,
    /// When it ends, where the service says so.
    pub expires: Option<Timestamp>,
}

/// An entry of the list.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    thumbprint: Option<String>,
    expiration_date: Option<String>,
}

impl From<Listed> for CertificateThere {
    fn from(listed: Listed) -> Self {
        let Properties {
            thumbprint,
            expiration_date,
        } = listed.properties;
        Self {
            id: listed.name,
            thumbprint: thumbprint.unwrap_or_default(),
            expires: expiration_date.and_then(|text| text.parse().ok()),
        }
    }
}

impl ArmReader {
    /// Whether the certificate is there.
    pub async fn has_certificate(&self, id: &str) -> Result<bool, ArmError> {
        let segments = ["certificates", id];
        let call = self.get(&segments, &[], "certificate", format!("certificate {id}"));
        Ok(absent(self.read(&call).await)?.is_some())
    }

    /// All certificates of the service.
    pub async fn certificates(&self) -> Result<Vec<CertificateThere>, ArmError> {
        let call = self.get(&["certificates"], &[], "certificates", "the certificates");
        self.pages::<Listed, CertificateThere>(call).all().await
    }
}
