//! YAML from people who are not trusted, in small amounts.

use serde_json::Value;
use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

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
            flow_nesting_limit: 64,
            max_anchors: 100,
            max_aliases: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 100,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error))
}

fn explain(error: &Error) -> String {
    let place = error.location().map_or_else(String::new, |at| {
        format!(" (line {}, column {})", at.line(), at.column())
    });
    let mut inner = error;
    while let Error::AliasError { error, .. } | Error::WithSnippet { error, .. } = inner {
        inner = error;
    }
    let what = match inner {
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an anchor refers to itself; write the value out".to_owned()
        }
        Error::Budget {
            breach: BudgetBreach::Documents { .. },
            ..
        } => "there are several documents; write one".to_owned(),
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => "it is nested too deeply".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "it holds too many values, or its anchors make too many".to_owned()
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{}` is there twice", super::nearest::shown(key))
        }
        // Only the first line: some errors draw the text they are about. Its
        // place is said below.
        other => {
            let text = other.to_string();
            let line = text.lines().next().unwrap_or_default();
            let line = super::nearest::shown(line.split(" at line ").next().unwrap_or(line));
            format!("is not valid YAML: {line}")
        }
    };
    format!("{what}{place}")
}
