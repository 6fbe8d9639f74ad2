//! What the gateway sends out: to backends, and for keys and tokens.

use crate::body::{Body, impatient};
use crate::identity::ClientIdentity;
use async_trait::async_trait;
use http::{Request, Response};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use moka::sync::Cache;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;

/// How long a server may be silent in the middle of an answer.
const PATIENCE: Duration = Duration::from_mins(5);
const CONNECT: Duration = Duration::from_secs(20);
/// How many identities have connections at once; of those that were not used
/// for longest the connections are given up.
const IDENTITIES: u64 = 64;

/// Sends one request; redirects are answers.
#[async_trait]
pub trait HttpClient: Send + Sync + 'static {
    /// The answer's head with its body as a stream.
    ///
    /// Over TLS, the certificate of `identity` is shown where the server asks
    /// for one, and without an identity none is. A connection that was made
    /// with one identity never carries a request of another, or of none.
    async fn send(
        &self,
        request: Request<Body>,
        identity: Option<&ClientIdentity>,
    ) -> Result<Response<Body>, ClientError>;
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

type Connections = Client<HttpsConnector<HttpConnector>, Body>;

/// The client that speaks HTTP/1.1, and HTTP/2 where TLS agrees on it.
#[derive(Clone)]
pub struct HyperClient {
    trusted: Trusted,
    /// For requests without an identity.
    nobody: Connections,
    /// By the identity's fingerprint, made when the first request needs them:
    /// connections, and the TLS sessions that are resumed, are each identity's
    /// own.
    identities: Cache<[u8; 32], Connections>,
}

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

/// [`Trust`], ready for use.
#[derive(Clone)]
enum Trusted {
    System(Arc<dyn ServerCertVerifier>),
    Roots(Arc<RootCertStore>),
}

impl Trusted {
    fn read(trust: &Trust) -> Result<Self, TrustError> {
        let mut extra = Vec::new();
        for pem in &trust.roots {
            extra.extend(certificates(pem)?);
        }
        if trust.system {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier =
                rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider)?;
            return Ok(Self::System(Arc::new(verifier)));
        }
        let mut roots = RootCertStore::empty();
        for root in extra {
            roots.add(root)?;
        }
        Ok(Self::Roots(Arc::new(roots)))
    }

    fn connections(&self, identity: Option<&ClientIdentity>) -> Result<Connections, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = match self {
            Self::System(verifier) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(verifier)),
            Self::Roots(roots) => builder.with_root_certificates(Arc::clone(roots)),
        };
        let tls = match identity {
            Some(identity) => builder.with_client_cert_resolver(identity.resolver()),
            None => builder.with_no_client_auth(),
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
        Ok(Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_mins(1))
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector))
    }
}

impl HyperClient {
    /// A client with its own pool of connections.
    pub fn new(trust: &Trust) -> Result<Self, TrustError> {
        let trusted = Trusted::read(trust)?;
        Ok(Self {
            nobody: trusted.connections(None)?,
            identities: Cache::new(IDENTITIES),
            trusted,
        })
    }
}

#[async_trait]
impl HttpClient for HyperClient {
    async fn send(
        &self,
        request: Request<Body>,
        identity: Option<&ClientIdentity>,
    ) -> Result<Response<Body>, ClientError> {
        let answered = match identity {
            None => self.nobody.request(request).await,
            Some(identity) => {
                let connections = self
                    .identities
                    .try_get_with(identity.fingerprint(), || {
                        self.trusted.connections(Some(identity))
                    })
                    .map_err(|error| ClientError::Connection(error.to_string()))?;
                connections.request(request).await
            }
        };
        match answered {
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
