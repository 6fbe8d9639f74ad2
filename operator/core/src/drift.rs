//! What others changed in API Management: when to look, and what is found.
//!
//! A sweep reads what is there and compares [fingerprints](Fingerprint), which
//! are small enough to be kept for every API. Only where one differs is the
//! thing itself read and [compared](compare) with the desired state, field by
//! field. Everything here is a pure function; what to do about a difference is
//! the reconcile's to decide, by the object's annotation `drift`.
//!
//! What API Management rewrites on its own (the indentation of a policy, a
//! leading `/` of a path, the order of protocols, fields that come back as
//! null) is never a difference: both ways of comparing see meaning, not text.

mod compare;
mod fingerprint;
mod redact;
mod report;
pub mod schedule;
#[cfg(test)]
mod tests;
mod watched;

pub use compare::compare;
pub use fingerprint::Fingerprint;
pub use redact::redacted;
pub use report::{Area, Difference, DriftReport, Kind, forget};
pub use watched::{KnownEtags, Verdict, Watched};
