//! Why a document is refused, said so that its author can mend it.

use std::fmt;

use super::TextFormat;
use crate::class::ErrorClass;

/// How many findings a message spells out; the rest is counted.
const SHOWN: usize = 5;

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A JSON pointer into the document, as `/paths/~1pets/get`.
    pub pointer: String,
    /// What is wrong there and what to do about it.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

/// All findings of one pass over a document; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// `Err` with the findings if there are any.
    pub(super) fn check(found: Vec<Finding>) -> Result<(), Self> {
        if found.is_empty() {
            Ok(())
        } else {
            Err(Self(found))
        }
    }

    /// Each finding, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().take(SHOWN).enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{finding}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// A document that the operator will not import.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenApiError {
    /// Nothing but white space.
    #[error("the OpenAPI document is empty")]
    Empty,
    /// Larger than the operator reads at all.
    #[error(
        "the OpenAPI document has {bytes} bytes, and the operator reads at most {limit}; split the API, or let API Management fetch it by its URL (`specification.fetch: Link` in the ApimInstance)"
    )]
    TooLargeToRead {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Neither JSON nor YAML, or hostile.
    #[error("the OpenAPI document is not valid {format}: line {line}, column {column}: {message}")]
    Syntax {
        /// What it was read as.
        format: TextFormat,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What the parser said.
        message: String,
    },
    /// A document, but not an object.
    #[error("the OpenAPI document is {found}, not an object with the field `openapi` or `swagger`")]
    NotAnObject {
        /// What it is, with its article.
        found: &'static str,
    },
    /// Neither `openapi` nor `swagger` is there.
    #[error(
        "the document has neither the field `openapi` (as `openapi: 3.0.3`) nor `swagger` (as `swagger: \"2.0\"`)"
    )]
    NoVersion,
    /// A version that is not known.
    #[error("`{field}: {value}` is not supported; use Swagger 2.0, OpenAPI 3.0 or OpenAPI 3.1")]
    UnsupportedVersion {
        /// `openapi` or `swagger`.
        field: &'static str,
        /// What was there.
        value: String,
    },
    /// API Management would refuse it, or import something else.
    #[error("API Management would refuse the OpenAPI document: {0}")]
    Refused(Findings),
    /// OpenAPI 3.1 that OpenAPI 3.0, which is what API Management imports,
    /// cannot say.
    #[error(
        "API Management imports OpenAPI 3.0, and this OpenAPI 3.1 document cannot be converted without loss: {0}"
    )]
    NotConvertible(Findings),
    /// Too large for an inline import.
    #[error(
        "the OpenAPI document has {bytes} bytes, and API Management imports at most {limit} inline; let API Management fetch it by its URL (`specification.fetch: Link` in the ApimInstance), or split the API"
    )]
    TooLargeInline {
        /// The size of what would be sent.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl OpenApiError {
    /// The same without a word of the document, for one that is a secret.
    #[must_use]
    pub fn withheld(&self) -> String {
        let lint = "what is wrong is not told here, since it would quote the document; `apim-operator lint` tells it where the document is kept";
        match self {
            Self::Empty
            | Self::TooLargeToRead { .. }
            | Self::NotAnObject { .. }
            | Self::NoVersion
            | Self::TooLargeInline { .. } => self.to_string(),
            Self::Syntax {
                format,
                line,
                column,
                ..
            } => format!(
                "the OpenAPI document is not valid {format}: line {line}, column {column}; {lint}"
            ),
            Self::UnsupportedVersion { field, .. } => format!(
                "the version in `{field}` is not supported; use Swagger 2.0, OpenAPI 3.0 or OpenAPI 3.1"
            ),
            Self::Refused(found) => format!(
                "API Management would refuse the OpenAPI document for {} reason(s); {lint}",
                found.0.len()
            ),
            Self::NotConvertible(found) => format!(
                "API Management imports OpenAPI 3.0, and this OpenAPI 3.1 document cannot be converted without loss for {} reason(s); {lint}",
                found.0.len()
            ),
        }
    }

    /// Always [`ErrorClass::Invalid`]: only a changed document helps.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        ErrorClass::Invalid
    }

    /// The single findings, where there are any.
    #[must_use]
    pub const fn findings(&self) -> Option<&Findings> {
        match self {
            Self::Refused(found) | Self::NotConvertible(found) => Some(found),
            _ => None,
        }
    }
}
