//! `forward-request`:
//! <https://learn.microsoft.com/azure/api-management/forward-request-policy>.

use super::{Flow, Policy};
use crate::body::{BodyState, peek};
use crate::client::ClientError;
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::headers;
use crate::target::Base;
use apim_expressions as expressions;
use async_trait::async_trait;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Uri};
use policy_document::Element;
use std::time::Duration;

/// "Default: 300".
const TIMEOUT_S: i64 = 300;
/// `buffer-response`: "chunks are buffered (8 KB, unless end of stream is
/// detected)".
const BUFFERED: usize = 8 * 1024;
const REDIRECTS: usize = 10;

struct ForwardRequest {
    timeout: Timeout,
    follow: Value<bool>,
    buffer_request: bool,
    buffer_response: bool,
    fail_on_status: bool,
}

enum Timeout {
    Seconds(Value<i64>),
    Milliseconds(Value<i64>),
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    let flag = |name: &str, default| Ok(reader.literal(name)?.unwrap_or(default));
    let timeout = match (reader.value("timeout")?, reader.value("timeout-ms")?) {
        (Some(_), Some(_)) => {
            return reader
                .fail("Only one of the attributes 'timeout', 'timeout-ms' can be specified.");
        }
        (None, Some(milliseconds)) => Timeout::Milliseconds(milliseconds),
        (seconds, None) => Timeout::Seconds(seconds.unwrap_or(Value::Literal(TIMEOUT_S))),
    };
    Ok(Box::new(ForwardRequest {
        timeout,
        follow: reader
            .value("follow-redirects")?
            .unwrap_or(Value::Literal(false)),
        buffer_request: flag("buffer-request-body", false)?,
        buffer_response: flag("buffer-response", true)?,
        fail_on_status: flag("fail-on-error-status-code", false)?,
    }))
}

#[async_trait]
impl Policy for ForwardRequest {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let timeout = match &self.timeout {
            Timeout::Seconds(value) => exchange.get(value).await?.saturating_mul(1000),
            Timeout::Milliseconds(value) => exchange.get(value).await?,
        };
        let timeout = Duration::from_millis(u64::try_from(timeout).unwrap_or_default());
        let follow = exchange.get(&self.follow).await?;
        if self.buffer_request || follow {
            exchange.read_request().await?;
        }
        let Ok(response) = tokio::time::timeout(timeout, self.send(exchange, follow)).await else {
            exchange.context.response = None;
            exchange.response_body = BodyState::None;
            let message = format!(
                "The backend did not answer within {} ms.",
                timeout.as_millis()
            );
            return Err(PolicyError::internal("Timeout", message));
        };
        let response = response?;
        let (parts, body) = response.into_parts();
        let body = if self.buffer_response {
            peek(body, BUFFERED)
                .await
                .map_err(|error| failure(&error.to_string()))?
        } else {
            body
        };
        let status = parts.status.as_u16();
        let reason = parts
            .extensions
            .get::<hyper::ext::ReasonPhrase>()
            .and_then(|phrase| std::str::from_utf8(phrase.as_bytes()).ok())
            .or_else(|| parts.status.canonical_reason())
            .unwrap_or_default();
        exchange.context.response = Some(expressions::Response {
            status_code: i32::from(status),
            status_reason: reason.to_owned(),
            headers: headers::from_wire(&parts.headers),
            ..expressions::Response::default()
        });
        exchange.response_body = BodyState::incoming(body);
        if self.fail_on_status && status >= 400 {
            let message = format!("The backend answered {status}.");
            let mut error = PolicyError::internal("BackendErrorStatusCode", message);
            error.answer.keep_response = true;
            return Err(error);
        }
        Ok(Flow::Continue)
    }
}

fn failure(message: &str) -> PolicyError {
    PolicyError::internal("BackendConnectionFailure", message)
}

