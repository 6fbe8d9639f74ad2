//! Which types convert to which, and how.

use std::sync::Arc;

use super::{Checker, Typed};
use crate::error::Refusal;
use crate::evaluate::{Code, Conversion, Op};
use crate::members::{derives, registry};
use crate::types::Type;
use crate::value::{Kind, Number, Value};

/// How good a conversion is, where several members fit: less is better.
pub(super) type Cost = u32;

/// Whether a type is JSON's.
pub(super) fn is_json(kind: &Type) -> bool {
    derives(kind, &Type::named("JToken"))
}

fn char_widens(to: Kind) -> bool {
    !matches!(to, Kind::SByte | Kind::Byte | Kind::Short)
}

/// An implicit conversion: its cost, and what it does if anything.
pub(super) fn implicit(
    from: &Type,
    to: &Type,
    constant: Option<&Value>,
) -> Option<(Cost, Option<Conversion>)> {
    if from == to {
        return (*from != Type::Void).then_some((0, None));
    }
    if let (Some(Value::Number(number @ (Number::Int(_) | Number::Long(_)))), Type::Number(kind)) =
        (constant, to)
        && kind.is_integral()
        && let Some(value) = number.as_integer()
    {
        let (least, greatest) = kind.range();
        let fits = (least..=greatest).contains(&value);
        let from_int = matches!(number, Number::Int(_)) || *kind == Kind::ULong;
        if fits && from_int {
            return Some((2 + *kind as u32, Some(Conversion::Number(*kind))));
        }
    }
    match (from, to) {
        (Type::Void, _) | (_, Type::Void | Type::Null) => None,
        (Type::Null, Type::Object) => Some((2, None)),
        (Type::Null, to) => {
            let nullable = !registry().is_value(to) || matches!(to, Type::Nullable(_));
            nullable.then_some((1, None))
        }
        (_, Type::Object) => Some((20, None)),
        (Type::Number(a), Type::Number(b)) if a.widens_to(*b) => Some((
            1 + (*b as u32).saturating_sub(*a as u32),
            Some(Conversion::Number(*b)),
        )),
        (Type::Char, Type::Number(kind)) if char_widens(*kind) => {
            Some((4 + *kind as u32, Some(Conversion::Number(*kind))))
        }
        (Type::Nullable(a), Type::Nullable(b)) => {
            let (cost, conversion) = implicit(a, b, None)?;
            Some((cost + 1, conversion))
        }
        (from, Type::Nullable(inner)) => {
            let (cost, conversion) = implicit(from, inner, constant)?;
            Some((cost + 1, conversion))
        }
        (from, to) if derives(from, to) => Some((distance(from, to), None)),
        (Type::Named("DateTime", _), Type::Named("DateTimeOffset", _)) => {
            Some((6, Some(Conversion::ToDateTimeOffset)))
        }
        (from, Type::Named("JToken", _)) if has_json_operator(from) => {
            Some((8, Some(Conversion::ToJson)))
        }
        _ => None,
    }
}

/// How many steps of derivation.
fn distance(from: &Type, to: &Type) -> Cost {
    let mut level = vec![from.clone()];
    for steps in 1..8 {
        let next: Vec<Type> = level
            .iter()
            .flat_map(|kind| registry().bases(kind))
            .collect();
        if next.iter().any(|kind| kind == to) {
            return steps;
        }
        level = next;
    }
    8
}

/// The types with an operator to `JToken`, and back.
fn has_json_operator(kind: &Type) -> bool {
    match kind {
        Type::String | Type::Bool | Type::Number(_) => true,
        Type::Nullable(inner) => has_json_operator(inner),
        Type::Array(element) => **element == Type::Number(Kind::Byte),
        Type::Named(name, _) => {
            matches!(*name, "DateTime" | "DateTimeOffset" | "Guid" | "TimeSpan")
        }
        _ => false,
    }
}

