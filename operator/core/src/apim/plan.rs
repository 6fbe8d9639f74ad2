//! From what is there to what is desired: the list of steps.

use std::collections::{BTreeMap, BTreeSet};

use super::adopt::{Standing, mismatches, standing, takes_path};
use super::compare::{SettingsPatch, difference, same_document};
use super::guard::{GuardError, guarded};
use super::observed::{Observed, ObservedApi, ObservedOperation, Reading};
use super::parts;
use super::products;
use super::record::{AppliedRecord, note_read_back, settings_hash};
use super::revisions;
use super::step::{PlanError, Step};
use crate::desired::{Desired, DesiredApi, DesiredPolicy, PolicyText};
use crate::mark::OwnershipMark;
use crate::names::InstanceName;

/// The steps from what was read to what is desired, in the order in which they
/// must be carried out.
///
/// `applied` is believed where `observed` says nothing; the caller leaves out,
/// or has [confirmed](super::confirmed), what others could have written.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    applied: Option<&AppliedRecord>,
) -> Result<Vec<Step>, PlanError> {
    let published = Published::of(desired)?;
    let Published { api, policy, .. } = published;
    if let Some(error) = parts::foreign(api, &observed.parts) {
        return Err(error);
    }
    let Some(found) = &observed.api else {
        free_path(api, observed)?;
        return create(api, policy, observed);
    };
    let standing = standing(api, found)?;
    if takes_path(api, Some(found)) {
        free_path(api, observed)?;
    }
    let update = |found: &ObservedApi, record: AppliedRecord| {
        Update {
            api,
            policy,
            found,
            observed,
            record,
        }
        .steps()
    };
    match standing {
        Standing::Ours => {
            let mut record = AppliedRecord::of(applied, published);
            record.see_draft(api, observed);
            if let (Some(rollback), Some(revisions)) = (&api.rollback, &observed.revisions)
                && let Some(steps) = revisions::back(api, policy, found, revisions, rollback)?
            {
                return Ok(steps);
            }
            update(found, record)
        }
        Standing::IfEqual => {
            let differs = mismatches(api, policy, found, observed);
            if differs.is_empty() {
                Ok(vec![Step::TakeOver])
            } else {
                Err(PlanError::NotEqual {
                    api_id: api.id.to_string(),
                    differs,
                })
            }
        }
        Standing::TakeOver => {
            let marked = ObservedApi {
                mark: Some(api.mark.clone()),
                ..found.clone()
            };
            let record = AppliedRecord::unknown(published.instance.clone(), api.id.clone());
            let mut steps = vec![Step::TakeOver];
            steps.extend(update(&marked, record)?);
            Ok(steps)
        }
    }
}

/// Whether no other API holds the path that is about to be taken.
fn free_path(api: &DesiredApi, observed: &Observed) -> Result<(), PlanError> {
    let Some(rival) = observed.rivals.first() else {
        return Ok(());
    };
    let mark = rival.mark.as_deref().and_then(OwnershipMark::parse);
    Err(PlanError::PathTaken {
        path: api.settings.path.clone(),
        rival: rival.id.clone(),
        display_name: rival.display_name.clone(),
        whose: match mark {
            Some(mark) if mark.as_str() == api.mark => "which carries this object's mark".into(),
            Some(mark) => format!(
                "which belongs to `{}` of cluster {}",
                mark.owner(),
                mark.cluster()
            ),
            None => "which carries no mark of this operator".into(),
        },
    })
}

/// A desired state that has all that publishing needs.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// Where.
    pub instance: &'a InstanceName,
    /// The API; it has a service URL.
    pub api: &'a DesiredApi,
    /// Its policy documents, for operations that its document makes.
    pub policy: &'a DesiredPolicy,
}

impl<'a> Published<'a> {
    /// The parts of a desired state that go to API Management, or which of
    /// them is not there yet.
    pub fn of(desired: &'a Desired) -> Result<Self, PlanError> {
        let api = desired.api.as_ref().ok_or(PlanError::NoApi)?;
        let instance = desired.instance.as_ref().ok_or(PlanError::NoApi)?;
        let policy = desired.policy.as_ref().ok_or(PlanError::NoPolicy)?;
        if api.service_url.is_none() {
            return Err(PlanError::NoServiceUrl);
        }
        if let Some(made) = &api.document.operations
            && let Some(unknown) = policy
                .operations
                .keys()
                .find(|id| !made.iter().any(|operation| operation.id == **id))
        {
            return Err(PlanError::UnknownOperation(unknown.clone()));
        }
        Ok(Self {
            instance,
            api,
            policy,
        })
    }
}

