//! What a profile says of itself: whether it can be used, and how many do.

use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, Unit};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Resource;
use kube::api::{Api, Patch, PatchParams};
use operator_core::chain::Listing;
use operator_core::policy::Standing;
use operator_core::profile::{CLUSTER_KIND, KIND, Profile, ProfileRef, SecretSource, place, unfit};
use operator_core::status::reasons::Reason;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Kept, Profiles};
use crate::crd::policy_profile::PolicyProfileStatus;
use crate::crd::{ClusterPolicyProfile, PolicyProfile};
use crate::uses::ProfileUse;

/// Between two looks at who uses what: a start looks at thousands of APIs.
const COUNT_PAUSE: Duration = Duration::from_secs(2);
/// After a write that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest message that Kubernetes takes is longer; nobody reads that.
const LONGEST: usize = 4096;

/// Why a profile cannot be used as it is.
struct Trouble {
    reason: &'static str,
    message: String,
}

impl Trouble {
    fn new(reason: Reason, message: String) -> Self {
        Self {
            reason: reason.as_str(),
            message,
        }
    }
}

impl Profiles {
    /// Says on each profile how many use it.
    pub(super) async fn count(self: Arc<Self>) {
        let mut changes = self.uses.changes();
        while changes.changed().await.is_ok() {
            self.tell_all().await;
            tokio::time::sleep(self.pace.of(COUNT_PAUSE)).await;
        }
    }

    /// Says on all profiles how they fare.
    pub(crate) async fn tell_all(self: &Arc<Self>) {
        let all: Vec<ProfileRef> = self.entries.lock().keys().cloned().collect();
        for reference in all {
            self.tell(&reference).await;
        }
    }

    /// Says on a profile how it fares, if that is new.
    pub(super) async fn tell(self: &Arc<Self>, reference: &ProfileRef) {
        // Before it is asked who uses it: what comes in between is told again.
        let used = self.uses.profile(reference);
        let trouble = self.trouble(reference, used.as_ref());
        let (before, status) = {
            let mut entries = self.entries.lock();
            let Some(kept) = entries.get_mut(reference) else {
                return;
            };
            let status = status(kept, used.as_ref(), trouble);
            if status == kept.said || !self.tells || !self.leadership.leads() {
                return;
            }
            (std::mem::replace(&mut kept.said, status.clone()), status)
        };
        let name = reference.name.as_str();
        let written = if let Some(namespace) = &reference.namespace {
            self.metrics.kube_write("PolicyProfile/status");
            let api: Api<PolicyProfile> = namespaced(self.client.clone(), namespace);
            write(&api, name, &status).await
        } else {
            self.metrics.kube_write("ClusterPolicyProfile/status");
            let api: Api<ClusterPolicyProfile> = Api::all(self.client.clone());
            write(&api, name, &status).await
        };
        match written {
            // It is gone, which the watch tells.
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => {
                tracing::warn!(%error, profile = %reference, "the status of a profile could not be written");
                if let Some(kept) = self.entries.lock().get_mut(reference) {
                    kept.said = before;
                }
                let (this, reference) = (Arc::clone(self), reference.clone());
                tokio::spawn(async move { this.tell_again(reference).await });
            }
            Ok(()) => {}
        }
    }

