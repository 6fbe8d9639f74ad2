//! Policy documents: the tree, the rules it must keep, its text.
//!
//! Plugins return typed trees ([`model`]). [`compose`] puts them in their
//! places, checks the documents ([`check`], [`check_references`]) and hands
//! out only what passed; [`print()`] writes it as `rawxml`. [`parse()`] reads
//! what API Management gives back, and [`canonical`] says whether it means the
//! same. Nothing here knows a plugin by name.

pub mod canonical;
mod check;
mod compose;
pub mod csharp;
mod document;
mod literal;
pub mod model;
mod parse;
mod print;
mod references;
mod schema;
mod text;

pub use crate::tier::Tier;
pub use check::check;
pub use compose::{Contribution, SendTo, Sends, compose, compose_granted, compose_with};
pub use document::{Documents, PolicyDocument, PolicyError, Statement};
pub use model::{
    Attribute, Diagnostic, Element, Form, Fragment, Generated, Node, Part, Phase, Section,
    Severity, Target, Value,
};
pub use parse::{Format, ParseError, Tree, parse, parse_statements, parse_tree};
pub use print::{print, print_element};
pub use references::{
    Grants, OwnValues, Reference, ReferenceKind, Standing, check_references, references,
};
pub use text::is_named_value_name;

#[cfg(test)]
mod tests;

/// The deepest nesting of elements that is taken from anyone. Real documents
/// stay below 20; deeper ones only serve to exhaust a stack.
pub const MAX_DEPTH: usize = 64;

/// How many elements are nested in the element, itself included. Does not
/// recurse.
fn depth(element: &Element) -> usize {
    let mut deepest = 0;
    let mut open = vec![(element, 1)];
    while let Some((element, level)) = open.pop() {
        deepest = deepest.max(level);
        open.extend(element.elements().map(|child| (child, level + 1)));
    }
    deepest
}
