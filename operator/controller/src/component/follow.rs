//! Finding out whether the cluster has Components, and following them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, pin_mut};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use operator_core::names::ObjectKey;

use super::{Availability, Components};
use crate::crd::exposed_api::{GROUP, VERSIONS};
use crate::watch::key_of;

/// Between two looks for the kind, in a cluster without it.
const LOOK: Duration = Duration::from_secs(15);
const PLURAL: &str = "components";
const KIND: &str = "Component";

/// Looks for the kind and follows it while it is there.
pub(super) async fn forever(components: Arc<Components>) {
    let mut said = None;
    loop {
        let availability = match discover(&components.client).await {
            Ok(Some(resource)) => {
                said = None;
                follow(&components, &resource).await;
                Availability::NotInstalled
            }
            Ok(None) => Availability::NotInstalled,
            Err(error) => Availability::Unreadable(error.to_string()),
        };
        if said.as_ref() != Some(&availability) {
            if let Availability::Unreadable(why) = &availability {
                tracing::warn!("whether there are Components cannot be told: {why}");
            } else {
                tracing::info!(
                    "this cluster has no Components: no parent of an ExposedAPI is told of it"
                );
            }
            components.is_now(availability.clone(), None);
            said = Some(availability);
        }
        tokio::time::sleep(components.pace.of(LOOK)).await;
    }
}

/// The kind at the version at which the operator works, where it is served.
async fn discover(client: &Client) -> Result<Option<ApiResource>, kube::Error> {
    for version in VERSIONS {
        let listed = client
            .list_api_group_resources(&format!("{GROUP}/{version}"))
            .await;
        match listed {
            Ok(list) if list.resources.iter().any(|found| found.name == PLURAL) => {
                let kind = GroupVersionKind::gvk(GROUP, version, KIND);
                return Ok(Some(ApiResource::from_gvk_with_plural(&kind, PLURAL)));
            }
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Follows Components until the kind is gone.
async fn follow(components: &Components, resource: &ApiResource) {
    let api: Api<DynamicObject> = Api::all_with(components.client.clone(), resource);
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    pin_mut!(stream);
    let mut listed: HashSet<ObjectKey> = HashSet::new();
    let mut said = None;
    let mut interrupted = None;
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(key_of(&object));
                components.learn(&object, true);
            }
            Ok(Event::InitDone) => {
                let known: Vec<_> = components.inner.lock().views.keys().cloned().collect();
                for key in known.iter().filter(|key| !listed.contains(key)) {
                    components.gone(key);
                }
                listed.clear();
                said = None;
                tracing::debug!(version = resource.version, "Components are followed");
                components.is_now(Availability::Known, Some(resource.clone()));
            }
            Ok(Event::Apply(object)) => components.learn(&object, false),
            Ok(Event::Delete(object)) => components.gone(&key_of(&object)),
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
                if status.is_not_found() =>
            {
                let known: Vec<_> = components.inner.lock().views.keys().cloned().collect();
                for key in &known {
                    components.gone(key);
                }
                return;
            }
            Err(error @ watcher::Error::InitialListFailed(_)) => {
                let why = error.to_string();
                if said.as_ref() != Some(&why) {
                    tracing::warn!(
                        "Components cannot be read, and are not told of their APIs: {why}"
                    );
                    components.is_now(Availability::Unreadable(why.clone()), None);
                    said = Some(why);
                }
            }
            // Started again by itself; what was read stays true until then.
            Err(error) => {
                let why = error.to_string();
                if interrupted.as_ref() != Some(&why) {
                    tracing::warn!("the watch of Components is started again: {why}");
                    interrupted = Some(why);
                }
            }
        }
    }
}
