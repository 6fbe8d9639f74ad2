//! A request from its arrival to its answer.

use crate::body::{Body, BodyState, empty, full};
use crate::certificate::ClientCertificate;
use crate::compile::{Chain, CompiledService, Section, Step};
use crate::debug::Verdict;
use crate::error::{Place, PolicyError, error_body, reason_phrase};
use crate::exchange::Exchange;
use crate::headers;
use crate::policies::{self, Flow};
use crate::routing::{best, normalise};
use crate::shared::Shared;
use crate::subscriptions::{self, Access};
use crate::target::{Target, parameters};
use crate::trace;
use apim_expressions::{self as expressions, MultiMap};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;

/// Who sent a request, and over what.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The same as text, which is written once for a connection.
    pub(crate) written: String,
    pub(crate) tls: bool,
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    /// The port that was connected to.
    pub(crate) port: u16,
}

/// Answers a request.
pub(crate) async fn handle(
    shared: &Arc<Shared>,
    request: Request<Body>,
    peer: &Peer,
) -> Response<Body> {
    // One configuration, from here to the end.
    let snapshot = shared.snapshot.load_full();
    let (parts, body) = request.into_parts();
    let refuse = |status: StatusCode, message: &str| {
        let body = error_body(status.as_u16(), message, None);
        let mut response = Response::new(full(body));
        *response.status_mut() = status;
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response
    };
    if parts.method == Method::CONNECT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not supported.");
    }
    let Some((host, port)) = authority(&parts) else {
        return refuse(StatusCode::BAD_REQUEST, "The request names no host.");
    };
    let sent = parts.uri.path_and_query().map_or("/", |sent| sent.as_str());
    if sent.len() > shared.limits.url {
        return refuse(StatusCode::URI_TOO_LONG, "The request URL is too long.");
    }
    let path = match normalise(parts.uri.path()) {
        Ok(path) => path,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let Some(service) = snapshot.service(&host) else {
        return refuse(StatusCode::NOT_FOUND, "Resource not found");
    };
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let scheme = if peer.tls { "https" } else { "http" };
    let original = expressions::Url {
        scheme: scheme.to_owned(),
        host,
        port: port.unwrap_or(peer.port),
        query: MultiMap::from_query(&query),
        query_string: if query.is_empty() {
            String::new()
        } else {
            format!("?{query}")
        },
        path: path.clone(),
    };
    let message = expressions::Request {
        headers: headers::from_wire(&parts.headers),
        ip_address: peer.written.clone(),
        method: parts.method.as_str().to_owned(),
        // `url` is filled in for whoever reads it.
        original_url: original,
        ..expressions::Request::default()
    };
    let is_head = parts.method == Method::HEAD;
    let mut exchange = Exchange::new(
        Arc::clone(shared),
        Arc::clone(service),
        message,
        BodyState::incoming(body),
        peer.address,
    );
    drop(parts);
    exchange.certificate.clone_from(&peer.certificate);
    process(&mut exchange, &path, &query).await;
    finish(exchange, is_head).await
}

/// Host (without port) and port that a request names.
fn authority(parts: &http::request::Parts) -> Option<(String, Option<u16>)> {
    let named = if let Some(authority) = parts.uri.authority() {
        authority.clone()
    } else {
        let mut hosts = parts.headers.get_all(http::header::HOST).iter();
        let host = hosts.next()?;
        if hosts.next().is_some() {
            return None;
        }
        host.to_str().ok()?.parse().ok()?
    };
    Some((named.host().to_owned(), named.port_u16()))
}

/// Finds what a request is for and runs its policies.
async fn process(exchange: &mut Exchange, path: &str, query: &str) {
    let service = Arc::clone(&exchange.service);
    let segments: Vec<&str> = match path.trim_start_matches('/') {
        "" => Vec::new(),
        rest => rest.split('/').collect(),
    };
    let pairs = parameters(query);
    let apis = &service.configuration.apis;
    let found = service.index.find(apis, &segments, &pairs, |name| {
        exchange.request_header(name)
    });
    let Some(found) = found else {
        note_tracing(exchange);
        fail(exchange, &Chain::default(), not_found()).await;
        return;
    };
    exchange.api = Some(found.api);
    note_tracing(exchange);
    let rest = &segments[found.consumed..];
    exchange.target = Target {
        base: service.apis[found.api].base.clone(),
        path: if rest.is_empty() {
            String::new()
        } else {
            format!("/{}", rest.join("/"))
        },
        query: query.to_owned(),
    };
    let method = exchange.context.request.method.clone();
    let operation = operation(&service, found.api, &method, rest, &pairs);
    if operation.is_none() && policies::is_preflight(exchange) {
        preflight(exchange, &service, found.api, rest, &pairs).await;
        return;
    }
    let Some((place, matched)) = operation else {
        let chain = service.chain(None, exchange.api, None);
        fail(exchange, &chain, not_found()).await;
        return;
    };
    exchange.operation = Some(place);
    exchange.context.request.matched_parameters.extend(matched);
    match subscriptions::admit(exchange) {
        Access::Granted {
            subscription,
            product,
        } => {
            exchange.subscription = subscription;
            exchange.product = product;
        }
        Access::Denied(error) => {
            let chain = service.chain(None, exchange.api, exchange.operation);
            fail(exchange, &chain, error).await;
            return;
        }
    }
    let chain = service.chain(exchange.product, exchange.api, exchange.operation);
    run(exchange, &chain).await;
}

