//! Plugins without a cluster: rendering and loading.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use operator_controller::plugins::{Plugins, instance_defaults};
use operator_core::build::build;
use operator_core::context;
use operator_core::desired::Desired;
use operator_core::exposed_api::ObjectMeta;
use operator_core::exposure::ExposureFacts;
use operator_core::instance::example;
use operator_core::names::PluginName;
use operator_core::problem::Problem;
use operator_core::profile::Profiles;
use operator_core::validate::{
    Dereferenced, DocumentFacts, Platform, ValidatedApi, inquire, validate,
};
use operator_plugin_host::{CallError, HostConfig, Plugin, PluginHost};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::floor::{Bare, bare_plugins};
use crate::table::{Goal, Samples, Table};

/// An API that switches on all plugins of the default chain.
fn subject() -> (ObjectMeta, Value) {
    let document = json!({
        "openapi": "3.0.1",
        "info": {"title": "orders", "version": "1"},
        "paths": {"/items": {
            "get": {"operationId": "list", "responses": {"200": {"description": "ok"}}},
            "post": {"operationId": "create", "responses": {"201": {"description": "ok"}}},
        }},
    });
    let spec = json!({
        "name": "orders", "apiType": "openapi", "path": "/orders", "implementation": "orders", "port": 8080,
        "rateLimit": {"enabled": true, "limit": "100", "interval": "pm"},
        "CORS": {"enabled": true, "allowOrigins": "https://shop.example.com"},
        "specification": document.to_string(),
    });
    let meta = ObjectMeta {
        namespace: "shop".to_owned(),
        name: "orders".to_owned(),
        uid: String::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        generation: None,
        deleting: false,
    };
    (meta, spec)
}

/// Everything before the policy.
fn validated(plugins: &Plugins) -> Result<(ValidatedApi, Desired)> {
    let said = |problems: Vec<Problem>| anyhow::anyhow!("{problems:?}");
    let (instance, context) = example(&instance_defaults()?).map_err(said)?;
    let instances = [Arc::new(instance)];
    let labels = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), "shop".to_owned())]);
    let catalog = plugins.catalog();
    let (meta, spec) = subject();
    let platform = Platform {
        instances: &instances,
        namespace_labels: &labels,
        catalog: &catalog,
        profiles: &Profiles::default(),
    };
    let inquiry = inquire(&meta, &spec, platform, None);
    let readings = plugins.read_specs(&inquiry.spec_requests());
    let origin = Some("https://backend.example.com".to_owned());
    let input = Dereferenced {
        inquiry,
        readings,
        document: DocumentFacts::NotNeeded,
        exposure: ExposureFacts {
            assumed_origin: origin,
            ..ExposureFacts::default()
        },
        path_holder: None,
        siblings: Vec::new(),
        context: Some(context),
        cluster: "00000000-0000-0000-0000-000000000000".to_owned(),
    };
    let validated = validate(&input).map_err(|rejection| said(rejection.problems))?;
    let desired = build(&validated);
    Ok((validated, desired))
}

/// The document of the default chain.
pub(crate) fn default_chain() -> Result<String> {
    let plugins = Plugins::new(PluginHost::new(HostConfig::default())?, None);
    if let Some(unusable) = plugins.load_builtin().first() {
        bail!("{}: {}", unusable.origin, unusable.error);
    }
    let (validated, desired) = validated(&plugins)?;
    let rendered = plugins
        .render(&validated, &desired)
        .map_err(|error| anyhow::anyhow!("{:?}", error.problems))?;
    Ok(rendered.policy.api.text)
}

/// One plugin's part of a rendering, as the three ways to call it want it.
struct Call<'a> {
    bare: &'a Bare,
    hosted: Plugin,
    text: (String, String),
    documents: (Value, Value),
}

