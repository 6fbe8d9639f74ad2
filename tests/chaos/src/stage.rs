//! The world of one seed, and what a schedule does to it.

mod aftermath;
mod converge;
mod owner;
mod perform;
mod portal;

pub(crate) use owner::again_with;
pub(crate) use portal::BY_HAND;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::azure::Azure;
use crate::draw::Draw;
use crate::kube_tap::{KubeTap, SEED_LABEL};
use crate::lab::Lab;
use crate::logs::Log;
use crate::operator::{Operator, Place};
use crate::schedule::{AzureFault, SLOTS, Schedule};
use crate::tally::Tally;
use crate::wanted::{Plugins, Setting, Wanted, second_instance};

/// A foreign API, which nobody's mark is on.
pub(crate) const FOREIGN: &str = "foreign";
/// One that carries the mark of another cluster.
pub(crate) const OTHER_CLUSTER: &str = "foreign-cluster";
/// Somebody's API on a path that objects ask for.
pub(crate) const HOLDER: &str = "holder";
/// The secrets of a seed, as they are called where one was told.
pub(crate) const OPERATORS_SECRET: &str = "the operator's secret";
pub(crate) const SECOND_SECRET: &str = "the operator's secret for the second instance";
pub(crate) const CONFIG_SECRET: &str = "a secret in a policy's config";
pub(crate) const VALUE_SECRET: &str = "a named value's secret";
pub(crate) const HAND_SECRET: &str = "a secret that somebody wrote into a policy by hand";
/// What another owner has put on an object.
pub(crate) const HOLD: &str = "example.com/hold";

/// A state that somebody wanted.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// How many calls Azure had answered before it was wanted.
    pub(crate) since: u64,
    /// The state; absent: the object was deleted.
    pub(crate) wanted: Option<Wanted>,
}

/// What is in a slot.
#[derive(Debug, Clone)]
pub(crate) enum Object {
    Absent,
    There(Wanted),
    Going,
}

/// A place for an ExposedAPI.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each tells of another thing that happened"
)]
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) object: Object,
    /// Its endpoint is ready.
    pub(crate) endpoint: bool,
    /// All states that this name was to have.
    pub(crate) versions: Vec<Version>,
    /// Somebody worked on its API by hand: what its owner did not want may be
    /// found there, and it may stay when the object goes.
    pub(crate) handled: bool,
    /// It may stay when the object goes, since that was asked for.
    pub(crate) kept: bool,
    /// Somebody else's finalizer, annotation and label are on it.
    pub(crate) decorated: bool,
    /// The instance in which the mark is to be given back.
    pub(crate) unmarked: Option<bool>,
    /// It went at once when it was deleted: nobody held it yet.
    pub(crate) vanished: bool,
    /// Since which of Azure's calls somebody changed its API in the portal.
    pub(crate) edited: Option<u64>,
    /// What was there in the instances before it.
    pub(crate) squatters: BTreeMap<bool, Value>,
    /// How often the name was used up.
    used: u32,
}

impl Slot {
    fn new(number: u8) -> Self {
        Self {
            name: format!("api-{number}"),
            object: Object::Absent,
            endpoint: true,
            versions: Vec::new(),
            handled: false,
            kept: false,
            decorated: false,
            unmarked: None,
            vanished: false,
            edited: None,
            squatters: BTreeMap::new(),
            used: 0,
        }
    }
}

/// The world of one seed.
pub(crate) struct Stage<'l> {
    pub(crate) lab: &'l Lab,
    pub(crate) namespace: String,
    pub(crate) azure: Azure,
    pub(crate) tap: Arc<KubeTap>,
    pub(crate) log: Log,
    /// What nobody may be told, and what it is.
    pub(crate) secrets: BTreeMap<&'static str, String>,
    pub(crate) mark: String,
    /// There are two instances.
    pub(crate) two: bool,
    /// Operators look for what others changed.
    pub(crate) sweeps: bool,
    pub(crate) seed: u64,
    /// Named values that are there.
    pub(crate) values: BTreeSet<u8>,
    /// Somebody's API that holds a path which objects ask for.
    pub(crate) holder: Option<Value>,
    place: Place,
    first: Option<Operator>,
    second: Option<Operator>,
    /// Those whose names are used up are kept at the end.
    pub(crate) slots: Vec<Slot>,
    /// What the platform stamped, and since which of Azure's calls.
    pub(crate) stamps: Vec<(u64, Option<u16>)>,
    azure_faults: BTreeMap<u64, AzureFault>,
    /// By instance and id.
    pub(crate) foreign: BTreeMap<(bool, String), Value>,
    pub(crate) tally: Tally,
    starts: u32,
    /// Two operators wrote at the same time, each believing that it led: what
    /// one of them wrote is somebody else's change to the other.
    pub(crate) two_leaders: bool,
    /// Azure's last call when the first operator was started.
    started_at: u64,
    pub(crate) began: Instant,
}

