//! What the operator remembers of each object between reconciles. All of it can
//! be lost: a start without it costs reads, never a wrong write.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use operator_core::apim::AppliedRecord;
use operator_core::names::{ContentHash, ObjectKey};
use operator_core::pace::Pace;
use operator_core::retry::{Backoff, History, Jitter, Next, Outcome};
use operator_core::status::reasons::Reason;
use operator_core::status::{Step, own_fields};
use parking_lot::Mutex;
use serde_json::Value;

/// What was done to the annotation `applied`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Annotation {
    /// It was taken away.
    Removed,
    /// It was written.
    Text(String),
}

#[derive(Debug, Default)]
struct Object {
    history: History,
    /// What was tried when the history began.
    input: Option<ContentHash>,
    /// Not before this, whatever asks for a reconcile.
    not_before: Option<Instant>,
    /// How the last attempt failed, to be shown while waiting.
    failure: Option<Box<Step>>,
    /// When it did.
    failed_at: Option<Instant>,
    /// What is known to be in API Management.
    confirmed: Option<AppliedRecord>,
    /// The status that was last written, and the version of the object with
    /// it: the cache may be behind.
    status: Option<Box<(Value, u64)>>,
    /// The version that the cache has, as far as it was told.
    cached: u64,
    /// Whether a reconcile works on it.
    working: bool,
    /// Whether it got its address meanwhile.
    addressed: bool,
    /// What should stand in status, as a hash, and since which version of the
    /// object it does.
    stands: Option<(u64, u64)>,
    /// The version of the object with the finalizer: the cache may be behind.
    held: u64,
    /// The annotation `applied` that was last written, or its removal.
    annotation: Option<Annotation>,
    /// It is known to have no ServiceMonitor.
    unmonitored: bool,
}

impl Object {
    fn drop_status(&mut self) {
        let cached = |status: &(Value, u64)| status.1 <= self.cached;
        if !self.working && self.status.as_deref().is_some_and(cached) {
            self.status = None;
        }
    }
}

/// A reconcile that works on an object.
#[derive(Debug)]
pub struct Work<'a> {
    memory: &'a Memory,
    key: &'a ObjectKey,
}

impl Work<'_> {
    /// Ends it, and says whether the object got its address meanwhile.
    #[must_use]
    pub fn end(self) -> bool {
        self.leave()
    }

    fn leave(&self) -> bool {
        let mut objects = self.memory.objects.lock();
        // It may be gone, and forgotten.
        objects.get_mut(self.key).is_some_and(|object| {
            object.working = false;
            object.drop_status();
            std::mem::take(&mut object.addressed)
        })
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The operator's memory.
#[derive(Debug)]
pub struct Memory {
    origin: Instant,
    backoff: Backoff,
    pace: Pace,
    /// Each on its own: a table has room for more than there are.
    objects: Mutex<HashMap<ObjectKey, Box<Object>>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            backoff: Backoff::default(),
            pace: Pace::REAL,
            objects: Mutex::default(),
        }
    }
}

impl Memory {
    /// An empty memory whose pauses pass at this pace.
    #[must_use]
    pub fn at(pace: Pace) -> Self {
        Self {
            pace,
            ..Self::default()
        }
    }

    /// Whether an attempt with this input must still wait: for how long, and
    /// what to say meanwhile. A new input never waits.
    #[must_use]
    pub fn waits(&self, key: &ObjectKey, input: &ContentHash) -> Option<(Duration, Step)> {
        let mut objects = self.objects.lock();
        let object = objects.get_mut(key)?;
        if object.input.as_ref() != Some(input) {
            object.history = History::default();
            object.not_before = None;
            object.failure = None;
            return None;
        }
        let left = object.not_before?.checked_duration_since(Instant::now())?;
        Some((left, object.failure.as_deref()?.clone()))
    }

    /// Lets an object try at once that waits for something, in the words of
    /// its message, which is there since a moment after its last attempt.
    pub fn made(&self, key: &ObjectKey, what: &str, at: Instant) {
        let mut objects = self.objects.lock();
        let Some(object) = objects.get_mut(key) else {
            return;
        };
        let waits = matches!(
            object.failure.as_deref(),
            Some(Step::Failed { reason: Reason::WaitingForDependency, message, .. })
                if message.starts_with(&format!("waits for {what}:"))
        );
        if waits && object.failed_at.is_some_and(|failed| failed < at) {
            object.not_before = None;
        }
    }

    /// Records how an attempt with this input ended and says what happens
    /// next.
    pub fn ended(
        &self,
        key: &ObjectKey,
        input: &ContentHash,
        outcome: Outcome,
        failure: Option<Step>,
    ) -> Next {
        self.attempted(&self.backoff, key, input, outcome, failure)
    }

