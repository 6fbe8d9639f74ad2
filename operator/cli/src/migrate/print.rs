//! What `migrate` prints: a table and numbered steps for people, one document
//! for programs.

use std::io::Write as _;

use operator_core::migrate::Verdict;
use serde_json::{Value, json};

use super::Outcome;

/// What there is to say.
pub(super) struct Report<'a> {
    pub(super) applied: bool,
    pub(super) still_running: Option<&'a str>,
    pub(super) outcomes: &'a [Outcome],
}

fn state(report: &Report<'_>, outcome: &Outcome) -> &'static str {
    match &outcome.verdict {
        Verdict::Foreign => "foreign",
        Verdict::Done => "taken over",
        Verdict::Blocked(_) => "left alone",
        Verdict::Steps(_) if outcome.failed.is_some() => "failed",
        Verdict::Steps(_) if report.applied => "taken over",
        Verdict::Steps(_) => "to be taken over",
    }
}

/// Prints for people.
pub(super) fn text(report: &Report<'_>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if report.outcomes.is_empty() {
        writeln!(out, "Nothing of the original operator was found.")?;
    } else {
        table(&mut out, report)?;
    }
    for outcome in report.outcomes {
        if outcome.steps().is_empty() && outcome.reason().is_none() {
            continue;
        }
        writeln!(out, "\n{}", outcome.key)?;
        for (index, step) in outcome.steps().iter().enumerate() {
            let done = if index < outcome.done { " (done)" } else { "" };
            writeln!(out, "  {}. {}{done}", index + 1, step.describe())?;
        }
        if let Some(reason) = outcome.reason() {
            writeln!(out, "  {}: {reason}", state(report, outcome))?;
        }
    }
    if report
        .outcomes
        .iter()
        .any(|outcome| !outcome.steps().is_empty())
    {
        writeln!(
            out,
            "\nThe operator then brings each API to its desired state in place: its own policy, and the document once."
        )?;
        if !report.applied {
            writeln!(out, "Nothing was written. To carry this out, add --apply.")?;
        }
    }
    if let Some(running) = report.still_running {
        writeln!(
            out,
            "The original operator still runs ({running}): scale it to 0 before --apply."
        )?;
    }
    out.flush()
}

fn table(out: &mut impl std::io::Write, report: &Report<'_>) -> std::io::Result<()> {
    let head = ["NAMESPACE", "NAME", "INSTANCE", "API", "STATE"].map(str::to_owned);
    let none = || "-".to_owned();
    let rows: Vec<[String; 5]> = std::iter::once(head)
        .chain(report.outcomes.iter().map(|outcome| {
            [
                outcome.key.namespace.to_string(),
                outcome.key.name.to_string(),
                outcome.instance.clone().unwrap_or_else(none),
                outcome.api_id.clone().unwrap_or_else(none),
                state(report, outcome).to_owned(),
            ]
        }))
        .collect();
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    for [namespace, name, instance, api, state] in &rows {
        writeln!(
            out,
            "{namespace:a$}  {name:b$}  {instance:c$}  {api:d$}  {state}",
            a = widths[0],
            b = widths[1],
            c = widths[2],
            d = widths[3],
        )?;
    }
    Ok(())
}

/// Prints for programs.
pub(super) fn json(report: &Report<'_>) -> anyhow::Result<()> {
    let objects = report.outcomes.iter().map(|outcome| {
        let steps: Vec<Value> = outcome
            .steps()
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let mut value = serde_json::to_value(step).unwrap_or_default();
                value["number"] = (index + 1).into();
                value["description"] = step.describe().into();
                value["done"] = (index < outcome.done).into();
                value
            })
            .collect();
        json!({
            "namespace": outcome.key.namespace,
            "name": outcome.key.name,
            "instance": outcome.instance,
            "apiId": outcome.api_id,
            "state": state(report, outcome),
            "reason": outcome.reason(),
            "steps": steps,
        })
    });
    let document = json!({
        "applied": report.applied,
        "originalOperator": report.still_running,
        "objects": objects.collect::<Vec<_>>(),
    });
    println!("{}", serde_json::to_string_pretty(&document)?);
    Ok(())
}
