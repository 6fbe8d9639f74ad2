//! Each right of the shipped RBAC is needed: without it, an object's life from
//! create to delete does not run as it does with all of them.
#![forbid(unsafe_code)]

use anyhow::{Context as _, Result};
use apim_simulator::ServiceSeed;
use e2e::canvas::{component, component_definition, components};
use e2e::{
    PATIENCE, PolicyPlugins as _, Profiles as _, Stage, cluster_profile, conditions, exposed_api,
    metrics_api, policy_plugin, profile, service_monitor_definition, status_of,
};
use kube::ResourceExt as _;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use serde_json::{Value, json};

/// One verb of one rule.
struct Right {
    /// `ClusterRole` or `Role`.
    kind: String,
    rule: usize,
    verb: String,
    resource: String,
}

/// What of the shipped roles was read.
struct Roles {
    roles: Vec<(String, Api<DynamicObject>, Value)>,
}

impl Roles {
    async fn shipped(stage: &Stage) -> Result<Self> {
        let mut shipped = Vec::new();
        for kind in ["ClusterRole", "Role"] {
            let gvk = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind);
            let resource = ApiResource::from_gvk(&gvk);
            let api: Api<DynamicObject> = if kind == "Role" {
                Api::namespaced_with(stage.client.clone(), "operators", &resource)
            } else {
                Api::all_with(stage.client.clone(), &resource)
            };
            let role = api.get("apim-operator").await?;
            shipped.push((kind.to_owned(), api, role.data["rules"].clone()));
        }
        Ok(Self { roles: shipped })
    }

    fn rights(&self) -> Vec<Right> {
        let mut rights = Vec::new();
        for (kind, _, rules) in &self.roles {
            for (index, rule) in rules.as_array().into_iter().flatten().enumerate() {
                let resource = rule["resources"][0].as_str().unwrap_or_default().to_owned();
                assert_eq!(
                    rule["resources"].as_array().map(Vec::len),
                    Some(1),
                    "one resource a rule: {rule}"
                );
                for verb in rule["verbs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                {
                    rights.push(Right {
                        kind: kind.clone(),
                        rule: index,
                        verb: verb.to_owned(),
                        resource: resource.clone(),
                    });
                }
            }
        }
        rights
    }

    /// Sets all rules as shipped, but for one verb.
    async fn without(&self, right: Option<&Right>) -> Result<()> {
        for (kind, api, rules) in &self.roles {
            let mut rules = rules.clone();
            if let Some(right) = right.filter(|right| right.kind == *kind) {
                let verbs = rules[right.rule]["verbs"].as_array_mut().context("verbs")?;
                verbs.retain(|verb| *verb != right.verb.as_str());
                if verbs.is_empty() {
                    rules.as_array_mut().context("rules")?.remove(right.rule);
                }
            }
            let patch = Patch::Merge(json!({"rules": rules}));
            api.patch("apim-operator", &PatchParams::default(), &patch)
                .await?;
        }
        Ok(())
    }
}

/// How an object's life went.
#[derive(Debug, PartialEq, Eq)]
enum Life {
    /// To its end, with nothing refused.
    Whole,
    /// The operator was refused what it asked for.
    Refused,
}

