//! `circuit`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use apim_gateway::Clock as _;
use plugin_behaviour::{Api, Stage, reply};
use serde_json::{Value, json};

use crate::INTERNAL;

async fn stage(config: Value) -> Stage {
    Stage::of(Api::of("circuit", &config)).await
}

/// The backend answers 503 so often, then 200.
fn failing(stage: &Stage, times: usize, status: u16) {
    let answered = AtomicUsize::new(0);
    stage.world.answers(move |_| {
        let before = answered.fetch_add(1, Ordering::SeqCst);
        let status = if before < times { status } else { 200 };
        Some(reply(status, &[], "from the backend"))
    });
}

/// The status and how often the backend was called.
async fn outcome(stage: &Stage, method: &str) -> (u16, usize) {
    let before = stage.world.calls();
    let status = stage.call(method, "/items/7").status().await;
    (status, stage.world.calls() - before)
}

#[tokio::test]
async fn a_backend_that_does_not_answer_in_time_is_given_up() {
    let stage = stage(json!({"timeout": 1})).await;
    assert_eq!(stage.item().status().await, 200);
    stage.world.answers(|_| None);
    assert_eq!(stage.item().error().await, (500, INTERNAL.to_owned()));
    // Once: what did not come is not asked for again.
    assert_eq!(stage.world.calls(), 2);
}

#[tokio::test]
async fn without_retry_and_redirects_the_answer_is_the_backends() {
    let stage = stage(json!({})).await;
    failing(&stage, 1, 503);
    assert_eq!(outcome(&stage, "GET").await, (503, 1));
    let moved = [("location", "https://elsewhere.example/")];
    stage.world.answers(move |_| Some(reply(302, &moved, "")));
    let answer = stage.item().send().await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("https://elsewhere.example/"))
    );
}

#[tokio::test]
async fn failures_are_repeated_as_often_as_allowed_and_no_further() {
    let stage = stage(json!({"retry": {}})).await;
    for (failures, expected) in [
        (0, (200, 1)),
        (1, (200, 2)),
        (3, (200, 4)),
        (4, (503, 4)),
        (9, (503, 4)),
    ] {
        failing(&stage, failures, 503);
        assert_eq!(outcome(&stage, "GET").await, expected, "{failures}");
    }
    for status in [502, 504] {
        failing(&stage, 1, status);
        assert_eq!(outcome(&stage, "DELETE").await, (200, 2), "{status}");
    }
    for status in [500, 429, 404] {
        failing(&stage, 1, status);
        assert_eq!(outcome(&stage, "GET").await, (status, 1), "{status}");
    }
    // What may have been done is not done twice.
    failing(&stage, 1, 503);
    assert_eq!(stage.post("text/plain", "order").status().await, 503);
    failing(&stage, 1, 503);
    stage.world.answers(|_| None);
}

#[tokio::test]
async fn what_is_repeated_is_as_the_config_says_and_carries_its_body_each_time() {
    let config = json!({"retry": {
        "count": 2, "interval": 2, "delta": 2, "maxInterval": 20, "firstFast": true,
        "statusCodes": [429], "methods": ["post"],
    }});
    let stage = stage(config).await;
    failing(&stage, 2, 429);
    assert_eq!(stage.post("text/plain", "order").status().await, 200);
    let bodies: Vec<_> = stage
        .world
        .seen()
        .into_iter()
        .map(|seen| seen.body)
        .collect();
    assert_eq!(bodies, ["order"; 3]);
    failing(&stage, 3, 429);
    assert_eq!(stage.post("text/plain", "order").status().await, 429);
    failing(&stage, 1, 503);
    assert_eq!(stage.post("text/plain", "order").status().await, 503);
    failing(&stage, 1, 429);
    assert_eq!(outcome(&stage, "GET").await, (429, 1));
}

#[tokio::test]
async fn redirects_are_followed_where_the_config_says_so() {
    let stage = stage(json!({"followRedirects": true})).await;
    stage.world.answers(|seen| {
        Some(if seen.target() == "/moved" {
            reply(200, &[], "found")
        } else {
            reply(302, &[("location", "/moved")], "")
        })
    });
    let answer = stage.item().send().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "found"));
}

/// When the backend was asked, in milliseconds from the first time, where it always
/// fails.
async fn asked_at(config: Value) -> Vec<i128> {
    let stage = stage(config).await;
    let (clock, times) = (stage.clock(), Arc::<Mutex<Vec<_>>>::default());
    let noted = Arc::clone(&times);
    stage.world.answers(move |_| {
        noted.lock().expect("a list").push(clock.now());
        Some(reply(503, &[], "busy"))
    });
    assert_eq!(stage.item().status().await, 503);
    let times = times.lock().expect("a list");
    times
        .iter()
        .map(|time| time.duration_since(times[0]).as_millis())
        .collect()
}

#[tokio::test]
async fn the_waits_between_two_tries_are_those_of_the_config() {
    for (retry, expected) in [
        (json!({}), vec![0, 1000, 2000, 3000]),
        (json!({"count": 2, "interval": 5}), vec![0, 5000, 10_000]),
        (json!({"interval": 0}), vec![0; 4]),
        (
            json!({"interval": 1, "delta": 2}),
            vec![0, 1000, 4000, 9000],
        ),
        (
            json!({"count": 2, "interval": 5, "firstFast": true}),
            vec![0, 0, 5000],
        ),
    ] {
        assert_eq!(asked_at(json!({"retry": retry})).await, expected, "{retry}");
    }
    // Doubling waits have some chance in them, up to the longest.
    let retry = json!({"count": 4, "interval": 2, "delta": 5, "maxInterval": 20});
    let times = asked_at(json!({"retry": retry})).await;
    let waits: Vec<i128> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let [first, second, third, fourth] = waits[..] else {
        panic!("{waits:?}");
    };
    assert!((6000..=8000).contains(&first), "{waits:?}");
    assert!((14_000..=20_000).contains(&second), "{waits:?}");
    assert_eq!((third, fourth), (20_000, 20_000), "{waits:?}");
}
