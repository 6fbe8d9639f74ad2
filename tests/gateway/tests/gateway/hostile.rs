//! What nobody should send, and what happens then.

use crate::stage::{Backend, LOOPBACK, Stage, inbound};
use apim_gateway::{Limits, Options};
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends bytes and reads what comes until the connection ends.
async fn raw(stage: &Stage, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(stage.gateway.address())
        .await
        .expect("a connection");
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<&str> {
    answer
        .split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|part| part.get(..3))
        .collect()
}

#[tokio::test]
async fn no_request_can_be_smuggled_behind_another() {
    let stage = Stage::new("").await;
    let hidden = "GET /shop/items/hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let requests = [
        // Two lengths that differ.
        format!(
            "POST /shop/items HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n{hidden}"
        ),
        // A length that is no number, and one with a sign.
        format!(
            "POST /shop/items HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\nConnection: close\r\n\r\n{hidden}"
        ),
        format!(
            "POST /shop/items HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\nConnection: close\r\n\r\n{hidden}"
        ),
        // An encoding that is not understood.
        format!(
            "POST /shop/items HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nConnection: close\r\n\r\n{hidden}"
        ),
        // A name with a blank in it, a folded line, two hosts, no host.
        format!("GET /shop/items/7 HTTP/1.1\r\nHost : a\r\nConnection: close\r\n\r\n{hidden}"),
        format!(
            "GET /shop/items/7 HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded: 2\r\nConnection: close\r\n\r\n{hidden}"
        ),
        format!(
            "GET /shop/items/7 HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n{hidden}"
        ),
        format!("GET /shop/items/7 HTTP/1.1\r\nConnection: close\r\n\r\n{hidden}"),
    ];
    for request in requests {
        let answer = raw(&stage, request.as_bytes()).await;
        assert_eq!(statuses(&answer), ["400"], "{request}\n{answer}");
    }
    // Where both a length and chunks are said, the chunks are what counts, and
    // what goes on is framed anew.
    let both = format!(
        "POST /shop/items HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n{hidden}"
    );
    let answer = raw(&stage, both.as_bytes()).await;
    assert!(["200", "400"].contains(&statuses(&answer)[0]), "{answer}");
    assert!(
        stage
            .backend
            .seen()
            .iter()
            .all(|seen| !seen.target.contains("hidden"))
    );
}

#[tokio::test]
async fn paths_that_servers_read_differently_are_refused() {
    let stage = Stage::new("").await;
    for path in [
        "/shop/items/..%2f..%2fadmin",
        "/shop/items/%2e%2e%5cadmin",
        "/shop/items/a%00b",
        "/shop/items/%zz",
        "/shop/items/a\\b",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(&stage, request.as_bytes()).await;
        assert_eq!(statuses(&answer), ["400"], "{path}: {answer}");
    }
    let request = "GET /shop/items/a%2Fb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(statuses(&raw(&stage, request.as_bytes()).await), ["200"]);
    let targets: Vec<String> = stage
        .backend
        .seen()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert_eq!(targets, ["/items/a%2Fb"]);
}

