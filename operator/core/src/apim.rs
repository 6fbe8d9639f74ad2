//! What has to be read and written in API Management so that one API is as
//! desired: decided here, without I/O, and nowhere else.
//!
//! Three questions, each a pure function:
//! - [`reads`]: what must be read before anything can be decided (nothing, when
//!   the record says that all is in place);
//! - [`plan`]: which steps lead from what was read to what is desired;
//! - [`repair`]: what an import reset.
//!
//! The order of the steps keeps one promise: **at no moment, whatever dies,
//! can an operation be called without the policy that protects it.** An API
//! starts without operations, gets its policy, and only then its operations.
//! Operations that have policy documents of their own cannot have them before
//! they exist; until they have, a [guard](mod@guard) in the API's document
//! answers 503 for them.

mod adopt;
mod changes;
mod compare;
pub mod guard;
mod observed;
pub mod parts;
mod pending;
mod plan;
mod products;
mod reads;
mod record;
mod revisions;
mod step;
#[cfg(test)]
mod tests;

pub use adopt::{Standing, same_path, standing, takes_path};
pub use changes::{
    ArmCall, Changes, DocumentChange, FieldChange, OperationChange, OperationChanges, PlanSummary,
    PolicyChange, ProductChange, changes, policy_changes,
};
pub(crate) use compare::layout_free;
pub use compare::{SettingsPatch, difference, same_document};
pub use observed::{Observed, ObservedApi, ObservedOperation, ObservedPolicy, Reading, Rival};
pub use parts::{
    DesiredPart, DesiredParts, ObservedPart, PartChange, PartId, PartState, PartStates,
};
pub use pending::{PendingImport, PollShape};
pub use plan::{Published, plan, policy_text, repair};
pub use products::{Membership, Memberships};
pub use reads::{OperationPolicyReads, Reads, RevisionReads, confirmation, confirmed, reads};
pub use record::{AppliedRecord, Move, Place, settings_hash};
pub use revisions::{
    Draft, ObservedRevision, ObservedRevisions, differing_in_revision, in_revision,
};
pub use step::{PlanError, Step};
