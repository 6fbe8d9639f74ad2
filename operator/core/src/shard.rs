//! Which of several operators works on an object, where a cluster has more
//! than one operator can carry.
//!
//! The platform says so, by a label of the namespace or of the ApimInstance. An
//! object's own label says nothing: its owner could name a shard that nobody
//! serves, and keep what is published as it is, whatever the platform makes
//! mandatory.

use crate::names::ShardName;

/// The label by which a namespace or an ApimInstance names its shard.
pub const LABEL: &str = "apim.oda.tmforum.org/shard";

/// The share of an operator: what a shard's label names, or everything that no
/// such label is on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shard(Option<ShardName>);

impl Shard {
    /// What no label assigns to another.
    pub const MAIN: Self = Self(None);

    /// What is assigned to this name.
    #[must_use]
    pub const fn named(name: ShardName) -> Self {
        Self(Some(name))
    }

    /// Whether it is the one without a name. It also keeps what belongs to no
    /// ExposedAPI: what ApimInstances and PolicyPlugins say of themselves.
    #[must_use]
    pub const fn is_main(&self) -> bool {
        self.0.is_none()
    }

    /// Whether an object that is assigned so is in it.
    #[must_use]
    pub fn owns(&self, assigned: Option<&ShardName>) -> bool {
        self.0.as_ref() == assigned
    }

    /// The name of its Lease: every shard elects a leader of its own.
    #[must_use]
    pub fn lease(&self, base: &str) -> String {
        match &self.0 {
            None => base.to_owned(),
            Some(name) => lease(base, name),
        }
    }
}

/// The name of the Lease of a shard.
#[must_use]
pub fn lease(base: &str, shard: &ShardName) -> String {
    format!("{base}-{shard}")
}

/// The shard that an object is assigned to by the labels of its namespace and
/// of its instance; the namespace's counts more, since an object never changes
/// its namespace. A value that is no name of a shard assigns to nobody, so that
/// a mistake leaves nothing without an operator.
#[must_use]
pub fn assigned(namespace: Option<&str>, instance: Option<&str>) -> Option<ShardName> {
    let name = |label: Option<&str>| label.and_then(|label| ShardName::parse(label).ok());
    name(namespace).or_else(|| name(instance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn west() -> ShardName {
        ShardName::parse("west").unwrap()
    }

    #[test]
    fn every_object_is_in_exactly_one_of_the_shards_that_run() {
        let shards = [Shard::MAIN, Shard::named(west())];
        for namespace in [None, Some("west"), Some(""), Some("No Name")] {
            for instance in [None, Some("west")] {
                let assigned = assigned(namespace, instance);
                let owners = shards.iter().filter(|shard| shard.owns(assigned.as_ref()));
                assert_eq!(owners.count(), 1, "{namespace:?} {instance:?}");
            }
        }
    }

    #[test]
    fn the_label_of_the_namespace_counts_more_than_that_of_the_instance() {
        let name = |text| ShardName::parse(text).unwrap();
        assert_eq!(assigned(Some("a"), Some("b")), Some(name("a")));
        assert_eq!(assigned(None, Some("b")), Some(name("b")));
        assert_eq!(assigned(None, None), None);
    }

    #[test]
    fn every_shard_has_a_lease_of_its_own() {
        assert_eq!(Shard::MAIN.lease("apim-operator"), "apim-operator");
        assert_eq!(
            Shard::named(west()).lease("apim-operator"),
            "apim-operator-west"
        );
    }
}
