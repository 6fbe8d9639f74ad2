//! From a configuration to what requests run through: documents are parsed
//! and every policy is compiled once, when the configuration changes.

mod document;
mod effective;
mod reader;
mod service;
mod value;

pub(crate) use document::{Chain, Document, Step};
pub use effective::{EffectiveChain, EffectivePolicy, effective_chain};
pub(crate) use reader::Reader;
pub(crate) use service::{CompiledService, Snapshot};
pub(crate) use value::{PolicyValue, Prepared, Value, keyword};

use crate::configuration;
use policy_document::{Element, PolicyFormat};
use std::collections::BTreeSet;
use std::fmt;

/// How deep choose, retry and fragments may nest.
const MAX_DEPTH: usize = 32;

/// Where a policy document is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The whole service.
    Global,
    /// A product.
    Product,
    /// An API.
    Api,
    /// An operation.
    Operation,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global",
            Self::Product => "product",
            Self::Api => "api",
            Self::Operation => "operation",
        })
    }
}

/// A section of a policy document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Before the backend.
    Inbound,
    /// The call of the backend.
    Backend,
    /// After the backend.
    Outbound,
    /// After an error.
    OnError,
}

impl Section {
    /// The element's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Backend => "backend",
            Self::Outbound => "outbound",
            Self::OnError => "on-error",
        }
    }
}

/// Why a document cannot be executed, as the service words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct CompileError {
    /// The policy's element, or `representation` where the text is no document.
    pub element: String,
    /// Its line, from one; zero where the message tells the place.
    pub line: usize,
    /// Its column, from one.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl CompileError {
    pub(crate) fn new(element: &Element, message: impl Into<String>) -> Self {
        Self {
            element: element.name.clone(),
            line: element.position.line,
            column: element.position.column,
            message: message.into(),
        }
    }

    fn sentence(&self) -> String {
        if self.line == 0 {
            return self.message.clone();
        }
        format!(
            "Error in element '{}' on line {}, column {}: {}",
            self.element, self.line, self.column, self.message
        )
    }
}

/// What compiling a document knows and finds out.
pub(crate) struct Compiler<'a> {
    pub(crate) service: &'a configuration::Service,
    pub(crate) scope: Scope,
    pub(crate) section: Section,
    /// Policies met that are not executed.
    pub(crate) not_executed: BTreeSet<String>,
    path: Vec<String>,
    /// Fragments that are being included.
    fragments: Vec<String>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(service: &'a configuration::Service, scope: Scope) -> Self {
        Self {
            service,
            scope,
            section: Section::Inbound,
            not_executed: BTreeSet::new(),
            path: Vec::new(),
            fragments: Vec::new(),
        }
    }

    /// Runs `compile` one level deeper, below a part such as `when[2]`.
    pub(crate) fn below<T>(
        &mut self,
        element: &Element,
        part: String,
        compile: impl FnOnce(&mut Self) -> Result<T, CompileError>,
    ) -> Result<T, CompileError> {
        if self.path.len() >= MAX_DEPTH {
            return Err(CompileError::new(element, "Policies are nested too deep."));
        }
        self.path.push(part);
        let result = compile(self);
        self.path.pop();
        result
    }

    /// The fragment of an id, compiled in place.
    pub(crate) fn fragment(
        &mut self,
        element: &Element,
        id: &str,
    ) -> Result<Vec<Step>, CompileError> {
        let service = self.service;
        let found = service
            .fragments
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(id));
        let Some((_, text)) = found else {
            let message = format!("Policy fragment with id '{id}' could not be found.");
            return Err(CompileError::new(element, message));
        };
        if self.fragments.iter().any(|open| open == id) {
            return Err(CompileError::new(
                element,
                format!("Policy fragment with id '{id}' includes itself."),
            ));
        }
        let document = policy_document::parse(text, PolicyFormat::RawXml)
            .map_err(|error| CompileError::new(element, format!("Fragment '{id}': {error}")))?;
        self.fragments.push(id.to_owned());
        let steps = self.below(element, format!("include-fragment[{id}]"), |compiler| {
            compiler.steps(&document.root)
        });
        self.fragments.pop();
        steps.map_err(|error| {
            if error.line == 0 {
                return error;
            }
            let message = format!("Fragment '{id}': {error}");
            CompileError::new(element, message)
        })
    }

    /// The policies in an element.
    pub(crate) fn steps(&mut self, element: &Element) -> Result<Vec<Step>, CompileError> {
        let mut steps = Vec::new();
        for (index, child) in element.elements().enumerate() {
            if child.name == "base" {
                return Err(CompileError::new(
                    child,
                    "The 'base' element is not allowed here.",
                ));
            }
            steps.push(self.step(child, index)?);
        }
        Ok(steps)
    }

    /// One policy; `index` is its place among its siblings, from zero.
    fn step(&mut self, element: &Element, index: usize) -> Result<Step, CompileError> {
        let part = format!("{}[{}]", element.name, index + 1);
        self.below(element, part, |compiler| {
            let path = compiler.path.join("/");
            let policy = crate::policies::compile(element, compiler)?;
            Ok(Step {
                name: element.name.clone(),
                id: element.attribute("id").map(str::to_owned),
                scope: compiler.scope,
                section: compiler.section,
                path,
                policy,
                written: None,
            })
        })
    }

    /// Notes that something will be answered with 501.
    pub(crate) fn note_not_executed(&mut self, what: &str) {
        self.not_executed.insert(what.to_owned());
    }
}

/// What is known of a document that can be executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Policies in it that the gateway does not execute: requests that come to
    /// one are answered 501.
    pub not_executed: Vec<String>,
}

/// Whether a `<policies>` document (`rawxml`) of a scope can be executed by a
/// gateway of this service, whose named values and fragments it may use.
pub fn check_policy(
    document: &str,
    scope: Scope,
    service: &configuration::Service,
) -> Result<Checked, CompileError> {
    check_document(&document::parse(document)?, scope, service)
}

/// The same of a document that was parsed already.
pub fn check_document(
    document: &policy_document::Document,
    scope: Scope,
    service: &configuration::Service,
) -> Result<Checked, CompileError> {
    let mut compiler = Compiler::new(service, scope);
    Document::of(document, &mut compiler)?;
    Ok(Checked {
        not_executed: compiler.not_executed.into_iter().collect(),
    })
}

/// The same of a `<fragment>` document.
pub fn check_fragment(
    document: &policy_document::Document,
    service: &configuration::Service,
) -> Result<Checked, CompileError> {
    let mut compiler = Compiler::new(service, Scope::Global);
    compiler.steps(&document.root)?;
    Ok(Checked {
        not_executed: compiler.not_executed.into_iter().collect(),
    })
}
