//! What an object's status says: a pure function of what is known.
//!
//! The fields `apiStatus` and `implementation` are ODA Canvas's, the others
//! ours. Status holds no clock but the transition times of conditions, so that
//! it is written only when something changes. It is never evidence of
//! anything: whoever may write it could have written this one.

mod applied;
mod conditions;
mod patch;
pub mod reasons;
mod stages;
mod summary;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

pub use applied::{Applied, applied};
pub use patch::{changed, own_fields, patch};
pub use stages::Step;
pub(crate) use summary::cut;
pub use summary::summary;

use crate::apim::{AppliedRecord, PlanSummary};
use crate::desired::{Desired, Exposure};
use crate::drift::DriftReport;
use crate::exposed_api::{ApiPath, ObjectMeta};
use crate::exposure::{self, ExposureFacts};
use crate::problem::Problem;
use crate::validate::{Rejection, ValidatedApi};

/// The most warnings that are written.
const MAX_WARNINGS: usize = 20;
/// The longest of them, in bytes.
const MAX_WARNING: usize = 1024;

/// What is known of an object when its status is made.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The object.
    pub meta: &'a ObjectMeta,
    /// Its spec.
    pub spec: &'a Value,
    /// The generation that was looked at. Absent where status lies in the main
    /// resource: writing it there changes the generation.
    pub generation: Option<i64>,
    /// How the exposure is.
    pub facts: &'a ExposureFacts,
    /// How far it came.
    pub outcome: Outcome<'a>,
    /// What is known to be in API Management.
    pub applied: Option<&'a AppliedRecord>,
    /// What is known of changes by others.
    pub drift: DriftSeen<'a>,
    /// The status that is there.
    pub previous: Option<&'a Value>,
    /// The time, as RFC 3339 in whole seconds and UTC.
    pub now: &'a str,
}

/// What is known of changes that others made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftSeen<'a> {
    /// Nobody has looked since the start: what status says stays.
    NotYet,
    /// Nothing differs.
    InPlace,
    /// Something differs.
    Differs {
        /// What.
        report: &'a DriftReport,
        /// Whether it is put back, and why not.
        why: reasons::Reason,
    },
}

