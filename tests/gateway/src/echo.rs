//! A backend that answers with what it was sent, as JSON: method, path, query,
//! headers and body.

use crate::body::{Body, BodyError, collect, full};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The largest body that is shown.
const MOST: usize = 1024 * 1024;

/// A running echo backend; it stops when this is dropped.
pub struct EchoBackend {
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl EchoBackend {
    /// Starts one; port 0 takes a free one.
    pub async fn start(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| async {
                        Ok::<_, Infallible>(echo(request).await)
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { address, server })
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for EchoBackend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The answer to a request.
pub async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.map_err(|error| BodyError::Broken(error.to_string()));
    let body = collect(body.boxed_unsync(), MOST).await.unwrap_or_default();
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        match headers.get_mut(name.as_str()) {
            None => {
                headers.insert(name.to_string(), value.into());
            }
            Some(Value::Array(values)) => values.push(value.into()),
            Some(one) => *one = json!([one.take(), value]),
        }
    }
    let shown = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query().unwrap_or_default(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut response = Response::new(full(format!("{shown:#}\n")));
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
