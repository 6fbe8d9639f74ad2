//! What can change of an API, and how its parts are drawn.

use serde::{Deserialize, Serialize};

use super::{Adoption, Drift, Mistake, Plugins, SHARED};
use crate::draw::Draw;
use crate::schedule::VALUES;

/// What can change of an API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Another path.
    Path(u8),
    /// Another document.
    Operations(u8),
    /// Another rate limit.
    Limit(Option<u16>),
    /// CORS on or off.
    Cors(bool),
    /// Another list of plugins.
    Plugins(Plugins),
    /// A rate limit of one operation.
    OperationLimit(Option<(u8, u16)>),
    /// Paused or not.
    Paused(bool),
    /// Kept or not.
    Retain(bool),
    /// Metrics or not.
    Metrics(bool),
    /// A mistake is made or put right.
    Mistake(Option<Mistake>),
    /// `retry` has a new value.
    Retry,
    /// It moves to the second instance, or back.
    Second(bool),
    /// Something else is done about what others change.
    Drift(Drift),
    /// Something else is done about an API that is there already.
    Adoption(Adoption),
    /// Its policy needs a named value, or needs none any more.
    Value(Option<u8>),
    /// Its changes come as new revisions, or in place.
    Revisions(bool),
    /// A page in the developer portal, or none.
    Page(bool),
}

pub(super) fn operations(draw: &mut Draw) -> u8 {
    u8::try_from(draw.between(1, 31)).unwrap_or(1)
}

pub(super) fn limit(draw: &mut Draw) -> Option<u16> {
    draw.chance(75).then(|| number(draw))
}

fn number(draw: &mut Draw) -> u16 {
    u16::try_from(draw.between(10, 999)).unwrap_or(10)
}

pub(super) fn plugins(draw: &mut Draw) -> Plugins {
    draw.weighted(&[
        (5, Plugins::Default),
        (2, Plugins::RateLimit),
        (2, Plugins::CorsAndTokens),
        (1, Plugins::Nothing),
    ])
}

pub(super) fn operation_limit(draw: &mut Draw) -> Option<(u8, u16)> {
    draw.chance(60)
        .then(|| (u8::try_from(draw.below(5)).unwrap_or(0), number(draw)))
}

pub(super) fn mistake(draw: &mut Draw) -> Option<Mistake> {
    draw.chance(50).then(|| {
        draw.one(&[
            Mistake::UnknownAnnotation,
            Mistake::UnknownPlugin,
            Mistake::BrokenDocument,
            Mistake::ForeignId,
        ])
    })
}

pub(super) fn drift(draw: &mut Draw) -> Drift {
    draw.weighted(&[(6, Drift::Correct), (3, Drift::Report), (1, Drift::Off)])
}

pub(super) fn adoption(draw: &mut Draw) -> Adoption {
    draw.weighted(&[
        (6, Adoption::Refuse),
        (2, Adoption::Match),
        (3, Adoption::Override),
    ])
}

pub(super) fn value(draw: &mut Draw) -> Option<u8> {
    draw.chance(70)
        .then(|| u8::try_from(draw.below(u32::from(VALUES))).unwrap_or(0))
}

impl Change {
    /// Another document.
    pub(crate) fn operations(draw: &mut Draw) -> Self {
        Self::Operations(operations(draw))
    }

    /// Another rate limit.
    pub(crate) fn limit(draw: &mut Draw) -> Self {
        Self::Limit(limit(draw))
    }

    /// Some change.
    #[must_use]
    pub fn draw(draw: &mut Draw) -> Self {
        match draw.below(37) {
            0..=2 => Self::Path(u8::try_from(draw.below(u32::from(SHARED) + 2)).unwrap_or(0)),
            3..=7 => Self::operations(draw),
            8..=11 => Self::limit(draw),
            12 | 13 => Self::Cors(draw.chance(50)),
            14..=16 => Self::Plugins(plugins(draw)),
            17 | 18 => Self::OperationLimit(operation_limit(draw)),
            19 => Self::Paused(draw.chance(40)),
            20 => Self::Retain(draw.chance(30)),
            21 => Self::Metrics(draw.chance(40)),
            22 | 23 => Self::Mistake(mistake(draw)),
            24..=27 => Self::Second(draw.chance(50)),
            28 => Self::Drift(drift(draw)),
            29 | 30 => Self::Adoption(adoption(draw)),
            31 => Self::Value(value(draw)),
            32 | 33 => Self::Revisions(draw.chance(60)),
            34 | 35 => Self::Page(draw.chance(50)),
            _ => Self::Retry,
        }
    }

    /// A word for the tally.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Operations(_) => "document",
            Self::Limit(_) => "rate limit",
            Self::Cors(_) => "CORS",
            Self::Plugins(_) => "plugins",
            Self::OperationLimit(_) => "operation plugins",
            Self::Paused(_) => "paused",
            Self::Retain(_) => "deletion policy",
            Self::Metrics(_) => "type",
            Self::Mistake(_) => "mistake",
            Self::Retry => "retry",
            Self::Second(_) => "instance",
            Self::Drift(_) => "drift",
            Self::Adoption(_) => "adoption",
            Self::Value(_) => "named value",
            Self::Revisions(_) => "revisions",
            Self::Page(_) => "page",
        }
    }
}
