//! Everything at a glance: APIs, who may call them, the last traces, ARM's calls and its
//! throttling budget.

use super::{ROOT, access, api, chain, layout, traces};
use crate::arm::Budget;
use crate::http::Call;
use crate::journal::{CallKind, JournalEntry};
use crate::secrets::Secrets;
use crate::world::World;
use apim_gateway::configuration::Service;
use apim_gateway::effective_chain;
use maud::{Markup, html};

/// How many calls are shown.
const CALLS: usize = 100;
/// How many traces are shown.
const TRACES: usize = 20;

/// The kinds of calls that can be looked at alone, as the query says them.
const KINDS: [(&str, CallKind); 4] = [
    ("reads", CallKind::Read),
    ("writes", CallKind::Write),
    ("deletions", CallKind::Delete),
    ("looks at long operations", CallKind::Poll),
];

pub(super) fn page(world: &World, call: &Call, secrets: &Secrets) -> Markup {
    let services = api::services(world);
    let problems: Vec<String> = world.data_plane.as_ref().map_or_else(Vec::new, |found| {
        let problems = found.gateway.problems();
        problems.iter().map(ToString::to_string).collect()
    });
    let content = html! {
        (places(world, &services, secrets))
        @for problem in &problems {
            p.alert { "A policy document cannot be executed, and what it protects is refused: "
                (secrets.show(problem)) }
        }
        section #apis { h2 { "APIs" } (apis(&services, secrets)) }
        section #traces { h2 { "Last requests to the gateway" } (last_traces(world, secrets)) }
        section #access { h2 { "Products and subscriptions" } (access::tables(&services, secrets)) }
        section #budget { h2 { "Throttling budget" } (budget(world, secrets)) }
        section #calls { h2 { "Calls of ARM" } (calls(world, call, secrets)) }
    };
    layout::page("Everything at a glance", &[], &content)
}

fn places(world: &World, services: &[Service], secrets: &Secrets) -> Markup {
    let at = &world.endpoints;
    let names: Vec<&str> = services.iter().map(|one| one.name.as_str()).collect();
    html! {
        dl {
            dt { "Services" } dd { (secrets.show(&names.join(", "))) }
            dt { "Azure Resource Manager" } dd { code { (at.resource_manager) } }
            dt { "Gateway" }
            dd {
                @match &at.gateway {
                    Some(gateway) => code { (gateway) },
                    None => { "none: start with " code { "--gateway-listen" } }
                }
            }
            @if let Some(echo) = &at.echo {
                dt { "Backend that echoes" } dd { code { (echo) } }
            }
        }
        nav.jump aria-label="On this page" {
            ul {
                li { a href="#apis" { "APIs" } }
                li { a href="#traces" { "Requests" } }
                li { a href="#access" { "Products" } }
                li { a href="#budget" { "Throttling" } }
                li { a href="#calls" { "Calls" } }
            }
        }
    }
}

fn apis(services: &[Service], secrets: &Secrets) -> Markup {
    if services.iter().all(|service| service.apis.is_empty()) {
        return html! { p.faint { "Nothing is published yet." } };
    }
    let several = services.len() > 1;
    let table = html! {
        table {
            caption.hidden { "APIs" }
            thead {
                tr {
                    th scope="col" { "API" }
                    @if several { th scope="col" { "Service" } }
                    th scope="col" { "Path" }
                    th scope="col" { "Operations" }
                    th scope="col" { "Policies before the backend" }
                }
            }
            tbody {
                @for service in services {
                    @for one in &service.apis {
                        tr {
                            th scope="row" {
                                a href=(api::link(service, one)) { (api::name(one, secrets)) }
                                @if !one.current { " " span.faint { "revision " (one.revision) } }
                            }
                            @if several { td { (secrets.show(&service.name)) } }
                            td { code { "/" (secrets.show(&one.path)) } }
                            td.number { (one.operations.len()) }
                            td { (chain::in_short(&effective_chain(service, None, one, None))) }
                        }
                    }
                }
            }
        }
    };
    layout::scrolling("APIs", &table)
}

fn last_traces(world: &World, secrets: &Secrets) -> Markup {
    let Some(data_plane) = &world.data_plane else {
        return html! { p.faint { "There is no gateway." } };
    };
    let found = data_plane.gateway.traces();
    if found.is_empty() {
        return html! {
            p.faint { "None was traced. Start with " code { "--trace-requests" } " to trace all of them, or send "
                code { "Apim-Debug-Authorization" } " with a token of " code { "POST /_control/debug-token" } "." }
        };
    }
    html! {
        @for (place, trace) in found.iter().take(TRACES).enumerate() {
            details.trace open[place == 0] {
                summary { (layout::moment(&trace.time.to_string())) " " (traces::heading(trace, secrets)) }
                (traces::time_line(trace, secrets))
                p { a href=(traces::link(trace)) { "This request alone" } }
            }
        }
    }
}

