//! Signing with a key, in the form that cosign 3 reads.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use sigstore_crypto::KeyPair;
use sigstore_types::{Sha256Hash, pae};

use super::cosign_key;
use super::policy::PublicKey;
use super::{BUNDLE, SIGNATURE_PREDICATE, STATEMENT};
use crate::digest::Digest;
use crate::error::{Cause, SourceError};
use crate::manifest::{Descriptor, EMPTY, INDEX, Index, MANIFEST, Manifest};
use crate::push::{descriptor, to_json};
use crate::registry::{Access, Listed, Session, referrers_tag};
use crate::source::Source;
use crate::sources::Sources;

/// A private key. Its `Debug` shows the public one only.
pub struct SigningKey {
    pair: KeyPair,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public)
    }
}

/// A private key that cannot be used. No message holds any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is encrypted in cosign's way, and no password was given.
    #[error(
        "the key is encrypted; its password is needed, as cosign takes it from COSIGN_PASSWORD (which may be empty)"
    )]
    PasswordNeeded,
    /// The password is another.
    #[error("the key cannot be decrypted: the password is wrong, or the file was changed")]
    Password,
    /// It is encrypted in a way that is not known.
    #[error(
        "the key is encrypted in a way that is not known here (cosign's is known: scrypt and nacl/secretbox)"
    )]
    Encryption,
    /// It is encrypted.
    #[error(
        "the key is encrypted by PKCS#8; decrypt it with `openssl pkcs8 -in KEY -out PLAIN.pem`"
    )]
    Encrypted,
    /// It is in one of the older forms.
    #[error(
        "the key is in the form `{0}`; convert it with `openssl pkcs8 -topk8 -nocrypt -in KEY -out PLAIN.pem`"
    )]
    OldForm(&'static str),
    /// It is something else.
    #[error("this is no private key in PEM (`PRIVATE KEY`, PKCS#8)")]
    NotAKey,
    /// It is of another kind.
    #[error(
        "the key is not ECDSA P-256, the only kind that is signed with here; make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    Kind,
}

impl SigningKey {
    /// Reads a private key in PEM: PKCS#8, not encrypted, ECDSA P-256.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_pem_with(pem, None)
    }

    /// Reads a private key in PEM, also one of `cosign generate-key-pair`,
    /// which needs its password (it may be empty). Decrypting takes a moment
    /// and 64 MiB, on purpose.
    pub fn from_pem_with(pem: &str, password: Option<&str>) -> Result<Self, KeyError> {
        let is = |label: &str| pem.contains(&format!("-----BEGIN {label}-----"));
        if is("ENCRYPTED SIGSTORE PRIVATE KEY") || is("ENCRYPTED COSIGN PRIVATE KEY") {
            let password = password.ok_or(KeyError::PasswordNeeded)?;
            return Self::from_pkcs8(&cosign_key::decrypt(pem, password)?);
        }
        if is("ENCRYPTED PRIVATE KEY") {
            return Err(KeyError::Encrypted);
        }
        for form in ["EC PRIVATE KEY", "RSA PRIVATE KEY"] {
            if is(form) {
                return Err(KeyError::OldForm(form));
            }
        }
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::NotAKey)?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pkcs8_der(der).map_err(|_| KeyError::Kind)?;
        let public = pair.public_key_der().map_err(|_| KeyError::Kind)?;
        Ok(Self {
            pair,
            public: PublicKey { der: public },
        })
    }

    /// The public key, in PEM: what a `PolicyPlugin` names in
    /// `verification.keys`.
    #[must_use]
    pub fn public_pem(&self) -> String {
        // Some writers end lines as mail does, which YAML would keep.
        self.public.der.to_pem().replace('\r', "")
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The bundle that signs an artifact, by its manifest's digest.
    fn artifact_bundle(&self, manifest: Digest) -> Result<Bytes, Cause> {
        let statement = to_json(&json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": manifest.hex()}, "annotations": {}}],
            "predicateType": SIGNATURE_PREDICATE,
            "predicate": {},
        }))?;
        let signature = self
            .pair
            .sign(&pae(STATEMENT, &statement))
            .map_err(|error| Cause::BadSettings(format!("the key cannot sign: {error}")))?;
        to_json(&json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": self.hint()}},
            "dsseEnvelope": {
                "payload": STANDARD.encode(&statement),
                "payloadType": STATEMENT,
                "signatures": [{"sig": signature.to_base64()}],
            },
        }))
    }

    /// The bundle that signs a file, to be kept beside it with `.sigstore.json`
    /// behind its name.
    pub fn file_bundle(&self, file: Digest) -> Result<Bytes, SourceError> {
        let failed = |reason: String| {
            let cause = Cause::BadSettings(format!("the key cannot sign: {reason}"));
            SourceError::new("a signing key", cause)
        };
        let hash =
            Sha256Hash::try_from(&file.bytes()[..]).map_err(|error| failed(error.to_string()))?;
        let signature = self
            .pair
            .sign_digest(&hash)
            .map_err(|error| failed(error.to_string()))?;
        to_json(&json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": self.hint()}},
            "messageSignature": {
                "messageDigest": {
                    "algorithm": "SHA2_256",
                    "digest": STANDARD.encode(file.bytes()),
                },
                "signature": signature.to_base64(),
            },
        }))
        .map_err(|cause| SourceError::new("a signing key", cause))
    }

    /// How cosign names a key.
    fn hint(&self) -> String {
        STANDARD.encode(self.public.digest().bytes())
    }
}

