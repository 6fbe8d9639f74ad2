//! Against a server of our own, on loopback, that does what it is told.

mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use operator_core::class::ErrorClass;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const DOCUMENT: &str = "openapi: 3.0.3\n";

/// What the server does with one request.
enum Reply {
    /// Sends this and closes.
    Text(String),
    /// Sends a head and then a body without end.
    Endless,
    /// Sends a head and one byte, and then nothing.
    Stuck,
    /// Sends nothing at all.
    Silent,
}

fn answer(status: u16, headers: &str, body: &str) -> Reply {
    Reply::Text(format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        body.len()
    ))
}

struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `reply` gets the head of each request, in lower case.
    async fn start(reply: impl Fn(&str, SocketAddr) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (log, reply) = (Arc::clone(&heads), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
                tokio::spawn(async move {
                    let _ = serve(stream, address, &log, reply.as_ref()).await;
                });
            }
        });
        Self { address, heads }
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    address: SocketAddr,
    log: &Mutex<Vec<String>>,
    reply: &(dyn Fn(&str, SocketAddr) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    log.lock().unwrap().push(head.clone());
    match reply(&head, address) {
        Reply::Text(text) => stream.write_all(text.as_bytes()).await?,
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&[b' '; 4096]).await?;
            }
        }
        Reply::Stuck => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n ")
                .await?;
            std::future::pending::<()>().await;
        }
        Reply::Silent => std::future::pending().await,
    }
    stream.shutdown().await
}

fn fetcher() -> Fetcher {
    Fetcher::new(FetcherConfig {
        max_bytes: 100_000,
        ..FetcherConfig::default()
    })
    .unwrap()
}

fn allow(entries: &[&str]) -> Vec<String> {
    entries.iter().map(ToString::to_string).collect()
}

async fn refusal(url: &str, entries: &[&str]) -> FetchError {
    fetcher().fetch(url, &allow(entries)).await.unwrap_err()
}

#[tokio::test]
async fn a_document_is_fetched_without_credentials_referrer_or_cookies() {
    let server = Server::start(|_, _| {
        answer(
            200,
            "etag: \"1\"\r\nset-cookie: a=b\r\n",
            "\u{feff}openapi: 3.0.3\n",
        )
    })
    .await;
    let fetcher = fetcher();
    let url = server.url("127.0.0.1", "/a?key=1");
    let document = fetcher.fetch(&url, &allow(&["127.0.0.1"])).await.unwrap();
    assert_eq!(document.text, DOCUMENT);
    assert_eq!(document.content_hash, ContentHash::of(DOCUMENT));
    assert_eq!(document.etag.as_deref(), Some("\"1\""));
    assert_eq!(document.final_url.as_str(), url);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        server.heads(),
        [format!(
            "get /a?key=1 http/1.1\r\naccept: application/json, application/yaml, */*;q=0.5\r\nuser-agent: apim-operator/{version}\r\nhost: {}\r\n\r\n",
            server.address
        )]
    );
}

#[tokio::test]
async fn an_unchanged_document_is_confirmed_by_its_etag() {
    let server = Server::start(|head, _| {
        if head.contains("if-none-match: w/\"1\"") {
            answer(304, "", "")
        } else {
            answer(200, "etag: W/\"1\"\r\n", DOCUMENT)
        }
    })
    .await;
    // The server above sees heads in lower case.
    let fetcher = fetcher();
    let url = server.url("127.0.0.1", "/");
    let first = fetcher.fetch(&url, &allow(&["127.0.0.1"])).await.unwrap();
    let second = fetcher.fetch(&url, &allow(&["127.0.0.1"])).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let heads = server.heads();
    assert_eq!(heads.len(), 2);
    assert!(!heads[0].contains("if-none-match"));
    assert!(heads[1].contains("if-none-match: w/\"1\"\r\n"));
    // What is kept is of no use to an instance that may not fetch it.
    let refused = fetcher.fetch(&url, &[]).await.unwrap_err();
    assert!(matches!(refused, FetchError::Refused { .. }), "{refused}");
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test]
async fn a_changed_document_replaces_the_kept_one_and_an_equal_one_does_not() {
    let count = Arc::new(Mutex::new(0));
    let server = Server::start(move |_, _| {
        let mut count = count.lock().unwrap();
        *count += 1;
        answer(200, "", if *count < 3 { "one" } else { "two" })
    })
    .await;
    let fetcher = fetcher();
    let url = server.url("127.0.0.1", "/");
    let mut documents = Vec::new();
    for _ in 0..3 {
        documents.push(fetcher.fetch(&url, &allow(&["127.0.0.1"])).await.unwrap());
    }
    assert!(Arc::ptr_eq(&documents[0], &documents[1]));
    assert_eq!(documents[2].text, "two");
}

