//! Each right of `deploy/rbac-gateways.yaml` is needed: without it, a gateway's
//! life does not run to its end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use e2e::gateways::gateway;
use e2e::{PATIENCE, Stage};
use futures::future::join_all;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use serde_json::{Value, json};
use test_harness::wait_until;

const OBJECTS: &str = "apim-operator-gateway-objects";
const OWN: &str = "apim-operator-gateways";

/// One verb of one rule.
#[derive(Debug, Clone)]
struct Right {
    rule: usize,
    verb: String,
    resource: String,
}

/// The rules of a role as they are shipped, and each right in them.
async fn shipped(stage: &Stage, name: &str) -> (Value, Vec<Right>) {
    let of_cluster: Api<ClusterRole> = Api::all(stage.client.clone());
    let rules = json!(of_cluster.get(name).await.unwrap().rules);
    let mut rights = Vec::new();
    for (rule, found) in rules.as_array().unwrap().iter().enumerate() {
        let resources = found["resources"].as_array().unwrap();
        assert_eq!(resources.len(), 1, "one resource a rule: {found}");
        let verbs = found["verbs"].as_array().unwrap().iter();
        rights.extend(verbs.map(|verb| Right {
            rule,
            verb: verb.as_str().unwrap().to_owned(),
            resource: resources[0].as_str().unwrap().to_owned(),
        }));
    }
    (rules, rights)
}

fn without(rules: &Value, right: Option<&Right>) -> Value {
    let mut rules = rules.clone();
    if let Some(right) = right {
        let verbs = rules[right.rule]["verbs"].as_array_mut().unwrap();
        verbs.retain(|verb| *verb != right.verb.as_str());
        if verbs.is_empty() {
            rules.as_array_mut().unwrap().remove(right.rule);
        }
    }
    rules
}

/// A namespace in which the operator has all rights to objects but one.
async fn namespace(stage: &Stage, name: &str, rules: &Value) {
    let subject =
        json!({"kind": "ServiceAccount", "name": "apim-operator", "namespace": "operators"});
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "gateways", "namespace": name}, "rules": rules,
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "gateways", "namespace": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gateways"},
            "subjects": [subject],
        }),
    ] {
        stage.apply(&object).await.unwrap();
    }
}

/// Makes a gateway in a namespace, has its token replaced, and deletes it: until
/// it is gone, or the operator was refused something on the way. Answers whether
/// it was.
async fn live(stage: &Stage, namespace: &str, refusal: &str) -> bool {
    let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "SelfHostedGateway");
    let resource = ApiResource::from_gvk_with_plural(&kind, "selfhostedgateways");
    let gateways: Api<DynamicObject> =
        Api::namespaced_with(stage.client.clone(), namespace, &resource);
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), namespace);
    let mut object = gateway(
        "edge",
        &json!({"apis": {"selector": {}}, "autoscaling": {"maxReplicas": 4}}),
    );
    object["metadata"]["namespace"] = json!(namespace);
    stage.apply(&object).await.unwrap();
    let merge = |patch: Value| (PatchParams::default(), Patch::Merge(patch));
    let mut step = 0;
    wait_until(&format!("the life in {namespace}"), PATIENCE, async || {
        let text = |error: kube::Error| error.to_string();
        let now = gateways.get_opt("edge").await.map_err(text)?;
        let status = now.as_ref().map(|one| one.data["status"].clone());
        let status = status.unwrap_or_default();
        let log = stage.operator_log();
        let told = format!("{status}{log}").replace('\\', "");
        if told.contains(refusal) {
            return Ok(true);
        }
        // Nobody says of these pods that they are there.
        let all = status["conditions"].as_array().into_iter().flatten();
        let made = all.clone().any(|one| one["reason"] == "NoReadyPods");
        match step {
            0 if made => {
                let (params, patch) = merge(json!({"stringData": {"value": "old"}}));
                let name = "apim-gateway-edge-token";
                secrets.patch(name, &params, &patch).await.map_err(text)?;
                let (params, patch) = merge(json!({"spec": {"description": "again"}}));
                gateways
                    .patch("edge", &params, &patch)
                    .await
                    .map_err(text)?;
                step = 1;
            }
            1 => {
                let secret = secrets.get("apim-gateway-edge-token").await.map_err(text)?;
                if secret.data.unwrap()["value"].0 != b"old" {
                    let params = DeleteParams::default();
                    gateways.delete("edge", &params).await.map_err(text)?;
                    step = 2;
                }
            }
            2 if now.is_none() => return Ok(false),
            _ => {}
        }
        Err(format!("step {step}: {status}"))
    })
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap()
}

