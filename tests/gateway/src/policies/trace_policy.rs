//! `trace`: <https://learn.microsoft.com/azure/api-management/trace-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;
use std::fmt::Write as _;

struct Trace {
    source: Value<String>,
    severity: String,
    message: Value<String>,
    metadata: Vec<(String, Value<String>)>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let mut reader = Reader::new(element, compiler);
    // The message stands in an element, in older documents in the policy itself.
    let message = match reader.child("message") {
        Some(message) => reader.part(message).text()?,
        None => reader.text()?,
    };
    let mut metadata = Vec::new();
    for child in element.elements().filter(|child| child.name == "metadata") {
        let part = reader.part(child);
        metadata.push((part.required_literal("name")?, part.required("value")?));
    }
    Ok(Box::new(Trace {
        source: reader.required("source")?,
        severity: reader
            .text_of("severity")?
            .unwrap_or_else(|| "verbose".to_owned()),
        message,
        metadata,
    }))
}

#[async_trait]
impl Policy for Trace {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let source = exchange.get(&self.source).await?;
        let message = exchange.get(&self.message).await?;
        let mut text = format!("[{}] {source}: {}", self.severity, message.trim());
        for (name, value) in &self.metadata {
            let value = exchange.get(value).await?;
            let _ = write!(text, " {name}={value}");
        }
        if let Some(trace) = &mut exchange.trace {
            trace.message(text);
        }
        Ok(Flow::Continue)
    }
}
