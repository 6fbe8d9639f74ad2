//! What servers may do wrong, by accident or on purpose: each has its own
//! error, and nothing of it costs more than it may.

#![allow(clippy::unwrap_used, reason = "helper functions of tests, too")]

mod support;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use futures::stream;
use operator_core::address::AddressKind;
use operator_core::class::ErrorClass;
use operator_plugin_source::{
    Artifact, Cause, Digest, RegistryAuth, Source, SourceError, Sources, SourcesConfig, TlsFault,
};
use support::fake::{EMPTY, Fake, Files, INDEX, MANIFEST, answer, manifest_of, manifest_with};
use support::{certificate, plugin, sources};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0 a small one";

/// Status, headers, body; the error and its class.
type Case = (
    u16,
    &'static [(&'static str, &'static str)],
    &'static str,
    Cause,
    ErrorClass,
);
type Change = Box<dyn FnOnce(&mut rcgen::CertificateParams)>;

/// What comes of resolving and pulling.
async fn outcome(source: &Source) -> Result<Bytes, SourceError> {
    outcome_with(&sources(None), source).await
}

async fn outcome_with(sources: &Sources, source: &Source) -> Result<Bytes, SourceError> {
    let resolved = sources.resolve(source).await?;
    Ok(sources.pull(&resolved).await?.bytes)
}

/// A registry whose manifest is right and whose layer is answered as given.
async fn with_layer(size: u64, layer: impl Fn() -> Response<Body> + Send + Sync + 'static) -> Fake {
    let manifest = manifest_with("application/wasm", &Digest::of(WASM).to_string(), size);
    let files = Files::default().manifest("1", MANIFEST, &manifest);
    Fake::start(move |request| {
        if request.path.contains("/blobs/") {
            layer()
        } else {
            files.answer(&request.path)
        }
    })
    .await
}

