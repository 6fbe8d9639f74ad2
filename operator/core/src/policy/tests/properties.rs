//! What holds for every value, not only for those in examples.

use proptest::prelude::*;

use crate::policy::{
    Attribute, Contribution, Documents, Element, Form, Format, Fragment, Generated, Grants, Node,
    Part, Phase, PolicyDocument, PolicyError, ReferenceKind, Section, Statement, Target, Tier,
    Value, canonical, compose_granted, parse, parse_tree, print, print_element,
};
use crate::policy_plugin::Capabilities;

/// What a plugin does with a config value: once as an attribute, once as text.
fn documents(value: &Value) -> Result<Documents, Vec<PolicyError>> {
    let attribute = |name: &str, value: Value| Attribute {
        name: name.to_owned(),
        value,
    };
    let mut variable = Element::new("set-variable");
    variable.attributes = vec![
        attribute("name", Value::literal("n")),
        attribute("value", value.clone()),
    ];
    let mut text = Element::new("value");
    text.children = vec![Node::Text(value.clone())];
    let mut parameter = Element::new("set-query-parameter");
    parameter.attributes = vec![attribute("name", Value::literal("n"))];
    parameter.children = vec![Node::Element(text)];
    let none = Capabilities::default();
    let contribution = Contribution {
        plugin: "p",
        phase: Phase::Transformation,
        mandatory: false,
        order: (0, 0),
        sections: &[Section::Inbound],
        capabilities: &none,
        generated: Generated {
            fragments: vec![Fragment {
                section: Section::Inbound,
                target: Target::Api,
                elements: vec![variable, parameter],
            }],
            warnings: Vec::new(),
        },
    };
    let all = Grants([(ReferenceKind::NamedValue, vec!["*".to_owned()])].into());
    compose_granted(&[contribution], Tier::Developer, &all)
}

/// All values of a parsed document that are not plain text.
fn live(document: &PolicyDocument) -> Vec<Value> {
    let mut found = Vec::new();
    let mut open: Vec<&Element> = document
        .sections
        .values()
        .flatten()
        .filter_map(Statement::element)
        .collect();
    while let Some(element) = open.pop() {
        let texts = element.children.iter().filter_map(|child| match child {
            Node::Text(value) => Some(value),
            _ => None,
        });
        let values = element.attributes.iter().map(|a| &a.value).chain(texts);
        found.extend(
            values
                .filter(|value| {
                    value.form != Form::Literal
                        || value
                            .parts
                            .iter()
                            .any(|part| matches!(part, Part::NamedValue(_)))
                })
                .cloned(),
        );
        open.extend(element.elements());
    }
    found
}

/// The value of the variable and of the header after a round through text.
fn round(documents: &Documents) -> (Value, Option<Value>) {
    let document = parse(&print(&documents.api), Format::RawXml).unwrap();
    let elements: Vec<&Element> = document.sections[&Section::Inbound]
        .iter()
        .filter_map(Statement::element)
        .collect();
    let [_base, variable, parameter] = elements[..] else {
        panic!("{elements:?}");
    };
    let value = parameter.elements().next().unwrap();
    let text = match &value.children[..] {
        [] => None,
        [Node::Text(text)] => Some(text.clone()),
        other => panic!("{other:?}"),
    };
    (variable.attribute("value").unwrap().clone(), text)
}

fn plain(value: &Value) -> String {
    assert_eq!(value.form, Form::Literal);
    value
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::NamedValue(name) => panic!("{name}"),
        })
        .collect()
}

