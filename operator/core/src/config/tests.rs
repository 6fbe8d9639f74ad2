use proptest::prelude::*;
use serde_json::{Value, json};

use super::schema::Violation;
use super::*;
use crate::names::{InstanceName, PluginName};

fn merged(target: &Value, patch: &Value) -> Value {
    let mut result = target.clone();
    merge(&mut result, patch);
    result
}

#[test]
fn the_examples_of_rfc_7386_hold() {
    for (target, patch, expected) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (
            json!({"a": "b"}),
            json!({"b": "c"}),
            json!({"a": "b", "b": "c"}),
        ),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (
            json!({"a": "b", "b": "c"}),
            json!({"a": null}),
            json!({"b": "c"}),
        ),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        ),
        (
            json!({"a": [{"b": "c"}]}),
            json!({"a": [1]}),
            json!({"a": [1]}),
        ),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"a": "foo"}), json!(null), json!(null)),
        (
            json!({"e": null}),
            json!({"a": 1}),
            json!({"e": null, "a": 1}),
        ),
        (
            json!([1, 2]),
            json!({"a": "b", "c": null}),
            json!({"a": "b"}),
        ),
        (
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"a": {"bb": {}}}),
        ),
    ] {
        assert_eq!(merged(&target, &patch), expected, "{target} with {patch}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-d]", inner), 0..4)
                .prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

/// Whether a null is a value of an object somewhere, outside of arrays.
fn has_null_member(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(|v| v.is_null() || has_null_member(v)),
        _ => false,
    }
}

proptest! {
    #[test]
    fn merging_twice_changes_nothing_more(target in any_json(), patch in any_json()) {
        let once = merged(&target, &patch);
        prop_assert_eq!(merged(&once, &patch), once);
    }

    #[test]
    fn an_empty_patch_changes_no_object(target in any_json()) {
        prop_assume!(target.is_object());
        prop_assert_eq!(merged(&target, &json!({})), target);
    }

    #[test]
    fn a_patch_that_is_no_object_replaces_everything(target in any_json(), patch in any_json()) {
        prop_assume!(!patch.is_object());
        prop_assert_eq!(merged(&target, &patch), patch);
    }

    #[test]
    fn a_patch_brings_no_nulls(patch in any_json()) {
        prop_assume!(patch.is_object());
        let brought = has_null_member(&merged(&json!({}), &patch));
        prop_assert!(!brought);
    }

    #[test]
    fn what_the_patch_does_not_name_stays(target in any_json(), patch in any_json()) {
        let (Value::Object(before), Value::Object(named)) = (&target, &patch) else { return Ok(()); };
        let after = merged(&target, &patch);
        for (key, value) in before.iter().filter(|(key, _)| !named.contains_key(*key)) {
            prop_assert_eq!(after.get(key), Some(value));
        }
        for (key, value) in named {
            prop_assert_eq!(after.get(key).is_none(), value.is_null());
        }
    }

    #[test]
    fn any_schema_is_compiled_or_refused(schema in any_json(), config in any_json()) {
        if let Ok(compiled) = CompiledSchema::compile(&schema) {
            let _ = compiled.violations(&config);
        }
    }
}

fn layers() -> Layers {
    let plugin = PluginName::parse("throttle").unwrap();
    let mut layers = Layers::new(plugin, Origin::Annotation);
    let instance = InstanceName::parse("eu").unwrap();
    layers.push(
        Origin::Instance(instance),
        json!({"calls": 1, "tags": ["a", "b", "c"], "deep": {"x": 1}}),
    );
    layers.push(
        Origin::SpecBlock("rateLimit".into()),
        json!({"calls": 2, "tags": ["d"]}),
    );
    layers.push(Origin::Annotation, json!({"deep": {"y": 2, "x": null}}));
    layers
}

