//! Carrying out a plan, step by step.

mod follow;
mod import;
mod missing;
mod revision;
mod run;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use operator_core::apim::{AppliedRecord, PlanError, Published};
use operator_core::class::ErrorClass;
use operator_core::desired::Desired;
use operator_core::drift::KnownEtags;
use tokio::time::Instant;

pub use follow::{Follow, Progress, Silent};
use run::{ROUNDS, Run};

use crate::arm::ArmClient;
use crate::error::ArmError;

/// Brings APIs to their desired state. One writer per API at a time; clones and
/// clients of the same [`Azure`](crate::Azure) share the locks.
#[derive(Debug, Clone)]
pub struct Applier {
    client: ArmClient,
    cancelled: Arc<AtomicBool>,
    /// The time when the clock below showed the other.
    origin: (Timestamp, Instant),
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
    /// The ETags of the policy documents, as far as they were written or read.
    pub etags: KnownEtags,
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
            origin: (Timestamp::now(), Instant::now()),
        }
    }

    /// Stops between two steps, or while an import runs, once the flag is set. (Dropping the future
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
            ..self.clone()
        }
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> &ArmClient {
        &self.client
    }

    /// The time. It goes as Tokio's clock does, which tests can move.
    fn now(&self) -> Timestamp {
        let (then, at) = self.origin;
        then.checked_add(at.elapsed()).unwrap_or(then)
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
    ///
    /// The document is sent at most once, whatever is answered: when to send it
    /// again is for who knows the object's history. An import that the record
    /// says is running is waited for.
    pub async fn apply(
        &self,
        desired: &Desired,
        applied: Option<&AppliedRecord>,
        follow: &dyn Follow,
    ) -> Result<Applied, ApplyError> {
        let published = Published::of(desired).map_err(|error| ApplyError::bare(error.into()))?;
        let _writer = self.client.lock_api(published.api.id.as_str()).await;
        let record = AppliedRecord::of(applied, published);
        let mut run = Run::new(self, published, record, follow);
        let mut round = 1;
        loop {
            let result = run.round(desired).await;
            match result {
                Ok(()) => {
                    return Ok(Applied {
                        operations: run.record.operations,
                        api_revision: run.record.api_revision.clone(),
                        etags: run.known(),
                        record: run.record,
                        writes: run.writes,
                    });
                }
                Err(Failure::Arm(error))
                    if error.class == ErrorClass::Conflict && round < ROUNDS && !run.imported =>
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
