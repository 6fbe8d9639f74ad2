//! `set-backend-service`:
//! <https://learn.microsoft.com/azure/api-management/set-backend-service-policy>.

use super::not_executed::stand_in;
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::target::{Base, parameter};
use async_trait::async_trait;
use policy_document::Element;
use std::sync::Arc;

enum SetBackendService {
    Url(Value<String>),
    Backend(Value<String>),
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let foreign = element
        .attributes
        .iter()
        .find(|attribute| attribute.name.starts_with("sf-") || attribute.name.starts_with("dapr-"));
    if let Some(attribute) = foreign {
        let what = format!("set-backend-service with {}", attribute.name);
        return Ok(stand_in(&what, compiler));
    }
    let reader = Reader::new(element, compiler);
    let url: Option<Value<String>> = reader.value("base-url")?;
    let backend = reader.value("backend-id")?;
    let policy = match (url, backend) {
        (Some(Value::Literal(url)), None) if Base::parse(&url).is_none() => {
            return reader.fail(format!(
                "The 'base-url' attribute is invalid - '{url}' is no absolute http or https URL."
            ));
        }
        (Some(url), None) => SetBackendService::Url(url),
        (None, Some(backend)) => SetBackendService::Backend(backend),
        _ => {
            return reader
                .fail("One of the attributes 'base-url', 'backend-id' must be specified.");
        }
    };
    Ok(Box::new(policy))
}

fn invalid(message: String) -> PolicyError {
    PolicyError::internal("BackendInvalid", message)
}

#[async_trait]
impl Policy for SetBackendService {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let url = match self {
            Self::Url(url) => exchange.get(url).await?,
            Self::Backend(id) => {
                let id = exchange.get(id).await?;
                let backend = exchange
                    .service
                    .configuration
                    .backends
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(id.trim()))
                    .map(|(_, backend)| backend.clone())
                    .ok_or_else(|| {
                        invalid(format!("Backend with id '{id}' could not be found."))
                    })?;
                for (name, value) in backend.headers {
                    exchange.context.request.headers.set(name, vec![value]);
                }
                for (name, value) in backend.query {
                    let query = &mut exchange.target.query;
                    if !query.is_empty() {
                        query.push('&');
                    }
                    query.push_str(&parameter(&name, &value));
                }
                backend.url
            }
        };
        let base = Base::parse(&url)
            .ok_or_else(|| invalid(format!("'{url}' is no absolute http or https URL.")))?;
        exchange.target.base = Some(Arc::new(base));
        Ok(Flow::Continue)
    }
}
