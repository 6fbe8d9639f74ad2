//! A policy document and what can be wrong with it.

use std::collections::BTreeMap;

use super::model::{Element, Node, Section, Target};

/// Something that stands directly in a section, and who put it there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Statement {
    /// The plugin that made it; none for `<base/>` and for parsed documents.
    pub plugin: Option<String>,
    /// An element, or a comment of a parsed document.
    pub node: Node,
}

impl Statement {
    /// `<base/>`: what the parent scope says, at this place.
    #[must_use]
    pub fn base() -> Self {
        Self {
            plugin: None,
            node: Node::Element(Element::new("base")),
        }
    }

    /// The element, if it is one.
    #[must_use]
    pub const fn element(&self) -> Option<&Element> {
        match &self.node {
            Node::Element(element) => Some(element),
            Node::Text(_) | Node::Comment(_) => None,
        }
    }
}

/// A `<policies>` document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyDocument {
    /// Its sections with what they hold, in order. A section that is not there
    /// is not printed; the service treats it like an empty one.
    pub sections: BTreeMap<Section, Vec<Statement>>,
    /// Comments before the document element.
    pub comments: Vec<String>,
}

impl PolicyDocument {
    /// Four sections that hold `<base/>`: a document that changes nothing.
    #[must_use]
    pub fn inherit() -> Self {
        Self {
            sections: Section::ALL
                .into_iter()
                .map(|section| (section, vec![Statement::base()]))
                .collect(),
            comments: Vec::new(),
        }
    }

    /// What a section holds; nothing if it is not there.
    #[must_use]
    pub fn section(&self, section: Section) -> &[Statement] {
        self.sections.get(&section).map_or(&[], Vec::as_slice)
    }

    /// The document as one element.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut root = Element::new("policies");
        for (section, statements) in &self.sections {
            let mut element = Element::new(section.as_str());
            element.children = statements.iter().map(|s| s.node.clone()).collect();
            root.children.push(Node::Element(element));
        }
        root
    }
}

/// The documents of one API: its own and those of single operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// The API's.
    pub api: PolicyDocument,
    /// By operation id. An operation without fragments has no document.
    pub operations: BTreeMap<String, PolicyDocument>,
}

impl Documents {
    /// All documents with what they apply to, the API's first.
    pub fn iter(&self) -> impl Iterator<Item = (Target, &PolicyDocument)> {
        std::iter::once((Target::Api, &self.api)).chain(
            self.operations
                .iter()
                .map(|(id, document)| (Target::Operation(id.clone()), document)),
        )
    }
}

/// Why a policy document is not sent: which plugin, which config value, which
/// document, and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.display())]
pub struct PolicyError {
    /// The plugin whose fragment it is.
    pub plugin: Option<String>,
    /// A JSON pointer into the plugin's config; for what it wrote as text, the
    /// line.
    pub pointer: Option<String>,
    /// The document.
    pub document: Target,
    /// The section; none if the document as a whole is wrong.
    pub section: Option<Section>,
    /// The sentence.
    pub message: String,
}

impl PolicyError {
    fn display(&self) -> String {
        let plugin = match &self.plugin {
            Some(plugin) => format!("[{plugin}] "),
            None => String::new(),
        };
        let pointer = match self.pointer.as_deref() {
            Some(pointer) if !pointer.is_empty() => format!("{pointer}: "),
            _ => String::new(),
        };
        let document = match &self.document {
            Target::Api => "policy of the API".to_owned(),
            Target::Operation(id) => format!("policy of operation '{id}'"),
        };
        let section = match self.section {
            Some(section) => format!(" in {section}"),
            None => String::new(),
        };
        format!("{plugin}{pointer}{} ({document}{section})", self.message)
    }
}
