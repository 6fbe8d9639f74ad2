use super::*;
use crate::policy::{Attribute, Value, print};

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
    let documents = compose(&[], Tier::Dedicated, &[]).unwrap();
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
    let documents = compose(&chain, Tier::Dedicated, &[]).unwrap();
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
        Tier::Dedicated,
        &[],
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
    let conflict = |chain: &[Contribution<'_>]| compose(chain, Tier::Dedicated, &[]);
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
    let chain = [plugin(
        "p",
        Phase::Preflight,
        vec![(Section::Inbound, Target::Api, variable("x"))],
    )];
    assert_eq!(
        messages(compose(&chain, Tier::Dedicated, &[])),
        [
            "[p] phase 'preflight' stands before <base/> and may hold 'cors' only, not \
                 'set-variable'; choose a later phase in the plugin's descriptor \
                 (policy of the API in inbound)"
        ]
    );
    assert!(compose(&chain, Tier::Dedicated, &["set-variable"]).is_ok());
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
        messages(compose(&chain, Tier::Dedicated, &[])),
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
        messages(compose(&chain, Tier::Dedicated, &[])),
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
        messages(compose(&chain, Tier::Dedicated, &[])),
        [
            "[p] /key: the policy uses the named value 'key', which the instance does not \
                 grant to this namespace; ask the platform team for a grant or use another \
                 (policy of the API in inbound)"
        ]
    );
    let grants = Grants([(ReferenceKind::NamedValue, vec!["key".to_owned()])].into());
    let documents = compose_granted(&chain, Tier::Dedicated, &[], &grants).unwrap();
    assert!(print(&documents.api).contains("value=\"{{key}}\""));
}
