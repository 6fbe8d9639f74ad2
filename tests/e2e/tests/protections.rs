//! What protects what is exposed: the objects that are made, what they follow,
//! and that each right for them, and for the ways, is needed and missed by name.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use apim_simulator::{ServiceSeed, SimulatorConfig};
use e2e::routes::{gateway_api, istio, istio_security, traefik};
use e2e::{PATIENCE, Stage, exposed_api};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch,
    PatchParams, PostParams,
};
use serde_json::{Value, json};
use test_harness::wait_for;

const NAME: &str = "apim-api-catalog";
const INGRESS: &str = "apim-api-ingress-catalog";
const NETWORKING: &str = "networking.k8s.io/v1";
const ISTIO: &str = "security.istio.io/v1";
const RANGES: &str = "nginx.ingress.kubernetes.io/whitelist-source-range";

fn message(status: &Value, kind: &str) -> String {
    let all = status["conditions"].as_array();
    let found = all.and_then(|all| all.iter().find(|condition| condition["type"] == kind));
    let message = found.and_then(|found| found["message"].as_str());
    message.unwrap_or_default().to_owned()
}

/// Services of a tier that says its public addresses.
fn with_addresses(config: &mut SimulatorConfig) {
    for service in &mut config.seed.services {
        "Developer".clone_into(&mut service.sku);
    }
}

/// The instance with other settings for its exposure.
async fn set(stage: &Stage, exposure: &Value) {
    let mut instance = stage.instance_manifest();
    instance["spec"]["exposure"] = exposure.clone();
    stage.apply(&instance).await.unwrap();
}

async fn until_gone(api: &Api<DynamicObject>, name: &str) {
    wait_for(api, name, "gone", PATIENCE, |object| {
        object.is_none().then_some(())
    })
    .await
    .unwrap();
}

async fn until_there(api: &Api<DynamicObject>, name: &str) -> DynamicObject {
    wait_for(api, name, "there", PATIENCE, |object| Some(object?.clone()))
        .await
        .unwrap()
}

/// Waits until the Ingress says this of the addresses that may call.
async fn until_ranges(stage: &Stage, wanted: Option<&str>) {
    wait_for(
        &stage.ingresses(),
        INGRESS,
        "open to the right ones",
        PATIENCE,
        |object| {
            let annotations = object?.metadata.annotations.as_ref();
            let there = annotations.and_then(|all| all.get(RANGES));
            (there.map(String::as_str) == wanted).then_some(())
        },
    )
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exposed_is_open_to_whom_the_settings_name_as_long_as_they_do() {
    let test = "what_is_exposed_is_open_to_whom_the_settings_name_as_long_as_they_do";
    let protection = json!({
        "networkPolicy": {"from": [{"namespace": "ingress-nginx"}, {"subnet": "10.1.0.0/24"}]},
        "allowList": {"addresses": ["198.51.100.4"]},
    });
    let exposure = json!({"ingressController": "ingress-nginx", "protection": protection});
    let stage = Stage::builder()
        .simulator(with_addresses)
        .environment("APIM_OPERATOR_DRIFT_INTERVAL", "10s")
        .environment("APIM_OPERATOR_TIME_SCALE", "20")
        .instance(json!({"exposure": exposure}))
        .without_operator()
        .start(test)
        .await;
    let Some(mut stage) = stage else {
        return;
    };
    stage.allow("rbac-exposures.yaml").await.unwrap();
    stage.start_operator().await.unwrap();
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let policies = stage.objects(NETWORKING, "NetworkPolicy");
    let made = until_there(&policies, NAME).await;
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "catalog"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}],
                "ports": [{"port": 8080, "protocol": "TCP"}],
            },
            {"from": [{"ipBlock": {"cidr": "10.1.0.0/24"}}], "ports": [{"port": 8080, "protocol": "TCP"}]},
        ],
    });
    assert_eq!(made.data["spec"], spec);
    assert_eq!(
        made.metadata.owner_references.as_ref().unwrap()[0].name,
        "catalog"
    );
    let label = &made.metadata.labels.as_ref().unwrap()["app.kubernetes.io/managed-by"];
    assert_eq!(label, "apim-operator");
    until_ranges(&stage, Some("198.51.100.4/32,203.0.113.10/32")).await;

    // The service moves: its addresses are followed.
    stage.azure.change_addresses(&["203.0.113.77"]);
    until_ranges(&stage, Some("198.51.100.4/32,203.0.113.77/32")).await;

    // By hand: put back.
    policies
        .delete(NAME, &DeleteParams::default())
        .await
        .unwrap();
    wait_for(&policies, NAME, "made again", PATIENCE, |object| {
        (object?.metadata.uid != made.metadata.uid).then_some(())
    })
    .await
    .unwrap();

    // A plan of another object shows what would protect it.
    let file = stage.dir().join("other.yaml");
    std::fs::write(&file, exposed_api("other", |_| ()).to_string()).unwrap();
    stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "other", "namespace": "shop"},
            "spec": {"selector": {"app": "other"}, "ports": [{"port": 8080}]},
        }))
        .await
        .unwrap();
    let args = ["plan", "-f", file.to_str().unwrap()];
    let (code, shown, told) = stage.cli(&args).await.unwrap();
    assert_eq!(code, 3, "{shown}{told}");
    assert!(shown.contains("+ NetworkPolicy apim-api-other"), "{shown}");

    // What the mesh cannot do yet is named, and what serves stays; once it is
    // installed, it is found.
    let mut meshed = exposure.clone();
    meshed["protection"]["istio"] = json!({"strict": true});
    set(&stage, &meshed).await;
    let status = stage
        .until_reason("catalog", "ExposureReady", "NotAccepted")
        .await
        .unwrap();
    assert_eq!(
        message(&status, "ExposureReady"),
        "this cluster has no PeerAuthentication: install Istio 1.22 or newer, or leave `exposure.protection.istio` out \
         of the instance"
    );
    for definition in istio_security() {
        test_harness::apply_yaml(&stage.client, &definition.to_string())
            .await
            .unwrap();
    }
    stage.until_ready("catalog").await.unwrap();
    let peers = stage.objects(ISTIO, "PeerAuthentication");
    let peer = until_there(&peers, NAME).await;
    assert_eq!(
        peer.data["spec"],
        json!({"selector": {"matchLabels": {"app": "catalog"}}, "mtls": {"mode": "STRICT"}})
    );

    // A setting that goes takes its objects and words along.
    set(&stage, &json!({"ingressController": "ingress-nginx"})).await;
    until_ranges(&stage, None).await;
    until_gone(&policies, NAME).await;
    until_gone(&peers, NAME).await;
    stage.until_ready("catalog").await.unwrap();

    // So does the object.
    set(&stage, &meshed).await;
    until_there(&peers, NAME).await;
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();
    for left in [&policies, &peers] {
        assert!(left.get_opt(NAME).await.unwrap().is_none());
    }
}

