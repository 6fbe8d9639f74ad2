//! Secrets of profiles: from a Kubernetes Secret into a named value of API
//! Management, and nowhere else.
#![forbid(unsafe_code)]
#![expect(
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "each test is one story, and setting its stage takes seconds"
)]

use anyhow::{Context as _, Result};
use apim_simulator::{CallKind, SimulatorConfig};
use e2e::rights::{bound_in_shop, role};
use e2e::{
    PATIENCE, Profiles as _, Stage, StageBuilder, cluster_profile, exposed_api, profile, status_of,
};
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// Those that must never be seen anywhere but in API Management.
const FIRST: &str = "hunter2-first";
const SECOND: &str = "hunter2-second";
const THIRD: &str = "hunter2-third";
const HOSTILE: &str = "hunter2 \"x\"";
const CODE: &str = "hunter2@(context)";

const LABEL: &str = "apim.oda.tmforum.org/readable";
const ID: &str = "shop.partner.password";

fn secret(namespace: &str, name: &str, key: &str, content: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: "true"}},
        "stringData": {key: content},
    })
}

fn partner() -> Value {
    let mut profile = profile(
        "partner",
        &json!([{"name": "basic-auth", "config": {"credentials": [
            {"user": "partner", "password": {"profileSecret": "password"}},
        ]}}]),
    );
    profile["spec"]["secrets"] =
        json!([{"name": "password", "secretRef": {"name": "partner", "key": "password"}}]);
    profile
}

fn with(name: &str, profiles: &str) -> Value {
    exposed_api(name, |object| {
        let annotations = &mut object["metadata"]["annotations"];
        annotations["apim.oda.tmforum.org/plugins"] = "".into();
        annotations["apim.oda.tmforum.org/profiles"] = profiles.into();
    })
}

fn message(status: &Value) -> String {
    let ready = status["conditions"].as_array().into_iter().flatten();
    let ready = ready.into_iter().find(|one| one["type"] == "Ready");
    ready.map_or_else(String::new, |one| {
        one["message"].as_str().unwrap_or_default().to_owned()
    })
}

/// The writes of named values and APIs, in their order.
fn writes(stage: &Stage) -> Vec<String> {
    let journal = stage.journal().into_iter();
    journal
        .filter(|call| matches!(call.kind, CallKind::Write | CallKind::Delete))
        .filter_map(|call| {
            let (_, below) = call.path.split_once("/service/")?;
            let (_, what) = below.split_once('/')?;
            let told = what.starts_with("namedValues/") || what.ends_with("/policies/policy");
            (told && call.method != "POST").then(|| format!("{} {what}", call.method))
        })
        .collect()
}

async fn value(stage: &Stage, id: &str) -> Result<Option<String>> {
    let path = format!("/namedValues/{id}/listValue");
    let (status, body) = stage.arm("POST", &path, Some(&json!({}))).await?;
    Ok((status == 200).then(|| body["value"].as_str().unwrap_or_default().to_owned()))
}

