//! `set-variable`:
//! <https://learn.microsoft.com/azure/api-management/set-variable-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

struct SetVariable {
    name: String,
    value: Value<String>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(SetVariable {
        name: reader.required_literal("name")?,
        value: reader.required("value")?,
    }))
}

#[async_trait]
impl Policy for SetVariable {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        // A literal is a string; an expression's value keeps its type.
        let value = match &self.value {
            Value::Literal(text) => text.clone().into(),
            Value::Expression(expression) => exchange.evaluate(expression).await?,
        };
        let variables = &mut exchange.context.variables;
        variables.insert(self.name.clone(), value);
        Ok(Flow::Continue)
    }
}
