//! What is forwarded, how often, and what happens when the backend fails.

use crate::stage::{Backend, Seen, Stage, inbound, reply};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn backend(policies: &str) -> String {
    format!("<backend>{policies}</backend>")
}

#[tokio::test]
async fn headers_of_the_connection_stay_and_the_caller_is_named() {
    let stage = Stage::new("").await;
    let body = "x".repeat(100_000);
    let headers = [
        ("connection", "x-private"),
        ("x-private", "1"),
        ("te", "trailers"),
        ("x-forwarded-for", "203.0.113.9"),
        ("content-type", "text/plain"),
    ];
    let answer = stage.call("POST", "/shop/items", &headers, &body).await;
    assert_eq!(answer.whole(), (200, "ok"));
    let seen = stage.backend.last();
    assert_eq!(seen.body.len(), body.len());
    for gone in ["x-private", "te", "connection"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    assert_eq!(
        seen.header("x-forwarded-for"),
        Some("203.0.113.9, 127.0.0.1")
    );
    assert_eq!(
        seen.header("host"),
        Some(stage.backend.url.trim_start_matches("http://"))
    );
    assert_eq!(seen.header("content-length"), Some("100000"));
}

#[tokio::test]
async fn a_backend_that_is_not_there_or_says_nothing_is_an_internal_error() {
    let stage = Stage::with(Backend::ok().await, "", |service| {
        service.apis[0].service_url = Some("http://127.0.0.1:9".to_owned());
    })
    .await;
    let answer = stage.item().await;
    assert_eq!(answer.error(), (500, "Internal server error".to_owned()));
    assert!(
        answer.body.contains("\"activityId\": \""),
        "{}",
        answer.body
    );

    let none = Stage::with(Backend::ok().await, "", |service| {
        service.apis[0].service_url = None;
    })
    .await;
    assert_eq!(none.item().await.status, 500);

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let slow = Stage::with(
        Backend::ok().await,
        &backend("<forward-request timeout-ms=\"50\" />"),
        |service| {
            service.apis[0].service_url = Some(url);
        },
    )
    .await;
    assert_eq!(slow.item().await.status, 500);
}

/// A server that says `answer` and closes.
async fn dying(answer: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut sent = [0; 4096];
            let _ = stream.read(&mut sent).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

#[tokio::test]
async fn a_backend_that_dies_early_is_an_error_and_one_that_dies_late_cuts_the_answer() {
    let start = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning".to_vec();
    let early = dying(start.clone()).await;
    let stage = Stage::with(Backend::ok().await, "", |service| {
        service.apis[0].service_url = Some(early);
    })
    .await;
    assert_eq!(stage.item().await.status, 500);

    let late = dying([start, vec![b'x'; 20_000]].concat()).await;
    let stage = Stage::with(Backend::ok().await, "", |service| {
        service.apis[0].service_url = Some(late);
    })
    .await;
    let response = stage
        .client
        .get(stage.url("/shop/items/7"))
        .send()
        .await
        .expect("a head");
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn redirects_are_followed_only_where_a_policy_says_so() {
    let redirecting = async || {
        Backend::start(|seen: &Seen| {
            if seen.target == "/there" {
                return reply(200, &format!("{} arrived", seen.method));
            }
            let mut response = reply(302, "");
            response
                .headers_mut()
                .insert("location", http::HeaderValue::from_static("/there"));
            response
        })
        .await
    };
    let stage = Stage::before(redirecting().await, "").await;
    let answer = stage.item().await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("/there"))
    );
    let following = Stage::before(
        redirecting().await,
        &backend("<forward-request follow-redirects=\"true\" />"),
    )
    .await;
    assert_eq!(following.item().await.whole(), (200, "GET arrived"));
    assert_eq!(
        following.post("text/plain", "x").await.whole(),
        (200, "GET arrived")
    );
}

#[tokio::test]
async fn an_error_status_is_an_error_only_where_a_policy_says_so() {
    let sections = format!(
        "{}<outbound><base /><set-header name=\"X-Out\"><value>1</value></set-header></outbound>\
         <on-error><base /><set-header name=\"X-Error\"><value>1</value></set-header></on-error>",
        backend("<forward-request fail-on-error-status-code=\"true\" />")
    );
    let stage = Stage::before(Backend::start(|_| reply(418, "teapot")).await, &sections).await;
    let answer = stage.item().await;
    assert_eq!(answer.whole(), (418, "teapot"));
    assert_eq!(
        (answer.header("x-out"), answer.header("x-error")),
        (None, Some("1"))
    );
}

#[tokio::test]
async fn a_retry_repeats_until_its_count_with_the_body_that_was_kept() {
    let calls = AtomicUsize::new(0);
    let failing = Backend::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0..3 => reply(503, "busy"),
        _ => reply(200, "ok"),
    })
    .await;
    let sections = backend(
        "<retry condition=\"true\" count=\"2\" interval=\"10\" delta=\"5\"><forward-request buffer-request-body=\"true\" /></retry>",
    );
    let stage = Stage::before(failing, &sections).await;
    assert_eq!(
        stage.post("text/plain", "body").await.whole(),
        (503, "busy")
    );
    assert_eq!(stage.backend.calls(), 3);
    assert!(stage.backend.seen().iter().all(|seen| seen.body == "body"));
    assert_eq!(stage.post("text/plain", "body").await.whole(), (200, "ok"));
}

#[tokio::test]
async fn a_request_of_its_own_is_sent_and_its_failure_can_be_ignored() {
    let other = Backend::start(|_| reply(200, "told")).await;
    let send = |url: &str, ignore: bool| {
        inbound(&format!(
            "<send-request mode=\"new\" response-variable-name=\"r\" timeout=\"5\" ignore-error=\"{ignore}\"><set-url>{url}/ask</set-url><set-method>POST</set-method>\
             <set-header name=\"X-A\"><value>1</value></set-header><set-body>question</set-body></send-request>\
             <return-response response-variable-name=\"r\" />"
        ))
    };
    let stage = Stage::new(&send(&other.url, false)).await;
    assert_eq!(stage.item().await.whole(), (200, "told"));
    let seen = other.last();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/ask")
    );
    assert_eq!(
        (seen.header("x-a"), &seen.body[..]),
        (Some("1"), &b"question"[..])
    );
    let failing = Stage::new(&send("http://127.0.0.1:9", false)).await;
    assert_eq!(failing.item().await.status, 500);
    let ignoring = Stage::new(&send("http://127.0.0.1:9", true)).await;
    assert_eq!(ignoring.item().await.whole(), (200, ""));
}
