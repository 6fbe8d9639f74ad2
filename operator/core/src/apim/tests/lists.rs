//! The exact steps of every case.

use super::model::{MARK, Model, Outcome, Wish, apply, operation_id};
use crate::apim::*;

fn put_policy() -> Step {
    guarded(&[])
}

fn guarded(operations: &[u8]) -> Step {
    Step::PutPolicy {
        guard: operations.iter().copied().map(operation_id).collect(),
    }
}

fn put_own(operation: u8) -> Step {
    Step::PutOperationPolicy {
        operation: operation_id(operation),
    }
}

fn delete_own(operation: u8) -> Step {
    Step::DeleteOperationPolicy {
        operation: operation_id(operation),
    }
}

fn plain(model: &mut Model, wish: &Wish, applied: Option<&AppliedRecord>) -> Outcome {
    apply(model, &wish.desired(), applied, None, |_| {})
}

/// A model in which the wish is fulfilled, with its record.
fn published(wish: &Wish) -> (Model, AppliedRecord) {
    let mut model = Model::default();
    let record = plain(&mut model, wish, None).record;
    (model, record)
}

/// The steps and writes from one wish to the next, with the record kept.
fn change(from: &Wish, to: &Wish) -> (Vec<Step>, u32) {
    let (mut model, record) = published(from);
    let outcome = plain(&mut model, to, Some(&record));
    (outcome.steps, outcome.writes)
}

#[test]
fn a_create_is_three_writes_with_the_operations_last() {
    let mut model = Model::default();
    let outcome = plain(&mut model, &Wish::default(), None);
    assert_eq!(
        outcome.steps,
        [
            Step::CreateWithoutOperations,
            put_policy(),
            Step::Import,
            Step::ReadBack
        ]
    );
    assert_eq!(outcome.writes, 3);
    assert_eq!(outcome.record.operations, Some(2));
}

#[test]
fn what_is_in_place_needs_no_read_and_no_write() {
    let wish = Wish::default();
    let (_, record) = published(&wish);
    let desired = wish.desired();
    let published = Published::of(&desired).unwrap();
    assert_eq!(reads(published, Some(&record)), None);
}

#[test]
fn a_change_of_policy_alone_is_one_write() {
    let to = Wish {
        policy: 1,
        ..Wish::default()
    };
    assert_eq!(change(&Wish::default(), &to), (vec![put_policy()], 1));
}

#[test]
fn a_change_of_the_document_alone_is_one_write() {
    let to = Wish {
        document: 1,
        ..Wish::default()
    };
    assert_eq!(
        change(&Wish::default(), &to),
        (vec![Step::Import, Step::ReadBack], 1)
    );
}

#[test]
fn a_change_of_settings_alone_is_one_write() {
    let to = Wish {
        settings: 1,
        ..Wish::default()
    };
    let patch = SettingsPatch {
        display_name: Some("orders 1".into()),
        ..SettingsPatch::default()
    };
    assert_eq!(
        change(&Wish::default(), &to),
        (vec![Step::PatchSettings(Box::new(patch))], 1)
    );
}

#[test]
fn policy_and_document_together_are_two_writes_policy_first() {
    let to = Wish {
        policy: 1,
        document: 1,
        settings: 1,
        ..Wish::default()
    };
    assert_eq!(
        change(&Wish::default(), &to),
        (vec![put_policy(), Step::Import, Step::ReadBack], 2)
    );
}

#[test]
fn requiring_a_key_comes_before_a_policy_that_may_rely_on_it() {
    let open = Wish::default();
    let keyed = Wish {
        key_required: true,
        policy: 1,
        ..Wish::default()
    };
    let patch = |required| {
        Step::PatchSettings(Box::new(SettingsPatch {
            subscription_required: Some(required),
            ..SettingsPatch::default()
        }))
    };
    assert_eq!(change(&open, &keyed).0, [patch(true), put_policy()]);
    assert_eq!(change(&keyed, &open).0, [put_policy(), patch(false)]);
    let keyed_anew = Wish {
        document: 1,
        ..keyed
    };
    assert_eq!(
        change(&open, &keyed_anew).0,
        [patch(true), put_policy(), Step::Import, Step::ReadBack]
    );
}

