//! What the plugin makes of configs.

use plugin_quota::QuotaPlugin;
use policy_sdk::testing::{Call, spec_table, table};
use serde_json::json;

#[test]
fn configs_become_policies() {
    insta::assert_snapshot!(table::<QuotaPlugin>(include_str!("good.json")));
}

#[test]
fn wrong_configs_are_refused_with_their_pointer() {
    insta::assert_snapshot!(table::<QuotaPlugin>(include_str!("bad.json")));
}

#[test]
fn the_consumption_tier_is_refused_and_a_v2_tier_is_warned() {
    let on = |sku: &str| {
        Call::of::<QuotaPlugin>()
            .config(json!({"calls": 1, "key": "ip"}))
            .with(|context| context.instance.sku = Some(sku.to_owned()))
            .generate_text()
    };
    insta::assert_snapshot!([on("Consumption"), on("StandardV2"), on("Premium")].join("==\n"));
}

#[test]
fn an_operation_and_an_api_count_for_themselves() {
    let text = Call::of::<QuotaPlugin>()
        .config(json!({"calls": 1}))
        .with(|context| context.api.subscription_required = true)
        .for_operation("listCatalog")
        .generate_text();
    insta::assert_snapshot!(text);
}

#[test]
fn spec_blocks_are_read_in_both_dialects() {
    insta::assert_snapshot!(spec_table::<QuotaPlugin>([
        json!({}),
        json!(null),
        json!({"identifier": "", "limit": ""}),
        json!({"identifier": "test-identifier", "limit": "1000"}),
        json!({"identifier": "IP", "limit": 1000}),
        json!({"identifier": "header:X-Client", "limit": "5"}),
        json!({"identifier": "IP"}),
        json!({"limit": "many"}),
        json!({"limit": 5, "enabled": false}),
        json!("1000"),
    ]));
}
