//! From the start of the process to `/readyz`.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use e2e::Stage;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};

use crate::publish::staged;
use crate::table::{Samples, Table};

/// Starts the operator some times, with its plugins compiled already.
pub(crate) async fn start(table: &mut Table, samples: u32) -> Result<()> {
    let Some(mut stage) = staged("start").await? else {
        return Ok(());
    };
    let (mut ours, mut floor) = (Samples::default(), Samples::default());
    for _ in 0..samples {
        stage.kill_operator()?;
        let started = Instant::now();
        first_reads(&stage).await?;
        floor.push(started.elapsed());
        let started = Instant::now();
        stage.start_operator().await?;
        ours.push(started.elapsed());
    }
    table.legend(
        "start: /readyz is asked every 20 ms, the plugins are in the disk cache; the floor is `apim-operator --version` \
         and the same first reads, one after the other",
    );
    table.against(
        &format!(
            "process start to /readyz with {} plugins",
            operator_plugin_host::builtin_plugins().len()
        ),
        (ours.to_string(), floor.to_string()),
        ours.ratio(&floor),
        None,
    );
    Ok(())
}

/// What the operator must know before it can be ready, read one after the
/// other, and the start of its process.
async fn first_reads(stage: &Stage) -> Result<()> {
    let program = test_harness::built_program("apim-operator")?;
    let version = Command::new(program).arg("--version").output()?;
    if !version.status.success() {
        bail!("apim-operator --version: {}", version.status);
    }
    let (client, all) = (&stage.client, ListParams::default());
    Api::<Namespace>::all(client.clone())
        .get("kube-system")
        .await?;
    Api::<CustomResourceDefinition>::all(client.clone())
        .get("exposedapis.oda.tmforum.org")
        .await?;
    Api::<Ingress>::all(client.clone()).list(&all).await?;
    Api::<EndpointSlice>::all(client.clone()).list(&all).await?;
    Api::<Service>::all(client.clone())
        .list_metadata(&all)
        .await?;
    Api::<Namespace>::all(client.clone())
        .list_metadata(&all)
        .await?;
    stage.exposed_apis("shop").list(&all).await?;
    Ok(())
}
