//! When a sweep reads.

use std::time::Duration;

use proptest::prelude::*;

use crate::drift::schedule::*;

/// Azure's own budget.
const RATE: f64 = 25.0;
const TEN_MINUTES: Duration = Duration::from_mins(10);

fn ten_thousand() -> Sizes {
    Sizes {
        listed: 10_000,
        watched: 10_000,
        rotation: 120_000,
    }
}

#[test]
fn ten_thousand_apis_are_ten_thousand_one_hundred_reads_in_less_than_440_seconds() {
    let cycle = Cycle::new(TEN_MINUTES, RATE, ten_thousand());
    assert_eq!(cycle.fast.reads, 10_100);
    assert_eq!(cycle.fast.time(), Duration::from_secs(404));
    // What is left of the interval is the rotation's.
    assert_eq!(cycle.slow.reads, 4_900);
    assert_eq!(cycle.length, TEN_MINUTES);
    let period = cycle.rotation_period(ten_thousand());
    assert_eq!(period, Duration::from_hours(25) / 6);
}

#[test]
fn a_hundred_apis_are_spread_over_the_interval_and_the_rotation_over_six() {
    let sizes = Sizes {
        listed: 100,
        watched: 100,
        rotation: 1_200,
    };
    let cycle = Cycle::new(TEN_MINUTES, RATE, sizes);
    assert_eq!(cycle.fast.reads, 101);
    assert!(cycle.fast.gap > Duration::from_millis(3_900), "{cycle:?}");
    assert_eq!(cycle.slow.reads, 200);
    assert_eq!(cycle.slow.gap, Duration::from_secs(1));
    assert_eq!(cycle.rotation_period(sizes), Duration::from_hours(1));
}

#[test]
fn a_service_without_apis_is_still_read_once() {
    let cycle = Cycle::new(TEN_MINUTES, RATE, Sizes::default());
    assert_eq!(cycle.fast.reads, 1);
    assert_eq!(cycle.slow.reads, 0);
    assert_eq!(cycle.rotation_period(Sizes::default()), TEN_MINUTES);
}

#[test]
fn throttling_halves_the_rate_and_what_goes_well_brings_it_back() {
    let mut governor = Governor::new(RATE);
    governor.throttled();
    assert!((governor.rate() - 12.5).abs() < 1e-9);
    let mut reads = 0;
    while governor.rate() < RATE {
        governor.served();
        reads += 1;
    }
    assert!((499..=501).contains(&reads), "{reads}");
    for _ in 0..20 {
        governor.throttled();
    }
    // Never so slow that nothing is seen any more.
    assert!(
        governor.gap() <= Duration::from_millis(1_281),
        "{governor:?}"
    );
}

#[test]
fn a_pause_is_not_followed_by_a_burst() {
    let gap = Duration::from_millis(100);
    let mut pacer = Pacer::new(Duration::ZERO);
    assert_eq!(pacer.due(Duration::ZERO, gap), Duration::ZERO);
    assert_eq!(pacer.due(Duration::ZERO, gap), gap);
    // Ten seconds late: one second's worth is due at once, the next in time.
    let now = Duration::from_secs(10);
    let due: Vec<Duration> = (0..12).map(|_| pacer.due(now, gap)).collect();
    assert_eq!(due.iter().filter(|due| **due <= now).count(), 11);
    assert_eq!(due.last(), Some(&(now + gap)));
}

#[test]
fn the_first_sweep_leaves_a_start_half_an_interval() {
    assert_eq!(first(TEN_MINUTES, 0.0), TEN_MINUTES / 2);
    assert_eq!(first(TEN_MINUTES, 1.0), TEN_MINUTES);
    assert_eq!(first(TEN_MINUTES, 7.0), TEN_MINUTES);
}

proptest! {
    #[test]
    fn no_cycle_reads_faster_than_it_may_or_ends_before_its_time(
        interval in 1_u64..86_400,
        rate in 0.5_f64..1000.0,
        watched in 0_u64..50_000,
        others in 0_u64..50_000,
        rotation in 0_u64..1_000_000,
    ) {
        let interval = Duration::from_secs(interval);
        let sizes = Sizes { listed: watched + others, watched, rotation };
        let cycle = Cycle::new(interval, rate, sizes);
        let least = Duration::from_secs_f64(1.0 / rate);
        let grain = Duration::from_micros(1);
        prop_assert_eq!(cycle.fast.reads, sizes.fast());
        prop_assert!(cycle.fast.gap + grain >= least);
        prop_assert!(cycle.slow.reads == 0 || cycle.slow.gap + grain >= least);
        prop_assert!(cycle.length + grain >= interval);
        // The rotation goes on however much the fast part takes.
        prop_assert_eq!(cycle.slow.reads == 0, rotation == 0);
        prop_assert!(cycle.slow.reads <= rotation);
        prop_assert!(rotation == 0 || cycle.rotation_period(sizes) >= cycle.length);
        // At most 1.1 of what the budget allows where the interval is short.
        let minimum = Duration::from_secs_f64(1.0 / rate) * u32::try_from(sizes.fast()).unwrap();
        prop_assert!(cycle.fast.time() <= minimum.mul_f64(1.1).max(interval.mul_f64(0.7)) + grain);
    }

    #[test]
    fn reads_are_due_in_order_and_evenly(gap in 1_u64..10_000, late in prop::collection::vec(0_u64..500, 1..50)) {
        let gap = Duration::from_millis(gap);
        let mut pacer = Pacer::new(Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut last = None;
        for late in late {
            let due = pacer.due(now, gap);
            if let Some(last) = last {
                prop_assert!(due >= last + gap);
            }
            last = Some(due);
            now = now.max(due) + Duration::from_millis(late);
        }
    }
}
