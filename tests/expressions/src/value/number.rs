//! C#'s numeric types: arithmetic without checks for overflow, conversions,
//! and their text.

use std::fmt;

use rust_decimal::Decimal;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};

use crate::error::Fault;

/// A number of one of C#'s numeric types.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Number {
    /// `sbyte`.
    SByte(i8),
    /// `byte`.
    Byte(u8),
    /// `short`.
    Short(i16),
    /// `ushort`.
    UShort(u16),
    /// `int`.
    Int(i32),
    /// `uint`.
    UInt(u32),
    /// `long`.
    Long(i64),
    /// `ulong`.
    ULong(u64),
    /// `float`.
    Float(f32),
    /// `double`.
    Double(f64),
    /// `decimal`.
    Decimal(Decimal),
}

/// Which numeric type, in the order in which they are promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    SByte,
    Byte,
    Short,
    UShort,
    Int,
    UInt,
    Long,
    ULong,
    Float,
    Double,
    Decimal,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SByte => "sbyte",
            Self::Byte => "byte",
            Self::Short => "short",
            Self::UShort => "ushort",
            Self::Int => "int",
            Self::UInt => "uint",
            Self::Long => "long",
            Self::ULong => "ulong",
            Self::Float => "float",
            Self::Double => "double",
            Self::Decimal => "decimal",
        }
    }

    pub(crate) fn clr_name(self) -> &'static str {
        match self {
            Self::SByte => "System.SByte",
            Self::Byte => "System.Byte",
            Self::Short => "System.Int16",
            Self::UShort => "System.UInt16",
            Self::Int => "System.Int32",
            Self::UInt => "System.UInt32",
            Self::Long => "System.Int64",
            Self::ULong => "System.UInt64",
            Self::Float => "System.Single",
            Self::Double => "System.Double",
            Self::Decimal => "System.Decimal",
        }
    }

    pub(crate) fn is_integral(self) -> bool {
        self <= Self::ULong
    }

    /// The least and greatest value of an integral type.
    pub(crate) fn range(self) -> (i128, i128) {
        match self {
            Self::SByte => (i8::MIN.into(), i8::MAX.into()),
            Self::Byte => (0, u8::MAX.into()),
            Self::Short => (i16::MIN.into(), i16::MAX.into()),
            Self::UShort => (0, u16::MAX.into()),
            Self::Int => (i32::MIN.into(), i32::MAX.into()),
            Self::UInt => (0, u32::MAX.into()),
            Self::Long => (i64::MIN.into(), i64::MAX.into()),
            _ => (0, u64::MAX.into()),
        }
    }

    /// Whether C# converts implicitly from this type to another.
    pub(crate) fn widens_to(self, to: Self) -> bool {
        use Kind::{Byte, Decimal, Double, Float, Int, Long, SByte, Short, UInt, ULong, UShort};
        if self == to {
            return true;
        }
        match self {
            SByte => matches!(to, Short | Int | Long | Float | Double | Decimal),
            Byte => !matches!(to, SByte),
            Short => matches!(to, Int | Long | Float | Double | Decimal),
            UShort => matches!(to, Int | UInt | Long | ULong | Float | Double | Decimal),
            Int => matches!(to, Long | Float | Double | Decimal),
            UInt => matches!(to, Long | ULong | Float | Double | Decimal),
            Long | ULong => matches!(to, Float | Double | Decimal),
            Float => to == Double,
            Double | Decimal => false,
        }
    }

    /// The type in which two operands meet; `None` where C# has none.
    pub(crate) fn promoted(self, other: Self) -> Option<Self> {
        use Kind::{Decimal, Double, Float, Int, Long, SByte, Short, UInt, ULong};
        let either = |kind| self == kind || other == kind;
        if either(Decimal) {
            return (!either(Float) && !either(Double)).then_some(Decimal);
        }
        for kind in [Double, Float] {
            if either(kind) {
                return Some(kind);
            }
        }
        let signed = |kind| matches!(kind, SByte | Short | Int | Long);
        if either(ULong) {
            return (!signed(self) && !signed(other)).then_some(ULong);
        }
        if either(Long) {
            return Some(Long);
        }
        if either(UInt) {
            return Some(if signed(self) || signed(other) {
                Long
            } else {
                UInt
            });
        }
        Some(Int)
    }
}

/// The operators of arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    And,
    Or,
    Xor,
}

