//! `set-body`: <https://learn.microsoft.com/azure/api-management/set-body-policy>.

use super::not_executed::stand_in;
use super::{Flow, Policy};
use crate::body::BodyState;
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use bytes::Bytes;
use policy_document::{Element, Node};

/// A body, also as a part of `return-response` and `send-request`.
pub(super) struct SetBody(Value<String>);

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    if is_liquid(element) {
        return Ok(stand_in("set-body with template=\"liquid\"", compiler));
    }
    Ok(Box::new(SetBody::read(&Reader::new(element, compiler))?))
}

/// Liquid templates are not executed.
pub(super) fn is_liquid(element: &Element) -> bool {
    element
        .attribute("template")
        .is_some_and(|template| template.trim().eq_ignore_ascii_case("liquid"))
}

impl SetBody {
    pub(super) fn read(reader: &Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        let holds_elements = reader
            .element
            .children
            .iter()
            .any(|node| matches!(node, Node::Element(_)));
        if holds_elements {
            return reader.fail("A body that is written as XML elements is not executed: write it as text or CDATA.");
        }
        reader.text().map(Self)
    }

    /// The body: the bytes of what an expression gives, or the text.
    pub(super) async fn bytes(&self, exchange: &mut Exchange) -> Result<Bytes, PolicyError> {
        match &self.0 {
            Value::Literal(text) => Ok(Bytes::from(text.clone())),
            Value::Expression(expression) => {
                let value = exchange.evaluate(expression).await?;
                Ok(Bytes::from(value.to_body()))
            }
        }
    }
}

#[async_trait]
impl Policy for SetBody {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let body = self.bytes(exchange).await?;
        let body = if body.is_empty() {
            BodyState::None
        } else {
            BodyState::Bytes(body)
        };
        if exchange.on_request() {
            exchange.request_body = body;
        } else {
            exchange.response_mut();
            exchange.response_body = body;
        }
        Ok(Flow::Continue)
    }
}
