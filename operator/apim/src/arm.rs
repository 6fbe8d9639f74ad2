//! One call to ARM: headers, budget, token, time-outs, a few short retries.
//!
//! What is retried here is only what a moment's patience mends; the long
//! retries are the controller's, which knows the object's history.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use operator_core::class::ErrorClass;
use operator_core::pace::Pace;
use reqwest::Method;
use reqwest::header::{self, HeaderMap};
use serde::de::DeserializeOwned;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use url::Url;

use crate::bucket::Buckets;
use crate::error::{ArmError, Cause, ErrorBody};
use crate::locks::KeyedLocks;
use crate::observer::CallObserver;
use crate::token::TokenSource;

/// Which APIM service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    /// The subscription's id.
    pub subscription_id: String,
    /// The resource group's name.
    pub resource_group: String,
    /// The service's name.
    pub service_name: String,
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.subscription_id, self.resource_group, self.service_name
        )
    }
}

/// Times and sizes. The defaults suit Azure; tests shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmOptions {
    /// Of `Microsoft.ApiManagement`.
    pub api_version: String,
    /// For one attempt of a read.
    pub read_timeout: Duration,
    /// For one attempt of a write; ARM itself gives up after about 110 s.
    pub write_timeout: Duration,
    /// For one call with all its attempts.
    pub call_timeout: Duration,
    /// For a long-running operation, from its start.
    pub operation_timeout: Duration,
    /// How often a failed call is repeated.
    pub retries: u32,
    /// The longest pause before the first repetition; doubles each time.
    pub backoff: Duration,
    /// The longest pause before any.
    pub backoff_cap: Duration,
    /// A `Retry-After` up to this is waited for here; a longer one is given
    /// back to the caller.
    pub longest_retry_after: Duration,
    /// How long to wait for the lock that an import leaves on its API.
    pub lock_wait: Duration,
    /// The first pause between two looks at a long-running operation; doubles
    /// each time up to `poll_cap`. A `Retry-After` of the service replaces it.
    pub poll: Duration,
    /// The longest pause between two looks.
    pub poll_cap: Duration,
    /// The largest body that is read, in bytes.
    pub max_body: usize,
    /// How fast a `Retry-After` of the service passes.
    pub pace: Pace,
}

impl ArmOptions {
    /// The same with pauses at this pace; time-outs stay.
    #[must_use]
    pub fn at(self, pace: Pace) -> Self {
        Self {
            backoff: pace.of(self.backoff),
            backoff_cap: pace.of(self.backoff_cap),
            lock_wait: pace.of(self.lock_wait),
            poll: pace.of(self.poll),
            poll_cap: pace.of(self.poll_cap),
            pace,
            ..self
        }
    }
}

impl Default for ArmOptions {
    fn default() -> Self {
        Self {
            api_version: crate::cloud::DEFAULT_API_VERSION.to_owned(),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(115),
            call_timeout: Duration::from_mins(3),
            operation_timeout: Duration::from_secs(450),
            retries: 2,
            backoff: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(4),
            longest_retry_after: Duration::from_secs(10),
            lock_wait: Duration::from_secs(15),
            poll: Duration::from_millis(250),
            poll_cap: Duration::from_secs(10),
            max_body: 16 << 20,
            pace: Pace::REAL,
        }
    }
}

/// A client for one APIM service under one principal.
#[derive(Clone)]
pub struct ArmClient {
    shared: Arc<Shared>,
    correlation: Arc<str>,
}

struct Shared {
    service: ServiceRef,
    base: Url,
    http: reqwest::Client,
    tokens: Arc<dyn TokenSource>,
    buckets: Arc<Buckets>,
    locks: Arc<KeyedLocks>,
    observer: Arc<dyn CallObserver>,
    options: ArmOptions,
}

/// What a client is made of.
pub(crate) struct Parts {
    pub(crate) service: ServiceRef,
    pub(crate) resource_manager: Url,
    pub(crate) http: reqwest::Client,
    pub(crate) tokens: Arc<dyn TokenSource>,
    pub(crate) buckets: Arc<Buckets>,
    pub(crate) locks: Arc<KeyedLocks>,
    pub(crate) observer: Arc<dyn CallObserver>,
    pub(crate) options: ArmOptions,
}

