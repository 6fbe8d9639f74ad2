//! `string`. Positions count units of UTF-16, as in .NET.

use std::cmp::Ordering;
use std::sync::Arc;

use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{Call, Machine, sequence, string_format};
use crate::value::Value;

pub(super) const TABLES: &[Table] = &[
    STRING,
    Table {
        name: "StringComparison",
        namespace: "System",
        kind: TableKind::Enumeration,
        values: &[
            "CurrentCulture",
            "CurrentCultureIgnoreCase",
            "InvariantCulture",
            "InvariantCultureIgnoreCase",
            "Ordinal",
            "OrdinalIgnoreCase",
        ],
        ..Table::CLASS
    },
    Table {
        name: "StringSplitOptions",
        namespace: "System",
        kind: TableKind::Enumeration,
        values: &["None", "RemoveEmptyEntries"],
        ..Table::CLASS
    },
];

const STRING: Table = Table {
    name: "string",
    namespace: "System",
    bases: &["IEnumerable<char>"],
    members: &[
        Member("int Length", |_, a| Ok(length(&a.text(0)?).into())),
        Member("char this[int index]", |_, a| {
            let text = a.text(0)?;
            let index = usize::try_from(a.int(1)?).ok();
            let unit = index.and_then(|index| {
                if text.is_ascii() {
                    text.as_bytes().get(index).map(|byte| u16::from(*byte))
                } else {
                    text.encode_utf16().nth(index)
                }
            });
            unit.map(Value::Char).ok_or_else(|| {
                Fault::new(
                    "IndexOutOfRangeException",
                    "Index was outside the bounds of the array.",
                )
            })
        }),
        Member("static string Empty", |_, _| Ok("".into())),
        Member("string ToString()", |_, a| Ok(a.value(0))),
        Member("string Substring(int start)", |m, a| {
            let text = a.text(0)?;
            let start = a.count(1, "startIndex")?;
            let count = length_of(&text)
                .checked_sub(start)
                .ok_or_else(|| Fault::out_of_range("startIndex"))?;
            let part = part(&text, start, count)?;
            m.text(part)
        }),
        Member("string Substring(int start, int length)", |m, a| {
            let part = part(
                &a.text(0)?,
                a.count(1, "startIndex")?,
                a.count(2, "length")?,
            )?;
            m.text(part)
        }),
        Member("string Remove(int start)", |m, a| {
            let part = part(&a.text(0)?, 0, a.count(1, "startIndex")?)?;
            m.text(part)
        }),
        Member("string Remove(int start, int count)", |m, a| {
            let text = a.text(0)?;
            let (start, count) = (a.count(1, "startIndex")?, a.count(2, "count")?);
            let rest = length_of(&text)
                .checked_sub(start + count)
                .ok_or_else(|| Fault::out_of_range("count"))?;
            let joined = part(&text, 0, start)? + &part(&text, start + count, rest)?;
            m.text(joined)
        }),
        Member("string Insert(int start, string value)", |m, a| {
            let text = a.text(0)?;
            let start = a.count(1, "startIndex")?;
            let rest = length_of(&text)
                .checked_sub(start)
                .ok_or_else(|| Fault::out_of_range("startIndex"))?;
            let joined = part(&text, 0, start)? + &a.text(2)? + &part(&text, start, rest)?;
            m.text(joined)
        }),
        Member("bool Contains(string value)", |m, a| {
            let text = a.text(0)?;
            m.charge(text.len() / 16)?;
            Ok(text.contains(&*a.text(1)?).into())
        }),
        Member(
            "bool Contains(string value, StringComparison comparison)",
            |m, a| {
                let (text, value) = (fold(m, a, 0, 2)?, fold(m, a, 1, 2)?);
                Ok(text.contains(&*value).into())
            },
        ),
        Member("bool Contains(char value)", |_, a| {
            let unit = a.unit(1)?;
            Ok(a.text(0)?.encode_utf16().any(|one| one == unit).into())
        }),
        Member("bool StartsWith(string value)", |_, a| {
            Ok(a.text(0)?.starts_with(&*a.text(1)?).into())
        }),
        Member(
            "bool StartsWith(string value, StringComparison comparison)",
            |m, a| {
                let (text, value) = (fold(m, a, 0, 2)?, fold(m, a, 1, 2)?);
                Ok(text.starts_with(&*value).into())
            },
        ),
        Member("bool EndsWith(string value)", |_, a| {
            Ok(a.text(0)?.ends_with(&*a.text(1)?).into())
        }),
        Member(
            "bool EndsWith(string value, StringComparison comparison)",
            |m, a| {
                let (text, value) = (fold(m, a, 0, 2)?, fold(m, a, 1, 2)?);
                Ok(text.ends_with(&*value).into())
            },
        ),
        Member("int IndexOf(string value)", |m, a| {
            let text = a.text(0)?;
            m.charge(text.len() / 16)?;
            Ok(position(&text, text.find(&*a.text(1)?)))
        }),
        Member("int IndexOf(string value, int start)", |_, a| {
            let text = a.text(0)?;
            let start = byte_of(&text, a.count(2, "startIndex")?)?;
            let at = text[start..].find(&*a.text(1)?).map(|at| at + start);
            Ok(position(&text, at))
        }),
        Member(
            "int IndexOf(string value, StringComparison comparison)",
            |m, a| {
                let (text, value) = (fold(m, a, 0, 2)?, fold(m, a, 1, 2)?);
                Ok(position(&text, text.find(&*value)))
            },
        ),
        Member("int IndexOf(char value)", |_, a| {
            let unit = a.unit(1)?;
            let at = a.text(0)?.encode_utf16().position(|one| one == unit);
            Ok(Value::int(
                at.and_then(|at| i32::try_from(at).ok()).unwrap_or(-1),
            ))
        }),
        Member("int IndexOf(char value, int start)", |_, a| {
            let unit = a.unit(1)?;
            let text = a.text(0)?;
            let start = a.count(2, "startIndex")?;
            if start > length_of(&text) {
                return Err(Fault::out_of_range("startIndex"));
            }
            let at = text.encode_utf16().skip(start).position(|one| one == unit);
            Ok(Value::int(
                at.and_then(|at| i32::try_from(at + start).ok())
                    .unwrap_or(-1),
            ))
        }),
        Member("int LastIndexOf(string value)", |_, a| {
            let text = a.text(0)?;
            Ok(position(&text, text.rfind(&*a.text(1)?)))
        }),
        Member("int LastIndexOf(char value)", |_, a| {
            let text = a.text(0)?;
            let unit = a.value(1).to_string();
            Ok(position(&text, text.rfind(&unit)))
        }),
        Member("string Replace(string old, string with)", |m, a| {
            let (text, old) = (a.text(0)?, a.text(1)?);
            if old.is_empty() {
                return Err(Fault::argument(
                    "String cannot be of zero length. (Parameter 'oldValue')",
                ));
            }
            replaced(m, &text, &old, &a.text_or_empty(2))
        }),
        Member("string Replace(char old, char with)", |m, a| {
            let (text, old, with) = (a.text(0)?, a.value(1).to_string(), a.value(2).to_string());
            replaced(m, &text, &old, &with)
        }),
        Member("string[] Split(params char[] separators)", |m, a| {
            let separators = separators(&a.value(1));
            split(m, &a.text(0)?, &separators, None, false)
        }),
        Member(
            "string[] Split(char separator, StringSplitOptions options)",
            |m, a| {
                let separators = vec![a.value(1).to_string()];
                let empty = a.member(2) == "RemoveEmptyEntries";
                split(m, &a.text(0)?, &separators, None, empty)
            },
        ),
        Member(
            "string[] Split(char[] separators, StringSplitOptions options)",
            |m, a| {
                let separators = separators(&a.value(1));
                let empty = a.member(2) == "RemoveEmptyEntries";
                split(m, &a.text(0)?, &separators, None, empty)
            },
        ),
        Member("string[] Split(char[] separators, int count)", |m, a| {
            let separators = separators(&a.value(1));
            let count = a.count(2, "count")?;
            split(m, &a.text(0)?, &separators, Some(count), false)
        }),
        Member("string[] Split(char separator, int count)", |m, a| {
            let separators = vec![a.value(1).to_string()];
            let count = a.count(2, "count")?;
            split(m, &a.text(0)?, &separators, Some(count), false)
        }),
        Member(
            "string[] Split(string separator, StringSplitOptions options = null)",
            |m, a| {
                let separators = vec![a.text_or_empty(1).to_string()];
                let empty = a.member(2) == "RemoveEmptyEntries";
                split(m, &a.text(0)?, &separators, None, empty)
            },
        ),
        Member(
            "string[] Split(string[] separators, StringSplitOptions options)",
            |m, a| {
                let separators = separators(&a.value(1));
                let empty = a.member(2) == "RemoveEmptyEntries";
                split(m, &a.text(0)?, &separators, None, empty)
            },
        ),
        Member("string Trim()", |m, a| m.text(a.text(0)?.trim())),
        Member("string TrimStart()", |m, a| m.text(a.text(0)?.trim_start())),
        Member("string TrimEnd()", |m, a| m.text(a.text(0)?.trim_end())),
        Member("string Trim(params char[] characters)", |m, a| {
            let set = trimmed(&a.value(1));
            m.text(a.text(0)?.trim_matches(|c: char| set.contains(&c)))
        }),
        Member("string TrimStart(params char[] characters)", |m, a| {
            let set = trimmed(&a.value(1));
            m.text(a.text(0)?.trim_start_matches(|c: char| set.contains(&c)))
        }),
        Member("string TrimEnd(params char[] characters)", |m, a| {
            let set = trimmed(&a.value(1));
            m.text(a.text(0)?.trim_end_matches(|c: char| set.contains(&c)))
        }),
        Member("string ToLower()", |m, a| m.text(a.text(0)?.to_lowercase())),
        Member("string ToUpper()", |m, a| m.text(a.text(0)?.to_uppercase())),
        Member("string ToLowerInvariant()", |m, a| {
            m.text(a.text(0)?.to_lowercase())
        }),
        Member("string ToUpperInvariant()", |m, a| {
            m.text(a.text(0)?.to_uppercase())
        }),
        Member("string PadLeft(int width)", |m, a| pad(m, a, ' ', true)),
        Member("string PadRight(int width)", |m, a| pad(m, a, ' ', false)),
        Member("string PadLeft(int width, char with)", |m, a| {
            let with = char::from_u32(a.unit(2)?.into()).unwrap_or(' ');
            pad(m, a, with, true)
        }),
        Member("string PadRight(int width, char with)", |m, a| {
            let with = char::from_u32(a.unit(2)?.into()).unwrap_or(' ');
            pad(m, a, with, false)
        }),
        Member("char[] ToCharArray()", |m, a| {
            let text = a.text(0)?;
            m.allocate(text.len() * 24)?;
            let units = text.encode_utf16().map(Value::Char).collect();
            Ok(sequence::array(crate::types::Type::Char, units))
        }),
        Member("bool Equals(string other)", |_, a| {
            Ok((a.value(1).as_str() == a.value(0).as_str()).into())
        }),
        Member(
            "bool Equals(string other, StringComparison comparison)",
            |m, a| {
                if a.value(1).is_null() {
                    return Ok(false.into());
                }
                Ok((fold(m, a, 0, 2)? == fold(m, a, 1, 2)?).into())
            },
        ),
        Member("static bool Equals(string a, string b)", |_, a| {
            Ok((a.value(1).as_str() == a.value(0).as_str()).into())
        }),
        Member(
            "static bool Equals(string a, string b, StringComparison comparison)",
            |m, a| match (a.value(0).is_null(), a.value(1).is_null()) {
                (false, false) => Ok((fold(m, a, 0, 2)? == fold(m, a, 1, 2)?).into()),
                (one, other) => Ok((one && other).into()),
            },
        ),
        Member("int CompareTo(string other)", |_, a| {
            Ok(sign(compare_text(&a.text(0)?, &a.text_or_empty(1))))
        }),
        Member("static int Compare(string a, string b)", |_, a| {
            Ok(sign(compare_text(&a.text_or_empty(0), &a.text_or_empty(1))))
        }),
        Member(
            "static int Compare(string a, string b, bool ignoreCase)",
            |_, a| {
                let (one, two) = (a.text_or_empty(0), a.text_or_empty(1));
                Ok(sign(if a.bool(2) {
                    compare_text(&one.to_lowercase(), &two.to_lowercase())
                } else {
                    compare_text(&one, &two)
                }))
            },
        ),
        Member(
            "static int Compare(string a, string b, StringComparison comparison)",
            |m, a| {
                let ordinal = a.member(2).starts_with("Ordinal");
                let (one, two) = (fold(m, a, 0, 2)?, fold(m, a, 1, 2)?);
                Ok(sign(if ordinal {
                    one.cmp(&two)
                } else {
                    compare_text(&one, &two)
                }))
            },
        ),
        Member("static int CompareOrdinal(string a, string b)", |_, a| {
            Ok(sign(
                a.text_or_empty(0)
                    .encode_utf16()
                    .cmp(a.text_or_empty(1).encode_utf16()),
            ))
        }),
        Member("static bool IsNullOrEmpty(string value)", |_, a| {
            Ok(a.text_or_empty(0).is_empty().into())
        }),
        Member("static bool IsNullOrWhiteSpace(string value)", |_, a| {
            Ok(a.text_or_empty(0).trim().is_empty().into())
        }),
        Member("static string Concat(params object[] values)", |m, a| {
            concat(m, &a.value(0))
        }),
        Member("static string Concat(params string[] values)", |m, a| {
            concat(m, &a.value(0))
        }),
        Member("static string Concat<T>(IEnumerable<T> values)", |m, a| {
            concat(m, &a.value(0))
        }),
        Member(
            "static string Join(string separator, params string[] values)",
            join,
        ),
        Member(
            "static string Join(string separator, params object[] values)",
            join,
        ),
        Member(
            "static string Join<T>(string separator, IEnumerable<T> values)",
            join,
        ),
        Member(
            "static string Join(char separator, params string[] values)",
            join,
        ),
        Member(
            "static string Format(string format, params object[] values)",
            |m, a| {
                let values = sequence::collect(m, &a.value(1))?;
                let format = a.text(0)?;
                string_format(m, &format, &values)
            },
        ),
        Member("static string Copy(string value)", |_, a| Ok(a.value(0))),
        Member("static string Intern(string value)", |_, a| Ok(a.value(0))),
        Member("new(char c, int count)", |m, a| {
            let count = a.count(1, "count")?;
            m.allocate(count)?;
            m.text(a.value(0).to_string().repeat(count))
        }),
        Member("new(char[] value)", |m, a| {
            let text: String = sequence::collect(m, &a.value(0))?
                .iter()
                .map(ToString::to_string)
                .collect();
            m.text(text)
        }),
    ],
    ..Table::CLASS
};

