//! What the plugin makes of configs and spec blocks.

use plugin_rate_limit::RateLimitPlugin;
use policy_sdk::testing::{Call, spec_table, table};
use serde_json::{Value, json};

fn call(config: Value) -> Call {
    Call::of::<RateLimitPlugin>().config(config)
}

#[test]
fn configs_become_policies() {
    insta::assert_snapshot!(table::<RateLimitPlugin>(include_str!("good.json")));
}

#[test]
fn wrong_configs_are_refused_with_pointer_and_limit() {
    let table = [
        json!({"calls": 0}),
        json!({"calls": -3}),
        json!({"calls": 2_147_483_648_u32}),
        json!({"renewalPeriod": 301}),
        json!({"renewalPeriod": 0, "calls": 0, "key": "host"}),
        json!({"key": "jwt:"}),
        json!({"key": "header:a b"}),
        json!({"key": ""}),
        json!({"calls": "ten"}),
        json!({"cals": 10}),
    ];
    let text: Vec<_> = table
        .into_iter()
        .map(|config| format!("== {config}\n{}", call(config.clone()).generate_text()))
        .collect();
    insta::assert_snapshot!(text.concat());
}

#[test]
fn the_consumption_tier_counts_per_subscription_or_not_at_all() {
    let consumption = |subscription_required: bool, config: Value| {
        call(config)
            .with(|context| {
                context.instance.sku = Some("Consumption".to_owned());
                context.api.subscription_required = subscription_required;
            })
            .generate_text()
    };
    insta::assert_snapshot!(
        [
            consumption(true, json!({"calls": 5, "totalCallsHeader": "x-total"})),
            consumption(true, json!({"key": "subscription"})),
            consumption(true, json!({"key": "jwt:oid"})),
            consumption(false, json!({})),
        ]
        .join("==\n")
    );
}

#[test]
fn a_call_about_an_operation_targets_it() {
    let text = call(json!({})).for_operation("listCatalog").generate_text();
    assert!(
        text.starts_with("inbound of operation listCatalog:\n"),
        "{text}"
    );
}

#[test]
fn spec_blocks_are_read_in_both_dialects() {
    insta::assert_snapshot!(spec_table::<RateLimitPlugin>([
        json!({}),
        json!(null),
        json!({"enabled": true}),
        json!({"enabled": true, "identifier": "IP", "limit": "100", "interval": "pm"}),
        json!({"enabled": true, "limit": 100}),
        json!({"enabled": false, "identifier": "IP", "limit": "6", "interval": "pm"}),
        json!({"enabled": "", "limit": "", "interval": "", "identifier": ""}),
        json!({"limit": 1000, "period": 60}),
        json!({"limit": 5, "period": 30, "interval": "pm"}),
        json!({"limit": "many"}),
        json!({"interval": "ph"}),
        json!("100"),
    ]));
}
