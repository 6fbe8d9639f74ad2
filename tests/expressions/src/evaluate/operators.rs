//! Operators.

use std::cmp::Ordering;
use std::sync::Arc;

use super::machine::{Frame, Machine};
use super::{Code, Conversion, Equality, Op, Target, convert, default_of, is_instance};
use crate::error::Fault;
use crate::syntax::BinaryOperator;
use crate::value::{
    Arithmetic, Closure, DateTime, DateTimeOffset, Items, ItemsKind, Number, Object, Opaque,
    TimeSpan, Value,
};

impl Machine<'_> {
    #[allow(clippy::too_many_lines, reason = "one line for each operator")]
    pub(super) fn operate(&mut self, op: &Op, frame: &mut Frame<'_>) -> Result<Value, Fault> {
        match op {
            Op::Constant(_) | Op::Local(_) | Op::Captured(_) | Op::Call(_) => Ok(Value::Null),
            Op::Set(target, code) => {
                let value = self.eval(code, frame)?;
                frame.write(*target, value.clone());
                Ok(value)
            }
            Op::Invoke(function, arguments) => {
                let function = self.eval(function, frame)?;
                let arguments = self.eval_all(arguments, frame)?;
                self.invoke(&function, &arguments)
            }
            Op::Closure(function, captured) => {
                self.allocate(64 + captured.len() * 8)?;
                let captured = captured
                    .iter()
                    .map(|target| frame.cell(*target))
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| Fault::limit("A variable is used before it is declared"))?;
                Ok(Value::object(Object::Closure(Closure {
                    function: function.clone(),
                    captured,
                })))
            }
            Op::Sequence(codes) => {
                let mut last = Value::Null;
                for code in codes {
                    last = self.eval(code, frame)?;
                }
                Ok(last)
            }
            Op::Arithmetic(op, left, right) => self.arithmetic(*op, left, right, frame),
            Op::Shift { left, value, by } => self.shift(*left, value, by, frame),
            Op::Compare(op, left, right) => {
                let left = self.eval(left, frame)?;
                let right = self.eval(right, frame)?;
                Ok(Value::Bool(compare(*op, &left, &right)))
            }
            Op::Equal {
                negated,
                by,
                left,
                right,
            } => {
                let left = self.eval(left, frame)?;
                let right = self.eval(right, frame)?;
                let equal = match by {
                    Equality::Value => {
                        self.charge(text_length(&left) / 16)?;
                        convert::equal(&left, &right)
                    }
                    Equality::Reference => convert::same(&left, &right),
                };
                Ok(Value::Bool(equal != *negated))
            }
            Op::Logic(op, left, right) => {
                let left = self.boolean(left, frame)?;
                let right = self.boolean(right, frame)?;
                Ok(Value::Bool(match op {
                    Arithmetic::And => left & right,
                    Arithmetic::Or => left | right,
                    _ => left ^ right,
                }))
            }
            Op::AndAlso(left, right) => Ok(Value::Bool(
                self.boolean(left, frame)? && self.boolean(right, frame)?,
            )),
            Op::OrElse(left, right) => Ok(Value::Bool(
                self.boolean(left, frame)? || self.boolean(right, frame)?,
            )),
            Op::Not(code) => Ok(match self.eval(code, frame)? {
                Value::Null => Value::Null,
                other => Value::Bool(other.as_bool() == Some(false)),
            }),
            Op::Negate(code) => negate(&self.eval(code, frame)?),
            Op::Complement(code) => match self.eval(code, frame)? {
                Value::Number(number) => Ok(number.as_integer().map_or(Value::Null, |value| {
                    Value::Number(Number::wrapped(!value, number.kind()))
                })),
                _ => Ok(Value::Null),
            },
            Op::Concat(parts) => self.concat(parts, frame),
            Op::Conditional(condition, yes, no) => {
                if self.boolean(condition, frame)? {
                    self.eval(yes, frame)
                } else {
                    self.eval(no, frame)
                }
            }
            Op::Coalesce(left, right) => match self.eval(left, frame)? {
                Value::Null => self.eval(right, frame),
                value => Ok(value),
            },
            Op::NullConditional(value, slot, rest) => {
                let value = self.eval(value, frame)?;
                if value.is_null() {
                    return Ok(Value::Null);
                }
                frame.write(Target::Local(*slot), value);
                self.eval(rest, frame)
            }
            Op::Convert(conversion, code) => {
                let value = self.eval(code, frame)?;
                self.convert(conversion, value)
            }
            Op::Is(code, kind, target) => {
                let value = self.eval(code, frame)?;
                let fits = is_instance(&value, kind);
                if let (true, Some(target)) = (fits, target) {
                    frame.write(*target, value);
                }
                Ok(Value::Bool(fits))
            }
            Op::As(code, kind) => {
                let value = self.eval(code, frame)?;
                Ok(if is_instance(&value, kind) {
                    value
                } else {
                    Value::Null
                })
            }
            Op::NewArray(..) | Op::ArrayOf(..) => self.array(op, frame),
            Op::Anonymous(names, codes) => {
                let values = self.eval_all(codes, frame)?;
                self.allocate(values.len() * 24 + 32)?;
                Ok(Value::object(Object::Anonymous(names.clone(), values)))
            }
            Op::Field(code, index) => match self.eval(code, frame)? {
                Value::Object(Opaque(object)) => match &*object {
                    Object::Anonymous(_, values) => {
                        Ok(values.get(*index).cloned().unwrap_or_default())
                    }
                    _ => Err(Fault::null()),
                },
                _ => Err(Fault::null()),
            },
            Op::Interpolate(parts) => super::interpolate(self, parts, frame),
            Op::Throw(code) => {
                let value = self.eval(code, frame)?;
                Err(exception(&value))
            }
            Op::TimeArithmetic(add, left, right) => {
                let left = self.eval(left, frame)?;
                let right = self.eval(right, frame)?;
                time(*add, &left, &right)
            }
        }
    }

    pub(super) fn boolean(&mut self, code: &Code, frame: &mut Frame<'_>) -> Result<bool, Fault> {
        self.eval(code, frame)?
            .as_bool()
            .ok_or_else(|| Fault::invalid("Nullable object must have a value."))
    }

    fn arithmetic(
        &mut self,
        op: Arithmetic,
        left: &Code,
        right: &Code,
        frame: &mut Frame<'_>,
    ) -> Result<Value, Fault> {
        let left = self.eval(left, frame)?;
        let right = self.eval(right, frame)?;
        match (left, right) {
            (Value::Number(a), Value::Number(b)) => a.arithmetic(op, b).map(Value::Number),
            // Operators of `T?` give null where an operand is null.
            _ => Ok(Value::Null),
        }
    }

    fn shift(
        &mut self,
        left: bool,
        value: &Code,
        by: &Code,
        frame: &mut Frame<'_>,
    ) -> Result<Value, Fault> {
        let value = self.eval(value, frame)?;
        let by = self.eval(by, frame)?;
        let (Value::Number(value), Some(by)) = (value, by.as_i64()) else {
            return Ok(Value::Null);
        };
        let by = by.cast_unsigned();
        #[allow(clippy::cast_possible_truncation, reason = "masked, as C# does")]
        let (wide, narrow) = ((by & 63) as u32, (by & 31) as u32);
        Ok(Value::Number(match value {
            Number::Int(n) if left => Number::Int(n << narrow),
            Number::Int(n) => Number::Int(n >> narrow),
            Number::UInt(n) if left => Number::UInt(n << narrow),
            Number::UInt(n) => Number::UInt(n >> narrow),
            Number::Long(n) if left => Number::Long(n << wide),
            Number::Long(n) => Number::Long(n >> wide),
            Number::ULong(n) if left => Number::ULong(n << wide),
            Number::ULong(n) => Number::ULong(n >> wide),
            other => other,
        }))
    }

    fn concat(&mut self, parts: &[Code], frame: &mut Frame<'_>) -> Result<Value, Fault> {
        use std::fmt::Write as _;
        let mut text = String::new();
        for part in parts {
            let before = text.len();
            let value = self.eval(part, frame)?;
            match &value {
                Value::String(part) => text.push_str(part),
                // Of a value that makes text the text counts also while it is made.
                other => {
                    let _ = write!(text, "{other}");
                }
            }
            self.allocate(text.len() - before)?;
        }
        Ok(Value::String(text.into()))
    }

    fn array(&mut self, op: &Op, frame: &mut Frame<'_>) -> Result<Value, Fault> {
        let (element, values) = match op {
            Op::NewArray(element, length) => {
                let length = self.eval(length, frame)?;
                let length = length
                    .as_i64()
                    .and_then(|length| usize::try_from(length).ok())
                    .ok_or_else(|| {
                        Fault::new(
                            "OverflowException",
                            "Arithmetic operation resulted in an overflow.",
                        )
                    })?;
                self.allocate(length.saturating_mul(24))?;
                (element, vec![default_of(element); length])
            }
            Op::ArrayOf(element, codes) => {
                let values = self.eval_all(codes, frame)?;
                self.allocate(values.len() * 24)?;
                (element, values)
            }
            _ => return Ok(Value::Null),
        };
        Ok(super::sequence::array(element.clone(), values))
    }

    pub(crate) fn convert(
        &mut self,
        conversion: &Conversion,
        value: Value,
    ) -> Result<Value, Fault> {
        self.charge(text_length(&value) / 16)?;
        convert::convert(conversion, value)
    }
}

