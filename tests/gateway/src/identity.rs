//! As whom the gateway calls backends: a certificate with its private key.

use crate::certificate;
use crate::client::certificates;
use crate::configuration::Certificate;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// A certificate and its key, ready for TLS. The key cannot be got out of it.
#[derive(Clone)]
pub struct ClientIdentity(Arc<Inner>);

struct Inner {
    id: String,
    thumbprint: String,
    /// Of certificates and key: two identities with the same one are the same.
    fingerprint: [u8; 32],
    certified: CertifiedKey,
}

/// Why a certificate cannot be shown to a backend. No variant holds anything of
/// the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It is no certificate.
    #[error("it is no certificate in PEM")]
    Certificate,
    /// The service has no key for it.
    #[error("it has no private key")]
    NoKey,
    /// The key cannot be read.
    #[error("its private key is none in PEM, or is encrypted")]
    Key,
    /// Key and certificate do not belong together, or nothing can be signed
    /// with the key.
    #[error("its private key is not the certificate's, or of a kind that is not supported")]
    Mismatch,
}

impl ClientIdentity {
    /// The identity of a certificate that the service holds by this id.
    pub fn read(id: &str, held: &Certificate) -> Result<Self, IdentityError> {
        let chain = certificates(&held.pem).map_err(|_| IdentityError::Certificate)?;
        let leaf = chain.first().ok_or(IdentityError::Certificate)?;
        let thumbprint = certificate::thumbprint(leaf);
        let key = held.key.as_ref().ok_or(IdentityError::NoKey)?;
        let key =
            PrivateKeyDer::from_pem_slice(key.pem().as_bytes()).map_err(|_| IdentityError::Key)?;
        let mut hash = Sha256::new();
        for part in chain.iter().map(AsRef::as_ref).chain([key.secret_der()]) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|_| IdentityError::Mismatch)?;
        Ok(Self(Arc::new(Inner {
            id: id.to_owned(),
            thumbprint,
            fingerprint: hash.finalize().into(),
            certified,
        })))
    }

    /// The id by which the service holds the certificate.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The certificate's SHA-1, in upper-case hexadecimal digits.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }

    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::new(SingleCertAndKey::from(self.0.certified.clone()))
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("id", &self.0.id)
            .field("thumbprint", &self.0.thumbprint)
            .finish_non_exhaustive()
    }
}
