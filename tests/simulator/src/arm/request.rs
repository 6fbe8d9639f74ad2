//! A request to the resource provider, once ARM has let it through.

use super::error::ArmError;
use super::store::Entity;
use super::vault::Held;
use crate::faults::FaultSpec;
use crate::http::Reply;
use axum::http::Method;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The api-versions that are served, each with its long-running shape.
pub(crate) const API_VERSIONS: [&str; 3] = ["2022-08-01", "2023-05-01-preview", "2024-05-01"];

/// A request, owned, so that a long-running operation can keep it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// HEAD counts as GET.
    pub(crate) method: Method,
    /// Whether it is a HEAD, which some things answer that have no GET.
    pub(crate) head: bool,
    /// The path below the service's name.
    pub(crate) rest: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) api_version: String,
    pub(crate) if_match: Option<String>,
    pub(crate) body: Bytes,
    /// Scheme and host, for the URLs in answers.
    pub(crate) origin: String,
    pub(crate) now: Timestamp,
    /// What the service fetched for a `*-link` format.
    pub(crate) linked: Option<Result<String, String>>,
    /// What the Key Vault said that the request is about.
    pub(crate) vault: Option<Held>,
    /// What should go wrong.
    pub(crate) fault: Option<FaultSpec>,
    /// Where exported documents are put.
    pub(crate) blob: Option<String>,
    /// Whether a gateway executes policies, so that they must be executable.
    pub(crate) executes: bool,
}

impl Request {
    /// A query parameter; names are compared without case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether a parameter says `true`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.parameter(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Whether the api-version answers as 2022-08-01 and older do.
    pub(crate) fn is_old_version(&self) -> bool {
        self.api_version.as_str() < "2023"
    }

    /// Applies `If-Match`: absent and `*` let everything through, as recorded;
    /// anything else must be the `ETag` of what is there.
    pub(crate) fn check_if_match(
        &self,
        existing: Option<&Entity>,
        little_endian: bool,
    ) -> Result<(), ArmError> {
        match (self.if_match.as_deref(), existing) {
            (None | Some("*"), _) => Ok(()),
            (Some(expected), Some(entity)) if entity.etag(little_endian) == expected => Ok(()),
            _ => Err(ArmError::modified()),
        }
    }
}

/// The envelope of a child resource.
pub(crate) fn envelope(id: &str, kind: &str, name: &str, properties: &Map<String, Value>) -> Value {
    json!({
        "id": id,
        "type": format!("Microsoft.ApiManagement/service/{kind}"),
        "name": name,
        "properties": properties,
    })
}

/// The answer that shows an entity.
pub(crate) fn entity_reply(status: u16, body: &Value, etag: String) -> Reply {
    Reply::pretty(status, body).with("ETag", etag)
}