impl Frame<'_> {
    /// The cell of a variable that a function captures.
    fn cell(&self, target: Target) -> Option<crate::value::Cell> {
        match target {
            Target::Local(slot) => match self.slots.get(slot)? {
                super::Slot::Shared(cell) => Some(Arc::clone(cell)),
                super::Slot::Own(_) => None,
            },
            Target::Captured(index) => self.captured.get(index).cloned(),
        }
    }
}

fn text_length(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
}

/// The fault that throwing a value is.
pub(super) fn exception(value: &Value) -> Fault {
    match value {
        Value::Object(Opaque(object)) => match &**object {
            Object::Exception(name, message) => Fault::new(name, &**message),
            _ => Fault::null(),
        },
        _ => Fault::null(),
    }
}

fn negate(value: &Value) -> Result<Value, Fault> {
    Ok(match value {
        Value::Number(Number::Double(n)) => Value::Number(Number::Double(-n)),
        Value::Number(Number::Float(n)) => Value::Number(Number::Float(-n)),
        Value::Number(Number::Decimal(n)) => Value::Number(Number::Decimal(-n)),
        Value::Number(number) => number.as_integer().map_or(Value::Null, |n| {
            Value::Number(Number::wrapped(-n, number.kind()))
        }),
        Value::TimeSpan(span) => Value::TimeSpan(TimeSpan {
            ticks: span.ticks.checked_neg().ok_or_else(TimeSpan::too_long)?,
        }),
        _ => Value::Null,
    })
}

