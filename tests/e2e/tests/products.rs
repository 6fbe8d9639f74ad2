//! Products and subscriptions: APIs that are put in products and taken out,
//! products and keys as objects of a namespace.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use std::collections::BTreeMap;

use apim_simulator::CallKind;
use e2e::{PATIENCE, Stage, exposed_api};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use test_harness::wait_for;

const GROUP: &str = "apim.oda.tmforum.org/v1alpha1";

fn grants() -> Value {
    json!({
        "ownerMay": ["products"],
        "grants": [{"namespaceSelector": {}, "kind": "product", "names": ["gold", "partner-*", "by-hand"]}],
    })
}

fn products(value: &str) -> Value {
    json!({"metadata": {"annotations": {"apim.oda.tmforum.org/products": value}}})
}

fn message(status: &Value) -> String {
    let all = status["conditions"].as_array().unwrap();
    let ready = all.iter().find(|condition| condition["type"] == "Ready");
    ready.unwrap()["message"].as_str().unwrap().to_owned()
}

async fn make_product(stage: &Stage, id: &str) {
    let body = json!({"properties": {"displayName": id, "state": "published"}});
    let (status, body) = stage
        .arm("PUT", &format!("/products/{id}"), Some(&body))
        .await
        .unwrap();
    assert_eq!(status, 201, "{body}");
}

/// The products that an API is in.
async fn products_of(stage: &Stage, api: &str) -> Vec<String> {
    let path = format!("/apis/{api}/products");
    let (_, list) = stage.arm("GET", &path, None).await.unwrap();
    let all = list["value"].as_array().unwrap();
    let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
    all.iter().map(name).collect()
}

