//! The reconcile of a `SelfHostedGateway`: its entity in API Management, its
//! token, its objects in the cluster, and the APIs that it serves.

mod cluster;
mod follow;
mod serve;
mod token;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use operator_apim::{ArmClient, GatewayError};
use operator_core::gateway::spec::Mode;
use operator_core::gateway::{DesiredGateway, gateway, secret_name};
use operator_core::instance::Instance;
use operator_core::mark::OwnershipMark;
use operator_core::names::{ContentHash, FINALIZER, InstanceName, ObjectKey};
use operator_core::policy::Grants;
use parking_lot::Mutex;

use self::follow::Followers;
use super::secret::Found;
use super::{
    AGAIN, CLOSED, DENIED, Error, Fate, Owned, Shared, Stop, WAIT, stays, told, until_open,
};
use crate::crd::SelfHostedGateway;
use crate::crd::self_hosted_gateway::SelfHostedGatewayStatus;
use crate::watch::key_of;

/// The ClusterRole that is bound in each namespace with gateways.
const ROLE: &str = "apim-operator-gateway-objects";
/// Changes of many APIs that come at once are one look at their gateway.
const DEBOUNCE: Duration = Duration::from_millis(200);

impl Owned for SelfHostedGateway {
    type Status = SelfHostedGatewayStatus;
    const KIND: &'static str = "SelfHostedGateway";
    const RIGHTS: &'static str = "deploy/rbac-gateways.yaml";

    fn said(&self) -> SelfHostedGatewayStatus {
        self.status.clone().unwrap_or_default()
    }

    fn conditions(status: &mut SelfHostedGatewayStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }
}

/// Asks for looks at gateways, while somebody works on them.
#[derive(Debug, Default)]
pub struct Calls(Mutex<Option<mpsc::UnboundedSender<ObjectKey>>>);

impl Calls {
    /// Has these gateways looked at.
    pub fn look(&self, gateways: impl IntoIterator<Item = ObjectKey>) {
        if let Some(sender) = &*self.0.lock() {
            for key in gateways {
                // The other end is gone only while the process shuts down.
                let _ = sender.unbounded_send(key);
            }
        }
    }

    fn open(&self) -> mpsc::UnboundedReceiver<ObjectKey> {
        let (sender, receiver) = mpsc::unbounded();
        *self.0.lock() = Some(sender);
        receiver
    }
}

/// What the reconciles of gateways share.
struct Gateways {
    shared: Arc<Shared>,
    followers: Followers,
}

/// Starts to bring gateways in place.
pub(super) fn start(shared: Arc<Shared>, config: Config) {
    let called = shared.ctx.gateway_calls.open();
    let called = called.map(|key| ObjectRef::new(&key.name).within(&key.namespace));
    tokio::spawn(async move {
        let ctx = Arc::clone(&shared.ctx);
        let api: Api<SelfHostedGateway> = Api::all(ctx.client.clone());
        until_open(&api, ctx.pace).await;
        let gateways = Arc::new(Gateways {
            shared,
            followers: Followers::new(Arc::clone(&ctx)),
        });
        Controller::new(api, watcher::Config::default())
            .with_config(config.debounce(ctx.pace.of(DEBOUNCE)))
            .reconcile_on(called)
            .run(reconcile, again, gateways)
            .for_each(|_| std::future::ready(()))
            .await;
    });
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn again(object: Arc<SelfHostedGateway>, error: &Error, gateways: Arc<Gateways>) -> Action {
    super::again(object, error, Arc::clone(&gateways.shared))
}

impl From<GatewayError> for Stop {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Refused(refused) => {
                Self::Fate(Fate::Stalled("NotOurs", refused.to_string()))
            }
            GatewayError::Arm(error) => Self::Arm(error),
        }
    }
}

/// What the API server says of an object in the cluster.
fn refused(namespace: &str, what: &str, error: kube::Error) -> Stop {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => {
            let message = format!(
                "the operator may not do this in namespace `{namespace}`; have the ClusterRole `{ROLE}` of \
                 deploy/rbac-gateways.yaml bound there ({})",
                status.message
            );
            Stop::Fate(Fate::Waiting("Forbidden", message, DENIED))
        }
        kube::Error::Api(status) if matches!(status.code, 400 | 422) => Stop::Fate(Fate::Stalled(
            "Rejected",
            format!("{what} is refused: {}", status.message),
        )),
        error => Stop::Kube(error.into()),
    }
}

