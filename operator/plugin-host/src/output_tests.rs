use operator_core::descriptor::Descriptor;
use operator_core::policy::{Element, Fragment, Generated, Node, Section, Target, Value};
use serde_json::json;

use super::{Expectation, generated, reading, refused};
use crate::bindings::wit;
use crate::error::CallError;

fn descriptor() -> Descriptor {
    serde_json::from_value(json!({
        "name": "test",
        "version": "1.0.0",
        "summary": "Tests.",
        "phase": "traffic",
        "sections": ["inbound"],
        "configSchema": {}
    }))
    .expect("a descriptor")
}

fn element(name: &str, children: &[u32]) -> wit::Node {
    wit::Node::Element(wit::Element {
        name: name.to_owned(),
        attributes: Vec::new(),
        children: children.to_vec(),
        pointer: None,
    })
}

fn text(text: &str) -> wit::Node {
    wit::Node::Text(wit::Value {
        form: wit::Form::Literal,
        parts: vec![wit::Part::Text(text.to_owned())],
        pointer: Some("/a".to_owned()),
    })
}

fn policy(nodes: Vec<wit::Node>, roots: &[u32]) -> wit::Policy {
    wit::Policy {
        nodes,
        fragments: vec![wit::Fragment {
            section: wit::Section::Inbound,
            target: wit::Target::Api,
            roots: roots.to_vec(),
        }],
        raw: Vec::new(),
        diagnostics: Vec::new(),
    }
}

fn check(policy: wit::Policy) -> Result<Generated, String> {
    check_for(policy, None)
}

fn check_for(policy: wit::Policy, operation: Option<&str>) -> Result<Generated, String> {
    generated(
        policy,
        Expectation {
            descriptor: &descriptor(),
            operation,
            depth: 64,
            raw_xml: false,
        },
    )
    .map_err(|error| error.to_string())
}

fn reason(policy: wit::Policy) -> String {
    check(policy).expect_err("refused")
}

#[test]
fn a_flat_list_becomes_a_tree() {
    let nodes = vec![text("1"), element("b", &[0]), element("a", &[1])];
    let mut b = Element::new("b");
    b.children.push(Node::Text(Value::literal("1").at("/a")));
    let mut a = Element::new("a");
    a.children.push(Node::Element(b));
    assert_eq!(
        check(policy(nodes, &[2])),
        Ok(Generated {
            fragments: vec![Fragment {
                section: Section::Inbound,
                target: Target::Api,
                elements: vec![a],
            }],
            warnings: Vec::new(),
        })
    );
}

#[test]
fn an_index_out_of_range_is_refused() {
    assert_eq!(
        reason(policy(vec![element("a", &[7])], &[0])),
        "the plugin's answer cannot be used: it refers to node 7, and has 1"
    );
}

#[test]
fn an_element_that_contains_itself_is_refused() {
    let nodes = vec![element("a", &[1]), element("b", &[0])];
    assert_eq!(
        reason(policy(nodes, &[0])),
        "the plugin's answer cannot be used: node 0 is used twice, or contains itself"
    );
}

#[test]
fn a_node_that_is_used_twice_is_refused() {
    let nodes = vec![element("a", &[]), element("b", &[0, 0])];
    assert!(reason(policy(nodes, &[1])).contains("node 0 is used twice"));
    let nodes = vec![element("a", &[])];
    assert!(reason(policy(nodes, &[0, 0])).contains("node 0 is used twice"));
}

#[test]
fn a_node_of_no_fragment_is_refused() {
    let nodes = vec![element("a", &[]), element("b", &[])];
    assert!(reason(policy(nodes, &[0])).contains("node 1 belongs to no fragment"));
    // Two that hold only each other.
    let nodes = vec![element("a", &[]), element("b", &[2]), element("c", &[1])];
    assert!(reason(policy(nodes, &[0])).contains("node 1 belongs to no fragment"));
}

#[test]
fn a_tree_is_at_most_as_deep_as_the_limit() {
    let tower = |height: u32| {
        let nodes = (0..height)
            .map(|i| element("a", if i + 1 < height { &[0][..] } else { &[] }))
            .enumerate()
            .map(|(i, mut node)| {
                if let wit::Node::Element(element) = &mut node
                    && let Some(child) = element.children.first_mut()
                {
                    *child = u32::try_from(i + 1).expect("small");
                }
                node
            })
            .collect();
        policy(nodes, &[0])
    };
    assert!(check(tower(64)).is_ok());
    assert!(reason(tower(65)).contains("nested deeper than 64"));
    assert!(reason(tower(100_000)).contains("nested deeper than 64"));
}

#[test]
fn a_text_is_no_statement() {
    assert!(reason(policy(vec![text("x")], &[0])).contains("node 0 is the root of a fragment"));
}

#[test]
fn a_section_that_the_descriptor_does_not_list_is_refused() {
    let mut policy = policy(vec![element("a", &[])], &[0]);
    policy.fragments[0].section = wit::Section::OnError;
    assert!(reason(policy).contains("a fragment for `on-error`"));
}

#[test]
fn a_name_that_could_end_a_tag_is_refused() {
    for name in ["", "a b", "a><script", "1a", "a\u{0}", "ä"] {
        assert!(reason(policy(vec![element(name, &[])], &[0])).contains("cannot be the name"));
    }
    let mut node = element("a", &[]);
    if let wit::Node::Element(element) = &mut node {
        element.attributes.push(wit::Attribute {
            name: "x=\"".to_owned(),
            value: wit::Value {
                form: wit::Form::Literal,
                parts: Vec::new(),
                pointer: None,
            },
        });
    }
    assert!(reason(policy(vec![node], &[0])).contains("cannot be the name"));
}

