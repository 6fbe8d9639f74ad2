//! Only API Management's public addresses may call what is exposed, said in the
//! words of whoever lets traffic in: annotations of ingress-nginx
//! (<https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#whitelist-source-range>)
//! and of both HAProxy controllers, a Middleware of Traefik
//! (<https://doc.traefik.io/traefik/middlewares/http/ipallowlist/>), the source
//! ranges of a Service with a load balancer.

use std::collections::BTreeSet;

use serde_json::json;

use super::settings::network;
use super::{Before, Guarded, Protection};
use crate::desired::Exposure;
use crate::exposure::{ObjectFacts, ObjectKind, Way};
use crate::instance::spec::IngressController;
use crate::validate::Finding;

static KIND: ObjectKind = ObjectKind {
    kind: "Middleware",
    group: "traefik.io",
    version: "v1alpha1",
    plural: "middlewares",
    comes_with: Some("Traefik 3 with its CRDs"),
    role: Some("apim-operator-traefik"),
    reads: &[],
    instead: "leave `exposure.protection.allowList` out of the instance",
    facts: |_| ObjectFacts::default(),
    paths: |_| Vec::new(),
};

const SETTING: &str = "protection.allowList";
const MIDDLEWARES: &str = "traefik.ingress.kubernetes.io/router.middlewares";

pub(super) static PROTECTION: Protection = Protection {
    kind: &KIND,
    before: Before::Exposure,
    protect: |guarded, _, exposure| {
        let allow_list = &guarded.instance.spec.exposure.protection.allow_list;
        if allow_list.is_none() {
            return Ok(None);
        }
        match exposure {
            // Nobody outside the cluster calls it.
            Exposure::InCluster { .. } | Exposure::External { .. } => Ok(None),
            Exposure::Service(service) if guarded.way() == Way::LoadBalancer => {
                service.source_ranges = addresses(guarded)?;
                Ok(None)
            }
            Exposure::Service(_) => Err(guarded.cannot(
                SETTING,
                "API Management's public addresses are not those that come in there; admit its subnet with \
                 `protection.networkPolicy`, or choose another exposure",
            )),
            Exposure::Balanced(service) => Err(guarded.cannot(
                SETTING,
                &format!(
                    "Service `{}` has a load balancer of its own, and the operator does not write to it; set its \
                     `loadBalancerSourceRanges`, or make it one without a load balancer",
                    service.name
                ),
            )),
            Exposure::HttpRoute(_) | Exposure::VirtualService(_) => Err(guarded.cannot(
                SETTING,
                "its routes cannot say it; protect the Gateway itself with the means of its implementation, \
                 or choose exposure `ingress` or `load-balancer`",
            )),
            Exposure::Ingress(ingress) => {
                let controller = guarded.controller(SETTING)?;
                let addresses = addresses(guarded)?;
                let name = match controller {
                    IngressController::IngressNginx => {
                        "nginx.ingress.kubernetes.io/whitelist-source-range"
                    }
                    IngressController::Haproxy => "haproxy.org/allow-list",
                    IngressController::HaproxyIngress => {
                        "haproxy-ingress.github.io/allowlist-source-range"
                    }
                    IngressController::Traefik => {
                        // Others of the platform's go on working, after ours.
                        let others = ingress.annotations.get(MIDDLEWARES);
                        let all: Vec<String> = std::iter::once(guarded.in_traefik())
                            .chain(others.cloned())
                            .collect();
                        ingress.annotations.insert(MIDDLEWARES.to_owned(), all.join(","));
                        return Ok(Some(json!({"ipAllowList": {"sourceRange": addresses}})));
                    }
                    IngressController::Contour => {
                        return Err(guarded.cannot(
                            SETTING,
                            "Contour has allow-lists in its HTTPProxy only, not for an Ingress; use another ingress \
                             controller, or protect Contour's own Service (`loadBalancerSourceRanges`)",
                        ));
                    }
                };
                guarded.annotate(ingress, SETTING, name, addresses.join(","))?;
                Ok(None)
            }
        }
    },
};

/// API Management's public addresses and those of the settings, as subnets, in
/// an order that does not change.
fn addresses(guarded: &Guarded<'_>) -> Result<Vec<String>, Finding> {
    let known = guarded
        .context
        .iter()
        .flat_map(|context| &context.addresses);
    let settings = &guarded.instance.spec.exposure.protection.allow_list;
    let more = settings.iter().flat_map(|settings| &settings.addresses);
    let all: BTreeSet<String> = known.chain(more).filter_map(|text| network(text)).collect();
    if all.is_empty() {
        let tier = guarded.context.map(|context| context.tier().to_string());
        return Err(guarded.wrong(
            "protection.allowList.addresses",
            &format!(
                "is empty, and the service, of {}, says no public addresses of its own: list those that its calls come from",
                tier.as_deref().unwrap_or("a tier that is not known")
            ),
        ));
    }
    Ok(all.into_iter().collect())
}
