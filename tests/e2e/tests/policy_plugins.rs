//! A platform team ships a policy by pushing a file: plugins that come by
//! `PolicyPlugin`, change while they are used, and are governed.
#![forbid(unsafe_code)]

use anyhow::Result;
use e2e::{PATIENCE, PolicyPlugins as _, Stage, config_map, exposed_api, greeting, policy_plugin};
use kube::api::DeleteParams;
use serde_json::{Value, json};

const THREE: [&str; 3] = ["create 201", "policy 201", "import 200"];

/// An ExposedAPI with these annotations of ours.
fn with(name: &str, annotations: &[(&str, &str)]) -> Value {
    exposed_api(name, |object| {
        for (key, value) in annotations {
            object["metadata"]["annotations"][format!("apim.oda.tmforum.org/{key}")] =
                (*value).into();
        }
    })
}

fn greeting_source() -> Value {
    json!({"configMap": {"name": "greeting", "key": "plugin.wasm"}})
}

fn message(status: &Value, kind: &str) -> String {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .find(|condition| condition["type"] == kind)
        .map(|condition| condition["message"].as_str().unwrap_or_default().to_owned())
        .unwrap_or_default()
}

/// Waits until an API's policy holds a text.
async fn until_policy(stage: &Stage, api: &str, text: &str) -> Result<()> {
    test_harness::wait_until(&format!("{text} in {api}"), PATIENCE, async || {
        let policy = stage.policy(api).await.map_err(|error| error.to_string())?;
        if policy.contains(text) {
            Ok(())
        } else {
            Err(policy)
        }
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_declared_used_replaced_while_it_is_used_and_kept_where_a_new_one_is_broken()
-> Result<()> {
    let Some(stage) = Stage::builder().start("a_plugin_is_declared").await else {
        return Ok(());
    };
    // Whoever was there first waits for it.
    stage
        .apply(&with("early", &[("plugins", "greeting")]))
        .await?;
    stage
        .until_reason("early", "Ready", "PluginNotFound")
        .await?;
    stage.apply(&exposed_api("neighbour", |_| ())).await?;
    stage.until_ready("neighbour").await?;

    stage
        .apply(&config_map("greeting", &greeting("1.0.0", "hello")?))
        .await?;
    stage
        .apply(&policy_plugin("greeting", &greeting_source(), &json!({})))
        .await?;
    let status = stage.until_serves("greeting", "1.0.0").await?;
    assert_eq!(status["reference"], "ConfigMap greeting, key plugin.wasm");
    assert_eq!(status["descriptor"]["phase"], "transformation");
    assert_eq!(status["descriptor"]["specBlock"], "greeting");
    assert_eq!(status["descriptor"]["interface"], "1.0.0");
    assert_eq!(status["lastGoodDigest"], status["digest"]);
    stage.until_ready("early").await?;
    assert_eq!(stage.traffic("shop.early"), THREE);
    until_policy(&stage, "shop.early", "<value>hello</value>").await?;
    let users = stage
        .until_plugin("greeting", "one user", |status| status["users"] == 1)
        .await?;
    assert_eq!(users["mandatoryFor"], 0);
    let shown = stage.kubectl(&["get", "pp"]).await?;
    let columns: Vec<&str> = shown
        .lines()
        .nth(1)
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(
        columns[..6],
        ["greeting", "1.0.0", "True", "Serving", "1", "0"]
    );

    // A new version: its user's policy is written, and nothing else.
    let neighbour = stage.traffic("shop.neighbour");
    stage
        .apply(&config_map("greeting", &greeting("1.1.0", "howdy")?))
        .await?;
    stage.until_serves("greeting", "1.1.0").await?;
    until_policy(&stage, "shop.early", "<value>howdy</value>").await?;
    stage
        .until("early", "published with the new version", |status| {
            status["plugins"][0]["version"] == "1.1.0" && status["implementation"]["ready"] == true
        })
        .await?;
    assert_eq!(stage.traffic("shop.early")[3..], ["policy 200"]);
    assert_eq!(stage.traffic("shop.neighbour"), neighbour);

    a_broken_file_leaves_the_last_good_one(&stage).await?;
    a_removed_plugin_leaves_what_is_published(&stage).await
}

async fn a_broken_file_leaves_the_last_good_one(stage: &Stage) -> Result<()> {
    let before = stage.traffic("shop.early");
    let whole = greeting("1.1.0", "howdy")?;
    stage
        .apply(&config_map("greeting", &whole[..whole.len() / 2]))
        .await?;
    let status = stage
        .until_plugin_reason("greeting", "Ready", "NotAPlugin")
        .await?;
    assert_eq!(status["version"], "1.1.0");
    assert!(
        message(&status, "Ready").contains("version 1.1.0 ("),
        "{status}"
    );
    let status = stage
        .until("early", "the warning", |status| {
            status["warnings"]
                .to_string()
                .contains("version 1.1.0 serves on")
        })
        .await?;
    assert_eq!(status["implementation"]["ready"], true);
    // Whoever comes now gets it too.
    stage
        .apply(&with("late", &[("plugins", "greeting")]))
        .await?;
    stage.until_ready("late").await?;
    until_policy(stage, "shop.late", "<value>howdy</value>").await?;
    stage.delete("late").await?;
    stage.until_gone("late").await?;
    assert_eq!(stage.traffic("shop.early"), before);

    // Put right, the warning goes.
    stage.apply(&config_map("greeting", &whole)).await?;
    stage.until_serves("greeting", "1.1.0").await?;
    stage
        .until("early", "no warning", |status| {
            !status["warnings"].to_string().contains("serves on")
        })
        .await?;
    assert_eq!(stage.traffic("shop.early"), before);
    Ok(())
}

async fn a_removed_plugin_leaves_what_is_published(stage: &Stage) -> Result<()> {
    let before = stage.traffic("shop.early");
    stage
        .policy_plugins()
        .delete("greeting", &DeleteParams::default())
        .await?;
    let status = stage
        .until_reason("early", "PolicyRendered", "PluginNotFound")
        .await?;
    assert!(
        message(&status, "Ready").contains("there is no plugin `greeting`"),
        "{status}"
    );
    assert_eq!(stage.traffic("shop.early"), before);
    until_policy(stage, "shop.early", "<value>howdy</value>").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_switches_off_what_the_platform_made_mandatory() -> Result<()> {
    let Some(stage) = Stage::builder().start("nobody_switches_off").await else {
        return Ok(());
    };
    stage
        .apply(&config_map("greeting", &greeting("1.0.0", "hello")?))
        .await?;
    let everywhere = json!({"mandatory": {"namespaceSelector": {}}, "namespaceSelector": null});
    stage.apply(&with("plain", &[("plugins", "")])).await?;
    stage.until_ready("plain").await?;

    // Made mandatory, it comes to those that are published already.
    stage
        .apply(&policy_plugin("greeting", &greeting_source(), &everywhere))
        .await?;
    until_policy(&stage, "shop.plain", "<value>hello</value>").await?;
    stage
        .until_plugin("greeting", "mandatory for one", |status| {
            status["mandatoryFor"] == 1
        })
        .await?;

    // What an owner writes of it: an error in the annotation, a warning in the
    // spec; neither changes anything in Azure.
    stage
        .until("plain", "published with it", |status| {
            status["plugins"][0]["name"] == "greeting" && status["implementation"]["ready"] == true
        })
        .await?;
    let before = stage.traffic("shop.plain");
    let set = |text: Option<&str>| json!({"metadata": {"annotations": {"apim.oda.tmforum.org/plugin.greeting": text}}});
    stage
        .patch("shop", "plain", &set(Some("text: mine")))
        .await?;
    let status = stage.until_reason("plain", "Ready", "Locked").await?;
    assert!(
        message(&status, "Ready").contains("PolicyPlugin/greeting does not unlock this"),
        "{status}"
    );
    stage.patch("shop", "plain", &set(None)).await?;
    stage
        .patch(
            "shop",
            "plain",
            &json!({"spec": {"greeting": {"enabled": "false", "text": "mine"}}}),
        )
        .await?;
    let status = stage
        .until("plain", "the warnings", |status| {
            let said = status["warnings"].to_string();
            said.contains("PolicyPlugin/greeting makes it mandatory") && said.contains("`/text`")
        })
        .await?;
    assert_eq!(status["implementation"]["ready"], true);
    assert_eq!(stage.traffic("shop.plain"), before);

    a_paused_object_follows_what_is_mandatory(&stage).await?;

    // It cannot be deleted while it protects somebody.
    stage
        .policy_plugins()
        .delete("greeting", &DeleteParams::default())
        .await?;
    let status = stage
        .until_plugin_reason("greeting", "Stalled", "DeletionHeld")
        .await?;
    assert!(
        message(&status, "Stalled").contains("take `spec.mandatory` off"),
        "{status}"
    );
    stage.apply(&with("newcomer", &[("plugins", "")])).await?;
    stage.until_ready("newcomer").await?;
    until_policy(&stage, "shop.newcomer", "<value>hello</value>").await?;
    let held = stage.policy_plugins().get("greeting").await?;
    assert!(held.metadata.deletion_timestamp.is_some());

    // Only the platform lets it go.
    stage
        .patch_plugin("greeting", &json!({"spec": {"mandatory": null}}))
        .await?;
    test_harness::wait_for(
        &stage.policy_plugins(),
        "greeting",
        "gone",
        PATIENCE,
        |object| object.is_none().then_some(()),
    )
    .await?;
    test_harness::wait_until("a policy without it", PATIENCE, async || {
        let policy = stage
            .policy("shop.plain")
            .await
            .map_err(|error| error.to_string())?;
        if policy.contains("x-greeting") {
            Err(policy)
        } else {
            Ok(())
        }
    })
    .await?;
    Ok(())
}

/// And nothing else: what its owner changed meanwhile waits.
async fn a_paused_object_follows_what_is_mandatory(stage: &Stage) -> Result<()> {
    stage.apply(&with("paused", &[("plugins", "")])).await?;
    stage.until_ready("paused").await?;
    stage
        .patch(
            "shop",
            "paused",
            &json!({"metadata": {"annotations": {"apim.oda.tmforum.org/paused": "true"}}, "spec": {"path": "/moved"}}),
        )
        .await?;
    stage
        .until_reason("paused", "Reconciling", "Paused")
        .await?;
    let before = stage.traffic("shop.paused");
    stage
        .patch_plugin(
            "greeting",
            &json!({"spec": {"defaults": {"text": "servus"}}}),
        )
        .await?;
    until_policy(stage, "shop.paused", "<value>servus</value>").await?;
    until_policy(stage, "shop.plain", "<value>servus</value>").await?;
    stage
        .patch_plugin("greeting", &json!({"spec": {"defaults": null}}))
        .await?;
    until_policy(stage, "shop.paused", "<value>hello</value>").await?;
    until_policy(stage, "shop.plain", "<value>hello</value>").await?;
    assert_eq!(
        stage.traffic("shop.paused")[before.len()..],
        ["policy 200", "policy 200"]
    );
    stage.delete("paused").await?;
    stage.until_gone("paused").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_apply_refuses_what_can_never_work_and_status_says_what_does_not() -> Result<()> {
    let Some(stage) = Stage::builder().start("kubectl_apply_refuses").await else {
        return Ok(());
    };
    for (name, source, more, sentence) in [
        (
            "two",
            json!({"builtIn": {"name": "cors"}, "file": {"path": "/x"}}),
            json!({}),
            "write exactly one of builtIn, oci, http, configMap and file",
        ),
        ("none", json!({}), json!({}), "write exactly one of"),
        (
            "digest",
            json!({"builtIn": {"name": "cors"}}),
            json!({"digest": "sha256:12"}),
            "write sha256: and 64 hex digits",
        ),
        (
            "relative",
            json!({"file": {"path": "x.wasm"}}),
            json!({}),
            "write an absolute path",
        ),
        (
            "hash",
            json!({"http": {"url": "https://a.example/x.wasm", "sha256": "12"}}),
            json!({}),
            "write 64 hex digits",
        ),
        (
            "refresh",
            json!({"builtIn": {"name": "cors"}}),
            json!({"refresh": "often"}),
            "write Never, or a duration",
        ),
        (
            "unlocked",
            json!({"builtIn": {"name": "cors"}}),
            json!({"unlocked": ["roles"]}),
            "write JSON pointers such as /requiredRoles",
        ),
        (
            "nobody",
            json!({"builtIn": {"name": "cors"}}),
            json!({"verification": {}}),
            "list public keys in keys or signers in identities",
        ),
        (
            "typo",
            json!({"builtin": {"name": "cors"}}),
            json!({}),
            "field not declared in schema",
        ),
        (
            "dotted.name",
            json!({"builtIn": {"name": "cors"}}),
            json!({}),
            "a plugin's name is a DNS label",
        ),
    ] {
        let refused = stage.apply(&policy_plugin(name, &source, &more)).await;
        let refusal = format!("{:?}", refused.err());
        assert!(refusal.contains(sentence), "{name}: {refusal}");
    }
    what_only_the_operator_can_know_is_told_in_status(&stage).await
}

async fn what_only_the_operator_can_know_is_told_in_status(stage: &Stage) -> Result<()> {
    let schema_of_cors = json!({"defaults": {"maxAge": "soon"}});
    for (name, source, more, reason, sentence) in [
        (
            "cosr",
            json!({"builtIn": {"name": "cosr"}}),
            json!({}),
            "NotFound",
            "did you mean `cors`",
        ),
        (
            "cors",
            json!({"configMap": {"name": "no", "key": "x"}}),
            json!({}),
            "NameTaken",
            "replaceBuiltIn: true",
        ),
        (
            "missing",
            json!({"configMap": {"name": "no", "key": "x"}}),
            json!({}),
            "PullFailed",
            "ConfigMap `no` is not there in namespace `operators`",
        ),
        (
            "defaulted",
            json!({"builtIn": {"name": "cors"}}),
            schema_of_cors,
            "InvalidDefaults",
            "spec.defaults /maxAge",
        ),
        (
            "pinned",
            json!({"builtIn": {"name": "cors"}}),
            json!({"digest": format!("sha256:{}", "0".repeat(64))}),
            "DigestMismatch",
            "`spec.digest` allows",
        ),
        (
            "secret",
            json!({"oci": {"reference": "127.0.0.1:1/p:1", "pullSecretRef": {"name": "none"}}}),
            json!({}),
            "PullSecret",
            "Secret `operators/none` is not there",
        ),
        (
            "down",
            json!({"oci": {"reference": "127.0.0.1:1/p:1", "plainHttp": true}}),
            json!({}),
            "PullFailed",
            "cannot be reached",
        ),
    ] {
        stage.apply(&policy_plugin(name, &source, &more)).await?;
        let status = stage.until_plugin_reason(name, "Ready", reason).await?;
        let said = message(&status, "Ready");
        assert!(said.contains(sentence), "{name}: {said}");
    }
    // The built-in plugin serves on under its name.
    stage
        .apply(&with(
            "shared",
            &[
                ("plugins", "cors"),
                ("plugin.cors", "allowOrigins: [https://a.example]"),
            ],
        ))
        .await?;
    stage.until_ready("shared").await?;
    until_policy(stage, "shop.shared", "<origin>https://a.example</origin>").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_goes_out_in_batches_and_stops_where_it_is_refused() -> Result<()> {
    let Some(mut stage) = Stage::builder().start("a_new_version_goes_out").await else {
        return Ok(());
    };
    stage
        .apply(&config_map("greeting", &greeting("1.0.0", "hello")?))
        .await?;
    let batches = json!({"rollout": {"batch": 2}});
    stage
        .apply(&policy_plugin("greeting", &greeting_source(), &batches))
        .await?;
    stage.until_serves("greeting", "1.0.0").await?;
    let names: Vec<String> = (1..=5).map(|i| format!("api-{i}")).collect();
    for name in &names {
        stage.apply(&with(name, &[("plugins", "greeting")])).await?;
    }
    for name in &names {
        stage.until_ready(name).await?;
    }
    stage
        .until_plugin("greeting", "five users", |status| status["users"] == 5)
        .await?;

    // A version that panics stops with the first batch; nobody's policy changes.
    stage
        .apply(&config_map("greeting", &greeting("2.0.0", "panic")?))
        .await?;
    let status = stage
        .until_plugin_reason("greeting", "Stalled", "RolloutStopped")
        .await?;
    assert_eq!(status["version"], "1.0.0");
    assert_eq!(status["rollout"]["version"], "2.0.0");
    assert_eq!(status["rollout"]["total"], 5);
    let said = message(&status, "Stalled");
    assert!(said.contains("it stopped at shop/api-"), "{said}");
    assert!(said.contains("asked to panic"), "{said}");
    for name in &names {
        assert_eq!(stage.traffic(&format!("shop.{name}")), THREE, "{name}");
    }

    // A restart in the middle does not take anything back.
    stage.restart().await?;
    stage
        .until_plugin_reason("greeting", "Stalled", "RolloutStopped")
        .await?;
    for name in &names {
        assert_eq!(stage.traffic(&format!("shop.{name}")), [""; 0], "{name}");
    }

    // The mended version reaches everybody, two at a time.
    stage
        .apply(&config_map("greeting", &greeting("2.0.1", "howdy")?))
        .await?;
    stage.until_serves("greeting", "2.0.1").await?;
    for name in &names {
        until_policy(&stage, &format!("shop.{name}"), "<value>howdy</value>").await?;
        assert_eq!(
            stage.traffic(&format!("shop.{name}")),
            ["policy 200"],
            "{name}"
        );
    }
    // The first batch was read back before the second was written.
    let journal = stage.journal();
    let policy_calls: Vec<String> = journal
        .iter()
        .skip_while(|call| {
            !(call.method == "PUT" && call.status == 200 && call.path.ends_with("/policies/policy"))
        })
        .filter(|call| call.path.ends_with("/policies/policy"))
        .map(|call| call.method.clone())
        .collect();
    let second_batch = policy_calls
        .iter()
        .enumerate()
        .filter(|(_, method)| *method == "PUT")
        .nth(2)
        .map(|(at, _)| at)
        .unwrap_or_default();
    let read = policy_calls[..second_batch]
        .iter()
        .filter(|method| *method == "GET")
        .count();
    assert!(read >= 2, "{policy_calls:?}");
    Ok(())
}

/// A ConfigMap with a template that sets a header to this text and the API's
/// team.
fn template(greeting: &str, labels: &Value) -> Value {
    let text = format!(
        "<inbound><set-header name=\"x-team\" exists-action=\"override\"><value>{greeting} {{{{ values.team }}}}</value>\
         </set-header></inbound>"
    );
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "policies", "namespace": "operators", "labels": labels},
        "data": {"team.xml": text},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_of_the_platforms_makes_policy_and_a_change_of_it_reaches_its_users()
-> Result<()> {
    let Some(stage) = Stage::builder().start("a_template_of_the_platforms").await else {
        return Ok(());
    };
    stage.apply(&template("team", &json!({}))).await?;
    let key = json!({"name": "policies", "key": "team.xml"});
    stage
        .apply(&policy_plugin(
            "team-header",
            &json!({"builtIn": {"name": "template"}}),
            &json!({"template": key}),
        ))
        .await?;
    stage
        .apply(&with(
            "shop",
            &[
                ("plugins", "team-header"),
                ("plugin.team-header", "values: {team: <a> & b}"),
            ],
        ))
        .await?;
    stage.until_ready("shop").await?;
    until_policy(&stage, "shop.shop", "<value>team &lt;a&gt; &amp; b</value>").await?;

    // What an owner names must be meant for owners.
    stage
        .apply(&with(
            "own",
            &[
                ("plugins", "template"),
                (
                    "plugin.template",
                    "{template: {configMap: {name: policies, key: team.xml}}, values: {team: b}}",
                ),
            ],
        ))
        .await?;
    let status = stage
        .until_reason("own", "PolicyRendered", "DocumentMissing")
        .await?;
    assert!(
        message(&status, "PolicyRendered").contains("owners-may-name"),
        "{status}"
    );
    assert_eq!(stage.traffic("shop.own"), [""; 0]);
    let labels = json!({"apim.oda.tmforum.org/owners-may-name": "true"});
    stage.apply(&template("squad", &labels)).await?;
    stage.until_ready("own").await?;
    until_policy(&stage, "shop.own", "<value>squad b</value>").await?;
    until_policy(
        &stage,
        "shop.shop",
        "<value>squad &lt;a&gt; &amp; b</value>",
    )
    .await?;
    assert_eq!(stage.traffic("shop.shop")[3..], ["policy 200"]);

    // A template that is none: its users keep what they have.
    let mut broken = template("", &json!({}));
    broken["data"]["team.xml"] = "<inbound>{{ values.team </inbound>".into();
    stage.apply(&broken).await?;
    let status = stage
        .until_reason("shop", "PolicyRendered", "InvalidPolicy")
        .await?;
    assert!(
        message(&status, "PolicyRendered").contains("line 1"),
        "{status}"
    );
    until_policy(
        &stage,
        "shop.shop",
        "<value>squad &lt;a&gt; &amp; b</value>",
    )
    .await
}
