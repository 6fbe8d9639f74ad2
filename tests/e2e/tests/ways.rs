//! Ways into the cluster other than an Ingress: the object that is made, the
//! address that it gets, and what of it goes to API Management.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use e2e::routes::{gateway_api, istio};
use e2e::{PATIENCE, Stage, StageBuilder, conditions, exposed_api};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use test_harness::wait_for;

const NAME: &str = "apim-api-catalog";
const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

fn by(settings: &Value) -> StageBuilder {
    let may = json!(["exposure", "plugins", "plugin.*"]);
    Stage::builder().instance(json!({"exposure": settings, "ownerMay": may}))
}

async fn started(builder: StageBuilder, test: &str) -> Option<Stage> {
    let stage = builder.without_operator().start(test).await;
    let mut stage = stage?;
    stage.allow("rbac-exposures.yaml").await.unwrap();
    stage.start_operator().await.unwrap();
    Some(stage)
}

async fn service_url(stage: &Stage) -> Value {
    let api = stage.api("shop.catalog").await.unwrap();
    api.map_or(Value::Null, |api| api["serviceUrl"].clone())
}

async fn until_sent_to(stage: &Stage, url: &str) {
    test_harness::wait_until(
        &format!("callers are sent to {url}"),
        PATIENCE,
        async || match service_url(stage).await {
            found if found == url => Ok(()),
            found => Err(found.to_string()),
        },
    )
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap();
}

async fn until_there(api: &Api<DynamicObject>, name: &str) -> DynamicObject {
    wait_for(api, name, "there", PATIENCE, |object| Some(object?.clone()))
        .await
        .unwrap()
}

async fn until_gone(api: &Api<DynamicObject>, name: &str) {
    wait_for(api, name, "gone", PATIENCE, |object| {
        object.is_none().then_some(())
    })
    .await
    .unwrap();
}

async fn say(api: &Api<DynamicObject>, name: &str, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

fn way(way: &str) -> Value {
    json!({"metadata": {"annotations": {"apim.oda.tmforum.org/exposure": way}}})
}

fn message(status: &Value, kind: &str) -> String {
    let all = status["conditions"].as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == kind);
    found.unwrap()["message"].as_str().unwrap().to_owned()
}

