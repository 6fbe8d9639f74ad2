//! `plugin bench`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, value_parser};
use operator_plugin_host::{Plugin, PluginHost, PluginSource, Usage, builtin_plugins};
use policy_sdk::testing::{Case, Outcome};
use serde_json::{Value, json};

use super::project::Project;
use super::sandbox::Sandbox;
use super::{empty, host_of, size};
use crate::Done;
use crate::args::ListOutput;

/// Arguments of `plugin bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator plugin bench
  apim-operator plugin bench acme-headers.wasm --cases cases --calls 1000
  apim-operator plugin bench -o json | jq '.[].ratio'

Each call is measured beside one of a plugin that does nothing with the same
request; RATIO is that of the medians. Fuel is about one per instruction.")]
pub(crate) struct BenchArgs {
    /// The plugin: its folder, which is built first, a *.wasm file, or the
    /// name of a built-in one.
    #[arg(default_value = ".", value_name = "PLUGIN")]
    pub(crate) plugin: String,

    /// The folder with the cases to measure; by default `cases` in the
    /// plugin's folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) cases: Option<PathBuf>,

    /// Measured calls of each case.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) calls: u32,

    /// How to print it; in JSON times are nanoseconds.
    #[arg(short, long, value_enum, default_value_t = ListOutput::Text)]
    pub(crate) output: ListOutput,
}

/// What one case costs.
struct Row {
    case: String,
    min: Duration,
    median: Duration,
    p95: Duration,
    empty: Duration,
    fuel: u64,
    memory: usize,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.median.as_secs_f64() / self.empty.as_secs_f64().max(1e-9)
    }
}

/// Measures a plugin's calls.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<Done> {
    let (fast, metered) = (host_of(None, false)?, host_of(None, true)?);
    let (bytes, folder) = bytes(args, &fast)?;
    let load = |host: &PluginHost, bytes: &[u8]| {
        host.load(bytes, PluginSource::File(args.plugin.clone().into()))
            .with_context(|| args.plugin.clone())
    };
    let plugin = load(&fast, &bytes)?;
    let counted = load(&metered, &bytes)?;
    let floor = load(&fast, &empty::component()?)?;
    let cases = match args.cases.clone().or(folder) {
        Some(folder) => Case::all(&folder).map_err(|error| anyhow::anyhow!("{error}"))?,
        None => vec![
            Case::parse("example.yaml", "config: {}")
                .map_err(|error| anyhow::anyhow!("{error}"))?,
        ],
    };
    if cfg!(debug_assertions) {
        eprintln!(
            "note: this apim-operator is a debug build; its part of a call is slower than in a release"
        );
    }
    let sandbox = Sandbox::new(counted)?;
    let mut rows = Vec::new();
    for case in &cases {
        match row(case, &sandbox, &plugin, &floor, args.calls) {
            Ok(row) => rows.push(row),
            Err(why) => eprintln!("{}: not measured: {why}", case.name),
        }
    }
    if rows.is_empty() {
        bail!("no case reaches the plugin; name a folder of cases with --cases");
    }
    print(&rows, args.output)?;
    Ok(Done::Fine)
}

/// The plugin's file, and its folder of cases.
fn bytes(args: &BenchArgs, host: &PluginHost) -> anyhow::Result<(Vec<u8>, Option<PathBuf>)> {
    let path = Path::new(&args.plugin);
    if path.is_dir() {
        let project = Project::open(path)?;
        eprintln!("building {}", project.name);
        let built = project.build(host)?;
        return Ok((std::fs::read(built.file)?, Some(path.join("cases"))));
    }
    if let Some((_, bytes)) = builtin_plugins()
        .iter()
        .find(|(name, _)| *name == args.plugin)
    {
        return Ok((bytes.to_vec(), None));
    }
    let bytes = std::fs::read(path).with_context(|| args.plugin.clone())?;
    Ok((bytes, None))
}

fn row(
    case: &Case,
    sandbox: &Sandbox,
    plugin: &Plugin,
    floor: &Plugin,
    calls: u32,
) -> Result<Row, String> {
    let ran = sandbox.run(case)?;
    let Some(counted) = ran.usage else {
        return Err("its config is refused before the plugin runs".to_owned());
    };
    let Some(config) = sandbox.config(case, &mut Outcome::default())? else {
        return Err("its spec block switches the plugin off".to_owned());
    };
    // The first calls find nothing in the processor's caches.
    for _ in 0..calls.div_ceil(10) {
        call(plugin, case, &config)?;
        call(floor, case, &config)?;
    }
    let (mut times, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..calls {
        times.push(call(plugin, case, &config)?.elapsed);
        floors.push(call(floor, case, &config)?.elapsed);
    }
    times.sort_unstable();
    floors.sort_unstable();
    let at = |times: &[Duration], percent: usize| times[(times.len() - 1) * percent / 100];
    Ok(Row {
        case: case.name.clone(),
        min: at(&times, 0),
        median: at(&times, 50),
        p95: at(&times, 95),
        empty: at(&floors, 50),
        fuel: counted.fuel.unwrap_or_default(),
        memory: counted.memory_bytes,
    })
}

/// One call. A refusal is measured as well: it is the plugin's work.
fn call(plugin: &Plugin, case: &Case, config: &Value) -> Result<Usage, String> {
    plugin
        .measure(&case.context, config)
        .map(|(_, usage)| usage)
        .map_err(|error| error.to_string())
}

fn print(rows: &[Row], output: ListOutput) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output == ListOutput::Json {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({
                    "case": row.case, "min": nanos(row.min), "median": nanos(row.median),
                    "p95": nanos(row.p95), "empty": nanos(row.empty), "ratio": row.ratio(),
                    "fuel": row.fuel, "memory": row.memory,
                })
            })
            .collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(());
    }
    let micros = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6);
    let mut table = vec![
        [
            "CASE", "MIN", "MEDIAN", "P95", "EMPTY", "RATIO", "FUEL", "MEMORY",
        ]
        .map(str::to_owned),
    ];
    table.extend(rows.iter().map(|row| {
        [
            row.case.clone(),
            micros(row.min),
            micros(row.median),
            micros(row.p95),
            micros(row.empty),
            format!("{:.1}", row.ratio()),
            row.fuel.to_string(),
            size(row.memory as u64),
        ]
    }));
    let width = |column: usize| {
        let cells = table.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    for row in &table {
        let mut line = format!("{:1$}", row[0], width(0));
        for (column, cell) in row.iter().enumerate().skip(1) {
            // Writing to a string cannot fail.
            let _ = write!(line, "  {cell:>0$}", width(column));
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}