/// How far a reconcile came.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// The object was seen for the first time; nothing is decided.
    Seen,
    /// It was refused. What was published before stays published.
    Rejected(&'a Rejection),
    /// It was built.
    Built {
        /// What was validated.
        validated: &'a ValidatedApi,
        /// What was built of it.
        desired: &'a Desired,
        /// Applying the exposure.
        exposure: &'a Step,
        /// Rendering the policy.
        policy: &'a Step,
        /// Writing to API Management.
        apim: &'a Step,
        /// What would be written, were the object not paused.
        plan: Option<&'a PlanSummary>,
    },
    /// It is being deleted.
    Deleting(&'a Step),
}

/// The status of an object.
#[must_use]
pub fn status(observation: &Observation<'_>) -> Value {
    let stages = stages::stages(observation);
    let ready = stages.ready();
    let mut status = Map::new();
    status.insert("apiStatus".into(), api_status(observation));
    status.insert("implementation".into(), json!({"ready": ready}));
    if let Some(generation) = observation.generation {
        status.insert("observedGeneration".into(), generation.into());
    }
    if let Some(apim) = apim(observation) {
        status.insert("apim".into(), apim);
    }
    let plugins = plugins(observation);
    let names: Vec<&str> = plugins
        .iter()
        .filter_map(|plugin| plugin.get("name")?.as_str())
        .collect();
    status.insert("pluginNames".into(), names.join(", ").into());
    status.insert("plugins".into(), plugins.into());
    let warnings = warnings(observation);
    if !warnings.is_empty() {
        status.insert("warnings".into(), warnings.into());
    }
    let mut conditions = conditions::write(
        &stages.conditions(observation),
        observation.previous,
        observation.generation,
        observation.now,
    );
    if observation.drift == DriftSeen::NotYet
        && let Some(kept) = conditions::find(observation.previous, reasons::conditions::DRIFTED)
    {
        conditions.push(kept.clone());
    }
    status.insert("conditions".into(), conditions.into());
    Value::Object(status)
}

/// ODA Canvas's part. The Component's operator takes it as it is, and deletes
/// an API whose `name` is not the object's.
fn api_status(observation: &Observation<'_>) -> Value {
    let meta = observation.meta;
    let Outcome::Built {
        validated, desired, ..
    } = observation.outcome
    else {
        // What is published still has its address.
        let mut kept = previous(observation, "apiStatus")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        kept.insert("name".into(), meta.name.clone().into());
        for field in ["path", "port", "implementation"] {
            if let (false, Some(value)) = (kept.contains_key(field), observation.spec.get(field)) {
                kept.insert(field.into(), value.clone());
            }
        }
        return Value::Object(kept);
    };
    let api = validated.api();
    let mut status = Map::new();
    status.insert("name".into(), meta.name.clone().into());
    let object = desired.exposure.object();
    let object = object.and_then(|object| observation.facts.object(object.kind()));
    let uid = match (&desired.exposure, &observation.facts.service) {
        (Exposure::Balanced(_), Some(service)) => Some(&service.uid),
        _ => object.map(|object| &object.uid),
    };
    if let Some(uid) = uid.filter(|uid| !uid.is_empty()) {
        status.insert("uid".into(), uid.clone().into());
    }
    status.insert("path".into(), api.path.to_string().into());
    status.insert("port".into(), api.port.into());
    let implementation = observation.spec.get("implementation").cloned();
    status.insert("implementation".into(), implementation.unwrap_or_default());
    if let Some(url) = validated.url() {
        let own = api.developer_ui.as_deref();
        let own = own.map(|ui| developer_ui(&url, validated.path(), ui));
        if let Some(ui) = own.or_else(|| in_portal(validated)) {
            status.insert("developerUI".into(), ui.into());
        }
        status.insert("url".into(), url.into());
    }
    if let Some(Ok(origin)) = exposure::origin(&desired.exposure, observation.facts) {
        status.insert("ip".into(), origin.address.into());
    }
    Value::Object(status)
}

/// The API's page in the developer portal. The page is that of the content
/// that Azure gives every portal; one that was built anew may have another.
fn in_portal(validated: &ValidatedApi) -> Option<String> {
    let (_, context) = validated.instance_with_context()?;
    let portal = context.developer_portal.as_deref()?;
    let id = &validated.publication.as_ref()?.id;
    Some(format!(
        "{}/api-details#api={id}",
        portal.trim_end_matches('/')
    ))
}

/// A developer interface at the API's host. It is given as a path from the
/// root, or as a URL.
fn developer_ui(url: &str, path: &ApiPath, ui: &str) -> String {
    if ui.contains("://") {
        return ui.to_owned();
    }
    let origin = match path.as_api_management() {
        "" => url,
        path => url.strip_suffix(path).unwrap_or(url),
    };
    format!(
        "{}/{}",
        origin.trim_end_matches('/'),
        ui.trim_start_matches('/')
    )
}

fn apim(observation: &Observation<'_>) -> Option<Value> {
    let mut apim = match observation.applied.map(serde_json::to_value) {
        Some(Ok(Value::Object(record))) => record,
        _ => Map::new(),
    };
    let last_error = match observation.outcome {
        Outcome::Built { apim, .. } => apim.error(),
        Outcome::Deleting(step) => step.error(),
        Outcome::Seen | Outcome::Rejected(_) => None,
    };
    if let Some(error) = last_error {
        apim.insert("lastError".into(), summary::cut(error, MAX_WARNING).into());
    }
    if let Outcome::Built {
        plan: Some(plan), ..
    } = observation.outcome
        && let Ok(plan) = serde_json::to_value(plan)
    {
        apim.insert("plan".into(), plan);
    }
    (!apim.is_empty()).then_some(Value::Object(apim))
}

/// The plugins of the policy that is, or is about to be, in place.
fn plugins(observation: &Observation<'_>) -> Vec<Value> {
    if let Outcome::Built { desired, .. } = observation.outcome {
        if let Some(policy) = &desired.policy {
            return policy
                .plugins
                .iter()
                .filter_map(|plugin| serde_json::to_value(plugin).ok())
                .collect();
        }
        if desired.api.is_none() {
            return Vec::new();
        }
    }
    previous(observation, "plugins")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

fn warnings(observation: &Observation<'_>) -> Vec<String> {
    let Outcome::Built { desired, .. } = observation.outcome else {
        return Vec::new();
    };
    let all = &desired.warnings;
    let line = |problem: &Problem| summary::cut(&problem.to_string(), MAX_WARNING);
    let mut warnings: Vec<String> = all.iter().take(MAX_WARNINGS).map(line).collect();
    if all.len() > MAX_WARNINGS {
        warnings.push(format!("… and {} more", all.len() - MAX_WARNINGS));
    }
    warnings
}

fn previous<'a>(observation: &Observation<'a>, field: &str) -> Option<&'a Value> {
    observation.previous?.get(field)
}
