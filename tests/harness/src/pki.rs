//! The certificates of one control plane: a serving certificate for
//! kube-apiserver and client certificates for users, all from one authority
//! that exists for this control plane alone.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("certificate for {subject:?}: {source}")]
pub struct PkiError {
    subject: String,
    source: rcgen::Error,
}

/// A certificate and its private key, both PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, PkiError> {
        let subject = "test-harness authority";
        let make = || {
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name = named(subject, None);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        };
        Ok(Self {
            issuer: make().map_err(|source| error(subject, source))?,
        })
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// For 127.0.0.1, localhost and the names that pods use.
    pub(crate) fn serving(&self) -> Result<Pair, PkiError> {
        let subject = "kube-apiserver";
        let make = || {
            let names = ["localhost", "kubernetes", "kubernetes.default.svc"];
            let mut params = CertificateParams::new(names.map(str::to_owned).to_vec())?;
            params
                .subject_alt_names
                .push(SanType::IpAddress([127, 0, 0, 1].into()));
            params.distinguished_name = named(subject, None);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            self.sign(&params)
        };
        make().map_err(|source| error(subject, source))
    }

    /// For Kubernetes the common name is the user and the organization is the
    /// group (x509 authentication).
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Result<Pair, PkiError> {
        let make = || {
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name = named(user, group);
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            self.sign(&params)
        };
        make().map_err(|source| error(user, source))
    }

    fn sign(&self, params: &CertificateParams) -> Result<Pair, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A private key for the tokens of service accounts, PEM (ECDSA P-256, which
/// kube-apiserver signs with as ES256).
pub(crate) fn token_key() -> Result<Pair, PkiError> {
    let key = KeyPair::generate().map_err(|source| error("service accounts", source))?;
    Ok(Pair {
        certificate: key.public_key_pem(),
        key: key.serialize_pem(),
    })
}

fn named(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

fn error(subject: &str, source: rcgen::Error) -> PkiError {
    PkiError {
        subject: subject.to_owned(),
        source,
    }
}
