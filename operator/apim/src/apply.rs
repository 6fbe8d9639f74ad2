//! Carrying out a plan, step by step.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use operator_core::apim::{
    self, AppliedRecord, Observed, PlanError, Published, Reading, SettingsPatch, Step,
};
use operator_core::class::ErrorClass;
use operator_core::desired::Desired;
use operator_core::names::ApiId;

use crate::arm::ArmClient;
use crate::error::ArmError;
use crate::lro::Ended;
use crate::planning::Planned;
use crate::reads::PolicyOf;

/// How often the API is read and planned for again when somebody wrote in
/// between.
const ROUNDS: u32 = 3;

/// Brings APIs to their desired state. One writer per API at a time; clones and
/// clients of the same [`Azure`](crate::Azure) share the locks.
#[derive(Debug, Clone)]
pub struct Applier {
    client: ArmClient,
    cancelled: Arc<AtomicBool>,
}

/// A step that is about to start.
#[derive(Debug)]
pub struct Progress<'a> {
    /// What it is.
    pub step: &'a Step,
    /// Its number, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// What is in place now; the part that the step changes is left out.
    pub record: &'a AppliedRecord,
}

/// How many ARM writes were made. Calls that were repeated count once; the
/// simulator's journal has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Writes {
    /// Those of the plan.
    pub planned: u32,
    /// Settings that an import had reset.
    pub repairs: u32,
}

/// What is in place after an apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// To be kept in status.
    pub record: AppliedRecord,
    /// How many operations the API has, where that is known.
    pub operations: Option<u32>,
    /// The current revision, where it was read.
    pub api_revision: Option<String>,
    /// What it cost.
    pub writes: Writes,
}

/// Why an apply did not finish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A call failed.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// Somebody asked to stop.
    #[error("stopped between two steps")]
    Cancelled,
}

/// An apply or a deletion that did not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyError {
    /// Why.
    pub failure: Failure,
    /// In which step, in words; none when it was before the first.
    pub step: Option<String>,
    /// What is in place all the same; to be kept in status.
    pub record: Option<AppliedRecord>,
    /// What it cost.
    pub writes: Writes,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Some(step) => write!(f, "could not {step}: {}", self.failure),
            None => self.failure.fmt(f),
        }
    }
}

impl std::error::Error for ApplyError {}

impl ApplyError {
    pub(crate) const fn bare(failure: Failure) -> Self {
        Self {
            failure,
            step: None,
            record: None,
            writes: Writes {
                planned: 0,
                repairs: 0,
            },
        }
    }

    /// What happens next.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match &self.failure {
            Failure::Arm(error) => error.class,
            Failure::Plan(
                PlanError::NoServiceUrl | PlanError::NoPolicy | PlanError::PathTaken { .. },
            ) => ErrorClass::Waiting,
            Failure::Plan(_) => ErrorClass::Invalid,
            Failure::Cancelled => ErrorClass::Transient,
        }
    }

    /// The ARM error, if it was one.
    #[must_use]
    pub const fn arm(&self) -> Option<&ArmError> {
        match &self.failure {
            Failure::Arm(error) => Some(error),
            Failure::Plan(_) | Failure::Cancelled => None,
        }
    }
}

impl Applier {
    /// An applier for the client's service.
    #[must_use]
    pub fn new(client: ArmClient) -> Self {
        Self {
            client,
            cancelled: Arc::default(),
        }
    }

    /// Stops between two steps once the flag is set. (Dropping the future
    /// stops at any point, and what was left is completed by the next apply.)
    #[must_use]
    pub fn cancelled_by(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancelled = flag;
        self
    }

    /// The same applier, whose calls carry this id in Azure's activity log.
    #[must_use]
    pub fn with_correlation(&self, id: &str) -> Self {
        Self {
            client: self.client.with_correlation(id),
            cancelled: self.cancelled.clone(),
        }
    }

