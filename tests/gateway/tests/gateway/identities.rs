//! Backends that ask for a certificate, and as whom the gateway calls them.

use crate::certificates::{Authority, authority, issued};
use crate::stage::{Backend, LOOPBACK, Stage, inbound, operation, reply_json};
use apim_gateway::configuration::{Api, Backend as NamedBackend, Certificate, Service};
use apim_gateway::{ManagedIdentity, Options, PfxError, Scope, Trust, check_policy};
use bytes::Bytes;
use futures::future::join_all;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The name in a certificate, the path that was called and `Authorization`.
type Shown = (String, String, Option<String>);

/// A backend over TLS. It answers with the name in the certificate that it was
/// shown, and remembers it with the path and `Authorization`.
struct TlsBackend {
    url: String,
    seen: Arc<Mutex<Vec<Shown>>>,
    server: tokio::task::JoinHandle<()>,
}

/// What is said of a caller without a certificate.
const NOBODY: &str = "nobody";

#[derive(Clone, Copy, PartialEq)]
enum Asks {
    Demands,
    TakesNone,
}

impl TlsBackend {
    /// Callers need a certificate of the authority, which signed the server's.
    async fn start(by: &Authority) -> Self {
        Self::redirecting(by, Asks::Demands, None).await
    }

    async fn redirecting(by: &Authority, asks: Asks, to: Option<String>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(by.pem.as_bytes()).expect("PEM");
        roots.add(root).expect("a root");
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = match asks {
            Asks::Demands => verifier,
            Asks::TakesNone => verifier.allow_unauthenticated(),
        };
        let (chain, key) = issued(by, "localhost");
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .expect("a chain");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(chain, key)
            .expect("a certificate");
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = tokio::net::TcpListener::bind(LOOPBACK)
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let log = Arc::clone(&seen);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, log, to) = (acceptor.clone(), Arc::clone(&log), to.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let shown = stream.get_ref().1.peer_certificates();
                    let name = shown.and_then(<[_]>::first).map_or(NOBODY.to_owned(), name);
                    let service = service_fn(|request: http::Request<Incoming>| {
                        let path = request.uri().path().to_owned();
                        let authorization = request.headers().get("authorization");
                        let authorization = authorization
                            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
                        log.lock().push((name.clone(), path.clone(), authorization));
                        let mut answer = http::Response::new(Full::new(Bytes::from(name.clone())));
                        if let Some(to) = to.as_ref().filter(|_| path != "/here") {
                            *answer.status_mut() = http::StatusCode::FOUND;
                            answer
                                .headers_mut()
                                .insert("location", to.parse().expect("a header"));
                        }
                        async { Ok::<_, Infallible>(answer) }
                    });
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            url: format!("https://localhost:{port}"),
            seen,
            server,
        }
    }

    fn seen(&self) -> Vec<Shown> {
        self.seen.lock().clone()
    }
}

impl Drop for TlsBackend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn name(certificate: &CertificateDer<'_>) -> String {
    let (_, parsed) = X509Certificate::from_der(certificate).expect("a certificate");
    let name = parsed.subject().iter_common_name().next().expect("a name");
    name.as_str().expect("text").to_owned()
}

/// A certificate with its key, as the service holds it.
fn held(by: &Authority, name: &str) -> Certificate {
    let (pem, key) = issued(by, name);
    Certificate {
        pem,
        key: Some(key.into()),
        ..Certificate::default()
    }
}

fn options(by: &Authority) -> Options {
    Options {
        listen: LOOPBACK,
        trust: Trust {
            system: false,
            roots: vec![by.pem.clone()],
        },
        trace_all: true,
        ..Options::default()
    }
}

/// A gateway whose API has these sections, before the backend.
async fn stage(
    by: &Authority,
    backend: &TlsBackend,
    sections: &str,
    change: impl FnOnce(&mut Service),
) -> Stage {
    Stage::as_said(Backend::ok().await, sections, options(by), |service| {
        service.apis[0].service_url = Some(backend.url.clone());
        change(service);
    })
    .await
}

fn shows(id: &str) -> String {
    format!("<authentication-certificate certificate-id=\"{id}\" />")
}

/// SHA-1, as Azure names a certificate.
fn thumbprint(certificate: &Certificate) -> String {
    use sha1::Digest as _;
    let der = CertificateDer::from_pem_slice(certificate.pem.as_bytes()).expect("PEM");
    let hex = |text: String, byte: &u8| text + &format!("{byte:02x}");
    sha1::Sha1::digest(&der).iter().fold(String::new(), hex)
}