/// A registry that closes the connection in the middle of the layer.
async fn breaking_off(head: String, part: &'static [u8]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(connection.read_u8().await.unwrap());
            }
            let answer = if String::from_utf8_lossy(&request).contains("/blobs/") {
                [b"HTTP/1.1 200 OK\r\n", head.as_bytes(), part].concat()
            } else {
                let manifest = manifest_of(WASM);
                let length = manifest.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
                );
                [head.as_bytes(), &manifest].concat()
            };
            connection.write_all(&answer).await.unwrap();
        }
    });
    host
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a table")]
async fn each_status_has_its_error_and_its_class() {
    let said = r#"{"errors":[{"code":"UNKNOWN","message":"disk is\nfull"}]}"#;
    let throttled = |seconds| Duration::from_secs(seconds);
    let table: [Case; 9] = [
        (
            403,
            &[],
            "",
            Cause::Unauthorised {
                status: 403,
                anonymous: true,
            },
            ErrorClass::Denied,
        ),
        (
            404,
            &[],
            "",
            Cause::NotFound {
                what: "the tag 1".into(),
            },
            ErrorClass::Waiting,
        ),
        (
            429,
            &[("retry-after", "7")],
            "",
            Cause::Throttled {
                after: throttled(7),
            },
            ErrorClass::Throttled(throttled(7)),
        ),
        (
            429,
            &[],
            "",
            Cause::Throttled {
                after: throttled(60),
            },
            ErrorClass::Throttled(throttled(60)),
        ),
        // Nobody is made to wait for a day.
        (
            429,
            &[("retry-after", "86400")],
            "",
            Cause::Throttled {
                after: throttled(3600),
            },
            ErrorClass::Throttled(throttled(3600)),
        ),
        (
            503,
            &[("retry-after", "5")],
            "",
            Cause::Throttled {
                after: throttled(5),
            },
            ErrorClass::Throttled(throttled(5)),
        ),
        (
            500,
            &[],
            said,
            Cause::Server {
                status: 500,
                message: "UNKNOWN disk is full".into(),
            },
            ErrorClass::Transient,
        ),
        (
            502,
            &[],
            "<html>bad gateway",
            Cause::Server {
                status: 502,
                message: "<html>bad gateway".into(),
            },
            ErrorClass::Transient,
        ),
        (
            418,
            &[],
            "",
            Cause::Rejected {
                status: 418,
                message: String::new(),
            },
            ErrorClass::Denied,
        ),
    ];
    for (status, headers, body, cause, class) in table {
        let headers: Vec<_> = headers.to_vec();
        let fake = Fake::start(move |_| answer(status, &headers, body)).await;
        let error = outcome(&fake.source("a/b:1")).await.unwrap_err();
        assert_eq!(error.cause, cause);
        assert_eq!(error.class(), class, "{status}");
        assert_eq!(error.origin, format!("{}/a/b:1", fake.host));
        // A file on an HTTP server is no better off.
        if status != 404 {
            let error = outcome(&fake.file("/cors.wasm", WASM)).await.unwrap_err();
            assert_eq!(error.cause, cause);
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_left() {
    let slow = Sources::new(SourcesConfig {
        timeout: Duration::from_millis(300),
        ..SourcesConfig::default()
    })
    .unwrap();
    let limit = Duration::from_millis(300);
    // It takes the connection and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Source::Oci {
        reference: format!("{}/a/b:1", listener.local_addr().unwrap()),
        auth: RegistryAuth::Anonymous,
        ca_pem: None,
        plain_http: true,
    };
    // It sends a byte now and then, for ever.
    let dripping = with_layer(1000, || {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        answer(200, &[], Body::from_stream(drops))
    });
    for source in [silent, dripping.await.source("a/b:1")] {
        let started = Instant::now();
        let error = outcome_with(&slow, &source).await.unwrap_err();
        assert_eq!(error.cause, Cause::TimedOut { limit });
        assert_eq!(error.class(), ErrorClass::Transient);
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_layer_that_is_not_the_declared_one_is_refused() {
    let size = WASM.len() as u64;
    // The connection breaks, with and without a length.
    for head in [
        format!("content-length: {size}\r\n\r\n"),
        "transfer-encoding: chunked\r\n\r\na\r\n".to_owned(),
    ] {
        let host = breaking_off(head, &WASM[..10]).await;
        let source = Source::Oci {
            reference: format!("{host}/a/b:1"),
            auth: RegistryAuth::Anonymous,
            ca_pem: None,
            plain_http: true,
        };
        let error = outcome(&source).await.unwrap_err();
        let expected = Cause::Truncated {
            expected: size,
            found: 10,
        };
        assert_eq!(error.cause, expected);
        assert_eq!(error.class(), ErrorClass::Transient);
    }
    // It ends early, and says that this is all.
    let fake = with_layer(size, || answer(200, &[], &WASM[..10])).await;
    let error = outcome(&fake.source("a/b:1")).await.unwrap_err();
    assert_eq!(
        error.cause,
        Cause::Truncated {
            expected: size,
            found: 10
        }
    );

    // It has the length and other bytes.
    let fake = with_layer(size, || answer(200, &[], WASM.to_ascii_uppercase())).await;
    let error = outcome(&fake.source("a/b:1")).await.unwrap_err();
    let found = Digest::of(&WASM.to_ascii_uppercase());
    let expected = Digest::of(WASM);
    assert_eq!(
        error.cause,
        Cause::DigestMismatch {
            what: "the plugin",
            expected,
            found
        }
    );
    assert_eq!(error.class(), ErrorClass::Invalid);

    // It goes on after its end.
    let fake = with_layer(size, || answer(200, &[], [WASM, b"more"].concat())).await;
    let error = outcome(&fake.source("a/b:1")).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Protocol(_)), "{error}");
}

#[tokio::test]
async fn nothing_larger_than_the_limit_is_read() {
    let small = Sources::new(SourcesConfig {
        max_bytes: 1000,
        ..SourcesConfig::default()
    })
    .unwrap();
    let too_large = |size| Cause::TooLarge {
        what: "the plugin",
        size,
        limit: 1000,
    };

    // Declared in the manifest: the layer is not even asked for.
    let fake = with_layer(1001, || answer(200, &[], vec![0; 1001])).await;
    let error = outcome_with(&small, &fake.source("a/b:1"))
        .await
        .unwrap_err();
    assert_eq!(error.cause, too_large(Some(1001)));
    assert_eq!(fake.paths(), ["GET /v2/a/b/manifests/1"]);
    assert_eq!(
        error.to_string(),
        format!(
            "{}/a/b:1: the plugin is larger than the 1000 bytes that are accepted (1001 bytes)",
            fake.host
        )
    );

    // Declared by the server.
    let fake = Fake::start(|_| answer(200, &[], vec![0; 1001])).await;
    let error = outcome_with(&small, &fake.file("/a.wasm", WASM))
        .await
        .unwrap_err();
    assert_eq!(error.cause, too_large(Some(1001)));

    // Not declared at all, and without an end.
    let fake = Fake::start(|_| {
        let endless =
            stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 512])));
        answer(200, &[], Body::from_stream(endless))
    });
    let fake = fake.await;
    let error = outcome_with(&small, &fake.file("/a.wasm", WASM))
        .await
        .unwrap_err();
    assert_eq!(error.cause, too_large(None));

    // A manifest has its own limit.
    let error = outcome_with(&small, &fake.source("a/b:1"))
        .await
        .unwrap_err();
    let limit = 4 * 1024 * 1024;
    assert_eq!(
        error.cause,
        Cause::TooLarge {
            what: "the manifest",
            size: None,
            limit
        }
    );
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_before_it_is_pulled() {
    let digest = Digest::of(WASM).to_string();
    let two = String::from_utf8(manifest_of(WASM)).unwrap();
    let layer = two
        .split_once("\"layers\":[")
        .unwrap()
        .1
        .split_once(']')
        .unwrap()
        .0;
    let two = two.replace(layer, &format!("{layer},{layer}"));
    let none = two.replace(&format!("{layer},{layer}"), "");
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#);
    let docker = manifest_with(
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        &digest,
        10,
    );
    let old = br#"{"schemaVersion":1,"name":"a/b"}"#;
    let refusals: [(&str, &[u8], &str); 7] = [
        (
            MANIFEST,
            &docker,
            "the layer has the media type `application/vnd.docker.image.rootfs.diff.tar.gzip`; expected `application/wasm`",
        ),
        (
            MANIFEST,
            two.as_bytes(),
            "the artifact has 2 layers; a plugin has exactly one",
        ),
        (MANIFEST, none.as_bytes(), "the artifact has 0 layers"),
        (
            INDEX,
            index.as_bytes(),
            "the artifact is an index of several, it has the media type `application/vnd.oci.image.index.v1+json`",
        ),
        // The document says what it is, not the header.
        (
            MANIFEST,
            index.as_bytes(),
            "the artifact is an index of several",
        ),
        ("text/html", b"<html>", "the manifest is no JSON object"),
        (MANIFEST, old, "the manifest cannot be read"),
    ];
    for (media_type, manifest, expected) in refusals {
        let fake = Fake::files(Files::default().manifest("1", media_type, manifest)).await;
        let error = sources(None)
            .resolve(&fake.source("a/b:1"))
            .await
            .unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(&format!("/a/b:1: {expected}")) || message.contains(expected),
            "{message}"
        );
        assert_eq!(fake.paths(), ["GET /v2/a/b/manifests/1"]);
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_the_one_asked_for_is_refused() {
    let manifest = manifest_of(WASM);
    let asked = Digest::of(b"another");
    let found = Digest::of(&manifest);
    let body = manifest.clone();
    let fake = Fake::start(move |_| answer(200, &[("content-type", MANIFEST)], body.clone())).await;
    let error = outcome(&fake.source(&format!("a/b@{asked}")))
        .await
        .unwrap_err();
    let expected = Cause::DigestMismatch {
        what: "the manifest",
        expected: asked,
        found,
    };
    assert_eq!(error.cause, expected);
    // A registry that contradicts itself is not believed either.
    let promised = asked.to_string();
    let fake = Fake::start(move |_| {
        answer(
            200,
            &[("docker-content-digest", &promised)],
            manifest.clone(),
        )
    });
    let error = outcome(&fake.await.source("a/b:1")).await.unwrap_err();
    assert_eq!(error.cause, expected);
}

#[tokio::test]
async fn the_metadata_service_is_never_reached() {
    let refused = |host: &str| Cause::Refused {
        host: host.into(),
        address: host.trim_matches(['[', ']']).parse().unwrap(),
        kind: AddressKind::LinkLocal,
    };
    for host in ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]"] {
        let target = format!("http://{host}/latest/meta-data");
        // By a redirect of a layer, of a file, and as a token service.
        let location = target.clone();
        let layer = with_layer(WASM.len() as u64, move || {
            answer(307, &[("location", &location)], "")
        })
        .await;
        let location = target.clone();
        let file = Fake::start(move |_| answer(302, &[("location", &location)], "")).await;
        let challenge = format!("Bearer realm=\"{target}\"");
        let realm =
            Fake::start(move |_| answer(401, &[("www-authenticate", &challenge)], "")).await;
        let direct = Source::Http {
            url: target,
            sha256: Digest::of(WASM),
            ca_pem: None,
        };
        for source in [
            layer.source("a/b:1"),
            file.file("/a.wasm", WASM),
            realm.source("a/b:1"),
            direct,
        ] {
            let error = outcome(&source).await.unwrap_err();
            assert_eq!(error.cause, refused(host), "{source:?}");
            assert_eq!(error.class(), ErrorClass::Denied);
        }
    }
    let registry = Source::Oci {
        reference: "169.254.169.254/a/b:1".into(),
        auth: RegistryAuth::Anonymous,
        ca_pem: None,
        plain_http: false,
    };
    let error = outcome(&registry).await.unwrap_err();
    assert_eq!(error.cause, refused("169.254.169.254"));
}

