//! Looking for what others changed, with everything published.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::{Stage, status_of};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};

use crate::publish::{Counters, PATIENCE};
use crate::restart::looked_at;
use crate::table::{Goal, Samples, Table, short};

/// How many times faster the operator's clock goes, and its read budget.
const PACE: u32 = 20;
/// Reads per second that Azure's own budget allows, and after a pause.
const BUDGET: (u32, u32) = (25, 250);
/// APIs on a page of the list.
const PAGE: u32 = 100;
/// Objects that are changed during a sweep, so many at a time.
const CHANGES: (usize, usize) = (200, 4);

/// Measures a sweep of everything, and changes of some while it goes on.
pub(crate) async fn sweep(table: &mut Table, stage: &mut Stage, names: &[String]) -> Result<()> {
    let objects = u32::try_from(names.len())?;
    let changed = names.get(..CHANGES.0.min(names.len())).unwrap_or_default();

    stage.kill_operator()?;
    stage.set_environment("APIM_OPERATOR_DRIFT_INTERVAL", "0");
    stage.start_operator().await?;
    looked_at(stage, f64::from(objects)).await?;
    let floor = changes(stage, changed, 1).await?;

    stage.kill_operator()?;
    for (name, value) in [
        ("DRIFT_INTERVAL", "10m".to_owned()),
        ("TIME_SCALE", PACE.to_string()),
        ("ARM_READS", (BUDGET.0 * PACE).to_string()),
        ("ARM_READ_BURST", BUDGET.1.to_string()),
    ] {
        stage.set_environment(&format!("APIM_OPERATOR_{name}"), &value);
    }
    stage.start_operator().await?;
    looked_at(stage, f64::from(objects)).await?;
    // The first one reads what later ones compare with.
    swept(stage, 1.0).await?;
    let written = changes(stage, changed, 2).await?;
    let during = swept(stage, 2.0).await?;
    let alone = swept(stage, 3.0).await?;

    let reads = f64::from(objects + objects.div_ceil(PAGE));
    let least = Duration::from_secs_f64(reads / f64::from(BUDGET.0 * PACE));
    let interval = Duration::from_mins(10) / PACE;
    table.legend(format!(
        "sweep: {objects} APIs and their policies are {reads} reads; the operator's clock goes {PACE} times faster and \
         so does its read budget of {} per second. The floor is the budget's minimum, or two thirds of the interval of \
         10 minutes, over which a sweep is spread, where that is longer",
        BUDGET.0
    ));
    let floor_time = least.max(interval * 2 / 3);
    for (what, took, goal) in [
        (
            "sweep for what others changed",
            alone,
            Some(Goal::AtMost(1.1)),
        ),
        // What somebody waits for is read first.
        ("the same while objects are changed", during, None),
    ] {
        let real = |time: Duration| format!("{:.0} s", (time * PACE).as_secs_f64());
        table.against(
            what,
            (real(took), real(floor_time)),
            took.as_secs_f64() / floor_time.as_secs_f64(),
            goal,
        );
    }
    table.against(
        "change of an object until its status tells it, during a sweep, median",
        (short(written.median()), short(floor.median())),
        written.ratio(&floor),
        None,
    );
    table.against(
        "  p99",
        (short(written.p99()), short(floor.p99())),
        written.p99().as_secs_f64() / floor.p99().as_secs_f64(),
        None,
    );
    Ok(())
}

/// Waits until so many sweeps were made, and answers how long the last one's
/// fast part took.
async fn swept(stage: &Stage, count: f64) -> Result<Duration> {
    test_harness::wait_until("a sweep", PATIENCE, async || {
        let now = Counters::read(stage)
            .await
            .map_err(|error| error.to_string())?;
        let done = now.sum("apim_operator_drift_sweeps_total");
        if done >= count {
            Ok(())
        } else {
            Err(format!("{done} of {count}"))
        }
    })
    .await?;
    let now = Counters::read(stage).await?;
    Ok(Duration::from_secs_f64(
        now.sum("apim_operator_drift_sweep_seconds"),
    ))
}

/// Changes objects, and answers how long each took until its status spoke of
/// another policy.
async fn changes(stage: &Stage, names: &[String], round: u32) -> Result<Samples> {
    let api = stage.exposed_apis("shop");
    let hash = |status: &Value| status["apim"]["policyHash"].as_str().map(str::to_owned);
    let mut before = HashMap::new();
    for object in api.list(&kube::api::ListParams::default()).await?.items {
        let name = object.metadata.name.clone().unwrap_or_default();
        before.insert(name, hash(&status_of(&object)));
    }
    let mut events = std::pin::pin!(
        watcher(api, watcher::Config::default())
            .default_backoff()
            .applied_objects()
    );
    let seen = async {
        let mut left: Vec<&String> = names.iter().collect();
        let mut seen = HashMap::new();
        while !left.is_empty() {
            let object = events.next().await.context("the watch ended")?;
            // A watch that fell behind begins anew.
            let Ok(object) = object else { continue };
            let name = object.metadata.name.clone().unwrap_or_default();
            let now = hash(&status_of(&object));
            if now.is_some() && before.get(&name) != Some(&now) && left.contains(&&name) {
                left.retain(|left| **left != name);
                seen.insert(name, Instant::now());
            }
        }
        anyhow::Ok(seen)
    };
    let changed = futures::stream::iter(names)
        .map(|name| async move {
            let started = Instant::now();
            let limit = (100 + round).to_string();
            let patch = json!({"spec": {"rateLimit": {"limit": limit}}});
            stage.patch("shop", name, &patch).await?;
            anyhow::Ok((name.clone(), started))
        })
        .buffer_unordered(CHANGES.1)
        .try_collect::<HashMap<_, _>>();
    let (changed, seen) = tokio::time::timeout(PATIENCE, async { tokio::try_join!(changed, seen) })
        .await
        .context("not all changes were told")??;
    let mut samples = Samples::default();
    for (name, seen) in seen {
        if let Some(started) = changed.get(&name) {
            samples.push(seen.saturating_duration_since(*started));
        }
    }
    Ok(samples)
}