/// A gateway and where it goes.
struct Wanted {
    instance: Arc<Instance>,
    grants: Grants,
    desired: DesiredGateway,
    hash: String,
}

/// Brings one object in place.
async fn reconcile(
    object: Arc<SelfHostedGateway>,
    gateways: Arc<Gateways>,
) -> Result<Action, Error> {
    let object = &*object;
    let shared = &*gateways.shared;
    let mut status = object.said();
    if object.is_deleting() {
        return leave(&gateways, object, status).await;
    }
    status.observed_generation = object.metadata.generation;
    gateways.followers.follow(&key_of(object).namespace);
    let fate = match bring(shared, object, &mut status).await {
        Ok(Some(fate)) | Err(Stop::Fate(fate)) => fate,
        Ok(None) => return Ok(Action::await_change()),
        Err(Stop::Arm(error)) => shared.failed(object, &error),
        Err(Stop::Kube(error)) => return Err(error),
    };
    shared.end(object, status, fate).await
}

fn wanted(
    shared: &Shared,
    object: &SelfHostedGateway,
    status: &SelfHostedGatewayStatus,
) -> Result<Wanted, Fate> {
    let key = key_of(object);
    let spec = &object.spec.0;
    let (instance, grants) = shared.place(&key, spec.instance.as_deref())?;
    if let Some(there) = &status.instance
        && there != instance.name.as_str()
    {
        return Err(Fate::Stalled(
            "Conflict",
            format!(
                "spec.instance: the gateway is in instance `{there}` and would go to `{}`, with other APIs; set the \
                 instance back, or make another object",
                instance.name
            ),
        ));
    }
    let Some(context) = shared.ctx.instances.context(&instance.name) else {
        return Err(connecting());
    };
    let desired = gateway(spec, &key, &instance, &context, &shared.ctx.cluster);
    let desired = desired.map_err(|problems| {
        // What a tier lacks has a name of its own.
        let tier = context.tier().check_gateways().is_err();
        let reason = if tier { "TierLimit" } else { "InvalidSpec" };
        Fate::Stalled(reason, told(&problems))
    })?;
    let hash = ContentHash::of_json(&(&instance.name, desired.hash())).to_string();
    Ok(Wanted {
        instance,
        grants,
        desired,
        hash,
    })
}

fn connecting() -> Fate {
    let message = "the instance is being connected".to_owned();
    Fate::Waiting("InstanceUnavailable", message, WAIT)
}

/// Nothing where the watch brings the object once more.
async fn bring(
    shared: &Shared,
    object: &SelfHostedGateway,
    status: &mut SelfHostedGatewayStatus,
) -> Result<Option<Fate>, Stop> {
    let wanted = wanted(shared, object, status).map_err(Stop::Fate)?;
    let desired = &wanted.desired;
    let served = serve::served(shared, object, &wanted).map_err(Stop::Fate)?;
    // Before anything is made: a token that has no place must not exist.
    let found = token_secret(shared, object, &desired.secret).await?;
    if !shared.hold(object).await? {
        return Ok(None);
    }
    let connection = shared.ctx.instances.connection(&wanted.instance.name);
    let connection = connection.ok_or_else(|| Stop::Fate(connecting()))?;
    let client = connection.applier.client();
    let looks = shared.must_look(object);
    entity(shared, object, status, client, &wanted, looks).await?;
    let (until, next) = token::bring(shared, object, status, client, desired, found).await?;
    let available = cluster::bring(shared, object, status, desired, &until).await;
    // APIs are served by the pods that are there, whatever keeps others away.
    let waiting = serve::bring(status, client, desired, &served, looks).await?;
    status.available = available?;
    status.url = serve::url(status.host.as_deref(), &wanted.instance);
    if looks {
        shared.looked(object);
    }
    Ok(Some(fate(object, status, desired, &waiting, next)))
}

/// The entity in API Management.
async fn entity(
    shared: &Shared,
    object: &SelfHostedGateway,
    status: &mut SelfHostedGatewayStatus,
    client: &ArmClient,
    wanted: &Wanted,
    looks: bool,
) -> Result<(), Stop> {
    let in_place = status.hash.as_ref() == Some(&wanted.hash);
    if in_place && !looks {
        return Ok(());
    }
    status.instance = Some(wanted.instance.name.to_string());
    status.gateway_id = Some(wanted.desired.id.clone());
    if !in_place {
        // Where it may be from the first write on.
        status.hash = None;
        shared.write_status(object, status).await?;
    }
    client.apply_gateway(&wanted.desired).await?;
    status.hash = Some(wanted.hash.clone());
    Ok(())
}