fn verdict(accepted: bool) -> Value {
    let condition = |kind: &str, status: bool| {
        let (status, reason) = if status {
            ("True", "Accepted")
        } else {
            ("False", "NotAllowedByListeners")
        };
        json!({"type": kind, "status": status, "reason": reason, "message": "said by the test"})
    };
    json!({"parents": [{"conditions": [condition("Accepted", accepted), condition("ResolvedRefs", true)]}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_followed_and_gives_way_to_an_ingress_only_when_that_serves() {
    let test = "a_route_is_followed_and_gives_way_to_an_ingress_only_when_that_serves";
    let parents = json!([{"namespace": "shop", "name": "public"}]);
    let [gateways, routes] = gateway_api();
    let stage = by(&json!({"way": "http-route", "httpRoute": {"parents": parents}}))
        .object(gateways)
        .object(routes)
        .without_load_balancer();
    let Some(stage) = started(stage, test).await else {
        return;
    };
    let gateway = json!({
        "apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": {"name": "public", "namespace": "shop"},
        "spec": {"gatewayClassName": "any", "listeners": [{"name": "web", "protocol": "HTTP", "port": 8080}]},
    });
    stage.apply(&gateway).await.unwrap();
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    let routes = stage.objects(GATEWAY_API, "HTTPRoute");
    let route = until_there(&routes, NAME).await;
    assert_eq!(
        route.metadata.owner_references.as_ref().unwrap()[0].name,
        "catalog"
    );
    assert_eq!(route.data["spec"]["parentRefs"][0]["name"], "public");
    let status = stage
        .until_reason("catalog", "Ready", "NotAccepted")
        .await
        .unwrap();
    assert!(
        message(&status, "ExposureReady").starts_with("no Gateway has taken HTTPRoute"),
        "{status}"
    );

    say(&routes, NAME, verdict(false)).await;
    stage
        .until("catalog", "told why", |status| {
            message(status, "ExposureReady").contains("NotAllowedByListeners: said by the test")
        })
        .await
        .unwrap();
    assert_eq!(stage.calls("shop.catalog").len(), 0);

    say(&routes, NAME, verdict(true)).await;
    stage
        .until_reason("catalog", "ExposureReady", "NoAddress")
        .await
        .unwrap();
    let gateways = stage.objects(GATEWAY_API, "Gateway");
    say(
        &gateways,
        "public",
        json!({"addresses": [{"type": "IPAddress", "value": "192.0.2.7"}]}),
    )
    .await;
    let status = stage.until_ready("catalog").await.unwrap();
    assert_eq!(status["apiStatus"]["ip"], "192.0.2.7");
    assert_eq!(service_url(&stage).await, "http://192.0.2.7:8080/catalog");

    // By hand: what is the operator's is put right, without a word to Azure.
    stage.azure.clear_journal();
    let path =
        json!([{"op": "replace", "path": "/spec/rules/0/matches/0/path/value", "value": "/other"}]);
    let path: Patch<()> = Patch::Json(serde_json::from_value(path).unwrap());
    routes
        .patch(NAME, &PatchParams::default(), &path)
        .await
        .unwrap();
    wait_for(&routes, NAME, "put right", PATIENCE, |route| {
        (route?.data["spec"]["rules"][0]["matches"][0]["path"]["value"] == "/catalog").then_some(())
    })
    .await
    .unwrap();
    assert_eq!(stage.writes("shop.catalog"), []);

    // The new one before the old one goes.
    stage
        .patch("shop", "catalog", &way("ingress"))
        .await
        .unwrap();
    stage
        .until_reason("catalog", "ExposureReady", "NoAddress")
        .await
        .unwrap();
    assert!(routes.get_opt(NAME).await.unwrap().is_some());
    assert_eq!(service_url(&stage).await, "http://192.0.2.7:8080/catalog");
    stage
        .give_address("catalog", json!({"ip": "203.0.113.20"}))
        .await
        .unwrap();
    until_sent_to(&stage, "http://203.0.113.20/catalog").await;
    until_gone(&routes, NAME).await;
    stage.until_ready("catalog").await.unwrap();

    stage
        .exposed_apis("shop")
        .delete("catalog", &DeleteParams::default())
        .await
        .unwrap();
    stage.until_gone("catalog").await.unwrap();
    assert!(
        stage
            .ingresses()
            .get_opt("apim-api-ingress-catalog")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(stage.api("shop.catalog").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_of_its_own_follows_the_pods_of_the_implementation() {
    let test = "a_load_balancer_of_its_own_follows_the_pods_of_the_implementation";
    let settings = json!({"way": "internal-load-balancer", "loadBalancer": {"subnet": "backends"}});
    let Some(stage) = started(by(&settings), test).await else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    let services = stage.objects("v1", "Service");
    let made = until_there(&services, NAME).await;
    assert_eq!(made.data["spec"]["type"], "LoadBalancer");
    assert_eq!(made.data["spec"]["ports"][0]["targetPort"], 8080);
    let annotations = made.metadata.annotations.unwrap_or_default();
    assert_eq!(
        json!(annotations),
        json!({
            "service.beta.kubernetes.io/azure-load-balancer-internal": "true",
            "service.beta.kubernetes.io/azure-load-balancer-internal-subnet": "backends",
        })
    );
    let status = stage
        .until_reason("catalog", "Ready", "NoAddress")
        .await
        .unwrap();
    assert!(message(&status, "ExposureReady").contains("the cloud gives its load balancer one"));
    say(
        &services,
        NAME,
        json!({"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}),
    )
    .await;
    stage.until_ready("catalog").await.unwrap();
    let exposed = exposed_api("catalog", |_| ());
    let port = exposed["spec"]["port"].as_u64().unwrap();
    assert_eq!(
        service_url(&stage).await,
        format!("http://10.1.2.3:{port}/catalog")
    );

    let implementation = exposed["spec"]["implementation"].as_str().unwrap();
    let selector = json!({"spec": {"selector": {"app": "another"}}});
    services
        .patch(
            implementation,
            &PatchParams::default(),
            &Patch::Merge(selector),
        )
        .await
        .unwrap();
    wait_for(
        &services,
        NAME,
        "leading to the other pods",
        PATIENCE,
        |object| (object?.data["spec"]["selector"]["app"] == "another").then_some(()),
    )
    .await
    .unwrap();

    // A gateway in the cluster needs none.
    stage
        .patch("shop", "catalog", &way("in-cluster"))
        .await
        .unwrap();
    until_sent_to(
        &stage,
        &format!("http://{implementation}.shop.svc:{port}/catalog"),
    )
    .await;
    until_gone(&services, NAME).await;
    stage
        .exposed_apis("shop")
        .delete("catalog", &DeleteParams::default())
        .await
        .unwrap();
    stage.until_gone("catalog").await.unwrap();
    assert!(services.get_opt(implementation).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_missing_or_denied_is_named_and_what_serves_stays() {
    let test = "a_kind_that_is_missing_or_denied_is_named_and_what_serves_stays";
    let parents = json!([{"namespace": "shop", "name": "public"}]);
    let settings = json!({
        "httpRoute": {"parents": parents}, "host": "apis.example.org", "istio": {"gateways": ["istio-system/public"], "tls": true},
    });
    let Some(stage) = by(&settings).start(test).await else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let before = service_url(&stage).await;

    stage
        .patch("shop", "catalog", &way("http-route"))
        .await
        .unwrap();
    let status = stage
        .until_reason("catalog", "ExposureReady", "NotAccepted")
        .await
        .unwrap();
    assert_eq!(
        message(&status, "ExposureReady"),
        "this cluster has no HTTPRoute: install the Gateway API (its standard channel), or choose another exposure \
         (`exposure.way` of the instance, annotation `exposure`)"
    );
    stage
        .patch("shop", "catalog", &way("load-balancer"))
        .await
        .unwrap();
    let status = stage
        .until_reason("catalog", "ExposureReady", "Denied")
        .await
        .unwrap();
    let said = message(&status, "ExposureReady");
    assert!(said.contains("`deploy/rbac-exposures.yaml`"), "{said}");
    assert_eq!(service_url(&stage).await, before);
    let ingress = "apim-api-ingress-catalog";
    assert!(stage.ingresses().get_opt(ingress).await.unwrap().is_some());

    // Installed and allowed later, it is found without a restart.
    test_harness::apply_yaml(&stage.client, &istio().to_string())
        .await
        .unwrap();
    stage.allow("rbac-exposures.yaml").await.unwrap();
    stage.patch("shop", "catalog", &way("istio")).await.unwrap();
    until_sent_to(&stage, "https://apis.example.org/catalog").await;
    let made = stage.objects("networking.istio.io/v1", "VirtualService");
    until_there(&made, NAME).await;
    let status = stage.until_ready("catalog").await.unwrap();
    assert!(
        conditions(&status).contains(&"ExposureReady=True Exposed".to_owned()),
        "{status}"
    );
    wait_for(&stage.ingresses(), ingress, "gone", PATIENCE, |object| {
        object.is_none().then_some(())
    })
    .await
    .unwrap();
}
