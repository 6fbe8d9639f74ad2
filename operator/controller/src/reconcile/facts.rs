//! What is known of the exposure by looking at the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::Api;
use operator_core::exposure::{ExposureFacts, KINDS, ServiceFacts, ServicePort, Way, name_of};
use operator_core::validate::Inquiry;
use serde_json::json;

use super::Context;
use super::subject::Subject;

/// What is known of the exposure, but for what its Service is like.
pub(super) fn facts(ctx: &Context, subject: &Subject) -> ExposureFacts {
    let namespace = &subject.key.namespace;
    let service = subject.implementation().unwrap_or_default();
    let objects = KINDS.into_iter().filter_map(|kind| {
        let name = name_of(kind, &subject.key);
        let seen = ctx.world.object(kind, namespace, &name)?;
        Some((kind.kind, seen.facts))
    });
    let objects: BTreeMap<_, _> = objects.collect();
    ExposureFacts {
        objects,
        gateways: ctx.world.gateways(),
        service_exists: ctx.world.has_service(namespace, service),
        ready_endpoints: ctx.world.is_ready(namespace, service),
        service: None,
        assumed_origin: None,
    }
}

/// The same, with what its Service is like where the exposure depends on that.
pub(super) async fn all_facts(
    ctx: &Context,
    subject: &Subject,
    inquiry: &Inquiry,
) -> Result<ExposureFacts, kube::Error> {
    let mut facts = facts(ctx, subject);
    let reads = inquiry.way().is_some_and(Way::reads_service);
    ctx.world.reads_service(&subject.key, reads);
    if let (true, Some(service)) = (reads, subject.implementation()) {
        let services: Api<Service> = Api::namespaced(ctx.client.clone(), &subject.key.namespace);
        facts.service = services.get_opt(service).await?.map(of_service);
    }
    Ok(facts)
}

fn of_service(service: Service) -> ServiceFacts {
    let ServiceSpec {
        selector, ports, ..
    } = service.spec.unwrap_or_default();
    let ports = ports.into_iter().flatten().filter_map(|port| {
        Some(ServicePort {
            port: port.port.try_into().ok()?,
            target: match port.target_port {
                Some(IntOrString::Int(number)) => json!(number),
                Some(IntOrString::String(name)) => json!(name),
                None => json!(port.port),
            },
            app_protocol: port.app_protocol,
        })
    });
    ServiceFacts {
        selector: selector.unwrap_or_default(),
        ports: ports.collect(),
    }
}