#[tokio::test]
async fn an_etag_is_not_sent_to_where_it_did_not_come_from() {
    let server = Server::start(|head, address| {
        if head.starts_with("get /from") {
            answer(
                302,
                &format!("location: http://127.0.0.1:{}/to\r\n", address.port()),
                "",
            )
        } else {
            answer(200, "etag: \"1\"\r\n", DOCUMENT)
        }
    })
    .await;
    let fetcher = fetcher();
    for _ in 0..2 {
        let url = server.url("127.0.0.1", "/from");
        let document = fetcher.fetch(&url, &allow(&["127.0.0.1"])).await.unwrap();
        assert_eq!(document.final_url.as_str(), server.url("127.0.0.1", "/to"));
    }
    let with_etag: Vec<bool> = server
        .heads()
        .iter()
        .map(|head| head.contains("if-none-match"))
        .collect();
    assert_eq!(with_etag, [false, false, false, true]);
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_spelled() {
    let server = Server::start(|_, _| answer(200, "", DOCUMENT)).await;
    let loopback = "a loopback address, from which nothing is fetched unless `specification.allowPrivate` of the ApimInstance lists the host or the address";
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "[::1]",
    ] {
        let error = refusal(&server.url(host, "/"), &[]).await;
        assert!(error.to_string().ends_with(loopback), "{host}: {error}");
        assert_eq!(error.class(), ErrorClass::Denied);
    }
    for host in ["localhost", "LOCALHOST", "a.localhost", "localhost."] {
        let error = refusal(&server.url(host, "/"), &[]).await;
        assert!(error.to_string().ends_with(loopback), "{host}: {error}");
    }
    for (host, kind) in [
        ("10.0.0.1", AddressKind::Private),
        ("169.254.169.254", AddressKind::LinkLocal),
        ("[fd00:ec2::254]", AddressKind::LinkLocal),
        ("0.0.0.0", AddressKind::Reserved),
        ("224.0.0.1", AddressKind::Reserved),
    ] {
        let error = refusal(&format!("http://{host}/"), &["localhost", "*.example"]).await;
        assert_eq!(
            error,
            FetchError::Refused {
                host: host.into(),
                address: host.trim_matches(['[', ']']).parse().unwrap(),
                kind,
            }
        );
    }
    assert_eq!(server.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_host_that_the_instance_allows_is_connected_to() {
    let server = Server::start(|_, _| answer(200, "", DOCUMENT)).await;
    for (host, entry) in [
        ("a.localhost", "a.localhost"),
        ("a.localhost", "127.0.0.0/8"),
        ("127.0.0.1", "127.*"),
    ] {
        let fetched = fetcher()
            .fetch(&server.url(host, "/"), &allow(&[entry]))
            .await;
        assert_eq!(fetched.unwrap().text, DOCUMENT, "{host} {entry}");
    }
    let error = refusal(&server.url("a.localhost", "/"), &["http://x"]).await;
    assert_eq!(
        error.to_string(),
        "`specification.allowPrivate` holds `http://x`, which is no host name, no address, no CIDR range, and none of them with a `*` at one end"
    );
}

#[tokio::test]
async fn each_redirect_is_checked_like_the_first_url() {
    let server = Server::start(|head, address| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let to = match path {
            "/literal" => format!("http://127.0.0.1:{}/secret", address.port()),
            "/name" => format!("http://localhost:{}/secret", address.port()),
            "/metadata" => "http://169.254.169.254/latest/meta-data".to_owned(),
            "/file" => "file:///etc/passwd".to_owned(),
            "/user" => format!("http://u:p@a.localhost:{}/x", address.port()),
            "/nowhere" => String::new(),
            "/relative" => "b/../c".to_owned(),
            "/loop" => "/loop".to_owned(),
            _ => return answer(200, "", path),
        };
        let location = if to.is_empty() {
            to
        } else {
            format!("location: {to}\r\n")
        };
        answer(307, &location, "")
    })
    .await;
    let url = |path: &str| server.url("a.localhost", path);
    let port = server.address.port();
    let table = [
        ("/literal", "`127.0.0.1` leads to 127.0.0.1, a loopback address, from which nothing is fetched unless `specification.allowPrivate` of the ApimInstance lists the host or the address".to_owned()),
        ("/metadata", "`169.254.169.254` leads to 169.254.169.254, a link-local or metadata address, from which nothing is fetched unless `specification.allowPrivate` of the ApimInstance lists the host or the address".to_owned()),
        ("/file", "`file:///etc/passwd` is neither http nor https".to_owned()),
        ("/user", format!("`http://a.localhost:{port}/x` holds a user name or password; the operator sends no credentials, leave them out")),
        ("/nowhere", format!("`{}` redirects without saying where", url("/nowhere"))),
        ("/loop", format!("`{}` redirects more than 5 times", url("/loop"))),
    ];
    for (path, expected) in table {
        assert_eq!(
            refusal(&url(path), &["a.localhost"]).await.to_string(),
            expected
        );
    }
    let error = refusal(&url("/name"), &["a.localhost"]).await;
    assert!(
        matches!(&error, FetchError::Refused { host, .. } if host == "localhost"),
        "{error}"
    );
    let document = fetcher()
        .fetch(&url("/relative"), &allow(&["a.localhost"]))
        .await
        .unwrap();
    assert_eq!(document.text, "/c");
    let heads = server.heads();
    assert!(
        !heads.iter().any(|head| head.contains("secret")),
        "{heads:?}"
    );
    assert_eq!(
        heads
            .iter()
            .filter(|head| head.starts_with("get /loop "))
            .count(),
        6
    );
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_not_followed() {
    let url = "https://a.example/x".parse().unwrap();
    let headers = [(LOCATION, "http://a.example/x".parse().unwrap())]
        .into_iter()
        .collect();
    assert_eq!(
        next_hop(&url, &headers).unwrap_err().to_string(),
        "`https://a.example/x` redirects from https to http, which is not followed; use the URL it leads to"
    );
}

#[tokio::test]
async fn a_document_that_is_too_large_is_cut_off() {
    let server = Server::start(|head, _| match head {
        _ if head.starts_with("get /announced") => {
            Reply::Text("HTTP/1.1 200 OK\r\ncontent-length: 100001\r\n\r\n".into())
        }
        _ if head.starts_with("get /exact") => answer(200, "", &"a".repeat(100_000)),
        _ => Reply::Endless,
    })
    .await;
    for path in ["/announced", "/endless"] {
        let url = server.url("127.0.0.1", path);
        assert_eq!(
            refusal(&url, &["127.0.0.1"]).await,
            FetchError::TooLarge {
                url,
                limit: 100_000
            }
        );
    }
    let exact = fetcher()
        .fetch(&server.url("127.0.0.1", "/exact"), &allow(&["127.0.0.1"]))
        .await;
    assert_eq!(exact.unwrap().text.len(), 100_000);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = Server::start(|head, _| {
        if head.starts_with("get /stuck") {
            Reply::Stuck
        } else {
            Reply::Silent
        }
    })
    .await;
    let config = FetcherConfig {
        read_timeout: Duration::from_millis(100),
        ..FetcherConfig::default()
    };
    let impatient = Fetcher::new(config.clone()).unwrap();
    for path in ["/stuck", "/silent"] {
        let started = Instant::now();
        let url = server.url("127.0.0.1", path);
        let error = impatient
            .fetch(&url, &allow(&["127.0.0.1"]))
            .await
            .unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient);
        assert!(
            error
                .to_string()
                .starts_with(&format!("no answer from `{url}`: timed out")),
            "{error}"
        );
        assert!(started.elapsed() < Duration::from_secs(8));
    }
    let hurried = Fetcher::new(FetcherConfig {
        total_timeout: Duration::from_millis(100),
        ..FetcherConfig::default()
    })
    .unwrap();
    let url = server.url("127.0.0.1", "/silent?key=secret");
    let error = hurried
        .fetch(&url, &allow(&["127.0.0.1"]))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "fetching `{}` took longer than 0.1 s",
            server.url("127.0.0.1", "/silent")
        )
    );
    assert_eq!(error.class(), ErrorClass::Transient);
}

