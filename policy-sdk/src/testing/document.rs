//! The documents that the operator would make of one plugin's policy alone.
//!
//! The operator composes and prints in a crate of its own; tests hold the two
//! to the same text.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::outcome::Outcome;
use crate::elements::{Element, Node};
use crate::{Form, Part, Phase, Policy, Section, Target, Value};

const SECTIONS: [(Section, &str); 4] = [
    (Section::Inbound, "inbound"),
    (Section::Backend, "backend"),
    (Section::Outbound, "outbound"),
    (Section::OnError, "on-error"),
];

/// Puts the documents of a policy into an outcome.
pub(super) fn documents(policy: &Policy, phase: Phase, outcome: &mut Outcome, about_api: bool) {
    if about_api {
        outcome.policy = Some(document(policy, phase, &Target::Api));
    }
    let operations: BTreeSet<&String> = policy
        .fragments
        .iter()
        .filter_map(|fragment| match &fragment.target {
            Target::Operation(id) if !fragment.elements.is_empty() => Some(id),
            _ => None,
        })
        .collect();
    for id in operations {
        let text = document(policy, phase, &Target::Operation(id.clone()));
        outcome.operations.insert(id.clone(), text);
    }
}

fn document(policy: &Policy, phase: Phase, target: &Target) -> String {
    let mut out = String::from("<policies>\n");
    for (section, name) in SECTIONS {
        let statements: Vec<&Element> = policy
            .fragments
            .iter()
            .filter(|fragment| fragment.section == section && fragment.target == *target)
            .flat_map(|fragment| &fragment.elements)
            .collect();
        let base = section != Section::Backend || statements.is_empty();
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "    <{name}>");
        if base && phase != Phase::Preflight {
            out.push_str("        <base />\n");
        }
        for statement in statements {
            print(&mut out, statement, 2);
        }
        if base && phase == Phase::Preflight {
            out.push_str("        <base />\n");
        }
        let _ = writeln!(out, "    </{name}>");
    }
    out.push_str("</policies>\n");
    out
}

fn print(out: &mut String, element: &Element, level: usize) {
    let indent = "    ".repeat(level);
    out.push_str(&indent);
    let text = element
        .children
        .iter()
        .any(|child| matches!(child, Node::Text(_)));
    if text || element.children.is_empty() {
        inline(out, element);
    } else {
        start(out, element);
        out.push_str(">\n");
        for child in &element.children {
            if let Node::Element(child) = child {
                print(out, child, level + 1);
            }
        }
        let _ = write!(out, "{indent}</{}>", element.name);
    }
    out.push('\n');
}

/// Without whitespace of our own: beside text, all whitespace is text.
fn inline(out: &mut String, element: &Element) {
    start(out, element);
    if element.children.is_empty() {
        out.push_str(" />");
        return;
    }
    out.push('>');
    for child in &element.children {
        match child {
            Node::Element(child) => inline(out, child),
            Node::Text(text) => value(out, text, escape_text),
        }
    }
    let _ = write!(out, "</{}>", element.name);
}

fn start(out: &mut String, element: &Element) {
    let _ = write!(out, "<{}", element.name);
    for (name, text) in &element.attributes {
        let _ = write!(out, " {name}=\"");
        value(out, text, escape_attribute);
        out.push('"');
    }
}

fn value(out: &mut String, value: &Value, escape: fn(&str, &mut String)) {
    let (open, close) = match value.form {
        Form::Literal => ("", ""),
        Form::Expression => ("@(", ")"),
        Form::Statements => ("@{", "}"),
    };
    out.push_str(open);
    for part in &value.parts {
        match part {
            Part::Text(text) if value.form == Form::Literal => escape(text, out),
            Part::Text(code) => out.push_str(code),
            Part::NamedValue(name) => {
                let _ = write!(out, "{{{{{name}}}}}");
            }
        }
    }
    out.push_str(close);
}

fn escape_attribute(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            _ => out.push(c),
        }
    }
}

fn escape_text(text: &str, out: &mut String) {
    let blank = text.chars().all(char::is_whitespace);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            ' ' if blank => out.push_str("&#x20;"),
            '\n' if blank => out.push_str("&#xA;"),
            '\t' if blank => out.push_str("&#x9;"),
            _ => out.push(c),
        }
    }
}
