//! Numbers and the escapes of strings.

use rust_decimal::Decimal;

use crate::value::{Number, Value};

/// Text that may be written in halves of surrogate pairs.
#[derive(Default)]
pub(super) struct Units {
    text: String,
    high: Option<u16>,
    broken: bool,
}

impl Units {
    pub(super) fn push(&mut self, c: char) {
        self.broken |= self.high.take().is_some();
        self.text.push(c);
    }

    pub(super) fn push_escaped(&mut self, unit: u32) {
        match (self.high.take(), u16::try_from(unit)) {
            (None, Ok(unit @ 0xd800..=0xdbff)) => self.high = Some(unit),
            (Some(high), Ok(low @ 0xdc00..=0xdfff)) => {
                let pair = char::decode_utf16([high, low]).next();
                self.text.extend(pair.and_then(Result::ok));
            }
            (high, _) => {
                self.broken |= high.is_some();
                match char::from_u32(unit) {
                    Some(c) => self.text.push(c),
                    None => self.broken = true,
                }
            }
        }
    }

    pub(super) fn finish(self) -> Result<String, &'static str> {
        if self.broken || self.high.is_some() {
            return Err("Half of a surrogate pair is not known here");
        }
        Ok(self.text)
    }
}

/// An escape at the beginning of a text: its length and the character or unit
/// of UTF-16.
pub(super) fn escape(rest: &str) -> Result<(usize, u32), &'static str> {
    let wrong = "Unrecognized escape sequence";
    let hex = |from: usize, least: usize, most: usize| -> Result<(usize, u32), &'static str> {
        let digits = rest[from..]
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_hexdigit)
            .count();
        if digits < least {
            return Err(wrong);
        }
        u32::from_str_radix(&rest[from..from + digits], 16)
            .map(|unit| (from + digits, unit))
            .map_err(|_| wrong)
    };
    let simple = |c: char| Ok((2, u32::from(c)));
    match rest[1..].chars().next() {
        Some(c @ ('\'' | '"' | '\\')) => simple(c),
        Some('0') => simple('\0'),
        Some('a') => simple('\u{7}'),
        Some('b') => simple('\u{8}'),
        Some('f') => simple('\u{c}'),
        Some('n') => simple('\n'),
        Some('r') => simple('\r'),
        Some('t') => simple('\t'),
        Some('v') => simple('\u{b}'),
        Some('x') => hex(2, 1, 4),
        Some('u') => hex(2, 4, 4),
        Some('U') => match hex(2, 8, 8)? {
            (_, 0xd800..=0xdfff | 0x11_0000..) => Err(wrong),
            other => Ok(other),
        },
        _ => Err(wrong),
    }
}

/// A number at the beginning of a text: its length and value.
pub(super) fn number(rest: &str) -> Result<(usize, Value), String> {
    let lower = rest.as_bytes().get(1).map(u8::to_ascii_lowercase);
    if rest.starts_with('0') && matches!(lower, Some(b'x' | b'b')) {
        let radix = if lower == Some(b'x') { 16 } else { 2 };
        let length = rest[2..]
            .find(|c: char| c != '_' && !c.is_digit(radix))
            .unwrap_or(rest.len() - 2);
        let digits = rest[2..2 + length].replace('_', "");
        let value = u64::from_str_radix(&digits, radix).map_err(|_| too_large())?;
        return integer(rest, 2 + length, value);
    }
    let bytes = rest.as_bytes();
    let digits = |mut at: usize| {
        while bytes
            .get(at)
            .is_some_and(|b| b.is_ascii_digit() || *b == b'_')
        {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    let mut real = false;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        real = true;
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            real = true;
            end = digits(end + 1 + sign);
        }
    }
    let text = rest[..end].replace('_', "");
    let suffix = bytes.get(end).map(u8::to_ascii_lowercase);
    let found = match suffix {
        Some(b'm') => {
            let value = if text.contains(['e', 'E']) {
                Decimal::from_scientific(&text)
            } else {
                text.parse()
            };
            Number::Decimal(value.map_err(|_| too_large())?)
        }
        #[allow(clippy::cast_possible_truncation, reason = "a float of C#")]
        Some(b'f') => Number::Float(text.parse::<f32>().map_err(|_| too_large())?),
        Some(b'd') => Number::Double(text.parse().map_err(|_| too_large())?),
        _ if real => {
            let value = Number::Double(text.parse().map_err(|_| too_large())?);
            return no_word_behind(rest, end, value);
        }
        _ => {
            let value = text.parse().map_err(|_| too_large())?;
            return integer(rest, end, value);
        }
    };
    no_word_behind(rest, end + 1, found)
}

fn too_large() -> String {
    "Integral constant is too large".to_owned()
}

/// An integer takes the first of int, uint, long and ulong that holds it and
/// its suffix.
fn integer(rest: &str, end: usize, value: u64) -> Result<(usize, Value), String> {
    let suffix: String = rest[end..]
        .chars()
        .take_while(|c| matches!(c, 'u' | 'U' | 'l' | 'L'))
        .collect::<String>()
        .to_ascii_lowercase();
    let number = match suffix.as_str() {
        "" => match (
            i32::try_from(value),
            u32::try_from(value),
            i64::try_from(value),
        ) {
            (Ok(n), ..) => Number::Int(n),
            (_, Ok(n), _) => Number::UInt(n),
            (.., Ok(n)) => Number::Long(n),
            _ => Number::ULong(value),
        },
        "u" => u32::try_from(value).map_or(Number::ULong(value), Number::UInt),
        "l" => i64::try_from(value).map_or(Number::ULong(value), Number::Long),
        "ul" | "lu" => Number::ULong(value),
        other => return Err(format!("'{other}' is no suffix of a number")),
    };
    no_word_behind(rest, end + suffix.len(), number)
}

fn no_word_behind(rest: &str, end: usize, number: Number) -> Result<(usize, Value), String> {
    if rest[end..].starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
        return Err("; expected".to_owned());
    }
    Ok((end, Value::Number(number)))
}
