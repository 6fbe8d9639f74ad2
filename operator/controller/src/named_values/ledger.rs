//! What is known of the named values of profiles: who uses which, and what was
//! last seen in API Management. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use operator_core::desired::DesiredNamedValue;
use operator_core::names::{InstanceName, ObjectKey};
use operator_core::policy::Standing;

/// What this process knows.
#[derive(Default)]
pub(super) struct Ledger(BTreeMap<InstanceName, Place>);

/// One instance.
#[derive(Default)]
struct Place {
    values: BTreeMap<String, Entry>,
    sweep: Sweep,
    /// One call at a time writes there: whoever deletes has seen that nobody
    /// begins to use it.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// Whether what earlier processes left behind is to be looked for.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    /// Yes.
    #[default]
    Due,
    /// No: nothing was left.
    Done,
    /// Later: API Management kept something, as a policy uses it.
    Kept,
}

/// One named value.
struct Entry {
    wanted: DesiredNamedValue,
    /// Its users, and what each puts around it.
    users: BTreeMap<ObjectKey, Standing>,
    seen: Option<Seen>,
    /// API Management kept it, as a policy that this process does not know
    /// uses it.
    kept: bool,
}

/// What was last seen to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Which content.
    pub(super) version: String,
    /// The ETag that it had.
    pub(super) etag: Option<String>,
}

impl Ledger {
    /// An API uses these; whether one of them is to be looked at.
    pub(super) fn keep(
        &mut self,
        key: &ObjectKey,
        instance: &InstanceName,
        values: &[DesiredNamedValue],
    ) -> bool {
        let mut stale = false;
        for value in values {
            let place = self.0.entry(instance.clone()).or_default();
            let entry = place.values.entry(value.id.clone()).or_insert_with(|| {
                stale = true;
                Entry {
                    wanted: value.clone(),
                    users: BTreeMap::new(),
                    seen: None,
                    kept: false,
                }
            });
            if entry.wanted.source != value.source {
                entry.seen = None;
                stale = true;
            }
            entry.users.insert(key.clone(), value.standing);
            entry.wanted = value.clone();
            entry.stand();
        }
        stale
    }

    /// An API uses these no more; whether one of them has no user any more.
    pub(super) fn release(
        &mut self,
        key: &ObjectKey,
        from: impl Fn(&InstanceName, &str) -> bool,
    ) -> bool {
        let mut idle = false;
        for (instance, place) in &mut self.0 {
            for (id, entry) in &mut place.values {
                if from(instance, id) && entry.users.remove(key).is_some() {
                    entry.kept = false;
                    entry.stand();
                    idle |= entry.users.is_empty();
                }
            }
        }
        idle
    }

    /// What is believed of these is wrong.
    pub(super) fn doubt(&mut self, instance: &InstanceName, values: &[DesiredNamedValue]) {
        for value in values {
            if let Some(entry) = self.entry(instance, &value.id) {
                entry.seen = None;
            }
        }
    }

