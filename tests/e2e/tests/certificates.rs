//! Certificates of API Management that policies name and that end soon.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Stage, exposed_api};
use jiff::{SignedDuration, Timestamp};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use serde_json::{Value, json};

/// A certificate that ends so many hours from now, as a PKCS #12 file.
fn ending_in(hours: i64) -> Value {
    let at = Timestamp::now() + SignedDuration::from_hours(hours);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["orders.example".to_owned()]).unwrap();
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let part = |number: i8| u8::try_from(number).unwrap();
    params.not_after = rcgen::date_time_ymd(at.year().into(), part(at.month()), part(at.day()));
    let certificate = params.self_signed(&key).unwrap();
    let certificate = Certificate::from_der(certificate.der()).unwrap();
    let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
    let mut store = KeyStore::new();
    let chain = PrivateKeyChain::new(vec![1], key, [certificate]);
    store.add_entry("one", KeyStoreEntry::PrivateKeyChain(chain));
    let writer = store.writer("pa55-word");
    let file = writer.encryption_iterations(10).mac_iterations(10).write();
    json!({"properties": {"data": STANDARD.encode(file.unwrap()), "password": "pa55-word"}})
}

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
        let body = ending_in(hours);
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
