use super::*;
use crate::policy::model::{Form, Part, Value};

fn root(text: &str) -> Element {
    parse_tree(text, Format::RawXml).unwrap().root
}

fn error(text: &str, format: Format) -> String {
    parse_tree(text, format).unwrap_err().to_string()
}

#[test]
fn code_in_attributes_and_text_is_taken_as_it_stands() {
    let element = root(
        "<a b=\"@(x[\"y\"] > 1 && z < '\"')\" c='@{ return $\"{d[\"<e>\"]}\"; }'>\n  @(\"&amp;</a>\")\n</a>",
    );
    assert_eq!(
        element.attribute("b"),
        Some(&Value::expression("x[\"y\"] > 1 && z < '\"'"))
    );
    assert_eq!(
        element.attribute("c"),
        Some(&Value::statements(" return $\"{d[\"<e>\"]}\"; "))
    );
    assert_eq!(
        element.children,
        [Node::Text(Value::expression("\"&amp;</a>\""))]
    );
}

#[test]
fn encoded_code_is_code_too() {
    let element = root("<a b='&#64;(1)'>&#64;{return 1;}</a>");
    assert_eq!(element.attribute("b"), Some(&Value::expression("1")));
    assert_eq!(
        element.children,
        [Node::Text(Value::statements("return 1;"))]
    );
    let strict = parse_tree("<a b=\"@(&quot;x&quot;)\" />", Format::Xml).unwrap();
    assert_eq!(
        strict.root.attribute("b"),
        Some(&Value::expression("\"x\""))
    );
}

#[test]
fn named_values_are_parts() {
    let element = root("<a b=\"x{{one}}y{{{two}} {{not one}}\" c=\"@(\"{{three}}\")\" />");
    let named = |name: &str| Part::NamedValue(name.to_owned());
    let text = |text: &str| Part::Text(text.to_owned());
    assert_eq!(
        element.attribute("b").map(|v| v.parts.clone()),
        Some(vec![
            text("x"),
            named("one"),
            text("y{"),
            named("two"),
            text(" {{not one}}"),
        ])
    );
    let code = element.attribute("c").unwrap();
    assert_eq!(code.form, Form::Expression);
    assert_eq!(code.parts, [text("\""), named("three"), text("\"")]);
}

#[test]
fn whitespace_is_layout_between_tags_and_text_beside_text() {
    let element = root("<a>\r\n\t<b> x\r\n</b>\r\n\t<c>&#x20;</c><d>\n</d></a>");
    let children: Vec<_> = element.elements().map(|e| e.children.clone()).collect();
    assert_eq!(
        children,
        [
            vec![Node::Text(Value::literal(" x\n"))],
            vec![Node::Text(Value::literal(" "))],
            vec![],
        ]
    );
    assert_eq!(element.children.len(), 3);
    let mixed = root("<a> x <b/> </a>");
    assert_eq!(mixed.children.len(), 3);
}

#[test]
fn a_document_has_sections_with_comments_and_elements() {
    let document = parse(
        "\u{FEFF}<?xml version=\"1.0\"?>\n<!-- first -->\n<policies><outbound><!-- in --><base/></outbound><inbound/></policies>",
        Format::RawXml,
    )
    .unwrap();
    assert_eq!(document.comments, [" first "]);
    assert_eq!(
        document.section(Section::Outbound),
        [
            Statement {
                plugin: None,
                node: Node::Comment(" in ".to_owned())
            },
            Statement::base()
        ]
    );
    assert_eq!(document.section(Section::Inbound), []);
    assert_eq!(document.sections.len(), 2);
}

#[test]
fn errors_name_the_line_the_column_and_what_is_missing() {
    let raw = Format::RawXml;
    for (text, message) in [
        ("", "line 1, column 1: the document element is missing"),
        (
            "<a>\n ä <b></a>",
            "line 2, column 7: '</a>' stands where '</b>' should, which was opened on line 2",
        ),
        ("<a>", "line 1, column 4: '</a>' is missing"),
        (
            "<a></a>x",
            "line 1, column 8: there is something after the document element",
        ),
        (
            "<a b/>",
            "line 1, column 5: '=' is missing after attribute 'b'",
        ),
        (
            "<a b=c/>",
            "line 1, column 6: the value of 'b' is not in quotes",
        ),
        (
            "<a b=\"c/>",
            "line 1, column 7: the value of 'b' is not closed by '\"'",
        ),
        (
            "<a b='1' b='2'/>",
            "line 1, column 10: attribute 'b' of 'a' is there twice",
        ),
        (
            "<a b='@(1'/>",
            "line 1, column 7: the expression is not complete C#: a character literal is not closed: '/>",
        ),
        (
            "<a b='@(1) x'/>",
            "line 1, column 12: the expression in 'b' has ended, but its value goes on",
        ),
        (
            "<a>@(1) x</a>",
            "line 1, column 9: the expression in 'a' has ended, but its text goes on",
        ),
        (
            "<a><!-- x</a>",
            "line 1, column 8: the comment is not closed by '-->'",
        ),
        (
            "<!DOCTYPE a><a/>",
            "line 1, column 2: a tag begins with no name: '!DOCTYPE a><a/>'",
        ),
        (
            "<a>\u{1}</a>",
            "line 1, column 4: the character U+0001 cannot stand in XML",
        ),
        (
            "<a b='1'c='2'/>",
            "line 1, column 9: a blank is missing in '<a'",
        ),
        ("</a>", "line 1, column 1: '</a>' closes nothing"),
    ] {
        assert_eq!(error(text, raw), message, "{text}");
    }
    let strict = Format::Xml;
    assert_eq!(
        error("<a b=\"x & y\"/>", strict),
        "line 1, column 9: '&' begins no entity; a plain '&' is written '&amp;'"
    );
    assert_eq!(
        error("<a b=\"<\"/>", strict),
        "line 1, column 7: the value of 'b' contains '<'"
    );
    assert_eq!(
        error("<a><!-- -- --></a>", strict),
        "line 1, column 8: a comment may not contain '--'"
    );
    let document = |text| parse(text, raw).unwrap_err().message;
    assert_eq!(
        document("<fragment/>"),
        "the document element is 'fragment', not 'policies'"
    );
    assert_eq!(
        document("<policies><inbond/></policies>"),
        "'inbond' is no section; the sections are inbound, backend, outbound, on-error"
    );
    assert_eq!(
        document("<policies><inbound/><inbound/></policies>"),
        "section 'inbound' is there twice"
    );
}
