//! What the operator remembers of what it applied, and what has to be read in
//! spite of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::compare::{difference, same_document};
use super::observed::{Observed, ObservedApi, Reading};
use super::parts::{self, PartId, PartState, PartStates};
use super::pending::PendingImport;
use super::plan::{Published, Step};
use super::products::{self, Membership, Memberships};
use super::revisions::Draft;
use crate::desired::{DesiredApi, DesiredPolicy};
use crate::names::{ApiId, ContentHash, InstanceName, ProductId};
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
    /// and the version sets that may be left without it.
    fn emptied(&self) -> Self {
        Self {
            leaving: self.leaving.clone(),
            parts: parts::only_sets(self.parts.keys()),
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
    fn is_back_at(&self, rollback: &Rollback, api: &DesiredApi) -> bool {
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

fn operation_hashes(policy: &DesiredPolicy) -> BTreeMap<String, ContentHash> {
    policy
        .operations
        .iter()
        .map(|(id, text)| (id.clone(), text.hash))
        .collect()
}

/// Which policy documents of operations have to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationPolicyReads {
    /// Of these operations.
    Listed(BTreeSet<String>),
    /// Of every operation there is, because it is not known which have one.
    Every,
}

/// What has to be read before a plan can be made.
///
/// The API comes first; when there is none, or it is not ours, nothing else is
/// read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reads {
    /// The API's policy document.
    pub policy: bool,
    /// The list of operations.
    pub operations: bool,
    /// Policy documents of operations.
    pub operation_policies: OperationPolicyReads,
    /// Whether these products hold the API.
    pub products: BTreeSet<ProductId>,
    /// These tags and diagnostics of it.
    pub parts: BTreeSet<PartId>,
    /// Its revisions, with what is to be read of some.
    pub revisions: Option<Box<RevisionReads>>,
}

/// What has to be read of an API's revisions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RevisionReads {
    /// Of the one that was being made.
    pub draft: Option<(u32, Reads)>,
    /// Of the one that callers are to be led back to.
    pub target: Option<(u32, Reads)>,
}

impl Reads {
    /// What a revision is told by: its policies.
    fn of_policies() -> Self {
        Self {
            policy: true,
            operations: true,
            operation_policies: OperationPolicyReads::Every,
            products: BTreeSet::new(),
            parts: BTreeSet::new(),
            revisions: None,
        }
    }
}

/// What has to be read; none when the record says that all is in place.
#[must_use]
pub fn reads(published: Published<'_>, applied: Option<&AppliedRecord>) -> Option<Reads> {
    let Published { api, policy, .. } = published;
    let record = AppliedRecord::of(applied, published);
    let rollback = api.rollback.as_ref();
    if rollback.map_or_else(
        || record.covers(api, policy),
        |rollback| record.is_back_at(rollback, api),
    ) {
        return None;
    }
    let revisions = revision_reads(published, &record);
    let import = record.spec_hash.as_ref() != Some(&api.document.hash);
    let own = !policy.operations.is_empty();
    let products = products::unknown(&record.products, &api.products);
    let parts = parts::unknown(&record.parts, &api.parts);
    let Some(known) = &record.operation_policies else {
        return Some(Reads {
            policy: true,
            operations: true,
            operation_policies: OperationPolicyReads::Every,
            products,
            parts,
            revisions,
        });
    };
    let changed = changed_operations(known, policy);
    Some(Reads {
        policy: record.policy_hash.as_ref() != Some(&policy.api.hash) || (import && own),
        operations: import && (own || !known.is_empty()),
        operation_policies: OperationPolicyReads::Listed(changed),
        products,
        parts,
        revisions,
    })
}

/// What has to be read of revisions, where the API has or gets any.
fn revision_reads(published: Published<'_>, record: &AppliedRecord) -> Option<Box<RevisionReads>> {
    let Published { api, .. } = published;
    let draft = record.draft.as_deref();
    if api.rollout.is_none() && api.rollback.is_none() && draft.is_none() {
        return None;
    }
    let draft = draft.map(|draft| {
        let reads = reads_of_draft(published, &draft.known);
        (draft.revision, reads)
    });
    let mandatory = api.rollback.as_ref().filter(|_| api.mandatory.is_some());
    let target = mandatory.map(|rollback| (rollback.revision, Reads::of_policies()));
    Some(Box::new(RevisionReads { draft, target }))
}

fn reads_of_draft(published: Published<'_>, known: &AppliedRecord) -> Reads {
    let Published { api, policy, .. } = published;
    let Some(there) = &known.operation_policies else {
        return Reads::of_policies();
    };
    Reads {
        policy: known.policy_hash.as_ref() != Some(&policy.api.hash),
        operations: known.spec_hash.as_ref() != Some(&api.document.hash),
        operation_policies: OperationPolicyReads::Listed(changed_operations(there, policy)),
        ..Reads::of_policies()
    }
}

