//! Debug credentials of the managed gateway, and the traces that they make:
//! `POST gateways/managed/listDebugCredentials` and `…/listTrace`, which exist
//! since api-version 2023-05-01-preview.

use super::error::ArmError;
use super::path::{ApiRef, ServicePath};
use super::request::Request;
use crate::http::Reply;
use crate::world::World;
use axum::http::Method;
use jiff::{SignedDuration, Span};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Credentials {
    /// A duration of ISO 8601.
    #[serde(default, rename = "credentialsExpireAfter")]
    life: Option<String>,
    /// The full ARM id.
    api_id: String,
    purposes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TraceId {
    trace_id: String,
}

/// The answer, if the request is for one of the two and there is a gateway.
pub(super) fn answer(world: &World, path: &ServicePath, request: &Request) -> Option<Reply> {
    let gateway = &world.data_plane.as_ref()?.gateway;
    let parts: Vec<String> = path.rest.iter().map(|part| part.to_lowercase()).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if request.method != Method::POST {
        return None;
    }
    let result = match parts.as_slice() {
        ["gateways", "managed", "listdebugcredentials"] => {
            credentials(world, gateway, path, request)
        }
        ["gateways", "managed", "listtrace"] => trace(world, gateway, request),
        _ => return None,
    };
    Some(result.unwrap_or_else(|error| error.reply()))
}

fn body<T: for<'d> Deserialize<'d>>(request: &Request) -> Result<T, ArmError> {
    serde_json::from_slice(&request.body)
        .map_err(|error| ArmError::invalid("body", &error.to_string()))
}

fn credentials(
    world: &World,
    gateway: &apim_gateway::Gateway,
    path: &ServicePath,
    request: &Request,
) -> Result<Reply, ArmError> {
    let wanted: Credentials = body(request)?;
    if wanted.purposes != ["tracing"] {
        return Err(ArmError::invalid(
            "purposes",
            "The purposes must be ['tracing'].",
        ));
    }
    let life = match &wanted.life {
        None => SignedDuration::from_hours(1),
        Some(text) => text
            .parse::<Span>()
            .ok()
            .and_then(|span| SignedDuration::try_from(span).ok())
            .filter(SignedDuration::is_positive)
            .ok_or_else(|| {
                ArmError::invalid(
                    "credentialsExpireAfter",
                    &format!("'{text}' is no duration such as PT1H."),
                )
            })?,
    };
    let id = wanted.api_id.rsplit('/').next().unwrap_or_default();
    let mut arm = world.arm.lock();
    let service = arm
        .service_mut(path)
        .ok_or_else(|| ArmError::not_found("Service"))?;
    let api = ApiRef::parse(id)?;
    let family = service
        .family(&api)
        .ok_or_else(|| ArmError::not_found("Api"))?;
    let token = gateway.debug_token(&service.name, &family.name, life);
    Ok(Reply::pretty(200, &json!({ "token": token })))
}

fn trace(
    world: &World,
    gateway: &apim_gateway::Gateway,
    request: &Request,
) -> Result<Reply, ArmError> {
    let wanted: TraceId = body(request)?;
    let trace = gateway
        .trace(&wanted.trace_id)
        .ok_or_else(|| ArmError::not_found("Trace"))?;
    // Whether Azure hides secret named values in a trace is not published; here
    // it is read by more people than may see them.
    let trace = world.secrets.lock().trace(&trace);
    Ok(Reply::pretty(200, &json!(trace)))
}
