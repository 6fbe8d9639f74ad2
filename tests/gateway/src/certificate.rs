//! What is known of a client's certificate.

use apim_expressions as expressions;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use sha1::{Digest as _, Sha1};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name};

/// The certificate that a client showed, with the others it sent.
pub(crate) struct ClientCertificate {
    /// What expressions see.
    pub(crate) seen: expressions::Certificate,
    pub(crate) dns_names: Vec<String>,
    /// The leaf first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// Reads a chain; `None` where the leaf is no X.509 certificate.
pub(crate) fn read(chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
    let leaf = chain.first()?;
    let seen = describe(leaf)?;
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let dns_names = parsed
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|names| {
            names
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                })
                .collect()
        })
        .unwrap_or_default();
    Some(ClientCertificate {
        seen,
        dns_names,
        chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
    })
}

/// What expressions see of a certificate.
pub(crate) fn describe(der: &CertificateDer<'_>) -> Option<expressions::Certificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let time = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH)
    };
    Some(expressions::Certificate {
        thumbprint: thumbprint(der),
        subject: name(parsed.subject()),
        issuer: name(parsed.issuer()),
        common_name: parsed
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default()
            .to_owned(),
        serial_number: hex(parsed.raw_serial()),
        not_before: time(parsed.validity().not_before),
        not_after: time(parsed.validity().not_after),
        trusted: false,
        raw: der.to_vec().into(),
    })
}

/// The SHA-1 of a certificate, by which the service names it.
pub(crate) fn thumbprint(der: &CertificateDer<'_>) -> String {
    hex(&Sha1::digest(der))
}

fn name(name: &X509Name<'_>) -> String {
    name.to_string()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}