impl Number {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::SByte(_) => Kind::SByte,
            Self::Byte(_) => Kind::Byte,
            Self::Short(_) => Kind::Short,
            Self::UShort(_) => Kind::UShort,
            Self::Int(_) => Kind::Int,
            Self::UInt(_) => Kind::UInt,
            Self::Long(_) => Kind::Long,
            Self::ULong(_) => Kind::ULong,
            Self::Float(_) => Kind::Float,
            Self::Double(_) => Kind::Double,
            Self::Decimal(_) => Kind::Decimal,
        }
    }

    pub(crate) fn as_integer(self) -> Option<i128> {
        Some(match self {
            Self::SByte(n) => n.into(),
            Self::Byte(n) => n.into(),
            Self::Short(n) => n.into(),
            Self::UShort(n) => n.into(),
            Self::Int(n) => n.into(),
            Self::UInt(n) => n.into(),
            Self::Long(n) => n.into(),
            Self::ULong(n) => n.into(),
            Self::Float(_) | Self::Double(_) | Self::Decimal(_) => return None,
        })
    }

    /// The nearest `double`.
    #[allow(clippy::cast_precision_loss, reason = "C# rounds here as well")]
    pub(crate) fn as_double(self) -> f64 {
        match self {
            Self::Float(n) => n.into(),
            Self::Double(n) => n,
            Self::Decimal(n) => n.to_f64().unwrap_or(f64::NAN),
            other => other.as_integer().unwrap_or_default() as f64,
        }
    }

    pub(crate) fn as_decimal(self) -> Result<Decimal, Fault> {
        let number = match self {
            Self::Decimal(n) => Some(n),
            Self::Float(n) => Decimal::from_f32(n),
            Self::Double(n) => Decimal::from_f64(n),
            other => other.as_integer().and_then(Decimal::from_i128),
        };
        number.ok_or_else(|| {
            Fault::new(
                "OverflowException",
                "Value was either too large or too small for a Decimal.",
            )
        })
    }

    /// An integer cut to a type's width.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an unchecked conversion of C#"
    )]
    pub(crate) fn wrapped(value: i128, kind: Kind) -> Self {
        match kind {
            Kind::SByte => Self::SByte(value as i8),
            Kind::Byte => Self::Byte(value as u8),
            Kind::Short => Self::Short(value as i16),
            Kind::UShort => Self::UShort(value as u16),
            Kind::Int => Self::Int(value as i32),
            Kind::UInt => Self::UInt(value as u32),
            Kind::Long => Self::Long(value as i64),
            Kind::ULong => Self::ULong(value as u64),
            Kind::Float => Self::Float(value as f32),
            Kind::Double => Self::Double(value as f64),
            Kind::Decimal => Self::Decimal(Decimal::from_i128(value).unwrap_or_default()),
        }
    }

    /// An explicit conversion, unchecked for integers as C#'s default is.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "an unchecked conversion of C#"
    )]
    pub(crate) fn cast(self, to: Kind) -> Result<Self, Fault> {
        if self.kind() == to {
            return Ok(self);
        }
        Ok(match (self, to) {
            (_, Kind::Decimal) => Self::Decimal(self.as_decimal()?),
            (Self::Decimal(n), _) if to.is_integral() => {
                let whole = n.trunc().to_i128().unwrap_or(i128::MAX);
                return Self::checked(whole, to);
            }
            (_, Kind::Double) => Self::Double(self.as_double()),
            (Self::Double(n), Kind::Float) => Self::Float(n as f32),
            (Self::Decimal(n), Kind::Float) => Self::Float(n.to_f32().unwrap_or(f32::NAN)),
            (Self::Float(_) | Self::Double(_), _) => {
                // What is out of range is unspecified in C#; the processors that
                // gateways run on give the least value of int or long.
                let n = self.as_double().trunc();
                let (wide_low, wide_high) = if to == Kind::ULong {
                    Kind::ULong.range()
                } else {
                    Kind::Long.range()
                };
                if n.is_nan() || n < wide_low as f64 || n >= wide_high as f64 {
                    let least = match to {
                        Kind::Long => i64::MIN.into(),
                        Kind::ULong => i128::from(1_u64 << 63),
                        _ => 0,
                    };
                    let least = if to == Kind::Int {
                        i32::MIN.into()
                    } else {
                        least
                    };
                    return Ok(Self::wrapped(least, to));
                }
                if to == Kind::Int && (n < f64::from(i32::MIN) || n > f64::from(i32::MAX)) {
                    return Ok(Self::Int(i32::MIN));
                }
                Self::wrapped(n as i128, to)
            }
            (other, _) => Self::wrapped(other.as_integer().unwrap_or_default(), to),
        })
    }

    /// An integer as a type, or `OverflowException`.
    pub(crate) fn checked(value: i128, kind: Kind) -> Result<Self, Fault> {
        let (least, greatest) = kind.range();
        if (least..=greatest).contains(&value) {
            Ok(Self::wrapped(value, kind))
        } else {
            Err(overflow(kind))
        }
    }

    /// `self op other`, both of the same type.
    pub(crate) fn arithmetic(self, op: Arithmetic, other: Self) -> Result<Self, Fault> {
        match (self, other) {
            (Self::Double(a), Self::Double(b)) => Ok(Self::Double(float(op, a, b))),
            #[allow(clippy::cast_possible_truncation, reason = "float arithmetic")]
            (Self::Float(a), Self::Float(b)) => {
                Ok(Self::Float(float(op, a.into(), b.into()) as f32))
            }
            (Self::Decimal(a), Self::Decimal(b)) => decimal(op, a, b).map(Self::Decimal),
            _ => {
                let kind = self.kind();
                let (Some(a), Some(b)) = (self.as_integer(), other.as_integer()) else {
                    return Err(Fault::cast(kind.clr_name(), other.kind().clr_name()));
                };
                let result = match op {
                    Arithmetic::Add => a + b,
                    Arithmetic::Subtract => a - b,
                    Arithmetic::Multiply => a.wrapping_mul(b),
                    Arithmetic::Divide | Arithmetic::Remainder if b == 0 => {
                        return Err(divided_by_zero());
                    }
                    Arithmetic::Divide => return Self::divided(a / b, kind),
                    Arithmetic::Remainder => a % b,
                    Arithmetic::And => a & b,
                    Arithmetic::Or => a | b,
                    Arithmetic::Xor => a ^ b,
                };
                Ok(Self::wrapped(result, kind))
            }
        }
    }

    /// Only `MinValue / -1` is out of range, and that is an exception.
    fn divided(value: i128, kind: Kind) -> Result<Self, Fault> {
        Self::checked(value, kind).map_err(|_| {
            Fault::new(
                "OverflowException",
                "Arithmetic operation resulted in an overflow.",
            )
        })
    }

    /// How two numbers of one type compare; `None` where one is not a number.
    pub(crate) fn compare(self, other: Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Decimal(a), Self::Decimal(b)) => Some(a.cmp(&b)),
            _ => match (self.as_integer(), other.as_integer()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => self.as_double().partial_cmp(&other.as_double()),
            },
        }
    }
}

