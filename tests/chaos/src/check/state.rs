//! What must be so in the end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use apim_simulator::ApiShape;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::{Value, json};

use super::verdict::{Cause, Verdict, World};
use super::{Violation, rule};
use crate::azure::gateway;
use crate::stage::again_with;
use crate::stage::{BY_HAND, FOREIGN, HOLD, HOLDER, OTHER_CLUSTER, Object, Slot, Stage};
use crate::wanted::{Drift, PAGE, PolicyFacts, Wanted, guarded};

/// What the stand-in gives every Ingress.
const ADDRESS: &str = "203.0.113.10";
/// Somebody else's Ingress, which is there from the beginning.
const NEIGHBOUR: &str = "apim-api-ingress-neighbour";

impl Stage<'_> {
    /// Everything that is there now.
    pub(crate) async fn world(&self) -> Result<World> {
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
        Ok(World {
            objects,
            ingresses,
            apis: [self.azure.apis(false), self.azure.apis(true)],
        })
    }

    /// What is not as it is wanted.
    pub(crate) async fn differences(&self) -> Result<Vec<Violation>> {
        let world = self.world().await?;
        let mut wrong = Vec::new();
        let instances = self.instances();
        for second in self.instances_there() {
            let name = self.instance_name(second);
            let instance = again_with(async || instances.get(&name).await).await?;
            let status = instance.data.get("status").cloned().unwrap_or_default();
            if condition(&status, "Ready")["status"] != "True" {
                let text = format!("instance {name} is not called connected: {status}");
                wrong.push(Violation::new(rule::STATUS, text));
            }
        }
        for slot in &self.slots {
            let found = Found {
                stage: self,
                slot,
                world: &world,
                object: world.objects.get(&slot.name),
                ingress: world
                    .ingresses
                    .get(&format!("apim-api-ingress-{}", slot.name)),
            };
            wrong.extend(found.differences());
        }
        wrong.extend(self.orphans(&world));
        Ok(wrong)
    }

    /// What nobody asked for.
    fn orphans(&self, world: &World) -> Vec<Violation> {
        let mut known: BTreeSet<String> = self.slots.iter().map(|slot| self.api_id(slot)).collect();
        known.extend([FOREIGN, OTHER_CLUSTER, HOLDER].map(str::to_owned));
        let apis = world
            .apis
            .iter()
            .flat_map(BTreeMap::keys)
            .filter(|id| !known.contains(*id))
            .map(|id| format!("API {id} belongs to nobody"));
        let known: BTreeSet<String> = self
            .slots
            .iter()
            .map(|slot| format!("apim-api-ingress-{}", slot.name))
            .collect();
        let ingresses = world
            .ingresses
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
    world: &'a World,
    object: Option<&'a DynamicObject>,
    ingress: Option<&'a Ingress>,
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
        let mut wrong: Vec<Violation> = self
            .stage
            .instances_there()
            .flat_map(|second| {
                let page = self.page_left(second, "outlived its object");
                self.left_in(second, "outlived its object")
                    .into_iter()
                    .chain(page)
            })
            .collect();
        if self.ingress.is_some() && !self.vanished() {
            wrong.push(Violation::new(
                rule::ORPHAN,
                format!("the Ingress of {name} outlived it"),
            ));
        }
        wrong
    }

    /// An API in an instance where none of the object's belongs.
    fn left_in(&self, second: bool, why: &str) -> Option<Violation> {
        let slot = self.slot;
        let api = self.world.api(self.stage, slot, second)?;
        let ours = api.revision_description == Some(self.stage.mark_of(slot));
        // What others had there stays theirs.
        let theirs = !ours && slot.squatters.contains_key(&second);
        let text = format!(
            "the API of {} in {} {why}",
            slot.name,
            self.stage.instance_name(second)
        );
        (!slot.kept && !slot.handled && !theirs).then(|| Violation::new(rule::ORPHAN, text))
    }

    /// The page in an instance that says that it is the object's.
    fn page(&self, second: bool) -> Option<String> {
        let pages = self.stage.azure.pages(second);
        let page = pages.get(&self.stage.api_id(self.slot))?;
        page.contains(&self.stage.mark_of(self.slot))
            .then(|| page.clone())
    }

    /// A page where none of the object's belongs. Of an API that stays behind
    /// the mark may stay; somebody's hands may have taken the API.
    fn page_left(&self, second: bool, why: &str) -> Option<Violation> {
        let text = format!(
            "the page of {} in {} {why}",
            self.slot.name,
            self.stage.instance_name(second)
        );
        let is_left = !self.slot.kept && !self.slot.handled && self.page(second).is_some();
        is_left.then(|| Violation::new(rule::ORPHAN, text))
    }

    /// The page in the developer portal, and the wiki that shows it.
    fn portal(&self, wanted: &Wanted) -> Vec<Violation> {
        if !wanted.page {
            let left = self.page_left(wanted.second, "is not asked for");
            return left.into_iter().collect();
        }
        let id = self.stage.api_id(self.slot);
        let meant = format!("{PAGE}\n<!-- {} -->", self.stage.mark_of(self.slot));
        let shown = self.stage.azure.shown_page(wanted.second, &id);
        let all = [
            self.expect(rule::CONVERGED, "the page", self.page(wanted.second), meant),
            self.expect(rule::CONVERGED, "the page that the wiki shows", shown, id),
        ];
        all.into_iter().flatten().collect()
    }

    /// The object went at once, before the operator had a hold of it: an API
    /// server lets an object go at once whose finalizer is written while it is
    /// deleted. The Ingress is then for Kubernetes' garbage collector, which
    /// does not run here; there can be no API yet.
    fn vanished(&self) -> bool {
        let status = format!("/exposedapis/{}/status", self.slot.name);
        let writes = self.stage.tap.writes(0);
        let unheard = writes
            .iter()
            .any(|write| write.path.ends_with(&status) && write.done == Some(404));
        self.slot.vanished || unheard
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
        let verdict = self.world.verdict(self.stage, self.slot, wanted);
        wrong.extend(match verdict {
            Verdict::Unknown => self.still_waits(wanted, &status),
            Verdict::Refused => self.refused(&status),
            Verdict::InCluster => self.in_cluster(&status),
            Verdict::Published => self.published(wanted, &status),
            Verdict::Other(others) => self.other(&status, &others),
        });
        wrong
    }

    /// One of these is what keeps the object from being published, and status
    /// says so.
    fn other(&self, status: &Value, reasons: &[Cause]) -> Vec<Violation> {
        let said = |cause: &Cause| {
            let conditions = status["conditions"].as_array();
            conditions.into_iter().flatten().any(|condition| {
                let message = condition["message"].as_str().unwrap_or_default();
                condition["status"] == "False"
                    && condition["reason"] == cause.reason
                    && cause.names.iter().any(|name| message.contains(name))
            })
        };
        if reasons.iter().any(said) {
            return Vec::new();
        }
        let text = format!(
            "{}: status names none of {reasons:?}: {status}",
            self.slot.name
        );
        vec![Violation::new(rule::STATUS, text)]
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
        let meant = wanted.object(self.stage.setting(), &self.slot.name);
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let meta = &object.metadata;
        let annotations: serde_json::Map<String, Value> = meta
            .annotations
            .iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        let mut annotated = wanted.annotations(self.stage.setting());
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

    /// Whether an object waits for what is there by now. A paused one does where
    /// what the platform made mandatory has changed, and writes its policy then.
    fn still_waits(&self, wanted: &Wanted, status: &Value) -> Vec<Violation> {
        let given = |value: &u8| self.stage.values.contains(value);
        let Some(value) = wanted.value.filter(given) else {
            return Vec::new();
        };
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let waits = conditions.any(|one| one["reason"] == "WaitingForDependency");
        let text = format!("{} waits for value-{value}, which is there", self.slot.name);
        Vec::from_iter(waits.then(|| Violation::new(rule::STATUS, text)))
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
        let mut wrong: Vec<Violation> = self
            .stage
            .instances_there()
            .filter_map(|second| self.left_in(second, "is of an object that serves metrics"))
            .collect();
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
        let mut api = self.api(wanted, &path);
        api.extend(self.portal(wanted));
        let mut wrong = self.drift(wanted, status, api);
        wrong.extend(
            self.stage
                .instances_there()
                .filter(|second| *second != wanted.second)
                .flat_map(|second| {
                    let why = "stayed where it was before a move";
                    let page = self.page_left(second, why);
                    self.left_in(second, why).into_iter().chain(page)
                }),
        );
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
                    format!("{}/{path}", gateway(wanted.second)).into(),
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
                    "apim.instance",
                    &applied["instance"],
                    self.stage.instance_name(wanted.second).into(),
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

    /// What is said of drift, given what differs; answers what should not
    /// differ. What others changed is put back, or told, or nobody's business.
    fn drift(
        &self,
        wanted: &Wanted,
        status: &Value,
        differences: Vec<Violation>,
    ) -> Vec<Violation> {
        let drifted = condition(status, "Drifted");
        let said = drifted["status"] == "True";
        let edited = self.slot.edited.is_some() || self.stage.two_leaders;
        match wanted.drift {
            Drift::Off if edited => Vec::new(),
            Drift::Report if edited && said => {
                let text = format!("{}: Drifted is {drifted}", self.slot.name);
                // The Ingress may be what another leader wrote.
                let differs = !differences.is_empty() || self.stage.two_leaders;
                let told = drifted["reason"] == "Reported" && differs;
                (!told)
                    .then(|| Violation::new(rule::STATUS, text))
                    .into_iter()
                    .collect()
            }
            _ => {
                let text = format!("{}: Drifted is {drifted}", self.slot.name);
                let untrue = said.then(|| Violation::new(rule::STATUS, text));
                differences.into_iter().chain(untrue).collect()
            }
        }
    }

    /// The API as Azure has it.
    fn api(&self, wanted: &Wanted, path: &str) -> Vec<Violation> {
        let name = &self.slot.name;
        let Some(api) = self.world.api(self.stage, self.slot, wanted.second) else {
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
        if by_hand(api) {
            let text = format!("{name}: there is what others wrote by hand: {api:?}");
            wrong.push(Violation::new(rule::CONVERGED, text));
        }
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
        if api.policy.is_none() {
            let text = format!("{name} has no policy");
            wrong.push(Violation::new(rule::CONVERGED, text));
        }
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

/// Whether somebody's handwriting is in the policies of an API.
fn by_hand(api: &ApiShape) -> bool {
    let policies = api.operations.iter().map(|one| &one.policy);
    let mut policies = policies.chain([&api.policy]).flatten();
    policies.any(|policy| policy.contains(BY_HAND))
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