    /// Nothing else may have it tried again.
    fn tell_again(
        self: Arc<Self>,
        reference: ProfileRef,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            tokio::time::sleep(self.pace.of(AGAIN)).await;
            self.tell(&reference).await;
        })
    }

    fn trouble(&self, reference: &ProfileRef, used: Option<&ProfileUse>) -> Option<Trouble> {
        let all = self.all();
        let profile = match all.get(reference)? {
            Ok(profile) => profile,
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return Some(Trouble::new(Reason::InvalidProfile, problems.join("; ")));
            }
        };
        let twins = self.twins(reference);
        if let Some(twin) = twins.first() {
            let others = match twins.len() {
                1 => String::new(),
                more => format!(" and {} more", more - 1),
            };
            return Some(Trouble::new(
                Reason::AmbiguousProfile,
                format!(
                    "{twin}{others} has the same name, so that no API of that namespace can name either: a {KIND} and \
                     a {CLUSTER_KIND} need different names"
                ),
            ));
        }
        self.plugins_missing(profile)
            .or_else(|| self.secrets_missing(profile))
            .or_else(|| refused(used?))
    }

    /// The first secret that cannot be had or used, in words that do not quote
    /// it.
    fn secrets_missing(&self, profile: &Profile) -> Option<Trouble> {
        profile.secrets.iter().find_map(|secret| {
            let SecretSource::Secret(key) = &secret.source else {
                return None;
            };
            let why = match self.secrets.get(key) {
                Ok(held) => unfit(held.value.expose(), Standing::default())
                    .map(|why| format!("key `{}` of Secret `{}` {why}", key.key, key.name)),
                Err(lack) => Some(lack.message),
            }?;
            let at = place(&profile.reference, &secret.name);
            Some(Trouble::new(Reason::SecretUnusable, format!("{at}: {why}")))
        })
    }

    /// What a profile asks for and cannot have.
    fn plugins_missing(&self, profile: &Profile) -> Option<Trouble> {
        let catalog = self.plugins.registry().catalog();
        let namespace = profile.reference.namespace.as_deref();
        let labels = namespace.map(|namespace| self.world.namespace_labels(namespace));
        profile.plugins.iter().find_map(|plugin| {
            let name = &plugin.name;
            let at = format!("{} spec.plugins[{name}]", profile.reference);
            let Some(entry) = catalog.entry(name) else {
                return Some(Trouble::new(
                    Reason::PluginNotFound,
                    format!("{at}: there is no plugin `{name}`"),
                ));
            };
            if let Listing::Failed(why) = &entry.listing {
                return Some(Trouble::new(
                    Reason::PluginFailed,
                    format!("{at}: plugin `{name}` cannot be used: {why}"),
                ));
            }
            let labels = labels.as_ref()?;
            let governance = entry.governance.as_ref()?;
            let forbidden = !governance.admits(labels);
            forbidden.then(|| {
                Trouble::new(
                    Reason::Forbidden,
                    format!(
                        "{at}: plugin `{name}` may not be used in namespace `{}`: PolicyPlugin/{name} \
                         spec.namespaceSelector does not select it",
                        namespace.unwrap_or_default()
                    ),
                )
            })
        })
    }
}

/// The first API that cannot be published because of a profile.
fn refused(used: &ProfileUse) -> Option<Trouble> {
    let (key, why) = used.refused.first()?;
    let message = match used.refused.len() {
        1 => format!("{key} cannot be published with it: {why}"),
        more => format!(
            "{key} and {} more cannot be published with it: {why}",
            more - 1
        ),
    };
    Some(Trouble {
        reason: "UsersRefused",
        message,
    })
}

fn status(kept: &Kept, used: Option<&ProfileUse>, trouble: Option<Trouble>) -> PolicyProfileStatus {
    let (status, reason, message) = match trouble {
        None => ("True", "Usable", "APIs can name it".to_owned()),
        Some(trouble) => ("False", trouble.reason, trouble.message),
    };
    let before = kept.said.conditions.iter().find(|c| c.type_ == "Ready");
    let condition = Condition {
        type_: "Ready".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.chars().take(LONGEST).collect(),
        observed_generation: kept.generation,
        last_transition_time: before.filter(|c| c.status == status).map_or_else(
            || Time(Timestamp::now().round(Unit::Second).unwrap_or_default()),
            |c| c.last_transition_time.clone(),
        ),
    };
    PolicyProfileStatus {
        observed_generation: kept.generation,
        plugin_names: Some(kept.plugin_names.clone()),
        users: used.map(|used| used.users).or(kept.said.users),
        conditions: vec![condition],
    }
}

fn namespaced<K>(client: kube::Client, namespace: &str) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client, namespace)
}

async fn write<K>(api: &Api<K>, name: &str, status: &PolicyProfileStatus) -> Result<(), kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let patch: Patch<Value> = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch)
        .await
        .map(drop)
}
