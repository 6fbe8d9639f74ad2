//! One bundle against one digest: no I/O.

use sigstore_crypto::{
    KeyAlgorithm, parse_certificate_info, verify_signature, verify_signature_prehashed,
};
use sigstore_types::bundle::{SignatureContent, VerificationMaterialContent};
use sigstore_types::{Bundle, HashAlgorithm, Sha256Hash, Statement};
use sigstore_verify::{CertificateError, Error, VerificationPolicy};

use super::{SIGNATURE_PREDICATE, STATEMENT};
use crate::digest::Digest;
use crate::signature::error::VerifyCause;
use crate::signature::policy::{PublicKey, Signer, Verification};

/// Who signed this digest, if it is somebody who is trusted.
pub(crate) fn check(
    json: &[u8],
    subject: Digest,
    verification: &Verification,
) -> Result<Signer, VerifyCause> {
    let malformed = |reason: &dyn std::fmt::Display| {
        VerifyCause::Malformed(reason.to_string().chars().take(300).collect())
    };
    let text = std::str::from_utf8(json).map_err(|error| malformed(&error))?;
    let bundle = Bundle::from_json(text).map_err(|error| malformed(&error))?;
    let statement = match &bundle.content {
        SignatureContent::DsseEnvelope(envelope) => Some(signature_statement(
            &envelope.payload_type,
            envelope.payload.as_bytes(),
        )?),
        _ => None,
    };
    let subject = Sha256Hash::try_from(&subject.bytes()[..]).map_err(|error| malformed(&error))?;
    match bundle.verification_material.content {
        VerificationMaterialContent::PublicKey(_) => {
            by_key(&bundle, statement.as_ref(), subject, verification)
        }
        _ => by_identity(&bundle, subject, verification),
    }
}

/// The statement in an envelope. Only a signature is one: whoever may sign a
/// bill of materials with the same key does not release plugins by it.
fn signature_statement(payload_type: &str, payload: &[u8]) -> Result<Statement, VerifyCause> {
    if payload_type != STATEMENT {
        return Err(VerifyCause::NotASignature {
            predicate: payload_type.chars().take(200).collect(),
        });
    }
    let statement: Statement = serde_json::from_slice(payload)
        .map_err(|error| VerifyCause::Malformed(format!("its statement: {error}")))?;
    if statement.predicate_type != SIGNATURE_PREDICATE {
        return Err(VerifyCause::NotASignature {
            predicate: statement.predicate_type.chars().take(200).collect(),
        });
    }
    Ok(statement)
}

/// The key alone vouches: when something was signed, and which log it is in,
/// decides nothing here. `sigstore-verify` demands a log entry or a time-stamp
/// of every bundle, which signatures by a key need not have; so these are
/// checked by its cryptography, but not by it.
fn by_key(
    bundle: &Bundle,
    statement: Option<&Statement>,
    subject: Sha256Hash,
    verification: &Verification,
) -> Result<Signer, VerifyCause> {
    if verification.keys.is_empty() {
        return Err(VerifyCause::IdentityExpected);
    }
    let signer = verification
        .keys
        .iter()
        .find(|key| signed_with(bundle, subject, key).unwrap_or(false))
        .ok_or(VerifyCause::WrongKey);
    let names_subject = match (&bundle.content, statement) {
        (SignatureContent::MessageSignature(message), _) => {
            let declared = message.message_digest.as_ref();
            declared.is_none_or(|declared| {
                declared.algorithm == HashAlgorithm::Sha2256 && declared.digest == subject
            })
        }
        (_, Some(statement)) => statement.matches_sha256(&subject),
        _ => false,
    };
    // Of a message the signature itself is of the digest.
    match (names_subject, &bundle.content) {
        (false, SignatureContent::MessageSignature(_)) => Err(VerifyCause::OtherDigest),
        (false, _) => Err(signer.err().unwrap_or(VerifyCause::OtherDigest)),
        (true, _) => signer.map(|key| Signer::Key(key.digest())),
    }
}