#[tokio::test]
async fn every_other_answer_says_what_to_do_and_when_to_come_back() {
    let server = Server::start(|head, _| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path {
            "/page" => answer(200, "content-type: Text/HTML; charset=utf-8\r\n", "<html>"),
            "/bytes" => {
                Reply::Text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned())
            }
            _ => {
                let status = path.trim_start_matches('/').parse().unwrap_or(200);
                answer(status, "retry-after: 7\r\n", "")
            }
        }
    })
    .await;
    let table = [
        (
            "/401",
            ErrorClass::Waiting,
            " answers with status 401; the operator sends no credentials, so the document must be readable without",
        ),
        (
            "/404",
            ErrorClass::Waiting,
            " answers with status 404; there is no document there",
        ),
        ("/418", ErrorClass::Waiting, " answers with status 418"),
        ("/304", ErrorClass::Waiting, " answers with status 304"),
        ("/408", ErrorClass::Transient, " answers with status 408"),
        (
            "/429",
            ErrorClass::Throttled(Duration::from_secs(7)),
            " answers with status 429",
        ),
        ("/500", ErrorClass::Transient, " answers with status 500"),
        (
            "/503",
            ErrorClass::Throttled(Duration::from_secs(7)),
            " answers with status 503",
        ),
        (
            "/page",
            ErrorClass::Invalid,
            " is a web page and no OpenAPI document; use the link to the raw file",
        ),
    ];
    for (path, class, expected) in table {
        let url = server.url("127.0.0.1", path);
        let error = refusal(&url, &["127.0.0.1"]).await;
        assert_eq!(error.to_string(), format!("`{url}`{expected}"));
        assert_eq!(error.class(), class, "{path}");
    }
    let cut_off = refusal(&server.url("127.0.0.1", "/bytes"), &["127.0.0.1"]).await;
    assert_eq!(cut_off.class(), ErrorClass::Transient, "{cut_off}");
}

