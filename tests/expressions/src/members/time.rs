//! `DateTime` and `TimeSpan`.

use super::object::enumerated;
use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{Call, day_of_week, format_date, format_value, parse_date};
use crate::value::{
    DateTime, DateTimeKind, MAX_TICKS, Parts, TICKS_PER_DAY, TICKS_PER_SECOND, TimeSpan, Value,
    ticks_of,
};

pub(super) const TABLES: &[Table] = &[
    DATE_TIME,
    TIME_SPAN,
    Table {
        name: "DateTimeKind",
        namespace: "System",
        kind: TableKind::Enumeration,
        values: &["Unspecified", "Utc", "Local"],
        ..Table::CLASS
    },
    Table {
        name: "DayOfWeek",
        namespace: "System",
        kind: TableKind::Enumeration,
        values: &[
            "Sunday",
            "Monday",
            "Tuesday",
            "Wednesday",
            "Thursday",
            "Friday",
            "Saturday",
        ],
        ..Table::CLASS
    },
];

macro_rules! add {
    ($name:literal, $unit:expr) => {
        Member(concat!("DateTime ", $name, "(double count)"), |_, a| {
            let time = this(a)?;
            let span = TimeSpan::of(a.double(1)?, $unit)?;
            DateTime::checked(time.ticks.checked_add(span.ticks), time.kind).map(Value::DateTime)
        })
    };
}

macro_rules! of_time {
    ($name:literal, $part:expr) => {
        Member(concat!("int ", $name), |_, a| {
            let part: fn(&Parts) -> i64 = $part;
            let value = part(&Parts::of(this(a)?.ticks));
            Ok(Value::int(i32::try_from(value).unwrap_or_default()))
        })
    };
}

