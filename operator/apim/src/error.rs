//! What ARM answered when it did not do what was asked.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use operator_core::class::ErrorClass;
use serde::Deserialize;

use crate::classify::{Verdict, classify};

/// A call that failed. Its [parts](ErrorParts) are its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmError(Box<ErrorParts>);

/// What is known of a call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorParts {
    /// What was called: `PUT API policy of acme.orders`.
    pub call: String,
    /// Where it failed.
    pub cause: Cause,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The code of the error body.
    pub code: Option<String>,
    /// The message of the error body, or a sentence of ours.
    pub message: String,
    /// What the error body says of single fields.
    pub details: Vec<ErrorDetail>,
    /// What happens next.
    pub class: ErrorClass,
    /// What must be there first, where the answer says that something is
    /// missing.
    pub missing: Option<Missing>,
    /// `x-ms-request-id`, for a support case.
    pub request_id: Option<String>,
    /// The gateway answered, not the resource provider: the call did not reach
    /// API Management.
    pub gateway: bool,
}

/// Where a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The service answered with an error.
    Answer,
    /// A long-running operation ended in an error.
    Operation,
    /// No answer: the connection failed.
    Network,
    /// No answer in time.
    TimedOut,
    /// There was no token to send.
    Token,
    /// It was not sent: this process may not write at the moment.
    Gate,
    /// The service said that it was done, and it was not.
    Result,
    /// The answer broke the protocol, or was refused for safety.
    Protocol,
}

/// One entry of `details`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ErrorDetail {
    /// Its code.
    #[serde(default, deserialize_with = "lenient")]
    pub code: String,
    /// The field it is about.
    #[serde(default, deserialize_with = "lenient")]
    pub target: String,
    /// What is wrong with it.
    #[serde(default, deserialize_with = "lenient")]
    pub message: String,
}

/// Something that must exist before a call can succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What kind of thing, in words: `backend`, `named value`.
    pub kind: &'static str,
    /// Which one, where the answer says.
    pub name: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} `{name}`", self.kind),
            None => f.write_str(self.kind),
        }
    }
}

impl fmt::Display for ArmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.call)?;
        if let Some(status) = self.status {
            write!(f, "{status} ")?;
        }
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.message)?;
        for (index, detail) in self.details.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { "; " })?;
            if !detail.target.is_empty() {
                write!(f, "[{}] ", detail.target)?;
            }
            f.write_str(&detail.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ArmError {}

impl Deref for ArmError {
    type Target = ErrorParts;

    fn deref(&self) -> &ErrorParts {
        &self.0
    }
}

impl ArmError {
    /// Takes a secret out of what the service said: it may repeat what it was
    /// sent.
    pub(crate) fn hide(&mut self, secret: &crate::Secret<String>) {
        let plain = secret.expose();
        // As it stands in a body that is quoted because it cannot be read.
        let quoted = serde_json::to_string(plain).unwrap_or_default();
        let quoted = quoted.trim_matches('"');
        let hide = |text: &mut String| {
            for written in [plain.as_str(), quoted] {
                *text = text.replace(written, "…");
                // Such a quotation may end in the middle of it.
                let cut = written.char_indices().map(|(at, _)| &written[..at]);
                let cut = cut.filter(|part| part.len() > 2);
                if let Some(part) = cut.rev().find(|part| text.ends_with(part)) {
                    text.truncate(text.len() - part.len());
                    text.push('…');
                }
            }
        };
        hide(&mut self.message);
        self.code.iter_mut().for_each(hide);
        let missing = self.missing.as_mut();
        missing.and_then(|missing| missing.name.as_mut()).map(hide);
        for detail in &mut self.details {
            hide(&mut detail.code);
            hide(&mut detail.target);
            hide(&mut detail.message);
        }
    }
}

/// In the place of what Azure says of a document that is a secret.
const WITHHELD: &str = "what was said is not told here, since it may quote the document, which lies in a Secret; `apim-operator lint` tells what is wrong where it is kept";

impl ArmError {
    /// The same without what was said in words, which may quote a document that
    /// is a secret.
    pub(crate) fn withheld(mut self) -> Self {
        if matches!(self.cause, Cause::Answer | Cause::Operation | Cause::Result) {
            self.message = WITHHELD.into();
            self.details.clear();
        }
        self
    }
}

impl DerefMut for ArmError {
    fn deref_mut(&mut self) -> &mut ErrorParts {
        &mut self.0
    }
}

/// The body of an error, of the resource provider's shape or the gateway's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorBody {
    #[serde(deserialize_with = "lenient")]
    code: String,
    #[serde(deserialize_with = "lenient")]
    message: String,
    details: Option<Vec<ErrorDetail>>,
}

