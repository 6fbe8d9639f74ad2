//! What the platform decides about plugins: defaults, who may use them, and for
//! whom they are mandatory.

use std::collections::BTreeMap;

use super::*;
use crate::chain::{Entry, Listing};
use crate::policy_plugin::{Governance, PolicyPluginSpec};
use crate::status::reasons::Reason;

/// A world in which a `PolicyPlugin` says this of a plugin.
fn governed(world: World, plugin: &str, spec: &Value) -> World {
    let mut world = world;
    let name = name(plugin);
    let mut settings = json!({"source": {"builtIn": {"name": plugin}}});
    crate::config::merge(&mut settings, spec);
    let settings: PolicyPluginSpec = serde_json::from_value(settings).unwrap();
    let mut entry = world.catalog.entry(&name).unwrap().clone();
    entry.governance = Some(Arc::new(Governance::of(&settings)));
    world.catalog.insert_entry(name, entry);
    world
}

fn world(plugin: &str, spec: &Value) -> World {
    governed(World::default(), plugin, spec)
}

fn rejection(world: &World, annotations: &[(&str, &str)], more: &Value) -> Rejection {
    world
        .validate(&meta(annotations), &spec(more))
        .expect_err("the object was expected to be refused")
}

fn refusals(world: &World, annotations: &[(&str, &str)], more: &Value) -> Vec<String> {
    world.refusal(&meta(annotations), &spec(more))
}

#[test]
fn defaults_of_a_policy_plugin_are_the_lowest_layer() {
    let world = world(
        "throttle",
        &json!({"namespaceSelector": {}, "defaults": {"calls": 1, "key": "subscription"}}),
    );
    let api = valid(&world, &[("plugin.throttle", "period: 30")], &json!({}));
    assert_eq!(
        running(&api)[1],
        (
            "throttle".to_owned(),
            json!({"key": "subscription", "calls": 100, "period": 30})
        )
    );
}

#[test]
fn defaults_that_the_schema_refuses_are_the_platforms_mistake() {
    let world = world(
        "throttle",
        &json!({"namespaceSelector": {}, "defaults": {"key": "moon"}}),
    );
    let rejection = rejection(&world, &[], &json!({}));
    assert_eq!(rejection.reason, Reason::InvalidPolicyPlugin);
    assert!(
        rejection.problems[0]
            .to_string()
            .starts_with("PolicyPlugin/throttle spec.defaults /key: [throttle] "),
        "{}",
        rejection.problems[0]
    );
}

#[test]
fn a_plugin_is_for_the_namespaces_that_its_selector_matches() {
    let selector = json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}});
    let mut world = world("headers", &selector);
    let annotations = [("plugins", "headers")];
    assert_eq!(
        refusals(&world, &annotations, &json!({})),
        [
            "metadata.annotations[apim.oda.tmforum.org/plugins]: [headers] plugin `headers` may not be used in \
             namespace `components`: PolicyPlugin/headers spec.namespaceSelector does not select it; its APIs may \
             use `guard`, `share`, `throttle`"
        ]
    );
    assert_eq!(
        rejection(&world, &annotations, &json!({})).reason,
        Reason::Forbidden
    );
    world.namespace_labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
    assert_eq!(runs(&world, &annotations, &json!({})), ["headers"]);
}

#[test]
fn a_policy_plugin_without_a_selector_is_for_nobody() {
    let world = world("headers", &json!({}));
    let operation = "listItems: {plugins: headers}";
    for annotation in [("plugins", "headers"), ("operation-plugins", operation)] {
        assert_eq!(
            rejection(&world, &[annotation], &json!({})).reason,
            Reason::Forbidden
        );
    }
}

#[test]
fn a_mandatory_plugin_runs_whatever_the_object_lists() {
    let world = world("headers", &json!({"mandatory": {"namespaceSelector": {}}}));
    assert_eq!(runs(&world, &[("plugins", "")], &json!({})), ["headers"]);
    assert_eq!(
        runs(&world, &[("plugins", "headers, guard")], &json!({})),
        ["headers", "guard"]
    );
    let api = valid(&world, &[("plugins", "guard")], &json!({}));
    let mandatory: Vec<bool> = api.chain().api.iter().map(|p| p.mandatory).collect();
    assert_eq!(mandatory, [false, true]);
}

