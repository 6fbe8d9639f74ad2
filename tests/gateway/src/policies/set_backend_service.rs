//! `set-backend-service`:
//! <https://learn.microsoft.com/azure/api-management/set-backend-service-policy>.

use super::authentication_certificate::by_id;
use super::not_executed::stand_in;
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::configuration::{self, Backend, PoolMember};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::target::{Base, parameter};
use async_trait::async_trait;
use policy_document::{Element, replace_named_values};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

fn find(service: &configuration::Service, id: &str) -> Option<Backend> {
    let mut all = service.backends.iter();
    let found = all.find(|(known, _)| known.eq_ignore_ascii_case(id.trim()));
    found.map(|(_, backend)| backend.clone())
}

/// What a backend is told, with the named values that it names; or the first
/// that is not there.
fn resolved(
    service: &configuration::Service,
    told: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, String> {
    let value = |name: &str| service.named_values.get(name).map(String::as_str);
    let each = told.into_iter();
    each.map(|(name, text)| Ok((name, replace_named_values(&text, value)?)))
        .collect()
}

/// The member of a pool whose turn it is: of the first priority, by their
/// shares. None is ever given up here. That a member without a priority comes
/// first, and one without a weight has one share, is inferred.
fn member(pool: &[PoolMember]) -> &str {
    static TURN: AtomicU64 = AtomicU64::new(0);
    let priority = |one: &PoolMember| one.priority.unwrap_or_default();
    let first = pool.iter().map(priority).min().unwrap_or_default();
    let share = |one: &PoolMember| u64::from(one.weight.unwrap_or(1));
    let first = pool.iter().filter(|one| priority(one) == first);
    let all: u64 = first.clone().map(share).sum();
    let mut turn = TURN.fetch_add(1, Ordering::Relaxed) % all.max(1);
    for one in first.clone() {
        if turn < share(one) {
            return &one.backend;
        }
        turn -= share(one);
    }
    first.map(|one| &*one.backend).next().unwrap_or_default()
}

#[async_trait]
impl Policy for SetBackendService {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let url = match self {
            Self::Url(url) => exchange.get(url).await?,
            Self::Backend(id) => {
                let id = exchange.get(id).await?;
                let service = &exchange.service.configuration;
                let missing =
                    |id: &str| invalid(format!("Backend with id '{id}' could not be found."));
                let mut backend = find(service, &id).ok_or_else(|| missing(&id))?;
                if !backend.pool.is_empty() {
                    let id = member(&backend.pool).to_owned();
                    backend = find(service, &id).ok_or_else(|| missing(&id))?;
                }
                if let Some(id) = &backend.certificate {
                    let identity = by_id(service, id).map_err(|why| {
                        PolicyError::internal("ClientCertificateNotAvailable", why)
                    })?;
                    exchange.identity = Some(identity);
                }
                let missing = |name| invalid(format!("Cannot find a property '{name}'."));
                let headers = resolved(service, backend.headers).map_err(missing)?;
                let query = resolved(service, backend.query).map_err(missing)?;
                for (name, value) in headers {
                    exchange.context.request.headers.set(name, vec![value]);
                }
                for (name, value) in query {
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
