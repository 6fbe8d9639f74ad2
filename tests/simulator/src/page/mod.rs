//! A page for people: what is published, what runs, and what happened.
//!
//! It reads and changes nothing, needs no script and nothing from elsewhere,
//! and must never show a secret: every text that comes from outside is a
//! [`Shown`](crate::secrets::Shown), and is escaped where it is written.

mod access;
mod api;
mod chain;
mod layout;
mod overview;
mod traces;

use crate::http::{Call, Reply};
use crate::world::World;
use axum::http::Method;
use maud::Markup;

/// Where the page is.
pub(crate) const ROOT: &str = "/_page";

/// Nothing runs, nothing is loaded but the style sheet, nothing frames it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
                                       form-action 'none'; frame-ancestors 'none'";

/// Whether a path is the page's.
pub(crate) fn is_for(path: &str) -> bool {
    path.strip_prefix(ROOT)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request for the page.
pub(crate) fn handle(world: &World, call: &Call) -> Reply {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        let said = "The page is only to be read.".to_owned();
        return guarded(Reply::text(405, "text/plain; charset=utf-8", said))
            .with("Allow", "GET, HEAD");
    }
    let segments = call.segments();
    let parts: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
    // Not held: ARM's state is locked below, and whoever changes that adds here.
    let secrets = world.secrets.lock().clone();
    let found: Option<Markup> = match parts.as_slice() {
        [] => Some(overview::page(world, call, &secrets)),
        ["style.css"] => {
            let style = include_str!("style.css").to_owned();
            return guarded(Reply::text(200, "text/css; charset=utf-8", style));
        }
        ["apis", service, api, revision] => api::page(world, &secrets, service, api, revision),
        ["traces", id] => traces::page(world, &secrets, id),
        _ => None,
    };
    let (status, page) = match found {
        Some(page) => (200, page),
        None => (404, layout::not_found()),
    };
    let html = page.into_string();
    guarded(Reply::text(status, "text/html; charset=utf-8", html))
}

fn guarded(reply: Reply) -> Reply {
    reply
        .with("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer")
        .with("Cache-Control", "no-store")
}
