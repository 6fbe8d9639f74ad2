//! Certificates of callers, of the gateway and of their authorities.

use crate::tokens::Signer;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority that signs certificates.
pub struct Authority {
    /// Its certificate.
    pub pem: String,
    /// Its certificate's bytes.
    pub der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Identity {
    /// The certificate in PEM.
    pub chain: String,
    /// The key in PEM.
    pub key: String,
    /// The certificate's bytes.
    pub der: Vec<u8>,
}

impl Authority {
    /// A new one of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::with(name, KeyPair::generate().expect("a key"))
    }

    /// One that has the key of a signer of tokens.
    #[must_use]
    pub fn of(signer: &Signer) -> Self {
        let key = KeyPair::try_from(signer.private.as_slice());
        Self::with("signer", key.expect("a key"))
    }

    fn with(name: &str, key: KeyPair) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signed = params.self_signed(&key).expect("a certificate");
        Self {
            pem: signed.pem(),
            der: signed.der().to_vec(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for a name, good from the beginning of the first to that
    /// of the last year.
    #[must_use]
    pub fn issue(&self, name: &str, years: (i32, i32)) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer);
        let signed = signed.expect("a certificate");
        Identity {
            chain: signed.pem(),
            key: key.serialize_pem(),
            der: signed.der().to_vec(),
        }
    }
}
