//! A schedule: what happens, in order. It is drawn from a seed, can be printed,
//! read again, and made smaller by leaving steps out: each step says what to do
//! with what is there, and does nothing where that is not there.

mod azure;
mod hand;
mod kill;
mod kube;
mod steps;

pub(crate) use azure::{AzureAnswer, AzureFault, Call, Shape};
pub(crate) use hand::{Edit, Hand, Whose};
pub(crate) use kill::Kill;
pub(crate) use kube::{KubeAnswer, KubeCall, KubeFault, Side};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::draw::Draw;
use crate::wanted::{Change, Wanted};

/// How many ExposedAPIs a schedule can have at the same time.
pub(crate) const SLOTS: u8 = 4;
/// How many named values a policy can need that are not there yet.
pub(crate) const VALUES: u8 = 2;

/// What happens, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// Operators stand for election; else each believes that it leads.
    pub elected: bool,
    /// Operators look for what others changed.
    #[serde(default)]
    pub sweeps: bool,
    /// There are two instances.
    #[serde(default)]
    pub two: bool,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// An ExposedAPI is created, if there is none in the slot.
    Create {
        /// Which.
        slot: u8,
        /// What is wanted of it.
        wanted: Wanted,
    },
    /// It is changed.
    Change {
        /// Which.
        slot: u8,
        /// What changes.
        change: Change,
    },
    /// It is deleted.
    Delete {
        /// Which.
        slot: u8,
    },
    /// The endpoint behind its Service is ready or not.
    Endpoint {
        /// Which.
        slot: u8,
        /// Whether it is ready.
        ready: bool,
    },
    /// The platform makes a plugin mandatory with this config, changes the
    /// config, or makes the plugin voluntary again.
    Stamp(Option<u16>),
    /// Azure answers otherwise.
    Azure(AzureFault),
    /// Long-running operations take another shape.
    Imports {
        /// Which shape.
        shape: Shape,
        /// After how many looks they end.
        polls: u8,
    },
    /// Azure's clock jumps forward; tokens run out.
    AzureClock {
        /// By how much.
        minutes: u16,
    },
    /// Somebody whose clock is wrong writes the time into the Lease.
    LeaseClock {
        /// By how much it is wrong.
        minutes: i16,
    },
    /// The API server answers otherwise.
    Kube(KubeFault),
    /// kube-apiserver is stopped and started again.
    RestartApiserver,
    /// Operators reach one side no more, for a while that passes beside the
    /// steps that follow.
    Partition {
        /// Which side.
        from: Side,
        /// For how long.
        milliseconds: u16,
    },
    /// The operator is killed. It comes back with the next `Start`, or at the
    /// end.
    Kill(Kill),
    /// The operator is started, if it does not run.
    Start,
    /// A second operator starts or is killed: a second leader, or one that
    /// stands for election as the first does.
    Second(bool),
    /// Somebody does something by hand.
    Hand {
        /// About which API.
        slot: u8,
        /// What.
        edit: Hand,
    },
    /// Somebody changes an API in the portal, and nobody but a sweep tells.
    Edit {
        /// Which.
        slot: u8,
        /// What.
        edit: Edit,
    },
    /// Somebody makes an API under the id that an object would give its own,
    /// before there is the object.
    Squat {
        /// Whose object.
        slot: u8,
        /// In the second instance.
        second: bool,
        /// Whose mark it carries.
        whose: Whose,
    },
    /// Somebody's API holds a path that objects ask for, or does no more.
    Holder(bool),
    /// A named value that policies need comes into being, everywhere.
    Appears {
        /// Which.
        value: u8,
    },
    /// Nothing, until the operator has made so many calls more or a moment has
    /// passed.
    Wait {
        /// So many.
        calls: u8,
    },
    /// Nothing, until the operator makes no calls any more.
    Settle,
    /// It waits until all is as it is wanted, or until that takes too long.
    Converge,
}

impl Schedule {
    /// The schedule of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let mut schedule = Self {
            seed,
            elected: draw.chance(30),
            sweeps: draw.chance(60),
            two: draw.chance(40),
            steps: Vec::new(),
        };
        schedule.draw_steps(&mut draw);
        schedule
    }

    /// Whether it needs the API server for itself.
    #[must_use]
    pub fn is_disruptive(&self) -> bool {
        self.steps.contains(&Step::RestartApiserver)
    }
}

impl Step {
    /// What it is, for the tally.
    #[must_use]
    pub fn kind(&self) -> String {
        let kind = match self {
            Self::Change { change, .. } => return format!("changed: {}", change.word()),
            Self::Hand { edit, .. } => return format!("by hand: {}", edit.word()),
            Self::Edit { edit, .. } => return format!("in the portal: {}", edit.word()),
            Self::Create { .. } => "created",
            Self::Delete { .. } => "deleted",
            Self::Endpoint { .. } => "endpoint",
            Self::Stamp(_) => "plugin reloaded",
            Self::Azure(_) => "Azure fault",
            Self::Imports { .. } => "shape of imports",
            Self::AzureClock { .. } => "Azure's clock jumps",
            Self::LeaseClock { .. } => "the Lease's clock jumps",
            Self::Kube(KubeFault::Calls { .. }) => "API server fault",
            Self::Kube(KubeFault::CutWatches { .. }) => "watches cut",
            Self::Kube(KubeFault::StallWatches { .. }) => "watches stalled",
            Self::RestartApiserver => "API server restarted",
            Self::Partition { from, .. } => return format!("cut off from {}", from.word()),
            Self::Kill(_) => "operator killed",
            Self::Start => "operator started",
            Self::Second(true) => "second operator started",
            Self::Second(false) => "second operator killed",
            Self::Squat { whose, .. } => return format!("id taken by {}", whose.word()),
            Self::Holder(true) => "path taken by others",
            Self::Holder(false) => "path given back",
            Self::Appears { .. } => "named value appears",
            Self::Wait { .. } => "waited",
            Self::Settle => "settled",
            Self::Converge => "converged",
        };
        kind.to_owned()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (is, what) in [
            (self.elected, "operators stand for election"),
            (self.sweeps, "operators look for what others changed"),
            (self.two, "there are two instances"),
        ] {
            if is {
                writeln!(f, "  {what}")?;
            }
        }
        for step in &self.steps {
            let text = serde_json::to_string(step).map_err(|_| fmt::Error)?;
            writeln!(f, "  {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_schedule_that_was_written_is_read_as_it_was(seed: u64) {
            let schedule = Schedule::draw(seed);
            let text = serde_json::to_string(&schedule).unwrap();
            let read: Schedule = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &schedule);
            prop_assert_eq!(Schedule::draw(seed), schedule);
        }
    }

    #[test]
    fn a_thousand_seeds_have_every_kind_of_step() {
        let mut kinds = std::collections::BTreeSet::new();
        let mut steps = 0;
        for seed in 0..1000 {
            let schedule = Schedule::draw(seed);
            steps += schedule.steps.len();
            kinds.extend(schedule.steps.iter().map(Step::kind));
        }
        assert!(steps > 12_000, "{steps}");
        assert_eq!(kinds.len(), 57, "{kinds:#?}");
    }
}
