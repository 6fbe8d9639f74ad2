//! The ConfigMaps and Secrets in files, beside the ExposedAPIs whose documents
//! lie in them.

use std::collections::BTreeMap;

use operator_core::annotations::SpecificationFrom;
use serde_json::Value;

use crate::manifest::Document;

/// What lies in them: by kind, namespace, name and key.
#[derive(Default)]
pub(crate) struct Texts(BTreeMap<[String; 4], String>);

impl Texts {
    /// Whether an object may hold documents.
    pub(crate) fn may_be(object: &Value) -> bool {
        object["apiVersion"] == "v1"
            && (object["kind"] == "ConfigMap" || object["kind"] == "Secret")
    }

    /// Those of all documents.
    pub(crate) fn of(documents: &[Document]) -> Self {
        let mut texts = BTreeMap::new();
        for object in documents.iter().map(|document| &document.object) {
            if !Self::may_be(object) {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let [kind, namespace, name] = [
                text(&object["kind"]),
                text(&object["metadata"]["namespace"]),
                text(&object["metadata"]["name"]),
            ];
            // What is encoded is for the operator.
            let data = if kind == "Secret" {
                "stringData"
            } else {
                "data"
            };
            for (key, value) in object[data].as_object().into_iter().flatten() {
                let place = [kind.clone(), namespace.clone(), name.clone(), key.clone()];
                texts.insert(place, text(value));
            }
        }
        Self(texts)
    }

    /// The document that lies there, if a file has it.
    pub(crate) fn get(&self, namespace: &str, from: &SpecificationFrom) -> Option<&String> {
        let (kind, name, key) = match from {
            SpecificationFrom::ConfigMap { name, key } => ("ConfigMap", name, key),
            SpecificationFrom::Secret { name, key } => ("Secret", name, key),
            SpecificationFrom::Service { .. } => return None,
        };
        let place = [kind, namespace, name, key].map(str::to_owned);
        self.0.get(&place)
    }
}
