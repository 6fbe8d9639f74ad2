//! A stand-in for three parts of a cluster that do not run beside a bare
//! kube-apiserver: the ingress controller and its load balancer (Ingresses get
//! an address), the kubelet and the endpoint controller (Services get
//! EndpointSlices with a ready endpoint). It serves no traffic at all: it only
//! writes what those would write.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Field manager of everything it writes, and value of the label
/// `endpointslice.kubernetes.io/managed-by`.
pub const MANAGER: &str = "cluster-stand-in";
/// On a Service, `"false"`: its endpoint is there and not ready.
pub const READY_ANNOTATION: &str = "cluster-stand-in/ready";
/// On an Ingress, `"true"`: it gets no address while this is there.
pub const HOLD_ANNOTATION: &str = "cluster-stand-in/hold";

/// No load balancer forwards to it: from the range for pods that kubeadm and
/// flannel use.
const POD_ADDRESS: &str = "10.244.0.10";
/// Before a write that failed is tried again; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Writes at the same time; a controller of a real cluster is no faster.
const WRITES: usize = 16;

/// What a load balancer hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// As most clouds do.
    Ip(IpAddr),
    /// As AWS does.
    Hostname(String),
}

impl Address {
    /// An IP address if `text` is one, otherwise a host name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Hostname(text.to_owned()), Self::Ip)
    }

    fn status(&self) -> Value {
        match self {
            Self::Ip(ip) => json!({"ip": ip}),
            Self::Hostname(name) => json!({"hostname": name}),
        }
    }
}

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// What Ingresses get.
    pub address: Address,
    /// Only Ingresses of these classes; empty: all.
    pub ingress_classes: BTreeSet<String>,
    /// How long after its creation or change an Ingress gets its address.
    pub address_delay: Duration,
    /// Services (`namespace/name`) whose endpoint is not ready.
    pub unready: BTreeSet<String>,
}

impl Default for Options {
    /// 203.0.113.10, from the range for documentation (RFC 5737), at once, for
    /// all classes, and every Service ready.
    fn default() -> Self {
        Self {
            address: Address::Ip([203, 0, 113, 10].into()),
            ingress_classes: BTreeSet::new(),
            address_delay: Duration::ZERO,
            unready: BTreeSet::new(),
        }
    }
}

