//! Formats: `{value,alignment:format}` and `ToString(format)`, as the invariant
//! culture has them.

use std::fmt::Write as _;

use super::machine::{Frame, Machine};
use super::{Part, format_date};
use crate::Value;
use crate::error::Fault;
use crate::value::{Kind, Number, TICKS_PER_SECOND, TimeSpan};

/// The value of an interpolated string.
pub(crate) fn interpolate(
    machine: &mut Machine<'_>,
    parts: &[Part],
    frame: &mut Frame<'_>,
) -> Result<Value, Fault> {
    let mut out = String::new();
    for part in parts {
        let before = out.len();
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Hole {
                value,
                alignment,
                format,
            } => {
                let value = machine.eval(value, frame)?;
                aligned(&value, *alignment, format.as_deref(), &mut out)?;
            }
        }
        machine.allocate(out.len() - before)?;
    }
    Ok(Value::String(out.into()))
}

fn aligned(
    value: &Value,
    alignment: i32,
    format: Option<&str>,
    out: &mut String,
) -> Result<(), Fault> {
    let text = match format {
        Some(format) if !format.is_empty() => format_value(value, format)?,
        _ => {
            if alignment == 0 {
                let _ = write!(out, "{value}");
                return Ok(());
            }
            value.to_string()
        }
    };
    let width = usize::try_from(alignment.unsigned_abs()).unwrap_or(usize::MAX);
    let blanks = width.saturating_sub(text.encode_utf16().count());
    if alignment > 0 {
        out.extend(std::iter::repeat_n(' ', blanks));
    }
    out.push_str(&text);
    if alignment < 0 {
        out.extend(std::iter::repeat_n(' ', blanks));
    }
    Ok(())
}

/// `string.Format`.
pub(crate) fn string_format(
    machine: &mut Machine<'_>,
    format: &str,
    arguments: &[Value],
) -> Result<Value, Fault> {
    let wrong = || Fault::format("Input string was not in a correct format.");
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        let before = out.len();
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = behind;
        } else {
            let end = rest.find('}').filter(|_| brace == "{").ok_or_else(wrong)?;
            let (hole, behind) = (&rest[..end], &rest[end + 1..]);
            rest = behind;
            let (place, format) = match hole.split_once(':') {
                Some((place, format)) => (place, Some(format)),
                None => (hole, None),
            };
            let (index, alignment) = match place.split_once(',') {
                Some((index, width)) => (index, width.trim().parse().map_err(|_| wrong())?),
                None => (place, 0_i32),
            };
            let index: usize = index.trim().parse().map_err(|_| wrong())?;
            let value = arguments.get(index).ok_or_else(|| {
                Fault::format("Index (zero based) must be greater than or equal to zero and less than the size of the argument list.")
            })?;
            machine.allocate(usize::try_from(alignment.unsigned_abs()).unwrap_or(usize::MAX))?;
            aligned(value, alignment, format, &mut out)?;
        }
        machine.allocate(out.len() - before)?;
    }
    out.push_str(rest);
    machine.text(out)
}

/// `ToString(format)` of a value.
pub(crate) fn format_value(value: &Value, format: &str) -> Result<String, Fault> {
    match value {
        Value::Number(number) => format_number(*number, format),
        Value::DateTime(time) => format_date(time.ticks, Some(time.kind), 0, format),
        Value::DateTimeOffset(time) => format_date(time.ticks, None, time.offset_minutes, format),
        Value::TimeSpan(span) => format_span(*span, format),
        Value::Guid(id) => match format {
            "" | "D" | "d" => Ok(id.to_string()),
            "N" | "n" => Ok(id.simple().to_string()),
            "B" | "b" => Ok(id.braced().to_string()),
            "P" | "p" => Ok(format!("({id})")),
            _ => Err(Fault::format(
                "Format string can be only \"D\", \"d\", \"N\", \"n\", \"P\", \"p\", \"B\", \"b\", \"X\" or \"x\".",
            )),
        },
        // What has no formats of its own takes none.
        other => Ok(other.to_string()),
    }
}

fn format_span(span: TimeSpan, format: &str) -> Result<String, Fault> {
    match format {
        "" | "c" | "t" | "T" => Ok(span.to_string()),
        _ => custom_span(span, format),
    }
}

/// Custom formats of spans: `hh\:mm\:ss`, `d\.hh`, `fff`.
fn custom_span(span: TimeSpan, format: &str) -> Result<String, Fault> {
    let wrong = || Fault::format("Input string was not in a correct format.");
    let ticks = span.ticks.unsigned_abs();
    let second = TICKS_PER_SECOND.unsigned_abs();
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().ok_or_else(wrong)?),
            '\'' => out.extend(chars.by_ref().take_while(|c| *c != '\'')),
            'd' | 'h' | 'm' | 's' | 'f' => {
                let mut width = 1;
                while chars.next_if_eq(&c).is_some() {
                    width += 1;
                }
                if c == 'f' {
                    if width > 7 {
                        return Err(wrong());
                    }
                    out.push_str(&format!("{:07}", ticks % second)[..width]);
                    continue;
                }
                let number = match c {
                    'd' => ticks / second / 86_400,
                    'h' => ticks / second / 3600 % 24,
                    'm' => ticks / second / 60 % 60,
                    _ => ticks / second % 60,
                };
                if width > 8 || (c != 'd' && width > 2) {
                    return Err(wrong());
                }
                let _ = write!(out, "{number:0width$}");
            }
            _ => return Err(wrong()),
        }
    }
    Ok(out)
}