#[test]
fn a_value_is_traced_to_the_layer_that_wrote_it() {
    let layers = layers();
    assert_eq!(
        layers.merged(),
        json!({"calls": 2, "tags": ["d"], "deep": {"y": 2}})
    );
    for (pointer, expected) in [
        ("/calls", "spec.rateLimit /calls"),
        ("/tags/0", "spec.rateLimit /tags/0"),
        (
            "/deep/y",
            "metadata.annotations[apim.oda.tmforum.org/plugin.throttle] /deep/y",
        ),
        (
            "/deep",
            "metadata.annotations[apim.oda.tmforum.org/plugin.throttle] /deep",
        ),
        (
            "/nobody",
            "metadata.annotations[apim.oda.tmforum.org/plugin.throttle] /nobody",
        ),
        (
            "",
            "metadata.annotations[apim.oda.tmforum.org/plugin.throttle]",
        ),
    ] {
        assert_eq!(layers.locate(pointer), expected, "{pointer}");
    }
    let plugin = PluginName::parse("throttle").unwrap();
    let mut instance = Layers::new(plugin, Origin::Annotation);
    instance.push(
        Origin::Instance(InstanceName::parse("eu").unwrap()),
        json!({"calls": 0}),
    );
    assert_eq!(
        instance.locate("/calls"),
        "ApimInstance/eu spec.plugins[throttle].config /calls"
    );
}

fn violations(schema: &Value, config: &Value) -> Vec<String> {
    CompiledSchema::compile(schema)
        .unwrap()
        .violations(config)
        .into_iter()
        .map(|Violation { pointer, message }| format!("{pointer}: {message}"))
        .collect()
}

#[test]
fn a_violation_says_where_what_was_expected_and_what_is_there() {
    let schema = json!({
        "$defs": {"origin": {"type": "string", "pattern": "^https?://", "maxLength": 20}},
        "type": "object",
        "properties": {
            "calls": {"type": "integer", "minimum": 1, "maximum": 100},
            "rate": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "key": {"enum": ["ip", "subscription"]},
            "kind": {"const": "x"},
            "origins": {"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": true,
                        "items": {"$ref": "#/$defs/origin"}},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "both": {"type": ["string", "integer"]},
            "name": {"type": "string", "minLength": 2},
        },
        "required": ["calls"],
        "additionalProperties": false,
    });
    for (config, expected) in [
        (
            json!({"calls": "many"}),
            "/calls: expected a whole number, got the text `many`",
        ),
        (json!({"calls": 0}), "/calls: expected at least 1, got `0`"),
        (
            json!({"calls": 101}),
            "/calls: expected at most 100, got `101`",
        ),
        (
            json!({"calls": 1, "rate": 0}),
            "/rate: expected more than 0, got `0`",
        ),
        (
            json!({"calls": 1, "rate": 1.0}),
            "/rate: expected less than 1, got `1.0`",
        ),
        (
            json!({"calls": 1, "key": "subscriptions"}),
            "/key: expected one of `ip`, `subscription`, got the text `subscriptions`; did you mean \
             `subscription`?",
        ),
        (
            json!({"calls": 1, "kind": "y"}),
            "/kind: expected `x`, got the text `y`",
        ),
        (
            json!({"calls": 1, "origins": []}),
            "/origins: expected at least 1 entry, got a list of 0",
        ),
        (
            json!({"calls": 1, "origins": ["https://a", "https://a"]}),
            "/origins: an entry is listed twice",
        ),
        (
            json!({"calls": 1, "origins": ["a"]}),
            "/origins/0: expected a text that matches `^https?://`, got the text `a`",
        ),
        (
            json!({"calls": 1, "origins": ["https://a.very.long.example"]}),
            "/origins/0: expected at most 20 characters, got the text `https://a.very.long.example`",
        ),
        (
            json!({"calls": 1, "either": []}),
            "/either: a list of 0 has none of the expected forms (expected a text, got a list of 0; or: expected \
             a whole number, got a list of 0)",
        ),
        (
            json!({"calls": 1, "both": true}),
            "/both: expected a whole number or a text, got `true`",
        ),
        (
            json!({"calls": 1, "name": ""}),
            "/name: expected at least 2 characters, got the text ``",
        ),
        (json!({}), ": `calls` is missing"),
        (
            json!({"calls": 1, "cals": 2}),
            ": unknown field `cals`; did you mean `calls`?",
        ),
        (
            json!({"calls": 1, "zzz": 2}),
            ": unknown field `zzz`; the fields are `calls`, `rate`, `key`, `kind`, `origins`, `either`, `both`, \
             `name`",
        ),
    ] {
        assert_eq!(violations(&schema, &config), [expected], "{config}");
    }
    assert_eq!(
        violations(
            &schema,
            &json!({"calls": 1, "origins": ["https://a", "https://b"]})
        ),
        [""; 0]
    );
}

