//! What must be so in the end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use apim_simulator::ApiShape;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::{Value, json};

use super::{Violation, rule};
use crate::azure::GATEWAY;
use crate::stage::again_with;
use crate::stage::{FOREIGN, HOLD, OTHER_CLUSTER, Object, Slot, Stage};
use crate::wanted::{PolicyFacts, Wanted, guarded};

/// What the stand-in gives every Ingress.
const ADDRESS: &str = "203.0.113.10";
/// Somebody else's Ingress, which is there from the beginning.
const NEIGHBOUR: &str = "apim-api-ingress-neighbour";

impl Stage<'_> {
    /// What is not as it is wanted.
    pub(crate) async fn differences(&self) -> Result<Vec<Violation>> {
        let objects = self.exposed_apis();
        let list = again_with(async || objects.list(&ListParams::default()).await).await?;
        let objects: BTreeMap<String, DynamicObject> = list
            .into_iter()
            .filter_map(|object| Some((object.metadata.name.clone()?, object)))
            .collect();
        let ingresses: Api<Ingress> = Api::namespaced(self.lab.client.clone(), &self.namespace);
        let list = again_with(async || ingresses.list(&ListParams::default()).await).await?;
        let ingresses: BTreeMap<String, Ingress> = list
            .into_iter()
            .filter_map(|ingress| Some((ingress.metadata.name.clone()?, ingress)))
            .collect();
        let apis = self.azure.apis();
        let mut wrong = Vec::new();
        let instances = self.instances();
        let instance = again_with(async || instances.get(&self.namespace).await).await?;
        let status = instance.data.get("status").cloned().unwrap_or_default();
        if condition(&status, "Ready")["status"] != "True" {
            let text = format!("the instance is not called connected: {status}");
            wrong.push(Violation::new(rule::STATUS, text));
        }
        for slot in &self.slots {
            let found = Found {
                stage: self,
                slot,
                object: objects.get(&slot.name),
                ingress: ingresses.get(&format!("apim-api-ingress-{}", slot.name)),
                api: apis.get(&self.api_id(slot)),
            };
            wrong.extend(found.differences());
        }
        wrong.extend(self.orphans(&apis, &ingresses));
        Ok(wrong)
    }

    /// What nobody asked for.
    fn orphans(
        &self,
        apis: &BTreeMap<String, ApiShape>,
        ingresses: &BTreeMap<String, Ingress>,
    ) -> Vec<Violation> {
        let known: BTreeSet<String> = self.slots.iter().map(|slot| self.api_id(slot)).collect();
        let apis = apis
            .keys()
            .filter(|id| !known.contains(*id) && *id != FOREIGN && *id != OTHER_CLUSTER)
            .map(|id| format!("API {id} belongs to nobody"));
        let known: BTreeSet<String> = self
            .slots
            .iter()
            .map(|slot| format!("apim-api-ingress-{}", slot.name))
            .collect();
        let ingresses = ingresses
            .keys()
            .filter(|name| !known.contains(*name) && *name != NEIGHBOUR)
            .map(|name| format!("Ingress {name} belongs to nobody"));
        apis.chain(ingresses)
            .map(|text| Violation::new(rule::ORPHAN, text))
            .collect()
    }
}

/// What was found of one slot.
struct Found<'a> {
    stage: &'a Stage<'a>,
    slot: &'a Slot,
    object: Option<&'a DynamicObject>,
    ingress: Option<&'a Ingress>,
    api: Option<&'a ApiShape>,
}

