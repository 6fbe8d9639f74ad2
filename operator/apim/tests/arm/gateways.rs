//! Self-hosted gateways: read before written, and nobody else's touched.

use apim_simulator::{FaultSpec, SimulatorConfig};
use jiff::{SignedDuration, Timestamp};
use operator_apim::GatewayError;
use operator_core::class::ErrorClass;
use operator_core::gateway::{DesiredGateway, gateway};
use operator_core::instance::{InstanceDefaults, example};
use operator_core::names::{ApiId, ObjectKey};
use operator_core::product::rotation::Slot;
use serde_json::json;

use crate::stage::{Stage, Wish, options};

async fn stage() -> Stage {
    let mut config = SimulatorConfig::default();
    for service in &mut config.seed.services {
        "Developer".clone_into(&mut service.sku);
    }
    Stage::with(config, options()).await
}

/// The gateway of `team/<name>`.
fn desired(name: &str, description: &str) -> DesiredGateway {
    let (instance, context) = example(&InstanceDefaults::default()).unwrap();
    let spec = json!({"apis": {"selector": {}}, "description": description});
    let spec = serde_json::from_value(spec).unwrap();
    let key = ObjectKey::new("team", name);
    gateway(&spec, &key, &instance, &context, "0123456789").unwrap()
}

#[tokio::test]
async fn a_gateway_is_made_changed_and_deleted_and_what_is_in_place_is_not_written() {
    let stage = stage().await;
    let client = stage.client();
    let first = desired("edge", "one");
    assert!(client.apply_gateway(&first).await.unwrap());
    assert!(!client.apply_gateway(&first).await.unwrap());
    assert!(client.apply_gateway(&desired("edge", "two")).await.unwrap());
    client.delete_gateway(&first.id, &first.mark).await.unwrap();
    client.delete_gateway(&first.id, &first.mark).await.unwrap();
    assert_eq!(
        stage.writes(),
        [
            "PUT gateways/team.edge 201",
            "PUT gateways/team.edge 200",
            "DELETE gateways/team.edge 200",
        ]
    );
}

#[tokio::test]
async fn a_gateway_of_somebody_else_is_neither_written_nor_deleted() {
    let stage = stage().await;
    let client = stage.client();
    let theirs = desired("edge", "theirs");
    client.apply_gateway(&theirs).await.unwrap();
    let ours = DesiredGateway {
        mark: "apim-operator/1 76543210 team/edge".into(),
        ..desired("edge", "ours")
    };
    let refused = client.apply_gateway(&ours).await.unwrap_err();
    let GatewayError::Refused(refused) = refused else {
        panic!("{refused}");
    };
    assert_eq!(refused.whose.as_deref(), Some(theirs.mark.as_str()));
    client.delete_gateway(&ours.id, &ours.mark).await.unwrap();
    client.release_gateway(&ours.id, &ours.mark).await.unwrap();
    assert_eq!(stage.writes(), ["PUT gateways/team.edge 201"]);

    // What is left behind is nobody's.
    client
        .release_gateway(&theirs.id, &theirs.mark)
        .await
        .unwrap();
    let refused = client.apply_gateway(&theirs).await.unwrap_err();
    assert!(matches!(refused, GatewayError::Refused(refused) if refused.whose.is_none()));
}

#[tokio::test]
async fn apis_are_linked_and_taken_off_and_one_that_is_not_there_is_waited_for() {
    let stage = stage().await;
    let client = stage.client();
    let edge = desired("edge", "");
    client.apply_gateway(&edge).await.unwrap();
    let api = ApiId::parse("team.orders").unwrap();
    let early = client.link_gateway_api(&edge.id, &api).await.unwrap_err();
    assert!(
        matches!(early.class, ErrorClass::Waiting | ErrorClass::Conflict),
        "{early:?}"
    );
    stage.apply(&Wish::default(), None).await.unwrap();
    client.link_gateway_api(&edge.id, &api).await.unwrap();
    let linked = async || client.reader().gateway_apis(&edge.id).await.unwrap();
    assert_eq!(linked().await, ["team.orders"]);
    // Another cluster's word takes nothing from it.
    let mark = "apim-operator/1 76543210 team/edge";
    client
        .unlink_gateway_api(&edge.id, mark, "team.orders")
        .await
        .unwrap();
    assert_eq!(linked().await, ["team.orders"]);
    for _ in 0..2 {
        client
            .unlink_gateway_api(&edge.id, &edge.mark, "team.orders")
            .await
            .unwrap();
    }
    assert!(linked().await.is_empty());
}

#[tokio::test]
async fn a_token_is_given_by_either_key_and_ends_with_it() {
    let stage = stage().await;
    let client = stage.client();
    let edge = desired("edge", "");
    let expiry = Timestamp::now() + SignedDuration::from_hours(24);
    let token = async |slot| client.gateway_token(&edge.id, slot, expiry).await.unwrap();
    assert!(token(Slot::Primary).await.is_none());
    client.apply_gateway(&edge).await.unwrap();
    let (first, second) = (token(Slot::Primary).await, token(Slot::Secondary).await);
    let (first, second) = (first.unwrap(), second.unwrap());
    let of = |text: &str| stage.simulator.gateway_of(text);
    assert_eq!(of(first.expose()).as_deref(), Some("team.edge"));
    client
        .regenerate_gateway_key(&edge.id, Slot::Primary)
        .await
        .unwrap();
    assert_eq!(of(first.expose()), None);
    assert_eq!(of(second.expose()).as_deref(), Some("team.edge"));
    assert_eq!(format!("{first:?}"), "Secret(…)");

    // An answer that cannot be read is not quoted.
    stage
        .simulator
        .fault(FaultSpec {
            path: Some("generateToken".into()),
            status: Some(200),
            body: Some(json!(format!("\"{}\"", second.expose()))),
            count: Some(1),
            ..FaultSpec::default()
        })
        .unwrap();
    let error = client.gateway_token(&edge.id, Slot::Primary, expiry).await;
    let error = error.unwrap_err().to_string();
    assert!(!error.contains(second.expose()), "{error}");
}