/// The text that a [`Step::PutPolicy`] sends.
pub fn policy_text(
    policy: &DesiredPolicy,
    guard: &BTreeSet<String>,
) -> Result<PolicyText, GuardError> {
    Ok(if guard.is_empty() {
        policy.api.clone()
    } else {
        PolicyText::new(guarded(&policy.api.text, guard)?)
    })
}

/// What follows a [`Step::ReadBack`]: a patch when the import reset something.
/// The record learns what the read shows.
pub fn repair(
    api: &DesiredApi,
    found: &ObservedApi,
    record: &mut AppliedRecord,
) -> Option<SettingsPatch> {
    note_read_back(record, api, found);
    Some(difference(api, found)).filter(|patch| !patch.is_empty())
}

fn create(
    api: &DesiredApi,
    policy: &DesiredPolicy,
    observed: &Observed,
) -> Result<Vec<Step>, PlanError> {
    let guard: BTreeSet<String> = policy.operations.keys().cloned().collect();
    // Made now, so that a document that cannot be guarded fails before the
    // first write.
    policy_text(policy, &guard)?;
    let (mut steps, rest) = parts::referred_first(parts::steps(
        &parts::left_without_api(observed.parts.keys()),
        &api.parts,
        &observed.parts,
        &observed.tags,
    ));
    steps.push(Step::CreateWithoutOperations);
    steps.push(Step::PutPolicy {
        guard: guard.clone(),
    });
    steps.extend(import_and_unguard(&guard));
    // Last: a key for a product opens what is protected already.
    steps.extend(products::steps(
        &products::Memberships::new(),
        &api.products,
        &BTreeMap::new(),
    ));
    steps.extend(rest);
    Ok(steps)
}

/// The import of new operations under a guard, and what takes the guard away.
fn import_and_unguard(guard: &BTreeSet<String>) -> Vec<Step> {
    let mut steps = vec![Step::Import, Step::ReadBack];
    steps.extend(guard.iter().map(|operation| Step::PutOperationPolicy {
        operation: operation.clone(),
    }));
    if !guard.is_empty() {
        steps.push(Step::PutPolicy {
            guard: BTreeSet::new(),
        });
    }
    steps
}

/// The changes to an API of ours.
pub(super) struct Update<'a> {
    pub(super) api: &'a DesiredApi,
    pub(super) policy: &'a DesiredPolicy,
    pub(super) found: &'a ObservedApi,
    pub(super) observed: &'a Observed,
    pub(super) record: AppliedRecord,
}

