//! What each kind of change costs, and in which order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apim_simulator::{LroMode, LroSettings, SimulatorConfig, ThrottleLimits};
use async_trait::async_trait;
use operator_apim::apply::Failure;
use operator_apim::{BucketSize, Deleted, Follow, Limits, Progress, ServiceRef, Writes};
use operator_core::apim::{AppliedRecord, PlanError};
use operator_core::class::ErrorClass;
use operator_core::names::ApiId;

use crate::stage::{API, MARK, Stage, Wish, credentials, options, service};

const NEW: Writes = Writes {
    planned: 3,
    repairs: 0,
};

fn one_write() -> Writes {
    Writes {
        planned: 1,
        repairs: 0,
    }
}

#[tokio::test]
async fn a_create_is_three_writes_and_the_reads_that_ownership_needs() {
    for mode in [LroMode::AsyncOperation, LroMode::Location, LroMode::Sync] {
        let stage = Stage::with_lro(LroSettings {
            mode,
            polls: 3,
            ..LroSettings::default()
        })
        .await;
        let applied = stage.apply(&Wish::default(), None).await.unwrap();
        assert_eq!(applied.writes, NEW);
        let methods: Vec<String> = stage
            .writes()
            .iter()
            .map(|call| call.rsplit_once(' ').unwrap().0.to_owned())
            .collect();
        assert_eq!(
            methods,
            [
                "PUT apis/team.orders",
                "PUT apis/team.orders/policies/policy",
                "PUT apis/team.orders"
            ],
            "{mode:?}"
        );
        assert_eq!(
            stage.reads(),
            [
                "GET apis/team.orders 404",
                // Who else holds the path.
                "GET apis 200",
                "GET apis/team.orders 200",
                "GET apis/team.orders/operations 200",
            ],
            "{mode:?}"
        );
        assert_eq!(applied.operations, Some(2));
        assert_eq!(applied.api_revision.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn what_is_in_place_costs_no_call_at_all() {
    let stage = Stage::new().await;
    let record = stage.published(&Wish::default()).await;
    let again = stage.apply(&Wish::default(), Some(&record)).await.unwrap();
    assert_eq!(again.writes, Writes::default());
    assert_eq!(again.record, record);
    assert_eq!((stage.writes(), stage.reads()), (vec![], vec![]));
}

#[tokio::test]
async fn a_change_costs_one_write() {
    let stage = Stage::new().await;
    let mut record = stage.published(&Wish::default()).await;
    let policy = Wish {
        policy: "two",
        ..Wish::default()
    };
    let document = Wish {
        document_title: "Orders of today",
        ..policy.clone()
    };
    let settings = Wish {
        display_name: "Orders, renamed",
        ..document.clone()
    };
    for (wish, write) in [
        (policy, "PUT apis/team.orders/policies/policy 200"),
        (document, "PUT apis/team.orders 200"),
        (settings, "PATCH apis/team.orders 200"),
    ] {
        let applied = stage.apply(&wish, Some(&record)).await.unwrap();
        assert_eq!(applied.writes, one_write());
        assert_eq!(stage.writes(), [write]);
        stage.simulator.clear_journal();
        record = applied.record;
    }
}

#[tokio::test]
async fn what_an_import_resets_is_repaired_once() {
    let stage = Stage::with_lro(LroSettings {
        import_resets: vec!["displayName".into()],
        ..LroSettings::default()
    })
    .await;
    let wish = Wish {
        document_title: "Another title",
        ..Wish::default()
    };
    let applied = stage.apply(&wish, None).await.unwrap();
    assert_eq!(
        applied.writes,
        Writes {
            planned: 3,
            repairs: 1
        }
    );
    assert_eq!(
        stage.writes().last().map(String::as_str),
        Some("PATCH apis/team.orders 200")
    );
    stage.simulator.clear_journal();
    stage.apply(&wish, Some(&applied.record)).await.unwrap();
    assert_eq!(stage.writes(), [] as [&str; 0]);
}

#[tokio::test]
async fn operations_with_their_own_policy_are_guarded_from_the_import_on() {
    let stage = Stage::new().await;
    let wish = Wish {
        own: [("get-order", "own")].into(),
        ..Wish::default()
    };
    let applied = stage.apply(&wish, None).await.unwrap();
    assert_eq!(
        stage.writes(),
        [
            "PUT apis/team.orders 201",
            "PUT apis/team.orders/policies/policy 201",
            "PUT apis/team.orders 200",
            "PUT apis/team.orders/operations/get-order/policies/policy 201",
            "PUT apis/team.orders/policies/policy 200",
        ]
    );
    let put = stage.policies_put();
    let guard = "condition=\"@(new [] { \"get-order\" }.Contains(context.Operation.Id))\"";
    assert_eq!(
        put.iter()
            .map(|text| text.contains(guard))
            .collect::<Vec<_>>(),
        [true, false]
    );
    assert!(put[0].contains("<set-status code=\"503\""));
    stage.simulator.clear_journal();

    // Without them again: the API's document is as it was.
    let plain = stage
        .apply(&Wish::default(), Some(&applied.record))
        .await
        .unwrap();
    assert_eq!(
        stage.writes(),
        ["DELETE apis/team.orders/operations/get-order/policies/policy 200"]
    );
    assert_eq!(plain.writes, one_write());
}

/// Sets a flag when the step before another one starts.
struct Stop {
    flag: Arc<AtomicBool>,
    before: usize,
}

#[async_trait]
impl Follow for Stop {
    fn step(&self, progress: Progress<'_>) {
        if progress.number + 1 == self.before {
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    async fn accepted(&self, _: &AppliedRecord) {}
}

/// Applies until a step is about to start, and stops there.
async fn killed_before(stage: &Stage, wish: &Wish, step: usize) {
    let flag = Arc::new(AtomicBool::new(false));
    let applier = stage.applier.clone().cancelled_by(flag.clone());
    let desired = wish.desired();
    let killer = Stop { flag, before: step };
    let error = applier.apply(&desired, None, &killer).await.unwrap_err();
    assert_eq!(error.failure, Failure::Cancelled);
}

#[tokio::test]
async fn a_create_that_was_killed_between_its_writes_is_completed_without_repeating_them() {
    for step in 2..=3 {
        let stage = Stage::new().await;
        killed_before(&stage, &Wish::default(), step).await;
        assert_eq!(stage.writes().len(), step - 1);
        // Nothing is remembered.
        stage.apply(&Wish::default(), None).await.unwrap();
        assert_eq!(
            stage.writes(),
            [
                "PUT apis/team.orders 201",
                "PUT apis/team.orders/policies/policy 201",
                "PUT apis/team.orders 200",
            ]
        );
    }
}

#[tokio::test]
async fn a_publication_that_was_killed_under_its_guard_is_completed() {
    let wish = Wish {
        own: [("get-order", "own")].into(),
        ..Wish::default()
    };
    for step in 2..=6 {
        let stage = Stage::new().await;
        killed_before(&stage, &wish, step).await;
        let applied = stage.apply(&wish, None).await.unwrap();
        let put = stage.policies_put();
        assert!(!put.last().unwrap().contains("503"), "{step}");
        stage.simulator.clear_journal();
        let confirmed = stage
            .applier
            .confirm(&wish.desired(), &applied.record)
            .await
            .unwrap();
        assert_eq!(confirmed, applied.record, "{step}");
        assert_eq!(stage.writes(), [] as [&str; 0]);
    }
}

#[tokio::test]
async fn an_api_that_is_not_ours_is_neither_written_nor_deleted() {
    let stage = Stage::new().await;
    stage.published(&Wish::default()).await;
    let other = Wish {
        mark: "apim-operator/1 01234567 others/orders",
        policy: "theirs",
        ..Wish::default()
    };
    let error = stage.apply(&other, None).await.unwrap_err();
    assert_eq!(
        error.failure,
        Failure::Plan(PlanError::OtherObjects {
            api_id: API.into(),
            owner: "team/orders".into()
        })
    );
    assert_eq!(error.class(), ErrorClass::Invalid);
    let id = ApiId::parse(API).unwrap();
    let deleted = stage.applier.delete(&id, other.mark).await.unwrap();
    assert_eq!(
        deleted,
        Deleted::NotOurs {
            whose: Some(MARK.into())
        }
    );
    assert_eq!(stage.writes(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_deletion_reads_first_and_is_at_peace_with_what_is_gone() {
    let stage = Stage::new().await;
    stage.published(&Wish::default()).await;
    let id = ApiId::parse(API).unwrap();
    assert_eq!(
        stage.applier.delete(&id, MARK).await.unwrap(),
        Deleted::Gone
    );
    assert_eq!(stage.reads()[0], "GET apis/team.orders 200");
    assert_eq!(stage.writes().len(), 1);
    stage.simulator.clear_journal();
    assert_eq!(
        stage.applier.delete(&id, MARK).await.unwrap(),
        Deleted::WasAbsent
    );
    assert_eq!(stage.writes(), [] as [&str; 0]);

    let gone = ServiceRef {
        service_name: "apim-gone".into(),
        ..service(&stage.simulator)
    };
    let client = stage
        .azure
        .client(gone, &credentials(&stage.simulator, "operator"))
        .unwrap();
    let deleted = operator_apim::Applier::new(client).delete(&id, MARK).await;
    assert_eq!(deleted.unwrap(), Deleted::ServiceAbsent);
}

#[tokio::test]
async fn a_claimed_record_is_read_back_before_it_is_believed() {
    let stage = Stage::new().await;
    let record = stage.published(&Wish::default()).await;
    let desired = Wish::default().desired();
    assert_eq!(
        stage.applier.confirm(&desired, &record).await.unwrap(),
        record
    );

    let id = ApiId::parse(API).unwrap();
    stage.applier.delete(&id, MARK).await.unwrap();
    let claimed = stage.applier.confirm(&desired, &record).await.unwrap();
    assert_eq!(
        claimed,
        AppliedRecord::unknown(record.instance.clone(), record.api_id.clone())
    );
}

#[tokio::test]
async fn two_appliers_of_one_api_take_turns() {
    let stage = Stage::new().await;
    let wish = Wish::default();
    let (one, two) = tokio::join!(stage.apply(&wish, None), stage.apply(&wish, None));
    // The second finds what the first did, but cannot read the document back.
    let mut writes = [one.unwrap().writes.planned, two.unwrap().writes.planned];
    writes.sort_unstable();
    assert_eq!(writes, [1, 3]);
    assert!(
        !stage
            .writes()
            .iter()
            .any(|call| call.ends_with("409") || call.ends_with("412"))
    );
}

#[tokio::test]
async fn our_budget_keeps_below_azures() {
    // Calls that were let through one after the other can still arrive at
    // once, so Azure's burst is larger than ours.
    let config = SimulatorConfig {
        throttle: Some(ThrottleLimits {
            reads_burst: 12,
            reads_per_second: 30,
            writes_burst: 12,
            writes_per_second: 30,
            ..ThrottleLimits::default()
        }),
        ..SimulatorConfig::default()
    };
    let mut stage = Stage::with(config, options()).await;
    let size = BucketSize {
        per_second: 25.0,
        burst: 5.0,
    };
    stage.azure = operator_apim::Azure::new(crate::stage::cloud(&stage.simulator))
        .unwrap()
        .with_options(options())
        .with_limits(Limits {
            writes: size,
            reads: size,
        });
    let client = stage.client_of("operator");
    let calls = (0..40).map(|_| client.reader().service());
    for call in futures::future::join_all(calls).await {
        call.unwrap();
    }
    assert_eq!(stage.reads().len(), 40);
    assert!(
        stage.reads().iter().all(|call| call == "GET  200"),
        "{:?}",
        stage.reads()
    );
}
