//! Changes as new revisions of an API, and the way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use apim_simulator::FaultSpec;
use async_trait::async_trait;
use operator_apim::apply::Failure;
use operator_apim::{Applier, Follow, Progress, Silent};
use operator_core::apim::{AppliedRecord, PlanError};
use operator_core::class::ErrorClass;
use operator_core::rollout::{Probe, Rollout};
use serde_json::json;

use crate::stage::{MARK, Stage, Wish};

fn staged(wish: Wish) -> Wish {
    Wish {
        rollout: Some(Rollout {
            keep: 2,
            probe: None,
        }),
        ..wish
    }
}

/// Another document, with an operation more that has a policy of its own.
fn changed() -> Wish {
    staged(Wish {
        document_title: "Orders 2",
        operations: vec!["list-orders", "get-order", "cancel-order"],
        policy: "two",
        own: [("cancel-order", "own")].into(),
        ..Wish::default()
    })
}

/// The current revision with the value that its policy sets.
async fn reached(stage: &Stage) -> (String, &'static str) {
    let reader = stage.client().reader();
    let api = reader.api("team.orders").await.unwrap().unwrap();
    let policy = reader.policy("team.orders", operator_apim::PolicyOf::Api);
    let text = policy.await.unwrap().found().unwrap().text.clone();
    let value = ["one", "two", "three"]
        .into_iter()
        .find(|value| text.contains(value));
    (api.revision, value.unwrap())
}

fn calls(stage: &Stage) -> Vec<String> {
    let calls = stage.writes();
    stage.simulator.clear_journal();
    calls
}

#[tokio::test]
async fn a_change_is_written_to_a_copy_which_is_then_released() {
    let stage = Stage::new().await;
    let record = stage.published(&staged(Wish::default())).await;
    calls(&stage);
    let reader = stage.client().reader();
    let review = reader
        .review(&changed().desired(), Some(&record))
        .await
        .unwrap();
    let planned = review
        .calls
        .iter()
        .map(|call| format!("{} {}", call.method, call.resource));
    let planned: Vec<String> = planned.collect();
    assert_eq!(calls(&stage), [""; 0]);
    let done = stage.apply(&changed(), Some(&record)).await.unwrap();
    let sent = calls(&stage);
    assert_eq!(
        sent,
        [
            "PUT apis/team.orders;rev=2 201",
            "PUT apis/team.orders;rev=2/policies/policy 200",
            "PUT apis/team.orders;rev=2 200",
            "PUT apis/team.orders;rev=2/operations/cancel-order/policies/policy 201",
            "PUT apis/team.orders;rev=2/policies/policy 200",
            "PUT apis/team.orders/releases/rev-2 201",
        ]
    );
    let unnumbered = sent.iter().map(|call| call.rsplit_once(' ').unwrap().0);
    assert!(unnumbered.eq(planned.iter()), "{planned:?}");
    assert_eq!(reached(&stage).await, ("2".into(), "two"));
    assert_eq!(done.api_revision.as_deref(), Some("2"));
    assert_eq!(done.operations, Some(3));
    assert_eq!(done.writes.planned, 6);
    calls(&stage);
    stage.apply(&changed(), Some(&done.record)).await.unwrap();
    assert_eq!(stage.reads(), [""; 0]);

    // Of before, two are kept.
    let mut record = done.record;
    for policy in ["one", "three"] {
        let wish = Wish {
            policy,
            ..changed()
        };
        record = stage.apply(&wish, Some(&record)).await.unwrap().record;
    }
    assert_eq!(
        calls(&stage)[3..],
        [
            "PUT apis/team.orders;rev=4 201",
            "PUT apis/team.orders;rev=4/policies/policy 200",
            "PUT apis/team.orders/releases/rev-4 201",
            "DELETE apis/team.orders;rev=1 202",
        ]
    );
    assert_eq!(record.api_revision.as_deref(), Some("4"));
}

#[tokio::test]
async fn what_all_revisions_share_is_patched_after_the_release_and_the_copy_keeps_it() {
    let stage = Stage::new().await;
    let record = stage.published(&staged(Wish::default())).await;
    calls(&stage);
    let wish = Wish {
        display_name: "Orders of the team",
        path: "team/sales",
        ..changed()
    };
    stage.apply(&wish, Some(&record)).await.unwrap();
    assert_eq!(
        calls(&stage)[5..],
        [
            "PUT apis/team.orders/releases/rev-2 201",
            "PATCH apis/team.orders 200"
        ]
    );
    let api = stage.client().reader().api("team.orders").await.unwrap();
    let settings = api.unwrap().settings;
    assert_eq!(settings.display_name, "Orders of the team");
    assert_eq!(settings.path, "team/sales");
}