#[derive(Deserialize)]
struct Envelope {
    error: ErrorBody,
}

/// The bare shape of ASP.NET: `{"Message": "…"}`.
#[derive(Deserialize)]
struct Bare {
    #[serde(rename = "Message")]
    message: String,
}

impl ErrorBody {
    /// Reads a body; an empty one, or one that is no JSON, has no code and a
    /// message that quotes its beginning.
    pub(crate) fn read(body: &[u8]) -> Self {
        if let Ok(envelope) = serde_json::from_slice::<Envelope>(body) {
            return envelope.error;
        }
        if let Ok(bare) = serde_json::from_slice::<Bare>(body) {
            return Self {
                message: bare.message,
                ..Self::default()
            };
        }
        let text = String::from_utf8_lossy(body);
        let text: String = text.trim().chars().take(200).collect();
        Self {
            message: if text.is_empty() {
                "the answer has no body".into()
            } else {
                text
            },
            ..Self::default()
        }
    }
}

impl ArmError {
    /// The error of an answer, or of an operation that ended so.
    pub(crate) fn answered(
        call: &str,
        cause: Cause,
        status: Option<u16>,
        body: ErrorBody,
        retry_after: Option<Duration>,
    ) -> Self {
        let details = body.details.unwrap_or_default();
        let Verdict { class, missing } =
            classify(status, &body.code, &body.message, &details, retry_after);
        Self(Box::new(ErrorParts {
            call: call.to_owned(),
            cause,
            status,
            code: Some(body.code).filter(|code| !code.is_empty()),
            message: body.message,
            details,
            class,
            missing,
            request_id: None,
            gateway: false,
        }))
    }

    /// An error without an answer.
    pub(crate) fn without_answer(
        call: &str,
        cause: Cause,
        class: ErrorClass,
        message: impl Into<String>,
    ) -> Self {
        Self(Box::new(ErrorParts {
            call: call.to_owned(),
            cause,
            status: None,
            code: None,
            message: message.into(),
            details: Vec::new(),
            class,
            missing: None,
            request_id: None,
            gateway: false,
        }))
    }

    /// The API was not there any more after it had been written.
    pub(crate) fn vanished(api_id: &str) -> Self {
        Self::without_answer(
            &format!("GET API {api_id}"),
            Cause::Protocol,
            ErrorClass::Conflict,
            "the API vanished while it was being written",
        )
    }

    /// The API carried our mark when it was written and carries another now.
    pub(crate) fn taken(api_id: &str, mark: &str) -> Self {
        Self::without_answer(
            &format!("GET API {api_id}"),
            Cause::Protocol,
            ErrorClass::Conflict,
            format!(
                "the API was marked as somebody else's while it was being written: \
                 its revision description is `{mark}`"
            ),
        )
    }

    /// Something is being done to the API that this process did not start.
    pub(crate) fn busy(api_id: &str) -> Self {
        Self::without_answer(
            &format!("PUT API {api_id} with its document"),
            Cause::Result,
            ErrorClass::Transient,
            "not sent: another import runs on the API, as its provisioning state says",
        )
    }

    /// An import ended well, and the API has other operations than its document
    /// makes.
    pub(crate) fn unfulfilled(api_id: &str, message: impl Into<String>) -> Self {
        Self::without_answer(
            &format!("PUT API {api_id} with its document"),
            Cause::Result,
            ErrorClass::Transient,
            message,
        )
    }

    /// A new revision is not as it should be.
    pub(crate) fn unverified(id: &str, message: impl Into<String>) -> Self {
        Self::without_answer(
            &format!("GET API {id}"),
            Cause::Result,
            ErrorClass::Transient,
            message,
        )
    }

    /// Whether the API is still locked by what was done to it just before.
    pub(crate) fn is_lock(&self) -> bool {
        self.status == Some(409) && self.code.as_deref() == Some("PessimisticConcurrencyConflict")
    }

    /// Whether what was called does not exist in a service that does.
    pub(crate) fn is_absent(&self) -> bool {
        self.status == Some(404) && !self.is_lost() && !self.is_service_absent()
    }

    /// Whether an operation was accepted and is not known any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.status == Some(404) && self.cause == Cause::Operation
    }

    /// Whether the service itself, or what it is in, does not exist.
    #[must_use]
    pub fn is_service_absent(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        self.status == Some(404)
            && (self.gateway
                || matches!(code, "ResourceGroupNotFound" | "SubscriptionNotFound")
                || self.message.contains("under resource group"))
    }
}

/// Null and other types count as an empty text: an error must not be lost
/// because its description is odd.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    })
}
