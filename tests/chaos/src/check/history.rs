//! What may never be, at any moment.

use std::collections::{BTreeMap, BTreeSet};

use apim_simulator::{ApiShape, CallKind, JournalEntry, JournalQuery, Moment, OperationShape};
use serde_json::{Value, json};

use super::{Violation, rule};
use crate::azure::{OPERATOR, service};
use crate::stage::{BY_HAND, HOLDER, Slot, Stage};
use crate::wanted::{Adoption, OPERATIONS, Operation, PAGE, PREFIX, PolicyFacts, Wanted, guarded};

/// How every token of Entra begins: `{"` in base64.
const TOKEN: &str = "eyJ";

impl Stage<'_> {
    /// Everything that was recorded, looked through.
    pub(crate) fn history(&self) -> Vec<Violation> {
        let moments = self.azure.simulator.moments(0);
        let mut wrong = self.touched(&moments);
        wrong.extend(self.vanished_on_the_way(&moments));
        wrong.extend(self.unprotected(&moments));
        wrong.extend(self.unexplained());
        wrong.extend(self.dishonest(&moments));
        wrong.extend(self.cluster_writes());
        wrong.extend(self.lease_writes());
        wrong.extend(self.told());
        wrong
    }

    fn slot_of(&self, id: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| self.api_id(slot) == id)
    }

    /// What the operator did to others' APIs.
    fn touched(&self, moments: &[Moment]) -> Vec<Violation> {
        let mut wrong = Vec::new();
        let mut theirs = self.foreign.clone();
        theirs.extend(
            self.holder
                .iter()
                .map(|holder| ((false, HOLDER.to_owned()), holder.clone())),
        );
        for ((second, id), before) in &theirs {
            let now = self.azure.stored(*second, id);
            if now.as_ref() != Some(before) {
                let text = format!("API {id} is not what it was: {now:?}");
                wrong.push(Violation::new(rule::FOREIGN, text));
            }
        }
        for moment in moments.iter().filter(|moment| moment.by == OPERATOR) {
            let Some(before) = &moment.before else {
                continue;
            };
            let slot = self.slot_of(&moment.api);
            let ours = slot.map(|slot| self.mark_of(slot));
            if before.revision_description == ours
                || slot.is_some_and(|slot| self.takes_over(slot, moment, before))
                || slot.is_some_and(|slot| slot.handled) && self.is_unaware(moment, before, moments)
            {
                continue;
            }
            let text = format!(
                "API {} was changed although its mark is {:?}: {:?}",
                moment.api, before.revision_description, moment.now
            );
            wrong.push(Violation::new(rule::FOREIGN, text));
        }
        wrong
    }

    /// Whether a change is one by which an object that may have an API takes it
    /// over: never one of another object of this cluster, and by its mark
    /// first.
    fn takes_over(&self, slot: &Slot, moment: &Moment, before: &ApiShape) -> bool {
        let mark = before.revision_description.as_deref().unwrap_or_default();
        let marked = ApiShape {
            revision_description: Some(self.mark_of(slot)),
            ..before.clone()
        };
        let second = moment.service == service(true);
        let asked = slot
            .versions
            .iter()
            .filter(|version| version.since <= moment.after)
            .filter_map(|version| version.wanted.as_ref())
            .any(|wanted| wanted.second == second && wanted.adoption != Adoption::Refuse);
        asked && !mark.starts_with(&self.mark) && moment.now.as_ref() == Some(&marked)
    }

    /// Whether a policy was written, or a revision released, by a publication that
    /// was under way when the mark went and has not read the API since: a policy's
    /// ETag says nothing of the API's mark, and a release names no state at all.
    fn is_unaware(&self, moment: &Moment, before: &ApiShape, moments: &[Moment]) -> bool {
        let Some(now) = &moment.now else {
            return false;
        };
        let policies_alone = |one: &ApiShape| {
            let operations = one.operations.iter();
            let operations: Vec<_> = operations.map(|operation| &operation.id).collect();
            (
                one.path.clone(),
                one.service_url.clone(),
                one.revision_description.clone(),
                operations.into_iter().cloned().collect::<Vec<_>>(),
            )
        };
        let by_hand = moments.iter().rfind(|other| {
            other.by != OPERATOR
                && other.api == moment.api
                && other.service == moment.service
                && other.after <= moment.after
        });
        let Some(by_hand) = by_hand else {
            return false;
        };
        let path = format!("/service/{}/apis/{}", moment.service, moment.api);
        let journal = self.azure.simulator.journal(&JournalQuery {
            since: by_hand.after,
            ..JournalQuery::default()
        });
        let releases = format!("{path}/releases/");
        let mut writes = journal.iter().filter(|call| {
            call.seq > moment.after
                && !matches!(call.method.as_str(), "GET" | "HEAD")
                && call.path.contains(&path)
        });
        let is_release = writes
            .next()
            .is_some_and(|call| call.path.contains(&releases));
        if !is_release && policies_alone(before) != policies_alone(now) {
            return false;
        }
        let reads = journal.iter().filter(|call| {
            call.seq <= moment.after && call.method == "GET" && call.path.ends_with(&path)
        });
        reads.count() == 0
    }

    /// APIs that were taken out of one instance before they were in place in
    /// the other.
    fn vanished_on_the_way(&self, moments: &[Moment]) -> Vec<Violation> {
        let mut wrong = Vec::new();
        for moment in moments.iter().filter(|moment| moment.by == OPERATOR) {
            let (Some(slot), None) = (self.slot_of(&moment.api), &moment.now) else {
                continue;
            };
            let known = slot.versions.iter();
            let withdrawn = known
                .filter(|version| version.since <= moment.after)
                .any(|version| version.wanted.as_ref().is_none_or(|wanted| wanted.metrics));
            let edited = slot.edited.is_some_and(|since| since <= moment.after);
            if withdrawn || edited || slot.handled {
                continue;
            }
            let elsewhere = moments
                .iter()
                .rfind(|other| {
                    other.api == moment.api
                        && other.service != moment.service
                        && other.after <= moment.after
                })
                .and_then(|other| other.now.as_ref());
            let in_place =
                elsewhere.is_some_and(|api| api.policy.is_some() && !api.operations.is_empty());
            if !in_place {
                let text = format!(
                    "{} was deleted in {} after call {}, where the other instance had {elsewhere:?}",
                    slot.name, moment.service, moment.after
                );
                wrong.push(Violation::new(rule::MOVED, text));
            }
        }
        wrong
    }

    /// Operations that the operator made callable without their policy.
    fn unprotected(&self, moments: &[Moment]) -> Vec<Violation> {
        let mut wrong = Vec::new();
        for moment in moments.iter().filter(|moment| moment.by == OPERATOR) {
            let (Some(slot), Some(now)) = (self.slot_of(&moment.api), &moment.now) else {
                continue;
            };
            let before = moment.before.as_ref();
            // Somebody else laid it open; who adds to it cannot close it.
            if slot.edited.is_some_and(|since| since <= moment.after) && before.is_some_and(is_open)
            {
                continue;
            }
            for operation in &now.operations {
                let known = before.and_then(|before| {
                    let same = |one: &&OperationShape| one.id == operation.id;
                    before.operations.iter().find(same)
                });
                // What is open already is not what this write did.
                let was_open = known.is_some_and(|known| {
                    before.is_some_and(|before| !self.is_protected(slot, before, known, false))
                });
                if !was_open && !self.is_protected(slot, now, operation, known.is_none()) {
                    let text = format!(
                        "after call {}, {} {} of {} can be called under {:?}, its own policy {:?}",
                        moment.after,
                        operation.method,
                        operation.template,
                        slot.name,
                        now.policy.as_deref().map(PolicyFacts::read),
                        operation.policy.as_deref().map(PolicyFacts::read),
                    );
                    wrong.push(Violation::new(rule::PROTECTED, text));
                }
            }
        }
        wrong
    }

    /// Whether an operation stands under a policy that somebody wanted. One
    /// that is new must stand under the policy of a state that has it.
    fn is_protected(
        &self,
        slot: &Slot,
        api: &ApiShape,
        operation: &OperationShape,
        is_new: bool,
    ) -> bool {
        let Some(document) = &api.policy else {
            return false;
        };
        if guarded(document).contains(&operation.id) {
            return true;
        }
        let facts = PolicyFacts::read(document);
        let meant = OPERATIONS.into_iter().find(|one| one.id == operation.id);
        let Some(meant) = meant else {
            return false;
        };
        let own = operation
            .policy
            .as_deref()
            .map(|own| PolicyFacts::read(own).limits);
        let stamps = self.all_stamps();
        let under = |wanted: &Wanted| stamps.iter().any(|stamp| wanted.facts(*stamp) == facts);
        let limited = |wanted: &Wanted| own == wanted.limit_of(meant).map(|calls| vec![calls]);
        let has = |wanted: &Wanted| wanted.document().any(|one| one == meant);
        if is_new {
            states(slot).any(|wanted| has(wanted) && under(wanted) && limited(wanted))
        } else {
            states(slot).any(under) && states(slot).any(limited)
        }
    }

    /// Writes to Azure that nobody wanted, or that nobody can be sure of.
    fn unexplained(&self) -> Vec<Violation> {
        let journal = self.azure.simulator.journal(&JournalQuery::default());
        let mut wrong = Vec::new();
        for call in &journal {
            let is_write = matches!(call.kind, CallKind::Write | CallKind::Delete);
            if !is_write || call.principal.as_deref() != Some(OPERATOR) {
                continue;
            }
            if let Some(why) = self.objection(call) {
                let text = format!(
                    "call {}: {} {} ({:?}): {why}: {}",
                    call.seq, call.method, call.path, call.done, call.body
                );
                wrong.push(Violation::new(rule::EXPLAINED, text));
            }
            if call.if_match.as_deref() == Some("*")
                && call.done.is_some_and(|status| status < 300)
                && call.path.contains("/apis/")
            {
                let text = format!("call {}: {} {}", call.seq, call.method, call.path);
                wrong.push(Violation::new(rule::GUARDED, text));
            }
        }
        wrong
    }

    /// Why a write of a page, or of the wiki that shows it, should not have been
    /// made.
    fn about_page(
        &self,
        slot: &Slot,
        known: &[&Option<Wanted>],
        second: bool,
        call: &JournalEntry,
    ) -> Option<String> {
        let has = |wanted: &&Option<Wanted>| {
            let wanted = wanted.as_ref();
            wanted.is_some_and(|one| one.page && one.is_published() && one.second == second)
        };
        let sent = &call.body["properties"];
        let is_fine = match call.method.as_str() {
            "PUT" if call.path.contains("/documentations/") => {
                let meant = format!("{PAGE}\n<!-- {} -->", self.mark_of(slot));
                sent["content"] == meant && known.iter().any(has)
            }
            "PUT" => {
                let shown = &sent["documents"][0]["documentationId"];
                *shown == self.api_id(slot) && known.iter().any(has)
            }
            "DELETE" => !known.iter().all(has),
            // What stays behind its object is nobody's.
            "PATCH" => slot.kept && sent["content"] == PAGE,
            _ => false,
        };
        (!is_fine).then(|| "nobody wanted that of the page".to_owned())
    }

    /// Why a write should not have been made.
    fn objection(&self, call: &JournalEntry) -> Option<String> {
        let (_, below) = call.path.split_once("/service/")?;
        let (name, below) = below.split_once('/')?;
        let second = name == service(true);
        let parts: Vec<&str> = below.split('/').collect();
        if parts.first() == Some(&"openidConnectProviders") {
            return None;
        }
        let (Some(&list), Some(id)) = (parts.first(), parts.get(1)) else {
            return Some("nobody wants anything there".to_owned());
        };
        if !["apis", "documentations"].contains(&list) {
            return Some("nobody wants anything there".to_owned());
        }
        let (id, revision) = match id.split_once(";rev=") {
            Some((id, number)) => (id, Some(number)),
            None => (*id, None),
        };
        let Some(slot) = self.slot_of(id) else {
            return Some("no object has such an API".to_owned());
        };
        let known: Vec<&Option<Wanted>> = slot
            .versions
            .iter()
            .filter(|version| version.since < call.seq)
            .map(|version| &version.wanted)
            .collect();
        let states: Vec<&Wanted> = known
            .iter()
            .filter_map(|wanted| wanted.as_ref())
            .filter(|wanted| wanted.is_published() && wanted.second == second)
            .collect();
        let stamps = || {
            let known = self.stamps.iter().filter(|(since, _)| *since < call.seq);
            known.map(|(_, stamp)| *stamp)
        };
        let value = call.body["properties"]["value"].as_str();
        let mut body = call.body.clone();
        // All revisions have the path that the current one has.
        if let (Some(_), Some(sent)) = (revision, body["properties"].as_object_mut()) {
            sent.remove("path");
        }
        let staged = states.iter().any(|wanted| wanted.revisions);
        let about_revisions = revision.is_some() || parts.get(2) == Some(&"releases");
        if about_revisions && !staged {
            return Some("nobody wanted revisions".to_owned());
        }
        if list == "documentations" || parts.get(2) == Some(&"wikis") {
            return self.about_page(slot, &known, second, call);
        }
        match (call.method.as_str(), &parts[2..]) {
            ("DELETE", []) if revision.is_some() => None,
            ("PUT", ["releases", release]) => {
                let number = release.split('-').nth(1).unwrap_or_default();
                let of = format!("/apis/{id};rev={number}");
                let named = call.body["properties"]["apiId"]
                    .as_str()
                    .unwrap_or_default();
                (!named.ends_with(&of)).then(|| format!("it releases {named}"))
            }
            ("DELETE", []) => {
                let gone = known.iter().any(|wanted| {
                    wanted.as_ref().is_none_or(|wanted| {
                        wanted.mistake.is_none() && (wanted.metrics || wanted.second != second)
                    })
                });
                (!gone).then(|| "its object is wanted".to_owned())
            }
            ("PUT", []) if value.is_some() => self.imports(slot, &states, &body),
            // What stays behind its object is nobody's.
            ("PATCH", [])
                if slot.kept
                    && call.body == unmarked()
                    && known.iter().any(|one| one.is_none()) =>
            {
                None
            }
            ("PUT" | "PATCH", []) => self.sets(slot, &states, &body),
            ("PUT", ["policies", _]) => {
                let facts = PolicyFacts::read(value.unwrap_or_default());
                let wanted = states
                    .iter()
                    .any(|state| stamps().any(|stamp| state.facts(stamp) == facts));
                (!wanted).then(|| format!("nobody wanted {facts:?}"))
            }
            ("PUT", ["operations", operation, "policies", _]) => {
                let limits = PolicyFacts::read(value.unwrap_or_default()).limits;
                let wanted = states.iter().any(|state| {
                    named(operation)
                        .and_then(|one| state.limit_of(one))
                        .is_some_and(|calls| limits == [calls])
                });
                (!wanted).then(|| format!("nobody wanted the limits {limits:?}"))
            }
            ("DELETE", ["operations", operation, "policies", _]) => {
                let wanted = states
                    .iter()
                    .any(|state| named(operation).is_none_or(|one| state.limit_of(one).is_none()));
                (!wanted).then(|| "its limit is wanted".to_owned())
            }
            _ => Some("the operator never does that".to_owned()),
        }
    }

    /// Why a document should not have been imported.
    fn imports(&self, slot: &Slot, states: &[&Wanted], body: &Value) -> Option<String> {
        let document: Value =
            serde_json::from_str(body["properties"]["value"].as_str().unwrap_or_default())
                .unwrap_or_default();
        let mut sent: BTreeSet<(String, String)> = BTreeSet::new();
        for (template, methods) in document["paths"].as_object().into_iter().flatten() {
            for method in methods
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key)
            {
                sent.insert((method.to_uppercase(), template.clone()));
            }
        }
        let wanted = states.iter().any(|state| {
            let meant: BTreeSet<(String, String)> = state
                .document()
                .map(|one| (one.method.to_owned(), one.template.to_owned()))
                .collect();
            meant == sent
        });
        if wanted {
            self.sets(slot, states, body)
        } else {
            Some(format!("nobody wanted the operations {sent:?}"))
        }
    }

    /// Why settings should not have been sent.
    fn sets(&self, slot: &Slot, states: &[&Wanted], body: &Value) -> Option<String> {
        let sent = &body["properties"];
        let mark = self.mark_of(slot);
        if let Some(other) = sent["apiRevisionDescription"].as_str()
            && other != mark
        {
            return Some(format!("the mark would be {other}"));
        }
        let paths: BTreeSet<String> = states
            .iter()
            .map(|state| state.path(&self.namespace, &slot.name))
            .collect();
        if states.is_empty() {
            return Some("nobody wants it".to_owned());
        }
        if let Some(path) = sent["path"].as_str()
            && !paths.contains(path)
        {
            return Some(format!("nobody wanted the path {path}"));
        }
        let backend = sent["serviceUrl"].as_str()?;
        let known = paths
            .iter()
            .any(|path| backend == format!("http://203.0.113.10/{path}"));
        (!known).then(|| format!("nobody wanted the backend {backend}"))
    }

    /// Statuses that called something ready that was not there.
    fn dishonest(&self, moments: &[Moment]) -> Vec<Violation> {
        let mut wrong = Vec::new();
        for write in self.tap.writes(0) {
            let Some(name) = exposed_api(&write.path) else {
                continue;
            };
            let Some(slot) = self.slots.iter().find(|slot| slot.name == name) else {
                continue;
            };
            let ready = &write.body["status"]["implementation"]["ready"];
            let metrics = slot
                .versions
                .iter()
                .filter_map(|version| version.wanted.as_ref())
                .any(|wanted| wanted.metrics);
            let written = write.done.is_some_and(|status| status < 300);
            let edited = slot.edited.is_some_and(|since| since <= write.azure);
            if *ready != true || !written || slot.handled || metrics || edited {
                continue;
            }
            let id = self.api_id(slot);
            let so = self.instances_there().any(|second| {
                moments
                    .iter()
                    .rfind(|moment| {
                        moment.api == id
                            && moment.service == service(second)
                            && moment.after <= write.azure
                    })
                    .and_then(|moment| moment.now.as_ref())
                    .is_some_and(|api| api.policy.is_some() && !api.operations.is_empty())
            });
            if !so {
                let text = format!(
                    "{name} was called ready after call {} of Azure, where it was nowhere in place",
                    write.azure
                );
                wrong.push(Violation::new(rule::HONEST, text));
            }
        }
        wrong
    }

    /// Writes to the cluster that the operator may not make.
    fn cluster_writes(&self) -> Vec<Violation> {
        let mut wrong = Vec::new();
        for write in self.tap.writes(0) {
            let own = write.path.contains("/ingresses/apim-api-ingress-")
                && !write.path.ends_with("/apim-api-ingress-neighbour");
            let object = exposed_api(&write.path).is_some();
            let about = write.path.ends_with("/events")
                || write.path.contains("/leases")
                || write.path.contains("/policyplugins/")
                || write.path.contains("/apiminstances/");
            let mut complaint = (!own && !object && !about).then_some("it has no business there");
            if object && write.method != "PATCH" {
                complaint = Some("an object is its owner's");
            }
            let annotations = write.body["metadata"]["annotations"].as_object();
            let foreign = annotations
                .into_iter()
                .flatten()
                .any(|(name, _)| *name != format!("{PREFIX}applied"));
            if object && (write.body.get("spec").is_some() || foreign) {
                complaint = Some("spec and annotations are the owner's");
            }
            if let Some(complaint) = complaint {
                let text = format!(
                    "{} {}: {complaint}: {}",
                    write.method, write.path, write.body
                );
                wrong.push(Violation::new(rule::FOREIGN, text));
            }
        }
        wrong
    }

    /// A Lease is written now and then, not as fast as the API server answers:
    /// who writes for each echo of a write of its own never ends.
    fn lease_writes(&self) -> Option<Violation> {
        const OFTEN: u128 = 20;
        const BURST: u128 = 100;
        let writes = self.tap.writes(0);
        let writes = writes.iter().filter(|write| write.path.contains("/leases"));
        let (count, time) = (writes.count(), self.began.elapsed());
        let allowed = time.as_millis() / OFTEN + BURST;
        let often = u128::try_from(count).unwrap_or_default() > allowed;
        let text = format!("the Lease was written {count} times in {time:.1?}");
        often.then(|| Violation::new(rule::REST, text))
    }

    /// Secrets in logs, events and status.
    fn told(&self) -> Vec<Violation> {
        let mut wrong = Vec::new();
        let log = self.log.text();
        let mut secrets: BTreeMap<&str, &str> = BTreeMap::from([("a token", TOKEN)]);
        secrets.extend(
            self.secrets
                .iter()
                .map(|(what, secret)| (*what, secret.as_str())),
        );
        for (what, secret) in &secrets {
            if let Some(line) = log.lines().find(|line| line.contains(secret)) {
                let text = format!("{what} in a log line: {line}");
                wrong.push(Violation::new(rule::SECRET, text));
            }
            for said in self.tap.said() {
                let said = String::from_utf8_lossy(&said);
                if said.contains(secret) {
                    let text = format!("{what} in a write to the cluster: {said}");
                    wrong.push(Violation::new(rule::SECRET, text));
                }
            }
        }
        wrong
    }
}

/// The states that an API was to have in Azure.
fn states(slot: &Slot) -> impl Iterator<Item = &Wanted> {
    slot.versions
        .iter()
        .filter_map(|version| version.wanted.as_ref())
        .filter(|wanted| wanted.is_published())
}

/// Whether others took an API's policy away, or wrote another, perhaps before
/// it had operations.
fn is_open(api: &ApiShape) -> bool {
    match &api.policy {
        Some(policy) => policy.contains(BY_HAND),
        None => !api.operations.is_empty(),
    }
}

/// The body that takes a mark away.
fn unmarked() -> Value {
    json!({"properties": {"apiRevisionDescription": ""}})
}

fn named(id: &str) -> Option<Operation> {
    OPERATIONS.into_iter().find(|one| one.id == id)
}

/// The name of the `ExposedAPI` that a path is about.
fn exposed_api(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/exposedapis/")?;
    rest.split('/').next()
}
