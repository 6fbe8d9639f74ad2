//! Executes checked expressions, within limits.

mod convert;
mod format;
mod machine;
mod operators;
pub(crate) mod sequence;
mod statements;
mod time_format;

pub(crate) use convert::{
    default_of, equal, from_json_value, is_instance, json_kind, key, same, to_json, type_of,
};
pub(crate) use format::{format_value, interpolate, string_format};
pub(crate) use machine::{Call, Machine, Run, Slot, split_mix};
pub(crate) use time_format::{day_of_week, format_date, parse_date};

use std::sync::Arc;

use crate::error::Position;
use crate::syntax::BinaryOperator;
use crate::types::Type;
use crate::value::{Arithmetic, Kind, Value};

/// A checked expression.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) at: Position,
    pub(crate) op: Op,
}

/// What a checked expression does.
#[derive(Debug)]
pub(crate) enum Op {
    Constant(Value),
    Local(usize),
    Captured(usize),
    Set(Target, Box<Code>),
    /// A member of the tables.
    Call(Box<MemberCall>),
    /// A function that is a value.
    Invoke(Box<Code>, Vec<Code>),
    Closure(Arc<Function>, Vec<Target>),
    /// One after the other; the last one's value.
    Sequence(Vec<Code>),
    Arithmetic(Arithmetic, Box<Code>, Box<Code>),
    Shift {
        left: bool,
        value: Box<Code>,
        by: Box<Code>,
    },
    /// `<`, `<=`, `>`, `>=` of numbers, characters and times.
    Compare(BinaryOperator, Box<Code>, Box<Code>),
    Equal {
        negated: bool,
        by: Equality,
        left: Box<Code>,
        right: Box<Code>,
    },
    /// `&`, `|` and `^` of booleans.
    Logic(Arithmetic, Box<Code>, Box<Code>),
    AndAlso(Box<Code>, Box<Code>),
    OrElse(Box<Code>, Box<Code>),
    Not(Box<Code>),
    Negate(Box<Code>),
    Complement(Box<Code>),
    Concat(Vec<Code>),
    Conditional(Box<Code>, Box<Code>, Box<Code>),
    Coalesce(Box<Code>, Box<Code>),
    /// A value, the slot it is put in, and what is done where it is not null.
    NullConditional(Box<Code>, usize, Box<Code>),
    Convert(Conversion, Box<Code>),
    Is(Box<Code>, Type, Option<Target>),
    As(Box<Code>, Type),
    NewArray(Type, Box<Code>),
    ArrayOf(Type, Vec<Code>),
    Anonymous(Arc<[Arc<str>]>, Vec<Code>),
    Field(Box<Code>, usize),
    Interpolate(Vec<Part>),
    Throw(Box<Code>),
    /// `a + b` and the like of dates and times.
    TimeArithmetic(bool, Box<Code>, Box<Code>),
}

/// A call of a member.
#[derive(Debug)]
pub(crate) struct MemberCall {
    pub(crate) run: Run,
    /// Whether the first argument must not be null.
    pub(crate) on_instance: bool,
    pub(crate) types: Vec<Type>,
    pub(crate) arguments: Vec<Code>,
    /// Which arguments are written back, and where to.
    pub(crate) outs: Vec<(usize, Target)>,
}

/// A part of an interpolated string.
#[derive(Debug)]
pub(crate) enum Part {
    Text(Arc<str>),
    Hole {
        value: Code,
        alignment: i32,
        format: Option<Arc<str>>,
    },
}

/// A variable of this function, or one that it captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Local(usize),
    Captured(usize),
}

/// What makes two values equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Equality {
    /// As `Equals`: numbers of one type, texts, times and the like.
    Value,
    /// The same object.
    Reference,
}

/// How a value becomes one of another type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Conversion {
    /// Numbers, characters and enumerations; null stays null.
    Number(Kind),
    Char,
    /// A value as a JSON value.
    ToJson,
    /// A JSON value as a value, as Newtonsoft's explicit operators do it.
    FromJson(Type),
    ToDateTimeOffset,
    /// A reference, or a boxed value: what it is must fit.
    Cast(Type),
    /// `T?` to `T`.
    Unwrap,
}

/// A lambda, a local function, or the whole expression.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) parameters: usize,
    /// For each slot, whether functions within share it.
    pub(crate) shared: Vec<bool>,
    pub(crate) body: FunctionBody,
}

/// What a function does.
#[derive(Debug)]
pub(crate) enum FunctionBody {
    Expression(Code),
    Block(Block),
}

/// Statements with the slots of the variables they declare.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) slots: Vec<usize>,
    pub(crate) statements: Vec<Instruction>,
}

/// A checked statement.
#[derive(Debug)]
pub(crate) enum Instruction {
    Expression(Code),
    /// Gives a variable its first value.
    Declare(usize, Option<Code>, Type),
    If(Code, Block, Option<Block>),
    While(Code, Block),
    DoWhile(Block, Code),
    For {
        before: Block,
        condition: Option<Code>,
        after: Vec<Code>,
        body: Block,
    },
    ForEach {
        slot: usize,
        conversion: Option<Conversion>,
        source: Code,
        body: Block,
    },
    Switch {
        value: Code,
        /// Labels (`None`: default) and what is done.
        sections: Vec<(Vec<Option<Value>>, Block)>,
    },
    Return(Option<Code>),
    Break,
    Continue,
    Block(Block),
    Try {
        body: Block,
        catches: Vec<Handler>,
        finally: Option<Block>,
    },
    Throw(Position, Option<Code>),
}

/// A checked `catch`.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) exception: &'static str,
    pub(crate) slot: Option<usize>,
    pub(crate) filter: Option<Code>,
    pub(crate) body: Block,
}