/// Applies a PolicyPlugin, two profiles and an object of a Component, waits
/// until it is ready, an event tells it, its Component says so, the profiles can
/// be used, the PolicyPlugin serves and is held, and both instances say that they are connected, deletes it and waits
/// until it is gone: or until the operator was refused something on the way.
async fn live(stage: &Stage, name: &str, refusal: &str) -> Result<Life> {
    let api = stage.exposed_apis("shop");
    let nobody = json!({"mandatory": {"namespaceSelector": {"matchLabels": {"nobody": "here"}}}});
    let source = json!({"builtIn": {"name": "cors"}});
    stage.apply(&policy_plugin(name, &source, &nobody)).await?;
    let plugins = json!([{"name": "headers"}]);
    stage.apply(&profile(name, &plugins)).await?;
    let mut shared = cluster_profile(&of_cluster(name), &plugins);
    shared["spec"]["secrets"] =
        json!([{"name": "key", "secretRef": {"name": "shared", "key": "key"}}]);
    stage.apply(&shared).await?;
    let parents = components(&stage.client, "shop");
    let parent = parents.get("parent").await?;
    stage
        .apply(&exposed_api(name, |object| {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "oda.tmforum.org/v1", "kind": "Component",
                "name": "parent", "uid": parent.uid(),
            }]);
        }))
        .await?;
    let scraped = format!("{name}-metrics");
    stage.apply(&metrics_api(&scraped)).await?;
    let uid = api.get(name).await?.uid();
    let listed = Patch::Merge(json!({"status": {"coreAPIs": [{"name": name, "uid": uid}]}}));
    parents
        .patch("parent", &PatchParams::default(), &listed)
        .await?;
    let mut deleted = false;
    let mut ready = false;
    let life = test_harness::wait_until(
        &format!("the life of {name}, or `{refusal}`"),
        PATIENCE,
        async || {
            let object = api.get_opt(name).await.map_err(|error| error.to_string())?;
            let metrics = api
                .get_opt(&scraped)
                .await
                .map_err(|error| error.to_string())?;
            let monitor = stage.service_monitors().get_opt(&scraped).await;
            let monitor = monitor.map_err(|error| error.to_string())?;
            let status = object.as_ref().map(status_of).unwrap_or_default();
            // What stops an object is told in its status, the rest in the log.
            let told = format!("{status}{}", stage.operator_log()).replace('\\', "");
            if told.contains(refusal) {
                return Ok(Life::Refused);
            }
            if object.is_none() && metrics.is_none() && monitor.is_none() {
                return Ok(Life::Whole);
            }
            if !deleted && status["implementation"]["ready"] == true {
                // The event is written beside the reconcile.
                ready = true;
                let events = stage
                    .events(name)
                    .await
                    .map_err(|error| error.to_string())?;
                let connected = connected(stage).await.map_err(|error| error.to_string())?;
                let kept = is_kept(stage, name)
                    .await
                    .map_err(|error| error.to_string())?;
                let parent = parents
                    .get("parent")
                    .await
                    .map_err(|error| error.to_string())?;
                let told = status_of(&parent)["coreAPIs"][0]["ready"] == true;
                if !events.is_empty()
                    && monitor.is_some()
                    && told
                    && kept
                    && connected == ["default: True", "other: True"]
                {
                    for name in [name, &scraped] {
                        api.delete(name, &DeleteParams::default())
                            .await
                            .map_err(|error| error.to_string())?;
                    }
                    deleted = true;
                }
            }
            Err(format!(
                "ready: {ready}, deleted: {deleted}, {:?}",
                conditions(&status)
            ))
        },
    )
    .await
    .with_context(|| stage.operator_log())?;
    Ok(life)
}

/// Whether a PolicyPlugin serves, says so, and is held, and the profiles say
/// that they can be used.
async fn is_kept(stage: &Stage, name: &str) -> Result<bool> {
    let plugin = stage.policy_plugins().get(name).await?;
    let held = plugin.metadata.finalizers.as_ref().map(Vec::len);
    let own = stage.profiles().get(name).await?;
    let shared = stage.cluster_profiles().get(&of_cluster(name)).await?;
    let fine = |object| status_of(object)["conditions"][0]["status"] == "True";
    Ok(held == Some(1) && [&plugin, &own, &shared].into_iter().all(fine))
}

/// The name of the profile of the cluster beside one of the namespace.
fn of_cluster(name: &str) -> String {
    format!("{name}-for-all")
}

/// What is left of an object whose life was cut short.
async fn bury(stage: &Stage, name: &str) -> Result<()> {
    let free = json!({"metadata": {"finalizers": null}});
    stage.patch_plugin(name, &free).await?;
    stage
        .policy_plugins()
        .delete(name, &DeleteParams::default())
        .await?;
    let now = DeleteParams::default();
    stage.profiles().delete(name, &now).await?;
    let shared = stage.cluster_profiles();
    shared.delete(&of_cluster(name), &now).await?;
    let api = stage.exposed_apis("shop");
    let scraped = format!("{name}-metrics");
    let monitors = stage.service_monitors();
    if monitors.get_opt(&scraped).await?.is_some() {
        monitors.delete(&scraped, &DeleteParams::default()).await?;
    }
    for name in [name, &scraped] {
        if api.get_opt(name).await?.is_some() {
            let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            api.patch(name, &PatchParams::default(), &free).await?;
            if api
                .get_opt(name)
                .await?
                .is_some_and(|object| object.metadata.deletion_timestamp.is_none())
            {
                api.delete(name, &DeleteParams::default()).await?;
            }
        }
        stage.until_gone(name).await?;
    }
    Ok(())
}

