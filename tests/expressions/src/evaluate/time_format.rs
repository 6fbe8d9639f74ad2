//! Dates and times as text, in the invariant culture.

use std::fmt::Write as _;

use crate::error::Fault;
use crate::value::{
    DateTime, DateTimeKind, Parts, TICKS_PER_SECOND, offset_minutes, offset_text, ticks_of,
};

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The English name of a day of the week, from Sunday.
pub(crate) fn day_of_week(ticks: i64) -> &'static str {
    let days = Parts::of(ticks).date.weekday().to_sunday_zero_offset();
    usize::try_from(days)
        .ok()
        .and_then(|day| DAYS.get(day))
        .copied()
        .unwrap_or("Sunday")
}

/// A time in a format. `kind` is of a `DateTime` and `None` of a
/// `DateTimeOffset`, which has `offset` minutes.
pub(crate) fn format_date(
    ticks: i64,
    kind: Option<DateTimeKind>,
    offset: i16,
    format: &str,
) -> Result<String, Fault> {
    let utc = match kind {
        None => ticks - i64::from(offset) * 60 * TICKS_PER_SECOND,
        Some(_) => ticks,
    };
    let (ticks, pattern) = match format {
        "" | "G" => (ticks, "MM/dd/yyyy HH:mm:ss"),
        "g" => (ticks, "MM/dd/yyyy HH:mm"),
        "d" => (ticks, "MM/dd/yyyy"),
        "D" => (ticks, "dddd, dd MMMM yyyy"),
        "f" => (ticks, "dddd, dd MMMM yyyy HH:mm"),
        "F" => (ticks, "dddd, dd MMMM yyyy HH:mm:ss"),
        "t" => (ticks, "HH:mm"),
        "T" => (ticks, "HH:mm:ss"),
        "s" => (ticks, "yyyy'-'MM'-'dd'T'HH':'mm':'ss"),
        "M" | "m" => (ticks, "MMMM dd"),
        "Y" | "y" => (ticks, "yyyy MMMM"),
        "o" | "O" => (ticks, "yyyy'-'MM'-'dd'T'HH':'mm':'ss'.'fffffffK"),
        "R" | "r" => (utc, "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'"),
        "u" => (utc, "yyyy'-'MM'-'dd HH':'mm':'ss'Z'"),
        "U" if kind.is_some() => (utc, "dddd, dd MMMM yyyy HH:mm:ss"),
        one if one.chars().count() == 1 => return Err(wrong()),
        custom => (ticks, custom.strip_prefix('%').unwrap_or(custom)),
    };
    custom(ticks, kind, offset, pattern)
}

fn wrong() -> Fault {
    Fault::format("Input string was not in a correct format.")
}

fn custom(
    ticks: i64,
    kind: Option<DateTimeKind>,
    offset: i16,
    pattern: &str,
) -> Result<String, Fault> {
    let parts = Parts::of(ticks);
    let (year, month, day) = parts.ymd();
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(chars.next().ok_or_else(wrong)?);
                continue;
            }
            '\'' | '"' => {
                let mut closed = false;
                for inner in chars.by_ref() {
                    if inner == c {
                        closed = true;
                        break;
                    }
                    out.push(inner);
                }
                if !closed {
                    return Err(wrong());
                }
                continue;
            }
            _ => {}
        }
        let mut width = 1;
        while c.is_ascii_alphabetic() && chars.next_if_eq(&c).is_some() {
            width += 1;
        }
        let number = |out: &mut String, value: i64| {
            let width = width.min(2);
            let _ = write!(out, "{value:0width$}");
        };
        match c {
            'y' if width <= 2 => number(&mut out, i64::from(year) % 100),
            'y' => {
                let _ = write!(out, "{year:0width$}");
            }
            'M' if width == 3 => out.push_str(&month_name(month)?[..3]),
            'M' if width > 3 => out.push_str(month_name(month)?),
            'M' => number(&mut out, month.into()),
            'd' if width == 3 => out.push_str(&day_of_week(ticks)[..3]),
            'd' if width > 3 => out.push_str(day_of_week(ticks)),
            'd' => number(&mut out, day.into()),
            'H' => number(&mut out, parts.hour),
            'h' => number(&mut out, (parts.hour + 11) % 12 + 1),
            'm' => number(&mut out, parts.minute),
            's' => number(&mut out, parts.second),
            'f' | 'F' if width <= 7 => {
                let digits = &format!("{:07}", parts.fraction)[..width];
                let digits = if c == 'F' {
                    digits.trim_end_matches('0')
                } else {
                    digits
                };
                if c == 'F' && digits.is_empty() && out.ends_with('.') {
                    out.pop();
                }
                out.push_str(digits);
            }
            't' => {
                let half = if parts.hour < 12 { "AM" } else { "PM" };
                out.push_str(&half[..width.min(2)]);
            }
            'z' => {
                let text = offset_text(offset);
                match width {
                    1 => {
                        let hours = text[1..3].trim_start_matches('0');
                        let _ = write!(
                            out,
                            "{}{}",
                            &text[..1],
                            if hours.is_empty() { "0" } else { hours }
                        );
                    }
                    2 => out.push_str(&text[..3]),
                    _ => out.push_str(&text),
                }
            }
            'K' => match kind {
                Some(DateTimeKind::Utc) => out.push('Z'),
                Some(DateTimeKind::Local) => out.push_str("+00:00"),
                Some(DateTimeKind::Unspecified) => {}
                None => out.push_str(&offset_text(offset)),
            },
            'g' | 'f' | 'F' => return Err(wrong()),
            other => out.extend(std::iter::repeat_n(other, width)),
        }
    }
    Ok(out)
}

