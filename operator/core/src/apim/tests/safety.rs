//! What holds for every desired state, every history and every crash.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::model::{Model, Wish, apply};
use crate::apim::{AppliedRecord, Published, same_document};
use crate::desired::Desired;

fn operation() -> impl Strategy<Value = u8> {
    (0..4_u8, any::<bool>()).prop_map(|(template, renamed)| template + if renamed { 10 } else { 0 })
}

pub(super) fn wish() -> impl Strategy<Value = Wish> {
    (
        0..3_u8,
        // At most one operation for each of four templates.
        prop::collection::btree_map(0..4_u8, any::<bool>(), 1..5),
        prop::collection::btree_map(operation(), 0..3_u8, 0..5),
        0..3_u8,
        0..2_u8,
        any::<bool>(),
        prop::collection::btree_set(0..4_u8, 0..3),
    )
        .prop_map(
            |(document, operations, own, policy, settings, key_required, products)| {
                let operations: BTreeSet<u8> = operations
                    .into_iter()
                    .map(|(template, renamed)| template + if renamed { 10 } else { 0 })
                    .collect();
                Wish {
                    own: own
                        .into_iter()
                        .filter(|(id, _)| operations.contains(id))
                        .collect(),
                    document,
                    operations,
                    policy,
                    settings,
                    key_required,
                    known: true,
                    products,
                }
            },
        )
}

/// No operation can be called without an API policy of ours, and none that
/// never had its own policy document can be called before it has one.
fn assert_protected(model: &Model, desired: &Desired, before: &Model) {
    let Some(held) = &model.api else { return };
    let wanted = desired.policy.as_ref().unwrap();
    if !held.operations.is_empty() {
        assert!(held.policy.is_some(), "operations without a policy");
    }
    let text = held.policy.clone().unwrap_or_default();
    for (id, (_, own)) in &held.operations {
        let was_there = before
            .api
            .as_ref()
            .is_some_and(|held| held.operations.contains_key(id));
        let guarded = text.contains("503") && text.contains(&format!("\"{id}\""));
        if wanted.operations.contains_key(id) && own.is_none() && !was_there {
            assert!(guarded, "{id} can be called without its policy");
        }
    }
}

fn assert_as_desired(model: &Model, desired: &Desired) {
    let held = model.api.as_ref().unwrap();
    let api = desired.api.as_ref().unwrap();
    let policy = desired.policy.as_ref().unwrap();
    assert_eq!(held.settings, api.settings);
    assert_eq!(held.document.as_ref(), Some(&api.document.value));
    assert!(same_document(
        held.policy.as_ref().unwrap(),
        &policy.api.text
    ));
    let own: BTreeMap<_, _> = held
        .operations
        .iter()
        .filter_map(|(id, (_, text))| Some((id.clone(), text.clone()?)))
        .collect();
    let wanted: BTreeMap<_, _> = policy
        .operations
        .iter()
        .map(|(id, text)| (id.clone(), text.text.clone()))
        .collect();
    assert_eq!(own, wanted);
    let made: BTreeSet<_> = api
        .document
        .operations
        .iter()
        .flatten()
        .map(|o| &o.id)
        .collect();
    assert_eq!(held.operations.keys().collect::<BTreeSet<_>>(), made);
}

/// What a record that is lost does not say, nobody can tell from what others
/// did: the API stays in a product that it should be in no longer.
fn assert_in_its_products(model: &Model, desired: &Desired, remembered: bool) {
    let (found, wanted) = (
        &model.api.as_ref().unwrap().products,
        &desired.api.as_ref().unwrap().products,
    );
    assert!(found.is_superset(wanted));
    assert!(!remembered || found == wanted, "{found:?} for {wanted:?}");
    let found = &model.api.as_ref().unwrap().parts;
    let wanted: BTreeMap<_, _> = desired.api.as_ref().unwrap().parts.iter().collect();
    for (id, part) in &wanted {
        assert_eq!(found.get(*id), Some(&part.content));
    }
    assert!(!remembered || found.len() == wanted.len(), "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn after_an_apply_nothing_is_left_to_do(wishes in prop::collection::vec(wish(), 1..4), resets: bool) {
        let mut model = Model { resets, ..Model::default() };
        let mut record = None;
        for wish in &wishes {
            let desired = wish.desired();
            let before = model.clone();
            let outcome = apply(&mut model, &desired, record.as_ref(), None, |model| {
                assert_protected(model, &desired, &before);
            });
            assert_as_desired(&model, &desired);
            assert_in_its_products(&model, &desired, true);
            let again = apply(&mut model, &desired, Some(&outcome.record), None, |_| {});
            prop_assert_eq!(again.steps, []);
            record = Some(outcome.record);
        }
    }

    /// With the record that was kept, with none, and with the one from before.
    #[test]
    fn after_a_crash_at_any_point_the_next_apply_completes_the_work(
        first in prop::option::of(wish()),
        second in wish(),
        crash in 0..9_usize,
        memory in 0..3_u8,
    ) {
        let mut model = Model::default();
        let before = first.map(|first| apply(&mut model, &first.desired(), None, None, |_| {}).record);
        let desired = second.desired();
        let start = model.clone();
        let crashed = apply(&mut model, &desired, before.as_ref(), Some(crash), |model| {
            assert_protected(model, &desired, &start);
        });
        // What a crash leaves: the record is lost, or was kept in its last state,
        // or is what was written down before the first write.
        let published = Published::of(&desired).unwrap();
        let kept = match memory {
            0 => None,
            1 => Some(AppliedRecord::of(before.as_ref(), published).certain(published)),
            _ => Some(crashed.record),
        };
        let outcome = apply(&mut model, &desired, kept.as_ref(), None, |model| {
            assert_protected(model, &desired, &start);
        });
        assert_as_desired(&model, &desired);
        assert_in_its_products(&model, &desired, memory > 0);
        let again = apply(&mut model, &desired, Some(&outcome.record), None, |_| {});
        prop_assert_eq!(again.steps, []);
    }

    /// A create that is interrupted and resumed from what can be read alone
    /// costs no write twice but the import, whose document cannot be read.
    #[test]
    fn an_interrupted_create_resumes_where_it_stopped(crash in 0..3_usize) {
        let desired = Wish::default().desired();
        let mut model = Model::default();
        let crashed = apply(&mut model, &desired, None, Some(crash), |_| {});
        let resumed = apply(&mut model, &desired, None, None, |_| {});
        prop_assert_eq!(crashed.writes + resumed.writes, 3);
    }
}
