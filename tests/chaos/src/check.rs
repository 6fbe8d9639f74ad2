//! The invariants. What must be at the end is compared with what the schedule
//! wanted; what may never be at any moment is looked for in everything that was
//! recorded. None of it asks the operator.

mod history;
mod state;
mod verdict;

pub(crate) use state::condition;

use std::fmt;

/// The names of the invariants.
pub(crate) mod rule {
    pub(crate) const CARRIED_OUT: &str = "the schedule can be carried out";
    pub(crate) const CONVERGED: &str = "the world is as it is wanted";
    pub(crate) const ORPHAN: &str = "nothing is left of what is gone";
    pub(crate) const UPDATE: &str = "what others wrote into an object stays";
    pub(crate) const STATUS: &str = "status says what is so";
    pub(crate) const FOREIGN: &str = "what is somebody else's is not touched";
    pub(crate) const EXPLAINED: &str = "every write was wanted by somebody";
    pub(crate) const GUARDED: &str = "writes to what exists name the state they replace";
    pub(crate) const PROTECTED: &str = "no operation can be called without its policy";
    pub(crate) const HONEST: &str = "nothing is called ready that is not there";
    pub(crate) const SECRET: &str = "no secret is told to anybody";
    pub(crate) const MOVED: &str = "what moves is always somewhere";
    pub(crate) const DRIFT: &str = "what others change is put back, told or left, as is asked";
    pub(crate) const REST: &str = "with nothing to do, nothing is written";
}

/// All invariants.
pub const RULES: [&str; 14] = [
    rule::CARRIED_OUT,
    rule::CONVERGED,
    rule::ORPHAN,
    rule::UPDATE,
    rule::STATUS,
    rule::FOREIGN,
    rule::EXPLAINED,
    rule::GUARDED,
    rule::PROTECTED,
    rule::HONEST,
    rule::SECRET,
    rule::MOVED,
    rule::DRIFT,
    rule::REST,
];

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: &'static str,
    /// What was found.
    pub found: String,
}

impl Violation {
    pub(crate) fn new(rule: &'static str, found: impl Into<String>) -> Self {
        let mut found = found.into();
        if let Some((cut, _)) = found.char_indices().nth(1_500) {
            found.truncate(cut);
            found.push('…');
        }
        Self { rule, found }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.rule, self.found)
    }
}