impl fmt::Debug for ArmClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArmClient")
            .field("service", &self.shared.service)
            .finish_non_exhaustive()
    }
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

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// For metrics.
    pub(crate) kind: &'static str,
    /// For people: what the call is about.
    pub(crate) what: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) if_match: Option<String>,
    pub(crate) repeat: Repeat,
}

impl Call {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.what)
    }
}

/// An answer that is no error.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `ETag`, in quotes and without `W/`.
    pub(crate) fn etag(&self) -> Option<String> {
        let text = self.header("etag")?;
        let text = text.strip_prefix("W/").unwrap_or(text);
        Some(if text.starts_with('"') {
            text.to_owned()
        } else {
            format!("\"{text}\"")
        })
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, ArmError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ArmError::without_answer(
                &call.name(),
                Cause::Protocol,
                ErrorClass::Transient,
                format!("the answer ({}) cannot be read: {error}", self.status),
            )
        })
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }
}

/// `Retry-After` in seconds, as ARM sends it; a date counts as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(text.trim().parse().ok()?))
}

/// An attempt that failed.
struct Failed {
    error: ArmError,
    retry_after: Option<Duration>,
    /// The request cannot have reached the service.
    unsent: bool,
    token: Option<crate::Secret<String>>,
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

impl ArmClient {
    pub(crate) fn new(parts: Parts) -> Self {
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
            shared: Arc::new(Shared {
                base,
                service: parts.service,
                http: parts.http,
                tokens: parts.tokens,
                buckets: parts.buckets,
                locks: parts.locks,
                observer: parts.observer,
                options: parts.options,
            }),
            correlation: Arc::from(uuid::Uuid::new_v4().to_string()),
        }
    }

    /// The same client, whose calls carry this id in Azure's activity log
    /// (`x-ms-correlation-request-id`).
    #[must_use]
    pub fn with_correlation(&self, id: &str) -> Self {
        Self {
            shared: self.shared.clone(),
            correlation: Arc::from(id),
        }
    }

    /// The service that the client is for.
    #[must_use]
    pub fn service_ref(&self) -> &ServiceRef {
        &self.shared.service
    }

    pub(crate) fn options(&self) -> &ArmOptions {
        &self.shared.options
    }

    /// Waits until nobody else writes to the API.
    pub(crate) async fn lock_api(&self, api_id: &str) -> OwnedMutexGuard<()> {
        let key = format!("{}/{api_id}", self.shared.base);
        self.shared.locks.lock(&key).await
    }