const DATE_TIME: Table = Table {
    name: "DateTime",
    namespace: "System",
    kind: TableKind::Struct,
    members: &[
        Member("static DateTime UtcNow", |m, _| {
            Ok(Value::DateTime(DateTime::from_timestamp(m.context.now)))
        }),
        Member("static DateTime Now", |m, _| {
            let now = DateTime::from_timestamp(m.context.now);
            Ok(Value::DateTime(DateTime {
                kind: DateTimeKind::Local,
                ..now
            }))
        }),
        Member("static DateTime Today", |m, _| {
            let now = DateTime::from_timestamp(m.context.now).ticks;
            Ok(time(now - now % TICKS_PER_DAY, DateTimeKind::Local))
        }),
        Member("static DateTime MinValue", |_, _| {
            Ok(time(0, DateTimeKind::Unspecified))
        }),
        Member("static DateTime MaxValue", |_, _| {
            Ok(time(MAX_TICKS, DateTimeKind::Unspecified))
        }),
        Member("new(int year, int month, int day)", |_, a| {
            let ticks = ticks_of((a.int(0)?, a.int(1)?, a.int(2)?), (0, 0, 0), 0)?;
            Ok(time(ticks, DateTimeKind::Unspecified))
        }),
        Member(
            "new(int year, int month, int day, int hour, int minute, int second)",
            |_, a| Ok(time(from_parts(a)?, DateTimeKind::Unspecified)),
        ),
        Member(
            "new(int year, int month, int day, int hour, int minute, int second, DateTimeKind kind)",
            |_, a| Ok(time(from_parts(a)?, kind_of(a.member(6)))),
        ),
        Member("new(long ticks)", |_, a| {
            DateTime::checked(Some(a.int(0)?), DateTimeKind::Unspecified).map(Value::DateTime)
        }),
        Member("new(long ticks, DateTimeKind kind)", |_, a| {
            DateTime::checked(Some(a.int(0)?), kind_of(a.member(1))).map(Value::DateTime)
        }),
        Member("static DateTime Parse(string text)", |_, a| {
            parsed(&a.text(0)?).map(Value::DateTime)
        }),
        Member(
            "static bool TryParse(string text, out DateTime result)",
            |_, a| {
                let found = parsed(&a.text_or_empty(0)).map(Value::DateTime);
                a.set(
                    1,
                    found.clone().unwrap_or(time(0, DateTimeKind::Unspecified)),
                );
                Ok(found.is_ok().into())
            },
        ),
        Member("static bool IsLeapYear(int year)", |_, a| {
            let year = a.int(0)?;
            if !(1..=9999).contains(&year) {
                return Err(Fault::out_of_range("year"));
            }
            Ok(((year % 4 == 0 && year % 100 != 0) || year % 400 == 0).into())
        }),
        Member("static int DaysInMonth(int year, int month)", |_, a| {
            let (year, month) = (a.int(0)?, a.int(1)?);
            let (next, after) = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            let days = ticks_of((next, after, 1), (0, 0, 0), 0)?
                - ticks_of((year, month, 1), (0, 0, 0), 0)?;
            Ok(Value::int(
                i32::try_from(days / TICKS_PER_DAY).unwrap_or_default(),
            ))
        }),
        Member(
            "static DateTime SpecifyKind(DateTime value, DateTimeKind kind)",
            |_, a| Ok(time(this(a)?.ticks, kind_of(a.member(1)))),
        ),
        add!("AddDays", TICKS_PER_DAY),
        add!("AddHours", 3600 * TICKS_PER_SECOND),
        add!("AddMinutes", 60 * TICKS_PER_SECOND),
        add!("AddSeconds", TICKS_PER_SECOND),
        add!("AddMilliseconds", TICKS_PER_SECOND / 1000),
        Member("DateTime AddTicks(long count)", |_, a| {
            let time = this(a)?;
            DateTime::checked(time.ticks.checked_add(a.int(1)?), time.kind).map(Value::DateTime)
        }),
        Member("DateTime AddMonths(int count)", |_, a| {
            let time = this(a)?;
            DateTime::checked(Some(add_months(time.ticks, a.int(1)?)?), time.kind)
                .map(Value::DateTime)
        }),
        Member("DateTime AddYears(int count)", |_, a| {
            let time = this(a)?;
            DateTime::checked(
                Some(add_months(time.ticks, a.int(1)?.saturating_mul(12))?),
                time.kind,
            )
            .map(Value::DateTime)
        }),
        Member("DateTime Add(TimeSpan span)", |_, a| {
            let time = this(a)?;
            DateTime::checked(time.ticks.checked_add(span(a, 1)?.ticks), time.kind)
                .map(Value::DateTime)
        }),
        Member("DateTime Subtract(TimeSpan span)", |_, a| {
            let time = this(a)?;
            DateTime::checked(time.ticks.checked_sub(span(a, 1)?.ticks), time.kind)
                .map(Value::DateTime)
        }),
        Member("TimeSpan Subtract(DateTime other)", |_, a| {
            match a.value(1) {
                Value::DateTime(other) => Ok(Value::TimeSpan(TimeSpan {
                    ticks: this(a)?.ticks - other.ticks,
                })),
                _ => Err(Fault::null()),
            }
        }),
        Member("int CompareTo(DateTime other)", |_, a| match a.value(1) {
            Value::DateTime(other) => Ok(Value::int(this(a)?.ticks.cmp(&other.ticks) as i32)),
            _ => Err(Fault::null()),
        }),
        // The gateway's zone is UTC, so that only the kind changes.
        Member("DateTime ToUniversalTime()", |_, a| {
            Ok(time(this(a)?.ticks, DateTimeKind::Utc))
        }),
        Member("DateTime ToLocalTime()", |_, a| {
            Ok(time(this(a)?.ticks, DateTimeKind::Local))
        }),
        Member("DateTime Date", |_, a| {
            let now = this(a)?;
            Ok(time(now.ticks - now.ticks % TICKS_PER_DAY, now.kind))
        }),
        Member("TimeSpan TimeOfDay", |_, a| {
            Ok(Value::TimeSpan(TimeSpan {
                ticks: this(a)?.ticks % TICKS_PER_DAY,
            }))
        }),
        Member("long Ticks", |_, a| Ok(this(a)?.ticks.into())),
        Member("DateTimeKind Kind", |_, a| {
            Ok(enumerated(
                "DateTimeKind",
                match this(a)?.kind {
                    DateTimeKind::Utc => "Utc",
                    DateTimeKind::Local => "Local",
                    DateTimeKind::Unspecified => "Unspecified",
                },
            ))
        }),
        Member("DayOfWeek DayOfWeek", |_, a| {
            Ok(enumerated("DayOfWeek", day_of_week(this(a)?.ticks)))
        }),
        of_time!("Year", |parts| parts.date.year().into()),
        of_time!("Month", |parts| parts.date.month().into()),
        of_time!("Day", |parts| parts.date.day().into()),
        of_time!("DayOfYear", |parts| parts.date.day_of_year().into()),
        of_time!("Hour", |parts| parts.hour),
        of_time!("Minute", |parts| parts.minute),
        of_time!("Second", |parts| parts.second),
        of_time!("Millisecond", |parts| parts.fraction / 10_000),
        Member("string ToString(string format)", |m, a| {
            let time = this(a)?;
            let text = format_date(time.ticks, Some(time.kind), 0, &a.text_or_empty(1))?;
            m.text(text)
        }),
    ],
    ..Table::CLASS
};

