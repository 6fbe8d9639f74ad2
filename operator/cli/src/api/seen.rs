//! What an ExposedAPI says of itself, and the operator of it.

use anstyle::Style;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use operator_controller::resource::FIELD_MANAGER;
use operator_core::names::PREFIX;
use serde::Deserialize;
use serde_json::Value;

use super::table::{BAD, BUSY, GOOD};

/// An ExposedAPI as a reader of its status sees it. What is not there yet is
/// absent; nothing here is evidence of what is in Azure.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SeenApi {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) created: Option<Timestamp>,
    pub(super) deleting: bool,
    pub(super) path: Option<String>,
    pub(super) implementation: Option<String>,
    pub(super) annotations: Vec<(String, String)>,
    /// Whether callers can use it.
    pub(super) ready: bool,
    pub(super) url: Option<String>,
    pub(super) address: Option<String>,
    pub(super) apim: Apim,
    pub(super) plugins: Vec<Plugin>,
    pub(super) warnings: Vec<String>,
    pub(super) conditions: Vec<Condition>,
    /// Of which object status speaks.
    pub(super) told: Told,
}

/// Of which object a status speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Told {
    /// Of the one that is there.
    #[default]
    Current,
    /// Perhaps of an earlier one: it was changed after the operator last said
    /// something, and annotations have no generation.
    PerhapsEarlier,
    /// Of an earlier one.
    Earlier,
}

/// What is published.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Apim {
    pub(super) instance: Option<String>,
    pub(super) api_id: Option<String>,
    pub(super) api_revision: Option<String>,
    pub(super) operations: Option<u64>,
    pub(super) last_error: Option<Value>,
}

/// A plugin that made a part of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Plugin {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: String,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) name: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) last_transition_time: Option<String>,
}

impl Condition {
    /// When it began to say so.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.last_transition_time.as_deref()?.parse().ok()
    }
}

