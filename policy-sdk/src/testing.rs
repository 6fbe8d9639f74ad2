//! Tests without WebAssembly: `cargo test` in the plugin's folder runs its
//! functions on fixtures.
//!
//! ```no_run
//! # use policy_sdk::{Plugin, testing::Call};
//! # fn example<RateLimit: Plugin>() {
//! let text = Call::of::<RateLimit>()
//!     .config(serde_json::json!({ "calls": 10 }))
//!     .generate_text();
//! assert!(text.contains("calls=\"10\""));
//! # }
//! ```
//!
//! The text is for reading and for snapshots. It looks like a policy document,
//! but it is the operator that prints those.
//!
//! [`run_cases`] runs golden cases: files that say what the plugin is given
//! and which documents must come of it. `apim-operator plugin test` runs the
//! same files in the operator's sandbox, with all of the operator's checks.

#[cfg(not(target_arch = "wasm32"))]
mod case;
#[cfg(not(target_arch = "wasm32"))]
mod diff;
#[cfg(not(target_arch = "wasm32"))]
mod document;
#[cfg(not(target_arch = "wasm32"))]
mod exchange;
#[cfg(not(target_arch = "wasm32"))]
mod outcome;
#[cfg(not(target_arch = "wasm32"))]
mod run;

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::elements::{Element, Node};
use crate::{
    Context, Descriptor, Diagnostic, Dialect, Form, OperationRef, Part, Plugin, Policy, Section,
    Severity, SpecReading, SpecRequest, Target, Value, guest,
};

#[cfg(not(target_arch = "wasm32"))]
pub use case::{Budget, Case, CaseError};
#[cfg(not(target_arch = "wasm32"))]
pub use diff::diff;
#[cfg(not(target_arch = "wasm32"))]
pub use exchange::{Answer, Exchange, Request};
#[cfg(not(target_arch = "wasm32"))]
pub use outcome::{Outcome, Reads, Said, Speaker};
#[cfg(not(target_arch = "wasm32"))]
pub use run::run_cases;

/// A context as for an API in a Developer tier instance, with two operations.
///
/// # Panics
/// Never, as long as the fixture fits [`Context`].
#[must_use]
pub fn context() -> Context {
    match serde_json::from_value(json!({
        "interface": crate::INTERFACE,
        "api": {
            "name": "productcatalogmanagement",
            "namespace": "components",
            "labels": { "oda.tmforum.org/componentName": "productcatalog" },
            "path": "/productcatalog/v4",
            "apiType": "openapi",
            "segment": "coreAPI",
            "dialect": "canonical",
            "backendUrl": "https://backend.example.com/productcatalog/v4",
            "subscriptionRequired": false,
            "operations": [
                { "id": "listCatalog", "operationId": "listCatalog", "method": "GET", "urlTemplate": "/catalog" },
                { "id": "createCatalog", "operationId": "createCatalog", "method": "POST", "urlTemplate": "/catalog" }
            ],
            "spec": { "path": "/productcatalog/v4", "implementation": "catalog", "port": 8080 }
        },
        "instance": {
            "name": "default",
            "sku": "Developer",
            "gatewayUrl": "https://example.azure-api.net",
            "tenantId": "11111111-1111-1111-1111-111111111111",
            "clientId": "22222222-2222-2222-2222-222222222222",
            "openidConfigurationUrl": "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0/.well-known/openid-configuration",
            "audiences": [],
            "loginHost": "login.microsoftonline.com"
        },
        "operation": null
    })) {
        Ok(context) => context,
        Err(error) => panic!("the fixture does not fit: {error}"),
    }
}

/// One call of a plugin, through the same documents as in the operator.
#[derive(Debug)]
pub struct Call {
    context: Context,
    config: Json,
    generate: fn(&str, &str) -> Result<Policy, Vec<Diagnostic>>,
    read_spec: fn(SpecRequest) -> Result<SpecReading, Vec<Diagnostic>>,
    descriptor: fn() -> Descriptor,
}

impl Call {
    /// A call with an empty config and the [`context`] above.
    #[must_use]
    pub fn of<P: Plugin>() -> Self {
        Self {
            context: context(),
            config: json!({}),
            generate: guest::generate::<P>,
            read_spec: P::read_spec,
            descriptor: P::descriptor,
        }
    }

    /// The config.
    #[must_use]
    pub fn config(mut self, config: Json) -> Self {
        self.config = config;
        self
    }

