//! What the operator remembers of what it applied, where it can be read again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::apim::AppliedRecord;
use crate::names::ObjectKey;

/// The record as the annotation `applied` has it, where status keeps nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// `<namespace>/<name>` of the object it speaks of: annotations are copied
    /// between objects.
    object: String,
    #[serde(flatten)]
    record: AppliedRecord,
}

impl Applied {
    /// A record of an object.
    #[must_use]
    pub fn new(key: &ObjectKey, record: AppliedRecord) -> Self {
        Self {
            object: key.to_string(),
            record,
        }
    }

    /// The text of the annotation.
    #[must_use]
    pub fn to_annotation(&self) -> String {
        // It has string keys only, which always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The record in an annotation; none where it speaks of another object or
    /// is no record.
    #[must_use]
    pub fn from_annotation(text: &str, key: &ObjectKey) -> Option<AppliedRecord> {
        let applied: Self = serde_json::from_str(text).ok()?;
        (applied.object == key.to_string()).then_some(applied.record)
    }
}

/// The record in a status; none where there is none.
#[must_use]
pub fn applied(status: &Value) -> Option<AppliedRecord> {
    serde_json::from_value(status.get("apim")?.clone()).ok()
}
