//! Taking over what the original Azure operator left: which of its objects can
//! be taken over, and by which steps.
//!
//! The original named an API in API Management by the object's name alone, kept
//! objects with kopf's finalizer, and tied its Ingress to the object by an owner
//! reference that holds deletions up. Everything is decided from what was read;
//! each step is there only where its work is not done, so a takeover that died
//! goes on where it stopped. Traffic is touched by none of them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::annotations;
use crate::apim::ObservedApi;
use crate::exposed_api::{self, ApiPath, ObjectMeta};
use crate::exposure::ingress_name;
use crate::instance::Instance;
use crate::mark::OwnershipMark;
use crate::names::{ApiId, FINALIZER, ObjectKey, PREFIX};

/// The finalizer of the original operator: kopf's, which others use too.
pub const KOPF_FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";
/// The annotation in which kopf keeps what it handled last.
pub const KOPF_ANNOTATION: &str = "kopf.zalando.org/last-handled-configuration";
/// The label and its value that the operator's Ingresses have.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "apim-operator");

/// An ExposedAPI as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundObject {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// Its spec.
    pub spec: Value,
    /// Its status; null where it has none.
    pub status: Value,
}

/// An Ingress as it was found under the name that both operators give.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundIngress {
    /// The uids of the ExposedAPIs among its owners, and whether that owner
    /// reference blocks the owner's deletion.
    pub owners: Vec<(String, bool)>,
    /// Whether it carries [`MANAGED_BY`].
    pub labelled: bool,
    /// Other writers that own a part of its spec.
    pub other_managers: Vec<String>,
    /// Where its load balancer is reached: host names and addresses.
    pub addresses: Vec<String>,
}

impl FoundIngress {
    fn is_of(&self, uid: &str) -> bool {
        self.owners.iter().any(|(owner, _)| owner == uid)
    }

    fn is_taken_over(&self) -> bool {
        self.labelled
            && self.other_managers.is_empty()
            && self.owners.iter().all(|(_, blocks)| !blocks)
    }
}

/// What there is to know about one object.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The object.
    pub object: &'a FoundObject,
    /// Other objects of its name.
    pub namesakes: &'a [ObjectKey],
    /// The Ingress of its name, if there is one.
    pub ingress: Option<&'a FoundIngress>,
    /// Where it is published, or why that cannot be told.
    pub instance: Result<&'a Instance, String>,
    /// The API whose id is the object's name, with all its marks; an error
    /// where API Management could not be read.
    pub api: Result<Option<&'a ObservedApi>, String>,
    /// The UID of the `kube-system` namespace.
    pub cluster: &'a str,
}

/// One step of a takeover. Each is one write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "kind"
)]
pub enum Step {
    /// Puts the object's mark on the API, if it is still as it was read.
    MarkApi {
        /// The instance.
        instance: String,
        /// The API.
        api_id: String,
        /// The revision description that the mark replaces.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
    },
    /// Names the API on the object and holds the object with our finalizer.
    HoldObject {
        /// The id that the annotation `api-id` gets; absent where there is no
        /// API to keep.
        #[serde(skip_serializing_if = "Option::is_none")]
        api_id: Option<String>,
    },
    /// Takes the Ingress over as it is: label, owner reference that blocks
    /// nothing, ownership of its fields.
    TakeIngress {
        /// The Ingress.
        name: String,
        /// The writers whose share of it ends.
        from: Vec<String>,
    },
    /// Takes away what the original operator keeps on the object: its
    /// finalizer, its annotation, `status.apimBind`.
    ReleaseObject {
        /// What goes.
        removes: Vec<String>,
    },
}

