//! `chaos`: runs random fault schedules and prints what ran.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use chaos::{Lab, Outcome, Schedule, Tally, minimise, run};
use clap::Parser;

/// How many schedules are tried to make a failing one smaller.
const BUDGET: u32 = 120;
/// A schedule is drawn the same every time, but time is not: how often a
/// smaller one is tried before it counts as fine.
const TRIES: u32 = 2;

/// Random fault schedules against a real API server and a local Azure.
#[derive(Debug, Parser)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(name = "chaos")]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 25)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// A schedule from a file, as a failure prints it.
    #[arg(long)]
    schedule: Option<PathBuf>,
    /// How many run at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Print the schedule and do not run it.
    #[arg(long)]
    print: bool,
    /// Run all seeds, whatever fails, and make nothing smaller.
    #[arg(long)]
    keep_going: bool,
    /// Leave a failing schedule as it is.
    #[arg(long)]
    whole: bool,
    /// The folder for the logs of failing schedules.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Switch known mistakes on, one after the other, and see that each is
    /// found within `--seeds`. Needs a build with the feature `defects`.
    #[arg(long)]
    defects: bool,
    /// Only the first so many of the known mistakes.
    #[arg(long)]
    only: Option<usize>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(start(args))
}

async fn start(args: Args) -> Result<ExitCode> {
    let schedules: Vec<Schedule> = match (&args.schedule, args.seed) {
        (Some(path), _) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
            vec![serde_saphyr::from_str(&text).with_context(|| format!("{}", path.display()))?]
        }
        (None, Some(seed)) => vec![Schedule::draw(seed)],
        (None, None) => (args.from..args.from + args.seeds)
            .map(Schedule::draw)
            .collect(),
    };
    if args.print {
        for schedule in &schedules {
            println!("seed {}\n{schedule}", schedule.seed);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(lab) = Lab::start().await? else {
        anyhow::bail!("kube-apiserver, etcd or kubectl is missing; run `make setup`");
    };
    if args.defects {
        return defects::all_found(&lab, &args, &schedules).await;
    }
    let (tally, failed) = run_all(&lab, schedules, &args).await?;
    print!("{tally}");
    if failed.is_empty() {
        println!("every invariant held");
        return Ok(ExitCode::SUCCESS);
    }
    for (schedule, outcome) in &failed {
        report(&lab, &args, schedule, outcome).await?;
    }
    Ok(ExitCode::FAILURE)
}

#[cfg(feature = "defects")]
mod defects {
    use std::process::ExitCode;

    use chaos::{Lab, Schedule};
    use operator_apim::defects::{Defect, switch_on};

    use crate::{Args, run_all};

    /// Whether each known mistake is found within the schedules.
    pub(crate) async fn all_found(
        lab: &Lab,
        args: &Args,
        schedules: &[Schedule],
    ) -> anyhow::Result<ExitCode> {
        let mut missed = false;
        for defect in Defect::ALL
            .into_iter()
            .take(args.only.unwrap_or(usize::MAX))
        {
            switch_on(Some(defect));
            let (tally, failed) = run_all(lab, schedules.to_vec(), args).await?;
            switch_on(None);
            match failed.first() {
                Some((schedule, outcome)) => {
                    println!(
                        "{defect:?}: found by seed {}, after {} seeds:",
                        schedule.seed, tally.seeds
                    );
                    for violation in outcome.violations.iter().take(2) {
                        println!("  {violation}");
                    }
                }
                None => {
                    missed = true;
                    println!("{defect:?}: NOT FOUND in {} seeds", tally.seeds);
                }
            }
        }
        Ok(if missed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

#[cfg(not(feature = "defects"))]
mod defects {
    use std::process::ExitCode;

    use chaos::{Lab, Schedule};

    use crate::Args;

    #[expect(clippy::unused_async, reason = "the other build waits")]
    pub(crate) async fn all_found(
        _: &Lab,
        args: &Args,
        _: &[Schedule],
    ) -> anyhow::Result<ExitCode> {
        anyhow::bail!(
            "this build knows no mistakes (--only {:?}); `make chaos-defects` makes one that does",
            args.only
        )
    }
}

/// Runs all, or until one fails.
async fn run_all(
    lab: &Lab,
    schedules: Vec<Schedule>,
    args: &Args,
) -> Result<(Tally, Vec<(Schedule, Outcome)>)> {
    let total = schedules.len();
    let queue = RefCell::new(schedules.into_iter());
    let tally = RefCell::new(Tally::default());
    let failed = RefCell::new(Vec::new());
    let worker = async || {
        loop {
            let next = queue.borrow_mut().next();
            let Some(schedule) = next.filter(|_| args.keep_going || failed.borrow().is_empty())
            else {
                return Ok::<_, anyhow::Error>(());
            };
            let outcome = run(lab, &schedule)
                .await
                .with_context(|| format!("seed {}", schedule.seed))?;
            tally.borrow_mut().add(&outcome.tally);
            let done = tally.borrow().seeds;
            if done.is_multiple_of(50) {
                eprintln!("{done} of {total} seeds");
            }
            if !outcome.violations.is_empty() {
                failed.borrow_mut().push((schedule, outcome));
            }
        }
    };
    // The driver has little to do: operators and local Azures have threads of
    // their own.
    let workers = (0..args.jobs.max(1)).map(|_| worker());
    futures::future::try_join_all(workers).await?;
    Ok((tally.take(), failed.take()))
}

/// Says what does not hold, and with how little of the schedule.
async fn report(lab: &Lab, args: &Args, schedule: &Schedule, outcome: &Outcome) -> Result<()> {
    println!("\nseed {} FAILED:", schedule.seed);
    for violation in &outcome.violations {
        println!("  {violation}");
    }
    if let Some(folder) = &args.log {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("chaos-{}.log", schedule.seed));
        std::fs::write(&path, &outcome.log)?;
        println!("log: {}", path.display());
    }
    println!("schedule:\n{schedule}");
    let rules: Vec<&str> = outcome.violations.iter().map(|one| one.rule).collect();
    let mut smallest = schedule.clone();
    if !args.whole && !args.keep_going {
        eprintln!("making it smaller, with up to {BUDGET} runs");
        smallest = minimise(schedule, BUDGET, async |tried| {
            for _ in 0..TRIES {
                // A schedule that cannot be run does not fail in the same way.
                if let Ok(again) = run(lab, tried).await
                    && again.violations.iter().any(|one| rules.contains(&one.rule))
                {
                    return true;
                }
            }
            false
        })
        .await;
        println!("smallest schedule that fails alike:\n{smallest}");
    }
    let path = std::env::temp_dir().join(format!("chaos-{}.json", schedule.seed));
    std::fs::write(&path, serde_json::to_string_pretty(&smallest)?)?;
    println!(
        "again: chaos --seed {}, or chaos --schedule {}",
        schedule.seed,
        path.display()
    );
    Ok(())
}
