//! The server: reads a call, lets faults strike, finds who answers, and keeps
//! the journal.

use crate::clock::iso;
use crate::http::{Call, Reply};
use crate::journal::{CallKind, JournalEntry, redacted_body};
use crate::world::World;
use crate::{arm, blob, control, entra, key_vault, managed_identity, page};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Method, Request, Response, header};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// The largest request that is read.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Closes the connection instead of answering.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset on request")]
pub(crate) struct Reset;

/// Serves one connection.
#[derive(Clone)]
pub(crate) struct Server(pub(crate) Arc<World>);

/// Hands a server to every connection.
#[derive(Clone)]
pub(crate) struct MakeServer(pub(crate) Arc<World>);

impl Service<SocketAddr> for MakeServer {
    type Response = Server;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Server, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: SocketAddr) -> Self::Future {
        std::future::ready(Ok(Server(Arc::clone(&self.0))))
    }
}

impl<B> Service<Request<B>> for Server
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Reset;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Reset>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Reset>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let world = Arc::clone(&self.0);
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            let host = parts
                .uri
                .authority()
                .map(ToString::to_string)
                .or_else(|| {
                    let host = parts.headers.get(header::HOST)?;
                    host.to_str().ok().map(str::to_owned)
                })
                .unwrap_or_default();
            let Ok(body) = axum::body::to_bytes(Body::new(body), MAX_BODY).await else {
                let reply = Reply::text(413, "text/plain", "The request is too large.".to_owned());
                return Ok(reply.into_response(&parts.method));
            };
            let call = Call {
                method: parts.method,
                scheme: world.scheme(),
                host,
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                headers: parts.headers,
                body,
            };
            let reply = answer(&world, &call).await?;
            Ok(reply.into_response(&call.method))
        })
    }
}

/// Answers a call; the control interface and the page are neither journalled
/// nor struck.
async fn answer(world: &World, call: &Call) -> Result<Reply, Reset> {
    if call.path == "/_control" || call.path.starts_with("/_control/") {
        return Ok(control::handle(world, call).await);
    }
    if page::is_for(&call.path) {
        return Ok(page::handle(world, call));
    }
    if call.path.starts_with("/_blob/") {
        return Ok(blob::handle(world, call));
    }
    let mut injection = world.faults.strike(call);
    if let Some(injection) = &mut injection {
        if let Some(delay) = injection.delay() {
            tokio::time::sleep(delay).await;
        }
        if injection.spec.hold {
            world.faults.held.send_modify(|held| *held += 1);
            let _held = Held(world);
            injection.released().await;
        }
    }
    let spec = injection.as_ref().map(|injection| injection.spec.clone());
    let hides = spec
        .as_ref()
        .is_some_and(|spec| spec.status.is_some() || spec.reset);
    let reply = match &spec {
        Some(spec) if hides && !spec.effect => None,
        _ => Some(route(world, call, spec.clone()).await),
    };
    let principal = reply.as_ref().and_then(|reply| reply.principal.clone());
    let done = reply.as_ref().map(|reply| reply.status);
    if let Some(injection) = injection.as_mut().filter(|one| one.spec.hold_answer) {
        world.faults.held.send_modify(|held| *held += 1);
        let _held = Held(world);
        injection.released().await;
    }
    let outcome = match &spec {
        Some(spec) if spec.reset => Err(Reset),
        Some(spec) if spec.truncate => truncated(reply.unwrap_or_else(|| struck(spec)), call),
        Some(spec) if spec.status.is_some() => Ok(struck(spec)),
        _ => Ok(reply.unwrap_or_else(|| Reply::empty(500))),
    };
    world.journal.record(JournalEntry {
        seq: 0,
        time: iso(world.clock.now()),
        kind: kind_of(call),
        method: call.method.to_string(),
        host: call.host.clone(),
        path: call.path.clone(),
        query: call.query.clone(),
        api_version: call.parameter("api-version"),
        principal,
        if_match: call.header("if-match").map(str::to_owned),
        status: outcome.as_ref().map_or(0, |reply| reply.status),
        done,
        fault: injection.map(|injection| injection.id),
        body: redacted_body(&call.path, &call.body),
    });
    outcome
}

/// Counts a held call for as long as it lives, also if the client goes away.
struct Held<'a>(&'a World);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0
            .faults
            .held
            .send_modify(|held| *held = held.saturating_sub(1));
    }
}

/// An answer whose connection closes in the middle of its body.
fn truncated(mut reply: Reply, call: &Call) -> Result<Reply, Reset> {
    if reply.body.is_empty() || call.method == Method::HEAD {
        return Err(Reset);
    }
    reply.truncated = true;
    Ok(reply)
}

/// The answer that a fault wants.
fn struck(spec: &crate::faults::FaultSpec) -> Reply {
    let status = spec.status.unwrap_or(500);
    let mut reply = match &spec.body {
        None => Reply::empty(status),
        Some(serde_json::Value::String(text)) => Reply::text(status, "text/plain", text.clone()),
        Some(json) => Reply::json(status, json),
    };
    for (name, value) in &spec.headers {
        reply = reply.with(name, value.clone());
    }
    reply
}

fn kind_of(call: &Call) -> CallKind {
    if key_vault::vault_of_host(&call.host).is_some() {
        CallKind::Vault
    } else if is_arm(call) {
        arm::kind_of(call)
    } else if call.path.ends_with("/token") {
        CallKind::Token
    } else {
        CallKind::Other
    }
}

fn is_arm(call: &Call) -> bool {
    let start = call.path.get(..15).unwrap_or_default();
    start.eq_ignore_ascii_case("/subscriptions/")
}

/// One port serves everything: the host tells a vault, the path the rest.
async fn route(world: &World, call: &Call, fault: Option<crate::faults::FaultSpec>) -> Reply {
    if let Some(vault) = key_vault::vault_of_host(&call.host) {
        return key_vault::handle(world, call, vault);
    }
    if is_arm(call) {
        return arm::handle(world, call, fault).await;
    }
    if call.path == "/msi/token" {
        return managed_identity::handle(world, call);
    }
    entra::handle(world, call)
}
