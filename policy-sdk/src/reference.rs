//! How configs name what the API Management instance keeps: secrets and
//! certificates. The operator lets a policy use only those that the instance
//! grants to the API's namespace.

use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::{IntoValue, NamedValue, Value};

/// The display name of a named value of the instance. Its value may be stored
/// in the instance or come from a Key Vault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedValueName(String);

impl NamedValueName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `^[A-Za-z0-9-._]+$`, at most 256 characters (the contract
    /// `NamedValueCreateContract` of Azure's REST API).
    fn parse(name: &str) -> Result<Self, String> {
        let valid = !name.is_empty()
            && name.len() <= 256
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if valid {
            return Ok(Self(name.to_owned()));
        }
        Err(format!(
            "`{name}` is not the display name of a named value: letters, digits, `-`, `.` and \
             `_`, at most 256 of them, and no braces"
        ))
    }
}

impl<'de> Deserialize<'de> for NamedValueName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).map_err(de::Error::custom)
    }
}

/// A secret, which a config never holds but names: `{namedValue: <name>}`.
///
/// A text in its place is refused with the way out, and is not repeated in
/// the message.
///
/// ```
/// # use policy_sdk::Secret;
/// # use serde_json::json;
/// let secret: Secret = serde_json::from_value(json!({"namedValue": "partner-key"})).unwrap();
/// assert_eq!(secret.name().as_str(), "partner-key");
/// let refused = serde_json::from_value::<Secret>(json!("hunter2")).unwrap_err().to_string();
/// assert!(refused.contains("{namedValue: <its display name>}") && !refused.contains("hunter2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret(NamedValueName);

impl Secret {
    /// The named value that holds it.
    #[must_use]
    pub fn name(&self) -> &NamedValueName {
        &self.0
    }

    /// As a value of the policy tree.
    #[must_use]
    pub fn value(&self) -> NamedValue {
        NamedValue::new(self.0.as_str())
    }
}

const LITERAL_SECRET: &str = "a secret is not written into a config: keep it in a named value of \
                              the API Management instance (which may take it from a Key Vault) \
                              and write {namedValue: <its display name>}";

/// The only key of a [`Secret`].
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    NamedValue,
}

fn named_value<'de, A: MapAccess<'de>>(mut map: A) -> Result<NamedValueName, A::Error> {
    let mut name = None;
    while let Some(Key::NamedValue) = map.next_key()? {
        name = Some(map.next_value()?);
    }
    name.ok_or_else(|| de::Error::missing_field("namedValue"))
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{namedValue: <display name>}")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Secret, E> {
        Err(E::custom(LITERAL_SECRET))
    }

    // A secret that is a number, too, is not repeated in the message.
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom(LITERAL_SECRET))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom(LITERAL_SECRET))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom(LITERAL_SECRET))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
        named_value(map).map(Secret)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// A text that is no secret, or a [`Secret`].
///
/// ```
/// # use policy_sdk::{Secret, TextOrSecret};
/// # use serde_json::json;
/// let text: TextOrSecret = serde_json::from_value(json!("alice")).unwrap();
/// assert_eq!(text, TextOrSecret::Text("alice".to_owned()));
/// let secret: TextOrSecret = serde_json::from_value(json!({"namedValue": "user"})).unwrap();
/// assert!(matches!(secret, TextOrSecret::Secret(_)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextOrSecret {
    /// The text itself.
    Text(String),
    /// The named value that holds it.
    Secret(Secret),
}

struct TextOrSecretVisitor;

impl<'de> Visitor<'de> for TextOrSecretVisitor {
    type Value = TextOrSecret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or {namedValue: <display name>}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TextOrSecret, E> {
        Ok(TextOrSecret::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOrSecret, A::Error> {
        named_value(map).map(Secret).map(TextOrSecret::Secret)
    }
}

impl<'de> Deserialize<'de> for TextOrSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrSecretVisitor)
    }
}

impl From<&TextOrSecret> for Value {
    fn from(value: &TextOrSecret) -> Self {
        match value {
            TextOrSecret::Text(text) => Self::literal(text),
            TextOrSecret::Secret(secret) => secret.value().into(),
        }
    }
}

impl IntoValue<str> for &TextOrSecret {
    fn into_value(self) -> Value {
        self.into()
    }
}

impl crate::At for &TextOrSecret {}

/// The id of a certificate of the instance.
///
/// ```
/// # use policy_sdk::CertificateId;
/// # use serde_json::json;
/// assert!(serde_json::from_value::<CertificateId>(json!("backend-client")).is_ok());
/// assert!(serde_json::from_value::<CertificateId>(json!("a/b")).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateId(String);

impl CertificateId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for CertificateId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        // Azure's contract takes nearly anything; these are the ids that mean
        // the same in a URL and in a policy.
        let valid = !id.is_empty()
            && id.len() <= 80
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if valid {
            return Ok(Self(id));
        }
        Err(de::Error::custom(format!(
            "`{id}` is not the id of a certificate: letters, digits, `-`, `.` and `_`, at most 80 \
             of them"
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{NamedValueName, Secret, TextOrSecret};

    #[test]
    fn a_name_has_no_braces_or_blanks() {
        for bad in ["", "{{a}}", "a b", "a/b"] {
            assert!(NamedValueName::parse(bad).is_err(), "{bad}");
        }
        assert!(NamedValueName::parse("Partner.Key_1-a").is_ok());
    }

    #[test]
    fn a_secret_that_is_written_out_is_refused_and_not_repeated() {
        for literal in [json!("hunter2"), json!(12345), json!(-1), json!(1.5)] {
            let error = serde_json::from_value::<Secret>(literal)
                .expect_err("refused")
                .to_string();
            assert_eq!(error, super::LITERAL_SECRET);
        }
        let error = serde_json::from_value::<Secret>(json!({"value": "x"})).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "unknown field `value`, expected `namedValue`"
        );
        let error = serde_json::from_value::<Secret>(json!({})).expect_err("refused");
        assert_eq!(error.to_string(), "missing field `namedValue`");
    }

    #[test]
    fn a_text_may_stand_where_no_secret_is_meant() {
        let error = serde_json::from_value::<TextOrSecret>(json!([])).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "invalid type: sequence, expected a text, or {namedValue: <display name>}"
        );
    }
}
