//! Why a signature is not accepted.

use operator_core::class::ErrorClass;

use crate::error::{Cause, SourceError};
use crate::signature::policy::Signer;

/// A plugin is not signed as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {cause}")]
pub struct VerifyError {
    /// The reference by digest, URL or path of what should be signed.
    pub origin: String,
    /// What is wrong.
    pub cause: VerifyCause,
}

/// What is wrong with the signatures of something. Where there are several,
/// it is what is wrong with the one that comes closest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyCause {
    /// There is none.
    #[error("it has no signature{}; sign it, for example with `apim-operator plugin push --key` or `cosign sign`", .hint)]
    NoSignature {
        /// Where it was looked for, beginning with a space; may be empty.
        hint: String,
    },
    /// There can be none.
    #[error(
        "{0} cannot carry a signature; pin its `digest` in place of `verification`, or take it from a registry"
    )]
    NotPossible(&'static str),
    /// It is signed with another key.
    #[error("it is signed, but with none of the keys that are trusted")]
    WrongKey,
    /// Somebody's identity signed it, but only keys are trusted.
    #[error("it is signed by {signer}, but only keys are trusted")]
    KeyExpected {
        /// Who signed it, as the certificate says, which was not checked.
        signer: Signer,
    },
    /// A key signed it, but only identities are trusted.
    #[error("it is signed with a key, but only identities are trusted")]
    IdentityExpected,
    /// Another service knew the signer.
    #[error("it is signed by {signer}, and that issuer is not trusted")]
    WrongIssuer {
        /// Who signed it.
        signer: Signer,
    },
    /// Somebody else signed it.
    #[error("it is signed by {signer}, who is not among the identities that are trusted")]
    WrongIdentity {
        /// Who signed it.
        signer: Signer,
    },
    /// The signature is of something else.
    #[error(
        "the signature is of another digest: it was made for other bytes, or copied from there"
    )]
    OtherDigest,
    /// It was made outside the certificate's time.
    #[error(
        "it was signed at {time}, when the signer's certificate was not valid ({not_before} to {not_after})"
    )]
    CertificateExpired {
        /// When it was signed, as a time-stamp proves.
        time: String,
        /// Since when the certificate was valid.
        not_before: String,
        /// Until when.
        not_after: String,
    },
    /// No authority of the trust root vouches for the signer.
    #[error("the signer's certificate is of no authority in the trust root: {0}")]
    UntrustedAuthority(String),
    /// Nothing that is trusted proves when it was signed or that it was logged.
    #[error("the signature lacks evidence that the trust root demands: {0}")]
    NoEvidence(String),
    /// A statement, but not a signature.
    #[error("there is a signed statement of type `{predicate}`, which is no signature")]
    NotASignature {
        /// The type of the statement.
        predicate: String,
    },
    /// It cannot be read.
    #[error("the signature cannot be read: {0}")]
    Malformed(String),
    /// It could not be fetched.
    #[error(transparent)]
    Source(Cause),
}

impl VerifyError {
    pub(crate) fn new(origin: impl Into<String>, cause: VerifyCause) -> Self {
        Self {
            origin: origin.into(),
            cause,
        }
    }

    /// What happens next.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match &self.cause {
            VerifyCause::Source(cause) => {
                SourceError::new(self.origin.clone(), cause.clone()).class()
            }
            VerifyCause::NotPossible(_) => ErrorClass::Invalid,
            // What is pushed is signed a moment later.
            VerifyCause::NoSignature { .. } => ErrorClass::Waiting,
            // Somebody may sign it at any time, without anything here changing.
            _ => ErrorClass::Denied,
        }
    }
}

impl VerifyCause {
    /// How close a failed signature came; the closest is reported.
    pub(crate) const fn closeness(&self) -> u8 {
        match self {
            Self::NoSignature { .. } | Self::NotPossible(_) => 0,
            Self::NotASignature { .. } => 1,
            Self::Malformed(_) => 2,
            Self::KeyExpected { .. } | Self::IdentityExpected => 3,
            Self::UntrustedAuthority(_) => 4,
            Self::NoEvidence(_) => 5,
            Self::WrongKey => 6,
            Self::OtherDigest => 7,
            Self::CertificateExpired { .. } => 8,
            Self::WrongIssuer { .. } => 9,
            Self::WrongIdentity { .. } => 10,
            Self::Source(_) => 11,
        }
    }
}
