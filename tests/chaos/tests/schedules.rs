//! The first seeds, on every run of the tests.
#![forbid(unsafe_code)]

use chaos::{Lab, Schedule, run};

/// How many; `make chaos` runs more.
const SEEDS: u64 = 25;
/// How many run side by side.
const JOBS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_every_schedule_the_world_is_as_it_is_wanted() -> anyhow::Result<()> {
    let Some(lab) = Lab::start().await? else {
        test_harness::skip(
            "after_every_schedule_the_world_is_as_it_is_wanted",
            "kube-apiserver, etcd or kubectl is missing; run `make setup`",
        );
        return Ok(());
    };
    let seeds: Vec<u64> = (0..SEEDS).collect();
    let lanes = seeds.chunks(seeds.len().div_ceil(JOBS)).map(async |seeds| {
        for seed in seeds {
            let schedule = Schedule::draw(*seed);
            let outcome = run(&lab, &schedule).await?;
            let told: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
            anyhow::ensure!(
                told.is_empty(),
                "seed {seed}; `make chaos ARGS='--seed {seed}'` makes it smaller:\n{}\n{schedule}",
                told.join("\n")
            );
        }
        Ok(())
    });
    futures::future::try_join_all(lanes).await?;
    Ok(())
}
