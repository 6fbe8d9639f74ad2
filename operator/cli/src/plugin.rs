//! `apim-operator plugin …`.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use operator_controller::plugins::Plugins;
use operator_core::chain::{Listing, PluginInfo};
use operator_core::descriptor::Descriptor;
use operator_core::names::PluginName;
use operator_plugin_host::{HostConfig, PluginHost};
use serde_json::{Value, json};

use crate::args::{ListOutput, PluginSources};
use crate::{Done, compile};

/// Loads all plugins there are; what cannot be loaded is told on stderr.
pub(crate) fn load(sources: &PluginSources) -> anyhow::Result<(Plugins, bool)> {
    let plugins = host(sources)?;
    let mut unusable = plugins.load_builtin();
    if let Some(folder) = &sources.plugin_dir {
        unusable.extend(plugins.load_dir(folder, || ()));
    }
    for plugin in &unusable {
        eprintln!("{}: skipped: {}", plugin.origin, plugin.error);
    }
    Ok((plugins, unusable.is_empty()))
}

fn host(sources: &PluginSources) -> anyhow::Result<Plugins> {
    let config = HostConfig {
        cache_dir: sources.cache_dir.clone(),
        compiler: Some(compile::compiler()?),
        ..HostConfig::default()
    };
    let host = PluginHost::new(config).context("the WebAssembly host")?;
    Ok(Plugins::new(host, None))
}

/// `plugin list`.
pub(crate) fn list(sources: &PluginSources, output: ListOutput) -> anyhow::Result<Done> {
    let (plugins, complete) = load(sources)?;
    let catalog = plugins.catalog();
    let ready = || {
        catalog.iter().filter_map(|(_, listing)| match listing {
            Listing::Ready(info) => Some(info),
            Listing::Loading | Listing::Failed(_) => None,
        })
    };
    let mut out = std::io::stdout().lock();
    match output {
        ListOutput::Json => {
            let list: Vec<Value> = ready().map(|info| summary(info)).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
        }
        ListOutput::Text => {
            let rows: Vec<[String; 4]> = ready()
                .map(|info| {
                    let descriptor = &info.descriptor;
                    [
                        info.name.to_string(),
                        descriptor.version.clone(),
                        word(&descriptor.phase),
                        descriptor
                            .spec_block
                            .as_ref()
                            .map_or_else(|| "-".to_owned(), |block| format!("spec.{block}")),
                    ]
                })
                .collect();
            let heads = ["NAME", "VERSION", "PHASE", "READS"];
            let width = |i: usize| {
                rows.iter()
                    .map(|row| row[i].len())
                    .chain([heads[i].len()])
                    .max()
                    .unwrap_or_default()
            };
            let widths: Vec<usize> = (0..4).map(width).collect();
            let line = |cells: [&str; 4], last: &str| {
                let cells: Vec<String> = cells
                    .iter()
                    .zip(&widths)
                    .map(|(cell, width)| format!("{cell:width$}"))
                    .collect();
                format!("{}  {last}", cells.join("  "))
            };
            writeln!(out, "{}", line(heads, "SUMMARY"))?;
            for (row, info) in rows.iter().zip(ready()) {
                let cells = [row[0].as_str(), &row[1], &row[2], &row[3]];
                writeln!(out, "{}", line(cells, &info.descriptor.summary))?;
            }
        }
    }
    Ok(if complete { Done::Fine } else { Done::Problems })
}

