//! The whole state of a service, for the control interface.

use super::path::Kind;
use super::store::{Entity, Service};
use serde_json::{Map, Value, json};

fn shown(entity: &Entity) -> Value {
    json!({
        "name": entity.name,
        "etag": entity.etag(false),
        "properties": entity.properties,
    })
}

/// Everything that is stored, policies in both encodings.
pub(crate) fn service(service: &Service) -> Value {
    let apis: Map<String, Value> = service
        .families
        .values()
        .map(|family| {
            let revisions: Map<String, Value> = family
                .revisions
                .iter()
                .map(|(number, revision)| {
                    let operations: Vec<Value> = revision
                        .operations
                        .iter()
                        .map(|operation| {
                            let mut body = shown(&operation.entity);
                            body["policy"] = operation.policy.as_ref().map(shown).into();
                            body
                        })
                        .collect();
                    let mut body = shown(&revision.entity);
                    body["policy"] = revision.policy.as_ref().map(shown).into();
                    body["operations"] = operations.into();
                    body["schemas"] = revision.schemas.values().map(shown).collect();
                    (number.to_string(), body)
                })
                .collect();
            let mut body = json!({ "current": family.current, "revisions": revisions });
            if !family.tags.is_empty() {
                body["tags"] = json!(family.tags);
            }
            if !family.releases.is_empty() {
                body["releases"] = family.releases.values().map(shown).collect();
            }
            if !family.diagnostics.is_empty() {
                body["diagnostics"] = family.diagnostics.values().map(shown).collect();
            }
            if let Some(wiki) = &family.wiki {
                body["wiki"] = shown(wiki);
            }
            (family.name.clone(), body)
        })
        .collect();
    let mut state = json!({
        "id": service.id(),
        "sku": service.sku,
        "policy": service.policy.as_ref().map(shown),
        "apis": apis,
        "runningOperations": service.operations.values().filter(|one| !one.has_ended()).count(),
    });
    state["products"] = service
        .products
        .values()
        .map(|product| {
            let mut body = shown(&product.entity);
            body["policy"] = product.policy.as_ref().map(shown).into();
            body["apis"] = json!(product.apis);
            body["groups"] = json!(product.groups);
            body
        })
        .collect();
    state["subscriptions"] = service.subscriptions.values().map(shown).collect();
    for kind in Kind::ALL {
        let all = service.entities.get(&kind);
        state[kind.segment()] = all
            .into_iter()
            .flat_map(|all| all.values())
            .map(shown)
            .collect();
    }
    state
}
