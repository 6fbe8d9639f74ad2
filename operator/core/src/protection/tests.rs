//! What each protection makes, and what it says where it cannot be had.

use serde_json::{Value, json};

use crate::build::build;
use crate::desired::{Desired, Exposure};
use crate::exposure::{RoutedFacts, ServiceFacts, ServicePort, ServiceReach};
use crate::validate::test_support::{World, instance, meta, spec, try_instance};

fn guarded(exposure: &Value) -> World {
    let settings = json!({
        "exposure": exposure, "ownerMay": ["exposure", "ingress-*", "routes"],
        "allow": {"ingressAnnotations": ["*"]},
    });
    let mut world = World::with(instance("eu", &settings));
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

fn desired(world: &World, annotations: &[(&str, &str)]) -> Desired {
    let validated = world.validate(&meta(annotations), &spec(&json!({})));
    build(&validated.unwrap())
}

/// Each object by kind, and the annotations of the Ingress.
fn made(world: &World, annotations: &[(&str, &str)]) -> Value {
    let desired = desired(world, annotations);
    let mut made = json!({});
    for one in &desired.protections {
        assert_eq!(one.name, "apim-api-catalog");
        let place = format!("{} {}", one.kind.api_version(), one.kind.kind);
        made[place] = one.spec.clone();
    }
    if let Exposure::Ingress(ingress) = &desired.exposure {
        made["annotations"] = json!(ingress.annotations);
    }
    made
}

fn refusal(world: &World, annotations: &[(&str, &str)]) -> String {
    let rejection = world.validate(&meta(annotations), &spec(&json!({})));
    let rejection = rejection.unwrap_err();
    let summary = crate::status::summary(&rejection.problems);
    format!("{} {summary}", rejection.reason.as_str())
}

#[test]
fn nothing_is_made_unless_it_is_asked_for() {
    let world = guarded(&json!({}));
    assert_eq!(made(&world, &[]), json!({"annotations": {}}));
    assert_eq!(desired(&world, &[]).protections, []);
}

#[test]
fn a_network_policy_admits_whom_the_settings_name_at_the_port_of_the_api() {
    let world = guarded(&json!({"protection": {"networkPolicy": {"from": [
        {"namespace": "ingress-nginx", "podLabels": {"app": "controller"}},
        {"subnet": "10.1.0.0/24"},
        {"namespace": "monitoring", "ports": [9090, "metrics"]},
    ]}}}));
    insta::assert_json_snapshot!(made(&world, &[]));
    // Whatever the way; nothing of ours is in front of what is elsewhere.
    for way in ["node-port", "in-cluster", "load-balancer"] {
        let settings = json!({
            "way": way, "nodePort": {"address": "nodes.example"},
            "protection": {"networkPolicy": {"from": [{"subnet": "10.1.0.0/24"}]}},
        });
        let guarded = guarded(&settings);
        // A node would connect in the place of whoever calls.
        if let Some(object) = desired(&guarded, &[]).exposure.object() {
            assert_eq!(object.spec(&[].into())["externalTrafficPolicy"], "Local");
        }
        let made = made(&guarded, &[]);
        assert_eq!(
            made["networking.k8s.io/v1 NetworkPolicy"]["ingress"][0]["from"][0]["ipBlock"]["cidr"],
            "10.1.0.0/24",
            "{way}"
        );
    }
    assert_eq!(desired(&world, &[("exposure", "external")]).protections, []);
}

#[test]
fn pods_that_are_not_known_cannot_be_protected() {
    let mut world =
        guarded(&json!({"protection": {"networkPolicy": {"from": [{"namespace": "edge"}]}}}));
    world.exposure.service.as_mut().unwrap().selector.clear();
    assert_eq!(
        refusal(&world, &[]),
        "InvalidSpec spec.implementation: Service `catalog-svc` selects no pods, and \
         `exposure.protection.networkPolicy` of instance `eu` protects pods; give the Service a selector"
    );
    world.exposure.service = None;
    assert_eq!(
        refusal(&world, &[]),
        "NoService spec.implementation: Service `catalog-svc` does not exist in this namespace; \
         `exposure.protection.networkPolicy` protects its pods"
    );
}

fn service(app: &str, target: u16) -> ServiceFacts {
    ServiceFacts {
        uid: format!("u-{app}"),
        selector: [("app".to_owned(), app.to_owned())].into(),
        ports: vec![ServicePort {
            port: 80,
            target: json!(target),
            app_protocol: None,
        }],
        reach: ServiceReach::Cluster,
    }
}

#[test]
fn the_pods_of_each_service_behind_an_api_are_protected() {
    let mut world = guarded(&json!({"protection": {
        "networkPolicy": {"from": [{"namespace": "edge"}]}, "istio": {"strict": true},
    }}));
    world.exposure.routed = ["orders", "items"]
        .map(|app| {
            let facts = RoutedFacts {
                exists: true,
                ready: true,
                service: Some(service(app, 9000)),
            };
            (app.to_owned(), facts)
        })
        .into();
    let routes = "[{paths: [/orders], implementation: orders, port: 80}, {paths: [/items], implementation: items, port: \
                  80}, {paths: [/old], implementation: items, port: 81}, {paths: [/admin], implementation: \
                  catalog-svc, port: 9090}]";
    let made = |world: &World| {
        let protections = desired(world, &[("routes", routes)])
            .protections
            .into_iter();
        protections
            .map(|one| format!("{} {} {}", one.kind.kind, one.name, one.spec))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(made(&world));
    // Without the routes the others' pods are none of this API's.
    assert_eq!(desired(&world, &[]).protections.len(), 2);
    // One that is not there yet is waited for, and named where it is asked for.
    world.exposure.routed.get_mut("items").unwrap().service = None;
    let told = refusal(&world, &[("routes", routes)]);
    let missing = "NoService metadata.annotations[apim.oda.tmforum.org/routes]: Service `items` does not exist in this \
                   namespace; `exposure.protection.networkPolicy` protects its pods";
    assert!(told.starts_with(missing), "{told}");
}

fn behind(controller: &str, protection: &Value) -> World {
    guarded(&json!({
        "ingressController": controller, "host": "in.example", "tlsSecret": "tls",
        "annotations": {"a": "b"}, "protection": protection,
    }))
}

#[test]
fn an_allow_list_is_said_in_the_words_of_each_controller() {
    let list =
        json!({"allowList": {"addresses": ["2001:db8::/64", "198.51.100.0/28", "20.0.0.7/32"]}});
    let all: Value = ["ingress-nginx", "haproxy", "haproxy-ingress", "traefik"]
        .into_iter()
        .map(|controller| (controller.to_owned(), made(&behind(controller, &list), &[])))
        .collect();
    insta::assert_json_snapshot!(all);
}

#[test]
fn a_middleware_of_the_platforms_comes_after_ours() {
    let world = guarded(&json!({
        "ingressController": "traefik", "protection": {"allowList": {}},
        "annotations": {"traefik.ingress.kubernetes.io/router.middlewares": "edge-headers@kubernetescrd"},
    }));
    assert_eq!(
        made(&world, &[])["annotations"],
        json!({"traefik.ingress.kubernetes.io/router.middlewares":
            "components-apim-api-catalog@kubernetescrd,edge-headers@kubernetescrd"})
    );
}

#[test]
fn a_load_balancer_of_ours_admits_the_addresses_itself() {
    let world = guarded(&json!({"way": "load-balancer", "protection": {"allowList": {}}}));
    let desired = desired(&world, &[]);
    let spec = desired.exposure.object().unwrap().spec(&[].into());
    assert_eq!(spec["loadBalancerSourceRanges"], json!(["20.0.0.7/32"]));
}

#[test]
fn an_allow_list_that_cannot_be_had_is_refused_with_the_way_out() {
    let list = json!({"allowList": {}});
    let mut own = guarded(&json!({"way": "load-balancer", "protection": list}));
    own.exposure.service.as_mut().unwrap().reach = ServiceReach::Balanced {
        internal: false,
        address: None,
    };
    let mut nowhere = behind("ingress-nginx", &list);
    let context = nowhere.context.as_mut().unwrap();
    context.sku = "Consumption".into();
    context.addresses.clear();
    let mesh = json!({
        "way": "istio", "host": "in.example", "istio": {"gateways": ["a/b"]}, "protection": list,
    });
    let all = [
        refusal(&behind("contour", &list), &[]),
        refusal(&guarded(&json!({"protection": list})), &[]),
        refusal(&guarded(&mesh), &[]),
        refusal(
            &behind("haproxy", &list),
            &[("exposure", "internal-load-balancer")],
        ),
        refusal(&own, &[]),
        refusal(&nowhere, &[]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn owners_do_not_get_around_what_protects() {
    let list = json!({"allowList": {}});
    let open = r#"nginx.ingress.kubernetes.io/whitelist-source-range: "0.0.0.0/0""#;
    let said = refusal(
        &behind("ingress-nginx", &list),
        &[("ingress-annotations", open)],
    );
    assert_eq!(
        said,
        "Forbidden metadata.annotations[apim.oda.tmforum.org/ingress-annotations]: \
         `nginx.ingress.kubernetes.io/whitelist-source-range` is what `exposure.protection.allowList` says it in; \
         remove it here"
    );
}

#[test]
fn client_certificates_are_asked_for_in_the_words_of_each_controller() {
    let certificate = json!({"clientCertificate": {"caSecret": "callers"}});
    let all: Value = ["ingress-nginx", "haproxy-ingress", "traefik"]
        .into_iter()
        .map(|controller| {
            let made = made(&behind(controller, &certificate), &[]);
            (controller.to_owned(), made)
        })
        .collect();
    insta::assert_json_snapshot!(all);
}

#[test]
fn client_certificates_that_nobody_asks_for_are_refused() {
    let certificate = json!({"clientCertificate": {"caSecret": "edge/callers"}});
    let open = guarded(&json!({"ingressController": "ingress-nginx", "protection": certificate}));
    let all = [
        refusal(&behind("haproxy", &certificate), &[]),
        refusal(&behind("contour", &certificate), &[]),
        refusal(&behind("traefik", &certificate), &[]),
        refusal(&open, &[]),
        refusal(
            &behind("ingress-nginx", &certificate),
            &[("exposure", "in-cluster")],
        ),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn the_mesh_lets_through_its_own_identities_and_good_tokens_only() {
    let principal = "cluster.local/ns/istio-system/sa/istio-ingressgateway";
    let protection = json!({
        "istio": {"strict": true, "principals": [principal]},
        "token": {"audiences": ["api://orders"], "identities": ["0b1d"], "header": "X-Backend-Token"},
    });
    insta::assert_json_snapshot!(made(&guarded(&json!({"protection": protection})), &[]));
    let own = json!({"issuer": "https://issuer.example", "jwksUri": "https://issuer.example/keys"});
    let token = json!({"token": {"audiences": ["orders"], "issuers": [own]}});
    insta::assert_json_snapshot!(
        "a_token_of_another_issuer",
        made(&guarded(&json!({"protection": token})), &[])
    );
    let outside = json!({"way": "load-balancer", "protection": {"istio": {"strict": true}}});
    assert_eq!(
        refusal(&guarded(&outside), &[]),
        "InvalidInstance ApimInstance/eu spec.exposure.protection.istio: cannot be had with exposure `load-balancer`: \
         what comes in there is not of the mesh, so that the pods would take nothing; use `protection.token`, or choose \
         exposure `istio`, `http-route` or `ingress` behind a gateway of the mesh"
    );
}

#[test]
fn settings_that_protect_nothing_or_nobody_can_meet_are_refused_by_name() {
    let wrong = json!({"exposure": {"protection": {
        "networkPolicy": {"from": [
            {}, {"namespace": "a", "subnet": "10.0.0.0/8"}, {"subnet": "10.0.0.1"}, {"subnet": "10.0.0.0/33"},
            {"namespace": "a", "ports": [0]}, {"namespace": "A b"}, {"subnet": "10.0.0.0/8", "podLabels": {"a": "b"}},
            {"namespace": "a", "ports": []},
        ]},
        "allowList": {"addresses": ["10.0.0.1", "everybody"]},
        "clientCertificate": {"caSecret": "a/b/c"},
        "istio": {},
        "token": {"audiences": [], "issuers": [{"issuer": "", "jwksUri": "http://a"}]},
    }}});
    let problems = try_instance("eu", &wrong).unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let nobody = json!({"exposure": {"protection": {"networkPolicy": {"from": []}}}});
    assert_eq!(try_instance("eu", &nobody).unwrap_err().len(), 1);
}

#[test]
fn every_kind_has_a_name_of_its_own_and_a_role() {
    let mut names: Vec<&str> = super::kinds().map(|kind| kind.kind).collect();
    assert!(super::kinds().all(|kind| kind.role.is_some() || kind.kind == "Ingress"));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), super::kinds().count());
}
