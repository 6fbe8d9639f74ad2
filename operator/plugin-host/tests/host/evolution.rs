//! Interfaces of other versions: what was built once loads for ever, what is
//! added disturbs nobody, and what cannot work says so.

use operator_core::policy::{Attribute, Generated, Value as PolicyValue};
use operator_plugin_host::{Plugin, PluginSource};
use serde_json::{Value, json};

use super::guest::{Guest, READING, descriptor};
use super::{HOST, context, load, load_error};

/// Built against 1.0.0, once; see `tests/fixtures/README.md`.
const FIRST: &[u8] = include_bytes!("../fixtures/plugin-1.0.0.wasm");

fn header(policy: &Generated) -> &Attribute {
    policy
        .fragments
        .first()
        .and_then(|fragment| fragment.elements.first())
        .and_then(|element| element.attributes.first())
        .expect("an attribute")
}

#[test]
fn a_plugin_built_against_the_first_version_loads_and_answers_as_ever() {
    let plugin = load(FIRST).expect("loads for ever");
    let descriptor = plugin.descriptor();
    assert_eq!(
        (descriptor.name.as_str(), descriptor.version.as_str()),
        ("greeting", "0.1.0")
    );
    let reading = plugin
        .read_spec(&json!({"dialect": "canonical", "block": {"enabled": true, "text": "moin"}}))
        .expect("reads");
    assert_eq!(
        (reading.enabled, reading.config),
        (Some(true), json!({"text": "moin"}))
    );
    let policy = plugin
        .generate(&context(), &json!({"text": "moin"}))
        .expect("generates");
    let attribute = header(&policy);
    assert_eq!(
        (attribute.name.as_str(), &attribute.value),
        ("name", &PolicyValue::literal("x-greeting"))
    );
}

/// Adds a field that nobody knows to every object.
fn grown(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: serde_json::Map<String, Value> = map
                .iter()
                .map(|(key, value)| {
                    // Names of the owner's choice, not fields.
                    let names = key == "labels";
                    let value = if names { value.clone() } else { grown(value) };
                    (key.clone(), value)
                })
                .collect();
            map.insert("addedLater".to_owned(), json!({"x": [1, null, "y"]}));
            Value::Object(map)
        }
        Value::Array(items) => items.iter().map(grown).collect(),
        other => other.clone(),
    }
}

#[test]
fn fields_that_are_added_to_the_context_disturb_no_plugin() {
    let first = load(FIRST).expect("loads for ever");
    let builtin = HOST
        .load_builtin()
        .into_iter()
        .map(|(_, plugin)| plugin.expect("loads"));
    let mut before = context();
    before["api"]["operations"] =
        json!([{"id": "a", "operationId": "a", "method": "GET", "urlTemplate": "/a"}]);
    let after = grown(&before);
    for plugin in builtin.chain([first]) {
        let answer = |context: &Value| {
            plugin
                .generate(context, &json!({}))
                .map_err(|error| error.to_string())
        };
        assert_eq!(answer(&before), answer(&after), "{plugin:?}");
    }
}

#[test]
fn fields_that_are_added_to_what_a_plugin_says_disturb_nobody_here() {
    let reading = READING.replace('{', r#"{"addedLater":[{}],"#);
    assert_ne!(reading, READING);
    let later = descriptor("test").replace(
        "\"summary\"",
        r#""addedLater":{"a":[1]},"interfaces":["1.1"],"summary""#,
    );
    let plugin = load(
        &Guest {
            version: "1.1.0",
            descriptor: later,
            ..Guest::default()
        }
        .component(),
    )
    .expect("loads");
    assert_eq!(plugin.descriptor().name, "test");
}

/// A plugin of a later minor version, whose world has a function more.
fn later() -> Guest {
    Guest {
        version: "1.1.0",
        wit: "explain: func(context: string, config: string) -> result<string, list<diagnostic>>;",
        extra: r#"(func (export "oda:policy/generator@1.1.0#explain") (param i32 i32 i32 i32) (result i32) i32.const 128)"#,
        descriptor: descriptor("later"),
        ..Guest::default()
    }
}

#[test]
fn a_plugin_with_a_function_of_a_later_minor_version_works_beside_one_without() {
    let works = |plugin: &Plugin| {
        plugin
            .generate(&context(), &json!({}))
            .map(|policy| policy.fragments.len())
    };
    let first = load(FIRST).expect("loads for ever");
    for bytes in [later().component(), later().module()] {
        let later = HOST
            .load(&bytes, PluginSource::Registry("r".into()))
            .expect("loads");
        assert_eq!(later.descriptor().name, "later");
        assert_eq!(
            (first.interface(), later.interface()),
            (Some("1.0.0"), Some("1.1.0"))
        );
        assert_eq!(works(&later), Ok(0));
        assert_eq!(works(&first), Ok(1));
    }
}

#[test]
fn a_later_major_version_is_refused_with_the_range() {
    let guest = Guest {
        version: "2.0.0",
        ..Guest::default()
    };
    for bytes in [guest.component(), guest.module()] {
        let error = load_error(&bytes);
        assert_eq!(error.reason(), "UnsupportedInterface");
        // Whichever of the two stands first.
        let text = error.to_string();
        let name = if text.contains("/log@") {
            "log"
        } else {
            "generator"
        };
        assert_eq!(
            text,
            format!(
                "it was built for `oda:policy/{name}@2.0.0`, and this operator supports oda:policy 1.x (1.0.0 up to, \
                 but not including, 2.0.0): build it with the matching version of the interface"
            )
        );
    }
}
