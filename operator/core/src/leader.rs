//! Which of several replicas may write: client-go's leader election as a pure
//! function of what was seen of the Lease, and of local time.
//!
//! Two rules make it safe. A replica that wants the Lease takes it only when
//! the Lease has not changed for its whole duration *on the replica's own
//! clock*: what a remote clock wrote into it is never compared with the local
//! one. And the holder stops writing when its last renewal was *sent* longer ago
//! than the renew deadline, also on its own clock. Since the deadline is shorter
//! than the duration, and nobody can see a renewal before it was sent, the old
//! holder has stopped before the next one can start, as long as one clock does
//! not run faster than the other by the ratio of the two.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::retry::{Jitter, Moment};

/// How much longer than the retry period a pause may be: client-go's
/// `JitterFactor` of 1.2 on top of it.
const JITTER: f64 = 1.2;

/// The three times of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
}

/// Three times that cannot work together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingsError {
    /// A holder could still write when the next one starts.
    #[error(
        "the lease duration ({lease:?}) must be longer than the renew deadline ({deadline:?}): the holder stops at the \
         deadline, and the next one starts after the duration"
    )]
    Duration {
        /// How long a Lease is valid.
        lease: Duration,
        /// How long a holder tries to renew it.
        deadline: Duration,
    },
    /// A holder would give up before it has tried.
    #[error(
        "the renew deadline ({deadline:?}) must be longer than 2.2 times the retry period ({retry:?}), which with its \
         jitter is the pause between two attempts"
    )]
    Deadline {
        /// How long a holder tries to renew.
        deadline: Duration,
        /// Between two attempts.
        retry: Duration,
    },
    /// A Lease counts whole seconds.
    #[error("the lease duration ({lease:?}) must be at least a second, and whole seconds")]
    Seconds {
        /// How long a Lease is valid.
        lease: Duration,
    },
    /// Attempts without a pause.
    #[error("the retry period must be longer than nothing")]
    NoPause,
}

impl Default for Timings {
    /// What every component of Kubernetes uses: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

impl Timings {
    /// Takes three times that go together.
    ///
    /// - `lease`: how long others wait after the last change of the Lease.
    /// - `deadline`: how long after its last renewal the holder may write.
    /// - `retry`: the shortest pause between two attempts.
    pub fn new(lease: Duration, deadline: Duration, retry: Duration) -> Result<Self, TimingsError> {
        if retry.is_zero() {
            return Err(TimingsError::NoPause);
        }
        if lease.subsec_nanos() != 0 || lease.is_zero() {
            return Err(TimingsError::Seconds { lease });
        }
        if lease <= deadline {
            return Err(TimingsError::Duration { lease, deadline });
        }
        if deadline <= retry.mul_f64(1.0 + JITTER) {
            return Err(TimingsError::Deadline { deadline, retry });
        }
        Ok(Self {
            lease_duration: lease,
            renew_deadline: deadline,
            retry_period: retry,
        })
    }

    /// How long after its last renewal the holder may write.
    #[must_use]
    pub const fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// How long others wait after the last change of the Lease.
    #[must_use]
    pub const fn lease_duration(&self) -> Duration {
        self.lease_duration
    }

    /// The pause before the next attempt.
    #[must_use]
    pub fn pause(&self, jitter: Jitter) -> Duration {
        self.retry_period
            .saturating_add(jitter.of(self.retry_period.mul_f64(JITTER)))
    }
}

/// What a Lease says, as far as an election reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; none: it was given back.
    pub holder: Option<String>,
    /// How long it is valid after its last change; none: it does not say.
    pub duration: Option<Duration>,
    /// How often it went from one holder to another.
    pub transitions: i32,
    /// When the holder got it, by the holder's clock. Only ever copied.
    pub acquired: Option<String>,
}

/// A Lease as the API server gave it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it says.
    pub record: Record,
    /// The version that a write must name, so that no write of another is
    /// overwritten. It changes with each renewal.
    pub version: String,
}

/// What to do with the Lease now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Create it; another may be faster.
    Create(Record),
    /// Replace it if it still has this version. `acquired` is to be filled in
    /// by the writer where it is absent.
    Replace {
        /// What it is to say.
        record: Record,
        /// The version that is replaced.
        version: String,
    },
    /// Nothing before this moment, unless it changes.
    Wait(Moment),
    /// It is lost: whoever acts for the holder must stop for good.
    Lost(Loss),
}

/// Why a holder holds the Lease no longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The deadline passed without a renewal.
    #[error("the lease could not be renewed for {0:?}")]
    Expired(Duration),
    /// Somebody else has it.
    #[error("the lease was taken by {0}")]
    Taken(String),
    /// Somebody deleted it, and the next may create it at once.
    #[error("the lease was deleted")]
    Deleted,
}

