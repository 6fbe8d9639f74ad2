//! Who is trusted.

use std::fmt;
use std::sync::Arc;

use operator_core::policy_plugin::spec::{IdentitySpec, VerificationSpec};
use sigstore_crypto::{KeyAlgorithm, SubjectAltName};
use sigstore_trust_root::{SigstoreInstance, TrustedRoot};
use sigstore_types::DerPublicKey;
use sigstore_verify::Verifier;
use url::Url;

use crate::digest::Digest;

/// Who must have signed a plugin: one of the keys or one of the identities.
#[derive(Clone)]
pub struct Verification {
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) identities: Vec<Identity>,
    pub(crate) trust: Arc<Trust>,
}

/// A trust root, ready for use.
pub(crate) struct Trust {
    pub(crate) verifier: Verifier,
    /// Whether it names transparency logs; a signature must then be in one.
    pub(crate) has_logs: bool,
    /// The same for the logs of certificates.
    pub(crate) has_certificate_logs: bool,
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification")
            .field("keys", &self.keys)
            .field("identities", &self.identities)
            .finish_non_exhaustive()
    }
}

/// A public key, by its digest in messages.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub(crate) der: DerPublicKey,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.digest())
    }
}

/// Whom a certificate may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The OIDC issuer, exactly.
    pub issuer: String,
    /// The subject.
    pub subject: Subject,
}

/// Which subjects of an issuer are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// This one: a URI or a mail address.
    Exact(String),
    /// All URIs that begin with this one, in whole path segments.
    Prefix(String),
}

/// Who signed something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Signer {
    /// Whoever has this key: the digest of the public key.
    Key(Digest),
    /// Somebody whom an issuer knows.
    Identity {
        /// The OIDC issuer.
        issuer: String,
        /// The subject.
        subject: String,
    },
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(digest) => write!(f, "the key {digest}"),
            Self::Identity { issuer, subject } => write!(f, "{subject} (known to {issuer})"),
        }
    }
}

/// Settings that cannot be understood. The messages name the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    /// Nobody is trusted.
    #[error("`verification` names neither `keys` nor `identities`: nothing could satisfy it")]
    Nobody,
    /// Not a public key.
    #[error(
        "`verification.keys[{index}].pem` {reason}; expected is the content of `cosign.pub`, a `PUBLIC KEY` in PEM"
    )]
    Key {
        /// Its place in the list.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Not an identity.
    #[error("`verification.identities[{index}]` {reason}")]
    Identity {
        /// Its place in the list.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a trust root.
    #[error(
        "`verification.trustRoot` cannot be used: {0}; expected is a `trusted_root.json` of Sigstore, as `cosign trusted-root create` writes it"
    )]
    TrustRoot(String),
}

impl Verification {
    /// Reads the settings of a `PolicyPlugin`. `trust_root` is the content of
    /// the document that `trustRoot` names; absent: the public Sigstore's, as
    /// this version carries it.
    pub fn from_spec(
        spec: &VerificationSpec,
        trust_root: Option<&str>,
    ) -> Result<Self, VerificationError> {
        let keys = spec.keys.iter().enumerate().map(|(index, key)| {
            PublicKey::from_pem(&key.pem).map_err(|reason| VerificationError::Key { index, reason })
        });
        let identities = spec.identities.iter().enumerate().map(|(index, spec)| {
            Identity::from_spec(spec)
                .map_err(|reason| VerificationError::Identity { index, reason })
        });
        Self::new(
            keys.collect::<Result<_, _>>()?,
            identities.collect::<Result<_, _>>()?,
            trust_root,
        )
    }

    /// Trusts these keys and identities; `trust_root` as for
    /// [`from_spec`](Self::from_spec).
    pub fn new(
        keys: Vec<PublicKey>,
        identities: Vec<Identity>,
        trust_root: Option<&str>,
    ) -> Result<Self, VerificationError> {
        if keys.is_empty() && identities.is_empty() {
            return Err(VerificationError::Nobody);
        }
        let root = match trust_root {
            Some(json) => TrustedRoot::from_json(json),
            None => TrustedRoot::from_embedded(SigstoreInstance::PublicGood),
        };
        let bad = |error: &dyn fmt::Display| VerificationError::TrustRoot(error.to_string());
        let root = root.map_err(|error| bad(&error))?;
        if !identities.is_empty() && root.certificate_authorities.is_empty() {
            return Err(VerificationError::TrustRoot(
                "it names no certificate authority, which identities need".into(),
            ));
        }
        Ok(Self {
            keys,
            identities,
            trust: Arc::new(Trust {
                verifier: Verifier::new(&root).map_err(|error| bad(&error))?,
                has_logs: !root.tlogs.is_empty(),
                has_certificate_logs: !root.ctlogs.is_empty(),
            }),
        })
    }
}

impl PublicKey {
    /// Reads a `PUBLIC KEY` in PEM. The error is the end of a sentence.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("holds a private key, which must stay with its owner".into());
        }
        let der = DerPublicKey::from_pem(pem.trim())
            .map_err(|_| "holds no public key in PEM".to_owned())?;
        KeyAlgorithm::from_spki(&der)
            .map_err(|error| format!("holds a key of an unsupported kind ({error})"))?;
        Ok(Self { der })
    }

    /// The SHA-256 of the key's DER form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.der.as_bytes())
    }
}

