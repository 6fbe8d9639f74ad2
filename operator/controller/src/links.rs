//! Which things belong to which: many to many, and nearly always one to one.
//!
//! One sorted set of pairs. A set for each thing would take ten times as much,
//! where thousands of things have one partner each.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::ops::Bound;

/// Pairs, sorted. `B::default()` is the least of its type.
#[derive(Debug)]
pub(crate) struct Links<A, B>(BTreeSet<(A, B)>);

impl<A, B> Default for Links<A, B> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<A: Ord + Clone, B: Ord + Clone + Default> Links<A, B> {
    pub(crate) fn insert(&mut self, a: A, b: B) {
        self.0.insert((a, b));
    }

    pub(crate) fn remove(&mut self, a: &A, b: &B) {
        self.0.remove(&(a.clone(), b.clone()));
    }

    /// What belongs to a thing, in order.
    pub(crate) fn of<'a, Q>(&'a self, a: &'a Q) -> impl Iterator<Item = &'a B>
    where
        A: Borrow<Q>,
        Q: Ord + ToOwned<Owned = A> + ?Sized,
    {
        let first = Bound::Included((a.to_owned(), B::default()));
        self.0
            .range((first, Bound::Unbounded))
            .take_while(move |(of, _)| of.borrow() == a)
            .map(|(_, b)| b)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_thing_is_found_and_nothing_else() {
        let mut links = Links::<String, u8>::default();
        for (a, b) in [("b", 2), ("a", 9), ("b", 0), ("c", 1)] {
            links.insert(a.to_owned(), b);
        }
        let of = |links: &Links<String, u8>, a: &str| links.of(a).copied().collect::<Vec<_>>();
        assert_eq!(of(&links, "b"), [0, 2]);
        assert_eq!(of(&links, "aa"), [0; 0]);
        links.remove(&"b".to_owned(), &0);
        assert_eq!(of(&links, "b"), [2]);
        for (a, b) in [("b", 2), ("a", 9), ("c", 1)] {
            links.remove(&a.to_owned(), &b);
        }
        assert!(links.is_empty());
    }
}
