//! From text to a tree that knows nothing of types.

mod expressions;
mod lexer;
mod literals;
mod parser;
mod primary;
mod statements;
mod tree;
mod type_names;

pub(crate) use lexer::end_of_expression;
pub(crate) use parser::{parse, parse_signature};
pub(crate) use tree::{
    Argument, AssignOperator, BinaryOperator, Body, Catch, Initializer, LocalFunction, Node,
    NodeKind, Passing, Piece, Program, Section, Signature, SignatureKind, Statement, StatementKind,
    TypeName, UnaryOperator,
};
