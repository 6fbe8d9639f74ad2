//! The chain of an operation, for whoever wants to see it.

use super::document::SECTIONS;
use super::service::FORWARD;
use super::{Chain, CompileError, Compiler, Document, Scope, Section};
use crate::configuration::{Api, Operation, Product, Service};
use policy_document::Element;
use std::sync::Arc;

/// What requests run through, policy by policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EffectiveChain {
    /// The policies in the order in which they run, if none ends the request;
    /// those inside another are part of its element.
    pub policies: Vec<EffectivePolicy>,
    /// The documents that cannot be executed: every request is refused.
    pub problems: Vec<(Scope, CompileError)>,
}

/// One policy of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectivePolicy {
    /// The section that it runs in.
    pub section: Section,
    /// Where its document is attached.
    pub scope: Scope,
    /// As it is written there, named values not replaced; absent where it
    /// stands for a document that cannot be executed.
    pub element: Option<Arc<Element>>,
}

/// The chain of requests to an API of a service, which may come through a
/// product and have an operation: every `<base />` is what the gateway makes
/// of it.
#[must_use]
pub fn effective_chain(
    service: &Service,
    product: Option<&Product>,
    api: &Api,
    operation: Option<&Operation>,
) -> EffectiveChain {
    let global = service.policy.as_deref().unwrap_or(FORWARD);
    let texts = [
        (Scope::Global, Some(global)),
        (
            Scope::Product,
            product.and_then(|one| one.policy.as_deref()),
        ),
        (Scope::Api, api.policy.as_deref()),
        (
            Scope::Operation,
            operation.and_then(|one| one.policy.as_deref()),
        ),
    ];
    let mut problems = Vec::new();
    let mut documents = Vec::new();
    for (scope, text) in texts {
        let Some(text) = text else { continue };
        let mut compiler = Compiler::new(service, scope);
        let document = Document::compile(text, &mut compiler).unwrap_or_else(|error| {
            let broken = Document::broken(&error, scope);
            problems.push((scope, error));
            broken
        });
        documents.push(Arc::new(document));
    }
    let chain = Chain(documents.into());
    let policies = SECTIONS.into_iter().flat_map(|section| {
        let steps = chain.steps(section).into_iter();
        steps.map(move |step| EffectivePolicy {
            section,
            scope: step.scope,
            element: step.written.clone(),
        })
    });
    EffectiveChain {
        policies: policies.collect(),
        problems,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(chain: &EffectiveChain) -> Vec<String> {
        let name = |element: &Option<Arc<Element>>| {
            element
                .as_ref()
                .map_or("-".to_owned(), |one| one.name.clone())
        };
        let policies = chain.policies.iter();
        policies
            .map(|one| {
                format!(
                    "{} {} {}",
                    one.section.name(),
                    one.scope,
                    name(&one.element)
                )
            })
            .collect()
    }

    fn service() -> Service {
        Service {
            policy: Some(
                "<policies><inbound><cors><allowed-origins><origin>*</origin></allowed-origins></cors></inbound>\
                 <backend><forward-request /></backend><outbound /><on-error /></policies>"
                    .to_owned(),
            ),
            ..Service::default()
        }
    }

    #[test]
    fn base_is_what_the_outer_scope_has_and_an_unwritten_section_is_inherited() {
        let api = Api {
            policy: Some(
                "<policies><inbound><set-method>GET</set-method><base /></inbound></policies>"
                    .to_owned(),
            ),
            ..Api::default()
        };
        let operation = Operation {
            policy: Some(
                "<policies><inbound><base /><set-status code=\"200\" /></inbound><outbound>\
                 <set-status code=\"201\" /></outbound></policies>"
                    .to_owned(),
            ),
            ..Operation::default()
        };
        let chain = effective_chain(&service(), None, &api, Some(&operation));
        assert_eq!(
            told(&chain),
            [
                "inbound api set-method",
                "inbound global cors",
                "inbound operation set-status",
                "backend global forward-request",
                "outbound operation set-status",
            ]
        );
        assert_eq!(chain.problems, []);
    }

    #[test]
    fn a_document_that_cannot_be_executed_is_one_policy_that_refuses() {
        let api = Api {
            policy: Some("<policies><inbound><base /></policies>".to_owned()),
            ..Api::default()
        };
        let chain = effective_chain(&service(), None, &api, None);
        assert_eq!(
            told(&chain),
            ["inbound api -", "backend global forward-request"]
        );
        assert_eq!(chain.problems.len(), 1);
        assert_eq!(chain.problems[0].0, Scope::Api);
    }
}
