//! One API that fails for ever, beside many that do not.

use anyhow::{Context as _, Result};
use apim_simulator::FaultSpec;
use serde_json::json;

use crate::publish::{created_until_ready, names, plain, services, staged, tail};
use crate::table::{Samples, Table, short};

/// The one that fails.
const NAME: &str = "fails";

/// Creates objects while Azure breaks each write of another one, and compares
/// how long they take with `floor`: the same without it.
pub(crate) async fn failing(
    table: &mut Table,
    objects: u32,
    clients: usize,
    floor: Option<Samples>,
) -> Result<()> {
    let names = names(objects);
    let floor = match floor {
        Some(floor) => floor,
        None => match created(&names, clients, false).await? {
            Some((floor, _)) => floor,
            None => return Ok(()),
        },
    };
    let Some((each, failures)) = created(&names, clients, true).await? else {
        return Ok(());
    };
    table.legend(format!(
        "failing: {objects} ExposedAPIs as for publish, while Azure answers 500 to each write of one more; the floor is \
         the same without that one"
    ));
    let ratio = |of: fn(&Samples) -> std::time::Duration| {
        of(&each).as_secs_f64() / of(&floor).as_secs_f64()
    };
    table.against(
        "one fails for ever: the others until ready, median",
        (short(each.median()), short(floor.median())),
        ratio(Samples::median),
        None,
    );
    table.against(
        "one fails for ever: the others until ready, p99",
        (short(each.p99()), short(floor.p99())),
        ratio(Samples::p99),
        None,
    );
    table.figure("  calls that failed", failures.to_string());
    Ok(())
}

/// How long each object took until it was ready, and how many calls failed.
async fn created(
    names: &[String],
    clients: usize,
    with_failure: bool,
) -> Result<Option<(Samples, u32)>> {
    let Some(stage) = staged("failing").await? else {
        return Ok(None);
    };
    services(&stage, names, clients).await?;
    if with_failure {
        let fault = FaultSpec {
            verb: Some("PUT".to_owned()),
            path: Some(format!("/apis/shop\\.{NAME}[/?]")),
            status: Some(500),
            body: Some(
                json!({"error": {"code": "InternalServerError", "message": "An error has occurred."}}),
            ),
            ..FaultSpec::default()
        };
        stage
            .azure
            .fault(fault)
            .map_err(|error| anyhow::anyhow!("the fault: {error}"))?;
        stage.apply(&plain(NAME)).await?;
        test_harness::wait_until("the one fails", e2e::PATIENCE, async || {
            match stage.azure.fault_use().values().sum::<u32>() {
                0 => Err("no write of it yet".to_owned()),
                _ => Ok(()),
            }
        })
        .await?;
    }
    let created = created_until_ready(&stage, names, clients, plain)
        .await
        .with_context(|| tail(&stage.operator_log()))?;
    Ok(Some((created.each, stage.azure.fault_use().values().sum())))
}
