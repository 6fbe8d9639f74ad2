//! `Uri`.

use std::fmt::Write as _;

use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{Call, Machine, sequence};
use crate::value::{Object, Value};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "Uri",
        namespace: "System",
        members: &[
            Member("new(string text)", |_, a| parse(&a.text(0)?)),
            Member("static string EscapeDataString(string text)", |m, a| {
                escape(m, a)
            }),
            Member("static string UnescapeDataString(string text)", |m, a| {
                let text = a.text(0)?;
                let text = unescape(&text, false);
                m.text(text)
            }),
            Member(
                "static bool IsWellFormedUriString(string text, UriKind kind)",
                |_, a| Ok((a.member(1) == "Absolute" && parse(&a.text(0)?).is_ok()).into()),
            ),
            Member("string Host", |_, a| {
                uri(a, |uri| uri.host_str().unwrap_or_default().into())
            }),
            Member("string Scheme", |_, a| uri(a, |uri| uri.scheme().into())),
            Member("string Authority", |_, a| {
                uri(a, |uri| authority(uri).into())
            }),
            Member("int Port", |_, a| {
                uri(a, |uri| {
                    i32::from(uri.port_or_known_default().unwrap_or(0)).into()
                })
            }),
            Member("string AbsolutePath", |_, a| {
                uri(a, |uri| uri.path().into())
            }),
            Member("string LocalPath", |_, a| {
                uri(a, |uri| unescape(uri.path(), false).into())
            }),
            Member("string AbsoluteUri", |_, a| {
                uri(a, |uri| uri.as_str().into())
            }),
            Member("string PathAndQuery", |_, a| {
                uri(a, |uri| match uri.query() {
                    Some(query) => format!("{}?{query}", uri.path()).into(),
                    None => uri.path().into(),
                })
            }),
            Member("string Query", |_, a| {
                uri(a, |uri| match uri.query() {
                    Some(query) if !query.is_empty() => format!("?{query}").into(),
                    _ => "".into(),
                })
            }),
            Member("string Fragment", |_, a| {
                uri(a, |uri| match uri.fragment() {
                    Some(fragment) if !fragment.is_empty() => format!("#{fragment}").into(),
                    _ => "".into(),
                })
            }),
            Member("bool IsAbsoluteUri", |_, _| Ok(true.into())),
            Member("string[] Segments", |_, a| {
                uri(a, |uri| {
                    let mut segments = Vec::new();
                    let mut rest = uri.path();
                    while let Some(at) = rest.find('/') {
                        segments.push(rest[..=at].to_owned());
                        rest = &rest[at + 1..];
                    }
                    if !rest.is_empty() {
                        segments.push(rest.to_owned());
                    }
                    sequence::strings(segments)
                })
            }),
            Member("string GetLeftPart(UriPartial part)", |_, a| {
                let part = a.member(1);
                uri(a, |uri| match part {
                    "Scheme" => format!("{}://", uri.scheme()).into(),
                    "Authority" => format!("{}://{}", uri.scheme(), authority(uri)).into(),
                    "Path" => format!("{}://{}{}", uri.scheme(), authority(uri), uri.path()).into(),
                    _ => uri.as_str().split('#').next().unwrap_or_default().into(),
                })
            }),
        ],
        ..Table::CLASS
    },
    Table {
        name: "UriKind",
        namespace: "System",
        kind: TableKind::Enumeration,
        values: &["RelativeOrAbsolute", "Absolute", "Relative"],
        ..Table::CLASS
    },
    Table {
        name: "UriPartial",
        namespace: "System",
        kind: TableKind::Enumeration,
        values: &["Scheme", "Authority", "Path", "Query"],
        ..Table::CLASS
    },
];

fn parse(text: &str) -> Result<Value, Fault> {
    url::Url::parse(text)
        .map(|uri| Value::object(Object::Uri(uri)))
        .map_err(|_| {
            Fault::new(
                "UriFormatException",
                "Invalid URI: The format of the URI could not be determined.",
            )
        })
}

fn uri(call: &Call<'_>, of: impl FnOnce(&url::Url) -> Value) -> Result<Value, Fault> {
    match &*call.object(0)? {
        Object::Uri(uri) => Ok(of(uri)),
        _ => Err(Fault::null()),
    }
}

fn authority(uri: &url::Url) -> String {
    let host = uri.host_str().unwrap_or_default();
    match uri.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Everything but RFC 3986's unreserved characters in percent signs.
fn escape(machine: &mut Machine<'_>, call: &Call<'_>) -> Result<Value, Fault> {
    let text = call.text(0)?;
    machine.allocate(text.len() * 3)?;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(out.into())
}

/// Percent signs resolved where they are UTF-8; other text stays.
pub(super) fn unescape(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes
            .get(at + 1..at + 3)
            .filter(|pair| bytes[at] == b'%' && pair.iter().all(u8::is_ascii_hexdigit))
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        if let Some(byte) = pair {
            out.push(byte);
            at += 3;
        } else {
            out.push(if plus && bytes[at] == b'+' {
                b' '
            } else {
                bytes[at]
            });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
