//! The part of `JSONPath` that documents use with `SelectToken`: names, indexes,
//! `*` and `..`.

use crate::error::Fault;
use crate::evaluate::Machine;
use crate::value::{Content, Token};

enum Step {
    Name(String),
    Index(usize),
    Any,
    /// Everything below, at every depth.
    Deep,
}

/// What a path selects.
pub(super) fn select(
    machine: &mut Machine<'_>,
    root: &Token,
    path: &str,
) -> Result<Vec<Token>, Fault> {
    let mut found = vec![root.clone()];
    for step in steps(path)? {
        let mut next = Vec::new();
        for token in found {
            machine.charge(1)?;
            apply(machine, &token, &step, &mut next)?;
        }
        found = next;
    }
    Ok(found)
}

fn apply(
    machine: &mut Machine<'_>,
    token: &Token,
    step: &Step,
    out: &mut Vec<Token>,
) -> Result<(), Fault> {
    machine.allocate(16)?;
    match (step, token.content()) {
        (Step::Name(name), Content::Object(entries)) => {
            out.extend(entries.get(name.as_str()).cloned());
        }
        (Step::Index(index), Content::Array(items)) => out.extend(items.get(*index).cloned()),
        (Step::Any, Content::Object(entries)) => out.extend(entries.into_values()),
        (Step::Any, Content::Array(items)) => out.extend(items),
        (Step::Deep, content) => {
            out.push(token.clone());
            let children: Vec<Token> = match content {
                Content::Object(entries) => entries.into_values().collect(),
                Content::Array(items) => items,
                _ => Vec::new(),
            };
            for child in children {
                apply(machine, &child, &Step::Deep, out)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn steps(path: &str) -> Result<Vec<Step>, Fault> {
    let unknown = || {
        Fault::new(
            "NotSupportedException",
            format!("The JSONPath '{path}' is not known here: names, indexes, '*' and '..' are."),
        )
    };
    let mut steps = Vec::new();
    let mut rest = path.trim();
    rest = rest.strip_prefix('$').unwrap_or(rest);
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix("..") {
            steps.push(Step::Deep);
            rest = behind;
            if rest.is_empty() {
                return Err(unknown());
            }
        } else if let Some(behind) = rest.strip_prefix('.') {
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix('[') {
            let inner = behind.trim_start();
            let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
            if let Some(quote) = quote {
                let (name, behind) = inner[1..].split_once(quote).ok_or_else(unknown)?;
                if name.contains('\\') {
                    return Err(unknown());
                }
                steps.push(Step::Name(name.to_owned()));
                rest = behind.trim_start().strip_prefix(']').ok_or_else(unknown)?;
            } else {
                let (inside, behind) = behind.split_once(']').ok_or_else(unknown)?;
                steps.push(match inside.trim() {
                    "*" => Step::Any,
                    index => Step::Index(index.parse().map_err(|_| unknown())?),
                });
                rest = behind;
            }
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        match name {
            "" if rest.starts_with('[') => {}
            "" => return Err(unknown()),
            "*" => steps.push(Step::Any),
            name if name
                .chars()
                .any(|c| matches!(c, '?' | '(' | ')' | '@' | '\'' | '"' | ' ')) =>
            {
                return Err(unknown());
            }
            name => steps.push(Step::Name(name.to_owned())),
        }
    }
    Ok(steps)
}
