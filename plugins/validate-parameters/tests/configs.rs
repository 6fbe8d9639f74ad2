//! What the plugin makes of configs.

use plugin_validate_parameters::ValidateParametersPlugin;
use policy_sdk::testing::{Call, spec_table, table};
use serde_json::json;

#[test]
fn configs_become_policies() {
    insta::assert_snapshot!(table::<ValidateParametersPlugin>(include_str!("good.json")));
}

#[test]
fn wrong_configs_are_refused_with_their_pointer() {
    insta::assert_snapshot!(table::<ValidateParametersPlugin>(include_str!("bad.json")));
}

#[test]
fn the_header_of_the_subscription_key_is_let_through() {
    let text = Call::of::<ValidateParametersPlugin>()
        .config(json!({"unspecifiedHeaders": "prevent"}))
        .with(|context| {
            context.api.spec =
                json!({"apiKeyVerification": {"enabled": true, "location": "X-Partner-Key"}});
        })
        .generate_text();
    assert!(
        text.contains(r#"<parameter name="X-Partner-Key" action="ignore" />"#),
        "{text}"
    );
}

#[test]
fn spec_blocks_are_read_in_both_dialects() {
    insta::assert_snapshot!(spec_table::<ValidateParametersPlugin>([
        json!({}),
        json!(null),
        json!({"requestEnabled": false, "responseEnabled": true, "allowUnspecifiedHeaders": false}),
        json!({"requestEnabled": true}),
        json!({
            "requestEnabled": true,
            "allowUnspecifiedHeaders": false,
            "allowUnspecifiedQueryParams": false,
            "allowUnspecifiedCookies": false
        }),
        json!({
            "requestEnabled": "true",
            "allowUnspecifiedHeaders": true,
            "allowUnspecifiedQueryParams": "true",
            "allowUnspecifiedCookies": true
        }),
        json!({"requestEnabled": true, "allowUnspecifiedHeaders": 3}),
        json!("x"),
    ]));
}
