//! What the plugin makes of configs.

use plugin_rewrite::RewritePlugin;
use policy_sdk::testing::{Call, table};
use serde_json::json;

#[test]
fn configs_become_policies() {
    insta::assert_snapshot!(table::<RewritePlugin>(include_str!("good.json")));
}

#[test]
fn wrong_configs_are_refused_with_their_pointer() {
    insta::assert_snapshot!(table::<RewritePlugin>(include_str!("bad.json")));
}

#[test]
fn templates_of_an_operation_are_checked_against_its_own() {
    let rewrite = |template: &str| {
        let text = Call::of::<RewritePlugin>()
            .config(json!({"template": template, "copyUnmatchedParams": false}))
            .with(|context| {
                let operations = json!([
                    {"id": "getCatalog", "operationId": null, "method": "GET", "urlTemplate": "/catalog/{id}/{*rest}?depth={depth}"}
                ]);
                context.api.operations = serde_json::from_value(operations).expect("operations");
            })
            .for_operation("getCatalog")
            .generate_text();
        format!("== {template}\n{text}")
    };
    insta::assert_snapshot!(
        [
            "/v2/{id}?depth={depth}&channel=gateway",
            "/v2/{rest}",
            "/v2/{name}",
            "/v2/{id",
            "v2/{id}",
            "/v2/{{secret}}",
            "/v2/@(1)",
            "//example.com/{id}",
            "/v2 /x",
        ]
        .map(rewrite)
        .concat()
    );
}

#[test]
fn an_operation_that_is_not_known_yet_is_not_held_against_a_template() {
    let text = Call::of::<RewritePlugin>()
        .config(json!({"template": "/v2/{id}"}))
        .with(|context| context.api.operations = None)
        .for_operation("getCatalog")
        .generate_text();
    insta::assert_snapshot!(text);
}

#[test]
fn a_prefix_needs_the_url_of_the_backend() {
    let text = Call::of::<RewritePlugin>()
        .config(json!({"prefix": "/v2"}))
        .with(|context| context.api.backend_url = None)
        .generate_text();
    insta::assert_snapshot!(text);
}