#[tokio::test]
async fn clients_that_are_slow_or_send_too_much_are_cut_off() {
    let options = Options {
        listen: LOOPBACK,
        limits: Limits {
            buffered_body: 1000,
            url: 500,
            head: 8192,
            head_timeout: Duration::from_millis(200),
            body_timeout: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Options::default()
    };
    let buffering = inbound(
        "<validate-content unspecified-content-type-action=\"ignore\" max-size=\"5000\" size-exceeded-action=\"ignore\" />",
    );
    let stage = Stage::as_said(Backend::ok().await, &buffering, options, |_| {}).await;
    let large = stage.post("text/plain", &"x".repeat(1001)).await;
    assert_eq!(
        large.error(),
        (
            413,
            "The request body is larger than 1000 bytes.".to_owned()
        )
    );
    let long = stage.get(&format!("/shop/items/{}", "x".repeat(500))).await;
    assert_eq!(long.status, 414);
    let head = format!(
        "GET /shop/items/7 HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    assert_eq!(statuses(&raw(&stage, head.as_bytes()).await), ["431"]);
    // Nothing at all, a head that never ends, and a body that stops.
    assert_eq!(raw(&stage, b"").await, "");
    assert_eq!(raw(&stage, b"PRI ").await, "");
    let slow_head = raw(&stage, b"GET /shop/items/7 HTTP/1.1\r\nHost: a\r\n").await;
    assert!(
        ["", "408"].contains(&statuses(&slow_head).concat().as_str()),
        "{slow_head}"
    );
    let slow_body = b"POST /shop/items HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf";
    let slow_body = raw(&stage, slow_body).await;
    assert_eq!(statuses(&slow_body), ["408"], "{slow_body}");
    assert_eq!(stage.backend.calls(), 0);
}

#[tokio::test]
async fn chunks_that_servers_count_differently_are_refused() {
    let stage = Stage::new("").await;
    let hidden = "GET /shop/items/hidden HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let heads = [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding : chunked",
        "Content-Length: 3, 3",
        "Content-Length: 3 3",
        "Content-Length: -1",
        "Content-Length: 18446744073709551616",
        "X: a\rb",
        "X: a\u{0}b",
        "X\u{b}: a",
        ": a",
        "X",
    ];
    for head in heads {
        let request =
            format!("POST /shop/items HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\n{hidden}");
        let answer = raw(&stage, request.as_bytes()).await;
        assert_eq!(statuses(&answer), ["400"], "{head:?}\n{answer}");
    }
    for chunks in [
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
    ] {
        let request = format!(
            "POST /shop/items HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{hidden}"
        );
        let answer = raw(&stage, request.as_bytes()).await;
        let told = statuses(&answer);
        assert!(told.len() == 1 && told[0] != "200", "{chunks:?}\n{answer}");
    }
    assert!(
        stage
            .backend
            .seen()
            .iter()
            .all(|seen| !seen.target.contains("hidden"))
    );
}

#[tokio::test]
async fn nothing_that_a_client_sends_becomes_a_line_of_a_message() {
    let from_query = "@(context.Request.OriginalUrl.Query.GetValueOrDefault(\"q\", \"\"))";
    let header = format!("<set-header name=\"X-Sent\"><value>{from_query}</value></set-header>");
    let request = Stage::new(&inbound(&header)).await;
    let response = Stage::new(&format!("<outbound><base />{header}</outbound>")).await;
    let query = Stage::new(&inbound(&format!(
        "<set-query-parameter name=\"sent\"><value>{from_query}</value></set-query-parameter>"
    )))
    .await;
    let broken = [
        "a%0d%0aX-Injected:%201",
        "a%0aX-Injected:%201",
        "a%0dX-Injected:%201",
        "a%00b",
        "a%0d%0a%0d%0aGET%20/shop/items/hidden%20HTTP/1.1",
    ];
    for sent in broken {
        let path = format!("/shop/items/7?q={sent}");
        for stage in [&request, &response] {
            let answer = stage.get(&path).await;
            assert_eq!(answer.status, 500, "{sent}");
            assert_eq!(answer.header("x-injected"), None);
            assert_eq!(answer.header("x-sent"), None);
        }
        assert_eq!(query.get(&path).await.whole(), (200, "ok"), "{sent}");
        let seen = query.backend.last();
        assert_eq!(seen.header("x-injected"), None);
        assert!(seen.target.starts_with("/items/7?q=a%0"), "{}", seen.target);
        let lines = ['\r', '\n', '\0', ' '];
        assert!(!seen.target.contains(lines), "{}", seen.target);
    }
    assert_eq!(request.backend.calls(), 0);
    assert_eq!(query.backend.calls(), broken.len());
    // Text that is no line break stays.
    let path = "/shop/items/7?q=a%20b";
    assert_eq!(response.get(path).await.header("x-sent"), Some("a b"));
    request.get(path).await;
    assert_eq!(request.backend.last().header("x-sent"), Some("a b"));
}

/// Sends bytes one at a time, with a pause before each, until nobody listens or
/// all are sent; then what was answered.
async fn drip(stage: &Stage, start: &[u8], drop: u8, most: usize) -> String {
    let mut stream = TcpStream::connect(stage.gateway.address())
        .await
        .expect("a connection");
    stream.write_all(start).await.expect("sent");
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let dripping = async {
        for _ in 0..most {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if write.write_all(&[drop]).await.is_err() {
                break;
            }
        }
        // Whoever is still waited for is waited for to the end.
        std::future::pending::<()>().await;
    };
    let reading = read.read_to_end(&mut answer);
    let ended = tokio::time::timeout(Duration::from_mins(1), async {
        tokio::select! {
            _ = reading => {}
            () = dripping => {}
        }
    });
    ended.await.expect("the gateway ends it");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_never_stops_dripping_is_cut_off() {
    let options = Options {
        listen: LOOPBACK,
        limits: Limits {
            head_timeout: Duration::from_millis(300),
            body_timeout: Duration::from_millis(300),
            ..Limits::default()
        },
        ..Options::default()
    };
    let buffering = inbound("<set-body>@(context.Request.Body.As<string>())</set-body>");
    let stage = Stage::as_said(Backend::ok().await, &buffering, options, |_| {}).await;
    // Far more than can be sent within the limits.
    let head = b"GET /shop/items/7 HTTP/1.1\r\nHost: a\r\nX: ";
    let slow_head = drip(&stage, head, b'x', 10_000).await;
    assert!(
        ["", "408"].contains(&statuses(&slow_head).concat().as_str()),
        "{slow_head}"
    );
    let body = b"POST /shop/items HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n";
    let slow_body = drip(&stage, body, b'x', 10_000).await;
    assert_eq!(statuses(&slow_body), ["408"], "{slow_body}");
    let chunks = b"POST /shop/items HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1";
    let endless_size = drip(&stage, chunks, b';', 10_000).await;
    assert!(
        ["", "400", "408"].contains(&statuses(&endless_size).concat().as_str()),
        "{endless_size}"
    );
    assert_eq!(stage.backend.calls(), 0);
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_at_the_limit() {
    let options = Options {
        listen: LOOPBACK,
        limits: Limits {
            buffered_body: 1000,
            ..Limits::default()
        },
        ..Options::default()
    };
    let buffering = inbound("<set-body>@(context.Request.Body.As<string>())</set-body>");
    let stage = Stage::as_said(Backend::ok().await, &buffering, options, |_| {}).await;
    let head = "POST /shop/items HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 400, "x".repeat(400));
    for (count, status) in [(2, "200"), (3, "413"), (500, "413")] {
        let request = format!("{head}{}0\r\n\r\n", chunk.repeat(count));
        let answer = raw(&stage, request.as_bytes()).await;
        assert_eq!(statuses(&answer), [status], "{count} chunks: {answer}");
    }
    assert_eq!(stage.backend.calls(), 1);
    assert_eq!(stage.backend.last().body.len(), 800);
}

fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let header = ("[A-Za-z-]{1,12}", "[ -~\\x80-\\xff]{0,30}");
    let headers = proptest::collection::vec(header, 0..6);
    let path = "/(shop|SHOP;rev=[0-9a]{1,3}|x)?(/items)?[ -~]{0,20}";
    let method = "(GET|POST|OPTIONS|HEAD|CONNECT|TRACE|[A-Z]{1,8})";
    let structured = (method, path, headers).prop_map(|(method, path, headers)| {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
        }
        request.push_str("\r\n");
        request.into_bytes()
    });
    prop_oneof![4 => structured, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
}

#[test]
fn any_bytes_are_survived_and_only_the_operation_is_reached() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let options = Options {
        listen: LOOPBACK,
        limits: Limits {
            head_timeout: Duration::from_millis(50),
            body_timeout: Duration::from_millis(50),
            ..Limits::default()
        },
        ..Options::default()
    };
    let token = inbound(
        "<validate-jwt header-name=\"Authorization\"><issuer-signing-keys><key>MDEyMzQ1Njc4OWFiY2RlZg==</key></issuer-signing-keys></validate-jwt>",
    );
    let stage = runtime
        .block_on(async { Stage::as_said(Backend::ok().await, &token, options, |_| {}).await });
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(150)
    };
    proptest!(config, |(bytes in any_request())| {
        let answer = runtime.block_on(raw(&stage, &bytes));
        let unprotected = statuses(&answer).contains(&"200");
        prop_assert!(!unprotected, "{}\n{answer}", String::from_utf8_lossy(&bytes));
    });
    let sane = runtime.block_on(stage.item());
    assert_eq!((sane.status, stage.backend.calls()), (401, 0));
}
