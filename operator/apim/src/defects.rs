//! Known mistakes, to be switched on where a test of tests must find them.
//!
//! Compiled with the feature `defects` only, which nothing that is shipped has:
//! there the code has no such switch.

use std::sync::atomic::{AtomicU8, Ordering};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Defect {
    /// APIs are written without a mark, and every API counts as marked.
    SkipsMark = 1,
    /// Objects can go before the operator has cleaned up.
    ForgetsFinalizer,
    /// Writes replace whatever is there, so that a conflict is never noticed
    /// and nothing is read again.
    WritesBlindly,
    /// An API that has moved stays where it was as well.
    ForgetsWhereItWas,
    /// What others changed is put back although it is only to be reported.
    CorrectsWhatIsReported,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::SkipsMark,
        Self::ForgetsFinalizer,
        Self::WritesBlindly,
        Self::ForgetsWhereItWas,
        Self::CorrectsWhatIsReported,
    ];
}

static ON: AtomicU8 = AtomicU8::new(0);

/// Makes this mistake from now on, in the whole process; `None`: no mistake.
pub fn switch_on(defect: Option<Defect>) {
    ON.store(defect.map_or(0, |defect| defect as u8), Ordering::SeqCst);
}

/// Whether the mistake is made.
#[must_use]
pub fn is_on(defect: Defect) -> bool {
    ON.load(Ordering::SeqCst) == defect as u8
}
