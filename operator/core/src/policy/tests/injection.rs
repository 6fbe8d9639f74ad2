//! A text that a user wrote, in every place where a policy can hold one.

use std::collections::BTreeMap;

use crate::policy::check::check;
use crate::policy::schema::{Rule, rules};
use crate::policy::{
    Attribute, Element, Node, PolicyDocument, Section, Statement, Target, Tier, Value,
};

/// What API Management would read as code or as a secret.
const HOSTILE: [&str; 6] = [
    "@(context.Deployment.ServiceName)",
    "x@{return 1;}",
    "{{secret}}",
    "&#64;(1)",
    "&amp;#64;&lpar;1)",
    "a&lbrace;&lcub;b",
];

/// Every element of a rule that holds this one, from the outermost on, with
/// the rule of the innermost.
fn places(path: &[String], rule: &'static Rule, out: &mut Vec<(Vec<String>, &'static Rule)>) {
    out.push((path.to_vec(), rule));
    for child in &rule.children {
        // What is a policy itself has its own entry; a rule that holds itself
        // would have no end.
        if let Some(rule) = &child.rule
            && path.len() < 12
        {
            let mut path = path.to_vec();
            path.push(child.name.clone());
            places(&path, rule, out);
        }
    }
}

fn nested(path: &[String], innermost: Element) -> Element {
    path.iter().rev().skip(1).fold(innermost, |inner, name| {
        let mut outer = Element::new(name.clone());
        outer.children.push(Node::Element(inner));
        outer
    })
}

/// Whether a document with the element is refused because of its text, and not
/// for something else alone.
fn is_refused(element: Element) -> bool {
    let statement = Statement {
        plugin: Some("p".to_owned()),
        node: Node::Element(element),
    };
    let document = PolicyDocument {
        sections: BTreeMap::from([(Section::Inbound, vec![statement])]),
        comments: Vec::new(),
    };
    check(&document, &Target::Api, Tier::Developer)
        .iter()
        .any(|error| error.message.contains("a plain text must not contain it"))
}

#[test]
fn no_place_of_any_policy_takes_a_text_that_could_be_code_or_a_secret() {
    let mut all = Vec::new();
    for name in rules().names() {
        let rule = rules().policy(name).expect("it is in the table");
        places(std::slice::from_ref(name), rule, &mut all);
    }
    let mut tried = 0;
    for (path, rule) in &all {
        let name = path.last().expect("at least the policy");
        for hostile in HOSTILE {
            for attribute in &rule.attributes {
                let mut element = Element::new(name.clone());
                element.attributes.push(Attribute {
                    name: attribute.name.clone(),
                    value: Value::literal(hostile),
                });
                assert!(
                    is_refused(nested(path, element)),
                    "{hostile} as '{}' of {path:?}",
                    attribute.name
                );
                tried += 1;
            }
            if rule.text.is_some() {
                // Whole, and in two halves that are one text once printed.
                let (half, rest) = hostile.split_at(hostile.find(['(', '{', ';']).expect("one"));
                for texts in [vec![hostile], vec![half, rest]] {
                    let mut element = Element::new(name.clone());
                    element.children = texts
                        .into_iter()
                        .map(|text| Node::Text(Value::literal(text)))
                        .collect();
                    assert!(
                        is_refused(nested(path, element)),
                        "{hostile} as the text of {path:?}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 3_000, "the table has more places than {tried}");
}
