//! Requests over connections that stay open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whom to call and what to send.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// One open connection.
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    headers: HeaderMap,
}

impl Client {
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // Whoever sends hears of its end.
            let _ = connection.await;
        });
        let mut headers: HeaderMap = self.headers.iter().cloned().collect();
        headers.insert(
            http::header::HOST,
            HeaderValue::from_str(&format!("localhost:{}", self.address.port()))?,
        );
        Ok(Connection { sender, headers })
    }
}

impl Connection {
    /// The status of one request, whose answer is read whole.
    pub(crate) async fn status(&mut self) -> Result<u16> {
        self.send(self.headers.clone()).await
    }

    /// The same with one more header.
    pub(crate) async fn with(&mut self, name: &'static str, value: &str) -> Result<u16> {
        let mut headers = self.headers.clone();
        headers.insert(name, HeaderValue::from_str(value)?);
        self.send(headers).await
    }

    async fn send(&mut self, headers: HeaderMap) -> Result<u16> {
        self.sender.ready().await?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = http::Uri::from_static("/orders/items?page=2");
        *request.headers_mut() = headers;
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        response.into_body().collect().await?;
        Ok(status)
    }
}

/// How many requests so many connections get answered in a time.
pub(crate) async fn requests(client: &Client, connections: usize, time: Duration) -> Result<u32> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(client.connect().await?);
    }
    let end = Instant::now() + time;
    let tasks = open.into_iter().map(|mut connection| {
        tokio::spawn(async move {
            let mut count = 0_u32;
            while Instant::now() < end {
                let status = connection.status().await?;
                ensure!(status == 200, "answered {status}");
                count += 1;
            }
            Ok::<u32, anyhow::Error>(count)
        })
    });
    let mut count = 0_u32;
    for task in tasks.collect::<Vec<_>>() {
        count += task.await.context("a connection")??;
    }
    Ok(count)
}
