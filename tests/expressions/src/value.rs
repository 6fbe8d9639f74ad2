//! Values of expressions, each with its .NET type.

mod json;
mod number;
mod object;
mod time;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

pub(crate) use json::{Content, Place, Token};
pub use number::Number;
pub(crate) use number::{Arithmetic, Kind, overflow};
pub(crate) use object::{
    Algorithm, Cell, Closure, Dictionary, Encoding, Hash, Items, ItemsKind, Key, Match, Object,
    Part, Query, Step,
};
pub use time::{DateTime, DateTimeKind, DateTimeOffset, TimeSpan};
pub(crate) use time::{
    MAX_TICKS, Parts, TICKS_PER_DAY, TICKS_PER_SECOND, UNIX_EPOCH, offset_minutes, offset_text,
    ticks_of,
};

use crate::{BasicAuthCredentials, Certificate, Response};

/// A value. Its [`Display`](fmt::Display) is what `ToString()` gives in .NET
/// with the invariant culture; `null` is an empty text there.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `bool`.
    Bool(bool),
    /// `char`, one unit of UTF-16.
    Char(u16),
    /// Any of the numeric types.
    Number(Number),
    /// `string`.
    String(Arc<str>),
    /// `byte[]`; arrays are shared by those who hold them, as in .NET.
    Bytes(Arc<Mutex<Vec<u8>>>),
    /// `DateTime`.
    DateTime(DateTime),
    /// `DateTimeOffset`.
    DateTimeOffset(DateTimeOffset),
    /// `TimeSpan`.
    TimeSpan(TimeSpan),
    /// `Guid`.
    Guid(Uuid),
    /// `JToken` and what derives from it.
    Json(Json),
    /// `Jwt`.
    Jwt(Arc<Jwt>),
    /// `BasicAuthCredentials`.
    Basic(Arc<BasicAuthCredentials>),
    /// `IResponse`, as `send-request` stores it.
    Response(Arc<Response>),
    /// `X509Certificate2`.
    Certificate(Arc<Certificate>),
    /// Everything else: collections, matches, functions, parts of `context`.
    Object(Opaque),
}

/// JSON as expressions see it (`JObject`, `JArray`, `JValue`, `JProperty`).
#[derive(Debug, Clone)]
pub struct Json(pub(crate) Token);

/// A value that only expressions can look into.
#[derive(Debug, Clone)]
pub struct Opaque(pub(crate) Arc<Object>);

/// A JSON Web Token as `AsJwt` reads it: its signature is not checked, that is
/// what the policy `validate-jwt` is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jwt {
    /// `alg` of the header.
    pub algorithm: String,
    /// `aud`, as one or several.
    pub audiences: Vec<String>,
    /// Every claim with its values as text.
    pub claims: indexmap::IndexMap<String, Vec<String>>,
    /// `exp`.
    pub expiration_time: Option<jiff::Timestamp>,
    /// `jti`.
    pub id: String,
    /// `iss`.
    pub issuer: String,
    /// `iat`.
    pub issued_at: Option<jiff::Timestamp>,
    /// `nbf`.
    pub not_before: Option<jiff::Timestamp>,
    /// `sub`.
    pub subject: String,
    /// `typ` of the header.
    pub token_type: String,
}

impl Value {
    /// JSON text as a `JToken`.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn from_json(text: &str) -> Result<Self, String> {
        Token::parse(text)
            .map(|token| Self::Json(Json(token)))
            .map_err(|fault| fault.message)
    }

    /// A `byte[]`.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::Bytes(Arc::new(Mutex::new(bytes)))
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value of a `bool`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of any integral type that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_integer().and_then(|n| i64::try_from(n).ok()),
            _ => None,
        }
    }

    /// The value of a `string`.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// What stands in a message when this value becomes its body: the bytes of
    /// a `byte[]`, and `ToString()` of everything else.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.lock().clone(),
            other => other.to_string().into_bytes(),
        }
    }

    pub(crate) fn object(object: Object) -> Self {
        Self::Object(Opaque(Arc::new(object)))
    }

    pub(crate) fn json(token: Token) -> Self {
        Self::Json(Json(token))
    }

    pub(crate) fn int(value: i32) -> Self {
        Self::Number(Number::Int(value))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Bool(value) => f.write_str(if *value { "True" } else { "False" }),
            Self::Char(unit) => write!(
                f,
                "{}",
                char::from_u32(u32::from(*unit)).unwrap_or('\u{fffd}')
            ),
            Self::Number(number) => number.fmt(f),
            Self::String(text) => f.write_str(text),
            Self::DateTime(time) => time.fmt(f),
            Self::DateTimeOffset(time) => time.fmt(f),
            Self::TimeSpan(span) => span.fmt(f),
            Self::Guid(id) => id.fmt(f),
            Self::Json(Json(token)) => token.fmt(f),
            Self::Bytes(_) => f.write_str("System.Byte[]"),
            Self::Jwt(_) => f.write_str("Jwt"),
            Self::Basic(_) => f.write_str("BasicAuthCredentials"),
            Self::Response(_) => f.write_str("Response"),
            Self::Certificate(_) => f.write_str("X509Certificate2"),
            Self::Object(Opaque(object)) => object.fmt(f),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::int(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::Long(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(Number::Double(value))
    }
}

impl From<Response> for Value {
    fn from(response: Response) -> Self {
        Self::Response(Arc::new(response))
    }
}

impl From<Jwt> for Value {
    fn from(jwt: Jwt) -> Self {
        Self::Jwt(Arc::new(jwt))
    }
}
