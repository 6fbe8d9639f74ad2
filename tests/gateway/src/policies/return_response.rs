//! `return-response`:
//! <https://learn.microsoft.com/azure/api-management/return-response-policy>.

use super::set_body::{self, SetBody};
use super::set_header::SetHeader;
use super::set_status::SetStatus;
use super::{Flow, Policy};
use crate::body::BodyState;
use crate::compile::{CompileError, Compiler, Reader};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use apim_expressions::{MultiMap, Value};
use async_trait::async_trait;
use bytes::Bytes;
use policy_document::Element;

struct ReturnResponse {
    /// The variable that holds a response to begin with.
    variable: Option<String>,
    status: Option<SetStatus>,
    headers: Vec<SetHeader>,
    body: Option<SetBody>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    let mut policy = ReturnResponse {
        variable: reader.text_of("response-variable-name")?,
        status: None,
        headers: Vec::new(),
        body: None,
    };
    for child in element.elements() {
        let mut part = reader.part(child);
        match child.name.as_str() {
            "set-status" => policy.status = Some(SetStatus::read(&part)?),
            "set-header" => policy.headers.push(SetHeader::read(&mut part)?),
            "set-body" if set_body::is_liquid(child) => {
                return part.fail("A body from a liquid template is not executed.");
            }
            "set-body" => policy.body = Some(SetBody::read(&part)?),
            other => {
                return part.fail(format!(
                    "The element '{other}' is not executed in 'return-response'."
                ));
            }
        }
    }
    Ok(Box::new(policy))
}

#[async_trait]
impl Policy for ReturnResponse {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        // What the parts say may be about the response that was there.
        let body = match &self.body {
            Some(body) => Some(body.bytes(exchange).await?),
            None => None,
        };
        let mut headers = MultiMap::new();
        let begun = self
            .variable
            .as_ref()
            .and_then(|name| exchange.context.variables.get(name));
        let begun = match begun {
            Some(Value::Response(response)) => Some(response.clone()),
            _ => None,
        };
        if let Some(begun) = &begun {
            headers = begun.headers.clone();
        }
        for header in &self.headers {
            header.apply_to(exchange, &mut headers).await?;
        }
        // Without anything said: 200 without a body (documented).
        let previous = exchange.context.response.take();
        exchange.respond(200, headers, Bytes::new());
        if let Some(begun) = begun {
            let response = exchange.response_mut();
            response.status_code = begun.status_code;
            response.status_reason.clone_from(&begun.status_reason);
            if !begun.body.bytes().is_empty() {
                exchange.response_body = BodyState::Bytes(begun.body.bytes().clone());
            }
        }
        if let Some(status) = &self.status {
            // An expression of the status may read the response that was there.
            let new = std::mem::replace(&mut exchange.context.response, previous);
            let before = exchange.context.response.clone();
            status.apply(exchange).await?;
            let said = exchange.context.response.take();
            exchange.context.response = new;
            drop(before);
            if let Some(said) = said {
                let response = exchange.response_mut();
                response.status_code = said.status_code;
                response.status_reason = said.status_reason;
            }
        }
        if let Some(body) = body {
            exchange.response_body = if body.is_empty() {
                BodyState::None
            } else {
                BodyState::Bytes(body)
            };
        }
        Ok(Flow::Respond)
    }
}
