//! The floor of a publication: a client that writes to Kubernetes what the
//! operator writes, waits for the same addresses, and does nothing else.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use e2e::Stage;
use futures::TryStreamExt as _;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::publish::not_ready;

/// As many objects at a time as the operator works on by default.
const CONCURRENCY: usize = 128;
/// As the operator's: a plain Kubernetes client.
const MANAGER: &str = "bench";

/// A running client.
pub(crate) struct Client {
    tasks: [JoinHandle<Result<()>>; 3],
    /// How many events were written.
    said: watch::Receiver<usize>,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
}

struct Shared {
    objects: Api<DynamicObject>,
    ingresses: Api<Ingress>,
    /// What the last status of an object is.
    status: Value,
    writes: Writes,
    begun: AtomicUsize,
    event_queue: mpsc::UnboundedSender<Event>,
    addresses: Mutex<Addresses>,
    slots: Semaphore,
}

/// What the operator wrote until all objects were ready, all together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writes {
    pub(crate) objects: usize,
    pub(crate) status: usize,
    pub(crate) events: usize,
}

impl Writes {
    /// The share of one of the objects: whole writes, and all shares together
    /// are what was written.
    const fn share(&self, total: usize, number: usize) -> usize {
        total * (number + 1) / self.objects - total * number / self.objects
    }
}

#[derive(Default)]
struct Addresses {
    there: HashSet<String>,
    awaited: HashMap<String, oneshot::Sender<()>>,
}

impl Client {
    /// Follows ExposedAPIs from now on; each gets its share of the writes, and
    /// `status` as its last status.
    pub(crate) async fn start(stage: &Stage, status: Value, writes: Writes) -> Result<Self> {
        let (event_queue, pending) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            objects: stage.exposed_apis("shop"),
            ingresses: Api::namespaced(stage.client.clone(), "shop"),
            status,
            writes,
            begun: AtomicUsize::new(0),
            event_queue,
            addresses: Mutex::default(),
            slots: Semaphore::new(CONCURRENCY),
        });
        let failure = Arc::new(Mutex::new(None));
        let (count, said) = watch::channel(0);
        // Both watches would miss nothing if they started later; they are a
        // part of what the operator does before it is ready, too.
        shared
            .objects
            .list_metadata(&kube::api::ListParams::default())
            .await?;
        let tasks = [
            tokio::spawn(follow_ingresses(Arc::clone(&shared))),
            tokio::spawn(write_events(stage.client.clone(), pending, count)),
            tokio::spawn(follow_objects(shared, Arc::clone(&failure))),
        ];
        Ok(Self {
            tasks,
            said,
            failure,
        })
    }

    /// Waits until all of this many events are written, which nobody else waits
    /// for.
    pub(crate) async fn said(&self, events: usize) -> Result<()> {
        let mut said = self.said.clone();
        said.wait_for(|said| *said >= events)
            .await
            .context("the bare client writes no event any more")?;
        Ok(())
    }

    /// Ends it, with its first failure if there was one.
    pub(crate) fn stop(self) -> Result<()> {
        for task in &self.tasks {
            task.abort();
        }
        match self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            Some(error) => bail!("the bare client: {error:#}"),
            None => Ok(()),
        }
    }
}

async fn follow_objects(
    shared: Arc<Shared>,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
) -> Result<()> {
    let events = watcher(shared.objects.clone(), watcher::Config::default());
    let mut objects = std::pin::pin!(events.default_backoff().applied_objects());
    let mut seen = HashSet::new();
    while let Some(object) = objects.try_next().await? {
        let name = object.metadata.name.clone().unwrap_or_default();
        if !seen.insert(name) {
            continue;
        }
        let (shared, failure) = (Arc::clone(&shared), Arc::clone(&failure));
        tokio::spawn(async move {
            if let Err(error) = shared.publish(&object).await {
                eprintln!("the bare client: {error:#}");
                failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
            }
        });
    }
    Ok(())
}

/// One after the other and beside everything else, as the operator does it.
async fn write_events(
    client: kube::Client,
    mut pending: mpsc::UnboundedReceiver<Event>,
    said: watch::Sender<usize>,
) -> Result<()> {
    let events: Api<Event> = Api::namespaced(client, "shop");
    while let Some(event) = pending.recv().await {
        events.create(&PostParams::default(), &event).await?;
        said.send_modify(|said| *said += 1);
    }
    Ok(())
}

