//! `Math`, `Random`, `BitConverter`.

use parking_lot::Mutex;

use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{Call, split_mix};
use crate::value::{Kind, Number, Object, Value};

pub(super) const TABLES: &[Table] = &[
    MATH,
    RANDOM,
    BITS,
    Table {
        name: "MidpointRounding",
        namespace: "System",
        kind: TableKind::Enumeration,
        values: &["ToEven", "AwayFromZero"],
        ..Table::CLASS
    },
];

macro_rules! of_double {
    ($name:literal, $function:expr) => {
        Member(
            concat!("static double ", $name, "(double value)"),
            |_, a| {
                let function: fn(f64) -> f64 = $function;
                Ok(function(a.double(0)?).into())
            },
        )
    };
}

macro_rules! extreme {
    ($name:literal, $kind:literal, $wanted:expr) => {
        Member(
            concat!(
                "static ", $kind, " ", $name, "(", $kind, " a, ", $kind, " b)"
            ),
            |_, a| match (a.value(0), a.value(1)) {
                (Value::Number(x), Value::Number(y)) => {
                    Ok(Value::Number(if x.compare(y) == Some($wanted) {
                        x
                    } else {
                        y
                    }))
                }
                _ => Err(Fault::null()),
            },
        )
    };
}

macro_rules! absolute {
    ($kind:literal) => {
        Member(concat!("static ", $kind, " Abs(", $kind, " value)"), |_, a| match a.value(0) {
            Value::Number(Number::Double(n)) => Ok(n.abs().into()),
            Value::Number(Number::Decimal(n)) => Ok(Value::Number(Number::Decimal(n.abs()))),
            Value::Number(number) => {
                let value = number.as_integer().unwrap_or_default().abs();
                Number::checked(value, number.kind()).map(Value::Number).map_err(|_| {
                    Fault::new("OverflowException", "Negating the minimum value of a twos complement number is invalid.")
                })
            }
            _ => Err(Fault::null()),
        })
    };
}

use std::cmp::Ordering::{Greater, Less};

const MATH: Table = Table {
    name: "Math",
    namespace: "System",
    members: &[
        extreme!("Max", "int", Greater),
        extreme!("Max", "long", Greater),
        extreme!("Max", "double", Greater),
        extreme!("Max", "decimal", Greater),
        extreme!("Min", "int", Less),
        extreme!("Min", "long", Less),
        extreme!("Min", "double", Less),
        extreme!("Min", "decimal", Less),
        absolute!("int"),
        absolute!("long"),
        absolute!("double"),
        absolute!("decimal"),
        of_double!("Floor", f64::floor),
        of_double!("Ceiling", f64::ceil),
        of_double!("Truncate", f64::trunc),
        of_double!("Round", f64::round_ties_even),
        of_double!("Sqrt", f64::sqrt),
        of_double!("Exp", f64::exp),
        of_double!("Log", f64::ln),
        of_double!("Log10", f64::log10),
        Member("static double Pow(double x, double y)", |_, a| {
            Ok(a.double(0)?.powf(a.double(1)?).into())
        }),
        Member("static double Round(double value, int digits)", |_, a| {
            let digits = a.count(1, "digits")?;
            if digits > 15 {
                return Err(Fault::out_of_range("digits"));
            }
            let power = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
            let value = a.double(0)?;
            Ok(if value.abs() < 1e16 {
                (value * power).round_ties_even() / power
            } else {
                value
            }
            .into())
        }),
        Member(
            "static double Round(double value, MidpointRounding mode)",
            |_, a| {
                let value = a.double(0)?;
                Ok(if a.member(1) == "AwayFromZero" {
                    value.round()
                } else {
                    value.round_ties_even()
                }
                .into())
            },
        ),
        Member("static int Sign(double value)", |_, a| {
            let value = a.double(0)?;
            Ok(Value::int(i32::from(value > 0.0) - i32::from(value < 0.0)))
        }),
        Member("static double PI", |_, _| Ok(std::f64::consts::PI.into())),
        Member("static double E", |_, _| Ok(std::f64::consts::E.into())),
    ],
    ..Table::CLASS
};

