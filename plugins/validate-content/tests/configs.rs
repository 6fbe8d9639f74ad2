//! What the plugin makes of configs.

use plugin_validate_content::ValidateContentPlugin;
use policy_sdk::testing::{spec_table, table};
use serde_json::json;

#[test]
fn configs_become_policies() {
    insta::assert_snapshot!(table::<ValidateContentPlugin>(include_str!("good.json")));
}

#[test]
fn wrong_configs_are_refused_with_their_pointer() {
    insta::assert_snapshot!(table::<ValidateContentPlugin>(include_str!("bad.json")));
}

#[test]
fn spec_blocks_are_read_in_both_dialects() {
    insta::assert_snapshot!(spec_table::<ValidateContentPlugin>([
        json!({}),
        json!(null),
        json!({"requestEnabled": false, "responseEnabled": false, "allowUnspecifiedHeaders": false}),
        json!({"requestEnabled": true}),
        json!({"requestEnabled": "true", "responseEnabled": true}),
        json!({"responseEnabled": true}),
        json!({"requestEnabled": "maybe"}),
        json!([]),
    ]));
}
