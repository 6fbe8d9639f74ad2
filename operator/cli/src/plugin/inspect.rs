//! `plugin inspect`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use operator_plugin_host::{Plugin, PluginSource, Surface, builtin_plugins};
use operator_plugin_source::Resolved;
use serde_json::{Value, json};

use super::remote::{RegistryArgs, Remote, SignerArgs};
use super::{host_of, no_such_plugin, size, word};
use crate::Done;
use crate::args::{ListOutput, PluginSources};

/// Arguments of `plugin inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator plugin inspect rate-limit
  apim-operator plugin inspect ./acme-headers.wasm
  apim-operator plugin inspect registry.example.com/policies/acme-headers:1.0.0 --key plugins.pub
  apim-operator plugin inspect rate-limit -o json | jq .configSchema")]
pub(crate) struct InspectArgs {
    /// A plugin's name, a *.wasm file, or a reference to one in a registry.
    pub(crate) plugin: String,

    /// Plugins.
    #[command(flatten)]
    pub(crate) sources: PluginSources,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = ListOutput::Text)]
    pub(crate) output: ListOutput,

    /// Whose signature to look for, of one in a registry.
    #[command(flatten)]
    pub(crate) signer: SignerArgs,

    /// How the registry is reached.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// A plugin that was found, and what its file says without being run.
struct Found {
    plugin: Plugin,
    bytes: usize,
    surface: Surface,
    /// Where it is, of one in a registry.
    resolved: Option<Resolved>,
    /// Who signed it, or why that is not known; of one in a registry.
    signature: Option<String>,
}

/// Prints what a plugin says of itself, and what can be seen of it.
pub(crate) fn inspect(args: &InspectArgs) -> anyhow::Result<Done> {
    let found = find(args)?;
    let mut out = std::io::stdout().lock();
    match args.output {
        ListOutput::Json => {
            let mut all = serde_json::to_value(found.plugin.descriptor())?;
            all["interface"] = found.surface.interface().into();
            all["imports"] = json!(found.surface.imports);
            all["exports"] = json!(found.surface.exports);
            all["size"] = found.bytes.into();
            all["digest"] = found.plugin.digest().to_string().into();
            if let Some(resolved) = &found.resolved {
                all["reference"] = resolved.reference.clone().into();
            }
            if let Some(signature) = &found.signature {
                all["signature"] = signature.clone().into();
            }
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        }
        ListOutput::Text => text(&mut out, &found)?,
    }
    Ok(Done::Fine)
}

fn text(out: &mut impl std::io::Write, found: &Found) -> std::io::Result<()> {
    let descriptor = found.plugin.descriptor();
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
    if !descriptor.sku_features.is_empty() {
        writeln!(out, "Needs:     {}", descriptor.sku_features.join(", "))?;
    }
    writeln!(
        out,
        "Interface: {}",
        found.surface.interface().unwrap_or("not said")
    )?;
    let imports = found.surface.imports.join(", ");
    writeln!(
        out,
        "Imports:   {}",
        if imports.is_empty() {
            "nothing"
        } else {
            &imports
        }
    )?;
    writeln!(out, "Size:      {}", size(found.bytes as u64))?;
    if let Some(resolved) = &found.resolved {
        writeln!(out, "Reference: {}", resolved.reference)?;
    }
    if let Some(signature) = &found.signature {
        writeln!(out, "Signature: {signature}")?;
    }
    writeln!(out, "Digest:    {}\n\nConfig:", found.plugin.digest())?;
    fields(out, &descriptor.config_schema)?;
    writeln!(
        out,
        "\nIn an ExposedAPI:\n  metadata:\n    annotations:\n      apim.oda.tmforum.org/plugins: {name}\n      \
         apim.oda.tmforum.org/plugin.{name}: |\n        # YAML or JSON; the full schema: plugin inspect {name} -o json",
        name = descriptor.name
    )
}

/// A plugin by name, in a file or in a registry.
fn find(args: &InspectArgs) -> anyhow::Result<Found> {
    let name = args.plugin.as_str();
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|ending| ending == "wasm") && !name.contains(':');
    if is_file || path.is_file() {
        let plugin = host_of(args.sources.cache_dir.clone(), false)?
            .load_file(path)
            .with_context(|| name.to_owned())?;
        return seen(plugin, &fs::read(path)?, None, None);
    }
    if name.contains('/') {
        return in_registry(args);
    }
    let host = host_of(args.sources.cache_dir.clone(), false)?;
    // That one alone is compiled.
    if let Some((folder, bytes)) = builtin_plugins().iter().find(|(folder, _)| *folder == name) {
        let plugin = host
            .load(bytes, PluginSource::BuiltIn((*folder).to_owned()))
            .with_context(|| name.to_owned())?;
        return seen(plugin, bytes, None, None);
    }
    let mut others = Vec::new();
    for (file, plugin) in args
        .sources
        .plugin_dir
        .iter()
        .flat_map(|folder| host.load_dir(folder))
    {
        match plugin {
            Ok(plugin) if plugin.descriptor().name == name => {
                return seen(plugin, &fs::read(&file)?, None, None);
            }
            Ok(plugin) => others.push(plugin.descriptor().name.clone()),
            Err(error) => eprintln!("{}: skipped: {error}", file.display()),
        }
    }
    Err(no_such_plugin(name, others.iter().map(String::as_str)))
}

fn in_registry(args: &InspectArgs) -> anyhow::Result<Found> {
    let verification = args.signer.verification()?;
    let remote = Remote::open(&args.plugin, &args.registry)?;
    let resolved = remote.wait(remote.sources.resolve(&remote.source))?;
    let signature = match &verification {
        None => "not looked at; name --key or --certificate-identity".to_owned(),
        Some(verification) => match remote.wait(remote.sources.verify(&resolved, verification)) {
            Ok(verified) => format!("by {}", verified.signer),
            Err(error) => format!("none that counts: {error}"),
        },
    };
    let pulled = remote.wait(remote.sources.pull(&resolved))?;
    let plugin = host_of(args.sources.cache_dir.clone(), false)?
        .load(
            &pulled.bytes,
            PluginSource::Registry(resolved.reference.clone()),
        )
        .with_context(|| args.plugin.clone())?;
    seen(plugin, &pulled.bytes, Some(resolved), Some(signature))
}

fn seen(
    plugin: Plugin,
    bytes: &[u8],
    resolved: Option<Resolved>,
    signature: Option<String>,
) -> anyhow::Result<Found> {
    Ok(Found {
        surface: Surface::of(bytes)?,
        bytes: bytes.len(),
        plugin,
        resolved,
        signature,
    })
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
            let required = schema["required"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one == name));
            let kind = if required {
                format!("{kind}, required")
            } else {
                kind
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
