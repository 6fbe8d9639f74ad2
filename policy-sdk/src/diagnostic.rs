//! Something to tell the person who wrote a config.

/// How grave a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Worth a look; the policy is used all the same.
    Warning,
    /// The policy is not used.
    Error,
}

/// Something to tell the person who wrote a config: what is wrong, and what
/// to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// A JSON pointer into the config, or into the spec block.
    pub pointer: String,
    /// One sentence.
    pub message: String,
}

impl Diagnostic {
    /// An error: the policy is not used.
    #[must_use]
    pub fn error(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            pointer: pointer.into(),
            message: message.into(),
        }
    }

    /// A warning: the policy is used all the same.
    #[must_use]
    pub fn warning(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(pointer, message)
        }
    }
}

/// So that `?` works on a single diagnostic.
impl From<Diagnostic> for Vec<Diagnostic> {
    fn from(diagnostic: Diagnostic) -> Self {
        vec![diagnostic]
    }
}
