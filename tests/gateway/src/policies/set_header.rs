//! `set-header`: <https://learn.microsoft.com/azure/api-management/set-header-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value, keyword};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use apim_expressions::MultiMap;
use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use policy_document::Element;

keyword!(
    /// What happens to what is there already.
    ExistsAction {
        Override = "override",
        Append = "append",
        Skip = "skip",
        Delete = "delete",
    }
);

/// One header, also as a part of `return-response` and `send-request`.
pub(super) struct SetHeader {
    name: Value<String>,
    exists: Value<ExistsAction>,
    values: Vec<Value<String>>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    Ok(Box::new(SetHeader::read(&mut Reader::new(
        element, compiler,
    ))?))
}

impl SetHeader {
    pub(super) fn read(reader: &mut Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        Ok(Self {
            name: reader.required("name")?,
            exists: reader
                .value("exists-action")?
                .unwrap_or(Value::Literal(ExistsAction::Override)),
            values: reader.texts("value")?,
        })
    }

    /// The name, what to do, and the values.
    async fn resolve(
        &self,
        exchange: &mut Exchange,
    ) -> Result<(String, ExistsAction, Vec<String>), PolicyError> {
        let name = exchange.get(&self.name).await?;
        let exists = exchange.get(&self.exists).await?;
        let values = exchange.get_all(&self.values).await?;
        // That the policy fails is inferred: .NET, in which the service is
        // written, throws where a header is set that HTTP has not. Left out in
        // silence, it would be one on which somebody relies.
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(impossible(format!("'{name}' is no name of a header.")));
        }
        let no_value = |value: &String| HeaderValue::from_bytes(value.trim().as_bytes()).is_err();
        if exists != ExistsAction::Delete && values.iter().any(no_value) {
            let message = format!("The value of the header '{name}' holds a control character.");
            return Err(impossible(message));
        }
        Ok((name, exists, values))
    }

    /// Sets the header in `headers`.
    pub(super) async fn apply_to(
        &self,
        exchange: &mut Exchange,
        headers: &mut MultiMap,
    ) -> Result<(), PolicyError> {
        let (name, exists, values) = self.resolve(exchange).await?;
        apply(headers, &name, exists, values);
        Ok(())
    }
}

fn impossible(message: String) -> PolicyError {
    PolicyError::internal("InvalidHeader", message)
}

/// White space around a value is not part of it (RFC 9110, 5.5).
fn apply(headers: &mut MultiMap, name: &str, exists: ExistsAction, values: Vec<String>) {
    let values: Vec<String> = values
        .into_iter()
        .map(|value| value.trim().to_owned())
        .collect();
    match exists {
        ExistsAction::Delete => {
            headers.remove(name);
        }
        ExistsAction::Skip if headers.get(name).is_some() => {}
        // Without a value nothing is left to set (inferred).
        ExistsAction::Override if values.is_empty() => {
            headers.remove(name);
        }
        ExistsAction::Override | ExistsAction::Skip => {
            headers.remove(name);
            for value in values {
                headers.append(name, value);
            }
        }
        ExistsAction::Append => {
            for value in values {
                headers.append(name, value);
            }
        }
    }
}

#[async_trait]
impl Policy for SetHeader {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let (name, exists, values) = self.resolve(exchange).await?;
        apply(exchange.headers_mut(), &name, exists, values);
        Ok(Flow::Continue)
    }
}