impl Step {
    /// What it does, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::MarkApi {
                instance,
                api_id,
                replaces,
            } => {
                let instead = replaces
                    .as_ref()
                    .map(|text| format!(" (instead of `{text}`)"))
                    .unwrap_or_default();
                format!("mark API `{api_id}` in instance `{instance}` as this object's{instead}")
            }
            Self::HoldObject {
                api_id: Some(api_id),
            } => format!("annotate the object with {PREFIX}api-id: {api_id}, and hold it"),
            Self::HoldObject { api_id: None } => {
                "hold the object: there is no API yet, the operator publishes it anew".to_owned()
            }
            Self::TakeIngress { name, from } => {
                let from = match from.as_slice() {
                    [] => String::new(),
                    from => format!(" from {}", from.join(", ")),
                };
                format!("take Ingress `{name}` over{from} as it is, without holding deletions up")
            }
            Self::ReleaseObject { removes } => format!("remove {}", removes.join(", ")),
        }
    }
}

/// What becomes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The original operator had nothing to do with it.
    Foreign,
    /// It is taken over already.
    Done,
    /// These steps take it over.
    Steps(Vec<Step>),
    /// It is left alone: why, and the way out.
    Blocked(String),
}

/// Whether the original operator had something to do with an object: what it
/// keeps on it, its Ingress, or a takeover that began.
#[must_use]
pub fn concerns(object: &FoundObject, ingress: Option<&FoundIngress>) -> bool {
    let old_ingress =
        ingress.is_some_and(|found| found.is_of(&object.meta.uid) && !found.is_taken_over());
    let began = object.meta.annotations.get(&api_id_annotation()) == Some(&object.meta.name);
    old_ingress || began || !traces(object).is_empty()
}

/// Decides what becomes of an object.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Verdict {
    let object = facts.object;
    let ingress = facts.ingress.filter(|found| found.is_of(&object.meta.uid));
    if !concerns(object, ingress) {
        return Verdict::Foreign;
    }
    match steps(facts, ingress, traces(object)) {
        Ok(steps) if steps.is_empty() => Verdict::Done,
        Ok(steps) => Verdict::Steps(steps),
        Err(why) => Verdict::Blocked(why),
    }
}

fn api_id_annotation() -> String {
    format!("{PREFIX}api-id")
}

/// What the original operator keeps on an object.
fn traces(object: &FoundObject) -> Vec<String> {
    let mut traces = Vec::new();
    if object.finalizers.iter().any(|name| name == KOPF_FINALIZER) {
        traces.push(format!("finalizer {KOPF_FINALIZER}"));
    }
    if object.meta.annotations.contains_key(KOPF_ANNOTATION) {
        traces.push(format!("annotation {KOPF_ANNOTATION}"));
    }
    if object
        .status
        .get("apimBind")
        .is_some_and(|bound| !bound.is_null())
    {
        traces.push("status.apimBind".to_owned());
    }
    traces
}

fn steps(
    facts: &Facts<'_>,
    ingress: Option<&FoundIngress>,
    traces: Vec<String>,
) -> Result<Vec<Step>, String> {
    let object = facts.object;
    let meta = &object.meta;
    if let [other, ..] = facts.namesakes {
        return Err(format!(
            "{other} has the same name, and the original operator gave both the API id `{}`: it cannot be told \
             whose API that is. Rename one of them, or delete the one that is not published",
            meta.name
        ));
    }
    if meta.deleting {
        return Err(format!(
            "it is being deleted, and new finalizers cannot be added: let the original operator finish, or delete \
             API `{}` by hand and then remove its finalizer {KOPF_FINALIZER}",
            meta.name
        ));
    }
    if facts.ingress.is_some() && ingress.is_none() {
        return Err(format!(
            "Ingress `{}` is owned by another object; delete or rename it",
            ingress_name(&meta.key())
        ));
    }
    let instance = facts.instance.as_ref().map_err(Clone::clone)?;
    let api = facts.api.as_ref().map_err(Clone::clone)?;
    let mut steps = Vec::new();
    let mut id = None;
    if let Some(api) = api {
        steps.extend(mark(facts, instance, api, ingress)?);
        allowed(object, instance)?;
        id = Some(meta.name.clone());
    }
    let named = id.is_none() || meta.annotations.get(&api_id_annotation()) == id.as_ref();
    let held = object.finalizers.iter().any(|name| name == FINALIZER);
    if !(named && held) {
        steps.push(Step::HoldObject { api_id: id });
    }
    if let Some(found) = ingress.filter(|found| !found.is_taken_over()) {
        steps.push(Step::TakeIngress {
            name: ingress_name(&meta.key()),
            from: found.other_managers.clone(),
        });
    }
    if !traces.is_empty() {
        steps.push(Step::ReleaseObject { removes: traces });
    }
    Ok(steps)
}

