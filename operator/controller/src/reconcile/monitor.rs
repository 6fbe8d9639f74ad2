//! Step: say to Prometheus what to scrape. The only code that writes
//! ServiceMonitors.
//!
//! A ServiceMonitor chooses Services by their labels, which are not ours and
//! may be those of other Services too; so it chooses all of the namespace, and
//! a relabeling keeps the one that is meant.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use operator_core::desired::{Desired, DesiredMonitor};
use operator_core::exposed_api::in_api_management;
use operator_core::names::ContentHash;
use serde_json::{Value, json};

use super::exposure::owner_reference;
use super::subject::Subject;
use super::{Context, Error};
use crate::events::EventKind;
use crate::resource::FIELD_MANAGER;
use crate::watch::MANAGED_BY;

/// What an owner is told when it is not as wanted.
const EVENT: &str = "ServiceMonitorNotMade";

/// Makes, changes or removes the ServiceMonitor of the object. What is in the
/// way is told by an event: whether somebody scrapes an API decides nothing
/// else about it.
pub(super) async fn step(ctx: &Context, subject: &Subject, desired: &Desired) -> Result<(), Error> {
    let wanted = match &desired.monitor {
        Some(monitor) => monitor,
        None if desired.metrics && ctx.memory.may_have_monitor(&subject.key) => {
            remove(ctx, subject).await?;
            ctx.memory.monitored(&subject.key, false);
            return Ok(());
        }
        None => return Ok(()),
    };
    ctx.memory.monitored(&subject.key, true);
    let services: Api<Service> = Api::namespaced(ctx.client.clone(), &subject.key.namespace);
    let service = services.get_opt(&wanted.service).await?;
    let ports = service.and_then(|service| service.spec?.ports);
    let port = ports
        .iter()
        .flatten()
        .find(|port| port.port == i32::from(wanted.port));
    // Its appearance asks for a reconcile.
    let Some(port) = port else { return Ok(()) };
    let manifest = manifest(subject, wanted, port);
    let api = monitors(ctx, subject);
    let there = found(api.get(&subject.key.name).await)?;
    let ours = there.as_ref().is_none_or(|there| is_ours(there, subject));
    if !ours {
        let note = format!(
            "ServiceMonitor {} exists and belongs to somebody else: nothing is said to Prometheus about this API",
            subject.key.name
        );
        return warn(ctx, subject, &note);
    }
    let hash = ContentHash::of_json(&manifest);
    if there.is_some_and(|there| has(&there, &hash)) {
        return Ok(());
    }
    let mut manifest = manifest;
    manifest["metadata"]["annotations"] = json!({APPLIED: hash});
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = api
        .patch(&subject.key.name, &params, &Patch::Apply(&manifest))
        .await;
    ctx.metrics.kube_write("ServiceMonitor");
    match written {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => warn(
            ctx,
            subject,
            "this cluster has no ServiceMonitors: install the Prometheus Operator's definitions, or take \
             `exposure.serviceMonitor` out of the ApimInstance",
        ),
        Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_invalid() => warn(
            ctx,
            subject,
            &format!("ServiceMonitor {}: {}", subject.key.name, status.message),
        ),
        Err(error) => Err(error.into()),
    }
}

/// What was applied: others add defaults to it, and what they add is theirs.
const APPLIED: &str = "apim.oda.tmforum.org/applied";

fn has(there: &DynamicObject, hash: &ContentHash) -> bool {
    let annotations = there.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(APPLIED)?.parse().ok()) == Some(*hash)
}

fn is_ours(there: &DynamicObject, subject: &Subject) -> bool {
    let owners = there.metadata.owner_references.iter().flatten();
    owners
        .into_iter()
        .any(|owner| owner.uid == subject.meta.uid)
}

#[expect(clippy::unnecessary_wraps, reason = "it ends a step")]
fn warn(ctx: &Context, subject: &Subject, note: &str) -> Result<(), Error> {
    tracing::warn!("{note}");
    ctx.events.publish(
        &subject.reference(),
        EventKind::Warning,
        EVENT,
        "Expose",
        note,
    );
    Ok(())
}