#[tokio::test]
async fn a_backend_that_demands_a_certificate_lets_in_who_shows_one_that_it_trusts() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let backend = TlsBackend::start(&ours).await;
    let partner = held(&ours, "partner");
    let by_thumbprint = format!(
        "<authentication-certificate thumbprint=\"{}\" />",
        thumbprint(&partner)
    );
    let as_the_caller_says = "<authentication-certificate certificate-id=\"@(context.Request.Headers.GetValueOrDefault(&quot;X-As&quot;, &quot;none&quot;))\" />"
        .replace("&quot;", "\"");
    for (policies, expected) in [
        (shows("Partner"), Some("partner")),
        (by_thumbprint, Some("partner")),
        (String::new(), None),
        (shows("stranger"), None),
        (as_the_caller_says, None),
    ] {
        let (partner, stranger) = (partner.clone(), held(&theirs, "stranger"));
        let stage = stage(&ours, &backend, &inbound(&policies), |service| {
            service.certificates.insert("partner".to_owned(), partner);
            service.certificates.insert("stranger".to_owned(), stranger);
        })
        .await;
        let before = backend.seen().len();
        let answer = stage.item().await;
        if let Some(expected) = expected {
            assert_eq!(answer.whole(), (200, expected), "{policies}");
        } else {
            let internal = (500, "Internal server error".to_owned());
            assert_eq!(answer.error(), internal, "{policies}");
            assert_eq!(backend.seen().len(), before, "{policies}");
        }
        let named = stage.get_with(&[("x-as", "partner")]).await;
        let open = expected.is_some() || policies.contains("X-As");
        assert_eq!(named.status, if open { 200 } else { 500 }, "{policies}");
    }
}

