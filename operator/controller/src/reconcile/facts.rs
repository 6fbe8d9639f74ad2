//! What is known of the exposure by looking at the cluster.

use operator_core::exposure::{ExposureFacts, IngressFacts, ingress_name};

use super::Context;
use super::subject::Subject;

/// What is known of the exposure.
pub(super) fn facts(ctx: &Context, subject: &Subject) -> ExposureFacts {
    let namespace = &subject.key.namespace;
    let service = subject.implementation().unwrap_or_default();
    ExposureFacts {
        ingress: ctx
            .world
            .ingress(namespace, &ingress_name(&subject.key))
            .map(|seen| IngressFacts {
                uid: seen.uid,
                hostname: seen.hostname,
                ip: seen.ip,
            }),
        service_exists: ctx.world.has_service(namespace, service),
        ready_endpoints: ctx.world.is_ready(namespace, service),
        assumed_origin: None,
    }
}