    /// A call to something below the service.
    pub(crate) fn call(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        kind: &'static str,
        what: impl Into<String>,
    ) -> Call {
        let mut url = self.shared.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(segments);
        }
        url.query_pairs_mut()
            .append_pair("api-version", &self.shared.options.api_version)
            .extend_pairs(query);
        Call {
            method,
            url,
            kind,
            what: what.into(),
            body: None,
            if_match: None,
            repeat: Repeat::Yes,
        }
    }

    /// Whether a URL that the service named may receive a token: the resource
    /// manager's own scheme, host and port, or a region's name below the host.
    pub(crate) fn trusts(&self, url: &Url) -> bool {
        let own = &self.shared.base;
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

    /// Makes a call; errors of the service are errors here.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, ArmError> {
        let options = &self.shared.options;
        let started = Instant::now();
        let mut repeated = 0;
        let mut token_replaced = false;
        loop {
            let remaining = options.call_timeout.saturating_sub(started.elapsed());
            let failed = match self.attempt(call, remaining).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let pause = self
                .pause(call, &failed, started, &mut repeated, &mut token_replaced)
                .await
                .filter(|pause| started.elapsed() + *pause < options.call_timeout);
            let Some(pause) = pause else {
                return Err(failed.error);
            };
            tracing::debug!(
                call = call.name(),
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
        call: &Call,
        failed: &Failed,
        started: Instant,
        repeated: &mut u32,
        token_replaced: &mut bool,
    ) -> Option<Duration> {
        let options = &self.shared.options;
        let error = &failed.error;
        if error.status == Some(401) && !*token_replaced {
            // It may have been revoked; a credential that hands out the same
            // again is believed.
            *token_replaced = true;
            let old = failed.token.as_ref()?;
            self.shared.tokens.refused(old).await;
            let new = self.shared.tokens.token().await.ok()?;
            return (new != *old).then_some(Duration::ZERO);
        }
        if error.is_lock() {
            *repeated += 1;
            return (started.elapsed() < options.lock_wait).then(|| self.backoff(*repeated));
        }
        let again = *repeated < options.retries;
        *repeated += 1;
        match error.class {
            ErrorClass::Throttled(time) => {
                self.bucket(&call.method).pause(options.pace.of(time));
                // The bucket holds the call back itself.
                (again && time <= options.longest_retry_after).then_some(Duration::ZERO)
            }
            ErrorClass::Transient => {
                let may = call.repeat == Repeat::Yes || failed.unsent;
                let asked = failed.retry_after.unwrap_or_default();
                (again && may && asked <= options.longest_retry_after)
                    .then(|| options.pace.of(asked).max(self.backoff(*repeated)))
            }
            _ => None,
        }
    }

    /// Exponential, capped, with full jitter.
    fn backoff(&self, repeated: u32) -> Duration {
        let options = &self.shared.options;
        let ceiling = options
            .backoff
            .saturating_mul(1 << repeated.saturating_sub(1).min(16))
            .min(options.backoff_cap);
        ceiling.mul_f64(rand::random::<f64>())
    }

    fn bucket(&self, method: &Method) -> &crate::bucket::Bucket {
        if *method == Method::GET || *method == Method::HEAD {
            &self.shared.buckets.reads
        } else {
            &self.shared.buckets.writes
        }
    }

    async fn attempt(&self, call: &Call, remaining: Duration) -> Result<Answer, Failed> {
        let shared = &*self.shared;
        let name = call.name();
        // Before the token exists in this call at all.
        if !self.trusts(&call.url) {
            return Err(Failed::unsent(ArmError::without_answer(
                &name,
                Cause::Protocol,
                ErrorClass::Denied,
                format!(
                    "the service named {}, which is not below {}; no token is sent there",
                    call.url.origin().ascii_serialization(),
                    shared.base.origin().ascii_serialization()
                ),
            )));
        }
        let token = shared.tokens.token().await.map_err(|error| {
            Failed::unsent(ArmError::without_answer(
                &name,
                Cause::Token,
                ErrorClass::Denied,
                error.to_string(),
            ))
        })?;
        // Last, so that calls leave at the pace at which the budget lets them.
        self.bucket(&call.method).take().await;
        let limit = if call.method == Method::GET {
            shared.options.read_timeout
        } else {
            shared.options.write_timeout
        };
        let mut request = shared
            .http
            .request(call.method.clone(), call.url.clone())
            .timeout(limit.min(remaining))
            .bearer_auth(token.expose())
            .header(header::ACCEPT, "application/json")
            .header("x-ms-client-request-id", uuid::Uuid::new_v4().to_string())
            .header("x-ms-correlation-request-id", &*self.correlation);
        if let Some(etag) = &call.if_match {
            request = request.header(header::IF_MATCH, etag);
        }
        if let Some(body) = &call.body {
            request = request
                .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
                .body(body.clone());
        }
        let started = Instant::now();
        let result = self.exchange(&name, request).await;
        let status = match &result {
            Ok(answer) => answer.status,
            Err(_) => 0,
        };
        let seconds = started.elapsed().as_secs_f64();
        shared
            .observer
            .observed(call.method.as_str(), call.kind, status, seconds);
        tracing::debug!(call = name, status, seconds, "ARM answered");
        let answer = result?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let retry_after = answer.retry_after();
        let mut error = ArmError::answered(
            &name,
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

    /// Sends and reads the body, up to its cap.
    async fn exchange(
        &self,
        name: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, Failed> {
        let broken = |error: reqwest::Error| {
            let unsent = error.is_connect();
            let cause = if error.is_timeout() {
                Cause::TimedOut
            } else {
                Cause::Network
            };
            // The URL says what the caller knows, and can hold a signature.
            let message = causes(&error.without_url());
            Failed {
                unsent,
                ..Failed::unsent(ArmError::without_answer(
                    name,
                    cause,
                    ErrorClass::Transient,
                    message,
                ))
            }
        };
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > self.shared.options.max_body {
                return Err(Failed {
                    unsent: false,
                    ..Failed::unsent(ArmError::without_answer(
                        name,
                        Cause::Protocol,
                        ErrorClass::Invalid,
                        format!(
                            "the answer is larger than {} bytes",
                            self.shared.options.max_body
                        ),
                    ))
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body: body.freeze(),
        })
    }
}

/// An error with what is behind it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
