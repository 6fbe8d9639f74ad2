//! The ways into the cluster other than an Ingress.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::world;
use crate::build::build;
use crate::desired::{Desired, Exposure};
use crate::exposure::object::ObjectFacts;
use crate::exposure::{
    GatewayFacts, KINDS, Listener, ServiceFacts, ServicePort, ServiceReach, Way, origin,
};
use crate::gateway::select::Reach;
use crate::names::ObjectKey;
use crate::validate::test_support::{World, meta, spec};

fn exposed(settings: &Value) -> World {
    let mut world = world(&json!({"exposure": settings, "ownerMay": ["exposure"]}));
    world.exposure.objects.clear();
    world
}

fn desired(world: &World, annotations: &[(&str, &str)]) -> Desired {
    let validated = world.validate(&meta(annotations), &spec(&json!({})));
    build(&validated.unwrap())
}

fn refusal(world: &World, annotations: &[(&str, &str)]) -> String {
    let rejection = world.validate(&meta(annotations), &spec(&json!({})));
    let rejection = rejection.unwrap_err();
    format!(
        "{} {}",
        rejection.reason.as_str(),
        crate::status::summary(&rejection.problems)
    )
}

/// The spec that is applied, also with an earlier path.
fn applied(desired: &Desired, also: &[&str]) -> Value {
    let also: BTreeSet<String> = also.iter().map(|path| (*path).to_owned()).collect();
    desired.exposure.object().unwrap().spec(&also)
}

/// The URL, or what is waited for.
fn url(world: &World, desired: &Desired) -> String {
    match origin(&desired.exposure, &world.exposure).unwrap() {
        Ok(origin) => origin.url,
        Err(waits) => format!("{}: {}", waits.reason.as_str(), waits.message),
    }
}

fn http_route() -> World {
    exposed(&json!({
        "way": "http-route",
        "httpRoute": {"parents": [{"namespace": "gateways", "name": "public", "section": "tls"}]},
    }))
}

#[test]
fn an_http_route_names_its_gateway_and_what_defaults_would_add() {
    let world = http_route();
    let desired = desired(&world, &[]);
    insta::assert_json_snapshot!(applied(&desired, &["/old"]));
    let kind = desired.exposure.object().unwrap().kind();
    assert_eq!(
        (kind.kind, kind.api_version().as_str()),
        ("HTTPRoute", "gateway.networking.k8s.io/v1")
    );
    assert_eq!(
        (kind.paths)(&applied(&desired, &["/old"])),
        ["/shop/catalog/v4", "/old"]
    );
}

