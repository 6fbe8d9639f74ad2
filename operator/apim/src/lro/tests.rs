//! Against a stub, for what a strict service would never do.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::*;
use crate::arm::{ArmOptions, Parts, ServiceRef, WriteVerb};
use crate::observer::CallObserver;
use crate::secret::Secret;
use crate::token::{TokenError, TokenSource};
use crate::transport::Http;

#[derive(Debug, Default)]
struct Tokens(AtomicU32);

#[async_trait]
impl TokenSource for Tokens {
    async fn token(&self) -> Result<Secret<String>, TokenError> {
        let number = self.0.load(Ordering::SeqCst);
        Ok(Secret::new(format!("token-{number}")))
    }

    async fn refused(&self, _: &Secret<String>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl CallObserver for Heard {
    fn observed(&self, method: &str, kind: &str, status: u16, seconds: f64) {
        assert!(seconds >= 0.0);
        let mut heard = self.0.lock().unwrap();
        heard.push(format!("{method} {kind} {status}"));
    }
}

type Answers = Arc<dyn Fn(&Request, u32) -> Response + Send + Sync>;

/// A service that answers each request with a function of it and its number,
/// and remembers what was sent.
struct Stub {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct StubState {
    answers: Answers,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    async fn new(answers: impl Fn(&Request, u32) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let state = StubState {
            answers: Arc::new(answers),
            seen: seen.clone(),
        };
        let router = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(State(state): State<StubState>, request: Request) -> Response {
    let number = {
        let token = request.headers().get("authorization");
        let token = token.map_or("-", |value| value.to_str().unwrap());
        let mut seen = state.seen.lock().unwrap();
        seen.push(format!(
            "{} {} {token}",
            request.method(),
            request.uri().path()
        ));
        u32::try_from(seen.len()).unwrap()
    };
    (state.answers)(&request, number)
}

fn client(url: &str, heard: Arc<Heard>, max_body: usize) -> ArmClient {
    let service = ServiceRef {
        subscription_id: "s".into(),
        resource_group: "g".into(),
        service_name: "n".into(),
    };
    let transport = Http(crate::http::http_client(None).unwrap());
    let mut parts = Parts::new(
        service,
        Url::parse(url).unwrap(),
        Arc::new(transport),
        Arc::new(Tokens::default()),
    );
    parts.observer = heard;
    parts.options = ArmOptions {
        poll: Duration::from_millis(1),
        backoff: Duration::from_millis(1),
        operation_timeout: Duration::from_millis(300),
        max_body,
        ..ArmOptions::default()
    };
    ArmClient::new(&parts)
}

fn put(client: &ArmClient) -> WriteCall {
    client.call(WriteVerb::Put, &["apis", "a"], &[], "api", "API a")
}

fn with(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response {
    let mut response = body.into_response();
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name = axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

#[tokio::test]
async fn a_polling_url_on_another_host_gets_no_token() {
    let foreign = Stub::new(|_, _| with(200, &[], r#"{"status":"Succeeded"}"#)).await;
    for header in ["azure-asyncoperation", "location"] {
        let elsewhere = format!("{}/x", foreign.url);
        let arm = Stub::new(move |_, _| with(202, &[(header, &elsewhere)], "")).await;
        let client = client(&arm.url, Arc::default(), 1 << 20);
        let error = client.run(&put(&client)).await.unwrap_err();
        assert_eq!(
            (error.cause, error.class),
            (Cause::Protocol, ErrorClass::Denied)
        );
        assert_eq!(
            error.message,
            format!(
                "the service named {}, which is not below {}; no token is sent there",
                foreign.url, arm.url
            )
        );
        assert_eq!(arm.seen().len(), 1);
    }
    assert_eq!(foreign.seen(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_next_page_on_another_host_gets_no_token() {
    let page = r#"{"value":[],"nextLink":"http://127.0.0.2:1/next"}"#;
    let arm = Stub::new(move |_, _| with(200, &[], page)).await;
    let client = client(&arm.url, Arc::default(), 1 << 20);
    let error = client.reader().operations("a").await.unwrap_err();
    assert_eq!(error.cause, Cause::Protocol);
    assert_eq!(arm.seen().len(), 1);
}

#[test]
fn only_the_resource_manager_and_its_regions_are_trusted() {
    let client = client("https://management.azure.com", Arc::default(), 1);
    let trusts = |url: &str| client.reader().trusts(&Url::parse(url).unwrap());
    assert!(trusts("https://management.azure.com/subscriptions/x"));
    assert!(trusts("https://westeurope.management.azure.com:443/x"));
    for url in [
        "http://management.azure.com/x",
        "https://management.azure.com:444/x",
        "https://management.azure.com.example/x",
        "https://xmanagement.azure.com/x",
        "https://.management.azure.com/x",
        "https://user@management.azure.com/x",
        "https://azure.com/x",
    ] {
        assert!(!trusts(url), "{url}");
    }
}

#[tokio::test]
async fn an_operation_is_asked_for_until_its_status_is_final() {
    let arm = Stub::new(|_, number| match number {
        1 => with(
            201,
            &[
                ("azure-asyncoperation", "/operations/1"),
                ("location", "/l"),
            ],
            "{}",
        ),
        2 => with(202, &[], ""),
        3 => with(200, &[("retry-after", "0")], r#"{"status":"InProgress"}"#),
        4 => with(503, &[], ""),
        _ => with(200, &[], r#"{"status":"Succeeded"}"#),
    })
    .await;
    let heard = Arc::<Heard>::default();
    let client = client(&arm.url, heard.clone(), 1 << 20);
    assert!(matches!(
        client.run(&put(&client)).await.unwrap(),
        Ended::Later
    ));
    assert_eq!(
        *heard.0.lock().unwrap(),
        [
            "PUT api 201",
            "GET operationResult 202",
            "GET operationResult 200",
            "GET operationResult 503",
            "GET operationResult 200"
        ]
    );
    assert_eq!(arm.seen()[1], "GET /operations/1 Bearer token-0");
}

#[tokio::test]
async fn a_location_is_asked_until_it_answers_something_else_than_202() {
    let arm = Stub::new(|_, number| match number {
        1 | 2 => with(202, &[("location", "/result?asyncId=1")], ""),
        _ => with(201, &[("etag", "AAAA")], "{}"),
    })
    .await;
    let client = client(&arm.url, Arc::default(), 1 << 20);
    let ended = client.run(&put(&client)).await.unwrap();
    assert_eq!(ended.etag().as_deref(), Some("\"AAAA\""));
}

#[tokio::test]
async fn an_error_behind_a_location_is_the_calls_error() {
    let body = r#"{"error":{"code":"ValidationError","message":"no","details":[{"code":"V","target":"representation","message":"Parsing error(s): x"}]}}"#;
    let arm = Stub::new(move |_, number| match number {
        1 => with(202, &[("location", "/result")], ""),
        _ => with(400, &[], body),
    })
    .await;
    let client = client(&arm.url, Arc::default(), 1 << 20);
    let error = client.run(&put(&client)).await.unwrap_err();
    assert_eq!(
        (error.cause, error.class),
        (Cause::Operation, ErrorClass::Invalid)
    );
    assert_eq!(
        error.to_string(),
        "PUT API a: 400 ValidationError: no [representation] Parsing error(s): x"
    );
}

#[tokio::test]
async fn an_operation_without_end_is_given_up() {
    let arm = Stub::new(|_, _| with(202, &[("location", "/result")], "")).await;
    let client = client(&arm.url, Arc::default(), 1 << 20);
    let error = client.run(&put(&client)).await.unwrap_err();
    assert_eq!(
        (error.cause, error.class),
        (Cause::TimedOut, ErrorClass::Transient)
    );
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let arm = Stub::new(|request, _| {
        let fresh = request.headers()["authorization"] == "Bearer token-1";
        with(if fresh { 200 } else { 401 }, &[], "")
    })
    .await;
    let client = client(&arm.url, Arc::default(), 1 << 20);
    client.write(&put(&client)).await.unwrap();
    assert_eq!(arm.seen().len(), 2);

    let never = Stub::new(|_, _| with(401, &[], "")).await;
    let client = self::client(&never.url, Arc::default(), 1 << 20);
    let error = client.write(&put(&client)).await.unwrap_err();
    assert_eq!((error.class, never.seen().len()), (ErrorClass::Denied, 2));
}

#[tokio::test]
async fn a_body_beyond_its_cap_is_not_read_to_its_end() {
    let arm = Stub::new(|_, _| with(200, &[], "0123456789")).await;
    let client = client(&arm.url, Arc::default(), 9);
    let error = client.write(&put(&client)).await.unwrap_err();
    assert_eq!(error.message, "the answer is larger than 9 bytes");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let foreign = Stub::new(|_, _| with(200, &[], "")).await;
    let elsewhere = foreign.url.clone();
    let arm = Stub::new(move |_, _| with(307, &[("location", &elsewhere)], "")).await;
    let client = client(&arm.url, Arc::default(), 1 << 20);
    let error = client.write(&put(&client)).await.unwrap_err();
    assert_eq!(error.status, Some(307));
    assert_eq!(foreign.seen(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_long_retry_after_is_given_back_and_a_short_one_waited_for() {
    let arm = Stub::new(|_, number| match number {
        1 => with(429, &[("retry-after", "0")], ""),
        2 => with(200, &[], ""),
        _ => with(429, &[("retry-after", "3600")], ""),
    })
    .await;
    let client = client(&arm.url, Arc::default(), 1 << 20);
    client.write(&put(&client)).await.unwrap();
    let error = client.write(&put(&client)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Throttled(Duration::from_hours(1)));
    assert_eq!(arm.seen().len(), 3);
}