/// Waits until the API server does not give a right any more.
async fn until_gone(stage: &Stage, right: &Right) {
    let (resource, part) = right
        .resource
        .split_once('/')
        .unwrap_or((&right.resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {
            "user": "system:serviceaccount:operators:apim-operator",
            "resourceAttributes": {
                "verb": right.verb, "group": "apim.oda.tmforum.org", "resource": resource, "subresource": part,
            },
        },
    });
    let review: SubjectAccessReview = serde_json::from_value(review).unwrap();
    let reviews: Api<SubjectAccessReview> = Api::all(stage.client.clone());
    wait_until("the right is gone", PATIENCE, async || {
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

fn premium() -> e2e::StageBuilder {
    Stage::builder().without_operator().simulator(|config| {
        for service in &mut config.seed.services {
            "Premium".clone_into(&mut service.sku);
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_to_objects_is_needed_in_its_namespace() {
    let test = "each_right_to_objects_is_needed_in_its_namespace";
    let Some(mut stage) = premium().start(test).await else {
        return;
    };
    stage.allow("rbac-gateways.yaml").await.unwrap();
    let (rules, rights) = shipped(&stage, OBJECTS).await;
    namespace(&stage, "with-all", &rules).await;
    for (number, right) in rights.iter().enumerate() {
        let name = format!("without-{number}");
        namespace(&stage, &name, &without(&rules, Some(right))).await;
    }
    stage.start_operator().await.unwrap();
    let stage = &stage;
    let lives = rights.iter().enumerate().map(async |(number, right)| {
        let name = format!("without-{number}");
        let group = if ["services", "secrets"].contains(&right.resource.as_str()) {
            ""
        } else {
            let rule = &rules[right.rule]["apiGroups"][0];
            rule.as_str().unwrap()
        };
        // As the API server says that it is missing.
        let refusal = format!(
            "cannot {} resource \"{}\" in API group \"{group}\" in the namespace \"{name}\"",
            right.verb, right.resource
        );
        live(stage, &name, &refusal)
            .await
            .then_some(())
            .ok_or(refusal)
    });
    let unnecessary: Vec<String> = join_all(lives)
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert_eq!(
        unnecessary, [""; 0],
        "these verbs can be removed from deploy/rbac-gateways.yaml"
    );
    let any = "in the namespace \"with-all\"";
    assert!(!live(stage, "with-all", any).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_to_gateways_is_needed() {
    let test = "each_right_to_gateways_is_needed";
    let Some(mut stage) = premium().start(test).await else {
        return;
    };
    stage.allow("rbac-gateways.yaml").await.unwrap();
    let (objects, _) = shipped(&stage, OBJECTS).await;
    let (rules, rights) = shipped(&stage, OWN).await;
    let of_cluster: Api<ClusterRole> = Api::all(stage.client.clone());
    for (number, right) in rights.iter().enumerate() {
        let name = format!("life-{number}");
        namespace(&stage, &name, &objects).await;
        let patch = Patch::Merge(json!({"rules": without(&rules, Some(right))}));
        let params = PatchParams::default();
        of_cluster.patch(OWN, &params, &patch).await.unwrap();
        until_gone(&stage, right).await;
        // What is asked for once is seen by an operator that starts without.
        if number > 0 {
            stage.kill_operator().unwrap();
        }
        stage.start_operator().await.unwrap();
        if ["list", "watch"].contains(&right.verb.as_str()) {
            let told = "SelfHostedGateways are left alone";
            wait_until(told, PATIENCE, async || {
                let log = stage.operator_log();
                if log.contains(told) { Ok(()) } else { Err(log) }
            })
            .await
            .unwrap();
            continue;
        }
        let refusal = format!("cannot {} resource \"{}\"", right.verb, right.resource);
        assert!(live(&stage, &name, &refusal).await, "{refusal}");
    }
}
