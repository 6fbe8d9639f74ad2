//! What owners and the platform do in the cluster.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use test_harness::stand_in::READY_ANNOTATION;

use super::{HOLD, Object, Slot, Stage, Version};
use crate::kube_tap::SEED_LABEL;
use crate::wanted::{Adoption, Change, PREFIX, Wanted};

/// How often the driver tries again what the API server refuses.
const TRIES: u32 = 20;

impl Stage<'_> {
    fn wants(&mut self, at: usize, wanted: Option<Wanted>) {
        let since = self.azure.simulator.last_call();
        if let Some(slot) = self.slots.get_mut(at) {
            slot.versions.push(Version { since, wanted });
        }
    }

    /// Creates the object of a slot; says whether there was room.
    pub(super) async fn create(&mut self, at: usize, wanted: &Wanted) -> Result<bool> {
        self.look_whether_gone(at).await?;
        if !matches!(self.slots[at].object, Object::Absent) {
            return Ok(false);
        }
        // Who wants to have what another left asks for it under its name.
        let slot = &self.slots[at];
        if slot.handled || wanted.adoption == Adoption::Refuse {
            self.renew(at);
        }
        let name = self.slots[at].name.clone();
        self.serve(&name, 8080).await?;
        self.wants(at, Some(wanted.clone()));
        let object: DynamicObject = serde_json::from_value(wanted.object(self.setting(), &name))?;
        let api = self.exposed_apis();
        again(
            async || match api.create(&PostParams::default(), &object).await {
                // Its answer was lost.
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                other => other.map(drop),
            },
        )
        .await
        .with_context(|| format!("creating {name}"))?;
        let slot = &mut self.slots[at];
        slot.kept |= wanted.retain;
        slot.object = Object::There(wanted.clone());
        Ok(true)
    }

    /// A name whose API may have stayed is used up: whoever takes it next finds
    /// what the last one left.
    pub(super) fn renew(&mut self, at: usize) {
        let slot = &self.slots[at];
        if slot.kept || slot.handled {
            let used = slot.used + 1;
            let fresh = Slot {
                name: format!("api-{at}-{used}"),
                used,
                ..Slot::new(0)
            };
            let old = std::mem::replace(&mut self.slots[at], fresh);
            self.slots.push(old);
        }
    }

    /// The Service behind an API.
    async fn serve(&self, name: &str, port: u16) -> Result<()> {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"clusterIP": "None", "selector": {"app": name}, "ports": [{"port": port, "targetPort": port}]},
        }))
        .await
    }

    /// Changes the object of a slot; says whether it is there.
    pub(super) async fn change(&mut self, at: usize, change: &Change) -> Result<bool> {
        let Object::There(wanted) = &self.slots[at].object else {
            return Ok(false);
        };
        let mut wanted = wanted.clone();
        let before = wanted.clone();
        wanted.change(change);
        self.wants(at, Some(wanted.clone()));
        let name = self.slots[at].name.clone();
        let mut patch = wanted.object(self.setting(), &name);
        // A merge patch leaves what it does not name.
        let now = wanted.annotations(self.setting());
        for gone in before.annotations(self.setting()).keys() {
            if !now.contains_key(gone) {
                patch["metadata"]["annotations"][gone] = Value::Null;
            }
        }
        if let Some(cors) = patch.pointer_mut("/spec/CORS")
            && !wanted.cors
        {
            cors["allowOrigins"] = Value::Null;
        }
        if let Some(limit) = patch.pointer_mut("/spec/rateLimit")
            && wanted.limit.is_none()
        {
            limit["limit"] = Value::Null;
            limit["interval"] = Value::Null;
        }
        let api = self.exposed_apis();
        let patch = Patch::Merge(patch);
        again(async || {
            api.patch(&name, &PatchParams::default(), &patch)
                .await
                .map(drop)
        })
        .await
        .with_context(|| format!("changing {name}"))?;
        let slot = &mut self.slots[at];
        slot.kept |= wanted.retain;
        slot.object = Object::There(wanted);
        Ok(true)
    }

    /// Deletes the object of a slot; says whether it was there.
    pub(super) async fn delete(&mut self, at: usize) -> Result<bool> {
        if !matches!(self.slots[at].object, Object::There(_)) {
            return Ok(false);
        }
        self.wants(at, None);
        let name = self.slots[at].name.clone();
        let api = self.exposed_apis();
        let mut at_once = false;
        again(
            async || match api.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                other => {
                    at_once |= other.as_ref().is_ok_and(|gone| gone.as_ref().is_right());
                    other.map(drop)
                }
            },
        )
        .await?;
        self.slots[at].vanished |= at_once;
        self.slots[at].object = Object::Going;
        Ok(true)
    }

    /// An object that was being deleted may be gone.
    pub(crate) async fn look_whether_gone(&mut self, at: usize) -> Result<()> {
        if matches!(self.slots[at].object, Object::Going) {
            let api = self.exposed_apis();
            let name = self.slots[at].name.clone();
            let found = again_with(async || api.get_opt(&name).await).await?;
            if found.is_none() {
                self.slots[at].object = Object::Absent;
                self.slots[at].decorated = false;
            }
        }
        Ok(())
    }

    /// Says whether the endpoint of a slot is ready.
    pub(super) async fn endpoint(&mut self, at: usize, ready: bool) -> Result<bool> {
        if !matches!(self.slots[at].object, Object::There(_)) {
            return Ok(false);
        }
        let services: Api<Service> = Api::namespaced(self.lab.client.clone(), &self.namespace);
        let name = self.slots[at].name.clone();
        let value = if ready { "true" } else { "false" };
        let patch = Patch::Merge(json!({"metadata": {"annotations": {READY_ANNOTATION: value}}}));
        again(async || {
            services
                .patch(&name, &PatchParams::default(), &patch)
                .await
                .map(drop)
        })
        .await?;
        self.slots[at].endpoint = ready;
        Ok(true)
    }

    /// The platform makes a plugin mandatory, changes its config, or lets it
    /// go.
    pub(super) async fn stamped(&mut self, stamp: Option<u16>) -> Result<bool> {
        if self.stamp() == stamp {
            return Ok(false);
        }
        self.stamps.push((self.azure.simulator.last_call(), stamp));
        let everywhere = json!({"namespaceSelector": {}});
        let object = json!({
            "apiVersion": "apim.oda.tmforum.org/v1alpha1",
            "kind": "PolicyPlugin",
            "metadata": {"name": self.namespace, "labels": {SEED_LABEL: self.namespace}},
            "spec": {
                "source": {"builtIn": {"name": "headers"}},
                "defaults": {"request": {"set": {"X-Stamp": format!("stamp {}", stamp.unwrap_or_default())}}},
                "mandatory": stamp.map(|_| everywhere),
            },
        });
        let api = self.policy_plugins();
        let params = PatchParams::apply("chaos").force();
        let patch = Patch::Apply(object);
        again(async || api.patch(&self.namespace, &params, &patch).await.map(drop)).await?;
        Ok(true)
    }

    /// Somebody else's annotation, label and finalizer.
    pub(super) async fn decorate(&mut self, at: usize) -> Result<bool> {
        if self.slots[at].decorated || !matches!(self.slots[at].object, Object::There(_)) {
            return Ok(false);
        }
        let name = self.slots[at].name.clone();
        let api = self.exposed_apis();
        again(async || {
            let object = api.get(&name).await?;
            let mut finalizers = object.metadata.finalizers.unwrap_or_default();
            if !finalizers.iter().any(|one| one == HOLD) {
                finalizers.push(HOLD.to_owned());
            }
            let patch = Patch::Merge(json!({"metadata": {
                "resourceVersion": object.metadata.resource_version,
                "finalizers": finalizers,
                "annotations": {"example.com/note": "ours"},
                "labels": {"example.com/tier": "gold"},
            }}));
            api.patch(&name, &PatchParams::default(), &patch)
                .await
                .map(drop)
        })
        .await?;
        self.slots[at].decorated = true;
        Ok(true)
    }

    /// Somebody else takes the finalizer away again.
    pub(super) async fn undecorate(&mut self, at: usize) -> Result<()> {
        let name = self.slots[at].name.clone();
        let api = self.exposed_apis();
        again(async || {
            let Some(object) = api.get_opt(&name).await? else {
                return Ok(());
            };
            let mut finalizers = object.metadata.finalizers.unwrap_or_default();
            finalizers.retain(|one| one != HOLD);
            let patch = Patch::Merge(json!({"metadata": {
                "resourceVersion": object.metadata.resource_version,
                "finalizers": finalizers,
            }}));
            match api.patch(&name, &PatchParams::default(), &patch).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                other => other.map(drop),
            }
        })
        .await?;
        Ok(())
    }

    /// Somebody writes into an object's status.
    pub(super) async fn write_status(&self, at: usize, status: &Value) -> Result<()> {
        let name = self.slots[at].name.clone();
        let api = self.exposed_apis();
        let patch = Patch::Merge(json!({"status": status}));
        again(async || {
            match api
                .patch_status(&name, &PatchParams::default(), &patch)
                .await
            {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                other => other.map(drop),
            }
        })
        .await?;
        Ok(())
    }

    /// A new value of `retry`.
    pub(super) async fn retry(&mut self, at: usize) -> Result<()> {
        let Object::There(wanted) = &mut self.slots[at].object else {
            return Ok(());
        };
        wanted.retry += 1;
        let value = wanted.retry.to_string();
        let wanted = wanted.clone();
        self.wants(at, Some(wanted));
        let name = self.slots[at].name.clone();
        let api = self.exposed_apis();
        let patch =
            Patch::Merge(json!({"metadata": {"annotations": {format!("{PREFIX}retry"): value}}}));
        again(async || {
            api.patch(&name, &PatchParams::default(), &patch)
                .await
                .map(drop)
        })
        .await?;
        Ok(())
    }
}

/// Tries again what an API server that was just restarted refuses.
pub(crate) async fn again(act: impl AsyncFnMut() -> Result<(), kube::Error>) -> Result<()> {
    again_with(act).await
}

/// As [`again`], with an answer.
pub(crate) async fn again_with<T>(
    mut act: impl AsyncFnMut() -> Result<T, kube::Error>,
) -> Result<T> {
    let mut tries = 0;
    loop {
        match act().await {
            Ok(done) => return Ok(done),
            Err(error) => {
                tries += 1;
                let hopeless = matches!(
                    &error,
                    kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 422)
                );
                if hopeless || tries == TRIES {
                    return Err(error.into());
                }
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
