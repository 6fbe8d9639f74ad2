//! `check-header`: <https://learn.microsoft.com/azure/api-management/check-header-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

struct CheckHeader {
    name: Value<String>,
    status: Value<i64>,
    message: Value<String>,
    ignore_case: Value<bool>,
    values: Vec<Value<String>>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    Ok(Box::new(CheckHeader {
        name: reader.required("name")?,
        status: reader.required("failed-check-httpcode")?,
        message: reader.required("failed-check-error-message")?,
        ignore_case: reader.required("ignore-case")?,
        values: reader.texts("value")?,
    }))
}

#[async_trait]
impl Policy for CheckHeader {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let name = exchange.get(&self.name).await?;
        let ignore_case = exchange.get(&self.ignore_case).await?;
        let allowed = exchange.get_all(&self.values).await?;
        let sent = exchange.request_header(&name);
        let (reason, message) = match &sent {
            None => (
                "HeaderNotFound",
                format!("Header {name} was not found in the request. Access denied."),
            ),
            // Without values, the header's presence is asked for.
            Some(_) if allowed.is_empty() => return Ok(Flow::Continue),
            Some(sent) => {
                let fits = |value: &String| {
                    if ignore_case {
                        value.trim().to_lowercase() == sent.trim().to_lowercase()
                    } else {
                        value.trim() == sent.trim()
                    }
                };
                if allowed.iter().any(fits) {
                    return Ok(Flow::Continue);
                }
                (
                    "HeaderValueNotAllowed",
                    format!("Header {name} value of {sent} is not allowed. Access denied."),
                )
            }
        };
        let status = exchange.get(&self.status).await?;
        let told = exchange.get(&self.message).await?;
        let status = u16::try_from(status).unwrap_or(401);
        Err(PolicyError::told(status, reason, message).telling(told))
    }
}
