//! Each way in which Azure fails, once and for good.

use std::time::Duration;

use apim_simulator::{FaultSpec, SimulatorConfig};
use operator_apim::{ApplyError, ArmOptions, Cause, Silent, Writes};
use operator_core::class::ErrorClass;
use serde_json::{Value, json};

use crate::stage::{Stage, Wish, options};

const POLICY: &str = "/policies/policy";

#[expect(
    clippy::unnecessary_wraps,
    reason = "the type of the field that takes it"
)]
fn error(code: &str, message: &str) -> Option<Value> {
    Some(json!({"error": {"code": code, "message": message, "details": null}}))
}

/// A fault of the writing of the API's policy.
fn on_policy(status: u16, body: Option<Value>) -> FaultSpec {
    FaultSpec {
        verb: Some("PUT".into()),
        path: Some(POLICY.into()),
        status: Some(status),
        body,
        ..FaultSpec::default()
    }
}

fn once(fault: FaultSpec) -> FaultSpec {
    FaultSpec {
        count: Some(1),
        ..fault
    }
}

/// How a create ends under a fault, and how often the policy was sent.
async fn create_under(fault: FaultSpec) -> (Result<Writes, ApplyError>, usize) {
    let stage = Stage::new().await;
    stage.fault(fault);
    let result = stage.apply(&Wish::default(), None).await;
    let sent = stage.writes();
    let sent = sent.iter().filter(|call| call.contains(POLICY)).count();
    (result.map(|applied| applied.writes), sent)
}

const DONE: Writes = Writes {
    planned: 3,
    repairs: 0,
};

#[tokio::test]
async fn what_may_pass_is_tried_a_few_times_and_then_given_back_with_its_class() {
    let retry_after = [("Retry-After".to_owned(), "0".to_owned())];
    let passing = [
        (
            "409 lock",
            on_policy(
                409,
                error(
                    "PessimisticConcurrencyConflict",
                    "Operation on the API is in progress",
                ),
            ),
        ),
        (
            "422",
            on_policy(
                422,
                error(
                    "ManagementApiRequestFailed",
                    "Management API request timed out.",
                ),
            ),
        ),
        (
            "429",
            FaultSpec {
                headers: retry_after.into(),
                ..on_policy(429, error("TooManyRequests", "Too many."))
            },
        ),
        ("500", on_policy(500, error("InternalServerError", "Sorry"))),
        ("503", on_policy(503, None)),
        (
            "reset",
            FaultSpec {
                reset: true,
                status: None,
                ..on_policy(500, None)
            },
        ),
    ];
    for (name, fault) in passing {
        let (result, sent) = create_under(once(fault)).await;
        assert_eq!((result, sent), (Ok(DONE), 2), "{name}");
    }
}

#[tokio::test]
async fn what_does_not_pass_is_given_back_with_its_class() {
    let wait = [("Retry-After".to_owned(), "60".to_owned())];
    let lasting = [
        (
            on_policy(401, error("AuthenticationFailed", "no")),
            ErrorClass::Denied,
            // Once more, with a new token.
            2,
        ),
        (
            on_policy(403, error("AuthorizationFailed", "no")),
            ErrorClass::Denied,
            1,
        ),
        (
            on_policy(422, error("ManagementApiRequestFailed", "timed out")),
            ErrorClass::Transient,
            3,
        ),
        (
            FaultSpec {
                headers: wait.into(),
                ..on_policy(429, error("TooManyRequests", "Too many."))
            },
            ErrorClass::Throttled(Duration::from_mins(1)),
            1,
        ),
        (
            on_policy(500, error("InternalServerError", "Sorry")),
            ErrorClass::Transient,
            3,
        ),
        (on_policy(503, None), ErrorClass::Transient, 3),
        (
            FaultSpec {
                reset: true,
                status: None,
                ..on_policy(500, None)
            },
            ErrorClass::Transient,
            3,
        ),
        (
            on_policy(
                400,
                error(
                    "ValidationError",
                    "Error in element 'set-backend-service' on line 3, column 4: Backend with id 'x' could not be found.",
                ),
            ),
            ErrorClass::Waiting,
            1,
        ),
        (
            on_policy(
                400,
                error(
                    "ValidationError",
                    "Policy is not allowed in the specified section",
                ),
            ),
            ErrorClass::Invalid,
            1,
        ),
    ];
    for (fault, class, times) in lasting {
        let name = format!("{fault:?}");
        let (result, sent) = create_under(fault).await;
        let failed = result.unwrap_err();
        assert_eq!((failed.class(), sent), (class, times), "{name}");
        assert_eq!(failed.step.as_deref(), Some("put the policy"), "{name}");
        // What was done is remembered, so that it is not done again.
        let record = failed.record.unwrap();
        assert!(record.settings_hash.is_some() && record.policy_hash.is_none());
    }
}

#[tokio::test]
async fn a_refused_policy_is_shown_with_all_that_azure_said() {
    let stage = Stage::new().await;
    let mut desired = Wish::default().desired();
    desired.policy.as_mut().unwrap().api = operator_core::desired::PolicyText::new(
        "<policies>\n    <inbound>\n        <base />\n        <set-backend-service backend-id=\"nowhere\" />\n    </inbound>\n</policies>\n".into(),
    );
    let failed = stage
        .applier
        .apply(&desired, None, &Silent)
        .await
        .unwrap_err();
    assert_eq!(failed.class(), ErrorClass::Waiting);
    let arm = failed.arm().unwrap();
    assert_eq!(
        arm.missing.as_ref().unwrap().to_string(),
        "backend `nowhere`"
    );
    assert!(
        failed.to_string().starts_with(
            "could not put the policy: PUT policy of API team.orders: 400 ValidationError: One or more fields contain incorrect values: [set-backend-service] Error in element 'set-backend-service' on line 4, column "
        ),
        "{failed}"
    );
}