#[tokio::test]
async fn redirects_are_followed_with_care() {
    let target = Fake::files(Files::default().with("/real.wasm", "application/wasm", WASM)).await;
    let host = target.host.clone();
    let first = Fake::start(move |_| {
        answer(
            302,
            &[("location", &format!("http://{host}/real.wasm"))],
            "",
        )
    });
    let pulled = outcome(&first.await.file("/a.wasm?token=geheim", WASM))
        .await
        .unwrap();
    assert_eq!(pulled, WASM);
    for (location, expected) in [
        ("/again", "is redirected more than 5 times"),
        (
            "ftp://a.example/x",
            "`ftp://a.example/x` is neither http nor https",
        ),
        (
            "http://me:geheim@a.example/",
            "is redirected to a URL with credentials",
        ),
        ("http://", "is redirected to something that is not a URL"),
    ] {
        let fake = Fake::start(move |_| answer(301, &[("location", location)], "")).await;
        let error = outcome(&fake.file("/a.wasm", WASM)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.to_string().contains("geheim"), "{error}");
    }
    let fake = Fake::start(|_| answer(301, &[], "")).await;
    let error = outcome(&fake.file("/a.wasm?token=geheim", WASM))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "http://{}/a.wasm: is redirected without saying where",
            fake.host
        )
    );
}

