//! The managed identity endpoint in its App Service form: the one of the two
//! forms that a client can be pointed at by `IDENTITY_ENDPOINT`.

use crate::config::{ApplicationSeed, Seed, TenantSeed};
use crate::http::{Call, Reply};
use crate::token;
use crate::world::World;
use serde_json::json;

const API_VERSION: &str = "2019-08-01";

/// Answers `GET /msi/token`.
pub(crate) fn handle(world: &World, call: &Call) -> Reply {
    if call.method != axum::http::Method::GET {
        return Reply::empty(405).with("Allow", "GET");
    }
    if call.header("x-identity-header") != Some(world.seed.identity_header.as_str()) {
        return error(401, "The X-IDENTITY-HEADER header is missing or wrong.");
    }
    if call.parameter("api-version").as_deref() != Some(API_VERSION) {
        return error(
            400,
            &format!("The api-version is missing or unsupported; supported: {API_VERSION}."),
        );
    }
    let Some(resource) = call.parameter("resource").filter(|value| !value.is_empty()) else {
        return error(400, "The parameter 'resource' is missing.");
    };
    let wanted = call.parameter("client_id");
    let Some((tenant, application)) = find(&world.seed, wanted.as_deref()) else {
        return error(
            400,
            "No managed identity with the requested client id is assigned here.",
        );
    };
    if !token::is_known_resource(&resource, &world.seed, &world.origins()) {
        return error(
            400,
            &format!("The resource principal named {resource} was not found."),
        );
    }
    let now = world.clock.now();
    let lifetime = token::MANAGED_IDENTITY_LIFETIME_S;
    match token::issue(
        &world.key,
        &tenant.id,
        application,
        &resource,
        now,
        lifetime,
    ) {
        Ok(access_token) => Reply::json(
            200,
            &json!({
                "access_token": access_token,
                "client_id": application.client_id,
                "expires_on": (now.as_second() + lifetime).to_string(),
                "resource": resource,
                "token_type": "Bearer",
            }),
        )
        .by(&application.client_id),
        Err(failure) => error(500, &failure.to_string()),
    }
}

/// The managed identity of a client id, or the first one.
pub(crate) fn find<'s>(
    seed: &'s Seed,
    client_id: Option<&str>,
) -> Option<(&'s TenantSeed, &'s ApplicationSeed)> {
    let tenants = seed.tenants.iter();
    tenants
        .flat_map(|tenant| tenant.applications.iter().map(move |app| (tenant, app)))
        .find(|(_, app)| {
            app.managed_identity
                && client_id.is_none_or(|id| app.client_id.eq_ignore_ascii_case(id))
        })
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "statusCode": status, "message": message }))
}
