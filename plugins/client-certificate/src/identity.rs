//! What a certificate must be.

use policy_sdk::elements::CertificateIdentity;
use policy_sdk::{At, CertificateId, Diagnostic};
use serde::Deserialize;

/// What a certificate must be; all that is set must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Identity {
    thumbprint: Option<String>,
    serial_number: Option<String>,
    common_name: Option<String>,
    subject: Option<String>,
    dns_name: Option<String>,
    issuer_subject: Option<String>,
    issuer_thumbprint: Option<String>,
    issuer_certificate_id: Option<CertificateId>,
}

impl Identity {
    /// As part of the policy statement; `trust` is whether chains are checked.
    pub(crate) fn statement(
        &self,
        pointer: &str,
        trust: bool,
    ) -> Result<CertificateIdentity, Vec<Diagnostic>> {
        let mut problems = self.contradictions(pointer, trust);
        let place = |field: &str| format!("{pointer}/{field}");
        let mut identity = CertificateIdentity::new();
        if let Some(text) = &self.thumbprint {
            match hex(text, Some(40)) {
                Ok(digits) => identity = identity.thumbprint(digits.at(place("thumbprint"))),
                Err(reason) => problems.push(Diagnostic::error(place("thumbprint"), reason)),
            }
        }
        if let Some(text) = &self.serial_number {
            match hex(text, None) {
                Ok(digits) => identity = identity.serial_number(digits.at(place("serialNumber"))),
                Err(reason) => problems.push(Diagnostic::error(place("serialNumber"), reason)),
            }
        }
        if let Some(name) = &self.common_name {
            identity = identity.common_name(name.at(place("commonName")));
        }
        if let Some(name) = &self.subject {
            problems.extend(distinguished(name, place("subject")));
            identity = identity.subject(name.at(place("subject")));
        }
        if let Some(name) = &self.dns_name {
            identity = identity.dns_name(name.at(place("dnsName")));
        }
        if let Some(name) = &self.issuer_subject {
            problems.extend(distinguished(name, place("issuerSubject")));
            identity = identity.issuer_subject(name.at(place("issuerSubject")));
        }
        if let Some(text) = &self.issuer_thumbprint {
            match hex(text, Some(40)) {
                Ok(digits) => {
                    identity = identity.issuer_thumbprint(digits.at(place("issuerThumbprint")));
                }
                Err(reason) => problems.push(Diagnostic::error(place("issuerThumbprint"), reason)),
            }
        }
        if let Some(id) = &self.issuer_certificate_id {
            identity = identity.issuer_certificate_id(id.as_str().at(place("issuerCertificateId")));
        }
        if problems.is_empty() {
            Ok(identity.at(pointer))
        } else {
            Err(problems)
        }
    }

    fn contradictions(&self, pointer: &str, trust: bool) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        let named = [
            &self.thumbprint,
            &self.serial_number,
            &self.common_name,
            &self.subject,
            &self.dns_name,
            &self.issuer_subject,
            &self.issuer_thumbprint,
        ];
        if named.iter().all(|field| field.is_none()) && self.issuer_certificate_id.is_none() {
            problems.push(Diagnostic::error(
                pointer,
                "the identity is empty, so that any certificate would do: say what it must be, for \
                 example dnsName",
            ));
        } else if !trust && self.thumbprint.is_none() {
            problems.push(Diagnostic::error(
                pointer,
                "without validateTrust anybody can make a certificate with these names: add its \
                 thumbprint, or leave validateTrust true",
            ));
        }
        // Azure's reference: "Mutually exclusive with other issuer attributes".
        if self.issuer_certificate_id.is_some()
            && (self.issuer_subject.is_some() || self.issuer_thumbprint.is_some())
        {
            problems.push(Diagnostic::error(
                format!("{pointer}/issuerCertificateId"),
                "issuerCertificateId says who the issuer is: leave issuerSubject and \
                 issuerThumbprint out, or issuerCertificateId",
            ));
        }
        problems
    }
}

/// Hexadecimal digits as certificate viewers show them, without what stands
/// between them, in upper case.
fn hex(text: &str, length: Option<usize>) -> Result<String, String> {
    let digits: String = text
        .chars()
        .filter(|c| !matches!(c, ':' | ' '))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if plain && length.is_none_or(|length| digits.len() == length) {
        return Ok(digits);
    }
    Err(match length {
        Some(length) => format!(
            "`{text}` is not a SHA-1 thumbprint: {length} hexadecimal digits, as the instance and \
             certificate viewers show it"
        ),
        None => format!("`{text}` is not a serial number: hexadecimal digits"),
    })
}

fn distinguished(name: &str, pointer: String) -> Option<Diagnostic> {
    (!name.contains('=')).then(|| {
        Diagnostic::error(
            pointer,
            format!(
                "`{name}` is not a distinguished name: write it as in CN=partner, O=Contoso, C=US"
            ),
        )
    })
}