    /// Records a deletion that failed. It is never given up.
    pub fn deletion_failed(
        &self,
        key: &ObjectKey,
        input: &ContentHash,
        outcome: Outcome,
        failure: Step,
    ) -> Next {
        self.attempted(&Backoff::for_deletion(), key, input, outcome, Some(failure))
    }

    fn attempted(
        &self,
        backoff: &Backoff,
        key: &ObjectKey,
        input: &ContentHash,
        outcome: Outcome,
        failure: Option<Step>,
    ) -> Next {
        let mut objects = self.objects.lock();
        let object = objects.entry(key.clone()).or_default();
        let jitter = Jitter::new(rand::random());
        let (history, next) = backoff.next(object.history, outcome, self.origin.elapsed(), jitter);
        let next = next.at(self.pace);
        object.history = history;
        object.input = Some(*input);
        object.failure = failure.map(|step| match (step, next) {
            (Step::Failed { class, message, .. }, Next::Stalled(_)) => Box::new(Step::Failed {
                reason: Reason::RetriesExhausted,
                class,
                message,
            }),
            (step, _) => Box::new(step),
        });
        object.failed_at = object.failure.is_some().then(Instant::now);
        object.not_before = match next {
            Next::After(delay) | Next::Stalled(delay) => Some(Instant::now() + delay),
            Next::AwaitChange | Next::Now => None,
        };
        next
    }

    /// What is known to be in API Management.
    #[must_use]
    pub fn confirmed(&self, key: &ObjectKey) -> Option<AppliedRecord> {
        self.objects
            .lock()
            .get(key)
            .and_then(|object| object.confirmed.clone())
    }

    /// Remembers what is known to be in API Management.
    pub fn confirm(&self, key: &ObjectKey, record: Option<AppliedRecord>) {
        self.objects
            .lock()
            .entry(key.clone())
            .or_default()
            .confirmed = record;
    }

    /// The status that was last written, where the given version of the object
    /// does not have it yet.
    #[must_use]
    pub fn newer_status(&self, key: &ObjectKey, version: Option<&str>) -> Option<Value> {
        let seen = number(version);
        let objects = self.objects.lock();
        let (status, written) = objects.get(key)?.status.as_deref()?;
        (*written > seen).then(|| status.clone())
    }

    /// The cache has this version of the object: a status that it holds is not
    /// remembered beside it, unless a reconcile works on an earlier version.
    pub fn cached(&self, key: &ObjectKey, version: Option<&str>) {
        if let Some(object) = self.objects.lock().get_mut(key) {
            object.cached = number(version);
            object.drop_status();
        }
    }

    /// A reconcile works on the object, until what is returned is dropped.
    pub fn work<'a>(&'a self, key: &'a ObjectKey) -> Work<'a> {
        let mut objects = self.objects.lock();
        objects.entry(key.clone()).or_default().working = true;
        Work { memory: self, key }
    }

    /// An object got its address: whether a reconcile works on it, which says so
    /// when it ends.
    #[must_use]
    pub fn addressed(&self, key: &ObjectKey) -> bool {
        let mut objects = self.objects.lock();
        objects.get_mut(key).is_some_and(|object| {
            object.addressed |= object.working;
            object.working
        })
    }

    /// Remembers the status that was written.
    pub fn said(&self, key: &ObjectKey, status: Value, version: Option<&str>) {
        self.objects.lock().entry(key.clone()).or_default().status =
            Some(Box::new((status, number(version))));
    }

    /// Remembers what stands in status as it should, from this version of the
    /// object on.
    pub fn stands(&self, key: &ObjectKey, status: Option<&Value>, version: Option<&str>) {
        self.objects.lock().entry(key.clone()).or_default().stands =
            Some((hash(status), number(version)));
    }

    /// Whether a version of an object has a status that somebody else wrote, as
    /// far as is known: the answer to a write of this process's own may be on
    /// its way.
    #[must_use]
    pub fn is_foreign(
        &self,
        key: &ObjectKey,
        status: Option<&Value>,
        version: Option<&str>,
    ) -> bool {
        let objects = self.objects.lock();
        let stands = objects.get(key).and_then(|object| object.stands);
        stands.is_some_and(|(wanted, since)| number(version) > since && hash(status) != wanted)
    }

    /// Whether the finalizer was written, where the given version of the object
    /// does not have it yet.
    #[must_use]
    pub fn is_held(&self, key: &ObjectKey, version: Option<&str>) -> bool {
        let objects = self.objects.lock();
        objects
            .get(key)
            .is_some_and(|object| object.held > number(version))
    }

    /// Remembers the version of the object that has the finalizer.
    pub fn held(&self, key: &ObjectKey, version: Option<&str>) {
        self.objects.lock().entry(key.clone()).or_default().held = number(version);
    }

