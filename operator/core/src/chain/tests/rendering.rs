use super::*;
use crate::desired::Operation;
use crate::policy::{Element, Fragment, Generated, Section, Target};
use crate::policy::{Grants, Sends};

fn fragment(section: Section, target: Target, element: &str) -> Fragment {
    Fragment {
        section,
        target,
        elements: vec![Element::new(element)],
    }
}

fn made(fragments: Vec<Fragment>) -> Generated {
    Generated {
        fragments,
        warnings: vec![],
    }
}

fn operations(api: &ValidatedApi) -> Vec<Operation> {
    crate::build::build(api)
        .api
        .unwrap()
        .document
        .operations
        .unwrap()
}

fn refusal(api: &ValidatedApi, generated: Vec<Generated>) -> Vec<String> {
    render(
        api.chain(),
        generated,
        Some(&operations(api)),
        "Developer",
        &Grants::default(),
        &Sends::default(),
    )
    .unwrap_err()
    .iter()
    .map(ToString::to_string)
    .collect()
}

fn per_operation() -> ValidatedApi {
    let text = "listItems: {plugins: headers}";
    valid(
        &World::default(),
        &[("plugins", "guard"), ("operation-plugins", text)],
        &json!({}),
    )
}

#[test]
fn an_api_without_plugins_has_a_document_that_changes_nothing() {
    let api = valid(&World::default(), &[("plugins", "")], &json!({}));
    let rendered = render(
        api.chain(),
        vec![],
        Some(&operations(&api)),
        "Developer",
        &Grants::default(),
        &Sends::default(),
    )
    .unwrap();
    assert_eq!(rendered.policy.plugins, []);
    assert_eq!(rendered.policy.operations.len(), 0);
    insta::assert_snapshot!(rendered.policy.api.text);
}

#[test]
fn plugins_of_api_and_operation_make_documents_of_their_own() {
    let api = per_operation();
    let generated = vec![
        Generated {
            warnings: vec![Diagnostic {
                severity: Severity::Warning,
                pointer: "/audience".into(),
                message: "it is the default".into(),
            }],
            ..made(vec![])
        },
        made(vec![fragment(
            Section::Inbound,
            Target::Operation("listitems".into()),
            "base",
        )]),
    ];
    let problems = refusal(&api, generated);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with(
            "metadata.annotations[apim.oda.tmforum.org/operation-plugins] /listItems/config/headers: [headers] "
        ),
        "{problems:?}"
    );
    assert!(
        problems[0].contains("(policy of operation `listitems` in inbound)"),
        "{problems:?}"
    );

    let empty = render(
        api.chain(),
        vec![made(vec![]), made(vec![])],
        None,
        "Developer",
        &Grants::default(),
        &Sends::default(),
    )
    .unwrap();
    let used: Vec<_> = empty
        .policy
        .plugins
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(used, ["guard", "headers"]);
}

#[test]
fn a_plugin_cannot_write_for_what_it_was_not_called_for() {
    let api = per_operation();
    assert_eq!(
        refusal(
            &api,
            vec![
                made(vec![fragment(
                    Section::Inbound,
                    Target::Operation("gone".into()),
                    "x"
                )]),
                made(vec![fragment(Section::Inbound, Target::Api, "x")]),
            ]
        ),
        [
            "metadata.annotations[apim.oda.tmforum.org/plugin.guard]: [guard] plugin `guard` returned a fragment \
             for operation `gone`, which the API does not have",
            "metadata.annotations[apim.oda.tmforum.org/operation-plugins] /listItems/config/headers: [headers] \
             plugin `headers` was called for operation `listitems` but returned a fragment for something else; \
             that is a fault of the plugin",
        ]
    );
    assert_eq!(
        refusal(&api, vec![]),
        ["policy: 2 plugins run, but there are 0 results"]
    );
}

#[test]
fn a_warning_of_a_plugin_names_where_its_config_was_written() {
    let api = valid(
        &World::default(),
        &[("plugins", "guard"), ("plugin.guard", "audience: x")],
        &json!({}),
    );
    let generated = Generated {
        fragments: vec![],
        warnings: vec![Diagnostic {
            severity: Severity::Warning,
            pointer: "/audience".into(),
            message: "it is short".into(),
        }],
    };
    let rendered = render(
        api.chain(),
        vec![generated],
        None,
        "Developer",
        &Grants::default(),
        &Sends::default(),
    )
    .unwrap();
    assert_eq!(
        rendered
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["metadata.annotations[apim.oda.tmforum.org/plugin.guard] /audience: [guard] it is short"]
    );
}

