//! `apim-operator plugin …`: a file per command.

pub(crate) mod args;
mod bench;
mod build;
mod curl;
mod empty;
mod inspect;
mod list;
mod new;
mod progress;
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
use operator_core::annotations::did_you_mean;
use operator_plugin_host::{HostConfig, PluginHost, builtin_plugins};

use crate::args::PluginSources;
use crate::{Done, compile};
use args::PluginCommand;
use progress::Progress;

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
    let progress = Progress::of(plugins.host(), sources.cache_dir.as_deref(), true);
    let mut unusable = plugins.load_builtin_telling(|done, all| progress.tell(done, all));
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

/// That there is no plugin of a name, among the built-in ones and `others`.
fn no_such_plugin<'n>(name: &str, others: impl IntoIterator<Item = &'n str>) -> anyhow::Error {
    let mut names: Vec<&str> = builtin_plugins().iter().map(|(name, _)| *name).collect();
    names.extend(others);
    names.sort_unstable();
    names.dedup();
    let hint = did_you_mean(name, names.iter().copied());
    if hint.is_empty() {
        anyhow::anyhow!(
            "there is no plugin `{name}`; there are {}",
            names.join(", ")
        )
    } else {
        anyhow::anyhow!("there is no plugin `{name}`{hint}")
    }
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
