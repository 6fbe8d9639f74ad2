//! Products: of an API, and as objects of their own.

use apim_simulator::FaultSpec;
use operator_apim::{DeletedProduct, ProductError};
use operator_core::class::ErrorClass;
use operator_core::mark::marked;
use operator_core::names::ProductId;
use operator_core::product::rotation::Slot;
use operator_core::product::{DesiredProduct, ProductSettings};
use serde_json::json;

use crate::stage::{MARK, Stage, Wish};

fn id(text: &str) -> ProductId {
    ProductId::parse(text).unwrap()
}

fn gold(mark: &str) -> DesiredProduct {
    DesiredProduct {
        id: id("team.gold"),
        mark: mark.to_owned(),
        settings: ProductSettings {
            display_name: "Gold".into(),
            description: marked("For partners", mark),
            terms: String::new(),
            subscription_required: true,
            approval_required: Some(false),
            subscriptions_limit: None,
            published: true,
        },
        groups: ["developers".to_owned()].into(),
        policy: None,
    }
}

fn in_products(products: &[&'static str]) -> Wish {
    Wish {
        products: products.to_vec(),
        ..Wish::default()
    }
}

#[tokio::test]
async fn an_api_enters_a_product_that_exists_and_waits_for_one_that_does_not() {
    let stage = Stage::new().await;
    let error = stage
        .apply(&in_products(&["team.gold"]), None)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Waiting);
    let missing = error.arm().unwrap().missing.as_ref().unwrap();
    assert_eq!(missing.to_string(), "product `team.gold`");
    let record = error.record.unwrap();
    let client = stage.client();
    client.apply_product(&gold(MARK), true).await.unwrap();
    stage.simulator.clear_journal();
    let wish = in_products(&["team.gold"]);
    let applied = stage.apply(&wish, Some(&record)).await.unwrap();
    assert_eq!(
        stage.writes(),
        ["PUT products/team.gold/apis/team.orders 201"]
    );
    stage.simulator.clear_journal();
    stage.apply(&wish, Some(&applied.record)).await.unwrap();
    assert_eq!(stage.reads(), [] as [&str; 0]);
    // Without a record, what is there is read and not written again.
    let again = stage.apply(&wish, None).await.unwrap();
    assert_eq!(stage.writes(), ["PUT apis/team.orders 200"]);
    assert_eq!(again.record.products, applied.record.products);

    stage.simulator.clear_journal();
    stage
        .apply(&in_products(&[]), Some(&applied.record))
        .await
        .unwrap();
    assert_eq!(
        stage.writes(),
        ["DELETE products/team.gold/apis/team.orders 200"]
    );
}

#[tokio::test]
async fn a_product_is_written_once_and_that_of_others_never() {
    let stage = Stage::new().await;
    let client = stage.client();
    assert_eq!(client.apply_product(&gold(MARK), true).await, Ok(3));
    assert_eq!(client.apply_product(&gold(MARK), true).await, Ok(0));
    let other = gold("apim-operator/1 01234567 team/gold");
    let refused = client.apply_product(&other, true).await.unwrap_err();
    assert!(matches!(refused, ProductError::Refused(_)), "{refused}");
    let deleted = client.delete_product(&other.id, &other.mark).await;
    assert_eq!(deleted, Ok(DeletedProduct::NotOurs));

    stage.published(&in_products(&["team.gold"])).await;
    client
        .create_subscription("team.web", "/products/team.gold", "web", false)
        .await
        .unwrap();
    let held = client.delete_product(&id("team.gold"), MARK).await.unwrap();
    let DeletedProduct::InUse(used) = held else {
        panic!("{held:?}");
    };
    assert_eq!(used.to_string(), "API team.orders; subscription team.web");
    client.delete_subscription("team.web").await.unwrap();
    client.delete_subscription("team.web").await.unwrap();
    let wish = in_products(&[]);
    stage.apply(&wish, None).await.unwrap();
    assert!(!stage.writes().is_empty());
    client
        .release_product(&id("team.gold"), MARK)
        .await
        .unwrap();
    let there = client.reader().product(&id("team.gold"), false).await;
    let settings = there.unwrap().unwrap().settings;
    assert_eq!(settings.description, "For partners");
}

#[tokio::test]
async fn keys_are_read_and_replaced_one_by_one_and_never_shown() {
    let stage = Stage::new().await;
    let client = stage.client();
    client.apply_product(&gold(MARK), true).await.unwrap();
    assert_eq!(client.keys("team.web").await, Ok(None));
    client
        .create_subscription("team.web", "/products/team.gold", "web", true)
        .await
        .unwrap();
    let there = client.reader().subscription("team.web").await.unwrap();
    let there = there.unwrap();
    assert_eq!(
        (there.scope.as_str(), there.state.as_str()),
        ("/products/team.gold", "submitted")
    );
    let before = client.keys("team.web").await.unwrap().unwrap();
    client
        .regenerate_key("team.web", Slot::Secondary)
        .await
        .unwrap();
    let after = client.keys("team.web").await.unwrap().unwrap();
    assert_eq!(after.primary, before.primary);
    assert_ne!(after.secondary, before.secondary);

    // An answer that cannot be read is not quoted.
    stage
        .simulator
        .fault(FaultSpec {
            path: Some("listSecrets".into()),
            status: Some(200),
            body: Some(json!(format!("\"{}\"", after.primary.expose()))),
            count: Some(1),
            ..FaultSpec::default()
        })
        .unwrap();
    let error = client.keys("team.web").await.unwrap_err();
    assert!(
        !error.to_string().contains(after.primary.expose()),
        "{error}"
    );
}
