//! What becomes of an API that is there and is not the object's.

use super::model::{MARK, Model, Wish, apply};
use crate::annotations::Adoption;
use crate::apim::*;
use crate::desired::Desired;

/// An API that somebody else published as `wish` says, under their mark.
fn theirs(wish: &Wish, mark: &str) -> Model {
    let mut model = Model::default();
    apply(&mut model, &wish.desired(), None, None, |_| {});
    model.api.as_mut().unwrap().mark = mark.into();
    model
}

fn desired(wish: &Wish, adoption: Adoption) -> Desired {
    let mut desired = wish.desired();
    desired.api.as_mut().unwrap().adoption = adoption;
    desired
}

fn planned(model: &Model, desired: &Desired) -> Result<Vec<Step>, PlanError> {
    let published = Published::of(desired).unwrap();
    let reads = reads(published, None).unwrap();
    plan(desired, &model.observe(&reads), None)
}

#[test]
fn what_is_not_ours_is_left_alone_unless_it_may_be_taken() {
    let model = theirs(&Wish::default(), "made by hand");
    assert_eq!(
        planned(&model, &desired(&Wish::default(), Adoption::Refuse)),
        Err(PlanError::NotOurs {
            api_id: "team.orders".into(),
            whose: Some("made by hand".into()),
        })
    );
}

#[test]
fn an_equal_api_is_taken_over_by_its_mark_alone() {
    for mark in ["", "made by hand", "apim-operator/1 fedcba98 other/orders"] {
        let model = theirs(&Wish::default(), mark);
        assert_eq!(
            planned(&model, &desired(&Wish::default(), Adoption::Match)),
            Ok(vec![Step::TakeOver])
        );
    }
}

#[test]
fn an_api_that_differs_is_not_equal_and_every_difference_is_named() {
    let there = Wish {
        settings: 1,
        policy: 1,
        operations: [1, 2, 5].into(),
        own: [(1, 1)].into(),
        ..Wish::default()
    };
    let wanted = Wish {
        operations: [1, 2, 6].into(),
        ..Wish::default()
    };
    let error = planned(&theirs(&there, ""), &desired(&wanted, Adoption::Match)).unwrap_err();
    insta::assert_snapshot!(error);
}

#[test]
fn a_takeover_marks_the_api_before_it_changes_it_and_never_shows_an_operation_unprotected() {
    let there = Wish {
        policy: 1,
        ..Wish::default()
    };
    let mut model = theirs(&there, "made by hand");
    let desired = desired(&Wish::default(), Adoption::Override);
    let outcome = apply(&mut model, &desired, None, None, |model| {
        let held = model.api.as_ref().unwrap();
        assert_eq!(held.mark, MARK);
        assert!(held.policy.is_some());
    });
    assert_eq!(
        outcome.steps,
        [
            Step::TakeOver,
            Step::PutPolicy { guard: [].into() },
            Step::Import,
            Step::ReadBack,
        ]
    );
    assert_eq!(
        reads(Published::of(&desired).unwrap(), Some(&outcome.record)),
        None
    );
}

#[test]
fn a_takeover_that_died_anywhere_is_completed_as_one_of_ours() {
    for stop_after in 1..4 {
        let mut model = theirs(
            &Wish {
                policy: 1,
                ..Wish::default()
            },
            "made by hand",
        );
        let desired = desired(&Wish::default(), Adoption::Override);
        let cut = apply(&mut model, &desired, None, Some(stop_after), |_| {});
        let done = apply(&mut model, &desired, Some(&cut.record), None, |_| {});
        assert!(!done.steps.contains(&Step::TakeOver));
        assert_eq!(
            reads(Published::of(&desired).unwrap(), Some(&done.record)),
            None
        );
        let held = model.api.unwrap();
        assert_eq!(
            held.policy.as_deref(),
            Some(desired.policy.as_ref().unwrap().api.text.as_str())
        );
        assert_eq!(held.document.as_deref(), Some("document 0"));
    }
}

