//! Whether a value is what its type wants.

use crate::policy::literal::shown;
use crate::policy::model::{Form, Part, Value};
use crate::policy::schema::{Base, Type};

/// What is wrong with the value, as the end of a sentence that begins with
/// the place where it stands.
pub(super) fn problem(kind: &Type, value: &Value) -> Option<String> {
    if value.form != Form::Literal {
        let text = kind.base == Base::String && kind.values.is_empty() && kind.pattern.is_none();
        return (!kind.expression && !text)
            .then(|| format!("may not be an expression; it must be {}", expected(kind)));
    }
    let mut text = String::new();
    for part in &value.parts {
        match part {
            Part::Text(part) => text.push_str(part),
            // What it stands for decides, and that is not known here.
            Part::NamedValue(_) => return None,
        }
    }
    (!fits(kind, &text)).then(|| format!("is '{}'; it must be {}", shown(&text), expected(kind)))
}

fn fits(kind: &Type, text: &str) -> bool {
    if !kind.values.is_empty() {
        return kind.values.iter().any(|value| value == text);
    }
    if kind
        .min_length
        .is_some_and(|min| text.chars().count() < min)
    {
        return false;
    }
    if let Some(pattern) = &kind.pattern {
        return matches(pattern, text);
    }
    match kind.base {
        Base::String => true,
        Base::Boolean => matches!(text, "true" | "false" | "1" | "0"),
        Base::Int => text.parse::<i32>().is_ok(),
        Base::Long => text.parse::<i64>().is_ok(),
        Base::UnsignedInt => text.parse::<u32>().is_ok(),
        Base::Integer => digits(text.strip_prefix(['-', '+']).unwrap_or(text)),
        Base::NonNegativeInteger => digits(text.strip_prefix('+').unwrap_or(text)),
        Base::PositiveInteger => {
            let number = text.strip_prefix('+').unwrap_or(text);
            digits(number) && number.bytes().any(|b| b != b'0')
        }
        Base::Float | Base::Double => text.parse::<f64>().is_ok_and(f64::is_finite),
        Base::DateTime => is_date_time(text),
    }
}

fn expected(kind: &Type) -> String {
    let mut expected = if !kind.values.is_empty() {
        let quoted: Vec<_> = kind.values.iter().map(|v| format!("'{v}'")).collect();
        quoted.join(" or ")
    } else if let Some(pattern) = &kind.pattern {
        format!("a text that matches {pattern}")
    } else {
        match kind.base {
            Base::String if kind.min_length.is_some() => "a text that is not empty",
            Base::String => "a text",
            Base::Boolean => "'true' or 'false'",
            Base::Int => "a whole number of 32 bits",
            Base::Long => "a whole number of 64 bits",
            Base::Integer => "a whole number",
            Base::UnsignedInt => "a whole number from 0 to 4294967295",
            Base::PositiveInteger => "a whole number from 1",
            Base::NonNegativeInteger => "a whole number from 0",
            Base::Float | Base::Double => "a number",
            Base::DateTime => "a point in time such as 2026-01-31T00:00:00Z",
        }
        .to_owned()
    };
    if kind.expression {
        expected += ", or an expression";
    }
    expected
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The patterns of the published schemas, by their text; a test knows when
/// there are others. One that is not known here is matched by nothing.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        // A domain, perhaps with a wildcard before it.
        r"\*|(\*?[A-Za-z0-9\-\.]+)" => {
            let host = text.strip_prefix('*').unwrap_or(text);
            text == "*"
                || (!host.is_empty()
                    && host
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')))
        }
        // Header names in a list, each perhaps with a wildcard after it.
        r"\*|([\x21-\x29\x2b\x2d-\x39\x3b-\x7e]+\*?(,[\x21-\x29\x2b\x2d-\x39\x3b-\x7e]+\*?)*)" => {
            text == "*"
                || text.split(',').all(|name| {
                    let name = name.strip_suffix('*').unwrap_or(name);
                    !name.is_empty()
                        && name
                            .bytes()
                            .all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b',' | b':'))
                })
        }
        _ => false,
    }
}

