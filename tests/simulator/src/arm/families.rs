//! All APIs of a service. Reads go through the map; writes note which API they
//! touch, so that after a call only those are looked at again, and an API is
//! found by its path without a walk over thousands.

use super::store::Family;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

/// APIs by key, with what has to be found among all of them.
#[derive(Debug, Default)]
pub(crate) struct Families {
    all: BTreeMap<String, Family>,
    /// Those written to since the last [`Families::settle`].
    touched: BTreeSet<String>,
    /// The others by their paths, in lower case.
    by_path: BTreeMap<String, BTreeSet<String>>,
    /// What the two sums above and below say of each.
    counted: BTreeMap<String, Counted>,
    operations: usize,
}

/// What is known of an API that was not touched since.
#[derive(Debug, Default)]
struct Counted {
    paths: BTreeSet<String>,
    operations: usize,
}

impl Counted {
    fn of(family: &Family) -> Self {
        let revisions = || family.revisions.values();
        Self {
            paths: revisions()
                .filter_map(|revision| revision.entity.text("path"))
                .map(str::to_lowercase)
                .collect(),
            operations: revisions().map(|revision| revision.operations.len()).sum(),
        }
    }
}

impl Deref for Families {
    type Target = BTreeMap<String, Family>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl Families {
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Family> {
        let family = self.all.get_mut(key)?;
        self.touched.insert(key.to_owned());
        Some(family)
    }

    pub(crate) fn get_or_insert_with(
        &mut self,
        key: String,
        new: impl FnOnce() -> Family,
    ) -> &mut Family {
        self.touched.insert(key.clone());
        self.all.entry(key).or_insert_with(new)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Family> {
        self.touched.extend(self.all.keys().cloned());
        self.all.values_mut()
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.all.remove(key);
        self.touched.insert(key.to_owned());
    }

    /// Those of which a revision may have a path, compared without case: all
    /// that have it, and those that were touched just now.
    pub(crate) fn near_path(&self, path: &str) -> impl Iterator<Item = (&String, &Family)> {
        let mut keys = self.touched.clone();
        keys.extend(
            self.by_path
                .get(&path.to_lowercase())
                .into_iter()
                .flatten()
                .cloned(),
        );
        keys.into_iter()
            .filter_map(|key| self.all.get_key_value(&key))
    }

    /// The operations of all revisions of all APIs.
    pub(crate) fn operations(&self) -> usize {
        let touched = || self.touched.iter();
        let before: usize = touched()
            .filter_map(|key| self.counted.get(key))
            .map(|counted| counted.operations)
            .sum();
        let now: usize = touched()
            .filter_map(|key| self.all.get(key))
            .map(|family| Counted::of(family).operations)
            .sum();
        self.operations - before + now
    }

    /// Looks at what was touched since the last time, and answers the keys.
    pub(crate) fn settle(&mut self) -> BTreeSet<String> {
        let touched = std::mem::take(&mut self.touched);
        for key in &touched {
            let before = self.counted.remove(key).unwrap_or_default();
            self.operations -= before.operations;
            for path in before.paths {
                if let Some(keys) = self.by_path.get_mut(&path) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.by_path.remove(&path);
                    }
                }
            }
            let Some(family) = self.all.get(key) else {
                continue;
            };
            let counted = Counted::of(family);
            self.operations += counted.operations;
            for path in &counted.paths {
                let keys = self.by_path.entry(path.clone()).or_default();
                keys.insert(key.clone());
            }
            self.counted.insert(key.clone(), counted);
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::{Entity, Revision};
    use super::*;
    use jiff::Timestamp;

    fn family(path: &str) -> Family {
        let entity = Entity {
            name: "1".to_owned(),
            properties: std::iter::once(("path".to_owned(), path.into())).collect(),
            row: 1,
            created: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
        };
        let revision = Revision {
            entity,
            policy: None,
            operations: Vec::new(),
            schemas: BTreeMap::new(),
        };
        Family {
            name: path.to_owned(),
            current: 1,
            revisions: BTreeMap::from([(1, revision)]),
            tags: BTreeSet::new(),
            diagnostics: BTreeMap::new(),
            wiki: None,
            releases: BTreeMap::new(),
        }
    }

    fn at(families: &Families, path: &str) -> Vec<String> {
        let found = families.near_path(path);
        found.map(|(key, _)| key.clone()).collect()
    }

    #[test]
    fn an_api_is_found_by_its_path_before_and_after_the_call_that_wrote_it() {
        let mut families = Families::default();
        families.get_or_insert_with("a".to_owned(), || family("Shop/A"));
        assert_eq!(at(&families, "shop/a"), ["a"]);
        assert_eq!(families.settle(), BTreeSet::from(["a".to_owned()]));
        families.get_or_insert_with("b".to_owned(), || family("b"));
        families.settle();
        assert_eq!(at(&families, "SHOP/a"), ["a"]);
        assert_eq!(at(&families, "c"), [""; 0]);
        *families.get_mut("a").expect("it is there") = family("c");
        assert_eq!(at(&families, "c"), ["a"]);
        families.settle();
        assert_eq!(at(&families, "shop/a"), [""; 0]);
        assert_eq!(at(&families, "C"), ["a"]);
        families.remove("a");
        assert_eq!(at(&families, "c"), [""; 0]);
        assert_eq!(families.settle(), BTreeSet::from(["a".to_owned()]));
        assert_eq!(families.by_path.len(), 1);
        assert!(families.settle().is_empty());
    }
}
