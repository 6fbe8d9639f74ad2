//! What a value may hold: the rules that keep a user's text from becoming
//! code or a secret.
//!
//! No escape of API Management is relied on (`@@` is said to be one), because
//! none can be verified without the service. What could be read as an
//! expression or as a named value is refused.

use super::csharp;
use super::model::{Form, Node, Part, Value};
use super::print::code;
use super::text::{decode_fully, forbidden_char, is_named_value_name};

/// Stands for a named value while the text around it is looked at. XML cannot
/// carry it, so it is in no text that passed.
const PLACE: char = '\u{0}';

/// How much of a bad value an error repeats.
const SHOWN: usize = 60;

/// The value as an error shows it: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(SHOWN)
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}

/// What is wrong with the value in itself, wherever it stands.
pub(super) fn problems(value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for part in &value.parts {
        match part {
            Part::Text(text) => {
                if let Some(c) = forbidden_char(text) {
                    problems.push(format!(
                        "'{}' holds the character U+{:04X}, which XML cannot carry; remove it",
                        shown(text),
                        u32::from(c)
                    ));
                }
            }
            Part::NamedValue(name) if is_named_value_name(name) => {}
            Part::NamedValue(name) => problems.push(format!(
                "'{}' is no name of a named value; those have 1 to 256 of the characters \
                 A-Z a-z 0-9 - . _",
                shown(name)
            )),
        }
    }
    if !problems.is_empty() {
        return problems;
    }
    let text = flat(value.parts.iter());
    if let Some(edge) = joins_a_named_value(&text) {
        problems.push(format!(
            "'{edge}' stands directly beside a named value, where the service could read the two \
             as one; put something between them"
        ));
    }
    match value.form {
        Form::Literal => problems.extend(literal(&text)),
        Form::Expression => problems.extend(expression(value, &text, ')')),
        Form::Statements => problems.extend(expression(value, &text, '}')),
    }
    problems
}

/// What is wrong with the text nodes of one element taken together: neighbours
/// are printed as one text.
pub(super) fn run_problems(children: &[Node]) -> Vec<String> {
    let mut problems = Vec::new();
    for run in children.split(|child| !matches!(child, Node::Text(_))) {
        let values: Vec<&Value> = run
            .iter()
            .filter_map(|child| match child {
                Node::Text(value) => Some(value),
                Node::Element(_) | Node::Comment(_) => None,
            })
            .collect();
        if values.len() < 2 {
            continue;
        }
        if values.iter().any(|value| value.form != Form::Literal) {
            problems.push(
                "an expression stands beside other text; an expression must be the whole text of \
                 its element, so build the text inside the expression"
                    .to_owned(),
            );
            continue;
        }
        let text = flat(values.iter().flat_map(|value| value.parts.iter()));
        if let Some(edge) = joins_a_named_value(&text) {
            problems.push(format!(
                "'{edge}' stands directly beside a named value, where the service could read the \
                 two as one; put something between them"
            ));
        }
        problems.extend(literal(&text));
    }
    problems
}

fn flat<'v>(parts: impl Iterator<Item = &'v Part>) -> String {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::NamedValue(_) => out.push(PLACE),
        }
    }
    out
}

/// `@{{name}}` would open statements, `{{{name}}}` is anyone's guess.
fn joins_a_named_value(text: &str) -> Option<char> {
    let mut before = None;
    for c in text.chars() {
        match (before, c) {
            (Some(edge @ ('@' | '{' | '&')), PLACE) | (Some(PLACE), edge @ ('}' | '(' | '{')) => {
                return Some(edge);
            }
            _ => before = Some(c),
        }
    }
    None
}

fn literal(text: &str) -> Option<String> {
    const CODE: [(&str, &str); 3] = [
        ("@(", "the beginning of an expression"),
        ("@{", "the beginning of an expression"),
        ("{{", "a named value"),
    ];
    let visible = text.replace(PLACE, "");
    let Some(decoded) = decode_fully(text) else {
        return Some(format!(
            "the text '{}' is encoded many times over; write it plainly",
            shown(&visible)
        ));
    };
    let (found, meaning) = CODE.into_iter().find(|(code, _)| decoded.contains(code))?;
    let hidden = if text.contains(found) {
        ""
    } else {
        " once its entities are decoded"
    };
    Some(format!(
        "the text '{}' contains '{found}'{hidden}, which API Management reads as {meaning}; \
         a plain text must not contain it, so change the text",
        shown(&visible)
    ))
}

