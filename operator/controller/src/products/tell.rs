//! What an object says of itself.

use jiff::{Timestamp, Unit};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Error, Fate, Owned, Shared};
use crate::events::EventKind;

/// The longest message that Kubernetes takes is longer; nobody reads that.
const LONGEST: usize = 4096;

/// Now, in whole seconds.
pub(super) fn now() -> Timestamp {
    Timestamp::now().round(Unit::Second).unwrap_or_default()
}

impl Shared {
    /// Writes a status with what an object's fate is, if that changes anything,
    /// and an event when it is another than before.
    pub(super) async fn tell<K: Owned>(
        &self,
        object: &K,
        mut status: K::Status,
        fate: &Fate,
    ) -> Result<(), Error> {
        let mut before = object.said();
        let generation = object.meta().generation;
        let said = K::conditions(&mut before).clone();
        *K::conditions(&mut status) = conditions(&said, fate, generation);
        if !self.write_status(object, &status).await? {
            return Ok(());
        }
        let ready = |all: &[Condition]| {
            let found = all.iter().find(|one| one.type_ == "Ready")?;
            Some((found.reason.clone(), found.message.clone()))
        };
        let now = K::conditions(&mut status).clone();
        if let Some((reason, message)) = ready(&now)
            && ready(&said).as_ref() != Some(&(reason.clone(), message.clone()))
        {
            let kind = if matches!(fate, Fate::Stalled(..)) {
                EventKind::Warning
            } else {
                EventKind::Normal
            };
            let about = reference(object);
            self.ctx
                .events
                .publish(&about, kind, &reason, "Reconcile", &message);
        }
        Ok(())
    }

    /// Writes a status if it differs from the one that stands there, and answers
    /// whether it did.
    pub(super) async fn write_status<K: Owned>(
        &self,
        object: &K,
        status: &K::Status,
    ) -> Result<bool, Error> {
        let before = object.said();
        if before == *status {
            return Ok(false);
        }
        let (before, mut after) = (json!(before), json!(status));
        if let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) {
            for key in before.keys() {
                after.entry(key.clone()).or_insert(Value::Null);
            }
        }
        self.ctx.metrics.kube_write(K::KIND);
        let patch = Patch::Merge(json!({ "status": after }));
        let written = self
            .api(object)
            .patch_status(&object.name_any(), &PatchParams::default(), &patch)
            .await;
        match written {
            // It may be gone already.
            Err(kube::Error::Api(refused)) if refused.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(true),
        }
    }
}

fn reference<K: Owned>(object: &K) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: object.namespace(),
        name: Some(object.name_any()),
        uid: object.uid(),
        ..ObjectReference::default()
    }
}

fn conditions(before: &[Condition], fate: &Fate, generation: Option<i64>) -> Vec<Condition> {
    let nothing = || "nothing is under way".to_owned();
    let clear = || "nothing is in the way".to_owned();
    let (ready, reconciling, stalled) = match fate {
        Fate::Ready(message, _) => (
            ("True", "InPlace", message.clone()),
            ("False", "Done", nothing()),
            ("False", "Done", clear()),
        ),
        Fate::Waiting(reason, message, _) => (
            ("False", *reason, message.clone()),
            ("True", *reason, message.clone()),
            ("False", "Done", clear()),
        ),
        Fate::Stalled(reason, message) => (
            ("False", *reason, message.clone()),
            ("False", "Done", nothing()),
            ("True", *reason, message.clone()),
        ),
    };
    [
        ("Ready", ready),
        ("Reconciling", reconciling),
        ("Stalled", stalled),
    ]
    .into_iter()
    .map(|(kind, (status, reason, message))| {
        let there = before.iter().find(|one| one.type_ == kind);
        let since = there.filter(|there| there.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.chars().take(LONGEST).collect(),
            observed_generation: generation,
            last_transition_time: since
                .map_or_else(|| Time(now()), |since| since.last_transition_time.clone()),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shown(all: &[Condition]) -> Vec<String> {
        all.iter()
            .map(|one| format!("{}={} {}", one.type_, one.status, one.reason))
            .collect()
    }

    #[test]
    fn each_fate_has_three_conditions_that_agree() {
        let all = |fate: &Fate| shown(&conditions(&[], fate, Some(1)));
        assert_eq!(
            all(&Fate::Ready("it is there".into(), Duration::ZERO)),
            [
                "Ready=True InPlace",
                "Reconciling=False Done",
                "Stalled=False Done"
            ]
        );
        assert_eq!(
            all(&Fate::Waiting("InUse", "by a".into(), Duration::ZERO)),
            [
                "Ready=False InUse",
                "Reconciling=True InUse",
                "Stalled=False Done"
            ]
        );
        assert_eq!(
            all(&Fate::Stalled("NotOurs", "it is b's".into())),
            [
                "Ready=False NotOurs",
                "Reconciling=False Done",
                "Stalled=True NotOurs"
            ]
        );
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let mut first = conditions(&[], &Fate::Stalled("A", "a".into()), Some(1));
        let long_ago = Time("2026-01-01T00:00:00Z".parse().unwrap());
        for condition in &mut first {
            condition.last_transition_time = long_ago.clone();
        }
        let next = conditions(
            &first,
            &Fate::Waiting("B", "b".into(), Duration::ZERO),
            Some(2),
        );
        let kept: Vec<bool> = next
            .iter()
            .map(|one| one.last_transition_time == long_ago)
            .collect();
        assert_eq!(kept, [true, false, false]);
    }
}
