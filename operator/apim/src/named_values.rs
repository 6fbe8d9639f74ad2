//! Named values that hold the secrets of profiles, or say in which Key Vault
//! they are.
//!
//! A secret's content goes into the body of one PUT and nowhere else: it is
//! never read back, and taken out of what the service says of that call.

use operator_core::profile::VaultSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Secret;
use crate::arm::{ArmClient, ArmReader, Pages, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::models::Entity;

/// A named value as it should be.
#[derive(Debug, Clone)]
pub struct NamedValue {
    /// Its id and its display name.
    pub id: String,
    /// Our mark, one of its tags.
    pub mark: String,
    /// What it holds.
    pub content: NamedContent,
}

/// What a named value holds.
#[derive(Debug, Clone)]
pub enum NamedContent {
    /// A text.
    Text {
        /// The text.
        value: Secret<String>,
        /// Says which text it is without saying what it is; another tag.
        version: String,
    },
    /// What is in a Key Vault.
    Vault(VaultSecret),
}

/// A named value as it is; without its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedValueThere {
    /// Its id.
    pub id: String,
    /// For `If-Match`.
    pub etag: Option<String>,
    /// Its display name.
    pub display_name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it is marked secret.
    pub secret: bool,
    /// Where it comes from, if that is a Key Vault.
    pub vault: Option<(String, Option<String>)>,
}

/// What was found, and done. An ETag is the one that the named value has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedValueOutcome {
    /// It was as it should be.
    InPlace(Option<String>),
    /// It was written.
    Written(Option<String>),
    /// It is somebody else's, and was left alone.
    Foreign,
}

/// What became of a named value that nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedValueRemoval {
    /// It is not there any more.
    Gone,
    /// It carries another mark, and was left alone.
    Foreign,
    /// API Management keeps it, because a policy refers to it.
    InUse,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    display_name: Option<String>,
    tags: Option<Vec<String>>,
    secret: Option<bool>,
    key_vault: Option<VaultBody>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VaultBody {
    secret_identifier: Option<String>,
    identity_client_id: Option<String>,
}

/// An entry of the list.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    properties: Properties,
}

const KIND: &str = "namedValue";

fn segments(id: &str) -> [&str; 2] {
    ["namedValues", id]
}

fn what(id: &str) -> String {
    format!("named value {id}")
}

impl NamedValueThere {
    fn new(id: &str, etag: Option<String>, properties: Properties) -> Self {
        let vault = properties.key_vault.and_then(|vault| {
            let identifier = vault.secret_identifier?;
            Some((identifier, vault.identity_client_id))
        });
        Self {
            id: id.to_owned(),
            etag,
            display_name: properties.display_name.unwrap_or_default(),
            tags: properties.tags.unwrap_or_default(),
            secret: properties.secret.unwrap_or_default(),
            vault,
        }
    }

    /// Whether it carries this mark.
    #[must_use]
    pub fn carries(&self, mark: &str) -> bool {
        self.tags.iter().any(|tag| tag == mark)
    }
}

impl From<Listed> for NamedValueThere {
    fn from(listed: Listed) -> Self {
        Self::new(&listed.name, None, listed.properties)
    }
}

impl NamedValue {
    /// Whether what is there is what it should be, as far as that can be seen.
    #[must_use]
    pub fn is(&self, there: &NamedValueThere) -> bool {
        let content = match &self.content {
            NamedContent::Text { version, .. } => {
                there.vault.is_none() && there.tags.iter().any(|tag| tag == version)
            }
            NamedContent::Vault(wanted) => there.vault.as_ref().is_some_and(|(id, identity)| {
                *id == wanted.secret_identifier && *identity == wanted.identity_client_id
            }),
        };
        content && there.secret && there.carries(&self.mark) && there.display_name == self.id
    }

    /// Whether somebody wrote it since it had this ETag. A text cannot be seen:
    /// who changes nothing else is found out by this alone. A reference to a
    /// Key Vault can, and its ETag may change with each fetch.
    fn was_written(&self, there: &NamedValueThere, etag: Option<&str>) -> bool {
        match &self.content {
            NamedContent::Text { .. } => etag.is_some() && etag != there.etag.as_deref(),
            NamedContent::Vault(_) => false,
        }
    }

    fn body(&self) -> Value {
        match &self.content {
            NamedContent::Text { value, version } => json!({"properties": {
                "displayName": self.id,
                "secret": true,
                "tags": [self.mark, version],
                "value": value.expose(),
            }}),
            // A value beside it would never be provisioned.
            NamedContent::Vault(vault) => {
                let mut reference = json!({"secretIdentifier": vault.secret_identifier});
                if let Some(identity) = &vault.identity_client_id {
                    reference["identityClientId"] = identity.as_str().into();
                }
                json!({"properties": {
                    "displayName": self.id,
                    "secret": true,
                    "tags": [self.mark],
                    "keyVault": reference,
                }})
            }
        }
    }

    fn value(&self) -> Option<&Secret<String>> {
        match &self.content {
            NamedContent::Text { value, .. } => Some(value),
            NamedContent::Vault(_) => None,
        }
    }
}

impl ArmReader {
    /// The named value of this id, or none.
    pub async fn named_value(&self, id: &str) -> Result<Option<NamedValueThere>, ArmError> {
        let call = self.get(&segments(id), &[], KIND, what(id));
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let etag = answer.etag();
        let there: Entity<Properties> = answer.json(&call.name())?;
        Ok(Some(NamedValueThere::new(id, etag, there.properties)))
    }

    /// Whether there is a named value of this name, which a policy would write:
    /// its id may be another.
    pub async fn has_named_value(&self, name: &str) -> Result<bool, ArmError> {
        let filter = format!("displayName eq '{name}'");
        let query = [("$filter", filter.as_str())];
        let call = self.get(&["namedValues"], &query, "namedValues", what(name));
        let all = self.pages::<Listed, NamedValueThere>(call).all().await?;
        Ok(all.iter().any(|one| one.display_name == name))
    }