/// What a NetworkPolicy is for: the pods, and the ports that it opens.
fn guards(policy: &DynamicObject) -> String {
    let spec = &policy.data["spec"];
    let ports = spec["ingress"][0]["ports"].as_array().unwrap();
    let ports: Vec<String> = ports.iter().map(|one| one["port"].to_string()).collect();
    let app = spec["podSelector"]["matchLabels"]["app"].as_str().unwrap();
    format!("{app} at {}", ports.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_routes_are_protected_as_long_as_routes_lead_there() {
    let test = "the_pods_of_routes_are_protected_as_long_as_routes_lead_there";
    let protection = json!({"networkPolicy": {"from": [{"namespace": "ingress-nginx"}]}});
    let stage = Stage::builder()
        .instance(json!({"exposure": {"protection": protection}, "ownerMay": ["routes"]}))
        .without_operator()
        .start(test)
        .await;
    let Some(mut stage) = stage else {
        return;
    };
    stage.allow("rbac-exposures.yaml").await.unwrap();
    stage.start_operator().await.unwrap();
    let annotation = "apim.oda.tmforum.org/routes";
    let lead_to = |routes: &Value| json!({"metadata": {"annotations": {annotation: routes}}});
    let routed = |routes: &str| {
        let mut object = exposed_api("catalog", |_| ());
        object["metadata"]["annotations"][annotation] = json!(routes);
        object
    };
    let orders = "[{paths: [/orders], implementation: orders, port: 80}]";
    stage.apply(&routed(orders)).await.unwrap();
    // Nothing is exposed before all of it is protected.
    let status = stage
        .until_reason("catalog", "Ready", "NoService")
        .await
        .unwrap();
    let told = message(&status, "Ready");
    assert!(
        told.contains("Service `orders` does not exist in this namespace; `exposure.protection.networkPolicy` protects its pods"),
        "{told}"
    );
    assert!(stage.ingresses().get_opt(INGRESS).await.unwrap().is_none());
    let service = |app: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 9000}]},
        })
    };
    stage.apply(&service("orders")).await.unwrap();
    stage.set_ready("orders", true).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let policies = stage.objects(NETWORKING, "NetworkPolicy");
    let all = async || {
        let all = policies.list(&ListParams::default()).await.unwrap();
        let mut all: Vec<String> = all.items.iter().map(guards).collect();
        all.sort();
        all
    };
    assert_eq!(all().await, ["catalog at 8080", "orders at 9000"]);
    let of_orders = policies.list(&ListParams::default()).await.unwrap().items;
    let mut of_orders = of_orders.into_iter().map(|one| one.metadata.name.unwrap());
    let name = of_orders.find(|name| name != NAME).unwrap();
    assert!(name.starts_with("apim-api-orders-"), "{name}");

    // Its pods are others: they are followed.
    stage.apply(&service("orders-v2")).await.unwrap();
    wait_for(&policies, &name, "for other pods", PATIENCE, |object| {
        (guards(object?) == "orders-v2 at 9000").then_some(())
    })
    .await
    .unwrap();

    // By hand: put back, and made anew after a restart of the operator.
    stage.kill_operator().unwrap();
    policies
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    stage.start_operator().await.unwrap();
    until_there(&policies, &name).await;

    // What no route leads to is not this API's to protect.
    stage.until_ready("catalog").await.unwrap();
    stage
        .patch("shop", "catalog", &lead_to(&Value::Null))
        .await
        .unwrap();
    until_gone(&policies, &name).await;
    assert_eq!(all().await, ["catalog at 8080"]);

    // All of it goes with the object.
    stage
        .patch("shop", "catalog", &lead_to(&json!(orders)))
        .await
        .unwrap();
    until_there(&policies, &name).await;
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();
    assert_eq!(all().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_virtual_network_callers_are_told_the_domain_that_they_can_reach() {
    let test = "in_a_virtual_network_callers_are_told_the_domain_that_they_can_reach";
    let stage = Stage::builder()
        .environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms")
        .start(test)
        .await;
    let Some(stage) = stage else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    let status = stage.until_ready("catalog").await.unwrap();
    let default = status["apiStatus"]["url"].as_str().unwrap().to_owned();
    let said = async || {
        let path = "jsonpath={.status.virtualNetwork} {.status.publishedAt} {.status.gatewayUrl}";
        let args = ["get", "apiminstance", "default", "-o", path];
        stage.kubectl(&args).await.unwrap()
    };
    let gateway = default.strip_suffix("/catalog").unwrap();
    assert_eq!(said().await, format!("None DefaultHostName {gateway}"));

    // Outside of a network, the default host name is as good.
    stage.azure.add_domain("apis.example.org");
    stage.azure.change_service(None, Some("Internal"));
    stage
        .until("catalog", "at its domain", |status| {
            status["apiStatus"]["url"] == "https://apis.example.org/catalog"
        })
        .await
        .unwrap();
    let status = stage.until_ready("catalog").await.unwrap();
    assert!(
        message(&status, "Ready").starts_with("published at https://apis.example.org/catalog"),
        "{status}"
    );
    assert_eq!(
        said().await,
        "Internal CustomDomain https://apis.example.org"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_load_balancer_is_used_followed_and_left_alone() {
    let test = "a_service_with_a_load_balancer_is_used_followed_and_left_alone";
    let stage = Stage::builder()
        .instance(json!({"exposure": {"way": "load-balancer"}}))
        .start(test)
        .await;
    let Some(stage) = stage else {
        return;
    };
    let api = exposed_api("catalog", |_| ());
    stage.apply(&api).await.unwrap();
    let services = stage.objects("v1", "Service");
    // The operator may not make one, and need not.
    let params = PatchParams::default();
    let balanced = json!({"spec": {"type": "LoadBalancer"}});
    services
        .patch("catalog", &params, &Patch::Merge(balanced))
        .await
        .unwrap();
    stage
        .until_reason("catalog", "ExposureReady", "NoAddress")
        .await
        .unwrap();
    for address in ["20.1.2.3", "20.1.2.4"] {
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
        services
            .patch_status("catalog", &params, &Patch::Merge(status))
            .await
            .unwrap();
        let url = format!("http://{address}:8080/catalog");
        test_harness::wait_until("callers are sent there", PATIENCE, async || {
            let api = stage.api("shop.catalog").await.unwrap().unwrap_or_default();
            if api["serviceUrl"] == url.as_str() {
                Ok(())
            } else {
                Err(api["serviceUrl"].to_string())
            }
        })
        .await
        .unwrap();
        let status = stage.until_ready("catalog").await.unwrap();
        assert_eq!(status["apiStatus"]["ip"], address);
        let there = services.get("catalog").await.unwrap();
        assert_eq!(
            status["apiStatus"]["uid"].as_str(),
            there.metadata.uid.as_deref()
        );
    }
    assert!(services.get_opt(NAME).await.unwrap().is_none());
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();
    let left = services.get("catalog").await.unwrap();
    assert_eq!(left.data["spec"]["type"], "LoadBalancer");
}

/// One right of the shipped roles.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Right {
    role: String,
    group: String,
    resource: String,
    verb: String,
}

/// The shipped roles, of which rights can be taken away.
struct Roles {
    client: Client,
    api: Api<DynamicObject>,
    rules: Vec<(String, Value)>,
}

impl Roles {
    async fn shipped(stage: &Stage) -> Self {
        let kind = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", "ClusterRole");
        let api: Api<DynamicObject> =
            Api::all_with(stage.client.clone(), &ApiResource::from_gvk(&kind));
        let text = e2e::rights::shipped("rbac-exposures.yaml").unwrap();
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("  name: "));
        let mut names: Vec<&str> = lines.collect();
        names.dedup();
        let mut rules = Vec::new();
        for name in names {
            let role = api.get(name).await.unwrap();
            rules.push((name.to_owned(), role.data["rules"].clone()));
        }
        Self {
            client: stage.client.clone(),
            api,
            rules,
        }
    }

    fn all(&self) -> Vec<Right> {
        let mut all = Vec::new();
        for (role, rules) in &self.rules {
            for rule in rules.as_array().unwrap() {
                for verb in rule["verbs"].as_array().unwrap() {
                    assert_eq!(rule["resources"].as_array().unwrap().len(), 1, "{rule}");
                    all.push(Right {
                        role: role.clone(),
                        group: rule["apiGroups"][0].as_str().unwrap().to_owned(),
                        resource: rule["resources"][0].as_str().unwrap().to_owned(),
                        verb: verb.as_str().unwrap().to_owned(),
                    });
                }
            }
        }
        all
    }

    async fn without(&self, missing: &[Right]) {
        for (role, rules) in &self.rules {
            let mut rules = rules.clone();
            for rule in rules.as_array_mut().unwrap() {
                let resource = rule["resources"][0].clone();
                let verbs = rule["verbs"].as_array_mut().unwrap();
                verbs.retain(|verb| {
                    !missing.iter().any(|right| {
                        right.role == *role
                            && resource == right.resource.as_str()
                            && *verb == right.verb.as_str()
                    })
                });
            }
            // A rule without verbs is no rule.
            let left = rules.as_array_mut().unwrap();
            left.retain(|rule| rule["verbs"] != json!([]));
            let patch = Patch::Merge(json!({"rules": rules}));
            self.api
                .patch(role, &PatchParams::default(), &patch)
                .await
                .unwrap();
        }
        // The API server learns of its own roles by a watch.
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        for right in missing {
            test_harness::wait_until("the right is gone", PATIENCE, async || {
                let review = serde_json::from_value(json!({
                    "metadata": {},
                    "spec": {
                        "user": "system:serviceaccount:operators:apim-operator",
                        "resourceAttributes": {
                            "group": right.group, "resource": right.resource, "verb": right.verb, "namespace": "shop",
                        },
                    },
                }));
                let params = PostParams::default();
                let review = reviews.create(&params, &review.unwrap()).await.unwrap();
                if review.status.is_some_and(|status| status.allowed) {
                    Err(format!("{right:?}"))
                } else {
                    Ok(())
                }
            })
            .await
            .unwrap();
        }
    }
}

/// An object that needs the rights to these resources, in the order in which it
/// meets them.
struct Case {
    name: &'static str,
    annotations: Value,
    resources: &'static [&'static str],
    /// What `ExposureReady` says when nothing is refused any more.
    then: &'static str,
}

