//! `Regex` and what a match gives.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use fancy_regex::{Regex, RegexBuilder};
use parking_lot::Mutex;

use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{Call, Machine, sequence};
use crate::types::Type;
use crate::value::{Match, Object, Value};

/// Steps back that a pattern may take.
const MAX_BACKTRACKS: usize = 100_000;

pub(super) const TABLES: &[Table] = &[
    REGEX,
    Table {
        name: "RegexOptions",
        namespace: "System.Text.RegularExpressions",
        kind: TableKind::Enumeration,
        values: &[
            "None",
            "IgnoreCase",
            "Multiline",
            "Singleline",
            "Compiled",
            "CultureInvariant",
        ],
        ..Table::CLASS
    },
    Table {
        name: "Capture",
        namespace: "System.Text.RegularExpressions",
        members: &[
            Member("string Value", |m, a| {
                let text = a.value(0).to_string();
                m.text(text)
            }),
            Member("int Index", |_, a| {
                let (found, group) = which(a)?;
                let start = found
                    .groups
                    .get(group)
                    .copied()
                    .flatten()
                    .map_or(0, |(start, _)| start);
                Ok(Value::int(super::strings::length(&found.text[..start])))
            }),
            Member("int Length", |_, a| {
                Ok(Value::int(super::strings::length(&a.value(0).to_string())))
            }),
        ],
        ..Table::CLASS
    },
    Table {
        name: "Group",
        namespace: "System.Text.RegularExpressions",
        bases: &["Capture"],
        members: &[Member("bool Success", |_, a| {
            let (found, group) = which(a)?;
            Ok(found.group(group).is_some().into())
        })],
        ..Table::CLASS
    },
    Table {
        name: "Match",
        namespace: "System.Text.RegularExpressions",
        bases: &["Group"],
        members: &[
            Member("GroupCollection Groups", |_, a| {
                let (found, _) = which(a)?;
                Ok(Value::object(Object::Groups(found)))
            }),
            Member("static Match Empty", |_, _| Ok(no_match("".into(), None))),
        ],
        ..Table::CLASS
    },
    Table {
        name: "GroupCollection",
        namespace: "System.Text.RegularExpressions",
        members: &[
            Member("int Count", |_, a| {
                let (found, _) = which(a)?;
                Ok(Value::int(
                    i32::try_from(found.groups.len().max(1)).unwrap_or(i32::MAX),
                ))
            }),
            Member("Group this[int index]", |_, a| {
                let (found, _) = which(a)?;
                // A number that is no group's is a group that failed.
                let index = usize::try_from(a.int(1)?).unwrap_or(usize::MAX);
                Ok(Value::object(Object::GroupOf(found, index)))
            }),
            Member("Group this[string name]", |_, a| {
                let (found, _) = which(a)?;
                let name = a.text(1)?;
                let index = found.regex.as_ref().and_then(|regex| {
                    regex
                        .capture_names()
                        .position(|known| known == Some(&*name))
                });
                let index = index.or_else(|| name.parse().ok()).unwrap_or(usize::MAX);
                Ok(Value::object(Object::GroupOf(found, index)))
            }),
        ],
        ..Table::CLASS
    },
];

