//! Why a plugin cannot be used, and when that is tried again.

use std::time::Duration;

use operator_core::class::ErrorClass;
use operator_plugin_host::LoadError;
use operator_plugin_source::{Cause, SourceError, VerifyError};

/// Why a plugin cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}: {message}")]
pub(super) struct Trouble {
    /// For the condition.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// What happens next.
    pub(super) class: ErrorClass,
}

impl Trouble {
    pub(super) fn new(
        reason: &'static str,
        class: ErrorClass,
        message: impl std::fmt::Display,
    ) -> Self {
        Self {
            reason,
            message: message.to_string(),
            class,
        }
    }

    pub(super) fn invalid(reason: &'static str, message: impl std::fmt::Display) -> Self {
        Self::new(reason, ErrorClass::Invalid, message)
    }

    /// Whether it says nothing about the plugin, only that the plugin could
    /// not be had now.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self.class, ErrorClass::Transient | ErrorClass::Throttled(_))
    }

    /// How long until the next attempt, after so many that failed. What needs a
    /// change is looked at again as often as a source that works.
    pub(super) fn pause(&self, attempts: u32, refresh: Option<Duration>) -> Option<Duration> {
        const FIRST: Duration = Duration::from_secs(2);
        const LONGEST: Duration = Duration::from_mins(5);
        match self.class {
            ErrorClass::Throttled(after) => Some(after),
            ErrorClass::Transient | ErrorClass::Waiting => {
                Some((FIRST * 2_u32.saturating_pow(attempts.min(10))).min(LONGEST))
            }
            ErrorClass::Invalid | ErrorClass::Denied | ErrorClass::Conflict => refresh,
        }
    }
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        let reason = match &error.cause {
            Cause::DigestMismatch { .. } => "DigestMismatch",
            Cause::WrongMediaType { .. } | Cause::NotOneLayer(_) => "NotAPlugin",
            Cause::TooLarge { .. } => "TooLarge",
            Cause::Unauthorised { .. } => "Unauthorized",
            Cause::BadReference(_) | Cause::BadSettings(_) => "InvalidSettings",
            _ => "PullFailed",
        };
        Self::new(reason, error.class(), error)
    }
}

impl From<VerifyError> for Trouble {
    fn from(error: VerifyError) -> Self {
        Self::new("VerificationFailed", error.class(), error)
    }
}

impl From<LoadError> for Trouble {
    fn from(error: LoadError) -> Self {
        let reason = match &error {
            LoadError::Io(_) => "PullFailed",
            LoadError::CompilerUnavailable { .. } => "CompilerUnavailable",
            LoadError::TooLarge { .. } => "TooLarge",
            LoadError::ForbiddenImport { .. } => "ForbiddenImport",
            LoadError::UnsupportedInterface { .. } | LoadError::Interface(_) => {
                "IncompatibleInterface"
            }
            LoadError::Malformed(_) | LoadError::NotAPlugin { .. } => "NotAPlugin",
            LoadError::Describe(_) | LoadError::Descriptor { .. } => "DescriptorInvalid",
            _ => "CompileFailed",
        };
        let class = if error.is_transient() {
            ErrorClass::Transient
        } else {
            ErrorClass::Invalid
        };
        Self::new(reason, class, error)
    }
}
