//! From a tree to what can be executed: names, types, members, conversions.
//! Whatever is not known is refused here, before any request.

mod calls;
mod conversions;
mod creation;
mod expressions;
mod lambdas;
mod names;
mod operators;
mod scope;
mod statements;

use crate::error::{Position, Refusal};
use crate::evaluate::{Code, Function, FunctionBody, Op};
use crate::syntax::Program;
use crate::types::Type;
use crate::value::Value;
use scope::Scope;

/// A checked expression.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) function: Function,
    pub(crate) reads_request_body: bool,
    pub(crate) reads_response_body: bool,
    pub(crate) result: Type,
}

/// What checks.
pub(crate) struct Checker {
    scope: Scope,
    reads_request_body: bool,
    reads_response_body: bool,
    /// The slots of the receivers of `?.`, innermost last.
    receivers: Vec<(usize, Type)>,
}

/// An expression and its type.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) code: Code,
    pub(crate) kind: Type,
}

impl Typed {
    fn new(at: Position, op: Op, kind: Type) -> Self {
        Self {
            code: Code { at, op },
            kind,
        }
    }

    /// The value, where it is known before any request.
    fn constant(&self) -> Option<&Value> {
        match &self.code.op {
            Op::Constant(value) => Some(value),
            _ => None,
        }
    }
}

/// Checks a whole expression.
pub(crate) fn check(program: &Program) -> Result<Checked, Refusal> {
    let mut checker = Checker {
        scope: Scope::new(),
        reads_request_body: false,
        reads_response_body: false,
        receivers: Vec::new(),
    };
    let (body, result) = match program {
        Program::Expression(node) => {
            let typed = checker.value(node)?;
            (FunctionBody::Expression(typed.code), typed.kind)
        }
        Program::Block(statements) => {
            checker.scope.function_mut().result = None;
            let (statements, ends) = checker.block(statements)?;
            if !ends {
                return Err(Refusal::new(
                    Position(0),
                    "Not all code paths return a value",
                ));
            }
            let kinds = std::mem::take(&mut checker.scope.function_mut().returned);
            let result = match kinds.split_first() {
                Some((first, rest)) if rest.iter().all(|kind| kind == first) => first.clone(),
                _ => Type::Object,
            };
            (FunctionBody::Block(statements), result)
        }
    };
    let shared = checker.scope.shared();
    Ok(Checked {
        function: Function {
            parameters: 0,
            shared,
            body,
        },
        reads_request_body: checker.reads_request_body,
        reads_response_body: checker.reads_response_body,
        result,
    })
}
