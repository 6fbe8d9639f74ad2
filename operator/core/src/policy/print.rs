//! Printing as `rawxml`: XML in which C# stands as it is.
//!
//! Literals are escaped so that an XML reader gives them back unchanged; the
//! code of expressions is not escaped at all, in attributes neither, which is
//! what API Management's `rawxml` means. What is printed is not checked here:
//! [`compose`](super::compose::compose) hands out checked documents only.

use super::document::PolicyDocument;
use super::model::{Element, Form, Node, Part, Value};
use super::text::{escape_attribute, escape_text};

const INDENT: &str = "    ";

/// The document as `rawxml`, four blanks per level, ending in a newline.
#[must_use]
pub fn print(document: &PolicyDocument) -> String {
    let mut out = String::new();
    for comment in &document.comments {
        push_comment(comment, &mut out);
        out.push('\n');
    }
    push_element(&document.to_element(), 0, &mut out);
    out
}

/// One element with all it holds as `rawxml`, ending in a newline.
#[must_use]
pub fn print_element(element: &Element) -> String {
    let mut out = String::new();
    push_element(element, 0, &mut out);
    out
}

fn push_indent(level: usize, out: &mut String) {
    for _ in 0..level {
        out.push_str(INDENT);
    }
}

fn push_element(element: &Element, level: usize, out: &mut String) {
    push_indent(level, out);
    let text = element
        .children
        .iter()
        .any(|child| matches!(child, Node::Text(_)));
    if text || element.children.is_empty() {
        push_inline(element, out);
    } else {
        push_start(element, out);
        out.push_str(">\n");
        for child in &element.children {
            match child {
                Node::Element(child) => push_element(child, level + 1, out),
                Node::Comment(comment) => {
                    push_indent(level + 1, out);
                    push_comment(comment, out);
                    out.push('\n');
                }
                Node::Text(_) => {}
            }
        }
        push_indent(level, out);
        push_end(element, out);
    }
    out.push('\n');
}

/// Without any whitespace of our own: beside text, all whitespace is text.
fn push_inline(element: &Element, out: &mut String) {
    push_start(element, out);
    if element.children.is_empty() {
        out.push_str(" />");
        return;
    }
    out.push('>');
    for child in &element.children {
        match child {
            Node::Element(child) => push_inline(child, out),
            Node::Text(value) => push_value(value, escape_text, out),
            Node::Comment(comment) => push_comment(comment, out),
        }
    }
    push_end(element, out);
}

fn push_start(element: &Element, out: &mut String) {
    out.push('<');
    out.push_str(&element.name);
    for attribute in &element.attributes {
        out.push(' ');
        out.push_str(&attribute.name);
        out.push_str("=\"");
        push_value(&attribute.value, escape_attribute, out);
        out.push('"');
    }
}

fn push_end(element: &Element, out: &mut String) {
    out.push_str("</");
    out.push_str(&element.name);
    out.push('>');
}

fn push_comment(comment: &str, out: &mut String) {
    out.push_str("<!--");
    out.push_str(comment);
    out.push_str("-->");
}

fn push_value(value: &Value, escape: fn(&str, &mut String), out: &mut String) {
    match value.form {
        Form::Literal => push_literal(value, escape, out),
        Form::Expression => {
            out.push_str("@(");
            push_code(value, out);
            out.push(')');
        }
        Form::Statements => {
            out.push_str("@{");
            push_code(value, out);
            out.push('}');
        }
    }
}

fn push_literal(value: &Value, escape: fn(&str, &mut String), out: &mut String) {
    for part in &value.parts {
        match part {
            Part::Text(text) => escape(text, out),
            Part::NamedValue(name) => push_named_value(name, out),
        }
    }
}

fn push_code(value: &Value, out: &mut String) {
    for part in &value.parts {
        match part {
            Part::Text(code) => out.push_str(code),
            Part::NamedValue(name) => push_named_value(name, out),
        }
    }
}

fn push_named_value(name: &str, out: &mut String) {
    out.push_str("{{");
    out.push_str(name);
    out.push_str("}}");
}

/// The code of an expression as it is printed, without `@(` and `)`.
pub(super) fn code(value: &Value) -> String {
    let mut out = String::new();
    push_code(value, &mut out);
    out
}
