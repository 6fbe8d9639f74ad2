//! What is XML, what is an expression, and how a document comes back.

use super::super::{PolicyFormat, PolicyProblem, PolicyScope, check};
use super::{NONE, Service, inbound, refused};

#[test]
fn a_document_comes_back_indented_with_crlf_and_tabs() {
    let sent = "<policies><inbound /><backend><forward-request/></backend><outbound></outbound><!-- end --></policies>";
    let checked = check(
        sent,
        PolicyFormat::Xml,
        PolicyScope::Service,
        &Service::default(),
    )
    .unwrap();
    assert_eq!(
        checked.to_xml(),
        "<policies>\r\n\t<inbound />\r\n\t<backend>\r\n\t\t<forward-request />\r\n\t</backend>\r\n\t<outbound></outbound>\r\n\t<!-- end -->\r\n</policies>"
    );
}

#[test]
fn an_expression_is_encoded_in_xml_and_raw_in_rawxml() {
    let raw = inbound(
        "<choose><when condition=\"@(context.Request.Headers[\"A\"] != null && 1 < 2)\"><set-body>@{\n  return \"<a>\";\n}</set-body></when></choose>",
    );
    let checked = check(
        &raw,
        PolicyFormat::RawXml,
        PolicyScope::Api,
        &Service::default(),
    )
    .unwrap();
    assert_eq!(
        checked.to_rawxml(),
        "<policies>\r\n\t<inbound>\r\n\t\t<choose>\r\n\t\t\t<when condition=\"@(context.Request.Headers[\"A\"] != null && 1 < 2)\">\r\n\t\t\t\t<set-body>@{\r\n  return \"<a>\";\r\n}</set-body>\r\n\t\t\t</when>\r\n\t\t</choose>\r\n\t</inbound>\r\n</policies>"
    );
    let xml = checked.to_xml();
    assert_eq!(
        xml,
        "<policies>\r\n\t<inbound>\r\n\t\t<choose>\r\n\t\t\t<when condition=\"@(context.Request.Headers[&quot;A&quot;] != null &amp;&amp; 1 &lt; 2)\">\r\n\t\t\t\t<set-body>@{\r\n  return \"&lt;a&gt;\";\r\n}</set-body>\r\n\t\t\t</when>\r\n\t\t</choose>\r\n\t</inbound>\r\n</policies>"
    );
    let from_xml = check(
        &xml,
        PolicyFormat::Xml,
        PolicyScope::Api,
        &Service::default(),
    )
    .unwrap();
    assert_eq!(from_xml.to_rawxml(), checked.to_rawxml());
}

#[test]
fn a_problem_names_element_line_and_column() {
    let document = "<policies>\r\n    <inbound>\r\n        <log-to-eventhub logger-id=\"missing\" />\r\n    </inbound>\r\n</policies>";
    let problems = check(
        document,
        PolicyFormat::RawXml,
        PolicyScope::Api,
        &Service::default(),
    )
    .unwrap_err();
    assert_eq!(
        problems,
        [PolicyProblem {
            target: Some("log-to-eventhub".to_owned()),
            message: "Error in element 'log-to-eventhub' on line 3, column 10: Logger not found"
                .to_owned(),
        }]
    );
}

#[test]
fn expressions_must_be_balanced_not_empty_and_return_something() {
    let condition = |expression: &str| {
        refused(&format!(
            "<choose><when condition=\"{expression}\" /></choose>"
        ))
    };
    assert_eq!(
        condition("@( /* nothing */ )"),
        ["choose: Invalid expression term ')'"]
    );
    assert_eq!(
        condition("@{ var a = 1; }"),
        ["choose: Not all code paths return a value"]
    );
    assert_eq!(condition("@{ throw new Exception(\"a\"); }"), NONE);
    // The attribute's closing quote opens a string of the expression.
    assert_eq!(
        condition("@(true"),
        ["representation: Unterminated string literal. Line 1, position 45."]
    );
    assert_eq!(
        refused("<set-body>@(true</set-body>"),
        ["representation: ) expected. Line 1, position 30."]
    );
    assert_eq!(
        refused("<set-body>@(1) + 2</set-body>"),
        ["set-body: Unexpected characters after the end of the expression"]
    );
    assert_eq!(
        condition("@(a[1)"),
        ["representation: ] expected. Line 1, position 45."]
    );
    assert_eq!(
        condition("@('ab' == 1)"),
        ["representation: Too many characters in character literal. Line 1, position 45."]
    );
    assert_eq!(
        condition("@(\"a)"),
        ["representation: ) expected. Line 1, position 45."]
    );
}

