//! The watches of what the operator makes to expose APIs, also of kinds that
//! not every cluster has: those are looked for until they come.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, WatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher;
use operator_core::exposure::{GatewayFacts, Listener, ObjectKind};
use operator_core::gateway::select::Hosted;
use operator_core::gateway::service_host;
use operator_core::gateway::spec::SelfHostedGatewaySpec;
use operator_core::names::{InstanceName, ObjectKey};
use operator_core::pace::Pace;
use operator_core::protection;
use serde_json::Value;
use tokio::sync::watch;

use super::{ADDRESS, Follow, MANAGED_BY, Synced, Triggers, Watched, key_of, run};
use crate::world::{News, World};

/// Between two looks for a kind, in a cluster without it or without the right
/// to see it.
const LOOK: Duration = Duration::from_secs(30);

/// How the API server calls a kind.
pub(crate) fn resource(kind: &ObjectKind) -> ApiResource {
    let name = GroupVersionKind::gvk(kind.group, kind.version, kind.kind);
    ApiResource::from_gvk_with_plural(&name, kind.plural)
}

/// Starts the watches.
pub(super) fn start(
    client: &Client,
    world: &Arc<World>,
    triggers: &Triggers,
    pace: Pace,
) -> Vec<Synced> {
    let ours = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
    let ours = || watcher::Config::default().labels(&ours);
    let look = |optional| Look {
        client: client.clone(),
        world: Arc::clone(world),
        triggers: triggers.clone(),
        pause: pace.of(LOOK),
        optional,
        rights: "exposures and protections that need them take their part of deploy/rbac-exposures.yaml",
    };
    let mut synced: Vec<Synced> = protection::kinds()
        .map(|kind| {
            let objects = Objects(kind, Arc::clone(world), triggers.clone());
            let look = look(kind.comes_with.is_some() || kind.role.is_some());
            look.start(resource(kind), ours(), objects)
        })
        .collect();
    let gateways = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway");
    synced.push(look(true).start(
        ApiResource::from_gvk_with_plural(&gateways, "gateways"),
        watcher::Config::default(),
        Gateways(Arc::clone(world), triggers.clone()),
    ));
    let hosted = Look {
        rights: "to have gateways in the cluster, apply deploy/rbac-gateways.yaml",
        ..look(true)
    };
    let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "SelfHostedGateway");
    synced.push(hosted.start(
        ApiResource::from_gvk_with_plural(&kind, "selfhostedgateways"),
        watcher::Config::default(),
        SelfHosted(Arc::clone(world), triggers.clone()),
    ));
    synced
}

/// Looks for a kind until it can be followed, and again when it cannot any more.
struct Look {
    client: Client,
    world: Arc<World>,
    triggers: Triggers,
    pause: Duration,
    /// Whether not every cluster has the kind, or lets the operator see it.
    optional: bool,
    /// How to get the right to see it.
    rights: &'static str,
}

impl Look {
    fn start<F: Follow<Kind = DynamicObject>>(
        self,
        resource: ApiResource,
        config: watcher::Config,
        follower: F,
    ) -> Synced {
        let (done, synced) = watch::channel(false);
        tokio::spawn(async move {
            let watched = Watched {
                done,
                optional: self.optional,
            };
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            let mut said: Option<Reach> = None;
            loop {
                let reach = self.reach(&resource, &api).await;
                if said.as_ref() != Some(&reach) {
                    self.tell(follower.kind(), &reach, said.is_some());
                    said = Some(reach.clone());
                }
                if reach == Reach::Open {
                    run(api.clone(), config.clone(), &watched, &follower).await;
                }
                for key in follower.known() {
                    follower.gone(&key);
                }
                watched.done.send_replace(true);
                tokio::time::sleep(self.pause).await;
            }
        });
        Synced::new(synced)
    }

    fn tell(&self, kind: &'static str, reach: &Reach, later: bool) {
        let refusal = match reach {
            Reach::Denied(message) => Some(message.clone()),
            Reach::Open | Reach::NotInstalled => None,
        };
        // What the API server said is told in the status of those who need it.
        let way_out = refusal.as_ref().map_or("", |_| self.rights);
        tracing::info!(kind, "{}{way_out}", reach.sentence());
        self.world.deny(kind, refusal);
        if later {
            // Whoever waited for the kind, or the right, goes on.
            self.triggers.all(kind);
        }
    }

    /// Asked before a watch is started: a watch that is refused says so again
    /// and again. What cannot be told, the watch tells.
    async fn reach(&self, resource: &ApiResource, api: &Api<DynamicObject>) -> Reach {
        if !self.optional {
            return Reach::Open;
        }
        if !is_installed(&self.client, resource).await {
            return Reach::NotInstalled;
        }
        let forbidden = |error: kube::Error| match error {
            kube::Error::Api(status) if status.is_forbidden() => {
                Some(Reach::Denied(status.message.clone()))
            }
            _ => None,
        };
        let listed = api.list_metadata(&ListParams::default().limit(1)).await;
        let watched = async {
            // Whether it may begin is all that is asked.
            let shortly = WatchParams::default().timeout(1);
            api.watch_metadata(&shortly, "0").await.map(drop)
        };
        let refused = match listed {
            Err(error) => forbidden(error),
            Ok(_) => watched.await.err().and_then(forbidden),
        };
        refused.unwrap_or(Reach::Open)
    }
}

/// Whether this process can follow a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    Open,
    NotInstalled,
    /// With what the API server said.
    Denied(String),
}

impl Reach {
    const fn sentence(&self) -> &'static str {
        match self {
            Self::Open => "objects of this kind are followed",
            Self::NotInstalled => {
                "this cluster does not have the kind, which only those need who use it"
            }
            Self::Denied(_) => "objects of this kind may not be read; ",
        }
    }
}

