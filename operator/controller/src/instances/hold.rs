//! An ApimInstance that APIs are published in does not go away: without its
//! settings nobody could take them out of API Management again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use operator_core::names::ObjectKey;
use serde_json::json;

use super::Instances;
use crate::crd::ApimInstance;
use crate::events::{EventKind, Events};

/// Holds an ApimInstance for as long as APIs are published in it.
const FINALIZER: &str = "apim.oda.tmforum.org/in-use";
/// Between two looks at who uses an instance that is to go.
const PAUSE: Duration = Duration::from_secs(1);
/// How many users a message names.
const NAMED: usize = 5;

/// Tells which ExposedAPIs are published in an instance.
type Users = dyn Fn(&str) -> Vec<ObjectKey> + Send + Sync;

impl Instances {
    /// Holds the ApimInstances and lets them go, from now on; for the replica
    /// that leads.
    pub(crate) async fn hold(self: Arc<Self>, users: Box<Users>, events: Events) {
        let mut changes = self.seen.subscribe();
        loop {
            changes.mark_unchanged();
            let objects: Vec<ApimInstance> = {
                let entries = self.entries.read();
                let objects = entries.values().filter_map(|entry| entry.object.clone());
                objects.collect()
            };
            let mut waiting = false;
            for object in objects {
                let held = object.finalizers().iter().any(|name| name == FINALIZER);
                if object.metadata.deletion_timestamp.is_none() {
                    if !held {
                        waiting |= !self.set_finalizer(&object, true).await;
                    }
                    continue;
                }
                if !held {
                    continue;
                }
                let users = users(&object.name_any());
                if users.is_empty() {
                    waiting |= !self.set_finalizer(&object, false).await;
                } else {
                    waiting = true;
                    self.tell_held(&object, &users, &events).await;
                }
            }
            tokio::select! {
                heard = changes.changed() => if heard.is_err() { return },
                () = tokio::time::sleep(self.settings.pace.of(PAUSE)), if waiting => {}
            }
        }
    }

    /// Answers whether it was written; else nothing else may have it tried
    /// again.
    async fn set_finalizer(&self, object: &ApimInstance, wanted: bool) -> bool {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.retain(|name| name != FINALIZER);
        if wanted {
            finalizers.push(FINALIZER.to_owned());
        }
        // With the version, so that nobody else's finalizer is lost; what wrote
        // in between comes by the watch, and this with it.
        let patch = Patch::Merge(json!({"metadata": {
            "resourceVersion": object.metadata.resource_version,
            "finalizers": finalizers,
        }}));
        let api: Api<ApimInstance> = Api::all(self.client.clone());
        self.metrics.kube_write("ApimInstance");
        let name = object.name_any();
        let written = api
            .patch_metadata(&name, &PatchParams::default(), &patch)
            .await;
        match written {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.is_not_found() => true,
            // What wrote in between comes by the watch.
            Err(kube::Error::Api(status)) if status.is_conflict() => false,
            Err(error) => {
                tracing::warn!(%error, instance = name, "the finalizer of an ApimInstance could not be written");
                false
            }
        }
    }

    /// Says who keeps it from going.
    async fn tell_held(&self, object: &ApimInstance, users: &[ObjectKey], events: &Events) {
        let message = held_by(users);
        let before = object.status.clone().unwrap_or_default().conditions;
        let said = before.iter().find(|condition| condition.type_ == "Stalled");
        if said.is_some_and(|said| said.message == message) {
            return;
        }
        let condition = Condition {
            type_: "Stalled".to_owned(),
            status: "True".to_owned(),
            reason: "InUse".to_owned(),
            message: message.clone(),
            observed_generation: object.metadata.generation,
            last_transition_time: said.map_or_else(
                || Time(Timestamp::now()),
                |said| said.last_transition_time.clone(),
            ),
        };
        let mut conditions = before;
        conditions.retain(|condition| condition.type_ != "Stalled");
        conditions.push(condition);
        let name = object.name_any();
        let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
        let api: Api<ApimInstance> = Api::all(self.client.clone());
        self.metrics.kube_write("ApimInstance");
        if let Err(error) = api
            .patch_status(&name, &PatchParams::default(), &patch)
            .await
        {
            tracing::warn!(%error, instance = name, "the status of an ApimInstance could not be written");
        }
        let about = ObjectReference {
            api_version: Some("apim.oda.tmforum.org/v1alpha1".to_owned()),
            kind: Some("ApimInstance".to_owned()),
            name: Some(name),
            uid: object.uid(),
            ..ObjectReference::default()
        };
        events.publish(&about, EventKind::Warning, "InUse", "Delete", &message);
    }
}

/// Who uses an instance, and what to do about it.
fn held_by(users: &[ObjectKey]) -> String {
    let mut names: Vec<String> = users.iter().map(ToString::to_string).collect();
    names.sort();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!(
        "its deletion waits, because ExposedAPIs are published in it: {}{more}. Delete or move them, and it goes at \
         once; to give them up, take the finalizer {FINALIZER} off",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_a_few_users_and_counts_the_others() {
        let users: Vec<ObjectKey> = (0..7)
            .rev()
            .map(|number| ObjectKey::new("shop", format!("api-{number}")))
            .collect();
        let message = held_by(&users);
        assert!(
            message
                .contains("shop/api-0, shop/api-1, shop/api-2, shop/api-3, shop/api-4 and 2 more."),
            "{message}"
        );
        assert!(held_by(&users[..1]).contains("published in it: shop/api-6. Delete"));
    }
}