#[tokio::test]
async fn credentials_do_not_travel_along_redirects() {
    let store = Fake::start(|_| answer(200, &[], WASM)).await;
    let location = format!("http://{}/store", store.host);
    let manifest = manifest_of(WASM);
    let registry = Fake::start(move |request| {
        if request.header("authorization") != Some("Basic bWU6cHc=") {
            return answer(401, &[("www-authenticate", "Basic realm=\"r\"")], "");
        }
        if request.path.contains("/blobs/") {
            return answer(307, &[("location", &location)], "");
        }
        answer(200, &[("content-type", MANIFEST)], manifest.clone())
    });
    let auth = RegistryAuth::Basic {
        username: "me".into(),
        password: "pw".into(),
    };
    let pulled = outcome(&registry.await.source_as("a/b:1", auth))
        .await
        .unwrap();
    assert_eq!(pulled, WASM);
    let [seen] = store.seen().try_into().unwrap();
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test]
async fn a_token_is_fetched_where_the_registry_says() {
    let tokens = Fake::start(|request| match request.header("authorization") {
        // me:pw
        Some("Basic bWU6cHc=") => answer(200, &[], r#"{"access_token":"t1"}"#),
        Some(_) => answer(401, &[], "geheim"),
        None => answer(200, &[], r#"{"token":"anonymous"}"#),
    })
    .await;
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"r\"",
        tokens.host
    );
    let files = Files::default()
        .blob(WASM)
        .manifest("1", MANIFEST, &manifest_of(WASM));
    let registry = Fake::start(move |request| match request.header("authorization") {
        Some("Bearer t1") => files.answer(&request.path),
        _ => answer(401, &[("www-authenticate", &challenge)], ""),
    })
    .await;
    let auth = |password: &str| RegistryAuth::Basic {
        username: "me".into(),
        password: password.into(),
    };
    let pulled = outcome(&registry.source_as("a/b:1", auth("pw")))
        .await
        .unwrap();
    assert_eq!(pulled, WASM);
    assert_eq!(
        tokens.seen()[0].path,
        "/token?scope=repository%3Aa%2Fb%3Apull&service=r"
    );
    // Wrong credentials, and none.
    let wrong = outcome(&registry.source_as("a/b:1", auth("geheim")))
        .await
        .unwrap_err();
    assert_eq!(
        wrong.cause,
        Cause::Unauthorised {
            status: 401,
            anonymous: false
        }
    );
    let nobody = outcome(&registry.source("a/b:1")).await.unwrap_err();
    assert_eq!(
        nobody.cause,
        Cause::Unauthorised {
            status: 401,
            anonymous: true
        }
    );
    // What the token service answers is not repeated, nor is the password.
    for text in [
        format!("{wrong}"),
        format!("{wrong:?}"),
        format!("{:?}", auth("geheim")),
    ] {
        assert!(!text.contains("geheim"), "{text}");
    }
}

#[tokio::test]
async fn tags_come_in_pages_and_from_the_registry_alone() {
    let pages = |next: &'static str| {
        Fake::start(move |request| match request.path.as_str() {
            "/v2/a/b/tags/list" => {
                let list = r#"{"name":"a/b","tags":["1.0.0","1.1.0"]}"#;
                answer(200, &[("link", next)], list)
            }
            _ => answer(200, &[], r#"{"name":"a/b","tags":null}"#),
        })
    };
    let fake = pages("</v2/a/b/tags/list?n=2&last=1.1.0>; rel=\"next\"").await;
    let tags = sources(None).tags(&fake.source("a/b:1")).await.unwrap();
    assert_eq!(tags, ["1.0.0", "1.1.0"]);
    assert_eq!(
        fake.paths(),
        [
            "GET /v2/a/b/tags/list",
            "GET /v2/a/b/tags/list?n=2&last=1.1.0"
        ]
    );
    let fake = pages("<http://127.0.0.1:1/v2/a/b/tags/list>; rel=\"next\"").await;
    let error = sources(None).tags(&fake.source("a/b:1")).await.unwrap_err();
    assert!(
        error.to_string().contains("goes on at another place"),
        "{error}"
    );
    // A list without an end is not followed for ever.
    let fake = Fake::start(|_| {
        answer(
            200,
            &[("link", "</v2/a/b/tags/list>; rel=next")],
            r#"{"tags":["1"]}"#,
        )
    })
    .await;
    let tags = sources(None).tags(&fake.source("a/b:1")).await.unwrap();
    assert_eq!(tags.len(), fake.seen().len());
    assert!(tags.len() <= 50, "{}", tags.len());
}

#[tokio::test]
async fn an_upload_goes_without_credentials_to_another_host() {
    let store = Fake::start(|_| answer(201, &[], "")).await;
    let place = format!("http://{}/upload?session=1", store.host);
    let registry = Fake::start(move |request| {
        if request.header("authorization").is_none() {
            return answer(401, &[("www-authenticate", "Basic realm=\"r\"")], "");
        }
        match request.method.as_str() {
            "POST" => answer(202, &[("location", &place)], ""),
            "PUT" => answer(201, &[], ""),
            _ => answer(404, &[], ""),
        }
    })
    .await;
    let auth = RegistryAuth::Basic {
        username: "me".into(),
        password: "pw".into(),
    };
    let artifact = Artifact {
        wasm: Bytes::from_static(WASM),
        ..Artifact::default()
    };
    let target = registry.source_as("a/b:1", auth);
    let pushed = sources(None).push(&target, &artifact).await.unwrap();
    assert_eq!(pushed.digest, Digest::of(WASM));
    let uploads = store.seen();
    assert_eq!(
        uploads[0].path,
        format!(
            "/upload?session=1&digest={}",
            pushed.digest.to_string().replace(':', "%3A")
        )
    );
    assert!(
        uploads
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
    // Where it is pushed to must be a tag.
    for reference in [
        format!("a/b@{}", pushed.manifest),
        format!("a/b:1@{}", pushed.manifest),
    ] {
        let error = sources(None)
            .push(&registry.source(&reference), &artifact)
            .await;
        assert!(matches!(error.unwrap_err().cause, Cause::BadReference(_)));
    }
}

#[tokio::test]
async fn a_certificate_that_is_out_of_time_or_of_another_name_is_said_so() {
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let cases: [(&str, Change, TlsFault); 3] = [
        (
            "127.0.0.1",
            Box::new(move |params| {
                (params.not_before, params.not_after) = (year(2001), year(2002));
            }),
            TlsFault::Expired,
        ),
        (
            "127.0.0.1",
            Box::new(move |params| {
                (params.not_before, params.not_after) = (year(2900), year(2901));
            }),
            TlsFault::NotYetValid,
        ),
        (
            "other.localhost",
            Box::new(|_| {}),
            TlsFault::WrongName("other.localhost".into()),
        ),
    ];
    for (host, change, fault) in cases {
        let (ca, cert, key) = certificate(change);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = axum_server::tls_rustls::RustlsConfig::from_pem(cert.into(), key.into());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = axum_server::from_tcp_rustls(listener, tls.await.unwrap()).unwrap();
        tokio::spawn(server.serve(axum::Router::new().into_make_service()));
        let source = Source::Oci {
            reference: format!("{host}:{port}/a/b:1"),
            auth: RegistryAuth::Anonymous,
            ca_pem: Some(ca.into_bytes()),
            plain_http: false,
        };
        let error = outcome(&source).await.unwrap_err();
        assert_eq!(error.cause, Cause::Tls(fault));
        assert_eq!(error.class(), ErrorClass::Denied);
    }
}

#[tokio::test]
async fn a_file_is_what_its_digest_says() {
    let wasm = plugin("file");
    let content = wasm.to_vec();
    let fake = Fake::files(Files::default().with("/a.wasm", "application/wasm", &content)).await;
    let folder = tempfile::tempdir().unwrap();
    let cached = sources(Some(folder.path()));
    assert_eq!(
        outcome_with(&cached, &fake.file("/a.wasm", &content))
            .await
            .unwrap(),
        wasm
    );
    // A second time costs no request.
    assert_eq!(
        outcome_with(&cached, &fake.file("/a.wasm", &content))
            .await
            .unwrap(),
        wasm
    );
    assert_eq!(fake.paths(), ["GET /a.wasm"]);

    let error = outcome(&fake.file("/a.wasm", b"another"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "http://{}/a.wasm: the plugin has the digest {} and not {}; it was changed, or another one was meant",
            fake.host,
            Digest::of(&wasm),
            Digest::of(b"another"),
        )
    );
    // A pin is held against what was resolved, before anything is fetched.
    let resolved = cached.resolve(&fake.file("/a.wasm", b"another")).await;
    let resolved = resolved.unwrap();
    assert_eq!(resolved.check_pin(Digest::of(b"another")), Ok(()));
    let other = resolved.check_pin(Digest::of(&wasm)).unwrap_err();
    assert_eq!(other.class(), ErrorClass::Invalid);
    let missing = outcome(&fake.file("/b.wasm", &content)).await.unwrap_err();
    assert_eq!(missing.class(), ErrorClass::Waiting);
}

#[tokio::test]
async fn a_file_of_this_machine_and_bytes_that_are_here_need_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cors.wasm");
    let file = Source::File { path: path.clone() };
    let error = outcome(&file).await.unwrap_err();
    assert_eq!(
        error.cause,
        Cause::NotFound {
            what: "the file".into()
        }
    );
    std::fs::write(&path, WASM).unwrap();
    let sources = sources(None);
    let resolved = sources.resolve(&file).await.unwrap();
    assert_eq!(resolved.digest, Digest::of(WASM));
    // What was resolved is what is pulled, whatever happens in between.
    std::fs::write(&path, b"evil").unwrap();
    assert_eq!(sources.pull(&resolved).await.unwrap().bytes, WASM);
    std::fs::write(&path, vec![0; 1024 * 1024 + 1]).unwrap();
    let error = outcome(&file).await.unwrap_err();
    assert_eq!(
        error.cause,
        Cause::TooLarge {
            what: "the file",
            size: Some(1_048_577),
            limit: 1_048_576
        }
    );
    let here = Source::Bytes {
        origin: "ConfigMap plugins, key cors.wasm".into(),
        bytes: Bytes::from_static(WASM),
    };
    assert_eq!(outcome(&here).await.unwrap(), WASM);
}

#[tokio::test]
async fn what_wkg_and_oras_push_is_accepted() {
    let digest = Digest::of(WASM);
    let size = WASM.len();
    let wkg = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.wasm.config.v0+json","digest":"{EMPTY}","size":2}},"layers":[{{"mediaType":"application/wasm","digest":"{digest}","size":{size}}}],"annotations":{{"org.opencontainers.image.version":"1.2.0","org.opencontainers.image.description":"CORS"}}}}"#
    );
    // `oras push … cors.wasm:application/wasm`, since 1.0: an artifact type,
    // the empty config inline, and the file's name.
    let oras = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","artifactType":"application/vnd.unknown.artifact.v1","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{EMPTY}","size":2,"data":"e30="}},"layers":[{{"mediaType":"application/wasm","digest":"{digest}","size":{size},"annotations":{{"org.opencontainers.image.title":"cors.wasm"}}}}],"annotations":{{"org.opencontainers.image.created":"2026-01-01T00:00:00Z"}}}}"#
    );
    // wasm-to-oci and its time: another type, and no media type in the manifest.
    let old = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.wasm.config.v1+json","digest":"{EMPTY}","size":2}},"layers":[{{"mediaType":"application/vnd.wasm.content.layer.v1+wasm","digest":"{digest}","size":{size}}}],"annotations":null}}"#
    );
    for manifest in [wkg, oras, old] {
        let files = Files::default()
            .blob(WASM)
            .manifest("1", MANIFEST, manifest.as_bytes());
        let fake = Fake::files(files).await;
        assert_eq!(
            outcome(&fake.source("a/b:1")).await.unwrap(),
            WASM,
            "{manifest}"
        );
    }
}

