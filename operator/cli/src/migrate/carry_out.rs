//! Carrying a takeover out, one write after the other.
//!
//! Each step may be the last one that happens: what is there afterwards is
//! served as before, and the next run goes on from it. The mark comes first,
//! since it is what makes the API the object's; the original operator's
//! finalizer goes last.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use operator_controller::reconcile::exposure::owner_reference;
use operator_controller::resource::{FIELD_MANAGER, StatusMode};
use operator_core::exposure::ingress_name;
use operator_core::mark::OwnershipMark;
use operator_core::migrate::{KOPF_ANNOTATION, KOPF_FINALIZER, MANAGED_BY, Step};
use operator_core::names::{FINALIZER, ObjectKey, PREFIX};
use serde_json::{Value, json};

use super::Outcome;
use super::gather::{Connection, Objects, Place, other_managers};

/// Carries out an object's steps until one fails.
pub(super) async fn carry_out(
    place: &Place,
    objects: &Objects,
    connections: &HashMap<String, Connection>,
    outcome: &mut Outcome,
) {
    for step in outcome.steps().to_vec() {
        let work = Work {
            place,
            objects,
            key: &outcome.key,
        };
        let result = match &step {
            Step::MarkApi {
                instance, api_id, ..
            } => work.mark(connections.get(instance), api_id).await,
            Step::HoldObject { api_id } => work.hold(api_id.as_deref()).await,
            Step::TakeIngress { .. } => work.take_ingress().await,
            Step::ReleaseObject { .. } => work.release().await,
        };
        if let Err(error) = result {
            outcome.failed = Some(format!(
                "could not {}: {}; run the command again to go on from here",
                step.describe(),
                crate::sentence(&error)
            ));
            return;
        }
        outcome.done += 1;
    }
}

struct Work<'a> {
    place: &'a Place,
    objects: &'a Objects,
    key: &'a ObjectKey,
}

impl Work<'_> {
    /// Marks the API, if it is still the one that was decided on.
    async fn mark(&self, connection: Option<&Connection>, api_id: &str) -> anyhow::Result<()> {
        let connection = connection.context("the instance is not connected")?;
        let etag = self.objects.etags.get(self.key);
        let etag = etag.context("API Management gave no ETag for it")?;
        let client = connection
            .azure
            .client(connection.service.clone(), &connection.credentials)?;
        let mark = OwnershipMark::new(&self.objects.cluster, self.key);
        client.put_mark(api_id, mark.as_str(), etag).await?;
        Ok(())
    }

    fn api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.place.client.clone(),
            &self.key.namespace,
            self.objects.exposed.resource(),
        )
    }

    /// The object as it is now; one that is being deleted is left to that.
    async fn object(&self) -> anyhow::Result<DynamicObject> {
        let object = self.api().get(&self.key.name).await?;
        if object.metadata.deletion_timestamp.is_some() {
            bail!("the object is being deleted");
        }
        Ok(object)
    }

    async fn patch(&self, patch: Value) -> Result<(), kube::Error> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        self.api()
            .patch(&self.key.name, &params, &Patch::Merge(patch))
            .await
            .map(drop)
    }

    async fn hold(&self, api_id: Option<&str>) -> anyhow::Result<()> {
        let object = self.object().await?;
        let mut finalizers = object.finalizers().to_vec();
        if !finalizers.iter().any(|name| name == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        let mut metadata = json!({
            "finalizers": finalizers,
            "resourceVersion": object.resource_version(),
        });
        if let Some(id) = api_id {
            metadata["annotations"] = json!({format!("{PREFIX}api-id"): id});
        }
        self.patch(json!({"metadata": metadata})).await?;
        Ok(())
    }

    /// Applies the Ingress as it is under our name, then ends the share that
    /// others had in it: a field that we later leave out must go.
    async fn take_ingress(&self) -> anyhow::Result<()> {
        let object = self.object().await?;
        let uid = object.uid().unwrap_or_default();
        let name = ingress_name(self.key);
        let api: Api<Ingress> = Api::namespaced(self.place.client.clone(), &self.key.namespace);
        let there = api.get(&name).await?;
        let version = self.objects.exposed.resource().version.as_str();
        let wanted = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": name,
                "labels": {MANAGED_BY.0: MANAGED_BY.1},
                "ownerReferences": [owner_reference(version, &self.key.name, &uid)],
            },
            "spec": there.spec,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(&name, &params, &Patch::Apply(&wanted)).await?;
        let others = other_managers(&applied);
        if others.is_empty() {
            return Ok(());
        }
        let kept: Vec<_> = applied
            .managed_fields()
            .iter()
            .filter(|entry| {
                let manager = entry.manager.clone().unwrap_or_default();
                let part = entry.subresource.as_deref().unwrap_or_default();
                !part.is_empty() || !others.contains(&manager)
            })
            .collect();
        let patch = serde_json::from_value(json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": applied.resource_version()},
            {"op": "replace", "path": "/metadata/managedFields", "value": kept},
        ]))?;
        api.patch(&name, &PatchParams::default(), &Patch::<()>::Json(patch))
            .await?;
        Ok(())
    }

    async fn release(&self) -> anyhow::Result<()> {
        let object = self.object().await?;
        let subresource = self.objects.exposed.mode() == StatusMode::Subresource;
        let bound = object
            .data
            .pointer("/status/apimBind")
            .is_some_and(|bound| !bound.is_null());
        if bound && subresource {
            let forget = json!({"apimBind": null});
            self.objects.exposed.write_status(self.key, &forget).await?;
        }
        let object = if bound && subresource {
            self.object().await?
        } else {
            object
        };
        let finalizers: Vec<&String> = object
            .finalizers()
            .iter()
            .filter(|name| *name != KOPF_FINALIZER)
            .collect();
        let mut patch = json!({"metadata": {
            "finalizers": finalizers,
            "annotations": {KOPF_ANNOTATION: null},
            "resourceVersion": object.resource_version(),
        }});
        if bound && !subresource {
            patch["status"] = json!({"apimBind": null});
        }
        self.patch(patch).await?;
        Ok(())
    }
}
