//! `validate-client-certificate`:
//! <https://learn.microsoft.com/azure/api-management/validate-client-certificate-policy>.

use super::{Flow, Policy};
use crate::certificate::{ClientCertificate, describe};
use crate::client::certificates;
use crate::compile::{CompileError, Compiler, Reader};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::sync::Arc;
use std::time::Duration;

#[expect(clippy::struct_excessive_bools, reason = "one for each attribute")]
struct ValidateClientCertificate {
    /// "Default: true", as the next two.
    trust: bool,
    not_before: bool,
    not_after: bool,
    ignore_error: bool,
    identities: Vec<Identity>,
    /// Checks chains against the service's certificate authorities; `None`
    /// where it has none, and nothing is trusted.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Knows what the service's authorities have revoked; `None` where that is not
    /// asked, or none of them has a list. Lists are not fetched: those that the
    /// service holds count, and what no list speaks of is not revoked.
    revocations: Option<Arc<dyn ClientCertVerifier>>,
    /// The certificates that the service holds: among them is the issuer of a
    /// caller who does not send it along.
    held: Vec<CertificateDer<'static>>,
}

/// What a certificate must be: every attribute that is written.
#[derive(Default)]
struct Identity {
    thumbprint: Option<String>,
    serial_number: Option<String>,
    common_name: Option<String>,
    subject: Option<String>,
    dns_name: Option<String>,
    issuer_subject: Option<String>,
    issuer_thumbprint: Option<String>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    let flag = |name: &str, default| Ok(reader.literal(name)?.unwrap_or(default));
    let (trust, revocation, not_before, not_after, ignore_error) = (
        flag("validate-trust", true)?,
        flag("validate-revocation", true)?,
        flag("validate-not-before", true)?,
        flag("validate-not-after", true)?,
        flag("ignore-error", false)?,
    );
    let mut identities = Vec::new();
    for child in reader
        .child("identities")
        .into_iter()
        .flat_map(Element::elements)
    {
        identities.push(Identity::read(&reader.part(child))?);
    }
    let verifier = verifier(&reader)?;
    let revocations = if revocation {
        revocations(&reader)?
    } else {
        None
    };
    let held = &reader.compiler.service.certificates;
    let held = held
        .values()
        .filter_map(|held| certificates(&held.pem).ok()?.into_iter().next())
        .collect();
    Ok(Box::new(ValidateClientCertificate {
        trust,
        not_before,
        not_after,
        ignore_error,
        identities,
        verifier,
        revocations,
        held,
    }))
}

/// Whether a certificate was signed by the other one.
fn signed_by(leaf: &CertificateDer<'_>, issuer: &CertificateDer<'static>, time: UnixTime) -> bool {
    let mut roots = RootCertStore::empty();
    if roots.add(issuer.clone()).is_err() {
        return false;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .is_ok_and(|verifier| verifier.verify_client_cert(leaf, &[], time).is_ok())
}

fn verifier(
    reader: &Reader<'_, '_, '_>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, CompileError> {
    let mut roots = RootCertStore::empty();
    for (id, certificate) in &reader.compiler.service.certificates {
        if certificate.trusted_root {
            for root in certificates(&certificate.pem).unwrap_or_default() {
                if roots.add(root).is_err() {
                    return reader.fail(format!("Certificate with id '{id}' is no authority."));
                }
            }
        }
    }
    if roots.is_empty() {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map(Some)
        .map_err(|error| CompileError::new(reader.element, error.to_string()))
}

/// A verifier that is asked for one thing: whether an authority that keeps a list
/// has a certificate on it.
fn revocations(
    reader: &Reader<'_, '_, '_>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, CompileError> {
    let (mut authorities, mut lists) = (RootCertStore::empty(), Vec::new());
    for (id, held) in &reader.compiler.service.certificates {
        let Some(pem) = &held.revocations else {
            continue;
        };
        let list = CertificateRevocationListDer::from_pem_slice(pem.as_bytes());
        let authority = certificates(&held.pem)
            .unwrap_or_default()
            .into_iter()
            .next();
        match (list, authority.map(|authority| authorities.add(authority))) {
            (Ok(list), Some(Ok(()))) => lists.push(list),
            _ => {
                return reader.fail(format!(
                    "Certificate with id '{id}' is no authority, or its revocations are no list in PEM."
                ));
            }
        }
    }
    if lists.is_empty() {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .with_crls(lists)
        .allow_unknown_revocation_status()
        .build()
        .map(Some)
        .map_err(|error| CompileError::new(reader.element, error.to_string()))
}

impl Identity {
    fn read(reader: &Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        let mut issuer_thumbprint = reader.text_of("issuer-thumbprint")?;
        if let Some(id) = reader.text_of("issuer-certificate-id")? {
            let found = reader
                .compiler
                .service
                .certificates
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(&id))
                .and_then(|(_, certificate)| {
                    let chain = certificates(&certificate.pem).ok()?;
                    describe(chain.first()?)
                });
            match found {
                Some(found) => issuer_thumbprint = Some(found.thumbprint),
                None => {
                    return reader.fail(format!("Certificate with id '{id}' could not be found."));
                }
            }
        }
        Ok(Self {
            thumbprint: reader.text_of("thumbprint")?,
            serial_number: reader.text_of("serial-number")?,
            common_name: reader.text_of("common-name")?,
            subject: reader.text_of("subject")?,
            dns_name: reader.text_of("dns-name")?,
            issuer_subject: reader.text_of("issuer-subject")?,
            issuer_thumbprint,
        })
    }

    fn is(&self, certificate: &ClientCertificate, issuer: Option<&str>) -> bool {
        let seen = &certificate.seen;
        let same = |wanted: &Option<String>, is: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| wanted.trim().eq_ignore_ascii_case(is))
        };
        let same_name = |wanted: &Option<String>, is: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| parts_of_name(wanted) == parts_of_name(is))
        };
        same(&self.thumbprint, &seen.thumbprint)
            && same(
                &self.serial_number.as_deref().map(without_zeros),
                &without_zeros(&seen.serial_number),
            )
            && same(&self.common_name, &seen.common_name)
            && same_name(&self.subject, &seen.subject)
            && same_name(&self.issuer_subject, &seen.issuer)
            && self.dns_name.as_deref().is_none_or(|wanted| {
                let names = &certificate.dns_names;
                names
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(wanted.trim()))
            })
            && same(&self.issuer_thumbprint, issuer.unwrap_or_default())
    }
}