#[tokio::test]
async fn somebody_who_writes_in_between_causes_a_second_look_not_a_failure() {
    let fault = on_policy(
        412,
        error(
            "PreconditionFailed",
            "Resource was modified since last retrieval.",
        ),
    );
    let stage = Stage::new().await;
    stage.fault(once(fault.clone()));
    let applied = stage.apply(&Wish::default(), None).await.unwrap();
    assert_eq!(applied.writes, DONE);
    assert_eq!(
        stage.reads(),
        [
            "GET apis/team.orders 404",
            "GET apis 200",
            "GET apis/team.orders 200",
            "GET apis/team.orders/policies/policy 404",
            "GET apis/team.orders 200",
            "GET apis/team.orders/operations 200",
        ]
    );

    let (result, sent) = create_under(fault).await;
    assert_eq!(
        (result.unwrap_err().class(), sent),
        (ErrorClass::Conflict, 3)
    );
}

#[tokio::test]
async fn an_import_is_never_sent_twice_by_one_call() {
    for fault in [
        FaultSpec {
            status: Some(503),
            ..FaultSpec::default()
        },
        FaultSpec {
            status: Some(500),
            effect: true,
            ..FaultSpec::default()
        },
        FaultSpec {
            reset: true,
            effect: true,
            ..FaultSpec::default()
        },
    ] {
        let stage = Stage::new().await;
        stage.fault(FaultSpec {
            verb: Some("PUT".into()),
            path: Some("/apis/team.orders\\?".into()),
            after: 1,
            ..fault
        });
        let failed = stage.apply(&Wish::default(), None).await.unwrap_err();
        assert_eq!(failed.class(), ErrorClass::Transient);
        assert_eq!(failed.step.as_deref(), Some("import the OpenAPI document"));
        assert_eq!(stage.writes().len(), 3);
        stage.simulator.clear_faults();
        let record = failed.record.unwrap();
        let applied = stage.apply(&Wish::default(), Some(&record)).await.unwrap();
        assert_eq!(applied.writes.planned, 1);
    }
}

#[tokio::test]
async fn an_operation_that_fails_later_is_the_calls_failure() {
    for (failure, class) in [
        (json!(true), ErrorClass::Transient),
        (
            json!({"code": "ValidationError", "message": "Parsing error(s): no"}),
            ErrorClass::Invalid,
        ),
    ] {
        let stage = Stage::new().await;
        stage.fault(FaultSpec {
            verb: Some("PUT".into()),
            path: Some("/apis/team.orders\\?".into()),
            after: 1,
            lro_failure: Some(failure),
            ..FaultSpec::default()
        });
        let failed = stage.apply(&Wish::default(), None).await.unwrap_err();
        assert_eq!(failed.class(), class);
        assert_eq!(failed.arm().unwrap().cause, Cause::Operation);
        assert_eq!(failed.step.as_deref(), Some("import the OpenAPI document"));
    }
}

#[tokio::test]
async fn the_lock_that_an_import_leaves_is_waited_for() {
    let stage = Stage::with_lro(apim_simulator::LroSettings {
        import_resets: vec!["displayName".into()],
        ..apim_simulator::LroSettings::default()
    })
    .await;
    stage.fault(FaultSpec {
        verb: Some("PUT".into()),
        path: Some("/apis/team.orders\\?".into()),
        after: 1,
        count: Some(1),
        lock_after_success: Some(3),
        ..FaultSpec::default()
    });
    let wish = Wish {
        document_title: "Another title",
        ..Wish::default()
    };
    let applied = stage.apply(&wish, None).await.unwrap();
    assert_eq!(applied.writes.repairs, 1);
    let patches: Vec<String> = stage
        .writes()
        .into_iter()
        .filter(|call| call.starts_with("PATCH"))
        .collect();
    assert_eq!(
        patches,
        [
            "PATCH apis/team.orders 409",
            "PATCH apis/team.orders 409",
            "PATCH apis/team.orders 409",
            "PATCH apis/team.orders 200"
        ]
    );
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let quick = ArmOptions {
        write_timeout: Duration::from_millis(200),
        retries: 1,
        ..options()
    };
    let stage = Stage::with(SimulatorConfig::default(), quick).await;
    stage.fault(FaultSpec {
        hold: true,
        status: None,
        ..on_policy(500, None)
    });
    let failed = stage.apply(&Wish::default(), None).await.unwrap_err();
    assert_eq!(failed.class(), ErrorClass::Transient);
    assert_eq!(failed.arm().unwrap().cause, Cause::TimedOut);
    stage.simulator.clear_faults();
}

#[tokio::test]
async fn a_deletion_that_fails_halfway_is_completed_by_the_next() {
    use crate::stage::{API, MARK};
    use operator_apim::Deleted;
    use operator_core::names::ApiId;

    let stage = Stage::new().await;
    stage.published(&Wish::default()).await;
    let id = ApiId::parse(API).unwrap();
    stage.fault(FaultSpec {
        verb: Some("DELETE".into()),
        reset: true,
        effect: true,
        count: Some(1),
        ..FaultSpec::default()
    });
    // Repeated in the same call, and then there is nothing left.
    assert_eq!(
        stage.applier.delete(&id, MARK).await.unwrap(),
        Deleted::Gone
    );
    stage.fault(FaultSpec {
        status: Some(503),
        ..FaultSpec::default()
    });
    let failed = stage.applier.delete(&id, MARK).await.unwrap_err();
    assert_eq!(failed.class(), ErrorClass::Transient);
}
