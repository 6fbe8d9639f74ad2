//! `object`, `bool`, `char`, `T?` and delegates: what everything has.

use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{equal, format_value, same};
use crate::value::{Object, Value};

pub(super) const TABLES: &[Table] = &[OBJECT, BOOL, CHAR, NULLABLE];

const OBJECT: Table = Table {
    name: "object",
    namespace: "System",
    members: &[
        Member("string ToString()", |m, a| {
            let text = a.value(0).to_string();
            m.text(text)
        }),
        Member("bool Equals(object other)", |_, a| {
            Ok(equal(&a.value(0), &a.value(1)).into())
        }),
        Member("int GetHashCode()", |_, a| {
            // .NET's differ from process to process; any number does.
            let text = a.value(0).to_string();
            let hash = text.bytes().fold(5381_u32, |hash, byte| {
                hash.wrapping_mul(33) ^ u32::from(byte)
            });
            Ok(Value::int(hash.cast_signed()))
        }),
        Member("static bool Equals(object a, object b)", |_, a| {
            Ok(equal(&a.value(0), &a.value(1)).into())
        }),
        Member("static bool ReferenceEquals(object a, object b)", |_, a| {
            Ok(same(&a.value(0), &a.value(1)).into())
        }),
    ],
    ..Table::CLASS
};

const BOOL: Table = Table {
    name: "bool",
    namespace: "System",
    kind: TableKind::Struct,
    members: &[
        Member("static bool Parse(string value)", |_, a| {
            super::parse_bool(&a.text(0)?)
        }),
        Member(
            "static bool TryParse(string value, out bool result)",
            |_, a| {
                let parsed = super::parse_bool(&a.text_or_empty(0));
                a.set(1, parsed.clone().unwrap_or(Value::Bool(false)));
                Ok(parsed.is_ok().into())
            },
        ),
        Member("static string TrueString", |_, _| Ok("True".into())),
        Member("static string FalseString", |_, _| Ok("False".into())),
    ],
    ..Table::CLASS
};

const CHAR: Table = Table {
    name: "char",
    namespace: "System",
    kind: TableKind::Struct,
    members: &[
        Member("static bool IsDigit(char c)", |_, a| {
            Ok(test(a.unit(0)?, |c| {
                c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric())
            }))
        }),
        Member("static bool IsLetter(char c)", |_, a| {
            Ok(test(a.unit(0)?, char::is_alphabetic))
        }),
        Member("static bool IsLetterOrDigit(char c)", |_, a| {
            Ok(test(a.unit(0)?, char::is_alphanumeric))
        }),
        Member("static bool IsWhiteSpace(char c)", |_, a| {
            Ok(test(a.unit(0)?, char::is_whitespace))
        }),
        Member("static bool IsUpper(char c)", |_, a| {
            Ok(test(a.unit(0)?, char::is_uppercase))
        }),
        Member("static bool IsLower(char c)", |_, a| {
            Ok(test(a.unit(0)?, char::is_lowercase))
        }),
        Member("static bool IsPunctuation(char c)", |_, a| {
            Ok(test(a.unit(0)?, |c| {
                c.is_ascii_punctuation()
                    && !matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~')
            }))
        }),
        Member("static char ToUpper(char c)", |_, a| {
            Ok(mapped(a.unit(0)?, true))
        }),
        Member("static char ToLower(char c)", |_, a| {
            Ok(mapped(a.unit(0)?, false))
        }),
        Member("static char ToUpperInvariant(char c)", |_, a| {
            Ok(mapped(a.unit(0)?, true))
        }),
        Member("static char ToLowerInvariant(char c)", |_, a| {
            Ok(mapped(a.unit(0)?, false))
        }),
        Member("static double GetNumericValue(char c)", |_, a| {
            let digit = char::from_u32(a.unit(0)?.into()).and_then(|c| c.to_digit(10));
            Ok(digit.map_or(-1.0, f64::from).into())
        }),
    ],
    ..Table::CLASS
};

const NULLABLE: Table = Table {
    name: "Nullable<T>",
    namespace: "System",
    kind: TableKind::Struct,
    members: &[
        Member("bool HasValue", |_, a| Ok((!a.value(0).is_null()).into())),
        Member("T Value", |_, a| match a.value(0) {
            Value::Null => Err(Fault::invalid("Nullable object must have a value.")),
            value => Ok(value),
        }),
        Member("T GetValueOrDefault()", |_, a| {
            Ok(match a.value(0) {
                Value::Null => crate::evaluate::default_of(&a.kind(0)),
                value => value,
            })
        }),
        Member("T GetValueOrDefault(T defaultValue)", |_, a| {
            Ok(match a.value(0) {
                Value::Null => a.value(1),
                value => value,
            })
        }),
        Member("string ToString()", |m, a| {
            let text = a.value(0).to_string();
            m.text(text)
        }),
        Member("string ToString(string format)", |m, a| {
            let text = format_value(&a.value(0), &a.text_or_empty(1))?;
            m.text(text)
        }),
    ],
    ..Table::CLASS
};

fn test(unit: u16, holds: impl Fn(char) -> bool) -> Value {
    char::from_u32(unit.into()).is_some_and(holds).into()
}

/// A character in the other case, where that is one character.
fn mapped(unit: u16, upper: bool) -> Value {
    let Some(c) = char::from_u32(unit.into()) else {
        return Value::Char(unit);
    };
    let text: String = if upper {
        c.to_uppercase().collect()
    } else {
        c.to_lowercase().collect()
    };
    let mut units = text.encode_utf16();
    match (units.next(), units.next()) {
        (Some(one), None) => Value::Char(one),
        _ => Value::Char(unit),
    }
}

/// A member of an enumeration.
pub(super) fn enumerated(kind: &'static str, name: &'static str) -> Value {
    Value::object(Object::Enum(kind, name))
}
