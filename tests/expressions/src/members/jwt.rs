//! `Jwt` and `BasicAuthCredentials`, and how they are read from a header.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use indexmap::IndexMap;

use super::table::{Member, Table};
use crate::error::Fault;
use crate::evaluate::{Call, sequence};
use crate::value::{DateTime, Object, Value};
use crate::{BasicAuthCredentials, Jwt};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "Jwt",
        members: &[
            Member("string Algorithm", |_, a| {
                Ok(jwt(a)?.algorithm.as_str().into())
            }),
            Member("IEnumerable<string> Audiences", |_, a| {
                Ok(sequence::strings(
                    jwt(a)?.audiences.iter().map(String::as_str),
                ))
            }),
            Member("IReadOnlyDictionary<string, string[]> Claims", |_, a| {
                Ok(Value::object(Object::Claims(jwt(a)?)))
            }),
            Member("DateTime? ExpirationTime", |_, a| {
                Ok(moment(jwt(a)?.expiration_time))
            }),
            Member("DateTime? IssuedAt", |_, a| Ok(moment(jwt(a)?.issued_at))),
            Member("DateTime? NotBefore", |_, a| Ok(moment(jwt(a)?.not_before))),
            Member("string Id", |_, a| Ok(optional(&jwt(a)?.id))),
            Member("string Issuer", |_, a| Ok(optional(&jwt(a)?.issuer))),
            Member("string Subject", |_, a| Ok(optional(&jwt(a)?.subject))),
            Member("string Type", |_, a| Ok(optional(&jwt(a)?.token_type))),
        ],
        ..Table::CLASS
    },
    Table {
        name: "BasicAuthCredentials",
        members: &[
            Member("string UserId", |_, a| {
                Ok(basic(a)?.user_id.as_str().into())
            }),
            Member("string Password", |_, a| {
                Ok(basic(a)?.password.as_str().into())
            }),
        ],
        ..Table::CLASS
    },
    Table {
        name: "CredentialExtensions",
        members: &[
            Member("Jwt AsJwt(this string input)", |m, a| {
                let text = a.text_or_empty(0);
                m.allocate(text.len() * 2)?;
                Ok(read_jwt(&text).map_or(Value::Null, Value::from))
            }),
            Member(
                "bool TryParseJwt(this string input, out Jwt result)",
                |m, a| {
                    let text = a.text_or_empty(0);
                    m.allocate(text.len() * 2)?;
                    let found = read_jwt(&text);
                    let is_found = found.is_some();
                    a.set(1, found.map_or(Value::Null, Value::from));
                    Ok(is_found.into())
                },
            ),
            Member("BasicAuthCredentials AsBasic(this string input)", |m, a| {
                let text = a.text_or_empty(0);
                m.allocate(text.len())?;
                Ok(read_basic(&text).map_or(Value::Null, |found| Value::Basic(Arc::new(found))))
            }),
            Member(
                "bool TryParseBasic(this string input, out BasicAuthCredentials result)",
                |m, a| {
                    let text = a.text_or_empty(0);
                    m.allocate(text.len())?;
                    let found = read_basic(&text);
                    let is_found = found.is_some();
                    a.set(
                        1,
                        found.map_or(Value::Null, |found| Value::Basic(Arc::new(found))),
                    );
                    Ok(is_found.into())
                },
            ),
        ],
        ..Table::CLASS
    },
];

fn jwt(call: &Call<'_>) -> Result<Arc<Jwt>, Fault> {
    match call.value(0) {
        Value::Jwt(jwt) => Ok(jwt),
        _ => Err(Fault::null()),
    }
}

fn basic(call: &Call<'_>) -> Result<Arc<BasicAuthCredentials>, Fault> {
    match call.value(0) {
        Value::Basic(basic) => Ok(basic),
        _ => Err(Fault::null()),
    }
}

fn optional(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        text.into()
    }
}

fn moment(moment: Option<jiff::Timestamp>) -> Value {
    moment.map_or(Value::Null, |moment| {
        Value::DateTime(DateTime::from_timestamp(moment))
    })
}

/// The claims that an object is.
pub(super) fn claims(object: &Object) -> Option<&IndexMap<String, Vec<String>>> {
    match object {
        Object::Claims(jwt) => Some(&jwt.claims),
        _ => None,
    }
}

pub(super) fn claim(object: &Object, name: &str) -> Option<Value> {
    let values = claims(object)?.get(name)?;
    Some(sequence::strings(values.iter().map(String::as_str)))
}

/// Credentials of `Basic …`, in any case; none where the text is not that.
fn read_basic(text: &str) -> Option<BasicAuthCredentials> {
    let (scheme, rest) = text.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (user_id, password) = decoded.split_once(':')?;
    Some(BasicAuthCredentials {
        user_id: user_id.to_owned(),
        password: password.to_owned(),
    })
}

/// A token, alone or behind `Bearer`: its parts are JSON objects in base64url.
/// Nothing about it is verified.
pub(super) fn read_jwt(text: &str) -> Option<Jwt> {
    let text = text.trim();
    let text = match text.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
        Some(_) => return None,
        None => text,
    };
    let mut parts = text.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let object = |part: &str| -> Option<serde_json::Map<String, serde_json::Value>> {
        let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    URL_SAFE_NO_PAD
        .decode(signature.trim_end_matches('='))
        .ok()?;
    let (header, payload) = (object(header)?, object(payload)?);
    let mut claims = IndexMap::new();
    for (name, value) in &payload {
        claims.insert(name.clone(), values(value));
    }
    let first = |name: &str| {
        claims
            .get(name)
            .and_then(|values| values.first())
            .cloned()
            .unwrap_or_default()
    };
    let named = |name: &str| {
        header
            .get(name)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let time = |name: &str| {
        let seconds = payload.get(name)?.as_f64()?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "seconds; out of range is none"
        )]
        jiff::Timestamp::from_second(seconds as i64).ok()
    };
    Some(Jwt {
        algorithm: named("alg"),
        audiences: claims.get("aud").cloned().unwrap_or_default(),
        expiration_time: time("exp"),
        id: first("jti"),
        issuer: first("iss"),
        issued_at: time("iat"),
        not_before: time("nbf"),
        subject: first("sub"),
        token_type: named("typ"),
        claims,
    })
}

/// A claim's values as text: an array's items are several.
fn values(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(values).collect(),
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Null => vec![String::new()],
        other => vec![other.to_string()],
    }
}
