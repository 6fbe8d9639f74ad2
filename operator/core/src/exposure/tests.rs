mod ways;

use serde_json::{Value, json};

use crate::build::build;
use crate::desired::{DesiredIngress, Exposure};
use crate::exposure::ObjectFacts;
use crate::validate::test_support::{World, instance, meta, spec};

fn world(more: &Value) -> World {
    World::with(instance("eu", more))
}

fn ingress(world: &World, annotations: &[(&str, &str)]) -> DesiredIngress {
    let validated = world
        .validate(&meta(annotations), &spec(&json!({})))
        .unwrap();
    match build(&validated).exposure {
        Exposure::Ingress(ingress) => ingress,
        other => panic!("{other:?}"),
    }
}

fn backend(world: &World, annotations: &[(&str, &str)], more: &Value) -> Option<String> {
    let validated = world.validate(&meta(annotations), &spec(more)).unwrap();
    build(&validated).api.unwrap().service_url
}

#[test]
fn annotations_override_the_instances_exposure() {
    let eu = json!({
        "exposure": {"ingressClass": "nginx", "host": "in.example", "tlsSecret": "tls", "annotations": {"a": "1", "b": "2"}},
        "ownerMay": ["ingress-*"],
        "allow": {"hosts": ["*"], "ingressAnnotations": ["*"]},
    });
    let plain = ingress(&world(&eu), &[]);
    assert_eq!(
        (
            plain.class.as_str(),
            plain.host.as_deref(),
            plain.tls_secret.as_deref()
        ),
        ("nginx", Some("in.example"), Some("tls"))
    );
    let own = ingress(
        &world(&eu),
        &[
            ("ingress-class", "traefik"),
            ("ingress-host", "own.example"),
            ("ingress-tls-secret", "own"),
            ("ingress-annotations", "b: '3'\nc: '4'"),
        ],
    );
    insta::assert_json_snapshot!(own);
}

#[test]
fn the_backend_has_the_rules_host_else_the_load_balancers() {
    let with = |hostname: Option<&str>, ip: Option<&str>, exposure: Value| {
        let mut world = world(&json!({"exposure": exposure}));
        let facts = ObjectFacts {
            uid: "u".into(),
            hostname: hostname.map(str::to_owned),
            ip: ip.map(str::to_owned),
            ..ObjectFacts::default()
        };
        world.exposure.objects = [("Ingress", facts)].into();
        backend(&world, &[], &json!({}))
    };
    for (hostname, ip, exposure, expected) in [
        (
            Some("lb.example"),
            Some("10.1.2.3"),
            json!({}),
            Some("http://lb.example/shop/catalog/v4"),
        ),
        (
            None,
            Some("10.1.2.3"),
            json!({}),
            Some("http://10.1.2.3/shop/catalog/v4"),
        ),
        (
            Some(""),
            Some("10.1.2.3"),
            json!({}),
            Some("http://10.1.2.3/shop/catalog/v4"),
        ),
        (
            None,
            Some("fd00::1"),
            json!({}),
            Some("http://[fd00::1]/shop/catalog/v4"),
        ),
        (
            Some("lb.example"),
            None,
            json!({"tlsSecret": "tls"}),
            Some("https://lb.example/shop/catalog/v4"),
        ),
        (
            Some("lb.example"),
            None,
            json!({"tlsSecret": "tls", "host": "in.example"}),
            Some("https://in.example/shop/catalog/v4"),
        ),
        (
            Some("lb.example"),
            None,
            json!({"host": "*.example"}),
            Some("http://lb.example/shop/catalog/v4"),
        ),
        // Nobody answers at the rule's host before there is an address.
        (None, None, json!({"host": "in.example"}), None),
    ] {
        assert_eq!(
            with(hostname, ip, exposure.clone()).as_deref(),
            expected,
            "{exposure}"
        );
    }
}

#[test]
fn the_root_path_adds_nothing() {
    assert_eq!(
        backend(&World::default(), &[], &json!({"path": "/"})).as_deref(),
        Some("http://lb.example.com")
    );
}

#[test]
fn an_assumed_origin_takes_the_place_of_the_address() {
    let mut world = World::default();
    world.exposure.objects.clear();
    world.exposure.assumed_origin = Some("https://backend.invalid".into());
    assert_eq!(
        backend(&world, &[], &json!({})).as_deref(),
        Some("https://backend.invalid/shop/catalog/v4")
    );
}

#[test]
fn an_implementation_outside_the_cluster_is_where_its_document_says() {
    let external = json!({"implementation": "<external>"});
    let allowed = world(&json!({"allow": {"backendHosts": ["backend.example.com"]}}));
    let validated = allowed.validate(&meta(&[]), &spec(&external)).unwrap();
    let desired = build(&validated);
    let url = Some("https://backend.example.com/catalog".to_owned());
    assert_eq!(desired.exposure, Exposure::External { url: url.clone() });
    assert_eq!(desired.api.unwrap().service_url, url);
    for refused in [
        json!({}),
        json!({"allow": {"backendHosts": ["*.example.com", "backend.example.co"]}}),
    ] {
        let Ok(_) = crate::validate::test_support::try_instance("eu", &refused) else {
            continue;
        };
        assert_eq!(backend(&world(&refused), &[], &external), None, "{refused}");
    }
}

#[test]
fn metrics_are_reached_in_the_cluster_and_nowhere_else() {
    for kind in ["prometheus", "openmetrics"] {
        let spec = spec(&json!({"apiType": kind, "specification": null, "path": "/metrics"}));
        let validated = World::default().validate(&meta(&[]), &spec).unwrap();
        let desired = build(&validated);
        let url = "http://catalog-svc.components.svc:8080/metrics";
        assert_eq!(desired.exposure, Exposure::InCluster { url: url.into() });
        assert_eq!(desired.api, None);
        assert_eq!(validated.url().as_deref(), Some(url));
        assert_eq!(validated.chain().iter().count(), 0);
    }
}
