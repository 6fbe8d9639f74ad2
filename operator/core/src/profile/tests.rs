//! What profiles mean for the chains of the APIs that name them.

use serde_json::{Value, json};

use super::*;
use crate::validate::test_support::{World, instance, meta, spec};

fn name(text: &str) -> ProfileName {
    ProfileName::parse(text).unwrap()
}

/// A profile of the namespace of the tests' objects.
fn own(profiles: &mut Profiles, profile: &str, plugins: &Value) {
    let spec = serde_json::from_value(json!({"plugins": plugins})).unwrap();
    let reference = ProfileRef {
        namespace: Some("components".into()),
        name: name(profile),
    };
    let state = Profile::of_namespace("components", name(profile), &spec);
    profiles.insert(reference, state);
}

/// A profile of the cluster that all may name.
fn of_cluster(profiles: &mut Profiles, profile: &str, plugins: &Value) {
    of_cluster_for(profiles, profile, &json!({}), plugins);
}

fn of_cluster_for(profiles: &mut Profiles, profile: &str, selector: &Value, plugins: &Value) {
    let spec =
        serde_json::from_value(json!({"namespaceSelector": selector, "plugins": plugins})).unwrap();
    let reference = ProfileRef {
        namespace: None,
        name: name(profile),
    };
    profiles.insert(reference, Profile::of_cluster(name(profile), &spec));
}

fn world(fill: impl FnOnce(&mut Profiles)) -> World {
    let mut world = World::with(instance("default", &json!({"ownerMay": ["*"]})));
    fill(&mut world.profiles);
    world
}

/// The plugins of the chain in order, with their config.
fn chain(world: &World, annotations: &[(&str, &str)]) -> Vec<(String, Value)> {
    let validated = world.validate(&meta(annotations), &spec(&json!({})));
    let validated = validated.unwrap_or_else(|rejection| panic!("{rejection}"));
    let plugins = validated.chain().api.iter();
    plugins
        .map(|plugin| (plugin.name().to_string(), plugin.config.clone()))
        .collect()
}

fn names(chain: &[(String, Value)]) -> Vec<&str> {
    chain.iter().map(|(name, _)| name.as_str()).collect()
}

fn refusal(world: &World, annotations: &[(&str, &str)]) -> Vec<String> {
    world.refusal(&meta(annotations), &spec(&json!({})))
}

#[test]
fn the_plugins_of_a_profile_come_behind_the_default_list_or_the_listed_ones() {
    let world = world(|profiles| {
        own(
            profiles,
            "gold",
            &json!([{"name": "headers", "config": {"set": {"X-Tier": "gold"}}}]),
        );
    });
    let with_defaults = chain(&world, &[("profiles", "gold")]);
    assert_eq!(names(&with_defaults), ["guard", "throttle", "headers"]);
    assert_eq!(with_defaults[2].1, json!({"set": {"X-Tier": "gold"}}));
    let listed = chain(&world, &[("profiles", "gold"), ("plugins", "throttle")]);
    assert_eq!(names(&listed), ["throttle", "headers"]);
    let alone = chain(&world, &[("profiles", "gold"), ("plugins", "")]);
    assert_eq!(names(&alone), ["headers"]);
    // Nothing of it without the annotation.
    assert_eq!(names(&chain(&world, &[])), ["guard", "throttle"]);
}

#[test]
fn a_profile_of_an_operation_runs_for_that_operation_alone() {
    let world = world(|profiles| {
        let plugins = json!([
            {"name": "headers", "config": {"set": {"X-Tier": "gold"}}},
            {"name": "throttle", "config": {"calls": 10, "period": 30}},
        ]);
        own(profiles, "gold", &plugins);
    });
    let text = "listItems: {plugins: throttle, profiles: gold, config: {throttle: {calls: 7}}}\ndeleteItem: {profiles: gold}";
    let annotations = [("plugins", "guard"), ("operation-plugins", text)];
    assert_eq!(names(&chain(&world, &annotations)), ["guard"]);
    let inquiry = world.inquire(&meta(&annotations), &spec(&json!({})));
    let gold = BTreeSet::from([name("gold")]);
    assert_eq!(inquiry.profile_names(), gold);
    assert_eq!(inquiry.plugin_names().len(), 3);
    let validated = world
        .validate(&meta(&annotations), &spec(&json!({})))
        .unwrap();
    let mut of_operations: Vec<_> = validated
        .chain()
        .operations
        .iter()
        .map(|plugin| {
            let operation = plugin.operation.as_deref().unwrap_or_default();
            format!("{operation} {} {}", plugin.name(), plugin.config)
        })
        .collect();
    of_operations.sort();
    assert_eq!(
        of_operations,
        [
            r#"deleteitem headers {"set":{"X-Tier":"gold"}}"#,
            r#"deleteitem throttle {"calls":10,"period":30}"#,
            r#"listitems headers {"set":{"X-Tier":"gold"}}"#,
            r#"listitems throttle {"calls":7,"period":30}"#,
        ]
    );
    assert_eq!(
        refusal(
            &world,
            &[("operation-plugins", "listItems: {profiles: golf}")]
        ),
        [
            "metadata.annotations[apim.oda.tmforum.org/operation-plugins] /listItems/profiles: there is no \
             PolicyProfile `golf` in namespace `components` and no ClusterPolicyProfile of that name; did you mean \
             `gold`; its APIs may name `gold`"
        ]
    );
}