/// `xs:dateTime`, less years beyond four digits.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let number = |text: &str, width: usize, range: std::ops::RangeInclusive<u32>| {
        text.len() == width && digits(text) && text.parse().is_ok_and(|n| range.contains(&n))
    };
    let date: Vec<_> = date.split('-').collect();
    let [year, month, day] = date[..] else {
        return false;
    };
    let (clock, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let clock: Vec<_> = clock.split(':').collect();
    let [hour, minute, second] = clock[..] else {
        return false;
    };
    let zone = match zone.strip_prefix(['+', '-']) {
        Some(offset) => offset
            .split_once(':')
            .is_some_and(|(h, m)| number(h, 2, 0..=14) && number(m, 2, 0..=59)),
        None => matches!(zone, "" | "Z"),
    };
    number(year, 4, 0..=9999)
        && number(month, 2, 1..=12)
        && number(day, 2, 1..=31)
        && number(hour, 2, 0..=24)
        && number(minute, 2, 0..=59)
        && number(second, 2, 0..=59)
        && digits(fraction)
        && zone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(base: Base) -> Type {
        Type {
            base,
            ..Type::default()
        }
    }

    #[test]
    fn numbers_keep_the_range_of_their_type() {
        for (base, good, bad) in [
            (
                Base::Int,
                &["0", "-2147483648", "2147483647"][..],
                &["2147483648", "", "1.5", "x", " 1"][..],
            ),
            (
                Base::Long,
                &["9223372036854775807"],
                &["9223372036854775808"],
            ),
            (
                Base::UnsignedInt,
                &["0", "4294967295"],
                &["-1", "4294967296"],
            ),
            (Base::Integer, &["-99999999999999999999"], &["", "-", "1e3"]),
            (Base::PositiveInteger, &["1", "10"], &["0", "00", "-1"]),
            (Base::NonNegativeInteger, &["0"], &["-1"]),
            (Base::Double, &["1.5", "-2"], &["NaN", "inf", "x"]),
            (
                Base::Boolean,
                &["true", "false", "1", "0"],
                &["True", "yes", ""],
            ),
            (
                Base::DateTime,
                &[
                    "2026-01-31T00:00:00Z",
                    "2026-01-31T00:00:00.5+02:00",
                    "2026-01-31T00:00:00",
                ],
                &[
                    "2026-01-31",
                    "2026-13-31T00:00:00Z",
                    "2026-1-31T00:00:00Z",
                    "2026-01-31T00:00Z",
                ],
            ),
        ] {
            for text in good {
                assert!(fits(&of(base), text), "{base:?} {text}");
            }
            for text in bad {
                assert!(!fits(&of(base), text), "{base:?} {text}");
            }
        }
    }

    #[test]
    fn the_message_names_the_value_and_what_is_wanted() {
        let kind = Type {
            values: vec!["all".into(), "any".into()],
            expression: true,
            ..Type::default()
        };
        assert_eq!(
            problem(&kind, &Value::literal("some")).unwrap(),
            "is 'some'; it must be 'all' or 'any', or an expression"
        );
        assert_eq!(problem(&kind, &Value::expression("x")), None);
        assert_eq!(problem(&of(Base::Int), &Value::named_value("x")), None);
        assert_eq!(
            problem(&of(Base::Int), &Value::expression("x")).unwrap(),
            "may not be an expression; it must be a whole number of 32 bits"
        );
    }

    #[test]
    fn patterns_of_the_table_are_all_known() {
        let domain = r"\*|(\*?[A-Za-z0-9\-\.]+)";
        assert!(matches(domain, "*"));
        assert!(matches(domain, "*.example.com"));
        assert!(!matches(domain, "a b"));
        assert!(!matches(domain, ""));
        let headers =
            r"\*|([\x21-\x29\x2b\x2d-\x39\x3b-\x7e]+\*?(,[\x21-\x29\x2b\x2d-\x39\x3b-\x7e]+\*?)*)";
        assert!(matches(headers, "X-A,Y*"));
        assert!(!matches(headers, "X-A:,"));
        let table = include_str!("../schema/table.json");
        let json: serde_json::Value = serde_json::from_str(table).unwrap();
        let mut patterns = std::collections::BTreeSet::new();
        let mut open = vec![&json];
        while let Some(value) = open.pop() {
            match value {
                serde_json::Value::Object(map) => {
                    patterns.extend(map.get("pattern").and_then(|p| p.as_str()));
                    open.extend(map.values());
                }
                serde_json::Value::Array(list) => open.extend(list),
                _ => {}
            }
        }
        assert_eq!(patterns.into_iter().collect::<Vec<_>>(), [headers, domain]);
    }
}
