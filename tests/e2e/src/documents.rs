//! A server of OpenAPI documents, as `specification.url` names them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use std::sync::Mutex;
use tokio::task::JoinHandle;

#[derive(Default)]
struct Shelf {
    documents: Mutex<BTreeMap<String, String>>,
    asked: AtomicUsize,
}

/// A running server; it stops when dropped.
pub struct Documents {
    shelf: Arc<Shelf>,
    origin: String,
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<std::io::Result<()>>,
}

impl Documents {
    /// Starts it, on a free port of this machine.
    pub async fn start() -> Result<Self> {
        Self::at(Ipv4Addr::LOCALHOST.into()).await
    }

    /// Starts it where a pod could be, at an address of this machine that is no
    /// loopback; none where the machine has no other.
    pub async fn as_pod() -> Result<Option<Self>> {
        // Nothing is sent: the system says which address it would send from.
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        let route = socket.connect("198.51.100.1:9");
        let own = route.and_then(|()| socket.local_addr()).map(|at| at.ip());
        match own
            .ok()
            .filter(|own| !own.is_loopback() && !own.is_unspecified())
        {
            Some(own) => Self::at(own).await.map(Some),
            None => Ok(None),
        }
    }

    async fn at(address: IpAddr) -> Result<Self> {
        let shelf = Arc::new(Shelf::default());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shelf));
        let listener = tokio::net::TcpListener::bind((address, 0)).await?;
        let address = listener.local_addr()?;
        let origin = format!("http://{address}");
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            shelf,
            origin,
            address,
            task,
        })
    }

    /// The URL of a path, such as `/catalog.json`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Serves a document from now on; without one, the path is a 503.
    pub fn serve(&self, path: &str, document: Option<String>) {
        let mut documents = self
            .shelf
            .documents
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match document {
            Some(document) => documents.insert(path.to_owned(), document),
            None => documents.remove(path),
        };
    }

    /// How many requests there were.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.shelf.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Documents {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shelf): State<Arc<Shelf>>, uri: Uri) -> Response {
    shelf.asked.fetch_add(1, Ordering::SeqCst);
    let documents = shelf
        .documents
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    match documents.get(uri.path()) {
        Some(document) => document.clone().into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
