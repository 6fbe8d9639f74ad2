//! Entra ID: OpenID configuration, keys, instance discovery and the token
//! endpoint for applications.

use crate::clock::iso;
use crate::config::{ApplicationSeed, FederatedCredentialSeed, TenantSeed};
use crate::http::{Call, Reply};
use crate::token;
use crate::world::World;
use axum::http::Method;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Answers a request below `/<tenant>/`.
pub(crate) fn handle(world: &World, call: &Call) -> Reply {
    let segments = call.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let origin = call.origin();
    match (call.method.clone(), parts.as_slice()) {
        (Method::GET, ["common", "discovery", "instance"]) => instance_discovery(world, call),
        (Method::GET, [tenant, ".well-known", "openid-configuration"]) => {
            with_tenant(world, tenant, |tenant| {
                Reply::json(200, &configuration(&origin, &tenant.id, false))
            })
        }
        (Method::GET, [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
            with_tenant(world, tenant, |tenant| {
                Reply::json(200, &configuration(&origin, &tenant.id, true))
            })
        }
        (Method::GET, [_, "discovery", "keys"] | [_, "discovery", "v2.0", "keys"]) => {
            Reply::json(200, &world.key.jwks())
        }
        (Method::POST, [tenant, "oauth2", "v2.0", "token"]) => {
            with_tenant(world, tenant, |tenant| token_endpoint(world, call, tenant))
        }
        (_, [_, "oauth2", "v2.0", "token"]) => Reply::empty(405).with("Allow", "POST"),
        _ => Reply::json(
            404,
            &json!({ "error": {
                "code": "NotSimulated",
                "message": format!(
                    "{} {} is neither Entra ID's, ARM's (/subscriptions/…), /msi/token nor /_control/ here.",
                    call.method, call.path
                ),
            }}),
        ),
    }
}

fn with_tenant(world: &World, id: &str, answer: impl FnOnce(&TenantSeed) -> Reply) -> Reply {
    let tenants = &world.seed.tenants;
    match tenants
        .iter()
        .find(|tenant| tenant.id.eq_ignore_ascii_case(id))
    {
        Some(tenant) => answer(tenant),
        None => error(
            world,
            400,
            "invalid_request",
            90002,
            &format!(
                "Tenant '{id}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."
            ),
        ),
    }
}

fn configuration(origin: &str, tenant: &str, version_2: bool) -> Value {
    let (issuer, keys, path) = if version_2 {
        (
            format!("{origin}/{tenant}/v2.0"),
            format!("{origin}/{tenant}/discovery/v2.0/keys"),
            "oauth2/v2.0",
        )
    } else {
        (
            token::issuer(tenant),
            format!("{origin}/{tenant}/discovery/keys"),
            "oauth2",
        )
    };
    json!({
        "token_endpoint": format!("{origin}/{tenant}/{path}/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": keys,
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": issuer,
        "authorization_endpoint": format!("{origin}/{tenant}/{path}/authorize"),
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "tid", "ver"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": origin.split_once("://").map_or(origin, |(_, host)| host),
    })
}

fn instance_discovery(world: &World, call: &Call) -> Reply {
    let host = call.host.clone();
    let tenant = &world.seed.tenant_id;
    Reply::json(
        200,
        &json!({
            "tenant_discovery_endpoint":
                format!("{}/{tenant}/v2.0/.well-known/openid-configuration", call.origin()),
            "api-version": "1.1",
            "metadata": [{
                "preferred_network": host, "preferred_cache": host, "aliases": [host],
            }],
        }),
    )
}

/// The OAuth 2.0 client credentials grant.
fn token_endpoint(world: &World, call: &Call, tenant: &TenantSeed) -> Reply {
    let form: HashMap<String, String> = url::form_urlencoded::parse(&call.body)
        .into_owned()
        .collect();
    let given = |name: &str| {
        form.get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    };
    for name in ["grant_type", "client_id", "scope"] {
        if given(name).is_none() {
            return error(
                world,
                400,
                "invalid_request",
                900_144,
                &format!("The request body must contain the following parameter: '{name}'."),
            );
        }
    }
    let grant = given("grant_type").unwrap_or_default();
    if grant != "client_credentials" {
        return error(
            world,
            400,
            "unsupported_grant_type",
            70003,
            &format!("The app requested an unsupported grant type '{grant}'."),
        );
    }
    let client_id = given("client_id").unwrap_or_default();
    let Some(application) = tenant
        .applications
        .iter()
        .find(|application| application.client_id.eq_ignore_ascii_case(client_id))
    else {
        return error(
            world,
            400,
            "unauthorized_client",
            700_016,
            &format!(
                "Application with identifier '{client_id}' was not found in the directory '{}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
                tenant.id
            ),
        );
    };
    if let Err(refusal) = authenticate(world, application, &form) {
        return refusal;
    }
    let scope = given("scope").unwrap_or_default();
    let Some(resource) = scope.strip_suffix("/.default") else {
        return error(
            world,
            400,
            "invalid_scope",
            1_002_012,
            &format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
            ),
        );
    };
    if !token::is_known_resource(resource, &world.seed, &world.origins()) {
        return error(
            world,
            400,
            "invalid_resource",
            500_011,
            &format!(
                "The resource principal named {resource} was not found in the tenant named {}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
                tenant.id
            ),
        );
    }
    let now = world.clock.now();
    match token::issue(
        &world.key,
        &tenant.id,
        application,
        resource,
        now,
        token::LIFETIME_S,
    ) {
        Ok(access_token) => Reply::json(
            200,
            &json!({
                "token_type": "Bearer",
                "expires_in": token::LIFETIME_S,
                "ext_expires_in": token::LIFETIME_S,
                "access_token": access_token,
            }),
        )
        .with("Cache-Control", "no-store, no-cache")
        .with("Pragma", "no-cache")
        .by(&application.client_id),
        Err(failure) => Reply::text(500, "text/plain", failure.to_string()),
    }
}

/// Checks the client secret or the client assertion.
fn authenticate(
    world: &World,
    application: &ApplicationSeed,
    form: &HashMap<String, String>,
) -> Result<(), Reply> {
    if let Some(secret) = form.get("client_secret") {
        if application.secrets.contains(secret) {
            return Ok(());
        }
        return Err(error(
            world,
            401,
            "invalid_client",
            7_000_215,
            &format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{}'.",
                application.client_id
            ),
        ));
    }
    let Some(assertion) = form.get("client_assertion") else {
        return Err(error(
            world,
            401,
            "invalid_client",
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        ));
    };
    let kind = form.get("client_assertion_type").map_or("", String::as_str);
    if kind != ASSERTION_TYPE {
        return Err(error(
            world,
            400,
            "invalid_request",
            900_144,
            &format!(
                "The request body must contain the following parameter: 'client_assertion_type' with the value '{ASSERTION_TYPE}'."
            ),
        ));
    }
    check_assertion(world, application, assertion)
}

