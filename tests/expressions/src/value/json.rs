//! JSON as Newtonsoft's `JToken`: a tree that can be changed in place, whose
//! nodes know what holds them.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Weak};

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::time::DateTime;
use crate::error::Fault;

/// Newtonsoft reads no deeper than 64 unless told; what is built may nest
/// deeper, but not so deep that walking it would exhaust the stack.
const MAX_HEIGHT: u16 = 96;

/// A node of JSON, shared by those who hold it.
#[derive(Debug, Clone)]
pub(crate) struct Token(Arc<Node>);

#[derive(Debug)]
struct Node {
    content: Mutex<Content>,
    parent: Mutex<Weak<Node>>,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Object(IndexMap<Arc<str>, Token>),
    Array(Vec<Token>),
    /// A `JProperty`: a view of an object's entry, or one not yet in an object.
    Property(Arc<str>, Token),
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(Arc<str>),
    Date(DateTime),
}

impl Token {
    pub(crate) fn new(content: Content) -> Self {
        Self(Arc::new(Node {
            content: Mutex::new(content),
            parent: Mutex::new(Weak::new()),
        }))
    }

    /// The node's content; its children are shared with the node.
    pub(crate) fn content(&self) -> Content {
        self.0.content.lock().clone()
    }

    /// Looks at the content without copying it.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Content) -> R) -> R {
        look(&self.0.content.lock())
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The object or array that holds this node.
    pub(crate) fn container(&self) -> Option<Self> {
        self.0.parent.lock().upgrade().map(Self)
    }

    fn adopt(&self, child: &Self) {
        *child.0.parent.lock() = Arc::downgrade(&self.0);
    }

