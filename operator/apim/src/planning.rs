//! From a desired state to the steps that lead there, by reading only.
//!
//! [`Applier::apply`](crate::Applier::apply) carries out what is planned here,
//! and `apim-operator plan` prints it: what is shown is what would be sent.

use std::collections::btree_map::Entry;

use operator_core::apim::{
    self, AppliedRecord, ArmCall, Changes, Observed, ObservedApi, ObservedPart, ObservedRevision,
    ObservedRevisions, OperationPolicyReads, PartId, Published, Reading, Reads, RevisionReads,
    Rival, Step,
};
use operator_core::desired::{Desired, DesiredApi};

use crate::apply::Failure;
use crate::arm::ArmReader;
use crate::error::ArmError;
use crate::reads::{PolicyOf, Revision};

/// What has to be done for an API, and what was read to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What is there.
    pub observed: Observed,
    /// What has to be done, in this order.
    pub steps: Vec<Step>,
}

/// What would be done for an API, as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Review {
    /// The writes, in their order. After an import that resets settings, which
    /// only it can show, one more follows.
    pub calls: Vec<ArmCall>,
    /// What they change.
    pub changes: Changes,
}

/// Whether a document is sent, in whichever revision.
pub(crate) fn imports(steps: &[Step]) -> bool {
    steps.iter().any(|step| *step.inner() == Step::Import)
}

impl ArmReader {
    /// The steps from what is there to what is desired; none where the record
    /// says that all is in place, which costs no call.
    ///
    /// `applied` is believed. A record that others could have written goes
    /// through [`ArmReader::confirm`] first.
    pub async fn plan(
        &self,
        desired: &Desired,
        applied: Option<&AppliedRecord>,
    ) -> Result<Option<Planned>, Failure> {
        let published = Published::of(desired)?;
        let Some(reads) = apim::reads(published, applied) else {
            return Ok(None);
        };
        let observed = self.observe(published.api, &reads).await?;
        let steps = apim::plan(desired, &observed, applied)?;
        Ok(Some(Planned { observed, steps }))
    }

    /// As [`ArmReader::plan`], with what the steps change. Reads besides what
    /// an import would take away.
    pub async fn review(
        &self,
        desired: &Desired,
        applied: Option<&AppliedRecord>,
    ) -> Result<Review, Failure> {
        let published = Published::of(desired)?;
        let Some(Planned {
            mut observed,
            steps,
        }) = self.plan(desired, applied).await?
        else {
            return Ok(Review::default());
        };
        if observed.api.is_some() && imports(&steps) {
            self.read_what_goes(published.api, &mut observed).await?;
        }
        let id = &published.api.id;
        Ok(Review {
            calls: steps.iter().filter_map(|step| step.call(id)).collect(),
            changes: apim::changes(published, &observed, &steps),
        })
    }

    /// The part of a record that reads bear out, for one that somebody else
    /// could have written.
    pub async fn confirm(
        &self,
        desired: &Desired,
        claimed: &AppliedRecord,
    ) -> Result<AppliedRecord, Failure> {
        let published = Published::of(desired)?;
        let reads = apim::confirmation(published, claimed);
        let observed = self.observe(published.api, &reads).await?;
        Ok(apim::confirmed(claimed, published, &observed))
    }

    /// Reads the operations, and the policies of those that the document does
    /// not make any more.
    async fn read_what_goes(
        &self,
        api: &DesiredApi,
        observed: &mut Observed,
    ) -> Result<(), ArmError> {
        let id = api.id.as_str();
        if !observed.operations.was_read() {
            observed.operations = Reading::Found(self.operations(id).await?);
        }
        let made = api.document.operations.as_deref().unwrap_or_default();
        let going: Vec<String> = observed
            .operations
            .found()
            .into_iter()
            .flatten()
            .map(|operation| operation.id.clone())
            .filter(|id| !made.iter().any(|operation| operation.id == *id))
            .collect();
        for operation in going {
            if let Entry::Vacant(unread) = observed.operation_policies.entry(operation) {
                let policy = self.policy(id, PolicyOf::Operation(unread.key())).await?;
                unread.insert(policy);
            }
        }
        Ok(())
    }

