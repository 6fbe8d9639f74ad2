//! Azure Resource Manager and the resource provider of API Management.

mod api;
mod api_view;
mod attached;
mod auth;
mod certificate;
mod contract;
#[rustfmt::skip]
mod contract_table;
mod debugging;
mod dispatch;
pub(crate) mod dump;
mod entity;
mod error;
mod families;
mod import;
mod list;
mod lro;
mod operations;
pub(crate) mod path;
mod policy;
pub(crate) mod product;
mod release;
mod request;
pub(crate) mod schema;
mod self_hosted;
mod service;
pub(crate) mod store;
mod subscription;
mod throttle;
pub(crate) mod vault;
mod version_set;
mod wiki;

pub(crate) use throttle::Budget;

use crate::blob;
use crate::clock::iso;
use crate::config::{LroSettings, Seed, ThrottleLimits};
use crate::faults::FaultSpec;
use crate::fetch;
use crate::http::{Call, Reply};
use crate::journal::CallKind;
use crate::moments::Moments;
use crate::world::{World, guid};
use axum::http::Method;
use error::ArmError;
use jiff::Timestamp;
use path::{ApiRef, ServicePath, Target};
use request::{API_VERSIONS, Request};
use store::Service;
use throttle::Throttle;

/// Everything that ARM knows.
pub(crate) struct ArmState {
    pub(crate) services: Vec<Service>,
    pub(crate) lro: LroSettings,
    pub(crate) moments: Moments,
    /// Whether a gateway executes policies, so that they must be executable.
    pub(crate) executes: bool,
    throttle: Throttle,
}

impl ArmState {
    pub(crate) fn new(
        seed: &Seed,
        lro: LroSettings,
        limits: Option<ThrottleLimits>,
        now: Timestamp,
    ) -> Self {
        let services = seed
            .services
            .iter()
            .map(|service| {
                let mut service = Service::new(seed, service, now);
                service.install_default_policy(now);
                service
            })
            .collect();
        Self {
            services,
            lro,
            moments: Moments::default(),
            executes: false,
            throttle: Throttle::new(limits),
        }
    }

    /// What is left of the token buckets; `None` where nothing is throttled.
    pub(crate) fn budgets(&self, now: Timestamp) -> Option<Vec<Budget>> {
        self.throttle.budgets(now)
    }

    /// Changes or removes the token buckets' limits.
    pub(crate) fn set_throttle(&mut self, limits: Option<ThrottleLimits>) {
        self.throttle = Throttle::new(limits);
    }

    /// A service by the names in a path, which are compared without case.
    pub(crate) fn service_mut(&mut self, path: &ServicePath) -> Option<&mut Service> {
        self.services.iter_mut().find(|service| {
            service
                .subscription
                .eq_ignore_ascii_case(&path.subscription)
                && service
                    .resource_group
                    .eq_ignore_ascii_case(&path.resource_group)
                && service.name.eq_ignore_ascii_case(&path.service)
        })
    }
}

/// The newest api-version that is served.
pub(crate) const NEWEST: &str = API_VERSIONS[API_VERSIONS.len() - 1];

/// What a call is for, by its method and path.
pub(crate) fn kind_of(call: &Call) -> CallKind {
    let path = call.path.to_ascii_lowercase();
    match call.method {
        Method::DELETE => CallKind::Delete,
        Method::POST if path.ends_with("/listvalue") || path.ends_with("/listsecrets") => {
            CallKind::Read
        }
        Method::PUT | Method::PATCH | Method::POST => CallKind::Write,
        _ if path.contains("/operationresults/") || call.parameter("asyncId").is_some() => {
            CallKind::Poll
        }
        _ => CallKind::Read,
    }
}

/// Answers a request below `/subscriptions/`.
pub(crate) async fn handle(world: &World, call: &Call, fault: Option<FaultSpec>) -> Reply {
    let segments = call.segments();
    let subscription = segments.get(1).cloned().unwrap_or_default();
    let claims = match auth::authenticate(world, call, &subscription) {
        Ok(claims) => claims,
        Err(error) => return finish(call, error.reply()),
    };
    let taken = world.arm.lock().throttle.take(
        &claims.appid,
        &subscription.to_lowercase(),
        kind_of(call),
        world.clock.now(),
    );
    let remaining = match taken {
        Ok(remaining) => remaining,
        Err(error) => return finish(call, error.reply().by(&claims.appid)),
    };
    let reply = match admitted(world, call, &segments, &claims) {
        Ok(path) => serve(world, call, path, fault, &claims.appid).await,
        Err(error) => error.reply(),
    };
    let mut reply = finish(call, reply.by(&claims.appid));
    if let Some((name, left)) = remaining {
        reply = reply.with(name, left.to_string());
    }
    reply
}