#[tokio::test]
async fn what_is_no_url_for_documents_is_refused_before_anything_is_sent() {
    let table = [
        (
            "a?b",
            "`a` is not a URL; write it out, as `https://host/path`",
        ),
        (
            "ftp://a.example/x?secret",
            "`ftp://a.example/x` is neither http nor https",
        ),
        (
            "data:application/json,{}",
            "`data:application/json,{}` is neither http nor https",
        ),
        (
            "https://user:pass@a.example/x",
            "`https://a.example/x` holds a user name or password; the operator sends no credentials, leave them out",
        ),
    ];
    for (url, expected) in table {
        let error = refusal(url, &["*"]).await;
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.class(), ErrorClass::Invalid);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_and_a_name_without_address_are_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?key=secret", listener.local_addr().unwrap());
    drop(listener);
    let error = refusal(&url, &["127.0.0.1"]).await;
    assert_eq!(error.class(), ErrorClass::Transient);
    let message = error.to_string();
    assert!(
        message.contains("refused") && !message.contains("secret"),
        "{message}"
    );

    let error = refusal("http://no-such-name.invalid/", &[]).await;
    assert!(
        matches!(&error, FetchError::Unresolved { host, .. } if host == "no-such-name.invalid"),
        "{error}"
    );
    assert_eq!(error.class(), ErrorClass::Transient);
}

#[test]
fn certificates_that_are_not_pem_are_refused_at_the_start() {
    let config = FetcherConfig {
        extra_ca_pem: b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n".to_vec(),
        ..FetcherConfig::default()
    };
    let error = Fetcher::new(config).unwrap_err();
    assert!(matches!(error, FetcherError::Certificates(_)), "{error}");
}

#[tokio::test]
async fn an_endpoint_of_the_operators_own_pod_or_node_is_not_asked() {
    let server = Server::start(|_, _| answer(200, "", DOCUMENT)).await;
    let fetcher = Fetcher::new(FetcherConfig::default()).unwrap();
    for address in [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "::1",
        "169.254.169.254",
        "168.63.129.16",
        "fd00:ec2::254",
        "0.0.0.0",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let endpoint = SocketAddr::new(address.parse().unwrap(), server.address.port());
        let asked = fetcher.fetch_at(endpoint, "a.b.svc", "/openapi.json").await;
        let error = asked.unwrap_err();
        assert!(
            matches!(error, FetchError::Endpoint { .. }),
            "{address}: {error}"
        );
        assert_eq!(error.class(), ErrorClass::Denied);
    }
    // Pods have such.
    for address in [
        "10.1.2.3",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.7",
        "fd00::7",
    ] {
        let address = address.parse().unwrap();
        assert!(is_endpoint(address, AddressKind::of(address)), "{address}");
    }
    let other = SocketAddr::new([10, 1, 2, 3].into(), 80);
    for path in [
        "//evil.example/x",
        "http://evil.example/x",
        "/\\evil.example/x",
    ] {
        let error = fetcher.fetch_at(other, "a.b.svc", path).await.unwrap_err();
        assert!(
            matches!(error, FetchError::BadUrl { .. }),
            "{path}: {error}"
        );
    }
    assert_eq!(server.heads(), Vec::<String>::new());
}
