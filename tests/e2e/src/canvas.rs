//! A scripted stand-in for the ODA Canvas's Component operator: it makes an
//! ExposedAPI for each API of a Component, keeps them listed in the
//! Component's status, and sums the status up.
//!
//! It is as careless as the real one. It writes each list whole, from what it
//! read when it began; it takes an ExposedAPI's `status.apiStatus` as the
//! entry, whatever is in it; it reads `implementation.ready` without asking
//! whether it is there, and gives the list up if it is not; it takes the API
//! away from the list and makes it anew where `apiStatus.name` is another one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use regex::Regex;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use crate::status_of;

/// TM Forum's definition of Component, beside this workspace.
const CANONICAL: &str = "../shared/oda/component-crd.yaml";
/// TM Forum's definition of ExposedAPI.
const CANONICAL_API: &str = "../shared/oda/exposedapi-crd.yaml";
/// The parts of a spec that hold APIs, and the lists of status for them.
const SEGMENTS: [(&str, &str); 3] = [
    ("coreFunction", "coreAPIs"),
    ("managementFunction", "managementAPIs"),
    ("securityFunction", "securityAPIs"),
];

/// Which ExposedAPI definition a canvas brings: TM Forum's where it lies beside
/// the workspace.
#[must_use]
pub fn canvas_definition() -> crate::Definition {
    if workspace_file(CANONICAL_API).exists() {
        crate::Definition::File(CANONICAL_API)
    } else {
        crate::Definition::Ours
    }
}

/// The definition of Component: TM Forum's where it lies beside the workspace,
/// without its conversion webhook, which no test has; else one that keeps
/// everything.
pub fn component_definition() -> Result<Value> {
    let path = workspace_file(CANONICAL);
    if !path.exists() {
        return Ok(minimal_definition());
    }
    // It is a chart's template.
    let text = std::fs::read_to_string(&path)?;
    let text = Regex::new(r"\{\{.*?\}\}")?.replace_all(&text, "template");
    let mut definition: Value = serde_saphyr::from_str(&text).context("the canonical CRD")?;
    definition["metadata"]["annotations"] = Value::Null;
    definition["spec"]["conversion"] = json!({"strategy": "None"});
    let known: CustomResourceDefinition = serde_json::from_value(definition)?;
    let mut definition = serde_json::to_value(known)?;
    definition["apiVersion"] = json!("apiextensions.k8s.io/v1");
    definition["kind"] = json!("CustomResourceDefinition");
    Ok(definition)
}

fn minimal_definition() -> Value {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "components.oda.tmforum.org"},
        "spec": {
            "group": "oda.tmforum.org",
            "scope": "Namespaced",
            "names": {"plural": "components", "singular": "component", "kind": "Component"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
            }],
        },
    })
}

fn workspace_file(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("oda.tmforum.org", "v1", kind),
        plural,
    )
}

/// The Components of a namespace.
#[must_use]
pub fn components(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(
        client.clone(),
        namespace,
        &resource("Component", "components"),
    )
}

/// A Component that exposes these APIs: segment and API.
#[must_use]
pub fn component(name: &str, apis: &[(&str, Value)]) -> Value {
    let mut spec = Map::new();
    for (segment, api) in apis {
        let part = spec
            .entry((*segment).to_owned())
            .or_insert_with(|| json!({"exposedAPIs": []}));
        if let Some(list) = part["exposedAPIs"].as_array_mut() {
            list.push(api.clone());
        }
    }
    json!({
        "apiVersion": "oda.tmforum.org/v1", "kind": "Component",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    })
}

/// The entry of an API in a Component's status, in whichever list it is.
#[must_use]
pub fn entry(status: &Value, api: &str) -> Option<Value> {
    SEGMENTS.iter().find_map(|(_, list)| {
        let entries = status[*list].as_array()?;
        entries.iter().find(|entry| entry["name"] == api).cloned()
    })
}

/// The running operator; it stops when dropped.
pub struct Canvas {
    client: Client,
    task: JoinHandle<()>,
    given_up: Arc<AtomicU32>,
}

impl Drop for Canvas {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Canvas {
    /// Starts it for the namespace `shop`.
    #[must_use]
    pub fn start(client: &Client) -> Self {
        let given_up = Arc::new(AtomicU32::new(0));
        let task = tokio::spawn(operate(client.clone(), Arc::clone(&given_up)));
        Self {
            client: client.clone(),
            task,
            given_up,
        }
    }

