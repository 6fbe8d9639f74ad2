//! `apim-operator migrate`: takes over what the original Azure operator left.
//!
//! Without `--apply` nothing that can write to API Management is made at all.
//! What is to be done is decided in `operator_core::migrate`.

mod carry_out;
mod gather;
mod print;

use anyhow::Context as _;
use operator_core::migrate::{Step, Verdict};
use operator_core::names::ObjectKey;

use crate::args::{ListOutput, MigrateArgs};
use crate::{Done, cluster};

/// What became of one object.
pub(crate) struct Outcome {
    key: ObjectKey,
    instance: Option<String>,
    api_id: Option<String>,
    verdict: Verdict,
    /// How many of the steps were carried out.
    done: usize,
    /// Why the next one was not.
    failed: Option<String>,
}

impl Outcome {
    fn steps(&self) -> &[Step] {
        match &self.verdict {
            Verdict::Steps(steps) => steps,
            Verdict::Foreign | Verdict::Done | Verdict::Blocked(_) => &[],
        }
    }

    /// Why it is left alone, or where it stopped.
    fn reason(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Blocked(why) => Some(why),
            _ => self.failed.as_deref(),
        }
    }
}

/// Shows what would be taken over, or takes it over.
pub(crate) fn migrate(args: &MigrateArgs) -> anyhow::Result<Done> {
    cluster::block_on(async {
        let (client, server) = cluster::client().await?;
        let place = gather::Place {
            client,
            namespace: args.namespace.clone(),
            cloud: cluster::cloud(&args.reach)?,
            key_vault: cluster::key_vault(&args.reach),
        };
        let found = gather::gather(&place)
            .await
            .with_context(|| format!("the API server {server}"))?;
        let mut outcomes = found.outcomes;
        if args.apply {
            if let Some(running) = &found.still_running {
                anyhow::bail!(
                    "the original operator still runs ({running}) and would take back what is changed: scale it to \
                     0 first; nothing was written"
                );
            }
            for outcome in &mut outcomes {
                carry_out::carry_out(&place, &found.objects, &found.connections, outcome).await;
            }
        }
        let report = print::Report {
            applied: args.apply,
            still_running: found.still_running.as_deref(),
            outcomes: &outcomes,
        };
        match args.output {
            ListOutput::Text => print::text(&report)?,
            ListOutput::Json => print::json(&report)?,
        }
        let well = outcomes.iter().all(|outcome| outcome.reason().is_none());
        Ok(if well { Done::Fine } else { Done::Problems })
    })
}
