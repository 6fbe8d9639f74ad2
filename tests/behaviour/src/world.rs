//! Everything that the gateway calls: the backend, OpenID providers, and the
//! service's managed identity.

use std::sync::Arc;

use apim_gateway::{Body, ClientError, ClientIdentity, HttpClient};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::stage::START;
use crate::tokens::Signer;

/// Where the gateway asks for tokens of its own.
pub(crate) const IDENTITY: &str = "http://identity.local/msi/token";

/// A request as the backend saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The thumbprint of the certificate that it would be shown.
    pub certificate: Option<String>,
}

impl Seen {
    /// A header's value; several are joined by `, `.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let all: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The path and the query.
    #[must_use]
    pub fn target(&self) -> &str {
        let host = self.url.split_once("://").map_or("", |(_, rest)| rest);
        host.find('/').map_or("/", |at| &host[at..])
    }

    fn echo(&self) -> Value {
        let headers: Map<String, Value> = self
            .headers
            .keys()
            .map(|name| {
                let value = self.header(name.as_str()).unwrap_or_default();
                (name.to_string(), value.into())
            })
            .collect();
        json!({
            "method": self.method, "url": self.url, "headers": headers,
            "body": String::from_utf8_lossy(&self.body),
        })
    }
}

type Answering = dyn Fn(&Seen) -> Option<Response<Bytes>> + Send + Sync;

/// What is outside of the gateway.
pub struct World {
    answer: Mutex<Arc<Answering>>,
    seen: Mutex<Vec<Seen>>,
    asked: Mutex<Vec<String>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            answer: Mutex::new(Arc::new(|seen| Some(reply_json(&seen.echo())))),
            seen: Mutex::default(),
            asked: Mutex::default(),
        }
    }
}

impl World {
    /// From now on the backend answers so; with nothing, never.
    pub fn answers(
        &self,
        answer: impl Fn(&Seen) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) {
        *self.answer.lock() = Arc::new(answer);
    }

    /// What the backend was asked.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// The last request to the backend.
    #[must_use]
    pub fn last(&self) -> Seen {
        self.seen.lock().last().cloned().expect("a request")
    }

    /// How often the backend was asked.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.seen.lock().len()
    }

    /// What was asked of others than the backend.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    /// The answer of an OpenID provider or of the identity endpoint.
    fn elsewhere(&self, url: &str) -> Option<Response<Bytes>> {
        let providers = [
            "https://login.microsoftonline.com/",
            "https://id.example.com/",
        ];
        let provider = providers.iter().find(|provider| url.starts_with(*provider));
        if provider.is_none() && !url.starts_with(IDENTITY) {
            return None;
        }
        self.asked.lock().push(url.to_owned());
        let Some(provider) = provider else {
            let resource = url.split_once("resource=").map_or("", |(_, rest)| rest);
            let resource = resource.split('&').next().unwrap_or_default();
            return Some(reply_json(&json!({
                "access_token": format!("token-for-{resource}"),
                "expires_on": (START + 3600).to_string(),
            })));
        };
        if url.ends_with("/keys") {
            return Some(reply_json(&json!({"keys": [Signer::known().jwk]})));
        }
        let issuer = url.strip_suffix("/.well-known/openid-configuration")?;
        Some(reply_json(&json!({
            "issuer": issuer, "jwks_uri": format!("{provider}keys"),
        })))
    }
}

#[async_trait]
impl HttpClient for World {
    async fn send(
        &self,
        request: Request<Body>,
        identity: Option<&ClientIdentity>,
    ) -> Result<Response<Body>, ClientError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        if let Some(answer) = self.elsewhere(&url) {
            return Ok(answer.map(full));
        }
        let body = body
            .collect()
            .await
            .map_err(|error| ClientError::Connection(error.to_string()))?;
        let seen = Seen {
            method: parts.method.to_string(),
            url,
            headers: parts.headers,
            body: body.to_bytes(),
            certificate: identity.map(|identity| identity.thumbprint().to_owned()),
        };
        self.seen.lock().push(seen.clone());
        let answer = Arc::clone(&self.answer.lock());
        match answer(&seen) {
            Some(answer) => Ok(answer.map(full)),
            None => std::future::pending().await,
        }
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// An answer of a backend.
#[must_use]
pub fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_owned()));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().append(*name, value);
    }
    response
}

/// An answer in JSON.
#[must_use]
pub fn reply_json(body: &Value) -> Response<Bytes> {
    reply(
        200,
        &[("content-type", "application/json")],
        &body.to_string(),
    )
}
