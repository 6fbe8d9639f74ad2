//! What must become of each object, given all others and what people left in
//! Azure: whether it is published, or what keeps it from that.

use std::collections::BTreeMap;

use apim_simulator::ApiShape;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::DynamicObject;

use crate::stage::{Object, Slot, Stage};
use crate::wanted::{Adoption, Drift, Wanted};

/// Everything that is there.
pub(crate) struct World {
    /// ExposedAPIs by name.
    pub(super) objects: BTreeMap<String, DynamicObject>,
    /// Ingresses by name.
    pub(super) ingresses: BTreeMap<String, Ingress>,
    /// APIs by id, in the first instance and in the second.
    pub(super) apis: [BTreeMap<String, ApiShape>; 2],
}

/// What keeps an object from being published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    /// The reason in status.
    pub(super) reason: &'static str,
    /// Its message holds one of these.
    pub(super) names: Vec<String>,
}

/// What must become of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing can be said.
    Unknown,
    /// It has a mistake.
    Refused,
    /// It is reached in the cluster alone.
    InCluster,
    /// It is published.
    Published,
    /// One of these keeps it from that.
    Other(Vec<Cause>),
}

impl World {
    /// The API under a slot's id in an instance, whosever it is.
    pub(super) fn api(&self, stage: &Stage<'_>, slot: &Slot, second: bool) -> Option<&ApiShape> {
        self.apis[usize::from(second)].get(&stage.api_id(slot))
    }

    /// Whether an object must be published.
    pub(crate) fn is_published(&self, stage: &Stage<'_>, slot: &Slot, wanted: &Wanted) -> bool {
        matches!(
            self.verdict(stage, slot, wanted),
            Verdict::Published | Verdict::InCluster
        )
    }

    /// What must become of an object.
    pub(super) fn verdict(&self, stage: &Stage<'_>, slot: &Slot, wanted: &Wanted) -> Verdict {
        match wanted {
            // Where nothing is published, some mistakes are none.
            Wanted {
                metrics: true,
                mistake: Some(_),
                ..
            } => Verdict::Unknown,
            Wanted {
                mistake: Some(_), ..
            } => Verdict::Refused,
            // What is there is what was there when it was paused; that it was
            // wanted once is looked at elsewhere.
            Wanted { paused: true, .. } => Verdict::Unknown,
            Wanted { metrics: true, .. } => Verdict::InCluster,
            _ => {
                let causes = self.causes(stage, slot, wanted);
                if causes.is_empty() {
                    Verdict::Published
                } else {
                    Verdict::Other(causes)
                }
            }
        }
    }

    fn causes(&self, stage: &Stage<'_>, slot: &Slot, wanted: &Wanted) -> Vec<Cause> {
        let mut causes = Vec::new();
        causes.extend(self.not_ours(stage, slot, wanted));
        causes.extend(self.conflict(stage, slot, wanted));
        if let Some(value) = wanted.value
            && !stage.values.contains(&value)
        {
            causes.push(Cause {
                reason: "WaitingForDependency",
                names: vec![format!("value-{value}")],
            });
        }
        causes
    }

    /// The API under the id may be somebody else's, and not to be had.
    fn not_ours(&self, stage: &Stage<'_>, slot: &Slot, wanted: &Wanted) -> Option<Cause> {
        let there = self.api(stage, slot, wanted.second)?;
        let mark = there.revision_description.clone().unwrap_or_default();
        if mark == stage.mark_of(slot) {
            return None;
        }
        // Where it could be had, it has to be taken; what would be equal is
        // not known here.
        let of_another_object = mark.starts_with(&stage.mark);
        let had = wanted.adoption == Adoption::Override && !of_another_object;
        (!had).then(|| Cause {
            reason: "NotOurs",
            names: vec![String::new()],
        })
    }

    /// Somebody else may hold the path, or come first.
    fn conflict(&self, stage: &Stage<'_>, slot: &Slot, wanted: &Wanted) -> Option<Cause> {
        let path = wanted.path(&stage.namespace, &slot.name);
        let apis = &self.apis[usize::from(wanted.second)];
        let id = stage.api_id(slot);
        let holder = apis.iter().find(|(_, api)| api.path == path);
        if holder.is_some_and(|(holder, _)| *holder == id) {
            return None;
        }
        let rivals: Vec<(&Slot, &Wanted)> = stage
            .slots
            .iter()
            .filter(|rival| rival.name != slot.name)
            .filter_map(|rival| match &rival.object {
                Object::There(theirs) => Some((rival, theirs)),
                Object::Absent | Object::Going => None,
            })
            .filter(|(rival, theirs)| {
                !theirs.metrics
                    && theirs.second == wanted.second
                    && theirs.path(&stage.namespace, &rival.name) == path
            })
            .collect();
        let mut names: Vec<String> = rivals.iter().map(|(rival, _)| rival.name.clone()).collect();
        if let Some((holder, _)) = holder {
            names.push(holder.clone());
        } else {
            // Nobody has it: the oldest gets it.
            let first = rivals
                .iter()
                .all(|(rival, _)| self.age(slot) < self.age(rival));
            // Unless it is said to be there, and nobody may put it back.
            let absent = rivals
                .iter()
                .any(|(rival, theirs)| rival.edited.is_some() && theirs.drift != Drift::Correct);
            if first && !absent {
                return None;
            }
        }
        Some(Cause {
            reason: "PathConflict",
            names,
        })
    }

    fn age(&self, slot: &Slot) -> (String, String) {
        let created = self
            .objects
            .get(&slot.name)
            .and_then(|object| object.metadata.creation_timestamp.as_ref())
            .map(|created| created.0.to_string())
            .unwrap_or_default();
        (created, slot.name.clone())
    }
}
