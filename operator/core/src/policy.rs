//! Policy documents: the tree, the rules it must keep, its text.

pub mod model;

pub use model::{
    Attribute, Diagnostic, Element, Form, Fragment, Generated, Node, Part, Phase, Section,
    Severity, Target, Value,
};
