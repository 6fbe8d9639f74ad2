//! What Azure may do to a call, and what becomes of the object and of its
//! neighbours.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use apim_simulator::{FaultSpec, JournalEntry, LroMode};
use e2e::{Publishing, Stage, assert_protected, exposed_api};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

fn answer(status: u16, body: Value) -> FaultSpec {
    FaultSpec {
        status: Some(status),
        body: Some(body),
        count: Some(1),
        ..FaultSpec::default()
    }
}

fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

fn broken() -> Value {
    error("InternalServerError", "An error has occurred.")
}

/// What passes by itself when it happens once, and the status of the call that
/// it happens to; none where that is the usual one.
fn faults() -> Vec<(&'static str, FaultSpec, Option<u16>)> {
    let once = || FaultSpec {
        count: Some(1),
        ..FaultSpec::default()
    };
    let expired = error(
        "ExpiredAuthenticationToken",
        "The access token expiry UTC time is earlier than now.",
    );
    let locked = error(
        "PessimisticConcurrencyConflict",
        "The operation is in conflict with another one.",
    );
    let precondition = error("PreconditionFailed", "The ETag does not match.");
    let unprocessable = error(
        "ManagementApiRequestFailed",
        "Failed to connect to management endpoint.",
    );
    vec![
        ("unauthorized", answer(401, expired), Some(401)),
        ("locked", answer(409, locked), Some(409)),
        ("precondition", answer(412, precondition), Some(412)),
        ("unprocessable", answer(422, unprocessable), Some(422)),
        ("broken", answer(500, broken()), Some(500)),
        (
            "unavailable",
            FaultSpec {
                status: Some(503),
                ..once()
            },
            Some(503),
        ),
        (
            "reset",
            FaultSpec {
                reset: true,
                ..once()
            },
            Some(0),
        ),
        (
            "reset-after-effect",
            FaultSpec {
                reset: true,
                effect: true,
                ..once()
            },
            Some(0),
        ),
        (
            "failing-later",
            FaultSpec {
                lro_failure: Some(Value::Bool(true)),
                ..once()
            },
            None,
        ),
        (
            "failing-elsewhere",
            FaultSpec {
                lro_failure: Some(Value::Bool(true)),
                lro: Some(LroMode::Location),
                ..once()
            },
            Some(202),
        ),
        (
            "lock-left",
            FaultSpec {
                lock_after_success: Some(1),
                ..once()
            },
            None,
        ),
    ]
}

