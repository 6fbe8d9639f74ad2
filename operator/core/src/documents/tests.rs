use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Documents, Place, Wanted, wanted};
use crate::build::build;
use crate::chain::{Catalog, Entry, Listing, PluginInfo};
use crate::context;
use crate::names::PluginName;
use crate::policy_plugin::spec::ConfigMapKey;
use crate::policy_plugin::{Governance, PolicyPluginSpec};
use crate::validate::ValidatedApi;
use crate::validate::test_support::{World, catalog, instance, meta, plugin, spec};

/// A plugin whose config names a document and may hold a template.
fn writer() -> PluginInfo {
    let mut info = plugin(
        "writer",
        "transformation",
        None,
        &json!({"template": true, "inline": {"type": "string"}}),
    );
    info.descriptor.documents = vec!["/template".to_owned()];
    info.descriptor.inline_templates = vec!["/inline".to_owned()];
    info
}

fn world(inline_templates: bool) -> World {
    let mut plugins: Catalog = catalog();
    let name = PluginName::parse("writer").unwrap();
    let settings: PolicyPluginSpec = serde_json::from_value(json!({
        "source": {"builtIn": {"name": "writer"}},
        "namespaceSelector": {},
        "capabilities": {"inlineTemplates": inline_templates},
    }))
    .unwrap();
    let entry = Entry {
        listing: Listing::Ready(Arc::new(writer())),
        governance: Some(Arc::new(Governance::of(&settings))),
        template: None,
        notice: None,
    };
    plugins.insert_entry(name, entry);
    World {
        catalog: plugins,
        ..World::default()
    }
}

fn validated(world: &World, annotations: &[(&str, &str)]) -> ValidatedApi {
    world
        .validate(&meta(annotations), &spec(&json!({})))
        .unwrap()
}

fn key(name: &str, key: &str) -> ConfigMapKey {
    ConfigMapKey {
        name: name.to_owned(),
        key: key.to_owned(),
    }
}

#[test]
fn a_call_wants_its_plugins_template_and_what_its_config_names() {
    let world = world(false);
    let config = "template: {configMap: {name: texts, key: a.xml}}";
    let api = validated(&world, &[("plugins", "writer"), ("plugin.writer", config)]);
    let chained = &api.chain().api[0];
    let named = Wanted {
        place: Place::Config("/template".to_owned()),
        key: key("texts", "a.xml"),
        by_owner: true,
    };
    assert_eq!(wanted(chained, None), Ok(vec![named.clone()]));
    let template = Wanted {
        place: Place::Template,
        key: key("base", "b.xml"),
        by_owner: false,
    };
    assert_eq!(
        wanted(chained, Some(&key("base", "b.xml"))),
        Ok(vec![template.clone(), named.clone()])
    );
    assert_eq!(
        template.problem(chained, "it is gone").to_string(),
        "PolicyPlugin/writer spec.template: [writer] it is gone"
    );
    assert_eq!(
        named.problem(chained, "it is gone").to_string(),
        "metadata.annotations[apim.oda.tmforum.org/plugin.writer] /template: [writer] it is gone"
    );

    let api = validated(&world, &[("plugins", "writer")]);
    assert_eq!(wanted(&api.chain().api[0], None), Ok(Vec::new()));
}

#[test]
fn an_owner_may_name_only_what_is_labelled_for_owners() {
    let mut world = world(false);
    world.instances = vec![Arc::new(instance(
        "default",
        &json!({"plugins": [{
            "name": "writer",
            "when": "Always",
            "config": {"template": {"configMap": {"name": "texts", "key": "a.xml"}}},
        }]}),
    ))];
    let wanted = |annotations: &[(&str, &str)]| {
        let api = validated(&world, annotations);
        wanted(&api.chain().api[0], None).unwrap().pop().unwrap()
    };
    let labelled = BTreeMap::from([(
        "apim.oda.tmforum.org/owners-may-name".to_owned(),
        "true".to_owned(),
    )]);
    let platforms = wanted(&[]);
    assert!(!platforms.by_owner);
    assert_eq!(platforms.admit(&BTreeMap::new()), Ok(()));

    // Part of the name is enough to make it the owner's.
    let owners = wanted(&[("plugin.writer", "template: {configMap: {key: other}}")]);
    assert_eq!(owners.key, key("texts", "other"));
    assert!(owners.by_owner);
    assert_eq!(owners.admit(&labelled), Ok(()));
    let refused = owners.admit(&BTreeMap::new()).unwrap_err();
    assert_eq!(
        refused,
        "ConfigMap `texts` in the operator's namespace is not there, or is not for the owners of APIs: the \
         platform says that it is with the label `apim.oda.tmforum.org/owners-may-name: \"true\"`"
    );
}

#[test]
fn a_value_that_names_no_document_is_refused_where_it_stands() {
    let world = world(false);
    for (value, expected) in [
        ("text", "expected `{configMap: {name: …, key: …}}`"),
        ("{configMap: {name: a}}", "missing field `key`"),
        (
            "{configMap: {name: a, key: b, namespace: kube-system}}",
            "unknown field `namespace`",
        ),
        (
            "{configMap: {name: ../secrets, key: b}}",
            "`../secrets` is no name of a ConfigMap",
        ),
        (
            "{configMap: {name: a, key: b/c}}",
            "`b/c` is no key of a ConfigMap",
        ),
    ] {
        let config = format!("template: {value}");
        let api = validated(
            &world,
            &[("plugins", "writer"), ("plugin.writer", config.as_str())],
        );
        let problems = wanted(&api.chain().api[0], None).unwrap_err();
        let text = problems[0].to_string();
        assert!(
            text.starts_with(
                "metadata.annotations[apim.oda.tmforum.org/plugin.writer] /template: [writer] "
            ) && text.contains(expected),
            "{text}"
        );
    }
}

#[test]
fn a_template_in_the_config_needs_the_capability() {
    let annotations = [
        ("plugins", "writer"),
        ("plugin.writer", "inline: <inbound/>"),
    ];
    let refused = world(false).refusal(&meta(&annotations), &spec(&json!({})));
    assert_eq!(
        refused,
        [
            "metadata.annotations[apim.oda.tmforum.org/plugin.writer] /inline: [writer] a template in the config \
         needs the capability `inlineTemplates`, which the platform has not granted to `writer`: set \
         `spec.capabilities.inlineTemplates: true` in PolicyPlugin `writer`, or put the template into a \
         ConfigMap and name that"
        ]
    );
    let granted = world(true);
    let api = validated(&granted, &annotations);
    assert_eq!(api.chain().api[0].config, json!({"inline": "<inbound/>"}));
}

#[test]
fn the_context_holds_texts_and_capabilities_as_the_published_schema_says() {
    let schema = include_str!("../../../../wit/schemas/context.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::options().offline().build(&schema).unwrap();
    let api = validated(&world(true), &[("plugins", "writer")]);
    let mut documents = Documents::none();
    documents.insert(Place::Template, "<inbound />");
    documents.insert(Place::Config("/template".to_owned()), "text");
    let chained = &api.chain().api[0];
    let context = context::generate_with(&api, &build(&api), chained, &documents).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&context)
        .map(|e| e.to_string())
        .collect();
    assert_eq!(errors, [""; 0]);
    assert_eq!(context["capabilities"], json!(["inline-templates"]));
    assert_eq!(context["template"], json!("<inbound />"));
    assert_eq!(context["documents"], json!({"/template": "text"}));

    let bare = context::generate_with(&api, &build(&api), chained, &Documents::none()).unwrap();
    assert_eq!((bare.get("template"), bare.get("documents")), (None, None));
}