#[test]
fn what_an_import_resets_costs_one_patch() {
    let mut model = Model {
        resets: true,
        ..Model::default()
    };
    let outcome = plain(&mut model, &Wish::default(), None);
    assert_eq!(outcome.writes, 4);
    assert_eq!(
        model.api.unwrap().settings,
        Wish::default().desired().api.unwrap().settings
    );
}

#[test]
fn operations_with_their_own_policy_are_guarded_until_they_have_it() {
    let wish = Wish {
        own: [(0, 5), (1, 6)].into(),
        ..Wish::default()
    };
    let mut model = Model::default();
    let outcome = plain(&mut model, &wish, None);
    assert_eq!(
        outcome.steps,
        [
            Step::CreateWithoutOperations,
            guarded(&[0, 1]),
            Step::Import,
            Step::ReadBack,
            put_own(0),
            put_own(1),
            put_policy(),
        ]
    );
    assert_eq!(outcome.writes, 6);
}

#[test]
fn only_new_operations_are_guarded_when_a_document_grows() {
    let from = Wish {
        own: [(0, 5)].into(),
        ..Wish::default()
    };
    let to = Wish {
        operations: [0, 1, 4].into(),
        own: [(0, 6), (4, 7)].into(),
        ..from.clone()
    };
    assert_eq!(
        change(&from, &to).0,
        [
            put_own(0),
            guarded(&[4]),
            Step::Import,
            Step::ReadBack,
            put_own(4),
            put_policy(),
        ]
    );
}

#[test]
fn protection_moves_between_scopes_without_a_gap() {
    let at_api = Wish::default();
    let at_operation = Wish {
        policy: 1,
        own: [(0, 5)].into(),
        ..Wish::default()
    };
    assert_eq!(change(&at_api, &at_operation).0, [put_own(0), put_policy()]);
    assert_eq!(
        change(&at_operation, &at_api).0,
        [put_policy(), delete_own(0)]
    );
}

#[test]
fn a_policy_that_an_import_hands_on_to_a_renamed_operation_is_taken_away() {
    let from = Wish {
        operations: [0].into(),
        own: [(0, 5)].into(),
        ..Wish::default()
    };
    // Operation 10 has the method and template of operation 0.
    let to = Wish {
        operations: [10].into(),
        own: [].into(),
        ..Wish::default()
    };
    let (mut model, record) = published(&from);
    let outcome = plain(&mut model, &to, Some(&record));
    assert_eq!(
        outcome.steps,
        [Step::Import, Step::ReadBack, delete_own(10)]
    );
    assert_eq!(outcome.writes, 2);
    assert_eq!(model.api.unwrap().operations["op-10"].1, None);
}

#[test]
fn a_document_that_only_the_service_reads_is_planned_by_the_policies_alone() {
    let wish = Wish {
        own: [(0, 5)].into(),
        known: false,
        ..Wish::default()
    };
    let steps = plan(&wish.desired(), &Observed::default(), None).unwrap();
    assert_eq!(
        steps,
        [
            Step::CreateWithoutOperations,
            guarded(&[0]),
            Step::Import,
            Step::ReadBack,
            put_own(0),
            put_policy(),
        ]
    );
}

#[test]
fn an_api_deleted_by_hand_is_made_again() {
    let (_, record) = published(&Wish::default());
    let to = Wish {
        policy: 1,
        ..Wish::default()
    };
    let outcome = plain(&mut Model::default(), &to, Some(&record));
    assert_eq!(outcome.writes, 3);
}