#[test]
fn an_http_route_is_reached_once_a_gateway_with_an_address_takes_it() {
    let mut world = http_route();
    let desired = desired(&world, &[]);
    assert_eq!(
        url(&world, &desired),
        "NoAddress: HTTPRoute `apim-api-catalog` is not there yet"
    );
    let kind = desired.exposure.object().unwrap().kind();
    let mut said = |conditions: Value| {
        let status = json!({"status": {"parents": [{"conditions": conditions}]}});
        let facts = ObjectFacts {
            uid: "u".into(),
            ..(kind.facts)(&status)
        };
        world.exposure.objects.insert("HTTPRoute", facts);
        url(&world, &desired)
    };
    let condition = |name: &str, status: &str| json!({"type": name, "status": status, "reason": "NotAllowedByListeners", "message": "no listener of it takes routes of this namespace"});
    assert_eq!(
        said(json!([])),
        "NotAccepted: Gateway `gateways/public` does not exist; create it, or name another one in \
         `exposure.httpRoute.parents`"
    );
    let key = ObjectKey::new("gateways", "public");
    world
        .exposure
        .gateways
        .insert(key.clone(), GatewayFacts::default());
    let mut said = |conditions: Value| {
        let status = json!({"status": {"parents": [{"conditions": conditions}]}});
        let facts = ObjectFacts {
            uid: "u".into(),
            ..(kind.facts)(&status)
        };
        world.exposure.objects.insert("HTTPRoute", facts);
        url(&world, &desired)
    };
    assert_eq!(
        said(json!([])),
        "NotAccepted: no Gateway has taken HTTPRoute `apim-api-catalog` yet; Gateway `gateways/public` is asked to"
    );
    assert_eq!(
        said(json!([condition("Accepted", "False")])),
        "NotAccepted: Gateway `gateways/public` does not take HTTPRoute `apim-api-catalog`: \
         NotAllowedByListeners: no listener of it takes routes of this namespace"
    );
    assert!(
        said(json!([
            condition("Accepted", "True"),
            condition("ResolvedRefs", "False")
        ]))
        .starts_with("NotAccepted")
    );
    assert_eq!(
        said(json!([
            condition("Accepted", "True"),
            condition("ResolvedRefs", "True")
        ])),
        "NoAddress: Gateway `gateways/public` has no address yet"
    );
    let listener = |name: &str, protocol: &str, port, hostname: Option<&str>| Listener {
        name: name.into(),
        protocol: protocol.into(),
        port,
        hostname: hostname.map(str::to_owned),
    };
    for (listeners, expected) in [
        (
            vec![listener("web", "HTTP", 80, None)],
            "NotAccepted: Gateway `gateways/public` has no listener `tls`",
        ),
        (
            vec![listener("tls", "HTTPS", 443, None)],
            "https://192.0.2.7",
        ),
        (
            vec![listener("tls", "HTTPS", 8443, Some("*.example.org"))],
            "https://192.0.2.7:8443",
        ),
        (
            vec![
                listener("web", "HTTP", 80, None),
                listener("tls", "HTTPS", 443, Some("in.example.org")),
            ],
            "https://in.example.org",
        ),
        (
            vec![listener("tls", "HTTP", 8080, None)],
            "http://192.0.2.7:8080",
        ),
    ] {
        let gateway = GatewayFacts {
            address: Some("192.0.2.7".into()),
            listeners,
        };
        world.exposure.gateways.insert(key.clone(), gateway);
        assert_eq!(url(&world, &desired), expected);
    }
}

#[test]
fn istio_matches_whole_segments_and_sends_callers_to_the_host() {
    let mut world = exposed(&json!({
        "way": "istio", "host": "apis.example.org",
        "istio": {"gateways": ["istio-system/public"], "tls": true},
    }));
    let desired = desired(&world, &[]);
    insta::assert_json_snapshot!(applied(&desired, &[]));
    let kind = desired.exposure.object().unwrap().kind();
    assert_eq!(
        (kind.paths)(&applied(&desired, &["/old"])),
        ["/shop/catalog/v4", "/old"]
    );
    world.exposure.objects.insert(
        "VirtualService",
        ObjectFacts {
            uid: "u".into(),
            ..ObjectFacts::default()
        },
    );
    assert_eq!(url(&world, &desired), "https://apis.example.org");
}

fn with_service(mut world: World) -> World {
    world.exposure.service = Some(ServiceFacts {
        uid: "u-svc".into(),
        selector: [("app".to_owned(), "catalog".to_owned())].into(),
        ports: vec![ServicePort {
            port: 8080,
            target: json!("web"),
            app_protocol: None,
        }],
        reach: ServiceReach::Cluster,
    });
    world
}

fn reaching(reach: ServiceReach, world: &mut World) {
    world.exposure.service.as_mut().unwrap().reach = reach;
}

