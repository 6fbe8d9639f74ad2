//! What would be done to an Ingress.

use k8s_openapi::api::networking::v1::{Ingress, IngressSpec};
use kube::ResourceExt as _;
use operator_core::apim::FieldChange;

use super::KubeCall;
use crate::world::IngressSeen;

/// The write that makes what is there what is wanted; none where it is.
pub(super) fn change(there: Option<&IngressSeen>, wanted: &Ingress) -> Option<KubeCall> {
    let resource = format!("Ingress {}", wanted.name_any());
    let Some(there) = there else {
        return Some(KubeCall {
            verb: "create",
            resource,
            changes: fields(None, wanted),
        });
    };
    (!there.has(wanted)).then(|| KubeCall {
        verb: "change",
        resource,
        changes: fields(Some(there), wanted),
    })
}

/// The write that takes an Ingress away.
pub(super) fn removal(name: &str) -> KubeCall {
    KubeCall {
        verb: "delete",
        resource: format!("Ingress {name}"),
        changes: Vec::new(),
    }
}

fn fields(there: Option<&IngressSeen>, wanted: &Ingress) -> Vec<FieldChange> {
    let now = wanted.spec.clone().unwrap_or_default();
    let before = there.and_then(IngressSeen::spec);
    let mut changes = Vec::new();
    let mut field = |field, of: &dyn Fn(&IngressSpec) -> Option<String>| {
        let (from, to) = (before.as_ref().and_then(of), of(&now));
        if from != to {
            changes.push(FieldChange { field, from, to });
        }
    };
    field("ingressClassName", &|spec| spec.ingress_class_name.clone());
    field("host", &|spec| spec.rules.as_ref()?.first()?.host.clone());
    field("paths", &|spec| {
        let paths = &spec.rules.as_ref()?.first()?.http.as_ref()?.paths;
        let paths: Vec<String> = paths.iter().filter_map(|path| path.path.clone()).collect();
        Some(paths.join(", "))
    });
    field("backend", &|spec| {
        let paths = &spec.rules.as_ref()?.first()?.http.as_ref()?.paths;
        let service = paths.first()?.backend.service.as_ref()?;
        let port = service.port.as_ref()?.number?;
        Some(format!("{}:{port}", service.name))
    });
    field("tls", &|spec| {
        spec.tls.as_ref()?.first()?.secret_name.clone()
    });
    for (name, value) in wanted.annotations() {
        let from = there.and_then(|there| there.annotation(name));
        if from != Some(value) {
            changes.push(FieldChange {
                field: "annotation",
                from: from.map(|from| format!("{name}: {from}")),
                to: Some(format!("{name}: {value}")),
            });
        }
    }
    changes
}
