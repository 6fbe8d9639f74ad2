//! The listener: TLS, HTTP/1.1 and HTTP/2, slow and broken clients.

use crate::body::{SLOWEST, empty, impatient};
use crate::certificate;
use crate::client::certificates;
use crate::engine::{self, Peer};
use crate::shared::Shared;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// The certificate that a gateway shows, in PEM.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    /// The certificate and those between it and its root.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// The certificates cannot be read.
    #[error(transparent)]
    Certificate(#[from] crate::client::TrustError),
    /// The key cannot be read.
    #[error("the private key cannot be read: {0}")]
    Key(String),
    /// They do not fit together.
    #[error("the certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// TLS with HTTP/2 and HTTP/1.1 to choose from. A client's certificate is
/// asked for and not required: who it is, a policy decides.
pub(crate) fn acceptor(certificate: &ServerCertificate) -> Result<TlsAcceptor, ServerTlsError> {
    let chain = certificates(&certificate.chain)?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())
        .map_err(|error| ServerTlsError::Key(error.to_string()))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = AnyCertificate(provider.signature_verification_algorithms);
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes every client certificate whose key the client holds.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Serves until `stop` says so or its sender is gone.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let port = listener.local_addr().map_or(0, |address| address.port());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: others may close theirs.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            }
        };
        let (shared, tls, mut stop) = (Arc::clone(&shared), tls.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(shared, stream, address, port, tls) => {}
                _ = stop.changed() => {}
            }
            drop(place);
        });
    }
}

async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: SocketAddr,
    port: u16,
    tls: Option<TlsAcceptor>,
) {
    let _ = stream.set_nodelay(true);
    let address = address.ip().to_canonical();
    let mut peer = Peer {
        address,
        written: address.to_string(),
        port,
        tls: tls.is_some(),
        certificate: None,
    };
    let Some(tls) = tls else {
        serve_connection(shared, TokioIo::new(stream), peer).await;
        return;
    };
    let handshake = tokio::time::timeout(shared.limits.head_timeout, tls.accept(stream)).await;
    let Ok(Ok(stream)) = handshake else {
        return;
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    peer.certificate = certificate::read(chain).map(Arc::new);
    serve_connection(shared, TokioIo::new(stream), peer).await;
}

async fn serve_connection<I>(shared: Arc<Shared>, io: I, peer: Peer)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let limits = shared.limits.clone();
    let peer = Arc::new(peer);
    let spoken = Arc::new(AtomicBool::new(false));
    let speaks = Arc::clone(&spoken);
    let service = service_fn(move |request: http::Request<Incoming>| {
        speaks.store(true, Ordering::Relaxed);
        let (shared, peer) = (Arc::clone(&shared), Arc::clone(&peer));
        async move {
            let patience = shared.limits.body_timeout;
            let request = request.map(|body| {
                // Most requests have none, and nobody waits for it.
                if body.is_end_stream() {
                    empty()
                } else {
                    impatient(body, patience, Some(SLOWEST))
                }
            });
            Ok::<_, Infallible>(engine::handle(&shared, request, &peer).await)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head.max(8192))
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(limits.body_timeout))
        .keep_alive_timeout(limits.body_timeout)
        .max_concurrent_streams(200);
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = tokio::time::sleep(limits.head_timeout) => {
            // Whoever connects and asks nothing is not waited for, whatever
            // protocol that might have become.
            if !spoken.load(Ordering::Relaxed) {
                return;
            }
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
