//! One apply: rounds of reading, planning and carrying out.

use std::collections::BTreeSet;

use operator_core::apim::{
    self, AppliedRecord, Observed, PartId, PlanError, Published, Reading, SettingsPatch, Step,
};
use operator_core::desired::Desired;
use operator_core::drift::KnownEtags;
use operator_core::names::VersionSetId;

use super::missing::{name_from_document, name_operation};
use super::{Applier, Failure, Follow, Progress, Writes};
use crate::error::ArmError;
use crate::planning::Planned;
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
    pub(super) writes: Writes,
    pub(super) step: Option<String>,
    pub(super) follow: &'a dyn Follow,
    /// Whether the document was sent.
    pub(super) imported: bool,
    /// How many operations the API has, until the document is sent.
    pub(super) operations_before: Option<u32>,
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
            writes: Writes::default(),
            step: None,
            follow,
            imported: false,
            operations_before: None,
        }
    }

    /// What a sweep can tell a change of policy by.
    pub(super) fn known(&self) -> KnownEtags {
        KnownEtags {
            policy: self.etags.policy.clone(),
            operations: self.etags.operations.clone(),
        }
    }

    /// Waits for an import that runs, reads, plans, and carries out the plan.
    pub(super) async fn round(&mut self, desired: &Desired) -> Result<(), Failure> {
        let resumed = self.resume().await;
        resumed.map_err(|failure| self.withheld(failure))?;
        self.step = None;
        let Published { api, policy, .. } = self.published;
        let client = &self.applier.client;
        let _sets = client.lock_version_sets(&self.sets()).await;
        let planned = client.reader().plan(desired, Some(&self.record)).await?;
        let Some(Planned { observed, steps }) = planned else {
            return Ok(());
        };
        self.record.learn(self.published, &observed);
        if let Some(found) = &observed.api
            && found.is_busy()
            && steps.contains(&Step::Import)
        {
            return Err(ArmError::busy(api.id.as_str()).into());
        }
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

    async fn carry_out(&mut self, step: &Step) -> Result<(), Failure> {
        let Published { api, policy, .. } = self.published;
        let client = &self.applier.client;
        let id = api.id.as_str();
        match step {
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
                    self.record.after(step, api, policy);
                    return Ok(());
                }
            }
        }
        self.writes.planned += 1;
        self.record.after(step, api, policy);
        Ok(())
    }

    /// Whether there was one to delete.
    async fn delete_operation_policy(&mut self, operation: &str) -> Result<bool, Failure> {
        let client = &self.applier.client;
        let id = self.published.api.id.as_str();
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
