//! `set-method`: <https://learn.microsoft.com/azure/api-management/set-method-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

struct SetMethod(Value<String>);

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    Ok(Box::new(SetMethod(Reader::new(element, compiler).text()?)))
}

#[async_trait]
impl Policy for SetMethod {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let method = exchange.get(&self.0).await?;
        exchange.context.request.method = method.trim().to_ascii_uppercase();
        Ok(Flow::Continue)
    }
}
