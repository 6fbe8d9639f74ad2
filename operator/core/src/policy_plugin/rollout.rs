//! How a change of a plugin reaches the APIs that use it: in batches, the next
//! one only when the one before is published.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::spec::IntOrPercent;
use crate::names::ObjectKey;

/// How a change goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// How many APIs at once.
    pub batch: Batch,
    /// How long to wait between two batches.
    pub pause: Duration,
}

/// How many of a number of APIs; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// So many.
    Count(u32),
    /// Such a part of them, of 100.
    Percent(u32),
}

impl Batch {
    /// Reads a number of at least 1, or a percentage from 1 to 100.
    pub fn parse(text: &IntOrPercent) -> Result<Self, String> {
        match text {
            IntOrPercent::Count(0) => Err("is 0; write at least 1".to_owned()),
            IntOrPercent::Count(count) => Ok(Self::Count(*count)),
            IntOrPercent::Percent(text) => text
                .strip_suffix('%')
                .and_then(|number| number.parse().ok())
                .filter(|percent| (1..=100).contains(percent))
                .map(Self::Percent)
                .ok_or_else(|| {
                    format!(
                        "`{}` is not a percentage from `1%` to `100%`",
                        crate::annotations::nearest::shown(text)
                    )
                }),
        }
    }

    /// How many that is of `total`.
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        let count = match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Percent(percent) => {
                (total * usize::try_from(percent).unwrap_or(100)).div_ceil(100)
            }
        };
        count.clamp(1, total.max(1))
    }
}

/// How far a user of a plugin has come with the new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It has not been published with it.
    Pending,
    /// It is published with it, or does not need to be.
    Done,
    /// Rendering or API Management refused; the sentence says why.
    Refused(String),
}

/// A rollout that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wave {
    /// The APIs that are given the new version.
    pub admitted: BTreeSet<ObjectKey>,
    /// How far they have come.
    progress: BTreeMap<ObjectKey, Progress>,
    excused: BTreeSet<ObjectKey>,
}

/// What comes next in a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These APIs are given the new version.
    Admit(Vec<ObjectKey>),
    /// Some of those that were are not published yet.
    Wait,
    /// It went wrong for this API, for this reason: no other is given the new
    /// version.
    Stop(ObjectKey, String),
    /// All users have it.
    Complete,
}

impl Wave {
    /// Gives users the new version.
    pub fn admit(&mut self, keys: &[ObjectKey]) {
        self.admitted.extend(keys.iter().cloned());
    }

    /// Notes how far a user has come. What is not admitted does not count.
    pub fn report(&mut self, key: &ObjectKey, progress: Progress) {
        if self.admitted.contains(key) {
            self.progress.insert(key.clone(), progress);
        }
    }

    /// What becomes of this user does not count: it could not be published
    /// with the version before either.
    pub fn excuse(&mut self, key: &ObjectKey) {
        self.excused.insert(key.clone());
    }

    /// How many users have the new version.
    #[must_use]
    pub fn done(&self) -> usize {
        self.progress
            .values()
            .filter(|progress| **progress == Progress::Done)
            .count()
    }

    /// What comes next, for these users. A user that went away in between
    /// holds nothing up.
    #[must_use]
    pub fn next(&self, users: &BTreeSet<ObjectKey>, batch: Batch) -> Step {
        let admitted = users.iter().filter(|key| self.admitted.contains(key));
        let mut waits = false;
        for key in admitted {
            match self.progress.get(key) {
                Some(Progress::Done) => {}
                _ if self.excused.contains(key) => {}
                Some(Progress::Refused(why)) => return Step::Stop(key.clone(), why.clone()),
                Some(Progress::Pending) | None => waits = true,
            }
        }
        if waits {
            return Step::Wait;
        }
        let rest: Vec<ObjectKey> = users
            .iter()
            .filter(|key| !self.admitted.contains(key))
            .take(batch.of(users.len()))
            .cloned()
            .collect();
        if rest.is_empty() {
            Step::Complete
        } else {
            Step::Admit(rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    fn users(names: &[&str]) -> BTreeSet<ObjectKey> {
        names.iter().map(|name| key(name)).collect()
    }

    #[test]
    fn a_batch_is_at_least_one_and_at_most_all() {
        for (batch, total, expected) in [
            (Batch::Percent(10), 1000, 100),
            (Batch::Percent(10), 5, 1),
            (Batch::Percent(100), 7, 7),
            (Batch::Count(3), 10, 3),
            (Batch::Count(30), 10, 10),
        ] {
            assert_eq!(batch.of(total), expected);
        }
        assert_eq!(
            Batch::parse(&IntOrPercent::Percent("0%".to_owned())).unwrap_err(),
            "`0%` is not a percentage from `1%` to `100%`"
        );
        assert!(Batch::parse(&IntOrPercent::Count(0)).is_err());
    }

    #[test]
    fn the_next_batch_waits_for_the_one_before() {
        let users = users(&["a", "b", "c"]);
        let mut wave = Wave::default();
        let batch = Batch::Count(2);
        let first = vec![key("a"), key("b")];
        assert_eq!(wave.next(&users, batch), Step::Admit(first.clone()));
        wave.admit(&first);
        assert_eq!(wave.next(&users, batch), Step::Wait);
        wave.report(&key("a"), Progress::Done);
        assert_eq!(wave.next(&users, batch), Step::Wait);
        wave.report(&key("b"), Progress::Done);
        assert_eq!(wave.next(&users, batch), Step::Admit(vec![key("c")]));
        wave.admit(&[key("c")]);
        wave.report(&key("c"), Progress::Done);
        assert_eq!(wave.next(&users, batch), Step::Complete);
    }

    #[test]
    fn a_refusal_stops_the_rollout_and_names_the_api() {
        let users = users(&["a", "b"]);
        let mut wave = Wave::default();
        wave.admit(&[key("a")]);
        wave.report(&key("a"), Progress::Refused("429".to_owned()));
        assert_eq!(
            wave.next(&users, Batch::Count(1)),
            Step::Stop(key("a"), "429".to_owned())
        );
        // Mended, it goes on.
        wave.report(&key("a"), Progress::Done);
        assert_eq!(
            wave.next(&users, Batch::Count(1)),
            Step::Admit(vec![key("b")])
        );
    }

    #[test]
    fn a_user_that_was_broken_before_holds_nothing_up() {
        let mut wave = Wave::default();
        wave.admit(&[key("a")]);
        wave.excuse(&key("a"));
        wave.report(&key("a"), Progress::Refused("as before".to_owned()));
        assert_eq!(
            wave.next(&users(&["a", "b"]), Batch::Count(1)),
            Step::Admit(vec![key("b")])
        );
    }

    #[test]
    fn a_user_that_goes_away_holds_nothing_up() {
        let mut wave = Wave::default();
        wave.admit(&[key("a")]);
        assert_eq!(wave.next(&users(&[]), Batch::Count(1)), Step::Complete);
    }

    #[test]
    fn a_rollout_that_is_taken_up_again_waits_for_those_it_had_reached() {
        let users = users(&["a", "b", "c"]);
        let mut wave = Wave::default();
        wave.admit(&[key("a")]);
        assert_eq!(wave.next(&users, Batch::Count(1)), Step::Wait);
        wave.report(&key("a"), Progress::Done);
        assert_eq!(wave.done(), 1);
        assert_eq!(
            wave.next(&users, Batch::Count(1)),
            Step::Admit(vec![key("b")])
        );
    }
}
