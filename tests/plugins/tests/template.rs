//! The built-in plugin that runs templates, in the sandbox: what the operator
//! composes of it, and what it does about a template that never ends.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests are tests, and the lint knows only the functions"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use operator_core::policy::{Contribution, Grants, ReferenceKind, Tier, compose_granted, print};
use operator_core::policy_plugin::PluginLimits;
use operator_plugin_host::{HostConfig, Plugin, PluginHost, PluginSource, builtin_plugins};
use serde_json::{Value, json};

fn plugin() -> Plugin {
    let host = PluginHost::new(HostConfig {
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")),
        ..HostConfig::default()
    })
    .expect("a host");
    let (name, bytes) = builtin_plugins()
        .iter()
        .find(|(name, _)| *name == "template")
        .expect("it is built in");
    host.load(bytes, PluginSource::BuiltIn((*name).to_owned()))
        .expect("loads")
        .with_limits(seconds(10.0))
}

fn seconds(time: f64) -> PluginLimits {
    PluginLimits {
        time: Some(Duration::from_secs_f64(time)),
        ..PluginLimits::default()
    }
}

fn context(template: &str) -> Value {
    json!({
        "interface": "1.0",
        "api": {
            "name": "catalog", "namespace": "components", "labels": {"team": "shop"}, "path": "/catalog",
            "apiType": "openapi", "segment": null, "dialect": "canonical", "backendUrl": null,
            "subscriptionRequired": false, "operations": null, "spec": {}
        },
        "instance": {
            "name": "default", "sku": "Developer", "gatewayUrl": null, "tenantId": "t", "clientId": "c",
            "openidConfigurationUrl": null, "audiences": [], "loginHost": null
        },
        "operation": null,
        "template": template
    })
}

/// The document, or what the operator has against it.
fn compose(plugin: &Plugin, template: &str, values: &Value) -> Result<String, String> {
    let generated = plugin
        .generate(&context(template), &json!({"values": values}))
        .map_err(|error| format!("{}: {error}", error.reason()))?;
    let descriptor = plugin.descriptor();
    let contribution = Contribution {
        plugin: &descriptor.name,
        phase: descriptor.phase,
        mandatory: false,
        order: (0, 0),
        sections: &descriptor.sections,
        capabilities: plugin.capabilities(),
        generated,
    };
    let granted = Grants([(ReferenceKind::NamedValue, vec!["team-*".to_owned()])].into());
    compose_granted(&[contribution], Tier::from_sku("Developer"), &granted)
        .map(|documents| print(&documents.api))
        .map_err(|errors| {
            errors
                .iter()
                .map(|error| format!("{error:?}"))
                .collect::<Vec<_>>()
                .join("\n")
        })
}

const TEMPLATE: &str = r#"
<inbound>
  <set-header name="x-team" exists-action="override"><value>{{ values.team | default(value=api.labels.team) }}</value></set-header>
  <set-header name="authorization" exists-action="override"><value>Bearer {{ named_value(name="team-token") }}</value></set-header>
  <set-variable name="id" value="{{ expression(code='context.Request.Headers.GetValueOrDefault($header, "none")', header=values.header) }}" />
</inbound>
"#;

#[test]
fn a_template_of_the_platform_becomes_a_document() {
    let plugin = plugin();
    let started = Instant::now();
    let document = compose(
        &plugin,
        TEMPLATE,
        &json!({"header": "X-\"), Evil(\"", "team": "<a> & \"b\""}),
    )
    .expect("composes");
    eprintln!("one call took {:.1?}", started.elapsed());
    assert_eq!(document, include_str!("template.txt"));
}

#[test]
fn a_named_value_that_is_not_granted_is_refused_also_from_a_template() {
    let template = "<inbound><set-header name=\"a\"><value>{{ named_value(name='secret') }}</value></set-header></inbound>";
    let refused = compose(&plugin(), template, &json!({})).expect_err("not granted");
    assert!(refused.contains("secret"), "{refused}");
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let rounds = "{% for a in range(end=100000) %}".repeat(4);
    let ends = "{% endfor %}".repeat(4);
    let plugin = plugin().with_limits(seconds(0.3));
    let refused = compose(&plugin, &format!("{rounds}{ends}"), &json!({})).expect_err("endless");
    assert!(refused.starts_with("PluginTimeout: "), "{refused}");
    // And the next one is served.
    let plugin = plugin.with_limits(seconds(10.0));
    compose(&plugin, "<inbound />", &json!({})).expect("composes");
}

#[test]
fn a_template_that_takes_all_memory_is_stopped() {
    let template = "{% set_global x = 'aaaaaaaaaaaaaaaa' %}{% for i in range(end=40) %}{% set_global x = x ~ x %}{% endfor %}";
    let refused = compose(&plugin(), template, &json!({})).expect_err("endless");
    assert!(refused.starts_with("PluginOutOfMemory: "), "{refused}");
}
