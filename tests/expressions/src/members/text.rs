//! `StringBuilder`, `Encoding`, `StringComparer`.

use parking_lot::Mutex;

use super::table::{Member, Table};
use crate::error::Fault;
use crate::evaluate::{Call, Machine, sequence, string_format};
use crate::value::{Encoding, Object, Value};

pub(super) const TABLES: &[Table] = &[BUILDER, ENCODING, COMPARER];

const BUILDER: Table = Table {
    name: "StringBuilder",
    namespace: "System.Text",
    members: &[
        Member("new()", |_, _| Ok(builder(String::new()))),
        Member("new(string value)", |_, a| {
            Ok(builder(a.text_or_empty(0).to_string()))
        }),
        Member("new(int capacity)", |_, _| Ok(builder(String::new()))),
        Member("int Length", |_, a| {
            with(a, |text| Ok(super::strings::length(text).into()))
        }),
        Member("StringBuilder Append(object value)", |m, a| {
            let text = a.value(1).to_string();
            append(m, a, &text)
        }),
        Member("StringBuilder AppendLine()", |m, a| append(m, a, "\r\n")),
        Member("StringBuilder AppendLine(string value)", |m, a| {
            let text = format!("{}\r\n", a.text_or_empty(1));
            append(m, a, &text)
        }),
        Member(
            "StringBuilder AppendFormat(string format, params object[] values)",
            |m, a| {
                let values = sequence::collect(m, &a.value(2))?;
                let format = a.text(1)?;
                let text = string_format(m, &format, &values)?.to_string();
                append(m, a, &text)
            },
        ),
        Member("StringBuilder Replace(string old, string with)", |m, a| {
            let (old, new) = (a.text(1)?, a.text_or_empty(2));
            if old.is_empty() {
                return Err(Fault::argument(
                    "String cannot be of zero length. (Parameter 'oldValue')",
                ));
            }
            with(a, |text| {
                m.allocate(text.len() + text.matches(&*old).count().saturating_mul(new.len()))?;
                *text = text.replace(&*old, &new);
                Ok(Value::Null)
            })?;
            Ok(a.value(0))
        }),
        Member("StringBuilder Insert(int index, string value)", |m, a| {
            let (index, value) = (a.count(1, "index")?, a.text_or_empty(2));
            m.allocate(value.len())?;
            with(a, |text| {
                let before = super::strings::part(text, 0, index)?;
                text.insert_str(before.len(), &value);
                Ok(Value::Null)
            })?;
            Ok(a.value(0))
        }),
        Member("StringBuilder Clear()", |_, a| {
            with(a, |text| {
                text.clear();
                Ok(Value::Null)
            })?;
            Ok(a.value(0))
        }),
    ],
    ..Table::CLASS
};

fn builder(text: String) -> Value {
    Value::object(Object::Builder(Mutex::new(text)))
}

fn with(
    call: &Call<'_>,
    part: impl FnOnce(&mut String) -> Result<Value, Fault>,
) -> Result<Value, Fault> {
    match &*call.object(0)? {
        Object::Builder(text) => part(&mut text.lock()),
        _ => Err(Fault::null()),
    }
}

fn append(machine: &mut Machine<'_>, call: &Call<'_>, text: &str) -> Result<Value, Fault> {
    machine.allocate(text.len())?;
    with(call, |whole| {
        whole.push_str(text);
        Ok(Value::Null)
    })?;
    Ok(call.value(0))
}

