//! How much of everything a tier takes.

use std::fmt;

use super::Tier;

/// From this share of a limit on, in percent, there is a warning.
pub const NEAR_PERCENT: u64 = 80;

/// What a service has a limited number of. Azure counts versions and revisions
/// too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Operations of all APIs together.
    Operations,
    /// Tags.
    Tags,
    /// Named values.
    NamedValues,
    /// Loggers.
    Loggers,
    /// Products.
    Products,
    /// Subscriptions.
    Subscriptions,
    /// Self-hosted gateways.
    Gateways,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Operations,
        Self::Tags,
        Self::NamedValues,
        Self::Loggers,
        Self::Products,
        Self::Subscriptions,
        Self::Gateways,
    ];

    /// The limit's name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operations => "API operations",
            Self::Tags => "API tags",
            Self::NamedValues => "named values",
            Self::Loggers => "loggers",
            Self::Products => "products",
            Self::Subscriptions => "subscriptions",
            Self::Gateways => "self-hosted gateways",
        }
    }

    /// The list below the service that holds them, as ARM spells it; none for
    /// operations, which lie below each API.
    #[must_use]
    pub const fn list(self) -> Option<&'static str> {
        match self {
            Self::Operations => None,
            Self::Tags => Some("tags"),
            Self::NamedValues => Some("namedValues"),
            Self::Loggers => Some("loggers"),
            Self::Products => Some("products"),
            Self::Subscriptions => Some("subscriptions"),
            Self::Gateways => Some("gateways"),
        }
    }
}

/// The limits of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest policy document, in bytes.
    pub policy_document: usize,
    /// Operations of one API; none where only the total counts.
    pub operations_per_api: Option<u64>,
    /// In the order of [`Resource::ALL`]; none where the tier has no such
    /// thing or the number is not known.
    resources: [Option<u64>; 7],
}

const KIB: usize = 1024;

impl Tier {
    /// What the tier takes.
    #[must_use]
    pub const fn limits(self) -> Limits {
        // Operations, tags, named values, loggers, products, subscriptions,
        // self-hosted gateways: the table of 2026.
        let resources = match self {
            Self::Consumption => [
                Some(3_000),
                Some(1_500),
                Some(5_000),
                Some(100),
                Some(100),
                None,
                None,
            ],
            Self::Developer => [
                Some(3_000),
                Some(1_500),
                Some(5_000),
                Some(100),
                Some(100),
                Some(10_000),
                Some(5),
            ],
            Self::Basic | Self::BasicV2 => [
                Some(10_000),
                Some(1_500),
                Some(5_000),
                Some(100),
                Some(200),
                Some(15_000),
                None,
            ],
            Self::Standard | Self::StandardV2 => [
                Some(50_000),
                Some(2_500),
                Some(10_000),
                Some(200),
                Some(500),
                Some(25_000),
                None,
            ],
            Self::Premium => [
                Some(75_000),
                Some(15_000),
                Some(18_000),
                Some(400),
                Some(2_000),
                Some(75_000),
                Some(100),
            ],
            Self::PremiumV2 => [
                Some(75_000),
                Some(15_000),
                Some(18_000),
                Some(400),
                Some(2_000),
                Some(75_000),
                None,
            ],
            Self::Other => [None; 7],
        };
        Limits {
            policy_document: match self {
                Self::Consumption => 16 * KIB,
                _ => 256 * KIB,
            },
            // Seen in April 2026: "You've reached the maximum number of
            // Operations (100) in API".
            operations_per_api: match self {
                Self::BasicV2 => Some(100),
                _ => None,
            },
            resources,
        }
    }

    /// The largest policy document in bytes.
    #[must_use]
    pub const fn max_document_bytes(self) -> usize {
        self.limits().policy_document
    }

    /// Whether there are self-hosted gateways ("Applies to: Developer, Premium").
    pub fn check_gateways(self) -> Result<(), String> {
        let limits = self.limits();
        if self == Self::Other || limits.of(Resource::Gateways).is_some() {
            return Ok(());
        }
        Err(format!(
            "{self} has no {}; use an instance of tier Developer or Premium",
            Resource::Gateways.name()
        ))
    }

    /// Whether an API may have so many operations.
    pub fn check_operations(self, count: usize) -> Result<(), Exceeded> {
        let limit = self.limits().operations_per_api;
        let value = u64::try_from(count).unwrap_or(u64::MAX);
        match limit {
            Some(limit) if value > limit => Err(Exceeded {
                name: "operations per API",
                value,
                limit,
                tier: self,
                way_out: "split the document into several ExposedAPIs, or use an instance of another tier",
            }),
            _ => Ok(()),
        }
    }
}

impl Limits {
    /// How many of it there may be.
    #[must_use]
    pub fn of(&self, resource: Resource) -> Option<u64> {
        Resource::ALL
            .iter()
            .zip(self.resources)
            .find_map(|(known, limit)| limit.filter(|_| *known == resource))
    }
}

/// A limit of a tier that something would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{value} exceed the limit `{name}` of {tier}, which is {limit}; {way_out}")]
pub struct Exceeded {
    /// The limit.
    pub name: &'static str,
    /// What was asked for.
    pub value: u64,
    /// What there may be.
    pub limit: u64,
    /// The tier that says so.
    pub tier: Tier,
    /// What to do.
    pub way_out: &'static str,
}

/// How much of a limited resource a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What.
    pub resource: Resource,
    /// How many there are.
    pub count: u64,
    /// How many there may be.
    pub limit: u64,
}

impl Usage {
    /// A count of a resource that the tier limits.
    #[must_use]
    pub fn of(tier: Tier, resource: Resource, count: u64) -> Option<Self> {
        let limit = tier.limits().of(resource)?;
        Some(Self {
            resource,
            count,
            limit,
        })
    }

    /// Whether it is time to do something: [`NEAR_PERCENT`] of the limit.
    #[must_use]
    pub const fn is_near(&self) -> bool {
        self.count.saturating_mul(100) >= self.limit.saturating_mul(NEAR_PERCENT)
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resource,
            count,
            limit,
        } = self;
        write!(f, "{count} of at most {limit} {}", resource.name())
    }
}
