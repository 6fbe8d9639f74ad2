//! The watch of ExposedAPIs: keeps them for the reconcile, tells others of them,
//! and asks for a reconcile when something changed that matters.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use operator_core::names::ObjectKey;
use operator_core::status::{Applied, applied};
use tokio::sync::watch;

use crate::kept::{Kept, Objects, Packer};
use crate::reconcile::Context;
use crate::reconcile::subject::Subject;
use crate::watch::{Synced, Triggers};

/// Objects that are parsed at a time: what a larger page holds for a moment, the
/// process keeps.
const PAGE: u32 = 100;

/// After a status that this process may not have written itself: the answer to
/// its own write can arrive later than the watch, and whoever fights with the
/// operator over a status is answered no faster than this.
const FOREIGN_PAUSE: Duration = Duration::from_secs(1);

struct Follower {
    context: Arc<Context>,
    triggers: Triggers,
    writer: Writer<Kept>,
    packer: Packer,
    done: watch::Sender<bool>,
}

/// Follows ExposedAPIs from now on.
pub(super) fn follow(context: &Arc<Context>, triggers: &Triggers, writer: Writer<Kept>) -> Synced {
    let (done, synced) = watch::channel(false);
    let mut follower = Follower {
        context: Arc::clone(context),
        triggers: triggers.clone(),
        writer,
        packer: Packer::default(),
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
                Ok(event) => follower.heard(event),
                Err(error) => {
                    tracing::warn!(%error, "the watch of ExposedAPIs failed and is started again");
                }
            }
        }
    });
    Synced::new(synced)
}

impl Follower {
    fn heard(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Init => self.writer.apply_watcher_event(&Event::Init),
            Event::InitApply(object) => {
                if let Some(kept) = self.keep(&object) {
                    self.writer.apply_watcher_event(&Event::InitApply(kept));
                }
                self.seen(&object);
            }
            Event::InitDone => self.complete(),
            Event::Apply(object) => self.applied(&object),
            Event::Delete(object) => {
                let key = Subject::of(&object).key;
                if let Some(kept) = self.keep(&object) {
                    self.writer.apply_watcher_event(&Event::Delete(kept));
                }
                self.gone(&key);
            }
        }
    }

    fn keep(&mut self, object: &DynamicObject) -> Option<Kept> {
        let kept = self.packer.keep(object);
        let kept = kept.inspect_err(|error| {
            let object = Subject::of(object).key;
            tracing::error!(%object, %error, "an ExposedAPI cannot be kept and is left alone");
        });
        kept.ok()
    }

    fn applied(&mut self, object: &DynamicObject) {
        let Some(kept) = self.keep(object) else {
            return;
        };
        let content = kept.content();
        let (objects, kind) = (&self.context.objects, &self.context.kind);
        let before = objects.get(&kind.reference(&kept.key()));
        // First, so that whoever is asked for finds the object.
        self.writer.apply_watcher_event(&Event::Apply(kept));
        let key = self.seen(object);
        let version = object.metadata.resource_version.as_deref();
        self.context.memory.cached(&key, version);
        if before.is_none_or(|before| before.content() != content) {
            self.triggers.one(key, "ExposedAPI");
        } else {
            self.status_seen(&key, object);
        }
    }

    /// Others may write into a status, where rights allow it, and a process that
    /// led before may have written its last word late: what should stand there
    /// is written again.
    fn status_seen(&self, key: &ObjectKey, object: &DynamicObject) {
        let context = &self.context;
        let trusted = context.exposed.mode().is_trusted();
        if !trusted || !context.leadership.leads() || !is_foreign(context, key, object) {
            return;
        }
        let (context, triggers) = (Arc::clone(context), self.triggers.clone());
        let key = key.clone();
        tokio::spawn(async move {
            tokio::time::sleep(context.pace.of(FOREIGN_PAUSE)).await;
            let now = context.objects.get(&context.kind.reference(&key));
            let now = now.and_then(|kept| kept.open().ok());
            if now.is_some_and(|now| is_foreign(&context, &key, &now)) {
                triggers.one(key, "Status");
            }
        });
    }

    /// A whole list was read. The first one asks for nothing: whoever begins to
    /// lead looks at everything.
    fn complete(&mut self) {
        let contents = |objects: Vec<Arc<Kept>>| -> HashMap<ObjectKey, u64> {
            let contents = objects
                .iter()
                .map(|object| (object.key(), object.content()));
            contents.collect()
        };
        let before = contents(self.context.objects.state());
        self.writer.apply_watcher_event(&Event::InitDone);
        if !*self.done.borrow() {
            self.context.metrics.listed();
            tracing::info!(
                objects = self.context.objects.len(),
                "the view of the ExposedAPIs is complete"
            );
            self.done.send_replace(true);
            return;
        }
        let now = contents(self.context.objects.state());
        for (key, content) in &now {
            if before.get(key) != Some(content) {
                self.triggers.one(key.clone(), "ExposedAPI");
            }
        }
        for key in before.keys().filter(|key| !now.contains_key(key)) {
            self.gone(key);
        }
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
        self.call_gateways(&subject.key);
        subject.key
    }

    /// Whether it is published, and its labels, matter to who serves it.
    fn call_gateways(&self, key: &ObjectKey) {
        let context = &self.context;
        let gateways = context.world.hosting_for(&key.namespace);
        context.gateway_calls.look(gateways);
    }

    fn gone(&self, key: &ObjectKey) {
        self.call_gateways(key);
        let context = &self.context;
        context.world.exposed_api_gone(key);
        for other in context.paths.gone(key) {
            self.triggers.one(other, "Path");
        }
        context.components.forget(key);
        context.uses.gone(key);
        context.named_values.gone(key);
        context.specifications.want(key, None);
        context.memory.forget(key);
        context.drift.forget(key);
        context.events.forget(key);
        context.slots.forget(key);
        context.shards.forget(key);
    }
}

/// Whether an object's status is not what this process knows to be right.
fn is_foreign(context: &Context, key: &ObjectKey, object: &DynamicObject) -> bool {
    let version = object.metadata.resource_version.as_deref();
    let status = object.data.get("status");
    context.memory.is_foreign(key, status, version)
}

/// The ExposedAPIs that say that they are published in an instance.
pub(super) fn published_in(objects: &Objects, instance: &str) -> Vec<ObjectKey> {
    let users = objects.state().into_iter().filter_map(|object| {
        let subject = Subject::open(&object).ok()?;
        let status = subject.status.as_ref().and_then(applied);
        let record = status.or_else(|| {
            let text = subject.meta.annotations.get(crate::reconcile::APPLIED)?;
            Applied::from_annotation(text, &subject.key)
        })?;
        (record.instance.as_str() == instance).then_some(subject.key)
    });
    users.collect()
}
