//! Changes as new revisions: the steps that make one, look at it and release
//! it, and those that go back to an earlier one.
//!
//! A new revision is a copy of the current one, with its policies; so what is
//! promised of an API holds for it, too: it is brought to the desired state by
//! the same steps in the same order. Callers reach it once it is released.
//!
//! What all revisions share (name, description, path, protocols, version,
//! whether a key is asked for) cannot be changed in one that is not current
//! (Microsoft's article on revisions). It is patched in the API itself: before
//! the release where that asks for a key, else after it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::compare::{SettingsPatch, difference, same_document};
use super::observed::{Observed, ObservedApi, Reading};
use super::plan::Update;
use super::record::AppliedRecord;
use super::step::{PlanError, Step};
use crate::desired::{DesiredApi, DesiredPolicy};
use crate::rollout::{Rollback, Rollout, notes};

/// A revision that is being made and that callers do not reach yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// Its number.
    pub revision: u32,
    /// What is known to be in place in it.
    pub known: AppliedRecord,
}

/// A revision, in the list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRevision {
    /// Its number.
    pub number: u32,
    /// Its description, where a mark can stand.
    pub mark: Option<String>,
    /// Whether callers reach it.
    pub is_current: bool,
}

/// What is said of an API's revisions; read where one may be made or released.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedRevisions {
    /// All of them.
    pub all: Vec<ObservedRevision>,
    /// The notes of releases, by their ids.
    pub releases: BTreeMap<String, String>,
    /// What was read of the one that is being made, where it is there, is not
    /// current, and carries the mark.
    pub draft: Option<Box<Observed>>,
    /// What was read of the one that is to be gone back to.
    pub target: Option<Box<Observed>>,
}

impl ObservedRevisions {
    /// Those of the object that callers do not reach, by number.
    fn ours_behind<'a>(&'a self, mark: &'a str) -> impl Iterator<Item = u32> + 'a {
        let behind = self.all.iter().filter(|one| !one.is_current);
        let ours = behind.filter(move |one| one.mark.as_deref() == Some(mark));
        ours.map(|one| one.number)
    }

    /// Whether a revision is one of the object's that callers do not reach.
    #[must_use]
    pub fn is_behind(&self, number: u32, mark: &str) -> bool {
        self.ours_behind(mark).any(|one| one == number)
    }

    fn next(&self) -> u32 {
        1 + self.all.iter().map(|one| one.number).max().unwrap_or(1)
    }

    /// What releases a revision: under an id that no release has, since one
    /// that is there does not release again.
    fn release(&self, number: u32) -> Step {
        let first = format!("rev-{number}");
        let more = (2..).map(|again| format!("{first}-{again}"));
        let mut ids = std::iter::once(first.clone()).chain(more);
        let is_free = |id: &String| {
            !self
                .releases
                .keys()
                .any(|there| there.eq_ignore_ascii_case(id))
        };
        Step::Release {
            revision: number,
            release: ids.find(is_free).unwrap_or(first.clone()),
        }
    }

    /// The oldest of the object's that are more than are to be kept, but for
    /// one.
    fn surplus(&self, mark: &str, keep: usize, but: Option<u32>) -> Vec<Step> {
        let mut behind: Vec<u32> = self
            .ours_behind(mark)
            .filter(|number| Some(*number) != but)
            .collect();
        behind.sort_unstable();
        let surplus = behind.len().saturating_sub(keep);
        let drop = |revision| Step::DropRevision { revision };
        behind.into_iter().take(surplus).map(drop).collect()
    }
}

impl SettingsPatch {
    /// What all revisions of an API share, and what each has of its own.
    pub(super) fn parted(self) -> (Self, Self) {
        let Self {
            display_name,
            description,
            path,
            version,
            protocols,
            subscription_required,
            ..
        } = self.clone();
        let shared = Self {
            display_name,
            description,
            path,
            version,
            protocols,
            subscription_required,
            ..Self::default()
        };
        let own = Self {
            display_name: None,
            description: None,
            path: None,
            version: None,
            protocols: None,
            subscription_required: None,
            ..self
        };
        (shared, own)
    }
}

/// The API as it is to be in a revision that is not current: with what all
/// revisions share as it is.
#[must_use]
pub fn in_revision(api: &DesiredApi, current: &ObservedApi) -> DesiredApi {
    let mut here = api.clone();
    let (wanted, there) = (&mut here.settings, current.settings.clone());
    wanted.display_name = there.display_name;
    wanted.description = there.description;
    wanted.path = there.path;
    wanted.api_version = there.api_version;
    wanted.api_version_set = there.api_version_set;
    wanted.protocols = there.protocols;
    wanted.subscription_required = there.subscription_required;
    here
}