impl Found<'_> {
    fn differences(&self) -> Vec<Violation> {
        match &self.slot.object {
            Object::There(wanted) => self.there(wanted),
            Object::Going => vec![Violation::new(
                rule::CONVERGED,
                format!("{} is still being deleted", self.slot.name),
            )],
            Object::Absent => self.absent(),
        }
    }

    fn absent(&self) -> Vec<Violation> {
        let name = &self.slot.name;
        let mut wrong = Vec::new();
        if self.api.is_some() && !self.slot.kept && !self.slot.handled {
            wrong.push(Violation::new(
                rule::ORPHAN,
                format!("the API of {name} outlived it"),
            ));
        }
        if self.ingress.is_some() && !self.vanished() {
            wrong.push(Violation::new(
                rule::ORPHAN,
                format!("the Ingress of {name} outlived it"),
            ));
        }
        wrong
    }

    /// The object went while the operator was at work on it: an API server lets
    /// an object go at once whose finalizer is written while it is deleted. The
    /// Ingress is then for Kubernetes' garbage collector, which does not run
    /// here; there can be no API yet.
    fn vanished(&self) -> bool {
        let status = format!("/exposedapis/{}/status", self.slot.name);
        let writes = self.stage.tap.writes(0);
        writes
            .iter()
            .any(|write| write.path.ends_with(&status) && write.done == Some(404))
    }

    fn there(&self, wanted: &Wanted) -> Vec<Violation> {
        let Some(object) = self.object else {
            return vec![Violation::new(
                rule::CONVERGED,
                format!("{} is not there", self.slot.name),
            )];
        };
        let mut wrong = self.kept(wanted, object);
        let status = object.data.get("status").cloned().unwrap_or_default();
        wrong.extend(self.expect(
            rule::STATUS,
            "the generation that status is of",
            condition(&status, "Ready")["observedGeneration"].clone(),
            json!(object.metadata.generation),
        ));
        if wanted.metrics && wanted.mistake.is_some() {
            // Where nothing is published, some mistakes are none.
        } else if wanted.mistake.is_some() {
            wrong.extend(self.refused(&status));
        } else if wanted.paused {
            // What is there is what was there when it was paused; that it was
            // wanted once is looked at elsewhere.
        } else if wanted.metrics {
            wrong.extend(self.in_cluster(&status));
        } else {
            wrong.extend(self.published(wanted, &status));
        }
        wrong
    }

    fn expect(
        &self,
        rule: &'static str,
        what: &str,
        found: impl Into<Value>,
        wanted: impl Into<Value>,
    ) -> Option<Violation> {
        let (found, wanted) = (found.into(), wanted.into());
        let text = || format!("{}: {what} is {found}, not {wanted}", self.slot.name);
        (found != wanted).then(|| Violation::new(rule, text()))
    }

    /// The spec, and what others wrote into the metadata.
    fn kept(&self, wanted: &Wanted, object: &DynamicObject) -> Vec<Violation> {
        let meant = wanted.object(&self.stage.namespace, &self.slot.name, FOREIGN);
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let meta = &object.metadata;
        let annotations: serde_json::Map<String, Value> = meta
            .annotations
            .iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        let mut annotated = wanted.annotations(FOREIGN);
        let mut labels = json!({"team": "chaos"});
        if self.slot.decorated {
            annotated.insert("example.com/note".to_owned(), "ours".into());
            labels["example.com/tier"] = "gold".into();
        }
        let held = meta.finalizers.iter().flatten().any(|one| one == HOLD);
        [
            self.expect(rule::UPDATE, "spec", spec, meant["spec"].clone()),
            self.expect(rule::UPDATE, "annotations", annotations, annotated),
            self.expect(rule::UPDATE, "labels", json!(meta.labels), labels),
            self.expect(
                rule::UPDATE,
                "somebody's finalizer",
                held,
                self.slot.decorated,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// An object with a mistake says so and is not called ready.
    fn refused(&self, status: &Value) -> Vec<Violation> {
        let ready = condition(status, "Ready");
        [
            self.expect(
                rule::STATUS,
                "Ready of an object with a mistake",
                ready["status"].clone(),
                "False",
            ),
            ready["message"]
                .as_str()
                .is_none_or(str::is_empty)
                .then(|| Violation::new(rule::STATUS, "a mistake is not named")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn in_cluster(&self, status: &Value) -> Vec<Violation> {
        let mut wrong = Vec::new();
        if self.api.is_some() && !self.slot.handled {
            wrong.push(Violation::new(
                rule::ORPHAN,
                format!("{} serves metrics and is in Azure", self.slot.name),
            ));
        }
        if self.ingress.is_some() {
            wrong.push(Violation::new(
                rule::ORPHAN,
                format!("{} serves metrics and has an Ingress", self.slot.name),
            ));
        }
        wrong.extend(self.expect(
            rule::STATUS,
            "implementation.ready",
            status["implementation"]["ready"].clone(),
            self.slot.endpoint,
        ));
        wrong
    }

    fn published(&self, wanted: &Wanted, status: &Value) -> Vec<Violation> {
        let path = wanted.path(&self.stage.namespace, &self.slot.name);
        let mut wrong = self.api(wanted, &path);
        let expect = |what, found, wanted: Value| self.expect(rule::CONVERGED, what, found, wanted);
        let rules = self
            .ingress
            .and_then(|ingress| ingress.spec.as_ref())
            .map(|spec| json!(spec.rules))
            .unwrap_or_default();
        wrong.extend(expect(
            "path of the Ingress",
            rules[0]["http"]["paths"][0]["path"].clone(),
            format!("/{path}").into(),
        ));
        let status_is = |what, found: &Value, wanted: Value| {
            self.expect(rule::STATUS, what, found.clone(), wanted)
        };
        let ready = if self.slot.endpoint { "True" } else { "False" };
        let (applied, said) = (&status["apim"], &status["apiStatus"]);
        wrong.extend(
            [
                status_is(
                    "implementation.ready",
                    &status["implementation"]["ready"],
                    self.slot.endpoint.into(),
                ),
                status_is(
                    "apiStatus.url",
                    &said["url"],
                    format!("{GATEWAY}/{path}").into(),
                ),
                status_is(
                    "apiStatus.name",
                    &said["name"],
                    self.slot.name.clone().into(),
                ),
                status_is("Ready", &condition(status, "Ready")["status"], ready.into()),
                status_is(
                    "ApimSynced",
                    &condition(status, "ApimSynced")["status"],
                    "True".into(),
                ),
                status_is(
                    "apim.apiId",
                    &applied["apiId"],
                    self.stage.api_id(self.slot).into(),
                ),
                status_is(
                    "apim.operations",
                    &applied["operations"],
                    wanted.document().count().into(),
                ),
            ]
            .into_iter()
            .flatten(),
        );
        wrong
    }

    /// The API as Azure has it.
    fn api(&self, wanted: &Wanted, path: &str) -> Vec<Violation> {
        let name = &self.slot.name;
        let Some(api) = self.api else {
            return vec![Violation::new(
                rule::CONVERGED,
                format!("{name} is not in Azure"),
            )];
        };
        let mut wrong = Vec::new();
        let expect =
            |what, found: Value, wanted: Value| self.expect(rule::CONVERGED, what, found, wanted);
        wrong.extend(
            [
                expect("path", api.path.clone().into(), path.into()),
                expect(
                    "backend",
                    json!(api.service_url),
                    format!("http://{ADDRESS}/{path}").into(),
                ),
                expect(
                    "mark",
                    json!(api.revision_description),
                    format!("{}{name}", self.stage.mark).into(),
                ),
            ]
            .into_iter()
            .flatten(),
        );
        let operations: BTreeSet<String> = api
            .operations
            .iter()
            .map(|one| format!("{} {} {}", one.id, one.method, one.template))
            .collect();
        let meant: BTreeSet<String> = wanted
            .document()
            .map(|one| format!("{} {} {}", one.id, one.method, one.template))
            .collect();
        wrong.extend(expect("operations", json!(operations), json!(meant)));
        let policy = api.policy.as_deref().unwrap_or_default();
        let facts = wanted.facts(self.stage.stamp());
        if PolicyFacts::read(policy) != facts || !guarded(policy).is_empty() {
            let text = format!("{name}: the policy is not {facts:?}: {policy}");
            wrong.push(Violation::new(rule::CONVERGED, text));
        }
        for operation in wanted.document() {
            let there = api.operations.iter().find(|one| one.id == operation.id);
            let limits = there
                .and_then(|one| one.policy.as_deref())
                .map(|policy| PolicyFacts::read(policy).limits);
            let meant = wanted.limit_of(operation).map(|calls| vec![calls]);
            wrong.extend(expect(
                "the limit of an operation",
                json!(limits),
                json!(meant),
            ));
        }
        wrong
    }
}

/// A condition of a status, `null` where there is none.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}
