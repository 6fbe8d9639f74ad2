//! Profiles: plugins with config that many APIs name, and that change for all
//! of them at once.
#![forbid(unsafe_code)]

use anyhow::Result;
use e2e::{PATIENCE, Profiles as _, Stage, cluster_profile, conditions, exposed_api, profile};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

const THREE: [&str; 3] = ["create 201", "policy 201", "import 200"];

/// An ExposedAPI that names profiles.
fn with(name: &str, profiles: &str) -> Value {
    exposed_api(name, |object| {
        object["metadata"]["annotations"]["apim.oda.tmforum.org/profiles"] = profiles.into();
    })
}

/// A plugin that sends a header.
fn tier(value: &str) -> Value {
    json!([{"name": "headers", "config": {"response": {"set": {"X-Tier": value}}}}])
}

fn message(status: &Value) -> String {
    let ready = status["conditions"].as_array().into_iter().flatten();
    let ready = ready.into_iter().find(|one| one["type"] == "Ready");
    ready.map_or_else(String::new, |one| {
        one["message"].as_str().unwrap_or_default().to_owned()
    })
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

async fn stage(test: &str) -> Option<Stage> {
    Stage::builder()
        .instance(json!({"ownerMay": ["profiles", "plugins", "plugin.*"]}))
        .start(test)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_is_named_changed_broken_and_taken_away() -> Result<()> {
    let Some(stage) = stage("a_profile_is_named").await else {
        return Ok(());
    };
    // Whoever was there first waits for it.
    stage.apply(&with("early", "gold")).await?;
    let status = stage
        .until_reason("early", "Ready", "ProfileNotFound")
        .await?;
    assert!(
        message(&status).contains("there is no PolicyProfile `gold` in namespace `shop`"),
        "{status}"
    );
    assert_eq!(stage.traffic("shop.early"), [""; 0]);
    stage.apply(&exposed_api("neighbour", |_| ())).await?;
    stage.until_ready("neighbour").await?;
    let neighbour = stage.traffic("shop.neighbour");

    stage.apply(&profile("gold", &tier("gold"))).await?;
    stage.until_ready("early").await?;
    assert_eq!(stage.traffic("shop.early"), THREE);
    until_policy(&stage, "shop.early", "<value>gold</value>").await?;
    let own = stage.profiles();
    let status = stage.until_profile(&own, "gold", "Usable", 1).await?;
    assert_eq!(status["observedGeneration"], 1);
    let shown = stage.kubectl(&["get", "pprof", "-n", "shop"]).await?;
    let columns: Vec<&str> = shown
        .lines()
        .nth(1)
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(columns[..5], ["gold", "headers", "True", "Usable", "1"]);

    // One write for its user, none for the others.
    stage.apply(&profile("gold", &tier("more"))).await?;
    until_policy(&stage, "shop.early", "<value>more</value>").await?;
    assert_eq!(stage.traffic("shop.early")[3..], ["policy 200"]);
    stage.settled().await?;
    assert_eq!(stage.traffic("shop.neighbour"), neighbour);
    let plan = stage.cli(&["plan", "--namespace", "shop"]).await?;
    assert_eq!(plan.0, 0, "{plan:?}");

    let file = stage.dir().join("profile.yaml");
    std::fs::write(&file, profile("gold", &tier("even-more")).to_string())?;
    let (code, plan, _) = stage
        .cli(&["plan", "-f", &file.display().to_string()])
        .await?;
    assert_eq!(code, 3, "{plan}");
    assert!(
        plan.contains("shop/early") && plan.contains("even-more"),
        "{plan}"
    );
    assert!(!plan.contains("neighbour"), "{plan}");

    // What it says is wrong: what is published stays, and both say why.
    let before = stage.traffic("shop.early");
    let wrong = json!([{"name": "headers", "config": {"response": {"set": 5}}}]);
    stage.apply(&profile("gold", &wrong)).await?;
    let status = stage
        .until_reason("early", "Ready", "InvalidProfile")
        .await?;
    let place = "PolicyProfile/shop/gold spec.plugins[headers].config /response/set";
    assert!(message(&status).contains(place), "{status}");
    let status = stage.until_profile(&own, "gold", "UsersRefused", 1).await?;
    assert!(
        message(&status).starts_with("shop/early cannot be published with it: "),
        "{status}"
    );
    stage.settled().await?;
    assert_eq!(stage.traffic("shop.early"), before);
    stage.apply(&profile("gold", &tier("more"))).await?;
    stage.until_ready("early").await?;
    stage.until_profile(&own, "gold", "Usable", 1).await?;

    // A second one of the name makes both ambiguous, and going undoes that.
    stage.apply(&cluster_profile("gold", &tier("all"))).await?;
    let status = stage
        .until_reason("early", "Ready", "AmbiguousProfile")
        .await?;
    assert!(message(&status).contains("is both a PolicyProfile of namespace `shop`"));
    let shared = stage.cluster_profiles();
    for api in [&own, &shared] {
        stage
            .until_profile(api, "gold", "AmbiguousProfile", 1)
            .await?;
    }
    shared.delete("gold", &DeleteParams::default()).await?;
    stage.until_ready("early").await?;
    stage.until_profile(&own, "gold", "Usable", 1).await?;

    // Without it, what is published stays.
    own.delete("gold", &DeleteParams::default()).await?;
    stage
        .until_reason("early", "Ready", "ProfileNotFound")
        .await?;
    stage.settled().await?;
    assert_eq!(stage.traffic("shop.early"), before);
    until_policy(&stage, "shop.early", "<value>more</value>").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_all_who_name_a_profile_once_and_nobody_else() -> Result<()> {
    const USERS: usize = 13;
    let Some(stage) = stage("a_change_reaches_all").await else {
        return Ok(());
    };
    let shipped = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/profiles.yaml"
    ))?;
    test_harness::apply_yaml(&stage.client, &shipped).await?;
    let users: Vec<String> = (0..USERS).map(|i| format!("user-{i}")).collect();
    for name in &users {
        stage.apply(&with(name, "calls-10")).await?;
    }
    // The later one wins; what the first one says has no effect.
    stage.apply(&with("both", "calls-10, calls-1000")).await?;
    stage.apply(&with("other", "calls-100")).await?;
    for name in users.iter().map(String::as_str).chain(["both", "other"]) {
        stage.until_ready(name).await?;
        assert_eq!(stage.traffic(&format!("shop.{name}")), THREE, "{name}");
    }
    until_policy(&stage, "shop.user-0", r#"calls="10" renewal-period="60""#).await?;
    until_policy(&stage, "shop.both", r#"calls="1000" renewal-period="60""#).await?;
    let shared = stage.cluster_profiles();
    let number = u32::try_from(USERS)?;
    stage
        .until_profile(&shared, "calls-10", "Usable", number + 1)
        .await?;
    stage
        .until_profile(&shared, "calls-100", "Usable", 1)
        .await?;

    // An API that came before its profile was seen has been asked for already.
    let before = triggered(&stage).await?;
    let patch = json!({"spec": {"plugins": [{"name": "rate-limit", "config": {"calls": 20, "renewalPeriod": 60}}]}});
    shared
        .patch("calls-10", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    for name in &users {
        until_policy(&stage, &format!("shop.{name}"), r#"calls="20""#).await?;
    }
    test_harness::wait_until("all were asked for", PATIENCE, async || {
        let now = triggered(&stage).await.map_err(|error| error.to_string())?;
        if now - before == u64::from(number) + 1 {
            Ok(())
        } else {
            Err(format!("{now} after {before}"))
        }
    })
    .await?;
    stage.settled().await?;
    for name in &users {
        assert_eq!(
            stage.traffic(&format!("shop.{name}"))[3..],
            ["policy 200"],
            "{name}"
        );
    }
    for name in ["both", "other"] {
        assert_eq!(stage.traffic(&format!("shop.{name}")), THREE, "{name}");
    }
    Ok(())
}

/// How many APIs were asked for because of a profile.
async fn triggered(stage: &Stage) -> Result<u64> {
    let lines = stage.metrics("apim_operator_triggers_total").await?;
    let of_profiles = lines
        .iter()
        .filter(|line| line.contains(r#""PolicyProfile""#));
    let counts = of_profiles.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    Ok(counts.sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_can_never_work_is_refused_and_one_that_cannot_now_says_so() -> Result<()> {
    let Some(stage) = stage("a_profile_that_can_never").await else {
        return Ok(());
    };
    let plain = json!([{"name": "headers"}]);
    let typo = json!([{"name": "headers", "confgi": {}}]);
    for (object, sentence) in [
        (profile("none", &json!([])), "should have at least 1 items"),
        (
            profile("twice", &json!([{"name": "headers"}, {"name": "headers"}])),
            "duplicate entries for key",
        ),
        (
            profile("shout", &json!([{"name": "Headers"}])),
            "should match",
        ),
        (profile("typo", &typo), "field not declared in schema"),
        (
            profile("dotted.name", &plain),
            "a profile's name is a DNS label",
        ),
        (
            cluster_profile("dotted.name", &plain),
            "a profile's name is a DNS label",
        ),
    ] {
        let refused = stage.apply(&object).await;
        let refusal = format!("{:?}", refused.err());
        assert!(refusal.contains(sentence), "{sentence}: {refusal}");
    }

    stage
        .apply(&e2e::policy_plugin(
            "headers",
            &json!({"builtIn": {"name": "headers"}}),
            &json!({"namespaceSelector": {"matchLabels": {"team": "other"}}}),
        ))
        .await?;
    stage.apply(&profile("forbidden", &plain)).await?;
    stage
        .apply(&profile("missing", &json!([{"name": "haeders"}])))
        .await?;
    stage.apply(&with("one", "forbidden")).await?;
    stage.apply(&with("two", "missing")).await?;
    let own = stage.profiles();
    let status = stage
        .until_profile(&own, "forbidden", "Forbidden", 1)
        .await?;
    let said = "PolicyProfile/shop/forbidden spec.plugins[headers]";
    let cannot = "plugin `headers` may not be used in namespace `shop`";
    assert!(
        message(&status).starts_with(&format!("{said}: {cannot}")),
        "{status}"
    );
    stage
        .until_profile(&own, "missing", "PluginNotFound", 1)
        .await?;
    let status = stage.until_reason("one", "Ready", "Forbidden").await?;
    assert!(
        message(&status).starts_with(&format!("{said}: [headers] {cannot}")),
        "{status}"
    );
    assert_eq!(conditions(&status)[2], "Stalled=True Forbidden");
    stage.until_reason("two", "Ready", "PluginNotFound").await?;
    assert_eq!(
        (stage.traffic("shop.one"), stage.traffic("shop.two")),
        (vec![], vec![])
    );
    Ok(())
}