/// Whether the cluster has a kind. Everybody may ask for that; where it cannot
/// be told, it is assumed.
pub(crate) async fn is_installed(client: &Client, resource: &ApiResource) -> bool {
    let listed = if resource.group.is_empty() {
        client.list_core_api_resources(&resource.version).await
    } else {
        client.list_api_group_resources(&resource.api_version).await
    };
    match listed {
        Ok(list) => list
            .resources
            .iter()
            .any(|found| found.name == resource.plural),
        // For a group that it does not have, the API server answers a text.
        Err(kube::Error::Api(status)) => status.code != 404,
        Err(_) => true,
    }
}

struct Objects(&'static ObjectKind, Arc<World>, Triggers);

impl Follow for Objects {
    type Kind = DynamicObject;

    fn kind(&self) -> &'static str {
        self.0.kind
    }

    fn seen(&self, object: &DynamicObject) {
        match self.1.object_seen(self.0, object) {
            Some((key, News::Content)) => self.2.one(key, self.0.kind),
            Some((key, News::Address)) => self.2.one(key, ADDRESS),
            None => {}
        }
    }

    fn gone(&self, key: &ObjectKey) {
        if let Some(key) = self.1.object_gone(self.0, key) {
            self.2.one(key, self.0.kind);
        }
    }

    fn known(&self) -> Vec<ObjectKey> {
        self.1.objects(self.0)
    }
}

struct Gateways(Arc<World>, Triggers);

impl Gateways {
    fn changed(&self, key: &ObjectKey, now: Option<GatewayFacts>) {
        for key in self.0.gateway_seen(key, now) {
            self.1.one(key, ADDRESS);
        }
    }
}

impl Follow for Gateways {
    type Kind = DynamicObject;

    fn kind(&self) -> &'static str {
        "Gateway"
    }

    fn seen(&self, object: &DynamicObject) {
        self.changed(&key_of(object), Some(gateway(&object.data)));
    }

    fn gone(&self, key: &ObjectKey) {
        self.changed(key, None);
    }

    fn known(&self) -> Vec<ObjectKey> {
        self.0.gateways().into_keys().collect()
    }
}

struct SelfHosted(Arc<World>, Triggers);

impl SelfHosted {
    fn changed(&self, key: &ObjectKey, now: Option<Hosted>) {
        for key in self.0.hosted_seen(key, now) {
            self.1.one(key, self.kind());
        }
    }
}

impl Follow for SelfHosted {
    type Kind = DynamicObject;

    fn kind(&self) -> &'static str {
        "SelfHostedGateway"
    }

    fn seen(&self, object: &DynamicObject) {
        let key = key_of(object);
        let deleting = object.metadata.deletion_timestamp.is_some();
        let now = hosted(&key, &object.data).filter(|_| !deleting);
        self.changed(&key, now);
    }

    fn gone(&self, key: &ObjectKey) {
        self.changed(key, None);
    }

    fn known(&self) -> Vec<ObjectKey> {
        self.0.hosted()
    }
}

/// What matters of a self-hosted gateway to the APIs that it serves.
fn hosted(key: &ObjectKey, object: &Value) -> Option<Hosted> {
    let spec: SelfHostedGatewaySpec = serde_json::from_value(object["spec"].clone()).ok()?;
    let status = &object["status"];
    let text = |field: &str| status[field].as_str().map(str::to_owned);
    let apis = status["apis"].as_array().into_iter().flatten();
    let trouble = (status["available"] != true)
        .then(|| format!("SelfHostedGateway `{key}` has no pod that is available"));
    Some(Hosted {
        key: key.clone(),
        apis: spec.apis,
        instance: text("instance").and_then(|name| InstanceName::parse(&name).ok()),
        host: text("host").or_else(|| service_host(&spec.service, key, None)),
        linked: apis
            .filter_map(|id| Some(id.as_str()?.to_owned()))
            .collect(),
        trouble,
    })
}

/// What matters of a Gateway.
fn gateway(object: &Value) -> GatewayFacts {
    let address = object["status"]["addresses"][0]["value"].as_str();
    let listeners = object["spec"]["listeners"].as_array().into_iter().flatten();
    let listeners = listeners.filter_map(|listener| {
        Some(Listener {
            name: listener["name"].as_str()?.to_owned(),
            protocol: listener["protocol"].as_str()?.to_owned(),
            port: listener["port"].as_u64()?.try_into().ok()?,
            hostname: listener["hostname"].as_str().map(str::to_owned),
        })
    });
    GatewayFacts {
        address: address.map(str::to_owned),
        listeners: listeners.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_gateway_is_its_first_address_and_its_listeners() {
        let read = gateway(&json!({
            "spec": {"listeners": [
                {"name": "web", "protocol": "HTTP", "port": 80},
                {"name": "tls", "protocol": "HTTPS", "port": 8443, "hostname": "*.example.org"},
            ]},
            "status": {"addresses": [{"type": "IPAddress", "value": "192.0.2.7"}]},
        }));
        assert_eq!(read.address.as_deref(), Some("192.0.2.7"));
        let listeners: Vec<_> = read
            .listeners
            .iter()
            .map(|l| {
                (
                    l.name.as_str(),
                    l.protocol.as_str(),
                    l.port,
                    l.hostname.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            listeners,
            [
                ("web", "HTTP", 80, None),
                ("tls", "HTTPS", 8443, Some("*.example.org"))
            ]
        );
        assert_eq!(gateway(&json!({"spec": {}})), GatewayFacts::default());
    }
}