async fn until_in(stage: &Stage, api: &str, wanted: &[&str]) {
    test_harness::wait_until("the API is in these products", PATIENCE, async || {
        let found = products_of(stage, api).await;
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap();
}

/// The operator's writes to what products hold, in order.
fn entries(stage: &Stage) -> Vec<String> {
    let mut journal = stage.journal();
    journal.retain(|call| {
        matches!(call.kind, CallKind::Write | CallKind::Delete) && call.path.contains("/products/")
    });
    let told = |path: &str| path.split_once("/products/").unwrap().1.to_owned();
    journal
        .iter()
        .map(|call| format!("{} {} {}", call.method, told(&call.path), call.status))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_enters_the_products_that_its_owner_names_and_leaves_them_again() {
    let test = "an_api_enters_the_products_that_its_owner_names_and_leaves_them_again";
    let Some(stage) = Stage::builder().instance(grants()).start(test).await else {
        return;
    };
    let object = exposed_api("catalog", |object| {
        object["metadata"]["annotations"] = json!({"apim.oda.tmforum.org/products": "gold"});
    });
    stage.apply(&object).await.unwrap();
    let waiting = stage
        .until_reason("catalog", "Ready", "WaitingForDependency")
        .await
        .unwrap();
    assert!(
        message(&waiting).contains("waits for product `gold`"),
        "{waiting}"
    );
    // It is there with its policy all the same.
    assert!(stage.policy("shop.catalog").await.is_ok());
    make_product(&stage, "gold").await;
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(products_of(&stage, "shop.catalog").await, ["gold"]);

    // What somebody else put it in is left alone.
    make_product(&stage, "by-hand").await;
    make_product(&stage, "partner-a").await;
    let link = "/products/by-hand/apis/shop.catalog";
    assert_eq!(stage.arm("PUT", link, None).await.unwrap().0, 201);
    stage.azure.clear_journal();
    stage
        .patch("shop", "catalog", &products("partner-a"))
        .await
        .unwrap();
    until_in(&stage, "shop.catalog", &["by-hand", "partner-a"]).await;
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(
        entries(&stage),
        [
            "PUT partner-a/apis/shop.catalog 201",
            "DELETE gold/apis/shop.catalog 200",
        ]
    );

    // What is not granted is refused, and the last good state stays.
    stage
        .patch("shop", "catalog", &products("silver"))
        .await
        .unwrap();
    let refused = stage
        .until_reason("catalog", "Ready", "Forbidden")
        .await
        .unwrap();
    assert!(
        message(&refused).contains("does not grant product `silver` to namespace `shop`"),
        "{refused}"
    );
    assert_eq!(
        products_of(&stage, "shop.catalog").await,
        ["by-hand", "partner-a"]
    );

    stage.patch("shop", "catalog", &products("")).await.unwrap();
    until_in(&stage, "shop.catalog", &["by-hand"]).await;
    stage.until_ready("catalog").await.unwrap();

    // Of an API that is deleted, nothing is left in any product.
    stage
        .patch("shop", "catalog", &products("gold"))
        .await
        .unwrap();
    until_in(&stage, "shop.catalog", &["by-hand", "gold"]).await;
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();
    let (_, left) = stage.arm("GET", "/products/gold/apis", None).await.unwrap();
    assert_eq!(left["value"], json!([]));
}

fn product(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": GROUP, "kind": "ApimProduct", "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

fn subscription(name: &str, scope: &Value, secret: &str) -> Value {
    json!({
        "apiVersion": GROUP, "kind": "ApimSubscription", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"scope": scope, "secretName": secret},
    })
}

async fn until_said(stage: &Stage, kind: &str, name: &str, reason: &str) -> Value {
    let api = stage.objects(GROUP, kind);
    let mut last = String::new();
    let found = wait_for(&api, name, reason, PATIENCE, |object| {
        let status = object?.data.get("status").cloned().unwrap_or_default();
        last = status.to_string();
        let ready = status["conditions"].as_array()?.iter();
        let mut ready = ready.filter(|one| one["type"] == "Ready");
        (ready.next()?["reason"] == reason).then_some(status)
    })
    .await;
    found
        .map_err(|error| format!("{error}\n{last}\n{}", stage.operator_log()))
        .unwrap()
}

async fn change(stage: &Stage, kind: &str, name: &str, patch: Value) {
    stage
        .objects(GROUP, kind)
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

async fn remove(stage: &Stage, kind: &str, name: &str) {
    stage
        .objects(GROUP, kind)
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
}

async fn until_gone(stage: &Stage, kind: &str, name: &str) {
    wait_for(
        &stage.objects(GROUP, kind),
        name,
        "gone",
        PATIENCE,
        |object| object.is_none().then_some(()),
    )
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap();
}

async fn arm_properties(stage: &Stage, path: &str) -> Option<Value> {
    let (status, mut body) = stage.arm("GET", path, None).await.unwrap();
    (status == 200).then(|| body["properties"].take())
}

async fn a_change_closes_before_it_opens(stage: &Stage) {
    stage.azure.clear_journal();
    let spec = json!({"spec": {"groups": ["guests"], "published": false, "plugins": null}});
    change(stage, "ApimProduct", "gold", spec).await;
    test_harness::wait_until("the change is written", PATIENCE, async || {
        match entries(stage) {
            all if all.len() >= 4 => Ok(()),
            all => Err(format!("{all:?}")),
        }
    })
    .await
    .unwrap();
    assert_eq!(
        entries(stage),
        [
            "DELETE shop.gold/groups/developers 200",
            "PUT shop.gold 200",
            "DELETE shop.gold/policies/policy 200",
            "PUT shop.gold/groups/guests 201",
        ]
    );
}

/// By name, and the last good state stays.
async fn what_cannot_be_is_refused(stage: &Stage) {
    let spec = json!({"spec": {"groups": ["boards"]}});
    change(stage, "ApimProduct", "gold", spec).await;
    let refused = until_said(stage, "ApimProduct", "gold", "InvalidSpec").await;
    assert!(
        message(&refused)
            .contains("spec.groups[0]: instance `default` does not grant group `boards`"),
        "{refused}"
    );
    let spec = json!({"spec": {"groups": null, "plugins": [{"name": "rate-limit", "config": {"calls": "many"}}]}});
    change(stage, "ApimProduct", "gold", spec).await;
    let refused = "spec.plugins[rate-limit].config /calls";
    wait_for(
        &stage.objects(GROUP, "ApimProduct"),
        "gold",
        refused,
        PATIENCE,
        |object: Option<&DynamicObject>| {
            message(object?.data.get("status")?)
                .contains(refused)
                .then_some(())
        },
    )
    .await
    .unwrap();
    let spec = json!({"spec": {"plugins": null, "published": null}});
    change(stage, "ApimProduct", "gold", spec).await;
    until_said(stage, "ApimProduct", "gold", "InPlace").await;
}

async fn theirs_is_left_alone(stage: &Stage) {
    make_product(stage, "shop.silver").await;
    let theirs = arm_properties(stage, "/products/shop.silver").await;
    stage.apply(&product("silver", &json!({}))).await.unwrap();
    let refused = until_said(stage, "ApimProduct", "silver", "NotOurs").await;
    assert!(
        message(&refused)
            .contains("product `shop.silver` exists in API Management and is not this object's"),
        "{refused}"
    );
    remove(stage, "ApimProduct", "silver").await;
    until_gone(stage, "ApimProduct", "silver").await;
    assert_eq!(arm_properties(stage, "/products/shop.silver").await, theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_made_changed_and_kept_while_others_use_it() {
    let test = "a_product_is_made_changed_and_kept_while_others_use_it";
    let stage = Stage::builder().instance(grants()).without_operator();
    let Some(mut stage) = stage.start(test).await else {
        return;
    };
    stage.allow_products().await.unwrap();
    stage.start_operator().await.unwrap();

    let spec = json!({
        "description": "For partners", "terms": "Be kind", "approvalRequired": true, "subscriptionsLimit": 2,
        "groups": ["developers"], "plugins": [{"name": "rate-limit", "config": {"calls": 5}}],
    });
    stage.apply(&product("gold", &spec)).await.unwrap();
    until_said(&stage, "ApimProduct", "gold", "InPlace").await;
    let made = arm_properties(&stage, "/products/shop.gold").await.unwrap();
    let description = made["description"].as_str().unwrap();
    assert!(
        description.starts_with("For partners\n<!-- apim-operator/1 ")
            && description.ends_with(" shop/gold -->"),
        "{description}"
    );
    assert_eq!(
        (
            &made["displayName"],
            &made["terms"],
            &made["subscriptionRequired"],
            &made["approvalRequired"],
            &made["subscriptionsLimit"],
            &made["state"],
        ),
        (
            &json!("gold"),
            &json!("Be kind"),
            &json!(true),
            &json!(true),
            &json!(2),
            &json!("published"),
        )
    );
    let policy = "/products/shop.gold/policies/policy?format=rawxml";
    let made = arm_properties(&stage, policy).await.unwrap();
    let document = made["value"].as_str().unwrap();
    assert!(
        document.contains("<base />") && document.contains("<rate-limit-by-key calls=\"5\""),
        "{document}"
    );
    // Made unpublished, then its group and policy, then published.
    assert_eq!(
        entries(&stage),
        [
            "PUT shop.gold 201",
            "PUT shop.gold/groups/developers 201",
            "PUT shop.gold/policies/policy 201",
            "PUT shop.gold 200",
        ]
    );
    a_change_closes_before_it_opens(&stage).await;
    what_cannot_be_is_refused(&stage).await;
    theirs_is_left_alone(&stage).await;

    // It stays while an API is in it, which needs no grant.
    let object = exposed_api("catalog", |object| {
        object["metadata"]["annotations"] = json!({"apim.oda.tmforum.org/products": "shop.gold"});
    });
    stage.apply(&object).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    remove(&stage, "ApimProduct", "gold").await;
    let held = until_said(&stage, "ApimProduct", "gold", "InUse").await;
    assert!(message(&held).contains("API shop.catalog"), "{held}");
    stage.patch("shop", "catalog", &products("")).await.unwrap();
    until_gone(&stage, "ApimProduct", "gold").await;
    assert_eq!(arm_properties(&stage, "/products/shop.gold").await, None);
    assert!(arm_properties(&stage, "/apis/shop.catalog").await.is_some());
}

/// A Secret's texts.
async fn texts(stage: &Stage, name: &str) -> BTreeMap<String, String> {
    let api: Api<Secret> = Api::namespaced(stage.client.clone(), "shop");
    let data = api.get(name).await.unwrap().data.unwrap();
    data.into_iter()
        .map(|(key, value)| (key, String::from_utf8(value.0).unwrap()))
        .collect()
}

/// Everything that anybody but the Secret's reader can see.
async fn seen(stage: &Stage) -> String {
    let all = ["events", "apimsubscriptions", "apimproducts", "exposedapis"].join(",");
    let objects = stage
        .kubectl(&["get", &all, "-A", "-o", "yaml"])
        .await
        .unwrap();
    format!("{objects}\n{}", stage.operator_log())
}

/// A Secret that somebody else made is left alone, and nothing is made in Azure.
async fn a_taken_secret_is_left_alone(stage: &Stage) {
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "taken", "namespace": "shop"},
        "stringData": {"key": "theirs"},
    });
    stage.apply(&theirs).await.unwrap();
    let scope = json!({"product": "gold"});
    stage
        .apply(&subscription("caller", &scope, "taken"))
        .await
        .unwrap();
    let refused = until_said(stage, "ApimSubscription", "caller", "SecretNotOurs").await;
    assert!(
        message(&refused).contains("Secret `taken` exists"),
        "{refused}"
    );
    assert_eq!(texts(stage, "taken").await["key"], "theirs");
    let there = arm_properties(stage, "/subscriptions/shop.caller").await;
    assert_eq!(there, None);
}

/// A client of the gateway, and the address of an operation there.
async fn caller(stage: &Stage) -> (reqwest::Client, String) {
    let authority = reqwest::Certificate::from_pem(stage.azure.ca_pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_merge([authority])
        .build()
        .unwrap();
    let path = stage.api("shop.catalog").await.unwrap().unwrap()["path"]
        .as_str()
        .unwrap()
        .to_owned();
    let operation = stage.operations("shop.catalog").await.unwrap();
    let template = operation[0].split_once(' ').unwrap().1.to_owned();
    let url = format!("{}/{path}{template}", stage.azure.gateway_url().unwrap());
    (client, url)
}

/// With another Secret, the one before goes; the keys stay.
async fn a_secret_gives_way_to_another(stage: &Stage, keys: &BTreeMap<String, String>) {
    let named = json!({"spec": {"secretName": "other-keys"}});
    change(stage, "ApimSubscription", "caller", named).await;
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), "shop");
    wait_for(&secrets, "caller-keys", "gone", PATIENCE, |secret| {
        secret.is_none().then_some(())
    })
    .await
    .unwrap();
    assert_eq!(texts(stage, "other-keys").await, *keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_to_their_secret_alone_open_the_api_and_are_replaced_in_turn() {
    let test = "keys_go_to_their_secret_alone_open_the_api_and_are_replaced_in_turn";
    let stage = Stage::builder()
        .instance(json!({"ownerMay": ["products", "plugins"], "plugins": []}))
        .simulator(|config| {
            config.gateway = Some(std::net::SocketAddr::from((
                std::net::Ipv4Addr::LOCALHOST,
                0,
            )));
        })
        .without_operator();
    let Some(mut stage) = stage.start(test).await else {
        return;
    };
    stage.allow_products().await.unwrap();
    stage.start_operator().await.unwrap();

    stage.apply(&product("gold", &json!({}))).await.unwrap();
    let object = exposed_api("catalog", |object| {
        object["metadata"]["annotations"] = json!({"apim.oda.tmforum.org/products": "shop.gold", "apim.oda.tmforum.org/plugins": ""});
        object["spec"]["apiKeyVerification"] = json!({"enabled": true});
    });
    stage.apply(&object).await.unwrap();
    stage.until_ready("catalog").await.unwrap();

    a_taken_secret_is_left_alone(&stage).await;
    let named = json!({"spec": {"secretName": "caller-keys", "rotation": {"every": "720h"}}});
    change(&stage, "ApimSubscription", "caller", named).await;
    let first = until_said(&stage, "ApimSubscription", "caller", "InPlace").await;
    assert_eq!(first["keys"]["current"], "primary");
    let keys = texts(&stage, "caller-keys").await;
    assert_eq!(keys["key"], keys["primaryKey"]);

    // The gateway lets in who has a key, and nobody else.
    let (client, url) = caller(&stage).await;
    let call = async |key: Option<&str>| {
        let mut request = client.get(&url);
        if let Some(key) = key {
            request = request.header("Ocp-Apim-Subscription-Key", key);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(call(None).await, 401);
    assert_eq!(call(Some("another")).await, 401);
    // The backend is not there, but the gateway went to it.
    assert_ne!(call(Some(&keys["key"])).await, 401);
    assert_ne!(call(Some(&keys["secondaryKey"])).await, 401);

    // When the period is over, the older key is replaced, and is the one to use.
    let api = stage.objects(GROUP, "ApimSubscription");
    let rotated = test_harness::wait_until("the other key", PATIENCE, async || {
        let told = |error: kube::Error| error.to_string();
        let object = api.get("caller").await.map_err(told)?;
        let status = object.data["status"].clone();
        if status["keys"]["current"] == "secondary" && status["keys"]["replacing"].is_null() {
            return Ok(status);
        }
        make_overdue(&api, &object).await.map_err(told)?;
        Err(status.to_string())
    })
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap();
    let later = texts(&stage, "caller-keys").await;
    assert_eq!(later["primaryKey"], keys["primaryKey"], "it stays valid");
    assert_ne!(later["secondaryKey"], keys["secondaryKey"]);
    assert_eq!(later["key"], later["secondaryKey"]);
    let when = |field: &str| -> jiff::Timestamp {
        rotated["keys"][field].as_str().unwrap().parse().unwrap()
    };
    let period = when("next").duration_since(when("since"));
    assert_eq!(period.as_hours(), 720);
    assert_ne!(call(Some(&later["primaryKey"])).await, 401);
    assert_ne!(call(Some(&later["secondaryKey"])).await, 401);
    assert_eq!(call(Some(&keys["secondaryKey"])).await, 401);

    a_secret_gives_way_to_another(&stage, &later).await;

    // Nobody saw a key.
    let seen = seen(&stage).await;
    for key in keys.values().chain(later.values()) {
        assert!(!seen.contains(key.as_str()), "a key was told");
    }

    remove(&stage, "ApimSubscription", "caller").await;
    until_gone(&stage, "ApimSubscription", "caller").await;
    let there = arm_properties(&stage, "/subscriptions/shop.caller").await;
    assert_eq!(there, None);
    assert_eq!(call(Some(&later["key"])).await, 401);
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), "shop");
    assert!(secrets.get_opt("other-keys").await.unwrap().is_none());
    assert_eq!(texts(&stage, "taken").await["key"], "theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_opens_only_what_is_its_namespaces_or_granted_and_approved() {
    let test = "a_subscription_opens_only_what_is_its_namespaces_or_granted_and_approved";
    let stage = Stage::builder().instance(grants()).without_operator();
    let Some(mut stage) = stage.start(test).await else {
        return;
    };
    stage.allow_products().await.unwrap();
    stage.start_operator().await.unwrap();
    let said = async |name: &str, scope: Value, reason: &str| {
        let object = subscription(name, &scope, &format!("{name}-keys"));
        stage.apply(&object).await.unwrap();
        let status = until_said(&stage, "ApimSubscription", name, reason).await;
        message(&status)
    };
    let told = said("two", json!({"product": "a", "api": "b"}), "InvalidSpec").await;
    assert_eq!(
        told,
        "spec.scope: write exactly one of `product`, `productId`, `api` and `apiId`"
    );
    let told = said("silver", json!({"productId": "silver"}), "InvalidSpec").await;
    assert!(
        told.contains("spec.scope.productId: instance `default` does not grant product `silver`"),
        "{told}"
    );
    let told = said("other", json!({"apiId": "team.orders"}), "InvalidSpec").await;
    assert!(told.contains("does not grant api `team.orders`"), "{told}");
    let told = said("early", json!({"api": "catalog"}), "WaitingForDependency").await;
    assert!(told.contains("waits for ExposedAPI `catalog`"), "{told}");
    let told = said("gold", json!({"productId": "gold"}), "WaitingForDependency").await;
    assert!(told.contains("product `gold`"), "{told}");

    // Nobody approves for whoever owns the product.
    let body = json!({"properties": {"displayName": "gold", "state": "published", "approvalRequired": true}});
    stage
        .arm("PUT", "/products/gold", Some(&body))
        .await
        .unwrap();
    until_said(&stage, "ApimSubscription", "gold", "AwaitingApproval").await;
    let there = arm_properties(&stage, "/subscriptions/shop.gold")
        .await
        .unwrap();
    assert_eq!(there["state"], "submitted");
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), "shop");
    assert!(secrets.get_opt("gold-keys").await.unwrap().is_none());

    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    until_said(&stage, "ApimSubscription", "early", "InPlace").await;
    let there = arm_properties(&stage, "/subscriptions/shop.early")
        .await
        .unwrap();
    let scope = there["scope"].as_str().unwrap();
    assert!(scope.ends_with("/apis/shop.catalog"), "{scope}");
}

/// One verb of one rule of a ClusterRole.
struct Right {
    role: String,
    rule: usize,
    verb: String,
    resource: String,
}

impl Right {
    /// As the API server says that it is missing.
    fn refusal(&self) -> String {
        format!("cannot {} resource \"{}\"", self.verb, self.resource)
    }
}

fn cluster_roles(stage: &Stage) -> Api<ClusterRole> {
    Api::all(stage.client.clone())
}

/// The rights of both roles as they are shipped.
async fn shipped(stage: &Stage) -> (Vec<ClusterRole>, Vec<Right>) {
    let mut roles = Vec::new();
    let mut rights = Vec::new();
    for name in ["apim-operator-products", "apim-operator-subscriptions"] {
        let role = cluster_roles(stage).get(name).await.unwrap();
        for (rule, found) in role.rules.iter().flatten().enumerate() {
            let resources = found.resources.clone().unwrap();
            assert_eq!(resources.len(), 1, "one resource a rule: {found:?}");
            rights.extend(found.verbs.iter().map(|verb| Right {
                role: name.to_owned(),
                rule,
                verb: verb.clone(),
                resource: resources[0].clone(),
            }));
        }
        roles.push(role);
    }
    (roles, rights)
}

/// Sets both roles as shipped, but for one verb, and waits until that counts.
async fn set_rights(stage: &Stage, roles: &[ClusterRole], without: Option<&Right>) {
    for role in roles {
        let name = role.metadata.name.clone().unwrap();
        let mut now = json!(role.rules);
        if let Some(right) = without.filter(|right| right.role == name) {
            let verbs = now[right.rule]["verbs"].as_array_mut().unwrap();
            verbs.retain(|verb| *verb != right.verb.as_str());
            if verbs.is_empty() {
                now.as_array_mut().unwrap().remove(right.rule);
            }
        }
        let patch = Patch::Merge(json!({"rules": now}));
        cluster_roles(stage)
            .patch(&name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
    let Some(right) = without else { return };
    let (resource, part) = right
        .resource
        .split_once('/')
        .unwrap_or((&right.resource, ""));
    let asked = |verb: &str, group: &str| {
        json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
            "spec": {
                "user": "system:serviceaccount:operators:apim-operator",
                "resourceAttributes": {
                    "namespace": "shop", "verb": verb, "group": group, "resource": resource, "subresource": part,
                },
            },
        })
    };
    let group = if resource == "secrets" {
        ""
    } else {
        "apim.oda.tmforum.org"
    };
    let review: SubjectAccessReview = serde_json::from_value(asked(&right.verb, group)).unwrap();
    let reviews: Api<SubjectAccessReview> = Api::all(stage.client.clone());
    test_harness::wait_until("the right is gone", PATIENCE, async || {
        let answer = reviews.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status {
            Some(status) if !status.allowed => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
}

/// Lets the period of a key be over, whatever a look that is under way writes:
/// whoever calls this does so until the key has changed.
async fn make_overdue(api: &Api<DynamicObject>, object: &DynamicObject) -> kube::Result<()> {
    let (keys, long_ago) = (&object.data["status"]["keys"], "2026-01-01T00:00:00Z");
    if keys["since"] == long_ago || !keys["replacing"].is_null() {
        return Ok(());
    }
    let overdue = Patch::Merge(json!({
        "metadata": {"resourceVersion": object.metadata.resource_version},
        "status": {"keys": {"since": long_ago}},
    }));
    let name = object.metadata.name.as_deref().unwrap_or_default();
    match api
        .patch_status(name, &PatchParams::default(), &overdue)
        .await
    {
        // It is another one by now.
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(()),
        other => other.map(drop),
    }
}

/// Makes a product and keys for it, has a key replaced, and deletes both: until
/// they are gone, or the operator was refused something on the way. Answers
/// whether it was.
async fn live(stage: &Stage, name: &str, refusal: &str) -> bool {
    let (products, subscriptions) = (
        stage.objects(GROUP, "ApimProduct"),
        stage.objects(GROUP, "ApimSubscription"),
    );
    stage.apply(&product(name, &json!({}))).await.unwrap();
    let mut keys = subscription(name, &json!({"product": name}), name);
    keys["spec"]["rotation"] = json!({"every": "720h"});
    stage.apply(&keys).await.unwrap();
    let log_before = stage.operator_log().len();
    let mut step = 0;
    test_harness::wait_until(&format!("the life of {name}"), PATIENCE, async || {
        let text = |error: kube::Error| error.to_string();
        let now = (
            products.get_opt(name).await.map_err(text)?,
            subscriptions.get_opt(name).await.map_err(text)?,
        );
        let said = |object: &Option<DynamicObject>| {
            let status = object.as_ref().map(|one| one.data["status"].clone());
            status.unwrap_or_default()
        };
        let (product, subscription) = (said(&now.0), said(&now.1));
        let log = stage.operator_log();
        let log = log.get(log_before..).unwrap_or_default();
        let told = format!("{product}{subscription}{log}").replace('\\', "");
        if told.contains(refusal) {
            return Ok(true);
        }
        match step {
            0 if subscription["keys"]["current"] == "primary" => {
                if let Some(object) = &now.1 {
                    make_overdue(&subscriptions, object).await.map_err(text)?;
                }
            }
            0 if subscription["keys"]["current"] == "secondary"
                && subscription["keys"]["replacing"].is_null() =>
            {
                for api in [&subscriptions, &products] {
                    let params = DeleteParams::default();
                    api.delete(name, &params).await.map_err(text)?;
                }
                step = 1;
            }
            1 if now.0.is_none() && now.1.is_none() => return Ok(false),
            _ => {}
        }
        Err(format!("step {step}: {product} {subscription}"))
    })
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap()
}

/// Removes what is left of a life that was cut short.
async fn bury(stage: &Stage, name: &str) {
    for kind in ["ApimSubscription", "ApimProduct"] {
        let api = stage.objects(GROUP, kind);
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let _ = api.delete(name, &DeleteParams::default()).await;
        let _ = api.patch(name, &PatchParams::default(), &free).await;
        until_gone(stage, kind, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_for_products_and_keys_is_needed() {
    let test = "each_right_for_products_and_keys_is_needed";
    let stage = Stage::builder().instance(grants()).without_operator();
    let Some(mut stage) = stage.start(test).await else {
        return;
    };
    stage.allow_products().await.unwrap();
    let (roles, rights) = shipped(&stage).await;
    stage.start_operator().await.unwrap();
    assert!(!live(&stage, "with-all", " cannot ").await);
    let mut unnecessary = Vec::new();
    let mut closed = false;
    for (number, right) in rights.iter().enumerate() {
        // What is asked for once is seen by an operator that starts without.
        let at_start = ["list", "watch"].contains(&right.verb.as_str());
        set_rights(&stage, &roles, Some(right)).await;
        if at_start || closed {
            stage.kill_operator().unwrap();
            stage.start_operator().await.unwrap();
            closed = at_start;
        }
        if at_start {
            let kind = if right.resource == "apimproducts" {
                "ApimProducts are left alone"
            } else {
                "ApimSubscriptions are left alone"
            };
            test_harness::wait_until(kind, PATIENCE, async || {
                let log = stage.operator_log();
                if log.contains(kind) { Ok(()) } else { Err(log) }
            })
            .await
            .unwrap();
            continue;
        }
        let name = format!("life-{number}");
        if !live(&stage, &name, &right.refusal()).await {
            unnecessary.push(right.refusal());
        }
        set_rights(&stage, &roles, None).await;
        bury(&stage, &name).await;
    }
    assert_eq!(
        unnecessary, [""; 0],
        "these verbs can be removed from deploy/rbac-products.yaml"
    );
}
