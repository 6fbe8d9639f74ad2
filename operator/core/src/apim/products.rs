//! The products that an API is in: which of them the operator put it in, and
//! what leads to those that are wanted.
//!
//! A product may hold the API because somebody else put it there; that is left
//! alone. So the record names every product that the operator may have put the
//! API in, from before the first write on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::names::ProductId;

/// What is known of the API's place in a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Membership {
    /// It is in it.
    Known,
    /// It was being put in or taken out, and how that ended is not known.
    Begun,
}

/// By product.
pub type Memberships = BTreeMap<ProductId, Membership>;

/// Whether the API is in the products that are wanted, and in no other by the
/// operator's doing.
pub(super) fn covered(known: &Memberships, wanted: &BTreeSet<ProductId>) -> bool {
    known.len() == wanted.len()
        && wanted
            .iter()
            .all(|product| known.get(product) == Some(&Membership::Known))
}

/// The products of which it has to be read whether they hold the API.
pub(super) fn unknown(known: &Memberships, wanted: &BTreeSet<ProductId>) -> BTreeSet<ProductId> {
    let missing = wanted
        .iter()
        .filter(|product| known.get(*product) != Some(&Membership::Known));
    let surplus = known.keys().filter(|product| !wanted.contains(*product));
    missing.chain(surplus).cloned().collect()
}

/// What puts the API into the products that are wanted, and then takes it out
/// of those that are not. What was read counts more than what is remembered.
pub(super) fn steps(
    known: &Memberships,
    wanted: &BTreeSet<ProductId>,
    observed: &BTreeMap<ProductId, bool>,
) -> Vec<Step> {
    let is_in = |product: &ProductId| {
        let remembered = known.get(product) == Some(&Membership::Known);
        observed.get(product).copied().unwrap_or(remembered)
    };
    let enter = wanted.iter().filter(|product| !is_in(product));
    let leave = known
        .keys()
        .filter(|product| !wanted.contains(*product))
        .filter(|product| observed.get(*product) != Some(&false));
    enter
        .map(|product| Step::EnterProduct {
            product: product.clone(),
        })
        .chain(leave.map(|product| Step::LeaveProduct {
            product: product.clone(),
        }))
        .collect()
}

/// Corrects what is known by what was read. A product that holds the API and
/// is wanted counts as one that the operator put it in: when it is not wanted
/// any more, the API is taken out.
pub(super) fn learn(
    known: &mut Memberships,
    wanted: &BTreeSet<ProductId>,
    observed: &BTreeMap<ProductId, bool>,
) {
    for (product, is_in) in observed {
        if !is_in {
            known.remove(product);
        } else if wanted.contains(product) || known.contains_key(product) {
            known.insert(product.clone(), Membership::Known);
        }
    }
}

/// What may be claimed before the first write: every product that a write may
/// reach stands there, and is not known any more.
pub(super) fn certain(known: &mut Memberships, wanted: &BTreeSet<ProductId>) {
    for (product, membership) in known.iter_mut() {
        if !wanted.contains(product) {
            *membership = Membership::Begun;
        }
    }
    for product in wanted {
        known.entry(product.clone()).or_insert(Membership::Begun);
    }
}

/// All that are wanted, and no other.
pub(super) fn all(wanted: &BTreeSet<ProductId>) -> Memberships {
    let known = |product: &ProductId| (product.clone(), Membership::Known);
    wanted.iter().map(known).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> ProductId {
        ProductId::parse(&format!("p{number}")).unwrap()
    }

    fn ids(numbers: &[u8]) -> BTreeSet<ProductId> {
        numbers.iter().copied().map(id).collect()
    }

    fn told(steps: &[Step]) -> Vec<String> {
        steps.iter().map(Step::describe).collect()
    }

    #[test]
    fn an_api_enters_what_is_wanted_before_it_leaves_what_is_not() {
        let known = all(&ids(&[1, 2]));
        assert_eq!(
            told(&steps(&known, &ids(&[2, 3]), &BTreeMap::new())),
            [
                "put the API into product p3",
                "take the API out of product p1"
            ]
        );
        assert_eq!(unknown(&known, &ids(&[2, 3])), ids(&[1, 3]));
        assert!(covered(&known, &ids(&[1, 2])));
        assert!(!covered(&known, &ids(&[1])));
    }

    #[test]
    fn what_was_read_counts_more_than_what_is_remembered() {
        let known = all(&ids(&[1, 2]));
        let observed = [(id(1), false), (id(3), true)].into();
        assert_eq!(
            told(&steps(&known, &ids(&[3]), &observed)),
            ["take the API out of product p2"]
        );
        let mut learned = known;
        learn(&mut learned, &ids(&[3]), &observed);
        assert_eq!(learned, all(&ids(&[2, 3])));
    }

    #[test]
    fn a_product_that_others_put_the_api_in_is_left_alone() {
        let observed = [(id(7), true)].into();
        assert_eq!(steps(&Memberships::new(), &ids(&[]), &observed), []);
        let mut known = Memberships::new();
        learn(&mut known, &ids(&[]), &observed);
        assert_eq!(known, Memberships::new());
    }

    proptest! {
        /// Whatever dies at whatever step: what the record claimed before is
        /// enough to come to exactly what is wanted, and to leave alone what
        /// others did.
        #[test]
        fn every_start_ends_where_it_should(
            before in prop::collection::btree_set(0_u8..5, 0..4),
            wishes in prop::collection::vec((prop::collection::btree_set(0_u8..5, 0..4), 0_usize..6), 1..6),
        ) {
            let foreign: BTreeSet<ProductId> = ids(&[8, 9]);
            let mut there: BTreeSet<ProductId> = foreign.clone();
            let mut record = Memberships::new();
            let last = before.iter().copied().map(|n| (n, usize::MAX)).fold(
                (BTreeSet::new(), usize::MAX),
                |(mut all, stop), (n, _)| { all.insert(n); (all, stop) },
            );
            for (wish, stop) in wishes.into_iter().chain([last]) {
                let wanted: BTreeSet<ProductId> = wish.into_iter().map(id).collect();
                if covered(&record, &wanted) {
                    continue;
                }
                let observed: BTreeMap<ProductId, bool> = unknown(&record, &wanted)
                    .into_iter()
                    .map(|product| { let is_in = there.contains(&product); (product, is_in) })
                    .collect();
                let planned = steps(&record, &wanted, &observed);
                certain(&mut record, &wanted);
                let finished = planned.len() <= stop;
                for step in planned.into_iter().take(stop) {
                    match step {
                        Step::EnterProduct { product } => { prop_assert!(there.insert(product)); }
                        Step::LeaveProduct { product } => { prop_assert!(there.remove(&product)); }
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                if finished {
                    record = all(&wanted);
                    let ours: BTreeSet<ProductId> = there.difference(&foreign).cloned().collect();
                    prop_assert_eq!(ours, wanted);
                }
                prop_assert!(foreign.is_subset(&there));
            }
        }
    }
}
