//! What the plugin makes of configs and spec blocks.

use plugin_cors::CorsPlugin;
use policy_sdk::Dialect;
use policy_sdk::testing::{Call, spec_table, table};
use serde_json::{Value, json};

fn call(config: Value) -> Call {
    Call::of::<CorsPlugin>().config(config)
}

#[test]
fn configs_become_policies() {
    insta::assert_snapshot!(table::<CorsPlugin>(include_str!("good.json")));
}

#[test]
fn the_original_dialect_has_its_own_defaults() {
    let text = call(json!({}))
        .with(|context| context.api.dialect = Dialect::Original)
        .generate_text();
    insta::assert_snapshot!(text);
}

#[test]
fn wrong_configs_are_refused_with_their_pointer() {
    let table = [
        json!({"allowCredentials": true}),
        json!({"allowOrigins": ["*"], "allowCredentials": true}),
        json!({"allowOrigins": ["*", "https://a.example"]}),
        json!({"allowOrigins": ["www.example.com"]}),
        json!({"allowOrigins": ["https://a.example/", "https://a.example/path?x"]}),
        json!({"allowOrigins": ["https://*.example.com"]}),
        json!({"allowOrigins": ["https://user@a.example", "https://a b", "https://", "://x", "null"]}),
        json!({"allowOrigins": ["https://a.example:0", "https://a.example:99999", "https://a.example:"]}),
        json!({"allowOrigins": ["https://[::1", "https://[x]", "https://[::1]x"]}),
        json!({"allowOrigins": ["https://a.example@(1)", "https://{{secret}}"]}),
        json!({"allowMethods": ["GET, POST"]}),
        json!({"allowHeaders": ["*", "x-a"]}),
        json!({"maxAge": -1}),
        json!({"maxAge": "1800"}),
        json!({"origins": []}),
    ];
    let text: Vec<_> = table
        .into_iter()
        .map(|config| format!("== {config}\n{}", call(config.clone()).generate_text()))
        .collect();
    insta::assert_snapshot!(text.concat());
}

#[test]
fn spec_blocks_are_read_in_both_dialects() {
    insta::assert_snapshot!(spec_table::<CorsPlugin>([
        json!({}),
        json!({"enabled": true}),
        json!({
            "enabled": true,
            "allowCredentials": true,
            "allowOrigins": "https://a.example, https://b.example",
            "handlePreflightRequests": {
                "enabled": true,
                "allowHeaders": "Accept, Content-Type",
                "allowMethods": "GET, POST",
                "maxAge": 36000
            }
        }),
        json!({"enabled": false, "handlePreflightRequests": {"enabled": false, "maxAge": ""}}),
        json!({"enabled": true, "handlePreflightRequests": {"enabled": false}}),
        json!({
            "allowOrigins": ["https://a.example"],
            "allowMethods": ["GET"],
            "allowHeaders": ["*"],
            "exposeHeaders": ["x-a"],
            "maxAge": 3600,
            "allowCredentials": true
        }),
        json!({"allowOrigins": 7}),
        json!({"handlePreflightRequests": {"maxAge": "soon"}}),
        json!({"handlePreflightRequests": []}),
    ]));
}
