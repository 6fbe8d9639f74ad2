//! How fast time passes for pauses and periods.
//!
//! Tests of what happens over hours run with a compressed pace; an operator in
//! service runs at [`Pace::REAL`]. Pauses, periods and a server's `Retry-After`
//! are compressed. Time-outs are not: a call takes as long as it takes.

use std::num::NonZeroU32;
use std::time::Duration;

/// No pause becomes shorter than this, or a loop would not rest at all.
const SHORTEST: Duration = Duration::from_millis(1);

/// By how much every pause is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(NonZeroU32);

impl Pace {
    /// As it is.
    pub const REAL: Self = Self(NonZeroU32::MIN);

    /// So many times faster.
    #[must_use]
    pub const fn times(factor: NonZeroU32) -> Self {
        Self(factor)
    }

    /// The pause at this pace. Nothing stays nothing.
    #[must_use]
    pub fn of(self, pause: Duration) -> Duration {
        if self == Self::REAL {
            return pause;
        }
        (pause / self.0.get()).max(SHORTEST.min(pause))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::REAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_pause_is_shorter_and_never_nothing() {
        let fast = Pace::times(NonZeroU32::new(100).unwrap());
        let compressed = [0, 1, 50, 5000].map(|ms| fast.of(Duration::from_millis(ms)).as_millis());
        assert_eq!(compressed, [0, 1, 1, 50]);
        assert_eq!(
            Pace::REAL.of(Duration::from_micros(7)),
            Duration::from_micros(7)
        );
    }
}