    /// Reads JSON text.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let json: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            Fault::new(
                "JsonReaderException",
                format!("Error reading JSON: {error}"),
            )
        })?;
        Self::from_serde(&json)
    }

    pub(crate) fn from_serde(json: &serde_json::Value) -> Result<Self, Fault> {
        let token = match json {
            serde_json::Value::Null => Self::new(Content::Null),
            serde_json::Value::Bool(value) => Self::new(Content::Bool(*value)),
            serde_json::Value::String(text) => Self::new(match DateTime::from_json(text) {
                Some(date) => Content::Date(date),
                None => Content::String(text.as_str().into()),
            }),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Self::new(Content::Integer(integer)),
                (None, _) if number.is_u64() => {
                    return Err(Fault::new(
                        "NotSupportedException",
                        format!("The integer {number} is beyond the range of long."),
                    ));
                }
                (None, float) => Self::new(Content::Float(float.unwrap_or(f64::NAN))),
            },
            serde_json::Value::Array(items) => {
                let array = Self::new(Content::Array(Vec::new()));
                for item in items {
                    array.push(Self::from_serde(item)?)?;
                }
                array
            }
            serde_json::Value::Object(entries) => {
                let object = Self::new(Content::Object(IndexMap::new()));
                for (name, item) in entries {
                    object.set(name, Self::from_serde(item)?)?;
                }
                object
            }
        };
        Ok(token)
    }

    /// How deep the tree below a node is.
    fn height(&self) -> u16 {
        let children = match self.content() {
            Content::Object(entries) => entries.into_values().collect(),
            Content::Array(items) => items,
            Content::Property(_, value) => vec![value],
            _ => return 0,
        };
        1 + children.iter().map(Self::height).max().unwrap_or(0)
    }

    /// How many nodes a tree has.
    pub(crate) fn size(&self) -> usize {
        let mut rest = vec![self.clone()];
        let mut size = 0;
        while let Some(node) = rest.pop() {
            size += 1;
            node.with(|content| match content {
                Content::Object(entries) => rest.extend(entries.values().cloned()),
                Content::Array(items) => rest.extend(items.iter().cloned()),
                Content::Property(_, value) => rest.push(value.clone()),
                _ => {}
            });
        }
        size
    }

    /// How many containers hold a node, one within the other.
    fn level(&self) -> u16 {
        let mut level = 0;
        let mut node = self.clone();
        while let Some(container) = node.container() {
            level += 1;
            node = container;
        }
        level
    }

    /// A child that this node may hold: one that another holds is copied, as
    /// Newtonsoft does, which also keeps the tree free of circles.
    fn to_adopt(&self, child: Self) -> Result<Self, Fault> {
        let mut above = Some(self.clone());
        let mut within = false;
        while let Some(node) = above {
            within |= node.same(&child);
            above = node.container();
        }
        let child = if within || child.container().is_some() {
            child.copy()
        } else {
            child
        };
        if self.level() + 1 + child.height() > MAX_HEIGHT {
            return Err(Fault::limit(format!("JSON nests deeper than {MAX_HEIGHT}")));
        }
        self.adopt(&child);
        Ok(child)
    }

    /// A tree of its own with the same content.
    pub(crate) fn copy(&self) -> Self {
        let content = match self.content() {
            Content::Object(entries) => Content::Object(
                entries
                    .into_iter()
                    .map(|(name, value)| (name, value.copy()))
                    .collect(),
            ),
            Content::Array(items) => Content::Array(items.iter().map(Self::copy).collect()),
            Content::Property(name, value) => Content::Property(name, value.copy()),
            leaf => leaf,
        };
        let copy = Self::new(content);
        copy.with(|content| match content {
            Content::Object(entries) => entries.values().for_each(|child| copy.adopt(child)),
            Content::Array(items) => items.iter().for_each(|child| copy.adopt(child)),
            _ => {}
        });
        copy
    }

    /// The value of an object's entry.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        self.with(|content| match content {
            Content::Object(entries) => entries.get(name).cloned(),
            _ => None,
        })
    }

    /// Writes an object's entry.
    pub(crate) fn set(&self, name: &str, value: Self) -> Result<(), Fault> {
        let value = self.to_adopt(value)?;
        if let Content::Object(entries) = &mut *self.0.content.lock()
            && let Some(old) = entries.insert(name.into(), value)
        {
            *old.0.parent.lock() = Weak::new();
        }
        Ok(())
    }

    /// Adds to an array's end.
    pub(crate) fn push(&self, value: Self) -> Result<(), Fault> {
        self.insert(usize::MAX, value)
    }

    /// Adds to an array, at most behind its end.
    pub(crate) fn insert(&self, at: usize, value: Self) -> Result<(), Fault> {
        let value = self.to_adopt(value)?;
        if let Content::Array(items) = &mut *self.0.content.lock() {
            let at = at.min(items.len());
            items.insert(at, value);
        }
        Ok(())
    }

    /// Puts another node in the place of an array's.
    pub(crate) fn replace_at(&self, at: usize, value: Self) -> Result<(), Fault> {
        let value = self.to_adopt(value)?;
        if let Content::Array(items) = &mut *self.0.content.lock()
            && let Some(place) = items.get_mut(at)
        {
            let old = std::mem::replace(place, value);
            *old.0.parent.lock() = Weak::new();
        }
        Ok(())
    }

    /// Takes an object's entry out.
    pub(crate) fn remove(&self, name: &str) -> bool {
        let removed = match &mut *self.0.content.lock() {
            Content::Object(entries) => entries.shift_remove(name),
            _ => None,
        };
        if let Some(old) = &removed {
            *old.0.parent.lock() = Weak::new();
        }
        removed.is_some()
    }

    /// Takes an array's item out.
    pub(crate) fn remove_at(&self, at: usize) -> bool {
        let removed = match &mut *self.0.content.lock() {
            Content::Array(items) if at < items.len() => Some(items.remove(at)),
            _ => None,
        };
        if let Some(old) = &removed {
            *old.0.parent.lock() = Weak::new();
        }
        removed.is_some()
    }

    /// Takes everything out.
    pub(crate) fn clear(&self) {
        let children: Vec<Self> = match &mut *self.0.content.lock() {
            Content::Object(entries) => entries.drain(..).map(|(_, value)| value).collect(),
            Content::Array(items) => std::mem::take(items),
            _ => Vec::new(),
        };
        for child in children {
            *child.0.parent.lock() = Weak::new();
        }
    }

    /// A property's other value; also in the object that it is a view of.
    pub(crate) fn set_property(&self, value: Self) -> Result<(), Fault> {
        let Content::Property(name, _) = self.content() else {
            return Ok(());
        };
        let value = match self.container() {
            Some(object) => {
                object.set(&name, value)?;
                object
                    .get(&name)
                    .unwrap_or_else(|| Self::new(Content::Null))
            }
            None => value,
        };
        *self.0.content.lock() = Content::Property(name, value);
        Ok(())
    }

    /// A view of an object's entry as a `JProperty`.
    pub(crate) fn property(&self, name: &str) -> Option<Self> {
        let value = self.get(name)?;
        let property = Self::new(Content::Property(name.into(), value));
        self.adopt(&property);
        Some(property)
    }

    /// Where an object or array holds this node.
    pub(crate) fn place(&self) -> Option<(Self, Place)> {
        let container = self.container()?;
        let place = container.with(|content| match content {
            Content::Object(entries) => entries
                .iter()
                .find(|(_, value)| value.same(self))
                .map(|(name, _)| Place::Name(name.clone())),
            Content::Array(items) => items
                .iter()
                .position(|item| item.same(self))
                .map(Place::Index),
            _ => None,
        });
        match (place, self.content()) {
            (Some(place), _) => Some((container, place)),
            (None, Content::Property(name, _)) => Some((container, Place::Name(name))),
            _ => None,
        }
    }

    /// Newtonsoft's name of the node's type: `JObject`, `JArray`, …
    pub(crate) fn class(&self) -> &'static str {
        self.with(|content| match content {
            Content::Object(_) => "JObject",
            Content::Array(_) => "JArray",
            Content::Property(..) => "JProperty",
            _ => "JValue",
        })
    }

    /// Whether two trees hold the same.
    pub(crate) fn deep_equals(&self, other: &Self) -> bool {
        match (self.content(), other.content()) {
            (Content::Object(a), Content::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(name, value)| {
                        b.get(name).is_some_and(|other| value.deep_equals(other))
                    })
            }
            (Content::Array(a), Content::Array(b)) => {
                a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.deep_equals(b))
            }
            (Content::Property(a, x), Content::Property(b, y)) => a == b && x.deep_equals(&y),
            (Content::Null, Content::Null) => true,
            (Content::Bool(a), Content::Bool(b)) => a == b,
            (Content::Integer(a), Content::Integer(b)) => a == b,
            #[allow(clippy::float_cmp, reason = "the same number, not a near one")]
            (Content::Float(a), Content::Float(b)) => a == b,
            (Content::String(a), Content::String(b)) => a == b,
            (Content::Date(a), Content::Date(b)) => a == b,
            _ => false,
        }
    }

    /// JSON text, indented by two blanks as Newtonsoft does, or on one line.
    pub(crate) fn write(&self, indented: bool) -> String {
        let mut out = String::new();
        self.write_to(&mut out, indented, 0);
        out
    }

    fn write_to(&self, out: &mut String, indented: bool, level: usize) {
        let line = |out: &mut String, level: usize| {
            if indented {
                out.push_str("\r\n");
                out.extend(std::iter::repeat_n("  ", level));
            }
        };
        match self.content() {
            Content::Object(entries) if entries.is_empty() => out.push_str("{}"),
            Content::Object(entries) => {
                out.push('{');
                for (index, (name, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    line(out, level + 1);
                    quote(name, out);
                    out.push_str(if indented { ": " } else { ":" });
                    value.write_to(out, indented, level + 1);
                }
                line(out, level);
                out.push('}');
            }
            Content::Array(items) if items.is_empty() => out.push_str("[]"),
            Content::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    line(out, level + 1);
                    item.write_to(out, indented, level + 1);
                }
                line(out, level);
                out.push(']');
            }
            Content::Property(name, value) => {
                quote(&name, out);
                out.push_str(if indented { ": " } else { ":" });
                value.write_to(out, indented, level);
            }
            Content::Null => out.push_str("null"),
            Content::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Content::Integer(value) => out.push_str(&value.to_string()),
            Content::Float(value) => out.push_str(&float_text(value)),
            Content::String(text) => quote(&text, out),
            Content::Date(date) => quote(&date.json(), out),
        }
    }
}

/// Where a container holds a node.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Name(Arc<str>),
    Index(usize),
}

/// A fraction of JSON keeps a decimal point, so that it is read as one again.
fn float_text(value: f64) -> String {
    let text = super::Number::Double(value).to_string();
    if !value.is_finite() {
        return format!("\"{text}\"");
    }
    if text.contains(['.', 'E']) {
        text
    } else {
        format!("{text}.0")
    }
}

/// A JSON string; what is not ASCII stays as it is, as with Newtonsoft.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{0}'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

impl fmt::Display for Token {
    /// What `ToString()` gives: the text of a value, JSON of everything else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content() {
            Content::Null => Ok(()),
            Content::Bool(value) => f.write_str(if value { "True" } else { "False" }),
            Content::Integer(value) => value.fmt(f),
            Content::Float(value) => super::Number::Double(value).fmt(f),
            Content::String(text) => f.write_str(&text),
            Content::Date(date) => date.fmt(f),
            _ => f.write_str(&self.write(true)),
        }
    }
}
