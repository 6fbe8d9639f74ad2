//! What faults hide is done all the same, and every state is remembered.

use super::support::{Azure, OPERATOR, petstore};
use apim_simulator::{CallKind, FaultSpec, JournalQuery};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_answer_that_is_cut_in_its_middle_was_carried_out() {
    let azure = Azure::start().await;
    let fault = FaultSpec {
        verb: Some("PUT".to_owned()),
        truncate: true,
        count: Some(1),
        ..FaultSpec::default()
    };
    azure.simulator.fault(fault).expect("a fault");
    let body = json!({ "properties": { "displayName": "a", "path": "a" } });
    let response = azure
        .client
        .put(azure.url("apis/a"))
        .bearer_auth(&azure.token)
        .body(body.to_string())
        .send()
        .await
        .expect("the head of an answer");
    assert_eq!(response.status().as_u16(), 201);
    response.text().await.expect_err("no whole body");
    azure.get("apis/a").await.expect(200);
}

#[tokio::test]
async fn an_answer_can_be_held_after_the_call_was_carried_out() {
    let azure = Azure::start().await;
    let fault = FaultSpec {
        verb: Some("DELETE|PUT".to_owned()),
        hold_answer: true,
        ..FaultSpec::default()
    };
    let id = azure.simulator.fault(fault).expect("a fault");
    let put = azure.api("a", "a");
    let other = async {
        assert!(azure.simulator.wait_for_held(1, SOON).await);
        azure.get("apis/a").await.expect(200);
        assert_eq!(azure.simulator.fault_use()[&id], 1);
        azure.simulator.remove_fault(id);
    };
    let (put, ()) = tokio::join!(put, other);
    put.expect(201);
    assert_eq!(azure.calls(), ["GET /apis/a 200", "PUT /apis/a 201"]);
}

#[tokio::test]
async fn the_journal_says_what_was_done_behind_an_answer_that_a_fault_made_up() {
    let azure = Azure::start().await;
    for effect in [true, false] {
        let fault = FaultSpec {
            verb: Some("PUT".to_owned()),
            status: Some(500),
            effect,
            count: Some(1),
            ..FaultSpec::default()
        };
        azure.simulator.fault(fault).expect("a fault");
        let body = json!({ "displayName": "a", "path": "a" });
        azure.put("apis/a", body).await.expect(500);
    }
    let writes = azure.simulator.journal(&JournalQuery {
        kind: Some(CallKind::Write),
        ..JournalQuery::default()
    });
    let done: Vec<_> = writes.iter().map(|call| (call.status, call.done)).collect();
    assert_eq!(done, [(500, Some(201)), (500, None)]);
}

#[tokio::test]
async fn every_state_of_an_api_is_remembered_with_who_brought_it_there() {
    let azure = Azure::start().await;
    azure.api("pets", "pets").await.expect(201);
    azure.get("apis/pets").await.expect(200);
    let policy = json!({ "format": "rawxml", "value": "<policies><inbound><base /></inbound><backend><base /></backend><outbound><base /></outbound><on-error><base /></on-error></policies>" });
    azure
        .put("apis/pets/policies/policy", policy)
        .await
        .expect(201);
    azure.import("pets", "pets", &petstore()).await;
    let moments = azure.simulator.moments(0);
    let told: Vec<(bool, usize)> = moments
        .iter()
        .filter_map(|moment| {
            let shape = moment.now.as_ref()?;
            Some((shape.policy.is_some(), shape.operations.len()))
        })
        .collect();
    assert_eq!(told[..2], [(false, 0), (true, 0)]);
    assert!(told[2].0 && told[2].1 > 0, "{told:?}");
    assert!(
        moments
            .iter()
            .all(|moment| moment.by == OPERATOR && moment.api == "pets")
    );
    let (first, last) = (&moments[0], &moments[2]);
    assert_eq!((first.before.is_none(), first.after), (true, 0));
    assert_eq!(last.before, moments[1].now);
    assert_eq!(azure.simulator.moments(2), moments[2..]);
}
