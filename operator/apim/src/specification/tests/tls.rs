//! Against a server whose certificate comes from a CA of our own. The key in
//! `testdata` protects nothing but these tests.

use std::io::{BufRead as _, BufReader, Write as _};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// Answers one request over TLS, and does not mind when none comes.
fn serve_tls_once() -> (SocketAddr, std::thread::JoinHandle<std::io::Result<()>>) {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("../testdata/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../testdata/server.key.pem")).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = BufReader::new(rustls::StreamOwned::new(connection, stream));
        let mut line = String::new();
        while tls.read_line(&mut line)? > 2 {
            line.clear();
        }
        let tls = tls.get_mut();
        tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")?;
        tls.flush()
    });
    (address, thread)
}

#[tokio::test]
async fn a_certificate_of_the_extra_ca_is_trusted_and_otherwise_not() {
    let trusting = Fetcher::new(FetcherConfig {
        extra_ca_pem: include_bytes!("../testdata/ca.pem").to_vec(),
        ..FetcherConfig::default()
    })
    .unwrap();
    let (address, server) = serve_tls_once();
    let url = format!("https://a.localhost:{}/", address.port());
    let document = trusting
        .fetch(&url, &allow(&["a.localhost"]))
        .await
        .unwrap();
    assert_eq!(document.text, "{}");
    server.join().unwrap().unwrap();

    let (address, server) = serve_tls_once();
    let url = format!("https://a.localhost:{}/", address.port());
    let error = refusal(&url, &["a.localhost"]).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    server.join().unwrap().unwrap_err();

    // The name is checked too: another that leads to the same server is not
    // in its certificate.
    let (address, server) = serve_tls_once();
    let url = format!("https://b.localhost:{}/", address.port());
    let error = trusting
        .fetch(&url, &allow(&["b.localhost"]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    server.join().unwrap().unwrap_err();
}
