//! Plans, takeovers, path conflicts, and marks that are taken off.

use operator_apim::Released;
use operator_apim::apply::Failure;
use operator_core::annotations::Adoption;
use operator_core::apim::PlanError;
use operator_core::names::ApiId;

use crate::stage::{API, MARK, Stage, Wish};

const THEIRS: &str = "apim-operator/1 fedcba98 other/orders";

/// A stage with an API that somebody else published.
async fn with_theirs(wish: Wish) -> Stage {
    let stage = Stage::new().await;
    stage
        .published(&Wish {
            mark: THEIRS,
            ..wish
        })
        .await;
    stage
}

fn by(adoption: Adoption) -> Wish {
    Wish {
        adoption,
        ..Wish::default()
    }
}

/// The writes in the journal, without their status.
fn sent(stage: &Stage) -> Vec<String> {
    let writes = stage.writes().into_iter();
    writes
        .map(|call| call.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[tokio::test]
async fn what_a_review_shows_is_what_an_apply_sends() {
    let stage = Stage::new().await;
    let first = Wish {
        own: [("get-order", "own")].into(),
        ..Wish::default()
    };
    let second = Wish {
        display_name: "Orders of a team",
        operations: vec!["list-orders", "put-order"],
        document_title: "Orders 2",
        policy: "two",
        own: [("put-order", "new")].into(),
        ..Wish::default()
    };
    let mut record = None;
    for wish in [&first, &second, &second] {
        let desired = wish.desired();
        let reader = stage.client().reader();
        let review = reader.review(&desired, record.as_ref()).await.unwrap();
        assert_eq!(sent(&stage), [""; 0], "a review writes nothing");
        let planned: Vec<String> = review
            .calls
            .iter()
            .map(|call| format!("{} {}", call.method, call.resource))
            .collect();
        record = Some(stage.apply(wish, record.as_ref()).await.unwrap().record);
        assert_eq!(sent(&stage), planned);
        stage.simulator.clear_journal();
        if review.calls.is_empty() {
            assert_eq!(review.changes.count(), 0);
        }
    }
}

#[tokio::test]
async fn a_review_names_the_operation_policies_that_an_import_destroys() {
    let stage = Stage::new().await;
    let first = Wish {
        own: [("get-order", "own")].into(),
        ..Wish::default()
    };
    let record = stage.published(&first).await;
    let second = Wish {
        operations: vec!["list-orders"],
        ..Wish::default()
    };
    let reader = stage.client().reader();
    let review = reader
        .review(&second.desired(), Some(&record))
        .await
        .unwrap();
    let removed = review.changes.operations.unwrap().removed;
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].from.as_deref(), Some("GET /get-order"));
    assert!(removed[0].destroys_policy);
}

#[tokio::test]
async fn an_equal_api_is_taken_over_with_one_write() {
    let stage = with_theirs(Wish::default()).await;
    let applied = stage.apply(&by(Adoption::Match), None).await.unwrap();
    assert_eq!(sent(&stage), ["PATCH apis/team.orders"]);
    stage.simulator.clear_journal();
    let again = stage
        .apply(&by(Adoption::Match), Some(&applied.record))
        .await
        .unwrap();
    assert_eq!((again.writes.planned, stage.reads().len()), (0, 0));
}

#[tokio::test]
async fn an_api_that_differs_is_not_written_unless_it_may_be_overridden() {
    let stage = with_theirs(Wish {
        policy: "theirs",
        ..Wish::default()
    })
    .await;
    let error = stage.apply(&by(Adoption::Match), None).await.unwrap_err();
    assert!(
        matches!(&error.failure, Failure::Plan(PlanError::NotEqual { differs, .. }) if differs == &["its policy"]),
        "{error}"
    );
    let error = stage.apply(&by(Adoption::Refuse), None).await.unwrap_err();
    assert!(
        matches!(&error.failure, Failure::Plan(PlanError::NotOurs { .. })),
        "{error}"
    );
    assert_eq!(sent(&stage), [""; 0]);

    stage.apply(&by(Adoption::Override), None).await.unwrap();
    assert_eq!(
        sent(&stage),
        [
            "PATCH apis/team.orders",
            "PUT apis/team.orders/policies/policy",
            "PUT apis/team.orders",
        ]
    );
}

#[tokio::test]
async fn a_path_that_another_api_holds_is_found_before_a_write() {
    let stage = Stage::new().await;
    stage
        .published(&Wish {
            id: "legacy",
            mark: "made by hand",
            path: "TEAM/orders",
            ..Wish::default()
        })
        .await;
    let error = stage.apply(&Wish::default(), None).await.unwrap_err();
    assert!(
        matches!(&error.failure, Failure::Plan(PlanError::PathTaken { rival, .. }) if rival == "legacy"),
        "{error}"
    );
    assert_eq!(sent(&stage), [""; 0]);
}

#[tokio::test]
async fn a_released_api_stays_without_the_mark() {
    let stage = Stage::new().await;
    stage.published(&Wish::default()).await;
    let id = ApiId::parse(API).unwrap();
    let applier = &stage.applier;
    assert_eq!(
        applier.release(&id, MARK).await.unwrap(),
        Released::Unmarked
    );
    assert_eq!(sent(&stage), ["PATCH apis/team.orders"]);
    let left = stage.client().reader().api(API).await.unwrap().unwrap();
    assert_eq!(left.mark.unwrap_or_default(), "");
    assert_eq!(
        applier.release(&id, MARK).await.unwrap(),
        Released::NothingOfOurs
    );
}

#[tokio::test]
async fn what_is_somebody_elses_keeps_its_mark() {
    let stage = with_theirs(Wish::default()).await;
    let id = ApiId::parse(API).unwrap();
    assert_eq!(
        stage.applier.release(&id, MARK).await.unwrap(),
        Released::NothingOfOurs
    );
    assert_eq!(sent(&stage), [""; 0]);
}
