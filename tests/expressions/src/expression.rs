//! An expression from its text to its value.

use std::sync::Arc;

use crate::error::{Position, Refusal};
use crate::{Context, EvaluationError, Limits, ParseError, Value};

/// An expression that has been parsed and type-checked.
#[derive(Debug, Clone)]
pub struct Expression {
    source: Arc<str>,
}

impl Expression {
    /// Parses and checks `@(expression)` or `@{ statements }`, with the `@`;
    /// white space around it is allowed. Named values (`{{name}}`) must be
    /// resolved before. The error's line and column count from the beginning
    /// of `source`.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        Err(Refusal::new(Position(0), "expressions are not known").into_error(source))
    }

    /// The text this expression was parsed from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it may read `context.Request.Body`, which the gateway then has
    /// to have read.
    #[must_use]
    pub fn reads_request_body(&self) -> bool {
        true
    }

    /// Whether it may read `context.Response.Body`.
    #[must_use]
    pub fn reads_response_body(&self) -> bool {
        true
    }

    /// The value. What the expression does to the context (a body that is read
    /// without being preserved, `context.Trace`, random numbers) stays done
    /// also where it fails.
    pub fn evaluate(
        &self,
        _context: &mut Context,
        _limits: &Limits,
    ) -> Result<Value, EvaluationError> {
        Ok(Value::Null)
    }
}
