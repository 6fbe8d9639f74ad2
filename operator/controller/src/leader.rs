//! Which of several replicas writes. What to do with the Lease is decided in
//! [`operator_core::leader`]; here are the calls, the clock, and the gate that
//! every write of this process passes.
//!
//! A replica that lost the Lease does not come back: it ends, and its next life
//! begins with nothing remembered.

mod campaign;
mod clock;
mod guard;
mod lease;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use operator_apim::WriteGate;
use operator_core::leader::{Loss, Timings};
use operator_core::retry::Moment;
use tokio::sync::watch;

use crate::metrics::Metrics;

pub use campaign::Campaign;
pub(crate) use clock::now;
pub use guard::NotLeading;
pub(crate) use guard::is_refusal;

/// A moment that never comes.
const NEVER: u64 = u64::MAX;

/// How this process stands for election.
#[derive(Debug, Clone)]
pub struct Election {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub lease: String,
    /// What the holder is called in it; something random is added, since a
    /// container that starts again in its pod is another one.
    pub name: String,
    /// Its times.
    pub timings: Timings,
}

/// How a replica stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Another one writes, or nobody yet.
    Standby,
    /// This one writes.
    Leading,
    /// It wrote, and never may again.
    Lost(Loss),
    /// It gave the Lease back.
    Released,
    /// It only looks.
    Never,
}

/// Whether this process may write; cheap to ask, and asked before each write.
#[derive(Debug, Clone)]
pub struct Leadership(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Nanoseconds on the local clock; 0: it may not.
    until: AtomicU64,
    /// Writes to Azure that are not under way are not begun any more.
    closing: AtomicBool,
    standing: watch::Sender<Standing>,
    told: Option<(String, Arc<Metrics>)>,
}

impl Leadership {
    /// Of a process that needs no election: it may always write.
    #[must_use]
    pub fn alone() -> Self {
        Self::new(Standing::Leading, NEVER, None)
    }

    /// Of a process that never writes.
    #[must_use]
    pub fn never() -> Self {
        Self::new(Standing::Never, 0, None)
    }

    /// Whether this process only looks.
    #[must_use]
    pub fn never_leads(&self) -> bool {
        *self.0.standing.borrow() == Standing::Never
    }

    /// Of a process that has not been elected.
    #[must_use]
    pub fn standby(election: &Election, metrics: Arc<Metrics>) -> Self {
        let told = Some((election.lease.clone(), metrics));
        let this = Self::new(Standing::Standby, 0, told);
        this.count(false);
        this
    }

    #[cfg(test)]
    pub(crate) fn unelected() -> Self {
        Self::new(Standing::Standby, 0, None)
    }

    fn new(standing: Standing, until: u64, told: Option<(String, Arc<Metrics>)>) -> Self {
        Self(Arc::new(Inner {
            until: AtomicU64::new(until),
            closing: AtomicBool::new(false),
            standing: watch::Sender::new(standing),
            told,
        }))
    }

    /// Whether this process may write now. By the local clock: a process that
    /// stood still does not write before it has renewed its Lease.
    #[must_use]
    pub fn leads(&self) -> bool {
        let until = self.0.until.load(Ordering::Acquire);
        until == NEVER || (until > 0 && now() < Duration::from_nanos(until))
    }

    /// Whether a write to Azure may be begun now.
    #[must_use]
    pub fn may_begin(&self) -> bool {
        !self.0.closing.load(Ordering::Acquire) && self.leads()
    }

    /// Begins no more writes to Azure; those under way go on.
    pub fn close(&self) {
        self.0.closing.store(true, Ordering::Release);
    }

    /// Waits until this process may write; for ever where it may not again.
    pub async fn until_leading(&self) {
        let mut standing = self.0.standing.subscribe();
        // The other end lives as long as this one.
        let _ = standing.wait_for(|now| *now == Standing::Leading).await;
    }

    /// Waits until this process must stop, and answers why; for ever where it
    /// need not.
    pub async fn until_lost(&self) -> Loss {
        let mut standing = self.0.standing.subscribe();
        loop {
            if let Standing::Lost(loss) = &*standing.borrow_and_update() {
                return loss.clone();
            }
            if standing.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn renewed(&self, until: Moment) {
        let nanos = u64::try_from(until.as_nanos()).unwrap_or(NEVER - 1);
        self.0.until.store(nanos, Ordering::Release);
        self.stand(Standing::Leading);
    }

    fn ended(&self, standing: Standing) {
        self.0.until.store(0, Ordering::Release);
        self.stand(standing);
    }

    fn stand(&self, next: Standing) {
        self.count(next == Standing::Leading);
        self.0.standing.send_if_modified(|standing| {
            let changed = *standing != next;
            *standing = next;
            changed
        });
    }

    fn count(&self, leading: bool) {
        if let Some((lease, metrics)) = &self.0.told {
            metrics.set_leading(lease, leading);
        }
    }
}

impl WriteGate for Leadership {
    fn may_write(&self) -> bool {
        self.may_begin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_closes_by_the_clock_alone() {
        let leadership = Leadership::unelected();
        assert!(!leadership.leads());
        leadership.renewed(now() + Duration::from_mins(1));
        leadership.until_leading().await;
        assert!(leadership.leads() && leadership.may_begin());
        leadership.renewed(now().saturating_sub(Duration::from_millis(1)));
        assert!(!leadership.leads(), "nobody told it, and it is over");
    }

    #[tokio::test]
    async fn who_closes_still_writes_to_kubernetes_but_begins_nothing_in_azure() {
        let leadership = Leadership::alone();
        leadership.close();
        assert!(leadership.leads());
        assert!(!leadership.may_begin());
    }

    #[tokio::test]
    async fn a_loss_is_heard_also_by_who_asks_later() {
        let leadership = Leadership::unelected();
        leadership.renewed(now() + Duration::from_mins(1));
        leadership.ended(Standing::Lost(Loss::Deleted));
        assert_eq!(leadership.until_lost().await, Loss::Deleted);
        assert!(!leadership.leads());
    }
}
