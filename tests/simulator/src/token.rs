//! Access tokens: what they say, and when they are accepted.

use crate::config::{ApplicationSeed, Seed};
use crate::keys::{KeyError, SigningKey};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How long a token of the token endpoint lives, in seconds.
pub(crate) const LIFETIME_S: i64 = 3599;
/// How long a managed identity's token lives, in seconds.
pub(crate) const MANAGED_IDENTITY_LIFETIME_S: i64 = 86_399;

/// The claims of a version 1.0 access token, as ARM and Key Vault receive it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: String,
    pub(crate) iss: String,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
    pub(crate) appid: String,
    pub(crate) appidacr: String,
    pub(crate) idp: String,
    pub(crate) idtyp: String,
    pub(crate) oid: String,
    pub(crate) sub: String,
    pub(crate) tid: String,
    /// Tells tokens apart that were issued in one second.
    pub(crate) uti: String,
    pub(crate) ver: String,
}

/// The issuer of version 1.0 tokens of a tenant.
pub(crate) fn issuer(tenant: &str) -> String {
    format!("https://sts.windows.net/{tenant}/")
}

/// Signs an access token for an application.
pub(crate) fn issue(
    key: &SigningKey,
    tenant: &str,
    application: &ApplicationSeed,
    audience: &str,
    now: Timestamp,
    lifetime: i64,
) -> Result<String, KeyError> {
    let now = now.as_second();
    key.sign(&Claims {
        aud: audience.to_owned(),
        iss: issuer(tenant),
        iat: now,
        nbf: now,
        exp: now + lifetime,
        appid: application.client_id.clone(),
        appidacr: "1".to_owned(),
        idp: issuer(tenant),
        idtyp: "app".to_owned(),
        oid: application.object_id.clone(),
        sub: application.object_id.clone(),
        tid: tenant.to_owned(),
        uti: format!("{:032x}", rand::random::<u128>()),
        ver: "1.0".to_owned(),
    })
}

/// Signs an access token for an application's own callers, with other claims
/// over the usual ones; null takes one out.
pub(crate) fn issue_with(
    key: &SigningKey,
    tenant: &str,
    application: &ApplicationSeed,
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<String, KeyError> {
    let now = now.as_second();
    let mut all = json!({
        "aud": application.client_id,
        "iss": issuer(tenant),
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_S,
        "appid": application.client_id,
        "oid": application.object_id,
        "sub": application.object_id,
        "tid": tenant,
        "ver": "1.0",
    });
    if let Some(all) = all.as_object_mut() {
        all.extend(claims.clone());
        all.retain(|_, value| !value.is_null());
    }
    key.sign(&all)
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a token, or not signed by this simulator.
    Invalid,
    /// The time is over, or has not come.
    Expired { expired_at: i64 },
    /// Made for somebody else.
    Audience(String),
    /// Made by a tenant that has no say here.
    Tenant(String),
}

/// Verifies signature, time, audience and tenant of an access token.
pub(crate) fn verify(
    key: &SigningKey,
    token: &str,
    now: Timestamp,
    audience_accepted: impl Fn(&str) -> bool,
    tenant: &str,
) -> Result<Claims, Refusal> {
    // Time and audience are checked below: the library knows the system's
    // clock only, and Azure has an answer of its own for each.
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Claims>(token, key.verifier(), &validation)
        .map_err(|_| Refusal::Invalid)?
        .claims;
    let now = now.as_second();
    if claims.exp <= now || claims.nbf > now + 300 {
        return Err(Refusal::Expired {
            expired_at: claims.exp,
        });
    }
    if !audience_accepted(claims.aud.trim_end_matches('/')) {
        return Err(Refusal::Audience(claims.aud));
    }
    if claims.iss != issuer(tenant) {
        return Err(Refusal::Tenant(claims.iss));
    }
    Ok(claims)
}

/// Whether a token's audience, without a slash at the end, is ARM's: the
/// public cloud's names or the address of this simulator.
pub(crate) fn is_arm_audience(audience: &str, origins: &[String]) -> bool {
    [
        "https://management.azure.com",
        "https://management.core.windows.net",
    ]
    .contains(&audience)
        || origins.iter().any(|origin| origin == audience)
}

/// Whether a token's audience is Key Vault's.
pub(crate) fn is_vault_audience(audience: &str) -> bool {
    [
        "https://vault.azure.net",
        "https://vault.localhost",
        "https://localhost",
    ]
    .contains(&audience)
}

/// Whether a resource can be asked a token for: an audience of a simulated
/// service, or an application of any tenant.
pub(crate) fn is_known_resource(resource: &str, seed: &Seed, origins: &[String]) -> bool {
    let resource = resource.trim_end_matches('/');
    let application = resource.strip_prefix("api://").unwrap_or(resource);
    is_arm_audience(resource, origins)
        || is_vault_audience(resource)
        || seed
            .tenants
            .iter()
            .flat_map(|tenant| &tenant.applications)
            .any(|known| known.client_id.eq_ignore_ascii_case(application))
}
