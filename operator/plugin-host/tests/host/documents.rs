//! The documents that the built-in plugins make, against the schemas that
//! Microsoft publishes.
//!
//! Each plugin is rendered in the sandbox over the tables of configs beside
//! its own tests (`good.json`; `operation.json` for what makes sense for one
//! operation only) and over the example in its README, composed and printed
//! as the operator does it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use apim_simulator::policy_check::{self, PolicyEnvironment, PolicyFormat, PolicyScope, Sku};
use operator_core::policy::{
    Contribution, Documents, Element, Format, Grants, Node, Part, PolicyError, ReferenceKind,
    Target, Tier, compose_granted, parse, print, references,
};
use operator_core::policy_plugin::spec::Capabilities;
use operator_plugin_host::{CallError, Plugin};
use serde_json::{Value, json};

use super::BUILT_IN;
use super::builtin::operation_context;

/// One config, and what it is for.
struct Case {
    /// For messages: plugin and row.
    name: String,
    plugin: Plugin,
    config: Value,
    /// Whether it is for one operation.
    operation: bool,
}

/// Why there are no documents.
#[derive(Debug)]
enum Refused {
    ByPlugin(CallError),
    ByOperator(Vec<PolicyError>),
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of a table of configs; none if there is no such table.
fn table(path: &Path) -> Vec<(String, Value)> {
    let Ok(text) = fs::read_to_string(path) else {
        return Vec::new();
    };
    let table: serde_json::Map<String, Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    table.into_iter().collect()
}

/// The configs under `## Example` in a plugin's README: each block of YAML.
fn examples(readme: &Path) -> Vec<Value> {
    let text =
        fs::read_to_string(readme).unwrap_or_else(|error| panic!("{}: {error}", readme.display()));
    let section = text
        .split("\n## ")
        .find_map(|section| section.strip_prefix("Example\n"))
        .unwrap_or_else(|| panic!("{} has no section `## Example`", readme.display()));
    section
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(|yaml| {
            serde_saphyr::from_str(yaml)
                .unwrap_or_else(|error| panic!("{}: {error}", readme.display()))
        })
        .collect()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (folder, plugin) in &*BUILT_IN {
        let path = workspace().join("plugins").join(folder);
        let examples = examples(&path.join("README.md"));
        assert!(!examples.is_empty(), "{folder}: its README has no example");
        let rows = table(&path.join("tests/good.json"))
            .into_iter()
            .chain((1..).map(|n| format!("example {n}")).zip(examples))
            .map(|row| (false, row))
            .chain(
                table(&path.join("tests/operation.json"))
                    .into_iter()
                    .map(|row| (true, row)),
            );
        cases.extend(rows.map(|(operation, (row, config))| Case {
            name: format!("{folder}: {row}"),
            plugin: plugin.clone(),
            config,
            operation,
        }));
    }
    cases
}

impl Case {
    /// The documents, as they would be sent.
    fn documents(&self) -> Vec<String> {
        self.composed(&everything())
            .unwrap_or_else(|refused| panic!("{}: {refused:#?}", self.name))
            .iter()
            .map(|(_, document)| print(document))
            .collect()
    }