#[test]
fn brackets_and_quotes_in_strings_characters_and_comments_do_not_count() {
    for expression in [
        "@(\")\" + \"\\\")\")",
        "@(@\")\"\"\\\" != null)",
        "@($\"{(true ? \")\" : \"}\")}}}{{\".Length)",
        "@($@\"a{1}\"\"(\" + @$\"{2}\")",
        "@(')' == '\\'' || '\\u0029' == '\"')",
        "@{ // ) }\n /* } \" */ return \"<a b='c'>\" + x[\"(\"]; }",
        "@(a < b && c > d)",
    ] {
        assert_eq!(
            refused(&format!(
                "<set-variable name=\"a\" value=\"{expression}\" />"
            )),
            NONE,
            "{expression}"
        );
        assert_eq!(
            refused(&format!(
                "<set-header name=\"a\"><value> {expression} </value></set-header>"
            )),
            NONE,
            "{expression}"
        );
    }
}

#[test]
fn what_is_not_xml_is_refused_in_the_words_of_the_reader() {
    let cases = [
        ("", "Root element is missing. Line 1, position 1."),
        (
            "policies",
            "Data at the root level is invalid. Line 1, position 1.",
        ),
        (
            "<policies>",
            "Unexpected end of file has occurred. The following elements are not closed: policies. Line 1, position 11.",
        ),
        (
            "<policies>\n<inbound>\n</policies>",
            "The 'inbound' start tag on line 2 position 2 does not match the end tag of 'policies'. Line 3, position 3.",
        ),
        (
            "<policies><inbound a=\"&x=1\" /></policies>",
            "'=' is an unexpected token. The expected token is ';'. Line 1, position 25.",
        ),
        (
            "<policies><inbound a=\"a & b\" /></policies>",
            "An error occurred while parsing EntityName. Line 1, position 26.",
        ),
        (
            "<policies><inbound a=\"&copy;\" /></policies>",
            "Reference to undeclared entity 'copy'. Line 1, position 24.",
        ),
        (
            "<policies><inbound a='1' a='2' /></policies>",
            "'a' is a duplicate attribute name. Line 1, position 26.",
        ),
        (
            "<policies a=\"<\" />",
            "'<', hexadecimal value 0x3C, is an invalid attribute character. Line 1, position 14.",
        ),
        (
            "<policies /><policies />",
            "There are multiple root elements. Line 1, position 13.",
        ),
        (
            "<!DOCTYPE a><policies />",
            "For security reasons DTD is prohibited in this XML document. Line 1, position 1.",
        ),
        (
            "<policies><!-- a -- b --></policies>",
            "An XML comment cannot contain '--', and '-' cannot be the last character. Line 1, position 18.",
        ),
    ];
    for (document, message) in cases {
        let problems = check(
            document,
            PolicyFormat::Xml,
            PolicyScope::Api,
            &Service::default(),
        )
        .unwrap_err();
        assert_eq!(
            problems,
            [PolicyProblem {
                target: Some("representation".to_owned()),
                message: message.to_owned()
            }],
            "{document}"
        );
    }
}

#[test]
fn the_strict_format_does_not_take_raw_expressions() {
    let raw = inbound("<set-variable name=\"a\" value=\"@(\"b\" == \"c\")\" />");
    assert!(
        check(
            &raw,
            PolicyFormat::RawXml,
            PolicyScope::Api,
            &Service::default()
        )
        .is_ok()
    );
    let problems = check(
        &raw,
        PolicyFormat::Xml,
        PolicyScope::Api,
        &Service::default(),
    )
    .unwrap_err();
    assert_eq!(
        problems[0].message,
        "'b' is an unexpected token. The expected token is '>'. Line 1, position 53."
    );
}

#[test]
fn hostile_nesting_is_an_error_and_no_crash() {
    for document in [
        "<a>".repeat(50_000),
        format!("<policies a=\"@({}", "(".repeat(200_000)),
        format!("<policies a=\"@({}", "$\"{".repeat(60_000)),
        format!("<policies>{}", "{{".repeat(100_000)),
    ] {
        assert!(
            check(
                &document,
                PolicyFormat::RawXml,
                PolicyScope::Api,
                &Service::default()
            )
            .is_err()
        );
    }
}
