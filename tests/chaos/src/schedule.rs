//! A schedule: what happens, in order. It is drawn from a seed, can be printed,
//! read again, and made smaller by leaving steps out: each step says what to do
//! with what is there, and does nothing where that is not there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::draw::Draw;
use crate::wanted::{Change, Wanted};

/// How many ExposedAPIs a schedule can have at the same time.
pub(crate) const SLOTS: u8 = 4;

/// What happens, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// Operators stand for election; else each believes that it leads.
    pub elected: bool,
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
    /// The API server answers otherwise.
    Kube(KubeFault),
    /// kube-apiserver is stopped and started again.
    RestartApiserver,
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

/// Which of the operator's calls to Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Any.
    Any,
    /// A read of an API.
    Read,
    /// The creation of an API, an import, or a change of settings.
    Api,
    /// The write of a policy document.
    Policy,
    /// The deletion of an API.
    Delete,
    /// A look at a long-running operation.
    Poll,
    /// A request for a token.
    Token,
    /// A read of the service itself, or of its `OpenID` provider.
    Service,
}

/// How Azure fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AzureAnswer {
    /// 409 `PessimisticConcurrencyConflict`.
    Locked,
    /// The call succeeds, and its API stays locked for some writes.
    LockedAfter,
    /// 412.
    Precondition,
    /// 422 `ManagementApiRequestFailed`, a time-out behind the front end.
    Unprocessable,
    /// 429 with `Retry-After`.
    ThrottledFor,
    /// 429 without.
    Throttled,
    /// 403 `AuthorizationFailed`.
    Forbidden,
    /// 401.
    Unauthorized,
    /// 500.
    Broken,
    /// 503.
    Unavailable,
    /// 500, although it was done.
    BrokenAfter,
    /// The connection is closed before it is done.
    Reset,
    /// The connection is closed after it was done.
    ResetAfter,
    /// The connection is closed in the middle of the answer.
    Cut,
    /// It takes 150 ms more.
    Slow,
    /// The long-running operation fails.
    Failed,
    /// The long-running operation takes a hundred looks.
    Endless,
    /// 404, where the API is there.
    Missing,
}

/// A fault of Azure's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AzureFault {
    /// Which calls suffer.
    pub call: Call,
    /// What is answered.
    pub answer: AzureAnswer,
    /// How many calls pass first.
    pub after: u8,
    /// How many suffer.
    pub count: u8,
}

/// The shape of long-running operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// At once.
    Sync,
    /// `Azure-AsyncOperation`.
    AsyncOperation,
    /// 202 with `Location`.
    Location,
}

/// Which of the operator's calls to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KubeCall {
    /// Any but watches.
    Any,
    /// Lists.
    List,
    /// The start of a watch.
    Watch,
    /// Any write.
    Write,
    /// The write of an `ExposedAPI`'s status.
    Status,
    /// The write of an `ExposedAPI`'s finalizers.
    Finalizer,
    /// The write or deletion of an Ingress.
    Ingress,
    /// The write of the Lease.
    Lease,
}

/// How the API server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KubeAnswer {
    /// 500, and nothing was done.
    Broken,
    /// 500, although it was done.
    BrokenAfter,
    /// 409, and nothing was done.
    Conflict,
    /// 429.
    Throttled,
    /// The connection is closed, and nothing was done.
    Reset,
    /// The connection is closed, although it was done.
    ResetAfter,
    /// It takes 150 ms more.
    Slow,
    /// 410: the version to watch from is too old.
    Gone,
}

/// A fault of the API server's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KubeFault {
    /// Calls are answered otherwise.
    Calls {
        /// Which calls suffer.
        call: KubeCall,
        /// What is answered.
        answer: KubeAnswer,
        /// How many pass first.
        after: u8,
        /// How many suffer.
        count: u8,
    },
    /// All watches end, in order or in the middle of a line.
    CutWatches {
        /// In the middle.
        broken: bool,
    },
    /// Watches stay open and bring nothing for a while.
    StallWatches {
        /// For how long.
        milliseconds: u16,
    },
}

/// When the operator is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kill {
    /// Now.
    Now,
    /// So many microseconds after its next call to anybody.
    After {
        /// So many.
        microseconds: u32,
    },
    /// At one of its next writes to Azure.
    AtAzureWrite {
        /// How many pass first.
        after: u8,
        /// It was done, and the answer does not arrive.
        done: bool,
    },
    /// At one of its next writes to the API server.
    AtKubeWrite {
        /// How many pass first.
        after: u8,
        /// It was done, and the answer does not arrive.
        done: bool,
    },
}