fn cases() -> [Case; 4] {
    let way = |way: &str| json!({"apim.oda.tmforum.org/exposure": way, "apim.oda.tmforum.org/instance": "default"});
    [
        Case {
            name: "routed",
            annotations: way("http-route"),
            resources: &["httproutes", "gateways"],
            then: "NotAccepted",
        },
        Case {
            name: "meshed",
            annotations: way("istio"),
            resources: &["virtualservices"],
            then: "Exposed",
        },
        Case {
            name: "balanced",
            annotations: way("load-balancer"),
            resources: &["services"],
            then: "NoAddress",
        },
        Case {
            name: "guarded",
            annotations: json!({"apim.oda.tmforum.org/instance": "guarded"}),
            resources: &[
                "networkpolicies",
                "middlewares",
                "tlsoptions",
                "peerauthentications",
                "authorizationpolicies",
                "requestauthentications",
            ],
            then: "Exposed",
        },
    ]
}

/// Waits until an object says which right is missing.
async fn until_missed(stage: &Stage, name: &str, right: &Right) {
    let said = stage
        .until(name, &format!("missing {right:?}"), |status| {
            let said = format!(
                "{}{}",
                message(status, "ExposureReady"),
                message(status, "Ready")
            );
            said.contains(&format!(
                "cannot {} resource \"{}\"",
                right.verb, right.resource
            )) && said.contains(&format!(
                "apply ClusterRole `{}` of `deploy/rbac-exposures.yaml`",
                right.role
            ))
        })
        .await;
    said.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_of_the_shipped_exposures_is_needed_and_missed_by_name() {
    let test = "each_right_of_the_shipped_exposures_is_needed_and_missed_by_name";
    let parents = json!([{"namespace": "shop", "name": "public"}]);
    let may = json!(["exposure", "instance"]);
    let plain = json!({
        "exposure": {"httpRoute": {"parents": parents}, "host": "apis.example.org", "istio": {"gateways": ["a/b"]}},
        "ownerMay": may,
    });
    let mut builder = Stage::builder()
        .simulator(|config| {
            config.seed.services.push(ServiceSeed::named("apim-two"));
            with_addresses(config);
        })
        .environment("APIM_OPERATOR_TIME_SCALE", "400")
        .without_operator()
        .instance(plain);
    let kinds = gateway_api().into_iter().chain([istio()]);
    for definition in kinds.chain(traefik()).chain(istio_security()) {
        builder = builder.object(definition);
    }
    let Some(mut stage) = builder.start(test).await else {
        return;
    };
    let mut guarded = stage.instance_manifest();
    guarded["metadata"]["name"] = "guarded".into();
    guarded["spec"]["serviceName"] = "apim-two".into();
    guarded["spec"]["exposure"] = json!({
        "ingressController": "traefik", "host": "apis.example.org", "tlsSecret": "tls",
        "protection": {
            "networkPolicy": {"from": [{"namespace": "traefik"}]},
            "allowList": {},
            "clientCertificate": {"caSecret": "callers"},
            "istio": {"strict": true, "principals": ["cluster.local/ns/traefik/sa/traefik"]},
            "token": {"audiences": ["api://orders"], "identities": ["0b1d"], "header": "X-Token"},
        },
    });
    stage.apply(&guarded).await.unwrap();
    stage.allow("rbac-exposures.yaml").await.unwrap();
    let roles = Roles::shipped(&stage).await;
    let mut missed = 0;
    for verb in ["list", "watch", "create", "patch", "delete"] {
        // Taken away together and given back one by one: each is missed by its
        // own name, and what comes later is found.
        let all = roles.all().into_iter();
        let mut missing: Vec<Right> = all.filter(|right| right.verb == verb).collect();
        if verb != "delete" {
            roles.without(&missing).await;
        }
        if verb == "list" {
            stage.start_operator().await.unwrap();
        } else if verb == "watch" {
            // A watch that runs is not asked for its right again.
            stage.restart().await.unwrap();
        }
        for case in cases() {
            let object = exposed_api(case.name, |object| {
                object["metadata"]["annotations"] = case.annotations.clone();
            });
            stage.apply(&object).await.unwrap();
            if verb == "delete" {
                let reason = case.then;
                stage
                    .until_reason(case.name, "ExposureReady", reason)
                    .await
                    .unwrap();
                roles.without(&missing).await;
                stage.delete(case.name).await.unwrap();
            }
            for resource in case.resources {
                let found = missing.iter().position(|right| right.resource == *resource);
                let Some(found) = found else {
                    // A Gateway is only read, a Service always is.
                    continue;
                };
                until_missed(&stage, case.name, &missing[found]).await;
                missing.remove(found);
                missed += 1;
                roles.without(&missing).await;
            }
            if verb != "delete" {
                stage
                    .until_reason(case.name, "ExposureReady", case.then)
                    .await
                    .unwrap();
                stage.delete(case.name).await.unwrap();
            }
            stage.until_gone(case.name).await.unwrap();
        }
        assert_eq!(missing, [], "no object needs these");
    }
    assert_eq!(missed, roles.all().len());
}
