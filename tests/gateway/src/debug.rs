//! Debug tokens: who may trace requests, of which API, for how long. As with
//! the service since 2023-05-01-preview: a token is asked for, sent in the
//! header `Apim-Debug-Authorization`, and the answer names the trace in
//! `Apim-Trace-Id`. The older `Ocp-Apim-Trace` does nothing.

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;

/// The longest life of a token: one hour, as documented.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// Tokens that were handed out.
#[derive(Default)]
pub(crate) struct DebugTokens(Mutex<HashMap<String, Token>>);

struct Token {
    service: String,
    /// The API's id, without revision.
    api: String,
    expires: Timestamp,
}

/// What a token says about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is traced.
    Traced,
    /// The token was good once.
    Expired,
    /// The token is for another API.
    WrongApi,
    /// Nobody made such a token.
    Unknown,
}

impl DebugTokens {
    pub(crate) fn issue(
        &self,
        service: &str,
        api: &str,
        now: Timestamp,
        life: SignedDuration,
    ) -> String {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let mut tokens = self.0.lock();
        // What expired long ago is forgotten, so that tokens do not pile up.
        tokens.retain(|_, known| {
            known
                .expires
                .saturating_add(LONGEST)
                .is_ok_and(|end| end > now)
        });
        let expires = now.saturating_add(life.min(LONGEST)).unwrap_or(now);
        tokens.insert(
            token.clone(),
            Token {
                service: service.to_owned(),
                api: api.to_owned(),
                expires,
            },
        );
        token
    }

    pub(crate) fn check(
        &self,
        token: &str,
        service: &str,
        api: Option<&str>,
        now: Timestamp,
    ) -> Verdict {
        let tokens = self.0.lock();
        let Some(known) = tokens.get(token) else {
            return Verdict::Unknown;
        };
        if known.expires <= now {
            Verdict::Expired
        } else if known.service == service
            && api.is_some_and(|api| known.api.eq_ignore_ascii_case(api))
        {
            Verdict::Traced
        } else {
            Verdict::WrongApi
        }
    }
}