#[test]
fn many_violations_are_bounded() {
    let schema = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    let config: Value = (0..1000)
        .map(|i| (format!("k{i}"), json!("x".repeat(1000))))
        .collect();
    let found = violations(&schema, &config);
    assert_eq!(found.len(), 11);
    assert_eq!(
        found[10],
        ": there are more problems than these 10; mend these first"
    );
    assert!(found.iter().all(|text| text.len() < 300), "{found:?}");
}

#[test]
fn a_list_with_a_million_entries_is_one_short_error() {
    let schema =
        json!({"properties": {"origins": {"items": {"type": "integer"}, "uniqueItems": true}}});
    let config = json!({"max": {"age": 5}, "origins": vec!["https://a.example"; 1_000_000]});
    assert_eq!(
        violations(&schema, &config),
        ["/origins: this holds 1000000 values; at most 50000 are taken. Shorten it"]
    );
    // No list alone is too long.
    let config = json!({"a/b": [{}, vec![1; 30_000]], "c": vec![1; 30_000]});
    assert_eq!(
        violations(&schema, &config),
        [
            "/c: the config holds more values than the 50000 that are taken, 30000 of them here. Shorten it"
        ]
    );
    let config = json!({"a/b": [{}, vec![1; 60_000]]});
    assert_eq!(
        violations(&schema, &config),
        ["/a~1b/1: this holds 60000 values; at most 50000 are taken. Shorten it"]
    );
}

#[test]
fn a_config_that_is_nested_too_deeply_is_one_error() {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(
        violations(&json!({}), &json!({"a": deep})),
        [": the config is nested deeper than 64 levels; make it flatter"]
    );
}

