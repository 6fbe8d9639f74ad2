//! `Convert`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::numbers::parse_number;
use super::table::{Member, Table};
use crate::error::Fault;
use crate::evaluate::{Call, from_json_value};
use crate::value::{Kind, Number, Value};

macro_rules! to_number {
    ($name:literal, $result:literal, $kind:expr) => {
        Member(
            concat!("static ", $result, " ", $name, "(object value)"),
            |_, a| to_number(&a.value(0), $kind),
        )
    };
}

pub(super) const TABLES: &[Table] = &[Table {
    name: "Convert",
    namespace: "System",
    members: &[
        to_number!("ToInt32", "int", Kind::Int),
        to_number!("ToInt64", "long", Kind::Long),
        to_number!("ToInt16", "short", Kind::Short),
        to_number!("ToUInt16", "ushort", Kind::UShort),
        to_number!("ToUInt32", "uint", Kind::UInt),
        to_number!("ToUInt64", "ulong", Kind::ULong),
        to_number!("ToByte", "byte", Kind::Byte),
        to_number!("ToSByte", "sbyte", Kind::SByte),
        to_number!("ToDouble", "double", Kind::Double),
        to_number!("ToSingle", "float", Kind::Float),
        to_number!("ToDecimal", "decimal", Kind::Decimal),
        Member("static int ToInt32(string text, int radix)", |_, a| {
            in_radix(a).and_then(|value| {
                i32::try_from(value).map(Value::int).or_else(|_| {
                    u32::try_from(value)
                        .map(|value| Value::int(value.cast_signed()))
                        .map_err(|_| crate::value::overflow(Kind::Int))
                })
            })
        }),
        Member("static long ToInt64(string text, int radix)", |_, a| {
            in_radix(a).and_then(|value| {
                i64::try_from(value)
                    .map(Value::from)
                    .map_err(|_| crate::value::overflow(Kind::Long))
            })
        }),
        Member("static byte ToByte(string text, int radix)", |_, a| {
            in_radix(a).and_then(|value| Number::checked(value, Kind::Byte).map(Value::Number))
        }),
        Member("static bool ToBoolean(object value)", |_, a| {
            match a.value(0) {
                Value::Null => Ok(false.into()),
                Value::Bool(value) => Ok(value.into()),
                Value::Number(number) => Ok((number.as_double() != 0.0).into()),
                Value::String(text) => parse_bool(&text),
                other => Err(not_convertible(&other, "System.Boolean")),
            }
        }),
        Member("static string ToString(object value)", |m, a| {
            let text = a.value(0).to_string();
            m.text(text)
        }),
        Member("static string ToString(int value, int radix)", |m, a| {
            let value = a.int(0)?;
            let bits = u32::try_from(value & 0xffff_ffff).unwrap_or_default();
            let text = match a.int(1)? {
                2 => format!("{bits:b}"),
                8 => format!("{bits:o}"),
                10 => value.to_string(),
                16 => format!("{bits:x}"),
                _ => return Err(Fault::argument("Invalid Base.")),
            };
            m.text(text)
        }),
        Member("static char ToChar(object value)", |_, a| {
            match a.value(0) {
                Value::Char(unit) => Ok(Value::Char(unit)),
                Value::String(text) => {
                    let mut units = text.encode_utf16();
                    match (units.next(), units.next()) {
                        (Some(unit), None) => Ok(Value::Char(unit)),
                        _ => Err(Fault::format("String must be exactly one character long.")),
                    }
                }
                Value::Number(number) => {
                    match number.as_integer().and_then(|n| u16::try_from(n).ok()) {
                        Some(unit) => Ok(Value::Char(unit)),
                        None => Err(Fault::new(
                            "OverflowException",
                            "Value was either too large or too small for a character.",
                        )),
                    }
                }
                other => Err(not_convertible(&other, "System.Char")),
            }
        }),
        Member("static DateTime ToDateTime(object value)", |_, a| {
            match a.value(0) {
                Value::DateTime(time) => Ok(Value::DateTime(time)),
                Value::String(text) => super::time::parsed(&text).map(Value::DateTime),
                other => Err(not_convertible(&other, "System.DateTime")),
            }
        }),
        Member("static string ToBase64String(byte[] bytes)", |m, a| {
            let text = STANDARD.encode(a.bytes(0)?);
            m.text(text)
        }),
        Member("static byte[] FromBase64String(string text)", |m, a| {
            let text = a.text(0)?;
            m.charge(text.len() / 8)?;
            let compact: String = text
                .chars()
                .filter(|c| !matches!(c, ' ' | '\t' | '\r' | '\n'))
                .collect();
            let bytes = STANDARD.decode(compact).map_err(|_| {
                Fault::format("The input is not a valid Base-64 string as it contains a non-base 64 character, more than two padding characters, or an illegal character among the padding characters.")
            })?;
            m.bytes(bytes)
        }),
        Member("static string ToHexString(byte[] bytes)", |m, a| {
            let pairs: Vec<String> = a
                .bytes(0)?
                .iter()
                .map(|byte| format!("{byte:02X}"))
                .collect();
            let text = pairs.concat();
            m.text(text)
        }),
    ],
    ..Table::CLASS
}];

