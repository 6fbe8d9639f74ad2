//! `apim-operator compile-plugin`: this program as the compiler of plugins, in
//! a process of its own that may die of what it compiles.

use anyhow::Context as _;
use clap::Args;
use operator_plugin_host::{CompilerCommand, CompilerLimits, compile_plugin};

use crate::Done;

/// Its name on the command line.
const NAME: &str = "compile-plugin";

/// What the compiler may take.
#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    /// Address space beyond what the program takes itself.
    #[arg(long)]
    memory_bytes: u64,
    /// Time on a processor.
    #[arg(long)]
    cpu_seconds: u64,
    /// The size of the plugin's file.
    #[arg(long)]
    module_bytes: u64,
    /// Whether the code counts what it executes.
    #[arg(long, action = clap::ArgAction::Set)]
    metered: bool,
}

/// How a host starts this program as its compiler.
pub(crate) fn compiler() -> anyhow::Result<CompilerCommand> {
    CompilerCommand::this_program([NAME]).context("where this program is cannot be found out")
}

/// Compiles stdin to stdout.
pub(crate) fn run(args: &CompileArgs) -> anyhow::Result<Done> {
    compile_plugin(CompilerLimits {
        memory_bytes: args.memory_bytes,
        cpu_seconds: args.cpu_seconds,
        module_bytes: args.module_bytes,
        metered: args.metered,
    })?;
    Ok(Done::Fine)
}
