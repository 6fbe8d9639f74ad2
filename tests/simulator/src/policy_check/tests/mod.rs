//! What is accepted, what is refused and in which words, and how a document
//! comes back.

mod properties;
mod rules;
mod schema;
mod syntax;

use std::path::Path;

use super::xsd::shared;
use super::{
    CheckedPolicy, PolicyEnvironment, PolicyFormat, PolicyProblem, PolicyScope, Sku, check,
    check_fragment,
};

/// A service in which everything exists that a test does not take away.
struct Service {
    sku: Sku,
    missing: &'static str,
    template: Option<Vec<String>>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            sku: Sku::SelfHosted,
            missing: "missing",
            template: None,
        }
    }
}

impl PolicyEnvironment for Service {
    fn backend_exists(&self, id: &str) -> bool {
        id != self.missing
    }

    fn fragment_exists(&self, id: &str) -> bool {
        id != self.missing
    }

    fn named_value_exists(&self, display_name: &str) -> bool {
        display_name != self.missing
    }

    fn logger_exists(&self, id: &str) -> bool {
        id != self.missing
    }

    fn sku(&self) -> Sku {
        self.sku
    }

    fn url_template_parameters(&self) -> Option<Vec<String>> {
        self.template.clone()
    }
}

fn examples(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            examples(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "xml") {
            found.push(path);
        }
    }
    found.sort();
}

/// Real documents are kept in either format, and the file does not say which.
fn check_example(text: &str, scope: PolicyScope) -> Result<CheckedPolicy, Vec<PolicyProblem>> {
    let run = |format| {
        if text.contains("<fragment>") {
            check_fragment(text, format, &Service::default())
        } else {
            check(text, format, scope, &Service::default())
        }
    };
    run(PolicyFormat::Xml).or_else(|_| run(PolicyFormat::RawXml))
}

/// Published documents that are refused, each with what is wrong with it.
const BROKEN: [(&str, &str, &str); 4] = [
    (
        "Authenticate using Managed Identity to access Event Hub.xml",
        "holds a quota, which belongs to product scope",
        "Error in element 'quota' on line 15, column 10: Policy is not allowed in the specified scope",
    ),
    (
        "Call out to an HTTP endpoint and cache the response.policy.xml",
        "an expression lost its quotes when the file was reformatted",
        "Newline in constant. Line 40, position 28.",
    ),
    (
        "Filter response content based on product name.policy.xml",
        "its first comment is not closed before the next one opens",
        "An XML comment cannot contain '--', and '-' cannot be the last character. Line 2, position 3.",
    ),
    (
        "Get OAuth2 access token from AAD using client id and certificate using key vault manage identity.xml",
        "a named value is closed by `}]`",
        "Error in element 'cache-store-value' on line 92, column 18: The 'duration' attribute is invalid - The value '{{cachetime}]' is invalid according to its datatype 'String' - The value '{{cachetime}]' is not valid according to any of the memberTypes of the union.",
    ),
];

#[test]
fn published_examples_check_but_for_those_that_are_broken() {
    let Some(folder) = shared("published_examples_check_but_for_those_that_are_broken") else {
        return;
    };
    let mut found = Vec::new();
    examples(&folder.join("policy-examples"), &mut found);
    assert_eq!(found.len(), 59);
    let mut refused = Vec::new();
    for path in &found {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match check_example(&text, PolicyScope::Api) {
            Err(problems) => refused.push((name, problems[0].message.clone())),
            Ok(checked) => {
                // What comes back is itself accepted, and comes back the same.
                let raw = checked.to_rawxml();
                let again = check_as(PolicyFormat::RawXml, &raw).unwrap();
                assert_eq!(again.to_rawxml(), raw, "{name}");
                let xml = checked.to_xml();
                assert_eq!(
                    check_as(PolicyFormat::Xml, &xml).unwrap().to_xml(),
                    xml,
                    "{name}"
                );
            }
        }
    }
    let expected: Vec<_> = BROKEN
        .iter()
        .map(|(name, _why, message)| ((*name).to_owned(), (*message).to_owned()))
        .collect();
    assert_eq!(refused, expected);
}

fn check_as(format: PolicyFormat, text: &str) -> Result<CheckedPolicy, Vec<PolicyProblem>> {
    if text.contains("<fragment>") {
        check_fragment(text, format, &Service::default())
    } else {
        check(text, format, PolicyScope::Api, &Service::default())
    }
}

/// A document with this in its inbound section.
fn inbound(policies: &str) -> String {
    format!("<policies><inbound>{policies}</inbound></policies>")
}

/// The messages for a rawxml document, each after the target.
fn refused_in(document: &str, scope: PolicyScope, service: &Service) -> Vec<String> {
    match check(document, PolicyFormat::RawXml, scope, service) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .into_iter()
            .map(|problem| {
                let target = problem.target.unwrap();
                // The place is tested apart: here it would only be counted.
                let prefix = format!("Error in element '{target}' on line 1, column ");
                match problem
                    .message
                    .strip_prefix(&prefix)
                    .and_then(|rest| rest.split_once(": "))
                {
                    Some((_, message)) => format!("{target}: {message}"),
                    None => format!("{target}: {}", problem.message),
                }
            })
            .collect(),
    }
}

fn refused(policies: &str) -> Vec<String> {
    refused_in(&inbound(policies), PolicyScope::Api, &Service::default())
}

const NONE: [&str; 0] = [];
