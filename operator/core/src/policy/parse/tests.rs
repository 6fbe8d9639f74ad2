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
            "line 1, column 1: a document type or entity may not be declared; leave it out",
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

/// What is wrong with statements that a plugin wrote.
fn refused(text: &str) -> String {
    parse_statements(text)
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn statements_of_a_plugin_carry_their_lines_and_lose_their_comments() {
    let statements = parse_statements(
        "<!-- one -->\r\n<choose>\r\n  <when condition=\"@(a < b && c[\"x\"] == '<')\"><!-- two -->\n    <set-variable name=\"a\" value=\"{{n}}\" /></when></choose>\n<set-body>@{ return \"&amp;\"; }</set-body>",
    )
    .expect("statements");
    let [choose, body] = &statements[..] else {
        panic!("{statements:?}");
    };
    assert_eq!(choose.pointer.as_deref(), Some("line 2 (`<choose>`)"));
    let when = choose.elements().next().expect("when");
    assert_eq!(when.children.len(), 1);
    let condition = when.attribute("condition").expect("condition");
    assert_eq!(
        (condition.form, condition.parts.as_slice()),
        (
            Form::Expression,
            [Part::Text("a < b && c[\"x\"] == '<'".to_owned())].as_slice()
        )
    );
    let variable = when.elements().next().expect("set-variable");
    let value = variable.attribute("value").expect("value");
    assert_eq!(value.parts, [Part::NamedValue("n".to_owned())]);
    assert_eq!(
        value.pointer.as_deref(),
        Some("line 4 (`<set-variable name=\"a\" value=\"{{n}}\" /></when></choose>`)")
    );
    let [Node::Text(code)] = body.children.as_slice() else {
        panic!("{body:?}");
    };
    assert_eq!(code.form, Form::Statements);
    assert_eq!(code.parts, [Part::Text(" return \"&amp;\"; ".to_owned())]);
    assert_eq!(
        code.pointer.as_deref(),
        Some("line 5 (`<set-body>@{ return \"&amp;\"; }</set-body>`)")
    );
    assert_eq!(parse_statements(" \n<!-- - -->"), Ok(Vec::new()));
}

#[test]
fn statements_of_a_plugin_are_read_without_mercy() {
    for (text, error) in [
        (
            "<cors />\n<!-- a -- b -->",
            "line 2, column 5: a comment may not contain '--'; the line is `<!-- a -- b -->`",
        ),
        (
            "<!-- a --->",
            "line 1, column 5: a comment may not contain '--'",
        ),
        (
            "<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>",
            "line 1, column 1: a document type or entity may not be declared; leave it out; the line is \
             `<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>`",
        ),
        (
            "<set-body>\n  &lol9;</set-body>",
            "line 2, column 3: '&' begins no entity; a plain '&' is written '&amp;'; the line is `&lol9;</set-body>`",
        ),
        (
            "<a x=\"&#x0;\" />",
            "line 1, column 7: '&' begins no entity",
        ),
        (
            "<a x=\"a & b\" />",
            "line 1, column 9: '&' begins no entity",
        ),
        (
            "<a x=\"<\" />",
            "line 1, column 7: the value of 'x' contains '<'",
        ),
        (
            "<?php ?>",
            "line 1, column 1: a processing instruction may not stand here",
        ),
        (
            "<a />x",
            "line 1, column 6: text stands where only policies may stand",
        ),
        (
            "<ä />",
            "line 1, column 2: 'ä' is no name of plain letters and digits",
        ),
        ("<a>", "line 1, column 4: '</a>' is missing"),
        (
            "<a x=\"@(1\" />",
            "line 1, column 7: the expression is not complete C#",
        ),
        (
            "<policies><inbound /></policies>",
            "line 1, column 1: 'policies' may not stand around the statements",
        ),
        (
            "<on-error />",
            "line 1, column 1: 'on-error' may not stand around the statements",
        ),
        (
            "a\u{0}",
            "line 1, column 2: the character U+0000 cannot stand in XML",
        ),
    ] {
        let found = refused(text);
        assert!(found.starts_with(error), "{text}: {found}");
    }
    assert!(refused(&"<a>".repeat(65)).contains("nested more than 64 deep"));
    assert!(refused(&" ".repeat(300_000)).contains("the text has 300000 bytes"));
}
