//! The numeric types.

use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{Call, Machine, format_value};
use crate::value::{Kind, Number, Value, overflow};

macro_rules! numeric {
    ($name:literal, $kind:expr, [$($more:expr),* $(,)?]) => {
        Table {
            name: $name,
            namespace: "System",
            kind: TableKind::Struct,
            members: &[
                Member(concat!("static ", $name, " Parse(string text)"), |_, a| {
                    parse_number(&a.text(0)?, $kind).map(Value::Number)
                }),
                Member(concat!("static bool TryParse(string text, out ", $name, " result)"), |_, a| {
                    let parsed = parse_number(&a.text_or_empty(0), $kind);
                    a.set(1, Value::Number(parsed.clone().unwrap_or(Number::wrapped(0, $kind))));
                    Ok(parsed.is_ok().into())
                }),
                Member("string ToString(string format)", formatted),
                Member(concat!("int CompareTo(", $name, " other)"), compared),
                $($more),*
            ],
            ..Table::CLASS
        }
    };
}

macro_rules! integral {
    ($name:literal, $kind:expr) => {
        numeric!(
            $name,
            $kind,
            [
                Member(concat!("static ", $name, " MaxValue"), |_, _| {
                    Ok(Value::Number(Number::wrapped($kind.range().1, $kind)))
                }),
                Member(concat!("static ", $name, " MinValue"), |_, _| {
                    Ok(Value::Number(Number::wrapped($kind.range().0, $kind)))
                }),
            ]
        )
    };
}

pub(super) const TABLES: &[Table] = &[
    integral!("sbyte", Kind::SByte),
    integral!("byte", Kind::Byte),
    integral!("short", Kind::Short),
    integral!("ushort", Kind::UShort),
    integral!("int", Kind::Int),
    integral!("uint", Kind::UInt),
    integral!("long", Kind::Long),
    integral!("ulong", Kind::ULong),
    numeric!("float", Kind::Float, []),
    numeric!(
        "double",
        Kind::Double,
        [
            Member("static double MaxValue", |_, _| Ok(f64::MAX.into())),
            Member("static double MinValue", |_, _| Ok(f64::MIN.into())),
            Member("static double NaN", |_, _| Ok(f64::NAN.into())),
            Member("static bool IsNaN(double value)", |_, a| Ok(a
                .double(0)?
                .is_nan()
                .into())),
            Member("static bool IsInfinity(double value)", |_, a| Ok(a
                .double(0)?
                .is_infinite()
                .into())),
        ]
    ),
    numeric!(
        "decimal",
        Kind::Decimal,
        [
            Member("static decimal Zero", |_, _| Ok(Value::Number(
                Number::wrapped(0, Kind::Decimal)
            ))),
            Member("static decimal One", |_, _| Ok(Value::Number(
                Number::wrapped(1, Kind::Decimal)
            ))),
        ]
    ),
];

fn formatted(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let text = format_value(&call.value(0), &call.text_or_empty(1))?;
    machine.text(text)
}

fn compared(_: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    match (call.value(0), call.value(1)) {
        (Value::Number(a), Value::Number(b)) => {
            Ok(Value::int(a.compare(b).map_or(0, |order| order as i32)))
        }
        _ => Err(Fault::null()),
    }
}

/// A number as `Parse` reads it in the invariant culture: an integer with a
/// sign, or a fraction with commas between thousands and an exponent.
pub(crate) fn parse_number(text: &str, kind: Kind) -> Result<Number, Fault> {
    let wrong = || Fault::format("Input string was not in a correct format.");
    let trimmed = text.trim_matches(|c: char| c == ' ' || ('\t'..='\r').contains(&c));
    if kind.is_integral() {
        let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let value: i128 = trimmed.parse().map_err(|_| overflow(kind))?;
        return Number::checked(value, kind);
    }
    match trimmed {
        "NaN" if kind != Kind::Decimal => return Number::Double(f64::NAN).cast(kind),
        "Infinity" | "∞" if kind != Kind::Decimal => {
            return Number::Double(f64::INFINITY).cast(kind);
        }
        "-Infinity" | "-∞" if kind != Kind::Decimal => {
            return Number::Double(f64::NEG_INFINITY).cast(kind);
        }
        _ => {}
    }
    let plain: String = trimmed.chars().filter(|c| *c != ',').collect();
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return Err(wrong());
    }
    if kind == Kind::Decimal {
        let value = if plain.contains(['e', 'E']) {
            return Err(wrong());
        } else {
            plain.parse::<rust_decimal::Decimal>()
        };
        return value.map(Number::Decimal).map_err(|_| wrong());
    }
    let value: f64 = plain.parse().map_err(|_| wrong())?;
    Number::Double(value).cast(kind)
}
