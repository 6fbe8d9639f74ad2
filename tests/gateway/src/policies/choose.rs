//! `choose`: <https://learn.microsoft.com/azure/api-management/choose-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Step, Value};
use crate::engine::run_steps;
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

struct Choose {
    when: Vec<(Value<bool>, Vec<Step>)>,
    otherwise: Vec<Step>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut choose = Choose {
        when: Vec::new(),
        otherwise: Vec::new(),
    };
    for child in element.elements() {
        match child.name.as_str() {
            "when" => {
                let condition = Reader::new(element, compiler)
                    .part(child)
                    .required("condition")?;
                let part = format!("when[{}]", choose.when.len() + 1);
                let steps = compiler.below(child, part, |compiler| compiler.steps(child))?;
                choose.when.push((condition, steps));
            }
            "otherwise" => {
                choose.otherwise = compiler.below(child, "otherwise".to_owned(), |compiler| {
                    compiler.steps(child)
                })?;
            }
            other => {
                let message = format!("The element 'choose' has invalid child element '{other}'.");
                return Err(CompileError::new(element, message));
            }
        }
    }
    Ok(Box::new(choose))
}

#[async_trait]
impl Policy for Choose {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        for (condition, steps) in &self.when {
            if exchange.get(condition).await? {
                return run_steps(exchange, steps.iter()).await;
            }
        }
        run_steps(exchange, self.otherwise.iter()).await
    }
}