impl<'l> Stage<'l> {
    /// Sets it: a namespace, a local Azure with what others have in it, an
    /// instance, and an operator.
    pub(crate) async fn set(lab: &'l Lab, schedule: &Schedule) -> Result<Self> {
        let began = Instant::now();
        let namespace = lab.namespace(schedule.seed);
        // Canaries: whoever reads one in a log knows where it came from.
        let canary = |what: &str| format!("canary-{namespace}-{what}");
        let mut secrets = BTreeMap::from([
            (OPERATORS_SECRET, canary("oPeRaToR")),
            (SECOND_SECRET, canary("sEcOnD")),
        ]);
        for what in [CONFIG_SECRET, VALUE_SECRET, HAND_SECRET] {
            secrets.insert(what, key(schedule.seed, what));
        }
        let credentials = [OPERATORS_SECRET, SECOND_SECRET].map(|what| secrets[what].clone());
        let azure = Azure::start(lab, &credentials, schedule.two).await?;
        let tap = KubeTap::new(&namespace, azure.simulator.call_counter());
        let log = Log::default();
        let namespaces: Api<Namespace> = Api::all(lab.client.clone());
        let uid = namespaces.get("kube-system").await?.metadata.uid;
        let cluster = uid.context("kube-system has a uid")?;
        let place = Place {
            config: lab.config.clone(),
            tap: Arc::clone(&tap),
            log: log.clone(),
            namespace: namespace.clone(),
            cache_dir: lab.cache_dir(),
            elected: schedule.elected,
            sweeps: schedule.sweeps,
        };
        let mut stage = Self {
            lab,
            mark: format!(
                "apim-operator/1 {} {namespace}/",
                cluster.get(..8).unwrap_or_default()
            ),
            namespace,
            azure,
            tap,
            log,
            secrets,
            two: schedule.two,
            sweeps: schedule.sweeps,
            seed: schedule.seed,
            values: BTreeSet::new(),
            holder: None,
            place,
            first: None,
            second: None,
            slots: (0..SLOTS).map(Slot::new).collect(),
            stamps: vec![(0, None)],
            azure_faults: BTreeMap::new(),
            foreign: BTreeMap::new(),
            tally: Tally::default(),
            starts: 0,
            two_leaders: false,
            started_at: 0,
            began,
        };
        stage.furnish().await?;
        stage.start_operator()?;
        Ok(stage)
    }

