//! Names and ids as types, so that one kind cannot stand where another is
//! meant.
//!
//! Each of thousands of objects is named in a dozen tables: short names lie in
//! place, long ones are shared by their copies, and hashes are bytes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

/// The prefix of every annotation and finalizer of this operator.
pub const PREFIX: &str = "apim.oda.tmforum.org/";

/// The finalizer that every ExposedAPI carries while something of it may be
/// left in API Management.
pub const FINALIZER: &str = "apim.oda.tmforum.org/cleanup";

/// Namespace and name of a Kubernetes object. The default is before all others.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
}

impl ObjectKey {
    /// A key from its two parts.
    pub fn new(namespace: impl Into<SmolStr>, name: impl Into<SmolStr>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Another object of the same namespace.
    #[must_use]
    pub fn beside(&self, name: impl Into<SmolStr>) -> Self {
        Self::new(self.namespace.clone(), name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

macro_rules! string_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

string_newtype! {
    /// The id of an API in API Management, without a revision suffix.
    ApiId
}
string_newtype! {
    /// The id of a product in API Management.
    ProductId
}
string_newtype! {
    /// The id of a tag in API Management.
    TagId
}
string_newtype! {
    /// The id of a version set in API Management.
    VersionSetId
}
string_newtype! {
    /// The name of an APIM instance as annotations and status spell it.
    InstanceName
}
string_newtype! {
    /// The name of a plugin: a DNS label of at most 56 characters, because the
    /// name part of an annotation (`plugin.<name>`) has at most 63.
    PluginName
}
string_newtype! {
    /// The name of a profile: a DNS label.
    ProfileName
}
string_newtype! {
    /// The name of a shard: a DNS label of at most 40 characters, because it
    /// ends the name of a Lease.
    ShardName
}

/// SHA-256 of some content, written in lowercase hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

/// A text that is not a name of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct InvalidName {
    /// What was given.
    pub value: String,
    /// What would be accepted, as the end of a sentence.
    pub expected: &'static str,
}

/// Holds an id in ARM to 1 to so many letters, digits, `.`, `_` and `-`.
fn arm_id(text: &str, longest: usize, expected: &'static str) -> Result<(), InvalidName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=longest).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(());
    }
    Err(InvalidName {
        value: text.to_owned(),
        expected,
    })
}

/// Whether a text is a DNS label of at most so many characters.
fn is_label(text: &str, longest: usize) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let edge = |c: Option<&u8>| c.is_some_and(|c| *c != b'-');
    let bytes = text.as_bytes();
    bytes.len() <= longest
        && bytes.iter().copied().all(inner)
        && edge(bytes.first())
        && edge(bytes.last())
}

impl ShardName {
    /// Reads a shard's name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_label(text, 40) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName {
                value: text.to_owned(),
                expected: "the name of a shard: lowercase letters, digits and `-`, at most 40, no `-` at either end",
            })
        }
    }
}

impl ProfileName {
    /// Reads a profile's name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_label(text, 63) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName {
                value: text.to_owned(),
                expected: "a profile name: lowercase letters, digits and `-`, at most 63, no `-` at either end",
            })
        }
    }
}

impl PluginName {
    /// Reads a plugin's name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_label(text, 56) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName {
                value: text.to_owned(),
                expected: "a plugin name: lowercase letters, digits and `-`, at most 56, no `-` at either end",
            })
        }
    }
}

impl ApiId {
    /// Reads an API id: 1 to 256 letters, digits, `.`, `_`, `-`. Azure accepts
    /// more (`^[^*#&+:<>?]+$`); what it accepts beyond this only causes
    /// trouble in URLs.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let expected = "an API id: 1 to 256 letters, digits, `.`, `_` and `-`";
        arm_id(text, 256, expected).map(|()| Self(text.into()))
    }
}

impl ProductId {
    /// Reads a product's id: 1 to 256 letters, digits, `.`, `_`, `-`. Azure
    /// accepts more; see [`ApiId::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let expected = "the id of a product: 1 to 256 letters, digits, `.`, `_` and `-`";
        arm_id(text, 256, expected).map(|()| Self(text.into()))
    }
}

impl TagId {
    /// Reads a tag's id: 1 to 80 letters, digits, `.`, `_`, `-`. Azure accepts
    /// more characters; see [`ApiId::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let expected = "the id of a tag: 1 to 80 letters, digits, `.`, `_` and `-`";
        arm_id(text, 80, expected).map(|()| Self(text.into()))
    }
}

impl VersionSetId {
    /// Reads a version set's id: 1 to 80 letters, digits, `.`, `_`, `-`. Azure
    /// accepts more characters; see [`ApiId::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let expected = "the id of a version set: 1 to 80 letters, digits, `.`, `_` and `-`";
        arm_id(text, 80, expected).map(|()| Self(text.into()))
    }
}

impl InstanceName {
    /// Reads an instance's name: a DNS subdomain, as every object name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        if (1..=253).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName {
                value: text.to_owned(),
                expected: "the name of an APIM instance: lowercase letters, digits, `-` and `.`",
            })
        }
    }
}

impl ContentHash {
    /// The hash of some bytes.
    #[must_use]
    pub fn of(content: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(content.as_ref()).into())
    }

    /// The hash of a value's JSON. Field order is the type's, so equal values
    /// have equal hashes.
    #[must_use]
    pub fn of_json(value: &impl Serialize) -> Self {
        // Types that are hashed have string keys only, which always serialize.
        Self::of(serde_json::to_vec(value).unwrap_or_default())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl FromStr for ContentHash {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let digit = |at: usize| {
            let digit = text.as_bytes().get(at).filter(|c| !c.is_ascii_uppercase());
            digit.and_then(|c| char::from(*c).to_digit(16))
        };
        let byte = |at: usize| u8::try_from((digit(2 * at)? << 4) | digit(2 * at + 1)?).ok();
        let mut bytes = [0; 32];
        let read = bytes
            .iter_mut()
            .enumerate()
            .all(|(at, into)| byte(at).map(|byte| *into = byte).is_some());
        if read && text.len() == 64 {
            Ok(Self(bytes))
        } else {
            Err(InvalidName {
                value: text.to_owned(),
                expected: "a SHA-256 in lowercase hex",
            })
        }
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
