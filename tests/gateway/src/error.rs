//! What goes wrong while a request is processed, and what callers are told.

use crate::compile::{Scope, Section};
use http::StatusCode;

/// Why a policy, or the gateway before any policy, ended a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyError {
    /// `context.LastError.Reason`.
    pub(crate) reason: &'static str,
    /// `context.LastError.Message`.
    pub(crate) message: String,
    /// What the caller is answered, unless on-error changes it.
    pub(crate) answer: Answer,
    /// The policy, where one failed.
    pub(crate) place: Option<Place>,
    /// Where no policy failed: `configuration`, `authorization`, …
    pub(crate) source: &'static str,
}

/// Where a policy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) policy: String,
    pub(crate) scope: Scope,
    pub(crate) section: Section,
    pub(crate) path: String,
    pub(crate) id: Option<String>,
}

/// The answer to an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The response that is there is the answer, as when a backend's error
    /// status is an error.
    pub(crate) keep_response: bool,
}

impl PolicyError {
    /// An error whose message callers are told.
    pub(crate) fn told(status: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            reason,
            answer: Answer {
                status,
                message: message.clone(),
                headers: Vec::new(),
                keep_response: false,
            },
            message,
            place: None,
            source: "",
        }
    }

    /// An error of which callers learn only that it happened.
    pub(crate) fn internal(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::told(500, reason, "Internal server error")
        }
    }

    /// The same, but callers are told something else.
    pub(crate) fn telling(mut self, message: impl Into<String>) -> Self {
        self.answer.message = message.into();
        self
    }

    pub(crate) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.answer.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn said_by(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }
}

/// The JSON of an answer to an error, spaced as the service spaces it.
pub(crate) fn error_body(status: u16, message: &str, activity: Option<&str>) -> String {
    let message = serde_json::Value::from(message);
    match activity {
        None => format!("{{ \"statusCode\": {status}, \"message\": {message} }}"),
        Some(id) => format!(
            "{{ \"statusCode\": {status}, \"message\": {message}, \"activityId\": \"{id}\" }}"
        ),
    }
}

/// The usual reason phrase of a status.
pub(crate) fn reason_phrase(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}