#[test]
fn a_spec_block_does_not_switch_a_mandatory_plugin_off_and_status_says_so() {
    let world = world("throttle", &json!({"mandatory": {"namespaceSelector": {}}})).reads(
        "throttle",
        Some(false),
        json!({"calls": 100, "period": 5}),
    );
    let more = json!({"rateLimit": {"enabled": false}});
    let api = valid(&world, &[("plugins", "")], &more);
    assert_eq!(
        running(&api),
        [("throttle".to_owned(), json!({"calls": 100, "period": 60}))]
    );
    // `calls` is what the platform says too; only what is lost is told.
    assert_eq!(
        warnings(&api),
        [
            "metadata.annotations[apim.oda.tmforum.org/plugins]: [throttle] plugin `throttle` runs besides what is \
             listed: PolicyPlugin/throttle makes it mandatory",
            "spec.rateLimit: [throttle] plugin `throttle` runs all the same: PolicyPlugin/throttle makes it \
             mandatory",
            "spec.rateLimit: [throttle] config `/period` that is read from it has no effect: plugin `throttle` is \
             mandatory, and PolicyPlugin/throttle does not unlock it"
        ]
    );
}

#[test]
fn an_annotation_that_sets_what_is_locked_is_an_error_that_names_the_policy_plugin() {
    let world = world(
        "throttle",
        &json!({"mandatory": {"namespaceSelector": {}}, "unlocked": ["/calls"]}),
    );
    let api = valid(&world, &[("plugin.throttle", "calls: 7")], &json!({}));
    assert_eq!(running(&api)[1].1, json!({"calls": 7, "period": 60}));
    let annotations = [("plugin.throttle", "{calls: 7, period: 1}")];
    assert_eq!(
        refusals(&world, &annotations, &json!({})),
        [
            "metadata.annotations[apim.oda.tmforum.org/plugin.throttle] /period: [throttle] plugin `throttle` is \
             mandatory and PolicyPlugin/throttle does not unlock this; remove it (unlocked: `/calls`)"
        ]
    );
    assert_eq!(
        rejection(&world, &annotations, &json!({})).reason,
        Reason::Locked
    );
    // Deleting what the platform set is setting it.
    assert_eq!(
        rejection(&world, &[("plugin.throttle", "period: null")], &json!({})).reason,
        Reason::Locked
    );
    let operation = "listItems: {plugins: throttle, config: {throttle: {period: 1}}}";
    assert_eq!(
        rejection(&world, &[("operation-plugins", operation)], &json!({})).reason,
        Reason::Locked
    );
}

#[test]
fn a_mandatory_plugin_that_cannot_be_used_stops_every_render() {
    let mut world = world("headers", &json!({"mandatory": {"namespaceSelector": {}}}));
    let entry = world.catalog.entry(&name("headers")).unwrap().clone();
    for (listing, reason) in [
        (Listing::Loading, Reason::PluginLoading),
        (
            Listing::Failed("no memory".to_owned()),
            Reason::PluginFailed,
        ),
    ] {
        world.catalog.insert_entry(
            name("headers"),
            Entry {
                listing,
                ..entry.clone()
            },
        );
        let rejection = rejection(&world, &[("plugins", "")], &json!({}));
        assert_eq!(rejection.reason, reason);
        assert!(
            rejection.problems[0]
                .to_string()
                .starts_with("PolicyPlugin/headers spec.mandatory: [headers]"),
            "{}",
            rejection.problems[0]
        );
    }
}

#[test]
fn an_older_version_that_still_serves_is_a_warning_for_its_users() {
    let mut world = World::default();
    let entry = world.catalog.entry(&name("guard")).unwrap().clone();
    world.catalog.insert_entry(
        name("guard"),
        Entry {
            notice: Some("version 1.2.3 serves: the newest could not be pulled".to_owned()),
            ..entry
        },
    );
    assert_eq!(
        warnings(&valid(&world, &[], &json!({}))),
        ["PolicyPlugin/guard: [guard] version 1.2.3 serves: the newest could not be pulled"]
    );
}

