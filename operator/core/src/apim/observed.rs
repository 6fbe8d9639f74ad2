//! What was read of one API.

use std::collections::BTreeMap;

use super::parts::ObservedParts;
use super::revisions::ObservedRevisions;
use crate::desired::ApiSettings;
use crate::mark::OwnershipMark;
use crate::names::{ProductId, TagId};

/// The result of one read, or that it was not made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reading<T> {
    /// Nobody asked.
    #[default]
    NotRead,
    /// It does not exist.
    Absent,
    /// It does.
    Found(T),
}

impl<T> Reading<T> {
    /// What was found, if it was read and is there.
    pub const fn found(&self) -> Option<&T> {
        match self {
            Self::Found(value) => Some(value),
            Self::NotRead | Self::Absent => None,
        }
    }

    /// Whether the read was made.
    pub const fn was_read(&self) -> bool {
        !matches!(self, Self::NotRead)
    }
}

/// What was read of one API, and of what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The API; absent when there is none with that id.
    pub api: Option<ObservedApi>,
    /// Its policy document.
    pub policy: Reading<ObservedPolicy>,
    /// Its operations.
    pub operations: Reading<Vec<ObservedOperation>>,
    /// The policy documents of single operations, of those that were read.
    pub operation_policies: BTreeMap<String, Reading<ObservedPolicy>>,
    /// Whether products hold it, of those that were asked.
    pub products: BTreeMap<ProductId, bool>,
    /// Its tags and diagnostics, of those that were asked.
    pub parts: ObservedParts,
    /// Whether tags exist, of those that the operator makes and that were asked.
    pub tags: BTreeMap<TagId, bool>,
    /// Its revisions; read where one may be made or released.
    pub revisions: Option<ObservedRevisions>,
    /// The other APIs that hold the desired path; read where it is about to be
    /// taken.
    pub rivals: Vec<Rival>,
}

impl Observed {
    /// What was read of the revision that is being made.
    pub(super) fn draft(&self) -> Option<&Self> {
        self.revisions.as_ref()?.draft.as_deref()
    }
}

/// Another API that holds the desired path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// Its id.
    pub id: String,
    /// Its name in the portal.
    pub display_name: String,
    /// Its revision description, where a mark would stand.
    pub mark: Option<String>,
}

/// An API as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedApi {
    /// For `If-Match`.
    pub etag: Option<String>,
    /// The current revision's number.
    pub revision: String,
    /// The current revision's description, where our mark stands.
    pub mark: Option<String>,
    /// The descriptions of the other revisions; read only where the current
    /// one does not carry our mark.
    pub other_marks: Vec<String>,
    /// Its settings.
    pub settings: ApiSettings,
    /// Where requests go.
    pub service_url: Option<String>,
    /// `Succeeded`, `InProgress` or `Failed`, where the service says.
    pub provisioning: Option<String>,
}

impl ObservedApi {
    /// Whether the mark stands in any of its revisions, and no other such mark in
    /// the current one: who put that there has claimed the API since.
    #[must_use]
    pub fn carries(&self, mark: &str) -> bool {
        let current = self.mark.as_deref();
        if current == Some(mark) {
            return true;
        }
        let is_claimed = current.and_then(OwnershipMark::parse).is_some();
        !is_claimed && self.other_marks.iter().any(|other| other == mark)
    }

    /// Whether nothing is being done to it, as far as it says.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.provisioning
            .as_deref()
            .is_none_or(|state| state.eq_ignore_ascii_case("Succeeded"))
    }

    /// Whether something is being done to it.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.provisioning
            .as_deref()
            .is_some_and(|state| state.eq_ignore_ascii_case("InProgress"))
    }

    /// Whose it is, as far as its marks say: the first that is not empty.
    #[must_use]
    pub fn whose(&self) -> Option<String> {
        self.mark
            .iter()
            .chain(&self.other_marks)
            .find(|mark| !mark.is_empty())
            .cloned()
    }
}

/// An operation as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedOperation {
    /// Its id.
    pub id: String,
    /// The HTTP method.
    pub method: String,
    /// The URL template.
    pub url_template: String,
}

/// A policy document as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPolicy {
    /// Its text, read as `rawxml`.
    pub text: String,
    /// For `If-Match`.
    pub etag: Option<String>,
}
