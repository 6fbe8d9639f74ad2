//! What every page has around its own.

use super::ROOT;
use maud::{DOCTYPE, Markup, html};

/// A whole page; `way` are the pages above it.
pub(super) fn page(title: &str, way: &[(&str, String)], content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · local Azure" }
                link rel="stylesheet" href=(format!("{ROOT}/style.css"));
            }
            body {
                header {
                    p.brand { a href=(ROOT) { "local Azure" } }
                    @if !way.is_empty() {
                        nav aria-label="Where this is" {
                            ol {
                                @for (name, link) in way { li { a href=(link) { (name) } } }
                            }
                        }
                    }
                }
                main {
                    h1 { (title) }
                    (content)
                }
                footer {
                    p { "Only to be read; nothing here is sent anywhere. Secrets are shown as •••. "
                        "The same for programs: " code { "/_control" } "." }
                }
            }
        }
    }
}

/// A table that scrolls by itself where it is too wide; it can be reached with
/// the keyboard then.
pub(super) fn scrolling(label: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// A time of day, or the whole moment where a machine reads it.
pub(super) fn moment(iso: &str) -> Markup {
    let day = iso.get(11..19).unwrap_or(iso);
    html! { time datetime=(iso) title=(iso) { (day) } }
}

/// The colour of a status, as a class.
pub(super) fn class_of(status: u16) -> &'static str {
    match status {
        200..=299 => "good",
        300..=399 => "moved",
        400..=499 => "refused",
        _ => "failed",
    }
}

pub(super) fn not_found() -> Markup {
    let content = html! {
        p { "There is no such API or trace (any more)." }
        p { a href=(ROOT) { "Everything at a glance" } }
    };
    page("Not found", &[], &content)
}