fn compare(op: BinaryOperator, left: &Value, right: &Value) -> bool {
    let Some(order) = order(left, right) else {
        return false;
    };
    match op {
        BinaryOperator::Less => order == Ordering::Less,
        BinaryOperator::LessOrEqual => order != Ordering::Greater,
        BinaryOperator::Greater => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }
}

/// How two values of one type compare; `None` where they do not, as with null
/// and what is not a number.
pub(crate) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.compare(*b),
        (Value::Char(a), Value::Char(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::DateTime(a), Value::DateTime(b)) => Some(a.ticks.cmp(&b.ticks)),
        (Value::DateTimeOffset(a), Value::DateTimeOffset(b)) => {
            Some(a.utc_ticks().cmp(&b.utc_ticks()))
        }
        (Value::TimeSpan(a), Value::TimeSpan(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn time(add: bool, left: &Value, right: &Value) -> Result<Value, Fault> {
    let sum = |a: i64, b: i64| {
        if add {
            a.checked_add(b)
        } else {
            a.checked_sub(b)
        }
    };
    match (left, right) {
        (Value::DateTime(a), Value::TimeSpan(b)) => {
            DateTime::checked(sum(a.ticks, b.ticks), a.kind).map(Value::DateTime)
        }
        (Value::DateTimeOffset(a), Value::TimeSpan(b)) => {
            DateTimeOffset::checked(sum(a.ticks, b.ticks), a.offset_minutes)
                .map(Value::DateTimeOffset)
        }
        (Value::DateTime(a), Value::DateTime(b)) => Ok(Value::TimeSpan(TimeSpan {
            ticks: a.ticks - b.ticks,
        })),
        (Value::DateTimeOffset(a), Value::DateTimeOffset(b)) => Ok(Value::TimeSpan(TimeSpan {
            ticks: a.utc_ticks() - b.utc_ticks(),
        })),
        (Value::TimeSpan(a), Value::TimeSpan(b)) => sum(a.ticks, b.ticks)
            .map(|ticks| Value::TimeSpan(TimeSpan { ticks }))
            .ok_or_else(TimeSpan::too_long),
        _ => Ok(Value::Null),
    }
}

/// An array or list of a type.
pub(super) fn items(element: crate::types::Type, kind: ItemsKind, values: Vec<Value>) -> Value {
    Value::object(Object::Items(Items {
        element,
        kind,
        values: parking_lot::Mutex::new(values),
    }))
}
