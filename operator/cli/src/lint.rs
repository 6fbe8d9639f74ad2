//! `apim-operator lint`.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use operator_core::openapi::{self, Lint, Severity};
use serde_json::json;

use crate::Done;
use crate::args::{LintArgs, ListOutput};
use crate::manifest::{self, is_stdin};

/// What was found in one file.
struct Looked {
    name: String,
    found: Vec<Lint>,
}

/// Looks through documents, and mends them if that was asked for.
pub(crate) fn lint(args: &LintArgs) -> anyhow::Result<Done> {
    let from_stdin = args.file.iter().any(|path| is_stdin(path));
    if args.fix && from_stdin && args.output == ListOutput::Json {
        bail!("with --fix, stdout is for the mended document: leave out `-o json`");
    }
    let mut looked = Vec::new();
    for path in &args.file {
        let (name, mut text) = manifest::source(path)?;
        if args.fix {
            let fixed = openapi::fix(&text);
            if let Some(fixed) = &fixed {
                eprintln!("{name}: mended {}", places(fixed.count));
                if !is_stdin(path) {
                    replace(path, &fixed.text).with_context(|| name.clone())?;
                }
                text.clone_from(&fixed.text);
            }
            if is_stdin(path) {
                std::io::stdout().lock().write_all(text.as_bytes())?;
            }
        }
        let found = openapi::lint(&text);
        looked.push(Looked { name, found });
    }
    let mended = args.fix && from_stdin;
    match args.output {
        ListOutput::Json => json(&looked)?,
        ListOutput::Text => {
            let said = text(&looked);
            if mended {
                eprint!("{said}");
            } else {
                write!(std::io::stdout().lock(), "{said}")?;
            }
        }
    }
    let worst = looked
        .iter()
        .flat_map(|one| &one.found)
        .map(|lint| lint.rule.severity())
        .min();
    Ok(match worst {
        Some(Severity::Error) => Done::Problems,
        Some(Severity::Warning) if args.strict => Done::Problems,
        Some(Severity::Warning) | None => Done::Fine,
    })
}

/// Puts a text in a file's place, whole or not at all.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // What a link names is replaced, not the link.
    let path = path.canonicalize()?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(path.metadata()?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

fn text(looked: &[Looked]) -> String {
    let all = || looked.iter().flat_map(|one| &one.found);
    let count = |of| all().filter(|lint| lint.rule.severity() == of).count();
    let lines = looked.iter().flat_map(|one| {
        one.found.iter().map(|lint| {
            let at = match lint.pointer.as_str() {
                "" => String::new(),
                pointer => format!("{pointer}: "),
            };
            let (name, place, severity) = (&one.name, lint.place, lint.rule.severity());
            format!(
                "{name}:{}:{}: {severity}[{}]: {at}{}\n",
                place.line, place.column, lint.rule, lint.message
            )
        })
    });
    let files = counted(looked.len(), "document");
    let sum = match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "nothing to be told of".to_owned(),
        (errors, warnings) => {
            let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
            let mended = match all().filter(|lint| lint.fixable).count() {
                0 => String::new(),
                fixable => format!("; --fix mends {fixable}"),
            };
            format!("{errors}, {warnings}{mended}")
        }
    };
    lines.chain([format!("{files}: {sum}\n")]).collect()
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

fn places(count: usize) -> String {
    counted(count, "place")
}

fn json(looked: &[Looked]) -> anyhow::Result<()> {
    let list: Vec<_> = looked
        .iter()
        .map(|one| {
            let findings = one.found.iter().map(|lint| {
                json!({
                    "rule": lint.rule.as_str(),
                    "severity": lint.rule.severity().to_string(),
                    "line": lint.place.line,
                    "column": lint.place.column,
                    "pointer": lint.pointer,
                    "message": lint.message,
                    "fixable": lint.fixable,
                })
            });
            json!({"file": one.name, "findings": findings.collect::<Vec<_>>()})
        })
        .collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
    Ok(())
}
