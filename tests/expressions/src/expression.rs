//! An expression from its text to its value.

use std::sync::Arc;

use crate::check::{Checked, check};
use crate::evaluate::Machine;
use crate::syntax;
use crate::types::Type;
use crate::{Context, EvaluationError, Limits, ParseError, Value};

/// An expression that has been parsed and type-checked.
#[derive(Debug, Clone)]
pub struct Expression {
    source: Arc<str>,
    checked: Arc<Checked>,
}

impl Expression {
    /// Parses and checks `@(expression)` or `@{ statements }`, with the `@`;
    /// white space around it is allowed. Named values (`{{name}}`) must be
    /// resolved before. The error's line and column count from the beginning
    /// of `source`.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        let program = syntax::parse(source).map_err(|refusal| refusal.into_error(source))?;
        let checked = check(&program).map_err(|refusal| refusal.into_error(source))?;
        Ok(Self {
            source: source.into(),
            checked: Arc::new(checked),
        })
    }

    /// The byte offset behind the expression that a text begins with, for
    /// readers of documents in which expressions stand unescaped. The text may
    /// go on behind it with anything.
    pub fn end_of(source: &str) -> Result<usize, ParseError> {
        syntax::end_of_expression(source).map_err(|refusal| refusal.into_error(source))
    }

    /// The text this expression was parsed from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The C# type of its value, as `string`; `object` where that is only
    /// known when it is executed.
    #[must_use]
    pub fn result_type(&self) -> String {
        match &self.checked.result {
            Type::Null => "object".to_owned(),
            other => other.to_string(),
        }
    }

    /// Whether it may read `context.Request.Body`, which the gateway then has
    /// to have read.
    #[must_use]
    pub fn reads_request_body(&self) -> bool {
        self.checked.reads_request_body
    }

    /// Whether it may read `context.Response.Body`.
    #[must_use]
    pub fn reads_response_body(&self) -> bool {
        self.checked.reads_response_body
    }

    /// The value. What the expression does to the context (a body that is read
    /// without being preserved, `context.Trace`, random numbers) stays done
    /// also where it fails.
    pub fn evaluate(
        &self,
        context: &mut Context,
        limits: &Limits,
    ) -> Result<Value, EvaluationError> {
        Machine::new(context, limits)
            .run(&self.checked.function)
            .map_err(|fault| fault.into_error(&self.source))
    }
}
