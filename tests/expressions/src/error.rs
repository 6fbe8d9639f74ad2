//! Why an expression cannot be used, and why an evaluation ended.

use std::fmt;

/// Why a text is not an expression that can be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// Line of the source, from one.
    pub line: usize,
    /// Column in characters, from one.
    pub column: usize,
    /// What is wrong, as the C# compiler would say it where it would say it.
    pub message: String,
}

/// Why an evaluation ended without a value; API Management reports it as
/// `ExpressionValueEvaluationFailure` in `context.LastError.Reason`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {exception}: {message}")]
pub struct EvaluationError {
    /// Line of the source, from one.
    pub line: usize,
    /// Column in characters, from one.
    pub column: usize,
    /// The name of .NET's exception, as `NullReferenceException`, or
    /// `LimitExceeded` where a limit of this interpreter was met.
    pub exception: String,
    /// The exception's message.
    pub message: String,
}

/// A place in the source, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position(pub(crate) u32);

impl Position {
    /// Line and column (in characters), both from one.
    pub(crate) fn of(self, source: &str) -> (usize, usize) {
        let mut at = (self.0 as usize).min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        let before = &source[..at];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before[start..].chars().count() + 1)
    }
}

/// A [`ParseError`] before its place is counted out in lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) at: Position,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    pub(crate) fn into_error(self, source: &str) -> ParseError {
        let (line, column) = self.at.of(source);
        ParseError {
            line,
            column,
            message: self.message,
        }
    }
}

/// What ended an operation: an exception, which `catch` sees, or a limit,
/// which it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
    /// Set by the innermost operation that has a place.
    pub(crate) at: Option<Position>,
}

/// The exceptions that operations throw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// A limit was met.
    Limit,
    /// .NET's exception of this name.
    Exception(&'static str),
}

impl Fault {
    pub(crate) fn new(exception: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Exception(exception),
            message: message.into(),
            at: None,
        }
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Limit,
            message: message.into(),
            at: None,
        }
    }

    pub(crate) fn null() -> Self {
        Self::new(
            "NullReferenceException",
            "Object reference not set to an instance of an object.",
        )
    }

    pub(crate) fn argument_null(name: &str) -> Self {
        Self::new(
            "ArgumentNullException",
            format!("Value cannot be null. (Parameter '{name}')"),
        )
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new("ArgumentException", message)
    }

    pub(crate) fn out_of_range(name: &str) -> Self {
        Self::new(
            "ArgumentOutOfRangeException",
            format!(
                "Specified argument was out of the range of valid values. (Parameter '{name}')"
            ),
        )
    }

    pub(crate) fn format(message: impl Into<String>) -> Self {
        Self::new("FormatException", message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidOperationException", message)
    }

    pub(crate) fn cast(from: impl fmt::Display, to: impl fmt::Display) -> Self {
        Self::new(
            "InvalidCastException",
            format!("Unable to cast object of type '{from}' to type '{to}'."),
        )
    }

    /// The same fault, at a place if it has none yet.
    #[must_use]
    pub(crate) fn at(mut self, at: Position) -> Self {
        self.at.get_or_insert(at);
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            FaultKind::Limit => "LimitExceeded",
            FaultKind::Exception(name) => name,
        }
    }

    pub(crate) fn into_error(self, source: &str) -> EvaluationError {
        let (line, column) = self.at.unwrap_or_default().of(source);
        EvaluationError {
            line,
            column,
            exception: self.name().to_owned(),
            message: self.message,
        }
    }
}
