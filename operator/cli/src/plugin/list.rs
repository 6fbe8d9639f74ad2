//! `plugin list`.

use std::io::Write as _;

use operator_core::chain::{Listing, PluginInfo};
use serde_json::{Value, json};

use super::{load, word};
use crate::Done;
use crate::args::{ListOutput, PluginSources};

/// Prints the plugins there are.
pub(crate) fn list(sources: &PluginSources, output: ListOutput) -> anyhow::Result<Done> {
    let (plugins, complete) = load(sources)?;
    let catalog = plugins.catalog();
    let ready = || {
        catalog.iter().filter_map(|(_, listing)| match listing {
            Listing::Ready(info) => Some(info),
            Listing::Loading | Listing::Failed(_) => None,
        })
    };
    let mut out = std::io::stdout().lock();
    match output {
        ListOutput::Json => {
            let list: Vec<Value> = ready().map(|info| summary(info)).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
        }
        ListOutput::Text => {
            let rows: Vec<[String; 4]> = ready()
                .map(|info| {
                    let descriptor = &info.descriptor;
                    [
                        info.name.to_string(),
                        descriptor.version.clone(),
                        word(&descriptor.phase),
                        descriptor
                            .spec_block
                            .as_ref()
                            .map_or_else(|| "-".to_owned(), |block| format!("spec.{block}")),
                    ]
                })
                .collect();
            let heads = ["NAME", "VERSION", "PHASE", "READS"];
            let width = |i: usize| {
                rows.iter()
                    .map(|row| row[i].len())
                    .chain([heads[i].len()])
                    .max()
                    .unwrap_or_default()
            };
            let widths: Vec<usize> = (0..4).map(width).collect();
            let line = |cells: [&str; 4], last: &str| {
                let cells: Vec<String> = cells
                    .iter()
                    .zip(&widths)
                    .map(|(cell, width)| format!("{cell:width$}"))
                    .collect();
                format!("{}  {last}", cells.join("  "))
            };
            writeln!(out, "{}", line(heads, "SUMMARY"))?;
            for (row, info) in rows.iter().zip(ready()) {
                let cells = [row[0].as_str(), &row[1], &row[2], &row[3]];
                writeln!(out, "{}", line(cells, &info.descriptor.summary))?;
            }
        }
    }
    Ok(if complete { Done::Fine } else { Done::Problems })
}

fn summary(info: &PluginInfo) -> Value {
    let descriptor = &info.descriptor;
    json!({
        "name": descriptor.name,
        "version": descriptor.version,
        "summary": descriptor.summary,
        "phase": descriptor.phase,
        "sections": descriptor.sections,
        "specBlock": descriptor.spec_block,
        "digest": info.digest,
    })
}