/// The policy of the default chain, against the bare calls of its plugins.
pub(crate) fn render(table: &mut Table, samples: u32) -> Result<()> {
    let host = PluginHost::new(HostConfig::default())?;
    let plugins = Plugins::new(host, None);
    if let Some(unusable) = plugins.load_builtin().first() {
        bail!("{}: {}", unusable.origin, unusable.error);
    }
    let (validated, desired) = validated(&plugins)?;
    let bare = bare_plugins()?;
    let mut calls = Vec::new();
    for chained in validated.chain().iter() {
        let name = chained.name().as_str();
        let (_, plugin) = bare
            .iter()
            .find(|(bare, _)| bare == name)
            .context("the same plugins on both sides")?;
        let context =
            context::generate(&validated, &desired, chained).context("it is published")?;
        let hosted = plugins.get(chained.name()).context("it is loaded")?;
        calls.push(Call {
            bare: plugin,
            hosted,
            text: (context.to_string(), chained.config.to_string()),
            documents: (context, chained.config.clone()),
        });
    }
    if calls.len() != 3 {
        bail!(
            "the default chain is three plugins, and here are {}",
            calls.len()
        );
    }
    let (mut ours, mut hosted, mut floor) =
        (Samples::default(), Samples::default(), Samples::default());
    // In turn, so that all meet the same noise; the first rounds only warm up.
    for round in 0..samples + 20 {
        let started = Instant::now();
        for call in &calls {
            call.bare.generate(&call.text.0, &call.text.1)?;
        }
        let bare_took = started.elapsed();
        let started = Instant::now();
        for call in &calls {
            call.hosted.generate(&call.documents.0, &call.documents.1)?;
        }
        let hosted_took = started.elapsed();
        let started = Instant::now();
        let rendered = plugins
            .render(&validated, &desired)
            .map_err(|error| anyhow::anyhow!("{:?}", error.problems))?;
        let took = started.elapsed();
        if rendered.policy.plugins.len() != calls.len() {
            bail!(
                "{} plugins rendered, not {}",
                rendered.policy.plugins.len(),
                calls.len()
            );
        }
        if round >= 20 {
            floor.push(bare_took);
            hosted.push(hosted_took);
            ours.push(took);
        }
    }
    table.legend("render: the floor is 3 bare instantiate + call of the same components on an engine with the same settings");
    table.against(
        "render the default chain",
        (ours.to_string(), floor.to_string()),
        ours.ratio(&floor),
        Some(Goal::AtMost(1.5)),
    );
    table.against(
        "  of it, its 3 calls through the host",
        (hosted.to_string(), floor.to_string()),
        hosted.ratio(&floor),
        None,
    );
    Ok(())
}

/// A call of each built-in plugin through the host, against the bare one. The
/// config is empty: what a plugin cannot work without, it says, which is a call
/// like any other.
pub(crate) fn calls(table: &mut Table, samples: u32) -> Result<()> {
    let host = PluginHost::new(HostConfig::default())?;
    let plugins = Plugins::new(host, None);
    if let Some(unusable) = plugins.load_builtin().first() {
        bail!("{}: {}", unusable.origin, unusable.error);
    }
    let (validated, desired) = validated(&plugins)?;
    let chained = validated.chain().iter().next();
    let chained = chained.context("the default chain is not empty")?;
    let context = context::generate(&validated, &desired, chained).context("it is published")?;
    let (context_text, config) = (context.to_string(), json!({}));
    table.legend(
        "calls: a fresh instance and one `generate` with an empty config, through the host and bare",
    );
    for (name, bare) in bare_plugins()? {
        let hosted = PluginName::parse(&name)
            .ok()
            .and_then(|name| plugins.get(&name))
            .context("it is loaded")?;
        let (mut ours, mut floor) = (Samples::default(), Samples::default());
        for round in 0..samples + 10 {
            let started = Instant::now();
            bare.call(&context_text, "{}")?;
            let bare_took = started.elapsed();
            let started = Instant::now();
            let answer = hosted.generate(&context, &config);
            let took = started.elapsed();
            if let Err(error) = answer
                && !matches!(error, CallError::Refused(_))
            {
                bail!("{name}: {error}");
            }
            if round >= 10 {
                floor.push(bare_took);
                ours.push(took);
            }
        }
        table.against(
            &format!("call {name}"),
            (ours.to_string(), floor.to_string()),
            ours.ratio(&floor),
            None,
        );
    }
    Ok(())
}

/// The built-in plugins from the disk cache, against reading the same files and
/// calling each plugin once; and what the cache saves.
pub(crate) fn load(table: &mut Table, samples: u32) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = HostConfig {
        cache_dir: Some(dir.path().join("compiled")),
        ..HostConfig::default()
    };
    let count = operator_plugin_host::builtin_plugins().len() as u64;
    let load = || -> Result<_> {
        let host = PluginHost::new(config.clone())?;
        let started = Instant::now();
        for (folder, plugin) in host.load_builtin() {
            plugin.with_context(|| folder.to_owned())?;
        }
        Ok((started.elapsed(), host.stats()))
    };
    let (compiled, stats) = load()?;
    if stats.compiled != count {
        bail!("{} of {count} plugins were compiled", stats.compiled);
    }
    let bare = bare_plugins()?;
    let (mut ours, mut floor) = (Samples::default(), Samples::default());
    for _ in 0..samples {
        let (took, stats) = load()?;
        if stats.loaded_from_cache != count {
            bail!(
                "{} of {count} plugins came from the cache",
                stats.loaded_from_cache
            );
        }
        ours.push(took);
        let started = Instant::now();
        for file in std::fs::read_dir(dir.path().join("compiled"))? {
            std::hint::black_box(Sha256::digest(std::fs::read(file?.path())?));
        }
        for (_, bytes) in operator_plugin_host::builtin_plugins() {
            std::hint::black_box(Sha256::digest(bytes));
        }
        for (_, plugin) in &bare {
            plugin.describe()?;
        }
        floor.push(started.elapsed());
    }
    table.legend(
        "load: the floor is to read and digest the same files and to call each plugin once",
    );
    table.against(
        &format!("load {count} plugins from the disk cache"),
        (ours.to_string(), floor.to_string()),
        ours.ratio(&floor),
        None,
    );
    table.figure(
        &format!("load {count} plugins without a cache"),
        crate::table::short(compiled),
    );
    Ok(())
}
