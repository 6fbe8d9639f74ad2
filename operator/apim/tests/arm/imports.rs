//! Imports that take long, get lost, or do not do what they said.

use std::sync::Mutex;
use std::time::Duration;

use apim_simulator::{FaultSpec, LroMode, LroSettings, SimulatorConfig};
use async_trait::async_trait;
use operator_apim::{ArmOptions, Cause, Follow, Progress, Silent, Writes};
use operator_core::apim::{AppliedRecord, PollShape};
use operator_core::class::ErrorClass;

use crate::stage::{Stage, Wish, options};

const IMPORT: &str = "/apis/team.orders\\?";
const TEN_MINUTES: u32 = 600_000;
const POLL: &str = "operationResults|asyncId";

/// Imports do not end by themselves.
fn endless(mode: LroMode) -> LroSettings {
    LroSettings {
        mode,
        polls: 1_000_000,
        max_duration_ms: TEN_MINUTES,
        ..LroSettings::default()
    }
}

/// Keeps the record of an import that was accepted, as status does.
#[derive(Default)]
struct Kept(Mutex<Option<AppliedRecord>>, tokio::sync::Notify);

impl Kept {
    fn record(&self) -> AppliedRecord {
        self.0.lock().unwrap().clone().unwrap()
    }
}

#[async_trait]
impl Follow for Kept {
    fn step(&self, _: Progress<'_>) {}

    async fn accepted(&self, record: &AppliedRecord) {
        *self.0.lock().unwrap() = Some(record.clone());
        self.1.notify_one();
    }
}

/// Applies until the import has been accepted, and dies there.
async fn killed_while_it_runs(stage: &Stage, wish: &Wish) -> AppliedRecord {
    let kept = Kept::default();
    let desired = wish.desired();
    tokio::select! {
        ended = stage.applier.apply(&desired, None, &kept) => panic!("{ended:?}"),
        () = kept.1.notified() => {}
    }
    kept.record()
}

fn imports(stage: &Stage) -> usize {
    let writes = stage.writes();
    let of_api = writes
        .iter()
        .filter(|call| call.starts_with("PUT apis/team.orders "));
    // The first PUT makes the API, without a document.
    of_api.count() - 1
}

#[tokio::test]
async fn an_import_that_runs_is_waited_for_after_a_restart_and_not_sent_again() {
    for (mode, shape) in [
        (LroMode::AsyncOperation, PollShape::AsyncOperation),
        (LroMode::Location, PollShape::Location),
    ] {
        let stage = Stage::with_lro(endless(mode)).await;
        let record = killed_while_it_runs(&stage, &Wish::default()).await;
        let pending = record.pending_import.as_ref().unwrap();
        assert_eq!(pending.shape, shape);
        assert_eq!(record.spec_hash, None);
        assert!(pending.etag.is_some());
        // What is written down survives being written down.
        let text = serde_json::to_string(&record).unwrap();
        let record: AppliedRecord = serde_json::from_str(&text).unwrap();

        stage.simulator.set_lro(LroSettings {
            polls: 3,
            ..LroSettings::default()
        });
        stage.simulator.advance_clock(TEN_MINUTES + 1);
        let applied = stage.apply(&Wish::default(), Some(&record)).await.unwrap();
        assert_eq!(imports(&stage), 1, "{mode:?}");
        assert_eq!(applied.writes, Writes::default());
        assert_eq!(applied.operations, Some(2));
        assert_eq!(applied.record.pending_import, None);
        stage.simulator.clear_journal();
        let again = stage.apply(&Wish::default(), Some(&applied.record)).await;
        assert_eq!(again.unwrap().record, applied.record);
        assert_eq!(stage.reads(), [] as [&str; 0]);
    }
}

#[tokio::test]
async fn what_an_import_reset_is_repaired_also_after_a_restart() {
    let stage = Stage::with_lro(LroSettings {
        import_resets: vec!["displayName".into()],
        ..endless(LroMode::Auto)
    })
    .await;
    let wish = Wish {
        document_title: "Another title",
        own: [("get-order", "own")].into(),
        ..Wish::default()
    };
    let record = killed_while_it_runs(&stage, &wish).await;
    stage.simulator.set_lro(LroSettings {
        import_resets: vec!["displayName".into()],
        ..LroSettings::default()
    });
    stage.simulator.advance_clock(TEN_MINUTES + 1);
    stage.simulator.clear_journal();
    let applied = stage.apply(&wish, Some(&record)).await.unwrap();
    let mut writes = stage.writes();
    writes.sort();
    assert_eq!(
        writes,
        [
            "PATCH apis/team.orders 200",
            "PUT apis/team.orders/operations/get-order/policies/policy 201",
            "PUT apis/team.orders/policies/policy 200",
        ]
    );
    let desired = wish.desired();
    let confirmed = stage.applier.confirm(&desired, &applied.record).await;
    assert_eq!(confirmed.unwrap(), applied.record);
}

#[tokio::test]
async fn an_import_of_an_earlier_document_is_waited_for_before_the_next_is_sent() {
    let stage = Stage::with_lro(endless(LroMode::Auto)).await;
    let record = killed_while_it_runs(&stage, &Wish::default()).await;
    let next = Wish {
        operations: vec!["list-orders", "get-order", "put-order"],
        ..Wish::default()
    };
    stage.simulator.set_lro(LroSettings::default());
    stage.simulator.advance_clock(TEN_MINUTES + 1);
    let applied = stage.apply(&next, Some(&record)).await.unwrap();
    assert_eq!(applied.operations, Some(3));
    assert_eq!(imports(&stage), 2);
    let busy = stage.writes().iter().any(|call| call.ends_with("409"));
    assert!(!busy, "{:?}", stage.writes());
}

#[tokio::test]
async fn a_polling_url_that_is_none_of_the_instances_is_not_asked() {
    let stage = Stage::with_lro(endless(LroMode::Auto)).await;
    let record = killed_while_it_runs(&stage, &Wish::default()).await;
    stage.simulator.set_lro(LroSettings::default());
    stage.simulator.advance_clock(TEN_MINUTES + 1);
    let own = record.pending_import.as_ref().unwrap().poll.clone();
    let other_service = own.replace("/service/apim-local/", "/service/apim-other/");
    assert_ne!(own, other_service);
    for url in [
        "https://evil.example/operationResults/1",
        &own.replace("localhost", "localhost.evil.example"),
        &own.replacen("https://", "https://user@", 1),
        &other_service,
        &own.replace("/service/apim-local/", "/service/apim-local/../apim-other/"),
        "no URL",
    ] {
        let mut forged = record.clone();
        forged.pending_import.as_mut().unwrap().poll = url.to_owned();
        stage.simulator.clear_journal();
        stage
            .apply(&Wish::default(), Some(&forged))
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        let polls = stage.reads();
        let strange = polls.iter().any(|call| call.contains("apim-other"));
        assert!(!strange, "{polls:?}");
        assert_eq!(stage.writes(), ["PUT apis/team.orders 200"], "{url}");
    }
}

#[tokio::test]
async fn an_import_that_was_written_down_long_ago_is_sent_again() {
    let stage = Stage::with_lro(endless(LroMode::Auto)).await;
    let mut record = killed_while_it_runs(&stage, &Wish::default()).await;
    stage.simulator.set_lro(LroSettings::default());
    stage.simulator.advance_clock(TEN_MINUTES + 1);
    record.pending_import.as_mut().unwrap().started = "2020-01-01T00:00:00Z".parse().unwrap();
    stage.apply(&Wish::default(), Some(&record)).await.unwrap();
    assert_eq!(imports(&stage), 2);
}

#[tokio::test]
async fn an_import_that_never_ends_is_asked_for_again_but_not_sent_again() {
    let quick = ArmOptions {
        operation_timeout: Duration::from_millis(50),
        ..options()
    };
    let config = SimulatorConfig {
        lro: endless(LroMode::Auto),
        ..SimulatorConfig::default()
    };
    let stage = Stage::with(config, quick).await;
    let failed = stage.apply(&Wish::default(), None).await.unwrap_err();
    assert_eq!(failed.class(), ErrorClass::Transient);
    assert_eq!(failed.arm().unwrap().cause, Cause::TimedOut);
    let record = failed.record.unwrap();
    assert!(record.pending_import.is_some());
    let failed = stage
        .apply(&Wish::default(), Some(&record))
        .await
        .unwrap_err();
    assert_eq!(
        failed.step.as_deref(),
        Some("wait for the import that was started before")
    );
    assert_eq!(failed.record.unwrap(), record);
    assert_eq!(imports(&stage), 1);
}

#[tokio::test]
async fn an_import_that_has_ended_although_its_operation_runs_for_ever_is_found_done() {
    let quick = ArmOptions {
        operation_timeout: Duration::from_millis(50),
        ..options()
    };
    let stage = Stage::with(SimulatorConfig::default(), quick).await;
    stage.fault(FaultSpec {
        verb: Some("GET".into()),
        path: Some(POLL.into()),
        status: Some(200),
        body: Some(serde_json::json!({"status": "InProgress"})),
        effect: true,
        ..FaultSpec::default()
    });
    let applied = stage.apply(&Wish::default(), None).await.unwrap();
    assert_eq!(applied.operations, Some(2));
    assert_eq!((imports(&stage), applied.record.pending_import), (1, None));
}

#[tokio::test]
async fn an_import_whose_operation_is_not_found_is_looked_for_in_the_api() {
    // Carried out all the same.
    let stage = Stage::new().await;
    let unknown = FaultSpec {
        verb: Some("GET".into()),
        path: Some(POLL.into()),
        status: Some(404),
        effect: true,
        ..FaultSpec::default()
    };
    stage.fault(unknown.clone());
    let applied = stage.apply(&Wish::default(), None).await.unwrap();
    assert_eq!((imports(&stage), applied.operations), (1, Some(2)));

    // Not carried out: nothing is claimed, and the next attempt sends it.
    let stage = Stage::with_lro(endless(LroMode::Auto)).await;
    stage.fault(unknown);
    let failed = stage.apply(&Wish::default(), None).await.unwrap_err();
    let error = failed.arm().unwrap();
    assert_eq!(
        (error.class, error.cause, error.status),
        (ErrorClass::Transient, Cause::Operation, Some(404))
    );
    let record = failed.record.unwrap();
    assert_eq!((&record.pending_import, &record.spec_hash), (&None, &None));
    stage.simulator.clear_faults();
    stage.simulator.set_lro(LroSettings::default());
    stage.simulator.advance_clock(TEN_MINUTES + 1);
    let applied = stage.apply(&Wish::default(), Some(&record)).await.unwrap();
    assert_eq!((imports(&stage), applied.operations), (2, Some(2)));
}

#[tokio::test]
async fn a_deletion_whose_operation_is_not_found_is_looked_for_in_the_api() {
    use crate::stage::{API, MARK};
    use operator_apim::Deleted;
    use operator_core::names::ApiId;

    let stage = Stage::new().await;
    stage.published(&Wish::default()).await;
    stage.fault(FaultSpec {
        verb: Some("GET".into()),
        path: Some(POLL.into()),
        status: Some(404),
        effect: true,
        ..FaultSpec::default()
    });
    let id = ApiId::parse(API).unwrap();
    let deleted = stage.applier.delete(&id, MARK).await.unwrap();
    assert!(
        matches!(deleted, Deleted::Gone | Deleted::WasAbsent),
        "{deleted:?}"
    );
    assert_eq!(stage.reads().last().unwrap(), "GET apis/team.orders 404");
}

#[tokio::test]
async fn a_success_without_the_operations_is_a_failure_that_names_them() {
    let stage = Stage::new().await;
    stage.fault(FaultSpec {
        verb: Some("PUT".into()),
        path: Some(IMPORT.into()),
        after: 1,
        count: Some(1),
        lost_operations: Some(1),
        ..FaultSpec::default()
    });
    let failed = stage.apply(&Wish::default(), None).await.unwrap_err();
    let error = failed.arm().unwrap();
    assert_eq!(
        (error.class, error.cause),
        (ErrorClass::Transient, Cause::Result)
    );
    assert_eq!(
        error.message,
        "API Management reported that the document was imported, but the API has 1 operation(s) and the document \
         makes 2; missing: `get-order`"
    );
    let record = failed.record.unwrap();
    assert_eq!((&record.spec_hash, record.operations), (&None, None));
    assert_eq!(imports(&stage), 1);
    let applied = stage.apply(&Wish::default(), Some(&record)).await.unwrap();
    assert_eq!((imports(&stage), applied.operations), (2, Some(2)));
}

#[tokio::test]
async fn an_import_refused_while_another_operation_runs_is_not_sent_again_at_once() {
    for (status, code) in [
        (412, "PreconditionFailed"),
        (409, "PessimisticConcurrencyConflict"),
    ] {
        let stage = Stage::new().await;
        stage.fault(FaultSpec {
            verb: Some("PUT".into()),
            path: Some(IMPORT.into()),
            after: 1,
            status: Some(status),
            body: Some(serde_json::json!({"error": {"code": code, "message": "no"}})),
            ..FaultSpec::default()
        });
        let failed = stage.apply(&Wish::default(), None).await.unwrap_err();
        assert_eq!(failed.class(), ErrorClass::Transient, "{status}");
        assert_eq!(imports(&stage), 1, "{status}");
    }
}

#[tokio::test]
async fn an_import_of_an_api_that_somebody_modified_is_a_conflict() {
    let stage = Stage::new().await;
    let record = stage.published(&Wish::default()).await;
    let next = Wish {
        document_title: "New title",
        ..Wish::default()
    };
    let held = stage
        .simulator
        .fault(FaultSpec {
            verb: Some("PUT".into()),
            path: Some(IMPORT.into()),
            count: Some(1),
            hold: true,
            ..FaultSpec::default()
        })
        .unwrap();
    let desired = next.desired();
    let (ended, ()) = tokio::join!(
        stage.applier.apply(&desired, Some(&record), &Silent),
        async {
            assert!(
                stage
                    .simulator
                    .wait_for_held(1, Duration::from_secs(20))
                    .await
            );
            stage.modified_by_somebody().await;
            assert!(stage.simulator.release(held));
        }
    );
    let failed = ended.unwrap_err();
    assert_eq!(failed.class(), ErrorClass::Conflict);
    let sent = stage.writes();
    assert_eq!(
        sent,
        ["PATCH apis/team.orders 200", "PUT apis/team.orders 412"]
    );
    // The next attempt reads what is there now.
    let record = failed.record.unwrap();
    stage.apply(&next, Some(&record)).await.unwrap();
}

#[tokio::test]
async fn an_api_that_is_marked_as_anothers_while_it_is_imported_is_left_to_them() {
    let stage = Stage::new().await;
    let record = stage.published(&Wish::default()).await;
    let next = Wish {
        operations: vec!["list-orders", "get-order", "put-order"],
        own: [("put-order", "own")].into(),
        ..Wish::default()
    };
    // The read that follows the import; one came before it.
    let held = stage
        .simulator
        .fault(FaultSpec {
            verb: Some("GET".into()),
            path: Some(IMPORT.into()),
            after: 1,
            count: Some(1),
            hold: true,
            ..FaultSpec::default()
        })
        .unwrap();
    let desired = next.desired();
    let (ended, ()) = tokio::join!(
        stage.applier.apply(&desired, Some(&record), &Silent),
        async {
            assert!(
                stage
                    .simulator
                    .wait_for_held(1, Duration::from_secs(20))
                    .await
            );
            stage
                .set_by_somebody("apiRevisionDescription", "kept by hand")
                .await;
            stage.simulator.clear_journal();
            assert!(stage.simulator.release(held));
        }
    );
    let failed = ended.unwrap_err();
    assert_eq!(failed.class(), ErrorClass::Conflict);
    assert_eq!(
        failed.failure.to_string(),
        "GET API team.orders: the API was marked as somebody else's while it was being written: \
         its revision description is `kept by hand`"
    );
    assert_eq!(stage.writes(), [""; 0]);
}
