//! A new version of a plugin that many ExposedAPIs use.

use std::time::Instant;

use anyhow::{Context as _, Result};
use apim_simulator::CallKind;
use e2e::{PolicyPlugins as _, config_map, exposed_api, greeting, policy_plugin};
use serde_json::{Value, json};

use crate::processes::memory;
use crate::publish::{Counters, PATIENCE, created_until_ready, services, settled, staged, tail};
use crate::table::{Goal, Table, short};

/// An ExposedAPI that uses the plugin.
fn greeted(name: &str) -> Value {
    exposed_api(name, |object| {
        object["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = "greeting".into();
    })
}

/// From the file's change until the last policy is written.
pub(crate) async fn swap(table: &mut Table, objects: u32, clients: usize) -> Result<()> {
    let names: Vec<String> = (0..objects).map(|i| format!("api-{i:05}")).collect();
    let (old, new) = (greeting("1.0.0", "hello")?, greeting("1.1.0", "howdy")?);
    let Some(stage) = staged("swap").await? else {
        return Ok(());
    };
    services(&stage, &names, clients).await?;
    stage.apply(&config_map("greeting", &old)).await?;
    let source = json!({"configMap": {"name": "greeting", "key": "plugin.wasm"}});
    stage
        .apply(&policy_plugin("greeting", &source, &json!({})))
        .await?;
    stage.until_serves("greeting", "1.0.0").await?;
    created_until_ready(&stage, &names, clients, greeted)
        .await
        .with_context(|| tail(&stage.operator_log()))?;
    let before: Counters = settled(&stage).await?;
    stage.azure.clear_journal();

    let policies = |stage: &e2e::Stage| {
        let writes = stage.journal().into_iter().filter(|call| {
            matches!(call.kind, CallKind::Write) && call.path.contains("/policies/policy")
        });
        writes.count()
    };
    let started = Instant::now();
    stage.apply(&config_map("greeting", &new)).await?;
    stage.until_serves("greeting", "1.1.0").await?;
    let swapped = started.elapsed();
    test_harness::wait_until("every policy", PATIENCE, async || {
        let written = policies(&stage);
        if written >= names.len() {
            Ok(())
        } else {
            Err(format!("{written} of {}", names.len()))
        }
    })
    .await?;
    let took = started.elapsed();
    let after = settled(&stage).await?.since(&before);
    let writes = stage
        .journal()
        .into_iter()
        .filter(|call| matches!(call.kind, CallKind::Write | CallKind::Delete))
        .count();
    table.legend(format!(
        "swap: a ConfigMap brings a new version of a plugin that {objects} ExposedAPIs use; ARM buckets as for publish"
    ));
    table.figure("new version pulled, compiled and serving", short(swapped));
    table.figure("last of the users' policies written", short(took));
    table.figure(
        "policies written per second",
        format!("{:.1}", f64::from(objects) / took.as_secs_f64()),
    );
    table.count(
        "ARM writes per user of the plugin",
        exact(writes) / f64::from(objects),
        Goal::Exactly(1.0),
    );
    table.figure(
        "reconciles per user of the plugin",
        format!(
            "{:.2}",
            after.sum("controller_runtime_reconcile_total") / f64::from(objects)
        ),
    );
    table.figure(
        "operator's memory, now / at most, after the swap",
        memory(stage.operator_id().context("the operator runs")?)?,
    );
    Ok(())
}

fn exact(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
