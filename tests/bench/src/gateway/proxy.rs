//! The floor: a reverse proxy with the gateway's stack and settings and nothing
//! in between; and the backend behind both.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apim_gateway::{Limits, ServerCertificate};
use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the provider of tokens answers, by path.
pub(crate) type Provider = Arc<dyn Fn(&str, SocketAddr) -> Option<String> + Send + Sync>;

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A backend that answers with a small document, and is the provider of tokens.
pub(crate) async fn backend(provider: Provider) -> Result<SocketAddr> {
    let listener = TcpListener::bind(ANYWHERE).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let provider = Arc::clone(&provider);
            let service = service_fn(move |request: Request<Incoming>| {
                let known = provider(request.uri().path(), address);
                let body = known.unwrap_or_else(|| r#"{"items":[{"id":1},{"id":2}]}"#.to_owned());
                let mut response = Response::new(Full::new(Bytes::from(body)));
                let json = HeaderValue::from_static("application/json");
                response
                    .headers_mut()
                    .insert(http::header::CONTENT_TYPE, json);
                std::future::ready(Ok::<_, Infallible>(response))
            });
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(address)
}

fn acceptor(certificate: &ServerCertificate) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .context("the certificate")?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).context("the key")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Passes every request on, as it came.
pub(crate) async fn reverse_proxy(
    certificate: ServerCertificate,
    backend: SocketAddr,
) -> Result<SocketAddr> {
    let acceptor = acceptor(&certificate)?;
    let listener = TcpListener::bind(ANYWHERE).await?;
    let address = listener.local_addr()?;
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    let client: Client<HttpConnector, Incoming> = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_mins(1))
        .pool_timer(TokioTimer::new())
        .build(http);
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let (acceptor, client) = (acceptor.clone(), client.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(move |request| {
                    let client = client.clone();
                    async move { forward(&client, request, backend, peer).await }
                });
                let _ = server()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(address)
}

/// As the gateway sets up its own.
fn server() -> auto::Builder<TokioExecutor> {
    let limits = Limits::default();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(200);
    builder
}

async fn forward(
    client: &Client<HttpConnector, Incoming>,
    mut request: Request<Incoming>,
    backend: SocketAddr,
    peer: SocketAddr,
) -> Result<Response<Incoming>> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |sent| sent.as_str());
    *request.uri_mut() = Uri::builder()
        .scheme("http")
        .authority(backend.to_string())
        .path_and_query(target)
        .build()?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&backend.to_string())?);
    headers.insert(
        HeaderName::from_static("x-forwarded-for"),
        HeaderValue::from_str(&peer.ip().to_string())?,
    );
    Ok(client.request(request).await?)
}
