//! Conversions, tests of types, and equality.

use std::sync::Arc;

use super::Conversion;
use crate::error::Fault;
use crate::types::Type;
use crate::value::{
    Content, DateTime, DateTimeOffset, ItemsKind, Json, Key, Kind, Number, Object, Opaque, Part,
    Token, Value,
};

/// What a JSON value is in .NET.
pub(crate) fn from_json_value(value: &Value) -> Result<Value, Fault> {
    let Value::Json(Json(token)) = value else {
        return Ok(value.clone());
    };
    Ok(match token.content() {
        Content::Null => Value::Null,
        Content::Bool(value) => value.into(),
        Content::Integer(value) => value.into(),
        Content::Float(value) => value.into(),
        Content::String(text) => Value::String(text),
        Content::Date(date) => Value::DateTime(date),
        _ => return Err(Fault::cast(token.class(), "System.IConvertible")),
    })
}

pub(super) fn convert(conversion: &Conversion, value: Value) -> Result<Value, Fault> {
    match conversion {
        Conversion::Number(kind) => match value {
            Value::Number(number) => number.cast(*kind).map(Value::Number),
            Value::Char(unit) => Ok(Value::Number(Number::wrapped(unit.into(), *kind))),
            _ => Ok(Value::Null),
        },
        Conversion::Char => match value {
            Value::Number(number) => match number.cast(Kind::UShort)? {
                Number::UShort(unit) => Ok(Value::Char(unit)),
                _ => Ok(Value::Null),
            },
            other => Ok(other),
        },
        Conversion::ToJson => to_json(&value).map(Value::json),
        Conversion::FromJson(kind) => from_json(value, kind),
        Conversion::ToDateTimeOffset => Ok(match value {
            Value::DateTime(DateTime { ticks, .. }) => Value::DateTimeOffset(DateTimeOffset {
                ticks,
                offset_minutes: 0,
            }),
            other => other,
        }),
        Conversion::Cast(kind) => cast(value, kind),
        Conversion::Unwrap => match value {
            Value::Null => Err(Fault::invalid("Nullable object must have a value.")),
            other => Ok(other),
        },
    }
}

/// A reference or boxed value as a type.
fn cast(value: Value, kind: &Type) -> Result<Value, Fault> {
    if value.is_null() {
        return match kind {
            Type::Bool | Type::Char | Type::Number(_) => Err(Fault::null()),
            Type::Named(name, _) if crate::members::is_struct(name) => Err(Fault::null()),
            _ => Ok(value),
        };
    }
    if is_instance(&value, kind) {
        Ok(value)
    } else {
        Err(Fault::cast(type_of(&value), kind))
    }
}

/// A value as JSON; Newtonsoft's implicit operators and `JToken.FromObject`.
pub(crate) fn to_json(value: &Value) -> Result<Token, Fault> {
    Ok(Token::new(match value {
        Value::Null => Content::Null,
        Value::Json(Json(token)) => return Ok(token.clone()),
        Value::Bool(value) => Content::Bool(*value),
        Value::Char(_) => Content::String(value.to_string().into()),
        Value::String(text) => Content::String(text.clone()),
        Value::Number(number) => match number.as_integer() {
            Some(integer) => Content::Integer(i64::try_from(integer).map_err(|_| {
                Fault::new(
                    "NotSupportedException",
                    format!("The integer {integer} is beyond the range of long."),
                )
            })?),
            None => Content::Float(number.as_double()),
        },
        Value::DateTime(time) => Content::Date(*time),
        Value::DateTimeOffset(time) => {
            let local = DateTime {
                ticks: time.ticks,
                kind: crate::value::DateTimeKind::Unspecified,
            };
            Content::String(
                format!(
                    "{}{}",
                    local.json(),
                    crate::value::offset_text(time.offset_minutes)
                )
                .into(),
            )
        }
        Value::Guid(id) => Content::String(id.to_string().into()),
        Value::TimeSpan(span) => Content::String(span.to_string().into()),
        Value::Bytes(bytes) => {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(&*bytes.lock());
            Content::String(text.into())
        }
        other => {
            return Err(Fault::argument(format!(
                "Could not determine JSON object type for type {}.",
                type_of(other)
            )));
        }
    }))
}