/// `plugin inspect`.
pub(crate) fn inspect(
    plugin: &str,
    sources: &PluginSources,
    output: ListOutput,
) -> anyhow::Result<Done> {
    let (descriptor, digest) = find(plugin, sources)?;
    let mut out = std::io::stdout().lock();
    match output {
        ListOutput::Json => {
            let mut all = serde_json::to_value(&descriptor)?;
            all["digest"] = digest.into();
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        }
        ListOutput::Text => {
            let sections: Vec<&str> = descriptor
                .sections
                .iter()
                .map(|section| section.as_str())
                .collect();
            let block = descriptor.spec_block.as_ref();
            writeln!(out, "{} {}", descriptor.name, descriptor.version)?;
            writeln!(out, "{}\n", descriptor.summary)?;
            writeln!(out, "Phase:     {}", word(&descriptor.phase))?;
            writeln!(out, "Sections:  {}", sections.join(", "))?;
            writeln!(
                out,
                "Reads:     {}",
                block.map_or_else(
                    || "no block of the spec".to_owned(),
                    |b| format!("spec.{b}")
                )
            )?;
            if !descriptor.capabilities.is_empty() {
                writeln!(out, "Asks for:  {}", descriptor.capabilities.join(", "))?;
            }
            writeln!(out, "Digest:    {digest}\n\nConfig:")?;
            fields(&mut out, &descriptor.config_schema)?;
            writeln!(
                out,
                "\nIn an ExposedAPI:\n  metadata:\n    annotations:\n      apim.oda.tmforum.org/plugins: {name}\n      \
                 apim.oda.tmforum.org/plugin.{name}: |\n        # YAML or JSON; the full schema: plugin inspect {name} -o json",
                name = descriptor.name
            )?;
        }
    }
    Ok(Done::Fine)
}

/// A plugin by name, or in a file.
fn find(plugin: &str, sources: &PluginSources) -> anyhow::Result<(Descriptor, String)> {
    let path = Path::new(plugin);
    if path
        .extension()
        .is_some_and(|extension| extension == "wasm")
        || plugin.contains('/')
    {
        let loaded = host(sources)?
            .load_file(path)
            .with_context(|| plugin.to_owned())?;
        return Ok((loaded.descriptor().clone(), loaded.digest().to_string()));
    }
    let (plugins, _) = load(sources)?;
    let catalog = plugins.catalog();
    let found = PluginName::parse(plugin)
        .ok()
        .and_then(|name| catalog.get(&name).cloned());
    if let Some(Listing::Ready(info)) = found {
        return Ok((info.descriptor.clone(), info.digest.clone()));
    }
    let names: Vec<&str> = catalog.names().collect();
    let hint = operator_core::annotations::did_you_mean(plugin, names.iter().copied());
    if hint.is_empty() {
        bail!(
            "there is no plugin `{plugin}`; there are {}",
            names.join(", ")
        );
    }
    bail!("there is no plugin `{plugin}`{hint}");
}

/// The config's fields, one line each.
fn fields(out: &mut impl std::io::Write, schema: &Value) -> std::io::Result<()> {
    let Some(properties) = schema["properties"]
        .as_object()
        .filter(|properties| !properties.is_empty())
    else {
        return writeln!(out, "  none");
    };
    let rows: Vec<[String; 3]> = properties
        .iter()
        .map(|(name, field)| {
            let target = field["$ref"]
                .as_str()
                .and_then(|path| schema.pointer(path.strip_prefix('#')?));
            let kind = match target.map_or(&field["type"], |target| &target["type"]) {
                Value::String(kind) => kind.clone(),
                Value::Array(kinds) => kinds
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(" or "),
                _ if field["enum"].is_array() => "one of a list".to_owned(),
                _ => "any".to_owned(),
            };
            let default = match &field["default"] {
                Value::Null => String::new(),
                default => format!(" Default: {default}."),
            };
            let about = field["description"].as_str().unwrap_or_default();
            [name.clone(), kind, format!("{about}{default}")]
        })
        .collect();
    let width = |i: usize| {
        rows.iter()
            .map(|row| row[i].len())
            .max()
            .unwrap_or_default()
    };
    let (names, kinds) = (width(0), width(1));
    for [name, kind, about] in &rows {
        writeln!(out, "  {name:names$}  {kind:kinds$}  {about}")?;
    }
    Ok(())
}

fn summary(info: &PluginInfo) -> Value {
    let descriptor = &info.descriptor;
    json!({
        "name": descriptor.name,
        "version": descriptor.version,
        "summary": descriptor.summary,
        "phase": descriptor.phase,
        "sections": descriptor.sections,
        "specBlock": descriptor.spec_block,
        "digest": info.digest,
    })
}

/// An enum as JSON spells it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}