fn not_convertible(value: &Value, to: &str) -> Fault {
    Fault::new(
        "InvalidCastException",
        format!(
            "Unable to cast object of type '{}' to type '{to}'.",
            crate::evaluate::type_of(value)
        ),
    )
}

/// `Convert.ToXxx`: out of range is an exception, fractions are rounded with
/// halves to the even.
pub(super) fn to_number(value: &Value, kind: Kind) -> Result<Value, Fault> {
    match value {
        Value::Null => Ok(Value::Number(Number::wrapped(0, kind))),
        Value::Bool(value) => Ok(Value::Number(Number::wrapped((*value).into(), kind))),
        Value::Char(unit) if kind.is_integral() => {
            Number::checked((*unit).into(), kind).map(Value::Number)
        }
        Value::String(text) => parse_number(text, kind).map(Value::Number),
        Value::Number(number) => match number.as_integer() {
            Some(integer) if kind.is_integral() => {
                Number::checked(integer, kind).map(Value::Number)
            }
            None if kind.is_integral() => match number {
                Number::Decimal(decimal) => {
                    let whole = decimal.round();
                    let text = whole.to_string();
                    let whole: i128 = text.parse().map_err(|_| crate::value::overflow(kind))?;
                    Number::checked(whole, kind).map(Value::Number)
                }
                other => rounded(other.as_double(), kind),
            },
            _ => number.cast(kind).map(Value::Number),
        },
        Value::Json(_) => to_number(&from_json_value(value)?, kind),
        other => Err(not_convertible(other, kind.clr_name())),
    }
}

/// A fraction as an integer, halves to the even.
pub(crate) fn rounded(value: f64, kind: Kind) -> Result<Value, Fault> {
    let whole = value.round_ties_even();
    if !whole.is_finite() || whole.abs() > 1e20 {
        return Err(crate::value::overflow(kind));
    }
    #[allow(clippy::cast_possible_truncation, reason = "in range")]
    let whole = whole as i128;
    Number::checked(whole, kind).map(Value::Number)
}

fn in_radix(call: &Call<'_>) -> Result<i128, Fault> {
    let text = call.text(0)?;
    let radix = match call.int(1)? {
        radix @ (2 | 8 | 10 | 16) => u32::try_from(radix).unwrap_or(10),
        _ => return Err(Fault::argument("Invalid Base.")),
    };
    let digits = if radix == 16 {
        text.trim_start_matches("0x").trim_start_matches("0X")
    } else {
        &text
    };
    i128::from_str_radix(digits, radix)
        .map_err(|_| Fault::format("Could not find any recognizable digits."))
}

/// `bool.Parse`.
pub(crate) fn parse_bool(text: &str) -> Result<Value, Fault> {
    let trimmed = text.trim();
    if trimmed.eq_ignore_ascii_case("true") {
        Ok(true.into())
    } else if trimmed.eq_ignore_ascii_case("false") {
        Ok(false.into())
    } else {
        Err(Fault::format(format!(
            "String '{text}' was not recognized as a valid Boolean."
        )))
    }
}