    /// What was last done to the annotation `applied`, if anything was.
    #[must_use]
    pub fn annotation(&self, key: &ObjectKey) -> Option<Annotation> {
        self.objects
            .lock()
            .get(key)
            .and_then(|object| object.annotation.clone())
    }

    /// Remembers the annotation `applied` that was written.
    pub fn annotated(&self, key: &ObjectKey, text: Option<String>) {
        let done = text.map_or(Annotation::Removed, Annotation::Text);
        self.objects
            .lock()
            .entry(key.clone())
            .or_default()
            .annotation = Some(done);
    }

    /// Whether it may have a ServiceMonitor: one from before this process, or
    /// from before a change of settings.
    #[must_use]
    pub fn may_have_monitor(&self, key: &ObjectKey) -> bool {
        let objects = self.objects.lock();
        objects.get(key).is_none_or(|object| !object.unmonitored)
    }

    /// Remembers whether it has none.
    pub fn monitored(&self, key: &ObjectKey, monitored: bool) {
        let mut objects = self.objects.lock();
        objects.entry(key.clone()).or_default().unmonitored = !monitored;
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.objects.lock().remove(key);
    }
}

/// A hash of the part of a status that is the operator's own.
fn hash(status: Option<&Value>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let own = status.map(own_fields).unwrap_or_default();
    Value::Object(own).to_string().hash(&mut hasher);
    hasher.finish()
}

/// Kubernetes promises since 1.35 that resource versions of one kind compare as
/// numbers; before, they did all the same.
fn number(version: Option<&str>) -> u64 {
    version
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use operator_core::class::ErrorClass;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_remembered_until_the_cache_has_it_and_nobody_works_on_less() {
        let memory = Memory::default();
        let key = ObjectKey::new("shop", "catalog");
        let newer = || memory.newer_status(&key, Some("4"));
        let work = memory.work(&key);
        memory.said(&key, Value::from("one"), Some("5"));
        memory.cached(&key, Some("5"));
        assert_eq!(
            newer(),
            Some(Value::from("one")),
            "the reconcile has version 4"
        );
        drop(work);
        assert_eq!(newer(), None);
        let work = memory.work(&key);
        memory.said(&key, Value::from("two"), Some("7"));
        drop(work);
        memory.cached(&key, Some("6"));
        assert_eq!(newer(), Some(Value::from("two")), "the cache is behind");
        memory.cached(&key, Some("7"));
        assert_eq!(newer(), None);
    }

    #[test]
    fn an_address_that_comes_during_a_reconcile_is_told_when_that_ends_and_once() {
        let memory = Memory::default();
        let key = ObjectKey::new("shop", "catalog");
        assert!(!memory.addressed(&key), "nobody works on it");
        let work = memory.work(&key);
        assert!(memory.addressed(&key));
        assert!(work.end());
        assert!(!memory.addressed(&key));
        assert!(!memory.work(&key).end());
    }

    #[test]
    fn a_status_that_somebody_else_wrote_is_told_from_what_should_stand_there() {
        let memory = Memory::default();
        let key = ObjectKey::new("shop", "catalog");
        let right = json!({"implementation": {"ready": false}});
        let claimed = json!({"implementation": {"ready": true}});
        let is_foreign =
            |status: &Value, version: &str| memory.is_foreign(&key, Some(status), Some(version));
        assert!(!is_foreign(&claimed, "9"), "nothing is known yet");
        memory.stands(&key, Some(&right), Some("10"));
        assert!(!is_foreign(&claimed, "9"), "that was before");
        assert!(!is_foreign(&right, "11"));
        assert!(is_foreign(&claimed, "11"));
        let more = json!({"implementation": {"ready": false}, "others": 1});
        assert!(!is_foreign(&more, "11"), "that is theirs to write");
        assert!(memory.is_foreign(&key, None, Some("11")));
    }

    #[test]
    fn what_waits_for_something_that_was_made_since_waits_no_longer() {
        let memory = Memory::default();
        let (key, input) = (ObjectKey::new("shop", "catalog"), ContentHash::of("input"));
        let before = Instant::now();
        let waiting = Step::Failed {
            reason: Reason::WaitingForDependency,
            class: ErrorClass::Waiting,
            message: "waits for OpenID provider `AzureAD`: could not import".to_owned(),
        };
        let outcome = Outcome::Failed(ErrorClass::Waiting);
        memory.ended(&key, &input, outcome, Some(waiting));
        let waits = || memory.waits(&key, &input).is_some();
        memory.made(&key, "OpenID provider `AzureAD`", before);
        assert!(waits(), "it was there before, and was not enough");
        memory.made(&key, "OpenID provider `Other`", Instant::now());
        assert!(waits());
        memory.made(&key, "OpenID provider `AzureAD`", Instant::now());
        assert!(!waits());
    }
}
