//! Certificates of callers, of the gateway and of their authorities.

use crate::tokens::Signer;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// No two certificates have the same number.
static SERIALS: AtomicU64 = AtomicU64::new(1);

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
    serial: SerialNumber,
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
        let serial = SerialNumber::from(SERIALS.fetch_add(1, Ordering::Relaxed));
        params.serial_number = Some(serial.clone());
        let signed = params.signed_by(&key, &self.issuer);
        let signed = signed.expect("a certificate");
        Identity {
            chain: signed.pem(),
            key: key.serialize_pem(),
            der: signed.der().to_vec(),
            serial,
        }
    }

    /// The list, in PEM, of certificates that it has revoked.
    #[must_use]
    pub fn revocations(&self, of: &[&Identity]) -> String {
        let day = rcgen::date_time_ymd(2023, 1, 1);
        let revoked = of.iter().map(|identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: day,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: day,
            next_update: rcgen::date_time_ymd(2040, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = list.signed_by(&self.issuer).expect("a list");
        signed.pem().expect("PEM")
    }
}
