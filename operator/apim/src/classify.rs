//! What kind of failure an answer is: one table, first match wins.
//!
//! The rows are what the API Management resource provider and the ARM gateway
//! were seen or documented to answer. A 400 is not always final: a policy that
//! comes before the backend, named value or fragment that it names is refused
//! with a `ValidationError` too, and is fine a minute later.

use std::time::Duration;

use operator_core::class::ErrorClass;

use crate::error::{ErrorDetail, Missing};

/// When a throttled answer does not say when to come back.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The class of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What happens next.
    pub class: ErrorClass,
    /// What must be there first.
    pub missing: Option<Missing>,
}

/// The class without the time to wait, which only the answer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Invalid,
    Waiting(&'static str),
    Conflict,
    Throttled,
    Transient,
    Denied,
}

/// One row. An absent part matches everything.
struct Row {
    /// The lowest and highest HTTP status; operations that fail later have
    /// none and match every row.
    status: Option<(u16, u16)>,
    code: Option<&'static str>,
    /// Stands in the message or in a detail's message, whatever the case.
    text: Option<&'static str>,
    class: Class,
}

const fn row(
    status: Option<(u16, u16)>,
    code: Option<&'static str>,
    text: Option<&'static str>,
    class: Class,
) -> Row {
    Row {
        status,
        code,
        text,
        class,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the column")]
const fn only(status: u16) -> Option<(u16, u16)> {
    Some((status, status))
}

/// Kinds of things that can be missing.
mod kind {
    pub(super) const BACKEND: &str = "backend";
    pub(super) const FRAGMENT: &str = "policy fragment";
    pub(super) const NAMED_VALUE: &str = "named value";
    pub(super) const LOGGER: &str = "logger";
    pub(super) const OPENID: &str = "OpenID provider";
    pub(super) const OAUTH2: &str = "OAuth 2.0 server";
    pub(super) const PRODUCT: &str = "product";
    pub(super) const TAG: &str = "tag";
    pub(super) const VERSION_SET: &str = "version set";
    pub(super) const KEY_VAULT: &str = "Key Vault reference";
    pub(super) const ENTITY: &str = "an entity that the request names";
    pub(super) const OPERATION: &str = "operation";
    pub(super) const SERVICE: &str = "resource";
    pub(super) const GROUP: &str = "resource group";
    pub(super) const RESOURCE: &str = "what the request is for";
}

use Class::{Conflict, Denied, Invalid, Throttled, Transient, Waiting};

const TABLE: &[Row] = &[
    // What was asked for cannot be had here, whatever the status.
    row(None, Some("MethodNotAllowedInPricingTier"), None, Invalid),
    row(
        None,
        Some("ServiceAlreadyExistsInSoftDeletedState"),
        None,
        Denied,
    ),
    row(
        None,
        Some("MissingOrIncorrectVersionParameter"),
        None,
        Denied,
    ),
    // Something must come first: these are ValidationErrors like any other
    // but for their text.
    row(
        only(400),
        None,
        Some("backend with id"),
        Waiting(kind::BACKEND),
    ),
    row(
        only(400),
        None,
        Some("policy fragment with id"),
        Waiting(kind::FRAGMENT),
    ),
    row(
        only(400),
        None,
        Some("cannot find a property"),
        Waiting(kind::NAMED_VALUE),
    ),
    row(
        only(400),
        None,
        Some("properties specified are missing"),
        Waiting(kind::NAMED_VALUE),
    ),
    row(
        only(400),
        None,
        Some("logger not found"),
        Waiting(kind::LOGGER),
    ),
    row(
        only(400),
        None,
        Some("authorization server with id"),
        Waiting(kind::OAUTH2),
    ),
    row(
        only(400),
        None,
        Some("openid connect provider with id"),
        Waiting(kind::OPENID),
    ),
    row(
        only(400),
        None,
        Some("product with id"),
        Waiting(kind::PRODUCT),
    ),
    // A named value whose secret cannot be read yet: the vault, the secret, or
    // the right of the service's identity is missing.
    row(
        only(400),
        None,
        Some("failed to access keyvault secret"),
        Waiting(kind::KEY_VAULT),
    ),
    row(
        only(400),
        None,
        Some("can not find managed identity"),
        Waiting(kind::KEY_VAULT),
    ),
    row(
        only(400),
        None,
        Some("entity with specified identifier not found"),
        Waiting(kind::ENTITY),
    ),
    // Whatever else is named by its id.
    row(
        only(400),
        None,
        Some("' could not be found"),
        Waiting(kind::ENTITY),
    ),
    // The rest of 400 is for the writer of the object: path conflicts, policy
    // and document errors, quotas.
    row(only(400), None, None, Invalid),
    // A role assignment takes minutes to spread, so these are not final.
    row(only(401), None, None, Denied),
    row(only(403), None, None, Denied),
    row(None, Some("AuthorizationFailed"), None, Denied),
    row(None, Some("LinkedAuthorizationFailed"), None, Denied),
    row(
        only(404),
        Some("ResourceGroupNotFound"),
        Some("resource group '"),
        Waiting(kind::GROUP),
    ),
    row(
        only(404),
        None,
        Some("the resource '"),
        Waiting(kind::SERVICE),
    ),
    // It was there when it was read.
    row(only(404), None, Some("api not found"), Conflict),
    row(
        only(404),
        None,
        Some("apiversionset not found"),
        Waiting(kind::VERSION_SET),
    ),
    row(only(404), None, Some("tag not found"), Waiting(kind::TAG)),
    row(
        only(404),
        None,
        Some("product not found"),
        Waiting(kind::PRODUCT),
    ),
    row(
        only(404),
        None,
        Some("logger not found"),
        Waiting(kind::LOGGER),
    ),
    row(
        only(404),
        None,
        Some("operation not found"),
        Waiting(kind::OPERATION),
    ),
    row(only(404), None, None, Waiting(kind::RESOURCE)),
    row(only(405), None, None, Invalid),
    row(only(408), None, None, Transient),
    // The API, or something beside it, is being changed at this moment.
    row(
        only(409),
        Some("PessimisticConcurrencyConflict"),
        None,
        Transient,
    ),
    row(
        only(409),
        None,
        Some("another operation is in progress"),
        Transient,
    ),
    row(only(409), None, None, Conflict),
    row(only(412), None, None, Conflict),
    // The management endpoint of the instance did not answer the gateway.
    row(
        only(422),
        Some("ManagementApiRequestFailed"),
        None,
        Transient,
    ),
    row(only(422), None, Some("timed out"), Transient),
    row(only(429), None, None, Throttled),
    row(Some((500, 599)), None, None, Transient),
    row(Some((400, 499)), None, None, Invalid),
    // Operations that fail later: by their code alone.
    row(None, Some("ValidationError"), None, Invalid),
    row(None, Some("PreconditionFailed"), None, Conflict),
    row(None, Some("TooManyRequests"), None, Throttled),
    row(None, None, None, Transient),
];

/// Classifies an answer. `status` is absent for operations that failed later.
#[must_use]
pub fn classify(
    status: Option<u16>,
    code: &str,
    message: &str,
    details: &[ErrorDetail],
    retry_after: Option<Duration>,
) -> Verdict {
    // An operation that was accepted and failed later says the same in its
    // code as an answer would have said in its status.
    let status = status.or(match code {
        "ValidationError" => Some(400),
        _ => None,
    });
    let texts: Vec<&str> = std::iter::once(message)
        .chain(details.iter().map(|detail| detail.message.as_str()))
        .collect();
    let matched = TABLE
        .iter()
        .find_map(|row| row.matches(status, code, &texts));
    let (class, text) = matched.unwrap_or((Transient, None));
    let wait = retry_after.unwrap_or(DEFAULT_RETRY_AFTER);
    Verdict {
        class: match class {
            Invalid => ErrorClass::Invalid,
            Waiting(_) => ErrorClass::Waiting,
            Conflict => ErrorClass::Conflict,
            Throttled => ErrorClass::Throttled(wait),
            Transient => ErrorClass::Transient,
            Denied => ErrorClass::Denied,
        },
        missing: match class {
            Waiting(kind) => Some(Missing {
                kind,
                name: text.and_then(|(text, at)| named(text, at)),
            }),
            _ => None,
        },
    }
}

impl Row {
    /// Whether the row is for the answer, and where its text stands.
    fn matches<'a>(
        &self,
        status: Option<u16>,
        code: &str,
        texts: &[&'a str],
    ) -> Option<(Class, Option<(&'a str, usize)>)> {
        if let Some((low, high)) = self.status
            && !status.is_some_and(|status| (low..=high).contains(&status))
        {
            return None;
        }
        if self.code.is_some_and(|wanted| wanted != code) {
            return None;
        }
        let Some(wanted) = self.text else {
            return Some((self.class, None));
        };
        texts
            .iter()
            .find_map(|text| {
                let at = text.to_ascii_lowercase().find(wanted)?;
                Some((*text, at))
            })
            .map(|found| (self.class, Some(found)))
    }
}

/// The name in a text: what stands in single quotes from a place on, or around
/// it; else, of a Key Vault reference, its URL.
fn named(text: &str, from: usize) -> Option<String> {
    let rest = text.get(from..)?;
    if let Some(before) = rest.starts_with('\'').then(|| text.get(..from)).flatten() {
        return before.rsplit('\'').next().map(str::to_owned);
    }
    let mut parts = rest.split('\'');
    parts.next()?;
    if let (Some(name), Some(_)) = (parts.next(), parts.next()) {
        return Some(name.to_owned());
    }
    let url = rest
        .split(|c: char| c.is_whitespace() || c == ',')
        .find(|word| word.starts_with("https://"))?;
    Some(url.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests;