fn month_name(month: i8) -> Result<&'static str, Fault> {
    usize::try_from(month - 1)
        .ok()
        .and_then(|index| MONTHS.get(index))
        .copied()
        .ok_or_else(wrong)
}

/// A date from text: ISO 8601, `MM/dd/yyyy` with or without a time, and RFC
/// 1123. With it the minutes of the offset that the text names.
pub(crate) fn parse_date(text: &str) -> Result<(DateTime, Option<i64>), Fault> {
    let wrong = || {
        Fault::format(format!(
            "String '{text}' was not recognized as a valid DateTime."
        ))
    };
    let trimmed = text.trim();
    if let Some(found) = rfc1123(trimmed) {
        return Ok((found, Some(0)));
    }
    let split = trimmed.find(['T', ' ']).unwrap_or(trimmed.len());
    let date = &trimmed[..split];
    let number = |part: Option<&str>,
                  widths: std::ops::RangeInclusive<usize>|
     -> Result<i64, Fault> {
        part.filter(|part| widths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|part| part.parse().ok())
            .ok_or_else(wrong)
    };
    let ymd = if date.contains('/') {
        let mut parts = date.split('/');
        let month = number(parts.next(), 1..=2)?;
        let day = number(parts.next(), 1..=2)?;
        let year = number(parts.next(), 4..=4)?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        (year, month, day)
    } else {
        let mut parts = date.split('-');
        let year = number(parts.next(), 4..=4)?;
        let month = number(parts.next(), 1..=2)?;
        let day = number(parts.next(), 1..=2)?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        (year, month, day)
    };
    let mut time = trimmed.get(split + 1..).unwrap_or_default();
    let mut offset = None;
    if let Some(rest) = time.strip_suffix('Z') {
        time = rest.trim_end();
        offset = Some(0);
    } else if let Some(at) = time.rfind(['+', '-']) {
        offset = Some(offset_minutes(&time[at..]).ok_or_else(wrong)?);
        time = time[..at].trim_end();
    }
    let mut fraction = 0;
    if let Some((whole, digits)) = time.split_once('.') {
        number(Some(digits), 1..=12)?;
        let seven: String = digits.chars().chain("0000000".chars()).take(7).collect();
        fraction = seven.parse().map_err(|_| wrong())?;
        time = whole;
    }
    let hms = if time.is_empty() {
        (0, 0, 0)
    } else {
        let mut parts = time.split(':');
        let hour = number(parts.next(), 1..=2)?;
        let minute = number(parts.next(), 1..=2)?;
        let second = match parts.next() {
            Some(part) => number(Some(part), 1..=2)?,
            None => 0,
        };
        if parts.next().is_some() {
            return Err(wrong());
        }
        (hour, minute, second)
    };
    let ticks = ticks_of(ymd, hms, fraction).map_err(|_| wrong())?;
    let kind = DateTimeKind::Unspecified;
    Ok((DateTime { ticks, kind }, offset))
}

/// `Thu, 01 Jan 1970 00:00:00 GMT`.
fn rfc1123(text: &str) -> Option<DateTime> {
    let (_, rest) = text.strip_suffix(" GMT")?.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| &month[..3] == name)?;
    let year = parts.next()?.parse().ok()?;
    let mut time = parts.next()?.split(':').map(str::parse::<i64>);
    let hms = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    let ticks = ticks_of((year, i64::try_from(month).ok()? + 1, day), hms, 0).ok()?;
    Some(DateTime {
        ticks,
        kind: DateTimeKind::Unspecified,
    })
}