/// Stops before a step.
struct Stop {
    flag: Arc<AtomicBool>,
    before: usize,
}

#[async_trait]
impl Follow for Stop {
    fn step(&self, progress: Progress<'_>) {
        if progress.number >= self.before {
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    async fn accepted(&self, _: &AppliedRecord) {}
}

#[tokio::test]
async fn a_revision_that_was_left_half_made_is_finished_and_callers_see_none_of_it() {
    // Nine steps, of which two only read.
    for step in 1..=8 {
        let stage = Stage::new().await;
        let record = stage.published(&staged(Wish::default())).await;
        let flag = Arc::new(AtomicBool::new(false));
        let applier = Applier::new(stage.client().clone()).cancelled_by(flag.clone());
        let stop = Stop { flag, before: step };
        let desired = changed().desired();
        let stopped = applier.apply(&desired, Some(&record), &stop).await;
        // The last step was begun.
        let Err(stopped) = stopped else { continue };
        assert_eq!(stopped.failure, Failure::Cancelled);
        assert_eq!(reached(&stage).await, ("1".into(), "one"), "step {step}");
        calls(&stage);
        let left = stopped.record.unwrap();
        let drafted = left.draft.is_some();
        let done = stage.apply(&changed(), Some(&left)).await.unwrap();
        assert_eq!(reached(&stage).await, ("2".into(), "two"), "step {step}");
        let made_anew = calls(&stage).contains(&"PUT apis/team.orders;rev=2 201".to_owned());
        assert_eq!(made_anew, !drafted, "step {step}");
        assert_eq!(done.record.draft, None);
    }
}

#[tokio::test]
async fn a_record_that_others_could_have_written_makes_nobody_reach_a_draft() {
    let stage = Stage::new().await;
    let record = stage.published(&staged(Wish::default())).await;
    stage.fault(FaultSpec {
        verb: Some("PUT".into()),
        path: Some("/releases/".into()),
        status: Some(500),
        ..FaultSpec::default()
    });
    let failed = stage.apply(&changed(), Some(&record)).await.unwrap_err();
    assert_eq!(failed.class(), ErrorClass::Transient);
    assert_eq!(reached(&stage).await, ("1".into(), "one"));
    let left = failed.record.unwrap();
    assert_eq!(left.draft.as_ref().unwrap().revision, 2);
    stage.simulator.clear_faults();
    // It says that all of it was in place.
    let believed = stage
        .applier
        .confirm(&changed().desired(), &left)
        .await
        .unwrap();
    assert_eq!(believed.draft.as_ref().unwrap().known.spec_hash, None);
    calls(&stage);
    stage.apply(&changed(), Some(&believed)).await.unwrap();
    assert_eq!(
        calls(&stage),
        [
            "PUT apis/team.orders;rev=2 200",
            "PUT apis/team.orders/releases/rev-2 201",
        ]
    );
    assert_eq!(reached(&stage).await, ("2".into(), "two"));
}

#[tokio::test]
async fn a_revision_that_is_not_what_was_written_is_not_released() {
    let stage = Stage::new().await;
    let record = stage.published(&staged(Wish::default())).await;
    let wish = staged(Wish {
        policy: "two",
        ..Wish::default()
    });
    // It is taken, and has no effect.
    stage.fault(FaultSpec {
        verb: Some("PUT".into()),
        path: Some(";rev=2/policies/policy".into()),
        status: Some(200),
        count: Some(1),
        ..FaultSpec::default()
    });
    let failed = stage.apply(&wish, Some(&record)).await.unwrap_err();
    assert_eq!(
        failed.to_string(),
        "could not verify revision 2: GET API team.orders;rev=2: revision 2 is not released, and callers still reach \
         revision 1: read back, its policy is another one"
    );
    assert_eq!(reached(&stage).await, ("1".into(), "one"));
    calls(&stage);
    stage.apply(&wish, failed.record.as_ref()).await.unwrap();
    assert_eq!(
        calls(&stage),
        [
            "PUT apis/team.orders;rev=2/policies/policy 200",
            "PUT apis/team.orders/releases/rev-2 201"
        ]
    );
}

/// A gateway that gives one answer, and the paths that it was asked for.
async fn gateway(status: Arc<AtomicU16>) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = asked.clone();
    let answer = move |uri: axum::http::Uri| {
        seen.lock().unwrap().push(uri.to_string());
        let status = status.load(Ordering::Relaxed);
        async move { axum::http::StatusCode::from_u16(status).unwrap() }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/team/orders", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

#[tokio::test]
async fn a_revision_that_the_gateway_does_not_serve_is_not_released() {
    let stage = Stage::new().await;
    let record = stage.published(&staged(Wish::default())).await;
    let status = Arc::new(AtomicU16::new(502));
    let (url, asked) = gateway(status.clone()).await;
    let wish = Wish {
        rollout: Some(Rollout {
            keep: 2,
            probe: Some(Probe {
                url: url.clone(),
                path: "/health".into(),
            }),
        }),
        ..changed()
    };
    let failed = stage.apply(&wish, Some(&record)).await.unwrap_err();
    let told = format!(
        "callers still reach revision 1: GET {url};rev=2/health through the gateway answers 502"
    );
    assert!(failed.to_string().ends_with(&told), "{failed}");
    assert_eq!(failed.class(), ErrorClass::Transient);
    assert_eq!(reached(&stage).await, ("1".into(), "one"));
    assert_eq!(
        asked.lock().unwrap().first().unwrap(),
        "/team/orders;rev=2/health"
    );
    // A token is asked for, so it is served.
    status.store(401, Ordering::Relaxed);
    calls(&stage);
    stage.apply(&wish, failed.record.as_ref()).await.unwrap();
    assert_eq!(calls(&stage), ["PUT apis/team.orders/releases/rev-2 201"]);
}

#[tokio::test]
async fn a_rollback_is_one_release_and_its_end_a_new_revision() {
    let stage = Stage::new().await;
    let record = stage.published(&staged(Wish::default())).await;
    let record = stage.apply(&changed(), Some(&record)).await.unwrap().record;
    calls(&stage);
    let back = Wish {
        rollback: Some(1),
        ..changed()
    };
    let done = stage.apply(&back, Some(&record)).await.unwrap();
    assert_eq!(calls(&stage), ["PUT apis/team.orders/releases/rev-1 201"]);
    assert_eq!(reached(&stage).await, ("1".into(), "one"));
    calls(&stage);
    stage.apply(&back, Some(&done.record)).await.unwrap();
    assert_eq!(stage.reads(), [""; 0]);
    let forward = stage.apply(&changed(), Some(&done.record)).await.unwrap();
    assert_eq!(forward.api_revision.as_deref(), Some("3"));
    assert_eq!(reached(&stage).await, ("3".into(), "two"));
    let nowhere = Wish {
        rollback: Some(9),
        ..changed()
    };
    let failed = stage
        .apply(&nowhere, Some(&forward.record))
        .await
        .unwrap_err();
    assert_eq!(
        failed.failure,
        Failure::Plan(PlanError::NoRevision {
            api_id: "team.orders".into(),
            revision: 9,
            there: vec![1, 2],
        })
    );
    assert_eq!(failed.class(), ErrorClass::Invalid);
}

#[tokio::test]
async fn revisions_of_others_are_neither_released_nor_deleted() {
    let stage = Stage::new().await;
    let mut record = stage.published(&staged(Wish::default())).await;
    let theirs = json!({"properties": {
        "path": "team/orders", "sourceApiId": format!("{}/apis/team.orders", stage.client().service_ref().id()),
        "apiRevisionDescription": "an experiment",
    }});
    stage.put("apis/team.orders;rev=2", &theirs).await;
    for policy in ["two", "three", "one", "two"] {
        let wish = staged(Wish {
            policy,
            ..Wish::default()
        });
        record = stage.apply(&wish, Some(&record)).await.unwrap().record;
    }
    let revisions = stage
        .client()
        .reader()
        .revisions("team.orders")
        .await
        .unwrap();
    let mut there: Vec<_> = revisions.iter().map(|one| one.number.as_str()).collect();
    there.sort_unstable();
    assert_eq!(there, ["2", "4", "5", "6"]);
    let back = staged(Wish {
        rollback: Some(2),
        ..Wish::default()
    });
    let desired = back.desired();
    let refused = stage.applier.apply(&desired, Some(&record), &Silent).await;
    assert!(matches!(
        refused.unwrap_err().failure,
        Failure::Plan(PlanError::NoRevision { .. })
    ));
    assert_eq!(MARK, desired.api.unwrap().mark);
}
