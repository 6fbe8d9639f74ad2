//! A server that answers as the test says, for what no real registry does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response};
use axum::response::IntoResponse as _;
use operator_plugin_source::{Digest, RegistryAuth, Source};

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A running server without TLS.
pub(crate) struct Fake {
    /// `127.0.0.1:port`.
    pub(crate) host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// Answers each request with what `answer` makes of it.
    pub(crate) async fn start(
        answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let now = Seen {
                method: request.method().clone(),
                path: request.uri().to_string(),
                headers: request.headers().clone(),
            };
            log.lock().unwrap().push(now.clone());
            let answer = Arc::clone(&answer);
            async move { answer(&now) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { host, seen }
    }

    /// Serves these files, by path; everything else is not found.
    pub(crate) async fn files(files: Files) -> Self {
        Self::start(move |request| files.answer(&request.path)).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// `method path` of each request.
    pub(crate) fn paths(&self) -> Vec<String> {
        let line = |seen: &Seen| format!("{} {}", seen.method, seen.path);
        self.seen().iter().map(line).collect()
    }

    pub(crate) fn source(&self, rest: &str) -> Source {
        self.source_as(rest, RegistryAuth::Anonymous)
    }

    pub(crate) fn source_as(&self, rest: &str, auth: RegistryAuth) -> Source {
        Source::Oci {
            reference: format!("{}/{rest}", self.host),
            auth,
            ca_pem: None,
            plain_http: true,
        }
    }

    pub(crate) fn file(&self, path: &str, content: &[u8]) -> Source {
        Source::Http {
            url: format!("http://{}{path}", self.host),
            sha256: Digest::of(content),
            ca_pem: None,
        }
    }
}

/// What a registry holds, by the path of the request.
#[derive(Default, Clone)]
pub(crate) struct Files(BTreeMap<String, (String, Vec<u8>)>);

impl Files {
    pub(crate) fn with(mut self, path: &str, media_type: &str, content: &[u8]) -> Self {
        let file = (media_type.to_owned(), content.to_vec());
        self.0.insert(path.to_owned(), file);
        self
    }

    /// A blob of the repository `a/b`.
    pub(crate) fn blob(self, content: &[u8]) -> Self {
        let path = format!("/v2/a/b/blobs/{}", Digest::of(content));
        self.with(&path, "application/octet-stream", content)
    }

    /// A manifest of the repository `a/b`, by tag and by digest.
    pub(crate) fn manifest(self, tag: &str, media_type: &str, content: &[u8]) -> Self {
        let by_digest = format!("/v2/a/b/manifests/{}", Digest::of(content));
        self.with(&format!("/v2/a/b/manifests/{tag}"), media_type, content)
            .with(&by_digest, media_type, content)
    }

    pub(crate) fn answer(&self, path: &str) -> Response<Body> {
        match self.0.get(path) {
            Some((media_type, content)) => {
                answer(200, &[("content-type", media_type)], content.clone())
            }
            None => answer(404, &[], ""),
        }
    }
}

/// An answer.
pub(crate) fn answer(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap().into_response()
}

/// The manifest of one layer.
pub(crate) fn manifest_of(layer: &[u8]) -> Vec<u8> {
    manifest_with(
        "application/wasm",
        &Digest::of(layer).to_string(),
        layer.len() as u64,
    )
}

pub(crate) fn manifest_with(media_type: &str, digest: &str, size: u64) -> Vec<u8> {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.wasm.config.v0+json","digest":"{EMPTY}","size":2}},"layers":[{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}]}}"#
    )
    .into_bytes()
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The digest of `{}`.
pub(crate) const EMPTY: &str =
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