    /// All named values of the service.
    #[must_use]
    pub fn named_values(&self) -> Pages<NamedValueThere> {
        let call = self.get(&["namedValues"], &[], "namedValues", "the named values");
        self.pages::<Listed, NamedValueThere>(call)
    }
}

impl ArmClient {
    /// Sees that the named value is there: one read, and one write and one more
    /// read only where it is absent, or ours and another. `etag` is the one that
    /// it had when it was last seen to be right.
    pub async fn ensure_named_value(
        &self,
        wanted: &NamedValue,
        etag: Option<&str>,
    ) -> Result<NamedValueOutcome, ArmError> {
        let etag = match self.reader().named_value(&wanted.id).await? {
            Some(there) if !there.carries(&wanted.mark) => return Ok(NamedValueOutcome::Foreign),
            Some(there) if wanted.is(&there) && !wanted.was_written(&there, etag) => {
                return Ok(NamedValueOutcome::InPlace(there.etag));
            }
            Some(there) => there.etag,
            None => None,
        };
        let id = &wanted.id;
        let mut put = self.call(WriteVerb::Put, &segments(id), &[], KIND, what(id));
        put.body = Some(encode(&wanted.body()));
        put.if_match = etag;
        put.hidden = wanted.value().cloned();
        let written = self.run(&put).await;
        written.map_err(|mut error| {
            // Of the operation that the call began, too.
            if let Some(value) = wanted.value() {
                error.hide(value);
            }
            error
        })?;
        let there = self.reader().named_value(id).await?;
        Ok(NamedValueOutcome::Written(
            there.and_then(|there| there.etag),
        ))
    }

    /// Deletes a named value that carries this mark and that no policy uses.
    pub async fn delete_named_value(
        &self,
        id: &str,
        mark: &str,
    ) -> Result<NamedValueRemoval, ArmError> {
        let Some(there) = self.reader().named_value(id).await? else {
            return Ok(NamedValueRemoval::Gone);
        };
        if !there.carries(mark) {
            return Ok(NamedValueRemoval::Foreign);
        }
        let mut call = self.call(WriteVerb::Delete, &segments(id), &[], KIND, what(id));
        call.if_match = there.etag;
        match absent(self.run(&call).await) {
            Ok(_) => Ok(NamedValueRemoval::Gone),
            Err(error) if error.status == Some(400) => {
                tracing::info!(%error, "a named value stays: a policy uses it");
                Ok(NamedValueRemoval::InUse)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(version: &str) -> NamedValue {
        NamedValue {
            id: "shop.partner.password".into(),
            mark: "apim-operator/1 0f3c1a2b shop/partner".into(),
            content: NamedContent::Text {
                value: Secret::new("hunter2".to_owned()),
                version: version.into(),
            },
        }
    }

    fn there(tags: &[&str]) -> NamedValueThere {
        NamedValueThere {
            id: "shop.partner.password".into(),
            display_name: "shop.partner.password".into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            secret: true,
            ..NamedValueThere::default()
        }
    }

    #[test]
    fn a_version_says_whether_a_text_is_the_same() {
        let mark = "apim-operator/1 0f3c1a2b shop/partner";
        assert!(text("v-1").is(&there(&[mark, "v-1"])));
        assert!(!text("v-2").is(&there(&[mark, "v-1"])));
        assert!(!text("v-1").is(&there(&["v-1"])));
        let mut shown = there(&[mark, "v-1"]);
        shown.secret = false;
        assert!(!text("v-1").is(&shown));
        assert!(!format!("{:?}", text("v-1")).contains("hunter2"));
    }

    #[test]
    fn who_wrote_a_text_meanwhile_is_found_out_by_its_etag() {
        let mut there = there(&[]);
        there.etag = Some("\"2\"".into());
        let wrote = |value: &NamedValue, etag| value.was_written(&there, etag);
        assert!(!wrote(&text("v-1"), None));
        assert!(!wrote(&text("v-1"), Some("\"2\"")));
        assert!(wrote(&text("v-1"), Some("\"1\"")));
        assert!(!wrote(&vault(), Some("\"1\"")));
    }

    #[test]
    fn what_the_service_says_of_a_secret_is_shown_without_it() {
        let hidden = |said: &str, secret: &str| {
            let class = operator_core::class::ErrorClass::Invalid;
            let mut error =
                ArmError::without_answer("PUT", crate::error::Cause::Answer, class, said);
            error.hide(&Secret::new(secret.to_owned()));
            error.message.clone()
        };
        assert_eq!(
            hidden("`hunter2` is weak: hunter2", "hunter2"),
            "`…` is weak: …"
        );
        assert_eq!(
            hidden(r#"{"value": "a\"bc"}"#, "a\"bc"),
            r#"{"value": "…"}"#
        );
        assert_eq!(
            hidden("the body began with hunt", "hunter2"),
            "the body began with …"
        );
        assert_eq!(hidden("nothing of it", "hunter2"), "nothing of it");
    }

    fn vault() -> NamedValue {
        NamedValue {
            content: NamedContent::Vault(VaultSecret {
                secret_identifier: "https://v.vault.azure.net/secrets/s".into(),
                identity_client_id: None,
            }),
            ..text("")
        }
    }

    #[test]
    fn a_key_vault_is_named_without_a_value() {
        let value = vault();
        assert_eq!(
            value.body()["properties"]["keyVault"],
            json!({"secretIdentifier": "https://v.vault.azure.net/secrets/s"})
        );
        assert!(value.body()["properties"].get("value").is_none());
    }
}
