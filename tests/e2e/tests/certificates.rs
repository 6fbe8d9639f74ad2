//! Certificates of API Management that policies name and that end soon.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use e2e::{Stage, certificate_ending_in, exposed_api};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ends_soon_is_a_warning_and_stops_nothing() {
    let builder = Stage::builder()
        .environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms")
        .instance(json!({
            "ownerMay": ["plugins", "plugin.*"],
            "grants": [{"namespaceSelector": {}, "kind": "certificate", "names": ["partner"]}],
        }));
    let test = "a_certificate_that_ends_soon_is_a_warning_and_stops_nothing";
    let Some(stage) = builder.start(test).await else {
        return;
    };
    let put = async |hours: i64| {
        let body = certificate_ending_in(hours).unwrap();
        let put = stage.arm("PUT", "/certificates/partner", Some(&body));
        assert!(put.await.unwrap().0 < 300);
    };
    put(24 * 400).await;
    let orders = exposed_api("orders", |object| {
        object["spec"].as_object_mut().unwrap().remove("rateLimit");
        object["metadata"]["annotations"] = json!({
            "apim.oda.tmforum.org/plugins": "backend-auth",
            "apim.oda.tmforum.org/plugin.backend-auth": r#"{"certificate": {"id": "partner"}}"#,
        });
    });
    stage.apply(&orders).await.unwrap();
    let status = stage.until_ready("orders").await.unwrap();
    assert_eq!(status["warnings"], Value::Null);
    let warned = |status: &Value, text: &str| status["warnings"].to_string().contains(text);
    for (hours, told) in [
        (
            48,
            "certificate `partner`, which the policy names, ends on ",
        ),
        (
            -48,
            "certificate `partner`, which the policy names, ended on ",
        ),
    ] {
        put(hours).await;
        let is_told = |status: &Value| warned(status, told);
        stage.until("orders", told, is_told).await.unwrap();
        stage.until_ready("orders").await.unwrap();
    }
    put(24 * 400).await;
    let is_fine = |status: &Value| status["warnings"].is_null();
    stage.until("orders", "no warning", is_fine).await.unwrap();
}
