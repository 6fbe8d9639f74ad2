//! Kubernetes manifests in files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use operator_core::exposed_api::ObjectMeta;
use operator_core::problem::Problem;
use serde_json::Value;
use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

/// The largest file that is read, in bytes: what `kubectl get -A -o yaml` says
/// of some ten thousand objects.
const LIMIT: u64 = 64 << 20;
/// Values in a file, once its anchors are expanded.
const MAX_NODES: usize = 4_000_000;
/// Objects and lists in each other.
const MAX_DEPTH: usize = 128;

/// One document of a file.
pub(crate) struct Document {
    /// The file's name, and the document's number in it from 1.
    pub(crate) place: String,
    /// The document.
    pub(crate) object: Value,
}

/// Says what an object is that is no ExposedAPI.
pub(crate) fn is_exposed_api(object: &Value) -> Result<(), String> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    match object["kind"].as_str() {
        Some("ExposedAPI") if version.starts_with("oda.tmforum.org/") => Ok(()),
        Some("ExposedAPI") => Err(format!(
            "its apiVersion is `{version}`, not oda.tmforum.org/v1"
        )),
        Some(kind) => Err(format!("its kind is {kind}, not ExposedAPI")),
        None if object.is_object() => Err("it has no kind".to_owned()),
        None => Err("it is no Kubernetes object".to_owned()),
    }
}

/// Reads all documents of a file; `-` is stdin. A document that is no YAML is
/// an error with its line and column.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Document>> {
    let (name, text) = source(path)?;
    let documents = parse(&text).map_err(|error| anyhow::anyhow!("{name}: {}", explain(&error)))?;
    let documents = documents
        .into_iter()
        .flat_map(|document| match &document["items"] {
            // `kubectl get -o yaml` of several.
            Value::Array(items)
                if document["kind"]
                    .as_str()
                    .is_some_and(|kind| kind.ends_with("List")) =>
            {
                items.clone()
            }
            _ => vec![document],
        });
    Ok(documents
        .filter(|document| !document.is_null())
        .enumerate()
        .map(|(i, object)| Document {
            place: format!("{name}:{}", i + 1),
            object,
        })
        .collect())
}

/// Whether a path stands for stdin.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// What a file holds, or as `-` stdin, behind its name for messages.
pub(crate) fn source(path: &Path) -> anyhow::Result<(String, String)> {
    let (name, text) = if is_stdin(path) {
        ("stdin".to_owned(), text(std::io::stdin().lock()))
    } else {
        (path.display().to_string(), File::open(path).and_then(text))
    };
    let text = text.with_context(|| name.clone())?;
    Ok((name, text))
}

fn text(source: impl Read) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    // One byte more than the limit tells a file that is cut from one that fits.
    source.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(std::io::Error::other(format!(
            "it has more than {LIMIT} bytes; split it"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        std::io::Error::other(format!(
            "it is not UTF-8 text: byte {at} is part of no character"
        ))
    })
}

fn parse(text: &str) -> Result<Vec<Value>, Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_documents: 100_000,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options)
}

/// What the YAML reader said, in words that do not need its settings.
fn explain(error: &Error) -> String {
    let place = error.location().map_or_else(String::new, |at| {
        format!("line {}, column {}: ", at.line(), at.column())
    });
    let mut inner = error.without_snippet();
    while let Error::AliasError { error, .. } = inner {
        inner = error.without_snippet();
    }
    let what = match inner {
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an anchor holds itself; write the value out".to_owned(),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is there twice; keep one"),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            "it is nested too deeply".to_owned()
        }
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } => {
            "it holds too many values, or its anchors make too many; split the file, or write the values out".to_owned()
        }
        other => {
            let text = other.to_string();
            if text.contains("recursion limit") {
                return format!("{place}it is nested too deeply");
            }
            let line = text.lines().next().unwrap_or_default();
            // The place is said already.
            line.split(" at line ").next().unwrap_or(line).to_owned()
        }
    };
    format!("{place}{what}")
}

/// The metadata of an object that is not in a cluster.
pub(crate) fn meta(object: &Value) -> ObjectMeta {
    let meta = &object["metadata"];
    let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
    let map = |field: &str| {
        let entries = meta[field].as_object().into_iter().flatten();
        entries
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    };
    let namespace = text("namespace");
    ObjectMeta {
        namespace: if namespace.is_empty() {
            "default".to_owned()
        } else {
            namespace
        },
        name: text("name"),
        uid: text("uid"),
        labels: map("labels"),
        annotations: map("annotations"),
        generation: meta["generation"].as_i64(),
        deleting: false,
    }
}

/// Labels and annotations that are no text. A cluster refuses them; dropping
/// them here would show a policy that nobody gets.
pub(crate) fn not_text(object: &Value) -> Vec<Problem> {
    let entries = |field: &'static str| {
        let entries = object["metadata"][field].as_object().into_iter().flatten();
        entries.filter_map(move |(key, value)| {
            let kind = match value {
                Value::String(_) => return None,
                Value::Object(_) => "a map",
                Value::Array(_) => "a list",
                Value::Number(_) => "a number",
                Value::Bool(_) => "a boolean",
                Value::Null => "empty",
            };
            let message = format!(
                "is {kind}, and must be text: put quotes around it, or `|` after the colon and the value below"
            );
            Some(Problem::new(format!("metadata.{field}[{key}]"), message))
        })
    };
    entries("labels").chain(entries("annotations")).collect()
}
