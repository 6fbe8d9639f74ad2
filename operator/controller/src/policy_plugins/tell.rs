//! What a `PolicyPlugin` says of itself.

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use operator_core::names::PluginName;
use serde_json::{Value, json};

use super::PolicyPlugins;
use super::load::Loaded;
use super::trouble::Trouble;
use crate::crd::PolicyPlugin;
use crate::crd::policy_plugin::{DescriptorStatus, PolicyPluginStatus, RolloutStatus};

/// The longest message that Kubernetes takes is longer; nobody reads that.
const LONGEST: usize = 4096;

/// How a `PolicyPlugin` fares.
#[derive(Debug, Clone)]
pub(super) struct Report<'a> {
    /// What serves, if anything does.
    pub(super) serving: Option<&'a Loaded>,
    /// Why what the settings ask for does not serve, or could not be looked
    /// for.
    pub(super) trouble: Option<&'a Trouble>,
    /// A version on its way to the users.
    pub(super) rollout: Option<RolloutStatus>,
    /// Why a rollout does not go on.
    pub(super) stopped: Option<String>,
}

impl PolicyPlugins {
    /// Says on an object how it fares.
    pub(super) async fn report(&self, object: &PolicyPlugin, report: Report<'_>) {
        let name = object.name_any();
        let generation = object.metadata.generation;
        self.write(&name, |before| {
            let mut status = before.clone();
            status.observed_generation = generation;
            status.rollout.clone_from(&report.rollout);
            if let Some(serving) = report.serving {
                describe(&mut status, serving);
            } else if report.trouble.is_some_and(|trouble| !trouble.is_passing()) {
                status.digest = None;
                status.reference = None;
                status.version = None;
                status.signer = None;
                status.descriptor = None;
            }
            status.conditions = conditions(before, &report, generation);
            status
        })
        .await;
    }

    /// Says on an object how many use it.
    pub(super) async fn tell_users(&self, object: &PolicyPlugin) {
        let name = object.name_any();
        let count = PluginName::parse(&name)
            .ok()
            .and_then(|name| self.uses.count(&name));
        let Some(count) = count else { return };
        let deleting = object.metadata.deletion_timestamp.is_some();
        let generation = object.metadata.generation;
        self.write(&name, |before| {
            let mut status = PolicyPluginStatus {
                users: Some(count.users),
                mandatory_for: Some(count.mandatory),
                ..before.clone()
            };
            if deleting && count.mandatory > 0 {
                status.observed_generation = generation;
                let message = format!(
                    "its deletion waits, because it is mandatory for {} APIs: take `spec.mandatory` off, and it goes \
                     at once",
                    count.mandatory
                );
                let said = ("True", "DeletionHeld", message);
                status.conditions.retain(|c| c.type_ != "Stalled");
                status
                    .conditions
                    .push(condition(before, "Stalled", said, generation));
            }
            status
        })
        .await;
    }

    /// Writes a status if it changes.
    async fn write(
        &self,
        name: &str,
        change: impl FnOnce(&PolicyPluginStatus) -> PolicyPluginStatus,
    ) {
        let (before, status) = {
            let mut entries = self.entries.lock();
            let Some(kept) = entries.get_mut(name) else {
                return;
            };
            let before = kept.said.clone().unwrap_or_default();
            let status = change(&before);
            if status == before {
                return;
            }
            if !self.leadership.leads() {
                kept.unsaid = true;
                return;
            }
            kept.said = Some(status.clone());
            if !self.tells {
                return;
            }
            (before, status)
        };
        let api: Api<PolicyPlugin> = Api::all(self.client.clone());
        self.metrics.kube_write("PolicyPlugin/status");
        let patch = Patch::Merge(json!({"status": merge_patch(&before, &status)}));
        if let Err(error) = api
            .patch_status(name, &PatchParams::default(), &patch)
            .await
        {
            tracing::warn!(%error, plugin = name, "the status of a PolicyPlugin could not be written");
            if let Some(kept) = self.entries.lock().get_mut(name) {
                kept.said = Some(before);
            }
        }
    }
}

/// A status with null where something is no longer there.
fn merge_patch(before: &PolicyPluginStatus, now: &PolicyPluginStatus) -> Value {
    let (before, mut now) = (json!(before), json!(now));
    if let (Some(before), Some(now)) = (before.as_object(), now.as_object_mut()) {
        for key in before.keys() {
            now.entry(key.clone()).or_insert(Value::Null);
        }
    }
    now
}

