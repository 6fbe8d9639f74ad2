//! The world of one seed, and what a schedule does to it.

mod converge;
mod owner;
mod perform;

pub(crate) use owner::again_with;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::azure::Azure;
use crate::kube_tap::{KubeTap, SEED_LABEL};
use crate::lab::Lab;
use crate::logs::Log;
use crate::operator::{Operator, Place};
use crate::schedule::{AzureFault, SLOTS, Schedule};
use crate::tally::Tally;
use crate::wanted::{Plugins, Wanted};

/// A foreign API, which nobody's mark is on.
pub(crate) const FOREIGN: &str = "foreign";
/// One that carries the mark of another cluster.
pub(crate) const OTHER_CLUSTER: &str = "foreign-cluster";
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
    /// The mark to be given back.
    pub(crate) unmarked: bool,
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
            unmarked: false,
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
    pub(crate) secret: String,
    pub(crate) mark: String,
    place: Place,
    first: Option<Operator>,
    second: Option<Operator>,
    /// Those whose names are used up are kept at the end.
    pub(crate) slots: Vec<Slot>,
    /// What the platform stamped, and since which of Azure's calls.
    pub(crate) stamps: Vec<(u64, Option<u16>)>,
    azure_faults: BTreeMap<u64, AzureFault>,
    pub(crate) foreign: BTreeMap<String, Value>,
    pub(crate) tally: Tally,
    starts: u32,
    pub(crate) began: Instant,
}

impl<'l> Stage<'l> {
    /// Sets it: a namespace, a local Azure with what others have in it, an
    /// instance, and an operator.
    pub(crate) async fn set(lab: &'l Lab, schedule: &Schedule) -> Result<Self> {
        let began = Instant::now();
        let namespace = lab.namespace(schedule.seed);
        // A canary: whoever reads it in a log knows where it came from.
        let secret = format!("canary-{namespace}-sEcReT");
        let azure = Azure::start(lab, &secret).await?;
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
            secret,
            place,
            first: None,
            second: None,
            slots: (0..SLOTS).map(Slot::new).collect(),
            stamps: vec![(0, None)],
            azure_faults: BTreeMap::new(),
            foreign: BTreeMap::new(),
            tally: Tally::default(),
            starts: 0,
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
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "operator", "namespace": namespace},
            "stringData": {"secret": self.secret},
        }))
        .await?;
        self.apply(&json!({
            "apiVersion": "apim.oda.tmforum.org/v1alpha1", "kind": "ApimInstance",
            "metadata": {"name": namespace, "labels": {SEED_LABEL: namespace}},
            "spec": self.azure.instance(self.lab),
        }))
        .await?;
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
        for (id, mark) in [(FOREIGN, "the billing team"), (OTHER_CLUSTER, &theirs)] {
            let api = json!({"properties": {
                "displayName": id, "path": id, "protocols": ["https"],
                "serviceUrl": "https://elsewhere.example.com", "apiRevisionDescription": mark,
            }});
            self.azure
                .portal("PUT", &format!("/apis/{id}"), Some(&api))
                .await?;
        }
        for id in [FOREIGN, OTHER_CLUSTER] {
            let state = self.foreign_state(id).context("it was just made")?;
            self.foreign.insert(id.to_owned(), state);
        }
        Ok(())
    }

    /// Everything that Azure stores of an API.
    pub(crate) fn foreign_state(&self, id: &str) -> Option<Value> {
        let state = self.azure.simulator.state(crate::azure::SERVICE)?;
        state["apis"].get(id).cloned()
    }

    /// Starts the first operator, if it does not run.
    pub(crate) fn start_operator(&mut self) -> Result<()> {
        if self.first.is_none() {
            self.starts += 1;
            let name = format!("operator-{}", self.starts);
            self.first = Some(Operator::start(&self.place, &name)?);
        }
        Ok(())
    }

    fn start_second(&mut self) -> Result<()> {
        if self.second.is_none() {
            self.starts += 1;
            let name = format!("second-{}", self.starts);
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
        for api in [self.instances(), self.policy_plugins()] {
            let free = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
            let params = kube::api::PatchParams::default();
            if api.get_opt(&self.namespace).await?.is_some() {
                api.patch_metadata(&self.namespace, &params, &free).await?;
                api.delete(&self.namespace, &kube::api::DeleteParams::default())
                    .await?;
            }
        }
        Ok(())
    }
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
