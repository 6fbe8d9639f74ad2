//! Self-hosted gateways: the APIs that they serve, their keys and tokens.

use crate::support::{Answer, Azure};
use apim_simulator::SimulatorConfig;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

async fn of_tier(sku: &str) -> Azure {
    let mut config = SimulatorConfig::default();
    for service in &mut config.seed.services {
        sku.clone_into(&mut service.sku);
    }
    Azure::with(config).await
}

fn gateway() -> Value {
    json!({ "description": "my gateway 1", "locationData": { "name": "my location" } })
}

async fn post(azure: &Azure, path: &str, body: Option<Value>) -> Answer {
    azure.arm(Method::POST, path, body).await
}

fn names(list: &Value) -> Vec<Value> {
    let all = list["value"].as_array().expect("a list");
    all.iter().map(|one| one["name"].clone()).collect()
}

#[tokio::test]
async fn a_gateway_is_made_changed_and_deleted() {
    let azure = of_tier("Developer").await;
    azure.get("gateways/gw1").await.expect(404);
    let made = azure.put("gateways/gw1", gateway()).await.expect(201);
    // The example of the specification.
    assert_eq!(
        made.json(),
        json!({
            "id": format!("{}/gateways/gw1", azure.service),
            "type": "Microsoft.ApiManagement/service/gateways",
            "name": "gw1",
            "properties": gateway(),
        })
    );
    let etag = made.header("etag").to_owned();
    let same = azure.put("gateways/GW1", gateway()).await.expect(200);
    assert_eq!(same.header("etag"), etag);
    let patch = json!({ "properties": { "description": "another" } });
    let patch = azure.arm_if(Method::PATCH, "gateways/gw1", Some(&etag), Some(patch));
    let changed = patch.await.expect(200).json();
    assert_eq!(changed["properties"]["description"], "another");
    assert_eq!(changed["properties"]["locationData"]["name"], "my location");
    let stale = azure.arm_if(Method::DELETE, "gateways/gw1", Some(&etag), None);
    stale.await.expect(412);
    assert_eq!(names(&azure.get("gateways").await.json()), ["gw1"]);
    azure.delete("gateways/gw1").await.expect(200);
    azure.delete("gateways/gw1").await.expect(204);
    assert_eq!(azure.get("gateways").await.json()["count"], 0);
}

#[tokio::test]
async fn what_a_gateway_cannot_be_is_refused_and_so_is_a_tier_without_them() {
    let azure = of_tier("Developer").await;
    for (properties, target) in [
        (
            json!({ "locationData": { "city": "Bern" } }),
            "locationData.name",
        ),
        (
            json!({ "locationData": { "name": "n".repeat(257) } }),
            "locationData.name",
        ),
        (json!({ "description": "d".repeat(1001) }), "description"),
        (json!({ "region": "x" }), "region"),
    ] {
        let refused = azure.put("gateways/a", properties).await.expect(400);
        assert_eq!(refused.detail().0, target);
    }
    let long = format!("gateways/{}", "g".repeat(81));
    azure.put(&long, gateway()).await.expect(400);
    for number in 1..=5 {
        let path = format!("gateways/gw{number}");
        azure.put(&path, gateway()).await.expect(201);
    }
    azure.put("gateways/gw6", gateway()).await.expect(400);
    azure.put("gateways/gw5", gateway()).await.expect(200);

    for sku in ["Consumption", "BasicV2", "Standard", "PremiumV2"] {
        let azure = of_tier(sku).await;
        let refused = azure.put("gateways/a", gateway()).await;
        let (status, code) = refused.error();
        assert_eq!(
            (status, code.as_str()),
            (400, "MethodNotAllowedInPricingTier"),
            "{sku}"
        );
    }
}

#[tokio::test]
async fn apis_are_linked_by_their_id_and_leave_with_it() {
    let azure = of_tier("Premium").await;
    azure.put("gateways/gw1", gateway()).await.expect(201);
    let link = "gateways/gw1/apis/shop";
    let put = async || azure.arm(Method::PUT, link, None).await;
    assert_eq!(put().await.error().0, 404);
    azure.api("shop", "shop").await;
    let head = async || azure.arm(Method::HEAD, link, None).await.status;
    assert_eq!(head().await, 404);
    let made = put().await.expect(201).json();
    assert_eq!(
        made["type"],
        "Microsoft.ApiManagement/service/gateways/apis"
    );
    assert_eq!(made["properties"]["path"], "shop");
    put().await.expect(200);
    assert_eq!(head().await, 200);
    let refused = azure.get(link).await.expect(405);
    assert_eq!(refused.header("allow"), "HEAD,PUT,DELETE");
    let listed = async || names(&azure.get("gateways/gw1/apis").await.json());
    assert_eq!(listed().await, ["shop"]);
    azure.delete(link).await.expect(200);
    azure.delete(link).await.expect(204);
    put().await.expect(201);
    azure.delete("apis/shop?deleteRevisions=true").await;
    azure.get("apis/shop").await.expect(404);
    assert!(listed().await.is_empty());
    let none = azure
        .arm(Method::PUT, "gateways/none/apis/shop", None)
        .await;
    assert_eq!(none.json()["error"]["message"], "Gateway not found.");
}

#[tokio::test]
async fn a_token_is_valid_for_thirty_days_at_most_and_as_long_as_its_key() {
    let azure = of_tier("Developer").await;
    azure.put("gateways/gw1", gateway()).await.expect(201);
    let token = async |key: &str, expiry: Timestamp| {
        let body = json!({ "keyType": key, "expiry": expiry.to_string() });
        post(&azure, "gateways/gw1/generateToken", Some(body)).await
    };
    let after = |hours| Timestamp::now() + SignedDuration::from_hours(hours);
    let value = |answer: Answer| {
        answer.expect(200).json()["value"]
            .as_str()
            .expect("a token")
            .to_owned()
    };
    let (first, second) = (
        value(token("primary", after(24 * 30)).await),
        value(token("secondary", after(1)).await),
    );
    let parts: Vec<&str> = first.split('&').collect();
    assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("gw1", 12, 88));
    let of = |token: &str| azure.simulator.gateway_of(token);
    assert_eq!(of(&first).as_deref(), Some("gw1"));
    assert_eq!(of(&second).as_deref(), Some("gw1"));
    assert_eq!(of(&first.replace("gw1", "gw2")), None);

    for (expiry, status) in [(after(24 * 30 + 1), 400), (after(-1), 400)] {
        let refused = token("primary", expiry).await.expect(status);
        assert_eq!(refused.detail().0, "expiry");
    }
    let refused = token("tertiary", after(1)).await.expect(400);
    assert_eq!(refused.detail().0, "keyType");

    let keys = post(&azure, "gateways/gw1/listKeys", None)
        .await
        .expect(200);
    let body = json!({ "keyType": "primary" });
    let regenerate = "gateways/gw1/regenerateKey";
    post(&azure, regenerate, Some(body)).await.expect(204);
    let now = post(&azure, "gateways/gw1/listKeys", None).await.json();
    assert_ne!(now["primary"], keys.json()["primary"]);
    assert_eq!(now["secondary"], keys.json()["secondary"]);
    assert_eq!((of(&first), of(&second).as_deref()), (None, Some("gw1")));
    post(&azure, "gateways/none/listKeys", None)
        .await
        .expect(404);
    azure.simulator.advance_clock(3_600_000 + 60_000);
    assert_eq!(of(&second), None);
}
