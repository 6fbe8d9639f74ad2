//! Who may do what in ARM: bearer token and role assignment.

use super::error::ArmError;
use super::path::{ServicePath, Target};
use crate::clock::iso;
use crate::config::{ApplicationSeed, Role, RoleScope, Seed};
use crate::http::Call;
use crate::token::{self, Claims, Refusal};
use crate::world::World;
use axum::http::Method;
use jiff::Timestamp;

/// Verifies the token, or answers the 401 with its challenge.
pub(super) fn authenticate(
    world: &World,
    call: &Call,
    subscription: &str,
) -> Result<Claims, ArmError> {
    let tenant = &world.seed.tenant_id;
    let refused = |code: &str, message: String, error: &str| {
        let challenge = format!(
            "Bearer authorization_uri=\"{}/{tenant}\", error=\"invalid_token\", error_description=\"{error}\"",
            world.base_url()
        );
        ArmError::gateway(401, code, message).with("WWW-Authenticate", challenge)
    };
    let Some(bearer) = call.bearer() else {
        return Err(refused(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.".to_owned(),
            "The authentication failed because of missing 'Authorization' header.",
        ));
    };
    let origins = world.origins();
    token::verify(
        &world.key,
        bearer,
        world.clock.now(),
        |audience| token::is_arm_audience(audience, &origins),
        tenant,
    )
    .map_err(|refusal| match refusal {
        Refusal::Invalid => refused(
            "InvalidAuthenticationToken",
            "The access token is invalid.".to_owned(),
            "Could not validate the access token.",
        ),
        Refusal::Expired { expired_at } => {
            let expiry = Timestamp::from_second(expired_at).map(iso).unwrap_or_default();
            refused(
                "ExpiredAuthenticationToken",
                format!(
                    "The access token expiry UTC time '{expiry}' is earlier than current UTC time '{}'.",
                    iso(world.clock.now())
                ),
                "The access token has expired.",
            )
        }
        Refusal::Audience(found) => refused(
            "InvalidAuthenticationTokenAudience",
            format!(
                "The access token has been obtained for wrong audience or resource '{found}'. It should exactly match with one of the allowed audiences 'https://management.core.windows.net/','https://management.core.windows.net','https://management.azure.com/','https://management.azure.com','{}'.",
                world.base_url()
            ),
            "The access token has been obtained for the wrong audience.",
        ),
        Refusal::Tenant(found) => refused(
            "InvalidAuthenticationTokenTenant",
            format!(
                "The access token is from the wrong issuer '{found}'. It must match the tenant '{}' associated with this subscription '{subscription}'. Please use the authority (URL) '{}/{tenant}' to get the token.",
                token::issuer(tenant),
                world.base_url()
            ),
            "The access token is from the wrong issuer.",
        ),
    })
}

/// Checks the role assignment, or answers the 403.
pub(super) fn authorize(
    world: &World,
    call: &Call,
    claims: &Claims,
    segments: &[String],
    target: Option<&Target>,
) -> Result<(), ArmError> {
    let (verb, needs_write) = match call.method {
        Method::GET | Method::HEAD => ("read", false),
        Method::DELETE => ("delete", true),
        Method::POST => ("action", true),
        _ => ("write", true),
    };
    let assigned = application(&world.seed, &claims.appid)
        .filter(|known| known.object_id.eq_ignore_ascii_case(&claims.oid))
        .is_some_and(|known| {
            let enough = match known.role {
                Some(Role::Contributor) => true,
                Some(Role::Reader) => !needs_write,
                None => false,
            };
            enough && covers(&world.seed, known.role_scope, segments)
        });
    if assigned {
        return Ok(());
    }
    let kind = target.map_or_else(
        || "Microsoft.Resources/subscriptions".to_owned(),
        Target::resource_type,
    );
    Err(ArmError::gateway(
        403,
        "AuthorizationFailed",
        format!(
            "The client '{}' with object id '{}' does not have authorization to perform action '{kind}/{verb}' over scope '{}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
            claims.appid, claims.oid, call.path
        ),
    ))
}

fn application<'a>(seed: &'a Seed, client_id: &str) -> Option<&'a ApplicationSeed> {
    seed.tenants
        .iter()
        .flat_map(|tenant| &tenant.applications)
        .find(|application| application.client_id.eq_ignore_ascii_case(client_id))
}

fn covers(seed: &Seed, scope: RoleScope, segments: &[String]) -> bool {
    let subscription = segments.get(1).map_or("", String::as_str);
    let group = segments.get(3).map_or("", String::as_str);
    // Every service's subscription and group count as assigned, so that
    // several instances can be seeded without further words.
    let subscriptions = || {
        seed.services
            .iter()
            .filter_map(|service| service.subscription_id.as_ref())
            .chain([&seed.subscription_id])
    };
    let groups = || {
        seed.services
            .iter()
            .filter_map(|service| service.resource_group.as_ref())
            .chain([&seed.resource_group])
    };
    let in_subscription = subscriptions().any(|known| known.eq_ignore_ascii_case(subscription));
    let in_group = in_subscription && groups().any(|known| known.eq_ignore_ascii_case(group));
    match scope {
        RoleScope::Subscription => in_subscription,
        RoleScope::ResourceGroup => in_group,
        RoleScope::Service => {
            in_group
                && ServicePath::parse(segments)
                    .is_some_and(|path| path.service.eq_ignore_ascii_case(&seed.services[0].name))
        }
    }
}
