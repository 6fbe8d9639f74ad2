//! Several operators that share a cluster: each works on its own objects, by
//! the labels of namespaces and instances.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use std::collections::BTreeMap;

use apim_simulator::{CallKind, JournalEntry};
use e2e::{PATIENCE, Replica, Stage, Write, exposed_api, status_of};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use serde_json::{Value, json};

const LABEL: &str = "apim.oda.tmforum.org/shard";

/// An operator of a shard; none: of what has no label.
async fn operator(stage: &Stage, pod: &str, shard: Option<&str>) -> Replica {
    let mut environment = BTreeMap::from([
        ("APIM_OPERATOR_LEADER_ELECT".to_owned(), "true".to_owned()),
        // Shards are looked after once a minute.
        ("APIM_OPERATOR_TIME_SCALE".to_owned(), "60".to_owned()),
    ]);
    if let Some(shard) = shard {
        environment.insert("APIM_OPERATOR_SHARD".to_owned(), shard.to_owned());
    }
    let replica = stage.replica(pod, &environment).await.unwrap();
    replica.until_leading().await.unwrap();
    replica
}

fn in_namespace(namespace: &str, name: &str) -> Value {
    exposed_api(name, |object| {
        object["metadata"]["namespace"] = json!(namespace);
    })
}

async fn until_ready(stage: &Stage, namespace: &str, name: &str) {
    let api = stage.exposed_apis(namespace);
    let ready = test_harness::wait_for(&api, name, "ready", PATIENCE, |object| {
        (status_of(object?)["implementation"]["ready"] == true).then_some(())
    });
    ready.await.unwrap();
}

/// The writes to Azure that an operator has made.
async fn arm_writes(replica: &Replica) -> f64 {
    replica.sum("apim_operator_arm_writes_total").await.unwrap()
}

/// Asks for another limit and waits until the API has it.
async fn change(stage: &Stage, namespace: &str, name: &str, limit: u32) {
    let patch = json!({"spec": {"rateLimit": {"limit": limit.to_string()}}});
    stage.patch(namespace, name, &patch).await.unwrap();
    let wanted = format!("calls=\"{limit}\"");
    let awaited = format!("a limit of {limit} for {namespace}/{name}");
    test_harness::wait_until(&awaited, PATIENCE, async || {
        let policy = stage.policy(&format!("{namespace}.{name}")).await;
        match policy {
            Ok(policy) if policy.contains(&wanted) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
}

async fn until_metric(replica: &Replica, name: &str, wanted: f64) {
    test_harness::wait_until(&format!("{name} is {wanted}"), PATIENCE, async || {
        let found = replica.sum(name).await.map_err(|error| error.to_string())?;
        if (found - wanted).abs() < 0.5 {
            Ok(())
        } else {
            Err(found.to_string())
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shard_works_on_its_own_objects_and_they_move_without_a_write() {
    let test = "each_shard_works_on_its_own_objects_and_they_move_without_a_write";
    let Some(stage) = Stage::builder().without_operator().start(test).await else {
        return;
    };
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "west", "labels": {LABEL: "west"}},
    });
    stage.apply(&namespace).await.unwrap();
    let mut main = operator(&stage, "main", None).await;
    stage.apply(&in_namespace("west", "billing")).await.unwrap();
    stage.apply(&in_namespace("shop", "catalog")).await.unwrap();
    stage.until_ready("catalog").await.unwrap();

    // Nobody serves the other shard, and the main one says so.
    until_metric(&main, "apim_operator_shard_unserved", 1.0).await;
    assert!(
        main.process
            .log()
            .unwrap()
            .contains("nobody serves a shard")
    );
    let billing = stage.exposed_apis("west").get("billing").await.unwrap();
    assert_eq!(status_of(&billing), Value::Null);
    assert_eq!(billing.metadata.finalizers, None);
    assert_eq!(stage.writes("west.billing"), []);

    let west = operator(&stage, "west", Some("west")).await;
    until_ready(&stage, "west", "billing").await;
    until_metric(&main, "apim_operator_shard_unserved", 0.0).await;
    until_metric(&main, "apim_operator_shard_objects", 1.0).await;
    let leases: Api<Lease> = Api::namespaced(stage.client.clone(), "operators");
    for lease in ["apim-operator", "apim-operator-west"] {
        leases.get(lease).await.unwrap();
    }
    assert!((arm_writes(&west).await - 3.0).abs() < 0.5);

    // One goes on without the other.
    main.process.kill().unwrap();
    change(&stage, "west", "billing", 17).await;
    let main = operator(&stage, "main-again", None).await;
    change(&stage, "shop", "catalog", 18).await;
    let of_main = arm_writes(&main).await;
    let of_west = arm_writes(&west).await;
    assert!((of_west - 4.0).abs() < 0.5, "{of_west}");

    // The object changes hands, and nothing is written for it.
    stage.azure.clear_journal();
    stage
        .kubectl(&["label", "namespace", "west", &format!("{LABEL}-")])
        .await
        .unwrap();
    until_metric(&main, "apim_operator_shard_objects", 0.0).await;
    stage.settled().await.unwrap();
    assert_eq!(stage.writes("west.billing"), []);
    change(&stage, "west", "billing", 19).await;
    assert_eq!(
        stage.writes("west.billing"),
        [Write("PUT".into(), "/policies/policy".into())]
    );
    assert!((arm_writes(&west).await - of_west).abs() < 0.5);
    assert!(arm_writes(&main).await > of_main + 0.5);

    // By instance: everything in it goes to the shard.
    stage
        .kubectl(&["label", "apiminstance", "default", &format!("{LABEL}=west")])
        .await
        .unwrap();
    until_metric(&main, "apim_operator_shard_objects", 2.0).await;
    stage.azure.clear_journal();
    let of_main = arm_writes(&main).await;
    change(&stage, "shop", "catalog", 20).await;
    change(&stage, "west", "billing", 21).await;
    assert!((arm_writes(&main).await - of_main).abs() < 0.5);
    assert!((arm_writes(&west).await - of_west - 2.0).abs() < 0.5);
    let writes = |call: &&JournalEntry| matches!(call.kind, CallKind::Write | CallKind::Delete);
    assert_eq!(stage.journal().iter().filter(writes).count(), 2);
}
