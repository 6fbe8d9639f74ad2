//! What is known of the exposure by looking at the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use kube::api::Api;
use operator_core::exposure::{
    AZURE_INTERNAL, ExposureFacts, KINDS, ServiceFacts, ServicePort, ServiceReach, name_of,
};
use operator_core::gateway::select::Candidate;
use operator_core::names::ApiId;
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
        routed: ctx.world.routed(&subject.key),
        service: None,
        gateway: None,
        assumed_origin: None,
    }
}

/// The same, with what its Service is like where the exposure depends on that.
pub(super) async fn all_facts(
    ctx: &Context,
    subject: &Subject,
    inquiry: &Inquiry,
) -> Result<ExposureFacts, kube::Error> {
    ctx.world.routes_to(&subject.key, inquiry.routed_services());
    let mut facts = facts(ctx, subject);
    let at_gateway = inquiry.at_gateway();
    ctx.world.at_gateway(&subject.key, at_gateway);
    if let (true, Some(instance)) = (at_gateway, inquiry.instance()) {
        // After a start, nothing is confirmed yet; who serves an API is not the
        // API's to say.
        let known = ctx.memory.confirmed(&subject.key);
        let known = known.or_else(|| inquiry.applied().cloned());
        let known = known.filter(|record| record.instance == instance.name);
        let id = known.map(|record| record.api_id);
        let api = Candidate {
            key: &subject.key,
            labels: &subject.meta.labels,
            namespace_labels: &ctx.world.namespace_labels(&subject.key.namespace),
        };
        let id = id.as_ref().map(ApiId::as_str);
        let reach = ctx.world.serving(api, &instance.name, id);
        facts.gateway = reach.map(Box::new);
    }
    let reads = inquiry.reads_service();
    ctx.world.reads_service(&subject.key, reads);
    if let (true, Some(service)) = (reads, subject.implementation()) {
        let services: Api<Service> = Api::namespaced(ctx.client.clone(), &subject.key.namespace);
        facts.service = services.get_opt(service).await?.map(of_service);
        for (name, routed) in &mut facts.routed {
            if name != service {
                routed.service = services.get_opt(name).await?.map(of_service);
            }
        }
    }
    Ok(facts)
}

fn of_service(service: Service) -> ServiceFacts {
    let (uid, reach) = (service.uid().unwrap_or_default(), reach(&service));
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
        uid,
        selector: selector.unwrap_or_default(),
        ports: ports.collect(),
        reach,
    }
}

fn reach(service: &Service) -> ServiceReach {
    let spec = service.spec.as_ref();
    match spec.and_then(|spec| spec.type_.as_deref()) {
        Some("LoadBalancer") => {
            let status = service.status.as_ref();
            let points = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
            let point = points.and_then(|points| points.first());
            let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            ServiceReach::Balanced {
                internal: service
                    .annotations()
                    .get(AZURE_INTERNAL)
                    .is_some_and(|value| value == "true"),
                address: point.and_then(|point| text(&point.hostname).or_else(|| text(&point.ip))),
            }
        }
        Some("ExternalName") => {
            let host = spec.and_then(|spec| spec.external_name.clone());
            ServiceReach::Named(host.unwrap_or_default())
        }
        _ => ServiceReach::Cluster,
    }
}