fn time(ticks: i64, kind: DateTimeKind) -> Value {
    Value::DateTime(DateTime { ticks, kind })
}

fn kind_of(name: &str) -> DateTimeKind {
    match name {
        "Utc" => DateTimeKind::Utc,
        "Local" => DateTimeKind::Local,
        _ => DateTimeKind::Unspecified,
    }
}

fn this(call: &Call<'_>) -> Result<DateTime, Fault> {
    match call.value(0) {
        Value::DateTime(time) => Ok(time),
        _ => Err(Fault::null()),
    }
}

pub(super) fn span(call: &Call<'_>, index: usize) -> Result<TimeSpan, Fault> {
    match call.value(index) {
        Value::TimeSpan(span) => Ok(span),
        _ => Err(Fault::null()),
    }
}

fn from_parts(call: &Call<'_>) -> Result<i64, Fault> {
    let date = (call.int(0)?, call.int(1)?, call.int(2)?);
    ticks_of(date, (call.int(3)?, call.int(4)?, call.int(5)?), 0)
}

/// The same day of another month, or that month's last.
pub(super) fn add_months(ticks: i64, months: i64) -> Result<i64, Fault> {
    let parts = Parts::of(ticks);
    let (year, month, day) = parts.ymd();
    let index = (i64::from(year) * 12 + i64::from(month) - 1)
        .checked_add(months)
        .ok_or_else(|| Fault::out_of_range("months"))?;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    let mut found = Err(Fault::out_of_range("months"));
    for day in (1..=i64::from(day)).rev().take(4) {
        found = ticks_of((year, month, day), (0, 0, 0), 0);
        if found.is_ok() {
            break;
        }
    }
    Ok(found.map_err(|_| Fault::out_of_range("months"))? + ticks % TICKS_PER_DAY)
}

/// `DateTime.Parse`: a text with an offset becomes local time, which is UTC.
pub(super) fn parsed(text: &str) -> Result<DateTime, Fault> {
    let (time, offset) = parse_date(text)?;
    match offset {
        None => Ok(time),
        Some(minutes) => DateTime::checked(
            time.ticks.checked_sub(minutes * 60 * TICKS_PER_SECOND),
            DateTimeKind::Local,
        ),
    }
}

macro_rules! from_count {
    ($name:literal, $unit:expr) => {
        Member(
            concat!("static TimeSpan ", $name, "(double count)"),
            |_, a| TimeSpan::of(a.double(0)?, $unit).map(Value::TimeSpan),
        )
    };
}

macro_rules! total {
    ($name:literal, $unit:expr) => {
        Member(concat!("double ", $name), |_, a| {
            #[allow(clippy::cast_precision_loss, reason = "as .NET does")]
            let total = span(a, 0)?.ticks as f64 / $unit as f64;
            Ok(total.into())
        })
    };
}