fn describe(status: &mut PolicyPluginStatus, serving: &Loaded) {
    let info = &serving.version.info;
    let descriptor = &info.descriptor;
    status.reference = Some(serving.reference.clone());
    status.digest = Some(info.digest.clone());
    status.version = Some(descriptor.version.clone());
    status.signer.clone_from(&serving.signer);
    status.last_good_digest = Some(info.digest.clone());
    status.last_good_reference = Some(serving.reference.clone());
    status.descriptor = Some(DescriptorStatus {
        name: descriptor.name.clone(),
        summary: descriptor.summary.clone(),
        phase: text(&descriptor.phase),
        sections: descriptor.sections.iter().map(text).collect(),
        spec_block: descriptor.spec_block.clone(),
        capabilities: descriptor.capabilities.clone(),
        interface: serving.version.plugin.interface().map(ToOwned::to_owned),
        config_schema: Some(descriptor.config_schema.clone()),
    });
}

/// An enumeration as it is spelled in JSON.
fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

fn conditions(
    before: &PolicyPluginStatus,
    report: &Report<'_>,
    generation: Option<i64>,
) -> Vec<Condition> {
    let serves = report.serving.map(|loaded| {
        let info = &loaded.version.info;
        format!(
            "version {} ({}) serves",
            info.descriptor.version, info.digest
        )
    });
    let serves_on = serves
        .as_deref()
        .map(|serves| format!("; {serves}"))
        .unwrap_or_default();
    let notes = report
        .serving
        .map(|loaded| {
            let notes = loaded.notes.iter().map(|note| format!("; {note}"));
            notes.collect::<String>()
        })
        .unwrap_or_default();
    let rolling = report.rollout.as_ref().map(|rollout| {
        format!(
            "version {} is on its way: {} of {} APIs have it",
            rollout.version, rollout.done, rollout.total
        )
    });
    let ready = match (report.trouble, &serves) {
        (Some(trouble), Some(_)) if trouble.is_passing() => (
            "True",
            "Serving",
            format!("{}{notes}", serves.clone().unwrap_or_default()),
        ),
        (Some(trouble), _) => (
            "False",
            trouble.reason,
            format!("{}{serves_on}", trouble.message),
        ),
        (None, Some(serves)) => ("True", "Serving", format!("{serves}{notes}")),
        (None, None) => ("False", "Loading", "it is being loaded".to_owned()),
    };
    let reconciling = match (report.trouble, &rolling) {
        (Some(trouble), _) if trouble.is_passing() => (
            "True",
            trouble.reason,
            format!("{}; it is tried again", trouble.message),
        ),
        (None, Some(rolling)) if report.stopped.is_none() => {
            ("True", "RollingOut", rolling.clone())
        }
        (None, None) if report.serving.is_none() => {
            ("True", "Loading", "it is being loaded".to_owned())
        }
        _ => ("False", "Done", "nothing is under way".to_owned()),
    };
    let stalled = match (report.trouble, &report.stopped) {
        (Some(trouble), _) if !trouble.is_passing() => {
            ("True", trouble.reason, trouble.message.clone())
        }
        (_, Some(why)) => (
            "True",
            "RolloutStopped",
            format!("{}; {why}", rolling.unwrap_or_default()),
        ),
        _ => ("False", "Done", "nothing is in the way".to_owned()),
    };
    [
        ("Ready", ready),
        ("Reconciling", reconciling),
        ("Stalled", stalled),
    ]
    .into_iter()
    .map(|(kind, said)| condition(before, kind, said, generation))
    .collect()
}

/// A condition; its time is that of the last change of its status.
fn condition(
    before: &PolicyPluginStatus,
    kind: &str,
    (status, reason, message): (&str, &str, String),
    generation: Option<i64>,
) -> Condition {
    let there = before.conditions.iter().find(|c| c.type_ == kind);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.chars().take(LONGEST).collect(),
        observed_generation: generation,
        last_transition_time: there.filter(|there| there.status == status).map_or_else(
            || Time(Timestamp::now().round(Unit::Second).unwrap_or_default()),
            |there| there.last_transition_time.clone(),
        ),
    }
}
