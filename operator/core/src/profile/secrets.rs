//! The secrets of profiles: where they are kept, what the instance calls them,
//! and what may stand in them.
//!
//! No secret is ever part of a type here: its content is looked at by
//! [`unfit`], and what that says never quotes it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Profile, ProfilePlugin, ProfileRef};
use crate::names::ProfileName;
use crate::policy::Standing;

/// The key of a profile's config under which a secret is named.
const REFERENCE: &str = "profileSecret";
/// What a plugin is given in its place.
const NAMED_VALUE: &str = "namedValue";
/// The label of a Secret that the operator may read.
pub const READABLE: (&str, &str) = ("apim.oda.tmforum.org/readable", "true");

/// A secret of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileSecret {
    /// Its name in the profile.
    pub name: String,
    /// Where it is kept.
    pub source: SecretSource,
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// A key of a Kubernetes Secret.
    Secret(SecretKey),
    /// A Key Vault, which API Management reads itself.
    KeyVault(VaultSecret),
}

/// A key of a Kubernetes Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Its namespace; absent: the operator's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the Secret.
    pub name: String,
    /// The key in its data.
    pub key: String,
}

/// A secret in a Key Vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultSecret {
    /// Its URL, without a version where rotation is to be followed.
    pub secret_identifier: String,
    /// The client id of the user-assigned identity that reads it; absent: the
    /// service's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_client_id: Option<String>,
}

/// A secret of a profile as an instance has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSecret {
    /// The id and the display name of its named value.
    pub id: String,
    /// Whose it is.
    pub profile: ProfileRef,
    /// The secret.
    pub secret: ProfileSecret,
}

impl NamedSecret {
    /// Where it is declared.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.profile, &self.secret.name)
    }
}

/// Where a secret is declared.
#[must_use]
pub fn place(profile: &ProfileRef, secret: &str) -> String {
    format!("{profile} spec.secrets[{secret}]")
}

impl Profile {
    /// Its secrets as an instance with this prefix names them.
    pub(crate) fn named_secrets(&self, prefix: &str) -> impl Iterator<Item = NamedSecret> {
        self.secrets.iter().map(move |secret| NamedSecret {
            id: value_id(&self.reference, prefix, &secret.name),
            profile: self.reference.clone(),
            secret: secret.clone(),
        })
    }

    /// The config of one of its plugins, with the named values of an instance
    /// in the place of its secrets.
    pub(crate) fn config_for(&self, plugin: &ProfilePlugin, prefix: &str) -> Value {
        let mut config = plugin.config.clone();
        rename(&mut config, &|secret| {
            value_id(&self.reference, prefix, secret)
        });
        config
    }
}

/// The id of the named value of a secret: `<prefix><namespace>.<profile>.<secret>`,
/// with `-` for the namespace of a profile of the cluster. At most 249 characters.
fn value_id(profile: &ProfileRef, prefix: &str, secret: &str) -> String {
    let ProfileRef { namespace, name } = profile;
    let namespace = namespace.as_deref().unwrap_or("-");
    format!("{prefix}{namespace}.{name}.{secret}")
}

/// The profile and the secret that a named value of this id is made for, in an
/// instance with this prefix. An id alone proves nothing: another instance's
/// prefix may lead to the same.
#[must_use]
pub fn declared_by<'i>(id: &'i str, prefix: &str) -> Option<(ProfileRef, &'i str)> {
    let mut parts = id.strip_prefix(prefix)?.splitn(3, '.');
    let (namespace, name, secret) = (parts.next()?, parts.next()?, parts.next()?);
    let profile = ProfileRef {
        namespace: (namespace != "-").then(|| namespace.to_owned()),
        name: ProfileName::parse(name).ok()?,
    };
    Some((profile, secret))
}

fn rename(value: &mut Value, id: &impl Fn(&str) -> String) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(secret)) = object.get(REFERENCE) {
                let named = id(secret);
                let old = std::mem::take(object);
                let renamed = old.into_iter().map(|(key, value)| {
                    if key == REFERENCE {
                        (NAMED_VALUE.to_owned(), Value::String(named.clone()))
                    } else {
                        (key, value)
                    }
                });
                *object = renamed.collect::<Map<_, _>>();
            }
            for child in object.values_mut() {
                rename(child, id);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, id)),
        _ => {}
    }
}

/// Every secret that a config names, with its pointer; an error is the pointer
/// of a reference that is no name.
pub(super) fn references(config: &Value) -> Vec<(String, Result<&str, ()>)> {
    let mut found = Vec::new();
    collect(config, &mut String::new(), &mut found);
    found
}