fn expression(value: &Value, text: &str, close: char) -> Vec<String> {
    let mut problems = Vec::new();
    if text.contains("{{") {
        problems.push(format!(
            "the expression '{}' contains '{{{{', which API Management replaces by a named value; \
             write `{{` as \\u007b inside strings, or put a blank between the braces",
            shown(&text.replace(PLACE, ""))
        ));
    }
    if close == '}' && (text.starts_with(['{', PLACE]) || text.ends_with(PLACE)) {
        problems.push(format!(
            "the statements '{}' begin with a brace, or begin or end with a named value, where \
             the service could read their `@{{` or `}}` as part of it; put a blank between them",
            shown(&code(value))
        ));
    }
    if text.contains('\r') {
        problems.push(
            "the expression contains a carriage return, which XML readers change; end its lines \
             with a line feed, and write \\r inside strings"
                .to_owned(),
        );
    }
    let code = code(value);
    if let Err(error) = csharp::check(&code, close) {
        problems.push(format!(
            "the expression '{}' is not complete C#: {error}",
            shown(&code)
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(form: Form, parts: &[Part]) -> Value {
        Value {
            form,
            parts: parts.to_vec(),
            pointer: None,
        }
    }
    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }
    fn named(name: &str) -> Part {
        Part::NamedValue(name.to_owned())
    }

    #[test]
    fn a_literal_that_could_be_code_is_refused_however_it_is_written() {
        for bad in [
            "@(1)",
            "x@{return 1;}",
            "{{secret}}",
            "a@@(b)",
            "&#64;(x",
            "&amp;#64;&#40;x",
            "&lbrace;{x",
            "&lcub;&lcub;",
            "\u{1}",
            "a\u{FFFF}",
        ] {
            assert_eq!(problems(&Value::literal(bad)).len(), 1, "{bad}");
        }
        for good in [
            "me@example.com",
            "a & b",
            "{x}",
            "& #64;(",
            "@",
            "]]>",
            "\t\r\n",
            "🦀",
        ] {
            assert_eq!(
                problems(&Value::literal(good)),
                Vec::<String>::new(),
                "{good}"
            );
        }
    }

    #[test]
    fn parts_that_join_into_code_are_refused() {
        for bad in [
            vec![text("@"), text("(x)")],
            vec![text("{"), text("{x}}")],
            vec![text("@"), named("x")],
            vec![text("{"), named("x")],
            vec![named("x"), text("}")],
            vec![text("&#6"), text("4;(")],
            vec![named("a b")],
        ] {
            assert_eq!(problems(&parts(Form::Literal, &bad)).len(), 1, "{bad:?}");
        }
        assert!(problems(&parts(Form::Literal, &[text("a-"), named("x"), text("/b")])).is_empty());
        let run = |values: Vec<Value>| {
            run_problems(&values.into_iter().map(Node::Text).collect::<Vec<_>>()).len()
        };
        assert_eq!(run(vec![Value::literal("@"), Value::literal("(x)")]), 1);
        assert_eq!(run(vec![Value::literal("@"), Value::named_value("x")]), 1);
        assert_eq!(run(vec![Value::literal("a"), Value::expression("1")]), 1);
        assert_eq!(run(vec![Value::literal("a"), Value::literal("b")]), 0);
    }

    #[test]
    fn an_expression_takes_named_values_only_as_parts() {
        assert!(
            problems(&parts(
                Form::Expression,
                &[text("\""), named("x"), text("\"")]
            ))
            .is_empty()
        );
        assert_eq!(problems(&Value::expression("\"{{x}}\"")).len(), 1);
        assert_eq!(
            problems(&parts(Form::Expression, &[text("\"{"), text("{x}}\"")])).len(),
            1
        );
        assert_eq!(problems(&Value::expression("1) + (2")).len(), 1);
        assert_eq!(problems(&Value::statements("return 1;} {")).len(), 1);
        assert_eq!(problems(&Value::statements("{return 1;}")).len(), 1);
        assert_eq!(
            problems(&parts(Form::Statements, &[text("return "), named("x")])).len(),
            1
        );
        assert_eq!(problems(&Value::expression(" ")).len(), 1);
        assert_eq!(problems(&Value::expression("1\r+ 2")).len(), 1);
    }
}
