//! `quota`: <https://learn.microsoft.com/azure/api-management/quota-policy>.

use super::counting::Amount;
use super::quota_by_key::{QuotaLimits, count_later};
use super::rate_limit::{Named, concerns, place_of};
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Scope};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

struct Quota {
    limits: QuotaLimits,
    scope: Scope,
    parts: Vec<(Option<Named>, Option<Named>, QuotaLimits)>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let scope = compiler.scope;
    let mut reader = Reader::new(element, compiler);
    let limits = QuotaLimits::read(&reader, None)?;
    let mut parts = Vec::new();
    for child in element.elements() {
        let mut part = reader.part(child);
        let named = Named::read(&part)?;
        let own = QuotaLimits::read(&part, Some(&limits))?;
        for inner in child.elements() {
            let operation = part.part(inner);
            let limits = QuotaLimits::read(&operation, Some(&limits))?;
            parts.push((Some(named.clone()), Some(Named::read(&operation)?), limits));
        }
        parts.push((Some(named), None, own));
    }
    Ok(Box::new(Quota {
        limits,
        scope,
        parts,
    }))
}

#[async_trait]
impl Policy for Quota {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        // As with rate-limit: without a subscription nothing is counted.
        let Some(subscription) = exchange.subscription() else {
            return Ok(Flow::Continue);
        };
        let service = &exchange.service.configuration.name;
        let key = format!(
            "subscription:{service}:{}:{}",
            subscription.id,
            place_of(exchange, self.scope)
        );
        for (index, (api, operation, limits)) in self.parts.iter().enumerate() {
            if concerns(exchange, api.as_ref(), operation.as_ref()) {
                let key = format!("{key}:{index}");
                let quota = limits.take(exchange, &key, 1).await?;
                count_later(exchange, key, quota, None, Amount::Counted);
            }
        }
        let quota = self.limits.take(exchange, &key, 1).await?;
        count_later(exchange, key, quota, None, Amount::Counted);
        Ok(Flow::Continue)
    }
}
