//! A RequestAuthentication of Istio: which tokens are good
//! (<https://istio.io/latest/docs/reference/config/security/request_authentication/>).
//! A policy of API Management adds them, for its managed identity.

use serde_json::json;

use super::{Before, Protection};
use crate::exposure::{ObjectFacts, ObjectKind};
use crate::instance::Instance;
use crate::instance::spec::{IssuerSpec, TokenSpec};

static KIND: ObjectKind = ObjectKind {
    kind: "RequestAuthentication",
    group: "security.istio.io",
    version: "v1",
    plural: "requestauthentications",
    comes_with: Some("Istio 1.22 or newer"),
    role: Some("apim-operator-mesh"),
    reads: &[],
    instead: "leave `exposure.protection.token` out of the instance",
    facts: |_| ObjectFacts::default(),
    paths: |_| Vec::new(),
};

pub(super) static PROTECTION: Protection = Protection {
    kind: &KIND,
    before: Before::Pods,
    protect: |guarded, target, _| {
        let Some(token) = &guarded.instance.spec.exposure.protection.token else {
            return Ok(None);
        };
        let pods = guarded.pods(target, "protection.token")?;
        let rules = issuers(guarded.instance, token).into_iter().map(|one| {
            let mut rule = json!({
                "issuer": one.issuer,
                "audiences": token.audiences,
                "jwksUri": one.jwks_uri,
            });
            if let Some(header) = &token.header {
                rule["fromHeaders"] = json!([{"name": header, "prefix": "Bearer "}]);
            }
            rule
        });
        Ok(Some(json!({
            "selector": {"matchLabels": pods.labels},
            "jwtRules": rules.collect::<Vec<_>>(),
        })))
    },
};

/// Who issues the tokens. An application decides in its own registration which
/// of the tenant's two issuers its tokens have
/// (<https://learn.microsoft.com/entra/identity-platform/access-tokens#token-formats>).
pub(super) fn issuers(instance: &Instance, token: &TokenSpec) -> Vec<IssuerSpec> {
    if !token.issuers.is_empty() {
        return token.issuers.clone();
    }
    let tenant = &instance.spec.tenant_id;
    let authority = instance.authority.as_str().trim_end_matches('/');
    let jwks_uri = format!("{authority}/{tenant}/discovery/v2.0/keys");
    [
        format!("{authority}/{tenant}/v2.0"),
        format!("https://sts.windows.net/{tenant}/"),
    ]
    .map(|issuer| IssuerSpec {
        issuer,
        jwks_uri: jwks_uri.clone(),
    })
    .into()
}
