//! What the plugin makes of configs.

use plugin_cache::CachePlugin;
use policy_sdk::testing::{Call, table};
use serde_json::json;

#[test]
fn configs_become_policies() {
    insta::assert_snapshot!(table::<CachePlugin>(include_str!("good.json")));
}

#[test]
fn wrong_configs_are_refused_with_their_pointer() {
    insta::assert_snapshot!(table::<CachePlugin>(include_str!("bad.json")));
}

#[test]
fn the_consumption_tier_needs_an_external_cache() {
    let on_consumption = |config: serde_json::Value| {
        Call::of::<CachePlugin>()
            .config(config)
            .with(|context| context.instance.sku = Some("Consumption".to_owned()))
            .generate_text()
    };
    insta::assert_snapshot!(
        [
            on_consumption(json!({})),
            on_consumption(json!({"cachingType": "internal"})),
            on_consumption(json!({"cachingType": "external"})),
        ]
        .join("==\n")
    );
}