pub(crate) fn overflow(kind: Kind) -> Fault {
    let name = kind.clr_name().trim_start_matches("System.");
    Fault::new(
        "OverflowException",
        format!("Value was either too large or too small for {name}."),
    )
}

fn divided_by_zero() -> Fault {
    Fault::new("DivideByZeroException", "Attempted to divide by zero.")
}

fn float(op: Arithmetic, a: f64, b: f64) -> f64 {
    match op {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::Remainder => a % b,
        // The checker lets no bit operation on a fraction through.
        Arithmetic::And | Arithmetic::Or | Arithmetic::Xor => f64::NAN,
    }
}

fn decimal(op: Arithmetic, a: Decimal, b: Decimal) -> Result<Decimal, Fault> {
    let result = match op {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide | Arithmetic::Remainder if b.is_zero() => return Err(divided_by_zero()),
        Arithmetic::Divide => a.checked_div(b),
        Arithmetic::Remainder => a.checked_rem(b),
        Arithmetic::And | Arithmetic::Or | Arithmetic::Xor => None,
    };
    result.ok_or_else(|| overflow(Kind::Decimal))
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Double(n) => f.write_str(&round_trip(*n, format!("{n:e}"), 15)),
            Self::Float(n) => f.write_str(&round_trip((*n).into(), format!("{n:e}"), 7)),
            Self::Decimal(n) => n.fmt(f),
            other => other.as_integer().unwrap_or_default().fmt(f),
        }
    }
}

/// The shortest digits that give the same number again, as .NET writes them:
/// `1E+16`, `1E-05`, and plain digits between.
fn round_trip(n: f64, shortest: String, precision: usize) -> String {
    if n.is_nan() {
        return "NaN".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return shortest;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let places = i32::try_from(digits.len().max(precision)).unwrap_or(i32::MAX);
    if (-4..places).contains(&exponent) {
        let body = place_point(&digits, exponent);
        return format!("{sign}{body}");
    }
    let (first, rest) = digits.split_at(1);
    let fraction = if rest.is_empty() {
        String::new()
    } else {
        format!(".{rest}")
    };
    let mark = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{fraction}E{mark}{:02}", exponent.abs())
}

/// Digits with a decimal point so that the first one counts `10^exponent`.
fn place_point(digits: &str, exponent: i32) -> String {
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return format!(
            "0.{}{digits}",
            "0".repeat(exponent.unsigned_abs() as usize - 1)
        );
    };
    if whole == 0 {
        return format!("0.{digits}");
    }
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}
