//! The policies that requests run through.

use crate::secrets::Secrets;
use apim_gateway::{EffectiveChain, EffectivePolicy, Scope};
use maud::{Markup, html};

/// The parts of a document, in the order of a request that goes well.
const SECTIONS: [&str; 4] = ["inbound", "backend", "outbound", "on-error"];

/// The names of the policies before the backend, in short.
pub(super) fn in_short(chain: &EffectiveChain) -> Markup {
    if !chain.problems.is_empty() {
        return html! { strong.failed { "refuses every request" } };
    }
    let names: Vec<&str> = of(chain, "inbound")
        .filter_map(|policy| policy.element.as_ref())
        .map(|element| element.name.as_str())
        .collect();
    html! {
        @if names.is_empty() { span.faint { "none" } }
        @for (place, name) in names.iter().enumerate() {
            @if place > 0 { " → " }
            code { (name) }
        }
    }
}

fn of<'c>(chain: &'c EffectiveChain, section: &str) -> impl Iterator<Item = &'c EffectivePolicy> {
    let policies = chain.policies.iter();
    policies.filter(move |policy| policy.section.name() == section)
}

/// Every policy, section by section.
pub(super) fn whole(chain: &EffectiveChain, secrets: &Secrets) -> Markup {
    html! {
        @for (scope, problem) in &chain.problems {
            p.alert {
                "The document at " (scope) " scope cannot be executed, so every request is refused: "
                (secrets.show(&problem.to_string()))
            }
        }
        div.chain {
            @for section in SECTIONS {
                section {
                    h4 { (section) }
                    @if of(chain, section).next().is_none() {
                        p.faint { "nothing" }
                    } @else {
                        ol {
                            @for policy in of(chain, section) { li { (one(policy, secrets)) } }
                        }
                    }
                }
            }
        }
    }
}

fn one(policy: &EffectivePolicy, secrets: &Secrets) -> Markup {
    let Some(element) = &policy.element else {
        return html! { (scope(policy.scope)) " " strong.failed { "refuses every request" } };
    };
    let source = secrets.show_element(element);
    let bare = element.attributes.is_empty() && element.children.is_empty();
    html! {
        @if bare {
            (scope(policy.scope)) " " code { (element.name) }
        } @else {
            details {
                summary { (scope(policy.scope)) " " code { (element.name) } }
                pre tabindex="0" { code { (source) } }
            }
        }
    }
}

/// Where a document is attached.
pub(super) fn scope(scope: Scope) -> Markup {
    html! { span class={ "badge " (scope) } { (scope) } }
}
