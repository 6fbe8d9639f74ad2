use super::*;
use crate::policy::{Attribute, Value, print};
use crate::policy_plugin::Capabilities;

fn element(name: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::new(name);
    element.attributes = attributes
        .iter()
        .map(|(name, value)| Attribute {
            name: (*name).to_owned(),
            value: Value::literal(*value),
        })
        .collect();
    element
}

fn none() -> &'static Capabilities {
    static NONE: Capabilities = Capabilities {
        raw_xml: false,
        passthrough_elements: Vec::new(),
        preflight_elements: Vec::new(),
        inline_templates: false,
    };
    &NONE
}

fn capabilities(passthrough: &[&str], preflight: &[&str]) -> Capabilities {
    let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    Capabilities {
        passthrough_elements: list(passthrough),
        preflight_elements: list(preflight),
        ..Capabilities::default()
    }
}

fn variable(name: &str) -> Element {
    element("set-variable", &[("name", name), ("value", "1")])
}

fn cors() -> Element {
    let mut origin = Element::new("origin");
    origin.children = vec![Node::Text(Value::literal("https://a.example"))];
    let mut origins = Element::new("allowed-origins");
    origins.children = vec![Node::Element(origin)];
    let mut header = Element::new("header");
    header.children = vec![Node::Text(Value::literal("*"))];
    let mut headers = Element::new("allowed-headers");
    headers.children = vec![Node::Element(header)];
    let mut cors = Element::new("cors");
    cors.children = vec![Node::Element(origins), Node::Element(headers)];
    cors
}

fn plugin(
    name: &str,
    phase: Phase,
    fragments: Vec<(Section, Target, Element)>,
) -> Contribution<'_> {
    Contribution {
        plugin: name,
        phase,
        mandatory: false,
        order: (0, 0),
        sections: &Section::ALL,
        capabilities: none(),
        generated: Generated {
            fragments: fragments
                .into_iter()
                .map(|(section, target, element)| Fragment {
                    section,
                    target,
                    elements: vec![element],
                })
                .collect(),
            warnings: Vec::new(),
        },
    }
}

fn operation(id: &str) -> Target {
    Target::Operation(id.to_owned())
}

