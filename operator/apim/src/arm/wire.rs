//! One call to ARM: headers, budget, token, time-outs, a few short retries.
//!
//! What is retried here is only what a moment's patience mends; the long
//! retries are the controller's, which knows the object's history.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use operator_core::class::ErrorClass;
use reqwest::Method;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::reader::ReadCall;
use super::{ArmOptions, Parts, ServiceRef};
use crate::Secret;
use crate::bucket::{Buckets, Lane};
use crate::error::{ArmError, Cause, ErrorBody};
use crate::gate::WriteGate;
use crate::observer::CallObserver;
use crate::token::TokenSource;
use crate::transport::{HttpAnswer, HttpRequest, Transport, TransportError};

/// What is called, in a read and in a write.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: Url,
    /// For metrics.
    pub(crate) kind: &'static str,
    /// For people: what the call is about.
    pub(crate) what: String,
}

/// What happens to a call that failed in a way that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It is repeated: doing it twice is doing it once.
    Yes,
    /// It is repeated only when it cannot have reached the service: it is too
    /// heavy to be sent again while the first may still be running.
    OnlyUnsent,
}

/// How something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteVerb {
    Put,
    Patch,
    Post,
    Delete,
}

/// A write.
#[derive(Debug, Clone)]
pub(crate) struct WriteCall {
    pub(crate) verb: WriteVerb,
    pub(crate) target: Target,
    pub(crate) body: Option<Bytes>,
    pub(crate) if_match: Option<String>,
    pub(crate) repeat: Repeat,
    /// What stands in the body and must not stand in what is said of the call.
    pub(crate) hidden: Option<Secret<String>>,
}

impl WriteCall {
    fn method(&self) -> Method {
        match self.verb {
            WriteVerb::Put => Method::PUT,
            WriteVerb::Patch => Method::PATCH,
            WriteVerb::Post => Method::POST,
            WriteVerb::Delete => Method::DELETE,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method(), self.target.what)
    }
}

/// Without it, nothing is written. Readers have none.
pub(crate) struct WriteRight {
    gate: Arc<dyn WriteGate>,
}

impl WriteRight {
    pub(super) fn new(gate: Arc<dyn WriteGate>) -> Self {
        Self { gate }
    }
}

/// The connection to one service under one principal.
pub(crate) struct Wire {
    pub(super) service: ServiceRef,
    pub(super) base: Url,
    pub(super) transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenSource>,
    buckets: Arc<Buckets>,
    observer: Arc<dyn CallObserver>,
    pub(super) options: ArmOptions,
}

/// A call on its way.
struct Sending<'a> {
    method: Method,
    name: String,
    target: &'a Target,
    body: Option<&'a Bytes>,
    if_match: Option<&'a str>,
    repeat: Repeat,
    correlation: &'a str,
    /// Present in every write.
    right: Option<&'a WriteRight>,
    lane: Lane,
    hidden: Option<&'a Secret<String>>,
}

/// An attempt that failed.
struct Failed {
    error: ArmError,
    retry_after: Option<Duration>,
    /// The request cannot have reached the service.
    unsent: bool,
    token: Option<Secret<String>>,
}

impl Failed {
    fn unsent(error: ArmError) -> Self {
        Self {
            error,
            retry_after: None,
            unsent: true,
            token: None,
        }
    }
}

impl Wire {
    pub(super) fn new(parts: &Parts) -> Self {
        let service = &parts.service;
        let mut base = parts.resource_manager.clone();
        if let Ok(mut path) = base.path_segments_mut() {
            path.pop_if_empty().extend([
                "subscriptions",
                &service.subscription_id,
                "resourceGroups",
                &service.resource_group,
                "providers",
                "Microsoft.ApiManagement",
                "service",
                &service.service_name,
            ]);
        }
        Self {
            service: service.clone(),
            base,
            transport: parts.transport.clone(),
            tokens: parts.tokens.clone(),
            buckets: parts.buckets.clone(),
            observer: parts.observer.clone(),
            options: parts.options.clone(),
        }
    }

