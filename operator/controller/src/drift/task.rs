//! One task per connected instance.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use operator_apim::sweep::Sweeper;
use operator_apim::{ArmError, CertificateThere};
use operator_core::drift::Kind;
use operator_core::drift::schedule::{self, Cycle, Sizes};
use operator_core::instance::InstanceContext;
use operator_core::names::{InstanceName, ObjectKey};
use operator_core::pace::Pace;
use operator_core::tier::{Resource, Usage};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::ledger::{Ledger, Target};
use super::sweep::Sweep;
use crate::instances::{Connection, Instances, context};
use crate::metrics::Metrics;
use crate::watch::Triggers;

/// Between two looks for instances that were connected meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// Operations of an API that was not looked at yet, for the first plan.
const ASSUMED_OPERATIONS: u64 = 8;
/// Reads of the rotation for an API besides its operations' policies: the
/// revisions and the list of operations.
const PER_API: u64 = 2;

/// What sweeps need.
pub(crate) struct Parts {
    /// Between the starts of two sweeps; zero: there are none.
    pub(crate) interval: Duration,
    /// Reads per second of a principal.
    pub(crate) reads_per_second: f64,
    /// How fast the interval passes.
    pub(crate) pace: Pace,
    pub(crate) instances: Arc<Instances>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) triggers: Triggers,
    pub(crate) metrics: Arc<Metrics>,
}

/// Ends the sweeps when it is dropped.
pub(crate) struct Sweeps(Option<AbortHandle>);