    /// Whether there is an API of this id that carries the mark. Costs reads.
    pub async fn is_marked(&self, api_id: &ApiId, mark: &str) -> Result<bool, ApplyError> {
        let reader = self.client.reader();
        let found = reader.marked_api(api_id.as_str(), mark).await;
        let found = found.map_err(|error| ApplyError::bare(Failure::Arm(error)))?;
        Ok(found.is_some_and(|api| api.carries(mark)))
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> &ArmClient {
        &self.client
    }

    pub(crate) fn check_cancelled(&self) -> Result<(), Failure> {
        if self.cancelled.load(Ordering::Relaxed) {
            Err(Failure::Cancelled)
        } else {
            Ok(())
        }
    }

    /// A short pause before reading again, so that two writers part.
    pub(crate) async fn settle(&self) {
        let pause = self.client.options().backoff.mul_f64(rand::random());
        tokio::time::sleep(pause).await;
    }

    /// Brings the API to its desired state: no call at all when the record
    /// says that it is there, else the reads that ownership and the plan need,
    /// and the plan's writes.
    ///
    /// `applied` is believed. A record that others could have written goes
    /// through [`Applier::confirm`] first.
    pub async fn apply(
        &self,
        desired: &Desired,
        applied: Option<&AppliedRecord>,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Applied, ApplyError> {
        let published = Published::of(desired).map_err(|error| ApplyError::bare(error.into()))?;
        let _writer = self.client.lock_api(published.api.id.as_str()).await;
        let mut run = Run {
            applier: self,
            published,
            record: AppliedRecord::of(applied, published),
            etags: Etags::default(),
            writes: Writes::default(),
            step: None,
        };
        let mut round = 1;
        loop {
            let result = run.round(desired, progress).await;
            match result {
                Ok(()) => {
                    return Ok(Applied {
                        operations: run.record.operations,
                        api_revision: run.record.api_revision.clone(),
                        record: run.record,
                        writes: run.writes,
                    });
                }
                Err(Failure::Arm(error))
                    if error.class == ErrorClass::Conflict && round < ROUNDS =>
                {
                    round += 1;
                    tracing::info!(%error, "somebody wrote in between; the API is read again");
                    self.settle().await;
                }
                Err(failure) => {
                    return Err(ApplyError {
                        failure,
                        step: run.step,
                        record: Some(run.record),
                        writes: run.writes,
                    });
                }
            }
        }
    }

    /// The part of a record that reads bear out, for one that somebody else
    /// could have written. Costs reads, never writes.
    pub async fn confirm(
        &self,
        desired: &Desired,
        claimed: &AppliedRecord,
    ) -> Result<AppliedRecord, ApplyError> {
        let confirmed = self.client.reader().confirm(desired, claimed).await;
        confirmed.map_err(ApplyError::bare)
    }
}

/// What `If-Match` needs, as far as it is known.
#[derive(Debug, Default)]
struct Etags {
    api: Option<String>,
    policy: Option<String>,
    operations: std::collections::BTreeMap<String, String>,
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
        }
    }
}

/// One apply.
struct Run<'a> {
    applier: &'a Applier,
    published: Published<'a>,
    record: AppliedRecord,
    etags: Etags,
    writes: Writes,
    step: Option<String>,
}

impl Run<'_> {
    /// Reads, plans, and carries out the plan.
    async fn round(
        &mut self,
        desired: &Desired,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<(), Failure> {
        self.step = None;
        let Published { api, policy, .. } = self.published;
        let client = &self.applier.client;
        let planned = client.reader().plan(desired, Some(&self.record)).await?;
        let Some(Planned { observed, steps }) = planned else {
            return Ok(());
        };
        self.record.learn(self.published, &observed);
        self.etags = Etags::of(&observed);
        let of = steps.len();
        for (index, step) in steps.iter().enumerate() {
            self.applier.check_cancelled()?;
            self.step = Some(step.describe());
            self.record.before(step, api);
            progress(Progress {
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
                    .await?;
                self.etags.policy = ended.etag();
            }
            Step::Import => {
                let etag = self.etags.api.take();
                client.import_api(api, etag.as_deref()).await?;
            }
            Step::ReadBack => return self.read_back().await,
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
                client
                    .put_policy(id, PolicyOf::Operation(operation), text, etag.as_deref())
                    .await?;
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

    /// Reads the API once after an import, and repairs what it reset.
    async fn read_back(&mut self) -> Result<(), Failure> {
        let api = self.published.api;
        let client = &self.applier.client;
        let id = api.id.as_str();
        let Some(found) = client.reader().api(id).await? else {
            return Err(Failure::Arm(ArmError::vanished(id)));
        };
        self.etags.api.clone_from(&found.etag);
        if let Some(patch) = apim::repair(api, &found, &mut self.record) {
            tracing::info!(
                api = id,
                fields = patch.fields().join(", "),
                "the import reset settings"
            );
            let etag = self.etags.api.take();
            let ended: Ended = client.patch_api(id, &patch, etag.as_deref()).await?;
            self.etags.api = ended.etag();
            self.writes.repairs += 1;
            self.record
                .after(&Step::PatchSettings(patch), api, self.published.policy);
        }
        if api.document.operations.is_none() {
            let count = client.reader().operations(id).await?.len();
            self.record.operations = u32::try_from(count).ok();
        }
        Ok(())
    }
}