/// `(T)token`.
fn from_json(value: Value, kind: &Type) -> Result<Value, Fault> {
    let (kind, nullable) = match kind {
        Type::Nullable(inner) => (&**inner, true),
        other => (other, *other == Type::String),
    };
    let mut token = match value {
        Value::Null if nullable => return Ok(Value::Null),
        Value::Null => return Err(Fault::argument_null("value")),
        Value::Json(Json(token)) => token,
        other => return Ok(other),
    };
    if let Content::Property(_, value) = token.content() {
        token = value;
    }
    let content = token.content();
    if nullable && matches!(content, Content::Null) {
        return Ok(Value::Null);
    }
    let wrong = || {
        Fault::argument(format!(
            "Can not convert {} to {kind}.",
            json_kind(&content)
        ))
    };
    let text = match &content {
        Content::Object(_) | Content::Array(_) | Content::Property(..) | Content::Null => {
            return Err(wrong());
        }
        _ => token.to_string(),
    };
    match (kind, &content) {
        // Dates and numbers of JSON are written as the invariant culture does.
        (Type::String, _) => Ok(Value::from(text)),
        (Type::Bool, Content::Bool(value)) => Ok(Value::Bool(*value)),
        (Type::Bool, Content::Integer(value)) => Ok(Value::Bool(*value != 0)),
        (Type::Bool, Content::String(text)) => crate::members::parse_bool(text),
        (Type::Number(kind), Content::Integer(value)) if kind.is_integral() => {
            Number::checked((*value).into(), *kind).map(Value::Number)
        }
        (Type::Number(kind), Content::Integer(value)) => {
            Number::Long(*value).cast(*kind).map(Value::Number)
        }
        (Type::Number(kind), Content::Float(value)) if kind.is_integral() => {
            crate::members::rounded(*value, *kind)
        }
        (Type::Number(kind), Content::Float(value)) => {
            Number::Double(*value).cast(*kind).map(Value::Number)
        }
        (Type::Number(kind), Content::Bool(value)) => {
            Ok(Value::Number(Number::wrapped(i128::from(*value), *kind)))
        }
        (Type::Number(kind), Content::String(text)) => {
            crate::members::parse_number(text, *kind).map(Value::Number)
        }
        (Type::Named("DateTime", _), Content::Date(date)) => Ok(Value::DateTime(*date)),
        (Type::Named("DateTime", _), Content::String(text)) => {
            super::parse_date(text).map(|(date, _)| Value::DateTime(date))
        }
        (Type::Named("DateTimeOffset", _), Content::Date(date)) => {
            convert(&Conversion::ToDateTimeOffset, Value::DateTime(*date))
        }
        (Type::Named("Guid", _), Content::String(text)) => crate::members::parse_guid(text),
        _ => Err(wrong()),
    }
}

pub(crate) fn json_kind(content: &Content) -> &'static str {
    match content {
        Content::Object(_) => "Object",
        Content::Array(_) => "Array",
        Content::Property(..) => "Property",
        Content::Null => "Null",
        Content::Bool(_) => "Boolean",
        Content::Integer(_) => "Integer",
        Content::Float(_) => "Float",
        Content::String(_) => "String",
        Content::Date(_) => "Date",
    }
}

/// The type that a value is of.
pub(crate) fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Char(_) => Type::Char,
        Value::Number(number) => Type::Number(number.kind()),
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::array(Type::Number(Kind::Byte)),
        Value::DateTime(_) => Type::named("DateTime"),
        Value::DateTimeOffset(_) => Type::named("DateTimeOffset"),
        Value::TimeSpan(_) => Type::named("TimeSpan"),
        Value::Guid(_) => Type::named("Guid"),
        Value::Json(Json(token)) => Type::named(token.class()),
        Value::Jwt(_) => Type::named("Jwt"),
        Value::Basic(_) => Type::named("BasicAuthCredentials"),
        Value::Response(_) => Type::named("IResponse"),
        Value::Certificate(_) => Type::named("X509Certificate2"),
        Value::Object(Opaque(object)) => type_of_object(object),
    }
}

fn type_of_object(object: &Object) -> Type {
    let generic = |name: &'static str, arguments: &[&Type]| {
        Type::Named(name, arguments.iter().map(|one| (*one).clone()).collect())
    };
    match object {
        Object::Items(items) => match items.kind {
            ItemsKind::Array => Type::array(items.element.clone()),
            ItemsKind::List => generic("List", &[&items.element]),
            ItemsKind::HashSet => generic("HashSet", &[&items.element]),
        },
        Object::Dictionary(dictionary) => {
            generic("Dictionary", &[&dictionary.key, &dictionary.value])
        }
        Object::Pair(key, value) => generic("KeyValuePair", &[&type_of(key), &type_of(value)]),
        Object::Query(_) => generic("IEnumerable", &[&Type::Object]),
        Object::Anonymous(names, values) => Type::Anonymous(
            names
                .iter()
                .cloned()
                .zip(values.iter().map(type_of))
                .collect(),
        ),
        Object::Exception(name, _) | Object::Enum(name, _) => Type::named(name),
        Object::Part(part) | Object::PartOf(part, _) => match part {
            Part::RequestHeaders
            | Part::ResponseHeaders
            | Part::Query
            | Part::OriginalQuery
            | Part::ServiceQuery => generic(
                "IReadOnlyDictionary",
                &[&Type::String, &Type::array(Type::String)],
            ),
            Part::Variables => generic("IReadOnlyDictionary", &[&Type::String, &Type::Object]),
            Part::MatchedParameters => {
                generic("IReadOnlyDictionary", &[&Type::String, &Type::String])
            }
            _ => Type::named(object.class()),
        },
        Object::Claims(_) => generic(
            "IReadOnlyDictionary",
            &[&Type::String, &Type::array(Type::String)],
        ),
        other => {
            let class = other.class();
            Type::named(class.rsplit('.').next().unwrap_or(class))
        }
    }
}