    /// The right to write in an instance.
    pub(super) fn writing(&mut self, instance: &InstanceName) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.0.entry(instance.clone()).or_default().writing)
    }

    /// What was last seen of one.
    pub(super) fn seen(&self, instance: &InstanceName, id: &str) -> Option<&Seen> {
        self.0.get(instance)?.values.get(id)?.seen.as_ref()
    }

    /// It is there.
    pub(super) fn see(&mut self, instance: &InstanceName, id: &str, seen: Seen) {
        if let Some(entry) = self.entry(instance, id) {
            entry.seen = Some(seen);
        }
    }

    /// Those that somebody uses.
    pub(super) fn used(&self) -> Vec<(InstanceName, DesiredNamedValue)> {
        self.those(|entry| !entry.users.is_empty())
    }

    /// Those that nobody is known to use, and that were not tried to be deleted
    /// in vain.
    pub(super) fn idle(&self) -> Vec<(InstanceName, DesiredNamedValue)> {
        self.those(|entry| entry.users.is_empty() && !entry.kept)
    }

    fn those(&self, are: impl Fn(&Entry) -> bool) -> Vec<(InstanceName, DesiredNamedValue)> {
        let mut found = Vec::new();
        for (instance, place) in &self.0 {
            let those = place.values.values().filter(|entry| are(entry));
            found.extend(those.map(|entry| (instance.clone(), entry.wanted.clone())));
        }
        found
    }

    /// Whether somebody uses it.
    pub(super) fn is_used(&self, instance: &InstanceName, id: &str) -> bool {
        let place = self.0.get(instance);
        let entry = place.and_then(|place| place.values.get(id));
        entry.is_some_and(|entry| !entry.users.is_empty())
    }

    /// API Management kept it.
    pub(super) fn kept(&mut self, instance: &InstanceName, id: &str) {
        if let Some(entry) = self.entry(instance, id) {
            entry.kept = true;
        }
    }

    /// It is not there any more. Whoever began to use it meanwhile stays known.
    pub(super) fn gone(&mut self, instance: &InstanceName, id: &str) {
        let Some(place) = self.0.get_mut(instance) else {
            return;
        };
        if let Some(entry) = place.values.get_mut(id) {
            if entry.users.is_empty() {
                place.values.remove(id);
            } else {
                entry.seen = None;
            }
        }
    }

    /// Whether what earlier processes left behind is to be looked for.
    pub(super) fn sweep_is_due(&self, instance: &InstanceName) -> bool {
        let place = self.0.get(instance);
        place.is_none_or(|place| place.sweep == Sweep::Due)
    }

    /// It was looked for, and all is gone, or API Management kept something.
    pub(super) fn swept(&mut self, instance: &InstanceName, kept: bool) {
        let place = self.0.entry(instance.clone()).or_default();
        place.sweep = if kept { Sweep::Kept } else { Sweep::Done };
    }

    /// Whether API Management keeps anything that nobody is known to use.
    pub(super) fn keeps_any(&self) -> bool {
        self.0.values().any(|place| {
            let mut entries = place.values.values();
            place.sweep == Sweep::Kept || entries.any(|e| e.kept && e.users.is_empty())
        })
    }

    /// Whatever used what was kept may be gone.
    pub(super) fn reconsider(&mut self) {
        for place in self.0.values_mut() {
            if place.sweep == Sweep::Kept {
                place.sweep = Sweep::Due;
            }
            for entry in place.values.values_mut() {
                entry.kept = false;
            }
        }
    }

    fn entry(&mut self, instance: &InstanceName, id: &str) -> Option<&mut Entry> {
        self.0.get_mut(instance)?.values.get_mut(id)
    }
}

