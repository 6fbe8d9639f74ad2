//! What stands between an operator and the API server: it shows the operator
//! one seed's part of the cluster, fails calls on demand, cuts watches, and
//! remembers every write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as AnyBody;
use axum::http::{Method, Request, Response, Uri};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tower_service::Service;

use crate::schedule::{KubeAnswer, KubeCall};

/// The label of the cluster-wide objects of one seed.
pub(crate) const SEED_LABEL: &str = "chaos/seed";
/// What exists once in a cluster and not in namespaces.
const CLUSTER_WIDE: [&str; 3] = ["apiminstances", "policyplugins", "clusterpolicyprofiles"];
/// How much longer a slow call takes.
const SLOW: Duration = Duration::from_millis(150);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A call was failed on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the connection was reset on request")]
struct Reset;

/// A write that the API server has answered.
#[derive(Debug, Clone)]
pub(crate) struct KubeWrite {
    /// The method.
    pub(crate) method: String,
    /// The path.
    pub(crate) path: String,
    /// The body.
    pub(crate) body: Value,
    /// What was answered, had no fault hidden it; absent: it was not done.
    pub(crate) done: Option<u16>,
    /// How many calls Azure had answered before.
    pub(crate) azure: u64,
}

struct Fault {
    call: KubeCall,
    answer: KubeAnswer,
    after: u8,
    left: u8,
    used: u32,
}

struct Trip {
    after: u8,
    done: bool,
}

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    trip: Option<Trip>,
    writes: Vec<KubeWrite>,
    said: Vec<Bytes>,
}

