use serde_json::{Value, json};

use super::generate;
use crate::build::build;
use crate::validate::test_support::{World, meta, spec};

fn contexts(annotations: &[(&str, &str)], more: &Value) -> Vec<Value> {
    let validated = World::default()
        .validate(&meta(annotations), &spec(more))
        .unwrap();
    let desired = build(&validated);
    validated
        .chain()
        .iter()
        .map(|plugin| generate(&validated, &desired, plugin).unwrap())
        .collect()
}

#[test]
fn a_context_holds_what_the_published_schema_says() {
    let schema = include_str!("../../../../wit/schemas/context.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::options().offline().build(&schema).unwrap();
    let all = contexts(
        &[("operation-plugins", "listItems: {plugins: headers}")],
        &json!({}),
    );
    assert_eq!(all.len(), 3);
    for context in &all {
        let errors: Vec<_> = validator
            .iter_errors(context)
            .map(|e| e.to_string())
            .collect();
        assert_eq!(errors, [""; 0]);
    }
    assert_eq!(all[0]["operation"], Value::Null);
    assert_eq!(all[2]["operation"], json!({"id": "listitems"}));
    insta::assert_json_snapshot!(all[0]);
}

#[test]
fn a_document_in_the_spec_is_left_out_and_its_url_is_not() {
    let text = contexts(
        &[],
        &json!({"specification": crate::validate::test_support::document().to_string()}),
    );
    assert_eq!(text[0]["api"]["spec"].get("specification"), None);
    let mut object = spec(&json!({}));
    object["specification"] = json!({"url": "https://a.example/b"});
    assert_eq!(super::without_document(&object), object);
    object["specification"] = json!("https://a.example/b");
    assert_eq!(super::without_document(&object), object);
}
