//! What the operator remembers of what it applied.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::compare::{difference, same_document};
use super::observed::{Observed, ObservedApi, Reading};
use super::parts::{self, PartState, PartStates};
use super::pending::PendingImport;
use super::plan::Published;
use super::products::{self, Membership, Memberships};
use super::revisions::Draft;
use super::step::Step;
use crate::desired::{DesiredApi, DesiredPolicy};
use crate::names::{ApiId, ContentHash, InstanceName};
use crate::rollout::Rollback;

/// What is known to be in place in API Management for one object.
///
/// It lives in the object's status. A part that is absent is not known to be
/// in place, which is the case while it is being written. Where somebody else
/// could have written the record, only [`confirmed`] makes it believable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedRecord {
    /// The APIM instance.
    pub instance: InstanceName,
    /// The API's id.
    pub api_id: ApiId,
    /// The current revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_revision: Option<String>,
    /// The path that the API holds, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The hash of the imported document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<ContentHash>,
    /// The hash of the settings, see [`settings_hash`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_hash: Option<ContentHash>,
    /// The hash of the API's policy document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_hash: Option<ContentHash>,
    /// The hashes of the policy documents of single operations, all of them;
    /// absent when it is not known which operations have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_policies: Option<BTreeMap<String, ContentHash>>,
    /// How many operations the import made, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u32>,
    /// The products that the operator put the API in, or may have.
    #[serde(default, skip_serializing_if = "Memberships::is_empty")]
    pub products: Memberships,
    /// The tags and diagnostics that the operator gave the API, or may have.
    #[serde(default, skip_serializing_if = "PartStates::is_empty")]
    pub parts: PartStates,
    /// A hash of what the mandatory plugins were called with; absent where
    /// there are none. Not a part of what is in place, but why: a paused
    /// object follows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mandatory_hash: Option<ContentHash>,
    /// Where the API was before and still may be: it goes there once it is in
    /// place here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<Place>,
    /// An import that was accepted and had not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_import: Option<PendingImport>,
    /// A revision that was being made and had not been released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<Box<Draft>>,
    /// The revision that callers were led back to; nothing else is known of
    /// what is in place then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<u32>,
}

/// Where an API is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The APIM instance.
    pub instance: InstanceName,
    /// The API's id.
    pub api_id: ApiId,
}

/// What a change of instance or id asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The API stays where it is.
    Stay,
    /// It is published in another instance. The record to go on with names
    /// the place that it leaves, so that neither place is ever forgotten.
    Leave(Box<AppliedRecord>),
    /// It would get another id in the same instance. API Management lets no
    /// two APIs hold one path, so there would be a time without any. Unless
    /// the record is not true: the one to go on with then knows nothing but
    /// what it leaves elsewhere.
    Refused(Box<AppliedRecord>),
}

impl AppliedRecord {
    /// A record that knows nothing but where.
    #[must_use]
    pub const fn unknown(instance: InstanceName, api_id: ApiId) -> Self {
        Self {
            instance,
            api_id,
            api_revision: None,
            path: None,
            spec_hash: None,
            settings_hash: None,
            policy_hash: None,
            operation_policies: None,
            operations: None,
            products: Memberships::new(),
            parts: PartStates::new(),
            mandatory_hash: None,
            leaving: Vec::new(),
            pending_import: None,
            draft: None,
            rolled_back: None,
        }
    }