    /// The documents of an object to which this is granted.
    fn composed(&self, grants: &Grants) -> Result<Documents, Refused> {
        let mut context = operation_context();
        context["instance"]["sku"] = json!("Developer");
        // Some configs make sense only where the platform lets owners write
        // templates.
        context["capabilities"] = json!(["inline-templates"]);
        if !self.operation {
            context["operation"] = Value::Null;
        }
        let generated = self
            .plugin
            .generate(&context, &self.config)
            .map_err(Refused::ByPlugin)?;
        let descriptor = self.plugin.descriptor();
        let capabilities = Capabilities {
            inline_templates: true,
            ..Capabilities::default()
        };
        let contribution = Contribution {
            plugin: &descriptor.name,
            phase: descriptor.phase,
            mandatory: false,
            order: (0, 0),
            sections: &descriptor.sections,
            capabilities: &capabilities,
            generated,
        };
        compose_granted(&[contribution], Tier::Developer, grants).map_err(Refused::ByOperator)
    }
}

/// Grants of all that there is.
fn everything() -> Grants {
    let kinds = ReferenceKind::GRANTABLE.iter();
    Grants(
        kinds
            .map(|(_, kind)| (*kind, vec!["*".to_owned()]))
            .collect(),
    )
}

#[test]
fn every_config_of_the_tables_fits_its_schema_and_renders() {
    let cases = cases();
    assert!(cases.len() > 3);
    for case in &cases {
        let schema = &case.plugin.descriptor().config_schema;
        let validator = jsonschema::validator_for(schema).expect("a schema");
        let errors: Vec<String> = validator
            .iter_errors(&case.config)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", case.name);
        let documents = case.documents();
        assert!(!documents.is_empty(), "{}", case.name);
        // The same request, the same policy.
        assert_eq!(case.documents(), documents, "{}", case.name);
    }
}

#[test]
fn what_a_built_in_plugin_uses_of_the_instance_must_be_granted() {
    let mut kinds = BTreeSet::new();
    for case in cases() {
        let documents = case.composed(&everything()).expect("all is granted");
        let used: Vec<_> = documents
            .iter()
            .flat_map(|(_, document)| references(document))
            .collect();
        // Known by name before any request comes in, so that one can be
        // granted without all others.
        assert!(used.iter().all(|r| r.name.is_some()), "{}", case.name);
        kinds.extend(used.iter().map(|reference| reference.kind));
        let refused = match case.composed(&Grants::default()) {
            Ok(_) => Vec::new(),
            Err(Refused::ByOperator(errors)) => errors,
            Err(Refused::ByPlugin(error)) => panic!("{}: {error}", case.name),
        };
        assert_eq!(refused.len(), used.len(), "{}: {refused:#?}", case.name);
        for (error, reference) in refused.iter().zip(&used) {
            let name = reference.name.as_deref().unwrap_or_default();
            assert!(
                error.message.contains(&format!("'{name}'"))
                    && error.message.contains("does not grant"),
                "{}: {error}",
                case.name
            );
        }
    }
    for kind in [
        ReferenceKind::NamedValue,
        ReferenceKind::Certificate,
        ReferenceKind::ManagedIdentity,
        ReferenceKind::Schema,
    ] {
        assert!(
            kinds.contains(&kind),
            "no config of the tables uses a {kind}"
        );
    }
}

/// Texts that mean something in one of the languages that a policy is made
/// of, and say `Evil` or `evil` if they get through.
const HOSTILE: [&str; 6] = [
    "@(Evil())",
    "@{return Evil();}",
    "{{evil}}",
    "\" + Evil() + \"",
    "\\\" + Evil() + @\"",
    "</value></set-header><evil />",
];

/// The config with each of its texts replaced by another, keys too: one
/// config for each.
fn replaced(config: &Value, by: &str) -> Vec<Value> {
    match config {
        Value::String(_) => vec![json!(by)],
        Value::Array(values) => (0..values.len())
            .flat_map(|index| {
                replaced(&values[index], by).into_iter().map(move |value| {
                    let mut values = values.clone();
                    values[index] = value;
                    Value::Array(values)
                })
            })
            .collect(),
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| {
                let renamed: serde_json::Map<String, Value> = map
                    .iter()
                    .map(|(k, v)| (if k == key { by } else { k }.to_owned(), v.clone()))
                    .collect();
                replaced(value, by)
                    .into_iter()
                    .map(move |value| {
                        let mut map = map.clone();
                        map.insert(key.clone(), value);
                        Value::Object(map)
                    })
                    .chain([Value::Object(renamed)])
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether anything of a hostile text is more than text.
fn got_through(element: &Element) -> bool {
    use operator_core::policy::{Form, csharp};
    let is_code = |value: &operator_core::policy::Value| {
        let mut code = String::new();
        value.parts.iter().any(|part| match part {
            Part::Text(text) => {
                code.push_str(text);
                false
            }
            Part::NamedValue(name) => name == "evil",
        }) || (value.form != Form::Literal && csharp::uses(&code, "Evil"))
    };
    element.name == "evil"
        || element.attributes.iter().any(|a| is_code(&a.value))
        || element.children.iter().any(|child| match child {
            Node::Element(element) => got_through(element),
            Node::Text(value) => is_code(value),
            Node::Comment(_) => false,
        })
}

#[test]
fn no_text_of_a_config_becomes_code_a_named_value_or_an_element() {
    let (mut tried, mut rendered) = (0, 0);
    for case in cases() {
        for hostile in HOSTILE {
            for config in replaced(&case.config, hostile) {
                tried += 1;
                let case = Case {
                    name: format!("{}: {config}", case.name),
                    plugin: case.plugin.clone(),
                    config,
                    operation: case.operation,
                };
                // Most are refused. What is not, is read as it was sent.
                let Ok(documents) = case.composed(&everything()) else {
                    continue;
                };
                rendered += 1;
                for (_, document) in documents.iter() {
                    let read = parse(&print(document), Format::RawXml).expect("a document");
                    assert!(!got_through(&read.to_element()), "{}", case.name);
                }
            }
        }
    }
    // Neither refused all along nor never.
    assert!(tried > rendered && rendered > 0, "{tried} {rendered}");
    println!("{tried} configs, {rendered} rendered");
}

/// A text as an attribute or element holds it in well-formed XML.
fn escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
}

fn value(value: &operator_core::policy::Value, out: &mut String) {
    use operator_core::policy::Form;
    let (open, close) = match value.form {
        Form::Literal => ("", ""),
        Form::Expression => ("@(", ")"),
        Form::Statements => ("@{", "}"),
    };
    out.push_str(open);
    for part in &value.parts {
        match part {
            Part::Text(text) => escaped(text, out),
            Part::NamedValue(name) => {
                out.push_str("{{");
                out.push_str(name);
                out.push_str("}}");
            }
        }
    }
    out.push_str(close);
}

/// The element as API Management's format `xml`: code is escaped too.
fn well_formed(element: &Element, out: &mut String) {
    out.push('<');
    out.push_str(&element.name);
    for attribute in &element.attributes {
        out.push(' ');
        out.push_str(&attribute.name);
        out.push_str("=\"");
        value(&attribute.value, out);
        out.push('"');
    }
    out.push('>');
    for child in &element.children {
        match child {
            Node::Element(element) => well_formed(element, out),
            Node::Text(text) => value(text, out),
            Node::Comment(_) => {}
        }
    }
    out.push_str("</");
    out.push_str(&element.name);
    out.push('>');
}

/// Copies the published schemas, with two mends that libxml2 needs: it does
/// not know `\x` in patterns, and takes an element beside `any` for
/// ambiguous, so that `base` is declared once for all sections.
fn schemas(from: &Path, to: &Path) -> PathBuf {
    for entry in fs::read_dir(from).expect("the schemas") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "xsd") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a schema");
        let text = text
            .replace(r"[\x21-\x29\x2b\x2d-\x39\x3b-\x7e]", r"[!-)+\-./0-9;-~]")
            .replace(
                r#"<xs:element name="base" minOccurs="0" maxOccurs="1"/>"#,
                "",
            )
            .replace(
                r#"<xs:element name="policies">"#,
                r#"<xs:element name="base"/><xs:element name="policies">"#,
            );
        assert!(!text.contains(r"\x"), "{}", path.display());
        fs::write(to.join(path.file_name().expect("a name")), text).expect("written");
    }
    to.join("policies.xsd")
}

/// The command that validates documents: `<command> SCHEMA DOCUMENT…`.
fn validator() -> Vec<String> {
    let script = workspace().join("tests/harness/setup/xml-schema");
    let output = Command::new(&script).output().expect("the script runs");
    assert!(
        output.status.success(),
        "{}: {}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("a command")
        .lines()
        .map(str::to_owned)
        .collect()
}

fn validate(schema: &Path, documents: &[PathBuf]) -> (bool, String) {
    let command = validator();
    let (program, args) = command.split_first().expect("a program");
    let output = Command::new(program)
        .args(args)
        .arg(schema)
        .args(documents)
        .output()
        .expect("the validator runs");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn the_documents_of_all_built_in_plugins_are_valid_by_the_published_schemas() {
    let published = workspace().join("../shared/apim/policy-xsd");
    if !published.is_dir() {
        test_harness::skip(
            "the_documents_of_all_built_in_plugins_are_valid_by_the_published_schemas",
            "../shared is not there",
        );
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let schema = schemas(&published, folder.path());
    let mut files = Vec::new();
    for case in cases() {
        for document in case.documents() {
            // Read back from what was printed: that is what is sent.
            let read = parse(&document, Format::RawXml).expect("the document is one");
            let mut text = String::new();
            well_formed(&read.to_element(), &mut text);
            let name = case
                .name
                .replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
            let file = folder.path().join(format!("{name}-{}.xml", files.len()));
            fs::write(&file, text).expect("written");
            files.push(file);
        }
    }
    let (valid, errors) = validate(&schema, &files);
    assert!(valid, "{errors}");

    // And the validator does refuse what is not valid.
    let wrong = folder.path().join("wrong.xml");
    fs::write(
        &wrong,
        "<policies><inbound><base /><ip-filter action=\"perhaps\" /></inbound></policies>",
    )
    .expect("written");
    let (valid, errors) = validate(&schema, &[wrong]);
    assert!(!valid && errors.contains("ip-filter"), "{errors}");
}

/// A service in which everything is there that is asked for.
struct Service;

impl PolicyEnvironment for Service {
    fn backend_exists(&self, _: &str) -> bool {
        true
    }
    fn fragment_exists(&self, _: &str) -> bool {
        true
    }
    fn named_value_exists(&self, _: &str) -> bool {
        true
    }
    fn logger_exists(&self, _: &str) -> bool {
        true
    }
    fn sku(&self) -> Sku {
        Sku::Dedicated
    }
    fn url_template_parameters(&self) -> Option<Vec<String>> {
        Some(vec!["id".to_owned()])
    }
}

/// The local Azure knows the published schemas and the service's rules on its
/// own: what one side misread, the other may not have.
#[test]
fn the_local_azure_takes_the_documents_of_all_built_in_plugins() {
    for case in cases() {
        let documents = case.composed(&everything()).expect("documents");
        for (target, document) in documents.iter() {
            let scope = match target {
                Target::Api => PolicyScope::Api,
                Target::Operation(_) => PolicyScope::Operation,
            };
            let document = print(document);
            let checked = policy_check::check(&document, PolicyFormat::RawXml, scope, &Service);
            assert!(checked.is_ok(), "{}: {checked:#?}\n{document}", case.name);
        }
    }
}
