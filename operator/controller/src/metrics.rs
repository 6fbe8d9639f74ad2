//! Metrics: controller-runtime's names for what every operator has, and our
//! own for calls to Azure and to plugins. No label holds an object's name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The value of the `controller` label.
const CONTROLLER: &str = "exposedapi";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ArmKindLabels {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: String,
    kind: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaderLabels {
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardLabels {
    shard: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DriftLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    instance: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SweepLabels {
    instance: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    instance: String,
    resource: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    instance: String,
    certificate: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoadLabels {
    plugin: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PatchLabels {
    result: &'static str,
}

/// How a reconcile ended, in controller-runtime's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileResult {
    /// Nothing left to do.
    Success,
    /// It comes back after a while.
    RequeueAfter,
    /// It failed and is tried again.
    Error,
    /// It failed and waits for a change.
    TerminalError,
}

/// The operator's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ResultLabels, Counter>,
    errors: Family<ControllerLabels, Counter>,
    terminal_errors: Family<ControllerLabels, Counter>,
    seconds: Family<ControllerLabels, Histogram>,
    active: Family<ControllerLabels, Gauge>,
    triggers: Family<CauseLabels, Counter>,
    kube_writes: Family<KindLabels, Counter>,
    arm_calls: Family<CallLabels, Counter>,
    arm_seconds: Family<ArmKindLabels, Histogram>,
    plugin_calls: Family<PluginLabels, Counter>,
    plugin_seconds: Family<KindLabels, Histogram>,
    plugin_loads: Family<LoadLabels, Counter>,
    plugins_loaded: Gauge,
    instances_ready: Gauge<i64, std::sync::atomic::AtomicI64>,
    leading: Family<LeaderLabels, Gauge>,
    shard_objects: Family<ShardLabels, Gauge>,
    shard_unserved: Family<ShardLabels, Gauge>,
    ready_seconds: Gauge<f64, AtomicU64>,
    listed: OnceLock<Instant>,
    arm_writes: Counter<u64, AtomicU64>,
    component_patches: Family<PatchLabels, Counter>,
    component_entries_missing: Gauge,
    drifts: Family<DriftLabels, Counter>,
    sweeps: Family<SweepLabels, Counter>,
    sweep_seconds: Family<InstanceLabels, Gauge<f64, AtomicU64>>,
    rotation_seconds: Family<InstanceLabels, Gauge<f64, AtomicU64>>,
    resources: Family<ResourceLabels, Gauge>,
    resource_limits: Family<ResourceLabels, Gauge>,
    certificates: Family<CertificateLabels, Gauge>,
    /// Of which the line above tells: what is gone is not told of for ever.
    certificates_told: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

fn histogram() -> Histogram {
    // 1 ms to 65 s: a no-op reconcile takes well under a millisecond of our
    // own time, an import of a large document takes minutes.
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics, all at zero.
    #[expect(
        clippy::too_many_lines,
        reason = "a list: one name and one sentence for each metric"
    )]
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let reconciles = Family::<ResultLabels, Counter>::default();
        let errors = Family::<ControllerLabels, Counter>::default();
        let terminal_errors = Family::<ControllerLabels, Counter>::default();
        let seconds = Family::<ControllerLabels, Histogram>::new_with_constructor(histogram);
        let active = Family::<ControllerLabels, Gauge>::default();
        let triggers = Family::<CauseLabels, Counter>::default();
        let kube_writes = Family::<KindLabels, Counter>::default();
        let arm_calls = Family::<CallLabels, Counter>::default();
        let arm_seconds = Family::<ArmKindLabels, Histogram>::new_with_constructor(histogram);
        let plugin_calls = Family::<PluginLabels, Counter>::default();
        let plugin_seconds = Family::<KindLabels, Histogram>::new_with_constructor(histogram);
        let plugin_loads = Family::<LoadLabels, Counter>::default();
        let plugins_loaded = Gauge::default();
        let instances_ready = Gauge::default();
        let leading = Family::<LeaderLabels, Gauge>::default();
        let shard_objects = Family::<ShardLabels, Gauge>::default();
        let shard_unserved = Family::<ShardLabels, Gauge>::default();
        let ready_seconds = Gauge::<f64, AtomicU64>::default();
        let arm_writes = Counter::default();
        let component_patches = Family::<PatchLabels, Counter>::default();
        let component_entries_missing = Gauge::default();
        let drifts = Family::<DriftLabels, Counter>::default();
        let sweeps = Family::<SweepLabels, Counter>::default();
        let sweep_seconds = Family::<InstanceLabels, Gauge<f64, AtomicU64>>::default();
        let rotation_seconds = Family::<InstanceLabels, Gauge<f64, AtomicU64>>::default();
        let resources = Family::<ResourceLabels, Gauge>::default();
        let certificates = Family::<CertificateLabels, Gauge>::default();
        let resource_limits = Family::<ResourceLabels, Gauge>::default();
        // The encoder appends `_total` to counters.
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles by result",
            reconciles.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Failed reconciles",
            errors.clone(),
        );
        registry.register(
            "controller_runtime_terminal_reconcile_errors",
            "Failed reconciles that wait for a change",
            terminal_errors.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "Time per reconcile",
            seconds.clone(),
        );
        registry.register(
            "controller_runtime_active_workers",
            "Reconciles under way",
            active.clone(),
        );
        registry.register(
            "apim_operator_triggers",
            "What asked for a reconcile",
            triggers.clone(),
        );
        registry.register(
            "apim_operator_kubernetes_writes",
            "Writes to Kubernetes by kind",
            kube_writes.clone(),
        );
        registry.register(
            "apim_operator_arm_calls",
            "Calls to Azure Resource Manager",
            arm_calls.clone(),
        );
        registry.register(
            "apim_operator_arm_writes",
            "Writes to Azure Resource Manager",
            arm_writes.clone(),
        );
        registry.register(
            "apim_operator_arm_call_seconds",
            "Time per call to Azure",
            arm_seconds.clone(),
        );
        registry.register(
            "apim_operator_plugin_calls",
            "Calls of plugins by result",
            plugin_calls.clone(),
        );
        registry.register(
            "apim_operator_plugin_call_seconds",
            "Time per call of a plugin",
            plugin_seconds.clone(),
        );
        registry.register(
            "apim_operator_plugin_loads",
            "Attempts to get a PolicyPlugin's plugin, by result",
            plugin_loads.clone(),
        );
        registry.register(
            "apim_operator_plugins_loaded",
            "Plugins that can be used",
            plugins_loaded.clone(),
        );
        registry.register(
            "apim_operator_instances_ready",
            "Connected APIM instances",
            instances_ready.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "Whether this replica writes (1) or stands by (0)",
            leading.clone(),
        );
        registry.register(
            "apim_operator_shard_objects",
            "ExposedAPIs that are left to another shard",
            shard_objects.clone(),
        );
        registry.register(
            "apim_operator_shard_unserved",
            "Whether a shard has ExposedAPIs and nobody holds its lease (1)",
            shard_unserved.clone(),
        );
        registry.register(
            "apim_operator_ready_seconds",
            "From the arrival of the ExposedAPIs until this replica was ready",
            ready_seconds.clone(),
        );
        registry.register(
            "apim_operator_component_patches",
            "Writes to the status of Components, by result; rewritten: the list changed in between",
            component_patches.clone(),
        );
        registry.register(
            "apim_operator_component_entries_missing",
            "ExposedAPIs that wait for their Component or for their entry in its status",
            component_entries_missing.clone(),
        );
        registry.register(
            "apim_operator_drifts",
            "Changes by others, by what was changed and what became of it",
            drifts.clone(),
        );
        registry.register(
            "apim_operator_drift_sweeps",
            "Sweeps for changes by others, by result",
            sweeps.clone(),
        );
        registry.register(
            "apim_operator_drift_sweep_seconds",
            "Time that the last look at APIs and policies took",
            sweep_seconds.clone(),
        );
        registry.register(
            "apim_operator_drift_rotation_seconds",
            "Time in which each API's operations are looked at once",
            rotation_seconds.clone(),
        );
        registry.register(
            "apim_operator_service_resources",
            "What an APIM service has of a resource that its tier limits",
            resources.clone(),
        );
        registry.register(
            "apim_operator_certificate_expiry_timestamp_seconds",
            "When a certificate of an APIM service ends, in Unix time",
            certificates.clone(),
        );
        registry.register(
            "apim_operator_service_resource_limit",
            "What its tier allows of it",
            resource_limits.clone(),
        );
        Self {
            registry,
            reconciles,
            errors,
            terminal_errors,
            seconds,
            active,
            triggers,
            kube_writes,
            arm_calls,
            arm_seconds,
            plugin_calls,
            plugin_seconds,
            plugin_loads,
            plugins_loaded,
            instances_ready,
            leading,
            shard_objects,
            shard_unserved,
            ready_seconds,
            listed: OnceLock::new(),
            arm_writes,
            component_patches,
            component_entries_missing,
            drifts,
            sweeps,
            sweep_seconds,
            rotation_seconds,
            resources,
            resource_limits,
            certificates,
            certificates_told: Mutex::default(),
        }
    }

    /// Counts a write to the status of a Component.
    pub fn component_patch(&self, result: &'static str) {
        self.component_patches
            .get_or_create(&PatchLabels { result })
            .inc();
    }

    /// How many ExposedAPIs wait for their Component or their entry in it.
    pub fn set_component_entries_missing(&self, count: usize) {
        self.component_entries_missing
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a change by others: `reported`, `corrected`, or `resolved` by
    /// somebody else.
    pub fn drift(&self, kind: &'static str, outcome: &'static str) {
        self.drifts
            .get_or_create(&DriftLabels { kind, outcome })
            .inc();
    }

    /// Counts a sweep, which was complete or not, with the time that its fast
    /// part took and that of a whole rotation.
    pub fn swept(&self, instance: &str, complete: bool, took: Duration, rotation: Duration) {
        let result = if complete { "complete" } else { "incomplete" };
        self.sweeps
            .get_or_create(&SweepLabels {
                instance: instance.to_owned(),
                result,
            })
            .inc();
        let labels = InstanceLabels {
            instance: instance.to_owned(),
        };
        self.sweep_seconds
            .get_or_create(&labels)
            .set(took.as_secs_f64());
        self.rotation_seconds
            .get_or_create(&labels)
            .set(rotation.as_secs_f64());
    }

    /// What a service has of a resource, and how much it may have.
    pub fn set_resource(&self, instance: &str, resource: &'static str, count: u64, limit: u64) {
        let labels = ResourceLabels {
            instance: instance.to_owned(),
            resource,
        };
        let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
        self.resources.get_or_create(&labels).set(number(count));
        self.resource_limits
            .get_or_create(&labels)
            .set(number(limit));
    }

    /// When the certificates of a service end, in Unix time; others it has none.
    pub fn certificates(&self, instance: &str, all: impl Iterator<Item = (String, i64)>) {
        let labels = |certificate: &str| CertificateLabels {
            instance: instance.to_owned(),
            certificate: certificate.to_owned(),
        };
        let mut told = self.certificates_told.lock();
        let told = told.entry(instance.to_owned()).or_default();
        let mut gone = std::mem::take(told);
        for (certificate, at) in all {
            self.certificates
                .get_or_create(&labels(&certificate))
                .set(at);
            gone.remove(&certificate);
            told.insert(certificate);
        }
        for certificate in gone {
            self.certificates.remove(&labels(&certificate));
        }
    }

    /// Counts an attempt to get a plugin.
    pub fn plugin_load(&self, plugin: &str, result: &'static str) {
        let labels = LoadLabels {
            plugin: plugin.to_owned(),
            result,
        };
        self.plugin_loads.get_or_create(&labels).inc();
    }

    /// Counts a reconcile as under way until the guard is dropped.
    #[must_use = "the reconcile counts as ended when the guard is dropped"]
    pub fn reconcile_started(&self) -> ActiveGuard {
        let gauge = self
            .active
            .get_or_create(&ControllerLabels {
                controller: CONTROLLER,
            })
            .clone();
        gauge.inc();
        ActiveGuard(gauge)
    }

    /// Counts a finished reconcile.
    pub fn reconcile_ended(&self, result: ReconcileResult, took: Duration) {
        let labels = ControllerLabels {
            controller: CONTROLLER,
        };
        let result_label = match result {
            ReconcileResult::Success => "success",
            ReconcileResult::RequeueAfter => "requeue_after",
            ReconcileResult::Error | ReconcileResult::TerminalError => "error",
        };
        self.reconciles
            .get_or_create(&ResultLabels {
                controller: CONTROLLER,
                result: result_label,
            })
            .inc();
        self.seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        if matches!(
            result,
            ReconcileResult::Error | ReconcileResult::TerminalError
        ) {
            self.errors.get_or_create(&labels).inc();
        }
        if result == ReconcileResult::TerminalError {
            self.terminal_errors.get_or_create(&labels).inc();
        }
    }

    /// Counts what asked for a reconcile.
    pub fn triggered(&self, cause: &'static str) {
        self.triggers.get_or_create(&CauseLabels { cause }).inc();
    }

    /// Counts a write to Kubernetes.
    pub fn kube_write(&self, kind: &'static str) {
        self.kube_writes.get_or_create(&KindLabels { kind }).inc();
    }

    /// Counts a call to Azure.
    pub fn arm_call(&self, method: &str, kind: &str, status: u16, took: Duration) {
        self.arm_calls
            .get_or_create(&CallLabels {
                method: method.to_owned(),
                kind: kind.to_owned(),
                status,
            })
            .inc();
        self.arm_seconds
            .get_or_create(&ArmKindLabels {
                kind: kind.to_owned(),
            })
            .observe(took.as_secs_f64());
        if matches!(method, "PUT" | "PATCH" | "DELETE") {
            self.arm_writes.inc();
        }
    }

    /// Counts a call of a plugin; `result` is `success` or the typed reason.
    pub fn plugin_call(
        &self,
        plugin: &str,
        call: &'static str,
        result: &'static str,
        took: Duration,
    ) {
        self.plugin_calls
            .get_or_create(&PluginLabels {
                plugin: plugin.to_owned(),
                result,
            })
            .inc();
        self.plugin_seconds
            .get_or_create(&KindLabels { kind: call })
            .observe(took.as_secs_f64());
    }

    /// How many plugins can be used.
    pub fn set_plugins(&self, count: usize) {
        self.plugins_loaded
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many instances are connected.
    pub fn set_instances(&self, count: usize) {
        self.instances_ready
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The ExposedAPIs have arrived.
    pub fn listed(&self) {
        self.listed.get_or_init(Instant::now);
    }

    /// The replica is ready.
    pub fn ready(&self) {
        let listed = self.listed.get_or_init(Instant::now);
        self.ready_seconds.set(listed.elapsed().as_secs_f64());
    }

    /// Whether this replica holds the lease of this name.
    pub fn set_leading(&self, lease: &str, leads: bool) {
        let labels = LeaderLabels {
            name: lease.to_owned(),
        };
        self.leading.get_or_create(&labels).set(i64::from(leads));
    }

    /// How many ExposedAPIs another shard has, and whether nobody serves it.
    pub fn shard(&self, shard: &str, objects: usize, unserved: bool) {
        let labels = ShardLabels {
            shard: shard.to_owned(),
        };
        let objects = i64::try_from(objects).unwrap_or(i64::MAX);
        self.shard_objects.get_or_create(&labels).set(objects);
        self.shard_unserved
            .get_or_create(&labels)
            .set(i64::from(unserved));
    }

    /// The metrics in the `OpenMetrics` text format.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Lowers the gauge of reconciles under way when dropped.
#[derive(Debug)]
pub struct ActiveGuard(Gauge);

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_dashboards_for_controllers_expect() {
        let metrics = Metrics::new();
        metrics.reconcile_ended(ReconcileResult::TerminalError, Duration::from_millis(3));
        let text = metrics.render().unwrap();
        for name in [
            "controller_runtime_reconcile_total{controller=\"exposedapi\",result=\"error\"} 1",
            "controller_runtime_reconcile_errors_total{controller=\"exposedapi\"} 1",
            "controller_runtime_terminal_reconcile_errors_total{controller=\"exposedapi\"} 1",
            "controller_runtime_reconcile_time_seconds_count{controller=\"exposedapi\"} 1",
        ] {
            assert!(text.contains(name), "{name} is missing in:\n{text}");
        }
    }

    #[test]
    fn only_calls_that_change_azure_count_as_writes() {
        let metrics = Metrics::new();
        for method in ["GET", "PUT", "HEAD", "PATCH", "DELETE"] {
            metrics.arm_call(method, "api", 200, Duration::from_millis(1));
        }
        assert!(
            metrics
                .render()
                .unwrap()
                .contains("apim_operator_arm_writes_total 3")
        );
    }
}