/// The operation of a method and path. One with the method `*` takes what no
/// other takes (inferred).
fn operation(
    service: &CompiledService,
    api: usize,
    method: &str,
    segments: &[&str],
    query: &[(String, String)],
) -> Option<(usize, Vec<(String, String)>)> {
    let compiled = &service.apis[api].operations;
    let configured = &service.configuration.apis[api].operations;
    let of = |wanted: &str| {
        let templates = configured
            .iter()
            .zip(compiled)
            .enumerate()
            .filter(|(_, (operation, _))| operation.method.eq_ignore_ascii_case(wanted))
            .filter_map(|(place, (_, compiled))| Some((place, compiled.template.as_ref()?)));
        best(templates, segments, query)
    };
    of(method).or_else(|| of("*"))
}

fn not_found() -> PolicyError {
    PolicyError::told(
        404,
        "OperationNotFound",
        "Unable to match incoming request to an operation.",
    )
    .telling("Resource not found")
    .said_by("configuration")
}

/// A browser's question before the call itself. Only the cors policies that
/// the chain of the asked operation begins with have a say; the documentation
/// asks for cors to be first, and what happens otherwise is not defined there:
/// here the request is then one to an operation that does not exist.
async fn preflight(
    exchange: &mut Exchange,
    service: &Arc<CompiledService>,
    api: usize,
    segments: &[&str],
    query: &[(String, String)],
) {
    let asked = exchange
        .request_header("Access-Control-Request-Method")
        .unwrap_or_default();
    let operation = operation(service, api, &asked, segments, query).map(|(place, _)| place);
    exchange.operation = operation;
    let chain = service.chain(None, Some(api), operation);
    let mut met = false;
    for step in chain.steps(Section::Inbound) {
        if step.policy.cors().is_none() {
            break;
        }
        met = true;
        match run_step(exchange, step).await {
            Ok(Flow::Continue) => {}
            Ok(Flow::Respond | Flow::Cached) => return,
            Err(error) => {
                fail(exchange, &chain, error).await;
                return;
            }
        }
    }
    if met {
        // No policy knew the origin: documented as an empty 200.
        exchange.respond(200, MultiMap::new(), Bytes::new());
    } else {
        fail(exchange, &chain, not_found()).await;
    }
}

/// Whether this request is traced, and what to say of a token that does not
/// do it.
fn note_tracing(exchange: &mut Exchange) {
    let token = exchange
        .context
        .request
        .headers
        .remove("Apim-Debug-Authorization")
        .map(|values| values.join(","));
    if exchange.shared.trace_all {
        exchange.trace = Some(trace::Recorder::new());
    }
    let Some(token) = token else {
        return;
    };
    let api = exchange.api().map(|api| api.id.clone());
    let service = exchange.service.configuration.name.clone();
    let now = exchange.now();
    let verdict = exchange
        .shared
        .debug
        .check(&token, &service, api.as_deref(), now);
    let told = match verdict {
        Verdict::Traced => {
            let id = exchange.context.request_id.to_string();
            exchange.trace.get_or_insert_with(trace::Recorder::new);
            ("Apim-Trace-Id", id)
        }
        Verdict::Expired => (
            "Apim-Debug-Authorization-Expired",
            "The debug token has expired.".to_owned(),
        ),
        Verdict::WrongApi => (
            "Apim-Debug-Authorization-WrongAPI",
            "The debug token is for another API.".to_owned(),
        ),
        Verdict::Unknown => return,
    };
    exchange.on_every_response.push((told.0.to_owned(), told.1));
}

/// Runs the sections of a chain.
async fn run(exchange: &mut Exchange, chain: &Chain) {
    let mut after_cache = false;
    for section in [Section::Inbound, Section::Backend, Section::Outbound] {
        if after_cache && section == Section::Backend {
            continue;
        }
        exchange.section = section;
        let steps = chain.steps(section);
        // A cached response goes on behind the cache-store that stored it.
        let first = if after_cache && section == Section::Outbound {
            steps
                .iter()
                .position(|step| step.name == "cache-store")
                .map_or(0, |place| place + 1)
        } else {
            0
        };
        match run_steps(exchange, steps[first..].iter().copied()).await {
            Ok(Flow::Continue) => {}
            Ok(Flow::Respond) => return,
            Ok(Flow::Cached) => after_cache = true,
            Err(error) => {
                fail(exchange, chain, error).await;
                return;
            }
        }
    }
}