macro_rules! part {
    ($name:literal, $unit:expr, $modulo:expr) => {
        Member(concat!("int ", $name), |_, a| {
            let part = span(a, 0)?.ticks / $unit % $modulo;
            Ok(Value::int(i32::try_from(part).unwrap_or_default()))
        })
    };
}

const TIME_SPAN: Table = Table {
    name: "TimeSpan",
    namespace: "System",
    kind: TableKind::Struct,
    members: &[
        from_count!("FromDays", TICKS_PER_DAY),
        from_count!("FromHours", 3600 * TICKS_PER_SECOND),
        from_count!("FromMinutes", 60 * TICKS_PER_SECOND),
        from_count!("FromSeconds", TICKS_PER_SECOND),
        from_count!("FromMilliseconds", TICKS_PER_SECOND / 1000),
        Member("static TimeSpan FromTicks(long ticks)", |_, a| {
            Ok(Value::TimeSpan(TimeSpan { ticks: a.int(0)? }))
        }),
        Member("static TimeSpan Zero", |_, _| {
            Ok(Value::TimeSpan(TimeSpan { ticks: 0 }))
        }),
        Member("new(int hours, int minutes, int seconds)", |_, a| {
            let seconds = a.int(0)? * 3600 + a.int(1)? * 60 + a.int(2)?;
            Ok(Value::TimeSpan(TimeSpan {
                ticks: seconds
                    .checked_mul(TICKS_PER_SECOND)
                    .ok_or_else(TimeSpan::too_long)?,
            }))
        }),
        Member(
            "new(int days, int hours, int minutes, int seconds)",
            |_, a| {
                let seconds = a.int(0)? * 86_400 + a.int(1)? * 3600 + a.int(2)? * 60 + a.int(3)?;
                Ok(Value::TimeSpan(TimeSpan {
                    ticks: seconds
                        .checked_mul(TICKS_PER_SECOND)
                        .ok_or_else(TimeSpan::too_long)?,
                }))
            },
        ),
        Member("new(long ticks)", |_, a| {
            Ok(Value::TimeSpan(TimeSpan { ticks: a.int(0)? }))
        }),
        total!("TotalDays", TICKS_PER_DAY),
        total!("TotalHours", (3600 * TICKS_PER_SECOND)),
        total!("TotalMinutes", (60 * TICKS_PER_SECOND)),
        total!("TotalSeconds", TICKS_PER_SECOND),
        total!("TotalMilliseconds", (TICKS_PER_SECOND / 1000)),
        part!("Days", TICKS_PER_DAY, i64::MAX),
        part!("Hours", (3600 * TICKS_PER_SECOND), 24),
        part!("Minutes", (60 * TICKS_PER_SECOND), 60),
        part!("Seconds", TICKS_PER_SECOND, 60),
        part!("Milliseconds", (TICKS_PER_SECOND / 1000), 1000),
        Member("long Ticks", |_, a| Ok(span(a, 0)?.ticks.into())),
        Member("TimeSpan Add(TimeSpan other)", |_, a| {
            let ticks = span(a, 0)?
                .ticks
                .checked_add(span(a, 1)?.ticks)
                .ok_or_else(TimeSpan::too_long)?;
            Ok(Value::TimeSpan(TimeSpan { ticks }))
        }),
        Member("TimeSpan Subtract(TimeSpan other)", |_, a| {
            let ticks = span(a, 0)?
                .ticks
                .checked_sub(span(a, 1)?.ticks)
                .ok_or_else(TimeSpan::too_long)?;
            Ok(Value::TimeSpan(TimeSpan { ticks }))
        }),
        Member("TimeSpan Duration()", |_, a| {
            Ok(Value::TimeSpan(TimeSpan {
                ticks: span(a, 0)?
                    .ticks
                    .checked_abs()
                    .ok_or_else(TimeSpan::too_long)?,
            }))
        }),
        Member("string ToString(string format)", |m, a| {
            let text = format_value(&a.value(0), &a.text_or_empty(1))?;
            m.text(text)
        }),
    ],
    ..Table::CLASS
};