async fn follow_ingresses(shared: Arc<Shared>) -> Result<()> {
    let events = watcher(shared.ingresses.clone(), watcher::Config::default());
    let mut ingresses = std::pin::pin!(events.default_backoff().applied_objects());
    while let Some(ingress) = ingresses.try_next().await? {
        let status = ingress
            .status
            .and_then(|status| status.load_balancer)
            .and_then(|balancer| balancer.ingress);
        if status.is_some_and(|addresses| !addresses.is_empty()) {
            let name = ingress.metadata.name.unwrap_or_default();
            let mut addresses = shared
                .addresses
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(awaited) = addresses.awaited.remove(&name) {
                // Whoever waited may be gone at the end of the run.
                let _ = awaited.send(());
            }
            addresses.there.insert(name);
        }
    }
    Ok(())
}

impl Shared {
    async fn publish(&self, object: &DynamicObject) -> Result<()> {
        let name = object.metadata.name.clone().unwrap_or_default();
        let ingress = format!("apim-api-ingress-{name}");
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let status_writes = self.writes.share(self.writes.status, number).max(1);
        let events = self.writes.share(self.writes.events, number);
        let slot = self.slots.acquire().await?;
        let held = json!({"metadata": {
            "finalizers": ["bench.example.com/cleanup"],
            "resourceVersion": object.metadata.resource_version,
        }});
        self.objects
            .patch_metadata(&name, &PatchParams::default(), &Patch::Merge(held))
            .await?;
        // The last write says that all is well, the first that the object was
        // seen; the others lie between address and end.
        if status_writes > 1 {
            self.say(&name, not_ready(&self.status, 0)).await?;
        }
        let owner = object.metadata.uid.clone().unwrap_or_default();
        for number in 0..events {
            // The other end goes only with the run.
            let _ = self.event_queue.send(event(&name, &owner, number)?);
        }
        let applied = Patch::Apply(manifest(&ingress, &name, &owner));
        self.ingresses
            .patch(&ingress, &PatchParams::apply(MANAGER), &applied)
            .await?;
        // An object that waits for an address holds nobody up.
        drop(slot);
        self.address(&ingress).await?;
        let _slot = self.slots.acquire().await?;
        for step in 2..status_writes {
            self.say(&name, not_ready(&self.status, step)).await?;
        }
        self.say(&name, self.status.clone()).await
    }

    async fn address(&self, ingress: &str) -> Result<()> {
        let awaited = {
            let mut addresses = self
                .addresses
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if addresses.there.contains(ingress) {
                return Ok(());
            }
            let (tell, told) = oneshot::channel();
            addresses.awaited.insert(ingress.to_owned(), tell);
            told
        };
        Ok(awaited.await?)
    }

    async fn say(&self, name: &str, status: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"status": status}));
        self.objects
            .patch_status(name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }
}

/// An Ingress with the fields that the operator's has.
fn manifest(ingress: &str, name: &str, owner: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": ingress,
            "labels": {"app.kubernetes.io/managed-by": MANAGER},
            "ownerReferences": [{
                "apiVersion": "oda.tmforum.org/v1", "kind": "ExposedAPI", "name": name, "uid": owner,
                "controller": true, "blockOwnerDeletion": false,
            }],
        },
        "spec": {
            "ingressClassName": "istio",
            "rules": [{"http": {"paths": [{
                "path": format!("/{name}"), "pathType": "Prefix",
                "backend": {"service": {"name": name, "port": {"number": 8080}}},
            }]}}],
        },
    })
}

/// An event of the size of the operator's.
fn event(name: &str, uid: &str, number: usize) -> Result<Event> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": format!("{name}.{number}"), "namespace": "shop"},
        "action": "Reconcile",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "note": "the API is published at https://gateway.example.com, with 2 operations",
        "reason": "Available",
        "regarding": {
            "apiVersion": "oda.tmforum.org/v1", "kind": "ExposedAPI", "name": name, "namespace": "shop", "uid": uid,
        },
        "reportingController": MANAGER,
        "reportingInstance": MANAGER,
        "type": "Normal",
    }))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_objects_are_what_was_written() {
        let writes = Writes {
            objects: 7,
            status: 24,
            events: 7,
        };
        let shares: Vec<usize> = (0..7).map(|n| writes.share(writes.status, n)).collect();
        assert_eq!(shares.iter().sum::<usize>(), 24);
        assert!(
            shares.iter().all(|share| (3..=4).contains(share)),
            "{shares:?}"
        );
        assert!((0..7).all(|number| writes.share(writes.events, number) == 1));
    }
}
