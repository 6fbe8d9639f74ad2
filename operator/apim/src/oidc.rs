//! The OpenID provider of an instance, which the developer portal uses.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::apis::encode;
use crate::arm::ArmClient;
use crate::error::ArmError;

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

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    display_name: Option<String>,
    description: Option<String>,
    metadata_endpoint: Option<String>,
    client_id: Option<String>,
}

impl ArmClient {
    /// Sees that the provider is there: one read, and one write only where it
    /// is absent, or ours and different.
    pub async fn ensure_oidc_provider(
        &self,
        wanted: &OidcProvider,
    ) -> Result<OidcOutcome, ArmError> {
        let segments = ["openidConnectProviders", wanted.id.as_str()];
        let what = format!("OpenID provider {}", wanted.id);
        let kind = "openidConnectProvider";
        let get = self.call(Method::GET, &segments, &[], kind, what.clone());
        let (outcome, etag) = match self.send(&get).await {
            Ok(answer) => {
                let there: Properties = answer.properties(&get)?;
                let differences = wanted.differences(&there);
                if differences.is_empty() {
                    return Ok(OidcOutcome::InPlace);
                }
                if there.description.as_deref() != Some(&wanted.mark) {
                    return Ok(OidcOutcome::Foreign { differences });
                }
                (OidcOutcome::Updated, answer.etag())
            }
            Err(error) if error.is_absent() => (OidcOutcome::Created, None),
            Err(error) => return Err(error),
        };
        let mut put = self.call(Method::PUT, &segments, &[], kind, what);
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
    /// The display name is not compared: nothing depends on it.
    fn differences(&self, there: &Properties) -> Vec<(&'static str, String, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        [
            (
                "metadataEndpoint",
                text(&there.metadata_endpoint),
                self.metadata_endpoint.clone(),
            ),
            ("clientId", text(&there.client_id), self.client_id.clone()),
        ]
        .into_iter()
        .filter(|(_, there, wanted)| there != wanted)
        .collect()
    }
}
