//! What is in the cluster for a gateway.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, TypeMeta,
};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use operator_core::exposure::covers;
use operator_core::gateway::{
    DesiredGateway, KINDS, Manifest, backend_name, object_name, service_host, sidecar,
};
use operator_core::names::ObjectKey;
use serde_json::{Value, json};

use super::super::secret::{is_ours, owner};
use super::{Error, Fate, Shared, Stop, refused};
use crate::crd::SelfHostedGateway;
use crate::crd::self_hosted_gateway::SelfHostedGatewayStatus;
use crate::resource::FIELD_MANAGER;
use crate::watch::{MANAGED_BY, key_of};

type KindName = (&'static str, &'static str, &'static str, &'static str);

/// How the API server calls a kind.
pub(super) fn resource((group, version, kind, plural): KindName) -> ApiResource {
    let name = GroupVersionKind::gvk(group, version, kind);
    ApiResource::from_gvk_with_plural(&name, plural)
}

fn api(client: &Client, kind: KindName, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource(kind))
}

const fn kind_of(object: &Manifest) -> KindName {
    (object.group, object.version, object.kind, object.plural)
}

/// Work in the namespace of one gateway.
struct Cluster<'a> {
    shared: &'a Shared,
    object: &'a SelfHostedGateway,
    key: ObjectKey,
}

/// Brings in the cluster what is wanted there, takes away what is not wanted any
/// more, and answers whether a pod is available.
pub(super) async fn bring(
    shared: &Shared,
    object: &SelfHostedGateway,
    status: &mut SelfHostedGatewayStatus,
    desired: &DesiredGateway,
    until: &str,
) -> Result<bool, Stop> {
    let cluster = Cluster {
        shared,
        object,
        key: key_of(object),
    };
    let mut objects = desired.objects.clone();
    let named = object.spec.0.sidecar.as_ref().map(|one| &one.deployment);
    if status.sidecar.is_some() && status.sidecar.as_ref() != named {
        cluster.leave_sidecar(status).await?;
    }
    let mut available = false;
    if let (Some(container), Some(deployment)) = (&desired.container, named) {
        let there = cluster
            .join_sidecar(status, deployment, container, until)
            .await?;
        available = sidecar::is_available(&json!(there));
        let service = sidecar::service(&object.spec.0.service, &cluster.key, &json!(there));
        objects.extend(service);
    }
    let backend = object.spec.0.backend.as_ref();
    let before = status.backend.clone();
    if let Some(backend) = backend
        && before.as_ref() != Some(&backend.service)
    {
        // Before it is made, so that it is taken away whatever dies now.
        status.backend = Some(backend.service.clone());
        shared.write_status(object, status).await?;
    }
    for wanted in objects.iter().cloned() {
        let (kind, runs) = (wanted.kind, wanted.runs);
        let made = cluster.apply(wanted.with_token(until)).await?;
        match kind {
            "Deployment" if runs => available = is_available(&made),
            "Service" if made.name_any() == object_name(&cluster.key) => {
                let point = &made.data["status"]["loadBalancer"]["ingress"][0];
                let text = |field: &str| point[field].as_str().filter(|text| !text.is_empty());
                let address = text("hostname").or_else(|| text("ip"));
                status.host = service_host(&object.spec.0.service, &cluster.key, address);
            }
            _ => {}
        }
    }
    cluster.sweep(&objects, before.as_deref()).await?;
    status.backend = backend.map(|backend| backend.service.clone());
    Ok(available)
}

/// Takes everything away.
pub(super) async fn remove(
    shared: &Shared,
    object: &SelfHostedGateway,
    status: &mut SelfHostedGatewayStatus,
) -> Result<(), Stop> {
    let cluster = Cluster {
        shared,
        object,
        key: key_of(object),
    };
    if status.sidecar.is_some() {
        cluster.leave_sidecar(status).await?;
    }
    cluster.sweep(&[], status.backend.as_deref()).await
}

fn is_available(deployment: &DynamicObject) -> bool {
    let pods = deployment.data["status"]["availableReplicas"].as_u64();
    pods.is_some_and(|pods| pods > 0)
}

/// Whether all that is wanted of an object is there.
fn is_in_place(wanted: &DynamicObject, there: &DynamicObject) -> bool {
    let labels = |object: &DynamicObject| json!({"l": object.labels(), "a": object.annotations()});
    covers(&wanted.data["spec"], &there.data["spec"]) && covers(&labels(wanted), &labels(there))
}

