//! The first seeds, on every run of the tests.
#![forbid(unsafe_code)]

use chaos::{Lab, Schedule, run};

/// How many; `make chaos` runs more.
const SEEDS: u64 = 25;
/// How many run side by side.
const JOBS: usize = 3;

/// Whoever may write an object's status can name another API there.
const POINTED_ELSEWHERE: &str = r#"{"seed": 37, "elected": false, "steps": [
    {"create": {"slot": 0, "wanted": {"path": 0, "operations": 13, "limit": 985, "cors": true, "plugins": "default",
        "operationLimit": null, "paused": false, "retain": false, "metrics": false, "mistake": null, "retry": 0}}},
    "converge", {"kill": "now"},
    {"hand": {"slot": 0, "edit": "pointElsewhere"}}, {"change": {"slot": 0, "change": {"cors": false}}}, "start"
]}"#;

/// The same, and the object is deleted then.
const POINTED_ELSEWHERE_AND_DELETED: &str = r#"{"seed": 38, "elected": false, "steps": [
    {"create": {"slot": 0, "wanted": {"path": 0, "operations": 13, "limit": 985, "cors": true, "plugins": "default",
        "operationLimit": null, "paused": false, "retain": false, "metrics": false, "mistake": null, "retry": 0}}},
    "converge", {"kill": "now"},
    {"hand": {"slot": 0, "edit": "pointElsewhere"}}, {"delete": {"slot": 0}}, "start"
]}"#;

/// An instance that could not be reached for a moment after a restart was said
/// to be unusable for ever.
const INSTANCE_BACK: &str = r#"{"seed": 39, "elected": false, "steps": [
    {"create": {"slot": 0, "wanted": {"path": 0, "operations": 13, "limit": 985, "cors": true, "plugins": "default",
        "operationLimit": null, "paused": false, "retain": false, "metrics": false, "mistake": null, "retry": 0}}},
    "converge", {"azure": {"call": "service", "answer": "forbidden", "after": 0, "count": 3}}, {"kill": "now"}, "start",
    "settle"
]}"#;

/// What somebody wrote into a status stayed there until something else
/// happened.
const STATUS_CLAIMED: &str = r#"{"seed": 41, "elected": false, "steps": [
    {"create": {"slot": 0, "wanted": {"path": 0, "operations": 13, "limit": 985, "cors": true, "plugins": "default",
        "operationLimit": null, "paused": false, "retain": false, "metrics": false, "mistake": null, "retry": 0}}},
    "converge", {"hand": {"slot": 0, "edit": "claimReady"}}
]}"#;

/// An instance whose finalizer could not be written was not held until it
/// changed.
const HOLD_LOST: &str = r#"{"seed": 43, "elected": false, "steps": [
    {"kube": {"calls": {"call": "hold", "answer": "reset", "after": 0, "count": 3}}},
    {"create": {"slot": 0, "wanted": {"path": 0, "operations": 13, "limit": 985, "cors": true, "plugins": "default",
        "operationLimit": null, "paused": false, "retain": false, "metrics": false, "mistake": null, "retry": 0}}},
    "settle"
]}"#;

/// An Ingress whose write met another one was taken for somebody else's, and
/// kept its path for ever.
const INGRESS_CONFLICT: &str = r#"{"seed": 44, "elected": false, "steps": [
    {"create": {"slot": 0, "wanted": {"path": 0, "operations": 13, "limit": 985, "cors": true, "plugins": "default",
        "operationLimit": null, "paused": false, "retain": false, "metrics": false, "mistake": null, "retry": 0}}},
    "converge", {"kube": {"calls": {"call": "ingress", "answer": "conflict", "after": 0, "count": 2}}},
    {"change": {"slot": 0, "change": {"path": 2}}}, "settle"
]}"#;

/// Whether all invariants hold after a schedule.
async fn holds(test: &str, schedule: &str) -> anyhow::Result<()> {
    let Some(lab) = Lab::start().await? else {
        test_harness::skip(
            test,
            "kube-apiserver, etcd or kubectl is missing; run `make setup`",
        );
        return Ok(());
    };
    let schedule = serde_json::from_str(schedule)?;
    let outcome = Box::pin(run(&lab, &schedule)).await?;
    anyhow::ensure!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_goes_with_its_object_also_where_status_names_another_one() -> anyhow::Result<()> {
    holds(
        "an_api_goes_with_its_object_also_where_status_names_another_one",
        POINTED_ELSEWHERE_AND_DELETED,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_names_another_api_is_put_right() -> anyhow::Result<()> {
    holds(
        "a_status_that_names_another_api_is_put_right",
        POINTED_ELSEWHERE,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_back_is_called_connected() -> anyhow::Result<()> {
    holds(
        "an_instance_that_is_back_is_called_connected",
        INSTANCE_BACK,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_into_a_status_is_put_right() -> anyhow::Result<()> {
    holds(
        "what_others_write_into_a_status_is_put_right",
        STATUS_CLAIMED,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_is_held_although_that_could_not_be_written_at_first() -> anyhow::Result<()> {
    holds(
        "an_instance_is_held_although_that_could_not_be_written_at_first",
        HOLD_LOST,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingress_whose_write_met_another_one_is_written_again() -> anyhow::Result<()> {
    holds(
        "an_ingress_whose_write_met_another_one_is_written_again",
        INGRESS_CONFLICT,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_every_schedule_the_world_is_as_it_is_wanted() -> anyhow::Result<()> {
    let Some(lab) = Lab::start().await? else {
        test_harness::skip(
            "after_every_schedule_the_world_is_as_it_is_wanted",
            "kube-apiserver, etcd or kubectl is missing; run `make setup`",
        );
        return Ok(());
    };
    let seeds: Vec<u64> = (0..SEEDS).collect();
    let lanes = seeds.chunks(seeds.len().div_ceil(JOBS)).map(async |seeds| {
        for seed in seeds {
            let schedule = Schedule::draw(*seed);
            let outcome = run(&lab, &schedule).await?;
            let told: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
            anyhow::ensure!(
                told.is_empty(),
                "seed {seed}; `make chaos ARGS='--seed {seed}'` makes it smaller:\n{}\n{schedule}",
                told.join("\n")
            );
        }
        Ok(())
    });
    futures::future::try_join_all(lanes).await?;
    Ok(())
}
