//! `WebUtility` and `IPAddress`.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::table::{Member, Table};
use crate::error::Fault;
use crate::evaluate::Call;
use crate::value::{Object, Value};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "WebUtility",
        namespace: "System.Net",
        members: &[
            Member("static string UrlEncode(string text)", |m, a| {
                let mut out = String::new();
                for byte in a.text_or_empty(0).bytes() {
                    match byte {
                        b' ' => out.push('+'),
                        b'-' | b'_' | b'.' | b'!' | b'*' | b'(' | b')' => {
                            out.push(char::from(byte));
                        }
                        byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
                        byte => {
                            let _ = write!(out, "%{byte:02X}");
                        }
                    }
                }
                m.text(out)
            }),
            Member("static string UrlDecode(string text)", |m, a| {
                let text = super::uri::unescape(&a.text_or_empty(0), true);
                m.text(text)
            }),
            Member("static string HtmlEncode(string text)", |m, a| {
                let mut out = String::new();
                for c in a.text_or_empty(0).chars() {
                    match c {
                        '<' => out.push_str("&lt;"),
                        '>' => out.push_str("&gt;"),
                        '"' => out.push_str("&quot;"),
                        '\'' => out.push_str("&#39;"),
                        '&' => out.push_str("&amp;"),
                        '\u{a0}'..='\u{ff}' => {
                            let _ = write!(out, "&#{};", u32::from(c));
                        }
                        c if u32::from(c) > 0xffff => {
                            let _ = write!(out, "&#{};", u32::from(c));
                        }
                        other => out.push(other),
                    }
                }
                m.text(out)
            }),
            Member("static string HtmlDecode(string text)", |m, a| {
                let text = decoded(&a.text_or_empty(0))?;
                m.text(text)
            }),
        ],
        ..Table::CLASS
    },
    Table {
        name: "IPAddress",
        namespace: "System.Net",
        members: &[
            Member("static IPAddress Parse(string text)", |_, a| {
                address(&a.text(0)?)
                    .ok_or_else(|| Fault::format("An invalid IP address was specified."))
            }),
            Member(
                "static bool TryParse(string text, out IPAddress result)",
                |_, a| {
                    let found = address(&a.text_or_empty(0));
                    let is_found = found.is_some();
                    a.set(1, found.unwrap_or_default());
                    Ok(is_found.into())
                },
            ),
            Member("byte[] GetAddressBytes()", |m, a| match which(a)? {
                IpAddr::V4(v4) => m.bytes(v4.octets().to_vec()),
                IpAddr::V6(v6) => m.bytes(v6.octets().to_vec()),
            }),
            Member("static bool IsLoopback(IPAddress address)", |_, a| {
                Ok(which(a)?.is_loopback().into())
            }),
        ],
        ..Table::CLASS
    },
];

fn address(text: &str) -> Option<Value> {
    text.parse()
        .ok()
        .map(|address| Value::object(Object::Address(address)))
}

fn which(call: &Call<'_>) -> Result<IpAddr, Fault> {
    match &*call.object(0)? {
        Object::Address(address) => Ok(*address),
        _ => Err(Fault::null()),
    }
}

/// The entities of XML, `&nbsp;`, and numbers; others are not known here.
fn decoded(text: &str) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').filter(|end| *end < 12);
        let name = end.map(|end| &rest[1..end]);
        let c = match name {
            Some("lt") => Some('<'),
            Some("gt") => Some('>'),
            Some("quot") => Some('"'),
            Some("apos") => Some('\''),
            Some("amp") => Some('&'),
            Some("nbsp") => Some('\u{a0}'),
            Some(number) if number.starts_with('#') => {
                let number = &number[1..];
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok(),
                    None => number.parse().ok(),
                };
                code.and_then(char::from_u32)
            }
            Some(name) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                return Err(Fault::new(
                    "NotSupportedException",
                    format!("The entity &{name}; is not known here."),
                ));
            }
            _ => None,
        };
        if let (Some(c), Some(end)) = (c, end) {
            out.push(c);
            rest = &rest[end + 1..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}
