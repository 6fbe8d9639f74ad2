//! YAML from people who are not trusted, in small amounts.

use serde_json::Value;

/// The largest text that is read. Kubernetes takes 256 KiB for all annotations
/// of an object together.
const MAX_BYTES: usize = 256 * 1024;

/// Reads one YAML (or JSON) document, in bounded time and space. The error is
/// a sentence with line and column; it repeats nothing of the document.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    if text.len() > MAX_BYTES {
        return Err(format!(
            "the text has {} bytes; at most {MAX_BYTES} are read",
            text.len()
        ));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_nodes: 100_000,
            max_events: 200_000,
            max_documents: 1,
            max_anchors: 100,
            max_aliases: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 100,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error))
}

fn explain(error: &serde_saphyr::Error) -> String {
    let error = error.without_snippet();
    let what = match error {
        serde_saphyr::Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an anchor refers to itself; write the value out".to_owned()
        }
        serde_saphyr::Error::Budget { .. }
        | serde_saphyr::Error::AliasReplayLimitExceeded { .. } => {
            format!("the document is larger, deeper or more repetitive than is read: {error}")
        }
        other => other.to_string(),
    };
    // Only the first line: some errors draw the text they are about.
    let what = super::nearest::shown(what.lines().next().unwrap_or_default());
    match error.location() {
        Some(at) if !what.contains("line ") => {
            format!("{what} (line {}, column {})", at.line(), at.column())
        }
        _ => what,
    }
}