/// What somebody does by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Hand {
    /// The mark is taken away, and given back at the end.
    RemoveMark,
    /// The mark becomes that of another cluster, and is given back at the end.
    ForgeMark,
    /// Status says that all is well.
    ClaimReady,
    /// Status loses what it says of Azure.
    ForgetApplied,
    /// Status names another API.
    PointElsewhere,
    /// The object gets an annotation, a label and a finalizer of somebody
    /// else's.
    Decorate,
}

impl Schedule {
    /// The schedule of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let mut steps: Vec<Step> = (0..2)
            .map(|slot| Step::Create {
                slot,
                wanted: Wanted::draw(&mut draw),
            })
            .collect();
        let elected = draw.chance(30);
        let count = draw.between(8, 22);
        while steps.len() < count as usize {
            let step = Step::draw(&mut draw);
            let dies = matches!(step, Step::Kill(_));
            steps.push(step);
            // Something may happen while it is away.
            if dies {
                if draw.chance(50) {
                    steps.push(Step::draw_owner(&mut draw));
                }
                steps.push(Step::Start);
            }
        }
        Self {
            seed,
            elected,
            steps,
        }
    }

    /// Whether it needs the API server for itself.
    #[must_use]
    pub fn is_disruptive(&self) -> bool {
        self.steps.contains(&Step::RestartApiserver)
    }
}

/// Two are there from the beginning; the others come and go.
fn slot(draw: &mut Draw) -> u8 {
    draw.weighted(&[(8, 0), (8, 1), (3, 2), (1, SLOTS - 1)])
}

impl Step {
    fn draw_owner(draw: &mut Draw) -> Self {
        let slot = slot(draw);
        match draw.below(20) {
            0..=3 => Self::Create {
                slot,
                wanted: Wanted::draw(draw),
            },
            4..=15 => Self::Change {
                slot,
                change: Change::draw(draw),
            },
            16..=18 => Self::Delete { slot },
            _ => Self::Endpoint {
                slot,
                ready: draw.chance(50),
            },
        }
    }

    fn draw(draw: &mut Draw) -> Self {
        let slot = slot(draw);
        match draw.below(100) {
            0..=37 => Self::draw_owner(draw),
            38..=41 => Self::Stamp(
                draw.chance(80)
                    .then(|| u16::try_from(draw.between(1, 99)).unwrap_or(1)),
            ),
            42..=56 => Self::Azure(AzureFault::draw(draw)),
            57..=59 => Self::Imports {
                shape: draw.one(&[Shape::Sync, Shape::AsyncOperation, Shape::Location]),
                polls: u8::try_from(draw.between(0, 4)).unwrap_or(1),
            },
            60 | 61 => Self::AzureClock {
                minutes: u16::try_from(draw.between(30, 300)).unwrap_or(60),
            },
            62..=73 => Self::Kube(KubeFault::draw(draw)),
            74 if draw.chance(25) => Self::RestartApiserver,
            74..=83 => Self::Kill(Kill::draw(draw)),
            84 | 85 => Self::Second(draw.chance(70)),
            86..=89 => Self::Hand {
                slot,
                edit: draw.one(&[
                    Hand::RemoveMark,
                    Hand::ForgeMark,
                    Hand::ClaimReady,
                    Hand::ForgetApplied,
                    Hand::PointElsewhere,
                    Hand::Decorate,
                ]),
            },
            90..=96 => Self::Wait {
                calls: u8::try_from(draw.between(1, 12)).unwrap_or(1),
            },
            _ => Self::Settle,
        }
    }

    /// What it is, for the tally.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Create { .. } => "created".to_owned(),
            Self::Change { change, .. } => format!("changed: {}", change.word()),
            Self::Delete { .. } => "deleted".to_owned(),
            Self::Endpoint { .. } => "endpoint".to_owned(),
            Self::Stamp(_) => "plugin reloaded".to_owned(),
            Self::Azure(_) => "Azure fault".to_owned(),
            Self::Imports { .. } => "shape of imports".to_owned(),
            Self::AzureClock { .. } => "Azure's clock jumps".to_owned(),
            Self::Kube(KubeFault::Calls { .. }) => "API server fault".to_owned(),
            Self::Kube(KubeFault::CutWatches { .. }) => "watches cut".to_owned(),
            Self::Kube(KubeFault::StallWatches { .. }) => "watches stalled".to_owned(),
            Self::RestartApiserver => "API server restarted".to_owned(),
            Self::Kill(_) => "operator killed".to_owned(),
            Self::Start => "operator started".to_owned(),
            Self::Second(true) => "second operator started".to_owned(),
            Self::Second(false) => "second operator killed".to_owned(),
            Self::Hand { edit, .. } => format!("by hand: {}", edit.word()),
            Self::Wait { .. } => "waited".to_owned(),
            Self::Settle => "settled".to_owned(),
            Self::Converge => "converged".to_owned(),
        }
    }
}

