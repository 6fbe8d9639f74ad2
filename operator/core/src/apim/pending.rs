//! An import that was accepted and had not ended when it was written down.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::ContentHash;

/// An import that API Management accepted. It runs there whatever becomes of
/// this process, so the next one asks for it instead of starting it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingImport {
    /// The hash of the document that is being imported.
    pub spec_hash: ContentHash,
    /// Where to ask how it comes along. Followed only where it lies below the
    /// instance's own service: whoever may write status may have written this.
    pub poll: String,
    /// What is answered there.
    pub shape: PollShape,
    /// The API's ETag before the import, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// How many operations the API had before the import, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u32>,
    /// When it was accepted.
    pub started: Timestamp,
}

/// What a long-running operation's URL answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PollShape {
    /// `Azure-AsyncOperation`: a body that says how far it is.
    AsyncOperation,
    /// `Location`: 202 until it has ended, then its answer.
    Location,
}

/// After this time nobody asks for an import any more: API Management ends
/// what hangs by itself, far earlier.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(4);
/// By how much clocks may differ.
const SKEW: Duration = Duration::from_mins(10);

impl PendingImport {
    /// Whether it is too old to be asked for, or comes from the future.
    #[must_use]
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.started);
        match Duration::try_from(age) {
            Ok(age) => age > FORGOTTEN_AFTER,
            Err(_) => age.unsigned_abs() > SKEW,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_asked_for_until_four_hours_have_passed() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let at = |text: &str| PendingImport {
            spec_hash: ContentHash::of("document"),
            poll: "https://management.azure.com/x".into(),
            shape: PollShape::Location,
            etag: None,
            operations: None,
            started: text.parse().unwrap(),
        };
        assert!(!at("2026-03-01T12:00:00Z").is_forgotten(now));
        assert!(!at("2026-03-01T08:00:01Z").is_forgotten(now));
        assert!(at("2026-03-01T07:59:59Z").is_forgotten(now));
        assert!(!at("2026-03-01T12:09:00Z").is_forgotten(now));
        assert!(at("2026-03-01T12:11:00Z").is_forgotten(now));
    }
}
