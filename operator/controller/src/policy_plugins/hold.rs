//! A `PolicyPlugin` that is mandatory for an API does not go away: without it,
//! the API would lose what the platform protects it with.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use operator_core::names::PluginName;
use serde_json::json;

use super::PolicyPlugins;
use crate::crd::PolicyPlugin;

/// Holds a `PolicyPlugin` for as long as it is mandatory for an API.
pub(super) const FINALIZER: &str = "apim.oda.tmforum.org/mandatory";

/// Between two looks at who uses what: a start looks at thousands of APIs.
const COUNT_PAUSE: Duration = Duration::from_secs(2);

/// After a write that failed.
const AGAIN: Duration = Duration::from_secs(1);

impl PolicyPlugins {
    /// Holds an object or lets it go.
    pub(super) fn hold(self: &Arc<Self>, object: &PolicyPlugin) {
        if !self.tells {
            return;
        }
        let held = object.finalizers().iter().any(|name| name == FINALIZER);
        let mandatory = object.spec.0.mandatory.is_some();
        let wanted = if object.metadata.deletion_timestamp.is_some() {
            // A finalizer cannot be added to what is being deleted.
            held && mandatory && self.is_mandatory_for_any(object)
        } else {
            mandatory
        };
        if wanted == held {
            return;
        }
        if !self.leadership.leads() {
            self.unsaid(&object.name_any());
            return;
        }
        let this = Arc::clone(self);
        let object = object.clone();
        tokio::spawn(async move {
            if this.set_finalizer(&object, wanted).await {
                return;
            }
            // Nothing else may have it tried again.
            tokio::time::sleep(this.pace.of(AGAIN)).await;
            let now = {
                let entries = this.entries.lock();
                entries
                    .get(&object.name_any())
                    .map(|kept| kept.object.clone())
            };
            if let Some(now) = now {
                this.hold(&now);
            }
        });
    }

    /// Something about an object is to be written by a replica that leads.
    fn unsaid(&self, name: &str) {
        if let Some(kept) = self.entries.lock().get_mut(name) {
            kept.unsaid = true;
        }
    }

    /// Whether an API depends on it; while that is not known, it may.
    fn is_mandatory_for_any(&self, object: &PolicyPlugin) -> bool {
        PluginName::parse(&object.name_any())
            .ok()
            .and_then(|name| self.uses.count(&name))
            .is_none_or(|count| count.mandatory > 0)
    }

    /// Answers whether it was written.
    async fn set_finalizer(&self, object: &PolicyPlugin, wanted: bool) -> bool {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.retain(|name| name != FINALIZER);
        if wanted {
            finalizers.push(FINALIZER.to_owned());
        }
        // With the version, so that nobody else's finalizer is lost.
        let patch = Patch::Merge(json!({
            "metadata": {
                "resourceVersion": object.metadata.resource_version,
                "finalizers": finalizers,
            }
        }));
        let api: Api<PolicyPlugin> = Api::all(self.client.clone());
        self.metrics.kube_write("PolicyPlugin");
        let written = api
            .patch(&object.name_any(), &PatchParams::default(), &patch)
            .await;
        match written {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.is_not_found() => true,
            // What wrote in between comes by the watch.
            Err(kube::Error::Api(status)) if status.is_conflict() => false,
            Err(error) => {
                tracing::warn!(%error, plugin = object.name_any(), "the finalizer of a PolicyPlugin could not be written");
                false
            }
        }
    }

    /// Says on each object how many use it, and lets go what nobody depends on
    /// any more.
    pub(super) async fn count(self: Arc<Self>) {
        let mut changes = self.uses.changes();
        while changes.changed().await.is_ok() {
            let objects: Vec<PolicyPlugin> = {
                let entries = self.entries.lock();
                entries.values().map(|kept| kept.object.clone()).collect()
            };
            for object in objects {
                if object.metadata.deletion_timestamp.is_some() {
                    self.hold(&object);
                }
                self.tell_users(&object).await;
            }
            tokio::time::sleep(self.pace.of(COUNT_PAUSE)).await;
        }
    }
}
