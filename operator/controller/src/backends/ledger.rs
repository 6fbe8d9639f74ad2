//! What is known of the backends of APIs. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use operator_apim::Backend;
use operator_core::annotations::Drift;
use operator_core::names::{InstanceName, ObjectKey};

/// What this process knows.
#[derive(Default)]
pub(super) struct Ledger(BTreeMap<InstanceName, Place>);

/// One instance.
#[derive(Default)]
struct Place {
    /// The ids of all that are there and ours, with their marks; absent until
    /// they were listed.
    there: Option<BTreeMap<String, String>>,
    /// Those that were seen to be right, by id.
    used: BTreeMap<String, Used>,
    /// What objects need, by their marks, once they are published with that
    /// alone.
    settled: BTreeMap<String, BTreeSet<String>>,
    /// One call at a time writes there.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// A backend that an API uses.
#[derive(Clone)]
pub(super) struct Used {
    pub(super) backend: Backend,
    pub(super) drift: Drift,
    /// The object.
    pub(super) about: ObjectReference,
}

impl Used {
    /// The object.
    pub(super) fn key(&self) -> ObjectKey {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        ObjectKey::new(text(&self.about.namespace), text(&self.about.name))
    }
}

impl Ledger {
    /// The right to write in an instance.
    pub(super) fn writing(&mut self, instance: &InstanceName) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.place(instance).writing)
    }

    pub(super) fn is_in_place(&self, instance: &InstanceName, backend: &Backend) -> bool {
        self.in_place(instance, backend).is_some()
    }

    /// One that is there and right, as its object wants it now.
    pub(super) fn in_place(&self, instance: &InstanceName, backend: &Backend) -> Option<Used> {
        let used = self.0.get(instance)?.used.get(&backend.id);
        used.filter(|used| used.backend == *backend).cloned()
    }

    /// A backend is there, and right.
    pub(super) fn uses(&mut self, instance: &InstanceName, used: Used) {
        let place = self.place(instance);
        if let Some(there) = &mut place.there {
            there.insert(used.backend.id.clone(), used.backend.mark.clone());
        }
        place.used.insert(used.backend.id.clone(), used);
    }

    /// An object needs these alone; whether somebody has to look whether it has
    /// others.
    pub(super) fn settle(
        &mut self,
        instance: &InstanceName,
        mark: &str,
        ids: BTreeSet<String>,
    ) -> bool {
        let place = self.place(instance);
        if place.settled.get(mark) == Some(&ids) {
            return false;
        }
        // Most have none: who has nothing and never had needs no entry.
        let had = place.settled.remove(mark).is_some();
        let unknown = place.there.as_ref().is_none_or(|there| {
            let mut others = there.iter().filter(|(id, _)| !ids.contains(*id));
            others.any(|(_, of)| of == mark)
        });
        if had || unknown || !ids.is_empty() {
            place.settled.insert(mark.to_owned(), ids);
        }
        unknown
    }

    /// What happens from now on where somebody changes it.
    pub(super) fn mind(&mut self, instance: &InstanceName, id: &str, drift: Drift) {
        if let Some(used) = self.place(instance).used.get_mut(id) {
            used.drift = drift;
        }
    }

    /// All that are there and ours.
    pub(super) fn listed(&mut self, instance: &InstanceName, there: BTreeMap<String, String>) {
        self.place(instance).there = Some(there);
    }

    pub(super) fn is_listed(&self, instance: &InstanceName) -> bool {
        self.0
            .get(instance)
            .is_some_and(|place| place.there.is_some())
    }

    /// Those that carry a mark; none where that is not known.
    pub(super) fn of(&self, instance: &InstanceName, mark: &str) -> Option<Vec<String>> {
        let there = self.0.get(instance)?.there.as_ref()?;
        let of = there.iter().filter(|(_, of)| *of == mark);
        Some(of.map(|(id, _)| id.clone()).collect())
    }

    /// Those that their objects do not need any more, with their marks.
    pub(super) fn idle(&self, instance: &InstanceName) -> Vec<(String, String)> {
        let Some(place) = self.0.get(instance) else {
            return Vec::new();
        };
        let idle = |(id, mark): &(&String, &String)| {
            let needs = place.settled.get(*mark);
            needs.is_some_and(|ids| !ids.contains(*id))
        };
        let there = place.there.iter().flatten().filter(idle);
        there.map(|(id, mark)| (id.clone(), mark.clone())).collect()
    }

    /// Whether an object does not need a backend any more.
    pub(super) fn is_idle(&self, instance: &InstanceName, id: &str) -> bool {
        self.idle(instance).iter().any(|(one, _)| one == id)
    }

    /// Those that are in use.
    pub(super) fn used(&self, instance: &InstanceName) -> Vec<Used> {
        let place = self.0.get(instance);
        place.map_or_else(Vec::new, |place| place.used.values().cloned().collect())
    }

    /// It may be another than it was.
    pub(super) fn doubt(&mut self, instance: &InstanceName, id: &str) {
        self.place(instance).used.remove(id);
    }

    /// It is not there any more, or not ours.
    pub(super) fn gone(&mut self, instance: &InstanceName, id: &str) {
        let place = self.place(instance);
        place.used.remove(id);
        if let Some(there) = &mut place.there {
            there.remove(id);
        }
    }

    /// The object is not published there any more.
    pub(super) fn forget(&mut self, instance: &InstanceName, mark: &str) {
        self.place(instance).settled.remove(mark);
    }

    fn place(&mut self, instance: &InstanceName) -> &mut Place {
        self.0.entry(instance.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn what_a_published_object_does_not_need_any_more_is_idle_and_nothing_else() {
        let eu = InstanceName::parse("eu").unwrap();
        let mut ledger = Ledger::default();
        // What is there is not known yet.
        assert!(ledger.settle(&eu, "store", ids(&["store"])));
        assert!(ledger.settle(&eu, "plain", ids(&[])));
        assert_eq!(ledger.of(&eu, "store"), None);
        let there = ["store", "store.1", "other", "plain"];
        let mark = |id: &str| id.split('.').next().unwrap_or_default().to_owned();
        let there = there.map(|id| (id.to_owned(), mark(id)));
        ledger.listed(&eu, there.into());
        // The other one has not been looked at: it may be in use.
        let idle = ["plain", "store.1"].map(|id| (id.to_owned(), mark(id)));
        assert_eq!(ledger.idle(&eu), idle);
        ledger.gone(&eu, "store.1");
        ledger.gone(&eu, "plain");
        assert_eq!(ledger.idle(&eu), []);
        assert!(!ledger.settle(&eu, "store", ids(&["store"])));
        assert!(ledger.settle(&eu, "store", ids(&[])));
        assert!(ledger.is_idle(&eu, "store"));
        assert_eq!(ledger.of(&eu, "other").unwrap(), ["other"]);
        // Who never had any is not remembered.
        assert!(!ledger.settle(&eu, "new", ids(&[])));
        assert!(!ledger.0[&eu].settled.contains_key("new"));
    }
}
