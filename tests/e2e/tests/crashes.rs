//! The operator dies at the worst moments, and is started again.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apim_simulator::FaultSpec;
use e2e::{PATIENCE, Publishing, Stage, exposed_api};
use kube::api::ListParams;
use serde_json::json;

fn hold() -> FaultSpec {
    FaultSpec {
        hold: true,
        count: Some(1),
        ..FaultSpec::default()
    }
}

/// Done, but the answer is lost.
fn lost_answer() -> FaultSpec {
    FaultSpec {
        reset: true,
        effect: true,
        count: Some(1),
        ..FaultSpec::default()
    }
}

/// `kill -9` while so many calls are held; those calls are never carried out.
async fn kill_while_held(stage: &mut Stage, calls: usize) -> Result<()> {
    stage.until_held(calls).await?;
    stage.kill_operator()?;
    test_harness::wait_until(
        "the dead process's calls are dropped",
        PATIENCE,
        async || {
            if stage.is_held(1).await {
                Err("some are held")
            } else {
                Ok(())
            }
        },
    )
    .await?;
    stage.azure.clear_faults();
    Ok(())
}

fn limit(calls: &str) -> serde_json::Value {
    json!({"spec": {"rateLimit": {"limit": calls}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_a_create_an_update_or_a_delete_it_ends_what_it_had_begun() -> Result<()> {
    let Some(mut stage) = Stage::builder().start("killed").await else {
        return Ok(());
    };
    stage.apply(&exposed_api("calm", |_| ())).await?;
    stage.until_ready("calm").await?;

    killed_in_creates(&mut stage).await?;
    killed_while_an_import_runs(&mut stage).await?;
    killed_between_a_policy_and_its_status(&mut stage).await?;
    killed_in_deletions(&mut stage).await?;
    asked_to_stop_it_finishes_what_is_under_way(&mut stage).await
}

/// In each of the three writes: before it had an effect, and after it had one
/// that the operator does not know of.
async fn killed_in_creates(stage: &mut Stage) -> Result<()> {
    let mut expected = BTreeMap::new();
    for write in Publishing::ALL {
        let before = format!("before-{}", write.word());
        stage.strike(write.struck_by(&format!("shop.{before}"), hold()))?;
        stage.apply(&exposed_api(&before, |_| ())).await?;
        expected.insert(
            before,
            vec![
                "create 201".to_owned(),
                "policy 201".to_owned(),
                "import 200".to_owned(),
            ],
        );

        let after = format!("after-{}", write.word());
        stage.strike(write.struck_by(&format!("shop.{after}"), lost_answer()))?;
        stage.strike(write.struck_by(&format!("shop.{after}"), hold()))?;
        stage.apply(&exposed_api(&after, |_| ())).await?;
        // The lost write is found done, and not done again; only the document
        // is, since nothing says from which text operations came.
        expected.insert(
            after,
            match write {
                Publishing::Create => vec![
                    "create 0".to_owned(),
                    "policy 201".to_owned(),
                    "import 200".to_owned(),
                ],
                Publishing::Policy => vec![
                    "create 201".to_owned(),
                    "policy 0".to_owned(),
                    "import 200".to_owned(),
                ],
                Publishing::Import => vec![
                    "create 201".to_owned(),
                    "policy 201".to_owned(),
                    "import 0".to_owned(),
                    "import 200".to_owned(),
                ],
            },
        );
    }
    kill_while_held(stage, 6).await?;
    // Nothing can be called at this moment but what has its policy.
    for name in expected.keys() {
        let id = format!("shop.{name}");
        if stage.api(&id).await?.is_some() && !stage.operations(&id).await?.is_empty() {
            assert!(
                stage.policy(&id).await?.contains("rate-limit-by-key"),
                "{name} can be called without its policy"
            );
        }
    }
    stage.start_operator().await?;
    let mut seen = BTreeMap::new();
    for name in expected.keys() {
        stage.until_ready(name).await?;
        seen.insert(name.clone(), stage.traffic(&format!("shop.{name}")));
    }
    assert_eq!(seen, expected);
    Ok(())
}

/// The import runs in Azure whatever becomes of the operator: it is waited for
/// by the next process and not sent again.
async fn killed_while_an_import_runs(stage: &mut Stage) -> Result<()> {
    stage.strike(FaultSpec {
        verb: Some("GET".to_owned()),
        path: Some("/operationResults/".to_owned()),
        ..hold()
    })?;
    stage.apply(&exposed_api("running", |_| ())).await?;
    stage.until_held(1).await?;
    // Written down before anybody asked how far it is.
    let pending = stage.status("running").await?["apim"]["pendingImport"].clone();
    let poll = pending["poll"].as_str().unwrap_or_default();
    assert!(poll.contains("/operationResults/"), "{pending}");
    kill_while_held(stage, 1).await?;
    stage.start_operator().await?;
    stage.until_ready("running").await?;
    assert_eq!(
        stage.traffic("shop.running"),
        ["create 201", "policy 201", "import 200"]
    );
    let status = stage.status("running").await?;
    assert!(status["apim"].get("pendingImport").is_none(), "{status}");
    Ok(())
}

async fn killed_between_a_policy_and_its_status(stage: &mut Stage) -> Result<()> {
    stage.azure.clear_journal();
    let path = Some("/apis/shop\\.calm/policies/policy\\?".to_owned());
    for fault in [lost_answer(), hold()] {
        stage.strike(FaultSpec {
            verb: Some("PUT".to_owned()),
            path: path.clone(),
            ..fault
        })?;
    }
    stage.patch("shop", "calm", &limit("41")).await?;
    kill_while_held(stage, 1).await?;
    stage.start_operator().await?;
    stage.until_ready("calm").await?;
    stage.settled().await?;
    stage.until_ready("calm").await?;
    assert!(stage.policy("shop.calm").await?.contains("calls=\"41\""));
    assert_eq!(stage.traffic("shop.calm"), ["policy 0"]);
    Ok(())
}

/// Of one that had no effect, and of one that had.
async fn killed_in_deletions(stage: &mut Stage) -> Result<()> {
    stage.azure.clear_journal();
    for (name, faults) in [
        ("before-create", vec![hold()]),
        ("after-create", vec![lost_answer(), hold()]),
    ] {
        for fault in faults {
            let path = Some(format!("/apis/shop\\.{name}\\?"));
            stage.strike(FaultSpec {
                verb: Some("DELETE".to_owned()),
                path,
                ..fault
            })?;
        }
        stage.delete(name).await?;
    }
    kill_while_held(stage, 2).await?;
    assert!(
        stage
            .object("before-create")
            .await?
            .metadata
            .deletion_timestamp
            .is_some()
    );
    stage.start_operator().await?;
    for name in ["before-create", "after-create"] {
        stage.until_gone(name).await?;
        assert_eq!(stage.api(&format!("shop.{name}")).await?, None);
        let ingresses = stage.ingresses().list(&ListParams::default()).await?;
        assert!(
            ingresses
                .items
                .iter()
                .all(|ingress| ingress.metadata.name.as_deref()
                    != Some(&format!("apim-api-ingress-{name}")))
        );
    }
    assert_eq!(stage.traffic("shop.before-create"), ["delete 202"]);
    assert_eq!(stage.traffic("shop.after-create")[0], "delete 0");
    Ok(())
}

async fn asked_to_stop_it_finishes_what_is_under_way(stage: &mut Stage) -> Result<()> {
    let held = stage.strike(Publishing::Import.struck_by("shop.under-way", hold()))?;
    stage.apply(&exposed_api("under-way", |_| ())).await?;
    stage.until_held(1).await?;
    let mut operator = stage.take_operator().context("an operator runs")?;
    let log = operator.log_path().to_owned();
    let (exit, released) = tokio::join!(operator.terminate(Duration::from_secs(40)), async {
        test_harness::wait_until("the operator is stopping", PATIENCE, async || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            if log.contains("stopping: reconciles under way") {
                Ok(())
            } else {
                Err("not said yet")
            }
        })
        .await?;
        assert!(stage.is_held(1).await, "the import was dropped");
        Ok::<_, anyhow::Error>(stage.azure.release(held))
    });
    assert!(released?);
    let exit = exit?;
    assert!(exit.status.success() && !exit.forced, "{exit:?}");
    assert_eq!(
        stage.status("under-way").await?["implementation"]["ready"],
        true
    );
    assert_eq!(
        stage.traffic("shop.under-way"),
        ["create 201", "policy 201", "import 200"]
    );
    Ok(())
}
