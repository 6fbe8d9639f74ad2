//! How many objects may be worked on in one API Management instance at a time.
//!
//! The controller has so many workers for everything. An instance that does not
//! answer would keep all of them, each waiting for its time-out, and no object
//! of another instance would be looked at. So an instance has a share of them,
//! and an object that finds it taken gives its worker back and waits in line,
//! without anybody waiting for it: when its turn comes, a reconcile is asked
//! for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use operator_core::names::{InstanceName, ObjectKey};
use parking_lot::Mutex;

use crate::watch::Triggers;

/// How long a place is kept for an object whose turn has come. Its reconcile
/// follows at once, unless the object is gone.
const KEPT: Duration = Duration::from_secs(10);

/// What asks for the reconcile of an object whose turn has come.
const CAUSE: &str = "Turn";

/// The lines in front of all instances.
#[derive(Clone)]
pub struct Slots(Arc<Inner>);

struct Inner {
    limit: usize,
    triggers: Triggers,
    lines: Mutex<HashMap<InstanceName, Line>>,
}

#[derive(Debug, Default)]
struct Line {
    busy: usize,
    waiting: VecDeque<ObjectKey>,
    /// Who will have to call the instance, and has no address yet.
    expected: HashSet<ObjectKey>,
    /// Whose turn has come, and since when.
    called: HashMap<ObjectKey, Instant>,
}

/// A place that is taken until this is dropped.
pub struct Slot {
    slots: Slots,
    instance: InstanceName,
}

impl Line {
    /// Takes a place, or one in the line.
    fn enter(&mut self, key: &ObjectKey, limit: usize, now: Instant) -> bool {
        self.expected.remove(key);
        let kept = self.called.remove(key).is_some();
        if kept || self.is_open(limit, now) {
            self.busy += 1;
            return true;
        }
        if !self.waiting.contains(key) {
            self.waiting.push_back(key.clone());
        }
        false
    }

    /// Takes an object that has no address out of the line until it has one.
    fn expect(&mut self, key: &ObjectKey) {
        self.forget(key);
        self.expected.insert(key.clone());
    }

    /// One got its address: whether it is in line, and will be called. Where
    /// not, it may come at once; where it was expected, a place is kept for it.
    fn arrive(&mut self, key: &ObjectKey, limit: usize, now: Instant) -> bool {
        if !self.expected.remove(key) {
            return self.called.contains_key(key) || self.waiting.contains(key);
        }
        let open = self.is_open(limit, now);
        if open {
            self.called.insert(key.clone(), now);
        } else {
            self.waiting.push_back(key.clone());
        }
        !open
    }

    /// Whether somebody who comes need not wait.
    fn is_open(&mut self, limit: usize, now: Instant) -> bool {
        self.free(limit, now) > 0 && self.waiting.is_empty()
    }

    /// Gives a place back.
    fn leave(&mut self) {
        self.busy = self.busy.saturating_sub(1);
    }

    /// Gives back the place of one that came since it was called, and had
    /// nothing to do.
    fn pass(&mut self, key: &ObjectKey, came: Instant) -> bool {
        let passes = self.called.get(key).is_some_and(|called| *called <= came);
        passes && self.called.remove(key).is_some()
    }

    /// Takes an object that is gone out of the line.
    fn forget(&mut self, key: &ObjectKey) {
        self.called.remove(key);
        self.expected.remove(key);
        self.waiting.retain(|waiting| waiting != key);
    }

    /// Those whose turns have come.
    fn call(&mut self, limit: usize, now: Instant) -> Vec<ObjectKey> {
        let free = self.free(limit, now);
        let next: Vec<ObjectKey> = (0..free).map_while(|_| self.waiting.pop_front()).collect();
        self.called
            .extend(next.iter().map(|key| (key.clone(), now)));
        next
    }

    fn free(&mut self, limit: usize, now: Instant) -> usize {
        self.called.retain(|_, since| now < *since + KEPT);
        limit.saturating_sub(self.busy + self.called.len())
    }
}

impl Slots {
    /// So many places in each instance.
    #[must_use]
    pub fn new(limit: usize, triggers: Triggers) -> Self {
        Self(Arc::new(Inner {
            limit: limit.max(1),
            triggers,
            lines: Mutex::default(),
        }))
    }

    /// Takes a place in an instance. Nothing where all are taken: the object is
    /// in line then, and a reconcile is asked for when its turn comes.
    #[must_use]
    pub fn enter(&self, instance: &InstanceName, key: &ObjectKey) -> Option<Slot> {
        let mut lines = self.0.lines.lock();
        let line = lines.entry(instance.clone()).or_default();
        let entered = line.enter(key, self.0.limit, Instant::now());
        self.call(line);
        entered.then(|| Slot {
            slots: self.clone(),
            instance: instance.clone(),
        })
    }

    /// Notes that an object will have to call the instance once it has an
    /// address. Nobody calls it before: it could do nothing.
    pub fn expect(&self, instance: &InstanceName, key: &ObjectKey) {
        let mut lines = self.0.lines.lock();
        let line = lines.entry(instance.clone()).or_default();
        line.expect(key);
        self.call(line);
    }

    /// An object got its address: whether that is looked at in its turn, with
    /// one reconcile for both, because it stands in line or was called and has
    /// not come yet. One that was expected takes its place in the line where
    /// there is one, and else is to come at once.
    #[must_use]
    pub fn arrives(&self, key: &ObjectKey) -> bool {
        let now = Instant::now();
        let mut lines = self.0.lines.lock();
        let mut waits = false;
        for line in lines.values_mut() {
            waits |= line.arrive(key, self.0.limit, now);
        }
        waits
    }

