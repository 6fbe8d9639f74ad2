//! Restarting with everything published already, and looking at everything
//! again: nothing may be written.

use std::time::Instant;

use anyhow::{Context as _, Result};
use apim_simulator::CallKind;
use e2e::Stage;

use crate::processes::{memory, resident};
use crate::publish::{
    Counters, PATIENCE, created_until_ready, plain, services, settled, staged, tail,
};
use crate::table::{Goal, Table, short};

/// A stage with so many objects published; nothing where Kubernetes' programs
/// are missing.
pub(crate) async fn published(
    table: &mut Table,
    names: &[String],
    clients: usize,
) -> Result<Option<Stage>> {
    let Some(stage) = staged("restart").await? else {
        return Ok(None);
    };
    services(&stage, names, clients).await?;
    let created = created_until_ready(&stage, names, clients, plain)
        .await
        .with_context(|| tail(&stage.operator_log()))?;
    settled(&stage).await?;
    let grown = memory(stage.operator_id().context("the operator runs")?)?;
    table.figure(
        &format!(
            "{} ExposedAPIs published for restart and sweep in",
            names.len()
        ),
        short(created.took),
    );
    table.figure("memory after publishing them, now / at most", grown);
    Ok(Some(stage))
}

/// Restarts, and asks for a look at everything.
pub(crate) async fn restart(table: &mut Table, stage: &mut Stage, objects: u32) -> Result<()> {
    table.legend(format!(
        "restart: {objects} ExposedAPIs with the default chain are published; then the operator is killed and started"
    ));
    stage.kill_operator()?;
    stage.azure.clear_journal();

    let started = Instant::now();
    stage.start_operator().await?;
    table.figure("process start to /readyz", short(started.elapsed()));
    let told = stage.metrics("apim_operator_ready_seconds").await?;
    if let Some(seconds) = told.iter().find_map(|line| line.rsplit_once(' ')) {
        let seconds: f64 = seconds.1.parse()?;
        table.count(
            "  ready after the lists arrived, s",
            seconds,
            Goal::AtMost(0.3),
        );
    }
    let counters = looked_at(stage, f64::from(objects)).await?;
    table.figure(
        "process start until all were looked at",
        short(started.elapsed()),
    );
    report(table, "restart", stage, &counters)?;

    // A changed label of a namespace makes every object worth a look.
    stage.azure.clear_journal();
    let before = settled(stage).await?;
    let looks = before.sum("controller_runtime_reconcile_total");
    stage
        .kubectl(&["label", "namespace", "shop", "looked=again", "--overwrite"])
        .await?;
    let after = looked_at(stage, looks + f64::from(objects)).await?;
    report(table, "resync", stage, &after.since(&before))
}

/// Waits until so many reconciles were made, and the operator is at rest.
pub(crate) async fn looked_at(stage: &Stage, reconciles: f64) -> Result<Counters> {
    test_harness::wait_until("a look at every object", PATIENCE, async || {
        let now = Counters::read(stage)
            .await
            .map_err(|error| error.to_string())?;
        let done = now.sum("controller_runtime_reconcile_total");
        if done >= reconciles {
            Ok(())
        } else {
            Err(format!("{done} of {reconciles}"))
        }
    })
    .await?;
    settled(stage).await
}

fn report(table: &mut Table, what: &str, stage: &Stage, counters: &Counters) -> Result<()> {
    let azure = stage
        .journal()
        .iter()
        .filter(|call| matches!(call.kind, CallKind::Write | CallKind::Delete))
        .count();
    table.count(
        &format!("{what}: writes to Azure"),
        f64::from(u32::try_from(azure)?),
        Goal::Exactly(0.0),
    );
    table.count(
        &format!("{what}: writes to Kubernetes"),
        counters.sum("apim_operator_kubernetes_writes_total"),
        Goal::Exactly(0.0),
    );
    table.figure(
        &format!("{what}: reconciles"),
        counters
            .sum("controller_runtime_reconcile_total")
            .to_string(),
    );
    let process = stage.operator_id().context("the operator runs")?;
    let held = resident(process)?;
    table.count(
        &format!("{what}: memory, MiB"),
        held.now,
        Goal::AtMost(60.0),
    );
    table.figure(
        &format!("{what}: of that anonymous / of files / at most"),
        format!(
            "{:.0} / {:.0} / {:.0} MiB",
            held.anonymous, held.files, held.most
        ),
    );
    Ok(())
}
