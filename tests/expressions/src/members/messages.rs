//! Requests, responses, their bodies, and certificates.

use std::sync::Arc;

use super::context::part;
use super::table::{Member, Table};
use crate::error::Fault;
use crate::evaluate::{Call, Machine, sequence};
use crate::types::Type;
use crate::value::{Dictionary, Key, Object, Part, Token, Value};
use crate::{Body, Certificate, Response};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "IRequest",
        members: &[
            Member("IMessageBody Body", |m, _| {
                Ok(match &m.context.request.body {
                    Some(_) => part(Part::RequestBody),
                    None => Value::Null,
                })
            }),
            Member("X509Certificate2 Certificate", |m, _| {
                Ok(match &m.context.request.certificate {
                    Some(certificate) => Value::Certificate(Arc::new(certificate.clone())),
                    None => Value::Null,
                })
            }),
            Member("IReadOnlyDictionary<string, string[]> Headers", |_, _| {
                Ok(part(Part::RequestHeaders))
            }),
            Member("string IpAddress", |m, _| {
                Ok(m.context.request.ip_address.as_str().into())
            }),
            Member(
                "IReadOnlyDictionary<string, string> MatchedParameters",
                |_, _| Ok(part(Part::MatchedParameters)),
            ),
            Member("string Method", |m, _| {
                Ok(m.context.request.method.as_str().into())
            }),
            Member("IUrl OriginalUrl", |_, _| Ok(part(Part::OriginalUrl))),
            Member("IUrl Url", |_, _| Ok(part(Part::Url))),
        ],
        ..Table::CLASS
    },
    Table {
        name: "IResponse",
        members: &[
            Member("IMessageBody Body", |_, a| {
                Ok(match stored(a) {
                    Some(response) => Value::object(Object::PartOf(Part::ResponseBody, response)),
                    None => part(Part::ResponseBody),
                })
            }),
            Member("IReadOnlyDictionary<string, string[]> Headers", |_, a| {
                Ok(match stored(a) {
                    Some(response) => {
                        Value::object(Object::PartOf(Part::ResponseHeaders, response))
                    }
                    None => part(Part::ResponseHeaders),
                })
            }),
            Member("int StatusCode", |m, a| {
                response(m, a, |response| response.status_code.into())
            }),
            Member("string StatusReason", |m, a| {
                response(m, a, |response| response.status_reason.as_str().into())
            }),
        ],
        ..Table::CLASS
    },
    Table {
        name: "IMessageBody",
        members: &[
            Member("T As<T>(bool preserveContent = false)", read),
            Member(
                "IDictionary<string, IList<string>> AsFormUrlEncodedContent(bool preserveContent = false)",
                form,
            ),
        ],
        ..Table::CLASS
    },
    CERTIFICATE,
];

fn stored(call: &Call<'_>) -> Option<Arc<Response>> {
    match call.value(0) {
        Value::Response(response) => Some(response),
        _ => None,
    }
}

fn response(
    machine: &Machine<'_>,
    call: &Call<'_>,
    of: impl FnOnce(&Response) -> Value,
) -> Result<Value, Fault> {
    if let Some(response) = stored(call) {
        return Ok(of(&response));
    }
    machine
        .context
        .response
        .as_ref()
        .map(of)
        .ok_or_else(Fault::null)
}

/// Takes a body's content; without `preserveContent` nobody can again.
fn content(machine: &mut Machine<'_>, call: &Call<'_>) -> Result<bytes::Bytes, Fault> {
    let body: Body = match &*call.object(0)? {
        Object::PartOf(_, response) => response.body.clone(),
        Object::Part(Part::RequestBody) => machine
            .context
            .request
            .body
            .clone()
            .ok_or_else(Fault::null)?,
        Object::Part(Part::ResponseBody) => match &machine.context.response {
            Some(response) => response.body.clone(),
            None => return Err(Fault::null()),
        },
        _ => return Err(Fault::null()),
    };
    if body.is_consumed() {
        return Err(Fault::invalid(
            "The body has been read already: read it with preserveContent: true before.",
        ));
    }
    if !call.bool(1) {
        body.consume();
    }
    machine.allocate(body.bytes().len())?;
    Ok(body.bytes().clone())
}