/// What of that which a revision has of its own differs from what is desired.
#[must_use]
pub fn differing_in_revision(api: &DesiredApi, found: &ObservedApi) -> Vec<&'static str> {
    difference(api, found).parted().1.fields()
}

/// The steps of a change, and what follows it in the API itself.
pub(super) fn steps(
    update: &Update<'_>,
    rollout: &Rollout,
    revisions: &ObservedRevisions,
) -> Result<Vec<Step>, PlanError> {
    let Update {
        api,
        policy,
        found,
        record,
        ..
    } = update;
    let (shared, _) = difference(api, found).parted();
    let shared = (!shared.is_empty()).then(|| Step::PatchSettings(Box::new(shared)));
    let here = in_revision(api, found);
    let draft = record.draft.as_deref().zip(revisions.draft.as_deref());
    let mut steps = Vec::new();
    let anew = Update {
        api: &here,
        record: AppliedRecord {
            draft: None,
            settings_hash: None,
            ..record.clone()
        },
        ..*update
    };
    let changes = anew.content()?;
    if changes.is_empty() {
        steps.extend(shared);
        let left = draft.map(|(draft, _)| draft.revision);
        steps.extend(left.map(|revision| Step::DropRevision { revision }));
        steps.extend(revisions.surplus(&api.mark, rollout.keep, left));
        return Ok(steps);
    }
    let tightens = api.settings.subscription_required && !found.settings.subscription_required;
    let (before, after) = if tightens {
        (shared, None)
    } else {
        (None, shared)
    };
    steps.extend(before);
    let (revision, changes) = if let Some((draft, observed)) = draft
        && let Some(there) = &observed.api
    {
        let update = Update {
            api: &here,
            policy,
            found: there,
            observed,
            record: AppliedRecord {
                settings_hash: None,
                ..draft.known.clone()
            },
        };
        (draft.revision, update.content()?)
    } else {
        let revision = revisions.next();
        let from = found.revision.clone();
        steps.push(Step::StartRevision { revision, from });
        (revision, changes)
    };
    steps.extend(changes.into_iter().map(|step| Step::InRevision {
        revision,
        step: Box::new(step),
    }));
    steps.push(Step::Verify { revision });
    steps.push(revisions.release(revision));
    steps.extend(after);
    // The one that is current now is one of before then.
    let keep = rollout.keep.saturating_sub(1);
    steps.extend(revisions.surplus(&api.mark, keep, Some(revision)));
    Ok(steps)
}

/// The steps that go back to an earlier revision; none where what is mandatory
/// has changed since, and callers reach it already: then the API follows that
/// instead.
pub(super) fn back(
    api: &DesiredApi,
    policy: &DesiredPolicy,
    found: &ObservedApi,
    revisions: &ObservedRevisions,
    rollback: &Rollback,
) -> Result<Option<Vec<Step>>, PlanError> {
    let number = rollback.revision;
    let is_current = found.revision == number.to_string();
    if !is_current && !revisions.is_behind(number, &api.mark) {
        let mut there: Vec<u32> = revisions.ours_behind(&api.mark).collect();
        there.sort_unstable();
        return Err(PlanError::NoRevision {
            api_id: api.id.to_string(),
            revision: number,
            there,
        });
    }
    if !holds_what_is_mandatory(api, policy, revisions, number) {
        return if is_current {
            Ok(None)
        } else {
            Err(PlanError::NotMandatory { revision: number })
        };
    }
    let mut steps = Vec::new();
    if !is_current {
        steps.push(revisions.release(number));
    }
    Ok(Some(steps))
}

/// Whether what is mandatory now is in an earlier revision: nothing is, or its
/// release says so, or its policies are those of now.
fn holds_what_is_mandatory(
    api: &DesiredApi,
    policy: &DesiredPolicy,
    revisions: &ObservedRevisions,
    number: u32,
) -> bool {
    if api.mandatory.is_none() {
        return true;
    }
    let said = revisions.releases.get(&format!("rev-{number}"));
    if said.is_some_and(|said| *said == notes(api.mandatory)) {
        return true;
    }
    let Some(target) = &revisions.target else {
        return false;
    };
    let is_same = |there: &Reading<_>, wanted: Option<&crate::desired::PolicyText>| {
        let there: &Reading<super::ObservedPolicy> = there;
        match (there, wanted) {
            (Reading::Found(there), Some(wanted)) => same_document(&there.text, &wanted.text),
            (Reading::Absent, None) => true,
            _ => false,
        }
    };
    let operations = target.operations.found();
    is_same(&target.policy, Some(&policy.api))
        && operations.is_some_and(|operations| {
            operations.iter().all(|operation| {
                let there = target.operation_policies.get(&operation.id);
                let wanted = policy.operations.get(&operation.id);
                there.is_some_and(|there| is_same(there, wanted))
            })
        })
}