    async fn furnish(&mut self) -> Result<()> {
        let namespace = &self.namespace;
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
        }))
        .await?;
        for second in self.instances_there() {
            let (secret, what) = if second {
                ("operator-b", SECOND_SECRET)
            } else {
                ("operator", OPERATORS_SECRET)
            };
            self.apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": secret, "namespace": namespace},
                "stringData": {"secret": self.secrets[what]},
            }))
            .await?;
            self.apply(&json!({
                "apiVersion": "apim.oda.tmforum.org/v1alpha1", "kind": "ApimInstance",
                "metadata": {
                    "name": self.instance_name(second),
                    "labels": {SEED_LABEL: namespace},
                },
                "spec": self.azure.instance(self.lab, second, secret),
            }))
            .await?;
        }
        // Somebody else's Ingress and APIs.
        self.apply(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "apim-api-ingress-neighbour", "namespace": namespace},
            "spec": {"ingressClassName": "istio", "rules": [{"http": {"paths": [{
                "path": "/neighbour", "pathType": "Prefix",
                "backend": {"service": {"name": "neighbour", "port": {"number": 80}}},
            }]}}]},
        }))
        .await?;
        let theirs = format!("apim-operator/1 0a1b2c3d {namespace}/api-0");
        for second in self.instances_there() {
            for (id, mark) in [(FOREIGN, "the billing team"), (OTHER_CLUSTER, &theirs)] {
                let api = json!({"properties": {
                    "displayName": id, "path": id, "protocols": ["https"],
                    "serviceUrl": "https://elsewhere.example.com", "apiRevisionDescription": mark,
                }});
                let path = format!("/apis/{id}");
                self.azure.portal(second, "PUT", &path, Some(&api)).await?;
                let state = self.azure.stored(second, id).context("it was just made")?;
                self.foreign.insert((second, id.to_owned()), state);
            }
        }
        Ok(())
    }

    /// The instances that there are: the first, and perhaps the second.
    pub(crate) fn instances_there(&self) -> impl Iterator<Item = bool> + use<> {
        [Some(false), self.two.then_some(true)]
            .into_iter()
            .flatten()
    }

    /// The name of an instance.
    pub(crate) fn instance_name(&self, second: bool) -> String {
        if second {
            second_instance(&self.namespace)
        } else {
            self.namespace.clone()
        }
    }

    /// What objects are made with.
    pub(crate) fn setting(&self) -> Setting<'_> {
        Setting {
            namespace: &self.namespace,
            two: self.two,
            canary: &self.secrets[CONFIG_SECRET],
            foreign: FOREIGN,
        }
    }

    /// Starts the first operator, if it does not run.
    pub(crate) fn start_operator(&mut self) -> Result<()> {
        if self.first.is_none() {
            self.starts += 1;
            self.started_at = self.azure.simulator.last_call();
            let name = format!("operator-{}", self.starts);
            self.first = Some(Operator::start(&self.place, &name)?);
        }
        Ok(())
    }

    fn start_second(&mut self) -> Result<()> {
        if self.second.is_none() {
            self.starts += 1;
            let name = format!("second-{}", self.starts);
            self.two_leaders |= !self.place.elected;
            self.second = Some(Operator::start(&self.place, &name)?);
        }
        Ok(())
    }

    /// Kills both.
    pub(crate) fn kill_operators(&mut self) {
        for operator in [self.first.take(), self.second.take()]
            .into_iter()
            .flatten()
        {
            operator.kill();
        }
    }

    /// ExposedAPIs of the seed.
    pub(crate) fn exposed_apis(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("oda.tmforum.org", "v1", "ExposedAPI");
        let resource = ApiResource::from_gvk_with_plural(&kind, "exposedapis");
        Api::namespaced_with(self.lab.client.clone(), &self.namespace, &resource)
    }

    /// `PolicyPlugin`s.
    pub(crate) fn policy_plugins(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "PolicyPlugin");
        let resource = ApiResource::from_gvk_with_plural(&kind, "policyplugins");
        Api::all_with(self.lab.client.clone(), &resource)
    }

    /// `ApimInstance`s.
    pub(crate) fn instances(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "ApimInstance");
        let resource = ApiResource::from_gvk_with_plural(&kind, "apiminstances");
        Api::all_with(self.lab.client.clone(), &resource)
    }

    async fn apply(&self, object: &Value) -> Result<()> {
        test_harness::apply_yaml(&self.lab.client, &object.to_string()).await?;
        Ok(())
    }

    /// The id of a slot's API.
    pub(crate) fn api_id(&self, slot: &Slot) -> String {
        format!("{}.{}", self.namespace, slot.name)
    }

    /// The mark of a slot's API.
    pub(crate) fn mark_of(&self, slot: &Slot) -> String {
        format!("{}{}", self.mark, slot.name)
    }

    /// Where the API of a slot is that carries its mark.
    pub(crate) fn place_of(&self, slot: &Slot) -> Option<bool> {
        let (id, mark) = (self.api_id(slot), self.mark_of(slot));
        self.instances_there().find(|second| {
            let apis = self.azure.apis(*second);
            apis.get(&id)
                .is_some_and(|api| api.revision_description.as_ref() == Some(&mark))
        })
    }

    /// What is stamped now.
    pub(crate) fn stamp(&self) -> Option<u16> {
        self.stamps.last().and_then(|(_, stamp)| *stamp)
    }

    /// Everything that was ever stamped.
    pub(crate) fn all_stamps(&self) -> BTreeSet<Option<u16>> {
        self.stamps.iter().map(|(_, stamp)| *stamp).collect()
    }

    /// An API that stands for nothing but that the operator has worked.
    pub(crate) const fn fence() -> Wanted {
        Wanted {
            plugins: Plugins::Nothing,
            ..Wanted::plain()
        }
    }

    /// Takes away what is cluster-wide, so that the lab stays small. What lies
    /// in the namespace stays; nobody looks at it any more.
    pub(crate) async fn strike_set(&mut self) -> Result<()> {
        self.kill_operators();
        for (api, name) in [
            (self.instances(), self.instance_name(false)),
            (self.instances(), self.instance_name(true)),
            (self.policy_plugins(), self.namespace.clone()),
        ] {
            let free = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
            let params = kube::api::PatchParams::default();
            if api.get_opt(&name).await?.is_some() {
                api.patch_metadata(&name, &params, &free).await?;
                api.delete(&name, &kube::api::DeleteParams::default())
                    .await?;
            }
        }
        Ok(())
    }
}

/// Something that looks like a key.
fn key(seed: u64, what: &str) -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let salt = what.bytes().fold(seed, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut draw = Draw::new(salt);
    (0..28).map(|_| char::from(draw.one(LETTERS))).collect()
}

/// Waits until a condition holds, and says whether it came to that.
pub(crate) async fn until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let looks = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    tokio::time::timeout(deadline, looks).await.is_ok()
}
