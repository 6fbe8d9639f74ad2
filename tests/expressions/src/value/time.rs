//! Points and spans of time, in .NET's ticks of 100 nanoseconds.

use std::fmt;

use jiff::Timestamp;
use jiff::civil;

use crate::error::Fault;

pub(crate) const TICKS_PER_SECOND: i64 = 10_000_000;
pub(crate) const TICKS_PER_DAY: i64 = 86_400 * TICKS_PER_SECOND;
/// 1970-01-01T00:00:00.
pub(crate) const UNIX_EPOCH: i64 = 621_355_968_000_000_000;
/// 9999-12-31T23:59:59.9999999.
pub(crate) const MAX_TICKS: i64 = 3_155_378_975_999_999_999;

/// What a `DateTime` says about its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateTimeKind {
    /// Nothing.
    #[default]
    Unspecified,
    /// UTC.
    Utc,
    /// The gateway's own zone, which is UTC.
    Local,
}

/// `System.DateTime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    /// Ticks since 0001-01-01T00:00:00.
    pub ticks: i64,
    /// Its zone.
    pub kind: DateTimeKind,
}

/// `System.DateTimeOffset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTimeOffset {
    /// Ticks since 0001-01-01T00:00:00 of the local time.
    pub ticks: i64,
    /// The local time's distance from UTC.
    pub offset_minutes: i16,
}

/// `System.TimeSpan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan {
    /// Its length in ticks.
    pub ticks: i64,
}

/// A point of time taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) date: civil::Date,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    /// Ticks of the second.
    pub(crate) fraction: i64,
}

impl Parts {
    pub(crate) fn of(ticks: i64) -> Self {
        let ticks = ticks.clamp(0, MAX_TICKS);
        let of_day = ticks % TICKS_PER_DAY;
        Self {
            date: date_of_day(ticks / TICKS_PER_DAY),
            hour: of_day / (3600 * TICKS_PER_SECOND),
            minute: of_day / (60 * TICKS_PER_SECOND) % 60,
            second: of_day / TICKS_PER_SECOND % 60,
            fraction: of_day % TICKS_PER_SECOND,
        }
    }

    /// The year, month and day.
    pub(crate) fn ymd(&self) -> (i16, i8, i8) {
        (self.date.year(), self.date.month(), self.date.day())
    }
}

/// The date so many days behind 0001-01-01, by the Gregorian calendar's cycle
/// of 400 years.
fn date_of_day(days: i64) -> civil::Date {
    let cycles = days / 146_097;
    let mut rest = days % 146_097;
    let centuries = (rest / 36_524).min(3);
    rest -= centuries * 36_524;
    let fours = rest / 1_461;
    rest -= fours * 1_461;
    let ones = (rest / 365).min(3);
    rest -= ones * 365;
    let year = cycles * 400 + centuries * 100 + fours * 4 + ones + 1;
    let first = civil::Date::constant(1, 1, 1);
    i16::try_from(year)
        .ok()
        .and_then(|year| civil::Date::new(year, 1, 1).ok())
        .and_then(|start| start.checked_add(jiff::Span::new().days(rest)).ok())
        .unwrap_or(first)
}

/// Days from 0001-01-01 to a date.
pub(crate) fn day_of_date(date: civil::Date) -> i64 {
    let before = i64::from(date.year()) - 1;
    before * 365 + before / 4 - before / 100 + before / 400 + i64::from(date.day_of_year()) - 1
}

/// Ticks of a date and time; what is no date is `ArgumentOutOfRangeException`.
pub(crate) fn ticks_of(
    (year, month, day): (i64, i64, i64),
    (hour, minute, second): (i64, i64, i64),
    fraction: i64,
) -> Result<i64, Fault> {
    let wrong = || {
        Fault::new(
            "ArgumentOutOfRangeException",
            "Year, Month, and Day parameters describe an un-representable DateTime.",
        )
    };
    let date = match (i16::try_from(year), i8::try_from(month), i8::try_from(day)) {
        (Ok(year @ 1..=9999), Ok(month), Ok(day)) => {
            civil::Date::new(year, month, day).map_err(|_| wrong())?
        }
        _ => return Err(wrong()),
    };
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..60).contains(&second) {
        return Err(wrong());
    }
    Ok(day_of_date(date) * TICKS_PER_DAY
        + (hour * 3600 + minute * 60 + second) * TICKS_PER_SECOND
        + fraction)
}

impl DateTime {
    /// A moment as UTC.
    #[must_use]
    pub fn from_timestamp(moment: Timestamp) -> Self {
        let ticks = i64::try_from(moment.as_nanosecond() / 100).unwrap_or_default();
        Self {
            ticks: (UNIX_EPOCH + ticks).clamp(0, MAX_TICKS),
            kind: DateTimeKind::Utc,
        }
    }

    pub(crate) fn checked(ticks: Option<i64>, kind: DateTimeKind) -> Result<Self, Fault> {
        match ticks {
            Some(ticks @ 0..=MAX_TICKS) => Ok(Self { ticks, kind }),
            _ => Err(unrepresentable()),
        }
    }
}

impl DateTimeOffset {
    /// A moment, zero minutes from UTC.
    #[must_use]
    pub fn from_timestamp(moment: Timestamp) -> Self {
        Self {
            ticks: DateTime::from_timestamp(moment).ticks,
            offset_minutes: 0,
        }
    }

