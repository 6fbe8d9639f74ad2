//! Key Vault: reading secrets, with the authentication challenge that the
//! Azure SDKs start with.

use crate::config::KeyVaultSeed;
use crate::http::{Call, Reply};
use crate::token::{self, Refusal};
use crate::world::World;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The api-versions that the service has published for secrets.
const API_VERSIONS: [&str; 7] = ["7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6"];
const PREVIEW_OR_DATED: [&str; 2] = ["2025-06-01-preview", "2025-07-01"];

/// The vault's name, if the host is a vault's: `<vault>.vault.localhost` or
/// `<vault>.localhost`, with or without a port.
pub(crate) fn vault_of_host(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let label = name
        .strip_suffix(".vault.localhost")
        .or_else(|| name.strip_suffix(".localhost"))?;
    (!label.is_empty() && !label.contains('.')).then_some(label)
}

/// The host of the resource that a token is needed for. The SDKs insist that
/// the vault's host ends with `.` and this one.
fn resource(host: &str) -> &'static str {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if name.ends_with(".vault.localhost") {
        "https://vault.localhost"
    } else {
        "https://localhost"
    }
}

/// Answers a request to a vault.
pub(crate) fn handle(world: &World, call: &Call, vault: &str) -> Reply {
    let vaults = world.vaults.lock();
    let Some(vault) = vaults
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(vault))
    else {
        let known: Vec<&str> = vaults.iter().map(|vault| vault.name.as_str()).collect();
        return error(
            404,
            "VaultNotFound",
            &format!(
                "There is no vault '{vault}'; in Azure its name would not resolve. Vaults here: {known:?}."
            ),
        );
    };
    let tenant = vault.tenant_id.as_ref().unwrap_or(&world.seed.tenant_id);
    let challenge = |code: &str, message: &str| {
        error(401, "Unauthorized", &format!("{code}: {message}")).with(
            "WWW-Authenticate",
            format!(
                "Bearer authorization=\"{}/{tenant}\", resource=\"{}\"",
                world.base_url(),
                resource(&call.host)
            ),
        )
    };
    let Some(bearer) = call.bearer() else {
        return challenge("AKV10000", "Request is missing a Bearer or PoP token.");
    };
    let wanted = resource(&call.host);
    let claims = match token::verify(
        &world.key,
        bearer,
        world.clock.now(),
        |audience| audience == wanted || audience == "https://vault.azure.net",
        tenant,
    ) {
        Ok(claims) => claims,
        Err(Refusal::Invalid) => return challenge("AKV10001", "Token signature is invalid."),
        Err(Refusal::Expired { .. }) => {
            return challenge("AKV10020", "Token has expired or is not yet valid.");
        }
        Err(Refusal::Audience(found)) => {
            return challenge(
                "AKV10022",
                &format!("Invalid audience. Expected {wanted}, found: {found}."),
            );
        }
        Err(Refusal::Tenant(found)) => {
            return challenge(
                "AKV10032",
                &format!(
                    "Invalid issuer. Expected one of {}, found {found}.",
                    token::issuer(tenant)
                ),
            );
        }
    };
    answer(world, call, vault, &claims).by(&claims.appid)
}

fn answer(world: &World, call: &Call, vault: &KeyVaultSeed, claims: &token::Claims) -> Reply {
    let version = call.parameter("api-version").unwrap_or_default();
    if !API_VERSIONS.contains(&version.as_str()) && !PREVIEW_OR_DATED.contains(&version.as_str()) {
        return error(
            400,
            "BadParameter",
            &format!(
                "The specified version ({version}) is not recognized. Consider using the latest supported version ({}).",
                API_VERSIONS[API_VERSIONS.len() - 1]
            ),
        );
    }
    if !may_read(world, vault, &claims.appid) {
        return Reply::json(
            403,
            &json!({ "error": {
                "code": "Forbidden",
                "message": format!(
                    "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: appid={};oid={};iss={}\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\nResource: '{}'\r\nAssignment: (not found)",
                    claims.appid, claims.oid, claims.iss, vault.name
                ),
                "innererror": { "code": "ForbiddenByRbac" },
            }}),
        );
    }
    let segments = call.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (call.method.clone(), parts.as_slice()) {
        (Method::GET, ["secrets", name]) => secret(call, vault, name, None),
        (Method::GET, ["secrets", name, version]) => secret(call, vault, name, Some(version)),
        (method, ["secrets" | "keys" | "certificates", ..]) => error(
            501,
            "NotSimulated",
            &format!(
                "{method} {} is not simulated; only reading a secret is.",
                call.path
            ),
        ),
        _ => error(404, "NotFound", "The resource does not exist."),
    }
}

