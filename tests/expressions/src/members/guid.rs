//! `Guid`.

use uuid::Uuid;

use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::format_value;
use crate::value::Value;

pub(super) const TABLES: &[Table] = &[Table {
    name: "Guid",
    namespace: "System",
    kind: TableKind::Struct,
    members: &[
        Member("static Guid NewGuid()", |m, _| {
            let bits = (u128::from(m.random()) << 64) | u128::from(m.random());
            Ok(Value::Guid(
                uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid(),
            ))
        }),
        Member("static Guid Empty", |_, _| Ok(Value::Guid(Uuid::nil()))),
        Member("static Guid Parse(string text)", |_, a| {
            parse_guid(&a.text(0)?)
        }),
        Member(
            "static bool TryParse(string text, out Guid result)",
            |_, a| {
                let parsed = parse_guid(&a.text_or_empty(0));
                a.set(1, parsed.clone().unwrap_or(Value::Guid(Uuid::nil())));
                Ok(parsed.is_ok().into())
            },
        ),
        Member("new(string text)", |_, a| parse_guid(&a.text(0)?)),
        Member("new(byte[] bytes)", |_, a| {
            let bytes: [u8; 16] = a.bytes(0)?.try_into().map_err(|_| {
                Fault::argument(
                    "Byte array for Guid must be exactly 16 bytes long. (Parameter 'b')",
                )
            })?;
            Ok(Value::Guid(Uuid::from_bytes_le(bytes)))
        }),
        Member("byte[] ToByteArray()", |m, a| match a.value(0) {
            Value::Guid(id) => m.bytes(id.to_bytes_le().to_vec()),
            _ => Err(Fault::null()),
        }),
        Member("string ToString(string format)", |m, a| {
            let text = format_value(&a.value(0), &a.text_or_empty(1))?;
            m.text(text)
        }),
        Member("int CompareTo(Guid other)", |_, a| {
            match (a.value(0), a.value(1)) {
                (Value::Guid(a), Value::Guid(b)) => Ok(Value::int(a.cmp(&b) as i32)),
                _ => Err(Fault::null()),
            }
        }),
    ],
    ..Table::CLASS
}];

/// A Guid in one of the forms N, D, B and P.
pub(crate) fn parse_guid(text: &str) -> Result<Value, Fault> {
    let trimmed = text.trim();
    let inner = trimmed
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(trimmed);
    let known = matches!(inner.len(), 32 | 36 | 38);
    Uuid::try_parse(inner)
        .ok()
        .filter(|_| known)
        .map(Value::Guid)
        .ok_or_else(|| {
            Fault::format("Guid should contain 32 digits with 4 dashes (xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx).")
        })
}
