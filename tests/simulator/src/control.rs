//! The control interface: faults, journal, clock, state. It has no
//! authentication; the simulator listens on loopback.

use crate::arm::path::{Kind, Target};
use crate::arm::{self, store::Service};
use crate::config::{LroSettings, ThrottleLimits};
use crate::faults::FaultSpec;
use crate::http::{Call, Reply};
use crate::journal::JournalQuery;
use crate::token;
use crate::world::World;
use axum::http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The longest that a request may wait.
const MAX_WAIT_MS: u64 = 120_000;

/// The interface in short, answered at `/_control`.
const HELP: [(&str, &str); 23] = [
    (
        "GET /_control/endpoints",
        "URLs and ids, as in endpoints.json",
    ),
    (
        "POST /_control/faults",
        "set a fault: {verb, path (regex), count, after, status, body, headers, delay_ms, reset, truncate, effect, hold, hold_answer, lro_failure, lock_after_success, lost_operations, lro, polls}; answers {id}",
    ),
    (
        "GET /_control/faults",
        "all faults and how often each was used",
    ),
    (
        "DELETE /_control/faults[/ID]",
        "remove all faults or one; what they hold goes on",
    ),
    (
        "POST /_control/faults/ID/release",
        "let the calls go on that a fault holds",
    ),
    (
        "GET /_control/holds?min=N&timeout_ms=MS",
        "wait until N calls are held",
    ),
    (
        "GET /_control/journal?kind=&method=&path=&since=&min=N&timeout_ms=MS",
        "calls in order; with min, wait for so many",
    ),
    ("DELETE /_control/journal", "forget all calls"),
    ("GET /_control/clock", "the simulated time"),
    (
        "POST /_control/clock",
        "{advance_ms}: move the clock forward",
    ),
    ("GET /_control/lro", "how long-running operations behave"),
    (
        "POST /_control/lro",
        "{mode: auto|sync|async-operation|location, polls, busyStatus, importResets, maxDurationMs}",
    ),
    (
        "POST /_control/throttle",
        "{readsBurst, readsPerSecond, …} or null to switch throttling off",
    ),
    (
        "POST /_control/debug-token",
        "{service, api}: a token that traces requests to an API which carry it in Apim-Debug-Authorization; answers {token}",
    ),
    (
        "GET /_control/traces[/ID][?format=text]",
        "the last traced requests, policy by policy",
    ),
    (
        "GET /_control/state[?service=NAME]",
        "everything that is stored",
    ),
    (
        "PUT /_control/state/PATH[?service=NAME]",
        "put an entity behind ARM's back, e.g. apis/foreign, loggers/x",
    ),
    (
        "DELETE /_control/state/PATH[?service=NAME]",
        "delete one; an API with all revisions",
    ),
    ("DELETE /_control/services/NAME", "delete a service"),
    (
        "PATCH /_control/services/NAME",
        "{sku, virtualNetworkType, publicIPAddresses, domain}: change a service's tier, network, addresses or custom domain",
    ),
    (
        "PUT /_control/vaults/VAULT/secrets/NAME",
        "{value}: set a secret; DELETE removes it",
    ),
    (
        "POST /_control/tokens",
        "{claims}: sign an access token with these claims over those of the application `callers`; null leaves one out",
    ),
    (
        "POST /_control/federated-token",
        "{issuer, subject, audience, lifetimeS}: sign a token for a federated credential without keys of its own",
    ),
];

/// Answers a request below `/_control`.
pub(crate) async fn handle(world: &World, call: &Call) -> Reply {
    let segments = call.segments();
    let parts: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
    let result = match (call.method.clone(), parts.as_slice()) {
        (Method::GET, ["journal"]) => journal(world, call).await,
        (Method::GET, ["holds"]) => holds(world, call).await,
        (method, parts) => at_once(world, call, &method, parts),
    };
    result.unwrap_or_else(|message| Reply::json(400, &json!({ "error": message })))
}

type Answer = Result<Reply, String>;

