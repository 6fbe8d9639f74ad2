//! A PeerAuthentication of Istio: the pods take nothing but mutual TLS of the
//! mesh: <https://istio.io/latest/docs/reference/config/security/peer_authentication/>.

use serde_json::json;

use super::{Before, Protection};
use crate::desired::Exposure;
use crate::exposure::{ObjectFacts, ObjectKind};

static KIND: ObjectKind = ObjectKind {
    kind: "PeerAuthentication",
    group: "security.istio.io",
    version: "v1",
    plural: "peerauthentications",
    comes_with: Some("Istio 1.22 or newer"),
    role: Some("apim-operator-mesh"),
    reads: &[],
    instead: "leave `exposure.protection.istio` out of the instance",
    facts: |_| ObjectFacts::default(),
    paths: |_| Vec::new(),
};

pub(super) static PROTECTION: Protection = Protection {
    kind: &KIND,
    before: Before::Pods,
    protect: |guarded, target, exposure| {
        let settings = &guarded.instance.spec.exposure.protection.istio;
        let Some(settings) = settings else {
            return Ok(None);
        };
        if matches!(exposure, Exposure::Service(_) | Exposure::Balanced(_)) {
            return Err(guarded.cannot(
                "protection.istio",
                "what comes in there is not of the mesh, so that the pods would take nothing; use `protection.token`, \
                 or choose exposure `istio`, `http-route` or `ingress` behind a gateway of the mesh",
            ));
        }
        if !settings.strict {
            return Ok(None);
        }
        let pods = guarded.pods(target, "protection.istio")?;
        Ok(Some(json!({
            "selector": {"matchLabels": pods.labels},
            "mtls": {"mode": "STRICT"},
        })))
    },
};