impl Entry {
    /// One user that puts it into an expression is enough.
    fn stand(&mut self) {
        let most = self.users.values().max().copied();
        self.wanted.standing = most.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use operator_core::names::ProfileName;
    use operator_core::profile::{ProfileRef, SecretKey, SecretSource};

    use super::*;

    fn value(id: &str, standing: Standing) -> DesiredNamedValue {
        DesiredNamedValue {
            id: id.to_owned(),
            mark: "apim-operator/1 0f3c1a2b shop/gold".to_owned(),
            profile: ProfileRef {
                namespace: Some("shop".to_owned()),
                name: ProfileName::parse("gold").unwrap(),
            },
            secret: "key".to_owned(),
            source: SecretSource::Secret(SecretKey {
                namespace: Some("shop".to_owned()),
                name: "keys".to_owned(),
                key: "key".to_owned(),
            }),
            standing,
            version: None,
        }
    }

    fn ids(found: Vec<(InstanceName, DesiredNamedValue)>) -> Vec<String> {
        found.into_iter().map(|(_, value)| value.id).collect()
    }

    fn seen(etag: &str) -> Seen {
        Seen {
            version: "v-1".to_owned(),
            etag: Some(etag.to_owned()),
        }
    }

    #[test]
    fn a_value_is_idle_after_its_last_user_and_is_looked_at_once() {
        let mut ledger = Ledger::default();
        let instance = InstanceName::parse("default").unwrap();
        let (one, two) = (ObjectKey::new("shop", "one"), ObjectKey::new("shop", "two"));
        let values = [value("a", Standing::Apart)];
        assert!(ledger.keep(&one, &instance, &values));
        assert!(!ledger.keep(&two, &instance, &values));
        assert!(!ledger.release(&one, |_, _| true));
        assert!(!ledger.release(&one, |_, _| true));
        assert_eq!(ids(ledger.used()), ["a"]);
        assert!(ledger.release(&two, |_, id| id == "a"));
        assert_eq!(
            (ids(ledger.used()), ids(ledger.idle())),
            (vec![], vec!["a".to_owned()])
        );
        ledger.gone(&instance, "a");
        assert_eq!(ids(ledger.idle()), [""; 0]);
    }

    #[test]
    fn what_stands_around_a_value_is_what_its_present_users_put_there() {
        let mut ledger = Ledger::default();
        let instance = InstanceName::parse("default").unwrap();
        let (one, two) = (ObjectKey::new("shop", "one"), ObjectKey::new("shop", "two"));
        ledger.keep(&one, &instance, &[value("a", Standing::InExpression)]);
        ledger.keep(&two, &instance, &[value("a", Standing::Apart)]);
        let standing = |ledger: &Ledger| ledger.used()[0].1.standing;
        assert_eq!(standing(&ledger), Standing::InExpression);
        ledger.release(&one, |_, _| true);
        assert_eq!(standing(&ledger), Standing::Apart);
    }

    #[test]
    fn what_api_management_kept_is_tried_again_when_it_is_reconsidered() {
        let mut ledger = Ledger::default();
        let instance = InstanceName::parse("default").unwrap();
        let one = ObjectKey::new("shop", "one");
        ledger.keep(&one, &instance, &[value("a", Standing::Apart)]);
        ledger.release(&one, |_, _| true);
        assert!(ledger.sweep_is_due(&instance) && !ledger.keeps_any());
        ledger.kept(&instance, "a");
        ledger.swept(&instance, true);
        assert!(ledger.idle().is_empty() && ledger.keeps_any());
        assert!(!ledger.sweep_is_due(&instance));
        ledger.reconsider();
        assert_eq!(ids(ledger.idle()), ["a"]);
        assert!(ledger.sweep_is_due(&instance) && !ledger.keeps_any());
        ledger.swept(&instance, false);
        ledger.reconsider();
        assert!(!ledger.sweep_is_due(&instance));
    }

    #[test]
    fn who_begins_to_use_a_value_while_it_is_deleted_has_it_made_again() {
        let mut ledger = Ledger::default();
        let instance = InstanceName::parse("default").unwrap();
        let one = ObjectKey::new("shop", "one");
        let values = [value("a", Standing::Apart)];
        ledger.keep(&one, &instance, &values);
        ledger.see(&instance, "a", seen("1"));
        assert_eq!(ledger.seen(&instance, "a"), Some(&seen("1")));
        ledger.gone(&instance, "a");
        assert_eq!(ledger.seen(&instance, "a"), None);
        assert!(ledger.is_used(&instance, "a"));
        ledger.see(&instance, "a", seen("2"));
        ledger.doubt(&instance, &values);
        assert_eq!(ledger.seen(&instance, "a"), None);
        // Another place is another content.
        ledger.see(&instance, "a", seen("3"));
        let mut moved = values.clone();
        if let SecretSource::Secret(key) = &mut moved[0].source {
            key.key = "other".to_owned();
        }
        assert!(ledger.keep(&one, &instance, &moved));
        assert_eq!(ledger.seen(&instance, "a"), None);
    }
}