/// Whether the API is the one that the original operator made of this object;
/// the step that marks it, where it is not marked yet.
fn mark(
    facts: &Facts<'_>,
    instance: &Instance,
    api: &ObservedApi,
    ingress: Option<&FoundIngress>,
) -> Result<Option<Step>, String> {
    let object = facts.object;
    let id = &object.meta.name;
    let mark = OwnershipMark::new(facts.cluster, &object.meta.key());
    if api.carries(mark.as_str()) {
        return Ok(None);
    }
    let mut marks = api.mark.iter().chain(&api.other_marks);
    if let Some(other) = marks.find_map(|text| OwnershipMark::parse(text)) {
        return Err(format!(
            "API `{id}` in instance `{}` carries another object's mark, `{other}`: it is left alone",
            instance.name
        ));
    }
    let read = exposed_api::read(&object.meta, &object.spec).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        format!("its spec cannot be understood: {}", problems.join("; "))
    })?;
    let there = api.settings.path.trim_matches('/');
    if there != read.path.as_api_management() {
        return Err(format!(
            "API `{id}` in instance `{}` has path `{there}`, and the object's is `{}`: it is left alone",
            instance.name,
            read.path.as_api_management()
        ));
    }
    let backend = api.service_url.as_deref().unwrap_or_default();
    if !is_backend(backend, ingress, &read.path) {
        let addresses = ingress.map_or_else(
            || "which it has not".to_owned(),
            |found| match found.addresses.as_slice() {
                [] => "which has no address".to_owned(),
                all => format!("at {}", all.join(", ")),
            },
        );
        return Err(format!(
            "API `{id}` in instance `{}` has backend `{backend}`, which is not the object's Ingress ({addresses}): it \
             is left alone",
            instance.name
        ));
    }
    Ok(Some(Step::MarkApi {
        instance: instance.name.to_string(),
        api_id: id.clone(),
        replaces: api.mark.clone().filter(|text| !text.is_empty()),
    }))
}

/// The original sends requests to `http://<address of the Ingress><path>`.
fn is_backend(backend: &str, ingress: Option<&FoundIngress>, path: &ApiPath) -> bool {
    let Some((_, rest)) = backend.split_once("://") else {
        return false;
    };
    let (host, below) = rest.split_once('/').unwrap_or((rest, ""));
    let addresses = ingress.map(|found| found.addresses.as_slice());
    addresses
        .unwrap_or_default()
        .iter()
        .any(|address| address == host)
        && below.trim_matches('/') == path.as_api_management()
}

/// Whether the instance lets the object keep the id of its API.
fn allowed(object: &FoundObject, instance: &Instance) -> Result<(), String> {
    let meta = &object.meta;
    let name = api_id_annotation();
    if let Some(other) = meta.annotations.get(&name).filter(|id| **id != meta.name) {
        return Err(format!(
            "its annotation {name} asks for `{other}`, and its API is `{}`: remove the annotation",
            meta.name
        ));
    }
    ApiId::parse(&meta.name).map_err(|error| error.to_string())?;
    let with = BTreeMap::from([(name, meta.name.clone())]);
    let (asked, _) = annotations::read(&with);
    let at = annotations::path("api-id");
    let refused = asked.forbidden(&meta.key(), instance);
    let refused = refused.iter().any(|problem| problem.path == at);
    if !refused {
        return Ok(());
    }
    Err(format!(
        "the API keeps its id by an annotation that instance `{}` does not allow: add `api-id` to `spec.ownerMay` \
         and `{}` (or a pattern) to `spec.allow.apiIds`",
        instance.name, meta.name
    ))
}