/// Compares when others and when the operator last wrote, in whole seconds. In
/// doubt it is fresh.
fn is_fresh(object: &DynamicObject) -> bool {
    let last = |by_operator: bool| {
        let entries = object.managed_fields().iter();
        entries
            .filter(|entry| (entry.manager.as_deref() == Some(FIELD_MANAGER)) == by_operator)
            .filter_map(|entry| entry.time.as_ref().map(|time| time.0))
            .max()
    };
    match (last(false), last(true)) {
        (Some(changed), Some(told)) => changed >= told,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

impl SeenApi {
    pub(super) fn of(object: &DynamicObject) -> Self {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        let text = |value: &Value| {
            value
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let port = match &spec["port"] {
            Value::Null => String::new(),
            Value::String(port) => format!(":{port}"),
            port => format!(":{port}"),
        };
        // What the definition prunes or another operator wrote is left out.
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let observed = status["observedGeneration"].as_i64();
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            created: object.creation_timestamp().map(|time| time.0),
            deleting: object.metadata.deletion_timestamp.is_some(),
            path: text(&spec["path"]),
            implementation: text(&spec["implementation"]).map(|name| name + &port),
            annotations: object
                .annotations()
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.strip_prefix(PREFIX)?.to_owned(), value.clone()))
                })
                .filter(|(key, _)| key != "applied")
                .collect(),
            ready: status["implementation"]["ready"] == true,
            url: text(&status["apiStatus"]["url"]),
            address: text(&status["apiStatus"]["ip"]),
            apim: Apim::deserialize(&status["apim"]).unwrap_or_default(),
            plugins: list(&status["plugins"])
                .iter()
                .filter_map(|plugin| Plugin::deserialize(plugin).ok())
                .collect(),
            warnings: list(&status["warnings"])
                .iter()
                .filter_map(|warning| warning.as_str().map(str::to_owned))
                .collect(),
            conditions: list(&status["conditions"])
                .iter()
                .filter_map(|condition| Condition::deserialize(condition).ok())
                .collect(),
            told: match observed {
                Some(_) if observed != object.metadata.generation => Told::Earlier,
                _ if is_fresh(object) => Told::PerhapsEarlier,
                _ => Told::Current,
            },
        }
    }

    /// One of its conditions.
    pub(super) fn condition(&self, name: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.name == name)
    }

    /// Whether a condition says yes.
    pub(super) fn says(&self, name: &str) -> bool {
        self.condition(name)
            .is_some_and(|condition| condition.status == "True")
    }

    /// How it fares, in a word.
    pub(super) fn state(&self) -> &str {
        if self.deleting {
            return "Deleting";
        }
        match self.condition("Ready") {
            Some(condition) if !condition.reason.is_empty() => &condition.reason,
            _ if self.ready => "Ready",
            _ => "Unknown",
        }
    }

    /// The colour of how it fares.
    pub(super) fn style(&self) -> Style {
        match (self.ready, self.says("Stalled")) {
            (true, _) => GOOD,
            (false, true) => BAD,
            (false, false) => BUSY,
        }
    }

    /// How it fares, in a sentence.
    pub(super) fn sentence(&self) -> String {
        let said = ["Stalled", "Ready"]
            .into_iter()
            .filter_map(|name| {
                let condition = self.condition(name)?;
                (name == "Ready" || condition.status == "True").then_some(condition)
            })
            .find(|condition| !condition.message.is_empty());
        match said {
            Some(condition) => format!("{}: {}", condition.reason, condition.message),
            None => "the operator has said nothing of it yet".to_owned(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    /// One that callers can use.
    pub(in super::super) fn published() -> DynamicObject {
        object(json!({
            "apiVersion": "oda.tmforum.org/v1",
            "kind": "ExposedAPI",
            "metadata": {
                "name": "stock", "namespace": "shop", "generation": 2, "uid": "8152819f",
                "creationTimestamp": "2026-11-21T09:58:00Z",
                "annotations": {
                    "apim.oda.tmforum.org/drift": "Report",
                    "apim.oda.tmforum.org/applied": "{}",
                    "example.com/team": "shop",
                },
            },
            "spec": {"path": "/stock", "implementation": "stock", "port": 8080},
            "status": {
                "apiStatus": {"url": "https://gateway.example.com/stock", "ip": "203.0.113.10"},
                "implementation": {"ready": true},
                "observedGeneration": 2,
                "apim": {"instance": "default", "apiId": "shop.stock", "apiRevision": "1", "operations": 12},
                "plugins": [{"name": "cors", "version": "0.1.0"}, {"name": "rate-limit", "version": "0.1.0"}],
                "warnings": ["`OASValidation` is read by no plugin of the chain"],
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "Published", "message": "published at https://gateway.example.com/stock", "lastTransitionTime": "2026-11-21T10:00:00Z"},
                    {"type": "Stalled", "status": "False", "reason": "Done", "message": "nothing is stuck", "lastTransitionTime": "2026-11-21T10:00:00Z"},
                ],
            },
        }))
    }

    /// One that is not published, nor will be as it stands.
    pub(in super::super) fn refused() -> DynamicObject {
        object(json!({
            "apiVersion": "oda.tmforum.org/v1",
            "kind": "ExposedAPI",
            "metadata": {
                "name": "orders", "namespace": "shop", "generation": 3,
                "creationTimestamp": "2026-11-18T10:00:00Z",
            },
            "spec": {"path": "/orders", "implementation": "orders", "port": "80"},
            "status": {
                "implementation": {"ready": false},
                "observedGeneration": 3,
                "conditions": [
                    {"type": "Ready", "status": "False", "reason": "Invalid", "message": "annotation `plugins`: there is no plugin `crs`; did you mean `cors`?", "lastTransitionTime": "2026-11-21T10:00:00Z"},
                    {"type": "Stalled", "status": "True", "reason": "Invalid", "message": "annotation `plugins`: there is no plugin `crs`; did you mean `cors`?", "lastTransitionTime": "2026-11-21T10:00:00Z"},
                ],
            },
        }))
    }

    #[test]
    fn what_is_said_of_a_published_api_is_read() {
        let api = SeenApi::of(&published());
        assert_eq!(api.state(), "Published");
        assert!(api.ready && api.told == Told::Current && !api.says("Stalled"));
        assert_eq!(api.implementation.as_deref(), Some("stock:8080"));
        assert_eq!(api.annotations, [("drift".to_owned(), "Report".to_owned())]);
        assert_eq!(api.apim.operations, Some(12));
    }

    #[test]
    fn an_object_of_which_nothing_is_said_yet_is_unknown() {
        let mut new = published();
        new.data["status"] = Value::Null;
        let api = SeenApi::of(&new);
        assert_eq!((api.state(), api.ready), ("Unknown", false));
        assert_eq!(api.sentence(), "the operator has said nothing of it yet");
    }

    #[test]
    fn a_status_of_an_earlier_generation_is_not_current() {
        let mut changed = published();
        changed.metadata.generation = Some(4);
        assert_eq!(SeenApi::of(&changed).told, Told::Earlier);
    }

    #[test]
    fn a_status_that_somebody_else_wrote_is_read_as_far_as_it_goes() {
        let mut odd = published();
        odd.data["status"] =
            json!({"conditions": [7, {"type": "Ready"}], "plugins": {}, "apim": 3});
        let api = SeenApi::of(&odd);
        assert_eq!((api.conditions.len(), api.plugins.len()), (0, 0));
        assert_eq!(api.state(), "Unknown");
    }
}
