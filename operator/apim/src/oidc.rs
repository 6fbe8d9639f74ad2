//! The OpenID provider of an instance, which the developer portal uses.

use serde::Deserialize;
use serde_json::json;

use crate::arm::{ArmClient, ArmReader, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::models::Entity;

/// The provider as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcProvider {
    /// Its id, `AzureAD` by default.
    pub id: String,
    /// Shown in the portal; at most 50 characters.
    pub display_name: String,
    /// Our mark.
    pub mark: String,
    /// The OpenID configuration's URL.
    pub metadata_endpoint: String,
    /// The application.
    pub client_id: String,
}

/// What was found, and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OidcOutcome {
    /// It was as it should be, whoever made it.
    InPlace,
    /// There was none; now there is.
    Created,
    /// It was ours and different; now it is as it should be.
    Updated,
    /// It is somebody else's and has other values; it was left alone.
    Foreign {
        /// Which fields differ: ARM's name, what is there, what was wanted.
        differences: Vec<(&'static str, String, String)>,
    },
}

/// A provider as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OidcThere {
    /// For `If-Match`.
    pub etag: Option<String>,
    /// Shown in the portal.
    pub display_name: String,
    /// Its description, where our mark stands.
    pub mark: Option<String>,
    /// The OpenID configuration's URL.
    pub metadata_endpoint: String,
    /// The application.
    pub client_id: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    display_name: Option<String>,
    description: Option<String>,
    metadata_endpoint: Option<String>,
    client_id: Option<String>,
}

const KIND: &str = "openidConnectProvider";

fn segments(id: &str) -> [&str; 2] {
    ["openidConnectProviders", id]
}

fn what(id: &str) -> String {
    format!("OpenID provider {id}")
}

impl ArmReader {
    /// The provider of this id, or none.
    pub async fn oidc_provider(&self, id: &str) -> Result<Option<OidcThere>, ArmError> {
        let call = self.get(&segments(id), &[], KIND, what(id));
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let etag = answer.etag();
        let there: Entity<Properties> = answer.json(&call.name())?;
        let there = there.properties;
        Ok(Some(OidcThere {
            etag,
            display_name: there.display_name.unwrap_or_default(),
            mark: there.description,
            metadata_endpoint: there.metadata_endpoint.unwrap_or_default(),
            client_id: there.client_id.unwrap_or_default(),
        }))
    }
}

impl ArmClient {
    /// Sees that the provider is there: one read, and one write only where it
    /// is absent, or ours and different.
    pub async fn ensure_oidc_provider(
        &self,
        wanted: &OidcProvider,
    ) -> Result<OidcOutcome, ArmError> {
        let (outcome, etag) = match self.reader().oidc_provider(&wanted.id).await? {
            Some(there) => {
                let differences = wanted.differences(&there);
                if differences.is_empty() {
                    return Ok(OidcOutcome::InPlace);
                }
                if there.mark.as_deref() != Some(&wanted.mark) {
                    return Ok(OidcOutcome::Foreign { differences });
                }
                (OidcOutcome::Updated, there.etag)
            }
            None => (OidcOutcome::Created, None),
        };
        let mut put = self.call(
            WriteVerb::Put,
            &segments(&wanted.id),
            &[],
            KIND,
            what(&wanted.id),
        );
        put.body = Some(encode(&json!({
            "properties": {
                "displayName": wanted.display_name,
                "description": wanted.mark,
                "metadataEndpoint": wanted.metadata_endpoint,
                "clientId": wanted.client_id,
            }
        })));
        put.if_match = etag;
        self.run(&put).await?;
        Ok(outcome)
    }
}

impl OidcProvider {
    /// In which fields what is there differs: ARM's name, what is there, what
    /// was wanted. The display name is not compared: nothing depends on it.
    #[must_use]
    pub fn differences(&self, there: &OidcThere) -> Vec<(&'static str, String, String)> {
        [
            (
                "metadataEndpoint",
                &there.metadata_endpoint,
                &self.metadata_endpoint,
            ),
            ("clientId", &there.client_id, &self.client_id),
        ]
        .into_iter()
        .filter(|(_, there, wanted)| there != wanted)
        .map(|(field, there, wanted)| (field, there.clone(), wanted.clone()))
        .collect()
    }
}