impl Cluster<'_> {
    fn api(&self, kind: KindName) -> Api<DynamicObject> {
        api(&self.shared.ctx.client, kind, &self.key.namespace)
    }

    fn refused(&self, kind: KindName, name: &str, error: kube::Error) -> Stop {
        let what = format!("{} `{name}`", kind.2);
        refused(&self.key.namespace, &what, error)
    }

    async fn get(&self, kind: KindName, name: &str) -> Result<Option<DynamicObject>, Stop> {
        let found = self.api(kind).get_opt(name).await;
        found.map_err(|error| self.refused(kind, name, error))
    }

    /// The object as it should be: only what the operator owns.
    fn manifest(&self, wanted: &Manifest) -> DynamicObject {
        let kind = kind_of(wanted);
        let mut labels = wanted.labels.clone();
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
        let annotations = &wanted.annotations;
        DynamicObject {
            types: Some(TypeMeta {
                api_version: resource(kind).api_version,
                kind: kind.2.to_owned(),
            }),
            metadata: ObjectMeta {
                name: Some(wanted.name.clone()),
                namespace: Some(self.key.namespace.to_string()),
                labels: Some(labels),
                annotations: (!annotations.is_empty()).then(|| annotations.clone()),
                owner_references: Some(vec![owner(self.object)]),
                ..ObjectMeta::default()
            },
            data: json!({"spec": wanted.spec}),
        }
    }

    /// Applies an object unless it is already as wanted, and answers how it is.
    async fn apply(&self, wanted: Manifest) -> Result<DynamicObject, Stop> {
        let kind = kind_of(&wanted);
        let name = wanted.name.clone();
        let there = self.get(kind, &name).await?;
        let mut manifest = self.manifest(&wanted);
        if let Some(there) = there {
            if !is_ours(&there, self.object) {
                return Err(Stop::Fate(Fate::Stalled(
                    "NotOurs",
                    format!(
                        "{} `{name}` exists and is not this object's; it is left alone. Delete it, or give the \
                         object another name",
                        kind.2
                    ),
                )));
            }
            if is_in_place(&manifest, &there) {
                return Ok(there);
            }
            let replicas = &there.data["spec"]["replicas"];
            if kind.2 == "Deployment" && wanted.spec["replicas"].is_null() && !replicas.is_null() {
                // The autoscaler's number stays: one that is taken back falls
                // to 1 for a moment.
                manifest.data["spec"]["replicas"] = replicas.clone();
            }
        }
        self.shared.ctx.metrics.kube_write(kind.2);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let (api, patch) = (self.api(kind), Patch::Apply(&manifest));
        let written = api.patch(&name, &params, &patch).await;
        written.map_err(|error| self.refused(kind, &name, error))
    }

    /// Deletes what is the gateway's own and not among what is wanted.
    async fn sweep(&self, wanted: &[Manifest], backend: Option<&str>) -> Result<(), Stop> {
        let own = object_name(&self.key);
        let peers = format!("{own}-peers");
        let beside = backend_name(&self.key);
        // The pods first: what protects them goes after them.
        for kind in KINDS {
            let mut names = vec![own.as_str()];
            match kind.2 {
                "Service" => names.extend([peers.as_str()].into_iter().chain(backend)),
                "Deployment" => names.push(&beside),
                _ => {}
            }
            for name in names {
                let is_wanted = wanted
                    .iter()
                    .any(|one| one.kind == kind.2 && one.name == name);
                if !is_wanted {
                    self.delete(kind, name).await?;
                }
            }
        }
        Ok(())
    }

    async fn delete(&self, kind: KindName, name: &str) -> Result<(), Stop> {
        let there = self.get(kind, name).await?;
        let Some(there) = there.filter(|there| is_ours(there, self.object)) else {
            return Ok(());
        };
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: there.uid(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        self.shared.ctx.metrics.kube_write(kind.2);
        match self.api(kind).delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(self.refused(kind, name, error)),
        }
    }

    /// Adds the container to the pods of a Deployment whose owner allows it, and
    /// answers how that is.
    async fn join_sidecar(
        &self,
        status: &mut SelfHostedGatewayStatus,
        name: &str,
        container: &Value,
        until: &str,
    ) -> Result<DynamicObject, Stop> {
        let kind = KINDS[0];
        let manager = sidecar::field_manager(&self.key);
        let Some(there) = self.get(kind, name).await? else {
            status.sidecar = None;
            let message = format!(
                "spec.sidecar.deployment: Deployment `{name}` does not exist in this namespace"
            );
            return Err(Stop::Fate(Fate::Waiting(
                "WaitingForDependency",
                message,
                super::WAIT,
            )));
        };
        let object = json!(there);
        let ours = sidecar::manages(&object, &manager);
        if let Err(why) = sidecar::allowed(&object, ours) {
            if ours {
                status.sidecar = Some(name.to_owned());
                self.leave_sidecar(status).await?;
            }
            let message = format!("spec.sidecar.deployment: {why}");
            return Err(Stop::Fate(Fate::Stalled("NotAllowed", message)));
        }
        let spec = sidecar::addition(container, until);
        if ours && sidecar::holds(&object, &spec) {
            status.sidecar = Some(name.to_owned());
            return Ok(there);
        }
        // Before the write, so that it is taken out whatever dies now.
        status.sidecar = Some(name.to_owned());
        self.shared.write_status(self.object, status).await?;
        self.write_sidecar(&there, &manager, json!({"spec": spec}))
            .await
    }

    /// Takes the container out of the Deployment that has it, without a trace.
    async fn leave_sidecar(&self, status: &mut SelfHostedGatewayStatus) -> Result<(), Stop> {
        let Some(name) = status.sidecar.clone() else {
            return Ok(());
        };
        let kind = KINDS[0];
        let manager = sidecar::field_manager(&self.key);
        if let Some(there) = self.get(kind, &name).await?
            && sidecar::manages(&json!(there), &manager)
        {
            self.write_sidecar(&there, &manager, json!({})).await?;
        }
        status.sidecar = None;
        Ok(())
    }

    async fn write_sidecar(
        &self,
        there: &DynamicObject,
        manager: &str,
        data: Value,
    ) -> Result<DynamicObject, Stop> {
        let kind = KINDS[0];
        let name = there.name_any();
        let applied = DynamicObject {
            types: Some(TypeMeta {
                api_version: resource(kind).api_version,
                kind: kind.2.to_owned(),
            }),
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: there.namespace(),
                // A conflict where somebody else wrote in between; and a
                // Deployment that is gone is not made.
                resource_version: there.resource_version(),
                ..ObjectMeta::default()
            },
            data,
        };
        self.shared.ctx.metrics.kube_write(kind.2);
        let params = PatchParams::apply(manager).force();
        let (api, patch) = (self.api(kind), Patch::Apply(&applied));
        match api.patch(&name, &params, &patch).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let error = kube::Error::Api(status);
                Err(Stop::Kube(Error::from(error)))
            }
            other => other.map_err(|error| self.refused(kind, &name, error)),
        }
    }
}