    /// Something below the service.
    pub(super) fn target(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
        kind: &'static str,
        what: impl Into<String>,
    ) -> Target {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(segments);
        }
        url.query_pairs_mut()
            .append_pair("api-version", &self.options.api_version)
            .extend_pairs(query);
        Target {
            url,
            kind,
            what: what.into(),
        }
    }

    /// Whether a URL that the service named may receive a token: the resource
    /// manager's own scheme, host and port, or a region's name below the host.
    pub(super) fn trusts(&self, url: &Url) -> bool {
        let own = &self.base;
        let same_door = url.scheme() == own.scheme()
            && url.port_or_known_default() == own.port_or_known_default();
        let (Some(own), Some(host)) = (own.host_str(), url.host_str()) else {
            return false;
        };
        let region = host
            .strip_suffix(own)
            .and_then(|prefix| prefix.strip_suffix('.'));
        same_door
            && url.username().is_empty()
            && url.password().is_none()
            && (host == own || region.is_some_and(|region| !region.is_empty()))
    }

    /// Makes a read; errors of the service are errors here.
    pub(super) async fn read(
        &self,
        call: &ReadCall,
        correlation: &str,
        lane: Lane,
    ) -> Result<HttpAnswer, ArmError> {
        self.send(&Sending {
            method: call.method(),
            name: call.name(),
            target: &call.target,
            body: None,
            if_match: None,
            repeat: Repeat::Yes,
            correlation,
            right: None,
            lane,
            hidden: None,
        })
        .await
    }

    /// Makes a write; errors of the service are errors here.
    pub(super) async fn write(
        &self,
        right: &WriteRight,
        call: &WriteCall,
        correlation: &str,
    ) -> Result<HttpAnswer, ArmError> {
        self.send(&Sending {
            method: call.method(),
            name: call.name(),
            target: &call.target,
            body: call.body.as_ref(),
            if_match: call.if_match.as_deref(),
            repeat: call.repeat,
            correlation,
            right: Some(right),
            lane: Lane::Foreground,
            hidden: call.hidden.as_ref(),
        })
        .await
    }

    async fn send(&self, sending: &Sending<'_>) -> Result<HttpAnswer, ArmError> {
        let options = &self.options;
        let started = Instant::now();
        let mut repeated = 0;
        let mut token_replaced = false;
        loop {
            let remaining = options.call_timeout.saturating_sub(started.elapsed());
            let mut failed = match self.attempt(sending, remaining).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if let Some(hidden) = sending.hidden {
                failed.error.hide(hidden);
            }
            let pause = self
                .pause(
                    sending,
                    &failed,
                    started,
                    &mut repeated,
                    &mut token_replaced,
                )
                .await
                .filter(|pause| started.elapsed() + *pause < options.call_timeout);
            let Some(pause) = pause else {
                return Err(failed.error);
            };
            tracing::debug!(
                call = sending.name,
                error = %failed.error,
                pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "the call is repeated"
            );
            tokio::time::sleep(pause).await;
        }
    }

    /// How long to wait before a repetition; none: there is none.
    async fn pause(
        &self,
        sending: &Sending<'_>,
        failed: &Failed,
        started: Instant,
        repeated: &mut u32,
        token_replaced: &mut bool,
    ) -> Option<Duration> {
        let options = &self.options;
        let error = &failed.error;
        if error.status == Some(401) && !*token_replaced {
            // It may have been revoked; a credential that hands out the same
            // again is believed.
            *token_replaced = true;
            let old = failed.token.as_ref()?;
            self.tokens.refused(old).await;
            let new = self.tokens.token().await.ok()?;
            return (new != *old).then_some(Duration::ZERO);
        }
        let heavy = sending.repeat == Repeat::OnlyUnsent && !failed.unsent;
        if error.is_lock() && !heavy {
            *repeated += 1;
            return (started.elapsed() < options.lock_wait).then(|| self.backoff(*repeated));
        }
        let again = *repeated < options.retries;
        *repeated += 1;
        match error.class {
            _ if error.cause == Cause::Gate => None,
            ErrorClass::Throttled(time) => {
                self.bucket(sending).pause(options.pace.of(time));
                // The bucket holds the call back itself.
                (again && !heavy && time <= options.longest_retry_after).then_some(Duration::ZERO)
            }
            ErrorClass::Transient => {
                let asked = failed.retry_after.unwrap_or_default();
                (again && !heavy && asked <= options.longest_retry_after)
                    .then(|| options.pace.of(asked).max(self.backoff(*repeated)))
            }
            _ => None,
        }
    }

    /// Exponential, capped, with full jitter.
    fn backoff(&self, repeated: u32) -> Duration {
        let options = &self.options;
        let ceiling = options
            .backoff
            .saturating_mul(1 << repeated.saturating_sub(1).min(16))
            .min(options.backoff_cap);
        ceiling.mul_f64(rand::random::<f64>())
    }

    fn bucket(&self, sending: &Sending<'_>) -> &crate::bucket::Bucket {
        match sending.right {
            None => &self.buckets.reads,
            Some(_) => &self.buckets.writes,
        }
    }

    async fn attempt(
        &self,
        sending: &Sending<'_>,
        remaining: Duration,
    ) -> Result<HttpAnswer, Failed> {
        let name = &sending.name;
        let url = &sending.target.url;
        // Before the token exists in this call at all.
        if !self.trusts(url) {
            return Err(Failed::unsent(ArmError::without_answer(
                name,
                Cause::Protocol,
                ErrorClass::Denied,
                format!(
                    "the service named {}, which is not below {}; no token is sent there",
                    url.origin().ascii_serialization(),
                    self.base.origin().ascii_serialization()
                ),
            )));
        }
        let no_token = |message: String| {
            let class = ErrorClass::Denied;
            Failed::unsent(ArmError::without_answer(name, Cause::Token, class, message))
        };
        let token = self.tokens.token().await;
        let token = token.map_err(|error| no_token(error.to_string()))?;
        let headers = headers(sending, &token);
        let headers = headers
            .ok_or_else(|| no_token("the token, or an ETag, cannot stand in a header".into()))?;
        // Late, so that calls leave at the pace at which the budget lets them.
        self.bucket(sending).take(sending.lane).await;
        let limit = match sending.right {
            None => self.options.read_timeout,
            Some(_) => self.options.write_timeout,
        };
        // Last: nothing that takes time lies between this and the request.
        if sending.right.is_some_and(|right| !right.gate.may_write()) {
            return Err(Failed::unsent(ArmError::without_answer(
                name,
                Cause::Gate,
                ErrorClass::Transient,
                "not sent: this process may not write at the moment",
            )));
        }
        let started = Instant::now();
        let result = self
            .transport
            .exchange(HttpRequest {
                method: sending.method.clone(),
                url: url.clone(),
                headers,
                body: sending.body.cloned(),
                timeout: limit.min(remaining),
                max_body: self.options.max_body,
            })
            .await;
        let status = result.as_ref().map_or(0, |answer| answer.status);
        let seconds = started.elapsed().as_secs_f64();
        self.observer.observed(
            sending.method.as_str(),
            sending.target.kind,
            status,
            seconds,
        );
        tracing::debug!(call = name, status, seconds, "ARM answered");
        let answer = result.map_err(|error| unanswered(name, &error))?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let retry_after = answer.retry_after();
        let mut error = ArmError::answered(
            name,
            Cause::Answer,
            Some(answer.status),
            ErrorBody::read(&answer.body),
            retry_after,
        );
        error.request_id = answer.header("x-ms-request-id").map(str::to_owned);
        error.gateway = answer.header("x-ms-failure-cause") == Some("gateway");
        Err(Failed {
            error,
            retry_after,
            unsent: false,
            token: Some(token),
        })
    }
}