#[test]
fn mandatory_plugins_come_first_in_their_phase_and_then_the_platforms_order_counts() {
    let all = json!({"namespaceSelector": {}});
    let mut world = World::default();
    for (plugin, more) in [
        ("one", json!({"order": 5})),
        ("two", json!({"order": -1})),
        (
            "three",
            json!({"order": 9, "mandatory": {"namespaceSelector": {}}}),
        ),
    ] {
        let info = crate::validate::test_support::plugin(plugin, "traffic", None, &json!({}));
        world
            .catalog
            .insert(name(plugin), Listing::Ready(Arc::new(info)));
        let mut settings = all.clone();
        crate::config::merge(&mut settings, &more);
        world = governed(world, plugin, &settings);
    }
    let api = valid(&world, &[("plugins", "one, two")], &json!({}));
    let mut chain: Vec<_> = api.chain().api.iter().collect();
    chain.sort_by_key(|p| (!p.mandatory, p.order, p.position));
    let names: Vec<_> = chain.iter().map(|p| p.name().as_str()).collect();
    assert_eq!(names, ["three", "two", "one"]);
}

/// A profile of the cluster, named by all.
fn with_profile(mut world: World, plugins: &Value) -> World {
    use crate::names::ProfileName;
    use crate::profile::{Profile, ProfileRef};
    let name = ProfileName::parse("gold").unwrap();
    let spec = json!({"namespaceSelector": {}, "plugins": plugins});
    let state = Profile::of_cluster(name.clone(), &serde_json::from_value(spec).unwrap());
    let reference = ProfileRef {
        namespace: None,
        name,
    };
    world.profiles.insert(reference, state);
    let open = instance("default", &json!({"ownerMay": ["*"]}));
    world.instances = vec![Arc::new(open)];
    world
}

#[test]
fn a_profile_brings_no_plugin_into_a_namespace_that_may_not_use_it() {
    let world = world(
        "headers",
        &json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}}),
    );
    let world = with_profile(world, &json!([{"name": "headers"}]));
    let rejection = rejection(&world, &[("profiles", "gold")], &json!({}));
    assert_eq!(rejection.reason, Reason::Forbidden);
    assert_eq!(
        rejection.to_string(),
        "ClusterPolicyProfile/gold spec.plugins[headers]: [headers] plugin `headers` may not be used in namespace \
         `components`: PolicyPlugin/headers spec.namespaceSelector does not select it; its APIs may use `guard`, \
         `share`, `throttle`"
    );
}

#[test]
fn a_profile_unlocks_nothing_of_a_mandatory_plugin() {
    let mandatory = json!({
        "namespaceSelector": {}, "mandatory": {"namespaceSelector": {}},
        "defaults": {"calls": 5, "key": "ip"}, "unlocked": ["/period"],
    });
    let config = |config: Value| json!([{"name": "throttle", "config": config}]);
    let tight = with_profile(
        world("throttle", &mandatory),
        &config(json!({"period": 30})),
    );
    let api = valid(&tight, &[("profiles", "gold")], &json!({}));
    let throttle = running(&api)
        .into_iter()
        .find(|(name, _)| name == "throttle");
    assert_eq!(throttle.unwrap().1["period"], 30);
    let loose = with_profile(
        world("throttle", &mandatory),
        &config(json!({"calls": 1000})),
    );
    let rejection = rejection(&loose, &[("profiles", "gold")], &json!({}));
    assert_eq!(rejection.reason, Reason::Locked);
    assert_eq!(
        rejection.to_string(),
        "ClusterPolicyProfile/gold spec.plugins[throttle].config /calls: [throttle] plugin `throttle` is mandatory \
         and PolicyPlugin/throttle does not unlock this; remove it (unlocked: `/period`)"
    );
}
