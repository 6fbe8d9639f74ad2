//! The command line of `plugin`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::bench::BenchArgs;
use super::inspect::InspectArgs;
use super::pull::{PullArgs, VerifyArgs};
use super::push::PushArgs;
use super::run::RunArgs;
use crate::args::{ListOutput, PluginSources};

/// The subcommands of `plugin`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Start a plugin: writes a folder that builds and has tests.
    ///
    /// The folder brings the SDK and the plugin interface with it. A Rust
    /// plugin needs cargo and the target wasm32-unknown-unknown, nothing else.
    New(NewArgs),
    /// Build a plugin: makes NAME.wasm in its folder.
    ///
    /// What a new plugin's languages need and this machine lacks is said with
    /// the command that installs it.
    Build(BuildArgs),
    /// Build a plugin and run its golden cases, as the operator would and natively.
    ///
    /// A case is a file in cases/: a context, a config, and the policy document
    /// or the errors that must come of them.
    Test(TestArgs),
    /// Show the policy of one ExposedAPI as one plugin or a chain makes it.
    Run(RunArgs),
    /// Measure a plugin's calls: time, fuel and memory, beside a plugin that does nothing.
    Bench(BenchArgs),
    /// List the plugins.
    #[command(after_help = "\
Examples:
  apim-operator plugin list
  apim-operator plugin list --plugin-dir ./plugins -o json")]
    List {
        /// Plugins.
        #[command(flatten)]
        sources: PluginSources,
        /// How to print them.
        #[arg(short, long, value_enum, default_value_t = ListOutput::Text)]
        output: ListOutput,
    },
    /// Show a plugin: phase, sections, config; interface, imports, size, signature.
    Inspect(InspectArgs),
    /// Push a plugin to a registry, and print the PolicyPlugin that makes it known.
    ///
    /// The PolicyPlugin goes to stdout, for `kubectl apply -f -`. It pins the
    /// plugin by digest and lets the APIs of all namespaces use it.
    Push(PushArgs),
    /// Pull a plugin from a registry into a file.
    Pull(PullArgs),
    /// Check who signed a plugin in a registry.
    Verify(VerifyArgs),
}

/// Arguments of `plugin new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator plugin new acme-headers
  apim-operator plugin new acme-headers --lang python
  apim-operator plugin new acme-headers --sdk ../apim-operator/policy-sdk")]
pub(crate) struct NewArgs {
    /// The plugin's name, as ExposedAPIs will say it; also the folder's, which
    /// must not exist.
    pub(crate) name: String,

    /// The language.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub(crate) lang: Language,

    /// Take this policy-sdk, a folder or a published version, instead of the
    /// one that this program brings.
    #[arg(long, value_name = "PATH|VERSION")]
    pub(crate) sdk: Option<String>,
}

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust: the smallest and fastest plugins.
    Rust,
    /// Python, made a component by componentize-py.
    Python,
    /// JavaScript, made a component by jco.
    Js,
}

/// Arguments of `plugin build`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator plugin build
  apim-operator plugin build acme-headers")]
pub(crate) struct BuildArgs {
    /// The plugin's folder.
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// Arguments of `plugin test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator plugin test
  apim-operator plugin test --bless && git diff cases    write what came of the cases
  apim-operator plugin test acme-headers --sandbox-only

Exit codes: 0 all cases are as expected, 1 some are not, 2 wrong usage.")]
pub(crate) struct TestArgs {
    /// The plugin's folder.
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// Write what came of each case into its file as what is expected.
    #[arg(long)]
    pub(crate) bless: bool,

    /// Leave the requests of the cases out, which need the program
    /// apim-simulator: beside this one, on PATH, or named by `APIM_SIMULATOR`.
    #[arg(long)]
    pub(crate) no_requests: bool,

    /// Leave the native tests (`cargo test`) out.
    #[arg(long)]
    pub(crate) sandbox_only: bool,

    /// Keep the compiled plugin in this folder. It must be private: compiled
    /// code is trusted code.
    #[arg(long, env = "APIM_OPERATOR_CACHE_DIR", value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}
