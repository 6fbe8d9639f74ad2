//! The container, as the official Helm chart and Microsoft's guidance for
//! production have it.

use serde_json::{Map, Value, json};

use super::desired::DesiredGateway;
use super::spec::{SelfHostedGatewaySpec, TelemetrySpec};

/// The official repository of images.
pub const OFFICIAL_IMAGE: &str = "mcr.microsoft.com/azure-api-management/gateway";
/// The version that these settings are of ("This reference applies only to the
/// self-hosted gateway v2"): a tag that moves within it, since which patch is the
/// newest is not for this program to know. `image` pins one.
const TAG: &str = "v2";

/// Where it answers whether it is well, by the Helm chart's probes.
const HEALTH: &str = "/status-0123456789abcdef";
/// "This is a built-in user" of the image.
const USER: u32 = 1001;
/// How long requests under way have, by the Helm chart.
pub(super) const GRACE: u32 = 60;

/// The ports of the container, by the Helm chart.
pub(super) const HTTP: u16 = 8080;
/// The same.
pub(super) const HTTPS: u16 = 8081;
/// `policy.rate-limit.sync.port`.
pub(super) const SYNC: u16 = 4290;
/// `neighborhood.heartbeat.port`.
pub(super) const HEARTBEAT: u16 = 4291;

/// All of them.
pub(super) const PORTS: [u16; 4] = [HTTP, HTTPS, SYNC, HEARTBEAT];

/// Settings that the operator decides, and what else nobody may set: a gateway
/// that signs in as somebody else, or asks somewhere else.
const DECIDED: [&str; 6] = [
    "config.service.",
    "gateway.",
    "neighborhood.",
    "policy.rate-limit.sync.",
    "telemetry.",
    "observability.",
];

/// The image where none is named.
pub(super) fn usual_image() -> String {
    format!("{OFFICIAL_IMAGE}:{TAG}")
}

/// Why a setting cannot be taken, if it cannot.
pub(super) fn refused(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    if name.is_empty() || !name.chars().all(plain) {
        return Some(
            "is not the name of a setting: lowercase letters, digits, `.` and `-`".to_owned(),
        );
    }
    let decided = DECIDED.iter().find(|prefix| name.starts_with(*prefix))?;
    Some(format!(
        "settings that begin with `{decided}` come from other fields of the spec or from the operator"
    ))
}

/// What it tells of itself, as settings.
fn telemetry(spec: &TelemetrySpec) -> Vec<(&'static str, Value)> {
    let flag = |on: bool| json!(if on { "true" } else { "false" });
    let mut all = vec![
        ("telemetry.logs.std", json!(spec.logs.format)),
        ("telemetry.logs.std.level", json!(spec.logs.level)),
        ("telemetry.logs.std.color", flag(false)),
        // Only standard output is read in a cluster.
        ("telemetry.logs.local", json!("none")),
        (
            "telemetry.metrics.cloud",
            flag(spec.azure_monitor != Some(false)),
        ),
    ];
    match &spec.stats_d {
        None => all.push(("telemetry.metrics.local", json!("none"))),
        Some(one) => all.extend([
            ("telemetry.metrics.local", json!("statsd")),
            (
                "telemetry.metrics.local.statsd.endpoint",
                json!(one.endpoint),
            ),
            // The chart's defaults.
            ("telemetry.metrics.local.statsd.sampling", json!("1")),
            (
                "telemetry.metrics.local.statsd.tag-format",
                json!("dogStatsD"),
            ),
        ]),
    }
    if let Some(one) = &spec.open_telemetry {
        all.extend([
            ("observability.opentelemetry.enabled", flag(true)),
            (
                "observability.opentelemetry.collector.uri",
                json!(one.collector),
            ),
        ]);
    }
    all
}

/// The environment of the container: the image takes its settings from there.
fn environment(desired: &DesiredGateway, spec: &SelfHostedGatewaySpec) -> Vec<Value> {
    let mut all = vec![
        json!({"name": "config.service.endpoint", "value": desired.endpoint}),
        json!({"name": "config.service.auth", "valueFrom": {"secretKeyRef": {
            "name": desired.secret, "key": super::objects::TOKEN_KEY,
        }}}),
    ];
    if let Some(host) = &desired.neighbours {
        all.push(json!({"name": "neighborhood.host", "value": host}));
    }
    let own = spec
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), json!(value)));
    let told = telemetry(&spec.telemetry).into_iter().chain(own);
    all.extend(told.map(|(name, value)| json!({"name": name, "value": value})));
    all
}

/// The container.
pub(super) fn container(desired: &DesiredGateway, spec: &SelfHostedGatewaySpec) -> Value {
    let probe = |period: u32| {
        json!({
            "httpGet": {"path": HEALTH, "port": "gateway-http"}, "periodSeconds": period,
        })
    };
    let mut container = Map::new();
    container.insert("name".into(), json!("gateway"));
    container.insert("image".into(), json!(desired.image));
    container.insert("env".into(), environment(desired, spec).into());
    container.insert(
        "ports".into(),
        json!([
            {"name": "gateway-http", "containerPort": HTTP, "protocol": "TCP"},
            {"name": "gateway-https", "containerPort": HTTPS, "protocol": "TCP"},
            {"name": "gateway-sync", "containerPort": SYNC, "protocol": "UDP"},
            {"name": "gateway-beat", "containerPort": HEARTBEAT, "protocol": "UDP"},
        ]),
    );
    container.insert("readinessProbe".into(), probe(10));
    container.insert("livenessProbe".into(), probe(20));
    let usual = || json!({"requests": {"cpu": "2", "memory": "2Gi"}});
    container.insert(
        "resources".into(),
        spec.resources.clone().unwrap_or_else(usual),
    );
    container.insert(
        "securityContext".into(),
        json!({
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": true, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"},
        }),
    );
    container.into()
}
