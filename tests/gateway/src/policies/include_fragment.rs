//! `include-fragment`:
//! <https://learn.microsoft.com/azure/api-management/include-fragment-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Step};
use crate::engine::run_steps;
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

struct IncludeFragment(Vec<Step>);

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let id: String = Reader::new(element, compiler).required_literal("fragment-id")?;
    let steps = compiler.fragment(element, &id)?;
    Ok(Box::new(IncludeFragment(steps)))
}

#[async_trait]
impl Policy for IncludeFragment {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        run_steps(exchange, self.0.iter()).await
    }
}