#[tokio::test]
async fn references_that_cannot_be_are_refused_with_an_example() {
    for reference in [
        "https://r.example/a:1",
        "r.example/A/b:1",
        "",
        "r.example/a/b@sha256:12",
    ] {
        let source = Source::Oci {
            reference: reference.into(),
            auth: RegistryAuth::Anonymous,
            ca_pem: None,
            plain_http: false,
        };
        let error = outcome(&source).await.unwrap_err();
        assert!(matches!(error.cause, Cause::BadReference(_)), "{error}");
        assert_eq!(error.class(), ErrorClass::Invalid);
        assert!(
            error.to_string().contains("<registry>/<repository>:<tag>"),
            "{error}"
        );
    }
    for url in [
        "r.example/a.wasm",
        "ftp://r.example/a",
        "http://me:geheim@r.example/a",
    ] {
        let source = Source::Http {
            url: url.into(),
            sha256: Digest::of(WASM),
            ca_pem: None,
        };
        let error = outcome(&source).await.unwrap_err();
        assert!(matches!(error.cause, Cause::BadReference(_)), "{error}");
        assert!(!format!("{error} {source:?}").contains("geheim"), "{error}");
    }
    let source = Source::Http {
        url: "https://r.example/a".into(),
        sha256: Digest::of(WASM),
        ca_pem: Some(b"junk".to_vec()),
    };
    let error = outcome(&source).await.unwrap_err();
    assert!(matches!(error.cause, Cause::BadSettings(_)), "{error}");
}
