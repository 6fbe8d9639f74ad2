//! Conditions as Kubernetes has them (`metav1.Condition`).

use serde_json::{Value, json};

use super::reasons::Reason;

/// One condition, without the time of its last transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) kind: &'static str,
    pub(super) status: bool,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// The conditions as status has them. The time of a condition changes only
/// when its status does.
pub(super) fn write(
    conditions: &[Condition],
    previous: Option<&Value>,
    generation: Option<i64>,
    now: &str,
) -> Vec<Value> {
    conditions
        .iter()
        .map(|condition| {
            let status = if condition.status { "True" } else { "False" };
            let since = find(previous, condition.kind)
                .filter(|old| old.get("status").and_then(Value::as_str) == Some(status))
                .and_then(|old| old.get("lastTransitionTime")?.as_str())
                .unwrap_or(now);
            let mut written = json!({
                "type": condition.kind,
                "status": status,
                "reason": condition.reason.as_str(),
                "message": condition.message,
                "lastTransitionTime": since,
            });
            if let (Some(generation), Value::Object(fields)) = (generation, &mut written) {
                fields.insert("observedGeneration".into(), generation.into());
            }
            written
        })
        .collect()
}

/// A condition of a status.
pub(super) fn find<'a>(status: Option<&'a Value>, kind: &str) -> Option<&'a Value> {
    status?
        .get("conditions")?
        .as_array()?
        .iter()
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
}