const REGEX: Table = Table {
    name: "Regex",
    namespace: "System.Text.RegularExpressions",
    members: &[
        Member("new(string pattern)", |_, a| {
            Ok(Value::object(Object::Regex(compiled(&a.text(0)?, "")?)))
        }),
        Member("new(string pattern, RegexOptions options)", |_, a| {
            Ok(Value::object(Object::Regex(compiled(
                &a.text(0)?,
                a.member(1),
            )?)))
        }),
        Member(
            "static bool IsMatch(string input, string pattern)",
            |m, a| is_match(m, a, 0, &of(a, 1, 2)?),
        ),
        Member(
            "static bool IsMatch(string input, string pattern, RegexOptions options)",
            |m, a| is_match(m, a, 0, &of(a, 1, 2)?),
        ),
        Member("bool IsMatch(string input)", |m, a| {
            is_match(m, a, 1, &this(a)?)
        }),
        Member(
            "static Match Match(string input, string pattern)",
            |m, a| find(m, a, 0, &of(a, 1, 2)?),
        ),
        Member(
            "static Match Match(string input, string pattern, RegexOptions options)",
            |m, a| find(m, a, 0, &of(a, 1, 2)?),
        ),
        Member("Match Match(string input)", |m, a| find(m, a, 1, &this(a)?)),
        Member(
            "static IEnumerable<Match> Matches(string input, string pattern)",
            |m, a| find_all(m, a, 0, &of(a, 1, 2)?),
        ),
        Member(
            "static IEnumerable<Match> Matches(string input, string pattern, RegexOptions options)",
            |m, a| find_all(m, a, 0, &of(a, 1, 2)?),
        ),
        Member("IEnumerable<Match> Matches(string input)", |m, a| {
            find_all(m, a, 1, &this(a)?)
        }),
        Member(
            "static string Replace(string input, string pattern, string with)",
            |m, a| replace(m, a, 0, &of(a, 1, 3)?, 2),
        ),
        Member(
            "static string Replace(string input, string pattern, string with, RegexOptions options)",
            |m, a| replace(m, a, 0, &of(a, 1, 3)?, 2),
        ),
        Member("string Replace(string input, string with)", |m, a| {
            replace(m, a, 1, &this(a)?, 2)
        }),
        Member(
            "static string[] Split(string input, string pattern)",
            |m, a| split(m, a, 0, &of(a, 1, 2)?),
        ),
        Member("string[] Split(string input)", |m, a| {
            split(m, a, 1, &this(a)?)
        }),
        Member("static string Escape(string text)", |m, a| {
            let mut out = String::new();
            for c in a.text(0)?.chars() {
                match c {
                    '\t' => out.push_str("\\t"),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\\' | '*' | '+' | '?' | '|' | '{' | '[' | '(' | ')' | '^' | '$' | '.'
                    | '#' | ' ' => {
                        out.push('\\');
                        out.push(c);
                    }
                    other => out.push(other),
                }
            }
            m.text(out)
        }),
    ],
    ..Table::CLASS
};

/// Patterns with their options, compiled.
type Patterns = HashMap<(String, String), Arc<Regex>>;

/// A pattern, compiled; the patterns of documents are few, and come again with
/// each request.
fn compiled(pattern: &str, options: &str) -> Result<Arc<Regex>, Fault> {
    static KNOWN: LazyLock<Mutex<Patterns>> = LazyLock::new(Mutex::default);
    let name = (pattern.to_owned(), options.to_owned());
    if let Some(known) = KNOWN.lock().get(&name) {
        return Ok(known.clone());
    }
    if pattern.len() > 10_000 {
        return Err(Fault::limit("The regular expression is too long"));
    }
    let regex = RegexBuilder::new(&translated(pattern, options))
        .case_insensitive(options == "IgnoreCase")
        .multi_line(options == "Multiline")
        .dot_matches_new_line(options == "Singleline")
        .backtrack_limit(MAX_BACKTRACKS)
        .delegate_size_limit(1 << 20)
        .build()
        .map_err(|error| {
            Fault::argument(format!(
                "Invalid pattern '{pattern}', or it is not known here: {error}"
            ))
        })?;
    let regex = Arc::new(regex);
    let mut known = KNOWN.lock();
    if known.len() >= 256 {
        known.clear();
    }
    known.insert(name, regex.clone());
    Ok(regex)
}

/// In .NET `$` also matches before a line feed that ends the text.
fn translated(pattern: &str, options: &str) -> String {
    if options == "Multiline" {
        return pattern.to_owned();
    }
    let mut out = String::new();
    let mut in_class = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '$' if !in_class => {
                out.push_str("(?=\\n?\\z)");
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    // Where no `$` stands, the plain engine is faster without looking ahead.
    out
}

fn of(call: &Call<'_>, pattern: usize, options: usize) -> Result<Arc<Regex>, Fault> {
    compiled(&call.text(pattern)?, call.member(options))
}

fn this(call: &Call<'_>) -> Result<Arc<Regex>, Fault> {
    match &*call.object(0)? {
        Object::Regex(regex) => Ok(regex.clone()),
        _ => Err(Fault::null()),
    }
}

fn failed(error: &fancy_regex::Error) -> Fault {
    Fault::new(
        "RegexMatchTimeoutException",
        format!("The regular expression took too long: {error}"),
    )
}

fn is_match(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    input: usize,
    regex: &Arc<Regex>,
) -> Result<Value, Fault> {
    let text = call.text(input)?;
    machine.charge(text.len() / 4 + 8)?;
    regex
        .is_match(&*text)
        .map(Value::from)
        .map_err(|error| failed(&error))
}

fn no_match(text: Arc<str>, regex: Option<Arc<Regex>>) -> Value {
    Value::object(Object::Match(Arc::new(Match {
        text,
        regex,
        groups: Vec::new(),
    })))
}

fn matched(
    text: &Arc<str>,
    regex: &Arc<Regex>,
    captures: &fancy_regex::Captures<'_, str>,
) -> Value {
    let groups = captures
        .iter()
        .map(|group| group.map(|group| (group.start(), group.end())))
        .collect();
    Value::object(Object::Match(Arc::new(Match {
        text: text.clone(),
        regex: Some(regex.clone()),
        groups,
    })))
}

fn find(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    input: usize,
    regex: &Arc<Regex>,
) -> Result<Value, Fault> {
    let text = call.text(input)?;
    machine.charge(text.len() / 4 + 8)?;
    match regex.captures(&*text).map_err(|error| failed(&error))? {
        Some(captures) => Ok(matched(&text, regex, &captures)),
        None => Ok(no_match(text.clone(), Some(regex.clone()))),
    }
}

fn find_all(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    input: usize,
    regex: &Arc<Regex>,
) -> Result<Value, Fault> {
    let text = call.text(input)?;
    machine.charge(text.len() / 4 + 8)?;
    let mut all = Vec::new();
    for captures in regex.captures_iter(&*text) {
        let captures = captures.map_err(|error| failed(&error))?;
        machine.allocate(96)?;
        all.push(matched(&text, regex, &captures));
    }
    Ok(sequence::array(Type::named("Match"), all))
}

fn replace(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    input: usize,
    regex: &Arc<Regex>,
    with: usize,
) -> Result<Value, Fault> {
    let text = call.text(input)?;
    let with = call.text(with)?;
    machine.charge(text.len() / 4 + 8)?;
    let mut out = String::new();
    let mut last = 0;
    for captures in regex.captures_iter(&*text) {
        let captures = captures.map_err(|error| failed(&error))?;
        let Some(whole) = captures.get(0) else {
            continue;
        };
        let before = out.len();
        out.push_str(&text[last..whole.start()]);
        expand(&with, &captures, &mut out);
        machine.allocate(out.len() - before)?;
        last = whole.end();
    }
    out.push_str(&text[last..]);
    machine.text(out)
}

/// `$1`, `${name}`, `$&` and `$$` in what replaces.
fn expand(with: &str, captures: &fancy_regex::Captures<'_, str>, out: &mut String) {
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            out.push('$');
            rest = behind;
            continue;
        }
        if let Some(behind) = rest.strip_prefix('&') {
            out.push_str(captures.get(0).map_or("", |group| group.as_str()));
            rest = behind;
            continue;
        }
        let braced = rest
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (name, behind) = match braced {
            Some((name, behind)) => (name, behind),
            None => rest.split_at(digits),
        };
        let group = match name.parse::<usize>() {
            Ok(index) if index < captures.len() => Some(captures.get(index)),
            Ok(_) => None,
            Err(_) => captures.name(name).map(Some),
        };
        match group {
            Some(group) => {
                out.push_str(group.map_or("", |group| group.as_str()));
                rest = behind;
            }
            None => out.push('$'),
        }
    }
    out.push_str(rest);
}

fn split(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    input: usize,
    regex: &Arc<Regex>,
) -> Result<Value, Fault> {
    let text = call.text(input)?;
    machine.charge(text.len() / 4 + 8)?;
    let mut parts = Vec::new();
    let mut last = 0;
    for captures in regex.captures_iter(&*text) {
        let captures = captures.map_err(|error| failed(&error))?;
        machine.allocate(48)?;
        if let Some(whole) = captures.get(0) {
            parts.push(text[last..whole.start()].to_owned());
            parts.extend(
                captures
                    .iter()
                    .skip(1)
                    .flatten()
                    .map(|group| group.as_str().to_owned()),
            );
            last = whole.end();
        }
    }
    machine.allocate(text.len())?;
    parts.push(text[last..].to_owned());
    Ok(sequence::strings(parts))
}

fn which(call: &Call<'_>) -> Result<(Arc<Match>, usize), Fault> {
    match &*call.object(0)? {
        Object::Match(found) | Object::Groups(found) => Ok((found.clone(), 0)),
        Object::GroupOf(found, index) => Ok((found.clone(), *index)),
        _ => Err(Fault::null()),
    }
}