    /// A reconcile has ended that began at this moment: should its turn have
    /// come, and no place have been taken, it is the next one's turn.
    pub fn ended(&self, key: &ObjectKey, began: Instant) {
        for line in self.0.lines.lock().values_mut() {
            if line.pass(key, began) {
                self.call(line);
            }
        }
    }

    /// Takes an object that is gone out of all lines.
    pub fn forget(&self, key: &ObjectKey) {
        for line in self.0.lines.lock().values_mut() {
            line.forget(key);
            self.call(line);
        }
    }

    fn call(&self, line: &mut Line) {
        for key in line.call(self.0.limit, Instant::now()) {
            self.0.triggers.one(key, CAUSE);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut lines = self.slots.0.lines.lock();
        if let Some(line) = lines.get_mut(&self.instance) {
            line.leave();
            self.slots.call(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Trigger;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    #[test]
    fn those_who_find_no_place_get_theirs_in_the_order_in_which_they_came() {
        let mut line = Line::default();
        let now = Instant::now();
        let enter = |line: &mut Line, name| line.enter(&key(name), 2, now);
        assert!(enter(&mut line, "a") && enter(&mut line, "b"));
        assert!(!enter(&mut line, "c") && !enter(&mut line, "d"));
        // Asking twice is standing in line once.
        assert!(!enter(&mut line, "c"));
        assert_eq!(line.call(2, now), []);
        line.leave();
        assert_eq!(line.call(2, now), [key("c")]);
        // The place is kept for the one who was called.
        assert!(!enter(&mut line, "e"));
        assert!(enter(&mut line, "c"));
        line.leave();
        line.leave();
        assert_eq!(line.call(2, now), [key("d"), key("e")]);
        assert!(enter(&mut line, "e") && enter(&mut line, "d"));
    }

    #[test]
    fn who_stands_in_line_waits_until_called() {
        let (triggers, mut asked) = Triggers::new(Arc::default());
        let slots = Slots::new(1, triggers);
        let instance = InstanceName::parse("one").unwrap();
        let first = slots.enter(&instance, &key("a"));
        assert!(first.is_some() && slots.enter(&instance, &key("b")).is_none());
        assert!(slots.arrives(&key("b")) && !slots.arrives(&key("a")));
        drop(first);
        assert!(matches!(asked.try_recv(), Ok(Trigger::One(called, CAUSE)) if called == key("b")));
        assert!(slots.arrives(&key("b")), "its reconcile is on its way");
        let _second = slots.enter(&instance, &key("b"));
        assert!(!slots.arrives(&key("b")));
    }

    #[test]
    fn who_is_called_and_takes_no_place_holds_nobody_up() {
        let (triggers, mut asked) = Triggers::new(Arc::default());
        let slots = Slots::new(1, triggers);
        let instance = InstanceName::parse("one").unwrap();
        let mut called = || match asked.try_recv() {
            Ok(Trigger::One(key, CAUSE)) => Some(key),
            _ => None,
        };
        let before = Instant::now();
        let first = slots.enter(&instance, &key("a"));
        assert!(slots.enter(&instance, &key("b")).is_none());
        assert!(slots.enter(&instance, &key("c")).is_none());
        drop(first);
        assert_eq!(called(), Some(key("b")));
        // One that had begun before it was called says nothing of it.
        slots.ended(&key("b"), before);
        assert_eq!(called(), None);
        slots.ended(&key("b"), Instant::now());
        assert_eq!(called(), Some(key("c")));
    }

    #[test]
    fn who_has_no_address_is_called_once_it_has_and_in_its_turn() {
        let mut line = Line::default();
        let now = Instant::now();
        line.expect(&key("early"));
        assert!(!line.arrive(&key("early"), 1, now), "a place is free");
        assert!(!line.enter(&key("a"), 1, now), "and kept for it");
        assert!(line.enter(&key("early"), 1, now));
        line.expect(&key("b"));
        line.expect(&key("c"));
        line.leave();
        assert_eq!(line.call(1, now), [key("a")]);
        assert!(line.enter(&key("a"), 1, now));
        // Those who have no address hold nobody up, and are not called.
        assert!(line.arrive(&key("c"), 1, now));
        assert!(line.arrive(&key("c"), 1, now), "it stands in line");
        line.leave();
        assert_eq!(line.call(1, now), [key("c")]);
        // It lost its address.
        line.expect(&key("c"));
        assert_eq!(line.call(1, now), []);
        assert!(!line.arrive(&key("b"), 1, now), "the place is free again");
        assert!(line.enter(&key("b"), 1, now));
        assert!(!line.arrive(&key("stranger"), 1, now));
    }

    #[test]
    fn who_is_gone_holds_nobody_up() {
        let mut line = Line::default();
        let now = Instant::now();
        assert!(line.enter(&key("a"), 1, now));
        assert!(!line.enter(&key("gone"), 1, now));
        assert!(!line.enter(&key("b"), 1, now));
        line.leave();
        assert_eq!(line.call(1, now), [key("gone")]);
        line.forget(&key("gone"));
        assert_eq!(line.call(1, now), [key("b")]);
        // Should nobody say that it is gone, its place is not kept for ever.
        assert_eq!(line.call(1, now + KEPT), []);
        assert!(line.enter(&key("c"), 1, now + KEPT));
    }
}