impl AzureFault {
    fn draw(draw: &mut Draw) -> Self {
        use AzureAnswer as A;
        let call = draw.weighted(&[
            (2, Call::Any),
            (3, Call::Read),
            (6, Call::Api),
            (4, Call::Policy),
            (3, Call::Delete),
            (3, Call::Poll),
            (1, Call::Token),
            (1, Call::Service),
        ]);
        let answer = match call {
            Call::Token => draw.one(&[A::Broken, A::Reset, A::Slow, A::Unavailable]),
            Call::Poll => draw.one(&[
                A::Missing,
                A::Broken,
                A::Reset,
                A::Cut,
                A::Slow,
                A::ThrottledFor,
            ]),
            Call::Read | Call::Service => draw.one(&[
                A::ThrottledFor,
                A::Throttled,
                A::Forbidden,
                A::Unauthorized,
                A::Broken,
                A::Unavailable,
                A::Unprocessable,
                A::Reset,
                A::Cut,
                A::Slow,
            ]),
            Call::Any | Call::Api | Call::Policy | Call::Delete => draw.one(&[
                A::Locked,
                A::LockedAfter,
                A::Precondition,
                A::Unprocessable,
                A::ThrottledFor,
                A::Throttled,
                A::Forbidden,
                A::Broken,
                A::Unavailable,
                A::BrokenAfter,
                A::Reset,
                A::ResetAfter,
                A::Cut,
                A::Slow,
                A::Failed,
                A::Endless,
            ]),
        };
        Self {
            call,
            answer,
            after: u8::try_from(draw.below(4)).unwrap_or(0),
            count: u8::try_from(draw.between(1, 5)).unwrap_or(1),
        }
    }
}

impl KubeFault {
    fn draw(draw: &mut Draw) -> Self {
        use KubeAnswer as A;
        match draw.below(10) {
            0 | 1 => Self::CutWatches {
                broken: draw.chance(50),
            },
            2 => Self::StallWatches {
                milliseconds: u16::try_from(draw.between(20, 300)).unwrap_or(100),
            },
            _ => {
                let call = draw.weighted(&[
                    (1, KubeCall::Any),
                    (1, KubeCall::List),
                    (2, KubeCall::Watch),
                    (2, KubeCall::Write),
                    (4, KubeCall::Status),
                    (2, KubeCall::Finalizer),
                    (2, KubeCall::Ingress),
                    (1, KubeCall::Lease),
                ]);
                let answer = match call {
                    KubeCall::Watch => draw.one(&[A::Broken, A::Gone, A::Reset]),
                    KubeCall::Any | KubeCall::List => {
                        draw.one(&[A::Broken, A::Throttled, A::Reset, A::Slow])
                    }
                    _ => draw.one(&[
                        A::Broken,
                        A::BrokenAfter,
                        A::Conflict,
                        A::Throttled,
                        A::Reset,
                        A::ResetAfter,
                        A::Slow,
                    ]),
                };
                Self::Calls {
                    call,
                    answer,
                    after: u8::try_from(draw.below(3)).unwrap_or(0),
                    count: u8::try_from(draw.between(1, 4)).unwrap_or(1),
                }
            }
        }
    }
}

impl Kill {
    fn draw(draw: &mut Draw) -> Self {
        match draw.below(10) {
            0 => Self::Now,
            1..=3 => Self::After {
                microseconds: draw.below(20_000),
            },
            4..=7 => Self::AtAzureWrite {
                after: u8::try_from(draw.below(4)).unwrap_or(0),
                done: draw.chance(60),
            },
            _ => Self::AtKubeWrite {
                after: u8::try_from(draw.below(4)).unwrap_or(0),
                done: draw.chance(60),
            },
        }
    }
}

impl Hand {
    /// What it is, for the tally.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RemoveMark => "mark removed",
            Self::ForgeMark => "mark forged",
            Self::ClaimReady => "status claims ready",
            Self::ForgetApplied => "status forgets",
            Self::PointElsewhere => "status points elsewhere",
            Self::Decorate => "object decorated",
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.elected {
            writeln!(f, "  operators stand for election")?;
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
        assert_eq!(kinds.len(), 34, "{kinds:#?}");
    }
}
