//! A Kubernetes client that writes only while this process leads.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::{Method, Request, Response};
use futures::FutureExt as _;
use kube::Client;
use kube::client::Body;
use kube::client::retry::RetryPolicy;
use tower::retry::Retry;
use tower_service::Service;

use super::Leadership;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A write was refused, because another replica may be writing.
#[derive(Debug, thiserror::Error)]
#[error("this replica does not lead, so it writes nothing")]
pub struct NotLeading;

/// Refuses each attempt of a write at the moment at which it would leave.
#[derive(Clone)]
struct Guarded {
    client: Client,
    leadership: Leadership,
}

impl Leadership {
    /// The same client, whose writes need leadership. Repetitions of a call
    /// that the API server put off are asked for again, which they are not
    /// where `client` repeats calls itself: it must be made without
    /// (`Config::default_retry`).
    #[must_use]
    pub fn guard(&self, client: &Client) -> Client {
        let guarded = Guarded {
            client: client.clone(),
            leadership: self.clone(),
        };
        let repeated = Retry::new(RetryPolicy::server_retry(), guarded);
        Client::new(repeated, client.default_namespace())
    }
}

impl Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, leadership) = (self.client.clone(), self.leadership.clone());
        async move {
            let reads = matches!(*request.method(), Method::GET | Method::HEAD);
            if !reads && !leadership.leads() {
                return Err(NotLeading.into());
            }
            client.send(request).await.map_err(BoxError::from)
        }
        .boxed()
    }
}

/// Whether a call failed because this process does not lead.
pub(crate) fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(source) if source.is::<NotLeading>())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, PostParams};

    use super::*;
    use crate::leader::now;

    /// An API server that answers everything with the same object.
    fn server(calls: &Arc<AtomicUsize>) -> Client {
        let calls = Arc::clone(calls);
        let service = tower::service_fn(move |_: Request<Body>| {
            calls.fetch_add(1, Ordering::Relaxed);
            async {
                let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
                Ok::<_, BoxError>(Response::new(Body::from(body.as_bytes().to_vec())))
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn reads_pass_and_writes_only_while_the_process_leads() {
        let calls = Arc::new(AtomicUsize::new(0));
        let leadership = Leadership::unelected();
        let api: Api<ConfigMap> = Api::default_namespaced(leadership.guard(&server(&calls)));
        api.get("a").await.unwrap();
        let (params, object) = (PostParams::default(), ConfigMap::default());
        let refused = api.create(&params, &object).await.unwrap_err();
        assert!(is_refusal(&refused), "{refused:?}");
        assert_eq!(calls.load(Ordering::Relaxed), 1);

        leadership.renewed(now() + Duration::from_mins(1));
        api.create(&params, &object).await.unwrap();
        leadership.renewed(Duration::from_nanos(1));
        let late = api.create(&params, &object).await.unwrap_err();
        assert!(is_refusal(&late));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