fn budget(world: &World, secrets: &Secrets) -> Markup {
    let budgets = world.arm.lock().budgets(world.clock.now());
    let keys = world
        .data_plane
        .as_ref()
        .map(|data_plane| data_plane.gateway.rate_limit_keys());
    html! {
        @match budgets {
            None => p { "ARM throttles nobody: its limits are switched off." },
            Some(budgets) if budgets.is_empty() => p { "Every bucket of ARM is full." },
            Some(budgets) => (layout::scrolling("Throttling budget", &buckets(world, &budgets, secrets))),
        }
        @if let Some(keys) = keys {
            p { "The gateway holds the rate limits of " strong { (keys) } " "
                @if keys == 1 { "key." } @else { "keys." } }
        }
    }
}

fn buckets(world: &World, budgets: &[Budget], secrets: &Secrets) -> Markup {
    html! {
        table {
            caption.hidden { "What is left of ARM's token buckets" }
            thead {
                tr {
                    th scope="col" { "Caller" }
                    th scope="col" { "Calls" }
                    th scope="col" { "Left" }
                    th scope="col" { "Filled again by" }
                }
            }
            tbody {
                @for one in budgets {
                    tr {
                        th scope="row" { (secrets.show(&caller(world, &one.principal))) }
                        td { (one.kind) }
                        td {
                            meter min="0" max=(one.burst) low=(one.burst / 4) value=(one.left) {}
                            " " (one.left) " of " (one.burst)
                        }
                        td { (one.per_second) " a second" }
                    }
                }
            }
        }
    }
}

/// The name of an application, or its id.
fn caller(world: &World, client_id: &str) -> String {
    let applications = world.endpoints.applications.iter();
    applications
        .clone()
        .find(|one| one.client_id.eq_ignore_ascii_case(client_id))
        .map_or_else(|| client_id.to_owned(), |one| one.name.clone())
}

fn calls(world: &World, call: &Call, secrets: &Secrets) -> Markup {
    let wanted = call.parameter("calls");
    let wanted = KINDS
        .iter()
        .find(|(_, kind)| wanted.as_deref() == Some(word(*kind)))
        .map(|(_, kind)| *kind);
    let found: Vec<JournalEntry> = world.journal.newest(CALLS, |entry| match wanted {
        Some(kind) => entry.kind == kind,
        None => KINDS.iter().any(|(_, kind)| *kind == entry.kind),
    });
    html! {
        nav.choose aria-label="Which calls" {
            ul {
                li { a href=(format!("{ROOT}#calls")) aria-current=[wanted.is_none().then_some("true")] { "all" } }
                @for (name, kind) in KINDS {
                    li {
                        a href=(format!("{ROOT}?calls={}#calls", word(kind)))
                            aria-current=[(wanted == Some(kind)).then_some("true")] { (name) }
                    }
                }
            }
        }
        @if found.is_empty() {
            p.faint { "There was none." }
        } @else {
            (layout::scrolling("Calls of ARM", &journal(world, &found, secrets)))
        }
    }
}

/// A kind as the query says it.
fn word(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Read => "read",
        CallKind::Write => "write",
        CallKind::Delete => "delete",
        CallKind::Poll => "poll",
        CallKind::Token => "token",
        CallKind::Vault => "vault",
        CallKind::Other => "other",
    }
}

fn journal(world: &World, found: &[JournalEntry], secrets: &Secrets) -> Markup {
    html! {
        table {
            caption { "The newest first" @if found.len() == CALLS { "; older ones are left out" } }
            thead {
                tr {
                    th scope="col" { "Number" }
                    th scope="col" { "Time" }
                    th scope="col" { "Caller" }
                    th scope="col" { "Call" }
                    th scope="col" { "Status" }
                }
            }
            tbody {
                @for entry in found {
                    tr {
                        td.number { (entry.seq) }
                        td { (layout::moment(&entry.time)) }
                        td {
                            @match &entry.principal {
                                Some(id) => (secrets.show(&caller(world, id))),
                                None => span.faint { "unknown" }
                            }
                        }
                        th scope="row" {
                            (secrets.show(&entry.method)) " "
                            code { (secrets.show(below(world, &entry.path))) }
                        }
                        td {
                            @if entry.status == 0 { span.status.failed { "reset" } }
                            @else { span class={ "status " (layout::class_of(entry.status)) } { (entry.status) } }
                            @if let Some(fault) = entry.fault { " " span.faint { "fault " (fault) } }
                        }
                    }
                }
            }
        }
    }
}

/// The path below the first service, which most calls are about.
fn below<'p>(world: &World, path: &'p str) -> &'p str {
    let service = world.endpoints.service_id.as_str();
    match path.get(..service.len()) {
        Some(start) if start.eq_ignore_ascii_case(service) => match &path[service.len()..] {
            "" => "/",
            rest if rest.starts_with('/') => rest,
            _ => path,
        },
        _ => path,
    }
}
