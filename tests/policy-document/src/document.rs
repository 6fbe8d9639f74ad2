//! The tree of a parsed policy document. Both formats give the same tree: an
//! expression is held as C#, text and attributes are held decoded.

/// A place in the source: 1-based line, and 1-based column in UTF-16 units, as
/// .NET's readers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A whole document: comments around one root element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Comments before the root element.
    pub before: Vec<String>,
    /// The root element.
    pub root: Element,
    /// Comments behind the root element.
    pub after: Vec<String>,
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The name.
    pub name: String,
    /// The first character of the name, which is where .NET says an element is.
    pub position: Position,
    /// Its attributes, as written.
    pub attributes: Vec<Attribute>,
    /// What it holds.
    pub children: Vec<Node>,
    /// Written as `<a />`; `<a></a>` is printed as it was written.
    pub self_closing: bool,
}

/// One attribute with its decoded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name.
    pub name: String,
    /// The value, decoded.
    pub value: String,
}

/// What an element can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text, decoded.
    Text(String),
    /// The text of a CDATA section.
    CData(String),
    /// A comment.
    Comment(String),
}

impl Element {
    /// The value of an attribute, if it is written.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
            .map(|attribute| attribute.value.as_str())
    }

    /// The child elements, in order.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) | Node::CData(_) | Node::Comment(_) => None,
        })
    }

    /// All text of the element itself, in order, as one string.
    #[must_use]
    pub fn text(&self) -> String {
        self.children
            .iter()
            .filter_map(|node| match node {
                Node::Text(text) | Node::CData(text) => Some(text.as_str()),
                Node::Element(_) | Node::Comment(_) => None,
            })
            .collect()
    }

    /// Whether the element holds text other than white space.
    #[must_use]
    pub fn has_text(&self) -> bool {
        self.children.iter().any(|node| match node {
            Node::Text(text) => !text.trim().is_empty(),
            Node::CData(_) => true,
            Node::Element(_) | Node::Comment(_) => false,
        })
    }
}
