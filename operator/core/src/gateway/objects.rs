//! What is in the cluster for a gateway that has pods of its own.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::container::{GRACE, HEARTBEAT, HTTP, HTTPS, SYNC};
use super::spec::{BackendSpec, SelfHostedGatewaySpec, ServiceSpec, ServiceType};
use crate::exposure::AZURE_INTERNAL;
use crate::names::{ObjectKey, PREFIX};
use crate::protection::peer;

/// "The minimum number of replicas suitable for production is two."
pub(super) const REPLICAS: u16 = 2;
/// Of the requested processor time.
const CPU_PERCENT: u16 = 70;
/// The key of the Secret that holds the token.
pub const TOKEN_KEY: &str = "value";
/// By which the pods of a gateway are selected.
pub const COMPONENT: (&str, &str) = ("app.kubernetes.io/component", "self-hosted-gateway");
/// Of which gateway they are.
const INSTANCE: &str = "app.kubernetes.io/instance";

/// An object in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// `apps`; empty for the core group.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// `deployments`.
    pub plural: &'static str,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Its spec.
    pub spec: Value,
    /// Whether the gateway runs in its pods.
    #[serde(skip)]
    pub runs: bool,
}

impl Manifest {
    /// With the end of the token's time where pods start anew for it: a running
    /// container never sees another value of an environment variable.
    #[must_use]
    pub fn with_token(mut self, until: &str) -> Self {
        if self.runs {
            self.spec["template"]["metadata"]["annotations"] = json!({(token_annotation()): until});
        }
        self
    }
}

/// The annotation of pods that says until when their token is valid.
pub(super) fn token_annotation() -> String {
    format!("{PREFIX}gateway-token-until")
}

/// The name of what is made for a gateway.
#[must_use]
pub fn object_name(key: &ObjectKey) -> String {
    format!("apim-gateway-{}", key.name)
}

/// The name of the Secret with its token.
#[must_use]
pub fn secret_name(key: &ObjectKey) -> String {
    format!("{}-token", object_name(key))
}

fn neighbours_name(key: &ObjectKey) -> String {
    format!("{}-peers", object_name(key))
}

/// The host name behind which its pods find each other.
pub(super) fn neighbours(key: &ObjectKey) -> String {
    format!("{}.{}.svc", neighbours_name(key), key.namespace)
}

/// The host at which callers reach a gateway: by its Service, or at the address
/// of the load balancer.
#[must_use]
pub fn service_host(spec: &ServiceSpec, key: &ObjectKey, address: Option<&str>) -> Option<String> {
    match spec.kind {
        ServiceType::ClusterIP => Some(format!("{}.{}.svc", object_name(key), key.namespace)),
        ServiceType::LoadBalancer | ServiceType::InternalLoadBalancer => {
            address.map(crate::exposure::in_url)
        }
    }
}

/// By which the pods of a gateway are selected.
fn selector(key: &ObjectKey) -> BTreeMap<String, String> {
    [
        (COMPONENT.0.to_owned(), COMPONENT.1.to_owned()),
        (INSTANCE.to_owned(), key.name.to_string()),
    ]
    .into()
}

fn manifest(
    (group, version, kind, plural): (&'static str, &'static str, &'static str, &'static str),
    name: String,
    key: &ObjectKey,
    spec: Value,
) -> Manifest {
    Manifest {
        group,
        version,
        kind,
        plural,
        name,
        labels: selector(key),
        annotations: BTreeMap::new(),
        spec,
        runs: false,
    }
}

const DEPLOYMENT: (&str, &str, &str, &str) = ("apps", "v1", "Deployment", "deployments");
const SERVICE: (&str, &str, &str, &str) = ("", "v1", "Service", "services");
const AUTOSCALER: (&str, &str, &str, &str) = (
    "autoscaling",
    "v2",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers",
);
const BUDGET: (&str, &str, &str, &str) = (
    "policy",
    "v1",
    "PodDisruptionBudget",
    "poddisruptionbudgets",
);
const NETWORK_POLICY: (&str, &str, &str, &str) = (
    "networking.k8s.io",
    "v1",
    "NetworkPolicy",
    "networkpolicies",
);

/// Everything that a gateway with pods of its own may have, for whoever looks
/// for what is not wanted any more.
pub const KINDS: [(&str, &str, &str, &str); 5] =
    [DEPLOYMENT, SERVICE, AUTOSCALER, BUDGET, NETWORK_POLICY];

/// All objects, in the order in which they are applied: what protects pods
/// before the pods, and the pods last.
pub(super) fn of_its_own(
    spec: &SelfHostedGatewaySpec,
    key: &ObjectKey,
    container: &Value,
) -> Vec<Manifest> {
    let mut all = vec![
        network_policy(spec, key),
        neighbours_service(key),
        service(&spec.service, key, &json!(selector(key))),
        budget(key),
        deployment(spec, key, container),
    ];
    all.extend(autoscaler(spec, key));
    all.extend(spec.backend.iter().flat_map(|one| backend(one, key, None)));
    all
}

fn deployment(spec: &SelfHostedGatewaySpec, key: &ObjectKey, container: &Value) -> Manifest {
    let labels = selector(key);
    let mut deployment = json!({
        "selector": {"matchLabels": labels},
        "strategy": {
            "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
        },
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": GRACE,
                "topologySpreadConstraints": [{
                    "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels},
                }],
                "containers": [container],
            },
        },
    });
    if spec.autoscaling.is_none() {
        deployment["replicas"] = json!(spec.replicas.unwrap_or(REPLICAS));
    }
    Manifest {
        runs: true,
        ..manifest(DEPLOYMENT, object_name(key), key, deployment)
    }
}

