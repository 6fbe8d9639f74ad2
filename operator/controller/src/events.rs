//! Events: what a person sees in `kubectl describe`.
//!
//! An event is written when something changes, not each time it is noticed, so
//! there is nothing to aggregate. Events are best effort: they are written
//! beside the reconcile, and a full queue or a refusal costs a log line.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Resource as _};
use operator_core::names::{ContentHash, ObjectKey};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::resource::FIELD_MANAGER;

/// The API server refuses a longer note.
const NOTE_LIMIT: usize = 1024;
/// Events that wait to be written.
const QUEUE: usize = 1024;

/// How an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Publishes events.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Event>,
    last: Arc<Mutex<HashMap<ObjectKey, ContentHash>>>,
    once: Arc<Mutex<HashSet<(String, String)>>>,
    reporter: Arc<str>,
    sequence: Arc<AtomicU64>,
}

impl Events {
    /// Starts the writer. `reporter` names this process, usually its pod.
    #[must_use]
    pub fn start(client: Client, metrics: Arc<Metrics>, reporter: &str) -> Self {
        let (queue, mut pending) = mpsc::channel::<Event>(QUEUE);
        tokio::spawn(async move {
            while let Some(event) = pending.recv().await {
                let namespace = event.meta().namespace.clone().unwrap_or_default();
                let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
                metrics.kube_write("Event");
                if let Err(error) = api.create(&PostParams::default(), &event).await {
                    tracing::warn!(%error, reason = event.reason, "an event could not be written");
                }
            }
        });
        Self {
            queue,
            last: Arc::default(),
            once: Arc::default(),
            reporter: reporter.into(),
            sequence: Arc::default(),
        }
    }

    /// Publishes an event about an object, unless it was the last one said of
    /// it. `action` is what the operator was doing.
    pub fn publish(
        &self,
        about: &ObjectReference,
        kind: EventKind,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        let namespace = about.namespace.clone().unwrap_or_default();
        let name = about.name.clone().unwrap_or_default();
        let key = ObjectKey::new(&namespace, &name);
        let said = ContentHash::of_json(&(reason, note, &about.uid));
        if self.last.lock().insert(key, said) == Some(said) {
            return;
        }
        let now = Timestamp::now();
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let event = Event {
            metadata: ObjectMeta {
                // Where Kubernetes wants events about what has no namespace.
                namespace: Some(
                    Some(namespace)
                        .filter(|it| !it.is_empty())
                        .unwrap_or_else(|| "default".to_owned()),
                ),
                name: Some(event_name(&name, now, sequence)),
                ..ObjectMeta::default()
            },
            action: Some(action.to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(shorten(note, NOTE_LIMIT)),
            reason: Some(reason.to_owned()),
            regarding: Some(about.clone()),
            reporting_controller: Some(FIELD_MANAGER.to_owned()),
            reporting_instance: Some(shorten(&self.reporter, 128)),
            type_: Some(match kind {
                EventKind::Normal => "Normal".to_owned(),
                EventKind::Warning => "Warning".to_owned(),
            }),
            ..Event::default()
        };
        if self.queue.try_send(event).is_err() {
            tracing::warn!(reason, "an event was dropped: too many are waiting");
        }
    }

    /// Publishes an event about an object, once in this process, and answers
    /// whether this was the time.
    #[expect(clippy::must_use_candidate, reason = "few want to know")]
    pub fn publish_once(
        &self,
        about: &ObjectReference,
        kind: EventKind,
        reason: &str,
        action: &str,
        note: &str,
    ) -> bool {
        let uid = about.uid.clone().unwrap_or_default();
        let first = self.once.lock().insert((uid, reason.to_owned()));
        if first {
            self.publish(about, kind, reason, action, note);
        }
        first
    }

    /// Forgets what was last said of an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.last.lock().remove(key);
    }
}

/// A name that is unique and no longer than Kubernetes allows.
fn event_name(object: &str, now: Timestamp, sequence: u64) -> String {
    let suffix = format!(".{:x}.{sequence:x}", now.as_microsecond());
    let mut name = object.to_owned();
    name.truncate(253 - suffix.len());
    format!("{}{suffix}", name.trim_end_matches(['.', '-']))
}

/// Cuts a text at a character boundary, and shows that it was cut.
fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_event_about_a_long_name_fits() {
        let name = event_name(&"a".repeat(253), Timestamp::UNIX_EPOCH, 7);
        assert_eq!(name.len(), 253);
        assert!(name.ends_with(".0.7"));
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(shorten("äöü", 6), "äöü");
        assert_eq!(shorten("äöüß", 7), "äö…");
    }
}