impl Drop for Sweeps {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// The sweeps of one instance, for as long as its connection is the same.
struct Running {
    connection: Arc<Connection>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the sweeps.
pub(crate) fn start(parts: Parts) -> Sweeps {
    if parts.interval.is_zero() {
        tracing::info!("changes that others make in API Management are not looked for");
        return Sweeps(None);
    }
    let parts = Arc::new(parts);
    let task = tokio::spawn(async move {
        let mut running: HashMap<InstanceName, Running> = HashMap::new();
        loop {
            let connections: HashMap<_, _> = parts.instances.connections().into_iter().collect();
            running.retain(|name, task| {
                connections
                    .get(name)
                    .is_some_and(|now| Arc::ptr_eq(now, &task.connection))
            });
            for (name, connection) in connections {
                running.entry(name.clone()).or_insert_with(|| Running {
                    task: tokio::spawn(sweeps(Arc::clone(&parts), name, Arc::clone(&connection)))
                        .abort_handle(),
                    connection,
                });
            }
            tokio::time::sleep(parts.pace.of(LOOK)).await;
        }
    });
    Sweeps(Some(task.abort_handle()))
}

/// What is remembered from one sweep of an instance to the next.
#[derive(Default)]
struct Progress {
    listed: u64,
    rotation: VecDeque<ObjectKey>,
    operations: BTreeMap<ObjectKey, u64>,
}

impl Progress {
    fn sizes(&self, targets: &[Arc<Target>]) -> Sizes {
        let watched = u64::try_from(targets.len()).unwrap_or(u64::MAX);
        let rotation = targets
            .iter()
            .map(|target| {
                let known = self.operations.get(&target.key).copied();
                PER_API + known.unwrap_or(ASSUMED_OPERATIONS)
            })
            .sum();
        Sizes {
            listed: self.listed.max(watched),
            watched,
            rotation,
        }
    }
}

async fn sweeps(parts: Arc<Parts>, name: InstanceName, connection: Arc<Connection>) {
    let sweeper = Sweeper::new(connection.applier.client().reader(), parts.reads_per_second);
    let mut progress = Progress::default();
    let first = schedule::first(parts.interval, rand::random());
    tokio::time::sleep(parts.pace.of(first)).await;
    loop {
        let started = Instant::now();
        let length = sweep(&parts, &name, &connection, &sweeper, &mut progress).await;
        tokio::time::sleep_until(started + length).await;
    }
}

/// One sweep; answers how long it is to the next.
async fn sweep(
    parts: &Parts,
    name: &InstanceName,
    connection: &Connection,
    sweeper: &Sweeper,
    progress: &mut Progress,
) -> Duration {
    let started = Instant::now();
    let interval = parts.pace.of(parts.interval);
    let targets = parts.ledger.targets(name);
    let sizes = progress.sizes(&targets);
    let cycle = Cycle::new(interval, sweeper.rate(), sizes);
    let before = sweeper.reads();
    let tell = |key: &ObjectKey| parts.triggers.one(key.clone(), "Drift");
    let sweep = Sweep {
        sweeper,
        ledger: &parts.ledger,
        tell: &tell,
    };
    let fast = sweep.fast(&targets, &cycle).await;
    let took = started.elapsed();
    if fast.listed > 0 {
        progress.listed = fast.listed;
    }
    let slow = sweep
        .slow(
            &mut progress.rotation,
            &targets,
            &cycle,
            &mut progress.operations,
        )
        .await;
    let instance = look_at_instance(parts, name, connection, sweeper, progress).await;
    let failed = fast.failed + slow.failed + u64::from(!instance);
    parts.metrics.swept(
        name.as_str(),
        failed == 0,
        took,
        cycle.rotation_period(sizes),
    );
    tracing::debug!(
        instance = %name,
        apis = targets.len(),
        listed = fast.listed,
        reads = sweeper.reads() - before,
        failed,
        told = fast.told + slow.told,
        fast_seconds = took.as_secs_f64(),
        rotation_seconds = cycle.rotation_period(sizes).as_secs_f64(),
        "looked for what others changed"
    );
    cycle.length
}

/// The service itself, its OpenID provider, and how much it has of what its
/// tier limits. Answers whether all could be read.
async fn look_at_instance(
    parts: &Parts,
    name: &InstanceName,
    connection: &Connection,
    sweeper: &Sweeper,
    progress: &Progress,
) -> bool {
    let service = sweeper.service().await;
    let provider = sweeper.oidc_provider(&connection.oidc.id).await;
    let (service, provider) = match (service, provider) {
        (Ok(service), Ok(provider)) => (service, provider),
        (service, provider) => {
            for error in [service.err(), provider.err()].into_iter().flatten() {
                tracing::debug!(instance = %name, %error, "a look at an instance failed");
            }
            return false;
        }
    };
    let sku = service.sku.clone();
    let now = match sweeper.certificates().await {
        Ok(certificates) => {
            parts
                .metrics
                .certificates(name.as_str(), ends(&certificates));
            context(service, &certificates)
        }
        // What else has changed is no less seen.
        Err(error) => {
            tracing::debug!(instance = %name, %error, "the certificates could not be read");
            InstanceContext {
                ending: connection.context.ending.clone(),
                ..context(service, &[])
            }
        }
    };
    let changed = now != connection.context;
    // Somebody else's provider is left alone, whatever it says.
    let ours = provider
        .as_ref()
        .is_none_or(|there| there.mark.as_deref() == Some(&*connection.oidc.mark));
    let drifted = provider
        .as_ref()
        .is_none_or(|there| !connection.oidc.differences(there).is_empty());
    let Ok(misplaced) = changed_servers(connection, sweeper).await else {
        return false;
    };
    if misplaced {
        tracing::info!(instance = %name, "an OAuth 2.0 server was changed by others");
        let label = Kind::OpenIdProvider.label();
        parts.metrics.drift(label, "corrected");
    }
    if changed {
        tracing::info!(instance = %name, sku, "the service has changed");
    }
    if ours && drifted {
        tracing::info!(instance = %name, "the OpenID provider was changed by others");
        parts
            .metrics
            .drift(Kind::OpenIdProvider.label(), "corrected");
    }
    if changed || misplaced || ours && drifted {
        // Connecting reads the one and puts back the other.
        parts.instances.reconnect(name);
        return true;
    }
    usage(parts, name, connection, sweeper, progress).await
}

/// By id, in Unix time.
fn ends(certificates: &[CertificateThere]) -> impl Iterator<Item = (String, i64)> {
    let end = |one: &CertificateThere| Some((one.id.clone(), one.expires?.as_second()));
    certificates.iter().filter_map(end)
}

/// Whether an OAuth 2.0 server of ours is gone, or is not as it should be.
/// Somebody else's is left alone.
async fn changed_servers(connection: &Connection, sweeper: &Sweeper) -> Result<bool, ArmError> {
    for server in &connection.servers {
        let there = sweeper.oauth2_server(&server.id).await?;
        let differs = there.is_none_or(|there| {
            there.carries(&server.mark) && !server.differences(&there).is_empty()
        });
        if differs {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the service has of what its tier limits.
async fn usage(
    parts: &Parts,
    name: &InstanceName,
    connection: &Connection,
    sweeper: &Sweeper,
    progress: &Progress,
) -> bool {
    let tier = connection.context.tier();
    let mut near = Vec::new();
    let mut complete = true;
    for resource in Resource::ALL {
        if tier.limits().of(resource).is_none() {
            continue;
        }
        let count = match resource {
            Resource::Operations => Some(progress.operations.values().sum()),
            other => match sweeper.count(other).await {
                Ok(count) => count,
                Err(error) => {
                    tracing::debug!(instance = %name, %error, "a count failed");
                    complete = false;
                    None
                }
            },
        };
        let Some(usage) = count.and_then(|count| Usage::of(tier, resource, count)) else {
            continue;
        };
        parts
            .metrics
            .set_resource(name.as_str(), resource.name(), usage.count, usage.limit);
        if usage.is_near() {
            near.push(usage.to_string());
        }
    }
    if complete {
        parts.instances.near_limits(name, near).await;
    }
    complete
}