async fn until_value(stage: &Stage, id: &str, wanted: Option<&str>) -> Result<()> {
    test_harness::wait_until(
        &format!("named value {id}: {wanted:?}"),
        PATIENCE,
        async || {
            let now = value(stage, id).await.map_err(|error| error.to_string())?;
            if now.as_deref() == wanted {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        },
    )
    .await
    .with_context(|| stage.operator_log())
}

/// Nothing that anybody can read holds a part of a secret.
async fn nothing_leaked(stage: &Stage) -> Result<()> {
    let mut seen = stage.operator_log();
    for kind in [
        "exposedapi",
        "policyprofile",
        "clusterpolicyprofile",
        "events.events.k8s.io",
    ] {
        seen.push_str(&stage.kubectl(&["get", kind, "-A", "-o", "yaml"]).await?);
    }
    for call in stage.journal() {
        if !call.path.contains("/namedValues/") {
            seen.push_str(&call.body.to_string());
        }
    }
    assert!(!seen.contains("hunter2"), "{seen}");
    Ok(())
}

async fn stage(test: &str) -> Option<Stage> {
    builder().start(test).await
}

fn builder() -> StageBuilder {
    Stage::builder()
        .instance(json!({"ownerMay": ["profiles", "plugins", "plugin.*"]}))
        .object(role("rbac-secrets.yaml").unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_made_a_named_value_rotated_and_deleted_with_its_last_user() -> Result<()> {
    let Some(mut stage) = stage("a_secret_is_made").await else {
        return Ok(());
    };
    let own = stage.profiles();
    // Without the right, without the Secret, without the label, without the
    // key, and with what would be code: one clear message each.
    stage.apply(&partner()).await?;
    stage.apply(&with("one", "partner")).await?;
    let status = stage.until_reason("one", "Ready", "SecretUnusable").await?;
    let at = "PolicyProfile/shop/partner spec.secrets[password]: ";
    let said = message(&status);
    assert!(
        said.starts_with(at)
            && said.contains("needs the ClusterRole `apim-operator-secrets` in namespace `shop`"),
        "{said}"
    );
    stage.apply(&bound_in_shop("apim-operator-secrets")).await?;
    let until = async |what: &str| {
        let told = stage
            .until("one", what, |status| message(status).contains(what))
            .await?;
        let status = stage
            .until_profile(&own, "partner", "SecretUnusable", 1)
            .await?;
        anyhow::Ok((message(&told), message(&status)))
    };
    until("Secret `shop/partner` is not there, or does not carry the label").await?;
    let mut bare = secret("shop", "partner", "other", FIRST);
    bare["metadata"]["labels"] = json!({});
    stage.apply(&bare).await?;
    stage
        .apply(&secret("shop", "partner", "other", FIRST))
        .await?;
    until("Secret `shop/partner` has no key `password`; it has `other`").await?;
    stage
        .apply(&secret("shop", "partner", "password", CODE))
        .await?;
    let (told, of_profile) = until("holds `@(`, which API Management would take for code").await?;
    assert!(
        told.starts_with(at) && of_profile.starts_with(at),
        "{told} {of_profile}"
    );
    // No code, and still nothing for an expression.
    stage
        .apply(&secret("shop", "partner", "password", HOSTILE))
        .await?;
    let told = "is used inside an expression and holds other characters";
    stage
        .until("one", told, |status| message(status).contains(told))
        .await?;
    // Its user may say it later than it hears that the Secret is another.
    let said = test_harness::wait_for(&own, "partner", told, PATIENCE, |object| {
        let status = status_of(object?);
        message(&status).contains(told).then_some(status)
    });
    assert_eq!(said.await?["conditions"][0]["reason"], "UsersRefused");
    assert_eq!(writes(&stage), [""; 0]);

    // Made before the policy that names it, once for all its users.
    stage
        .apply(&secret(
            "shop",
            "partner",
            "password",
            &format!("{FIRST}\n"),
        ))
        .await?;
    stage.until_ready("one").await?;
    stage.apply(&with("two", "partner")).await?;
    stage.until_ready("two").await?;
    until_value(&stage, ID, Some(FIRST)).await?;
    let (_, there) = stage
        .arm("GET", &format!("/namedValues/{ID}"), None)
        .await?;
    assert_eq!(there["properties"]["secret"], true);
    assert!(there["properties"]["value"].is_null(), "{there}");
    let mark = there["properties"]["tags"][0]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        mark.starts_with("apim-operator/1 ") && mark.ends_with(" shop/partner"),
        "{mark}"
    );
    let put = format!("PUT namedValues/{ID}");
    let policy = |name: &str| format!("PUT apis/shop.{name}/policies/policy");
    assert_eq!(writes(&stage), [put.clone(), policy("one"), policy("two")]);
    let text = stage.policy("shop.one").await?;
    assert!(text.contains(&format!("{{{{{ID}}}}}")), "{text}");
    stage.until_profile(&own, "partner", "Usable", 2).await?;

    // Nobody else may name it, not even who may use it.
    let mut thief = with("thief", "partner");
    thief["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = "headers".into();
    thief["metadata"]["annotations"]["apim.oda.tmforum.org/plugin.headers"] =
        format!("response: {{set: {{X-Stolen: {{namedValue: {ID}}}}}}}").into();
    stage.apply(&thief).await?;
    let status = stage.until_reason("thief", "Ready", "Forbidden").await?;
    assert!(
        message(&status).contains("which alone may name it"),
        "{status}"
    );
    thief["metadata"]["annotations"]["apim.oda.tmforum.org/profiles"] = "".into();
    stage.apply(&thief).await?;
    let status = stage
        .until_reason("thief", "Ready", "InvalidPolicy")
        .await?;
    assert!(message(&status).contains("does not grant"), "{status}");
    stage.delete("thief").await?;

    // Rotated by one write, and no policy.
    stage
        .apply(&secret("shop", "partner", "password", SECOND))
        .await?;
    until_value(&stage, ID, Some(SECOND)).await?;
    stage.settled().await?;
    let mut of_two = vec![put.clone(), policy("one"), policy("two"), put.clone()];
    let without_settled = |stage: &Stage| {
        let mut all = writes(stage);
        all.retain(|write| !write.contains("shop.settled"));
        all
    };
    assert_eq!(without_settled(&stage), of_two);

    // One that may not stand where it would is told, and what is there stays.
    stage
        .apply(&secret("shop", "partner", "password", HOSTILE))
        .await?;
    for name in ["one", "two"] {
        let status = stage.until_reason(name, "Ready", "SecretUnusable").await?;
        assert!(message(&status).contains(told), "{status}");
    }
    stage.settled().await?;
    assert_eq!(without_settled(&stage), of_two);
    stage
        .apply(&secret("shop", "partner", "password", THIRD))
        .await?;
    until_value(&stage, ID, Some(THIRD)).await?;
    for name in ["one", "two"] {
        stage.until_ready(name).await?;
    }
    of_two.push(put.clone());
    assert_eq!(without_settled(&stage), of_two);

    // A restart writes nothing; a change while nobody looked is made good.
    stage.kill_operator()?;
    stage.start_operator().await?;
    stage.until_ready("one").await?;
    stage.settled().await?;
    assert_eq!(without_settled(&stage), of_two);
    stage.kill_operator()?;
    stage
        .apply(&secret("shop", "partner", "password", FIRST))
        .await?;
    stage.start_operator().await?;
    until_value(&stage, ID, Some(FIRST)).await?;
    nothing_leaked(&stage).await?;

    // It goes with its last user, and not before.
    stage.delete("one").await?;
    stage.until_gone("one").await?;
    stage.settled().await?;
    assert_eq!(value(&stage, ID).await?.as_deref(), Some(FIRST));
    stage.delete("two").await?;
    stage.until_gone("two").await?;
    until_value(&stage, ID, None).await?;

    // Also where the last one goes while nobody looks after it.
    stage.apply(&with("three", "partner")).await?;
    stage.until_ready("three").await?;
    until_value(&stage, ID, Some(FIRST)).await?;
    stage.kill_operator()?;
    lose(&stage, "three").await?;
    let (status, body) = stage
        .arm("DELETE", &format!("/namedValues/{ID}"), None)
        .await?;
    assert_eq!(status, 400, "{body}");
    take_away(&stage, "shop.three").await?;
    stage.start_operator().await?;
    until_value(&stage, ID, None).await?;
    nothing_leaked(&stage).await
}

/// Has an object go without its operator.
async fn lose(stage: &Stage, name: &str) -> Result<()> {
    let free = json!({"metadata": {"finalizers": null}});
    stage.patch("shop", name, &free).await?;
    stage.delete(name).await?;
    stage.until_gone(name).await
}

/// Deletes an API by the platform team's hands.
async fn take_away(stage: &Stage, id: &str) -> Result<()> {
    let path = format!("/apis/{id}?deleteRevisions=true");
    let (status, body) = stage.arm("DELETE", &path, None).await?;
    assert!((200..300).contains(&status), "{status} {body}");
    test_harness::wait_until(&format!("{id} is gone"), PATIENCE, async || {
        match stage.api(id).await {
            Ok(None) => Ok(()),
            Ok(Some(api)) => Err(api.to_string()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_wrote_is_made_good_and_what_had_to_stay_goes_later() -> Result<()> {
    let test = "what_others_wrote";
    let Some(mut stage) = builder()
        .environment("APIM_OPERATOR_TIME_SCALE", "600")
        .start(test)
        .await
    else {
        return Ok(());
    };
    stage.apply(&bound_in_shop("apim-operator-secrets")).await?;
    stage
        .apply(&secret("shop", "partner", "password", FIRST))
        .await?;
    stage.apply(&partner()).await?;
    stage.apply(&with("one", "partner")).await?;
    stage.until_ready("one").await?;
    until_value(&stage, ID, Some(FIRST)).await?;

    // Only the ETag tells that the text is another.
    let path = format!("/namedValues/{ID}");
    let (_, there) = stage.arm("GET", &path, None).await?;
    let mut theirs = json!({"properties": there["properties"]});
    theirs["properties"]["value"] = "theirs".into();
    let (status, body) = stage.arm("PUT", &path, Some(&theirs)).await?;
    assert!((200..300).contains(&status), "{status} {body}");
    // Ours, theirs, ours.
    let put = format!("PUT namedValues/{ID}");
    test_harness::wait_until("it was written again", PATIENCE, async || {
        let writes = writes(&stage);
        match writes.iter().filter(|write| **write == put).count() {
            3.. => Ok(()),
            _ => Err(format!("{writes:?}")),
        }
    })
    .await
    .with_context(|| stage.operator_log())?;
    until_value(&stage, ID, Some(FIRST)).await?;

    // What an API that was left behind uses stays with it.
    stage.kill_operator()?;
    lose(&stage, "one").await?;
    stage.start_operator().await?;
    test_harness::wait_until("a refused delete", PATIENCE, async || {
        let log = stage.operator_log();
        if log.contains("a named value stays: a policy uses it") {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })
    .await
    .with_context(|| stage.operator_log())?;
    assert_eq!(value(&stage, ID).await?.as_deref(), Some(FIRST));
    take_away(&stage, "shop.one").await?;
    until_value(&stage, ID, None).await?;
    nothing_leaked(&stage).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_of_the_cluster_takes_secrets_of_the_platform_and_of_key_vaults() -> Result<()> {
    let with_secret = |config: &mut SimulatorConfig| {
        let secrets = &mut config.seed.key_vaults[0].secrets;
        secrets.insert("partner".to_owned(), "of-the-vault".to_owned());
    };
    let stage = builder().simulator(with_secret);
    let Some(stage) = stage.start("a_profile_of_the_cluster").await else {
        return Ok(());
    };
    stage
        .apply(&secret("operators", "keys", "partner", FIRST))
        .await?;
    // What API Management reads with its own identity.
    let vault = "https://kv-local.vault.azure.net/secrets/partner";
    let mut shared = cluster_profile(
        "partners",
        &json!([{"name": "api-key", "config": {"keys": [
            {"profileSecret": "first"}, {"profileSecret": "second"},
        ]}}]),
    );
    shared["spec"]["secrets"] = json!([
        {"name": "first", "secretRef": {"name": "keys", "key": "partner"}},
        {"name": "second", "keyVault": {"secretIdentifier": vault}},
    ]);
    stage.apply(&shared).await?;
    stage.apply(&with("one", "partners")).await?;
    stage.until_ready("one").await?;
    until_value(&stage, "-.partners.first", Some(FIRST)).await?;
    let (_, there) = stage
        .arm("GET", "/namedValues/-.partners.second", None)
        .await?;
    let properties = &there["properties"];
    assert_eq!(properties["keyVault"]["secretIdentifier"], vault);
    assert_eq!(properties["secret"], true);
    assert!(properties["value"].is_null(), "{there}");

    // A profile of a namespace cannot read a vault with the service's identity.
    let mut own = profile("own", &json!([{"name": "headers"}]));
    own["spec"]["secrets"] = json!([{"name": "x", "keyVault": {"secretIdentifier": vault}}]);
    stage.apply(&own).await?;
    let status = stage
        .until_profile(&stage.profiles(), "own", "InvalidProfile", 0)
        .await?;
    assert!(
        message(&status).contains("only a ClusterPolicyProfile may name one"),
        "{status}"
    );
    let neither = json!([{"name": "x"}]);
    own["spec"]["secrets"] = neither;
    let refused = format!("{:?}", stage.apply(&own).await.err());
    assert!(
        refused.contains("exactly one of secretRef and keyVault"),
        "{refused}"
    );

    // A value of somebody else is left alone.
    let foreign =
        json!({"properties": {"displayName": "-.others.key", "value": "theirs", "secret": true}});
    stage
        .arm("PUT", "/namedValues/-.others.key", Some(&foreign))
        .await?;
    let mut others = cluster_profile(
        "others",
        &json!([{"name": "api-key", "config": {"keys": [{"profileSecret": "key"}]}}]),
    );
    others["spec"]["secrets"] =
        json!([{"name": "key", "secretRef": {"name": "keys", "key": "partner"}}]);
    stage.apply(&others).await?;
    stage.apply(&with("two", "others")).await?;
    let status = stage.until_reason("two", "Ready", "NotOurs").await?;
    assert!(
        message(&status).contains("that is not of this profile"),
        "{status}"
    );
    until_value(&stage, "-.others.key", Some("theirs")).await?;

    stage
        .cluster_profiles()
        .delete("partners", &DeleteParams::default())
        .await?;
    stage
        .until_reason("one", "Ready", "ProfileNotFound")
        .await?;
    // What is published works on with them.
    stage.settled().await?;
    until_value(&stage, "-.partners.first", Some(FIRST)).await?;
    stage.delete("one").await?;
    stage.until_gone("one").await?;
    for id in ["-.partners.first", "-.partners.second"] {
        until_value(&stage, id, None).await?;
    }
    nothing_leaked(&stage).await
}