async fn token_secret(
    shared: &Shared,
    object: &SelfHostedGateway,
    name: &str,
) -> Result<Found, Stop> {
    match shared.secret(object, name).await? {
        Found::Foreign => Err(Stop::Fate(Fate::Stalled(
            "SecretNotOurs",
            format!(
                "Secret `{name}` exists and is not this object's; it is left alone. Delete it, or give the object \
                 another name"
            ),
        ))),
        Found::Forbidden(message) => Err(Stop::Fate(Fate::Waiting(
            "Forbidden",
            format!(
                "the operator may not keep Secrets in namespace `{}`; have the ClusterRole `{ROLE}` of \
                 deploy/rbac-gateways.yaml bound there ({message})",
                object.namespace().unwrap_or_default()
            ),
            DENIED,
        ))),
        found => Ok(found),
    }
}

fn fate(
    object: &SelfHostedGateway,
    status: &SelfHostedGatewayStatus,
    desired: &DesiredGateway,
    waiting: &BTreeSet<ObjectKey>,
    next: Duration,
) -> Fate {
    let id = &desired.id;
    let next = next.min(if waiting.is_empty() { AGAIN } else { CLOSED });
    let alone = object.spec.0.mode != Mode::Shared;
    if let (true, Some(api)) = (alone, waiting.first()) {
        let message = format!(
            "spec.apis.name: waits for ExposedAPI `{}`, which is not published in this instance",
            api.name
        );
        return Fate::Waiting("WaitingForDependency", message, WAIT);
    }
    if !status.available {
        let message = format!("gateway {id}: no pod of it is available yet");
        return Fate::Waiting("NoReadyPods", message, next);
    }
    if status.host.is_none() {
        let message = format!("gateway {id}: its load balancer has no address yet");
        return Fate::Waiting("NoAddress", message, next);
    }
    let later = match waiting.len() {
        0 => String::new(),
        count => format!("; {count} more when they are published"),
    };
    let message = format!(
        "gateway {id} is in place and serves {} APIs{later}",
        status.apis.len()
    );
    Fate::Ready(message, next)
}

/// Takes the APIs from the gateway, then what is in the cluster, then the
/// gateway itself, and lets the object go.
async fn leave(
    gateways: &Gateways,
    object: &SelfHostedGateway,
    mut status: SelfHostedGatewayStatus,
) -> Result<Action, Error> {
    let shared = &*gateways.shared;
    if !object.finalizers().iter().any(|one| one == FINALIZER) {
        shared.forget(object);
        return Ok(Action::await_change());
    }
    match taken_away(shared, object, &mut status).await {
        Ok(()) => {}
        Err(Stop::Fate(fate)) => return shared.end(object, status, fate).await,
        Err(Stop::Arm(error)) => {
            let fate = shared.failed(object, &error);
            return shared.end(object, status, fate).await;
        }
        Err(Stop::Kube(error)) => return Err(error),
    }
    shared.release(object).await?;
    Ok(Action::await_change())
}

async fn taken_away(
    shared: &Shared,
    object: &SelfHostedGateway,
    status: &mut SelfHostedGatewayStatus,
) -> Result<(), Stop> {
    let key = key_of(object);
    let place = status.instance.clone().zip(status.gateway_id.clone());
    // Only what was written has an instance.
    let connection = match &place {
        None => None,
        Some((name, id)) => {
            let parsed = InstanceName::parse(name).ok();
            let connection = parsed.and_then(|name| shared.ctx.instances.connection(&name));
            let connection = connection.ok_or_else(|| {
                let message = format!(
                    "gateway {id} cannot be deleted, since instance `{name}` is not connected"
                );
                Stop::Fate(Fate::Waiting("InstanceUnavailable", message, WAIT))
            })?;
            Some((connection, id))
        }
    };
    let mark = OwnershipMark::new(&shared.ctx.cluster, &key);
    if let (Some((connection, id)), false) = (&connection, stays(object)) {
        let client = connection.applier.client();
        while let Some(api) = status.apis.last() {
            client.unlink_gateway_api(id, mark.as_str(), api).await?;
            status.apis.pop();
        }
    }
    cluster::remove(shared, object, status).await?;
    shared.drop_secret(object, &secret_name(&key)).await?;
    if let Some((connection, id)) = &connection {
        let client = connection.applier.client();
        if stays(object) {
            client.release_gateway(id, mark.as_str()).await?;
        } else {
            client.delete_gateway(id, mark.as_str()).await?;
        }
    }
    Ok(())
}
