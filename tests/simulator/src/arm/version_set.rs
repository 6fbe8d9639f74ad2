//! Version sets: how callers say which version of an API they mean.

use super::error::Detail;
use super::store::Service;
use serde_json::{Map, Value};

/// A scheme that looks at a header or a parameter needs its name. Inferred: the
/// contract makes both names optional, and says what each is for.
pub(super) fn check(fields: &Map<String, Value>, problems: &mut Vec<Detail>) {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let name = match text("versioningScheme") {
        Some("Header") => "versionHeaderName",
        Some("Query") => "versionQueryName",
        _ => return,
    };
    if text(name).is_none() {
        problems.push(Detail::new(
            name,
            &format!("'{name}' must not be empty for this versioning scheme."),
        ));
    }
}

/// Why a version set cannot be deleted: an API is one of its versions. That it
/// is refused and how is inferred from what the service does of named values.
pub(super) fn used(service: &Service, set: &str) -> Option<Detail> {
    let user = service.families.values().find(|family| {
        let mut revisions = family.revisions.values();
        revisions.any(|revision| {
            let id = revision.entity.text("apiVersionSetId");
            id.is_some_and(|id| names(id, set))
        })
    })?;
    Some(Detail::new(
        "apiVersionSetId",
        &format!(
            "API version set '{set}' cannot be deleted because API '{}' is part of it.",
            user.name
        ),
    ))
}

fn names(id: &str, set: &str) -> bool {
    let last = id.rsplit('/').next();
    last.is_some_and(|last| last.eq_ignore_ascii_case(set))
}
