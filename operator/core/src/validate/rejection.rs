//! Why an object is not built, and what that means for what happens next.

use std::fmt;

use crate::class::ErrorClass;
use crate::problem::Problem;
use crate::status::reasons::Reason;

/// One thing that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The reason of the condition.
    pub reason: Reason,
    /// What happens next.
    pub class: ErrorClass,
    /// What to tell the owner.
    pub problem: Problem,
}

impl Finding {
    /// The input is wrong.
    #[must_use]
    pub const fn invalid(reason: Reason, problem: Problem) -> Self {
        Self {
            reason,
            class: ErrorClass::Invalid,
            problem,
        }
    }

    /// Something else must come first.
    #[must_use]
    pub const fn waiting(reason: Reason, problem: Problem) -> Self {
        Self {
            reason,
            class: ErrorClass::Waiting,
            problem,
        }
    }
}

/// An object that is not built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Rejection {
    /// What happens next: the gravest of the findings decides.
    pub class: ErrorClass,
    /// Why, for the condition.
    pub reason: Reason,
    /// All problems, those that decided first.
    pub problems: Vec<Problem>,
}

impl Rejection {
    /// A rejection for these findings. Without any, something was not
    /// understood that should have been found; that is a fault of this crate,
    /// and still no reason to publish anything.
    #[must_use]
    pub fn of(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|f| gravity(f.class));
        let (class, reason) = findings
            .first()
            .map_or((ErrorClass::Invalid, Reason::Rejected), |f| {
                (f.class, f.reason)
            });
        Self {
            class,
            reason,
            problems: findings.into_iter().map(|f| f.problem).collect(),
        }
    }

    /// A rejection for one finding.
    #[must_use]
    pub fn one(finding: Finding) -> Self {
        Self::of(vec![finding])
    }
}

/// Waiting helps nobody while the input is wrong.
const fn gravity(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Invalid => 0,
        ErrorClass::Denied => 1,
        ErrorClass::Conflict => 2,
        ErrorClass::Waiting => 3,
        ErrorClass::Throttled(_) => 4,
        ErrorClass::Transient => 5,
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::status::summary(&self.problems))
    }
}