const ENCODING: Table = Table {
    name: "Encoding",
    namespace: "System.Text",
    members: &[
        Member("static Encoding UTF8", |_, _| Ok(encoding(Encoding::Utf8))),
        Member("static Encoding ASCII", |_, _| {
            Ok(encoding(Encoding::Ascii))
        }),
        Member("static Encoding Unicode", |_, _| {
            Ok(encoding(Encoding::Unicode))
        }),
        Member("static Encoding Default", |_, _| {
            Ok(encoding(Encoding::Utf8))
        }),
        Member("static Encoding GetEncoding(string name)", |_, a| {
            match a.text(0)?.to_ascii_lowercase().as_str() {
                "utf-8" => Ok(encoding(Encoding::Utf8)),
                "us-ascii" | "ascii" => Ok(encoding(Encoding::Ascii)),
                "utf-16" => Ok(encoding(Encoding::Unicode)),
                "iso-8859-1" | "latin1" => Ok(encoding(Encoding::Latin1)),
                other => Err(Fault::argument(format!(
                    "'{other}' is not a supported encoding name."
                ))),
            }
        }),
        Member("byte[] GetBytes(string text)", |m, a| {
            let bytes = encode(which(a)?, &a.text(1)?);
            m.bytes(bytes)
        }),
        Member("string GetString(byte[] bytes)", |m, a| {
            let text = decode(which(a)?, &a.bytes(1)?);
            m.text(text)
        }),
        Member("int GetByteCount(string text)", |_, a| {
            let count = encode(which(a)?, &a.text(1)?).len();
            Ok(i32::try_from(count).unwrap_or(i32::MAX).into())
        }),
    ],
    ..Table::CLASS
};

fn encoding(encoding: Encoding) -> Value {
    Value::object(Object::Encoding(encoding))
}

fn which(call: &Call<'_>) -> Result<Encoding, Fault> {
    match &*call.object(0)? {
        Object::Encoding(encoding) => Ok(*encoding),
        _ => Err(Fault::null()),
    }
}

fn encode(encoding: Encoding, text: &str) -> Vec<u8> {
    let narrow = |limit: u16| {
        text.encode_utf16()
            .map(|unit| {
                if unit < limit {
                    u8::try_from(unit).unwrap_or(b'?')
                } else {
                    b'?'
                }
            })
            .collect()
    };
    match encoding {
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::Unicode => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Encoding::Ascii => narrow(0x80),
        Encoding::Latin1 => narrow(0x100),
    }
}

fn decode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
        Encoding::Ascii => bytes
            .iter()
            .map(|byte| {
                if byte.is_ascii() {
                    char::from(*byte)
                } else {
                    '?'
                }
            })
            .collect(),
        Encoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        Encoding::Unicode => {
            let units: Vec<u16> = bytes
                .chunks(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
                .collect();
            String::from_utf16_lossy(&units)
        }
    }
}

const COMPARER: Table = Table {
    name: "StringComparer",
    namespace: "System",
    members: &[
        Member("static StringComparer Ordinal", |_, _| {
            Ok(comparer("Ordinal"))
        }),
        Member("static StringComparer OrdinalIgnoreCase", |_, _| {
            Ok(comparer("OrdinalIgnoreCase"))
        }),
        Member("static StringComparer InvariantCulture", |_, _| {
            Ok(comparer("InvariantCulture"))
        }),
        Member(
            "static StringComparer InvariantCultureIgnoreCase",
            |_, _| Ok(comparer("InvariantCultureIgnoreCase")),
        ),
        Member("static StringComparer CurrentCultureIgnoreCase", |_, _| {
            Ok(comparer("CurrentCultureIgnoreCase"))
        }),
        Member("bool Equals(string a, string b)", |_, a| {
            let ignore = a.member(0).ends_with("IgnoreCase");
            Ok(same_text(&a.text_or_empty(1), &a.text_or_empty(2), ignore).into())
        }),
    ],
    ..Table::CLASS
};

fn comparer(name: &'static str) -> Value {
    super::object::enumerated("StringComparer", name)
}

/// Whether two texts are the same for a comparer.
pub(super) fn same_text(a: &str, b: &str, ignore_case: bool) -> bool {
    if ignore_case {
        a.chars()
            .map(super::strings::simple_fold)
            .eq(b.chars().map(super::strings::simple_fold))
    } else {
        a == b
    }
}
