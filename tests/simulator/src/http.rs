//! Requests and replies, apart from any server.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// Between the first half of a body and the cut.
const HALF_WAY: Duration = Duration::from_millis(20);

/// A request that was read whole.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// `https` or `http`.
    pub(crate) scheme: &'static str,
    /// Host and port as the client sent them.
    pub(crate) host: String,
    /// The path as it was sent, percent-encoded.
    pub(crate) path: String,
    /// The query as it was sent, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// The value of a query parameter; names are compared without case, as
    /// ARM does.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.into_owned())
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The token of an `Authorization: Bearer` header.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let value = self.header("authorization")?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Scheme, host and port, without a slash at the end.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// Path segments, decoded, without empty ones.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(percent_decode)
            .collect()
    }

    /// Path and query as sent.
    pub(crate) fn target(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }
}

/// The first half of a body, after which the connection closes. It is sent in
/// chunks, so the missing end is what tells the client.
fn cut(mut body: Vec<u8>) -> Body {
    body.truncate(body.len() / 2);
    let half = futures::stream::iter([Ok(Bytes::from(body))]);
    let end = futures::stream::once(async {
        // What was written is sent before the connection ends, or the client
        // would not see even the head.
        tokio::time::sleep(HALF_WAY).await;
        Err(std::io::Error::other("the connection is cut on request"))
    });
    Body::from_stream(futures::StreamExt::chain(half, end))
}

/// Decodes `%XX`; everything else stays, `+` included.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let byte = text
            .get(index + 1..index + 3)
            .filter(|_| bytes[index] == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = byte {
            decoded.push(byte);
            index += 3;
        } else {
            decoded.push(bytes[index]);
            index += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A text as one segment of a path: everything but letters, digits and `-._~`
/// is percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a text does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// An answer that was not sent yet.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Who asked, where that was found out: for the journal.
    pub(crate) principal: Option<String>,
    /// The connection closes in the middle of the body.
    pub(crate) truncated: bool,
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            principal: None,
            truncated: false,
        }
    }

    /// A JSON answer on one line.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json; charset=utf-8", body.to_string())
    }

    /// A JSON answer as the management service of API Management writes it:
    /// indented by two spaces.
    pub(crate) fn pretty(status: u16, body: &Value) -> Self {
        let text = serde_json::to_string_pretty(body).unwrap_or_default();
        Self::text(status, "application/json; charset=utf-8", text)
    }

    /// An answer with any text.
    pub(crate) fn text(status: u16, content_type: &str, body: String) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into_bytes(),
            principal: None,
            truncated: false,
        }
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Names who asked.
    pub(crate) fn by(mut self, principal: &str) -> Self {
        self.principal = Some(principal.to_owned());
        self
    }

    /// A header that was set, by its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// What the server sends. A `HEAD` request gets no body.
    pub(crate) fn into_response(self, method: &Method) -> Response<Body> {
        let body = if *method == Method::HEAD {
            Body::empty()
        } else if self.truncated {
            cut(self.body)
        } else {
            Body::from(self.body)
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(&value),
            ) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
