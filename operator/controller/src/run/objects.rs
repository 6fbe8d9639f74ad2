//! The watch of ExposedAPIs: keeps them for the reconcile, tells others of them,
//! and asks for a reconcile when something changed that matters.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::reflector::store::{Store, Writer};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use operator_core::names::ObjectKey;
use operator_core::status::{Applied, applied};
use tokio::sync::watch;

use crate::reconcile::Context;
use crate::reconcile::subject::Subject;
use crate::watch::{Synced, Triggers};

/// Objects that are parsed at a time: what a larger page holds for a moment, the
/// process keeps.
const PAGE: u32 = 100;

/// The ExposedAPIs as last seen.
pub(super) type Objects = Store<DynamicObject>;

struct Follower {
    context: Arc<Context>,
    triggers: Triggers,
    writer: Writer<DynamicObject>,
    /// What is known of each object: a change of this is worth a reconcile.
    contents: HashMap<ObjectKey, u64>,
    /// The same of the list that is being read.
    listed: HashMap<ObjectKey, u64>,
    done: watch::Sender<bool>,
}

/// Follows ExposedAPIs from now on.
pub(super) fn follow(context: &Arc<Context>, triggers: &Triggers) -> (Objects, Synced) {
    let (done, synced) = watch::channel(false);
    let writer = Writer::new(context.exposed.resource().clone());
    let objects = writer.as_reader();
    let mut follower = Follower {
        context: Arc::clone(context),
        triggers: triggers.clone(),
        writer,
        contents: HashMap::new(),
        listed: HashMap::new(),
        done,
    };
    let mut events = watcher(
        context.exposed.all(),
        watcher::Config::default().page_size(PAGE),
    )
    .default_backoff()
    .modify(|object| object.managed_fields_mut().clear())
    .boxed();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => follower.heard(&event),
                Err(error) => {
                    tracing::warn!(%error, "the watch of ExposedAPIs failed and is started again");
                }
            }
        }
    });
    (objects, Synced::new(synced))
}

impl Follower {
    fn heard(&mut self, event: &Event<DynamicObject>) {
        // First, so that whoever is asked for finds the object.
        self.writer.apply_watcher_event(event);
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                let key = self.seen(object);
                self.listed.insert(key, content(object));
            }
            Event::InitDone => self.complete(),
            Event::Apply(object) => {
                let key = self.seen(object);
                let content = content(object);
                if self.contents.insert(key.clone(), content) != Some(content) {
                    self.triggers.one(key, "ExposedAPI");
                }
            }
            Event::Delete(object) => {
                let key = Subject::of(object).key;
                self.contents.remove(&key);
                self.gone(&key);
            }
        }
    }

    /// A whole list was read. The first one asks for nothing: whoever begins to
    /// lead looks at everything.
    fn complete(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        let before = std::mem::replace(&mut self.contents, listed);
        if *self.done.borrow() {
            for (key, content) in &self.contents {
                if before.get(key) != Some(content) {
                    self.triggers.one(key.clone(), "ExposedAPI");
                }
            }
        } else {
            self.context.metrics.listed();
            tracing::info!(
                objects = self.contents.len(),
                "the view of the ExposedAPIs is complete"
            );
        }
        let gone: Vec<ObjectKey> = before
            .into_keys()
            .filter(|key| !self.contents.contains_key(key))
            .collect();
        for key in gone {
            self.gone(&key);
        }
        self.done.send_replace(true);
    }

    fn seen(&self, object: &DynamicObject) -> ObjectKey {
        let subject = Subject::of(object);
        let context = &self.context;
        context
            .uses
            .exists(&subject.key, subject.published_plugins());
        context
            .world
            .exposed_api_seen(&subject.key, subject.implementation());
        let trusted = context.exposed.mode().is_trusted();
        for other in context.paths.seen(&subject, trusted) {
            self.triggers.one(other, "Path");
        }
        subject.key
    }

    fn gone(&self, key: &ObjectKey) {
        let context = &self.context;
        context.world.exposed_api_gone(key);
        for other in context.paths.gone(key) {
            self.triggers.one(other, "Path");
        }
        context.components.forget(key);
        context.uses.gone(key);
        context.memory.forget(key);
        context.drift.forget(key);
        context.events.forget(key);
        context.slots.forget(key);
        context.shards.forget(key);
    }
}

/// What of an object is worth a reconcile: not status, finalizers or the
/// annotation that the operator writes itself. Its generation does not tell,
/// where status lies in the main resource.
fn content(object: &DynamicObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    object
        .data
        .get("spec")
        .map(ToString::to_string)
        .hash(&mut hasher);
    for (name, value) in object.annotations() {
        if name != crate::reconcile::APPLIED {
            (name, value).hash(&mut hasher);
        }
    }
    object.labels().hash(&mut hasher);
    object
        .metadata
        .deletion_timestamp
        .is_some()
        .hash(&mut hasher);
    hasher.finish()
}

/// The ExposedAPIs that say that they are published in an instance.
pub(super) fn published_in(objects: &Objects, instance: &str) -> Vec<ObjectKey> {
    let users = objects.state().into_iter().filter_map(|object| {
        let subject = Subject::of(&object);
        let status = subject.status.as_ref().and_then(applied);
        let record = status.or_else(|| {
            let text = subject.meta.annotations.get(crate::reconcile::APPLIED)?;
            Applied::from_annotation(text, &subject.key)
        })?;
        (record.instance.as_str() == instance).then_some(subject.key)
    });
    users.collect()
}