fn read(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let bytes = content(machine, call)?;
    match call.kind(0) {
        Type::Array(_) => Ok(Value::from_bytes(bytes.to_vec())),
        Type::String => Ok(String::from_utf8_lossy(&bytes).into_owned().into()),
        Type::Named(wanted, _) => {
            machine.allocate(bytes.len().saturating_mul(4))?;
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_start_matches('\u{feff}');
            if text.trim().is_empty() {
                return Ok(Value::Null);
            }
            let token = Token::parse(text)?;
            if wanted == "JToken" {
                Ok(Value::json(token))
            } else {
                super::json::of_kind(token, wanted)
            }
        }
        other => Err(Fault::new(
            "NotSupportedException",
            format!("As<{other}> is not known here."),
        )),
    }
}

fn form(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let bytes = content(machine, call)?;
    let mut entries = indexmap::IndexMap::new();
    let parameters = crate::MultiMap::from_query(&String::from_utf8_lossy(&bytes));
    for (name, values) in parameters.iter() {
        let list = values.iter().map(|value| value.as_str().into()).collect();
        let name: Arc<str> = name.into();
        let value = sequence::list(Type::String, list);
        entries.insert(Key::Text(name.clone()), (Value::String(name), value));
    }
    Ok(Value::object(Object::Dictionary(Dictionary {
        key: Type::String,
        value: Type::Named("IList", Arc::from([Type::String])),
        entries: parking_lot::Mutex::new(entries),
    })))
}

const CERTIFICATE: Table = Table {
    name: "X509Certificate2",
    namespace: "System.Security.Cryptography.X509Certificates",
    members: &[
        Member("string Thumbprint", |_, a| {
            Ok(certificate(a)?.thumbprint.as_str().into())
        }),
        Member("string Subject", |_, a| {
            Ok(certificate(a)?.subject.as_str().into())
        }),
        Member("string Issuer", |_, a| {
            Ok(certificate(a)?.issuer.as_str().into())
        }),
        Member("string SerialNumber", |_, a| {
            Ok(certificate(a)?.serial_number.as_str().into())
        }),
        Member("string GetSerialNumberString()", |_, a| {
            Ok(certificate(a)?.serial_number.as_str().into())
        }),
        Member("string GetCertHashString()", |_, a| {
            Ok(certificate(a)?.thumbprint.as_str().into())
        }),
        Member("DateTime NotBefore", |_, a| {
            Ok(local(certificate(a)?.not_before))
        }),
        Member("DateTime NotAfter", |_, a| {
            Ok(local(certificate(a)?.not_after))
        }),
        Member("byte[] RawData", |m, a| {
            m.bytes(certificate(a)?.raw.to_vec())
        }),
        Member("byte[] GetRawCertData()", |m, a| {
            m.bytes(certificate(a)?.raw.to_vec())
        }),
        Member("bool Verify()", |_, a| Ok(certificate(a)?.trusted.into())),
        Member("bool VerifyNoRevocation()", |_, a| {
            Ok(certificate(a)?.trusted.into())
        }),
    ],
    ..Table::CLASS
};

fn certificate(call: &Call<'_>) -> Result<Arc<Certificate>, Fault> {
    match call.value(0) {
        Value::Certificate(certificate) => Ok(certificate),
        _ => Err(Fault::null()),
    }
}

fn local(moment: jiff::Timestamp) -> Value {
    Value::DateTime(crate::DateTime {
        kind: crate::DateTimeKind::Local,
        ..crate::DateTime::from_timestamp(moment)
    })
}