#[tokio::test]
async fn a_backend_is_shown_the_certificate_of_its_entity() {
    let ours = authority("ours");
    let backend = TlsBackend::start(&ours).await;
    for (certificate, expected) in [("Partner", (200, "partner")), ("other", (500, ""))] {
        let partner = held(&ours, "partner");
        let edge = NamedBackend {
            url: backend.url.clone(),
            certificate: Some(certificate.to_owned()),
            ..NamedBackend::default()
        };
        let policies = inbound("<set-backend-service backend-id=\"edge\" />");
        let stage = stage(&ours, &backend, &policies, |service| {
            service.certificates.insert("partner".to_owned(), partner);
            service.backends.insert("edge".to_owned(), edge);
        })
        .await;
        let answer = stage.item().await;
        assert_eq!(answer.status, expected.0, "{certificate}");
        assert!(answer.body.contains(expected.1), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_that_call_one_backend_never_share_a_connection() {
    let ours = authority("ours");
    let backend = TlsBackend::redirecting(&ours, Asks::TakesNone, None).await;
    let stage = stage(&ours, &backend, &inbound(""), |service| {
        for who in ["orders", "bills"] {
            let certificate = held(&ours, who);
            service.certificates.insert(who.to_owned(), certificate);
            service.apis.push(Api {
                id: who.to_owned(),
                path: who.to_owned(),
                service_url: Some(backend.url.clone()),
                policy: Some(format!("<policies>{}</policies>", inbound(&shows(who)))),
                operations: vec![operation("GET", "/{id}")],
                ..Api::default()
            });
        }
    })
    .await;
    // All at once, so that whatever connection there is would be used.
    for _ in 0..10 {
        let answers = join_all((0..30).map(async |number| {
            let (path, who) = match number % 3 {
                0 => ("/orders/1", "orders"),
                1 => ("/bills/1", "bills"),
                _ => ("/shop/items/7", NOBODY),
            };
            (stage.get(path).await, who)
        }))
        .await;
        for (answer, who) in answers {
            assert_eq!(answer.whole(), (200, who));
        }
    }
    assert_eq!(backend.seen().len(), 300);
}

#[tokio::test]
async fn a_redirect_carries_the_certificate_within_its_origin_only() {
    let ours = authority("ours");
    let other = TlsBackend::redirecting(&ours, Asks::TakesNone, None).await;
    let following = "<backend><forward-request follow-redirects=\"true\" /></backend>";
    for (to, who) in [
        ("/here".to_owned(), "partner"),
        (format!("{}/there", other.url), NOBODY),
    ] {
        let backend = TlsBackend::redirecting(&ours, Asks::Demands, Some(to)).await;
        let sections = format!("{}{following}", inbound(&shows("partner")));
        let stage = stage(&ours, &backend, &sections, |service| {
            let certificate = held(&ours, "partner");
            service
                .certificates
                .insert("partner".to_owned(), certificate);
        })
        .await;
        assert_eq!(stage.item().await.whole(), (200, who));
        assert_eq!(backend.seen()[0].0, "partner");
    }
    let there = (NOBODY.to_owned(), "/there".to_owned(), None);
    assert_eq!(other.seen(), [there]);
}

#[tokio::test]
async fn a_request_of_its_own_has_a_certificate_and_a_token_of_its_own() {
    let ours = authority("ours");
    let backend = TlsBackend::redirecting(&ours, Asks::TakesNone, None).await;
    let tokens = Backend::start(|seen| {
        reply_json(&serde_json::json!({
            "access_token": format!("token for {}", seen.target.rsplit('=').next().expect("one")),
            "expires_on": "1700003600",
        }))
    })
    .await;
    let ask = |path: &str, parts: &str| {
        format!(
            "<send-request mode=\"copy\" response-variable-name=\"r\"><set-url>{}/{path}</set-url>\
             <set-method>GET</set-method>{parts}</send-request>",
            backend.url
        )
    };
    let token = "<authentication-managed-identity resource=\"orders\" />";
    let kept =
        "<authentication-managed-identity resource=\"orders\" output-token-variable-name=\"t\" />";
    let sections = inbound(&[
        shows("partner"),
        ask("plain", ""),
        ask("certificate", &shows("auditor")),
        ask("both", &format!("{}{token}", shows("auditor"))),
        ask("variable", kept),
        "<set-header name=\"X-Token\"><value>@((string)context.Variables[\"t\"])</value></set-header>".to_owned(),
    ].concat());
    let options = Options {
        identity: Some(ManagedIdentity {
            endpoint: format!("{}/msi/token", tokens.url),
            header: "s3cret".to_owned(),
        }),
        ..options(&ours)
    };
    let stage = Stage::as_said(Backend::ok().await, &sections, options, |service| {
        service.apis[0].service_url = Some(backend.url.clone());
        for who in ["partner", "auditor"] {
            service
                .certificates
                .insert(who.to_owned(), held(&ours, who));
        }
    })
    .await;
    let answer = stage.get_with(&[("authorization", "Bearer caller")]).await;
    assert_eq!(answer.whole(), (200, "partner"));
    let seen = |who: &str, path: &str, authorization: &str| {
        (
            who.to_owned(),
            path.to_owned(),
            Some(authorization.to_owned()),
        )
    };
    assert_eq!(
        backend.seen(),
        [
            seen(NOBODY, "/plain", "Bearer caller"),
            seen("auditor", "/certificate", "Bearer caller"),
            seen("auditor", "/both", "Bearer token for orders"),
            seen(NOBODY, "/variable", "Bearer caller"),
            seen("partner", "/items/7", "Bearer caller"),
        ]
    );
    // One token for all of them.
    assert_eq!(tokens.calls(), 1);
}

#[tokio::test]
async fn without_tls_nothing_is_shown_and_the_trace_says_so_and_never_the_key() {
    let ours = authority("ours");
    let (pem, key) = issued(&ours, "partner");
    let certificate = Certificate {
        pem,
        key: Some(key.clone().into()),
        ..Certificate::default()
    };
    let written = format!(
        "{certificate:?}{}",
        serde_json::to_string(&certificate).expect("JSON")
    );
    let sections = inbound(&shows("partner"));
    let stage = Stage::as_said(Backend::ok().await, &sections, options(&ours), |service| {
        service
            .certificates
            .insert("partner".to_owned(), certificate);
    })
    .await;
    assert_eq!(stage.item().await.whole(), (200, "ok"));
    let traces = stage.gateway.traces();
    let messages: Vec<_> = traces[0]
        .entries
        .iter()
        .flat_map(|entry| entry.messages.clone())
        .collect();
    let [shown, plain] = messages.as_slice() else {
        panic!("{messages:?}");
    };
    assert!(
        shown.starts_with("The backend is shown the client certificate 'partner' ("),
        "{shown}"
    );
    assert_eq!(
        plain,
        "The backend is called without TLS: the client certificate 'partner' is not shown."
    );
    let told = format!("{written}{}{traces:?}", traces[0]);
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!told.contains(line), "{told}");
    }
}

#[test]
fn what_cannot_be_shown_is_refused_when_the_document_is_written() {
    let ours = authority("ours");
    let good = held(&ours, "partner");
    let certificate = |pem: &str, key: Option<&str>| Certificate {
        pem: pem.to_owned(),
        key: key.map(|key| key.to_owned().into()),
        ..Certificate::default()
    };
    let (_, other) = issued(&ours, "other");
    let mut service = Service::default();
    for (id, held) in [
        ("good", good.clone()),
        ("public", certificate(&good.pem, None)),
        ("mixed", certificate(&good.pem, Some(&other))),
        ("garbled", certificate(&good.pem, Some("no key"))),
        ("none", certificate("no certificate", Some(&other))),
    ] {
        service.certificates.insert(id.to_owned(), held);
    }
    let check = |policy: &str| {
        let document = format!("<policies>{}</policies>", inbound(policy));
        check_policy(&document, Scope::Api, &service)
            .map(|checked| checked.not_executed)
            .map_err(|error| error.message)
    };
    assert_eq!(check(&shows("good")), Ok(vec![]));
    let one = "One of the attributes 'certificate-id', 'thumbprint', 'body' must be specified, and only one.";
    for (policy, message) in [
        (
            shows("who"),
            "Certificate with id 'who' could not be found.".to_owned(),
        ),
        (
            "<authentication-certificate thumbprint=\"00\" />".to_owned(),
            "Certificate with thumbprint '00' could not be found.".to_owned(),
        ),
        ("<authentication-certificate />".to_owned(), one.to_owned()),
        (
            "<authentication-certificate thumbprint=\"00\" certificate-id=\"good\" />".to_owned(),
            one.to_owned(),
        ),
        (shows("public"), refused("public", "it has no private key")),
        (
            shows("mixed"),
            refused(
                "mixed",
                "its private key is not the certificate's, or of a kind that is not supported",
            ),
        ),
        (
            shows("garbled"),
            refused("garbled", "its private key is none in PEM, or is encrypted"),
        ),
        (
            shows("none"),
            refused("none", "it is no certificate in PEM"),
        ),
    ] {
        assert_eq!(check(&policy), Err(message.clone()), "{policy}");
        let inside =
            format!("<send-request><set-url>https://a.example</set-url>{policy}</send-request>");
        assert_eq!(check(&inside), Err(message), "{inside}");
    }
    let one = |attributes: &str| check(&format!("<authentication-certificate {attributes} />"));
    for both in [
        "",
        "body=\"MIIK\" thumbprint=\"0\"",
        "body=\"MIIK\" certificate-id=\"good\"",
    ] {
        let message = "One of the attributes 'certificate-id', 'thumbprint', 'body' must be specified, and only one.";
        assert_eq!(one(both), Err(message.to_owned()), "{both}");
    }
    assert_eq!(
        one("body=\"MIIK\" password=\"p\""),
        Err("The client certificate of 'body' cannot be used: it is no PKCS #12 file, or the password is wrong.".to_owned())
    );
}

/// A certificate with its key as a PKCS #12 file in Base64.
fn pfx(by: &Authority, name: &str, password: &str) -> String {
    use base64::Engine as _;
    use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    let (chain, key) = issued(by, name);
    let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let key = PrivateKey::from_der(key.secret_der()).expect("a key");
    let certificate = Certificate::from_der(&certificate).expect("a certificate");
    let mut store = KeyStore::new();
    let chain = PrivateKeyChain::new(vec![1], key, [certificate]);
    store.add_entry("one", KeyStoreEntry::PrivateKeyChain(chain));
    let writer = store.writer(password);
    let file = writer.encryption_iterations(10).mac_iterations(10).write();
    base64::engine::general_purpose::STANDARD.encode(file.expect("a file"))
}

#[tokio::test]
async fn a_certificate_is_read_from_a_file_with_its_password() {
    use base64::Engine as _;
    let ours = authority("ours");
    let backend = TlsBackend::start(&ours).await;
    let file = pfx(&ours, "partner", "pa55");
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(&file)
        .expect("Base64");
    let held = Certificate::from_pfx(&bytes, "pa55").expect("a certificate");
    assert_eq!(
        Certificate::from_pfx(&bytes, "other").map(|_| ()),
        Err(PfxError::Unreadable)
    );
    let facts = held.facts().expect("a certificate");
    assert!(facts.subject.contains("CN=partner"), "{facts:?}");
    assert_eq!(facts.thumbprint.to_lowercase(), thumbprint(&held));
    assert_eq!(facts.not_after.to_string(), "2040-01-01T00:00:00Z");
    let expression = format!("body=\"@(Convert.FromBase64String(\"{file}\"))\"");
    for (attributes, good) in [
        ("certificate-id=\"held\"".to_owned(), true),
        (format!("body=\"{file}\" password=\"pa55\""), true),
        (format!("{expression} password=\"pa55\""), true),
        (
            format!("{expression} password=\"@(&quot;pa&quot; + &quot;55&quot;)\"")
                .replace("&quot;", "\""),
            true,
        ),
        (format!("{expression} password=\"other\""), false),
        (expression.clone(), false),
        ("body=\"@(new byte[0])\"".to_owned(), false),
    ] {
        let policy = inbound(&format!("<authentication-certificate {attributes} />"));
        let stage = stage(&ours, &backend, &policy, |service| {
            service.certificates.insert("held".to_owned(), held.clone());
        })
        .await;
        let answer = stage.item().await;
        if good {
            assert_eq!(answer.whole(), (200, "partner"), "{attributes}");
        } else {
            let internal = (500, "Internal server error".to_owned());
            assert_eq!(answer.error(), internal, "{attributes}");
        }
    }
    assert_eq!(backend.seen().len(), 4);
}

fn refused(id: &str, why: &str) -> String {
    format!("Certificate with id '{id}' cannot be shown to a backend: {why}.")
}