    /// How many lists were given up because something that it reads without
    /// asking was not there.
    #[must_use]
    pub fn given_up(&self) -> u32 {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Writes all lists of a Component again, from what it says at this moment,
    /// each turned round.
    pub async fn rewrite(&self, name: &str) -> Result<()> {
        let api = components(&self.client, "shop");
        let object = api.get(name).await?;
        let before = status_of(&object);
        let mut lists = Map::new();
        for (_, list) in SEGMENTS {
            let mut entries = before[list].as_array().cloned().unwrap_or_default();
            entries.reverse();
            // What it knows of an API is what it knew when it made it.
            for entry in &mut entries {
                *entry = json!({"name": entry["name"], "uid": entry["uid"], "ready": false});
            }
            lists.insert(list.to_owned(), entries.into());
        }
        merge(&api, name, &Value::Object(lists)).await
    }
}

/// Writes status as kopf does: a merge patch of the main resource.
async fn merge(api: &Api<DynamicObject>, name: &str, status: &Value) -> Result<()> {
    let patch = Patch::Merge(json!({"status": status}));
    let params = PatchParams {
        field_manager: Some("kopf".into()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &patch).await?;
    Ok(())
}

async fn operate(client: Client, given_up: Arc<AtomicU32>) {
    let api = components(&client, "shop");
    let stream = watcher(api.clone(), watcher::Config::default()).default_backoff();
    let mut stream = std::pin::pin!(stream.applied_objects());
    let mut handled = std::collections::HashMap::new();
    while let Some(event) = stream.next().await {
        let Ok(object) = event else { continue };
        let name = object.name_any();
        let spec = object.data["spec"].to_string();
        let done = async {
            if handled.insert(name.clone(), spec.clone()) != Some(spec) {
                changed(&client, &object, &given_up).await?;
            }
            summary(&api, &object).await
        };
        if let Err(error) = done.await {
            // As kopf does: the handler runs again with the next event.
            handled.remove(&name);
            eprintln!("the canvas: {error:#}");
        }
    }
}

/// The Component is new, or its spec has changed.
async fn changed(client: &Client, component: &DynamicObject, given_up: &AtomicU32) -> Result<()> {
    let api: Api<DynamicObject> = Api::namespaced_with(
        client.clone(),
        "shop",
        &resource("ExposedAPI", "exposedapis"),
    );
    let name = component.name_any();
    let before = status_of(component);
    let mut lists = Map::new();
    for (segment, list) in SEGMENTS {
        let mut entries = Vec::new();
        let wanted = component.data["spec"][segment]["exposedAPIs"].as_array();
        let wanted = wanted.cloned().unwrap_or_default();
        let mut names = Vec::new();
        for spec in &wanted {
            let given = spec["name"].as_str().context("an API has a name")?;
            let of_api = format!("{name}-{given}").to_lowercase();
            entries.push(expose(&api, component, segment, &of_api, spec).await?);
            names.push(of_api);
        }
        for entry in before[list].as_array().into_iter().flatten() {
            let listed = entry["name"].as_str().unwrap_or_default();
            if !names.iter().any(|name| name == listed) {
                api.delete(listed, &DeleteParams::default()).await?;
            }
        }
        let entries: Option<Vec<Value>> = entries.into_iter().collect();
        if entries.is_none() {
            given_up.fetch_add(1, Ordering::Relaxed);
        }
        lists.insert(list.to_owned(), entries.unwrap_or_default().into());
    }
    merge(&components(client, "shop"), &name, &Value::Object(lists)).await
}

/// Makes or changes an ExposedAPI and gives its entry; none where what it reads
/// is not there.
async fn expose(
    api: &Api<DynamicObject>,
    component: &DynamicObject,
    segment: &str,
    name: &str,
    of_component: &Value,
) -> Result<Option<Value>> {
    let spec = flattened(segment, of_component);
    if let Some(existing) = api.get_opt(name).await? {
        let object = if existing.data["spec"] == spec {
            existing
        } else {
            let patch = Patch::Merge(json!({"spec": spec}));
            api.patch(name, &PatchParams::default(), &patch).await?
        };
        let status = status_of(&object);
        let (Some(entry), Some(ready)) = (
            status["apiStatus"].as_object(),
            status["implementation"].get("ready"),
        ) else {
            return Ok(None);
        };
        let mut entry = entry.clone();
        entry.insert("uid".into(), object.uid().into());
        entry.insert("ready".into(), ready.clone());
        return Ok(Some(entry.into()));
    }
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "oda.tmforum.org/v1", "kind": "ExposedAPI",
        "metadata": {
            "name": name, "namespace": "shop",
            "labels": {"oda.tmforum.org/componentName": component.name_any()},
            "ownerReferences": [{
                "apiVersion": "oda.tmforum.org/v1", "kind": "Component",
                "name": component.name_any(), "uid": component.uid(),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    }))?;
    let made = api.create(&PostParams::default(), &object).await?;
    Ok(Some(
        json!({"name": name, "uid": made.uid(), "ready": false}),
    ))
}

/// The spec of an ExposedAPI: one version of the Component's API, with what
/// stands under `gatewayConfiguration` beside the rest.
fn flattened(segment: &str, of_component: &Value) -> Value {
    let mut spec = of_component.as_object().cloned().unwrap_or_default();
    if let Some(first) = of_component["specification"].get(0) {
        spec.insert("specification".into(), first.clone());
    }
    if let Some(Value::Object(gateway)) = spec.remove("gatewayConfiguration") {
        spec.extend(gateway);
    }
    spec.insert("segment".into(), segment.into());
    spec.into()
}

/// Says whether every API of the Component can be called.
async fn summary(api: &Api<DynamicObject>, component: &DynamicObject) -> Result<()> {
    let status = status_of(component);
    let mut entries = SEGMENTS
        .iter()
        .flat_map(|(_, list)| status[*list].as_array().into_iter().flatten());
    let complete = entries.all(|entry| entry["url"].is_string() && entry["ready"] == true);
    let lists = SEGMENTS.iter().any(|(_, list)| status[*list].is_array());
    let said = if complete && lists {
        "Complete"
    } else {
        "In-Progress-CompCon"
    };
    if status["summary/status"]["deployment_status"] == said {
        return Ok(());
    }
    let patch = json!({"summary/status": {"deployment_status": said}});
    merge(api, &component.name_any(), &patch).await
}
