//! A server of OpenAPI documents, as `specification.url` names them.

use std::collections::BTreeMap;
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
    task: JoinHandle<std::io::Result<()>>,
}

impl Documents {
    /// Starts it, on a free port of this machine.
    pub async fn start() -> Result<Self> {
        let shelf = Arc::new(Shelf::default());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shelf));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            shelf,
            origin,
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
