//! After the schedule: faults off, and the world must come to rest as it is
//! wanted.

use std::time::Duration;

use anyhow::{Result, bail};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::owner::again_with;
use super::{Object, Slot, Stage};
use crate::check::{Violation, rule};
use crate::schedule::VALUES;

/// How long all is given to come to rest.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long a new object may take that shows that the operator works.
const FENCE: Duration = Duration::from_secs(20);

impl Stage<'_> {
    /// Faults end, what was done by hand is undone, and one operator runs.
    pub(crate) async fn heal(&mut self) -> Result<()> {
        self.log.say("faults end");
        self.tally
            .azure(&self.azure_faults, &self.azure.simulator.fault_use());
        self.azure.simulator.clear_faults();
        self.tally.kube(&self.tap.heal());
        self.azure
            .imports(crate::schedule::Shape::AsyncOperation, 1);
        if let Some(second) = self.second.take() {
            second.kill();
        }
        self.start_operator()?;
        // What was waited for comes, but not always.
        if !self.seed.is_multiple_of(3) {
            for value in 0..VALUES {
                self.appear(value).await?;
            }
        }
        for at in 0..self.slots.len() {
            self.look_whether_gone(at).await?;
            if let Some(second) = self.slots[at].unmarked.take() {
                let slot = &self.slots[at];
                let (id, mark) = (self.api_id(slot), self.mark_of(slot));
                if self.azure.apis(second).contains_key(&id) {
                    self.set_mark(second, &id, &mark).await?;
                }
                self.retry(at).await?;
            }
            if self.slots[at].decorated && matches!(self.slots[at].object, Object::Going) {
                self.undecorate(at).await?;
            }
        }
        Ok(())
    }

    /// Waits until nothing is wrong any more.
    pub(crate) async fn converge(&mut self) -> Result<Vec<Violation>> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(5);
        loop {
            for at in 0..self.slots.len() {
                self.look_whether_gone(at).await?;
            }
            let wrong = self.differences().await?;
            if wrong.is_empty() {
                return Ok(Vec::new());
            }
            if tokio::time::Instant::now() > deadline {
                return Ok(wrong);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_millis(100));
        }
    }

    /// A new object is published and taken back, which takes the operator
    /// through everything that was queued before; meanwhile it writes nothing
    /// else. `restart` begins with a new operator, which must find nothing to
    /// do either.
    pub(crate) async fn rests(&mut self, restart: bool) -> Result<Vec<Violation>> {
        self.settle().await;
        let azure = self.azure.simulator.last_call();
        let kube = self.tap.written();
        if restart {
            if let Some(operator) = self.first.take() {
                operator.kill();
            }
            self.start_operator()?;
        }
        let at = self.slots.len();
        self.slots.push(Slot {
            name: format!("fence-{}", self.starts),
            ..Slot::new(0)
        });
        // The fence is in the first instance.
        let alone = self.slots[..at].iter().all(|slot| match &slot.object {
            Object::There(wanted) => wanted.second || !wanted.is_published() || wanted.paused,
            Object::Absent | Object::Going => true,
        });
        let fenced = self.fence_through(at).await;
        let fence = self.slots[at].name.clone();
        let mut wrong = Vec::new();
        if let Err(error) = fenced {
            wrong.push(Violation::new(rule::REST, format!("{error:#}")));
        }
        let own = |path: &str| path.contains(&fence);
        let journal = self.azure.simulator.journal(&apim_simulator::JournalQuery {
            since: azure,
            ..apim_simulator::JournalQuery::default()
        });
        let world = self.world().await?;
        // Who waits for somebody else looks again and again.
        let unsettled = self.slots.iter().filter(|slot| match &slot.object {
            Object::There(wanted) => !world.is_published(self, slot, wanted),
            _ => false,
        });
        let unsettled: Vec<String> = unsettled.map(|slot| slot.name.clone()).collect();
        // A paused object follows what the platform made mandatory, once and when
        // what its policy names is there; when that was is not seen.
        let follows = self.slots.iter().filter(|slot| match &slot.object {
            Object::There(wanted) => wanted.paused && wanted.value.is_some(),
            _ => false,
        });
        let mut follows: Vec<String> = follows
            .map(|slot| format!("/apis/{}.{}/", self.namespace, slot.name))
            .collect();
        for call in journal {
            use apim_simulator::CallKind::{Delete, Write};
            if !matches!(call.kind, Write | Delete) {
                continue;
            }
            // Of the API, or of a revision of it.
            let waits = unsettled.iter().any(|name| {
                let api = format!("/apis/{}.{name}", self.namespace);
                call.path
                    .split_once(&api)
                    .is_some_and(|(_, rest)| rest.starts_with(['/', ';']))
            });
            let refused = call.done.is_none_or(|status| status >= 400);
            let may_follow = follows.iter().position(|api| call.path.contains(api));
            let may_follow = may_follow.filter(|_| call.path.ends_with("/policies/policy"));
            if let (Some(at), false) = (may_follow, refused) {
                follows.remove(at);
            }
            // An annotation changes no generation: nothing shows whether who waits
            // has heard of it, and it may be the new process that begins.
            let begins = call.method == "PUT" && call.path.contains(";rev=");
            let waiting = waits && (refused || begins);
            let expected = own(&call.path) || waiting || may_follow.is_some();
            if !expected {
                let text = format!(
                    "with nothing to do, Azure was asked {} {}: {}",
                    call.method, call.path, call.body
                );
                wrong.push(Violation::new(rule::REST, text));
            }
        }
        for write in self.tap.writes(kube) {
            let status_of =
                |name: &str| write.path.ends_with(&format!("/exposedapis/{name}/status"));
            // A new process looks at what was refused once more, and says so.
            let refused = unsettled.iter().any(|name| status_of(name));
            // What a sweep sees of a change, it says when it comes to it.
            let told = self
                .slots
                .iter()
                .any(|slot| (slot.edited.is_some() || self.two_leaders) && status_of(&slot.name));
            // What was let go may be let go once more, in vain.
            let in_vain = write.path.contains("/exposedapis/") && write.done == Some(404);
            let expected = own(&write.path)
                || refused
                || in_vain
                || told
                || write.path.ends_with("/events")
                || write.path.contains("/leases")
                || is_count(&write)
                || (alone && is_in_use(&write));
            if !expected {
                let text = format!(
                    "with nothing to do, the cluster was asked {} {}: {}",
                    write.method, write.path, write.body
                );
                wrong.push(Violation::new(rule::REST, text));
            }
        }
        Ok(wrong)
    }

    async fn fence_through(&mut self, at: usize) -> Result<()> {
        self.create(at, &Self::fence()).await?;
        let api = self.exposed_apis();
        let name = self.slots[at].name.clone();
        let deadline = tokio::time::Instant::now() + FENCE;
        let mut ready = false;
        while !ready {
            let object = again_with(async || api.get(&name).await).await?;
            let status = &object.data["status"];
            ready = status["implementation"]["ready"] == true;
            if tokio::time::Instant::now() > deadline {
                bail!("a new object is not published any more: {status}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.delete(at).await?;
        while !matches!(self.slots[at].object, Object::Absent) {
            self.look_whether_gone(at).await?;
            if tokio::time::Instant::now() > deadline {
                bail!("an object is not let go any more");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Objects that a seed leaves would hold nothing up, but they would stay.
    pub(crate) async fn let_go(&self) -> Result<()> {
        let api = self.exposed_apis();
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        for object in api.list(&kube::api::ListParams::default()).await? {
            let name = object.metadata.name.unwrap_or_default();
            api.patch_metadata(&name, &PatchParams::default(), &free)
                .await?;
            api.delete(&name, &kube::api::DeleteParams::default())
                .await
                .ok();
        }
        Ok(())
    }
}

/// A `PolicyPlugin` says how many use it and is held by whom it is mandatory
/// for, and the fence is one of them.
fn is_count(write: &crate::kube_tap::KubeWrite) -> bool {
    write.path.contains("/policyplugins/")
}

/// An instance is held for as long as somebody uses it, and where there is
/// nothing else the fence is the only one.
fn is_in_use(write: &crate::kube_tap::KubeWrite) -> bool {
    write.path.contains("/apiminstances/")
        && !write.path.ends_with("/status")
        && write.body["metadata"].get("finalizers").is_some()
}