fn may_read(world: &World, vault: &KeyVaultSeed, client_id: &str) -> bool {
    match &vault.readers {
        Some(readers) => readers
            .iter()
            .any(|reader| reader.eq_ignore_ascii_case(client_id)),
        None => world
            .seed
            .tenants
            .iter()
            .flat_map(|tenant| &tenant.applications)
            .any(|known| known.client_id.eq_ignore_ascii_case(client_id) && known.role.is_some()),
    }
}

/// Name, value and version of a secret; an old version is not there any more.
fn find<'v>(
    vault: &'v KeyVaultSeed,
    name: &str,
    version: Option<&str>,
) -> Option<(&'v str, &'v str, String)> {
    let mut secrets = vault.secrets.iter();
    let (name, value) = secrets.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    // A version is the same for the same value, so that it changes with it.
    let digest = Sha256::digest(format!("{}/{name}={value}", vault.name));
    let current = URL_SAFE_NO_PAD.encode(&digest[..24]);
    if version.is_some_and(|wanted| wanted != current) {
        return None;
    }
    Some((name, value, current))
}

/// Name and version of `https://<vault>/secrets/<name>[/<version>]`.
fn secret_of(identifier: &url::Url) -> Option<(&str, Option<&str>)> {
    let path: Vec<&str> = identifier.path_segments()?.collect();
    match path.as_slice() {
        ["secrets", name] if !name.is_empty() => Some((name, None)),
        ["secrets", name, version] if !name.is_empty() => Some((name, Some(version))),
        _ => None,
    }
}

/// Whether a text is the URL of a secret in some vault.
pub(crate) fn is_secret(identifier: &str) -> bool {
    url::Url::parse(identifier)
        .is_ok_and(|url| url.scheme() == "https" && secret_of(&url).is_some())
}

/// The value of a secret of this URL, as this application may read it. A vault
/// goes by its name in Azure, too: `<vault>.vault.azure.net`.
pub(crate) fn value(world: &World, identifier: &str, client_id: &str) -> Option<String> {
    let url = url::Url::parse(identifier).ok()?;
    let host = url.host_str()?;
    let name = host
        .strip_suffix(".vault.azure.net")
        .or_else(|| vault_of_host(host))?;
    let vaults = world.vaults.lock();
    let vault = vaults
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(name))
        .filter(|vault| may_read(world, vault, client_id))?;
    let (secret, version) = secret_of(&url)?;
    // A slash at the end says no version.
    let version = version.filter(|version| !version.is_empty());
    find(vault, secret, version).map(|(_, value, _)| value.to_owned())
}

fn secret(call: &Call, vault: &KeyVaultSeed, name: &str, version: Option<&str>) -> Reply {
    let Some((name, value, current)) = find(vault, name, version) else {
        return not_found(name);
    };
    Reply::json(
        200,
        &json!({
            "value": value,
            "id": format!("{}/secrets/{name}/{current}", call.origin()),
            "attributes": {
                "enabled": true,
                "created": 1_700_000_000,
                "updated": 1_700_000_000,
                "recoveryLevel": "Recoverable+Purgeable",
                "recoverableDays": 90,
            },
            "tags": {},
        }),
    )
    .with("Cache-Control", "no-cache")
}

fn not_found(name: &str) -> Reply {
    error(
        404,
        "SecretNotFound",
        &format!(
            "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
        ),
    )
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "error": { "code": code, "message": message } }),
    )
}

#[cfg(test)]
mod tests {
    use super::vault_of_host;

    #[test]
    fn a_vault_is_one_label_below_localhost_or_vault_localhost() {
        assert_eq!(vault_of_host("kv.vault.localhost:8443"), Some("kv"));
        assert_eq!(vault_of_host("kv.localhost"), Some("kv"));
        assert_eq!(vault_of_host("localhost:8443"), None);
        assert_eq!(vault_of_host("127.0.0.1"), None);
        assert_eq!(vault_of_host("a.b.vault.localhost"), None);
    }
}
