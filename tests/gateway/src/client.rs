//! What the gateway sends out: to backends, and for keys and tokens.

use crate::body::{Body, impatient};
use async_trait::async_trait;
use http::{Request, Response};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may be silent in the middle of an answer.
const PATIENCE: Duration = Duration::from_mins(5);
const CONNECT: Duration = Duration::from_secs(20);

/// Sends one request; redirects are answers.
#[async_trait]
pub trait HttpClient: Send + Sync + 'static {
    /// The answer's head with its body as a stream.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ClientError>;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be reached, or the connection failed.
    #[error("{0}")]
    Connection(String),
}

/// Whom TLS connections to backends trust.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The system's roots.
    pub system: bool,
    /// More roots in PEM.
    pub roots: Vec<String>,
}

/// The client that speaks HTTP/1.1, and HTTP/2 where TLS agrees on it.
#[derive(Clone)]
pub struct HyperClient(Client<HttpsConnector<HttpConnector>, Body>);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A root is no certificate in PEM.
    #[error("a trusted root is no certificate in PEM: {0}")]
    Pem(String),
    /// The roots cannot be used.
    #[error("the trusted roots cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// The certificates of PEM texts.
pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| TrustError::Pem(error.to_string()))
}

impl HyperClient {
    /// A client with its own pool of connections.
    pub fn new(trust: &Trust) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let mut extra = Vec::new();
        for pem in &trust.roots {
            extra.extend(certificates(pem)?);
        }
        let tls = if trust.system {
            let verifier =
                rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider)?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth()
        } else {
            let mut roots = rustls::RootCertStore::empty();
            for root in extra {
                roots.add(root)?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_mins(1))
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Ok(Self(client))
    }
}

#[async_trait]
impl HttpClient for HyperClient {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        match self.0.request(request).await {
            Ok(response) => Ok(response.map(|body| impatient(body, PATIENCE, None))),
            Err(error) => Err(ClientError::Connection(chain(&error))),
        }
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
