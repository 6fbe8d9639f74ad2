mod governance;
mod rendering;

use serde_json::json;

use super::*;
use crate::descriptor::SpecReading;
use crate::names::PluginName;
use crate::policy::Severity;
use crate::validate::test_support::{World, instance, meta, plugin, spec};
use crate::validate::{Rejection, ValidatedApi};

fn name(text: &str) -> PluginName {
    PluginName::parse(text).unwrap()
}

/// What runs: names with their config.
fn running(api: &ValidatedApi) -> Vec<(String, Value)> {
    api.chain()
        .api
        .iter()
        .map(|p| (p.name().to_string(), p.config.clone()))
        .collect()
}

fn runs(world: &World, annotations: &[(&str, &str)], more: &Value) -> Vec<String> {
    let api = valid(world, annotations, more);
    running(&api).into_iter().map(|(name, _)| name).collect()
}

fn valid(world: &World, annotations: &[(&str, &str)], more: &Value) -> ValidatedApi {
    world.validate(&meta(annotations), &spec(more)).unwrap()
}

fn warnings(api: &ValidatedApi) -> Vec<String> {
    api.chain()
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_default_list_runs_as_its_rules_say() {
    let world = World::default();
    // `share` is `WhenEnabled`, `guard` `Always`, `throttle` `UnlessDisabled`.
    assert_eq!(runs(&world, &[], &json!({})), ["guard", "throttle"]);
    for (share, throttle, expected) in [
        (Some(true), Some(true), vec!["share", "guard", "throttle"]),
        (Some(false), Some(false), vec!["guard"]),
        (None, None, vec!["guard", "throttle"]),
    ] {
        let world = World::default().reads("share", share, json!({})).reads(
            "throttle",
            throttle,
            json!({}),
        );
        let more = json!({"sharing": {"x": 1}, "rateLimit": {"limit": 1}});
        assert_eq!(runs(&world, &[], &more), expected);
    }
}

#[test]
fn plugins_in_the_annotation_replace_the_list() {
    let world = World::default();
    assert_eq!(
        runs(&world, &[("plugins", "headers, share")], &json!({})),
        ["headers", "share"]
    );
    assert_eq!(runs(&world, &[("plugins", "")], &json!({})), [""; 0]);
}

#[test]
fn config_comes_in_layers() {
    let world = World::default().reads("throttle", None, json!({"period": 30}));
    let more = json!({"rateLimit": {"limit": 1}});
    let config = |annotations: &[(&str, &str)]| {
        let api = valid(&world, annotations, &more);
        running(&api).pop().unwrap()
    };
    assert_eq!(
        config(&[]),
        ("throttle".to_owned(), json!({"calls": 100, "period": 30}))
    );
    // The instance's config also holds where the object lists the plugin.
    assert_eq!(
        config(&[
            ("plugins", "throttle"),
            ("plugin.throttle", "calls: 7\nperiod: null")
        ]),
        ("throttle".to_owned(), json!({"calls": 7}))
    );
}

#[test]
fn a_listed_plugin_that_its_block_switches_off_does_not_run_and_status_says_so() {
    let world = World::default().reads("throttle", Some(false), json!({}));
    let more = json!({"rateLimit": {"enabled": false}});
    let api = valid(&world, &[("plugins", "guard, throttle")], &more);
    assert_eq!(running(&api).len(), 1);
    assert_eq!(
        warnings(&api),
        [
            "spec.rateLimit: [throttle] plugin `throttle` is listed in the annotation `plugins` but does not run, \
             because `spec.rateLimit` switches it off; switch it on there"
        ]
    );
}

#[test]
fn config_for_a_plugin_that_does_not_run_is_a_warning_that_says_what_would_start_it() {
    let api = valid(
        &World::default(),
        &[("plugin.share", "origins: [a]")],
        &json!({}),
    );
    assert_eq!(
        warnings(&api),
        [
            "metadata.annotations[apim.oda.tmforum.org/plugin.share]: [share] plugin `share` does not run, \
             because the instance runs it only where `spec.sharing` switches it on; do that, or list it in the \
             annotation `plugins`"
        ]
    );
    let world = World::default().reads("throttle", Some(false), json!({}));
    let api = valid(
        &world,
        &[("plugin.throttle", "calls: 5")],
        &json!({"rateLimit": {"enabled": false}}),
    );
    assert_eq!(
        warnings(&api),
        [
            "metadata.annotations[apim.oda.tmforum.org/plugin.throttle]: [throttle] plugin `throttle` does not \
             run, because `spec.rateLimit` switches it off; switch it on there to use this config"
        ]
    );
}

#[test]
fn a_plugin_that_always_runs_cannot_be_switched_off() {
    let eu = instance(
        "eu",
        &json!({"plugins": [{"name": "throttle", "when": "Always"}]}),
    );
    let world = World::with(eu).reads("throttle", Some(false), json!({"calls": 3}));
    let api = valid(&world, &[], &json!({"rateLimit": {"enabled": false}}));
    assert_eq!(
        running(&api),
        [("throttle".to_owned(), json!({"calls": 3}))]
    );
    assert_eq!(
        warnings(&api),
        [
            "spec.rateLimit: [throttle] plugin `throttle` runs all the same: the instance runs it for every API"
        ]
    );
}

#[test]
fn an_unknown_plugin_offers_the_nearest_and_lists_what_is_loaded() {
    assert_eq!(
        World::default().refusal(&meta(&[("plugins", "gaurd")]), &spec(&json!({}))),
        [
            "metadata.annotations[apim.oda.tmforum.org/plugins]: [gaurd] there is no plugin `gaurd`; did you mean \
             `guard`; loaded are `guard`, `headers`, `share`, `throttle`"
        ]
    );
    let eu = instance("eu", &json!({"plugins": [{"name": "zzz"}]}));
    assert_eq!(
        World::with(eu).refusal(&meta(&[]), &spec(&json!({}))),
        [
            "ApimInstance/eu spec.plugins[zzz]: [zzz] there is no plugin `zzz`; loaded are `guard`, `headers`, \
             `share`, `throttle`"
        ]
    );
}

#[test]
fn config_for_a_plugin_that_is_not_in_the_chain_is_an_error() {
    for (key, expected) in [
        (
            "throtle",
            "`throtle` is not in the chain, which is `share`, `guard`, `throttle`; did you mean `throttle`?",
        ),
        (
            "headers",
            "`headers` is not in the chain, which is `share`, `guard`, `throttle`; list it in the annotation \
             `plugins`, or remove its config",
        ),
    ] {
        let key = format!("plugin.{key}");
        assert_eq!(
            World::default().refusal(&meta(&[(&key, "a: 1")]), &spec(&json!({}))),
            [format!(
                "metadata.annotations[apim.oda.tmforum.org/{key}]: {expected}"
            )]
        );
    }
}

#[test]
fn a_rule_that_never_comes_true_is_refused() {
    let eu = instance(
        "eu",
        &json!({"plugins": [{"name": "guard", "when": "WhenEnabled"}]}),
    );
    assert_eq!(
        World::with(eu).refusal(&meta(&[]), &spec(&json!({}))),
        [
            "ApimInstance/eu spec.plugins[guard].when: [guard] `WhenEnabled` never comes true for `guard`, which \
             reads no block of the spec; write `Always` or remove the plugin"
        ]
    );
}

#[test]
fn config_that_fails_the_schema_names_the_place_where_it_was_written() {
    let eu = instance(
        "eu",
        &json!({"plugins": [{"name": "throttle", "config": {"period": 900}}]}),
    );
    let world = World::with(eu).reads("throttle", None, json!({"key": "user"}));
    let annotations = [("plugin.throttle", "calls: 0")];
    assert_eq!(
        world.refusal(
            &meta(&annotations),
            &spec(&json!({"rateLimit": {"identifier": "user"}}))
        ),
        [
            "ApimInstance/eu spec.plugins[throttle].config /period: [throttle] expected at most 300, got `900`",
            "spec.rateLimit /key: [throttle] expected one of `ip`, `subscription`, got the text `user`",
            "metadata.annotations[apim.oda.tmforum.org/plugin.throttle] /calls: [throttle] expected at least 1, got \
             `0`",
        ]
    );
}

#[test]
fn a_block_that_asks_for_something_and_is_not_read_gets_a_warning() {
    let more = json!({
        "headers": {"set": {"a": "b"}},
        "quota": {"identifier": "", "limit": ""},
        "template": "",
        "OASValidation": {"requestEnabled": false, "responseEnabled": "false"},
        "sharing": {"enabled": false, "origins": "https://a"},
        "monitoring": {"enabled": true},
        "developerUI": "/docs",
    });
    let world = World::default().reads("share", Some(false), json!({}));
    assert_eq!(
        warnings(&valid(&world, &[], &more)),
        [
            "spec.headers: has no effect: no plugin of the chain reads it; `headers` would: list it in the \
             annotation `plugins`",
            "spec.monitoring: has no effect: no plugin of the chain reads it; no loaded plugin reads it",
        ]
    );
    assert_eq!(
        warnings(&valid(
            &world,
            &[("plugins", "guard")],
            &json!({"rateLimit": {"limit": 5}})
        )),
        [
            "spec.rateLimit: has no effect: no plugin of the chain reads it; `throttle` would: list it in the \
             annotation `plugins`"
        ]
    );
}

#[test]
fn only_blocks_that_are_there_are_read_and_with_their_dialect() {
    let world = World::default();
    let requests = |more: &Value| {
        world
            .inquire(&meta(&[]), &spec(more))
            .spec_requests()
            .into_iter()
            .map(|r| (r.plugin.name.to_string(), r.block, r.request))
            .collect::<Vec<_>>()
    };
    assert_eq!(requests(&json!({"headers": {"set": {}}})), []);
    assert_eq!(
        requests(&json!({"rateLimit": {"limit": "5"}})),
        [(
            "throttle".to_owned(),
            "rateLimit".to_owned(),
            json!({"dialect": "canonical", "block": {"limit": "5"}})
        )]
    );
    assert_eq!(
        requests(&json!({"rateLimit": {"limit": 5}, "apiType": null}))[0].2,
        json!({"dialect": "original", "block": {"limit": 5}})
    );
}

#[test]
fn a_block_that_cannot_be_read_is_an_error_at_its_field() {
    let refusal = |reading: Reading| {
        let mut world = World::default();
        world.readings.insert(name("throttle"), reading);
        world.refusal(&meta(&[]), &spec(&json!({"rateLimit": {"limit": ["x"]}})))
    };
    let diagnostic = |severity, pointer: &str| Diagnostic {
        severity,
        pointer: pointer.into(),
        message: "expected a number".into(),
    };
    assert_eq!(
        refusal(Reading::Refused(vec![
            diagnostic(Severity::Warning, "/interval"),
            diagnostic(Severity::Error, "/limit/0"),
        ])),
        ["spec.rateLimit.limit[0]: [throttle] expected a number"]
    );
    assert_eq!(
        refusal(Reading::Refused(vec![])),
        [
            "spec.rateLimit: [throttle] plugin `throttle` could not read it: it refused it without saying why"
        ]
    );
    assert_eq!(
        refusal(Reading::Failed("it ran longer than 100 ms".into())),
        [
            "spec.rateLimit: [throttle] plugin `throttle` could not read it: it ran longer than 100 ms"
        ]
    );
    assert_eq!(
        refusal(Reading::Read(SpecReading {
            enabled: None,
            config: json!([1])
        })),
        [
            "spec.rateLimit: [throttle] plugin `throttle` could not read it: its answer's `config` is not an \
             object"
        ]
    );
}

#[test]
fn a_plugin_that_is_loading_is_waited_for_and_one_that_failed_is_an_error() {
    use crate::class::ErrorClass;
    use crate::status::reasons::Reason;
    let refused = |listing: Listing| -> Rejection {
        let mut world = World::default();
        world.catalog.insert(name("guard"), listing);
        world.validate(&meta(&[]), &spec(&json!({}))).unwrap_err()
    };
    let loading = refused(Listing::Loading);
    assert_eq!(
        (loading.class, loading.reason),
        (ErrorClass::Waiting, Reason::PluginLoading)
    );
    assert_eq!(
        loading.to_string(),
        "ApimInstance/default spec.plugins[guard]: [guard] plugin `guard` is still being loaded"
    );
    let failed = refused(Listing::Failed("it imports `wasi:clocks`".into()));
    assert_eq!(
        (failed.class, failed.reason),
        (ErrorClass::Invalid, Reason::PluginFailed)
    );
    assert_eq!(
        failed.to_string(),
        "ApimInstance/default spec.plugins[guard]: [guard] plugin `guard` cannot be used: it imports \
         `wasi:clocks`"
    );
}

#[test]
fn operation_plugins_run_for_their_operation_with_layers_of_their_own() {
    let world = World::default().reads("throttle", Some(true), json!({"key": "subscription"}));
    let text = "listItems: {plugins: 'throttle, headers', config: {throttle: {calls: 5}}}\ndeleteitem: {plugins: guard}";
    let api = valid(
        &world,
        &[("operation-plugins", text)],
        &json!({"rateLimit": {"limit": 1}}),
    );
    let operations: Vec<_> = api
        .chain()
        .operations
        .iter()
        .map(|p| {
            (
                p.operation.clone().unwrap(),
                p.name().to_string(),
                p.config.clone(),
            )
        })
        .collect();
    assert_eq!(
        operations,
        [
            // Neither the spec block nor the API's annotation is a layer here.
            (
                "listitems".to_owned(),
                "throttle".to_owned(),
                json!({"calls": 5, "period": 60})
            ),
            ("listitems".to_owned(), "headers".to_owned(), json!({})),
            ("deleteitem".to_owned(), "guard".to_owned(), json!({})),
        ]
    );
    assert_eq!(running(&api).len(), 2, "the API's own chain stays");
}

#[test]
fn an_operation_that_the_api_has_not_is_an_error() {
    assert_eq!(
        World::default().refusal(
            &meta(&[(
                "operation-plugins",
                "listItem: {plugins: guard}\nzzzzz: {plugins: guard}"
            )]),
            &spec(&json!({}))
        ),
        [
            "metadata.annotations[apim.oda.tmforum.org/operation-plugins] /listItem: the API has no operation \
             `listItem`; did you mean `listItems`?",
            "metadata.annotations[apim.oda.tmforum.org/operation-plugins] /zzzzz: the API has no operation `zzzzz`; \
             its operations are `listItems`, `deleteItem`",
        ]
    );
}

#[test]
fn an_error_in_the_config_of_an_operation_names_the_operation() {
    let text = "listItems: {plugins: throttle, config: {throttle: {calls: 0}}}\ndeleteItem: {plugins: nobody}";
    assert_eq!(
        World::default().refusal(&meta(&[("operation-plugins", text)]), &spec(&json!({}))),
        [
            "metadata.annotations[apim.oda.tmforum.org/operation-plugins] /deleteItem/plugins: [nobody] there is no \
             plugin `nobody`; loaded are `guard`, `headers`, `share`, `throttle`",
            "metadata.annotations[apim.oda.tmforum.org/operation-plugins] /listItems/config/throttle/calls: \
             [throttle] expected at least 1, got `0`",
        ]
    );
}

#[test]
fn a_document_with_options_and_a_preflight_plugin_get_a_warning() {
    let mut spec = spec(&json!({}));
    spec["specification"]["paths"]["/item"]["options"] =
        json!({"responses": {"200": {"description": "ok"}}});
    let api = World::default()
        .validate(&meta(&[("plugins", "share")]), &spec)
        .unwrap();
    let all: Vec<_> = crate::build::build(&api)
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        all.contains(
            &"spec.specification: [share] the document has operation `OPTIONS /item`, so API Management sends \
              preflight requests there and not to plugin `share`; remove the operation from the document"
                .to_owned()
        ),
        "{all:?}"
    );
    let api = World::default()
        .validate(&meta(&[("plugins", "guard")]), &spec)
        .unwrap();
    assert_eq!(
        crate::build::build(&api)
            .warnings
            .iter()
            .filter(|w| w.plugin.is_some())
            .count(),
        0
    );
}

#[test]
fn a_plugin_nobody_has_heard_of_is_used_by_its_descriptor_alone() {
    let mut world = World::default().reads("acme", Some(true), json!({"team": "shop"}));
    let acme = plugin(
        "acme",
        "observability",
        Some("acmeBlock"),
        &json!({"team": {"type": "string"}}),
    );
    world
        .catalog
        .insert(name("acme"), Listing::Ready(Arc::new(acme)));
    let api = valid(
        &world,
        &[("plugins", "acme")],
        &json!({"acmeBlock": {"on": true}}),
    );
    assert_eq!(
        running(&api),
        [("acme".to_owned(), json!({"team": "shop"}))]
    );
    assert_eq!(warnings(&api), [""; 0]);
}
