//! One apply: rounds of reading, planning and carrying out.

use std::collections::BTreeSet;

use operator_core::apim::{
    self, AppliedRecord, Observed, ObservedApi, PartId, PlanError, Published, Reading,
    SettingsPatch, Step,
};
use operator_core::desired::Desired;
use operator_core::drift::KnownEtags;
use operator_core::names::VersionSetId;

use super::missing::{name_from_document, name_operation};
use super::{Applier, Failure, Follow, Progress, Writes};
use crate::error::ArmError;
use crate::planning::{Planned, imports};
use crate::reads::PolicyOf;

/// How often the API is read and planned for again when somebody wrote in
/// between.
pub(super) const ROUNDS: u32 = 3;

/// What `If-Match` needs, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Etags {
    pub(super) api: Option<String>,
    policy: Option<String>,
    operations: std::collections::BTreeMap<String, String>,
    parts: std::collections::BTreeMap<PartId, String>,
}

impl Etags {
    /// Of the API alone.
    pub(super) fn of_api(api: Option<String>) -> Self {
        Self {
            api,
            ..Self::default()
        }
    }

    fn of(observed: &Observed) -> Self {
        Self {
            api: observed.api.as_ref().and_then(|api| api.etag.clone()),
            policy: observed.policy.found().and_then(|found| found.etag.clone()),
            operations: observed
                .operation_policies
                .iter()
                .filter_map(|(id, policy)| Some((id.clone(), policy.found()?.etag.clone()?)))
                .collect(),
            parts: observed
                .parts
                .iter()
                .filter_map(|(id, there)| Some((id.clone(), there.as_ref()?.etag.clone()?)))
                .collect(),
        }
    }
}