/// Text in which everything that is dangerous is likely.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("@".to_owned()),
        Just("(".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just(")".to_owned()),
        Just("&".to_owned()),
        Just("amp;".to_owned()),
        Just("#64;".to_owned()),
        Just("#x7b;".to_owned()),
        Just("lbrace;".to_owned()),
        Just("\"".to_owned()),
        Just("'".to_owned()),
        Just("<".to_owned()),
        Just("/>".to_owned()),
        Just("<!--".to_owned()),
        Just("-->".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("]]>".to_owned()),
        Just("\\".to_owned()),
        Just("\r\n".to_owned()),
        Just("\t ".to_owned()),
        Just("//".to_owned()),
        Just("/*".to_owned()),
        Just("$\"".to_owned()),
        any::<char>().prop_map(String::from),
        "[a-z]{1,4}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Text that means nothing to anyone but must arrive as it is.
fn benign() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        Just('"'),
        Just('\''),
        Just('&'),
        Just('<'),
        Just('>'),
        Just(']'),
        Just('\n'),
        Just('\r'),
        Just('\t'),
        Just(' '),
        Just('🦀'),
        Just('\u{85}'),
        Just('\u{2028}'),
        Just('\u{FFFD}'),
        Just(';'),
        Just('#'),
        Just('%'),
        Just('\\'),
        prop::char::range('a', 'z'),
        prop::char::range('\u{20}', '\u{D7FF}'),
        prop::char::range('\u{10000}', '\u{10FFFF}'),
    ];
    prop::collection::vec(c, 0..30)
        .prop_map(|chars| chars.into_iter().collect::<String>())
        .prop_filter("code", |text| {
            !text.contains(['@', '{']) && !text.contains('&')
        })
        .prop_flat_map(|text| {
            prop::sample::select(vec![
                "", "&", "a&b", "]]>", "&amp;", "&#10;", "@", "{", "}}",
            ])
            .prop_map(move |extra| format!("{text}{extra}"))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_becomes_code_or_a_named_value(text in hostile()) {
        if let Ok(documents) = documents(&Value::literal(text.as_str())) {
            let printed = print(&documents.api);
            prop_assert_eq!(live(&parse(&printed, Format::RawXml).unwrap()), vec![]);
            // The printed text itself: whoever looks for code finds none.
            for code in ["@(", "@{", "{{"] {
                prop_assert!(!printed.contains(code), "{}", printed);
            }
            // A literal-only document is XML for strict readers too.
            let strict = parse(&printed, Format::Xml).unwrap();
            prop_assert_eq!(live(&strict), vec![]);
            prop_assert!(canonical::equal(&documents.api, &strict));
            let (attribute, element) = round(&documents);
            prop_assert_eq!(plain(&attribute), text.as_str());
            prop_assert_eq!(element.as_ref().map(plain).unwrap_or_default(), text);
        }
    }

    #[test]
    fn no_parts_join_into_code(parts in prop::collection::vec(prop_oneof![
        hostile().prop_map(Part::Text),
        "[a-z]{1,3}".prop_map(Part::NamedValue),
    ], 0..5)) {
        let value = Value { form: Form::Literal, parts, pointer: None };
        if let Ok(documents) = documents(&value) {
            let names: Vec<_> = value.parts.iter().filter(|p| matches!(p, Part::NamedValue(_))).collect();
            for found in live(&parse(&print(&documents.api), Format::RawXml).unwrap()) {
                prop_assert_eq!(found.form, Form::Literal);
                let again: Vec<_> = found.parts.iter().filter(|p| matches!(p, Part::NamedValue(_))).collect();
                prop_assert_eq!(&again, &names);
            }
        }
    }

    #[test]
    fn benign_text_comes_out_as_itself(text in benign()) {
        let documents = documents(&Value::literal(text.as_str())).unwrap();
        let (attribute, element) = round(&documents);
        prop_assert_eq!(plain(&attribute), text.as_str());
        prop_assert_eq!(element.as_ref().map(plain).unwrap_or_default(), text);
    }

    #[test]
    fn an_expression_comes_out_as_itself_or_is_refused(code in hostile(), statements in any::<bool>()) {
        let value = if statements { Value::statements(code.as_str()) } else { Value::expression(code.as_str()) };
        if let Ok(documents) = documents(&value) {
            let (attribute, element) = round(&documents);
            prop_assert_eq!(&attribute, &value);
            prop_assert_eq!(element, Some(value));
        }
    }

    #[test]
    fn the_parser_does_not_panic_and_what_it_reads_survives_printing(text in hostile(), raw in any::<bool>()) {
        let format = if raw { Format::RawXml } else { Format::Xml };
        for text in [
            text.clone(),
            format!("<a b=\"{text}\"/>"),
            format!("<a>{text}</a>"),
            format!("<policies><inbound>{text}</inbound></policies>"),
            format!("<a b='@({text})'>@{{{text}}}</a>"),
        ] {
            let _ = parse(&text, format);
            if let Ok(tree) = parse_tree(&text, format) {
                let printed = print_element(&tree.root);
                let again = parse_tree(&printed, Format::RawXml);
                prop_assert!(again.is_ok(), "{:?}\n{}\n{:?}", text, printed, again);
                prop_assert!(canonical::equal_elements(&tree.root, &again.unwrap().root), "{:?}\n{}", text, printed);
            }
        }
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let deep = "<a>".repeat(1_000_000);
    let error = parse_tree(&deep, Format::RawXml).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1, column 193: elements are nested more than 64 deep"
    );
    let deep = format!("<a b=\"@({}\"/>", "$\"{(".repeat(1_000_000));
    assert!(parse_tree(&deep, Format::RawXml).is_err());
}

/// A reader that looks ahead for every brace would take minutes.
#[test]
fn long_hostile_input_is_read_in_linear_time() {
    for unit in ["{", "&", "&a", "<b/> ", "{{a", "@", "$\"{"] {
        let text = format!("<a>{}</a>", unit.repeat(300_000));
        let _ = parse_tree(&text, Format::RawXml);
    }
    let attributes: Vec<String> = (0..100_000).map(|i| format!(" a{i}=''")).collect();
    let attributes = attributes.concat();
    let error = parse_tree(&format!("<a{attributes}/>"), Format::RawXml).unwrap_err();
    assert_eq!(error.message, "'a' has more than 256 attributes");
}
