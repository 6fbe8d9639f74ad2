//! Kubernetes manifests in files.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use operator_core::exposed_api::ObjectMeta;
use serde_json::Value;

/// A document that is too large to be read, in bytes: etcd takes no object
/// larger than 1.5 MiB, and a file may hold some.
const LIMIT: u64 = 64 << 20;

/// One document of a file.
pub(crate) struct Document {
    /// The file's name, and the document's number in it from 1.
    pub(crate) place: String,
    /// The document.
    pub(crate) object: Value,
}

/// Reads all documents of a file; `-` is stdin. A document that is no YAML is
/// an error with its line and column.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Document>> {
    let (name, text) = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().take(LIMIT).read_to_string(&mut text).context("stdin")?;
        ("stdin".to_owned(), text)
    } else {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).with_context(|| name.clone())?;
        let mut text = String::new();
        file.take(LIMIT).read_to_string(&mut text).with_context(|| name.clone())?;
        (name, text)
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    let documents = documents.into_iter().flat_map(|document| match &document["items"] {
        // `kubectl get -o yaml` of several.
        Value::Array(items) if document["kind"] == "List" => items.clone(),
        _ => vec![document],
    });
    Ok(documents
        .filter(|document| !document.is_null())
        .enumerate()
        .map(|(i, object)| Document { place: format!("{name}:{}", i + 1), object })
        .collect())
}

/// The metadata of an object that is not in a cluster.
pub(crate) fn meta(object: &Value) -> ObjectMeta {
    let meta = &object["metadata"];
    let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
    let map = |field: &str| {
        let entries = meta[field].as_object().into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let namespace = text("namespace");
    ObjectMeta {
        namespace: if namespace.is_empty() { "default".to_owned() } else { namespace },
        name: text("name"),
        uid: text("uid"),
        labels: map("labels"),
        annotations: map("annotations"),
        generation: meta["generation"].as_i64(),
        deleting: false,
    }
}