fn wrong_format() -> Fault {
    Fault::format("Format specifier was invalid.")
}

/// The standard formats of numbers and the custom ones of `0`, `#`, `.` and `,`.
fn format_number(number: Number, format: &str) -> Result<String, Fault> {
    let mut chars = format.chars();
    let Some(letter) = chars.next() else {
        return Ok(number.to_string());
    };
    let rest = chars.as_str();
    if !letter.is_ascii_alphabetic() || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return custom_number(number, format);
    }
    let precision: Option<usize> = match rest {
        "" => None,
        digits => Some(
            digits
                .parse()
                .ok()
                .filter(|n| *n <= 99)
                .ok_or_else(wrong_format)?,
        ),
    };
    match letter.to_ascii_uppercase() {
        'D' => {
            let integer = number.as_integer().ok_or_else(wrong_format)?;
            let sign = if integer < 0 { "-" } else { "" };
            Ok(format!(
                "{sign}{:0width$}",
                integer.unsigned_abs(),
                width = precision.unwrap_or(0)
            ))
        }
        'X' => {
            let integer = number.as_integer().ok_or_else(wrong_format)?;
            let mask = match number.kind() {
                Kind::SByte | Kind::Byte => 0xff,
                Kind::Short | Kind::UShort => 0xffff,
                Kind::Int | Kind::UInt => 0xffff_ffff,
                _ => u128::from(u64::MAX),
            };
            let bits = integer.cast_unsigned() & mask;
            let width = precision.unwrap_or(0);
            Ok(if letter == 'X' {
                format!("{bits:0width$X}")
            } else {
                format!("{bits:0width$x}")
            })
        }
        'F' => fixed(number, precision.unwrap_or(2)),
        'N' => Ok(grouped(&fixed(number, precision.unwrap_or(2))?)),
        'P' => {
            let hundred = Number::Decimal(number.as_decimal()?).arithmetic(
                crate::value::Arithmetic::Multiply,
                Number::Decimal(100.into()),
            )?;
            Ok(format!(
                "{} %",
                grouped(&fixed(hundred, precision.unwrap_or(2))?)
            ))
        }
        'G' | 'R' if precision.unwrap_or(0) == 0 => Ok(number.to_string()),
        _ => Err(Fault::new(
            "NotSupportedException",
            format!("The numeric format '{format}' is not known here."),
        )),
    }
}

/// So many digits behind the point, halves away from zero.
fn fixed(number: Number, digits: usize) -> Result<String, Fault> {
    use rust_decimal::RoundingStrategy::MidpointAwayFromZero;
    if let Number::Float(_) | Number::Double(_) = number {
        let value = number.as_double();
        if !value.is_finite() {
            return Ok(number.to_string());
        }
        if value.abs() >= 1e28 {
            return Ok(format!("{value:.digits$}"));
        }
        // From the shortest digits, as .NET does: 2.675 is written 2.68.
        let decimal = rust_decimal::Decimal::from_scientific(&format!("{value:e}"))
            .map_err(|_| wrong_format())?;
        return fixed(Number::Decimal(decimal), digits).map(|text| match text.strip_prefix('-') {
            Some(rest) if rest.bytes().all(|b| matches!(b, b'0' | b'.')) => text,
            _ => text,
        });
    }
    let decimal = number.as_decimal()?;
    let places = u32::try_from(digits.min(28)).unwrap_or(28);
    let rounded = decimal.round_dp_with_strategy(places, MidpointAwayFromZero);
    Ok(format!("{rounded:.digits$}"))
}

/// Commas between thousands.
fn grouped(fixed: &str) -> String {
    let (sign, rest) = match fixed.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", fixed),
    };
    let (whole, fraction) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    let mut out = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

fn custom_number(number: Number, format: &str) -> Result<String, Fault> {
    if !format.chars().all(|c| matches!(c, '0' | '#' | '.' | ','))
        || format.matches('.').count() > 1
    {
        return Err(Fault::new(
            "NotSupportedException",
            format!("The numeric format '{format}' is not known here."),
        ));
    }
    let (whole, fraction) = format.split_once('.').unwrap_or((format, ""));
    let group = whole.contains(',');
    if whole.ends_with(',') || fraction.contains(',') {
        return Err(Fault::new(
            "NotSupportedException",
            format!("The numeric format '{format}' is not known here."),
        ));
    }
    let text = fixed(number, fraction.len())?;
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.as_str()),
    };
    let (digits, decimals) = text.split_once('.').unwrap_or((text, ""));
    let least = whole
        .chars()
        .skip_while(|c| *c != '0')
        .filter(|c| *c != ',')
        .count();
    let digits = digits.trim_start_matches('0');
    let mut out = format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len())));
    if group {
        out = grouped(&out);
    }
    let kept = fraction.rfind('0').map_or(0, |last| last + 1);
    let mut decimals = decimals.to_owned();
    while decimals.len() > kept && decimals.ends_with('0') {
        decimals.pop();
    }
    if !decimals.is_empty() {
        out = format!("{out}.{decimals}");
    }
    let zero = out.bytes().all(|b| matches!(b, b'0' | b'.' | b','));
    Ok(if zero { out } else { format!("{sign}{out}") })
}
