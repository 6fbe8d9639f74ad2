//! Products, and the subscriptions whose keys open them and APIs.

use super::{api, layout};
use crate::secrets::Secrets;
use apim_gateway::configuration::{Product, Service, Subscription, SubscriptionScope};
use maud::{Markup, html};

pub(super) fn tables(services: &[Service], secrets: &Secrets) -> Markup {
    let several = services.len() > 1;
    let products = services.iter().any(|one| !one.products.is_empty());
    html! {
        @if products {
            (layout::scrolling("Products", &of_products(services, several, secrets)))
        } @else {
            p.faint { "There is no product." }
        }
        (layout::scrolling("Subscriptions", &of_subscriptions(services, several, secrets)))
    }
}

fn of_products(services: &[Service], several: bool, secrets: &Secrets) -> Markup {
    html! {
        table {
            caption.hidden { "Products" }
            thead {
                tr {
                    th scope="col" { "Product" }
                    @if several { th scope="col" { "Service" } }
                    th scope="col" { "State" }
                    th scope="col" { "Key" }
                    th scope="col" { "APIs" }
                    th scope="col" { "Policies of its own" }
                }
            }
            tbody {
                @for service in services {
                    @for product in &service.products {
                        tr {
                            th scope="row" { (secrets.show(name(&product.name, &product.id))) }
                            @if several { td { (secrets.show(&service.name)) } }
                            td { @if product.published { "published" } @else { "not published" } }
                            td { @if product.subscription_required { "needed" } @else { "not needed" } }
                            td { (apis(service, product, secrets)) }
                            td { @if product.policy.is_some() { "yes" } @else { "no" } }
                        }
                    }
                }
            }
        }
    }
}

fn name<'t>(name: &'t str, id: &'t str) -> &'t str {
    if name.trim().is_empty() { id } else { name }
}

/// The APIs of a product, each with the way to its page.
fn apis(service: &Service, product: &Product, secrets: &Secrets) -> Markup {
    let current = |id: &&String| {
        let mut all = service.apis.iter();
        all.find(|api| api.current && api.id.eq_ignore_ascii_case(id))
    };
    html! {
        @if product.apis.is_empty() { span.faint { "none" } }
        @for (place, id) in product.apis.iter().enumerate() {
            @if place > 0 { ", " }
            @match current(&id) {
                Some(one) => a href=(api::link(service, one)) { (api::name(one, secrets)) },
                None => code { (secrets.show(id)) }
            }
        }
    }
}

fn of_subscriptions(services: &[Service], several: bool, secrets: &Secrets) -> Markup {
    html! {
        table {
            caption.hidden { "Subscriptions" }
            thead {
                tr {
                    th scope="col" { "Subscription" }
                    @if several { th scope="col" { "Service" } }
                    th scope="col" { "Opens" }
                    th scope="col" { "State" }
                }
            }
            tbody {
                @for service in services {
                    @for one in &service.subscriptions {
                        tr {
                            th scope="row" { (secrets.show(name(&one.name, &one.id))) }
                            @if several { td { (secrets.show(&service.name)) } }
                            td { (opens(service, one, secrets)) }
                            td { @if one.active { "active" } @else { "not active" } }
                        }
                    }
                }
            }
        }
    }
}

/// What a subscription's keys open. They themselves stand nowhere.
fn opens(service: &Service, subscription: &Subscription, secrets: &Secrets) -> Markup {
    let shown = |kind: &str, id: &str, found: Option<&str>| {
        let named = found.map_or(id, |found| name(found, id));
        html! { (kind) " " (secrets.show(named)) }
    };
    match &subscription.scope {
        SubscriptionScope::AllApis => html! { "every API" },
        SubscriptionScope::Api(id) => {
            let mut all = service.apis.iter();
            let found = all.find(|api| api.id.eq_ignore_ascii_case(id));
            shown("the API", id, found.map(|api| api.name.as_str()))
        }
        SubscriptionScope::Product(id) => {
            let mut all = service.products.iter();
            let found = all.find(|one| one.id.eq_ignore_ascii_case(id));
            shown("the product", id, found.map(|one| one.name.as_str()))
        }
    }
}
