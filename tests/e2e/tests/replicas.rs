//! Several replicas: one writes, the others are ready to, and none writes when
//! another may.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use apim_simulator::{FaultSpec, JournalEntry};
use e2e::{PATIENCE, Proxy, Replica, Stage, Write, exposed_api};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Short, so that a test need not wait long: a leader that is gone is replaced
/// after 4 s.
const LEASE: Duration = Duration::from_secs(4);

fn election() -> BTreeMap<String, String> {
    let settings = [
        ("", "true"),
        ("_LEASE_DURATION", "4s"),
        ("_RENEW_DEADLINE", "2s"),
        ("_RETRY_PERIOD", "300ms"),
    ];
    let named = |(name, value): (&str, &str)| {
        (
            format!("APIM_OPERATOR_LEADER_ELECT{name}"),
            value.to_owned(),
        )
    };
    settings.into_iter().map(named).collect()
}

async fn stage(test: &str) -> Option<Stage> {
    Stage::builder().without_operator().start(test).await
}

/// One that leads and one that stands by.
async fn pair(stage: &Stage) -> (Replica, Replica) {
    let first = stage.replica("first", &election()).await.unwrap();
    first.until_leading().await.unwrap();
    let second = stage.replica("second", &election()).await.unwrap();
    (first, second)
}

fn leases(stage: &Stage) -> Api<Lease> {
    Api::namespaced(stage.client.clone(), "operators")
}

async fn holder(stage: &Stage) -> (String, i32) {
    let lease = leases(stage).get("apim-operator").await.unwrap();
    let spec = lease.spec.unwrap();
    let holder = spec.holder_identity.unwrap_or_default();
    let pod = holder.split('_').next().unwrap_or_default().to_owned();
    (pod, spec.lease_transitions.unwrap_or_default())
}

fn created() -> [Write; 3] {
    [
        Write("PUT".into(), String::new()),
        Write("PUT".into(), "/policies/policy".into()),
        Write("PUT".into(), " (import)".into()),
    ]
}

fn plugins(list: &str) -> Value {
    json!({"metadata": {"annotations": {"apim.oda.tmforum.org/plugins": list}}})
}

/// Waits until the policy of the API holds a text, whatever status says.
async fn until_policy(stage: &Stage, api: &str, holds: &str) {
    test_harness::wait_until(&format!("a policy with {holds}"), PATIENCE, async || {
        let policy = stage.policy(api).await.unwrap_or_default();
        if policy.contains(holds) {
            Ok(())
        } else {
            Err(policy)
        }
    })
    .await
    .unwrap();
}

fn path_of(call: &JournalEntry) -> String {
    format!("{} {}", call.method, call.path)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_replicas_writes_and_hands_over_in_under_two_seconds() {
    let test = "one_of_two_replicas_writes_and_hands_over_in_under_two_seconds";
    let Some(stage) = stage(test).await else {
        return;
    };
    let (mut first, second) = pair(&stage).await;
    assert_eq!(holder(&stage).await, ("first".to_owned(), 0));
    for replica in [&first, &second] {
        assert_eq!(replica.probe("/healthz").await.unwrap(), 200);
        assert_eq!(replica.probe("/readyz").await.unwrap(), 200);
    }
    assert!(!second.leads().await.unwrap());

    // The second watches, has its plugins and has reached the instance, and
    // has written nothing, to nobody.
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), created());
    let warm = second.metric("apim_operator_plugins_loaded").await.unwrap();
    let loaded = first.metric("apim_operator_plugins_loaded").await.unwrap();
    assert_eq!(warm.to_string(), loaded.to_string());
    assert!(warm > 2.0);
    assert!(second.sum("apim_operator_arm_calls_total").await.unwrap() > 0.5);
    for metric in [
        "apim_operator_arm_writes_total",
        "apim_operator_kubernetes_writes_total",
        "controller_runtime_reconcile_total",
    ] {
        let of = async |replica: &Replica| replica.sum(metric).await.unwrap();
        assert!(of(&second).await.abs() < 0.5, "{metric} of the standby");
        assert!(of(&first).await > 0.5, "{metric} of the leader");
    }
    let provider = |call: &&JournalEntry| {
        call.method == "PUT" && call.path.contains("/openidConnectProviders/")
    };
    assert_eq!(stage.journal().iter().filter(provider).count(), 1);

    // Asked to stop, the first gives the lease back; the second takes over and
    // writes nothing that is there already.
    stage.azure.clear_journal();
    let asked = Instant::now();
    let exit = first
        .process
        .terminate(Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(
        exit.status.code(),
        Some(0),
        "{}",
        first.process.log().unwrap()
    );
    second.until_leading().await.unwrap();
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(2), "the hand-over took {took:?}");
    assert_eq!(holder(&stage).await, ("second".to_owned(), 1));
    stage.settled().await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), []);
    stage
        .patch("shop", "catalog", &plugins("cors"))
        .await
        .unwrap();
    until_policy(&stage, "shop.catalog", "<cors").await;
    assert_eq!(
        stage.writes("shop.catalog"),
        [Write("PUT".into(), "/policies/policy".into())]
    );
}