fn collect<'v>(
    value: &'v Value,
    pointer: &mut String,
    found: &mut Vec<(String, Result<&'v str, ()>)>,
) {
    let length = pointer.len();
    match value {
        Value::Object(object) => {
            for (key, child) in object {
                pointer.push('/');
                pointer.push_str(&crate::config::escape(key));
                if key == REFERENCE {
                    found.push((pointer.clone(), child.as_str().ok_or(())));
                } else {
                    collect(child, pointer, found);
                }
                pointer.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                collect(child, pointer, found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// The pointers of all texts of a config that equal one of several, and which:
/// also of keys.
pub(crate) fn texts<'i>(
    config: &Value,
    is_one: &impl Fn(&str) -> Option<&'i str>,
) -> Vec<(String, &'i str)> {
    let mut found = Vec::new();
    walk(config, &mut String::new(), is_one, &mut found);
    found
}

fn walk<'i>(
    value: &Value,
    pointer: &mut String,
    is_one: &impl Fn(&str) -> Option<&'i str>,
    found: &mut Vec<(String, &'i str)>,
) {
    let length = pointer.len();
    match value {
        Value::String(text) => found.extend(is_one(text).map(|id| (pointer.clone(), id))),
        Value::Object(object) => {
            for (key, child) in object {
                pointer.push('/');
                pointer.push_str(&crate::config::escape(key));
                found.extend(is_one(key).map(|id| (pointer.clone(), id)));
                walk(child, pointer, is_one, found);
                pointer.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                walk(child, pointer, is_one, found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// The longest value of a named value, in characters (contract
/// `NamedValueCreateContractProperties` of Azure's REST API).
const LONGEST: usize = 4096;

/// A Secret's content as it is used: without the line break that files end
/// with.
#[must_use]
pub fn trimmed(content: &str) -> &str {
    content.trim_end_matches(['\r', '\n'])
}

/// Why a content cannot become a named value; the end of a sentence that
/// begins with what holds it. API Management puts a named value in as text,
/// also inside C#.
#[must_use]
pub fn unfit(content: &str, standing: Standing) -> Option<String> {
    if content.trim().is_empty() {
        return Some("holds nothing, and API Management takes no empty value".to_owned());
    }
    if content.encode_utf16().count() > LONGEST {
        return Some(format!(
            "is longer than the {LONGEST} characters that API Management takes"
        ));
    }
    for code in ["@(", "@{", "{{"] {
        if content.contains(code) {
            return Some(format!(
                "holds `{code}`, which API Management would take for code; choose another one"
            ));
        }
    }
    if content.chars().any(char::is_control) {
        return Some("holds a control character, such as a line break; take it out".to_owned());
    }
    let meets = content.starts_with(['(', '{']) || content.ends_with(['@', '{']);
    if standing == Standing::Beside && meets {
        return Some(
            "begins or ends with a character that API Management could take for code together with what stands \
             beside it in the policy; choose another one"
                .to_owned(),
        );
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if standing == Standing::InExpression && !content.chars().all(plain) {
        return Some(
            "is used inside an expression and holds other characters than letters, digits and `-._~+/=`; choose \
             another one"
                .to_owned(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_could_be_code_is_refused_and_never_quoted() {
        use Standing::{Apart, Beside, InExpression};
        for (content, standing) in [
            ("hunter2", InExpression),
            ("(pass word!@", Apart),
            ("pass (word)", Beside),
        ] {
            assert_eq!(unfit(content, standing), None, "{content}");
        }
        for (content, standing, why) in [
            (" ", Apart, "holds nothing"),
            ("a@(b)", Apart, "holds `@(`"),
            ("a@{b}", Apart, "holds `@{`"),
            ("a{{b}}", Apart, "holds `{{`"),
            ("line\nbreak", Apart, "holds a control character"),
            ("secret@", Beside, "begins or ends with"),
            ("secret{", Beside, "begins or ends with"),
            ("(secret", Beside, "begins or ends with"),
            ("say \"x\"", InExpression, "letters, digits"),
            ("höhle", InExpression, "letters, digits"),
        ] {
            let said = unfit(content, standing).unwrap();
            assert!(said.contains(why), "{content}: {said}");
            let bare = content.trim();
            assert!(bare.len() < 3 || !said.contains(bare), "{said}");
        }
        assert!(unfit(&"x".repeat(4097), Apart).is_some());
        assert_eq!(unfit(&"x".repeat(4096), InExpression), None);
        assert_eq!(trimmed("secret\r\n"), "secret");
    }

    proptest! {
        #[test]
        fn in_an_expression_nothing_but_plain_characters_passes(content in "\\PC{1,40}") {
            let passes = unfit(&content, Standing::InExpression).is_none();
            let plain = content.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
            prop_assert_eq!(passes, plain);
        }
    }

    #[test]
    fn the_profile_of_a_named_value_is_read_off_its_id() {
        let told = |id: &str, prefix: &str| {
            declared_by(id, prefix).map(|(profile, secret)| format!("{profile} {secret}"))
        };
        assert_eq!(
            told("eu-shop.gold.password", "eu-").as_deref(),
            Some("PolicyProfile/shop/gold password")
        );
        assert_eq!(
            told("-.gold.password", "").as_deref(),
            Some("ClusterPolicyProfile/gold password")
        );
        assert_eq!(told("gold", ""), None);
        assert_eq!(told("other-shop.gold.x", "eu-"), None);
    }

    #[test]
    fn a_reference_becomes_a_named_value_wherever_it_stands() {
        let mut config = json!({
            "keys": [{"profileSecret": "hmac", "id": "k1"}, {"n": "x"}],
            "credentials": {"password": {"profileSecret": "password"}},
        });
        let found: Vec<(String, Result<&str, ()>)> = references(&config);
        assert_eq!(
            found,
            [
                ("/keys/0/profileSecret".to_owned(), Ok("hmac")),
                (
                    "/credentials/password/profileSecret".to_owned(),
                    Ok("password")
                ),
            ]
        );
        rename(&mut config, &|secret| format!("shop.gold.{secret}"));
        assert_eq!(
            config,
            json!({
                "keys": [{"namedValue": "shop.gold.hmac", "id": "k1"}, {"n": "x"}],
                "credentials": {"password": {"namedValue": "shop.gold.password"}},
            })
        );
        assert_eq!(
            texts(&config, &|text| (text == "shop.gold.hmac")
                .then_some("hmac")),
            [("/keys/0/namedValue".to_owned(), "hmac")]
        );
    }
}