/// Whether a key made the signature of a bundle.
fn signed_with(
    bundle: &Bundle,
    subject: Sha256Hash,
    key: &PublicKey,
) -> Result<bool, sigstore_crypto::Error> {
    let scheme = KeyAlgorithm::from_spki(&key.der)?.default_signing_scheme();
    let checked = match &bundle.content {
        SignatureContent::DsseEnvelope(envelope) => {
            verify_signature(&key.der, &envelope.pae(), &envelope.signature.sig, scheme)
        }
        SignatureContent::MessageSignature(message) => {
            // The digest is a SHA-256, whatever the key would take.
            let scheme = KeyAlgorithm::from_spki(&key.der)?
                .resolve_signing_scheme(HashAlgorithm::Sha2256)?;
            verify_signature_prehashed(&key.der, subject.as_bytes(), &message.signature, scheme)
        }
        _ => return Ok(false),
    };
    Ok(checked.is_ok())
}

fn by_identity(
    bundle: &Bundle,
    subject: Sha256Hash,
    verification: &Verification,
) -> Result<Signer, VerifyCause> {
    if verification.identities.is_empty() {
        return Err(VerifyCause::KeyExpected {
            signer: claimed(bundle),
        });
    }
    let trust = &verification.trust;
    // What the trust root lists is demanded; a private Sigstore without a log
    // lists none. Who signed is compared below, with all that are trusted.
    let mut policy = VerificationPolicy::any_identity();
    if !trust.has_logs {
        policy = policy.skip_tlog_unsafe();
    }
    if !trust.has_certificate_logs {
        policy = policy.skip_sct();
    }
    let result = trust
        .verifier
        .verify(subject, bundle, &policy)
        .map_err(|error| {
            out_of_time(bundle, subject, verification, &error).unwrap_or_else(|| cause(&error))
        })?;
    let (Some(issuer), Some(name)) = (result.issuer(), result.identity()) else {
        return Err(VerifyCause::Malformed(
            "its certificate names no issuer or no subject".into(),
        ));
    };
    let signer = Signer::Identity {
        issuer: issuer.to_owned(),
        subject: name.as_str().to_owned(),
    };
    let of_issuer: Vec<_> = verification
        .identities
        .iter()
        .filter(|identity| identity.issuer == issuer)
        .collect();
    if of_issuer.is_empty() {
        return Err(VerifyCause::WrongIssuer { signer });
    }
    if !of_issuer
        .iter()
        .any(|identity| identity.subject.matches(name))
    {
        return Err(VerifyCause::WrongIdentity { signer });
    }
    Ok(signer)
}

/// Whom a certificate names, which nobody has checked.
fn claimed(bundle: &Bundle) -> Signer {
    let info = bundle
        .signing_certificate()
        .and_then(|certificate| parse_certificate_info(certificate).ok());
    let (issuer, subject) = match info {
        Some(info) => (
            info.issuer,
            info.identity.map(|name| name.as_str().to_owned()),
        ),
        None => (None, None),
    };
    let unknown = || "an unknown issuer".to_owned();
    Signer::Identity {
        issuer: issuer.unwrap_or_else(unknown),
        subject: subject.unwrap_or_else(|| "somebody".to_owned()),
    }
}

/// Whether a chain was refused because of the time: the same check without the
/// chain says when it was signed.
fn out_of_time(
    bundle: &Bundle,
    subject: Sha256Hash,
    verification: &Verification,
    error: &Error,
) -> Option<VerifyCause> {
    if !matches!(error, Error::Certificate(_)) {
        return None;
    }
    let info = parse_certificate_info(bundle.signing_certificate()?).ok()?;
    let policy = VerificationPolicy::any_identity()
        .skip_certificate_chain()
        .skip_tlog_unsafe();
    let result = verification.trust.verifier.verify(subject, bundle, &policy);
    let times = result.ok()?;
    let time = times
        .verified_timestamps()
        .iter()
        .find(|time| **time < info.not_before || **time > info.not_after)?;
    Some(VerifyCause::CertificateExpired {
        time: time.to_string(),
        not_before: info.not_before.to_string(),
        not_after: info.not_after.to_string(),
    })
}

fn cause(error: &Error) -> VerifyCause {
    let message = error.to_string().chars().take(300).collect();
    match error {
        Error::ArtifactMismatch(_) => VerifyCause::OtherDigest,
        Error::Certificate(CertificateError::Sct(_))
        | Error::TransparencyLog(_)
        | Error::Timestamp(_)
        | Error::Bundle(_) => VerifyCause::NoEvidence(message),
        Error::Certificate(_) => VerifyCause::UntrustedAuthority(message),
        _ => VerifyCause::Malformed(message),
    }
}