impl Identity {
    fn from_spec(spec: &IdentitySpec) -> Result<Self, String> {
        if spec.issuer.is_empty() {
            return Err("has an empty `issuer`".into());
        }
        let subject = match (&spec.subject, &spec.subject_prefix) {
            (Some(subject), None) if !subject.is_empty() => Subject::Exact(subject.clone()),
            (None, Some(prefix)) => Subject::prefix(prefix)?,
            _ => {
                return Err("needs exactly one of `subject` and `subjectPrefix`, not empty".into());
            }
        };
        Ok(Self {
            issuer: spec.issuer.clone(),
            subject,
        })
    }
}

impl Subject {
    /// A prefix, which must be a URI with a host. The error is the end of a
    /// sentence.
    pub fn prefix(prefix: &str) -> Result<Self, String> {
        let url = Url::parse(prefix).ok();
        let is_whole = prefix.contains("://") && !prefix.contains(['?', '#', '*']);
        match url {
            Some(url) if is_whole && url.host().is_some() => {
                Ok(Self::Prefix(prefix.trim_end_matches('/').to_owned()))
            }
            _ => Err(format!(
                "has the `subjectPrefix` `{prefix}`, which is no URI with a host, as `https://github.com/acme`; for a mail address use `subject`"
            )),
        }
    }

    /// Whether a certificate's name is meant. A longer name never matches a
    /// shorter one's prefix: `…/acme` is not `…/acme-evil`.
    pub(crate) fn matches(&self, name: &SubjectAltName) -> bool {
        match self {
            Self::Exact(exact) => name.as_str() == exact,
            Self::Prefix(prefix) => match name {
                SubjectAltName::Uri(uri) => uri.strip_prefix(prefix.as_str()).is_some_and(|rest| {
                    (rest.is_empty() || rest.starts_with('/'))
                            // `/acme/../evil` is not acme's.
                            && !rest.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."))
                            && !rest.contains('%')
                }),
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_whole_segments_only() {
        let uri = |text: &str| SubjectAltName::Uri(text.into());
        for prefix in ["https://github.com/acme", "https://github.com/acme/"] {
            let prefix = Subject::prefix(prefix).unwrap();
            for (name, expected) in [
                ("https://github.com/acme", true),
                (
                    "https://github.com/acme/policies/.github/workflows/a.yml@refs/tags/v1",
                    true,
                ),
                ("https://github.com/acme-evil/policies", false),
                ("https://github.com/acme.evil", false),
                ("https://github.com/acme@refs", false),
                ("https://github.com/acme/../evil/x", false),
                ("https://github.com/acme/%2e%2e/evil", false),
                ("https://github.com/acm", false),
                ("http://github.com/acme/x", false),
            ] {
                assert_eq!(prefix.matches(&uri(name)), expected, "{name}");
            }
            let mail = SubjectAltName::Email("https://github.com/acme/x".into());
            assert!(!prefix.matches(&mail));
        }
        let host = Subject::prefix("https://github.com").unwrap();
        assert!(host.matches(&uri("https://github.com/acme")));
        assert!(!host.matches(&uri("https://github.com.evil/acme")));
        assert!(!host.matches(&uri("https://github.com@evil/acme")));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for prefix in [
            "",
            "acme",
            "me@acme.example",
            "https://",
            "https://a/*",
            "mailto:a@b",
        ] {
            assert!(Subject::prefix(prefix).is_err(), "{prefix}");
        }
    }

    #[test]
    fn settings_that_trust_nobody_or_nonsense_are_refused_by_field() {
        let read = |yaml: serde_json::Value| {
            let spec: VerificationSpec = serde_json::from_value(yaml).unwrap();
            Verification::from_spec(&spec, None)
                .unwrap_err()
                .to_string()
        };
        let json = |text: &str| serde_json::from_str(text).unwrap();
        for (settings, expected) in [
            ("{}", "`verification` names neither `keys` nor `identities`"),
            (
                r#"{"keys": [{"pem": "junk"}]}"#,
                "`verification.keys[0].pem` holds no public key",
            ),
            (
                r#"{"keys": [{"pem": "-----BEGIN PRIVATE KEY-----"}]}"#,
                "`verification.keys[0].pem` holds a private key",
            ),
            (
                r#"{"identities": [{"issuer": "https://i", "subject": "a", "subjectPrefix": "https://a"}]}"#,
                "`verification.identities[0]` needs exactly one of",
            ),
            (
                r#"{"identities": [{"issuer": "", "subject": "a"}]}"#,
                "`verification.identities[0]` has an empty `issuer`",
            ),
        ] {
            let error = read(json(settings));
            assert!(error.starts_with(expected), "{error}");
        }
        let identity = Identity {
            issuer: "https://i".into(),
            subject: Subject::Exact("a".into()),
        };
        let error = Verification::new(vec![], vec![identity], Some("{}")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`verification.trustRoot` cannot be used"),
            "{error}"
        );
    }
}
