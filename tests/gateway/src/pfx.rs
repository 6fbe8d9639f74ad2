//! Certificates with their keys as they are exchanged: PKCS #12, `.pfx`.

use crate::certificate::describe;
use crate::client::certificates;
use crate::configuration::{Certificate, PrivateKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};

/// The most that is read, in bytes: chains are shorter by far.
const LARGEST: usize = 256 * 1024;

/// Why a file holds no certificate with its key. No variant holds anything of the
/// file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PfxError {
    /// It is no such file, or the password is another one.
    #[error("it is no PKCS #12 file, or the password is wrong")]
    Unreadable,
    /// There is no key in it.
    #[error("it holds no private key with its certificate")]
    NoKey,
}

/// What is public of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its distinguished name.
    pub subject: String,
    /// Its SHA-1, in upper-case hexadecimal digits.
    pub thumbprint: String,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Certificate {
    /// The certificate, its intermediates and its key.
    pub fn from_pfx(file: &[u8], password: &str) -> Result<Self, PfxError> {
        if file.len() > LARGEST {
            return Err(PfxError::Unreadable);
        }
        let store = KeyStore::from_pkcs12(file, password, Pkcs12ImportPolicy::Strict)
            .map_err(|_| PfxError::Unreadable)?;
        let (_, chain) = store.private_key_chain().ok_or(PfxError::NoKey)?;
        if chain.certs().is_empty() {
            return Err(PfxError::NoKey);
        }
        let certificates = chain.certs().iter();
        let key = pem("PRIVATE KEY", chain.key().as_der());
        Ok(Self {
            pem: certificates
                .map(|one| pem("CERTIFICATE", one.as_der()))
                .collect(),
            key: Some(PrivateKey::from(key)),
            ..Self::default()
        })
    }

    /// What is public of it; `None` where it is no certificate.
    #[must_use]
    pub fn facts(&self) -> Option<CertificateFacts> {
        let chain = certificates(&self.pem).ok()?;
        let seen = describe(chain.first()?)?;
        Some(CertificateFacts {
            subject: seen.subject,
            thumbprint: seen.thumbprint,
            not_after: seen.not_after,
        })
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = STANDARD.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + "-----END " + label + "-----\n"
}
