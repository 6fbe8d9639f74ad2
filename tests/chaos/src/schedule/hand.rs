//! What people do by hand.

use serde::{Deserialize, Serialize};

use crate::draw::Draw;

/// What somebody does to an object's mark or status.
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

/// What somebody changes of an API in the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Edit {
    /// Another policy, with a secret in it.
    Policy,
    /// The policy is deleted.
    NoPolicy,
    /// An operation gets another policy.
    OperationPolicy,
    /// Other settings.
    Settings,
    /// An operation is added.
    MoreOperations,
    /// An operation is deleted.
    FewerOperations,
    /// The API is deleted.
    NoApi,
}

/// Whose an API is that was there before its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Whose {
    /// Nobody says.
    Nobody,
    /// An object's of another cluster.
    OtherCluster,
    /// Another object's of this cluster.
    OtherObject,
}

impl Hand {
    pub(super) fn draw(draw: &mut Draw) -> Self {
        draw.one(&[
            Self::RemoveMark,
            Self::ForgeMark,
            Self::ClaimReady,
            Self::ForgetApplied,
            Self::PointElsewhere,
            Self::Decorate,
        ])
    }

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

impl Edit {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Policy,
        Self::NoPolicy,
        Self::OperationPolicy,
        Self::Settings,
        Self::MoreOperations,
        Self::FewerOperations,
        Self::NoApi,
    ];

    pub(crate) fn draw(draw: &mut Draw) -> Self {
        draw.one(&Self::ALL)
    }

    /// Whether every sweep sees it; else only the slower rotation does.
    pub(crate) const fn is_seen_fast(self) -> bool {
        matches!(
            self,
            Self::Policy | Self::NoPolicy | Self::Settings | Self::NoApi
        )
    }

    /// What it is, for the tally.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::NoPolicy => "policy deleted",
            Self::OperationPolicy => "operation's policy",
            Self::Settings => "settings",
            Self::MoreOperations => "operation added",
            Self::FewerOperations => "operation deleted",
            Self::NoApi => "API deleted",
        }
    }
}

impl Whose {
    /// What it is, for the tally.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::OtherCluster => "another cluster",
            Self::OtherObject => "another object",
        }
    }
}
