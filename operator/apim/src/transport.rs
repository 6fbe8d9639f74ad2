//! What carries requests to the resource manager: HTTP, or something else in
//! its place where time is simulated.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
pub use reqwest::Method;
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// A request, complete: nothing is added to it on its way.
#[derive(Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Where to; it was checked that the token may go there.
    pub url: Url,
    /// All headers; the one with the token is marked as sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Bytes>,
    /// From sending to the end of the answer's body.
    pub timeout: Duration,
    /// The largest answer that is taken, in bytes.
    pub max_body: usize,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &self.url.path())
            .finish_non_exhaustive()
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone, Default)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// There was no answer, or none that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection was made, so the request was not sent.
    #[error("{0}")]
    NotConnected(String),
    /// No answer came in time.
    #[error("{0}")]
    TimedOut(String),
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// The answer is larger than what is taken.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// Carries requests.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request once and reads the answer. Redirects are answers.
    async fn exchange(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError>;
}

/// Over HTTP.
pub(crate) struct Http(pub(crate) reqwest::Client);

#[async_trait]
impl Transport for Http {
    async fn exchange(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError> {
        let mut sent = self
            .0
            .request(request.method, request.url)
            .timeout(request.timeout)
            .headers(request.headers);
        if let Some(body) = request.body {
            sent = sent.body(body);
        }
        let mut response = sent.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > request.max_body {
                return Err(TransportError::TooLarge(request.max_body));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer {
            status,
            headers,
            body: body.freeze(),
        })
    }
}

fn broken(error: reqwest::Error) -> TransportError {
    let (connect, timeout) = (error.is_connect(), error.is_timeout());
    // The URL says what the caller knows, and can hold a signature.
    let message = causes(&error.without_url());
    if connect {
        TransportError::NotConnected(message)
    } else if timeout {
        TransportError::TimedOut(message)
    } else {
        TransportError::Broken(message)
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
