//! One revision of an API: its operations, and the chain of each.

use super::{ROOT, chain, layout};
use crate::data_plane;
use crate::http::encoded;
use crate::secrets::{Secrets, Shown};
use crate::world::World;
use apim_gateway::configuration::{Api, Operation, Product, Service};
use apim_gateway::effective_chain;
use maud::{Markup, html};

/// Where a revision's page is.
pub(super) fn link(service: &Service, api: &Api) -> String {
    format!(
        "{ROOT}/apis/{}/{}/{}",
        encoded(&service.name),
        encoded(&api.id),
        api.revision
    )
}

/// What the gateway would serve, service by service.
pub(super) fn services(world: &World) -> Vec<Service> {
    let arm = world.arm.lock();
    arm.services
        .iter()
        .map(|service| {
            let mut seeded = world.seed.services.iter();
            let seeded = seeded.find(|one| one.name == service.name);
            data_plane::configuration(service, seeded)
        })
        .collect()
}

pub(super) fn page(
    world: &World,
    secrets: &Secrets,
    service: &str,
    id: &str,
    revision: &str,
) -> Option<Markup> {
    let revision: u32 = revision.parse().ok()?;
    let services = services(world);
    let service = services.iter().find(|one| one.name == service)?;
    let api = service
        .apis
        .iter()
        .find(|api| api.id == id && api.revision == revision)?;
    let products: Vec<&Product> = service
        .products
        .iter()
        .filter(|product| product.policy.is_some() && product.apis.contains(&api.id))
        .collect();
    let own: Vec<&Operation> = api
        .operations
        .iter()
        .filter(|operation| operation.policy.is_some())
        .collect();
    let content = html! {
        (settings(world, service, api, secrets))
        h2 { "Operations" }
        @if api.operations.is_empty() {
            p.faint { "It has none, so nothing can be called." }
        } @else {
            (layout::scrolling("Operations", &operations(api, secrets)))
        }
        h2 { "Effective policies" }
        p.lead { "In the order in which they run; " code { "<base />" } " is resolved. "
            "Each names the scope whose document it stands in, and opens to what is written there." }
        h3 { @if own.is_empty() { "Every operation" } @else { "Every other operation" } }
        (chain::whole(&effective_chain(service, None, api, None), secrets))
        @for product in &products {
            h3 { "Through the product " (secrets.show(&product.name)) }
            (chain::whole(&effective_chain(service, Some(product), api, None), secrets))
        }
        @for operation in &own {
            h3 { (secrets.show(&operation.method)) " " (secrets.show(&operation.url_template)) }
            (chain::whole(&effective_chain(service, None, api, Some(operation)), secrets))
            @for product in &products {
                h3 { (secrets.show(&operation.method)) " " (secrets.show(&operation.url_template))
                    " through the product " (secrets.show(&product.name)) }
                (chain::whole(&effective_chain(service, Some(product), api, Some(operation)), secrets))
            }
        }
    };
    let name = name(api, secrets);
    let way = [
        ("Overview", ROOT.to_owned()),
        ("APIs", format!("{ROOT}#apis")),
    ];
    Some(layout::page(name.as_str(), &way, &content))
}

/// The display name, or the id.
pub(super) fn name(api: &Api, secrets: &Secrets) -> Shown {
    let name = if api.name.trim().is_empty() {
        &api.id
    } else {
        &api.name
    };
    secrets.show(name)
}

fn settings(world: &World, service: &Service, api: &Api, secrets: &Secrets) -> Markup {
    let gateway = world.endpoints.gateway.as_deref();
    let revision = if api.current {
        String::new()
    } else {
        format!(";rev={}", api.revision)
    };
    html! {
        dl {
            dt { "Id" } dd { code { (secrets.show(&api.id)) } }
            dt { "Service" } dd { (secrets.show(&service.name)) }
            dt { "Revision" } dd { (api.revision) @if api.current { ", which is current" } }
            dt { "Called at" }
            dd {
                @match gateway {
                    Some(gateway) => code { (gateway) "/" (secrets.show(&api.path)) (revision) },
                    None => { code { "/" (secrets.show(&api.path)) (revision) } " (there is no gateway)" }
                }
            }
            dt { "Backend" }
            dd {
                @match &api.service_url {
                    Some(url) => code { (secrets.show(url)) },
                    None => span.faint { "none" }
                }
            }
            dt { "Subscription key" }
            dd {
                @if api.subscription_required { "needed, in " code { (secrets.show(&api.key_header)) } }
                @else { "not needed" }
            }
        }
    }
}

fn operations(api: &Api, secrets: &Secrets) -> Markup {
    html! {
        table {
            caption.hidden { "Operations" }
            thead {
                tr {
                    th scope="col" { "Method" }
                    th scope="col" { "Template" }
                    th scope="col" { "Name" }
                    th scope="col" { "Policies of its own" }
                }
            }
            tbody {
                @for operation in &api.operations {
                    tr {
                        td { strong { (secrets.show(&operation.method)) } }
                        th scope="row" { code { (secrets.show(&operation.url_template)) } }
                        td { (secrets.show(&operation.name)) }
                        td { @if operation.policy.is_some() { "yes" } @else { "no" } }
                    }
                }
            }
        }
    }
}
