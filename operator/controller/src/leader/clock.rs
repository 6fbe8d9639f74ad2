//! The local clock of an election.

use std::time::Duration;

use operator_core::retry::Moment;
use rustix::time::{ClockId, clock_gettime};

/// The time since the machine was started, which nobody can set, and which goes
/// on while the machine sleeps: a replica on a machine that was suspended must
/// not believe that no time has passed.
pub(crate) fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn the_clock_never_goes_back() {
        let mut last = now();
        for _ in 0..1000 {
            let next = now();
            assert!(next >= last);
            last = next;
        }
    }
}
