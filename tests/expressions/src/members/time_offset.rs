//! `DateTimeOffset`.

use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{Call, format_date, parse_date};
use crate::value::{
    DateTime, DateTimeKind, DateTimeOffset, Parts, TICKS_PER_DAY, TICKS_PER_SECOND, TimeSpan,
    UNIX_EPOCH, Value,
};

macro_rules! add {
    ($name:literal, $unit:expr) => {
        Member(
            concat!("DateTimeOffset ", $name, "(double count)"),
            |_, a| {
                let time = this(a)?;
                let span = TimeSpan::of(a.double(1)?, $unit)?;
                moved(time, time.ticks.checked_add(span.ticks))
            },
        )
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

pub(super) const TABLES: &[Table] = &[Table {
    name: "DateTimeOffset",
    namespace: "System",
    kind: TableKind::Struct,
    members: &[
        Member("static DateTimeOffset UtcNow", |m, _| {
            Ok(Value::DateTimeOffset(DateTimeOffset::from_timestamp(
                m.context.now,
            )))
        }),
        Member("static DateTimeOffset Now", |m, _| {
            Ok(Value::DateTimeOffset(DateTimeOffset::from_timestamp(
                m.context.now,
            )))
        }),
        Member(
            "static DateTimeOffset FromUnixTimeSeconds(long seconds)",
            |_, a| unix(a.int(0)?.checked_mul(TICKS_PER_SECOND)),
        ),
        Member(
            "static DateTimeOffset FromUnixTimeMilliseconds(long milliseconds)",
            |_, a| unix(a.int(0)?.checked_mul(TICKS_PER_SECOND / 1000)),
        ),
        Member("new(DateTime time)", |_, a| match a.value(0) {
            Value::DateTime(time) => Ok(Value::DateTimeOffset(DateTimeOffset {
                ticks: time.ticks,
                offset_minutes: 0,
            })),
            _ => Err(Fault::null()),
        }),
        Member("static DateTimeOffset Parse(string text)", |_, a| {
            parsed(&a.text(0)?)
        }),
        Member(
            "static bool TryParse(string text, out DateTimeOffset result)",
            |_, a| {
                let found = parsed(&a.text_or_empty(0));
                let none = Value::DateTimeOffset(DateTimeOffset {
                    ticks: 0,
                    offset_minutes: 0,
                });
                a.set(1, found.clone().unwrap_or(none));
                Ok(found.is_ok().into())
            },
        ),
        Member("long ToUnixTimeSeconds()", |_, a| {
            Ok((this(a)?.utc_ticks() - UNIX_EPOCH)
                .div_euclid(TICKS_PER_SECOND)
                .into())
        }),
        Member("long ToUnixTimeMilliseconds()", |_, a| {
            Ok((this(a)?.utc_ticks() - UNIX_EPOCH)
                .div_euclid(TICKS_PER_SECOND / 1000)
                .into())
        }),
        add!("AddDays", TICKS_PER_DAY),
        add!("AddHours", 3600 * TICKS_PER_SECOND),
        add!("AddMinutes", 60 * TICKS_PER_SECOND),
        add!("AddSeconds", TICKS_PER_SECOND),
        add!("AddMilliseconds", TICKS_PER_SECOND / 1000),
        Member("DateTimeOffset AddMonths(int count)", |_, a| {
            let time = this(a)?;
            moved(time, Some(super::time::add_months(time.ticks, a.int(1)?)?))
        }),
        Member("DateTimeOffset Add(TimeSpan span)", |_, a| {
            let time = this(a)?;
            moved(time, time.ticks.checked_add(super::time::span(a, 1)?.ticks))
        }),
        Member("TimeSpan Subtract(DateTimeOffset other)", |_, a| {
            match a.value(1) {
                Value::DateTimeOffset(other) => Ok(Value::TimeSpan(TimeSpan {
                    ticks: this(a)?.utc_ticks() - other.utc_ticks(),
                })),
                _ => Err(Fault::null()),
            }
        }),
        Member("DateTime UtcDateTime", |_, a| {
            Ok(Value::DateTime(DateTime {
                ticks: this(a)?.utc_ticks(),
                kind: DateTimeKind::Utc,
            }))
        }),
        Member("DateTime DateTime", |_, a| {
            Ok(Value::DateTime(DateTime {
                ticks: this(a)?.ticks,
                kind: DateTimeKind::Unspecified,
            }))
        }),
        Member("DateTime LocalDateTime", |_, a| {
            Ok(Value::DateTime(DateTime {
                ticks: this(a)?.utc_ticks(),
                kind: DateTimeKind::Local,
            }))
        }),
        Member("DateTime Date", |_, a| {
            let ticks = this(a)?.ticks;
            Ok(Value::DateTime(DateTime {
                ticks: ticks - ticks % TICKS_PER_DAY,
                kind: DateTimeKind::Unspecified,
            }))
        }),
        Member("TimeSpan Offset", |_, a| {
            Ok(Value::TimeSpan(TimeSpan {
                ticks: i64::from(this(a)?.offset_minutes) * 60 * TICKS_PER_SECOND,
            }))
        }),
        Member("DateTimeOffset ToUniversalTime()", |_, a| {
            Ok(Value::DateTimeOffset(DateTimeOffset {
                ticks: this(a)?.utc_ticks(),
                offset_minutes: 0,
            }))
        }),
        Member("long Ticks", |_, a| Ok(this(a)?.ticks.into())),
        of_time!("Year", |parts| parts.date.year().into()),
        of_time!("Month", |parts| parts.date.month().into()),
        of_time!("Day", |parts| parts.date.day().into()),
        of_time!("Hour", |parts| parts.hour),
        of_time!("Minute", |parts| parts.minute),
        of_time!("Second", |parts| parts.second),
        of_time!("Millisecond", |parts| parts.fraction / 10_000),
        Member("string ToString(string format)", |m, a| {
            let time = this(a)?;
            let text = format_date(time.ticks, None, time.offset_minutes, &a.text_or_empty(1))?;
            m.text(text)
        }),
    ],
    ..Table::CLASS
}];

fn this(call: &Call<'_>) -> Result<DateTimeOffset, Fault> {
    match call.value(0) {
        Value::DateTimeOffset(time) => Ok(time),
        _ => Err(Fault::null()),
    }
}

fn moved(time: DateTimeOffset, ticks: Option<i64>) -> Result<Value, Fault> {
    DateTimeOffset::checked(ticks, time.offset_minutes).map(Value::DateTimeOffset)
}

fn unix(ticks: Option<i64>) -> Result<Value, Fault> {
    let ticks = ticks.and_then(|ticks| ticks.checked_add(UNIX_EPOCH));
    DateTimeOffset::checked(ticks, 0).map(Value::DateTimeOffset)
}

fn parsed(text: &str) -> Result<Value, Fault> {
    let (time, offset) = parse_date(text)?;
    DateTimeOffset::checked(
        Some(time.ticks),
        i16::try_from(offset.unwrap_or(0)).unwrap_or(0),
    )
    .map(Value::DateTimeOffset)
}