    /// Where the API is.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            instance: self.instance.clone(),
            api_id: self.api_id.clone(),
        }
    }

    /// Every place where something of the object can be.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let mut all = vec![self.place()];
        all.extend(self.leaving.iter().cloned());
        all
    }

    /// Whether the desired state is somewhere else than the record. A move
    /// that is turned round half-way leaves the place that it was going to.
    #[must_use]
    pub fn moves(&self, published: Published<'_>) -> Move {
        let Published { instance, api, .. } = published;
        if self.instance == *instance {
            if self.api_id == api.id {
                return Move::Stay;
            }
            let mut anew = Self::unknown(instance.clone(), api.id.clone());
            anew.leaving.clone_from(&self.leaving);
            return Move::Refused(Box::new(anew));
        }
        let mut there = Self::unknown(instance.clone(), api.id.clone());
        let target = there.place();
        there.leaving = self.places();
        there.leaving.retain(|place| *place != target);
        Move::Leave(Box::new(there))
    }

    /// A record that knows nothing of the API but where it is, what it leaves,
    /// and what may be left without it.
    pub(crate) fn emptied(&self) -> Self {
        Self {
            leaving: self.leaving.clone(),
            parts: parts::left_without_api(self.parts.keys()),
            ..Self::unknown(self.instance.clone(), self.api_id.clone())
        }
    }

    /// The record, if it speaks of this API in this instance; one that knows
    /// nothing otherwise.
    #[must_use]
    pub fn of(applied: Option<&Self>, published: Published<'_>) -> Self {
        let Published { instance, api, .. } = published;
        applied
            .filter(|record| record.instance == *instance && record.api_id == api.id)
            .cloned()
            .unwrap_or_else(|| Self::unknown(instance.clone(), api.id.clone()))
    }

    /// Whether all is in place.
    #[must_use]
    pub fn covers(&self, api: &DesiredApi, policy: &DesiredPolicy) -> bool {
        self.spec_hash.as_ref() == Some(&api.document.hash)
            && self.settings_hash.as_ref() == Some(&settings_hash(api))
            && self.policy_hash.as_ref() == Some(&policy.api.hash)
            && self.operation_policies.as_ref() == Some(&operation_hashes(policy))
            && self.draft.is_none()
            && products::covered(&self.products, &api.products)
            && parts::covered(&self.parts, &api.parts)
    }

    /// Whether callers reach the revision that they are to be led back to.
    #[must_use]
    pub(super) fn is_back_at(&self, rollback: &Rollback, api: &DesiredApi) -> bool {
        self.rolled_back == Some(rollback.revision)
            && self.draft.is_none()
            && self.mandatory_hash == api.mandatory
    }

    /// What was read says where the revision stands that was being made: it may
    /// have been released, or be gone.
    pub(super) fn see_draft(&mut self, api: &DesiredApi, observed: &Observed) {
        let (Some(draft), Some(found)) = (&self.draft, &observed.api) else {
            return;
        };
        let number = draft.revision;
        if found.revision == number.to_string() {
            self.promote();
            return;
        }
        let seen = observed.revisions.as_ref();
        if !seen.is_some_and(|seen| seen.is_behind(number, &api.mark)) {
            self.draft = None;
        }
    }

    /// Callers reach the revision that was being made.
    fn promote(&mut self) {
        let Some(draft) = self.draft.take() else {
            return;
        };
        let known = draft.known;
        *self = Self {
            api_revision: Some(draft.revision.to_string()),
            path: self.path.take(),
            products: std::mem::take(&mut self.products),
            parts: std::mem::take(&mut self.parts),
            leaving: std::mem::take(&mut self.leaving),
            mandatory_hash: self.mandatory_hash,
            settings_hash: None,
            pending_import: None,
            draft: None,
            rolled_back: None,
            ..known
        };
    }

    /// Forgets what callers reach: it is not what was desired.
    fn forget_content(&mut self) {
        self.spec_hash = None;
        self.settings_hash = None;
        self.policy_hash = None;
        self.operation_policies = None;
        self.operations = None;
    }

    /// Corrects the record by what was read: reads count more than memory.
    pub fn learn(&mut self, published: Published<'_>, observed: &Observed) {
        let Published { api, policy, .. } = published;
        let Some(found) = &observed.api else {
            *self = self.emptied();
            return;
        };
        self.see_draft(api, observed);
        if let (Some(draft), Some(there)) = (&mut self.draft, observed.draft()) {
            draft.known.learn(published, there);
        }
        self.api_revision = Some(found.revision.clone());
        self.path = Some(found.settings.path.clone());
        if self.settings_hash.is_none() && difference(api, found).is_empty() {
            self.settings_hash = Some(settings_hash(api));
        }
        products::learn(&mut self.products, &api.products, &observed.products);
        parts::learn(&mut self.parts, &api.parts, &observed.parts);
        match &observed.policy {
            Reading::NotRead => {}
            Reading::Absent => self.policy_hash = None,
            Reading::Found(there) => {
                self.policy_hash =
                    same_document(&there.text, &policy.api.text).then_some(policy.api.hash);
            }
        }
    }

    /// The part that stays true while the rest is being brought to the desired
    /// state: what a record may claim from before the first write on.
    #[must_use]
    pub fn certain(mut self, published: Published<'_>) -> Self {
        let Published { api, policy, .. } = published;
        self.spec_hash = self.spec_hash.filter(|hash| *hash == api.document.hash);
        self.settings_hash = self
            .settings_hash
            .filter(|hash| *hash == settings_hash(api));
        self.policy_hash = self.policy_hash.filter(|hash| *hash == policy.api.hash);
        let wanted = operation_hashes(policy);
        self.operation_policies = self.operation_policies.filter(|known| *known == wanted);
        products::certain(&mut self.products, &api.products);
        parts::certain(&mut self.parts, &api.parts);
        self.rolled_back = None;
        self.draft = self.draft.map(|draft| {
            let known = draft.known.certain(published);
            Box::new(Draft { known, ..*draft })
        });
        self
    }

    /// Takes out what a step that is about to start makes uncertain. A record
    /// that is kept while the step fails must not claim more than is true.
    pub fn before(&mut self, step: &Step, api: &DesiredApi) {
        match step {
            Step::CreateWithoutOperations => {
                *self = self.emptied();
            }
            Step::PutPolicy { .. } => self.policy_hash = None,
            Step::Import => {
                self.spec_hash = None;
                self.settings_hash = None;
                self.operations = None;
                // The policies of operations that go may be handed on to new
                // ones, whichever those are.
                let made = api.document.operations.as_deref().unwrap_or_default();
                let stays = |id: &String| made.iter().any(|operation| operation.id == *id);
                if let Some(known) = &self.operation_policies
                    && !known.keys().all(stays)
                {
                    self.operation_policies = None;
                }
            }
            Step::PatchSettings(_) => self.settings_hash = None,
            Step::PutOperationPolicy { operation } | Step::DeleteOperationPolicy { operation } => {
                if let Some(known) = &mut self.operation_policies {
                    known.remove(operation);
                }
            }
            Step::EnterProduct { product } | Step::LeaveProduct { product } => {
                self.products.insert(product.clone(), Membership::Begun);
            }
            Step::PutPart { part } | Step::RemovePart { part } => {
                self.parts.insert(part.clone(), PartState::Begun);
            }
            Step::StartRevision { revision, .. } => {
                self.draft = Some(Box::new(Draft {
                    revision: *revision,
                    known: Self {
                        settings_hash: None,
                        products: Memberships::new(),
                        parts: PartStates::new(),
                        leaving: Vec::new(),
                        pending_import: None,
                        draft: None,
                        ..self.clone()
                    },
                }));
            }
            Step::InRevision { step, .. } => {
                if let Some(draft) = &mut self.draft {
                    draft.known.before(step, api);
                }
            }
            // Which revision callers reach is not known while this fails.
            Step::Release { .. } if self.draft.is_none() => {
                self.forget_content();
                self.rolled_back = None;
            }
            Step::TakeOver
            | Step::ReadBack
            | Step::MakeTag { .. }
            | Step::Verify { .. }
            | Step::Release { .. }
            | Step::DropRevision { .. } => {}
        }
    }

    /// Adds what a finished step put in place.
    pub fn after(&mut self, step: &Step, api: &DesiredApi, policy: &DesiredPolicy) {
        match step {
            Step::CreateWithoutOperations => {
                self.settings_hash = Some(settings_hash(api));
                self.path = Some(api.settings.path.clone());
                self.operation_policies = Some(BTreeMap::new());
            }
            Step::PutPolicy { guard } if guard.is_empty() => {
                self.policy_hash = Some(policy.api.hash);
            }
            // A guarded document is a state on the way, not one to remember;
            // a deleted one was forgotten before.
            Step::PutPolicy { .. }
            | Step::ReadBack
            | Step::TakeOver
            | Step::MakeTag { .. }
            | Step::StartRevision { .. }
            | Step::Verify { .. }
            | Step::DeleteOperationPolicy { .. } => {}
            Step::InRevision { step, .. } => {
                if let Some(draft) = &mut self.draft {
                    draft.known.after(step, api, policy);
                }
            }
            Step::Release { revision, .. } => {
                self.promote();
                self.api_revision = Some(revision.to_string());
            }
            Step::DropRevision { revision } => {
                self.draft.take_if(|draft| draft.revision == *revision);
            }
            Step::EnterProduct { product } => {
                self.products.insert(product.clone(), Membership::Known);
            }
            Step::LeaveProduct { product } => {
                self.products.remove(product);
            }
            Step::PutPart { part } => {
                if let Some(wanted) = api.parts.get(part) {
                    let state = PartState::Known(wanted.hash());
                    self.parts.insert(part.clone(), state);
                }
            }
            Step::RemovePart { part } => {
                self.parts.remove(part);
            }
            Step::Import => {
                self.spec_hash = Some(api.document.hash);
                self.path = Some(api.settings.path.clone());
                let made = api.document.operations.as_deref();
                self.operations = made.and_then(|made| u32::try_from(made.len()).ok());
            }
            Step::PatchSettings(_) => {
                self.settings_hash = Some(settings_hash(api));
                self.path = Some(api.settings.path.clone());
            }
            Step::PutOperationPolicy { operation } => {
                if let (Some(known), Some(text)) = (
                    &mut self.operation_policies,
                    policy.operations.get(operation),
                ) {
                    known.insert(operation.clone(), text.hash);
                }
            }
        }
    }

    /// Adds what is so when every step of a plan has been carried out.
    pub fn complete(&mut self, api: &DesiredApi, policy: &DesiredPolicy) {
        self.draft = None;
        self.rolled_back = None;
        if let Some(rollback) = &api.rollback
            && self.api_revision.as_deref() == Some(rollback.revision.to_string().as_str())
        {
            self.forget_content();
            self.pending_import = None;
            self.rolled_back = Some(rollback.revision);
            return;
        }
        self.spec_hash = Some(api.document.hash);
        self.settings_hash = Some(settings_hash(api));
        self.path = Some(api.settings.path.clone());
        self.policy_hash = Some(policy.api.hash);
        self.operation_policies = Some(operation_hashes(policy));
        self.products = products::all(&api.products);
        self.parts = parts::all(&api.parts);
        self.pending_import = None;
        if let Some(made) = &api.document.operations {
            self.operations = u32::try_from(made.len()).ok();
        }
    }
}

/// The hash of all settings that the operator owns, the service URL and the
/// mark among them.
#[must_use]
pub fn settings_hash(api: &DesiredApi) -> ContentHash {
    ContentHash::of_json(&(&api.settings, &api.service_url, &api.mark))
}

pub(super) fn operation_hashes(policy: &DesiredPolicy) -> BTreeMap<String, ContentHash> {
    policy
        .operations
        .iter()
        .map(|(id, text)| (id.clone(), text.hash))
        .collect()
}

/// What a read after an import adds to the record: the revision, and the
/// settings when nothing was reset.
pub(super) fn note_read_back(record: &mut AppliedRecord, api: &DesiredApi, found: &ObservedApi) {
    record.api_revision = Some(found.revision.clone());
    if difference(api, found).is_empty() {
        record.settings_hash = Some(settings_hash(api));
    }
}
