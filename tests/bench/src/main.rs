//! Measures the operator and prints a table.
//!
//! Every figure stands beside a floor: what the same work costs without the
//! operator, measured in the same run on the same machine. It must never judge:
//! a goal that is missed is printed, and nothing fails.
#![forbid(unsafe_code)]

mod bare;
mod failing;
mod floor;
mod gateway;
mod plugins;
mod processes;
mod products;
mod publish;
mod rest;
mod restart;
mod start;
mod swap;
mod sweep;
mod table;
mod ways;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use table::Table;

/// Measures the operator against floors of the same run and prints a table.
#[derive(Debug, Parser)]
#[command(after_help = "\
A floor is what the same work costs without the operator: WebAssembly calls
without the host around them, Kubernetes writes without the rest of a reconcile,
a reverse proxy without policies. A ratio says how many floors the measured work
is, or, for objects and requests per second, which share of the floor's speed it
reaches.

Examples:
  make bench                                     everything, in release mode
  make bench ARGS='--only render --only load'    two of the measurements
  make bench ARGS='--objects 100'                a short run

Figures of a debug build say nothing; the table names the build.")]
struct Args {
    /// Only this measurement. May be repeated.
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Measurement>,

    /// ExposedAPIs that `publish`, `failing` and `swap` create.
    #[arg(long, default_value_t = 3000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    objects: u32,

    /// ExposedAPIs that `restart` and `sweep` find published.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    published: u32,

    /// ExposedAPIs that `rest` finds published.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    resting: u32,

    /// How long `rest` looks on, in seconds.
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..))]
    rest_seconds: u64,

    /// ExposedAPIs that `ways` creates by each way.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    each_way: u32,

    /// ExposedAPIs that `products` creates, and half as many subscriptions.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    in_products: u32,

    /// ExposedAPIs that are created at the same time.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,

    /// Samples of `render`; `load` and `start` take fewer.
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u32).range(20..))]
    samples: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// The policy of the default chain, against bare calls of its plugins.
    Render,
    /// Each built-in plugin's call, against the bare call of it.
    Calls,
    /// Plugins from the disk cache, against reading the files and one call.
    Load,
    /// The local gateway with the default chain, against a bare reverse proxy.
    Gateway,
    /// From the start of the process to /readyz, against the same first reads.
    Start,
    /// ExposedAPIs until they are ready, against a client that only writes.
    Publish,
    /// As publish, beside an API that fails for ever.
    Failing,
    /// Restart and resync with everything published, which write nothing.
    Restart,
    /// A look for what others changed, with everything published.
    Sweep,
    /// Nothing to do, for a day in ten minutes.
    Rest,
    /// A new version of a plugin that all ExposedAPIs use, until the last
    /// policy is written.
    Swap,
    /// Each way into the cluster, against the way `ingress`.
    Ways,
    /// APIs in products, with the keys of their subscribers.
    Products,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what was measured, also where a later measurement failed.
fn run(args: &Args) -> Result<()> {
    let mut table = Table::default();
    let ended = measure(args, &mut table);
    println!("{table}");
    ended
}

fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let wanted = |measurement| args.only.is_empty() || args.only.contains(&measurement);
    let build = if cfg!(debug_assertions) {
        "debug build: the figures say nothing"
    } else {
        "release build"
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    table.note(format!(
        "apim-operator {}, {build}, {processors} processors",
        env!("CARGO_PKG_VERSION")
    ));
    if wanted(Measurement::Render) {
        eprintln!("render …");
        plugins::render(table, args.samples)?;
    }
    if wanted(Measurement::Calls) {
        eprintln!("calls …");
        plugins::calls(table, (args.samples / 4).max(20))?;
    }
    if wanted(Measurement::Load) {
        eprintln!("load …");
        plugins::load(table, (args.samples / 50).max(5))?;
    }
    if wanted(Measurement::Gateway) {
        eprintln!("gateway …");
        gateway::gateway(table)?;
    }
    let clustered = [
        Measurement::Start,
        Measurement::Publish,
        Measurement::Failing,
        Measurement::Restart,
        Measurement::Sweep,
        Measurement::Rest,
        Measurement::Swap,
        Measurement::Ways,
        Measurement::Products,
    ];
    if clustered.into_iter().any(wanted) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(with_cluster(args, table, wanted))?;
    }
    Ok(())
}

/// What needs a cluster.
async fn with_cluster(
    args: &Args,
    table: &mut Table,
    wanted: impl Fn(Measurement) -> bool,
) -> Result<()> {
    let clients = usize::from(args.clients);
    if wanted(Measurement::Start) {
        eprintln!("start …");
        start::start(table, (args.samples / 200).clamp(3, 10)).await?;
    }
    let mut each = None;
    if wanted(Measurement::Publish) {
        eprintln!("publish {} …", args.objects);
        each = publish::publish(table, args.objects, clients).await?;
    }
    if wanted(Measurement::Failing) {
        eprintln!("one of {} fails …", args.objects);
        failing::failing(table, args.objects, clients, each).await?;
    }
    if wanted(Measurement::Restart) || wanted(Measurement::Sweep) {
        eprintln!("publish {} for restart and sweep …", args.published);
        let names = publish::names(args.published);
        if let Some(mut stage) = restart::published(table, &names, clients).await? {
            if wanted(Measurement::Restart) {
                eprintln!("restart with {} …", args.published);
                restart::restart(table, &mut stage, args.published).await?;
            }
            if wanted(Measurement::Sweep) {
                eprintln!("sweep {} …", args.published);
                sweep::sweep(table, &mut stage, &names).await?;
            }
        }
    }
    if wanted(Measurement::Rest) {
        eprintln!("rest with {} …", args.resting);
        let time = Duration::from_secs(args.rest_seconds);
        rest::rest(table, args.resting, clients, time).await?;
    }
    if wanted(Measurement::Swap) {
        eprintln!("swap a plugin of {} …", args.objects);
        swap::swap(table, args.objects, clients).await?;
    }
    if wanted(Measurement::Ways) {
        eprintln!("each way of {} …", args.each_way);
        ways::ways(table, args.each_way, clients).await?;
    }
    if wanted(Measurement::Products) {
        eprintln!("{} in products …", args.in_products);
        products::products(table, args.in_products, clients).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
