//! What can be read off policy documents.

use std::collections::BTreeSet;

/// What can be read off an API policy document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyFacts {
    /// Browsers may call.
    pub cors: bool,
    /// Callers need a token.
    pub tokens: bool,
    /// The rate limits, calls per minute.
    pub limits: Vec<u16>,
    /// What the platform stamps on requests.
    pub stamp: Option<u16>,
    /// The named value that it needs.
    pub value: Option<u16>,
}

impl PolicyFacts {
    /// What a document says.
    #[must_use]
    pub fn read(document: &str) -> Self {
        Self {
            cors: document.contains("<cors"),
            tokens: document.contains("<validate-jwt") || document.contains("<validate-azure-ad"),
            limits: numbers(document, "<rate-limit-by-key calls=\""),
            stamp: numbers(document, "<value>stamp ").first().copied(),
            value: numbers(document, "{{value-").first().copied(),
        }
    }
}

/// The operations that a document answers 503 for.
#[must_use]
pub(crate) fn guarded(document: &str) -> BTreeSet<String> {
    let Some((_, rest)) = document.split_once("@(new [] {") else {
        return BTreeSet::new();
    };
    let list = rest.split_once('}').map_or("", |(list, _)| list);
    list.replace("&quot;", "\"")
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The numbers that follow a text.
fn numbers(document: &str, after: &str) -> Vec<u16> {
    document
        .split(after)
        .skip(1)
        .filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        })
        .collect()
}
