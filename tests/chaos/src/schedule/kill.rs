//! When the operator dies.

use serde::{Deserialize, Serialize};

use crate::draw::Draw;

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

impl Kill {
    pub(super) fn draw(draw: &mut Draw) -> Self {
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