/// The controls of everything between the operators of a seed and the API
/// server.
pub(crate) struct KubeTap {
    namespace: String,
    state: Mutex<State>,
    /// Counts up to end all watches; odd: in the middle of a line.
    cut: watch::Sender<u64>,
    stalled: watch::Sender<bool>,
    cut_off: AtomicBool,
    calls: AtomicU64,
    /// A call at which the operator is to be killed is there.
    pub(crate) tripped: Notify,
    azure: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl KubeTap {
    /// A tap for the objects of a namespace; `azure` says how many calls Azure
    /// has answered.
    pub(crate) fn new(
        namespace: &str,
        azure: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            namespace: namespace.to_owned(),
            state: Mutex::default(),
            cut: watch::Sender::new(0),
            stalled: watch::Sender::new(false),
            cut_off: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            tripped: Notify::new(),
            azure: Box::new(azure),
        })
    }

    /// A client that goes through the tap, until `dead` is set.
    pub(crate) fn client(self: &Arc<Self>, inner: Client, dead: Arc<AtomicBool>) -> Client {
        let through = Through {
            tap: Arc::clone(self),
            inner,
            dead,
        };
        Client::new(through, self.namespace.clone())
    }

    /// How many calls were made.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The writes from the given number on.
    pub(crate) fn writes(&self, since: usize) -> Vec<KubeWrite> {
        let state = self.state.lock();
        state.writes.get(since..).unwrap_or_default().to_vec()
    }

    /// How many writes there were.
    pub(crate) fn written(&self) -> usize {
        self.state.lock().writes.len()
    }

    /// All bodies that were sent.
    pub(crate) fn said(&self) -> Vec<Bytes> {
        self.state.lock().said.clone()
    }

    /// Fails calls.
    pub(crate) fn fail(&self, call: KubeCall, answer: KubeAnswer, after: u8, count: u8) {
        self.state.lock().faults.push(Fault {
            call,
            answer,
            after,
            left: count,
            used: 0,
        });
    }

    /// Ends all watches.
    pub(crate) fn cut_watches(&self, broken: bool) {
        self.cut.send_modify(|cut| {
            *cut += 1;
            if (*cut % 2 == 1) != broken {
                *cut += 1;
            }
        });
    }

    /// Cuts operators off from the API server, or connects them again.
    pub(crate) fn cut_off(&self, off: bool) {
        self.cut_off.store(off, Ordering::SeqCst);
        if off {
            self.cut_watches(true);
        }
    }

    /// Lets watches bring nothing, or bring what they held back.
    pub(crate) fn stall_watches(&self, stall: bool) {
        self.stalled.send_replace(stall);
    }

    /// Holds one of the next writes and tells by `tripped`.
    pub(crate) fn trip(&self, after: u8, done: bool) {
        self.state.lock().trip = Some(Trip { after, done });
    }

    /// No write is held any more.
    pub(crate) fn untrip(&self) {
        self.state.lock().trip = None;
    }

    /// Everything works from now on. Says how often each fault struck.
    pub(crate) fn heal(&self) -> Vec<(KubeCall, KubeAnswer, u32)> {
        self.stall_watches(false);
        self.cut_off(false);
        let mut state = self.state.lock();
        state.trip = None;
        let faults = state.faults.drain(..);
        faults
            .map(|fault| (fault.call, fault.answer, fault.used))
            .collect()
    }

    /// The fault that a call suffers.
    fn strike(&self, request: &Asked) -> Option<KubeAnswer> {
        let mut state = self.state.lock();
        for fault in &mut state.faults {
            if fault.left == 0 || !request.is(fault.call) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            fault.left -= 1;
            fault.used += 1;
            return Some(fault.answer);
        }
        None
    }

    /// Whether the operator dies at this write, and whether it is done before.
    fn trips(&self, request: &Asked) -> Option<bool> {
        if !request.is(KubeCall::Write) {
            return None;
        }
        let mut state = self.state.lock();
        let trip = state.trip.as_mut()?;
        if trip.after > 0 {
            trip.after -= 1;
            return None;
        }
        state.trip.take().map(|trip| trip.done)
    }

    fn note(&self, request: &Asked, done: Option<u16>) {
        if !request.is_write() {
            return;
        }
        let azure = (self.azure)();
        let mut state = self.state.lock();
        state.said.push(request.body.clone());
        state.writes.push(KubeWrite {
            method: request.method.to_string(),
            path: request.uri.path().to_owned(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
            done,
            azure,
        });
    }

    /// The part of the cluster that belongs to the seed.
    fn scoped(&self, uri: &Uri) -> Uri {
        let path = uri.path();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (prefix, plural) = match segments.as_slice() {
            ["api", "v1", plural] => ("/api/v1".to_owned(), *plural),
            ["apis", group, version, plural] => (format!("/apis/{group}/{version}"), *plural),
            _ => return uri.clone(),
        };
        let query = uri.query().unwrap_or_default();
        let and = |more: String| {
            if query.is_empty() {
                more
            } else {
                format!("{query}&{more}")
            }
        };
        let scoped = if plural == "namespaces" {
            let only = and(format!("fieldSelector=metadata.name%3D{}", self.namespace));
            format!("{path}?{only}")
        } else if CLUSTER_WIDE.contains(&plural) {
            let only = and(format!(
                "labelSelector={}%3D{}",
                SEED_LABEL.replace('/', "%2F"),
                self.namespace
            ));
            format!("{path}?{only}")
        } else {
            format!("{prefix}/namespaces/{}/{plural}?{query}", self.namespace)
        };
        scoped.parse().unwrap_or_else(|_| uri.clone())
    }
}

/// A request.
struct Asked {
    method: Method,
    uri: Uri,
    body: Bytes,
}

impl Asked {
    fn is_watch(&self) -> bool {
        let query = self.uri.query().unwrap_or_default();
        query
            .split('&')
            .any(|one| one == "watch=true" || one == "watch=1")
    }

    fn is_write(&self) -> bool {
        self.method != Method::GET && self.method != Method::HEAD
    }

    /// Which kinds there are is looked at every so often, which at this pace is
    /// always: no sign of work.
    fn is_discovery(&self) -> bool {
        let path = self.uri.path().trim_matches('/');
        path.starts_with("apis") && path.split('/').count() <= 3
    }

    /// Events are told and forgotten: whether they arrive changes nothing.
    fn is_event(&self) -> bool {
        self.uri.path().ends_with("/events")
    }

    fn is(&self, call: KubeCall) -> bool {
        let path = self.uri.path();
        let write = self.is_write() && !self.is_event();
        match call {
            KubeCall::Any => !self.is_watch(),
            KubeCall::List => !self.is_write() && !self.is_watch(),
            KubeCall::Watch => self.is_watch(),
            KubeCall::Write => write,
            KubeCall::Status => write && path.ends_with("/status"),
            KubeCall::Finalizer => {
                write && path.contains("/exposedapis/") && !path.ends_with("/status")
            }
            KubeCall::Lease => write && path.contains("/leases"),
            KubeCall::Hold => {
                let held = ["/apiminstances/", "/policyplugins/"];
                write && held.iter().any(|kind| path.contains(kind)) && !path.ends_with("/status")
            }
            KubeCall::Ingress => write && path.contains("/ingresses/"),
        }
    }
}

