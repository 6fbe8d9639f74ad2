//! The documents of API Management policies as text and as a tree: reading
//! both formats (`xml`, and `rawxml` with C# in attributes and text), writing
//! them as the service returns them, and finding what is C# and what is a
//! named value in them.
//!
//! The local Azure checks documents with it and the local gateway executes
//! them with it. It must never know what a policy means, and never share code
//! with the operator, whose own reader it is the counterpart of.

#![forbid(unsafe_code)]

mod document;
pub mod expression;
mod named_values;
mod parser;
mod print;

pub use document::{Attribute, Document, Element, Node, Position};
pub use named_values::{named_values, replace_named_values};
pub use parser::{ParseError, parse};
pub use print::print;

/// How a policy document is written: the `format` property of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyFormat {
    /// `xml`: well-formed XML, expressions entity-encoded.
    Xml,
    /// `rawxml`: C# stands unescaped in attributes and text.
    RawXml,
}