fn without_zeros(serial: &str) -> String {
    serial.trim().trim_start_matches('0').to_ascii_uppercase()
}

/// The parts of a distinguished name, in any order and spacing.
fn parts_of_name(name: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let (mut part, mut quoted, mut escaped) = (String::new(), false, false);
    for c in name.chars() {
        match c {
            _ if escaped => {
                part.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' | '+' | ';' if !quoted => parts.push(std::mem::take(&mut part)),
            _ => part.push(c),
        }
    }
    parts.push(part);
    let mut parts: Vec<String> = parts
        .iter()
        .map(|part| match part.split_once('=') {
            Some((kind, value)) => format!("{}={}", kind.trim().to_uppercase(), value.trim()),
            None => part.trim().to_owned(),
        })
        .collect();
    parts.sort();
    parts
}

impl ValidateClientCertificate {
    /// The thumbprint of who signed a certificate. What the caller sent beside
    /// its own is believed only where it did: anybody can send anything.
    fn issuer(&self, certificate: &ClientCertificate, time: UnixTime) -> Option<String> {
        let mut asked = self.identities.iter();
        if !asked.any(|identity| identity.issuer_thumbprint.is_some()) {
            return None;
        }
        let (leaf, sent) = certificate.chain.split_first()?;
        let mut all = sent.iter().chain(&self.held);
        let issuer = all.find(|one| signed_by(leaf, one, time))?;
        Some(describe(issuer)?.thumbprint)
    }

    /// Why a certificate is not accepted, if it is not.
    fn refusal(&self, exchange: &Exchange) -> Option<(&'static str, String)> {
        let Some(certificate) = &exchange.certificate else {
            let message = "Client certificate was not provided.".to_owned();
            return Some(("ClientCertificateNotPresent", message));
        };
        let now = exchange.now();
        if self.not_before && now < certificate.seen.not_before {
            let message = "Client certificate is not valid yet.".to_owned();
            return Some(("ClientCertificateNotYetValid", message));
        }
        if self.not_after && now > certificate.seen.not_after {
            let message = "Client certificate is expired.".to_owned();
            return Some(("ClientCertificateExpired", message));
        }
        // The times are checked above, as the attributes say.
        let inside = now
            .max(certificate.seen.not_before)
            .min(certificate.seen.not_after);
        let seconds = u64::try_from(inside.as_second()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let (leaf, others) = (&certificate.chain[0], &certificate.chain[1..]);
        // Looked at by itself: "no trust" does not mean that it may be revoked.
        let revoked = self.revocations.as_ref().is_some_and(|verifier| {
            let verified = verifier.verify_client_cert(leaf, others, time);
            let revoked = rustls::CertificateError::Revoked;
            verified.err() == Some(rustls::Error::InvalidCertificate(revoked))
        });
        if revoked {
            let message = "Client certificate is revoked.".to_owned();
            return Some(("ClientCertificateRevoked", message));
        }
        if self.trust {
            let trusted = self
                .verifier
                .as_ref()
                .is_some_and(|verifier| verifier.verify_client_cert(leaf, others, time).is_ok());
            if !trusted {
                let message = "Client certificate is not trusted.".to_owned();
                return Some(("ClientCertificateNotTrusted", message));
            }
        }
        let issuer = self.issuer(certificate, time);
        let known = self.identities.is_empty()
            || self
                .identities
                .iter()
                .any(|identity| identity.is(certificate, issuer.as_deref()));
        if known {
            return None;
        }
        let message = "Client certificate is none of the allowed identities.".to_owned();
        Some(("ClientCertificateIdentityNotMatched", message))
    }
}

#[async_trait]
impl Policy for ValidateClientCertificate {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        match self.refusal(exchange) {
            Some((reason, message)) if !self.ignore_error => {
                // Status and sentence are inferred from answers that were seen.
                Err(PolicyError::told(403, reason, message).telling("Invalid client certificate"))
            }
            _ => Ok(Flow::Continue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parts_of_name;

    #[test]
    fn names_are_the_same_in_any_order_and_quoting() {
        let one = parts_of_name("CN=a, O=\"Contoso, Inc.\", C=US");
        assert_eq!(one, parts_of_name("C=US,O=Contoso\\, Inc.,cn=a"));
        assert_ne!(one, parts_of_name("CN=a, O=Contoso, C=US"));
    }
}