/// Whether a value is of a type.
pub(crate) fn is_instance(value: &Value, kind: &Type) -> bool {
    match (value, kind) {
        (Value::Null, _) => false,
        (_, Type::Object) => true,
        (value, Type::Nullable(inner)) => is_instance(value, inner),
        (Value::Object(Opaque(object)), Type::Function(parameters, _)) => {
            matches!(&**object, Object::Closure(closure) if closure.function.parameters == parameters.len())
        }
        (value, kind) => crate::members::derives(&type_of(value), kind),
    }
}

/// What a variable of a type is at first.
pub(crate) fn default_of(kind: &Type) -> Value {
    match kind {
        Type::Bool => Value::Bool(false),
        Type::Char => Value::Char(0),
        Type::Number(kind) => Value::Number(Number::wrapped(0, *kind)),
        Type::Named("DateTime", _) => Value::DateTime(DateTime {
            ticks: 0,
            kind: crate::value::DateTimeKind::Unspecified,
        }),
        Type::Named("DateTimeOffset", _) => Value::DateTimeOffset(DateTimeOffset {
            ticks: 0,
            offset_minutes: 0,
        }),
        Type::Named("TimeSpan", _) => Value::TimeSpan(crate::TimeSpan { ticks: 0 }),
        Type::Named("Guid", _) => Value::Guid(uuid::Uuid::nil()),
        _ => Value::Null,
    }
}

/// `Equals` of two values.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Char(a), Value::Char(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => {
            a.kind() == b.kind() && a.compare(*b) == Some(std::cmp::Ordering::Equal)
        }
        (Value::String(a), Value::String(b)) => a == b,
        (Value::DateTime(a), Value::DateTime(b)) => a.ticks == b.ticks,
        (Value::DateTimeOffset(a), Value::DateTimeOffset(b)) => a.utc_ticks() == b.utc_ticks(),
        (Value::TimeSpan(a), Value::TimeSpan(b)) => a == b,
        (Value::Guid(a), Value::Guid(b)) => a == b,
        (Value::Json(Json(a)), Value::Json(Json(b))) => {
            a.same(b) || (a.class() == "JValue" && b.class() == "JValue" && a.deep_equals(b))
        }
        (Value::Object(Opaque(a)), Value::Object(Opaque(b))) => match (&**a, &**b) {
            (Object::Enum(kind, one), Object::Enum(other, two)) => kind == other && one == two,
            (Object::Uri(a), Object::Uri(b)) => a == b,
            (Object::Address(a), Object::Address(b)) => a == b,
            (Object::Anonymous(names, a), Object::Anonymous(others, b)) => {
                names == others && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
            }
            (Object::Part(a), Object::Part(b)) => a == b,
            _ => Arc::ptr_eq(a, b),
        },
        _ => same(left, right),
    }
}

/// Whether two values are the same object. Equal texts that are empty are, as
/// .NET has one empty string; boxed values never are.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::String(a), Value::String(b)) => Arc::ptr_eq(a, b) || (a.is_empty() && b.is_empty()),
        (Value::Bytes(a), Value::Bytes(b)) => Arc::ptr_eq(a, b),
        (Value::Json(Json(a)), Value::Json(Json(b))) => a.same(b),
        (Value::Jwt(a), Value::Jwt(b)) => Arc::ptr_eq(a, b),
        (Value::Basic(a), Value::Basic(b)) => Arc::ptr_eq(a, b),
        (Value::Response(a), Value::Response(b)) => Arc::ptr_eq(a, b),
        (Value::Certificate(a), Value::Certificate(b)) => Arc::ptr_eq(a, b),
        (Value::Object(Opaque(a)), Value::Object(Opaque(b))) => {
            Arc::ptr_eq(a, b)
                || matches!((&**a, &**b), (Object::Part(a), Object::Part(b)) if a == b)
        }
        _ => false,
    }
}

/// What a value is as a key of a dictionary.
pub(crate) fn key(value: &Value) -> Option<Key> {
    Some(match value {
        Value::Bool(value) => Key::Bool(*value),
        Value::Char(unit) => Key::Char(*unit),
        Value::Number(number) => Key::Integer(number.as_integer()?),
        Value::String(text) => Key::Text(text.clone()),
        Value::Guid(id) => Key::Guid(*id),
        Value::DateTime(time) => Key::Ticks(time.ticks),
        Value::TimeSpan(span) => Key::Ticks(span.ticks),
        _ => return None,
    })
}