fn messages(result: Result<Documents, Vec<PolicyError>>) -> Vec<String> {
    match result {
        Ok(documents) => panic!("composed: {documents:?}"),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn an_api_without_plugins_has_four_sections_with_base() {
    let documents = compose(&[], Tier::Developer).unwrap();
    assert_eq!(documents.api, PolicyDocument::inherit());
    assert_eq!(documents.operations.len(), 0);
    insta::assert_snapshot!(print(&documents.api), @r"
        <policies>
            <inbound>
                <base />
            </inbound>
            <backend>
                <base />
            </backend>
            <outbound>
                <base />
            </outbound>
            <on-error>
                <base />
            </on-error>
        </policies>
        ");
}

#[test]
fn phase_then_mandatory_then_order_then_chain_decides_the_place() {
    let inbound = |name: &'static str, phase| {
        plugin(
            name,
            phase,
            vec![(Section::Inbound, Target::Api, variable(name))],
        )
    };
    let mut chain = vec![
        inbound("late", Phase::Observability),
        Contribution {
            order: (5, 1),
            ..inbound("second", Phase::Traffic)
        },
        Contribution {
            order: (5, 0),
            ..inbound("first", Phase::Traffic)
        },
        Contribution {
            order: (-1, 9),
            ..inbound("early", Phase::Traffic)
        },
        Contribution {
            mandatory: true,
            order: (9, 9),
            ..inbound("must", Phase::Traffic)
        },
        inbound("auth", Phase::Authentication),
    ];
    let mut preflight = inbound("preflight", Phase::Preflight);
    preflight.generated.fragments[0].elements = vec![cors()];
    chain.push(preflight);
    let documents = compose(&chain, Tier::Developer).unwrap();
    let order: Vec<_> = documents
        .api
        .section(Section::Inbound)
        .iter()
        .map(|s| s.plugin.as_deref().unwrap_or("<base/>"))
        .collect();
    assert_eq!(
        order,
        [
            "preflight",
            "<base/>",
            "auth",
            "must",
            "early",
            "first",
            "second",
            "late"
        ]
    );
}

#[test]
fn every_section_of_an_operation_holds_base_but_a_filled_backend() {
    let forward = element("forward-request", &[("timeout", "10")]);
    let documents = compose(
        &[plugin(
            "router",
            Phase::Routing,
            vec![
                (Section::Backend, operation("get-a"), forward),
                (Section::Outbound, operation("get-b"), variable("x")),
            ],
        )],
        Tier::Developer,
    )
    .unwrap();
    assert_eq!(documents.api, PolicyDocument::inherit());
    insta::assert_snapshot!(print(&documents.operations["get-a"]), @r#"
        <policies>
            <inbound>
                <base />
            </inbound>
            <backend>
                <forward-request timeout="10" />
            </backend>
            <outbound>
                <base />
            </outbound>
            <on-error>
                <base />
            </on-error>
        </policies>
        "#);
    let other = &documents.operations["get-b"];
    assert_eq!(other.section(Section::Backend), [Statement::base()]);
    assert_eq!(other.section(Section::Outbound).len(), 2);
}

#[test]
fn two_plugins_that_fill_backend_are_an_error_that_names_both() {
    let fill = |name: &'static str, target: Target| {
        plugin(
            name,
            Phase::Routing,
            vec![(Section::Backend, target, Element::new("forward-request"))],
        )
    };
    let conflict = |chain: &[Contribution<'_>]| compose(chain, Tier::Developer);
    assert_eq!(
        messages(conflict(&[
            fill("one", Target::Api),
            fill("two", Target::Api)
        ])),
        [
            "[two] plugins 'one' and 'two' both fill section 'backend', which decides how the \
                 request is forwarded; remove one of them from the chain (policy of the API in backend)"
        ]
    );
    assert_eq!(
        messages(conflict(&[
            fill("one", Target::Api),
            fill("two", operation("get-a"))
        ])),
        [
            "[two] plugins 'one' and 'two' both fill section 'backend', which decides how the \
                 request is forwarded; remove one of them from the chain (policy of operation 'get-a' in backend)"
        ]
    );
    assert!(conflict(&[fill("one", operation("a")), fill("two", operation("b"))]).is_ok());
    assert!(conflict(&[fill("one", Target::Api), fill("one", operation("b"))]).is_ok());
}

#[test]
fn preflight_holds_cors_and_what_the_platform_granted() {
    let mut chain = [plugin(
        "p",
        Phase::Preflight,
        vec![(Section::Inbound, Target::Api, variable("x"))],
    )];
    assert_eq!(
        messages(compose(&chain, Tier::Developer)),
        [
            "[p] phase 'preflight' stands before <base/> and may hold 'cors' only, not \
                 'set-variable'; choose a later phase in the plugin's descriptor, or have the platform \
                 list the policy in `spec.capabilities.preflightElements` of the PolicyPlugin \
                 (policy of the API in inbound)"
        ]
    );
    let granted = capabilities(&[], &["set-variable"]);
    chain[0].capabilities = &granted;
    assert!(compose(&chain, Tier::Developer).is_ok());
    // What one plugin may, another may not.
    let [own] = chain;
    let mut other = plugin(
        "q",
        Phase::Preflight,
        vec![(Section::Inbound, Target::Api, variable("y"))],
    );
    other.order = (0, 1);
    assert_eq!(
        messages(compose(&[own, other], Tier::Developer))
            .iter()
            .map(|m| m.get(..4).unwrap_or_default())
            .collect::<Vec<_>>(),
        ["[q] "]
    );
}

#[test]
fn a_fragment_for_an_undeclared_section_is_refused() {
    let mut chain = [plugin(
        "p",
        Phase::Traffic,
        vec![(Section::Outbound, Target::Api, variable("x"))],
    )];
    chain[0].sections = &[Section::Inbound];
    assert_eq!(
        messages(compose(&chain, Tier::Developer)),
        [
            "[p] the plugin returned a fragment for section 'outbound', but its descriptor \
                 declares [inbound]; add the section to the descriptor or leave the fragment out \
                 (policy of the API in outbound)"
        ]
    );
}

#[test]
fn a_tree_that_is_too_deep_is_refused() {
    let mut deep = variable("x");
    for _ in 0..100 {
        let mut outer = Element::new("otherwise");
        outer.children = vec![Node::Element(deep)];
        deep = outer;
    }
    let chain = [plugin(
        "p",
        Phase::Traffic,
        vec![(Section::Inbound, Target::Api, deep)],
    )];
    assert_eq!(
        messages(compose(&chain, Tier::Developer)),
        [
            "[p] element 'otherwise' holds elements nested more than 64 deep; make the policy \
                 flatter (policy of the API in inbound)"
        ]
    );
}

#[test]
fn nothing_of_the_instance_is_used_without_a_grant() {
    use crate::policy::{Grants, ReferenceKind};
    let mut variable = variable("x");
    variable.attributes[1].value = Value::named_value("key").at("/key");
    let chain = [plugin(
        "p",
        Phase::Traffic,
        vec![(Section::Inbound, Target::Api, variable)],
    )];
    assert_eq!(
        messages(compose(&chain, Tier::Developer)),
        [
            "[p] /key: the policy uses the named value 'key', which the instance does not \
                 grant to this namespace; ask the platform team for a grant or use another \
                 (policy of the API in inbound)"
        ]
    );
    let grants = Grants([(ReferenceKind::NamedValue, vec!["key".to_owned()])].into());
    let documents = compose_granted(&chain, Tier::Developer, &grants).unwrap();
    assert!(print(&documents.api).contains("value=\"{{key}}\""));
}

/// A contribution of what a plugin wrote as text.
fn written<'a>(text: &str, capabilities: &'a Capabilities) -> Contribution<'a> {
    let mut own = plugin("p", Phase::Traffic, Vec::new());
    own.capabilities = capabilities;
    own.generated.fragments.push(Fragment {
        section: Section::Inbound,
        target: Target::Api,
        elements: crate::policy::parse_statements(text).expect("statements"),
    });
    own
}

#[test]
fn an_element_that_is_not_known_passes_by_name_alone() {
    let text = r#"<acme-shield mode="@(context.RequestId)" x:y="1"><rule at="2">three</rule></acme-shield>"#;
    let granted = capabilities(&["acme-shield"], &[]);
    let documents = compose(&[written(text, &granted)], Tier::Developer).expect("granted");
    assert!(
        print(&documents.api).contains(
            r#"        <acme-shield mode="@(context.RequestId)" x:y="1">
            <rule at="2">three</rule>
        </acme-shield>"#
        ),
        "{}",
        print(&documents.api)
    );
    for other in [
        capabilities(&[], &["acme-shield"]),
        capabilities(&["rule"], &[]),
    ] {
        assert_eq!(
            messages(compose(&[written(text, &other)], Tier::Developer)),
            [format!(
                "[p] line 1 (`{}…`): 'acme-shield' is no policy that is known here; see Azure's policy reference for \
                 what there is, or have the platform list it in `spec.capabilities.passthroughElements` of the \
                 PolicyPlugin (policy of the API in inbound)",
                &text[..60]
            )]
        );
    }
}

#[test]
fn what_passes_unknown_is_still_no_way_to_code_secrets_or_known_policies() {
    let granted = capabilities(&["acme", "base"], &[]);
    for (text, part) in [
        (r#"<acme x="a@(1)" />"#, "contains '@('"),
        (
            r#"<acme x="&amp;#64;(1)" />"#,
            "once its entities are decoded",
        ),
        ("<acme><p>x {{ y</p></acme>", "contains '{{'"),
        (
            r#"<acme x="{{secret}}" />"#,
            "named value 'secret', which the instance does not grant",
        ),
        (r#"<acme><p backend-id="b" /></acme>"#, "backend 'b'"),
        ("<acme><p><base /></p></acme>", "cannot write <base/>"),
        ("<base />", "cannot write <base/>"),
        (
            r#"<acme><set-header nam="x" /></acme>"#,
            "attribute 'nam' of 'set-header' does not exist",
        ),
        ("<acme><p>@<!-- c -->(1)</p></acme>", "contains '@('"),
        (
            r#"<set-body><acme x="@{{y}}" /></set-body>"#,
            "beside a named value",
        ),
        ("<set-body><other /></set-body>", "passthroughElements"),
    ] {
        let errors = messages(compose(&[written(text, &granted)], Tier::Developer));
        assert!(
            errors.iter().any(|error| error.contains(part)),
            "{text}: {errors:?}"
        );
    }
}

#[test]
fn an_error_in_text_of_a_plugin_names_and_shows_its_line() {
    let text = "<set-variable name=\"a\"\n  value=\"1\" />\n\n<rate-limit\n    calls=\"many\" renewal-period=\"60\" />";
    assert_eq!(
        messages(compose(&[written(text, none())], Tier::Developer)),
        [
            "[p] line 5 (`calls=\"many\" renewal-period=\"60\" />`): attribute 'calls' of 'rate-limit' is 'many'; it \
             must be a whole number of 32 bits (policy of the API in inbound)"
        ]
    );
}