#[derive(Debug, Deserialize)]
struct AssertionClaims {
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    aud: Value,
    #[serde(default)]
    exp: i64,
}

fn check_assertion(
    world: &World,
    application: &ApplicationSeed,
    assertion: &str,
) -> Result<(), Reply> {
    let malformed = |_| {
        error(
            world,
            401,
            "invalid_client",
            50027,
            "JWT token is invalid or malformed.",
        )
    };
    let header = jsonwebtoken::decode_header(assertion).map_err(malformed)?;
    let unverified: AssertionClaims =
        jsonwebtoken::dangerous::insecure_decode_claims(assertion).map_err(malformed)?;
    let audiences: Vec<&str> = match &unverified.aud {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let Some(credential) = application.federated_credentials.iter().find(|credential| {
        credential.issuer == unverified.iss
            && credential.subject == unverified.sub
            && audiences.iter().any(|audience| {
                credential
                    .audiences
                    .iter()
                    .any(|accepted| accepted == audience)
            })
    }) else {
        return Err(error(
            world,
            401,
            "invalid_client",
            700_211,
            &format!(
                "No matching federated identity record found for presented assertion issuer '{}', subject '{}', audience '{}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.",
                unverified.iss,
                unverified.sub,
                audiences.join(", ")
            ),
        ));
    };
    let keys = federation_keys(world, credential, header.kid.as_deref());
    let mut validation = Validation::new(Algorithm::RS256);
    validation.algorithms = vec![Algorithm::RS256];
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    if !keys
        .iter()
        .any(|key| jsonwebtoken::decode::<AssertionClaims>(assertion, key, &validation).is_ok())
    {
        return Err(error(
            world,
            401,
            "invalid_client",
            7_000_272,
            "Signature validation of the client assertion failed: the key was not found, or the signature does not match.",
        ));
    }
    if unverified.exp <= world.clock.now().as_second() {
        return Err(error(
            world,
            401,
            "invalid_client",
            700_024,
            "Client assertion is not within its valid time range.",
        ));
    }
    Ok(())
}

/// The keys of a federated issuer: its own, or the simulator's.
fn federation_keys(
    world: &World,
    credential: &FederatedCredentialSeed,
    kid: Option<&str>,
) -> Vec<DecodingKey> {
    if let Some(pem) = &credential.public_key_pem {
        return DecodingKey::from_rsa_pem(pem.as_bytes())
            .into_iter()
            .collect();
    }
    let Some(jwks) = &credential.jwks else {
        return vec![world.key.verifier().clone()];
    };
    let Ok(set) = serde_json::from_value::<JwkSet>(jwks.clone()) else {
        return Vec::new();
    };
    set.keys
        .iter()
        .filter(|key| kid.is_none() || key.common.key_id.as_deref() == kid)
        .filter_map(|key| DecodingKey::from_jwk(key).ok())
        .collect()
}

fn error(world: &World, status: u16, error: &str, code: u32, message: &str) -> Reply {
    let timestamp = iso(world.clock.now()).replace('T', " ");
    let trace = crate::world::guid();
    let correlation = crate::world::guid();
    Reply::json(
        status,
        &json!({
            "error": error,
            "error_description": format!(
                "AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"
            ),
            "error_codes": [code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        }),
    )
}
