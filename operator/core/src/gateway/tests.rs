//! The whole of what is made of a gateway, and what it cannot be.

use serde_json::{Value, json};

use super::{DesiredGateway, gateway};
use crate::instance::{Instance, InstanceContext, InstanceDefaults, example};
use crate::names::{InstanceName, ObjectKey};

fn instance() -> Instance {
    let spec = json!({
        "subscriptionId": "s", "resourceGroup": "r", "serviceName": "contoso", "tenantId": "t", "clientId": "c",
        "apiIdPrefix": "prod.", "allow": {"images": ["registry.example.com/gateway:*"]},
    });
    let spec = serde_json::from_value(spec).unwrap();
    let name = InstanceName::parse("default").unwrap();
    Instance::new(name, spec, &InstanceDefaults::default()).unwrap()
}

fn context(sku: &str) -> InstanceContext {
    let (_, context) = example(&InstanceDefaults::default()).unwrap();
    InstanceContext {
        sku: sku.into(),
        ..context
    }
}

fn made(name: &str, spec: Value, sku: &str) -> Result<DesiredGateway, Vec<String>> {
    let spec = serde_json::from_value(spec).unwrap();
    let key = ObjectKey::new("shop", name);
    gateway(&spec, &key, &instance(), &context(sku), "0123456789")
        .map_err(|all| all.iter().map(ToString::to_string).collect())
}

fn refused(spec: Value) -> Vec<String> {
    made("edge", spec, "Developer").unwrap_err()
}

fn fields(spec: Value) -> Vec<String> {
    let field = |text: &String| text.split(": ").next().unwrap().to_owned();
    refused(spec).iter().map(field).collect()
}

#[test]
fn a_shared_gateway_that_says_nothing_is_as_the_official_chart_has_it() {
    let made = made("edge", json!({"apis": {"selector": {}}}), "Developer").unwrap();
    insta::assert_json_snapshot!(made);
}

#[test]
fn a_gateway_that_says_everything_has_all_of_it() {
    let spec = json!({
        "apis": {"selector": {"matchLabels": {"edge": "yes"}}, "namespaceSelector": {"matchLabels": {"edge": "yes"}}},
        "location": {"name": "Bern", "city": "Bern", "countryOrRegion": "CH"},
        "description": "At the edge",
        "image": "registry.example.com/gateway:2.9.1",
        "configurationEndpoint": "config.example.org",
        "autoscaling": {"minReplicas": 3, "maxReplicas": 9, "cpuPercent": 60},
        "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}},
        "service": {"type": "InternalLoadBalancer"},
        "networkPolicy": {"from": [{"namespace": "front", "podLabels": {"app": "web"}}, {"subnet": "10.1.0.0/24"}]},
        "telemetry": {
            "logs": {"format": "text", "level": "warn"}, "azureMonitor": false,
            "statsD": {"endpoint": "statsd:8125"}, "openTelemetry": {"collector": "http://otel:4317"},
        },
        "settings": {"net.client.tls.ciphers.allowed-suites": "A,B"},
        "token": {"validity": "48h"}, "rotation": {"every": "720h"},
    });
    let made = made("edge", spec, "Premium").unwrap();
    assert_eq!(made.validity.as_secs(), 48 * 3600);
    assert_eq!(made.every.map(|every| every.as_secs()), Some(720 * 3600));
    insta::assert_json_snapshot!(made);
}

#[test]
fn a_token_starts_pods_anew_and_changes_nothing_else() {
    let made = made("edge", json!({"apis": {"selector": {}}}), "Developer").unwrap();
    for object in made.objects {
        let mut with = object.clone().with_token("2026-03-01T00:00:00Z");
        if object.runs {
            let template = with.spec["template"]["metadata"].as_object_mut().unwrap();
            assert_eq!(
                template.remove("annotations"),
                Some(json!({"apim.oda.tmforum.org/gateway-token-until": "2026-03-01T00:00:00Z"}))
            );
        }
        assert_eq!(with, object);
    }
}

#[test]
fn a_sidecar_is_a_container_and_nothing_else() {
    let spec = json!({
        "mode": "Sidecar", "apis": {"name": "stock"}, "sidecar": {"deployment": "stock"},
    });
    let made = made("beside", spec, "Developer").unwrap();
    assert_eq!(made.objects, []);
    let container = made.container.unwrap();
    assert_eq!(container["ports"][0]["containerPort"], 8080);
    let names: Vec<&Value> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    // Nobody else's pods are asked to count together.
    assert!(!names.contains(&&json!("neighborhood.host")), "{names:?}");
}

