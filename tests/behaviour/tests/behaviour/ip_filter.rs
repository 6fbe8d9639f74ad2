//! `ip-filter`.

use plugin_behaviour::{Api, Stage};
use serde_json::{Value, json};

/// The statuses that callers with these last bytes of `127.0.0.0/24` get.
async fn statuses(config: Value, from: &[u8]) -> Vec<u16> {
    let stage = Stage::of(Api::of("ip-filter", &config)).await;
    let mut statuses = Vec::new();
    for last in from {
        statuses.push(stage.item().from([127, 0, 0, *last]).status().await);
    }
    let passed = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(stage.world.calls(), passed);
    statuses
}

#[tokio::test]
async fn only_the_addresses_that_are_allowed_get_in() {
    let config = json!({"allow": ["127.0.0.7", "127.0.0.16/30", "127.0.0.30-127.0.0.32"]});
    assert_eq!(
        statuses(config, &[7, 6, 8, 15, 16, 19, 20, 29, 30, 32, 33]).await,
        [200, 403, 403, 403, 200, 200, 403, 403, 200, 200, 403]
    );
}

#[tokio::test]
async fn all_but_the_addresses_that_are_forbidden_get_in() {
    let config = json!({"forbid": ["127.0.0.7/32", "127.0.0.16/30", "127.0.0.30 - 127.0.0.32"]});
    assert_eq!(
        statuses(config, &[7, 6, 8, 15, 16, 19, 20, 29, 30, 32, 33]).await,
        [403, 200, 200, 200, 403, 403, 200, 200, 403, 403, 200]
    );
}

#[tokio::test]
async fn no_header_makes_another_address_of_a_caller() {
    let stage = Stage::of(Api::of("ip-filter", &json!({"allow": ["203.0.113.7"]}))).await;
    let call = stage.item();
    let call = ["x-forwarded-for", "forwarded", "x-real-ip", "client-ip"]
        .iter()
        .fold(call, |call, name| call.header(name, "203.0.113.7"));
    assert_eq!(call.error().await, (403, "Forbidden".to_owned()));
    let stage = Stage::of(Api::of("ip-filter", &json!({"forbid": ["127.0.0.0/8"]}))).await;
    assert_eq!(stage.item().error().await, (403, "Forbidden".to_owned()));
}