#[test]
fn xml_as_text_needs_a_grant() {
    let mut policy = policy(Vec::new(), &[]);
    policy.raw.push(wit::RawFragment {
        section: wit::Section::Inbound,
        target: wit::Target::Api,
        xml: "<base/>".to_owned(),
    });
    assert_eq!(
        reason(policy),
        "the plugin returned policy XML as text, which the platform has not granted it; \
         `spec.capabilities.rawXml: true` of its PolicyPlugin grants it"
    );
}

#[test]
fn xml_as_text_becomes_a_tree_where_it_is_granted() {
    let raw = |section, xml: &str| {
        let mut policy = policy(vec![element("a", &[])], &[0]);
        policy.raw.push(wit::RawFragment {
            section,
            target: wit::Target::Api,
            xml: xml.to_owned(),
        });
        generated(
            policy,
            Expectation {
                descriptor: &descriptor(),
                operation: None,
                depth: 64,
                raw_xml: true,
            },
        )
        .map_err(|error| error.to_string())
    };
    let written = raw(wit::Section::Inbound, "<b />\n<c x=\"@(1)\" />").expect("granted");
    let [typed, text] = &written.fragments[..] else {
        panic!("{written:?}");
    };
    assert_eq!(typed.elements, [Element::new("a")]);
    let places: Vec<_> = text
        .elements
        .iter()
        .map(|e| (e.name.as_str(), e.pointer.as_deref()))
        .collect();
    assert_eq!(
        places,
        [
            ("b", Some("line 1 (`<b />`)")),
            ("c", Some("line 2 (`<c x=\"@(1)\" />`)"))
        ]
    );
    assert_eq!(
        raw(wit::Section::Inbound, "<b>\n  <c></b>").expect_err("malformed"),
        "the plugin's answer cannot be used: its policy text for `inbound`, line 2, column 6: '</b>' stands \
         where '</c>' should, which was opened on line 2; the line is `<c></b>`"
    );
    assert!(
        raw(wit::Section::OnError, "<b />")
            .expect_err("another section")
            .contains("which its descriptor does not list")
    );
}

#[test]
fn a_pointer_of_a_plugin_is_a_pointer() {
    let pointers = |pointer: &str| {
        let mut node = element("a", &[]);
        if let wit::Node::Element(element) = &mut node {
            element.pointer = Some(pointer.to_owned());
        }
        let policy = check(policy(vec![node], &[0])).expect("fits");
        policy.fragments[0].elements[0].pointer.clone()
    };
    assert_eq!(pointers("/a/0").as_deref(), Some("/a/0"));
    assert_eq!(pointers("/a\n\u{1b}[2J").as_deref(), Some("/a  [2J"));
    assert_eq!(pointers("line 1 (`x`)"), None);
}

#[test]
fn a_call_about_an_operation_writes_to_that_operation_alone() {
    let for_target = |target: wit::Target| {
        let mut policy = policy(vec![element("a", &[])], &[0]);
        policy.fragments[0].target = target;
        check_for(policy, Some("getPet"))
    };
    assert!(for_target(wit::Target::Operation("getPet".to_owned())).is_ok());
    for other in [
        wit::Target::Api,
        wit::Target::Operation("deletePet".to_owned()),
    ] {
        let error = for_target(other).expect_err("another target");
        assert!(error.contains("about operation `getPet`"), "{error}");
    }
}

#[test]
fn an_error_among_the_warnings_refuses_the_policy() {
    let mut policy = policy(Vec::new(), &[]);
    policy.diagnostics.push(wit::Diagnostic {
        severity: wit::Severity::Error,
        pointer: "/calls".to_owned(),
        message: "too\nmany".to_owned(),
    });
    assert_eq!(reason(policy), "/calls: too many");
}

#[test]
fn a_failure_says_why() {
    assert!(matches!(
        refused(Vec::new()),
        CallError::InvalidOutput { .. }
    ));
    let warning = wit::Diagnostic {
        severity: wit::Severity::Warning,
        pointer: String::new(),
        message: "hm".to_owned(),
    };
    assert!(matches!(
        refused(vec![warning]),
        CallError::InvalidOutput { .. }
    ));
}

#[test]
fn errors_are_not_crowded_out_by_warnings() {
    let diagnostic = |severity| wit::Diagnostic {
        severity,
        pointer: String::new(),
        message: "m".to_owned(),
    };
    let mut many = vec![diagnostic(wit::Severity::Warning); 500];
    many.push(diagnostic(wit::Severity::Error));
    let CallError::Refused(found) = refused(many) else {
        panic!("not refused");
    };
    assert_eq!(found.len(), 50);
    assert_eq!(
        found.first().map(|d| d.severity),
        Some(operator_core::policy::Severity::Error)
    );
}

#[test]
fn a_reading_holds_an_object() {
    let ok = reading(r#"{"enabled": true, "config": {"calls": 1}, "later": 1}"#).expect("fits");
    assert_eq!((ok.enabled, ok.config), (Some(true), json!({"calls": 1})));
    assert_eq!(
        reading(r#"{"enabled": null}"#).expect("fits").config,
        json!({})
    );
    assert!(reading(r#"{"enabled": true, "config": []}"#).is_err());
    assert!(reading("nonsense").is_err());
}
