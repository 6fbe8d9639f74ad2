//! What has to be read in spite of what is remembered, before a plan can be made
//! or a record be believed.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{difference, same_document};
use super::observed::{Observed, Reading};
use super::parts::{self, PartId};
use super::plan::Published;
use super::products;
use super::record::{AppliedRecord, operation_hashes, settings_hash};
use super::revisions::Draft;
use crate::desired::{DesiredApi, DesiredPolicy};
use crate::names::{ContentHash, ProductId};

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
