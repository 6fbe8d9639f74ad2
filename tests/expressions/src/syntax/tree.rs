//! The tree that the parser makes.

use std::sync::Arc;

use crate::error::{Position, Refusal};
use crate::value::Value;

/// How deep an expression may nest: no document is near it, and the stack holds
/// what walks the tree.
const MAX_DEPTH: u16 = 160;

/// What the compiler says of an expression that nests too deeply.
pub(super) const TOO_DEEP: &str = "An expression is too long or complex to compile";

/// An expression.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Position,
    /// Of how many nodes, one within the other, it is made.
    pub(crate) depth: u16,
    pub(crate) kind: NodeKind,
}

impl Node {
    /// A node without any below it.
    pub(crate) fn leaf(at: Position, kind: NodeKind) -> Self {
        Self { at, depth: 1, kind }
    }

    /// A node above others, of which the deepest is of this depth.
    pub(crate) fn above(at: Position, kind: NodeKind, depth: u16) -> Result<Self, Refusal> {
        if depth >= MAX_DEPTH {
            return Err(Refusal::new(at, TOO_DEEP));
        }
        Ok(Self {
            at,
            depth: depth + 1,
            kind,
        })
    }
}

/// What an expression is.
#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    Literal(Value),
    Interpolated(Vec<Piece>),
    /// A name, with type arguments where it is called with some.
    Name(Arc<str>, Vec<TypeName>),
    /// A type that is written with a keyword, before a dot: `string.Empty`.
    Type(TypeName),
    Member(Box<Node>, Arc<str>, Vec<TypeName>),
    Index(Box<Node>, Vec<Argument>),
    Call(Box<Node>, Vec<Argument>),
    /// `a?.b.c`: a, and what is done with it where it is not null, in which
    /// it stands as [`NodeKind::Receiver`].
    NullConditional(Box<Node>, Box<Node>),
    Receiver,
    Unary(UnaryOperator, Box<Node>),
    Binary(BinaryOperator, Box<Node>, Box<Node>),
    Assign(AssignOperator, Box<Node>, Box<Node>),
    /// `++` and `--`: whether up, whether written before.
    Step {
        up: bool,
        before: bool,
        target: Box<Node>,
    },
    Conditional(Box<Node>, Box<Node>, Box<Node>),
    Cast(TypeName, Box<Node>),
    /// `x is T name`.
    Is(Box<Node>, TypeName, Option<Arc<str>>),
    As(Box<Node>, TypeName),
    Lambda(Vec<Parameter>, Box<Body>),
    New(TypeName, Vec<Argument>, Option<Initializer>),
    /// `new T[n]`, `new T[] { … }` and `new[] { … }`.
    NewArray(Option<TypeName>, Option<Box<Node>>, Option<Vec<Node>>),
    NewAnonymous(Vec<(Arc<str>, Node)>),
    Default(Option<TypeName>),
    Throw(Box<Node>),
}

/// A part of an interpolated string.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(Arc<str>),
    Hole {
        value: Node,
        alignment: Option<i32>,
        format: Option<Arc<str>>,
    },
}

/// What stands in a call's parentheses.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) passing: Passing,
    pub(crate) value: Node,
}

/// How an argument is passed.
#[derive(Debug, Clone)]
pub(crate) enum Passing {
    Value,
    /// `out x`.
    Out,
    /// `out var x`, `out T x`: the value is the name.
    OutNew(Option<TypeName>),
}

/// `{ … }` behind `new T()`.
#[derive(Debug, Clone)]
pub(crate) enum Initializer {
    /// `{ a, b }` and `{ { k, v } }`: what `Add` is called with.
    Items(Vec<Vec<Node>>),
    /// `{ Key = value }` and `{ ["k"] = value }`.
    Members(Vec<(Section, Node)>),
}

/// What a member initializer sets.
#[derive(Debug, Clone)]
pub(crate) enum Section {
    Name(Arc<str>),
    Index(Node),
}

/// A parameter of a lambda or local function.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Option<TypeName>,
}

/// What a lambda or local function does.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Expression(Node),
    Block(Vec<Statement>),
}

/// A type as it is written.
#[derive(Debug, Clone)]
pub(crate) struct TypeName {
    pub(crate) at: Position,
    /// With its namespace, if any: `System.Text.Encoding`.
    pub(crate) name: Arc<str>,
    pub(crate) arguments: Vec<TypeName>,
    /// `?` as `None`, `[]` as `Some`, from left to right.
    pub(crate) suffixes: Vec<Option<()>>,
}

/// A statement.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) at: Position,
    pub(crate) kind: StatementKind,
}

/// What a statement is.
#[derive(Debug, Clone)]
pub(crate) enum StatementKind {
    /// `var` where there is no type.
    Local(Option<TypeName>, Vec<(Arc<str>, Option<Node>)>),
    Function(LocalFunction),
    Expression(Node),
    If(Node, Box<Statement>, Option<Box<Statement>>),
    While(Node, Box<Statement>),
    DoWhile(Box<Statement>, Node),
    For(Vec<Statement>, Option<Node>, Vec<Node>, Box<Statement>),
    ForEach(Option<TypeName>, Arc<str>, Node, Box<Statement>),
    Switch(Node, Vec<(Vec<Option<Node>>, Vec<Statement>)>),
    Return(Option<Node>),
    Break,
    Continue,
    Block(Vec<Statement>),
    Try(Vec<Statement>, Vec<Catch>, Option<Vec<Statement>>),
    Throw(Option<Node>),
}

/// `catch (T name) when (filter) { … }`.
#[derive(Debug, Clone)]
pub(crate) struct Catch {
    pub(crate) kind: Option<TypeName>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) filter: Option<Node>,
    pub(crate) body: Vec<Statement>,
}

/// A function in a block.
#[derive(Debug, Clone)]
pub(crate) struct LocalFunction {
    pub(crate) name: Arc<str>,
    /// `void` where there is none.
    pub(crate) result: TypeName,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Body,
}

/// A whole `@(…)` or `@{…}`.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    Expression(Node),
    Block(Vec<Statement>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnaryOperator {
    Plus,
    Minus,
    Not,
    Complement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    ShiftLeft,
    ShiftRight,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    Equal,
    NotEqual,
    And,
    Or,
    Xor,
    AndAlso,
    OrElse,
    Coalesce,
}

/// `=`, or an operator with `=`.
pub(crate) type AssignOperator = Option<BinaryOperator>;

/// A member's signature, as the tables of members write it.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) is_static: bool,
    pub(crate) kind: SignatureKind,
    pub(crate) name: Arc<str>,
    pub(crate) result: TypeName,
    pub(crate) type_parameters: Vec<Arc<str>>,
    pub(crate) parameters: Vec<SignatureParameter>,
}

/// What a signature is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureKind {
    Property,
    Method,
    /// A method whose first parameter is written with `this`.
    Extension,
    Constructor,
}

/// A parameter of a signature.
#[derive(Debug, Clone)]
pub(crate) struct SignatureParameter {
    pub(crate) name: Arc<str>,
    pub(crate) kind: TypeName,
    pub(crate) is_out: bool,
    pub(crate) is_params: bool,
    /// What it is where it is not given.
    pub(crate) default: Option<Value>,
}
