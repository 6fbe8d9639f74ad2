//! The steps that a plan is made of, and why there is none.

use std::collections::BTreeSet;

use super::compare::SettingsPatch;
use super::guard::GuardError;
use super::parts::PartId;
use crate::names::{ApiId, ProductId, TagId, VersionSetId};

/// One step. Each is one ARM write, but for [`Step::ReadBack`] and
/// [`Step::Verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Our mark, on an API that is taken over: before anything else of it is
    /// changed, so that whatever dies, somebody looks after it.
    TakeOver,
    /// The API with its settings and our mark, without a document: nothing can
    /// be called yet.
    CreateWithoutOperations,
    /// The API's policy document.
    PutPolicy {
        /// Operations that it answers 503 for, since an import is about to
        /// make them and their own policy can only follow; empty: the document
        /// as it is desired.
        guard: BTreeSet<String>,
    },
    /// The policy document of one operation.
    PutOperationPolicy {
        /// Its id.
        operation: String,
    },
    /// Removes the policy document of one operation; costs a write only where
    /// there is one.
    DeleteOperationPolicy {
        /// Its id.
        operation: String,
    },
    /// The API is put into a product: from then on a key for the product opens
    /// it.
    EnterProduct {
        /// Its id.
        product: ProductId,
    },
    /// The API is taken out of a product.
    LeaveProduct {
        /// Its id.
        product: ProductId,
    },
    /// A tag of the namespace's own is made, for APIs to have it.
    MakeTag {
        /// Its id.
        tag: TagId,
        /// Its name in the portal.
        name: String,
    },
    /// A tag is put on the API, or a diagnostic below it is written.
    PutPart {
        /// Which.
        part: PartId,
    },
    /// A tag is taken off the API, or a diagnostic below it is deleted. A tag of
    /// the namespace's own that nobody has any more goes, too.
    RemovePart {
        /// Which.
        part: PartId,
    },
    /// The OpenAPI document, together with all settings.
    Import,
    /// The API is read, since an import can reset settings; [`repair`] says
    /// whether one more write follows.
    ReadBack,
    /// The settings that differ.
    PatchSettings(Box<SettingsPatch>),
    /// A new revision, as a copy of another, which callers do not reach.
    StartRevision {
        /// Its number.
        revision: u32,
        /// The number of the one that is copied.
        from: String,
    },
    /// One of the steps above, in a revision that callers do not reach.
    InRevision {
        /// Its number.
        revision: u32,
        /// What is done there.
        step: Box<Step>,
    },
    /// A new revision is read and, where that is asked for, called: it is
    /// released only where it is as it should be.
    Verify {
        /// Its number.
        revision: u32,
    },
    /// A revision becomes the one that callers reach.
    Release {
        /// Its number.
        revision: u32,
        /// The id of what says so.
        release: String,
    },
    /// A revision that callers do not reach is deleted.
    DropRevision {
        /// Its number.
        revision: u32,
    },
}

