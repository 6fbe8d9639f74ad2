//! Products, what is in them, and subscriptions with their keys.

use crate::support::{Answer, Azure, answer, client};
use apim_gateway::EchoBackend;
use apim_simulator::{JournalQuery, SimulatorConfig};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

async fn put_api(azure: &Azure, id: &str, backend: &str) {
    let properties = json!({
        "path": id, "displayName": id, "serviceUrl": backend, "subscriptionRequired": true,
        "protocols": ["https"],
    });
    azure
        .put(&format!("apis/{id}"), properties)
        .await
        .expect(201);
}

async fn head(azure: &Azure, path: &str) -> u16 {
    azure.arm(Method::HEAD, path, None).await.status
}

async fn put(azure: &Azure, path: &str) -> Answer {
    azure.arm(Method::PUT, path, None).await
}

#[tokio::test]
async fn a_product_is_in_a_group_from_the_start_and_holds_the_apis_that_are_put_in_it() {
    let azure = Azure::start().await;
    let properties = json!({ "displayName": "Gold", "description": "d" });
    let made = azure.put("products/Gold", properties).await.expect(201);
    let shown = json!({
        "displayName": "Gold", "description": "d", "terms": null, "subscriptionRequired": true,
        "approvalRequired": null, "subscriptionsLimit": null, "state": "notPublished",
    });
    let group = &made.json()["properties"]["groups"][0]["name"];
    assert_eq!(group, "Administrators");
    let read = azure.get("products/gold").await.expect(200).json();
    assert_eq!(
        (&read["name"], &read["properties"]),
        (&json!("Gold"), &shown)
    );

    assert_eq!(
        put(&azure, "products/gold/apis/shop").await.error(),
        (404, "ResourceNotFound".to_owned())
    );
    put_api(&azure, "shop", "https://b.example.com").await;
    assert_eq!(head(&azure, "products/gold/apis/shop").await, 404);
    put(&azure, "products/gold/apis/shop").await.expect(201);
    put(&azure, "products/gold/apis/shop").await.expect(200);
    assert_eq!(head(&azure, "products/gold/apis/shop").await, 204);
    let refused = azure.get("products/gold/apis/shop").await.expect(405);
    assert_eq!(refused.header("allow"), "HEAD,PUT,DELETE");
    let names = |list: Value| -> Vec<Value> {
        let all = list["value"].as_array().expect("a list").clone();
        all.into_iter().map(|one| one["name"].clone()).collect()
    };
    assert_eq!(
        names(azure.get("apis/shop/products").await.json()),
        ["Gold"]
    );
    assert_eq!(
        names(azure.get("products/gold/apis").await.json()),
        ["shop"]
    );
    azure.delete("products/gold/apis/shop").await.expect(200);
    azure.delete("products/gold/apis/shop").await.expect(204);
    let missing = put(&azure, "products/none/apis/shop").await;
    assert_eq!(missing.json()["error"]["message"], "Product not found.");

    put(&azure, "products/gold/apis/shop").await.expect(201);
    azure.delete("apis/shop?deleteRevisions=true").await;
    azure.get("apis/shop").await.expect(404);
    assert_eq!(head(&azure, "products/gold/apis/shop").await, 404);
}

#[tokio::test]
async fn what_a_product_cannot_be_is_refused() {
    let azure = Azure::start().await;
    for (properties, target) in [
        (json!({ "description": "d" }), "displayName"),
        (json!({ "displayName": "" }), "displayName"),
        (
            json!({ "displayName": "A", "description": "d".repeat(1001) }),
            "description",
        ),
        (json!({ "displayName": "A", "state": "open" }), "state"),
        (
            json!({ "displayName": "A", "subscriptionRequired": false, "approvalRequired": true }),
            "approvalRequired",
        ),
        (
            json!({ "displayName": "A", "subscriptionRequired": false, "subscriptionsLimit": 1 }),
            "subscriptionsLimit",
        ),
    ] {
        let refused = azure.put("products/a", properties).await.expect(400);
        assert_eq!(refused.detail().0, target);
    }
    let properties = json!({ "displayName": "A" });
    azure.put("products/a", properties).await.expect(201);
    put(&azure, "products/a/groups/developers")
        .await
        .expect(201);
    put(&azure, "products/a/groups/none").await.expect(404);
    let own = json!({ "displayName": "Partners" });
    azure.put("groups/partners", own).await.expect(201);
    put(&azure, "products/a/groups/partners").await.expect(201);
    let groups = azure.get("products/a/groups").await.json();
    assert_eq!(groups["count"], 3);
    let kept = azure.delete("products/a/groups/administrators").await;
    assert_eq!(kept.expect(400).detail().0, "groupId");
    let quota = r#"<policies><inbound><base /><quota calls="5" renewal-period="3600" /></inbound></policies>"#;
    let policy = json!({ "format": "rawxml", "value": quota });
    azure
        .put("products/a/policies/policy", policy)
        .await
        .expect(201);
}

