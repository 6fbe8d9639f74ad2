//! `apim-operator`: the command line.
//!
//! It reads arguments, files and the environment, and prints. What it prints is
//! made elsewhere; it must never decide anything about an API itself.
#![forbid(unsafe_code)]

mod api;
mod args;
mod cluster;
mod compile;
mod completion;
mod crd;
mod lint;
mod local_azure;
mod logging;
mod manifest;
mod migrate;
mod orphans;
mod plan;
mod plugin;
mod profile;
mod render;
mod run;
mod texts;

use std::process::ExitCode;

use args::{Cli, Command};
use operator_controller::said;

/// What a command has to say in its exit code.
pub(crate) enum Done {
    /// All is well.
    Fine,
    /// Problems were found and told.
    Problems,
    /// There is something to do, which was asked for to be known.
    Changes,
}

fn main() -> ExitCode {
    match dispatch(&completion::parse()) {
        Ok(Done::Fine) => ExitCode::SUCCESS,
        Ok(Done::Problems) => ExitCode::from(1),
        Ok(Done::Changes) => ExitCode::from(3),
        // `apim-operator crd | head` is no error.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("apim-operator: {}", sentence(&error));
            ExitCode::from(1)
        }
    }
}

/// An error with its causes. Many libraries repeat the cause in the error's own
/// text, some at each level; it is said once.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(|cause| cause.downcast_ref().map_or_else(|| cause.to_string(), said))
        .fold(String::new(), |said, cause| {
            if said.is_empty() {
                cause
            } else if said.contains(&cause) {
                said
            } else {
                format!("{said}: {cause}")
            }
        })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

fn dispatch(cli: &Cli) -> anyhow::Result<Done> {
    // A one-off command says by itself what is wrong; a process that runs for
    // months tells what it does. The Kubernetes client logs each error that it
    // returns, and we report those.
    logging::start(
        cli.log.as_deref(),
        cli.log_format,
        match &cli.command {
            Command::Run(_) => "info,kube_runtime=warn,kube_client=off",
            Command::Plugin { command } => plugin::log_filter(command),
            Command::Plan(_) | Command::Orphans(_) | Command::Migrate(_) | Command::Api(_) => {
                "error,kube_client=off,kube_runtime=off"
            }
            Command::Render(_)
            | Command::Lint(_)
            | Command::Crd(_)
            | Command::CompilePlugin(_)
            | Command::Completion { .. } => "error",
        },
    )?;
    match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Render(args) => render::render(args),
        Command::Plan(args) => plan::plan(args),
        Command::Orphans(args) => orphans::orphans(args),
        Command::Migrate(args) => migrate::migrate(args),
        Command::Lint(args) => lint::lint(args),
        Command::Crd(args) => crd::print(args),
        Command::CompilePlugin(args) => compile::run(args),
        Command::Plugin { command } => plugin::dispatch(command),
        Command::Api(args) => api::dispatch(args),
        Command::Completion { shell } => completion::print(*shell),
    }
}