impl Step {
    /// What it does, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::TakeOver => "put the object's mark on the API".into(),
            Self::CreateWithoutOperations => "create the API without operations".into(),
            Self::PutPolicy { guard } if guard.is_empty() => "put the policy".into(),
            Self::PutPolicy { guard } => format!(
                "put the policy with a guard for {} new operation(s)",
                guard.len()
            ),
            Self::PutOperationPolicy { operation } => {
                format!("put the policy of operation {operation}")
            }
            Self::DeleteOperationPolicy { operation } => {
                format!("delete the policy of operation {operation}")
            }
            Self::EnterProduct { product } => format!("put the API into product {product}"),
            Self::LeaveProduct { product } => format!("take the API out of product {product}"),
            Self::MakeTag { tag, .. } => format!("make tag {tag}"),
            Self::PutPart { part } => format!("put {part}"),
            Self::RemovePart { part } => format!("remove {part}"),
            Self::Import => "import the OpenAPI document".into(),
            Self::ReadBack => "read the API after the import".into(),
            Self::PatchSettings(patch) => format!("patch {}", patch.fields().join(", ")),
            Self::StartRevision { revision, from } => {
                format!("make revision {revision} from revision {from}")
            }
            Self::InRevision { revision, step } => {
                format!("in revision {revision}: {}", step.describe())
            }
            Self::Verify { revision } => format!("verify revision {revision}"),
            Self::Release { revision, .. } => format!("release revision {revision}"),
            Self::DropRevision { revision } => format!("delete revision {revision}"),
        }
    }

    /// What is done, in whichever revision.
    #[must_use]
    pub fn inner(&self) -> &Self {
        match self {
            Self::InRevision { step, .. } => step,
            step => step,
        }
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is an API with this id, and it is not this object's.
    #[error("API `{api_id}` exists in API Management and is not this object's: {}; it is left alone. Choose another id, delete that API, or have it taken over (annotation apim.oda.tmforum.org/adoption, where the instance allows it)", whose.as_deref().map_or_else(|| "it carries no mark of this operator".to_owned(), |mark| format!("its revision description is `{mark}`")))]
    NotOurs {
        /// Its id.
        api_id: String,
        /// What its revision description says.
        whose: Option<String>,
    },
    /// There is an API with this id, and it is another object's of this
    /// cluster.
    #[error(
        "API `{api_id}` belongs to ExposedAPI `{owner}` of this cluster, as its mark says, and is never taken over; choose another id, or delete that object with deletion-policy Retain first"
    )]
    OtherObjects {
        /// The API's id.
        api_id: String,
        /// `<namespace>/<name>` of its owner.
        owner: String,
    },
    /// There is an API with this id, and it may be taken over only if it
    /// equals what is desired, which it does not.
    #[error("API `{api_id}` exists in API Management and is not taken over, since adoption is `Match` and it differs in {}; make them equal, or let the annotation say `Override`", differs.join(", "))]
    NotEqual {
        /// Its id.
        api_id: String,
        /// What differs.
        differs: Vec<String>,
    },
    /// Another API holds the path.
    #[error(
        "path `{path}` is held by API `{rival}` (`{display_name}`) of the same API Management instance, {whose}; choose another `spec.path`, or free that one"
    )]
    PathTaken {
        /// The path.
        path: String,
        /// The other API's id.
        rival: String,
        /// Its name in the portal.
        display_name: String,
        /// Whose it is, as a clause.
        whose: String,
    },
    /// The version set of this id is somebody else's.
    #[error("version set `{set}` exists in API Management and is not this operator's: {}; it is left alone. Name another set (annotation apim.oda.tmforum.org/version-set), or delete that one", if whose.is_empty() { "it carries no mark of this operator".to_owned() } else { format!("its description is `{whose}`") })]
    SetNotOurs {
        /// Its id.
        set: VersionSetId,
        /// What its description says.
        whose: String,
    },
    /// The page of this id is somebody else's.
    #[error("documentation `{page}` exists in API Management and is not this object's: {}; it is left alone. Delete it there, remove the annotation apim.oda.tmforum.org/wiki, or have it taken over (annotation apim.oda.tmforum.org/adoption: Override, where the instance allows it)", whose.as_deref().map_or_else(|| "it carries no mark of this operator".to_owned(), |mark| format!("its mark is `{mark}`")))]
    PageNotOurs {
        /// Its id.
        page: ApiId,
        /// The mark in it.
        whose: Option<String>,
    },
    /// There is no such revision to go back to.
    #[error("API `{api_id}` has no revision {revision} of this object that callers could be led back to; {}", if there.is_empty() { "there is none but the one that they reach: remove the annotation apim.oda.tmforum.org/rollback".to_owned() } else { format!("there is {}", listed(there)) })]
    NoRevision {
        /// The API's id.
        api_id: String,
        /// What the annotation asks for.
        revision: u32,
        /// Those of the object that callers do not reach.
        there: Vec<u32>,
    },
    /// What the platform made mandatory may not be in that revision.
    #[error(
        "revision {revision} was made before what the platform makes mandatory now, which a rollback would take off; change the object instead, and remove the annotation apim.oda.tmforum.org/rollback"
    )]
    NotMandatory {
        /// What the annotation asks for.
        revision: u32,
    },
    /// The object is of a type that does not go to API Management.
    #[error("the object has no API in API Management")]
    NoApi,
    /// The policy documents are not there; without them nothing is published.
    #[error("the policy documents have not been rendered")]
    NoPolicy,
    /// The exposure has no address yet.
    #[error("the backend URL is not known yet")]
    NoServiceUrl,
    /// A policy document is for an operation that the document does not make.
    #[error("the OpenAPI document makes no operation `{0}`, for which a policy is configured")]
    UnknownOperation(String),
    /// No guard can be put into the policy document.
    #[error(transparent)]
    Guard(#[from] GuardError),
}

fn listed(numbers: &[u32]) -> String {
    let all: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    all.join(", ")
}
