//! Whether this process may write is asked before each attempt of each write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use apim_simulator::FaultSpec;
use operator_apim::{Applier, Azure, Cause, Silent, WriteGate};
use operator_core::class::ErrorClass;

use crate::stage::{Stage, Wish, cloud, credentials, options, service};

/// Open for so many writes.
struct Closing(AtomicU32);

impl WriteGate for Closing {
    fn may_write(&self) -> bool {
        let left = self.0.load(Ordering::SeqCst);
        self.0.store(left.saturating_sub(1), Ordering::SeqCst);
        left > 0
    }
}

fn applier(stage: &Stage, writes: u32) -> Applier {
    let gate = Arc::new(Closing(AtomicU32::new(writes)));
    let azure = Azure::new(cloud(&stage.simulator))
        .unwrap()
        .with_options(options())
        .with_gate(gate);
    let credentials = credentials(&stage.simulator, "operator");
    let client = azure.client(service(&stage.simulator), &credentials);
    Applier::new(client.unwrap())
}

#[tokio::test]
async fn a_gate_that_closes_in_an_apply_stops_its_next_write_and_no_read() {
    let stage = Stage::new().await;
    let applier = applier(&stage, 2);
    let desired = Wish::default().desired();
    let failed = applier.apply(&desired, None, &Silent).await.unwrap_err();
    let error = failed.arm().unwrap();
    assert_eq!(
        (error.cause, error.class),
        (Cause::Gate, ErrorClass::Transient)
    );
    assert_eq!(
        stage.writes(),
        [
            "PUT apis/team.orders 201",
            "PUT apis/team.orders/policies/policy 201"
        ]
    );
    // What was done is remembered, and reads go on.
    let record = failed.record.unwrap();
    assert!(record.policy_hash.is_some());
    let found = applier.client().reader().api("team.orders").await.unwrap();
    assert!(found.is_some());
    let rest = stage.apply(&Wish::default(), Some(&record)).await.unwrap();
    assert_eq!(rest.writes.planned, 1);
}

#[tokio::test]
async fn a_repetition_of_a_write_is_asked_for_anew() {
    let stage = Stage::new().await;
    stage.fault(FaultSpec {
        verb: Some("PUT".into()),
        path: Some("/policies/policy".into()),
        status: Some(503),
        ..FaultSpec::default()
    });
    let desired = Wish::default().desired();
    let failed = applier(&stage, 2).apply(&desired, None, &Silent).await;
    assert_eq!(failed.unwrap_err().arm().unwrap().cause, Cause::Gate);
    assert_eq!(
        stage.writes(),
        [
            "PUT apis/team.orders 201",
            "PUT apis/team.orders/policies/policy 503"
        ]
    );
}

#[tokio::test]
async fn a_reader_lists_and_asks_for_etags_without_a_single_write() {
    use operator_apim::PolicyOf;

    let stage = Stage::new().await;
    stage.published(&Wish::default()).await;
    let credentials = credentials(&stage.simulator, "reader");
    let reader = stage
        .azure
        .reader(service(&stage.simulator), &credentials)
        .unwrap()
        .background();
    let mut pages = reader.apis();
    let page = pages.next().await.unwrap().unwrap();
    let listed: Vec<(&str, bool)> = page
        .iter()
        .map(|one| (one.id.as_str(), one.is_current))
        .collect();
    assert_eq!(listed, [("team.orders", true)]);
    assert_eq!(pages.next().await.unwrap(), None);
    let api = reader.api("team.orders").await.unwrap().unwrap();
    assert_eq!(page[0].api.settings, api.settings);
    assert_eq!(page[0].api.mark, api.mark);
    assert_eq!(reader.api_etag("team.orders").await.unwrap(), api.etag);
    assert_eq!(reader.apis_at("team/orders").await.unwrap(), page);
    assert_eq!(reader.apis_at("team/others").await.unwrap(), []);
    let policy = reader.policy("team.orders", PolicyOf::Api).await.unwrap();
    let etag = reader
        .policy_etag("team.orders", PolicyOf::Api)
        .await
        .unwrap();
    assert_eq!(policy.found().unwrap().etag, etag);
    let none = PolicyOf::Operation("get-order");
    assert_eq!(reader.policy_etag("team.orders", none).await.unwrap(), None);
    assert_eq!(reader.count_operations("team.orders").await.unwrap(), 2);
    assert_eq!(reader.revisions("team.orders").await.unwrap().len(), 1);
    assert_eq!(reader.oidc_provider("nobody").await.unwrap(), None);
    assert_eq!(stage.writes(), [] as [&str; 0]);
}