fn length_of(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.encode_utf16().count()
    }
}

pub(super) fn length(text: &str) -> i32 {
    i32::try_from(length_of(text)).unwrap_or(i32::MAX)
}

/// A part of a text, by units.
pub(super) fn part(text: &str, start: usize, count: usize) -> Result<String, Fault> {
    let end = start
        .checked_add(count)
        .filter(|end| *end <= length_of(text));
    let Some(end) = end else {
        return Err(Fault::new(
            "ArgumentOutOfRangeException",
            "Index and length must refer to a location within the string. (Parameter 'length')",
        ));
    };
    if text.is_ascii() {
        return Ok(text[start..end].to_owned());
    }
    let units: Vec<u16> = text.encode_utf16().skip(start).take(count).collect();
    String::from_utf16(&units).map_err(|_| half())
}

fn half() -> Fault {
    Fault::new(
        "NotSupportedException",
        "Half of a surrogate pair is not known here.",
    )
}

/// The byte at a unit.
fn byte_of(text: &str, unit: usize) -> Result<usize, Fault> {
    Ok(part(text, 0, unit)?.len())
}

/// The unit at a byte, or -1.
fn position(text: &str, byte: Option<usize>) -> Value {
    Value::int(byte.map_or(-1, |byte| length(&text[..byte])))
}