/// What a cast does besides what is implicit.
fn explicit(from: &Type, to: &Type) -> Option<Conversion> {
    match (from, to) {
        (Type::Number(_) | Type::Char, Type::Number(kind)) => Some(Conversion::Number(*kind)),
        (Type::Number(_), Type::Char) => Some(Conversion::Char),
        (from, to) if is_json(from) && from_json(to) => Some(Conversion::FromJson(to.clone())),
        (Type::Nullable(_), Type::Nullable(inner)) => match &**inner {
            Type::Number(kind) => Some(Conversion::Number(*kind)),
            _ => None,
        },
        (from, Type::Nullable(inner)) => explicit(from, inner),
        (Type::Nullable(inner), to) if **inner == *to => Some(Conversion::Unwrap),
        (Type::Object, Type::Void | Type::Null) => None,
        (Type::Object, to) => Some(Conversion::Cast(to.clone())),
        (from, to) if derives(to, from) => Some(Conversion::Cast(to.clone())),
        (Type::Named(a, _), Type::Named(b, _)) if a.starts_with('I') || b.starts_with('I') => {
            let structs = registry().is_value(from) || registry().is_value(to);
            (!structs).then(|| Conversion::Cast(to.clone()))
        }
        _ => None,
    }
}

fn from_json(to: &Type) -> bool {
    match to {
        Type::String | Type::Bool | Type::Number(_) => true,
        Type::Nullable(inner) => from_json(inner),
        Type::Named(name, _) => matches!(*name, "DateTime" | "DateTimeOffset" | "Guid"),
        _ => false,
    }
}

impl Checker {
    /// A value as a type, where C# converts it without being told.
    pub(super) fn convert(value: Typed, to: &Type) -> Result<Code, Refusal> {
        let at = value.code.at;
        match implicit(&value.kind, to, value.constant()) {
            Some((_, conversion)) => Ok(converted(value.code, conversion)),
            None if explicit(&value.kind, to).is_some() => Err(Refusal::new(
                at,
                format!(
                    "Cannot implicitly convert type '{}' to '{to}'. An explicit conversion exists (are you missing a cast?)",
                    value.kind
                ),
            )),
            None => Err(Refusal::new(
                at,
                format!("Cannot implicitly convert type '{}' to '{to}'", value.kind),
            )),
        }
    }

    /// `(T)value`.
    pub(super) fn cast(value: Typed, to: &Type) -> Result<Code, Refusal> {
        let at = value.code.at;
        if let Some((_, conversion)) = implicit(&value.kind, to, value.constant()) {
            return Ok(converted(value.code, conversion));
        }
        if let Type::Nullable(inner) = &value.kind
            && !matches!(to, Type::Nullable(_))
            && **inner != *to
            && explicit(inner, to)
                .or_else(|| implicit(inner, to, None)?.1)
                .is_some()
        {
            let inner = (**inner).clone();
            let unwrapped = Typed {
                code: converted(value.code, Some(Conversion::Unwrap)),
                kind: inner,
            };
            return Self::cast(unwrapped, to);
        }
        match explicit(&value.kind, to) {
            Some(conversion) => Ok(converted(value.code, Some(conversion))),
            None => Err(Refusal::new(
                at,
                format!("Cannot convert type '{}' to '{to}'", value.kind),
            )),
        }
    }

    /// The type in which two values meet: `a ? x : y`, `new[] { x, y }`.
    pub(super) fn common(a: &Typed, b: &Typed) -> Option<Type> {
        let to = |from: &Typed, to: &Type| implicit(&from.kind, to, from.constant()).is_some();
        if a.kind != Type::Null && to(b, &a.kind) {
            return Some(a.kind.clone());
        }
        (b.kind != Type::Null && to(a, &b.kind)).then(|| b.kind.clone())
    }
}

fn converted(code: Code, conversion: Option<Conversion>) -> Code {
    let Some(conversion) = conversion else {
        return code;
    };
    let at = code.at;
    // A constant stays one.
    if let (Op::Constant(Value::Number(number)), Conversion::Number(kind)) = (&code.op, &conversion)
        && let Ok(number) = number.cast(*kind)
    {
        return Code {
            at,
            op: Op::Constant(Value::Number(number)),
        };
    }
    Code {
        at,
        op: Op::Convert(conversion, Box::new(code)),
    }
}

/// `T?` of a value type; other types as they are.
pub(super) fn nullable(kind: &Type) -> Type {
    match kind {
        Type::Nullable(_) => kind.clone(),
        other if registry().is_value(other) => Type::Nullable(Arc::new(other.clone())),
        other => other.clone(),
    }
}

/// `T` of `T?`.
pub(super) fn underlying(kind: &Type) -> &Type {
    match kind {
        Type::Nullable(inner) => inner,
        other => other,
    }
}