/// A second instance whose secret the operator has to read.
async fn instance_with_a_secret(stage: &Stage) -> Result<()> {
    let application = stage
        .azure
        .endpoints
        .applications
        .iter()
        .find(|app| app.name == "operator");
    let application = application.context("the seed has an application for the operator")?;
    stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "azure", "namespace": "operators"},
            "stringData": {"clientSecret": application.client_secret},
        }))
        .await?;
    stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "shared", "namespace": "operators",
                "labels": {"apim.oda.tmforum.org/readable": "true"},
            },
            "stringData": {"key": "hunter2"},
        }))
        .await?;
    let mut instance = stage.instance_manifest();
    instance["metadata"]["name"] = "other".into();
    instance["spec"]["serviceName"] = "apim-two".into();
    instance["spec"]["namespaceSelector"] = json!({"matchLabels": {"nobody": "here"}});
    instance["spec"]["credentials"] = json!({"clientSecret": {
        "tenantId": application.tenant_id, "clientId": application.client_id,
        "secretRef": {"name": "azure", "key": "clientSecret"},
    }});
    stage.apply(&instance).await
}

fn instances(stage: &Stage) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "ApimInstance");
    Api::all_with(stage.client.clone(), &ApiResource::from_gvk(&gvk))
}

/// What the instances say of themselves.
async fn connected(stage: &Stage) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for instance in instances(stage).list(&ListParams::default()).await? {
        let status = status_of(&instance);
        let ready = status["conditions"][0]["status"]
            .as_str()
            .unwrap_or("nothing");
        said.push(format!(
            "{}: {ready}",
            instance.metadata.name.as_deref().unwrap_or_default()
        ));
    }
    Ok(said)
}

/// Removes what the instances' status says, so that it is written again.
async fn forget_instances(stage: &Stage) -> Result<()> {
    for name in ["default", "other"] {
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        instances(stage)
            .patch(name, &PatchParams::default(), &free)
            .await?;
        let nothing = Patch::Merge(json!({"status": null}));
        instances(stage)
            .patch_status(name, &PatchParams::default(), &nothing)
            .await?;
    }
    Ok(())
}

/// Removes the lease of an operator that was killed, which would be waited for.
async fn forget_lease(stage: &Stage) -> Result<()> {
    stage
        .kubectl(&[
            "delete",
            "lease",
            "apim-operator",
            "-n",
            "operators",
            "--ignore-not-found",
        ])
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_right_of_the_shipped_rbac_is_needed() -> Result<()> {
    let stage = Stage::builder()
        .simulator(|config| config.seed.services.push(ServiceSeed::named("apim-two")))
        .environment("APIM_OPERATOR_LEADER_ELECT", "true")
        // So that the lease is renewed, too, while an object lives.
        .environment("APIM_OPERATOR_LEADER_ELECT_RETRY_PERIOD", "100ms")
        .instance(json!({"exposure": {"serviceMonitor": {}}}))
        .object(component_definition()?)
        .object(service_monitor_definition())
        .object(component("parent", &[]));
    let Some(mut stage) = stage.start("every_right").await else {
        return Ok(());
    };
    instance_with_a_secret(&stage).await?;
    let roles = Roles::shipped(&stage).await?;

    // With all of them, nothing is refused.
    let life = live(&stage, "with-all", " cannot ").await?;
    let log = stage.operator_log();
    let refused: Vec<&str> = log.lines().filter(|l| l.contains(" cannot ")).collect();
    assert_eq!((life, refused), (Life::Whole, vec![]));
    stage.kill_operator()?;

    let mut unnecessary = Vec::new();
    for (index, right) in roles.rights().iter().enumerate() {
        let Right {
            kind,
            verb,
            resource,
            ..
        } = right;
        roles.without(Some(right)).await?;
        forget_instances(&stage).await?;
        forget_lease(&stage).await?;
        stage.spawn_operator()?;
        let name = format!("life-{index}");
        let plain = resource.split('/').next().unwrap_or_default();
        let refusal = format!("cannot {verb} resource \"{resource}\"");
        let life = live(&stage, &name, &refusal)
            .await
            .with_context(|| format!("without {verb} {resource} ({kind})"))?;
        if life == Life::Whole {
            unnecessary.push(format!("{kind} {plain}: {verb}"));
        }
        stage.kill_operator()?;
        bury(&stage, &name).await?;
    }
    assert_eq!(
        unnecessary, [""; 0],
        "these verbs can be removed from deploy/rbac.yaml"
    );

    // Shipped as it is, it works again.
    roles.without(None).await?;
    forget_lease(&stage).await?;
    stage.start_operator().await?;
    assert_eq!(live(&stage, "at-last", " cannot ").await?, Life::Whole);
    Ok(())
}