#[tokio::test]
async fn a_key_is_shown_when_asked_for_and_regenerated_alone() {
    let azure = Azure::start().await;
    let unknown = json!({ "displayName": "S", "scope": "/products/gold" });
    let refused = azure.put("subscriptions/s", unknown.clone()).await;
    assert_eq!(
        refused.detail(),
        (
            "scope".to_owned(),
            "Product with id 'gold' could not be found.".to_owned()
        )
    );
    let gold = json!({ "displayName": "Gold", "state": "published" });
    azure.put("products/gold", gold).await.expect(201);
    let made = azure.put("subscriptions/s", unknown).await.expect(201);
    let properties = &made.json()["properties"];
    assert_eq!(
        (&properties["scope"], &properties["state"]),
        (
            &json!(format!("{}/products/gold", azure.service)),
            &json!("active")
        )
    );
    let read = azure.get("subscriptions/s").await.json();
    assert_eq!(read["properties"].get("primaryKey"), None);
    let keys = async || {
        let path = "subscriptions/s/listSecrets";
        let shown = azure.arm(Method::POST, path, None).await.expect(200).json();
        let key = |name: &str| shown[name].as_str().expect("a key").to_owned();
        (key("primaryKey"), key("secondaryKey"))
    };
    let before = keys().await;
    assert_eq!(properties["primaryKey"], before.0.as_str());
    let path = "subscriptions/s/regenerateSecondaryKey";
    azure.arm(Method::POST, path, None).await.expect(204);
    let after = keys().await;
    assert_eq!(after.0, before.0);
    assert_ne!(after.1, before.1);

    let busy = azure.delete("products/gold").await;
    assert_eq!(busy.error(), (409, "Conflict".to_owned()));
    azure
        .delete("products/gold?deleteSubscriptions=true")
        .await
        .expect(200);
    azure.get("subscriptions/s").await.expect(404);
    let journal = format!("{:?}", azure.simulator.journal(&JournalQuery::default()));
    assert!(!journal.contains(&after.1) && !journal.contains(&before.0));
}

#[tokio::test]
async fn the_gateway_lets_in_a_key_of_a_published_product_that_holds_the_api() {
    let azure = Azure::with(SimulatorConfig {
        gateway: Some(LOOPBACK),
        ..SimulatorConfig::default()
    })
    .await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    put_api(&azure, "shop", &backend.url()).await;
    let operation = json!({ "displayName": "get", "method": "GET", "urlTemplate": "/items" });
    azure
        .put("apis/shop/operations/get", operation)
        .await
        .expect(201);
    let gold = json!({ "displayName": "Gold" });
    azure.put("products/gold", gold).await.expect(201);
    let subscription =
        json!({ "displayName": "S", "scope": "/products/gold", "primaryKey": "one-key" });
    azure.put("subscriptions/s", subscription).await.expect(201);
    let url = format!(
        "{}/shop/items",
        azure.simulator.gateway_url().expect("a gateway")
    );
    let client = client(&azure.simulator);
    let call = async |key: &str| {
        let request = client.get(&url).header("Ocp-Apim-Subscription-Key", key);
        answer(request.send().await.expect("an answer"))
            .await
            .status
    };
    assert_eq!(call("one-key").await, 401, "the API is not in the product");
    put(&azure, "products/gold/apis/shop").await.expect(201);
    assert_eq!(call("one-key").await, 401, "it is not published");
    let published = json!({ "properties": { "state": "published" } });
    azure
        .arm(Method::PATCH, "products/gold", Some(published))
        .await
        .expect(200);
    assert_eq!(call("one-key").await, 200);
    assert_eq!(call("other").await, 401);
    let suspended = json!({ "properties": { "state": "suspended" } });
    azure
        .arm(Method::PATCH, "subscriptions/s", Some(suspended))
        .await
        .expect(200);
    assert_eq!(call("one-key").await, 401);
}
