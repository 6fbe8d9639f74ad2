//! What kind of failure something is, which alone decides what happens next.

use std::time::Duration;

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The input is wrong; nothing changes until somebody changes it.
    Invalid,
    /// Something else must come first; it is named in the condition.
    Waiting,
    /// Somebody wrote in between: read again, then try again.
    Conflict,
    /// Too many requests; come back after this time.
    Throttled(Duration),
    /// It may work the next time.
    Transient,
    /// The operator is not allowed or not configured; slow retries, since a
    /// role assignment takes minutes to spread.
    Denied,
}

impl ErrorClass {
    /// A stable, low-cardinality label for metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Waiting => "waiting",
            Self::Conflict => "conflict",
            Self::Throttled(_) => "throttled",
            Self::Transient => "transient",
            Self::Denied => "denied",
        }
    }
}
