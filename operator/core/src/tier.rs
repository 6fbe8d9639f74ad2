//! What an API Management service can do, and how much of it: one table from
//! the tier (SKU), the kind of its gateway and its virtual network.
//!
//! The numbers are those of "API Management limits" in Azure's documentation
//! (the resource limits of 2026 included), the missing policies those of its
//! policy reference ("Gateways"). Whatever comes to be written to a service
//! later finds its limit here, so that nothing is sent that the tier refuses
//! for a reason that was known.

mod host;
mod limits;
#[cfg(test)]
mod tests;

use std::fmt;

pub use host::{HostName, PublishedAt, configuration_endpoint, published_at};
pub use limits::{Exceeded, Limits, NEAR_PERCENT, Resource, Usage};

/// The pricing tier of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Shared gateways, billed per call.
    Consumption,
    /// For development, without a service level.
    Developer,
    /// The first generation's smallest.
    Basic,
    /// The second generation's smallest.
    BasicV2,
    /// The first generation's medium one.
    Standard,
    /// The second generation's medium one.
    StandardV2,
    /// The first generation's largest.
    Premium,
    /// The second generation's largest.
    PremiumV2,
    /// One that this program does not know. Nothing is refused for it but what
    /// no tier takes.
    Other,
}

/// The kind of gateway that a tier has. Azure's policy reference says for each
/// policy on which of them it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gateway {
    /// Shared by many services; it has no place to count calls by key.
    Consumption,
    /// The service's own, of the first generation.
    Classic,
    /// The service's own, of the second generation.
    V2,
}

/// How a service is joined to a virtual network (`virtualNetworkType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Network {
    /// It is not.
    #[default]
    None,
    /// Its gateway is reached from the internet and reaches into the network.
    External,
    /// Its gateway is reached from inside the network only.
    Internal,
}

impl Network {
    /// As ARM spells it; what is not known counts as none.
    #[must_use]
    pub fn from_arm(name: &str) -> Self {
        [Self::External, Self::Internal]
            .into_iter()
            .find(|network| network.to_string().eq_ignore_ascii_case(name))
            .unwrap_or_default()
    }

    /// What whoever publishes in such a service should know, if anything.
    #[must_use]
    pub const fn note(self) -> Option<&'static str> {
        match self {
            Self::None | Self::External => None,
            Self::Internal => Some(
                "the gateway is reached from inside its virtual network only; callers elsewhere need a \
                 gateway of their own in front of it",
            ),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::External => "External",
            Self::Internal => "Internal",
        })
    }
}

impl Tier {
    /// Every tier that is known.
    pub const ALL: [Self; 8] = [
        Self::Consumption,
        Self::Developer,
        Self::Basic,
        Self::BasicV2,
        Self::Standard,
        Self::StandardV2,
        Self::Premium,
        Self::PremiumV2,
    ];

    /// The tier of an SKU as `sku.name` of the service resource says it.
    #[must_use]
    pub fn from_sku(name: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|tier| tier.sku().eq_ignore_ascii_case(name))
            .unwrap_or(Self::Other)
    }

    /// ARM's spelling.
    #[must_use]
    pub const fn sku(self) -> &'static str {
        match self {
            Self::Consumption => "Consumption",
            Self::Developer => "Developer",
            Self::Basic => "Basic",
            Self::BasicV2 => "BasicV2",
            Self::Standard => "Standard",
            Self::StandardV2 => "StandardV2",
            Self::Premium => "Premium",
            Self::PremiumV2 => "PremiumV2",
            Self::Other => "unknown",
        }
    }

    /// The kind of its gateway.
    #[must_use]
    pub const fn gateway(self) -> Gateway {
        match self {
            Self::Consumption => Gateway::Consumption,
            Self::BasicV2 | Self::StandardV2 | Self::PremiumV2 => Gateway::V2,
            Self::Developer | Self::Basic | Self::Standard | Self::Premium | Self::Other => {
                Gateway::Classic
            }
        }
    }

    /// Why a policy statement cannot be used, with the way out; none where it
    /// can.
    #[must_use]
    pub fn lacks(self, policy: &str) -> Option<String> {
        let missing = MISSING_POLICIES
            .iter()
            .find(|missing| missing.policies.contains(&policy) && missing.on.contains(&self))?;
        Some(format!(
            "'{policy}' does not exist on {self}; {}",
            missing.way_out
        ))
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("API Management"),
            known => write!(f, "the {} tier", known.sku()),
        }
    }
}

/// Policies that do not exist on some tiers.
struct Missing {
    policies: &'static [&'static str],
    on: &'static [Tier],
    way_out: &'static str,
}

const MISSING_POLICIES: [Missing; 2] = [
    // Policy reference, "Gateways": a shared gateway has nothing to count in.
    Missing {
        policies: &[
            "rate-limit-by-key",
            "quota-by-key",
            "azure-openai-token-limit",
            "llm-token-limit",
        ],
        on: &[Tier::Consumption],
        way_out: "use another policy or an instance of another tier",
    },
    // Policy reference, "Applies to: Developer, Premium": they are carried out
    // by a self-hosted gateway.
    Missing {
        policies: &["invoke-dapr-binding", "publish-to-dapr"],
        on: &[
            Tier::Consumption,
            Tier::Basic,
            Tier::BasicV2,
            Tier::Standard,
            Tier::StandardV2,
            Tier::PremiumV2,
        ],
        way_out: "it needs a self-hosted gateway: use an instance of tier Developer or Premium",
    },
];