/// Makes a process stand still, and waits until all of its threads do: one that
/// still ran could go on with what comes next.
async fn stand_still(replica: &Replica) {
    replica.process.signal(Signal::STOP);
    let tasks = format!("/proc/{}/task", replica.process.id());
    let is_still = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
        // Behind the name, which is in brackets.
        stat.rsplit_once(')')
            .is_none_or(|(_, rest)| rest.starts_with(" T"))
    };
    test_harness::wait_until("a process that stands still", PATIENCE, async || {
        let still = std::fs::read_dir(&tasks).unwrap().all(is_still);
        still.then_some(()).ok_or("it runs")
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_writes_nothing_when_it_wakes() {
    let test = "a_leader_that_stood_still_writes_nothing_when_it_wakes";
    let Some(stage) = stage(test).await else {
        return;
    };
    let (mut first, second) = pair(&stage).await;
    // In the middle of its work: its second write is under way when it stands
    // still, and the third would follow.
    let hold = FaultSpec {
        verb: Some("PUT".into()),
        path: Some("/policies/policy".into()),
        hold: true,
        count: Some(1),
        ..FaultSpec::default()
    };
    let fault = stage.azure.fault(hold).unwrap();
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    assert!(stage.azure.wait_for_held(1, PATIENCE).await);
    stand_still(&first).await;
    assert!(stage.azure.release(fault));
    let stood = Instant::now();
    second.until_leading().await.unwrap();
    assert!(
        stood.elapsed() >= LEASE / 2,
        "taken after {:?}",
        stood.elapsed()
    );
    stage.until_ready("catalog").await.unwrap();
    stage.settled().await.unwrap();
    let before: Vec<String> = stage.journal().iter().map(path_of).collect();
    let imports = |calls: &[Write]| calls.iter().filter(|w| w.1 == " (import)").count();
    let writes = stage.writes("shop.catalog");
    assert_eq!(
        imports(&writes),
        1,
        "{writes:?}\n{}",
        second.process.log().unwrap()
    );

    first.process.signal(Signal::CONT);
    assert_eq!(first.until_ended().await.unwrap(), Some(1));
    let log = first.process.log().unwrap();
    assert!(log.contains("leadership is lost"), "{log}");
    stage.settled().await.unwrap();
    let after: Vec<String> = stage
        .journal()
        .iter()
        .skip(before.len())
        .filter(|call| call.path.contains("shop.catalog"))
        .map(path_of)
        .collect();
    assert_eq!(after, [""; 0], "calls of the one that woke");
    assert!(second.leads().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_cut_off_from_the_cluster_stops_before_another_takes_over() {
    let test = "a_leader_cut_off_from_the_cluster_stops_before_another_takes_over";
    let Some(stage) = stage(test).await else {
        return;
    };
    let proxy = Proxy::start(&stage).await.unwrap();
    let direct = stage.operator_kubeconfig().unwrap();
    let proxied = proxy.kubeconfig(&stage, &direct).unwrap();
    let mut first = stage
        .replica_of(&proxied, "first", &election())
        .await
        .unwrap();
    first.until_leading().await.unwrap();
    let second = stage.replica("second", &election()).await.unwrap();
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();

    // Azure is still there for it; but it may not write there any more.
    proxy.cut();
    assert_eq!(first.until_ended().await.unwrap(), Some(1));
    let ended = Instant::now();
    assert!(!second.leads().await.unwrap(), "both led");
    second.until_leading().await.unwrap();
    assert!(ended.elapsed() < LEASE + Duration::from_secs(2));
    stage.azure.clear_journal();
    stage
        .patch("shop", "catalog", &plugins("cors"))
        .await
        .unwrap();
    until_policy(&stage, "shop.catalog", "<cors").await;
    assert_eq!(
        stage.writes("shop.catalog"),
        [Write("PUT".into(), "/policies/policy".into())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_remote_clock_wrote_into_the_lease_counts_for_nothing() {
    let test = "what_a_remote_clock_wrote_into_the_lease_counts_for_nothing";
    let Some(stage) = stage(test).await else {
        return;
    };
    let (mut first, second) = pair(&stage).await;
    let written = async |time: &str| {
        let patch = json!({"spec": {"renewTime": time, "acquireTime": time}});
        leases(&stage)
            .patch(
                "apim-operator",
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await
            .unwrap();
    };
    // As if the leader's clock were years behind: nobody takes the lease, and
    // the leader goes on over somebody else's write.
    written("2001-01-01T00:00:00.000000Z").await;
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert!(first.leads().await.unwrap());
    assert!(!second.leads().await.unwrap());

    // As if it were years ahead: the lease ends all the same.
    first.process.kill().unwrap();
    written("2101-01-01T00:00:00.000000Z").await;
    let killed = Instant::now();
    second.until_leading().await.unwrap();
    assert!(killed.elapsed() < LEASE + Duration::from_secs(3));
    assert_eq!(holder(&stage).await, ("second".to_owned(), 1));
}

/// When the condition was last another one.
fn ready_since(status: &Value) -> Value {
    let mut all = status["conditions"].as_array().unwrap().iter();
    let ready = all.find(|condition| condition["type"] == "Ready").unwrap();
    assert_eq!(ready["status"], "True", "{status}");
    ready["lastTransitionTime"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_while_a_replica_stood_by_makes_nothing_unready_when_it_takes_over() {
    let test = "what_failed_while_a_replica_stood_by_makes_nothing_unready_when_it_takes_over";
    let Some(stage) = stage(test).await else {
        return;
    };
    let mut first = stage.replica("first", &election()).await.unwrap();
    first.until_leading().await.unwrap();
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    let before = ready_since(&stage.until_ready("catalog").await.unwrap());

    // Azure does not answer the second, and then late.
    let service = FaultSpec {
        verb: Some("GET".to_owned()),
        path: Some(r"/service/apim-local\?".to_owned()),
        ..FaultSpec::default()
    };
    let refused = FaultSpec {
        status: Some(503),
        ..service.clone()
    };
    let refused = stage.strike(refused).unwrap();
    let second = stage.replica("second", &election()).await.unwrap();
    let failed = async || {
        let log = second.process.log().unwrap();
        if log.contains("cannot be used") {
            Ok(())
        } else {
            Err(log)
        }
    };
    test_harness::wait_until("a failure of the second", PATIENCE, failed)
        .await
        .unwrap();
    stage.azure.remove_fault(refused);
    let late = FaultSpec {
        delay_ms: Some(1500),
        ..service
    };
    stage.strike(late).unwrap();
    let terminated = first.process.terminate(Duration::from_secs(30)).await;
    assert_eq!(terminated.unwrap().status.code(), Some(0));
    second.until_leading().await.unwrap();
    stage.settled().await.unwrap();
    let status = stage.status("catalog").await.unwrap();
    assert_eq!(ready_since(&status), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_asked_to_stop_in_the_middle_of_an_import_finishes_it_first() {
    let test = "a_replica_asked_to_stop_in_the_middle_of_an_import_finishes_it_first";
    let Some(stage) = stage(test).await else {
        return;
    };
    let (mut first, second) = pair(&stage).await;
    let slow = FaultSpec {
        verb: Some("PUT".into()),
        path: Some("import=true|/apis/shop.catalog\\?".into()),
        after: 1,
        count: Some(1),
        polls: Some(6),
        ..FaultSpec::default()
    };
    stage.azure.fault(slow).unwrap();
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_written("shop.catalog", 3).await.unwrap();
    let exit = first
        .process
        .terminate(Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(
        exit.status.code(),
        Some(0),
        "{}",
        first.process.log().unwrap()
    );
    assert!(exit.took < Duration::from_secs(30), "{:?}", exit.took);

    second.until_leading().await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    stage.settled().await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), created());
}
