//! What follows from the instance's tenant and cloud.

use policy_sdk::{Diagnostic, Instance};

/// The login service of the public cloud.
const PUBLIC_LOGIN: &str = "login.microsoftonline.com";

/// Where issuer and keys are looked up.
pub(crate) fn openid_configuration(instance: &Instance) -> Result<String, Diagnostic> {
    if let Some(url) = &instance.openid_configuration_url {
        return Ok(url.clone());
    }
    match &instance.tenant_id {
        Some(tenant) => Ok(format!(
            "https://{}/{tenant}/v2.0/.well-known/openid-configuration",
            login_host(instance)
        )),
        None => Err(Diagnostic::error(
            "",
            format!(
                "no OpenID configuration is known: set tenantId on the ApimInstance `{}`",
                instance.name
            ),
        )),
    }
}

/// The issuers of the tenant's tokens. Which version a token has is the choice
/// of the application it is for (`requestedAccessTokenVersion` in its
/// manifest), so both are let in; the OpenID configuration names one only.
pub(crate) fn issuers(instance: &Instance) -> Vec<String> {
    let Some(tenant) = &instance.tenant_id else {
        return Vec::new();
    };
    let version_2 = |host: &str| format!("https://{host}/{tenant}/v2.0");
    let version_1 = |host: &str| format!("https://{host}/{tenant}/");
    if !instance.issuer_hosts.is_empty() {
        return instance
            .issuer_hosts
            .iter()
            .flat_map(|host| [version_2(host), version_1(host)])
            .collect();
    }
    let login = login_host(instance);
    vec![version_2(login), version_1(token_host(login))]
}

/// The login service, where it is another one than the public cloud's.
pub(crate) fn other_login_endpoint(instance: &Instance) -> Option<String> {
    let login = login_host(instance);
    (login != PUBLIC_LOGIN).then(|| format!("https://{login}"))
}

fn login_host(instance: &Instance) -> &str {
    instance.login_host.as_deref().unwrap_or(PUBLIC_LOGIN)
}

/// The host in the issuer of version 1 tokens, which is not the login
/// service's. Azure Government shares the public cloud's.
fn token_host(login: &str) -> &str {
    match login {
        "login.chinacloudapi.cn" | "login.partner.microsoftonline.cn" => "sts.chinacloudapi.cn",
        _ => "sts.windows.net",
    }
}