#[test]
fn a_backend_that_is_not_there_yet_is_deployed_from_an_image_that_the_platform_allows() {
    let backend = json!({
        "image": "registry.example.com/gateway:stock", "port": 3000, "service": "stock", "env": {"MODE": "x"},
    });
    let spec = json!({"mode": "Sidecar", "apis": {"name": "stock"}, "backend": backend});
    let beside = made("stock", spec, "Developer").unwrap();
    insta::assert_json_snapshot!(beside.objects);
    let spec = json!({"mode": "PrivateJet", "apis": {"name": "stock"}, "backend": backend});
    let alone = made("stock", spec, "Developer").unwrap();
    let named = |runs: bool| {
        let all = alone
            .objects
            .iter()
            .filter(|one| one.runs == runs && one.kind == "Deployment");
        all.map(|one| one.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (named(true), named(false)),
        (
            vec!["apim-gateway-stock".to_owned()],
            vec!["apim-backend-stock".to_owned()]
        )
    );

    let evil = json!({"image": "evil:1", "port": 8080, "service": "A", "replicas": 0});
    assert_eq!(
        fields(json!({
            "mode": "Sidecar", "apis": {"name": "stock"}, "backend": evil, "sidecar": {"deployment": "x"},
        })),
        [
            "spec.sidecar",
            "spec.backend.image",
            "spec.backend.service",
            "spec.backend.port",
            "spec.backend.replicas"
        ]
    );
    assert_eq!(
        fields(json!({"apis": {"selector": {}}, "backend": backend})),
        ["spec.backend"]
    );
}

#[test]
fn a_tier_without_self_hosted_gateways_is_refused_with_the_way_out() {
    for sku in [
        "Consumption",
        "Basic",
        "BasicV2",
        "Standard",
        "StandardV2",
        "PremiumV2",
    ] {
        let refused = made("edge", json!({"apis": {"selector": {}}}), sku).unwrap_err();
        assert_eq!(
            refused,
            [format!(
                "spec.instance: the {sku} tier has no self-hosted gateways; use an instance of tier Developer or Premium"
            )]
        );
    }
    assert!(made("edge", json!({"apis": {"selector": {}}}), "Isolated").is_ok());
}

#[test]
fn what_a_gateway_cannot_be_is_refused_by_its_field() {
    assert_eq!(fields(json!({})), ["spec.apis"]);
    assert_eq!(
        fields(json!({"apis": {"name": "stock", "selector": {}}})),
        ["spec.apis"]
    );
    assert_eq!(
        fields(json!({"mode": "PrivateJet", "apis": {"selector": {}, "namespaceSelector": {}}})),
        ["spec.apis", "spec.apis.namespaceSelector"]
    );
    assert_eq!(
        fields(json!({
            "mode": "Sidecar", "apis": {"name": "stock"}, "replicas": 2, "networkPolicy": {"from": []},
        })),
        ["spec.sidecar", "spec.replicas", "spec.networkPolicy"]
    );
    assert_eq!(
        fields(json!({
            "apis": {"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            "description": "d".repeat(960), "image": "docker.io/evil:1", "configurationEndpoint": "https://x/",
            "replicas": 0, "autoscaling": {"minReplicas": 5, "maxReplicas": 4, "cpuPercent": 0},
            "location": {"name": " ", "city": "c".repeat(257)},
            "networkPolicy": {"from": [{}, {"namespace": "a", "ports": [80]}]},
            "telemetry": {"statsD": {"endpoint": "statsd"}, "openTelemetry": {"collector": "otel:4317"}},
            "settings": {"config.service.auth": "x", "Net": "x"},
            "token": {"validity": "721h"}, "rotation": {"every": "1m"},
            "sidecar": {"deployment": "stock"},
        })),
        [
            "spec.apis.selector.matchExpressions[0].values",
            "spec.sidecar",
            "spec.replicas",
            "spec.replicas",
            "spec.autoscaling.maxReplicas",
            "spec.autoscaling.cpuPercent",
            "spec.networkPolicy.from[0]",
            "spec.networkPolicy.from[1].ports",
            "spec.settings[Net]",
            "spec.settings[config.service.auth]",
            "spec.telemetry.statsD.endpoint",
            "spec.telemetry.openTelemetry.collector",
            "spec.description",
            "spec.location.name",
            "spec.location.city",
            "spec.image",
            "spec.configurationEndpoint",
            "spec.token.validity",
            "spec.rotation.every",
        ]
    );
    for name in ["a.b", &"a".repeat(41)] {
        let refused = made(name, json!({"apis": {"selector": {}}}), "Developer").unwrap_err();
        assert!(refused[0].starts_with("metadata.name: "), "{refused:?}");
    }
    let foreign = "mcr.microsoft.com/azure-api-management/gateway-evil:v2";
    assert_eq!(
        refused(json!({"apis": {"selector": {}}, "image": foreign})),
        [
            "spec.image: `mcr.microsoft.com/azure-api-management/gateway-evil:v2` is neither of \
             `mcr.microsoft.com/azure-api-management/gateway` nor allowed by instance `default`; ask the platform \
             team for `allow.images`"
        ]
    );
}

#[test]
fn an_id_holds_eighty_characters() {
    let name = "g".repeat(40);
    let key = ObjectKey::new("n".repeat(63), name);
    let id = crate::mark::gateway_id("prod.", &key);
    assert_eq!(id.chars().count(), 80);
    assert!(id.starts_with("prod.nnn"), "{id}");
}