/// None when the token or an id cannot stand in a header.
fn headers(sending: &Sending<'_>, token: &Secret<String>) -> Option<HeaderMap> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
    bearer.set_sensitive(true);
    let request_id = uuid::Uuid::new_v4().to_string();
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, bearer);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        HeaderName::from_static("x-ms-client-request-id"),
        HeaderValue::try_from(request_id).ok()?,
    );
    headers.insert(
        HeaderName::from_static("x-ms-correlation-request-id"),
        HeaderValue::try_from(sending.correlation).ok()?,
    );
    if let Some(etag) = sending.if_match {
        headers.insert(header::IF_MATCH, HeaderValue::try_from(etag).ok()?);
    }
    if sending.body.is_some() {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
    }
    Some(headers)
}

fn unanswered(name: &str, error: &TransportError) -> Failed {
    let (cause, class) = match error {
        TransportError::NotConnected(_) | TransportError::Broken(_) => {
            (Cause::Network, ErrorClass::Transient)
        }
        TransportError::TimedOut(_) => (Cause::TimedOut, ErrorClass::Transient),
        TransportError::TooLarge(_) => (Cause::Protocol, ErrorClass::Invalid),
    };
    let unsent = matches!(error, TransportError::NotConnected(_));
    Failed {
        unsent,
        ..Failed::unsent(ArmError::without_answer(
            name,
            cause,
            class,
            error.to_string(),
        ))
    }
}

impl HttpAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `ETag`, in quotes and without `W/`.
    pub(crate) fn etag(&self) -> Option<String> {
        self.header("etag").map(quoted_etag)
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, ArmError> {
        self.read(name, |error| format!(": {error}"))
    }

    /// The same of an answer that is secret: why it cannot be read could quote
    /// it.
    pub(crate) fn secret_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, ArmError> {
        self.read(name, |_| String::new())
    }

    fn read<T: DeserializeOwned>(
        &self,
        name: &str,
        why: impl FnOnce(serde_json::Error) -> String,
    ) -> Result<T, ArmError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ArmError::without_answer(
                name,
                Cause::Protocol,
                ErrorClass::Transient,
                format!("the answer ({}) cannot be read{}", self.status, why(error)),
            )
        })
    }

    /// `Retry-After` in seconds, as ARM sends it; a date counts as absent.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?;
        Some(Duration::from_secs(text.trim().parse().ok()?))
    }
}

pub(crate) fn quoted_etag(text: &str) -> String {
    let text = text.strip_prefix("W/").unwrap_or(text);
    if text.starts_with('"') {
        text.to_owned()
    } else {
        format!("\"{text}\"")
    }
}