#[test]
fn a_load_balancer_leads_to_the_pods_of_the_implementation() {
    let mut world = with_service(exposed(&json!({
        "way": "internal-load-balancer", "loadBalancer": {"subnet": "apim-backends"}, "annotations": {"a": "b"},
    })));
    let desired = desired(&world, &[]);
    let object = desired.exposure.object().unwrap();
    insta::assert_json_snapshot!(
        json!({"annotations": object.annotations(), "spec": applied(&desired, &[])})
    );
    let facts = |status: Value| (object.kind().facts)(&json!({"status": status}));
    world.exposure.objects.insert("Service", facts(json!({})));
    assert_eq!(
        url(&world, &desired),
        "NoAddress: Service `apim-api-catalog` has no address: the cloud gives its load balancer one"
    );
    let given = facts(json!({"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}));
    world.exposure.objects.insert("Service", given);
    assert_eq!(url(&world, &desired), "http://10.1.2.3:8080");
    let public = self::desired(&world, &[("exposure", "load-balancer")]);
    assert_eq!(
        json!(public.exposure.object().unwrap().annotations()),
        json!({"a": "b"})
    );
}

#[test]
fn a_service_that_has_a_load_balancer_of_the_kind_asked_for_is_used_as_it_is() {
    let mut world = with_service(exposed(&json!({"way": "internal-load-balancer"})));
    let balanced = |internal, address: Option<&str>| ServiceReach::Balanced {
        internal,
        address: address.map(str::to_owned),
    };
    reaching(balanced(true, None), &mut world);
    let own = desired(&world, &[]);
    assert!(own.exposure.object().is_none());
    assert_eq!(
        url(&world, &own),
        "NoAddress: Service `catalog-svc` has no address: the cloud gives its load balancer one"
    );
    reaching(balanced(true, Some("10.1.2.3")), &mut world);
    let own = desired(&world, &[]);
    assert_eq!(
        own.api.unwrap().service_url.as_deref(),
        Some("http://10.1.2.3:8080/shop/catalog/v4")
    );
    // A public one is not what was asked for.
    reaching(balanced(false, Some("20.1.2.3")), &mut world);
    let ours = desired(&world, &[]);
    assert_eq!(ours.exposure.object().unwrap().name(), "apim-api-catalog");
    let public = desired(&world, &[("exposure", "load-balancer")]);
    assert_eq!(url(&world, &public), "http://20.1.2.3:8080");

    let spec = spec(&json!({"port": 9000}));
    let rejection = world.validate(&meta(&[("exposure", "load-balancer")]), &spec);
    assert_eq!(
        crate::status::summary(&rejection.unwrap_err().problems),
        "spec.port: Service `catalog-svc` has no port 9000; it has 8080"
    );
}

#[test]
fn a_service_that_is_another_name_for_an_allowed_host_is_called_there() {
    let settings = json!({
        "exposure": {"way": "external"}, "allow": {"backendHosts": ["orders.example.com"]},
    });
    let mut world = with_service(world(&settings));
    let mut backend = |host: &str, port: u16| {
        reaching(ServiceReach::Named(host.into()), &mut world);
        let spec = spec(&json!({"port": port, "specification": null}));
        let validated = world.validate(&meta(&[]), &spec).unwrap();
        build(&validated).api.unwrap().service_url
    };
    assert_eq!(
        backend("orders.example.com", 443).as_deref(),
        Some("https://orders.example.com/shop/catalog/v4")
    );
    assert_eq!(
        backend("orders.example.com", 8443).as_deref(),
        Some("https://orders.example.com:8443/shop/catalog/v4")
    );
    assert_eq!(backend("other.example.com", 443), None);
}

#[test]
fn a_port_of_every_node_is_the_one_that_was_allocated() {
    let mut world = with_service(exposed(&json!({
        "way": "node-port", "nodePort": {"address": "nodes.internal"},
    })));
    let desired = desired(&world, &[]);
    assert_eq!(applied(&desired, &[])["type"], "NodePort");
    let kind = desired.exposure.object().unwrap().kind();
    let made = json!({"spec": {"ports": [{"port": 8080, "nodePort": 31234}]}});
    world
        .exposure
        .objects
        .insert("Service", (kind.facts)(&made));
    assert_eq!(url(&world, &desired), "http://nodes.internal:31234");
    // The answer to the write that makes it has the port already.
    let mut made = desired.clone();
    assert_eq!(made.api.as_ref().unwrap().service_url, None);
    made.exposed(&world.exposure);
    assert_eq!(
        made.api.unwrap().service_url.as_deref(),
        Some("http://nodes.internal:31234/shop/catalog/v4")
    );
}

#[test]
fn a_gateway_in_the_cluster_calls_the_service() {
    let desired = desired(&exposed(&json!({"way": "in-cluster"})), &[]);
    let url = "http://catalog-svc.components.svc:8080/shop/catalog/v4";
    assert_eq!(desired.exposure, Exposure::InCluster { url: url.into() });
    assert_eq!(desired.api.unwrap().service_url.as_deref(), Some(url));
}

#[test]
fn a_gateway_of_ours_is_where_callers_reach_the_api_without_tls_where_that_is_allowed() {
    let reach = Reach {
        key: ObjectKey::new("components", "edge"),
        host: Some("apim-gateway-edge.components.svc".into()),
        trouble: None,
    };
    for (protocols, origin) in [
        (json!(["https"]), "https://apim-gateway-edge.components.svc"),
        (
            json!(["http", "https"]),
            "http://apim-gateway-edge.components.svc",
        ),
    ] {
        let exposure = json!({"way": "in-cluster"});
        let mut world = world(&json!({"exposure": exposure, "protocols": protocols}));
        world.exposure.gateway = Some(Box::new(reach.clone()));
        let validated = world.validate(&meta(&[]), &spec(&json!({}))).unwrap();
        assert_eq!(validated.url(), Some(format!("{origin}/shop/catalog/v4")));
    }
    // While its load balancer has no address, there is none.
    let mut waits = exposed(&json!({"way": "in-cluster"}));
    waits.exposure.gateway = Some(Box::new(Reach {
        host: None,
        ..reach
    }));
    let validated = waits.validate(&meta(&[]), &spec(&json!({}))).unwrap();
    assert_eq!(validated.url(), None);
}

#[test]
fn what_a_way_needs_and_does_not_have_is_named() {
    let plain = exposed(&json!({}));
    for (way, expected) in [
        (
            "http-route",
            "InvalidSpec metadata.annotations[apim.oda.tmforum.org/exposure]: exposure `http-route` needs the \
             Gateways that take its routes: ask the platform team to set `exposure.httpRoute.parents` in instance `eu`",
        ),
        (
            "istio",
            "InvalidSpec metadata.annotations[apim.oda.tmforum.org/exposure]: exposure `istio` needs a Gateway of \
             Istio: ask the platform team to set `exposure.istio.gateways` in instance `eu`",
        ),
        (
            "node-port",
            "InvalidSpec metadata.annotations[apim.oda.tmforum.org/exposure]: exposure `node-port` needs the address \
             at which API Management reaches the nodes: ask the platform team to set `exposure.nodePort.address` in \
             instance `eu`",
        ),
        (
            "load-balancer",
            "NoService spec.implementation: Service `catalog-svc` does not exist in this namespace; a Service of its \
             own leads to the same pods",
        ),
    ] {
        assert_eq!(refusal(&plain, &[("exposure", way)]), expected);
    }
    let mut other = with_service(plain);
    other.exposure.service.as_mut().unwrap().ports[0].port = 80;
    assert_eq!(
        refusal(&other, &[("exposure", "load-balancer")]),
        "InvalidSpec spec.port: Service `catalog-svc` has no port 8080; it has 80"
    );
    other.exposure.service.as_mut().unwrap().selector.clear();
    other.exposure.service.as_mut().unwrap().ports[0].port = 8080;
    assert!(refusal(&other, &[("exposure", "load-balancer")]).contains("selects no pods"));
}

#[test]
fn a_way_that_there_is_not_is_refused_with_those_that_there_are() {
    let said = refusal(&exposed(&json!({})), &[("exposure", "loadbalancer")]);
    for (way, _) in Way::ALL {
        assert!(said.contains(way), "{said}");
    }
}

#[test]
fn owners_choose_a_way_only_where_the_instance_lets_them() {
    let said = refusal(&world(&json!({})), &[("exposure", "in-cluster")]);
    assert!(said.starts_with("Forbidden"), "{said}");
}

#[test]
fn every_way_is_spelled_as_in_settings_and_every_kind_has_a_name_of_its_own() {
    for (name, way) in Way::ALL {
        assert_eq!(json!(way), name);
        assert_eq!(way.to_string(), name);
    }
    let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.kind).collect();
    assert_eq!(names.len(), KINDS.len());
}
