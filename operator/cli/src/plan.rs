//! `apim-operator plan`.

mod text;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use kube::Client;
use kube::api::DynamicObject;
use operator_controller::plan::{Assumed, ObjectPlan, PlanResult, Selection, plan as make_plans};
use operator_controller::run::Settings;
use serde::Serialize;

use crate::args::{ListOutput, PlanArgs};
use crate::{Done, cluster, manifest, profile};

/// The version of the JSON document. Fields may be added within a version;
/// none changes its meaning or goes.
const DOCUMENT: u32 = 1;

/// What `-o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: u32,
    objects: &'a [ObjectPlan],
    summary: Summary,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Summary {
    objects: usize,
    unchanged: usize,
    changed: usize,
    waiting: usize,
    refused: usize,
    failed: usize,
    azure_writes: usize,
    kubernetes_writes: usize,
}

impl Summary {
    fn of(plans: &[ObjectPlan]) -> Self {
        let count = |result| plans.iter().filter(|plan| plan.result == result).count();
        Self {
            objects: plans.len(),
            unchanged: count(PlanResult::Unchanged),
            changed: count(PlanResult::Change),
            waiting: count(PlanResult::Waiting),
            refused: count(PlanResult::Refused),
            failed: count(PlanResult::Failed),
            azure_writes: plans.iter().map(|plan| plan.azure.len()).sum(),
            kubernetes_writes: plans.iter().map(|plan| plan.kubernetes.len()).sum(),
        }
    }
}

/// Prints the plans of the selected objects.
pub(crate) fn plan(args: &PlanArgs) -> anyhow::Result<Done> {
    let selection = selection(args)?;
    cluster::block_on(async {
        let (client, server) = cluster::client().await?;
        let look = cluster::look(&args.look)?;
        Box::pin(show(client, look, selection, args.output, &server)).await
    })
}

/// What to plan, and the profiles that are to be applied with it.
pub(crate) type Chosen = (Selection, Vec<Assumed>);

/// Makes the plans of a selection and prints them. `server` is the API server's
/// address, for errors.
pub(crate) async fn show(
    client: Client,
    look: Settings,
    (selection, profiles): Chosen,
    output: ListOutput,
    server: &str,
) -> anyhow::Result<Done> {
    let made = Box::pin(make_plans(client, look, selection, profiles, waiting)).await;
    waiting("");
    let plans = made.map_err(|error| cluster::told(error, server))?;
    let summary = Summary::of(&plans);
    let done = if summary.waiting + summary.refused + summary.failed > 0 {
        Done::Problems
    } else if summary.changed > 0 {
        Done::Changes
    } else {
        Done::Fine
    };
    let mut out = std::io::stdout().lock();
    match output {
        ListOutput::Text => write!(out, "{}", text::plans(&plans))?,
        ListOutput::Json => {
            let document = Document {
                version: DOCUMENT,
                objects: &plans,
                summary,
            };
            serde_json::to_writer_pretty(&mut out, &document)?;
            writeln!(out)?;
        }
    }
    Ok(done)
}

/// A line that the next one replaces, for whoever waits at a terminal.
pub(crate) fn waiting(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K{text}");
    }
}

/// The objects of the plans, and the profiles that are to be applied with them.
fn selection(args: &PlanArgs) -> anyhow::Result<Chosen> {
    if let Some(namespace) = &args.of_namespace
        && args.file.is_empty()
    {
        return Ok((Selection::Namespace(namespace.clone()), Vec::new()));
    }
    if args.all {
        return Ok((Selection::All, Vec::new()));
    }
    of_files(&args.file, args.of_namespace.as_deref())
}

/// The ExposedAPIs of some files; those that name no namespace are in this one,
/// else in `default`.
pub(crate) fn of_files(files: &[PathBuf], namespace: Option<&str>) -> anyhow::Result<Chosen> {
    let mut objects = Vec::new();
    let mut profiles = Vec::new();
    for path in files {
        for document in manifest::read(path)? {
            let read = profile::read(&document, namespace);
            if let Some(read) = read.map_err(|why| anyhow::anyhow!("{}: {why}", document.place))? {
                profiles.push(read);
                continue;
            }
            if let Err(why) = manifest::is_exposed_api(&document.object) {
                eprintln!("{}: skipped: {why}", document.place);
                continue;
            }
            let mut object: DynamicObject = serde_json::from_value(document.object)
                .with_context(|| format!("{}: not an object", document.place))?;
            if object.metadata.namespace.is_none() {
                object.metadata.namespace = Some(namespace.unwrap_or("default").to_owned());
            }
            objects.push(object);
        }
    }
    if objects.is_empty() && profiles.is_empty() {
        bail!("there is no ExposedAPI in what was given");
    }
    Ok((Selection::Objects(objects), profiles))
}
