//! What `generate` returns.

use crate::elements::{AllowedIn, Backend, Element, Inbound, OnError, Outbound};
use crate::{Context, Diagnostic, Section};

/// What a fragment applies to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The whole API.
    Api,
    /// One operation, by its id in API Management.
    Operation(String),
}

/// Statements for one section of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) section: Section,
    pub(crate) target: Target,
    pub(crate) elements: Vec<Element>,
}

/// Policy XML as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawFragment {
    pub(crate) section: Section,
    pub(crate) target: Target,
    pub(crate) xml: String,
}

/// What one call of `generate` produced.
///
/// Statements are added one after the other; the operator orders plugins, not
/// the statements of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    target: Target,
    pub(crate) fragments: Vec<Fragment>,
    pub(crate) raw: Vec<RawFragment>,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Policy {
    /// A policy for what the call is about: the API, or one operation.
    #[must_use]
    pub fn of(context: &Context) -> Self {
        let target = match &context.operation {
            Some(operation) => Target::Operation(operation.id.clone()),
            None => Target::Api,
        };
        Self {
            target,
            fragments: Vec::new(),
            raw: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds a statement to `inbound`.
    pub fn inbound(&mut self, statement: impl AllowedIn<Inbound>) -> &mut Self {
        self.add(Section::Inbound, self.target.clone(), statement.into())
    }

    /// Adds a statement to `backend`.
    pub fn backend(&mut self, statement: impl AllowedIn<Backend>) -> &mut Self {
        self.add(Section::Backend, self.target.clone(), statement.into())
    }

    /// Adds a statement to `outbound`.
    pub fn outbound(&mut self, statement: impl AllowedIn<Outbound>) -> &mut Self {
        self.add(Section::Outbound, self.target.clone(), statement.into())
    }

    /// Adds a statement to `on-error`.
    pub fn on_error(&mut self, statement: impl AllowedIn<OnError>) -> &mut Self {
        self.add(Section::OnError, self.target.clone(), statement.into())
    }

    /// Adds a statement to a document of one's choice: in a call about the
    /// whole API, to that of one of its operations.
    pub fn add(&mut self, section: Section, target: Target, statement: Element) -> &mut Self {
        match self.fragments.last_mut() {
            Some(last) if last.section == section && last.target == target => {
                last.elements.push(statement);
            }
            _ => self.fragments.push(Fragment {
                section,
                target,
                elements: vec![statement],
            }),
        }
        self
    }

    /// Adds statements as text in API Management's `rawxml` format. Refused
    /// unless the platform granted the plugin the capability `raw-xml`.
    pub fn raw(&mut self, section: Section, xml: impl Into<String>) -> &mut Self {
        self.raw.push(RawFragment {
            section,
            target: self.target.clone(),
            xml: xml.into(),
        });
        self
    }

    /// Adds a warning: the policy is used all the same.
    pub fn warn(&mut self, pointer: impl Into<String>, message: impl Into<String>) -> &mut Self {
        self.warnings.push(Diagnostic::warning(pointer, message));
        self
    }
}
