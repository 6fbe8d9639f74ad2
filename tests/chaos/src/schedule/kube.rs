//! What goes wrong between the operator and the API server.

use serde::{Deserialize, Serialize};

use crate::draw::Draw;

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
    /// The write of an `ApimInstance`'s or a `PolicyPlugin`'s finalizers.
    Hold,
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

impl KubeFault {
    pub(super) fn draw(draw: &mut Draw) -> Self {
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
                    (1, KubeCall::Hold),
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
                    after: draw.weighted(&[(12, 0), (2, 1), (1, 2)]),
                    count: u8::try_from(draw.between(1, 4)).unwrap_or(1),
                }
            }
        }
    }
}

/// What operators are cut off from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// Azure.
    Azure,
    /// The API server.
    ApiServer,
    /// Both.
    Both,
}

impl Side {
    /// What it is, for the tally.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Azure => "Azure",
            Self::ApiServer => "the API server",
            Self::Both => "all",
        }
    }
}
