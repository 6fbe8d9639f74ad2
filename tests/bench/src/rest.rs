//! An operator that has nothing to do, for a long time.

use std::time::Duration;

use anyhow::{Context as _, Result};
use apim_simulator::CallKind;

use crate::processes::{resident, used};
use crate::publish::{
    Counters, created_until_ready, names, plain, services, settled, staged, tail,
};
use crate::table::{Goal, Table, short};

/// How many times faster pauses and periods pass.
const PACE: u32 = 144;
/// Reads per second that Azure's own budget allows.
const BUDGET: u32 = 25;

/// Publishes, starts the operator anew with its timers compressed, and looks
/// at what it does while nothing happens.
pub(crate) async fn rest(
    table: &mut Table,
    objects: u32,
    clients: usize,
    time: Duration,
) -> Result<()> {
    let names = names(objects);
    let Some(mut stage) = staged("rest").await? else {
        return Ok(());
    };
    services(&stage, &names, clients).await?;
    created_until_ready(&stage, &names, clients, plain)
        .await
        .with_context(|| tail(&stage.operator_log()))?;
    settled(&stage).await?;
    stage.kill_operator()?;
    stage.set_environment("APIM_OPERATOR_TIME_SCALE", &PACE.to_string());
    let reads = (BUDGET * PACE).to_string();
    stage.set_environment("APIM_OPERATOR_ARM_READS", &reads);
    stage.start_operator().await?;
    test_harness::wait_until(
        "a look at every object",
        crate::publish::PATIENCE,
        async || {
            let now = Counters::read(&stage)
                .await
                .map_err(|error| error.to_string())?;
            let done = now.sum("controller_runtime_reconcile_total");
            if done >= f64::from(objects) {
                Ok(())
            } else {
                Err(format!("{done} reconciles"))
            }
        },
    )
    .await?;
    let process = stage.operator_id().context("the operator runs")?;
    // Long enough for each kind of timer to have fired.
    tokio::time::sleep(time / 10).await;
    stage.azure.clear_journal();
    let (begin, before) = (Counters::read(&stage).await?, used(process)?);
    let memory = resident(process)?;
    tokio::time::sleep(time).await;
    let (end, after) = (Counters::read(&stage).await?, used(process)?);
    let grown = resident(process)?;
    let counters = end.since(&begin);
    let writes = stage
        .journal()
        .iter()
        .filter(|call| matches!(call.kind, CallKind::Write | CallKind::Delete))
        .count();

    let spent = after.saturating_sub(before);
    table.legend(format!(
        "rest: {objects} ExposedAPIs, {} with every pause and period divided by {PACE} (so {}) and the read budget \
         multiplied by as much; sweeps for changes by others go on",
        short(time),
        hours(time * PACE),
    ));
    table.figure("rest: CPU time", short(spent));
    table.figure(
        "rest: CPU time per hour at the real pace",
        short(spent.div_f64((time * PACE).as_secs_f64() / 3600.0)),
    );
    table.figure(
        "rest: sweeps for changes by others",
        counters.sum("apim_operator_drift_sweeps_total").to_string(),
    );
    table.count(
        "rest: writes to Azure",
        f64::from(u32::try_from(writes)?),
        Goal::Exactly(0.0),
    );
    table.count(
        "rest: writes to Kubernetes",
        counters.sum("apim_operator_kubernetes_writes_total"),
        Goal::Exactly(0.0),
    );
    table.figure(
        "rest: reconciles",
        counters
            .sum("controller_runtime_reconcile_total")
            .to_string(),
    );
    table.against(
        "rest: memory at the end, of that at the beginning",
        (
            format!("{:.1} MiB", grown.now),
            format!("{:.1} MiB", memory.now),
        ),
        grown.now / memory.now,
        Some(Goal::AtMost(1.05)),
    );
    Ok(())
}

fn hours(time: Duration) -> String {
    format!("{:.1} h", time.as_secs_f64() / 3600.0)
}