fn at_once(world: &World, call: &Call, method: &Method, parts: &[&str]) -> Answer {
    match (method.as_str(), parts) {
        ("GET", []) => Ok(Reply::pretty(
            200,
            &HELP
                .into_iter()
                .map(|(call, meaning)| (call.to_owned(), meaning.into()))
                .collect::<Map<_, _>>()
                .into(),
        )),
        ("POST", ["faults"]) => {
            let id = world.faults.add(body::<FaultSpec>(call)?)?;
            Ok(Reply::json(201, &json!({ "id": id })))
        }
        ("GET", ["faults"]) => Ok(Reply::json(200, &world.faults.list())),
        ("DELETE", ["faults"]) => Ok(Reply::json(
            200,
            &json!({ "removed": world.faults.remove(None) }),
        )),
        ("DELETE", ["faults", id]) => Ok(Reply::json(
            200,
            &json!({ "removed": world.faults.remove(Some(number(id)?)) }),
        )),
        ("POST", ["faults", id, "release"]) => Ok(Reply::json(
            200,
            &json!({ "released": world.faults.release(number(id)?) }),
        )),
        ("DELETE", ["journal"]) => {
            world.journal.clear();
            Ok(Reply::json(200, &json!({})))
        }
        ("GET", ["clock"]) => Ok(Reply::json(200, &json!({ "now": world.clock.now() }))),
        ("POST", ["clock"]) => {
            let ahead = world.clock.advance(body::<ClockBody>(call)?.advance_ms);
            Ok(Reply::json(
                200,
                &json!({ "ahead_ms": ahead, "now": world.clock.now() }),
            ))
        }
        ("POST", ["debug-token"]) => debug_token(world, call),
        ("GET", ["traces", rest @ ..]) => traces(world, call, rest.first().copied()),
        ("GET", ["lro"]) => Ok(Reply::json(200, &json!(world.arm.lock().lro))),
        ("POST", ["lro"]) => {
            let settings = body::<LroSettings>(call)?;
            world.arm.lock().lro = settings.clone();
            Ok(Reply::json(200, &json!(settings)))
        }
        ("POST", ["throttle"]) => {
            let limits = body::<Option<ThrottleLimits>>(call)?;
            world.arm.lock().set_throttle(limits);
            Ok(Reply::json(200, &json!(limits)))
        }
        ("POST", ["tokens"]) => tokens(world, call),
        ("POST", ["federated-token"]) => federated_token(world, call),
        ("PUT" | "DELETE", ["vaults", vault, "secrets", name]) => {
            vault_secret(world, call, vault, name)
        }
        ("DELETE", ["services", name]) => {
            let services = &mut world.arm.lock().services;
            let before = services.len();
            services.retain(|service| !service.name.eq_ignore_ascii_case(name));
            Ok(Reply::json(
                200,
                &json!({ "removed": before - services.len() }),
            ))
        }
        ("PATCH", ["services", name]) => change_service(world, call, name),
        ("GET", ["endpoints"]) => Ok(Reply::json(200, &json!(world.endpoints))),
        ("GET", ["state"]) => with_service(world, call, |service| {
            Ok(Reply::pretty(200, &arm::dump::service(service)))
        }),
        ("PUT" | "DELETE", ["state", rest @ ..]) if !rest.is_empty() => {
            let rest = rest.iter().map(|part| (*part).to_owned()).collect();
            change_state(world, call, rest)
        }
        _ => Err(format!(
            "{method} {} is not part of the control interface; GET /_control lists it",
            call.path
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockBody {
    advance_ms: u32,
}

fn body<T: DeserializeOwned>(call: &Call) -> Result<T, String> {
    serde_json::from_slice(&call.body).map_err(|error| format!("the body: {error}"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a fault's id"))
}

fn parameter<T: std::str::FromStr>(call: &Call, name: &str) -> Result<Option<T>, String> {
    match call.parameter(name) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("{name}: `{text}` is not a number")),
        },
    }
}

fn timeout(call: &Call) -> Result<Duration, String> {
    let wanted = parameter::<u64>(call, "timeout_ms")?.unwrap_or(30_000);
    Ok(Duration::from_millis(wanted.min(MAX_WAIT_MS)))
}

/// `GET journal`: 200, or 408 when `min` was not reached in time.
async fn journal(world: &World, call: &Call) -> Answer {
    let kind = match call.parameter("kind") {
        None => None,
        Some(text) => Some(
            serde_json::from_value(Value::from(text.as_str()))
                .map_err(|error| format!("kind: `{text}`: {error}"))?,
        ),
    };
    let path = match call.parameter("path") {
        None => None,
        Some(text) => {
            Some(regex::Regex::new(&text).map_err(|error| format!("path: `{text}`: {error}"))?)
        }
    };
    let query = JournalQuery {
        kind,
        since: parameter(call, "since")?.unwrap_or(0),
        method: call.parameter("method"),
        path,
    };
    let (enough, entries) = match parameter::<usize>(call, "min")? {
        None => (true, world.journal.select(&query)),
        Some(min) => world.journal.wait(&query, min, timeout(call)?).await,
    };
    let status = if enough { 200 } else { 408 };
    Ok(Reply::json(status, &json!({ "entries": entries })))
}

/// `GET holds`: 200, or 408 when `min` was not reached in time.
async fn holds(world: &World, call: &Call) -> Answer {
    let min = parameter::<usize>(call, "min")?.unwrap_or(0);
    let mut held = world.faults.held.subscribe();
    let waited = tokio::time::timeout(timeout(call)?, held.wait_for(|held| *held >= min)).await;
    let status = if waited.is_ok() { 200 } else { 408 };
    let now = *world.faults.held.borrow();
    Ok(Reply::json(status, &json!({ "held": now })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FederatedToken {
    issuer: String,
    subject: String,
    #[serde(default = "default_audience")]
    audience: String,
    #[serde(default = "default_lifetime")]
    lifetime_s: i64,
}

fn default_audience() -> String {
    "api://AzureADTokenExchange".to_owned()
}

fn default_lifetime() -> i64 {
    3600
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensBody {
    #[serde(default)]
    claims: Map<String, Value>,
}

/// Signs whatever a test wants to say in a caller's token.
fn tokens(world: &World, call: &Call) -> Answer {
    let given: TokensBody = body(call)?;
    let (tenant, application) = world
        .seed
        .tenants
        .iter()
        .find_map(|tenant| {
            let mut all = tenant.applications.iter();
            let found = all.find(|one| one.display_name == "callers")?;
            Some((tenant, found))
        })
        .ok_or("the seed has no application `callers`")?;
    let signed = token::issue_with(
        &world.key,
        &tenant.id,
        application,
        &given.claims,
        world.clock.now(),
    );
    let signed = signed.map_err(|error| error.to_string())?;
    Ok(Reply::json(200, &json!({ "token": signed })))
}

fn federated_token(world: &World, call: &Call) -> Answer {
    let wanted = body::<FederatedToken>(call)?;
    let now = world.clock.now().as_second();
    let claims = json!({
        "iss": wanted.issuer, "sub": wanted.subject, "aud": [wanted.audience],
        "iat": now, "nbf": now, "exp": now + wanted.lifetime_s,
    });
    let token = world.key.sign(&claims).map_err(|error| error.to_string())?;
    Ok(Reply::json(200, &json!({ "token": token })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretBody {
    value: String,
}

fn vault_secret(world: &World, call: &Call, vault: &str, name: &str) -> Answer {
    let mut vaults = world.vaults.lock();
    let vault = vaults
        .iter_mut()
        .find(|known| known.name.eq_ignore_ascii_case(vault))
        .ok_or_else(|| format!("there is no vault `{vault}`"))?;
    if call.method == Method::DELETE {
        let removed = vault.secrets.remove(name).is_some();
        return Ok(Reply::json(200, &json!({ "removed": removed })));
    }
    vault
        .secrets
        .insert(name.to_owned(), body::<SecretBody>(call)?.value);
    Ok(Reply::json(200, &json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DebugToken {
    service: Option<String>,
    api: String,
}

fn gateway(world: &World) -> Result<&apim_gateway::Gateway, String> {
    let data_plane = world.data_plane.as_ref();
    data_plane
        .map(|found| &found.gateway)
        .ok_or_else(|| "there is no gateway; start with --gateway-listen".to_owned())
}

fn debug_token(world: &World, call: &Call) -> Answer {
    let wanted = body::<DebugToken>(call)?;
    let service = wanted
        .service
        .unwrap_or_else(|| world.seed.services[0].name.clone());
    let hour = jiff::SignedDuration::from_hours(1);
    let token = gateway(world)?.debug_token(&service, &wanted.api, hour);
    Ok(Reply::json(200, &json!({ "token": token })))
}

/// The last traces, or one, as JSON or for people.
fn traces(world: &World, call: &Call, id: Option<&str>) -> Answer {
    let gateway = gateway(world)?;
    let found = match id {
        None => gateway.traces(),
        Some(id) => vec![gateway.trace(id).ok_or("there is no such trace")?],
    };
    let secrets = world.secrets.lock().clone();
    let found: Vec<_> = found.iter().map(|trace| secrets.trace(trace)).collect();
    if call.parameter("format").as_deref() == Some("text") {
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        return Ok(Reply::text(
            200,
            "text/plain; charset=utf-8",
            texts.join("\n"),
        ));
    }
    let json: Vec<Value> = found.iter().map(|trace| json!(trace)).collect();
    Ok(match (id, json) {
        (Some(_), mut one) => Reply::pretty(200, &one.remove(0)),
        (None, all) => Reply::pretty(200, &Value::Array(all)),
    })
}

fn with_service(world: &World, call: &Call, answer: impl FnOnce(&mut Service) -> Answer) -> Answer {
    let wanted = call.parameter("service");
    let mut arm = world.arm.lock();
    let service = arm.services.iter_mut().find(|service| {
        wanted
            .as_ref()
            .is_none_or(|name| service.name.eq_ignore_ascii_case(name))
    });
    let reply = answer(service.ok_or("there is no such service")?);
    world.publish(&arm);
    reply
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceChange {
    sku: Option<String>,
    virtual_network_type: Option<String>,
    #[serde(rename = "publicIPAddresses")]
    addresses: Option<Vec<String>>,
    domain: Option<String>,
}

/// Changes what a deployment of the service would change.
fn change_service(world: &World, call: &Call, name: &str) -> Answer {
    let change = body::<ServiceChange>(call)?;
    let mut arm = world.arm.lock();
    let service = arm
        .services
        .iter_mut()
        .find(|service| service.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| format!("there is no service `{name}`"))?;
    if let Some(sku) = change.sku {
        service.sku = sku;
    }
    if let Some(network) = change.virtual_network_type {
        service.network = network;
    }
    if let Some(addresses) = change.addresses {
        service.addresses = addresses;
    }
    if change.domain.is_some() {
        service.domain = change.domain;
    }
    Ok(Reply::json(200, &json!({})))
}

/// Puts or deletes an entity without token, throttling, locks or journal. It
/// is checked like any other: a state that Azure cannot have stays impossible.
fn change_state(world: &World, call: &Call, rest: Vec<String>) -> Answer {
    let mut request = arm::request_of(world, call, rest);
    arm::NEWEST.clone_into(&mut request.api_version);
    request.query = vec![("deleteRevisions".to_owned(), "true".to_owned())];
    with_service(world, call, |service| {
        if let [kind, id] = request.rest.as_slice()
            && Kind::Logger.segment().eq_ignore_ascii_case(kind)
        {
            let kind = Kind::Logger;
            if call.method == Method::DELETE {
                service.entities_of(kind).remove(&id.to_lowercase());
            } else {
                let fields = body::<Value>(call)?["properties"].as_object().cloned();
                service.put_foreign(kind, id, fields.unwrap_or_default(), request.now);
            }
            return Ok(Reply::json(200, &json!({})));
        }
        let reply =
            Target::parse(&request.rest).and_then(|target| service.carry_out(&request, &target));
        Ok(reply.unwrap_or_else(|error| error.reply()))
    })
}
