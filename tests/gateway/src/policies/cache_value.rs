//! `cache-lookup-value`, `cache-store-value` and `cache-remove-value`:
//! <https://learn.microsoft.com/azure/api-management/cache-lookup-value-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use jiff::SignedDuration;
use policy_document::Element;

struct Lookup {
    key: Value<String>,
    default: Option<Value<String>>,
    variable: String,
}

struct Store {
    key: Value<String>,
    value: Value<String>,
    /// Seconds.
    duration: Value<i64>,
}

struct Remove(Value<String>);

pub(super) fn compile_lookup(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(Lookup {
        key: reader.required("key")?,
        default: reader.value("default-value")?,
        variable: reader.required_literal("variable-name")?,
    }))
}

pub(super) fn compile_store(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(Store {
        key: reader.required("key")?,
        value: reader.required("value")?,
        duration: reader.required("duration")?,
    }))
}

pub(super) fn compile_remove(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(Remove(reader.required("key")?)))
}

/// Values belong to a service.
async fn key_of(exchange: &mut Exchange, key: &Value<String>) -> Result<String, PolicyError> {
    let key = exchange.get(key).await?;
    Ok(format!("{}\n{key}", exchange.service.configuration.name))
}

/// What a value is: a literal is a string, an expression keeps its type.
async fn value_of(
    exchange: &mut Exchange,
    value: &Value<String>,
) -> Result<apim_expressions::Value, PolicyError> {
    match value {
        Value::Literal(text) => Ok(text.clone().into()),
        Value::Expression(expression) => exchange.evaluate(expression).await,
    }
}

#[async_trait]
impl Policy for Lookup {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let key = key_of(exchange, &self.key).await?;
        let now = exchange.now();
        let found = match (exchange.shared.values.get(&key, now), &self.default) {
            (Some(found), _) => Some(found),
            (None, Some(default)) => Some(value_of(exchange, default).await?),
            // Documented: without a default, the variable is not set.
            (None, None) => None,
        };
        if let Some(found) = found {
            let variables = &mut exchange.context.variables;
            variables.insert(self.variable.clone(), found);
        }
        Ok(Flow::Continue)
    }
}

#[async_trait]
impl Policy for Store {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let key = key_of(exchange, &self.key).await?;
        let value = value_of(exchange, &self.value).await?;
        let seconds = exchange.get(&self.duration).await?;
        let life = SignedDuration::from_secs(seconds.max(0));
        if let Ok(expires) = exchange.now().checked_add(life) {
            exchange.shared.values.put(key, value, expires);
        }
        Ok(Flow::Continue)
    }
}

#[async_trait]
impl Policy for Remove {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let key = key_of(exchange, &self.0).await?;
        exchange.shared.values.remove(&key);
        Ok(Flow::Continue)
    }
}