    /// Reads what a plan needs. The API comes first; where it is absent, or is
    /// somebody else's for good, nothing else of it is read. Where a path is
    /// about to be taken, the other APIs that hold it are.
    pub async fn observe(&self, api: &DesiredApi, reads: &Reads) -> Result<Observed, ArmError> {
        let id = api.id.as_str();
        let mut observed = Observed {
            api: self.marked_api(id, &api.mark).await?,
            ..Observed::default()
        };
        let found = observed.api.as_ref();
        if found.is_some_and(|found| apim::standing(api, found).is_err()) {
            return Ok(observed);
        }
        if apim::takes_path(api, found) {
            observed.rivals = self.rivals(api).await?;
        }
        for tag in apim::parts::own_tags(&api.parts, &reads.parts) {
            let is_there = self.has_tag(tag).await?;
            observed.tags.insert(tag.clone(), is_there);
        }
        let Some(found) = found else {
            let parts = api.parts.keys().chain(&reads.parts);
            for part in parts.filter(|part| part.outlives_api()) {
                let there = self.part_or_left(part, api, None).await?;
                observed.parts.insert(part.clone(), there);
            }
            return Ok(observed);
        };
        let found = found.clone();
        self.observe_content(id, reads, &mut observed).await?;
        if let Some(reads) = &reads.revisions {
            let seen = self.observe_revisions(api, reads).await?;
            observed.revisions = Some(seen);
        }
        for product in &reads.products {
            let is_in = self.in_product(product, id).await?;
            observed.products.insert(product.clone(), is_in);
        }
        for part in &reads.parts {
            let there = self.part_or_left(part, api, Some(&found)).await?;
            observed.parts.insert(part.clone(), there);
        }
        Ok(observed)
    }

    /// Reads the operations and policies of an API, or of a revision.
    async fn observe_content(
        &self,
        id: &str,
        reads: &Reads,
        observed: &mut Observed,
    ) -> Result<(), ArmError> {
        if reads.policy {
            observed.policy = self.policy(id, PolicyOf::Api).await?;
        }
        if reads.operations {
            observed.operations = Reading::Found(self.operations(id).await?);
        }
        let of: Vec<String> = match (&reads.operation_policies, &observed.operations) {
            (OperationPolicyReads::Listed(listed), _) => listed.iter().cloned().collect(),
            (OperationPolicyReads::Every, Reading::Found(there)) => {
                there.iter().map(|operation| operation.id.clone()).collect()
            }
            (OperationPolicyReads::Every, _) => Vec::new(),
        };
        for operation in of {
            let there = match &observed.operations {
                Reading::Found(all) if !all.iter().any(|one| one.id == operation) => {
                    Reading::Absent
                }
                _ => self.policy(id, PolicyOf::Operation(&operation)).await?,
            };
            observed.operation_policies.insert(operation, there);
        }
        Ok(())
    }

    /// Reads the revisions of an API of ours: the list, the releases, and of
    /// single ones what is needed.
    async fn observe_revisions(
        &self,
        api: &DesiredApi,
        reads: &RevisionReads,
    ) -> Result<ObservedRevisions, ArmError> {
        let id = api.id.as_str();
        let numbered = |one: Revision| {
            Some(ObservedRevision {
                number: one.number.parse().ok()?,
                mark: one.description,
                is_current: one.is_current,
            })
        };
        let mut seen = ObservedRevisions {
            all: self
                .revisions(id)
                .await?
                .into_iter()
                .filter_map(numbered)
                .collect(),
            releases: self.releases(id).await?,
            ..ObservedRevisions::default()
        };
        if let Some((number, reads)) = &reads.draft
            && seen.is_behind(*number, &api.mark)
        {
            seen.draft = self.observe_revision(id, *number, reads).await?;
        }
        if let Some((number, reads)) = &reads.target {
            seen.target = self.observe_revision(id, *number, reads).await?;
        }
        Ok(seen)
    }

    async fn observe_revision(
        &self,
        id: &str,
        number: u32,
        reads: &Reads,
    ) -> Result<Option<Box<Observed>>, ArmError> {
        let id = format!("{id};rev={number}");
        let Some(api) = self.api(&id).await? else {
            return Ok(None);
        };
        let mut observed = Observed {
            api: Some(api),
            ..Observed::default()
        };
        self.observe_content(&id, reads, &mut observed).await?;
        Ok(Some(Box::new(observed)))
    }

    /// A part as it is. A set or a page that the API leaves counts as there where
    /// it is to go with it.
    async fn part_or_left(
        &self,
        part: &PartId,
        api: &DesiredApi,
        found: Option<&ObservedApi>,
    ) -> Result<Option<ObservedPart>, ArmError> {
        let id = api.id.as_str();
        match part {
            PartId::VersionSet(set) if !api.parts.contains_key(part) => {
                self.set_to_drop(set, id, &api.mark, found).await
            }
            PartId::Documentation(page) if !api.parts.contains_key(part) => {
                self.page_to_drop(page, &api.mark).await
            }
            _ => self.part(part, id).await,
        }
    }

    /// The other APIs that hold the path.
    async fn rivals(&self, api: &DesiredApi) -> Result<Vec<Rival>, ArmError> {
        let listed = self.apis_at(&api.settings.path).await?;
        Ok(listed
            .into_iter()
            .filter(|other| other.is_current && other.id != api.id.as_str())
            .filter(|other| apim::same_path(&other.api.settings.path, &api.settings.path))
            .filter(|other| !api.settings.stands_beside(&other.api.settings))
            .map(|other| Rival {
                id: other.id,
                display_name: other.api.settings.display_name,
                mark: other.api.mark,
            })
            .collect())
    }
}