/// An argument's text, without case where the comparison ignores it.
fn fold(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    index: usize,
    comparison: usize,
) -> Result<Arc<str>, Fault> {
    let text = call.text(index)?;
    machine.charge(text.len() / 16)?;
    Ok(if call.member(comparison).ends_with("IgnoreCase") {
        // To upper case and back down: ordinal comparison knows no ß = ss.
        text.chars().map(simple_fold).collect::<String>().into()
    } else {
        text
    })
}

/// One character for one, as .NET folds.
pub(super) fn simple_fold(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn sign(order: Ordering) -> Value {
    Value::int(order as i32)
}

/// As words are sorted: letters without regard to case first, small ones before
/// capital ones where nothing else differs.
pub(crate) fn compare_text(a: &str, b: &str) -> Ordering {
    let folded = a
        .chars()
        .map(simple_fold)
        .map(rank)
        .cmp(b.chars().map(simple_fold).map(rank));
    folded.then_with(|| {
        let small = |text: &str| text.chars().map(char::is_uppercase).collect::<Vec<_>>();
        small(a).cmp(&small(b))
    })
}

/// White space and signs before digits, digits before letters.
fn rank(c: char) -> (u8, char) {
    let class = match c {
        c if c.is_whitespace() => 0,
        c if c.is_alphabetic() => 3,
        c if c.is_numeric() => 2,
        _ => 1,
    };
    (class, c)
}

fn separators(value: &Value) -> Vec<String> {
    match value {
        Value::Object(crate::value::Opaque(object)) => match &**object {
            crate::value::Object::Items(items) => items
                .values
                .lock()
                .iter()
                .map(ToString::to_string)
                .collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn trimmed(value: &Value) -> Vec<char> {
    let set: Vec<char> = separators(value)
        .iter()
        .flat_map(|text| text.chars().collect::<Vec<_>>())
        .collect();
    if set.is_empty() {
        // Without characters it is white space that is cut.
        return (0..=0x3000)
            .filter_map(char::from_u32)
            .filter(|c| c.is_whitespace())
            .collect();
    }
    set
}

fn split(
    machine: &mut Machine<'_>,
    text: &str,
    separators: &[String],
    count: Option<usize>,
    without_empty: bool,
) -> Result<Value, Fault> {
    let mut parts: Vec<String> = Vec::new();
    let mut start = 0;
    let mut at = 0;
    machine.charge(text.len() * (1 + separators.len()) / 8)?;
    let limit = count.unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(sequence::strings(Vec::<String>::new()));
    }
    while at < text.len() {
        let rest = &text[at..];
        let hit = if separators.is_empty() {
            rest.chars()
                .next()
                .filter(|c| c.is_whitespace())
                .map(char::len_utf8)
        } else {
            separators
                .iter()
                .filter(|separator| !separator.is_empty())
                .find(|separator| rest.starts_with(separator.as_str()))
                .map(String::len)
        };
        match hit {
            Some(length) if parts.len() + 1 < limit => {
                machine.allocate(at - start + 24)?;
                parts.push(text[start..at].to_owned());
                at += length;
                start = at;
            }
            _ => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    machine.allocate(text.len() - start + 24)?;
    parts.push(text[start..].to_owned());
    if without_empty {
        parts.retain(|part| !part.is_empty());
    }
    Ok(sequence::strings(parts))
}

fn replaced(machine: &mut Machine<'_>, text: &str, old: &str, with: &str) -> Result<Value, Fault> {
    let hits = text.matches(old).count();
    // Before it is made: a few replacements could make a huge text.
    machine.allocate(hits.saturating_mul(with.len()))?;
    machine.text(text.replace(old, with))
}

fn pad(machine: &mut Machine<'_>, call: &Call<'_>, with: char, left: bool) -> Result<Value, Fault> {
    let text = call.text(0)?;
    let missing = call
        .count(1, "totalWidth")?
        .saturating_sub(length_of(&text));
    machine.allocate(missing * with.len_utf8())?;
    let filler: String = std::iter::repeat_n(with, missing).collect();
    machine.text(if left {
        filler + &text
    } else {
        text.to_string() + &filler
    })
}

fn concat(machine: &mut Machine<'_>, values: &Value) -> Result<Value, Fault> {
    let mut out = String::new();
    for value in sequence::collect(machine, values)? {
        let text = value.to_string();
        machine.allocate(text.len())?;
        out.push_str(&text);
    }
    Ok(out.into())
}

fn join(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let separator = call.text_or_empty(0);
    let mut out = String::new();
    for (index, value) in sequence::collect(machine, &call.value(1))?
        .into_iter()
        .enumerate()
    {
        if index > 0 {
            out.push_str(&separator);
        }
        let text = value.to_string();
        machine.allocate(text.len() + separator.len())?;
        out.push_str(&text);
    }
    Ok(out.into())
}
