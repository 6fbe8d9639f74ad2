//! The OAuth 2.0 servers of an instance, which the developer portal's console
//! gets tokens from.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::arm::{ArmClient, ArmReader, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::models::Entity;
use crate::oidc::OidcOutcome;

/// A server as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2Server {
    /// Its id.
    pub id: String,
    /// Shown in the portal; at most 50 characters.
    pub display_name: String,
    /// Our mark.
    pub mark: String,
    /// Where users are sent.
    pub authorization_endpoint: String,
    /// Where tokens are asked for.
    pub token_endpoint: Option<String>,
    /// Where applications are registered.
    pub client_registration_endpoint: String,
    /// How tokens are asked for, as ARM spells it.
    pub grant_types: BTreeSet<String>,
    /// The application that the portal is.
    pub client_id: String,
    /// The scopes that are asked for, with spaces between them.
    pub default_scope: String,
}

/// A server as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuth2There {
    /// For `If-Match`.
    #[serde(skip)]
    etag: Option<String>,
    /// Where our mark stands.
    description: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    client_registration_endpoint: Option<String>,
    grant_types: Option<BTreeSet<String>>,
    client_id: Option<String>,
    default_scope: Option<String>,
}

impl OAuth2There {
    /// Whether it carries this mark.
    #[must_use]
    pub fn carries(&self, mark: &str) -> bool {
        self.description.as_deref() == Some(mark)
    }
}

const KIND: &str = "authorizationServer";

fn segments(id: &str) -> [&str; 2] {
    ["authorizationServers", id]
}

fn what(id: &str) -> String {
    format!("OAuth 2.0 server {id}")
}

impl ArmReader {
    /// The server of this id, or none.
    pub async fn oauth2_server(&self, id: &str) -> Result<Option<OAuth2There>, ArmError> {
        let call = self.get(&segments(id), &[], KIND, what(id));
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let etag = answer.etag();
        let there: Entity<OAuth2There> = answer.json(&call.name())?;
        Ok(Some(OAuth2There {
            etag,
            ..there.properties
        }))
    }
}

impl ArmClient {
    /// Sees that the server is there: one read, and one write only where it is
    /// absent, or ours and different. A change leaves what is not told here,
    /// such as the application's secret, as it is.
    pub async fn ensure_oauth2_server(
        &self,
        wanted: &OAuth2Server,
    ) -> Result<OidcOutcome, ArmError> {
        let (outcome, verb, etag) = match self.reader().oauth2_server(&wanted.id).await? {
            Some(there) => {
                let differences = wanted.differences(&there);
                if differences.is_empty() {
                    return Ok(OidcOutcome::InPlace);
                }
                if !there.carries(&wanted.mark) {
                    return Ok(OidcOutcome::Foreign { differences });
                }
                let etag = there.etag.unwrap_or_else(|| "*".to_owned());
                (OidcOutcome::Updated, WriteVerb::Patch, Some(etag))
            }
            None => (OidcOutcome::Created, WriteVerb::Put, None),
        };
        let mut call = self.call(verb, &segments(&wanted.id), &[], KIND, what(&wanted.id));
        call.body = Some(encode(&wanted.body()));
        call.if_match = etag;
        self.run(&call).await?;
        Ok(outcome)
    }
}

impl OAuth2Server {
    fn body(&self) -> Value {
        json!({"properties": {
            "displayName": self.display_name,
            "description": self.mark,
            "clientRegistrationEndpoint": self.client_registration_endpoint,
            "authorizationEndpoint": self.authorization_endpoint,
            "authorizationMethods": ["GET"],
            "clientAuthenticationMethod": ["Body"],
            "tokenEndpoint": self.token_endpoint,
            "defaultScope": self.default_scope,
            "grantTypes": self.grant_types,
            "clientId": self.client_id,
            "bearerTokenSendingMethods": ["authorizationHeader"],
            "supportState": true,
            "useInTestConsole": true,
        }})
    }

    /// In which fields what is there differs: ARM's name, what is there, what
    /// was wanted. The display name is not compared: nothing depends on it.
    #[must_use]
    pub fn differences(&self, there: &OAuth2There) -> Vec<(&'static str, String, String)> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let list = |all: &BTreeSet<String>| {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            all.join(", ")
        };
        [
            (
                "authorizationEndpoint",
                text(&there.authorization_endpoint),
                self.authorization_endpoint.clone(),
            ),
            (
                "tokenEndpoint",
                text(&there.token_endpoint),
                text(&self.token_endpoint),
            ),
            (
                "clientRegistrationEndpoint",
                text(&there.client_registration_endpoint),
                self.client_registration_endpoint.clone(),
            ),
            (
                "grantTypes",
                there.grant_types.as_ref().map(list).unwrap_or_default(),
                list(&self.grant_types),
            ),
            ("clientId", text(&there.client_id), self.client_id.clone()),
            (
                "defaultScope",
                text(&there.default_scope),
                self.default_scope.clone(),
            ),
        ]
        .into_iter()
        .filter(|(_, there, wanted)| there != wanted)
        .collect()
    }
}