/// One apply.
pub(super) struct Run<'a> {
    pub(super) applier: &'a Applier,
    pub(super) published: Published<'a>,
    pub(super) record: AppliedRecord,
    pub(super) etags: Etags,
    /// Those of the revision that is being made.
    pub(super) draft_etags: Etags,
    pub(super) writes: Writes,
    pub(super) step: Option<String>,
    pub(super) follow: &'a dyn Follow,
    /// The API as it was read, before any step.
    pub(super) current: Option<ObservedApi>,
    /// Whether the document was sent.
    pub(super) imported: bool,
    /// How many operations the API has, until the document is sent.
    pub(super) operations_before: Option<u32>,
    /// The revision that the step is about, where it is not the API itself.
    pub(super) revision: Option<u32>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        applier: &'a Applier,
        published: Published<'a>,
        record: AppliedRecord,
        follow: &'a dyn Follow,
    ) -> Self {
        Self {
            applier,
            published,
            record,
            etags: Etags::default(),
            draft_etags: Etags::default(),
            writes: Writes::default(),
            step: None,
            follow,
            current: None,
            imported: false,
            operations_before: None,
            revision: None,
        }
    }

    /// What a sweep can tell a change of policy by.
    pub(super) fn known(&self) -> KnownEtags {
        KnownEtags {
            policy: self.etags.policy.clone(),
            operations: self.etags.operations.clone(),
        }
    }

    /// What the step is about, as ARM names it: the API, or a revision of it.
    pub(super) fn id(&self) -> String {
        let id = &self.published.api.id;
        match self.revision {
            Some(revision) => format!("{id};rev={revision}"),
            None => id.to_string(),
        }
    }

    /// What is known of that.
    pub(super) fn known_mut(&mut self) -> &mut AppliedRecord {
        let about = self.revision;
        let there = self.record.draft.as_ref().map(|draft| draft.revision);
        let record = &mut self.record;
        if about.is_none() || about != there {
            return record;
        }
        match record.draft.as_deref_mut() {
            Some(draft) => &mut draft.known,
            None => unreachable!("a revision is written that nothing is known of"),
        }
    }

    /// Waits for imports that run: one of the API, or of a revision that is
    /// being made.
    async fn resume_all(&mut self) -> Result<(), Failure> {
        let drafted = self.record.draft.as_ref().map(|draft| draft.revision);
        for revision in [None, drafted] {
            self.revision = revision;
            let resumed = self.resume().await;
            self.revision = None;
            resumed.map_err(|failure| self.withheld(failure))?;
        }
        Ok(())
    }

    /// Waits for an import that runs, reads, plans, and carries out the plan.
    pub(super) async fn round(&mut self, desired: &Desired) -> Result<(), Failure> {
        self.resume_all().await?;
        self.step = None;
        let Published { api, policy, .. } = self.published;
        let client = &self.applier.client;
        let _sets = client.lock_version_sets(&self.sets()).await;
        let planned = client.reader().plan(desired, Some(&self.record)).await?;
        let Some(Planned { observed, steps }) = planned else {
            return Ok(());
        };
        self.record.learn(self.published, &observed);
        let draft = observed.revisions.as_ref();
        let draft = draft.and_then(|seen| seen.draft.as_deref());
        self.draft_etags = draft.map_or_else(Etags::default, Etags::of);
        let draft = draft.and_then(|draft| draft.api.as_ref());
        if observed.api.iter().chain(draft).any(ObservedApi::is_busy) && imports(&steps) {
            return Err(ArmError::busy(api.id.as_str()).into());
        }
        self.current.clone_from(&observed.api);
        self.etags = Etags::of(&observed);
        self.operations_before = match (&observed.api, observed.operations.found()) {
            (None, _) => Some(0),
            (Some(_), Some(there)) => u32::try_from(there.len()).ok(),
            (Some(_), None) => self.record.operations,
        };
        let of = steps.len();
        for (index, step) in steps.iter().enumerate() {
            self.applier.check_cancelled()?;
            self.step = Some(step.describe());
            self.record.before(step, api);
            self.follow.step(Progress {
                step,
                number: index + 1,
                of,
                record: &self.record,
            });
            self.carry_out(step).await?;
        }
        self.record.complete(api, policy);
        self.step = None;
        Ok(())
    }

    /// The version sets that the API is in, or comes into.
    fn sets(&self) -> BTreeSet<VersionSetId> {
        let wanted = self.published.api.parts.keys();
        let all = wanted.chain(self.record.parts.keys());
        all.filter_map(PartId::version_set).cloned().collect()
    }

    /// Carries out a step in a revision.
    async fn carry_out_there(&mut self, revision: u32, step: &Step) -> Result<(), Failure> {
        let operations = self.record.operations;
        let before = std::mem::replace(&mut self.operations_before, operations);
        std::mem::swap(&mut self.etags, &mut self.draft_etags);
        self.revision = Some(revision);
        let done = Box::pin(self.carry_out(step)).await;
        self.revision = None;
        std::mem::swap(&mut self.etags, &mut self.draft_etags);
        self.operations_before = before;
        done
    }

    async fn carry_out(&mut self, step: &Step) -> Result<(), Failure> {
        let Published { api, policy, .. } = self.published;
        let client = &self.applier.client;
        let id = &self.id()[..];
        match step {
            Step::InRevision { revision, step } => {
                return self.carry_out_there(*revision, step).await;
            }
            Step::Verify { revision } => return self.verify(*revision).await,
            Step::StartRevision { .. } | Step::Release { .. } | Step::DropRevision { .. } => {
                self.revise(step).await?;
            }
            Step::TakeOver => {
                let patch = SettingsPatch {
                    mark: Some(api.mark.clone()),
                    ..SettingsPatch::default()
                };
                let etag = self.etags.api.take();
                let ended = client.patch_api(id, &patch, etag.as_deref()).await?;
                self.etags.api = ended.etag();
            }
            Step::CreateWithoutOperations => {
                let ended = client.create_api(api).await?;
                self.etags = Etags {
                    api: ended.etag(),
                    ..Etags::default()
                };
            }
            Step::PutPolicy { guard } => {
                let text = apim::policy_text(policy, guard).map_err(PlanError::from)?;
                let etag = self.etags.policy.take();
                let ended = client
                    .put_policy(id, PolicyOf::Api, &text, etag.as_deref())
                    .await;
                let ended = ended.map_err(|mut error| {
                    name_from_document(&mut error, &text.text);
                    error
                })?;
                self.etags.policy = ended.etag();
            }
            Step::Import => {
                let imported = self.import().await;
                imported.map_err(|failure| self.withheld(failure))?;
            }
            Step::ReadBack => {
                let read = self.read_back().await;
                return read.map_err(|failure| self.withheld(failure));
            }
            Step::PatchSettings(patch) => {
                let etag = self.etags.api.take();
                let ended = client.patch_api(id, patch, etag.as_deref()).await?;
                self.etags.api = ended.etag();
            }
            Step::PutOperationPolicy { operation } => {
                let Some(text) = policy.operations.get(operation) else {
                    return Ok(());
                };
                let etag = self.etags.operations.remove(operation);
                let ended = client
                    .put_policy(id, PolicyOf::Operation(operation), text, etag.as_deref())
                    .await;
                let ended = ended.map_err(|mut error| {
                    name_from_document(&mut error, &text.text);
                    name_operation(&mut error, operation);
                    error
                })?;
                if let Some(etag) = ended.etag() {
                    self.etags.operations.insert(operation.clone(), etag);
                }
            }
            Step::EnterProduct { product } => client.enter_product(product, id).await?,
            Step::LeaveProduct { product } => client.leave_product(product, id).await?,
            Step::MakeTag { tag, name } => client.make_tag(tag, name).await?,
            Step::PutPart { part } => {
                if let Some(wanted) = api.parts.get(part) {
                    let etag = self.etags.parts.remove(part);
                    client.put_part(part, wanted, id, etag.as_deref()).await?;
                }
            }
            Step::RemovePart { part } => {
                let etag = self.etags.parts.remove(part);
                let own = &api.own_prefix;
                client.remove_part(part, id, etag.as_deref(), own).await?;
            }
            Step::DeleteOperationPolicy { operation } => {
                if !self.delete_operation_policy(operation).await? {
                    self.known_mut().after(step, api, policy);
                    return Ok(());
                }
            }
        }
        self.writes.planned += 1;
        self.known_mut().after(step, api, policy);
        Ok(())
    }

    /// Whether there was one to delete.
    async fn delete_operation_policy(&mut self, operation: &str) -> Result<bool, Failure> {
        let client = &self.applier.client;
        let id = &self.id()[..];
        let etag = match self.etags.operations.remove(operation) {
            Some(etag) => Some(etag),
            None => match client
                .reader()
                .policy(id, PolicyOf::Operation(operation))
                .await?
            {
                Reading::Found(there) => there.etag,
                Reading::Absent | Reading::NotRead => return Ok(false),
            },
        };
        client
            .delete_operation_policy(id, operation, etag.as_deref())
            .await?;
        Ok(true)
    }
}
