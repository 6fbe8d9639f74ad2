//! What others changed: one task per instance looks, the reconcile decides.
//!
//! The [`Ledger`] stands between them. A reconcile that finds everything in
//! place writes there what a sweep must compare with; a sweep that finds
//! something else writes there what it saw and asks for a reconcile. Nothing of
//! it is kept elsewhere: after a start the first sweep reads the policy
//! documents once and knows their ETags again.

mod ingress;
pub(crate) mod judge;
mod ledger;
mod sweep;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use ledger::Known;
pub use ledger::Ledger;
pub(crate) use task::{Parts, start};
