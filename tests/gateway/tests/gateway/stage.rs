//! A gateway with a clock that tests move, a backend that they program, and a
//! client.

use apim_gateway::configuration::{Api, Operation, Representation, Response, Service};
use apim_gateway::{Configuration, Gateway, ManualClock, Options, Trust};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A request as the backend saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

type Answering = dyn Fn(&Seen) -> http::Response<Bytes> + Send + Sync;

/// A backend that answers as it is told and remembers what it was asked.
pub(crate) struct Backend {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start(
        answer: impl Fn(&Seen) -> http::Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind(LOOPBACK)
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        let answer: Arc<Answering> = Arc::new(answer);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move {
                    let service = service_fn(|request: http::Request<Incoming>| {
                        let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                        async move {
                            let (parts, body) = request.into_parts();
                            let body = body
                                .collect()
                                .await
                                .map(http_body_util::Collected::to_bytes);
                            let seen = Seen {
                                method: parts.method.to_string(),
                                target: parts
                                    .uri
                                    .path_and_query()
                                    .map_or_else(String::new, ToString::to_string),
                                headers: parts.headers,
                                body: body.unwrap_or_default(),
                            };
                            let response = answer(&seen).map(Full::new);
                            log.lock().push(seen);
                            Ok::<_, Infallible>(response)
                        }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, seen, server }
    }

    /// Answers 200 `ok`.
    pub(crate) async fn ok() -> Self {
        Self::start(|_| reply(200, "ok")).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen.lock().last().cloned().expect("a request")
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().len()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn reply(status: u16, body: &str) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::from(body.to_owned()));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    response
}

pub(crate) fn reply_json(body: &serde_json::Value) -> http::Response<Bytes> {
    let mut response = reply(200, &body.to_string());
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", kind);
    response
}

/// An answer of the gateway, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Status, and `message` of the service's errors.
    pub(crate) fn error(&self) -> (u16, String) {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("an error's JSON");
        assert_eq!(body["statusCode"], self.status);
        let message = body["message"].as_str().expect("a message").to_owned();
        (self.status, message)
    }

    /// Status and body.
    pub(crate) fn whole(&self) -> (u16, &str) {
        (self.status, &self.body)
    }
}

pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) backend: Backend,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: reqwest::Client,
}

/// What `now` is where a test begins, in seconds.
pub(crate) const START: i64 = 1_700_000_000;

pub(crate) fn operation(method: &str, template: &str) -> Operation {
    Operation {
        id: format!(
            "{}-{}",
            method.to_lowercase(),
            template.replace(['/', '{', '}'], "")
        ),
        name: format!("{method} {template}"),
        method: method.to_owned(),
        url_template: template.to_owned(),
        ..Operation::default()
    }
}

/// A service with the API `shop`, whose document's sections are `sections`.
pub(crate) fn service(backend: &str, sections: &str) -> Service {
    let mut created = operation("POST", "/items");
    created.responses = vec![Response {
        status: 201,
        representations: vec![Representation {
            content_type: "application/json".to_owned(),
            examples: vec!["{\"id\": 1}".to_owned(), "{\"id\": 2}".to_owned()],
            ..Representation::default()
        }],
    }];
    Service {
        name: "test".to_owned(),
        region: "West Europe".to_owned(),
        apis: vec![Api {
            id: "shop".to_owned(),
            name: "Shop".to_owned(),
            path: "shop".to_owned(),
            service_url: Some(backend.to_owned()),
            policy: Some(format!("<policies>{sections}</policies>")),
            operations: vec![operation("GET", "/items/{id}"), created],
            ..Api::default()
        }],
        ..Service::default()
    }
}

pub(crate) fn inbound(policies: &str) -> String {
    format!("<inbound><base />{policies}</inbound>")
}

impl Stage {
    /// A gateway whose API has these sections, before a backend that says `ok`.
    pub(crate) async fn new(sections: &str) -> Self {
        Self::before(Backend::ok().await, sections).await
    }

    pub(crate) async fn before(backend: Backend, sections: &str) -> Self {
        Self::with(backend, sections, |_| {}).await
    }

    /// The same with a service that is changed first.
    pub(crate) async fn with(
        backend: Backend,
        sections: &str,
        change: impl FnOnce(&mut Service),
    ) -> Self {
        let options = Options {
            listen: LOOPBACK,
            ..Options::default()
        };
        Self::as_said(backend, sections, options, change).await
    }

    pub(crate) async fn as_said(
        backend: Backend,
        sections: &str,
        options: Options,
        change: impl FnOnce(&mut Service),
    ) -> Self {
        // Of the client; the gateway brings its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut service = service(&backend.url, sections);
        change(&mut service);
        let start = jiff::Timestamp::from_second(START).expect("a time");
        let clock = Arc::new(ManualClock::new(start));
        let options = Options {
            clock: Arc::<ManualClock>::clone(&clock),
            trust: Trust {
                system: false,
                ..options.trust
            },
            ..options
        };
        let configuration = Configuration {
            services: vec![service],
        };
        let gateway = Gateway::start(&configuration, options)
            .await
            .expect("a gateway");
        assert_eq!(gateway.problems(), []);
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .build()
            .expect("a client");
        Self {
            gateway,
            backend,
            clock,
            client,
        }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!(
            "{}{path}",
            self.gateway.url().replace("localhost", "127.0.0.1")
        )
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method, self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_owned());
        }
        read(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub(crate) async fn get_with(&self, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", "/shop/items/7", headers, "").await
    }

    /// `GET /shop/items/7`.
    pub(crate) async fn item(&self) -> Answer {
        self.get("/shop/items/7").await
    }

    pub(crate) async fn post(&self, content_type: &str, body: &str) -> Answer {
        let headers = [("content-type", content_type)];
        self.call("POST", "/shop/items", &headers, body).await
    }
}

pub(crate) async fn read(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect();
    let body = response.text().await.expect("a body");
    Answer {
        status,
        headers,
        body,
    }
}
