//! Keys with which tokens are signed.

use policy_sdk::elements::SigningKey;
use policy_sdk::{At, CertificateId, Diagnostic, NamedValueName};
use serde::{Deserialize, Deserializer, de};

/// A key: exactly one of named value, certificate, and RSA numbers.
#[derive(Debug)]
pub(crate) struct Key(Fields);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    named_value: Option<NamedValueName>,
    certificate: Option<CertificateId>,
    n: Option<String>,
    e: Option<String>,
    id: Option<String>,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Key;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("{namedValue}, {certificate} or {n, e}")
            }

            // Not repeated: it may be a key.
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Key, E> {
                Err(E::custom(
                    "a key is not written into a config: keep it in a named value of the API \
                     Management instance (which may take it from a Key Vault) and write \
                     {namedValue: <its display name>}",
                ))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Key, A::Error> {
                Fields::deserialize(de::value::MapAccessDeserializer::new(map)).map(Key)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Key {
    /// As part of the policy statement.
    pub(crate) fn statement(&self, pointer: &str) -> Result<SigningKey, Diagnostic> {
        let key = match &self.0 {
            Fields {
                named_value: Some(name),
                certificate: None,
                n: None,
                e: None,
                ..
            } => SigningKey::secret(name.as_str()),
            Fields {
                named_value: None,
                certificate: Some(id),
                n: None,
                e: None,
                ..
            } => SigningKey::certificate(id.as_str().at(format!("{pointer}/certificate"))),
            Fields {
                named_value: None,
                certificate: None,
                n: Some(n),
                e: Some(e),
                ..
            } => {
                for (field, text) in [("n", n), ("e", e)] {
                    if !is_base64url(text) {
                        return Err(Diagnostic::error(
                            format!("{pointer}/{field}"),
                            "a number of an RSA key is written as Base64url: letters, digits, `-` \
                             and `_`",
                        ));
                    }
                }
                SigningKey::rsa(n.at(format!("{pointer}/n")), e.at(format!("{pointer}/e")))
            }
            _ => {
                return Err(Diagnostic::error(
                    pointer,
                    "a key is one of {namedValue}, {certificate} and {n, e}",
                ));
            }
        };
        let key = match &self.0.id {
            Some(id) => key.id(id.at(format!("{pointer}/id"))),
            None => key,
        };
        Ok(key.at(pointer))
    }
}

fn is_base64url(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