/// Runs policies until one of them ends their section.
pub(crate) async fn run_steps<'s>(
    exchange: &mut Exchange,
    steps: impl Iterator<Item = &'s Step> + Send,
) -> Result<Flow, PolicyError> {
    for step in steps {
        match run_step(exchange, step).await? {
            Flow::Continue => {}
            ends => return Ok(ends),
        }
    }
    Ok(Flow::Continue)
}

async fn run_step(exchange: &mut Exchange, step: &Step) -> Result<Flow, PolicyError> {
    trace::begin(exchange, step);
    let result = step.policy.run(exchange).await.map_err(|mut error| {
        error.place.get_or_insert_with(|| Place {
            policy: step.name.clone(),
            scope: step.scope,
            section: step.section,
            path: step.path.clone(),
            id: step.id.clone(),
        });
        error
    });
    let failure = result.as_ref().err().map(|error| error.message.as_str());
    trace::end(exchange, failure);
    result
}

/// Makes the answer to an error and lets on-error change it. In on-error the
/// response is there already (inferred from policies that read its status
/// there).
async fn fail(exchange: &mut Exchange, chain: &Chain, error: PolicyError) {
    exchange.context.last_error = Some(last_error(&error));
    tracing::debug!(reason = error.reason, message = %error.message, "a request failed");
    answer(exchange, &error);
    exchange.section = Section::OnError;
    let steps = chain.steps(Section::OnError);
    let result = Box::pin(run_steps(exchange, steps.into_iter())).await;
    if let Err(error) = result {
        // Nothing handles an error of on-error.
        answer(exchange, &error);
    }
}

pub(crate) fn last_error(error: &PolicyError) -> expressions::LastError {
    let mut last = expressions::LastError {
        source: error.source.to_owned(),
        reason: Some(error.reason.to_owned()),
        message: error.message.clone(),
        ..expressions::LastError::default()
    };
    if let Some(place) = &error.place {
        last.source.clone_from(&place.policy);
        last.scope = Some(place.scope.to_string());
        last.section = Some(place.section.name().to_owned());
        last.path = Some(place.path.clone());
        last.policy_id.clone_from(&place.id);
    }
    last
}

fn answer(exchange: &mut Exchange, error: &PolicyError) {
    let answer = &error.answer;
    if answer.keep_response && exchange.context.response.is_some() {
        return;
    }
    let activity = (answer.status == 500).then(|| exchange.context.request_id.to_string());
    let body = error_body(answer.status, &answer.message, activity.as_deref());
    let mut headers = MultiMap::new();
    headers.append("Content-Type", "application/json");
    for (name, value) in &answer.headers {
        headers.append(name, value);
    }
    exchange.respond(answer.status, headers, body);
}

/// Counts what had to wait for the response and writes it out.
async fn finish(mut exchange: Box<Exchange>, is_head: bool) -> Response<Body> {
    exchange.response_mut();
    let counting = policies::count_afterwards(&mut exchange).await;
    if let Some(body) = exchange.context.request.body.take()
        && body.is_consumed()
    {
        exchange.request_body = BodyState::None;
    }
    let extra = std::mem::take(&mut exchange.on_every_response);
    let mut body = exchange.response_body.send();
    let (status, reason, wire) = {
        let response = exchange.response_mut();
        for (name, value) in extra {
            response.headers.set(name, vec![value]);
        }
        let status = u16::try_from(response.status_code).unwrap_or(500);
        (
            status,
            response.status_reason.clone(),
            headers::to_wire(&response.headers),
        )
    };
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| status.as_u16() >= 200)
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let shared = Arc::clone(&exchange.shared);
    shared.traces.keep(&mut exchange, status.as_u16());
    if is_head {
        body = empty();
    }
    let mut response = Response::new(counting.around(body));
    *response.status_mut() = status;
    *response.headers_mut() = wire;
    if !is_head {
        frame(response.headers_mut());
    }
    if reason != reason_phrase(status.as_u16())
        && let Ok(phrase) = hyper::ext::ReasonPhrase::try_from(reason.into_bytes())
    {
        response.extensions_mut().insert(phrase);
    }
    response
}

/// The length is what the body says, never what a header says.
fn frame(headers: &mut HeaderMap) {
    headers.remove(HeaderName::from_static("content-length"));
}
