//! `rate-limit`: <https://learn.microsoft.com/azure/api-management/rate-limit-policy>.

use super::rate_limit_by_key::Limit;
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Scope};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

struct RateLimit {
    limit: Limit,
    scope: Scope,
    parts: Vec<Part>,
}

/// A limit for one API or operation of a product.
struct Part {
    api: Option<Named>,
    operation: Option<Named>,
    limit: Limit,
}

/// An API or operation by its id, which wins, or its display name.
#[derive(Clone)]
pub(super) struct Named {
    id: Option<String>,
    name: Option<String>,
}

impl Named {
    pub(super) fn read(reader: &Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        let named = Self {
            id: reader.text_of("id")?,
            name: reader.text_of("name")?,
        };
        if named.id.is_none() && named.name.is_none() {
            return reader.fail("One of the attributes 'id', 'name' must be specified.");
        }
        Ok(named)
    }

    pub(super) fn is(&self, id: &str, name: &str) -> bool {
        match (&self.id, &self.name) {
            (Some(wanted), _) => wanted.eq_ignore_ascii_case(id),
            (None, Some(wanted)) => wanted == name,
            (None, None) => false,
        }
    }
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let scope = compiler.scope;
    let mut reader = Reader::new(element, compiler);
    let limit = Limit::read(&reader)?;
    let mut parts = Vec::new();
    for child in element.elements() {
        let part = reader.part(child);
        let named = Named::read(&part)?;
        let limit = Limit::read(&part)?;
        if child.name == "operation" {
            parts.push(Part {
                api: None,
                operation: Some(named),
                limit,
            });
            continue;
        }
        for inner in child.elements() {
            let part = reader.part(inner);
            parts.push(Part {
                api: Some(named.clone()),
                operation: Some(Named::read(&part)?),
                limit: Limit::read(&part)?,
            });
        }
        parts.push(Part {
            api: Some(named),
            operation: None,
            limit,
        });
    }
    Ok(Box::new(RateLimit {
        limit,
        scope,
        parts,
    }))
}

/// Where a limit counts: a key of its own for each place it is written at.
pub(super) fn place_of(exchange: &Exchange, scope: Scope) -> String {
    let api = exchange.api().map_or("", |api| api.id.as_str());
    let operation = exchange.operation().map_or("", |one| one.id.as_str());
    match scope {
        Scope::Global => "service".to_owned(),
        Scope::Product => format!("product:{}", exchange.product.unwrap_or_default()),
        Scope::Api => format!("api:{api}"),
        Scope::Operation => format!("operation:{api}/{operation}"),
    }
}

/// Whether a part is about this request.
pub(super) fn concerns(
    exchange: &Exchange,
    api: Option<&Named>,
    operation: Option<&Named>,
) -> bool {
    let right_api = api.is_none_or(|named| {
        exchange
            .api()
            .is_some_and(|found| named.is(&found.id, &found.name))
    });
    let right_operation = operation.is_none_or(|named| {
        exchange
            .operation()
            .is_some_and(|found| named.is(&found.id, &found.name))
    });
    right_api && right_operation
}

#[async_trait]
impl Policy for RateLimit {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        // Documented: without a subscription nothing is counted.
        let Some(subscription) = exchange.subscription() else {
            return Ok(Flow::Continue);
        };
        let service = &exchange.service.configuration.name;
        let key = format!(
            "subscription:{service}:{}:{}",
            subscription.id,
            place_of(exchange, self.scope)
        );
        for (index, part) in self.parts.iter().enumerate() {
            if concerns(exchange, part.api.as_ref(), part.operation.as_ref()) {
                let key = format!("{key}:{index}");
                part.limit.take(exchange, &key, 1).await?;
            }
        }
        self.limit.take(exchange, &key, 1).await?;
        Ok(Flow::Continue)
    }
}
