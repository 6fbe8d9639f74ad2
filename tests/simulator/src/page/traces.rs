//! What happened to requests, policy by policy, as a time line.

use super::{ROOT, chain, layout};
use crate::http::encoded;
use crate::secrets::Secrets;
use crate::world::World;
use apim_gateway::{Trace, TraceChange, TraceEntry};
use maud::{Markup, html};

/// The width of a time line, in its own units.
const WIDTH: u64 = 1000;
/// The narrowest bar, so that it is seen.
const NARROWEST: u64 = 4;

pub(super) fn page(world: &World, secrets: &Secrets, id: &str) -> Option<Markup> {
    let gateway = &world.data_plane.as_ref()?.gateway;
    let trace = gateway.trace(id)?;
    let content = html! {
        (summary(&trace, secrets))
        (time_line(&trace, secrets))
    };
    let title = format!("{} {}", trace.method, secrets.show(&trace.url).as_str());
    let way = [
        ("Overview", ROOT.to_owned()),
        ("Traces", format!("{ROOT}#traces")),
    ];
    Some(layout::page(&title, &way, &content))
}

/// Method, URL and outcome on one line.
pub(super) fn heading(trace: &Trace, secrets: &Secrets) -> Markup {
    html! {
        strong { (secrets.show(&trace.method)) } " "
        code { (secrets.show(&trace.url)) } " "
        span class={ "status " (layout::class_of(trace.status)) } { (trace.status) } " "
        span.faint { (milliseconds(trace.duration_us)) " ms" }
    }
}

pub(super) fn link(trace: &Trace) -> String {
    format!("{ROOT}/traces/{}", encoded(&trace.trace_id))
}

fn summary(trace: &Trace, secrets: &Secrets) -> Markup {
    let or_none = |id: &Option<String>| {
        html! {
            @if let Some(id) = id { code { (secrets.show(id)) } }
            @else { span.faint { "none matched" } }
        }
    };
    html! {
        dl {
            dt { "Answered" }
            dd { span class={ "status " (layout::class_of(trace.status)) } { (trace.status) }
                " in " (milliseconds(trace.duration_us)) " ms" }
            dt { "Came" } dd { (layout::moment(&trace.time.to_string())) }
            dt { "API" } dd { (or_none(&trace.api)) }
            dt { "Operation" } dd { (or_none(&trace.operation)) }
            dt { "Trace" } dd { code { (trace.trace_id) } }
        }
    }
}

/// Each policy with its time and what it changed.
pub(super) fn time_line(trace: &Trace, secrets: &Secrets) -> Markup {
    if trace.entries.is_empty() {
        return html! { p.faint { "No policy ran." } };
    }
    html! {
        ol.timeline {
            @for (place, entry) in trace.entries.iter().enumerate() {
                @let begins = place == 0 || trace.entries[place - 1].section != entry.section;
                li class=[begins.then_some("begins")] {
                    (policy(entry, trace.duration_us, secrets))
                }
            }
        }
    }
}

fn policy(entry: &TraceEntry, whole: u64, secrets: &Secrets) -> Markup {
    let whole = whole.max(1);
    let start = (entry.start_us.saturating_mul(WIDTH) / whole).min(WIDTH - NARROWEST);
    let width = entry.duration_us.saturating_mul(WIDTH) / whole;
    let width = width.clamp(NARROWEST, WIDTH - start);
    let inside = entry.path.matches('/').count();
    html! {
        div.policy {
            span.section { (entry.section.name()) } " "
            (chain::scope(entry.scope)) " "
            code { (secrets.show(&entry.policy)) }
            @if inside > 0 { " " span.faint { "at " (secrets.show(&entry.path)) } }
            " " span.times { "at " (milliseconds(entry.start_us)) " ms, "
                (milliseconds(entry.duration_us)) " ms" }
        }
        svg viewBox=(format!("0 0 {WIDTH} 10")) preserveAspectRatio="none" aria-hidden="true" {
            rect.track x="0" y="0" width=(WIDTH) height="10" {}
            rect class={ "bar " (entry.scope) } x=(start) y="0" width=(width) height="10" {}
        }
        @if !entry.changes.is_empty() {
            ul.changes { @for change in &entry.changes { li { (difference(change, secrets)) } } }
        }
        @for message in &entry.messages { p.message { (secrets.show(message)) } }
        @if let Some(error) = &entry.error {
            p.error { strong { "Failed: " } (secrets.show(error)) }
        }
    }
}

fn difference(change: &TraceChange, secrets: &Secrets) -> Markup {
    let value = |value: &str| html! { code { (secrets.show_named(&change.what, value)) } };
    html! {
        @match (&change.from, &change.to) {
            (None, Some(to)) => { span.sign { "added " } (secrets.show(&change.what)) ": " (value(to)) }
            (Some(from), None) => { span.sign { "removed " } (secrets.show(&change.what)) ": " (value(from)) }
            (from, to) => {
                span.sign { "changed " } (secrets.show(&change.what)) ": "
                (value(from.as_deref().unwrap_or_default())) " → "
                (value(to.as_deref().unwrap_or_default()))
            }
        }
    }
}

pub(super) fn milliseconds(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}