const RANDOM: Table = Table {
    name: "Random",
    namespace: "System",
    members: &[
        Member("new()", |m, _| {
            let seed = m.random();
            Ok(Value::object(Object::Random(Mutex::new(seed))))
        }),
        // The same seed gives the same numbers, though not those of .NET.
        Member("new(int seed)", |_, a| {
            let seed = a.int(0)?.cast_unsigned();
            Ok(Value::object(Object::Random(Mutex::new(seed))))
        }),
        Member("int Next()", |_, a| next(a, 0, i64::from(i32::MAX))),
        Member("int Next(int below)", |_, a| next(a, 0, a.int(1)?)),
        Member("int Next(int from, int below)", |_, a| {
            next(a, a.int(1)?, a.int(2)?)
        }),
        Member("double NextDouble()", |_, a| {
            #[allow(clippy::cast_precision_loss, reason = "53 bits")]
            let value = (bits(a)? >> 11) as f64 / (1_u64 << 53) as f64;
            Ok(value.into())
        }),
        Member("void NextBytes(byte[] buffer)", |m, a| {
            if let Value::Bytes(bytes) = a.value(1) {
                let mut bytes = bytes.lock();
                m.charge(bytes.len())?;
                for byte in bytes.iter_mut() {
                    *byte = bits(a)?.to_le_bytes()[0];
                }
            }
            Ok(Value::Null)
        }),
    ],
    ..Table::CLASS
};

fn bits(call: &Call<'_>) -> Result<u64, Fault> {
    match &*call.object(0)? {
        Object::Random(state) => Ok(split_mix(&mut state.lock())),
        _ => Err(Fault::null()),
    }
}

fn next(call: &Call<'_>, from: i64, below: i64) -> Result<Value, Fault> {
    if from > below {
        return Err(Fault::out_of_range("maxValue"));
    }
    let width = (below - from).cast_unsigned().max(1);
    let value = from + (bits(call)? % width).cast_signed();
    Ok(Value::int(i32::try_from(value).unwrap_or(i32::MAX)))
}

const BITS: Table = Table {
    name: "BitConverter",
    namespace: "System",
    members: &[
        Member("static int ToInt32(byte[] bytes, int start)", |_, a| {
            taken(a).map(|bytes| Value::int(i32::from_le_bytes(bytes)))
        }),
        Member("static uint ToUInt32(byte[] bytes, int start)", |_, a| {
            taken(a).map(|bytes| Value::Number(Number::UInt(u32::from_le_bytes(bytes))))
        }),
        Member("static long ToInt64(byte[] bytes, int start)", |_, a| {
            taken(a).map(|bytes| i64::from_le_bytes(bytes).into())
        }),
        Member("static short ToInt16(byte[] bytes, int start)", |_, a| {
            taken(a).map(|bytes| Value::Number(Number::Short(i16::from_le_bytes(bytes))))
        }),
        Member("static byte[] GetBytes(int value)", |m, a| {
            let Value::Number(number) = a.value(0) else {
                return Err(Fault::null());
            };
            match number.cast(Kind::Int)? {
                Number::Int(n) => m.bytes(n.to_le_bytes().to_vec()),
                _ => Err(Fault::null()),
            }
        }),
        Member("static byte[] GetBytes(long value)", |m, a| {
            m.bytes(a.int(0)?.to_le_bytes().to_vec())
        }),
        Member("static string ToString(byte[] bytes)", |m, a| {
            let pairs: Vec<String> = a
                .bytes(0)?
                .iter()
                .map(|byte| format!("{byte:02X}"))
                .collect();
            m.text(pairs.join("-"))
        }),
        Member("static bool IsLittleEndian", |_, _| Ok(true.into())),
    ],
    ..Table::CLASS
};

fn taken<const N: usize>(call: &Call<'_>) -> Result<[u8; N], Fault> {
    let bytes = call.bytes(0)?;
    let start = call.count(1, "startIndex")?;
    bytes
        .get(start..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .ok_or_else(|| Fault::argument("Destination array is not long enough to copy all the items in the collection. Check array index and length."))
}
