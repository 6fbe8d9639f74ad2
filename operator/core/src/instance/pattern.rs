//! List entries that are exact or end in `*`.

use std::fmt;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This text and no other.
    Exact(String),
    /// Every text that begins so.
    Prefix(String),
}

impl Pattern {
    /// Reads an entry; the error is the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.strip_suffix('*') {
            _ if text.is_empty() => Err("is empty; leave it out, or write `*` for all"),
            Some(prefix) if prefix.contains('*') => Err("has a `*` that is not its last character"),
            Some(prefix) => Ok(Self::Prefix(prefix.to_owned())),
            None if text.contains('*') => Err("has a `*` that is not its last character"),
            None => Ok(Self::Exact(text.to_owned())),
        }
    }

    /// Whether the text is meant.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Whether any of the entries means the text.
#[must_use]
pub fn any_matches(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// The entries, for a message.
#[must_use]
pub fn display(patterns: &[Pattern]) -> String {
    let texts: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    crate::annotations::nearest::listed(texts.iter().map(String::as_str))
}