/// Operations whose document is not, or not with the same hash, on both sides.
fn changed_operations(
    known: &BTreeMap<String, ContentHash>,
    policy: &DesiredPolicy,
) -> BTreeSet<String> {
    let wanted = operation_hashes(policy);
    known
        .keys()
        .chain(wanted.keys())
        .filter(|id| known.get(*id) != wanted.get(*id))
        .cloned()
        .collect()
}

/// What has to be read before a record is believed that somebody else could
/// have written.
#[must_use]
pub fn confirmation(published: Published<'_>, claimed: &AppliedRecord) -> Reads {
    let Published { api, policy, .. } = published;
    let operations = claimed
        .operation_policies
        .iter()
        .flat_map(BTreeMap::keys)
        .chain(policy.operations.keys())
        .cloned()
        .collect();
    Reads {
        policy: true,
        operations: true,
        operation_policies: OperationPolicyReads::Listed(operations),
        products: claimed
            .products
            .keys()
            .chain(&api.products)
            .cloned()
            .collect(),
        parts: claimed
            .parts
            .keys()
            .chain(api.parts.keys())
            .cloned()
            .collect(),
        revisions: claimed.draft.as_ref().map(|draft| {
            Box::new(RevisionReads {
                draft: Some((draft.revision, Reads::of_policies())),
                target: None,
            })
        }),
    }
}

/// The part of a claimed record that reads bear out. What is claimed of
/// anything but the desired state is left out: it would be replaced anyway.
///
/// The document cannot be read back. Its hash counts when the API is ours and
/// has the operations that the desired document makes, or, where those are
/// unknown, any.
#[must_use]
pub fn confirmed(
    claimed: &AppliedRecord,
    published: Published<'_>,
    observed: &Observed,
) -> AppliedRecord {
    let Published { api, policy, .. } = published;
    let claimed = AppliedRecord::of(Some(claimed), published);
    let mut record = claimed.emptied();
    let Some(found) = observed
        .api
        .as_ref()
        .filter(|found| found.carries(&api.mark))
    else {
        return record;
    };
    record.api_revision = Some(found.revision.clone());
    record.path = Some(found.settings.path.clone());
    // A claim that costs reads at most, and whose end is looked at.
    record.pending_import.clone_from(&claimed.pending_import);
    // What was written there is written once more.
    record.draft = claimed.draft.as_ref().map(|draft| {
        let known = AppliedRecord {
            pending_import: draft.known.pending_import.clone(),
            ..AppliedRecord::unknown(record.instance.clone(), record.api_id.clone())
        };
        let revision = draft.revision;
        Box::new(Draft { revision, known })
    });
    record.see_draft(api, observed);
    if difference(api, found).is_empty() {
        record.settings_hash = Some(settings_hash(api));
    }
    if let Some(document) = observed.policy.found()
        && same_document(&document.text, &policy.api.text)
    {
        record.policy_hash = Some(policy.api.hash);
    }
    record.products.clone_from(&claimed.products);
    products::learn(&mut record.products, &api.products, &observed.products);
    record.parts.clone_from(&claimed.parts);
    parts::learn(&mut record.parts, &api.parts, &observed.parts);
    record.operation_policies = claimed.operation_policies.as_ref().map(|known| {
        known
            .iter()
            .filter(|(id, hash)| {
                let text = policy.operations.get(*id);
                let there = observed
                    .operation_policies
                    .get(*id)
                    .and_then(Reading::found);
                match (text, there) {
                    (Some(text), Some(there)) => {
                        text.hash == **hash && same_document(&text.text, &there.text)
                    }
                    // Not wanted any more, and there: worth remembering, so
                    // that it is deleted.
                    (None, Some(_)) => true,
                    (_, None) => false,
                }
            })
            .map(|(id, hash)| (id.clone(), *hash))
            .collect()
    });
    if has_operations_of(api, observed) && claimed.spec_hash.as_ref() == Some(&api.document.hash) {
        record.spec_hash.clone_from(&claimed.spec_hash);
        record.operations = observed
            .operations
            .found()
            .and_then(|found| u32::try_from(found.len()).ok());
    }
    record
}

fn has_operations_of(api: &DesiredApi, observed: &Observed) -> bool {
    let Some(found) = observed.operations.found() else {
        return false;
    };
    let there: BTreeSet<&str> = found
        .iter()
        .map(|operation| operation.id.as_str())
        .collect();
    match &api.document.operations {
        Some(made) => made.iter().map(|o| o.id.as_str()).collect::<BTreeSet<_>>() == there,
        None => !there.is_empty(),
    }
}

/// What a read after an import adds to the record: the revision, and the
/// settings when nothing was reset.
pub(super) fn note_read_back(record: &mut AppliedRecord, api: &DesiredApi, found: &ObservedApi) {
    record.api_revision = Some(found.revision.clone());
    if difference(api, found).is_empty() {
        record.settings_hash = Some(settings_hash(api));
    }
}
