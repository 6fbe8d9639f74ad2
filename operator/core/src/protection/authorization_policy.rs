//! An AuthorizationPolicy of Istio: only some identities of the mesh, or only
//! requests with a good token, reach the pods:
//! <https://istio.io/latest/docs/reference/config/security/authorization-policy/>.

use serde_json::json;

use super::request_authentication::issuers;
use super::{Before, Protection};
use crate::exposure::{ObjectFacts, ObjectKind};

static KIND: ObjectKind = ObjectKind {
    kind: "AuthorizationPolicy",
    group: "security.istio.io",
    version: "v1",
    plural: "authorizationpolicies",
    comes_with: Some("Istio 1.22 or newer"),
    role: Some("apim-operator-mesh"),
    reads: &[],
    instead: "leave `exposure.protection.istio` and `exposure.protection.token` out of the instance",
    facts: |_| ObjectFacts::default(),
    paths: |_| Vec::new(),
};

pub(super) static PROTECTION: Protection = Protection {
    kind: &KIND,
    before: Before::Pods,
    protect: |guarded, target, _| {
        let protection = &guarded.instance.spec.exposure.protection;
        let principals = protection.istio.iter().flat_map(|mesh| &mesh.principals);
        let principals: Vec<&String> = principals.collect();
        if principals.is_empty() && protection.token.is_none() {
            return Ok(None);
        }
        let setting = if protection.token.is_some() {
            "protection.token"
        } else {
            "protection.istio"
        };
        let pods = guarded.pods(target, setting)?;
        let mut source = json!({});
        if !principals.is_empty() {
            source["principals"] = json!(principals);
        }
        let mut rule = json!({});
        if let Some(token) = &protection.token {
            // A RequestAuthentication alone lets requests without a token pass.
            // The principal of a token is its issuer, `/` and its subject.
            let issuers = issuers(guarded.instance, token);
            let requests = issuers.iter().map(|one| format!("{}/*", one.issuer));
            source["requestPrincipals"] = json!(requests.collect::<Vec<_>>());
            if !token.identities.is_empty() {
                rule["when"] = json!([{
                    "key": "request.auth.claims[oid]", "values": token.identities,
                }]);
            }
        }
        rule["from"] = json!([{"source": source}]);
        Ok(Some(json!({
            "selector": {"matchLabels": pods.labels},
            "action": "ALLOW",
            "rules": [rule],
        })))
    },
};
