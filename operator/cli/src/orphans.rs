//! `apim-operator orphans`.

use std::io::Write as _;

use anyhow::bail;
use operator_controller::orphans::{Orphan, Orphans, What};
use serde_json::json;

use crate::args::{ListOutput, OrphansArgs};
use crate::plan::waiting;
use crate::{Done, cluster};

/// Lists what this cluster left in API Management, and deletes what is named.
pub(crate) fn orphans(args: &OrphansArgs) -> anyhow::Result<Done> {
    cluster::block_on(async {
        let (client, server) = cluster::client().await?;
        let settings = cluster::look(&args.look)?;
        let found = Orphans::find(client, settings, args.instance.as_deref(), waiting).await;
        waiting("");
        let found = found.map_err(|error| cluster::told(error, &server))?;
        for trouble in found.troubles() {
            eprintln!("apim-operator: {trouble}");
        }
        if args.delete.is_empty() {
            print(args.output, found.list())?;
            return Ok(match (found.troubles().is_empty(), found.list()) {
                (false, _) => Done::Problems,
                (true, []) => Done::Fine,
                (true, [..]) => Done::Changes,
            });
        }
        let mut fine = true;
        for id in &args.delete {
            let named: Vec<&Orphan> = found.list().iter().filter(|o| o.id() == *id).collect();
            if named.is_empty() {
                let known: Vec<String> = found.list().iter().map(Orphan::id).collect();
                bail!(
                    "`{id}` is no orphan of this cluster; nothing was deleted for it (orphans: {})",
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    }
                );
            }
            for orphan in named {
                match found.delete(orphan).await {
                    Ok(()) => println!("deleted {id} in instance {}", orphan.instance),
                    Err(why) => {
                        fine = false;
                        eprintln!("apim-operator: {id} in instance {}: {why}", orphan.instance);
                    }
                }
            }
        }
        Ok(if fine { Done::Fine } else { Done::Problems })
    })
}

/// The path of an API; a backend has none.
fn path_of(orphan: &Orphan) -> String {
    match &orphan.what {
        What::Api { path, .. } => format!("/{path}"),
        What::Backend { .. } => "-".to_owned(),
    }
}

fn print(output: ListOutput, orphans: &[Orphan]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        ListOutput::Json => {
            serde_json::to_writer_pretty(&mut out, &json!({"version": 1, "orphans": orphans}))?;
            writeln!(out)?;
        }
        ListOutput::Text if orphans.is_empty() => writeln!(out, "no orphans")?,
        ListOutput::Text => {
            let width = |of: &dyn Fn(&Orphan) -> usize, least: usize| {
                orphans.iter().map(of).max().unwrap_or_default().max(least)
            };
            let instance = width(&|o| o.instance.len(), "INSTANCE".len());
            let id = width(&|o| o.id().len(), "ID".len());
            let path = width(&|o| path_of(o).len(), "PATH".len());
            writeln!(
                out,
                "{:instance$}  {:id$}  {:path$}  MADE FOR",
                "INSTANCE", "ID", "PATH"
            )?;
            for orphan in orphans {
                writeln!(
                    out,
                    "{:instance$}  {:id$}  {:path$}  {}{}",
                    orphan.instance,
                    orphan.id(),
                    path_of(orphan),
                    orphan.owner,
                    orphan
                        .published_as()
                        .map_or_else(String::new, |there| format!(
                            " (which is published as {there})"
                        )),
                )?;
            }
        }
    }
    Ok(())
}
