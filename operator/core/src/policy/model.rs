//! The typed policy tree: what plugins return and what the composer prints.
//!
//! The tree is exact on purpose. Text in a policy document can mean three
//! things to API Management: itself, C# that the gateway runs, or the name of
//! a stored value. A [`Value`] says which it is, so that nothing a user wrote
//! can turn from the first into one of the other two.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A section of a policy document, in the order in which documents hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Before the request goes to the backend.
    Inbound,
    /// Replaces how the request is forwarded.
    Backend,
    /// Before the response goes to the caller.
    Outbound,
    /// When any of the others failed.
    OnError,
}

impl Section {
    /// All sections, in document order.
    pub const ALL: [Self; 4] = [Self::Inbound, Self::Backend, Self::Outbound, Self::OnError];

    /// The element name of the section.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Backend => "backend",
            Self::Outbound => "outbound",
            Self::OnError => "on-error",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where in its section a plugin's fragments stand. Declared by the plugin,
/// ordered by the operator: earlier variants come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Before `<base/>`: answers to CORS preflight requests.
    Preflight,
    /// Who is calling.
    Authentication,
    /// Whether that caller may.
    Authorization,
    /// How often.
    Traffic,
    /// Whether the message is well formed.
    Validation,
    /// Changes to the message.
    Transformation,
    /// Where the message goes.
    Routing,
    /// What is recorded.
    Observability,
}

/// How the parts of a [`Value`] are read by API Management.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Plain text; it is escaped when printed.
    Literal,
    /// One C# expression, printed as `@(…)`.
    Expression,
    /// C# statements that return, printed as `@{…}`.
    Statements,
}

/// A piece of a [`Value`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Text, in the language that the value's [`Form`] names.
    Text(String),
    /// The display name of a named value, printed as `{{name}}`.
    NamedValue(String),
}

/// The value of an attribute, or a text node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Value {
    /// How the parts are read.
    pub form: Form,
    /// The pieces, printed one after the other.
    pub parts: Vec<Part>,
    /// The JSON pointer of the config value this came from, if any: errors
    /// about this value name it. For what a plugin wrote as text, its line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Value {
    /// Plain text.
    pub fn literal(text: impl Into<String>) -> Self {
        Self {
            form: Form::Literal,
            parts: vec![Part::Text(text.into())],
            pointer: None,
        }
    }

    /// One C# expression, without the `@(` and `)` around it.
    pub fn expression(code: impl Into<String>) -> Self {
        Self {
            form: Form::Expression,
            parts: vec![Part::Text(code.into())],
            pointer: None,
        }
    }

    /// C# statements, without the `@{` and `}` around them.
    pub fn statements(code: impl Into<String>) -> Self {
        Self {
            form: Form::Statements,
            parts: vec![Part::Text(code.into())],
            pointer: None,
        }
    }

    /// A reference to a named value by its display name.
    pub fn named_value(name: impl Into<String>) -> Self {
        Self {
            form: Form::Literal,
            parts: vec![Part::NamedValue(name.into())],
            pointer: None,
        }
    }

    /// The same value, with the config pointer that errors should name.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }
}

/// An attribute of an [`Element`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A policy statement or one of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its attributes, in the order in which they are printed.
    pub attributes: Vec<Attribute>,
    /// What it holds, in order.
    pub children: Vec<Node>,
    /// The JSON pointer of the config value this came from, if any; for what a
    /// plugin wrote as text, its line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Element {
    /// An element without attributes or children.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            attributes: Vec::new(),
            children: Vec::new(),
            pointer: None,
        }
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|a| a.name == name)
            .map(|a| &a.value)
    }

    /// The child elements, without text and comments.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) | Node::Comment(_) => None,
        })
    }
}

/// What an [`Element`] can hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Node {
    /// A nested element.
    Element(Element),
    /// Text.
    Text(Value),
    /// A comment of a parsed document. Plugins cannot make one.
    Comment(String),
}

/// What a fragment applies to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The whole API.
    Api,
    /// One operation, by its id in API Management.
    Operation(String),
}

/// Policy statements of one plugin for one section of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// The section they stand in.
    pub section: Section,
    /// The document they stand in.
    pub target: Target,
    /// The statements, in order.
    pub elements: Vec<Element>,
}

/// How grave a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth a look; the policy is used all the same.
    Warning,
    /// The policy is not used.
    Error,
}

/// Something to tell the person who wrote a plugin's config.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// A JSON pointer into the plugin's config; empty for the whole of it.
    pub pointer: String,
    /// A sentence that a person can act on.
    pub message: String,
}

/// What one call of a plugin produced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Generated {
    /// Its fragments.
    pub fragments: Vec<Fragment>,
    /// Warnings; errors make the call fail instead.
    pub warnings: Vec<Diagnostic>,
}