/// What ARM's front end checks before the resource provider sees the request.
fn admitted(
    world: &World,
    call: &Call,
    segments: &[String],
    claims: &crate::token::Claims,
) -> Result<ServicePath, ArmError> {
    let Some(path) = ServicePath::parse(segments) else {
        auth::authorize(world, call, claims, segments, None)?;
        return Err(ArmError::not_simulated(&format!(
            "{} {}",
            call.method, call.path
        )));
    };
    let target = Target::parse(&path.rest).ok();
    auth::authorize(world, call, claims, segments, target.as_ref())?;
    let mut arm = world.arm.lock();
    let in_group = |service: &Service| {
        service
            .subscription
            .eq_ignore_ascii_case(&path.subscription)
            && service
                .resource_group
                .eq_ignore_ascii_case(&path.resource_group)
    };
    let seeded_group = world
        .seed
        .subscription_id
        .eq_ignore_ascii_case(&path.subscription)
        && world
            .seed
            .resource_group
            .eq_ignore_ascii_case(&path.resource_group);
    if arm.service_mut(&path).is_none() {
        return Err(if seeded_group || arm.services.iter().any(in_group) {
            ArmError::gateway(
                404,
                "ResourceNotFound",
                format!(
                    "The Resource 'Microsoft.ApiManagement/service/{}' under resource group '{}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
                    path.service, path.resource_group
                ),
            )
        } else {
            ArmError::gateway(
                404,
                "ResourceGroupNotFound",
                format!(
                    "Resource group '{}' could not be found.",
                    path.resource_group
                ),
            )
        });
    }
    let version = call.parameter("api-version").unwrap_or_default();
    if !API_VERSIONS.contains(&version.as_str()) {
        return Err(ArmError::gateway(
            400,
            "MissingOrIncorrectVersionParameter",
            format!(
                "API version query parameter is not specified or was specified incorrectly. Supported versions: {}",
                API_VERSIONS.join(", ")
            ),
        ));
    }
    Ok(path)
}

/// Builds the request of a call to the resource provider.
pub(crate) fn request_of(world: &World, call: &Call, rest: Vec<String>) -> Request {
    let vault = vault::named(world, call, &rest);
    Request {
        // HEAD is GET without a body.
        method: if call.method == Method::HEAD {
            Method::GET
        } else {
            call.method.clone()
        },
        head: call.method == Method::HEAD,
        rest,
        query: url::form_urlencoded::parse(call.query.as_bytes())
            .into_owned()
            .collect(),
        api_version: call.parameter("api-version").unwrap_or_default(),
        if_match: call.header("if-match").map(str::to_owned),
        body: call.body.clone(),
        origin: call.origin(),
        now: world.clock.now(),
        linked: None,
        vault,
        fault: None,
        blob: None,
        executes: false,
    }
}

async fn serve(
    world: &World,
    call: &Call,
    path: ServicePath,
    fault: Option<FaultSpec>,
    by: &str,
) -> Reply {
    let mut request = request_of(world, call, path.rest.clone());
    request.fault = fault;
    if call.method == Method::PUT
        && let Some(link) = import::link_of(&call.body)
    {
        request.linked = Some(fetch::fetch(&world.client, &link).await);
    }
    if request.method == Method::POST {
        request.vault = vault::to_refresh(world, &path);
    }
    if request.flag("export")
        && let [_, id] = path.rest.as_slice()
        && let Ok(api) = ApiRef::parse(id)
    {
        let format = request.parameter("format").unwrap_or_default().to_owned();
        let exported = world
            .arm
            .lock()
            .service_mut(&path)
            .and_then(|service| service.exported(&api, &format));
        request.blob = exported.map(|(text, kind)| blob::put(world, text, kind));
    }
    if let Some(reply) = debugging::answer(world, &path, &request) {
        return reply;
    }
    let mut arm = world.arm.lock();
    let settings = arm.lro.clone();
    request.executes = arm.executes;
    let Some(service) = arm.service_mut(&path) else {
        return ArmError::not_found("Service").reply();
    };
    let answer = service.answer(&request, &settings);
    let ArmState {
        services, moments, ..
    } = &mut *arm;
    let after = world.journal.last();
    for service in services.iter_mut() {
        let touched = service.families.settle();
        moments.note(service, &touched, by, after);
    }
    world.publish(&arm);
    match answer {
        Ok(reply) => reply,
        Err(error) => error.reply(),
    }
}

/// Adds the headers that every answer of ARM has. Bodies of newer api-versions
/// come with `Cache-Control: private`, everything else with three headers that
/// forbid caching, as recorded.
fn finish(call: &Call, reply: Reply) -> Reply {
    let version = call.parameter("api-version").unwrap_or_default();
    let is_child = ServicePath::parse(&call.segments()).is_some_and(|path| !path.rest.is_empty());
    let from_gateway = reply.header("x-ms-failure-cause").is_some();
    let private = version.as_str() > "2023"
        && is_child
        && !reply.body.is_empty()
        && !from_gateway
        && (reply.status < 400 || reply.status == 405);
    let mut reply = if private {
        let reply = reply.with("Cache-Control", "private");
        if reply.status == 200 {
            reply.with("Vary", "Accept-Encoding")
        } else {
            reply
        }
    } else {
        reply
            .with("Cache-Control", "no-cache")
            .with("Pragma", "no-cache")
            .with("Expires", "-1")
    };
    let id = guid();
    for (name, value) in [
        (
            "Strict-Transport-Security",
            "max-age=31536000; includeSubDomains".to_owned(),
        ),
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("X-Cache", "CONFIG_NOCACHE".to_owned()),
        ("x-ms-request-id", guid()),
        ("x-ms-correlation-request-id", id.clone()),
        (
            "x-ms-routing-request-id",
            format!("LOCAL:{}:{id}", iso(Timestamp::now())),
        ),
        (
            "X-MSEdge-Ref",
            format!("Ref A: {} Ref B: LOCAL", id.replace('-', "").to_uppercase()),
        ),
    ] {
        reply = reply.with(name, value);
    }
    reply
}
