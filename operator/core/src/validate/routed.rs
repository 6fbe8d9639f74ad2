//! The routes of an object, in what exposes it or in API Management.

use std::collections::{BTreeMap, BTreeSet};

use super::document::ReadDocument;
use super::{Dereferenced, DocumentFacts, Finding};
use crate::desired::{DesiredRoute, Exposure};
use crate::exposed_api::{ExposedApi, Implementation};
use crate::exposure::{in_cluster_url, way};
use crate::problem::Problem;
use crate::routes::{Destination, Placed, Routing, place};
use crate::status::reasons::Reason;

/// What comes of the routes besides rules of what exposes the API.
#[derive(Debug, Default)]
pub(crate) struct Routed {
    /// Where they lead.
    pub(crate) destinations: BTreeSet<Destination>,
    /// What says so.
    pub(crate) place: &'static str,
    /// Where API Management sends the requests of single operations.
    pub(super) operations: BTreeMap<String, (Destination, String)>,
    pub(super) warnings: Vec<Problem>,
}

impl Routed {
    /// The Services that they lead to.
    pub(super) fn services(&self) -> BTreeSet<String> {
        let services = self.destinations.iter();
        services.map(|one| one.service.clone()).collect()
    }
}

/// Puts the routes where the exposure has a place for them.
pub(super) fn routed(
    input: &Dereferenced,
    api: &ExposedApi,
    read: Option<&ReadDocument>,
    exposure: &mut Exposure,
    findings: &mut Vec<Finding>,
) -> Routed {
    let routed = in_place(input, api, read, exposure);
    routed.unwrap_or_else(|found| {
        findings.extend(found);
        Routed::default()
    })
}

fn in_place(
    input: &Dereferenced,
    api: &ExposedApi,
    read: Option<&ReadDocument>,
    exposure: &mut Exposure,
) -> Result<Routed, Vec<Finding>> {
    let inquiry = &input.inquiry;
    let Some((routes, at)) = inquiry.routes() else {
        return Ok(Routed::default());
    };
    let Some(instance) = inquiry
        .instance
        .as_ref()
        .filter(|_| inquiry.in_api_management())
    else {
        let warning = "has no effect: this API is reached in the cluster only, by its type or its segment, at \
                       `spec.implementation`";
        return Ok(Routed {
            warnings: vec![Problem::new(at, warning)],
            ..Routed::default()
        });
    };
    let reason = if inquiry.annotations.routes.is_some() {
        Reason::InvalidAnnotation
    } else {
        Reason::InvalidSpec
    };
    let invalid = |problem| vec![Finding::invalid(reason, problem)];
    let refuse = |message: String| Err(invalid(Problem::new(at, message)));
    let by_path = match exposure {
        Exposure::Ingress(_) | Exposure::HttpRoute(_) | Exposure::VirtualService(_) => true,
        Exposure::InCluster { .. } => false,
        _ if api.implementation == Implementation::External => {
            return refuse(
                "leads to Services, and the implementation is outside of the cluster (`spec.implementation`); remove \
                 one of the two"
                    .to_owned(),
            );
        }
        _ => {
            return refuse(format!(
                "cannot be had with exposure `{}`, which leads to one Service; choose `ingress`, `http-route`, `istio` \
                 or `in-cluster`",
                way(&inquiry.annotations, instance)
            ));
        }
    };
    // Why there is no document has been said.
    let Some(read) = read else {
        return Ok(Routed::default());
    };
    let operations = read.known();
    let needs = !by_path || routes.iter().any(|route| !route.operations.is_empty());
    let mut warnings = Vec::new();
    if operations.is_none() && needs {
        if input.document != DocumentFacts::NotTried {
            return refuse(format!(
                "depends on the operations of the document, which instance `{}` leaves to API Management \
                 (`specification.fetch: Link`); {}",
                instance.name,
                if by_path {
                    "write `paths` instead of `operations`"
                } else {
                    "choose another exposure and write `paths`"
                }
            ));
        }
        let message = "depends on the operations of the document, which was not read: what it does for them is not known";
        warnings.push(Problem::new(at, message));
    }
    let routing = Routing {
        routes,
        place: at,
        operations,
    };
    let placed = place(routing, by_path)
        .map_err(|problems| problems.into_iter().flat_map(invalid).collect::<Vec<_>>())?;
    warnings.extend(placed.warnings.iter().cloned());
    let destinations = routes.iter().map(|one| one.destination.clone());
    Ok(Routed {
        destinations: destinations.collect(),
        place: at,
        operations: put(placed, api, exposure),
        warnings,
    })
}

fn put(
    placed: Placed,
    api: &ExposedApi,
    exposure: &mut Exposure,
) -> BTreeMap<String, (Destination, String)> {
    match exposure {
        Exposure::Ingress(ingress) => ingress.routes = placed.rules,
        Exposure::HttpRoute(route) => route.routes = placed.rules,
        Exposure::VirtualService(service) => {
            // Its Gateway is in another namespace.
            let there = |route: DesiredRoute| DesiredRoute {
                service: format!("{}.{}.svc.cluster.local", route.service, api.key.namespace),
                ..route
            };
            service.routes = placed.rules.into_iter().map(there).collect();
        }
        _ => {}
    }
    let operations = placed.operations.into_iter();
    let operations = operations.map(|(id, to)| {
        let url = in_cluster_url(&api.key, &to.service, to.port, &api.path);
        (id, (to, url))
    });
    operations.collect()
}