#[test]
fn an_api_without_our_mark_is_not_touched() {
    let (mut model, _) = published(&Wish::default());
    model.api.as_mut().unwrap().mark = "First Revision".into();
    let desired = Wish::default().desired();
    let read = reads(Published::of(&desired).unwrap(), None).unwrap();
    let error = plan(&desired, &model.observe(&read), None).unwrap_err();
    assert_eq!(
        error,
        PlanError::NotOurs {
            api_id: "team.orders".into(),
            whose: Some("First Revision".into())
        }
    );
    assert_eq!(
        error.to_string(),
        "API `team.orders` exists in API Management and is not this object's: its revision description is `First Revision`; it is left alone. Choose another id, delete that API, or have it taken over (annotation apim.oda.tmforum.org/adoption, where the instance allows it)"
    );
}

#[test]
fn a_mark_in_any_revision_is_ours() {
    let (mut model, record) = published(&Wish::default());
    model.api.as_mut().unwrap().mark = "a revision made in the portal".into();
    let to = Wish {
        policy: 1,
        ..Wish::default()
    };
    let desired = to.desired();
    let read = reads(Published::of(&desired).unwrap(), Some(&record)).unwrap();
    let mut observed = model.observe(&read);
    observed.api.as_mut().unwrap().other_marks = vec![MARK.into()];
    assert_eq!(
        plan(&desired, &observed, Some(&record)),
        Ok(vec![put_policy()])
    );
}

#[test]
fn a_record_of_another_place_is_not_believed() {
    let (_, mut record) = published(&Wish::default());
    let desired = Wish::default().desired();
    let published = Published::of(&desired).unwrap();
    record.api_id = crate::names::ApiId::parse("team.other").unwrap();
    assert!(reads(published, Some(&record)).is_some());
}

#[test]
fn a_policy_for_an_operation_that_is_not_made_is_refused() {
    let wish = Wish {
        own: [(9, 1)].into(),
        ..Wish::default()
    };
    let desired = wish.desired();
    assert_eq!(
        plan(&desired, &Observed::default(), None),
        Err(PlanError::UnknownOperation("op-9".into()))
    );
}

#[test]
fn what_is_not_ready_is_not_planned() {
    let mut desired = Wish::default().desired();
    desired.api.as_mut().unwrap().service_url = None;
    let nothing = Observed::default();
    assert_eq!(plan(&desired, &nothing, None), Err(PlanError::NoServiceUrl));
    desired.policy = None;
    assert_eq!(plan(&desired, &nothing, None), Err(PlanError::NoPolicy));
    desired.api = None;
    assert_eq!(plan(&desired, &nothing, None), Err(PlanError::NoApi));
}

#[test]
fn a_claimed_record_counts_only_as_far_as_reads_bear_it_out() {
    let wish = Wish {
        own: [(0, 5)].into(),
        ..Wish::default()
    };
    let (mut model, record) = published(&wish);
    let desired = wish.desired();
    let published = Published::of(&desired).unwrap();
    let confirm = |model: &Model| {
        let reads = confirmation(published, &record);
        confirmed(&record, published, &model.observe(&reads))
    };
    assert_eq!(confirm(&model), record);

    let held = model.api.as_mut().unwrap();
    held.operations.remove("op-1");
    held.operations.get_mut("op-0").unwrap().1 = None;
    held.policy = Some("<policies />".into());
    held.settings.path = "elsewhere".into();
    assert_eq!(
        confirm(&model),
        AppliedRecord {
            api_revision: Some("1".into()),
            path: Some("elsewhere".into()),
            operation_policies: Some([].into()),
            ..AppliedRecord::unknown(record.instance.clone(), record.api_id.clone())
        }
    );

    model.api.as_mut().unwrap().mark = "not ours".into();
    assert_eq!(
        confirm(&model),
        AppliedRecord::unknown(record.instance.clone(), record.api_id.clone())
    );
}