/// The pods of a backend are not those of a gateway.
const BACKEND: &str = "self-hosted-gateway-backend";

/// The name of the Deployment of a backend.
#[must_use]
pub fn backend_name(key: &ObjectKey) -> String {
    format!("apim-backend-{}", key.name)
}

fn backend_pods(key: &ObjectKey) -> BTreeMap<String, String> {
    let mut labels = selector(key);
    labels.insert(COMPONENT.0.to_owned(), BACKEND.to_owned());
    labels
}

/// The backend's Service and pods, beside which a gateway may run.
fn backend(spec: &BackendSpec, key: &ObjectKey, beside: Option<Value>) -> Vec<Manifest> {
    let labels = backend_pods(key);
    let env = spec.env.iter();
    let env = env.map(|(name, value)| json!({"name": name, "value": value}));
    let app = json!({
        "name": "app", "image": spec.image, "env": env.collect::<Vec<_>>(),
        "ports": [{"containerPort": spec.port, "protocol": "TCP"}],
    });
    let runs = beside.is_some();
    let containers: Vec<Value> = [app].into_iter().chain(beside).collect();
    let pods = json!({
        "replicas": spec.replicas.unwrap_or(1),
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"automountServiceAccountToken": false, "containers": containers},
        },
    });
    let service = json!({
        "type": "ClusterIP", "selector": labels,
        "ports": [{"name": "api", "port": spec.port, "targetPort": spec.port, "protocol": "TCP"}],
    });
    vec![
        manifest(SERVICE, spec.service.clone(), key, service),
        Manifest {
            runs,
            ..manifest(DEPLOYMENT, backend_name(key), key, pods)
        },
    ]
}

/// A backend with the gateway in its pods.
pub(super) fn with_backend(
    spec: &SelfHostedGatewaySpec,
    of: &BackendSpec,
    key: &ObjectKey,
    container: Value,
) -> Vec<Manifest> {
    let mut all = vec![service(&spec.service, key, &json!(backend_pods(key)))];
    all.extend(backend(of, key, Some(container)));
    all
}

/// The Service at which callers reach it, in front of pods with these labels.
pub(super) fn service(spec: &ServiceSpec, key: &ObjectKey, pods: &Value) -> Manifest {
    let balanced = spec.kind != ServiceType::ClusterIP;
    let kind = if balanced {
        "LoadBalancer"
    } else {
        "ClusterIP"
    };
    let mut made = json!({
        "type": kind, "selector": pods,
        "ports": [
            {"name": "http", "port": 80, "targetPort": HTTP, "protocol": "TCP"},
            {"name": "https", "port": 443, "targetPort": HTTPS, "protocol": "TCP"},
        ],
    });
    if balanced {
        // "This preserves caller IP address", which policies can see.
        made["externalTrafficPolicy"] = json!("Local");
    }
    let mut made = manifest(SERVICE, object_name(key), key, made);
    if spec.kind == ServiceType::InternalLoadBalancer {
        made.annotations
            .insert(AZURE_INTERNAL.to_owned(), "true".to_owned());
    }
    made
}

/// Its pods find each other by a Service without an address, to count calls
/// together.
fn neighbours_service(key: &ObjectKey) -> Manifest {
    let port = |name: &str, port: u16| json!({"name": name, "port": port, "targetPort": port, "protocol": "UDP"});
    let spec = json!({
        "type": "ClusterIP", "clusterIP": "None", "selector": selector(key),
        "ports": [port("sync", SYNC), port("heartbeat", HEARTBEAT)],
    });
    manifest(SERVICE, neighbours_name(key), key, spec)
}

fn budget(key: &ObjectKey) -> Manifest {
    // The chart's share. One of two pods may go: less than one is rounded up.
    let spec = json!({"maxUnavailable": "25%", "selector": {"matchLabels": selector(key)}});
    manifest(BUDGET, object_name(key), key, spec)
}

fn autoscaler(spec: &SelfHostedGatewaySpec, key: &ObjectKey) -> Option<Manifest> {
    let scale = spec.autoscaling.as_ref()?;
    let share = scale.cpu_percent.unwrap_or(CPU_PERCENT);
    let made = json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": object_name(key)},
        "minReplicas": scale.min_replicas.unwrap_or(REPLICAS),
        "maxReplicas": scale.max_replicas,
        "metrics": [{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": share},
        }}],
    });
    Some(manifest(AUTOSCALER, object_name(key), key, made))
}

/// Callers reach the two ports of requests; what its pods say to each other,
/// which nobody signs, comes from them alone.
fn network_policy(spec: &SelfHostedGatewaySpec, key: &ObjectKey) -> Manifest {
    let ports = |protocol: &str, ports: [u16; 2]| {
        json!(ports.map(|port| json!({"port": port, "protocol": protocol})))
    };
    let mut callers = json!({"ports": ports("TCP", [HTTP, HTTPS])});
    if let Some(policy) = &spec.network_policy {
        callers["from"] = policy.from.iter().map(peer).collect();
    }
    let siblings = json!({
        "from": [{"podSelector": {"matchLabels": selector(key)}}],
        "ports": ports("UDP", [SYNC, HEARTBEAT]),
    });
    let made = json!({
        "podSelector": {"matchLabels": selector(key)},
        "policyTypes": ["Ingress"],
        "ingress": [callers, siblings],
    });
    manifest(NETWORK_POLICY, object_name(key), key, made)
}
