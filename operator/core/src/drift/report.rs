//! What was found to differ.

use std::fmt;

use crate::apim::{AppliedRecord, PartState};
use crate::names::{ContentHash, ProductId};

/// The most differences that a text lists.
const MAX_LISTED: usize = 20;

/// Which part of an API was looked at: what is read of one part says nothing
/// of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// The API itself: whether it is there, whose it is, its settings.
    Api,
    /// Its policy document.
    Policy,
    /// Its operations, their policy documents, and the products that it is in.
    Operations,
    /// The Ingress in the cluster.
    Ingress,
    /// The backends that are its own.
    Backends,
}

/// What kind of thing differs; the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The API is gone.
    Deleted,
    /// The API does not carry the object's mark any more: it is not ours.
    Ownership,
    /// Another revision is current.
    Revision,
    /// Settings.
    Settings,
    /// The API's policy document.
    Policy,
    /// Operations were added, removed or changed.
    Operations,
    /// The policy document of one operation.
    OperationPolicy,
    /// A product does not hold the API any more.
    Products,
    /// A tag or a diagnostic of the API.
    Parts,
    /// A backend of its own.
    Backends,
    /// The Ingress.
    Ingress,
    /// The OpenID provider of the instance.
    OpenIdProvider,
}

impl Kind {
    /// The area that it belongs to.
    #[must_use]
    pub const fn area(self) -> Area {
        match self {
            Self::Deleted | Self::Ownership | Self::Revision | Self::Settings => Area::Api,
            Self::Policy => Area::Policy,
            Self::Operations | Self::OperationPolicy | Self::Products | Self::Parts => {
                Area::Operations
            }
            Self::Backends => Area::Backends,
            Self::Ingress | Self::OpenIdProvider => Area::Ingress,
        }
    }

    /// A stable, low-cardinality label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Ownership => "ownership",
            Self::Revision => "revision",
            Self::Settings => "settings",
            Self::Policy => "policy",
            Self::Operations => "operations",
            Self::OperationPolicy => "operation_policy",
            Self::Products => "products",
            Self::Parts => "parts",
            Self::Backends => "backends",
            Self::Ingress => "ingress",
            Self::OpenIdProvider => "openid_provider",
        }
    }
}

/// One place that differs. The texts hold no secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difference {
    /// What kind of thing.
    pub kind: Kind,
    /// Where, such as `serviceUrl` or `policy/inbound/rate-limit/@calls`.
    pub path: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// The operation, where it is one operation's policy document.
    pub operation: Option<String>,
}

impl Difference {
    /// A difference that is not of one operation's policy.
    pub fn new(
        kind: Kind,
        path: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            path: path.into(),
            expected: expected.into(),
            found: found.into(),
            operation: None,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            expected,
            found,
            ..
        } = self;
        write!(f, "{path}: expected {expected}, found {found}")
    }
}

/// All that differs of one API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DriftReport {
    /// Place by place.
    pub differences: Vec<Difference>,
}

impl DriftReport {
    /// Whether nothing differs.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// Whether the API is not the object's any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.differences.iter().any(|d| d.kind == Kind::Ownership)
    }

    /// The kinds, each once.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.differences.iter().map(|d| d.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

impl fmt::Display for DriftReport {
    /// One line per difference, the first twenty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.differences.iter().take(MAX_LISTED).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            difference.fmt(f)?;
        }
        match self.differences.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

/// Takes out of the record what is not in place, so that the next plan reads
/// it and puts it back; everything else stays believed.
pub fn forget(record: &mut AppliedRecord, report: &DriftReport) {
    for difference in &report.differences {
        match difference.kind {
            // A new API, or another current revision: nothing is known of it.
            Kind::Deleted | Kind::Ownership | Kind::Revision => {
                *record = AppliedRecord {
                    mandatory_hash: record.mandatory_hash,
                    ..record.emptied()
                };
                return;
            }
            Kind::Settings => record.settings_hash = None,
            Kind::Policy => record.policy_hash = None,
            Kind::Operations => record.spec_hash = None,
            Kind::OperationPolicy => {
                if let (Some(known), Some(operation)) =
                    (&mut record.operation_policies, &difference.operation)
                {
                    // A hash that no document has: the operation's policy is
                    // read, then put or deleted, whichever is wanted.
                    known.insert(operation.clone(), ContentHash::of("changed by others"));
                }
            }
            Kind::Products => {
                let gone = |product: &ProductId| difference.path == format!("products/{product}");
                record.products.retain(|product, _| !gone(product));
            }
            Kind::Parts => {
                for (id, state) in &mut record.parts {
                    let path = difference.path.strip_prefix(&id.to_string());
                    if path.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                        *state = PartState::Begun;
                    }
                }
            }
            Kind::Backends | Kind::Ingress | Kind::OpenIdProvider => {}
        }
    }
}
