//! What is said of an API beside its name: description, contact, licence, terms
//! and protocols, from its document and its annotations.
#![forbid(unsafe_code)]
#![expect(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use anyhow::{Context as _, Result};
use e2e::{PATIENCE, Stage, document, exposed_api};
use serde_json::{Value, json};

fn note(name: &str, value: &Value) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{name}"): value}}})
}

async fn until_api(stage: &Stage, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut seen = Value::Null;
    test_harness::wait_until(what, PATIENCE, async || {
        let api = stage
            .api("shop.orders")
            .await
            .map_err(|error| error.to_string())?;
        seen = api.unwrap_or_default();
        if is(&seen) {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await
    .with_context(|| stage.operator_log())?;
    Ok(seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_document_and_the_annotations_say_of_an_api_is_published_and_kept() -> Result<()> {
    let builder = Stage::builder()
        .environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms")
        .instance(json!({"ownerMay": ["plugins", "info", "protocols"]}));
    let Some(stage) = builder
        .start("what_a_document_and_the_annotations_say")
        .await
    else {
        return Ok(());
    };
    let mut text = document("orders", &["get"]);
    text["info"] = json!({
        "title": "Orders", "version": "1", "description": "All orders.",
        "termsOfService": "https://example.com/terms",
        "contact": {"name": "Shop", "email": "nobody"},
        "license": {"name": "MIT", "url": "https://example.com/mit"},
    });
    let orders = exposed_api("orders", |object| {
        object["spec"]["specification"] = text.to_string().into();
        object["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = "".into();
    });
    stage.apply(&orders).await?;
    let status = stage.until_ready("orders").await?;
    assert!(
        status["warnings"]
            .to_string()
            .contains("/info/contact/email: `nobody` is not an e-mail address; it is left out"),
        "{status}"
    );
    let api = stage.api("shop.orders").await?.context("the API")?;
    assert_eq!(
        [
            &api["description"],
            &api["termsOfServiceUrl"],
            &api["license"],
            &api["contact"]["name"],
            &api["contact"]["email"],
            &api["protocols"]
        ],
        [
            &json!("All orders."),
            &json!("https://example.com/terms"),
            &json!({"name": "MIT", "url": "https://example.com/mit"}),
            &json!("Shop"),
            &Value::Null,
            &json!(["https"]),
        ]
    );

    // The annotation wins, part by part; null takes away; one write.
    stage.settled().await?;
    let before = stage.writes("shop.orders").len();
    let info = "{description: Ours, contact: {email: shop@example.com}, license: null}";
    let both = json!({"metadata": {"annotations": {
        "apim.oda.tmforum.org/info": info,
        "apim.oda.tmforum.org/protocols": "https, http",
    }}});
    stage.patch("shop", "orders", &both).await?;
    let api = until_api(&stage, "the annotations", |api| {
        api["description"] == "Ours"
    })
    .await?;
    assert_eq!(api["contact"]["email"], "shop@example.com");
    assert_eq!(api["contact"]["name"], Value::Null);
    assert!(api["license"].is_null(), "{api}");
    assert_eq!(api["protocols"], json!(["https", "http"]));
    assert_eq!(api["termsOfServiceUrl"], "https://example.com/terms");
    stage.settled().await?;
    assert_eq!(stage.writes("shop.orders").len(), before + 1);

    // Others change it: it is put back, and told.
    let theirs =
        json!({"properties": {"contact": {"name": "Somebody"}, "license": {"name": "None"}}});
    let (status, _) = stage
        .arm("PATCH", "/apis/shop.orders", Some(&theirs))
        .await?;
    assert_eq!(status, 200);
    until_api(&stage, "what was said before", |api| {
        api["contact"]["email"] == "shop@example.com" && api["license"].is_null()
    })
    .await?;
    let put_back = "Normal DriftCorrected: put back what others had changed:\ncontact: expected `shop@example.com`, found `Somebody`\nlicense: expected (absent), found `None`";
    stage.until_event("orders", put_back).await?;

    // What cannot be shown is refused with its place, and what is there stays.
    stage
        .patch(
            "shop",
            "orders",
            &note("info", &json!("{termsOfService: terms.html}")),
        )
        .await?;
    let status = stage
        .until_reason("orders", "Ready", "InvalidAnnotation")
        .await?;
    assert!(
        status["conditions"]
            .to_string()
            .contains("info] /termsOfService: `terms.html` is not a URL that API Management takes"),
        "{status}"
    );
    stage
        .patch("shop", "orders", &note("info", &Value::Null))
        .await?;
    stage
        .patch("shop", "orders", &note("protocols", &json!("https, wss")))
        .await?;
    // What was wrong before may still stand there for a moment.
    let wrong = "`wss` is no protocol of an API; write `https`, or `https, http`";
    let said = |status: &Value| status["conditions"].to_string().contains(wrong);
    stage.until("orders", wrong, said).await?;
    stage
        .patch("shop", "orders", &note("protocols", &Value::Null))
        .await?;
    stage.until_ready("orders").await?;
    until_api(&stage, "the document alone", |api| {
        api["description"] == "All orders."
            && api["protocols"] == json!(["https"])
            && api["license"]["name"] == "MIT"
    })
    .await?;
    Ok(())
}