impl Sources {
    /// Signs the artifact with this manifest in the repository of an OCI
    /// source, and says so where clients look for it. Returns the digest of the
    /// manifest that carries the signature.
    ///
    /// In a registry without the referrers API the list of signatures is a tag
    /// that is read and written back; of two who sign one artifact at the same
    /// moment there, one may be lost.
    pub async fn sign(
        &self,
        source: &Source,
        manifest: Digest,
        key: &SigningKey,
    ) -> Result<Digest, SourceError> {
        self.bounded(&source.origin(), self.sign_inner(source, manifest, key))
            .await
    }

    async fn sign_inner(
        &self,
        source: &Source,
        manifest: Digest,
        key: &SigningKey,
    ) -> Result<Digest, Cause> {
        let session = self.session(source, Access::Push)?;
        let subject = session.manifest(&manifest.to_string()).await?;
        let bundle = key.artifact_bundle(manifest)?;
        let config = Bytes::from_static(b"{}");
        let carrier = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.into()),
            artifact_type: Some(BUNDLE.into()),
            config: descriptor(EMPTY, &config),
            layers: vec![descriptor(BUNDLE, &bundle)],
            subject: Some(descriptor(
                subject.content_type.as_deref().unwrap_or(MANIFEST),
                &subject.bytes,
            )),
            annotations: BTreeMap::from([
                ("dev.sigstore.bundle.content".into(), "dsse-envelope".into()),
                (
                    "dev.sigstore.bundle.predicateType".into(),
                    SIGNATURE_PREDICATE.into(),
                ),
            ]),
        };
        session.push_blob(config).await?;
        session.push_blob(bundle).await?;
        let bytes = to_json(&carrier)?;
        let entry = Descriptor {
            artifact_type: Some(BUNDLE.into()),
            annotations: carrier.annotations,
            ..descriptor(MANIFEST, &bytes)
        };
        let digest = entry.digest.to_string();
        let (digest, listed) = session.push_manifest(&digest, MANIFEST, bytes).await?;
        if listed == Listed::No {
            list(&session, manifest, entry).await?;
        }
        Ok(digest)
    }
}

/// Adds an entry to the tag that stands for the list of referrers.
async fn list(session: &Session, subject: Digest, entry: Descriptor) -> Result<(), Cause> {
    let mut manifests = session.referrers_tag(subject).await?;
    manifests.retain(|known| known.digest != entry.digest);
    manifests.push(entry);
    let index = to_json(&Index {
        schema_version: 2,
        media_type: Some(INDEX.into()),
        manifests,
    })?;
    session
        .push_manifest(&referrers_tag(subject), INDEX, index)
        .await?;
    Ok(())
}