/// A running stand-in; it stops when dropped. What it wrote stays.
#[derive(Debug)]
pub struct StandIn {
    hold: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl StandIn {
    /// Starts both parts on `client` and returns once both watch. What goes
    /// wrong later is logged and tried again.
    pub async fn start(client: Client, options: Options) -> Self {
        let (hold, on_hold) = watch::channel(false);
        let shared = Arc::new(Shared {
            client,
            options,
            on_hold,
            writes: Semaphore::new(WRITES),
        });
        let (ingresses_ready, ingresses) = oneshot::channel();
        let (services_ready, services) = oneshot::channel();
        let tasks = [
            tokio::spawn(follow(shared.clone(), ingresses_ready, give_address)),
            tokio::spawn(follow(shared, services_ready, give_endpoints)),
        ];
        // An error means that the task is gone, which only a panic can do.
        let _ = tokio::join!(ingresses, services);
        Self { hold, tasks }
    }

    /// While held, no Ingress gets an address; released, those that wait do.
    pub fn hold_addresses(&self, hold: bool) {
        self.hold.send_replace(hold);
    }

    /// Ends it; after this it writes nothing more and logs nothing more.
    pub async fn stop(mut self) {
        for task in &mut self.tasks {
            task.abort();
            // How an aborted task ended says nothing.
            let _ = task.await;
        }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.tasks.iter().all(|task| !task.is_finished())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct Shared {
    client: Client,
    options: Options,
    on_hold: watch::Receiver<bool>,
    writes: Semaphore,
}

/// Calls `act` for every object of one kind, now and whenever it changes, and
/// with `gone` when it is deleted. Calls for different objects run side by
/// side; of those for one object the last decides.
async fn follow<K, F>(
    shared: Arc<Shared>,
    ready: oneshot::Sender<()>,
    act: fn(Arc<Shared>, K, bool) -> F,
) where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
    F: Future<Output = Result<(), kube::Error>> + Send + 'static,
{
    let mut ready = Some(ready);
    let mut running = JoinSet::new();
    let mut turns: HashMap<(String, String), Arc<Mutex<u64>>> = HashMap::new();
    let mut number = 0_u64;
    let api: Api<K> = Api::all(shared.client.clone());
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        while running.try_join_next().is_some() {}
        let (object, gone) = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
            Ok(Event::Delete(object)) => (object, true),
            Ok(Event::Init) => continue,
            Ok(Event::InitDone) => {
                if let Some(ready) = ready.take() {
                    // The caller may have given up waiting.
                    let _ = ready.send(());
                }
                continue;
            }
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "watch failed, trying again");
                continue;
            }
        };
        let name = object.name_any();
        let namespace = object.namespace().unwrap_or_default();
        let shared = shared.clone();
        number += 1;
        let turn = turns.entry((namespace.clone(), name.clone())).or_default();
        let (turn, number) = (Arc::clone(turn), number);
        running.spawn(async move {
            let mut last = turn.lock().await;
            // A later one came first, and wrote what is true.
            if *last > number {
                return;
            }
            *last = number;
            // As a controller does: what is not written is written later. An
            // API server under load refuses a write now and then.
            let mut pause = FIRST_PAUSE;
            while let Err(error) = act(shared.clone(), object.clone(), gone).await {
                tracing::warn!(kind = %K::kind(&()), %namespace, %name, %error, "not written, trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }
}

async fn give_address(
    shared: Arc<Shared>,
    ingress: Ingress,
    gone: bool,
) -> Result<(), kube::Error> {
    let options = &shared.options;
    let wanted = options.address.status();
    if gone
        || ingress.metadata.deletion_timestamp.is_some()
        || !in_class(&ingress, &options.ingress_classes)
        || has_address(&ingress, &wanted)
        || annotation(ingress.annotations(), HOLD_ANNOTATION) == Some("true")
    {
        return Ok(());
    }
    tokio::time::sleep(options.address_delay).await;
    // The sender lives as long as this task; if not, nothing is held.
    let _ = shared.on_hold.clone().wait_for(|held| !held).await;

    let name = ingress.name_any();
    let api: Api<Ingress> = Api::namespaced(
        shared.client.clone(),
        &ingress.namespace().unwrap_or_default(),
    );
    let patch = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        // Another Ingress of the same name is not this one.
        "metadata": {"name": name, "uid": ingress.metadata.uid},
        "status": {"loadBalancer": {"ingress": [wanted]}},
    });
    let _permit = shared.writes.acquire().await;
    let params = PatchParams::apply(MANAGER).force();
    match api.patch_status(&name, &params, &Patch::Apply(patch)).await {
        // Deleted, or deleted and made anew, in the meantime.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(drop),
    }
}

fn in_class(ingress: &Ingress, classes: &BTreeSet<String>) -> bool {
    let class = ingress
        .spec
        .as_ref()
        .and_then(|spec| spec.ingress_class_name.as_deref())
        // The annotation of before Kubernetes 1.18 still counts.
        .or_else(|| annotation(ingress.annotations(), "kubernetes.io/ingress.class"));
    classes.is_empty() || class.is_some_and(|class| classes.contains(class))
}

fn has_address(ingress: &Ingress, wanted: &Value) -> bool {
    let status = ingress.status.as_ref();
    let entries = status
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|balancer| balancer.ingress.as_ref());
    entries.is_some_and(|entries| {
        entries.len() == 1 && serde_json::to_value(&entries[0]).is_ok_and(|entry| entry == *wanted)
    })
}

/// Deletes a slice, if it still is that of this Service: one of the same name
/// may have been made since, and its slice stays.
async fn take_away(
    api: &Api<EndpointSlice>,
    slice: &str,
    service_uid: Option<&str>,
) -> Result<(), kube::Error> {
    let Some(there) = api.get_metadata_opt(slice).await? else {
        return Ok(());
    };
    let owners = there.metadata.owner_references.iter().flatten();
    if !owners
        .into_iter()
        .any(|owner| Some(owner.uid.as_str()) == service_uid)
    {
        return Ok(());
    }
    let as_read = Preconditions {
        uid: there.metadata.uid.clone(),
        resource_version: there.metadata.resource_version.clone(),
    };
    let params = DeleteParams::default().preconditions(as_read);
    match api.delete(slice, &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// As the endpoint controller: only for Services with a selector, and never
/// for one of type `ExternalName`. No pod is looked for.
async fn give_endpoints(
    shared: Arc<Shared>,
    service: Service,
    gone: bool,
) -> Result<(), kube::Error> {
    let namespace = service.namespace().unwrap_or_default();
    let slice = format!("{}-stand-in", service.name_any());
    let api: Api<EndpointSlice> = Api::namespaced(shared.client.clone(), &namespace);
    let _permit = shared.writes.acquire().await;
    let Some(spec) = service.spec.as_ref().filter(|spec| {
        let selects = spec.selector.as_ref().is_some_and(|map| !map.is_empty());
        !gone && selects && spec.type_.as_deref() != Some("ExternalName")
    }) else {
        return take_away(&api, &slice, service.metadata.uid.as_deref()).await;
    };
    let key = format!("{namespace}/{}", service.name_any());
    let ready = annotation(service.annotations(), READY_ANNOTATION) != Some("false")
        && !shared.options.unready.contains(&key);
    let ports: Vec<Value> = spec
        .ports
        .iter()
        .flatten()
        .map(|port| {
            let target = match port.target_port {
                Some(IntOrString::Int(number)) => number,
                // A named port is looked up in the pod, and there is none.
                Some(IntOrString::String(_)) | None => port.port,
            };
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let name = port.name.as_deref().unwrap_or("");
            json!({"name": name, "port": target, "protocol": protocol})
        })
        .collect();
    let patch = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": slice,
            "labels": {
                "kubernetes.io/service-name": service.name_any(),
                "endpointslice.kubernetes.io/managed-by": MANAGER,
            },
            "ownerReferences": [{
                "apiVersion": "v1",
                "kind": "Service",
                "name": service.name_any(),
                "uid": service.metadata.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [POD_ADDRESS],
            "conditions": {"ready": ready, "serving": ready, "terminating": false},
        }],
        "ports": ports,
    });
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&slice, &params, &Patch::Apply(patch))
        .await
        .map(drop)
}

fn annotation<'a>(annotations: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    annotations.get(key).map(String::as_str)
}
