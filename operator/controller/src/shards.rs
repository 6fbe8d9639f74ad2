//! Which ExposedAPIs this process leaves to the operators of other shards, and
//! whether anybody serves those.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::Api;
use operator_core::names::{ObjectKey, ShardName};
use operator_core::pace::Pace;
use operator_core::shard::{self, Shard};
use parking_lot::Mutex;

use crate::metrics::Metrics;

/// Between two looks at the Leases of the other shards.
const PERIOD: Duration = Duration::from_mins(1);
/// How long a Lease may be over: while it is handed over, nobody holds it.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// The share of this process.
#[derive(Debug)]
pub struct Shards {
    own: Shard,
    elsewhere: Mutex<HashMap<ObjectKey, ShardName>>,
}

impl Shards {
    /// A process with this share.
    #[must_use]
    pub fn new(own: Shard) -> Self {
        Self {
            own,
            elsewhere: Mutex::default(),
        }
    }

    /// Records what an object is assigned to; whether it is this process's.
    pub fn assign(&self, key: &ObjectKey, assigned: Option<ShardName>) -> bool {
        let ours = self.own.owns(assigned.as_ref());
        let mut elsewhere = self.elsewhere.lock();
        match assigned.filter(|_| !ours) {
            Some(shard) => {
                elsewhere.insert(key.clone(), shard);
            }
            None => {
                elsewhere.remove(key);
            }
        }
        ours
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.elsewhere.lock().remove(key);
    }

    /// How many objects other shards have; of those without a label nothing is
    /// said, they are the main shard's.
    fn counts(&self) -> BTreeMap<ShardName, usize> {
        let mut counts = BTreeMap::new();
        for shard in self.elsewhere.lock().values() {
            *counts.entry(shard.clone()).or_default() += 1;
        }
        counts
    }

    /// Tells of shards that have objects and that nobody serves, from now on;
    /// for the main shard. A label with a typing error would otherwise leave
    /// objects alone without a word.
    pub(crate) async fn watch_over(self: Arc<Self>, look: Look) {
        if !self.own.is_main() {
            return;
        }
        let api: Api<Lease> = Api::namespaced(look.client, &look.namespace);
        let mut told: BTreeSet<ShardName> = BTreeSet::new();
        let mut known: BTreeSet<ShardName> = BTreeSet::new();
        loop {
            tokio::time::sleep(look.pace.of(PERIOD)).await;
            let counts = self.counts();
            for gone in known.iter().filter(|shard| !counts.contains_key(shard)) {
                look.metrics.shard(gone.as_str(), 0, false);
            }
            known = counts.keys().cloned().collect();
            for (name, objects) in counts {
                let lease = shard::lease(&look.lease, &name);
                let served = match api.get_opt(&lease).await {
                    Ok(found) => found.is_some_and(|found| is_held(&found, Timestamp::now())),
                    Err(error) => {
                        tracing::debug!(%error, lease, "the Lease of a shard could not be read");
                        continue;
                    }
                };
                look.metrics.shard(name.as_str(), objects, !served);
                if served {
                    told.remove(&name);
                } else if told.insert(name.clone()) {
                    tracing::error!(
                        shard = name.as_str(),
                        objects,
                        "nobody serves a shard: start an operator with `--shard {name}`, or correct the label \
                         `{}` of the namespace or ApimInstance (lease {lease})",
                        shard::LABEL
                    );
                }
            }
        }
    }
}

/// What looking after other shards needs.
pub(crate) struct Look {
    pub(crate) client: Client,
    /// Where the Leases are.
    pub(crate) namespace: String,
    /// What the names of the Leases begin with.
    pub(crate) lease: String,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pace: Pace,
}

/// Whether somebody holds a Lease. By the clocks of two machines, which is good
/// enough for a warning and for nothing else.
fn is_held(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else {
        return false;
    };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    let valid = SignedDuration::from_secs(seconds.into()) + GRACE;
    let renewed = spec.renew_time.as_ref();
    !holder.is_empty() && renewed.is_some_and(|renewed| now.duration_since(renewed.0) < valid)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    #[test]
    fn an_object_is_counted_where_it_is_until_it_is_this_process_s_or_gone() {
        let shards = Shards::new(Shard::MAIN);
        let west = ShardName::parse("west").unwrap();
        let keys = ["a", "b", "c"].map(|name| ObjectKey::new("team", name));
        assert!(shards.assign(&keys[0], None));
        assert!(!shards.assign(&keys[1], Some(west.clone())));
        assert!(!shards.assign(&keys[2], Some(west.clone())));
        assert_eq!(shards.counts(), BTreeMap::from([(west.clone(), 2)]));
        assert!(shards.assign(&keys[1], None));
        assert_eq!(shards.counts(), BTreeMap::from([(west.clone(), 1)]));
        shards.forget(&keys[2]);
        assert_eq!(shards.counts(), BTreeMap::new());
        let of_west = Shards::new(Shard::named(west.clone()));
        assert!(of_west.assign(&keys[0], Some(west)));
        assert!(!of_west.assign(&keys[0], None));
    }

    #[test]
    fn a_lease_that_is_given_back_or_long_over_is_held_by_nobody() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let lease = |holder: &str, ago: i64| Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(15),
                renew_time: Some(MicroTime(now - SignedDuration::from_secs(ago))),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        assert!(is_held(&lease("pod", 5), now));
        assert!(is_held(&lease("pod", 60), now));
        assert!(!is_held(&lease("pod", 80), now));
        assert!(!is_held(&lease("", 1), now));
        assert!(!is_held(&Lease::default(), now));
    }
}