#[test]
fn the_mark_of_another_object_of_this_cluster_is_never_overridden() {
    for adoption in [Adoption::Refuse, Adoption::Match, Adoption::Override] {
        let model = theirs(&Wish::default(), "apim-operator/1 01234567 other/orders");
        assert_eq!(
            planned(&model, &desired(&Wish::default(), adoption)),
            Err(PlanError::OtherObjects {
                api_id: "team.orders".into(),
                owner: "other/orders".into(),
            })
        );
    }
}

#[test]
fn a_path_that_another_api_holds_is_not_taken() {
    let rival = Rival {
        id: "legacy".into(),
        display_name: "Legacy orders".into(),
        mark: None,
    };
    let wish = Wish::default().desired();
    let observed = Observed {
        rivals: vec![rival.clone()],
        ..Observed::default()
    };
    let error = plan(&wish, &observed, None).unwrap_err();
    insta::assert_snapshot!(error);
    // Nor by an API that is there already and moves.
    let model = theirs(&Wish::default(), MARK);
    let mut moved = Wish::default().desired();
    moved.api.as_mut().unwrap().settings.path = "elsewhere".into();
    let reads = reads(Published::of(&moved).unwrap(), None).unwrap();
    let observed = Observed {
        rivals: vec![rival],
        ..model.observe(&reads)
    };
    assert!(matches!(
        plan(&moved, &observed, None),
        Err(PlanError::PathTaken { .. })
    ));
}

#[test]
fn case_and_slashes_do_not_part_paths() {
    assert!(same_path("/Shop/", "shop"));
    assert!(!same_path("shop", "shops"));
    let api = Wish::default().desired().api.unwrap();
    assert!(takes_path(&api, None));
}

#[test]
fn a_change_of_instance_forgets_neither_place() {
    use crate::names::InstanceName;
    let name = |text: &str| InstanceName::parse(text).unwrap();
    let to = |instance: &str| {
        let mut desired = Wish::default().desired();
        desired.instance = Some(name(instance));
        desired
    };
    let moves = |record: &AppliedRecord, desired: &Desired| match record
        .moves(Published::of(desired).unwrap())
    {
        Move::Leave(record) => *record,
        other => panic!("{other:?}"),
    };
    let names = |record: &AppliedRecord| -> Vec<String> {
        let all = record.places();
        all.iter().map(|place| place.instance.to_string()).collect()
    };
    let desired = Wish::default().desired();
    let mut model = Model::default();
    let record = apply(&mut model, &desired, None, None, |_| {}).record;
    assert_eq!(record.moves(Published::of(&desired).unwrap()), Move::Stay);
    let on_the_way = moves(&record, &to("west"));
    assert_eq!(names(&on_the_way), ["west", "default"]);
    // Nothing of the way is lost by a reconcile that begins, or by a turn.
    let mut begun = on_the_way.clone();
    begun.before(
        &Step::CreateWithoutOperations,
        desired.api.as_ref().unwrap(),
    );
    assert_eq!(names(&begun), ["west", "default"]);
    assert_eq!(names(&moves(&begun, &desired)), ["default", "west"]);
    assert_eq!(
        names(&moves(&begun, &to("east"))),
        ["east", "west", "default"]
    );
}

#[test]
fn another_id_in_the_same_instance_is_no_move() {
    let desired = Wish::default().desired();
    let mut model = Model::default();
    let record = apply(&mut model, &desired, None, None, |_| {}).record;
    let mut renamed = desired;
    let other = crate::names::ApiId::parse("team.other").unwrap();
    renamed.api.as_mut().unwrap().id = other.clone();
    let anew = AppliedRecord::unknown(record.instance.clone(), other);
    assert_eq!(
        record.moves(Published::of(&renamed).unwrap()),
        Move::Refused(Box::new(anew))
    );
}
