//! Delta debugging (Zeller and Hildebrandt, 2002) over the steps of a schedule:
//! the smallest part that still fails, as far as leaving out one more step
//! shows.

use crate::schedule::{Schedule, Step};

/// The steps that are needed for `fails` to say yes. It is asked about `budget`
/// schedules at most.
pub async fn minimise(
    schedule: &Schedule,
    budget: u32,
    mut fails: impl AsyncFnMut(&Schedule) -> bool,
) -> Schedule {
    let mut steps = schedule.steps.clone();
    let mut parts = 2;
    let mut left = budget;
    while steps.len() > 1 && left > 0 {
        let mut smaller = None;
        for part in 0..parts {
            if left == 0 {
                break;
            }
            let candidate = without(&steps, part, parts);
            if candidate.len() == steps.len() {
                continue;
            }
            left -= 1;
            let tried = Schedule {
                steps: candidate,
                ..schedule.clone()
            };
            if fails(&tried).await {
                smaller = Some(tried.steps);
                break;
            }
        }
        match smaller {
            Some(fewer) => {
                steps = fewer;
                parts = (parts - 1).max(2);
            }
            None if parts >= steps.len() => break,
            None => parts = (parts * 2).min(steps.len()),
        }
    }
    Schedule {
        steps,
        ..schedule.clone()
    }
}

/// The steps without one of so many parts.
fn without(steps: &[Step], part: usize, parts: usize) -> Vec<Step> {
    let from = steps.len() * part / parts;
    let to = steps.len() * (part + 1) / parts;
    let (before, after) = (&steps[..from], &steps[to..]);
    before.iter().chain(after).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(slots: &[u8]) -> Schedule {
        let steps = slots.iter().map(|slot| Step::Delete { slot: *slot });
        Schedule {
            seed: 0,
            elected: false,
            sweeps: false,
            two: false,
            steps: steps.collect(),
        }
    }

    #[tokio::test]
    async fn what_is_not_needed_is_left_out() {
        let whole: Vec<u8> = (0..40).collect();
        let mut asked = 0;
        let smallest = minimise(&of(&whole), 500, async |tried| {
            asked += 1;
            let has = |slot| tried.steps.contains(&Step::Delete { slot });
            has(3) && has(17) && has(38)
        })
        .await;
        assert_eq!(smallest, of(&[3, 17, 38]));
        assert!(asked < 120, "{asked}");
    }

    #[tokio::test]
    async fn a_budget_that_is_spent_gives_what_was_found_until_then() {
        let whole: Vec<u8> = (0..40).collect();
        let mut asked = 0;
        let smallest = minimise(&of(&whole), 5, async |tried| {
            asked += 1;
            tried.steps.contains(&Step::Delete { slot: 3 })
        })
        .await;
        assert_eq!(asked, 5);
        assert!(smallest.steps.len() < 40 && smallest.steps.contains(&Step::Delete { slot: 3 }));
    }
}