fn refused(schema: &Value) -> String {
    match CompiledSchema::compile(schema) {
        Ok(_) => panic!("the schema was taken: {schema}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_reference_out_of_the_document_is_refused() {
    for reference in [
        "https://evil.example/schema.json",
        "file:///etc/passwd",
        "other.json#/a",
        "#anchor",
        "urn:x",
    ] {
        assert_eq!(
            refused(&json!({"properties": {"a": {"$ref": reference}}})),
            format!(
                "the config schema refers to `{reference}` at `/properties/a/$ref`; only references within the \
                 schema, such as `#/$defs/name`, are followed"
            )
        );
    }
    assert_eq!(
        refused(&json!({"$ref": "#/$defs/gone"})),
        "the config schema refers to `#/$defs/gone` at `/$ref`, which is not there"
    );
}

#[test]
fn a_schema_that_contains_itself_is_refused() {
    let node = json!({"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
    for schema in [
        node,
        json!({"properties": {"a": {"$ref": "#"}}}),
        json!({"allOf": [{"$ref": "#/allOf/0"}]}),
    ] {
        let error = refused(&schema);
        assert!(
            error.ends_with("recursive schemas have no bound and are not used"),
            "{error}"
        );
    }
}

#[test]
fn references_that_multiply_are_refused() {
    let mut defs = serde_json::Map::new();
    defs.insert("a0".into(), json!({"type": "string"}));
    for i in 1..15 {
        let inner = json!({"$ref": format!("#/$defs/a{}", i - 1)});
        defs.insert(format!("a{i}"), json!({"allOf": [inner, inner, inner]}));
    }
    assert_eq!(
        refused(&json!({"$defs": defs, "$ref": "#/$defs/a14"})),
        "the config schema has more than 5000 subschemas once every reference is written out"
    );
}

#[test]
fn a_property_cannot_hide_behind_the_name_of_a_keyword() {
    for name in [
        "default",
        "const",
        "enum",
        "examples",
        "$defs",
        "definitions",
    ] {
        let error = refused(&json!({"properties": {(name): {"$ref": "https://evil.example"}}}));
        assert!(
            error.contains("refers to `https://evil.example`"),
            "{name}: {error}"
        );
    }
}

#[test]
fn long_chains_and_deep_schemas_are_refused() {
    let mut defs = serde_json::Map::new();
    for i in 0..2000 {
        defs.insert(
            format!("a{i}"),
            json!({"$ref": format!("#/$defs/a{}", i + 1)}),
        );
    }
    let chained = refused(&json!({"$defs": defs}));
    assert_eq!(
        chained,
        "the config schema is nested deeper than 48 levels, or has a chain of more than 16 references"
    );
    let deep = (0..60).fold(json!({}), |inner, _| json!({"not": inner}));
    assert_eq!(refused(&deep), chained);
    assert_eq!(
        refused(&json!({"description": "x".repeat(200_000)})),
        "the config schema has 200018 bytes; at most 131072 are taken"
    );
}

#[test]
fn patterns_that_backtrack_are_refused_and_others_are_linear() {
    for pattern in ["(?=a)b", "(a)\\1", "(?<!a)b"] {
        let error = refused(&json!({"properties": {"a": {"pattern": pattern}}}));
        assert!(
            error.contains("look-around and back-references are not supported"),
            "{error}"
        );
        assert!(error.contains("/properties/a/pattern"), "{error}");
    }
    let huge = refused(&json!({"pattern": "((a{1000}){1000}){1000}"}));
    assert!(
        huge.starts_with("the config schema's pattern at `/pattern` cannot be used"),
        "{huge}"
    );
    let long = refused(&json!({"pattern": "a".repeat(1001)}));
    assert!(
        long.ends_with("it has 1001 characters; at most 1000 are taken"),
        "{long}"
    );

    // Exponential for an engine that backtracks.
    let schema = json!({"properties": {"a": {"pattern": "^(a+)+$"}}});
    let started = std::time::Instant::now();
    let found = violations(&schema, &json!({"a": format!("{}!", "a".repeat(50_000))}));
    assert_eq!(found.len(), 1);
    assert!(found[0].ends_with("(50001 characters)`"), "{found:?}");
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn keywords_that_move_references_are_refused() {
    for keyword in ["$dynamicRef", "$recursiveRef", "$anchor", "$id"] {
        assert_eq!(
            refused(&json!({"properties": {"a": {(keyword): "#x"}}})),
            format!(
                "the config schema uses `{keyword}` at `/properties/a/{keyword}`, which is not supported"
            )
        );
    }
    // A property may be called so.
    let schema = json!({"type": "object", "properties": {"$id": {"type": "string"}, "$ref": {"type": "string"}}});
    assert_eq!(
        violations(&schema, &json!({"$id": 1})),
        ["/$id: expected a text, got `1`"]
    );
}

#[test]
fn what_is_no_schema_is_refused() {
    assert_eq!(
        refused(&json!([])),
        "the config schema is neither an object nor `true` or `false`"
    );
    let error = refused(&json!({"type": "strange"}));
    assert!(
        error.starts_with("the config schema is not a valid JSON Schema at `/type`: "),
        "{error}"
    );
    for draft in [
        "https://evil.example/meta",
        "http://json-schema.org/draft-04/schema#",
    ] {
        assert_eq!(
            refused(&json!({"$schema": draft})),
            "the config schema uses `$schema` at `/$schema`, which is not supported"
        );
    }
    let known = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"});
    assert_eq!(violations(&known, &json!({})), [""; 0]);
}