#[test]
fn a_profile_stands_over_the_spec_block_and_under_the_annotation_and_a_later_one_wins() {
    let world = world(|profiles| {
        own(
            profiles,
            "gold",
            &json!([{"name": "throttle", "config": {"calls": 10, "period": 30}}]),
        );
        of_cluster(
            profiles,
            "platinum",
            &json!([{"name": "throttle", "config": {"calls": 1000}}]),
        );
    })
    .reads("throttle", None, json!({"calls": 5, "key": "ip"}));
    let block = spec(&json!({"rateLimit": {"limit": "5"}}));
    let config = |annotations: &[(&str, &str)]| {
        let validated = world.validate(&meta(annotations), &block).unwrap();
        let plugins = validated.chain().api.iter();
        let throttle = plugins.filter(|p| p.name().as_str() == "throttle");
        throttle.map(|p| p.config.clone()).collect::<Vec<_>>()
    };
    // 100 a minute is the instance's, 5 by `ip` the spec's.
    assert_eq!(
        config(&[]),
        [json!({"calls": 5, "period": 60, "key": "ip"})]
    );
    assert_eq!(
        config(&[("profiles", "gold")]),
        [json!({"calls": 10, "period": 30, "key": "ip"})]
    );
    assert_eq!(
        config(&[("profiles", "gold, platinum")]),
        [json!({"calls": 1000, "period": 30, "key": "ip"})]
    );
    assert_eq!(
        config(&[("profiles", "platinum, gold")]),
        [json!({"calls": 10, "period": 30, "key": "ip"})]
    );
    assert_eq!(
        config(&[("profiles", "gold"), ("plugin.throttle", "calls: 7")]),
        [json!({"calls": 7, "period": 30, "key": "ip"})]
    );
}

#[test]
fn a_name_that_is_both_a_profile_of_the_namespace_and_of_the_cluster_is_an_error() {
    let world = world(|profiles| {
        own(profiles, "gold", &json!([{"name": "headers"}]));
        // Also where the namespace could not name it.
        of_cluster_for(
            profiles,
            "gold",
            &json!({"matchLabels": {"team": "other"}}),
            &json!([{"name": "headers"}]),
        );
    });
    assert_eq!(
        refusal(&world, &[("profiles", "gold")]),
        [
            "metadata.annotations[apim.oda.tmforum.org/profiles]: `gold` is both a PolicyProfile of namespace \
             `components` and a ClusterPolicyProfile; give one of them another name"
        ]
    );
}

#[test]
fn a_profile_that_is_not_there_offers_those_that_are() {
    let world = world(|profiles| {
        own(profiles, "gold", &json!([{"name": "headers"}]));
        of_cluster(profiles, "calls-10", &json!([{"name": "throttle"}]));
        of_cluster_for(
            profiles,
            "secret",
            &json!({"matchLabels": {"team": "other"}}),
            &json!([{"name": "headers"}]),
        );
        let elsewhere = ProfileRef {
            namespace: Some("elsewhere".into()),
            name: name("theirs"),
        };
        let spec = serde_json::from_value(json!({"plugins": [{"name": "headers"}]})).unwrap();
        let state = Profile::of_namespace("elsewhere", name("theirs"), &spec);
        profiles.insert(elsewhere, state);
    });
    assert_eq!(
        refusal(&world, &[("profiles", "golf, theirs, secret")]),
        [
            "metadata.annotations[apim.oda.tmforum.org/profiles]: there is no PolicyProfile `golf` in namespace \
             `components` and no ClusterPolicyProfile of that name; did you mean `gold`; its APIs may name \
             `calls-10`, `gold`",
            "metadata.annotations[apim.oda.tmforum.org/profiles]: there is no PolicyProfile `theirs` in namespace \
             `components` and no ClusterPolicyProfile of that name; its APIs may name `calls-10`, `gold`",
            "metadata.annotations[apim.oda.tmforum.org/profiles]: ClusterPolicyProfile/secret may not be named in \
             namespace `components`: its spec.namespaceSelector does not select it; its APIs may name `calls-10`, \
             `gold`",
        ]
    );
}

