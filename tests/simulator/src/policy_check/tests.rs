//! What is accepted, what is refused and in which words, and how a document
//! comes back.

use std::path::Path;

use super::xsd::shared;
use super::{
    CheckedPolicy, PolicyEnvironment, PolicyFormat, PolicyProblem, PolicyScope, Sku, check, check_fragment,
};

/// A service in which everything exists that a test does not take away.
struct Service {
    sku: Sku,
    missing: &'static str,
    template: Option<Vec<String>>,
}

impl Default for Service {
    fn default() -> Self {
        Self { sku: Sku::Dedicated, missing: "missing", template: None }
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

#[test]
fn published_examples_check_but_for_those_that_are_broken() {
    let Some(folder) = shared("published_examples_check_but_for_those_that_are_broken") else { return };
    let mut found = Vec::new();
    examples(&folder.join("policy-examples"), &mut found);
    let mut refused = Vec::new();
    for path in &found {
        let text = std::fs::read_to_string(path).unwrap();
        if let Err(problems) = check_example(&text, PolicyScope::Api) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            refused.push((name, problems[0].message.clone(), problems.len()));
        }
    }
    println!("{} {refused:#?}", found.len());
    assert_eq!(refused.len(), 0);
}