/// One replica's part in an election.
#[derive(Debug, Clone)]
pub struct Elector {
    id: String,
    timings: Timings,
    /// The Lease as last seen, and when it had last changed by then.
    seen: Option<(Seen, Moment)>,
    /// When the renewal that holds was sent.
    renewed: Option<Moment>,
    lost: Option<Loss>,
}

impl Elector {
    /// A replica that holds nothing. `id` must differ between processes, also
    /// between two lives of one pod.
    #[must_use]
    pub fn new(id: impl Into<String>, timings: Timings) -> Self {
        Self {
            id: id.into(),
            timings,
            seen: None,
            renewed: None,
            lost: None,
        }
    }

    /// The Lease was read at `now`, or was not there.
    pub fn observe(&mut self, found: Option<Seen>, now: Moment) {
        let leading = self.renewed.is_some();
        match found {
            None if leading => self.lose(Loss::Deleted),
            None => self.seen = None,
            Some(found) => {
                match found.record.holder.as_deref() {
                    Some(holder) if leading && holder != self.id => {
                        self.lose(Loss::Taken(holder.to_owned()));
                    }
                    None if leading => self.lose(Loss::Taken("nobody".to_owned())),
                    _ => {}
                }
                if self.seen.as_ref().is_none_or(|(seen, _)| *seen != found) {
                    self.seen = Some((found, now));
                }
            }
        }
    }

    /// The write that [`Elector::turn`] asked for was done: `written` is the
    /// Lease as it now is, `sent` the moment before the request left.
    pub fn written(&mut self, written: Seen, sent: Moment, now: Moment) {
        let ours = written.record.holder.as_deref() == Some(self.id.as_str());
        self.seen = Some((written, now));
        if ours && self.lost.is_none() {
            self.renewed = Some(sent);
        }
    }

    /// What to do at `now`.
    #[must_use]
    pub fn turn(&self, now: Moment) -> Turn {
        if let Some(loss) = self.loss(now) {
            return Turn::Lost(loss);
        }
        let Some((seen, changed)) = &self.seen else {
            return Turn::Create(self.claim(None));
        };
        let record = &seen.record;
        let free = match record.holder.as_deref() {
            None => true,
            // Ours: to be renewed, or an answer that got lost.
            Some(holder) if holder == self.id => true,
            Some(_) => false,
        };
        let until = changed.saturating_add(record.duration.unwrap_or(self.timings.lease_duration));
        if free || now >= until {
            Turn::Replace {
                record: self.claim(Some(record)),
                version: seen.version.clone(),
            }
        } else {
            Turn::Wait(until)
        }
    }

    /// Whether the Lease is held at `now`.
    #[must_use]
    pub fn leads(&self, now: Moment) -> bool {
        self.may_write_until().is_some_and(|until| now < until)
    }

    /// Until when the holder may write; none: it may not.
    #[must_use]
    pub fn may_write_until(&self) -> Option<Moment> {
        let renewed = self.renewed.filter(|_| self.lost.is_none())?;
        Some(renewed.saturating_add(self.timings.renew_deadline))
    }

    /// How the Lease is given back, so that the next one need not wait; none
    /// where it is not held at `now`.
    #[must_use]
    pub fn release(&self, now: Moment) -> Option<(Record, String)> {
        let (seen, _) = self.seen.as_ref().filter(|_| self.leads(now))?;
        let record = Record {
            holder: None,
            // What client-go writes: valid, and soon over for those who do not
            // look at the holder.
            duration: Some(Duration::from_secs(1)),
            ..seen.record.clone()
        };
        Some((record, seen.version.clone()))
    }

    fn loss(&self, now: Moment) -> Option<Loss> {
        if self.lost.is_some() {
            return self.lost.clone();
        }
        let renewed = self.renewed?;
        (!self.leads(now)).then(|| Loss::Expired(now.saturating_sub(renewed)))
    }

    fn lose(&mut self, loss: Loss) {
        self.lost.get_or_insert(loss);
    }

    /// The Lease with this replica as its holder.
    fn claim(&self, before: Option<&Record>) -> Record {
        let holder = before.and_then(|before| before.holder.as_deref());
        let stays = holder == Some(self.id.as_str());
        let transitions = before.map_or(0, |before| {
            before.transitions.saturating_add(i32::from(!stays))
        });
        Record {
            holder: Some(self.id.clone()),
            duration: Some(self.timings.lease_duration),
            transitions,
            acquired: before
                .filter(|_| stays)
                .and_then(|before| before.acquired.clone()),
        }
    }
}