#[test]
fn what_is_wrong_in_a_profile_is_told_at_the_profile() {
    let world = world(|profiles| {
        own(
            profiles,
            "gold",
            &json!([{"name": "throttle", "config": {"calls": 0}}, {"name": "nowhere"}]),
        );
        own(
            profiles,
            "twice",
            &json!([{"name": "guard"}, {"name": "guard"}, {"name": "Bad"}]),
        );
    });
    assert_eq!(
        refusal(&world, &[("profiles", "gold, twice")]),
        [
            "PolicyProfile/components/twice spec.plugins[1].name: `guard` is listed twice; remove one of the two",
            "PolicyProfile/components/twice spec.plugins[2].name: `Bad` is not a plugin name: lowercase letters, \
             digits and `-`, at most 56, no `-` at either end",
            "PolicyProfile/components/gold spec.plugins[nowhere]: [nowhere] there is no plugin `nowhere`; loaded are \
             `guard`, `headers`, `share`, `throttle`",
            "PolicyProfile/components/gold spec.plugins[throttle].config /calls: [throttle] expected at least 1, got \
             `0`",
        ]
    );
}

#[test]
fn a_profile_asks_for_what_the_default_list_runs_only_on_demand() {
    let world = world(|profiles| {
        of_cluster(profiles, "web", &json!([{"name": "share"}]));
    });
    assert_eq!(
        names(&chain(&world, &[("profiles", "web")])),
        ["share", "guard", "throttle"]
    );
    let world = world.reads("share", Some(false), json!({}));
    let block = spec(&json!({"sharing": {"enabled": false}}));
    let validated = world
        .validate(&meta(&[("profiles", "web")]), &block)
        .unwrap();
    let warnings: Vec<String> = validated
        .chain()
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        warnings,
        [
            "spec.sharing: [share] plugin `share` is listed in ClusterPolicyProfile/web but does not run, because \
             `spec.sharing` switches it off; switch it on there"
        ]
    );
}

#[test]
fn a_profile_of_a_namespace_says_no_more_than_its_owners_may() {
    let with = |owner_may: &Value| {
        let mut world = World::with(instance("default", &json!({"ownerMay": owner_may})));
        let plugins = json!([
            {"name": "headers", "config": {"set": {}}},
            {"name": "throttle", "config": {"calls": 10}},
            {"name": "guard"},
        ]);
        own(&mut world.profiles, "own", &plugins);
        of_cluster(&mut world.profiles, "platforms", &plugins);
        world
    };
    let narrow = with(&json!(["profiles", "plugin.headers"]));
    assert_eq!(
        refusal(&narrow, &[("profiles", "own")]),
        [
            "PolicyProfile/components/own spec.plugins[headers]: [headers] instance `default` does not let API owners \
             set `plugins`, so a PolicyProfile cannot either; they may set `profiles`, `plugin.headers`. Ask the \
             platform team to add it to `ownerMay`, or for a ClusterPolicyProfile",
            "PolicyProfile/components/own spec.plugins[throttle].config: [throttle] instance `default` does not let API \
             owners set `plugin.throttle`, so a PolicyProfile cannot either; they may set `profiles`, \
             `plugin.headers`. Ask the platform team to add it to `ownerMay`, or for a ClusterPolicyProfile",
        ]
    );
    let platforms = chain(&narrow, &[("profiles", "platforms")]);
    assert_eq!(names(&platforms), ["guard", "throttle", "headers"]);
    let wide = with(&json!(["profiles", "plugins", "plugin.*"]));
    assert_eq!(
        names(&chain(&wide, &[("profiles", "own")])),
        ["guard", "throttle", "headers"]
    );
    // And the annotation itself is the platform's to allow.
    let mut shut = with(&json!(["plugins"]));
    own(&mut shut.profiles, "own", &json!([{"name": "guard"}]));
    let refused = refusal(&shut, &[("profiles", "own")]);
    assert!(
        refused[0].contains("does not let API owners set `profiles`"),
        "{refused:?}"
    );
    assert_eq!(refused.len(), 1);
}

/// A world with a profile whose plugin `guard` is given a secret.
fn with_secret(more: &Value) -> World {
    world(|profiles| {
        let mut spec = json!({
            "plugins": [{"name": "guard", "config": {"audience": {"profileSecret": "password"}}}],
            "secrets": [{"name": "password", "secretRef": {"name": "partner", "key": "password"}}],
        });
        crate::config::merge(&mut spec, more);
        let state = Profile::of_namespace(
            "components",
            name("gold"),
            &serde_json::from_value(spec).unwrap(),
        );
        let reference = ProfileRef {
            namespace: Some("components".into()),
            name: name("gold"),
        };
        profiles.insert(reference, state);
    })
}

