//! `apim-operator plugin …`: a file per command.

pub(crate) mod args;
mod bench;
mod build;
mod empty;
mod inspect;
mod list;
mod new;
mod project;
mod pull;
mod push;
mod remote;
mod requests;
mod run;
mod sandbox;
mod serve;
mod test;
pub(crate) mod tools;

use std::path::PathBuf;

use anyhow::Context as _;
use operator_controller::plugins::Plugins;
use operator_plugin_host::{HostConfig, PluginHost};

use crate::args::PluginSources;
use crate::{Done, compile};
use args::PluginCommand;

/// Does what a subcommand says.
pub(crate) fn dispatch(command: &PluginCommand) -> anyhow::Result<Done> {
    match command {
        PluginCommand::New(args) => new::new(args),
        PluginCommand::Build(args) => build::build(args),
        PluginCommand::Test(args) => test::test(args),
        PluginCommand::List { sources, output } => list::list(sources, *output),
        PluginCommand::Run(args) => run::run(args),
        PluginCommand::Bench(args) => bench::bench(args),
        PluginCommand::Inspect(args) => inspect::inspect(args),
        PluginCommand::Push(args) => push::push(args),
        PluginCommand::Pull(args) => pull::pull(args),
        PluginCommand::Verify(args) => pull::verify(args),
    }
}

/// The log lines that a subcommand shows by default.
pub(crate) fn log_filter(command: &PluginCommand) -> &'static str {
    match command {
        PluginCommand::Run(args) if args.trace => "error,plugin=trace",
        _ => "error",
    }
}

/// Loads all plugins there are; what cannot be loaded is told on stderr.
pub(crate) fn load(sources: &PluginSources) -> anyhow::Result<(Plugins, bool)> {
    let plugins = Plugins::new(host_of(sources.cache_dir.clone(), false)?, None);
    let mut unusable = plugins.load_builtin();
    if let Some(folder) = &sources.plugin_dir {
        unusable.extend(plugins.load_dir(folder, || ()));
    }
    for plugin in &unusable {
        eprintln!("{}: skipped: {}", plugin.origin, plugin.error);
    }
    Ok((plugins, unusable.is_empty()))
}

/// A host; one that is metered counts what calls execute.
pub(crate) fn host_of(cache_dir: Option<PathBuf>, metered: bool) -> anyhow::Result<PluginHost> {
    PluginHost::new(HostConfig {
        cache_dir,
        metered,
        compiler: Some(compile::compiler()?),
        ..HostConfig::default()
    })
    .context("the WebAssembly host")
}

/// An enum as JSON spells it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

/// A number of bytes for a person.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => {
            let tenths = (bytes * 10).div_ceil(1_048_576);
            format!("{}.{} MiB", tenths / 10, tenths % 10)
        }
    }
}