    /// Changes the context.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Context)) -> Self {
        change(&mut self.context);
        self
    }

    /// Makes it a call about one operation.
    #[must_use]
    pub fn for_operation(self, id: &str) -> Self {
        self.with(|context| context.operation = Some(OperationRef::new(id)))
    }

    /// Runs `generate`.
    ///
    /// # Errors
    /// The plugin's diagnostics.
    ///
    /// # Panics
    /// When the plugin does.
    pub fn generate(&self) -> Result<Policy, Vec<Diagnostic>> {
        let context = match serde_json::to_string(&self.context) {
            Ok(context) => context,
            Err(error) => panic!("the context is not JSON: {error}"),
        };
        (self.generate)(&context, &self.config.to_string())
    }

    /// Runs `generate` and prints the policy, or the diagnostics.
    #[must_use]
    pub fn generate_text(&self) -> String {
        match self.generate() {
            Ok(policy) => print(&policy),
            Err(diagnostics) => lines(&diagnostics),
        }
    }

    /// Runs `read_spec` and prints its answer, or the diagnostics.
    #[must_use]
    pub fn read_spec_text(&self, dialect: Dialect, block: Json) -> String {
        match (self.read_spec)(SpecRequest::new(dialect, block)) {
            Ok(reading) => match reading.enabled {
                Some(enabled) => format!("enabled {enabled} {}\n", Json::Object(reading.config)),
                None => format!("enabled null {}\n", Json::Object(reading.config)),
            },
            Err(diagnostics) => lines(&diagnostics),
        }
    }

    /// The plugin's descriptor, as the operator sees it.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    pub fn descriptor(&self) -> Json {
        match serde_json::to_value((self.descriptor)()) {
            Ok(json) => json,
            Err(error) => panic!("the descriptor is not JSON: {error}"),
        }
    }
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let severity = match diagnostic.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            text,
            "{severity} at `{}`: {}",
            diagnostic.pointer, diagnostic.message
        );
    }
    text
}

/// Prints a policy for a person.
#[must_use]
pub fn print(policy: &Policy) -> String {
    let mut text = String::new();
    for fragment in &policy.fragments {
        heading(&mut text, fragment.section, &fragment.target);
        for element in &fragment.elements {
            print_element(&mut text, element, 1);
        }
    }
    for raw in &policy.raw {
        heading(&mut text, raw.section, &raw.target);
        let _ = writeln!(text, "  (as text) {}", raw.xml);
    }
    text.push_str(&lines(&policy.warnings));
    text
}

/// Prints one statement for a person.
#[must_use]
pub fn element_text(statement: impl Into<Element>) -> String {
    let mut text = String::new();
    print_element(&mut text, &statement.into(), 0);
    text
}

/// Renders a table of configs: an object with a name for each, or an array.
/// Kept in files beside a plugin's tests, so that other tests can use the
/// same configs.
///
/// # Panics
/// When the text is neither.
#[must_use]
pub fn table<P: Plugin>(json: &str) -> String {
    let rows: Vec<(String, Json)> = match serde_json::from_str(json) {
        Ok(Json::Object(rows)) => rows.into_iter().collect(),
        Ok(Json::Array(rows)) => rows.into_iter().map(|row| (row.to_string(), row)).collect(),
        other => panic!("no table of configs: {other:?}"),
    };
    let mut text = String::new();
    for (name, config) in rows {
        let _ = writeln!(text, "== {name}");
        text.push_str(&Call::of::<P>().config(config).generate_text());
    }
    text
}

/// What a plugin reads from spec blocks, each in both dialects.
#[must_use]
pub fn spec_table<P: Plugin>(blocks: impl IntoIterator<Item = Json>) -> String {
    let mut text = String::new();
    for block in blocks {
        let _ = writeln!(text, "== {block}");
        for (name, dialect) in [
            ("canonical", Dialect::Canonical),
            ("original", Dialect::Original),
        ] {
            let reading = Call::of::<P>().read_spec_text(dialect, block.clone());
            let _ = write!(text, "{name}: {reading}");
        }
    }
    text
}

fn heading(text: &mut String, section: Section, target: &Target) {
    let section = match section {
        Section::Inbound => "inbound",
        Section::Backend => "backend",
        Section::Outbound => "outbound",
        Section::OnError => "on-error",
    };
    let _ = match target {
        Target::Api => writeln!(text, "{section}:"),
        Target::Operation(id) => writeln!(text, "{section} of operation {id}:"),
    };
}

fn print_element(text: &mut String, element: &Element, depth: usize) {
    let indent = "  ".repeat(depth);
    let _ = write!(text, "{indent}<{}", element.name);
    for (name, value) in &element.attributes {
        let _ = write!(text, " {name}=\"{}\"", value_text(value));
    }
    match element.children.as_slice() {
        [] => text.push_str(" />\n"),
        [Node::Text(only)] => {
            let _ = writeln!(text, ">{}</{}>", value_text(only), element.name);
        }
        children => {
            text.push_str(">\n");
            for child in children {
                match child {
                    Node::Element(child) => print_element(text, child, depth + 1),
                    Node::Text(value) => {
                        let _ = writeln!(text, "{indent}  {}", value_text(value));
                    }
                }
            }
            let _ = writeln!(text, "{indent}</{}>", element.name);
        }
    }
}

/// Literals are escaped so that a snapshot shows what is text; code is not,
/// as in `rawxml`.
fn value_text(value: &Value) -> String {
    let mut inner = String::new();
    for part in &value.parts {
        match part {
            Part::Text(text) if value.form == Form::Literal => inner.push_str(
                &text
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('"', "&quot;"),
            ),
            Part::Text(text) => inner.push_str(text),
            Part::NamedValue(name) => {
                let _ = write!(inner, "{{{{{name}}}}}");
            }
        }
    }
    match value.form {
        Form::Literal => inner,
        Form::Expression => format!("@({inner})"),
        Form::Statements => format!("@{{{inner}}}"),
    }
}