/// Removes the ServiceMonitor of an object that goes.
pub(super) async fn removed(ctx: &Context, subject: &Subject) -> Result<(), Error> {
    if !in_api_management(&subject.spec) && ctx.memory.may_have_monitor(&subject.key) {
        remove(ctx, subject).await?;
    }
    Ok(())
}

/// Nothing for what is not there, also where there is no such kind: an API
/// server says that with a text instead of a status.
fn found(answer: kube::Result<DynamicObject>) -> kube::Result<Option<DynamicObject>> {
    match answer {
        Ok(there) => Ok(Some(there)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

async fn remove(ctx: &Context, subject: &Subject) -> Result<(), Error> {
    let api = monitors(ctx, subject);
    // Where there are no ServiceMonitors, there is none of this name either.
    let there = found(api.get(&subject.key.name).await)?;
    if !there.is_some_and(|there| is_ours(&there, subject)) {
        return Ok(());
    }
    ctx.metrics.kube_write("ServiceMonitor");
    match api
        .delete(&subject.key.name, &DeleteParams::background())
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

fn monitors(ctx: &Context, subject: &Subject) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "ServiceMonitor");
    let resource = ApiResource::from_gvk_with_plural(&kind, "servicemonitors");
    Api::namespaced_with(ctx.client.clone(), &subject.key.namespace, &resource)
}

/// The ServiceMonitor, named as the ExposedAPI, which the canvas's use case
/// UC012 looks for.
fn manifest(subject: &Subject, wanted: &DesiredMonitor, port: &ServicePort) -> Value {
    let mut labels = json!(wanted.labels);
    labels[MANAGED_BY.0] = json!(MANAGED_BY.1);
    let mut endpoint = json!({
        "path": wanted.path,
        "interval": wanted.interval,
        "relabelings": [{
            "action": "keep",
            "sourceLabels": ["__meta_kubernetes_service_name"],
            "regex": wanted.service,
        }],
    });
    match (&port.name, &port.target_port) {
        (Some(name), _) => endpoint["port"] = json!(name),
        // A port without a name is the Service's only one.
        (None, Some(IntOrString::String(name))) => endpoint["targetPort"] = json!(name),
        (None, Some(IntOrString::Int(number))) => endpoint["targetPort"] = json!(number),
        (None, None) => endpoint["targetPort"] = json!(port.port),
    }
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {
            "name": subject.key.name,
            "namespace": subject.key.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(subject.version(), &subject.key.name, &subject.meta.uid)],
        },
        "spec": {"selector": {}, "endpoints": [endpoint]},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn subject() -> Subject {
        let object = json!({
            "apiVersion": "oda.tmforum.org/v1", "kind": "ExposedAPI",
            "metadata": {"namespace": "components", "name": "r1-metrics", "uid": "u-1"},
        });
        Subject::of(&serde_json::from_value(object).unwrap())
    }

    fn wanted() -> DesiredMonitor {
        DesiredMonitor {
            service: "r1-sm".into(),
            port: 4000,
            path: "/metrics".into(),
            labels: BTreeMap::from([("release".into(), "prometheus".into())]),
            interval: "30s".into(),
        }
    }

    #[test]
    fn a_monitor_keeps_the_one_service_that_is_meant() {
        let port = ServicePort {
            name: Some("http".into()),
            port: 4000,
            ..ServicePort::default()
        };
        insta::assert_json_snapshot!(manifest(&subject(), &wanted(), &port));
    }

    #[test]
    fn a_port_without_a_name_is_found_by_what_it_leads_to() {
        let port = |target: Option<IntOrString>| ServicePort {
            port: 4000,
            target_port: target,
            ..ServicePort::default()
        };
        let endpoint = |target| {
            manifest(&subject(), &wanted(), &port(target))["spec"]["endpoints"][0]["targetPort"]
                .clone()
        };
        assert_eq!(endpoint(None), json!(4000));
        assert_eq!(endpoint(Some(IntOrString::Int(8080))), json!(8080));
        assert_eq!(
            endpoint(Some(IntOrString::String("web".into()))),
            json!("web")
        );
    }
}
