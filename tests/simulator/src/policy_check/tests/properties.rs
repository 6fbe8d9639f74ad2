//! Properties that hold for any text.

use proptest::prelude::*;

use super::super::{PolicyFormat, PolicyScope, check};
use super::{Service, inbound};
use policy_document::{Document, expression};

/// Text with what the parser looks at standing close together.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,80}",
        "[-<>/=\"'@(){}\\[\\]$&;#!?*\\\\a-c \r\n]{0,120}",
        "(<policies>|<inbound>|</inbound>|<set-body>|</set-body>|@\\(|@\\{|\\$\"\\{|<!--|-->|<!\\[CDATA\\[|\\]\\]>|&#x|;|\"|\\}|a){0,30}",
    ]
}

/// Any text that XML can hold.
fn xml_text() -> impl Strategy<Value = String> {
    "[\\t\\n -\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]{0,40}"
}

fn escape(value: &str) -> String {
    value
        .chars()
        .map(|c| match c {
            '&' | '<' | '>' | '"' | '\t' | '\n' => format!("&#{};", u32::from(c)),
            plain => plain.to_string(),
        })
        .collect()
}

fn variable(document: &Document) -> String {
    let section = document.root.elements().next().unwrap();
    let policy = section.elements().next().unwrap();
    policy.attribute("value").unwrap().to_owned()
}

proptest! {
    #[test]
    fn no_text_makes_the_check_panic(text in hostile()) {
        for format in [PolicyFormat::Xml, PolicyFormat::RawXml] {
            let _ = check(&text, format, PolicyScope::Api, &Service::default());
            let _ = check(&inbound(&text), format, PolicyScope::Api, &Service::default());
        }
    }

    #[test]
    fn a_literal_comes_back_as_itself_in_both_formats(value in xml_text()) {
        prop_assume!(!expression::is_expression(&value) && !value.contains("{{"));
        let document = inbound(&format!("<set-variable name=\"a\" value=\"{}\" />", escape(&value)));
        let checked = check(&document, PolicyFormat::Xml, PolicyScope::Api, &Service::default());
        let checked = checked.map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        let xml = policy_document::parse(&checked.to_xml(), PolicyFormat::Xml).unwrap();
        prop_assert_eq!(variable(&xml), value.clone());
        let raw = policy_document::parse(&checked.to_rawxml(), PolicyFormat::RawXml).unwrap();
        prop_assert_eq!(variable(&raw), value);
    }

    #[test]
    fn an_expression_comes_back_as_itself_in_both_formats(text in "[ -~]{0,30}", number in 0u32..9) {
        prop_assume!(!text.contains("{{"));
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let expression = format!("@(\"{quoted}\" + '\\'' + @\"{}\" + {number})", text.replace('"', "\"\""));
        let document = inbound(&format!("<set-variable name=\"a\" value=\"{expression}\" />"));
        let checked = check(&document, PolicyFormat::RawXml, PolicyScope::Api, &Service::default());
        let checked = checked.map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        prop_assert!(checked.to_rawxml().contains(&expression));
        let xml = policy_document::parse(&checked.to_xml(), PolicyFormat::Xml).unwrap();
        prop_assert_eq!(variable(&xml), expression);
    }
}