#[test]
fn a_secret_of_a_profile_is_a_named_value_that_the_profile_alone_may_name() {
    let mut world = with_secret(&json!({}));
    world.catalog = crate::validate::test_support::catalog();
    let guard = crate::validate::test_support::plugin(
        "guard",
        "authentication",
        None,
        &json!({"audience": {}, "other": {}}),
    );
    let listing = crate::chain::Listing::Ready(Arc::new(guard));
    world
        .catalog
        .insert(PluginName::parse("guard").unwrap(), listing);
    let annotations = [("profiles", "gold")];
    let validated = world
        .validate(&meta(&annotations), &spec(&json!({})))
        .unwrap();
    let guard = &validated.chain().api[0];
    assert_eq!(
        guard.config,
        json!({"audience": {"namedValue": "components.gold.password"}})
    );
    assert_eq!(
        guard.secrets.iter().collect::<Vec<_>>(),
        ["components.gold.password"]
    );
    assert_eq!(validated.chain().api[1].secrets.len(), 0);
    let desired = crate::build::build(&validated);
    assert_eq!(
        serde_json::to_value(&desired.named_values).unwrap(),
        json!([{
            "id": "components.gold.password",
            "mark": "apim-operator/1 0f3c1a2b components/gold",
            "source": {"secret": {"namespace": "components", "name": "partner", "key": "password"}},
        }])
    );
    assert_eq!(
        desired.named_values[0].place(),
        "PolicyProfile/components/gold spec.secrets[password]"
    );
    // Not used, not made.
    let without = world.validate(&meta(&[]), &spec(&json!({}))).unwrap();
    assert_eq!(crate::build::build(&without).named_values, []);
    // Neither in the same place nor in another may its name stand.
    for config in [
        "other: components.gold.password",
        "audience: {namedValue: components.gold.password}",
        "other: [{namedValue: components.gold.password}]",
    ] {
        let refused = refusal(&world, &[("profiles", "gold"), ("plugin.guard", config)]);
        assert_eq!(refused.len(), 1, "{config}");
        assert!(
            refused[0].contains(
                "`components.gold.password` is a secret of PolicyProfile/components/gold, which alone may name it"
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn secrets_that_cannot_be_are_refused_where_they_are_declared() {
    let refused = |more: &Value| refusal(&with_secret(more), &[("profiles", "gold")]);
    let at = "PolicyProfile/components/gold spec.";
    assert_eq!(
        refused(
            &json!({"secrets": [{"name": "passwort", "secretRef": {"name": "a", "key": "b"}}]})
        ),
        [format!(
            "{at}plugins[guard].config /audience/profileSecret: [guard] the profile has no secret `password`; did you \
             mean `passwort`; declared are `passwort`"
        )]
    );
    let vault = json!({"secretIdentifier": "https://v.vault.azure.net/secrets/s"});
    assert_eq!(
        refused(&json!({"secrets": [{"name": "password", "keyVault": vault}]}))[0],
        format!(
            "{at}secrets[0].keyVault: a Key Vault is read as the API Management service, so only a \
             ClusterPolicyProfile may name one; use secretRef"
        )
    );
    assert!(
        refused(&json!({"secrets": [{"name": "password"}]}))[0]
            .starts_with(&format!("{at}secrets[0]: has not exactly one of"))
    );
    let plugins = json!([{"name": "guard", "config": {"audience": {"profileSecret": 5}}}]);
    assert!(refused(&json!({"plugins": plugins}))[0].contains("expected the name of a secret"),);
    let spec = json!({
        "plugins": [{"name": "guard"}],
        "secrets": [{"name": "a", "keyVault": {"secretIdentifier": "http://v/secrets/s"}},
            {"name": "b", "keyVault": vault}],
    });
    let state = Profile::of_cluster(name("gold"), &serde_json::from_value(spec).unwrap());
    assert_eq!(
        state
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            "ClusterPolicyProfile/gold spec.secrets[0].keyVault.secretIdentifier: `http://v/secrets/s` is not the URL \
             of a secret; write `https://<vault>.vault.azure.net/secrets/<name>`"
        ]
    );
}

#[test]
fn profiles_are_found_by_namespace_and_gone_when_they_are() {
    let mut profiles = Profiles::default();
    own(&mut profiles, "gold", &json!([{"name": "headers"}]));
    of_cluster(&mut profiles, "gold", &json!([{"name": "headers"}]));
    let namespaced = ProfileRef {
        namespace: Some("components".into()),
        name: name("gold"),
    };
    let cluster = ProfileRef {
        namespace: None,
        name: name("gold"),
    };
    assert!(profiles.get(&namespaced).is_some() && profiles.get(&cluster).is_some());
    let with: Vec<&str> = profiles.namespaces_with(&name("gold")).collect();
    assert_eq!(with, ["components"]);
    profiles.remove(&namespaced);
    assert!(profiles.get(&namespaced).is_none() && profiles.get(&cluster).is_some());
    profiles.remove(&cluster);
    assert!(profiles.0.is_empty());
}