#[test]
fn a_named_value_is_refused_unless_the_instance_grants_it() {
    let api = valid(&World::default(), &[("plugins", "guard")], &json!({}));
    let mut header = Element::new("set-header");
    header.attributes.push(crate::policy::Attribute {
        name: "name".into(),
        value: crate::policy::Value::literal("X-Key"),
    });
    let mut value = Element::new("value");
    value.children.push(crate::policy::Node::Text(
        crate::policy::Value::named_value("partner-key"),
    ));
    header.children.push(crate::policy::Node::Element(value));
    let fragment = Fragment {
        section: Section::Inbound,
        target: Target::Api,
        elements: vec![header],
    };
    let attempt = |grants: &Grants| {
        let generated = made(vec![fragment.clone()]);
        render(
            api.chain(),
            vec![generated],
            None,
            "Developer",
            grants,
            &Sends::default(),
        )
    };
    let refused = attempt(&Grants::default()).unwrap_err();
    assert!(refused[0].message.contains("partner-key"), "{refused:?}");
    let kind = crate::policy::ReferenceKind::NamedValue;
    let granted = Grants([(kind, vec!["partner-*".to_owned()])].into());
    let rendered = attempt(&granted).unwrap();
    assert!(
        rendered
            .policy
            .api
            .text
            .contains("<value>{{partner-key}}</value>")
    );
}

/// A world in which the platform grants `guard` these capabilities.
fn granted(capabilities: &Value) -> World {
    let spec = serde_json::from_value(json!({
        "source": {"builtIn": {"name": "guard"}},
        "namespaceSelector": {},
        "capabilities": capabilities,
    }))
    .unwrap();
    let mut world = World::default();
    let mut entry = world.catalog.entry(&name("guard")).unwrap().clone();
    entry.governance = Some(Arc::new(crate::policy_plugin::Governance::of(&spec)));
    world.catalog.insert_entry(name("guard"), entry);
    world
}

#[test]
fn what_a_plugin_may_write_is_what_its_policy_plugin_grants() {
    let written = || {
        made(vec![Fragment {
            section: Section::Inbound,
            target: Target::Api,
            elements: crate::policy::parse_statements(
                "<acme-shield mode=\"x\" />\n<set-variable name=\"a\" value=\"{{secret}}\" />",
            )
            .unwrap(),
        }])
    };
    let guard = |world: &World| valid(world, &[("plugins", "guard")], &json!({}));
    // References need grants of the instance, whatever the platform lets a
    // plugin write; the line stands in the sentence, not in the config.
    let reference = "metadata.annotations[apim.oda.tmforum.org/plugin.guard]: [guard] line 2 (`<set-variable name=\"a\" \
                     value=\"{{secret}}\" />`): the policy uses the named value 'secret', which the instance does not \
                     grant to this namespace; ask the platform team for a grant or use another (policy of the API \
                     in inbound)";
    let api = guard(&granted(&json!({"passthroughElements": ["acme-shield"]})));
    assert_eq!(refusal(&api, vec![written()]), [reference]);
    let api = guard(&granted(&json!({"rawXml": true})));
    let refused = refusal(&api, vec![written()]);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(
        refused[0].contains(
            "line 1 (`<acme-shield mode=\"x\" />`): 'acme-shield' is no policy that is known here"
        ),
        "{refused:?}"
    );
}

#[test]
fn a_document_that_is_too_large_with_its_guard_is_refused_before_it_is_sent() {
    // Alone it fits into the 16 KiB of Consumption; with the names of the
    // operations that a first import makes it does not.
    let api = per_operation();
    let mut all = operations(&api);
    let policies: Vec<Fragment> = (0..520)
        .map(|number| {
            let mut operation = all[0].clone();
            operation.id = format!("operation-number-{number:04}-of-many");
            let target = Target::Operation(operation.id.clone());
            all.push(operation);
            fragment(Section::Inbound, target, "return-response")
        })
        .collect();
    let generated = vec![made(policies), made(vec![])];
    let on = |sku: &str| {
        render(
            api.chain(),
            generated.clone(),
            Some(&all),
            sku,
            &Grants::default(),
            &Sends::default(),
        )
    };
    let problems: Vec<String> = on("Consumption")
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("guards operations with policies of their own")
            && problems[0].contains("the Consumption tier takes 16384 at most"),
        "{problems:?}"
    );
    assert!(on("Developer").is_ok());
}