    /// Ticks of the same moment in UTC.
    pub(crate) fn utc_ticks(self) -> i64 {
        self.ticks - i64::from(self.offset_minutes) * 60 * TICKS_PER_SECOND
    }

    pub(crate) fn checked(ticks: Option<i64>, offset_minutes: i16) -> Result<Self, Fault> {
        match ticks {
            Some(ticks @ 0..=MAX_TICKS) => Ok(Self {
                ticks,
                offset_minutes,
            }),
            _ => Err(unrepresentable()),
        }
    }
}

fn unrepresentable() -> Fault {
    Fault::new(
        "ArgumentOutOfRangeException",
        "The added or subtracted value results in an un-representable DateTime.",
    )
}

impl TimeSpan {
    /// A span of so many of a unit, in ticks, rounded to a tick.
    #[allow(clippy::cast_possible_truncation, reason = "checked before")]
    pub(crate) fn of(count: f64, unit: i64) -> Result<Self, Fault> {
        #[allow(clippy::cast_precision_loss, reason = "units are below 2^53")]
        let ticks = count * unit as f64;
        if ticks.is_nan() {
            return Err(Fault::argument(
                "TimeSpan does not accept floating point Not-a-Number values.",
            ));
        }
        if ticks.abs() >= 9.2e18 {
            return Err(Self::too_long());
        }
        Ok(Self {
            ticks: ticks.round() as i64,
        })
    }

    pub(crate) fn too_long() -> Fault {
        Fault::new(
            "OverflowException",
            "TimeSpan overflowed because the duration is too long.",
        )
    }
}

impl fmt::Display for DateTime {
    /// `MM/dd/yyyy HH:mm:ss`, as the invariant culture has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = Parts::of(self.ticks);
        let (year, month, day) = parts.ymd();
        let Parts {
            hour,
            minute,
            second,
            ..
        } = parts;
        write!(
            f,
            "{month:02}/{day:02}/{year:04} {hour:02}:{minute:02}:{second:02}"
        )
    }
}

impl fmt::Display for DateTimeOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = DateTime {
            ticks: self.ticks,
            kind: DateTimeKind::Unspecified,
        };
        write!(f, "{local} {}", offset_text(self.offset_minutes))
    }
}

/// `+02:00`.
pub(crate) fn offset_text(minutes: i16) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

impl fmt::Display for TimeSpan {
    /// `[-][d.]hh:mm:ss[.fffffff]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticks = self.ticks.unsigned_abs();
        let (second, day) = (
            TICKS_PER_SECOND.unsigned_abs(),
            TICKS_PER_DAY.unsigned_abs(),
        );
        if self.ticks < 0 {
            f.write_str("-")?;
        }
        if ticks >= day {
            write!(f, "{}.", ticks / day)?;
        }
        let seconds = ticks % day / second;
        write!(
            f,
            "{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )?;
        match ticks % second {
            0 => Ok(()),
            fraction => write!(f, ".{fraction:07}"),
        }
    }
}

impl DateTime {
    /// ISO 8601, as Newtonsoft writes dates: the fraction without trailing
    /// zeros, `Z` for UTC, an offset for local time.
    pub(crate) fn json(self) -> String {
        let Parts {
            hour,
            minute,
            second,
            fraction,
            date,
        } = Parts::of(self.ticks);
        let (year, month, day) = (date.year(), date.month(), date.day());
        let fraction = match fraction {
            0 => String::new(),
            ticks => format!(".{}", format!("{ticks:07}").trim_end_matches('0')),
        };
        let zone = match self.kind {
            DateTimeKind::Utc => "Z",
            DateTimeKind::Local => "+00:00",
            DateTimeKind::Unspecified => "",
        };
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
    }

    /// The date that Newtonsoft takes a JSON string for: exactly ISO 8601 with
    /// date and time.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < 19 || bytes.len() > 40 || bytes[4] != b'-' || bytes[10] != b'T' {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<i64> {
            let part = text.get(from..to)?;
            part.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
            part.parse().ok()
        };
        if bytes[7] != b'-' || bytes[13] != b':' || bytes[16] != b':' {
            return None;
        }
        let date = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let time = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let mut rest = text.get(19..)?;
        let mut fraction = 0;
        if let Some(after) = rest.strip_prefix('.') {
            let length = after.bytes().take_while(u8::is_ascii_digit).count();
            if length == 0 {
                return None;
            }
            let digits: String = after[..length]
                .chars()
                .chain("0000000".chars())
                .take(7)
                .collect();
            fraction = digits.parse().ok()?;
            rest = &after[length..];
        }
        let ticks = ticks_of(date, time, fraction).ok()?;
        match rest {
            "" => Some(Self {
                ticks,
                kind: DateTimeKind::Unspecified,
            }),
            "Z" => Some(Self {
                ticks,
                kind: DateTimeKind::Utc,
            }),
            offset => {
                let minutes = offset_minutes(offset)?;
                Self::checked(
                    ticks.checked_sub(minutes * 60 * TICKS_PER_SECOND),
                    DateTimeKind::Local,
                )
                .ok()
            }
        }
    }
}

/// The minutes of `+02:00`.
pub(crate) fn offset_minutes(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let hours: u8 = hours.parse().ok()?;
    let minutes: u8 = minutes.parse().ok()?;
    (hours <= 14 && minutes < 60).then(|| sign * (i64::from(hours) * 60 + i64::from(minutes)))
}