/// The writes of an API one of which fails once: the three that it costs, and
/// the one that failed.
fn expected(struck: Publishing, fault: &str, status: Option<u16>) -> Vec<String> {
    let fine = |write| {
        if write == Publishing::Import {
            200
        } else {
            201
        }
    };
    let mut calls = Vec::new();
    let mut lock_left = false;
    for write in Publishing::ALL {
        let word = write.word();
        if lock_left {
            // The lock is on the API, so it is the next write that meets it.
            calls.push(format!("{word} 409"));
            lock_left = false;
        }
        if write == struck {
            match (fault, status) {
                ("lock-left", _) => lock_left = true,
                ("failing-later", _) => calls.push(format!("{word} 200")),
                (_, Some(status)) => calls.push(format!("{word} {status}")),
                (_, None) => {}
            }
        }
        // What is there already is replaced, not made.
        let status = if write == struck && fault == "reset-after-effect" {
            200
        } else {
            fine(write)
        };
        calls.push(format!("{word} {status}"));
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_once_in_a_create_or_a_delete_costs_one_more_write() -> Result<()> {
    let Some(stage) = Stage::builder().start("what_fails_once").await else {
        return Ok(());
    };
    let mut rows = Vec::new();
    for write in Publishing::ALL {
        for (fault, spec, status) in faults() {
            // The others are answered at once.
            if spec.lro_failure.is_some() && write != Publishing::Import {
                continue;
            }
            let name = format!("{fault}-{}", write.word());
            stage.strike(write.struck_by(&format!("shop.{name}"), spec))?;
            rows.push((name, expected(write, fault, status)));
        }
    }
    for (name, _) in &rows {
        stage.apply(&exposed_api(name, |_| ())).await?;
    }
    let mut seen = BTreeMap::new();
    for (name, _) in &rows {
        stage.until_ready(name).await?;
        let calls = stage.traffic(&format!("shop.{name}"));
        assert_protected(&calls);
        seen.insert(name.clone(), calls);
    }
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(seen, rows);

    // The same for deletions, of the APIs that are there now.
    stage.azure.clear_journal();
    let mut deletions = BTreeMap::new();
    for (fault, spec, status) in faults() {
        let name = format!("{fault}-import");
        let path = format!("/apis/shop\\.{name}\\?");
        stage.strike(FaultSpec {
            verb: Some("DELETE".to_owned()),
            path: Some(path),
            ..spec
        })?;
        stage.delete(&name).await?;
        let calls = match (fault, status) {
            // The import left the lock, and a deletion leaves nothing to lock.
            ("lock-left", _) => vec!["delete 409".to_owned(), "delete 202".to_owned()],
            // It is gone, whatever became of the answer.
            ("reset-after-effect", _) => vec!["delete 0".to_owned(), "delete 204".to_owned()],
            (_, Some(status)) => vec![format!("delete {status}"), "delete 202".to_owned()],
            (_, None) => vec!["delete 202".to_owned(), "delete 202".to_owned()],
        };
        deletions.insert(name, calls);
    }
    let mut seen = BTreeMap::new();
    for name in deletions.keys() {
        stage.until_gone(name).await?;
        assert_eq!(stage.api(&format!("shop.{name}")).await?, None, "{name}");
        let mut calls = stage.traffic(&format!("shop.{name}"));
        if name.starts_with("reset-after-effect") {
            // While the first deletion runs, the second is sent away.
            calls.retain(|call| call != "delete 409");
        }
        seen.insert(name.clone(), calls);
    }
    assert_eq!(seen, deletions);
    Ok(())
}

/// Changes that are none of Azure's business, each of which is a reconcile.
async fn poke(stage: &Stage, name: &str) -> Result<()> {
    for round in 0..10 {
        stage
            .patch(
                "shop",
                name,
                &json!({"metadata": {"labels": {"round": round.to_string()}}}),
            )
            .await?;
        stage.set_ready(name, round % 2 == 0).await?;
    }
    stage.set_ready(name, true).await?;
    stage.settled().await
}

fn retry(value: &str) -> Value {
    json!({"metadata": {"annotations": {"apim.oda.tmforum.org/retry": value}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_failure_makes_no_storm_delays_nobody_and_ends_with_retry() -> Result<()> {
    let Some(stage) = Stage::builder().start("an_endless_failure").await else {
        return Ok(());
    };
    let for_ever = |fault: FaultSpec| FaultSpec {
        count: None,
        ..fault
    };

    // Not allowed: slow retries, since a role assignment takes minutes.
    let message =
        "The client 'x' with object id 'x' does not have authorization to perform action 'write'.";
    let forbidden = for_ever(answer(403, error("AuthorizationFailed", message)));
    let refusals = stage.strike(Publishing::Policy.struck_by("shop.denied", forbidden))?;
    stage.apply(&exposed_api("denied", |_| ())).await?;
    let status = stage.until_reason("denied", "ApimSynced", "Denied").await?;
    let said = status["apim"]["lastError"].as_str().context("an error")?;
    assert_eq!(
        said,
        format!(
            "could not put the policy: PUT policy of API shop.denied: 403 AuthorizationFailed: {message}"
        )
    );
    assert_eq!(status["implementation"]["ready"], false);
    poke(&stage, "denied").await?;
    assert_eq!(stage.traffic("shop.denied"), ["create 201", "policy 403"]);

    // Broken: the backoff decides, not what happens around the object.
    let endless_500 = for_ever(answer(500, broken()));
    stage.strike(Publishing::Import.struck_by("shop.broken", endless_500))?;
    stage.apply(&exposed_api("broken", |_| ())).await?;
    stage.until_reason("broken", "ApimSynced", "Failed").await?;
    poke(&stage, "broken").await?;
    let calls = stage.traffic("shop.broken");
    assert_eq!(calls[..2], ["create 201", "policy 201"]);
    assert!(
        calls[2..].iter().all(|call| call == "import 500"),
        "{calls:?}"
    );
    assert!((1..=7).contains(&calls[2..].len()), "{calls:?}");

    // `retry` starts afresh, long before the minute that a denial waits.
    stage.azure.clear_faults();
    assert!(!stage.azure.release(refusals));
    let started = Instant::now();
    for name in ["denied", "broken"] {
        stage.patch("shop", name, &retry("1")).await?;
        stage.until_ready(name).await?;
    }
    assert!(
        started.elapsed() < Duration::from_secs(40),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(
        stage.traffic("shop.denied"),
        ["create 201", "policy 403", "policy 201", "import 200"]
    );
    let mut all = calls;
    let again = stage.traffic("shop.broken");
    all.resize(again.len() - 1, "import 500".to_owned());
    all.push("import 200".to_owned());
    assert_eq!(again, all);

    what_is_missing_is_named_and_looked_for_again(&stage).await?;
    a_held_import_delays_nobody(&stage).await?;
    retry_after_is_honoured(&stage).await
}

async fn what_is_missing_is_named_and_looked_for_again(stage: &Stage) -> Result<()> {
    let refused = answer(
        400,
        json!({"error": {
            "code": "ValidationError",
            "message": "One or more fields contain incorrect values:",
            "details": [{
                "code": "ValidationError",
                "target": "set-backend-service",
                "message": "Error in element 'set-backend-service' on line 4, column 4: Backend with id 'orders' could not be found.",
            }],
        }}),
    );
    stage.strike(Publishing::Policy.struck_by("shop.waits", refused))?;
    stage.apply(&exposed_api("waits", |_| ())).await?;
    let status = stage
        .until_reason("waits", "ApimSynced", "WaitingForDependency")
        .await?;
    let said = status["conditions"].to_string();
    assert!(said.contains("waits for backend `orders`: "), "{said}");
    let conditions = status["conditions"].as_array().context("conditions")?;
    let stalled = conditions.iter().find(|one| one["type"] == "Stalled");
    assert_eq!(stalled.context("Stalled")?["status"], "False");
    // Nobody does anything, and half a minute later it is there.
    stage.until_ready("waits").await?;
    assert_eq!(
        stage.traffic("shop.waits"),
        ["create 201", "policy 400", "policy 201", "import 200"]
    );
    Ok(())
}

async fn a_held_import_delays_nobody(stage: &Stage) -> Result<()> {
    let hold = FaultSpec {
        hold: true,
        count: Some(1),
        ..FaultSpec::default()
    };
    let fault = stage.strike(Publishing::Import.struck_by("shop.held", hold))?;
    stage.apply(&exposed_api("held", |_| ())).await?;
    stage.until_held(1).await?;
    for index in 0..5 {
        let neighbour = format!("neighbour-{index}");
        stage.apply(&exposed_api(&neighbour, |_| ())).await?;
        stage.until_ready(&neighbour).await?;
        assert_eq!(
            stage.traffic(&format!("shop.{neighbour}")),
            ["create 201", "policy 201", "import 200"]
        );
    }
    assert!(
        stage.is_held(1).await,
        "the import was over before its neighbours were published"
    );
    let status = stage
        .until_reason("held", "ApimSynced", "Progressing")
        .await?;
    assert_eq!(status["implementation"]["ready"], false);
    assert!(status["apiStatus"]["url"].is_string(), "{status}");
    assert!(stage.azure.release(fault));
    stage.until_ready("held").await?;
    assert_eq!(
        stage.traffic("shop.held"),
        ["create 201", "policy 201", "import 200"]
    );
    Ok(())
}

/// When a call was answered.
fn time(call: &JournalEntry) -> Result<Timestamp> {
    call.time.parse().with_context(|| call.time.clone())
}

async fn retry_after_is_honoured(stage: &Stage) -> Result<()> {
    for (name, seconds) in [("soon", 3), ("late", 11)] {
        let mut throttled = answer(429, error("TooManyRequests", "Rate limit is exceeded."));
        throttled
            .headers
            .insert("Retry-After".to_owned(), seconds.to_string());
        stage.strike(Publishing::Policy.struck_by(&format!("shop.{name}"), throttled))?;
        stage.apply(&exposed_api(name, |_| ())).await?;
        if name == "late" {
            // Too long to be waited for within a reconcile.
            stage.until_reason(name, "ApimSynced", "Throttled").await?;
        }
        stage.until_ready(name).await?;
        let calls = stage.entries(&format!("shop.{name}"));
        assert_eq!(
            stage.traffic(&format!("shop.{name}")),
            ["create 201", "policy 429", "policy 201", "import 200"]
        );
        let waited = time(&calls[2])?.duration_since(time(&calls[1])?);
        assert!(waited.as_secs() >= seconds, "{name}: {waited:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_apis_at_once_cost_three_writes_each_beside_a_call_that_is_never_answered()
-> Result<()> {
    let Some(stage) = Stage::builder().start("two_hundred_apis_at_once").await else {
        return Ok(());
    };
    // A read that is never answered is given up after 30 seconds and repeated.
    let path = Some("/apis/shop\\.silent\\?".to_owned());
    let hold = FaultSpec {
        verb: Some("GET".to_owned()),
        path,
        hold: true,
        count: Some(1),
        ..FaultSpec::default()
    };
    stage.strike(hold)?;
    stage.apply(&exposed_api("silent", |_| ())).await?;
    stage.until_held(1).await?;

    let names: Vec<String> = (0..200).map(|index| format!("api-{index}")).collect();
    for name in &names {
        stage.apply(&exposed_api(name, |_| ())).await?;
    }
    for name in names.iter().map(String::as_str).chain(["silent"]) {
        stage.until_ready(name).await?;
        assert_eq!(
            stage.traffic(&format!("shop.{name}")),
            ["create 201", "policy 201", "import 200"],
            "{name}"
        );
    }
    // Nothing was written that no API was asked to be written for.
    let writes: usize = names
        .iter()
        .map(|name| stage.traffic(&format!("shop.{name}")).len())
        .sum();
    assert_eq!(writes, 600);
    Ok(())
}
