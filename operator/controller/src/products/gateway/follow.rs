//! Follows what was made for gateways, in the namespaces that have some: rights
//! are given there, and nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher::watcher};
use operator_core::gateway::{COMPONENT, KINDS, sidecar};
use operator_core::names::ObjectKey;
use parking_lot::Mutex;
use smol_str::SmolStr;

use super::super::CLOSED;
use super::cluster::resource;
use crate::crd::SelfHostedGateway;
use crate::reconcile::Context;
use crate::watch::MANAGED_BY;

/// The namespaces that are followed.
pub(super) struct Followers {
    ctx: Arc<Context>,
    running: Mutex<BTreeMap<SmolStr, Vec<tokio::task::JoinHandle<()>>>>,
}

impl Followers {
    pub(super) fn new(ctx: Arc<Context>) -> Self {
        Self {
            ctx,
            running: Mutex::default(),
        }
    }

    /// Follows a namespace from now on. Those that have no gateway any more are
    /// let go on the way.
    pub(super) fn follow(&self, namespace: &SmolStr) {
        let mut running = self.running.lock();
        let with = self.ctx.world.hosting_namespaces();
        running.retain(|one, tasks| {
            let stays = one == namespace || with.contains(one);
            if !stays {
                tasks.iter().for_each(tokio::task::JoinHandle::abort);
            }
            stays
        });
        running.entry(namespace.clone()).or_insert_with(|| {
            let ours = format!(
                "{}={},{}={}",
                MANAGED_BY.0, MANAGED_BY.1, COMPONENT.0, COMPONENT.1
            );
            let made = KINDS.into_iter().map(|kind| (resource(kind), ours.clone()));
            // Those of others that have a sidecar, or may.
            let theirs = (resource(KINDS[0]), sidecar::label().0);
            made.chain([theirs])
                .map(|(resource, labels)| {
                    let ctx = Arc::clone(&self.ctx);
                    let namespace = namespace.clone();
                    tokio::spawn(async move { watch(&ctx, &namespace, resource, &labels).await })
                })
                .collect()
        });
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        for tasks in self.running.get_mut().values() {
            tasks.iter().for_each(tokio::task::JoinHandle::abort);
        }
    }
}

/// Asks for a look at a gateway whenever something of it changes, for ever.
async fn watch(ctx: &Context, namespace: &str, resource: ApiResource, labels: &str) {
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.client.clone(), namespace, &resource);
    let mut told = false;
    let mut tell = |error: String| {
        if !std::mem::replace(&mut told, true) {
            let kind = &resource.kind;
            tracing::info!(
                namespace,
                kind,
                "what is made for gateways cannot be followed: {error}"
            );
        }
    };
    loop {
        // Asked before: a watch that is refused says so again and again.
        let params = ListParams::default().labels(labels).limit(1);
        if let Err(error) = api.list_metadata(&params).await {
            tell(error.to_string());
        } else {
            let config = watcher::Config::default().labels(labels);
            let mut events = watcher(api.clone(), config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::Delete(object)) => called(ctx, &object),
                    Ok(Event::InitApply(_) | Event::Init) => {}
                    // What is there now, or not any more, may have changed
                    // while nobody looked.
                    Ok(Event::InitDone) => all_of(ctx, namespace),
                    Err(error) => {
                        tell(error.to_string());
                        break;
                    }
                }
            }
        }
        tokio::time::sleep(ctx.pace.of(CLOSED).max(Duration::from_millis(50))).await;
    }
}

fn all_of(ctx: &Context, namespace: &str) {
    ctx.gateway_calls.look(ctx.world.hosting_in(namespace));
}

/// Asks for the gateway that an object was made for, or for all that may have
/// to do with it.
fn called(ctx: &Context, object: &DynamicObject) {
    let namespace = object.namespace().unwrap_or_default();
    let owners = object.owner_references();
    let kind = <SelfHostedGateway as kube::Resource>::kind(&());
    match owners.iter().find(|owner| owner.kind == kind) {
        Some(owner) => {
            let key = ObjectKey::new(&namespace, &owner.name);
            ctx.gateway_calls.look([key]);
        }
        None => all_of(ctx, &namespace),
    }
}