#[derive(Clone)]
struct Through {
    tap: Arc<KubeTap>,
    inner: Client,
    dead: Arc<AtomicBool>,
}

impl Service<Request<Body>> for Through {
    type Response = Response<AnyBody>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Response<AnyBody>, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        async move { this.pass(request).await }.boxed()
    }
}

impl Through {
    async fn pass(self, request: Request<Body>) -> Result<Response<AnyBody>, Failure> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.tap.scoped(&parts.uri);
        let asked = Asked {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            body: body.collect_bytes().await?,
        };
        self.alive().await;
        if !asked.is_discovery() {
            self.tap.calls.fetch_add(1, Ordering::Relaxed);
        }
        if self.tap.cut_off.load(Ordering::SeqCst) {
            self.tap.note(&asked, None);
            return Err(Reset.into());
        }
        let trip = self.tap.trips(&asked);
        if trip == Some(false) {
            return self.dies().await;
        }
        let answer = self.tap.strike(&asked);
        if answer == Some(KubeAnswer::Slow) {
            tokio::time::sleep(SLOW).await;
        }
        if let Some(refusal) = answer.and_then(refused) {
            self.tap.note(&asked, None);
            return refusal;
        }
        let request = Request::from_parts(parts, Body::from(asked.body.clone()));
        let response = self.inner.send(request).await?;
        self.tap.note(&asked, Some(response.status().as_u16()));
        self.alive().await;
        if trip == Some(true) {
            return self.dies().await;
        }
        match answer {
            Some(KubeAnswer::BrokenAfter) => return status(500, "InternalError"),
            Some(KubeAnswer::ResetAfter) => return Err(Reset.into()),
            _ => {}
        }
        let (parts, body) = response.into_parts();
        let body = AnyBody::new(body);
        let body = if asked.is_watch() {
            self.watched(body)
        } else {
            body
        };
        Ok(Response::from_parts(parts, body))
    }

    /// A killed operator neither sends nor hears anything.
    async fn alive(&self) {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    async fn dies(&self) -> Result<Response<AnyBody>, Failure> {
        self.tap.tripped.notify_one();
        std::future::pending().await
    }

    /// A watch that can be cut and stalled.
    fn watched(&self, body: AnyBody) -> AnyBody {
        let mut cut = self.tap.cut.subscribe();
        let seen = *cut.borrow_and_update();
        let ended = async move {
            let now = cut.wait_for(|cut| *cut != seen).await.map(|now| *now);
            now.is_ok_and(|now| now % 2 == 1)
        };
        let stalled = self.tap.stalled.subscribe();
        let lines = body.into_data_stream().then(move |chunk| {
            let mut stalled = stalled.clone();
            async move {
                // The tap lives as long as its clients.
                let _ = stalled.wait_for(|stalled| !*stalled).await;
                chunk
            }
        });
        // What ends it may add half a line.
        let ended = ended.shared();
        let rest = futures::stream::once(ended.clone())
            .filter_map(async |broken| broken.then(|| Ok(Bytes::from_static(b"{\"type\":\"MODI"))));
        AnyBody::from_stream(lines.take_until(ended).chain(rest))
    }
}

/// The answer of a fault that hides what was asked from the API server.
fn refused(answer: KubeAnswer) -> Option<Result<Response<AnyBody>, Failure>> {
    Some(match answer {
        KubeAnswer::Broken => status(500, "InternalError"),
        KubeAnswer::Conflict => status(409, "Conflict"),
        KubeAnswer::Throttled => status(429, "TooManyRequests"),
        KubeAnswer::Gone => status(410, "Expired"),
        KubeAnswer::Reset => Err(Reset.into()),
        KubeAnswer::BrokenAfter | KubeAnswer::ResetAfter | KubeAnswer::Slow => return None,
    })
}

fn status(code: u16, reason: &str) -> Result<Response<AnyBody>, Failure> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "made up by a fault", "reason": reason, "code": code,
    });
    let response = Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(AnyBody::from(body.to_string()))?;
    Ok(response)
}