impl Update<'_> {
    fn steps(&self) -> Result<Vec<Step>, PlanError> {
        let (mut steps, rest) = parts::referred_first(parts::steps(
            &self.record.parts,
            &self.api.parts,
            &self.observed.parts,
            &self.observed.tags,
        ));
        if let (Some(rollout), Some(seen)) = (&self.api.rollout, &self.observed.revisions) {
            steps.extend(revisions::steps(self, rollout, seen)?);
        } else {
            steps.extend(self.content()?);
            let left = self.record.draft.as_ref().map(|draft| draft.revision);
            steps.extend(left.map(|revision| Step::DropRevision { revision }));
        }
        steps.extend(products::steps(
            &self.record.products,
            &self.api.products,
            &self.observed.products,
        ));
        steps.extend(rest);
        Ok(steps)
    }

    /// What makes settings, document and policies what they should be.
    pub(super) fn content(&self) -> Result<Vec<Step>, PlanError> {
        if self.record.spec_hash.as_ref() == Some(&self.api.document.hash) {
            Ok(self.without_import())
        } else {
            self.with_import()
        }
    }

    /// The order makes protection move without a gap: what is added comes
    /// before what is taken away.
    fn without_import(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let patch = self.patch();
        let tightens = patch
            .as_ref()
            .is_some_and(|patch| patch.subscription_required == Some(true));
        if tightens {
            steps.extend(patch.clone().map(Box::new).map(Step::PatchSettings));
        }
        steps.extend(self.changed_operation_policies(|_| true));
        steps.extend(self.plain_policy());
        steps.extend(self.surplus_operation_policies().map(delete));
        if !tightens {
            steps.extend(patch.map(Box::new).map(Step::PatchSettings));
        }
        steps
    }

    fn with_import(&self) -> Result<Vec<Step>, PlanError> {
        let mut steps = Vec::new();
        // Requiring a key can be what replaces a policy that goes; the import
        // would bring it too late.
        if let Some(patch) = self.patch()
            && patch.subscription_required == Some(true)
            && self.plain_policy().is_some()
        {
            steps.push(Step::PatchSettings(Box::new(patch)));
        }
        let guard: BTreeSet<String> = self
            .policy
            .operations
            .keys()
            .filter(|id| !self.exists(id))
            .cloned()
            .collect();
        steps.extend(self.changed_operation_policies(|id| self.exists(id)));
        if guard.is_empty() {
            steps.extend(self.plain_policy());
        } else {
            let text = policy_text(self.policy, &guard)?;
            if !matches!(&self.observed.policy, Reading::Found(there) if same_document(&there.text, &text.text))
            {
                steps.push(Step::PutPolicy {
                    guard: guard.clone(),
                });
            }
        }
        steps.extend(import_and_unguard(&guard));
        let surplus: BTreeSet<String> = self
            .surplus_operation_policies()
            .filter(|id| self.survives(id))
            .chain(self.inherited())
            .collect();
        steps.extend(surplus.into_iter().map(delete));
        Ok(steps)
    }

    /// The settings that differ, unless the record says that none do.
    fn patch(&self) -> Option<SettingsPatch> {
        if self.record.settings_hash.as_ref() == Some(&settings_hash(self.api)) {
            return None;
        }
        Some(difference(self.api, self.found)).filter(|patch| !patch.is_empty())
    }

    /// The API's own document, unless it is in place. What was read counts
    /// more than what is remembered.
    fn plain_policy(&self) -> Option<Step> {
        let there = match &self.observed.policy {
            Reading::NotRead => self.record.policy_hash.as_ref() == Some(&self.policy.api.hash),
            Reading::Absent => false,
            Reading::Found(there) => same_document(&there.text, &self.policy.api.text),
        };
        (!there).then(|| Step::PutPolicy {
            guard: BTreeSet::new(),
        })
    }

    fn changed_operation_policies(&self, of: impl Fn(&str) -> bool) -> impl Iterator<Item = Step> {
        self.policy
            .operations
            .iter()
            .filter(move |(id, text)| of(id) && !self.operation_policy_in_place(id, text))
            .map(|(id, _)| Step::PutOperationPolicy {
                operation: id.clone(),
            })
    }

    fn operation_policy_in_place(&self, id: &str, text: &PolicyText) -> bool {
        match self.observed.operation_policies.get(id) {
            Some(Reading::Found(there)) => same_document(&there.text, &text.text),
            Some(Reading::Absent) => false,
            Some(Reading::NotRead) | None => {
                let known = self.record.operation_policies.as_ref();
                known.and_then(|known| known.get(id)) == Some(&text.hash)
            }
        }
    }

    /// Operations that have a document of their own and should have none.
    fn surplus_operation_policies(&self) -> impl Iterator<Item = String> {
        self.with_own_policy()
            .into_iter()
            .filter(|id| !self.policy.operations.contains_key(id))
    }

    fn with_own_policy(&self) -> BTreeSet<String> {
        let absent = |id: &str| {
            matches!(
                self.observed.operation_policies.get(id),
                Some(Reading::Absent)
            )
        };
        let known = self.record.operation_policies.iter().flatten();
        let read = self.observed.operation_policies.iter();
        known
            .map(|(id, _)| id)
            .filter(|id| !absent(id))
            .chain(read.filter_map(|(id, there)| there.found().map(|_| id)))
            .cloned()
            .collect()
    }

    fn existing(&self) -> &[ObservedOperation] {
        self.observed.operations.found().map_or(&[], Vec::as_slice)
    }

    fn exists(&self, id: &str) -> bool {
        self.existing().iter().any(|operation| operation.id == id)
    }

    /// Whether an operation is still there after the import.
    fn survives(&self, id: &str) -> bool {
        match &self.api.document.operations {
            Some(made) => made.iter().any(|operation| operation.id == id),
            None => true,
        }
    }

    /// New operations that an import gives the policy of a deleted one, since
    /// method and template are the same, and that should have none.
    fn inherited(&self) -> impl Iterator<Item = String> {
        let own = self.with_own_policy();
        let leaving: Vec<&ObservedOperation> = self
            .existing()
            .iter()
            .filter(|operation| own.contains(&operation.id) && !self.survives(&operation.id))
            .collect();
        self.api
            .document
            .operations
            .iter()
            .flatten()
            .filter(move |made| {
                !self.exists(&made.id)
                    && !self.policy.operations.contains_key(&made.id)
                    && leaving.iter().any(|old| {
                        old.method.eq_ignore_ascii_case(&made.method)
                            && old.url_template == made.url_template
                    })
            })
            .map(|made| made.id.clone())
    }
}

fn delete(operation: String) -> Step {
    Step::DeleteOperationPolicy { operation }
}
