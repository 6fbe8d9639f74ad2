use super::support::{Azure, VERSION};
use apim_simulator::{CallKind, FaultSpec, JournalQuery};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_fault_strikes_the_nth_call_so_many_times_with_status_body_and_headers() {
    let azure = Azure::start().await;
    let fault = json!({
        "verb": "GET", "path": "/apis\\?", "after": 1, "count": 2, "status": 503,
        "headers": { "Retry-After": "7" }, "body": { "error": { "code": "Busy" } },
    });
    let created = azure
        .control(Method::POST, "faults", Some(fault))
        .await
        .expect(201);
    assert_eq!(created.json(), json!({ "id": 1 }));
    azure.get("apis").await.expect(200);
    let struck = azure.get("apis").await.expect(503);
    assert_eq!(struck.header("retry-after"), "7");
    assert_eq!(struck.error().1, "Busy");
    azure.get("backends").await.expect(200);
    azure.get("apis").await.expect(503);
    azure.get("apis").await.expect(200);
    let list = azure.control(Method::GET, "faults", None).await.json();
    assert_eq!((&list[0]["seen"], &list[0]["used"]), (&json!(3), &json!(2)));
    assert_eq!(
        azure.control(Method::DELETE, "faults/1", None).await.json(),
        json!({ "removed": 1 })
    );
    assert_eq!(
        azure.control(Method::GET, "faults", None).await.json(),
        json!([])
    );
    let wrong = azure
        .control(Method::POST, "faults", Some(json!({ "path": "(" })))
        .await
        .expect(400);
    assert!(
        wrong.text.contains("path: `(` is no regular expression"),
        "{}",
        wrong.text
    );
    let unknown = azure
        .control(Method::POST, "faults", Some(json!({ "verbs": "GET" })))
        .await;
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn a_reset_closes_the_connection_before_or_after_the_effect() {
    let azure = Azure::start().await;
    for (effect, found) in [(false, 404), (true, 200)] {
        let fault = FaultSpec {
            verb: Some("PUT".to_owned()),
            reset: true,
            effect,
            count: Some(1),
            ..FaultSpec::default()
        };
        azure.simulator.fault(fault).expect("a fault");
        let body = json!({ "properties": { "displayName": "a", "path": "a" } });
        let request = azure
            .client
            .put(azure.url("apis/a"))
            .bearer_auth(&azure.token)
            .body(body.to_string());
        request.send().await.expect_err("no answer");
        azure.get("apis/a").await.expect(found);
    }
    let statuses: Vec<u16> = azure
        .simulator
        .journal(&JournalQuery {
            kind: Some(CallKind::Write),
            ..JournalQuery::default()
        })
        .iter()
        .map(|entry| entry.status)
        .collect();
    assert_eq!(statuses, [0, 0]);
}

#[tokio::test]
async fn a_held_call_waits_for_its_release_and_others_pass() {
    let azure = Azure::start().await;
    let fault = FaultSpec {
        path: Some("/backends".to_owned()),
        hold: true,
        ..FaultSpec::default()
    };
    let id = azure.simulator.fault(fault).expect("a fault");
    let held = azure.get("backends");
    let other = async {
        assert!(
            azure.simulator.wait_for_held(1, SOON).await,
            "nothing is held"
        );
        azure.get("apis").await.expect(200);
        let count = azure
            .control(Method::GET, "holds?min=1&timeout_ms=1000", None)
            .await
            .expect(200);
        assert_eq!(count.json(), json!({ "held": 1 }));
        assert!(azure.simulator.release(id));
    };
    let (held, ()) = tokio::join!(held, other);
    held.expect(200);
    let order = azure.calls();
    assert_eq!(order, ["GET /apis 200", "GET /backends 200"]);
}

#[tokio::test]
async fn a_fault_delays_a_call() {
    let azure = Azure::start().await;
    let fault = FaultSpec {
        delay_ms: Some(150),
        count: Some(1),
        ..FaultSpec::default()
    };
    azure.simulator.fault(fault).expect("a fault");
    let start = std::time::Instant::now();
    azure.get("apis").await.expect(200);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn the_journal_tells_reads_writes_deletions_and_polls_apart_and_can_be_waited_for() {
    let azure = Azure::start().await;
    let properties = json!({ "displayName": "Key", "value": "s3cret", "secret": true });
    let accepted = azure.put("namedValues/key", properties).await.expect(201);
    azure
        .follow(accepted.header("azure-asyncoperation"))
        .await
        .expect(200);
    azure
        .arm(Method::POST, "namedValues/key/listValue", None)
        .await
        .expect(200);
    azure.delete("namedValues/key").await.expect(200);
    let kinds: Vec<CallKind> = azure
        .simulator
        .journal(&JournalQuery::default())
        .iter()
        .map(|entry| entry.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            CallKind::Write,
            CallKind::Poll,
            CallKind::Read,
            CallKind::Delete
        ]
    );

    let writes = azure
        .control(Method::GET, "journal?kind=write", None)
        .await
        .expect(200);
    assert!(!writes.text.contains("s3cret"), "{}", writes.text);
    let entry = &writes.json()["entries"][0];
    assert_eq!(entry["seq"], 1);
    assert_eq!(entry["method"], "PUT");
    assert_eq!(entry["path"], format!("{}/namedValues/key", azure.service));
    assert_eq!(entry["apiVersion"], VERSION);
    assert_eq!(entry["principal"], "22222222-2222-4222-8222-000000000001");
    assert_eq!(entry["status"], 201);
    assert_eq!(entry["body"]["properties"]["displayName"], "Key");

    let late = azure
        .control(Method::GET, "journal?since=4&min=1&timeout_ms=1", None)
        .await;
    assert_eq!((late.status, late.json()), (408, json!({ "entries": [] })));
    let waiting = azure.control(Method::GET, "journal?since=4&min=2&timeout_ms=30000", None);
    let calling = async {
        azure.get("apis").await.expect(200);
        azure.get("backends").await.expect(200);
    };
    let (waited, ()) = tokio::join!(waiting, calling);
    let entries = waited.expect(200).json()["entries"]
        .as_array()
        .map(Vec::len);
    assert_eq!(entries, Some(2));
    azure
        .control(Method::DELETE, "journal", None)
        .await
        .expect(200);
    azure.get("apis").await.expect(200);
    assert_eq!(azure.simulator.journal(&JournalQuery::default())[0].seq, 7);
}

#[tokio::test]
async fn state_can_be_put_and_deleted_behind_arms_back() {
    let azure = Azure::start().await;
    let api = json!({ "properties": { "displayName": "Foreign", "path": "foreign", "apiRevisionDescription": "theirs" } });
    azure
        .control(Method::PUT, "state/apis/foreign", Some(api))
        .await
        .expect(201);
    assert_eq!(
        azure.get("apis/foreign").await.json()["properties"]["apiRevisionDescription"],
        "theirs"
    );
    let state = azure.control(Method::GET, "state", None).await.json();
    assert_eq!(
        state["apis"]["foreign"]["revisions"]["1"]["properties"]["path"],
        "foreign"
    );
    azure
        .control(Method::DELETE, "state/apis/foreign", None)
        .await
        .expect(200);
    azure.get("apis/foreign").await.expect(404);
    assert_eq!(azure.calls().len(), 2);
}

#[tokio::test]
async fn settings_are_changed_over_the_control_interface() {
    let azure = Azure::start().await;
    let lro = json!({ "mode": "sync" });
    let answer = azure
        .control(Method::POST, "lro", Some(lro))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&answer["mode"], &answer["polls"]),
        (&json!("sync"), &json!(1))
    );
    let value = json!({ "displayName": "Key", "value": "v" });
    let created = azure.put("namedValues/key", value).await.expect(201);
    assert_eq!(
        created.json()["properties"]["provisioningState"],
        "Succeeded"
    );
    azure
        .control(
            Method::POST,
            "throttle",
            Some(json!({ "readsBurst": 0, "readsPerSecond": 0 })),
        )
        .await
        .expect(200);
    azure.get("apis").await.expect(429);
    azure
        .control(Method::POST, "throttle", Some(json!(null)))
        .await
        .expect(200);
    azure.get("apis").await.expect(200);
    let clock = azure
        .control(Method::POST, "clock", Some(json!({ "advance_ms": 5000 })))
        .await;
    assert_eq!(clock.expect(200).json()["ahead_ms"], 5000);
    azure
        .control(Method::DELETE, "services/apim-local", None)
        .await
        .expect(200);
    assert_eq!(
        azure.get("").await.error(),
        (404, "ResourceNotFound".to_owned())
    );
    azure
        .control(Method::GET, "nothing", None)
        .await
        .expect(400);
    assert!(
        azure
            .control(Method::GET, "", None)
            .await
            .expect(200)
            .text
            .contains("/_control/faults")
    );
}
