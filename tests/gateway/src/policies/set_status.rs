//! `set-status`: <https://learn.microsoft.com/azure/api-management/set-status-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::{PolicyError, reason_phrase};
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

/// A status, also as a part of `return-response`.
pub(super) struct SetStatus {
    code: Value<i64>,
    reason: Option<Value<String>>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    Ok(Box::new(SetStatus::read(&Reader::new(element, compiler))?))
}

impl SetStatus {
    pub(super) fn read(reader: &Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        Ok(Self {
            code: reader.required("code")?,
            reason: reader.value("reason")?,
        })
    }

    pub(super) async fn apply(&self, exchange: &mut Exchange) -> Result<(), PolicyError> {
        let code = exchange.get(&self.code).await?;
        let status = u16::try_from(code)
            .ok()
            .filter(|status| (200..1000).contains(status))
            .ok_or_else(|| {
                PolicyError::internal(
                    "ExpressionValueEvaluationFailure",
                    format!("{code} is no status that a response can have."),
                )
            })?;
        let reason = exchange.get_option(self.reason.as_ref()).await?;
        let response = exchange.response_mut();
        response.status_code = i32::from(status);
        response.status_reason = reason.unwrap_or_else(|| reason_phrase(status).to_owned());
        Ok(())
    }
}

#[async_trait]
impl Policy for SetStatus {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        self.apply(exchange).await?;
        Ok(Flow::Continue)
    }
}