impl ForwardRequest {
    async fn send(
        &self,
        exchange: &mut Exchange,
        follow: bool,
    ) -> Result<Response<crate::body::Body>, PolicyError> {
        let Some(base) = exchange.target.base.clone() else {
            return Err(failure(
                "The API has no backend: neither a service URL nor set-backend-service.",
            ));
        };
        let mut method = exchange.context.request.method.clone();
        let mut address = backend_url(exchange, &base);
        let mut wire = outgoing(exchange, &base);
        let mut sends_body = true;
        let mut identity = exchange.identity.clone();
        // HTTP has no certificates: that the request is sent all the same is
        // inferred, and whoever looks for the reason finds it.
        if let (Some(identity), "http", Some(trace)) =
            (&identity, base.scheme.as_str(), &mut exchange.trace)
        {
            trace.message(format!(
                "The backend is called without TLS: the client certificate '{}' is not shown.",
                identity.id()
            ));
        }
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(if sends_body {
                exchange.request_body.send()
            } else {
                crate::body::empty()
            });
            *request.method_mut() = Method::from_bytes(method.as_bytes())
                .map_err(|_| failure(&format!("'{method}' is no HTTP method.")))?;
            // Kept only where something may follow.
            let asked = if follow {
                address.clone()
            } else {
                std::mem::take(&mut address)
            };
            *request.uri_mut() = Uri::try_from(asked).map_err(|error| {
                let asked = if follow {
                    address.clone()
                } else {
                    backend_url(exchange, &base)
                };
                failure(&format!("'{asked}' is no URL: {error}"))
            })?;
            // Nobody needs them again where nothing is followed.
            *request.headers_mut() = if follow {
                wire.clone()
            } else {
                std::mem::take(&mut wire)
            };
            let response = exchange
                .shared
                .client
                .send(request, identity.as_ref())
                .await
                .map_err(|ClientError::Connection(reason)| failure(&reason))?;
            let next = follow.then(|| redirected(&address, &response)).flatten();
            let Some(next) = next else {
                return Ok(response);
            };
            if response.status().as_u16() == 303
                || method == "POST" && matches!(response.status().as_u16(), 301 | 302)
            {
                "GET".clone_into(&mut method);
                sends_body = false;
                wire.remove(http::header::CONTENT_LENGTH);
                wire.remove(http::header::CONTENT_TYPE);
            }
            // What was meant for one server is not shown to another.
            if next.origin()
                != url::Url::parse(&address).map_or_else(|_| next.origin(), |u| u.origin())
            {
                wire.remove(http::header::AUTHORIZATION);
                wire.remove(http::header::COOKIE);
                identity = None;
            }
            if let Some(host) = Base::parse(next.as_str())
                && let Ok(host) = HeaderValue::from_str(&host.authority)
            {
                wire.insert(http::header::HOST, host);
            }
            address = next.to_string();
        }
        Err(failure("The backend redirects too often."))
    }
}

fn redirected<B>(from: &str, response: &Response<B>) -> Option<url::Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(http::header::LOCATION)?;
    let next = url::Url::parse(from)
        .ok()?
        .join(location.to_str().ok()?)
        .ok()?;
    ["http", "https"].contains(&next.scheme()).then_some(next)
}

/// Where the request goes.
fn backend_url(exchange: &Exchange, base: &Base) -> String {
    let path_and_query = exchange.target.path_and_query();
    format!("{}://{}{path_and_query}", base.scheme, base.authority)
}

/// The headers for the backend: its own host, and who called.
fn outgoing(exchange: &Exchange, base: &Base) -> HeaderMap {
    let mut wire = headers::to_wire(&exchange.context.request.headers);
    // A policy that sets Host means it.
    let original = exchange.request_header("Host").unwrap_or_default();
    let url = &exchange.context.request.original_url;
    let unchanged = original.is_empty()
        || original == url.host
        || original == format!("{}:{}", url.host, url.port);
    if unchanged && let Ok(host) = HeaderValue::from_str(&base.authority) {
        wire.insert(http::header::HOST, host);
    }
    let forwarded = HeaderName::from_static("x-forwarded-for");
    let before = exchange.request_header("X-Forwarded-For");
    let chain = match before {
        Some(before) => format!("{before}, {}", exchange.caller),
        None => exchange.context.request.ip_address.clone(),
    };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        wire.insert(forwarded, chain);
    }
    // The length is the body's; what a client or policy said is no more.
    wire.remove(http::header::CONTENT_LENGTH);
    wire.remove(http::header::EXPECT);
    wire
}
