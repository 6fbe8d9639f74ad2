//! The types of operators.

use super::conversions::{nullable, underlying};
use super::{Checker, Typed};
use crate::error::{Position, Refusal};
use crate::evaluate::{Code, Equality, Op};
use crate::members::{derives, registry};
use crate::syntax::{BinaryOperator, Node, NodeKind, UnaryOperator};
use crate::types::Type;
use crate::value::{Arithmetic, Kind, Value};

fn symbol(operator: BinaryOperator) -> &'static str {
    use BinaryOperator as B;
    match operator {
        B::Add => "+",
        B::Subtract => "-",
        B::Multiply => "*",
        B::Divide => "/",
        B::Remainder => "%",
        B::ShiftLeft => "<<",
        B::ShiftRight => ">>",
        B::Less => "<",
        B::Greater => ">",
        B::LessOrEqual => "<=",
        B::GreaterOrEqual => ">=",
        B::Equal => "==",
        B::NotEqual => "!=",
        B::And => "&",
        B::Or => "|",
        B::Xor => "^",
        B::AndAlso => "&&",
        B::OrElse => "||",
        B::Coalesce => "??",
    }
}

fn arithmetic(operator: BinaryOperator) -> Option<Arithmetic> {
    use BinaryOperator as B;
    Some(match operator {
        B::Add => Arithmetic::Add,
        B::Subtract => Arithmetic::Subtract,
        B::Multiply => Arithmetic::Multiply,
        B::Divide => Arithmetic::Divide,
        B::Remainder => Arithmetic::Remainder,
        B::And => Arithmetic::And,
        B::Or => Arithmetic::Or,
        B::Xor => Arithmetic::Xor,
        _ => return None,
    })
}

/// The numeric type of an operand: a character counts as its number.
fn numeric(kind: &Type) -> Option<Kind> {
    match underlying(kind) {
        Type::Number(kind) => Some(*kind),
        Type::Char => Some(Kind::UShort),
        _ => None,
    }
}

fn is_time(kind: &Type, name: &str) -> bool {
    matches!(kind, Type::Named(known, _) if *known == name)
}

impl Checker {
    pub(super) fn binary(
        &mut self,
        at: Position,
        operator: BinaryOperator,
        left: &Node,
        right: &Node,
    ) -> Result<Typed, Refusal> {
        use BinaryOperator as B;
        match operator {
            B::AndAlso | B::OrElse => {
                let left = self.condition(left)?;
                let saved = self.scope.assignments();
                let right = self.condition(right)?;
                // What the right side of `&&` gives a value has one where the
                // whole is true, which is where it is used.
                if operator == B::OrElse {
                    self.scope.restore(&saved, false);
                }
                let (left, right) = (Box::new(left), Box::new(right));
                let op = if operator == B::AndAlso {
                    Op::AndAlso(left, right)
                } else {
                    Op::OrElse(left, right)
                };
                return Ok(Typed::new(at, op, Type::Bool));
            }
            B::Coalesce => return self.coalesce(at, left, right),
            _ => {}
        }
        let left = self.value(left)?;
        let right = self.value(right)?;
        Self::operation(at, operator, left, right)
    }

    /// An operator of two checked operands.
    pub(super) fn operation(
        at: Position,
        operator: BinaryOperator,
        left: Typed,
        right: Typed,
    ) -> Result<Typed, Refusal> {
        use BinaryOperator as B;
        match operator {
            B::Add if left.kind == Type::String || right.kind == Type::String => {
                Ok(concatenation(at, left, right))
            }
            B::Equal | B::NotEqual => Self::equality(at, operator, left, right),
            B::Less | B::LessOrEqual | B::Greater | B::GreaterOrEqual => {
                Self::comparison(at, operator, left, right)
            }
            B::ShiftLeft | B::ShiftRight => Self::shift(at, operator, left, right),
            B::Add | B::Subtract if is_time_operation(&left.kind, &right.kind, operator) => {
                Self::times(at, operator, left, right)
            }
            _ => Self::numbers(at, operator, left, right),
        }
    }

    fn not_applicable(
        at: Position,
        operator: BinaryOperator,
        left: &Type,
        right: &Type,
    ) -> Refusal {
        Refusal::new(
            at,
            format!(
                "Operator '{}' cannot be applied to operands of type '{left}' and '{right}'",
                symbol(operator)
            ),
        )
    }

    fn numbers(
        at: Position,
        operator: BinaryOperator,
        left: Typed,
        right: Typed,
    ) -> Result<Typed, Refusal> {
        let refuse = Self::not_applicable(at, operator, &left.kind, &right.kind);
        let Some(op) = arithmetic(operator) else {
            return Err(refuse);
        };
        let bits = matches!(op, Arithmetic::And | Arithmetic::Or | Arithmetic::Xor);
        if bits && left.kind == Type::Bool && right.kind == Type::Bool {
            let op = Op::Logic(op, Box::new(left.code), Box::new(right.code));
            return Ok(Typed::new(at, op, Type::Bool));
        }
        let Some((kind, left, right)) = Self::promoted(left, right) else {
            return Err(refuse);
        };
        let number = numeric(&kind).unwrap_or(Kind::Int);
        if bits && !number.is_integral() {
            return Err(refuse);
        }
        // Constants are worked out at once, as the compiler does.
        if let (Op::Constant(Value::Number(a)), Op::Constant(Value::Number(b))) =
            (&left.op, &right.op)
        {
            let value = a
                .arithmetic(op, *b)
                .map_err(|fault| Refusal::new(at, fault.message))?;
            if let (Some(a), Some(b), Some(value)) =
                (a.as_integer(), b.as_integer(), value.as_integer())
            {
                let wide = match op {
                    Arithmetic::Add => a.checked_add(b),
                    Arithmetic::Subtract => a.checked_sub(b),
                    Arithmetic::Multiply => a.checked_mul(b),
                    _ => Some(value),
                };
                if wide != Some(value) {
                    return Err(Refusal::new(
                        at,
                        "The operation overflows at compile time in checked mode",
                    ));
                }
            }
            return Ok(Typed::new(at, Op::Constant(Value::Number(value)), kind));
        }
        let op = Op::Arithmetic(op, Box::new(left), Box::new(right));
        Ok(Typed::new(at, op, kind))
    }

    /// Two operands in the type where they meet, `T?` where one is.
    fn promoted(left: Typed, right: Typed) -> Option<(Type, Code, Code)> {
        let lifted = [&left.kind, &right.kind]
            .iter()
            .any(|kind| matches!(kind, Type::Nullable(_)));
        let (a, b) = (numeric(&left.kind)?, numeric(&right.kind)?);
        let mut kind = a.promoted(b);
        // `1 + ulong`: a constant that fits takes the other's type.
        if kind.is_none() {
            kind = [(&left, b), (&right, a)].iter().find_map(|(one, other)| {
                let fits =
                    super::conversions::implicit(&one.kind, &Type::Number(*other), one.constant());
                fits.map(|_| *other)
            });
        }
        // `uint + 1` stays uint where the constant fits.
        if kind == Some(Kind::Long) {
            for (one, other) in [(&left, b), (&right, a)] {
                if other == Kind::UInt
                    && super::conversions::implicit(
                        &one.kind,
                        &Type::Number(Kind::UInt),
                        one.constant(),
                    )
                    .is_some()
                {
                    kind = Some(Kind::UInt);
                }
            }
        }
        let plain = Type::Number(kind?);
        let kind = if lifted { nullable(&plain) } else { plain };
        let left = Self::convert(left, &kind).ok()?;
        let right = Self::convert(right, &kind).ok()?;
        Some((kind, left, right))
    }

    fn comparison(
        at: Position,
        operator: BinaryOperator,
        left: Typed,
        right: Typed,
    ) -> Result<Typed, Refusal> {
        let refuse = Self::not_applicable(at, operator, &left.kind, &right.kind);
        let (left, right) = if numeric(&left.kind).is_some() && numeric(&right.kind).is_some() {
            let (_, left, right) = Self::promoted(left, right).ok_or(refuse)?;
            (left, right)
        } else {
            let common = Self::common(&left, &right);
            let comparable = common.as_ref().is_some_and(|kind| {
                ["DateTime", "DateTimeOffset", "TimeSpan"]
                    .iter()
                    .any(|name| is_time(underlying(kind), name))
            });
            let Some(common) = common.filter(|_| comparable) else {
                return Err(refuse);
            };
            (
                Self::convert(left, &common)?,
                Self::convert(right, &common)?,
            )
        };
        let op = Op::Compare(operator, Box::new(left), Box::new(right));
        Ok(Typed::new(at, op, Type::Bool))
    }

    fn shift(
        at: Position,
        operator: BinaryOperator,
        left: Typed,
        right: Typed,
    ) -> Result<Typed, Refusal> {
        let refuse = Self::not_applicable(at, operator, &left.kind, &right.kind);
        let kind = match (&left.kind, numeric(&left.kind)) {
            (Type::Nullable(_), _) => return Err(refuse),
            (_, Some(kind @ (Kind::Int | Kind::UInt | Kind::Long | Kind::ULong))) => kind,
            (_, Some(kind)) if kind.is_integral() => Kind::Int,
            _ => return Err(refuse),
        };
        let value = Self::convert(left, &Type::Number(kind))?;
        let by = Self::convert(right, &Type::INT).map_err(|_| refuse)?;
        let op = Op::Shift {
            left: operator == BinaryOperator::ShiftLeft,
            value: Box::new(value),
            by: Box::new(by),
        };
        Ok(Typed::new(at, op, Type::Number(kind)))
    }

    fn times(
        at: Position,
        operator: BinaryOperator,
        left: Typed,
        right: Typed,
    ) -> Result<Typed, Refusal> {
        let span = is_time(&right.kind, "TimeSpan");
        let kind = if span {
            left.kind.clone()
        } else {
            Type::named("TimeSpan")
        };
        let (left, right) = if span || left.kind == right.kind {
            (left.code, right.code)
        } else {
            let offset = Type::named("DateTimeOffset");
            (
                Self::convert(left, &offset)?,
                Self::convert(right, &offset)?,
            )
        };
        let op = Op::TimeArithmetic(
            operator == BinaryOperator::Add,
            Box::new(left),
            Box::new(right),
        );
        Ok(Typed::new(at, op, kind))
    }

    fn equality(
        at: Position,
        operator: BinaryOperator,
        left: Typed,
        right: Typed,
    ) -> Result<Typed, Refusal> {
        let refuse = Self::not_applicable(at, operator, &left.kind, &right.kind);
        let value = |kind: &Type| registry().is_value(kind);
        let (by, left, right) = match (&left.kind, &right.kind) {
            (Type::Void, _) | (_, Type::Void) => return Err(refuse),
            (Type::Null, Type::Null) => (Equality::Reference, left.code, right.code),
            (Type::Null, other) | (other, Type::Null) => {
                if value(other) && !matches!(other, Type::Nullable(_)) {
                    return Err(refuse);
                }
                (Equality::Value, left.code, right.code)
            }
            (a, b) if numeric(a).is_some() && numeric(b).is_some() => {
                if *a == Type::Char && *b == Type::Char {
                    (Equality::Value, left.code, right.code)
                } else {
                    let (_, left, right) = Self::promoted(left, right).ok_or(refuse)?;
                    (Equality::Value, left, right)
                }
            }
            (Type::String, Type::String) => (Equality::Value, left.code, right.code),
            (a, b) if value(a) || value(b) => {
                let common = Self::common(&left, &right).filter(value).ok_or(refuse)?;
                (
                    Equality::Value,
                    Self::convert(left, &common)?,
                    Self::convert(right, &common)?,
                )
            }
            (Type::Named("Uri", _), Type::Named("Uri", _)) => {
                (Equality::Value, left.code, right.code)
            }
            (a, b) if derives(a, b) || derives(b, a) => {
                (Equality::Reference, left.code, right.code)
            }
            _ => return Err(refuse),
        };
        let op = Op::Equal {
            negated: operator == BinaryOperator::NotEqual,
            by,
            left: Box::new(left),
            right: Box::new(right),
        };
        Ok(Typed::new(at, op, Type::Bool))
    }

    fn coalesce(&mut self, at: Position, left: &Node, right: &Node) -> Result<Typed, Refusal> {
        let left = self.value(left)?;
        if left.kind != Type::Null
            && registry().is_value(&left.kind)
            && !matches!(left.kind, Type::Nullable(_))
        {
            return Err(Self::not_applicable(
                at,
                BinaryOperator::Coalesce,
                &left.kind,
                &left.kind,
            ));
        }
        if let NodeKind::Throw(value) = &right.kind {
            let right = self.thrown(right.at, value)?;
            let kind = underlying(&left.kind).clone();
            let op = Op::Coalesce(Box::new(left.code), Box::new(right));
            return Ok(Typed::new(at, op, kind));
        }
        let saved = self.scope.assignments();
        let right = self.value(right)?;
        self.scope.restore(&saved, false);
        let refuse = Self::not_applicable(at, BinaryOperator::Coalesce, &left.kind, &right.kind);
        let plain = underlying(&left.kind).clone();
        let fits = |kind: &Type, to: &Type, constant: Option<&Value>| {
            super::conversions::implicit(kind, to, constant).is_some()
        };
        let kind = if left.kind != Type::Null && fits(&right.kind, &plain, right.constant()) {
            plain
        } else if left.kind != Type::Null && fits(&right.kind, &left.kind, right.constant()) {
            left.kind.clone()
        } else if fits(&plain, &right.kind, None) || left.kind == Type::Null {
            right.kind.clone()
        } else {
            return Err(refuse);
        };
        let right = Self::convert(right, &kind)?;
        let left = Self::convert(
            Typed {
                kind: if left.kind == Type::Null {
                    Type::Null
                } else {
                    underlying(&left.kind).clone()
                },
                code: left.code,
            },
            &nullable(&kind),
        )?;
        let op = Op::Coalesce(Box::new(left), Box::new(right));
        Ok(Typed::new(at, op, kind))
    }

    pub(super) fn unary(
        &mut self,
        at: Position,
        operator: UnaryOperator,
        operand: &Node,
    ) -> Result<Typed, Refusal> {
        let operand = self.value(operand)?;
        let refuse = |kind: &Type| {
            let symbol = match operator {
                UnaryOperator::Plus => '+',
                UnaryOperator::Minus => '-',
                UnaryOperator::Not => '!',
                UnaryOperator::Complement => '~',
            };
            Refusal::new(
                at,
                format!("Operator '{symbol}' cannot be applied to operand of type '{kind}'"),
            )
        };
        if operator == UnaryOperator::Not {
            if *underlying(&operand.kind) != Type::Bool {
                return Err(refuse(&operand.kind));
            }
            let kind = operand.kind.clone();
            return Ok(Typed::new(at, Op::Not(Box::new(operand.code)), kind));
        }
        if operator == UnaryOperator::Minus && is_time(&operand.kind, "TimeSpan") {
            let kind = operand.kind.clone();
            return Ok(Typed::new(at, Op::Negate(Box::new(operand.code)), kind));
        }
        let Some(kind) = numeric(&operand.kind) else {
            return Err(refuse(&operand.kind));
        };
        let kind = match (operator, kind) {
            (UnaryOperator::Minus, Kind::UInt) => Kind::Long,
            (UnaryOperator::Minus, Kind::ULong) => return Err(refuse(&operand.kind)),
            (UnaryOperator::Complement, kind) if !kind.is_integral() => {
                return Err(refuse(&operand.kind));
            }
            (_, kind) => kind.max(Kind::Int),
        };
        let mut to = Type::Number(kind);
        if matches!(operand.kind, Type::Nullable(_)) {
            to = nullable(&to);
        }
        let code = Self::convert(operand, &to)?;
        if let (UnaryOperator::Minus, Op::Constant(Value::Number(number))) = (operator, &code.op) {
            let zero = crate::value::Number::wrapped(0, kind);
            // A fraction keeps the sign of its zero.
            if let (true, Ok(value)) = (
                kind.is_integral(),
                zero.arithmetic(Arithmetic::Subtract, *number),
            ) {
                return Ok(Typed::new(at, Op::Constant(Value::Number(value)), to));
            }
        }
        let op = match operator {
            UnaryOperator::Minus => Op::Negate(Box::new(code)),
            UnaryOperator::Complement => Op::Complement(Box::new(code)),
            _ => code.op,
        };
        Ok(Typed::new(at, op, to))
    }
}

/// A chain of `+` becomes one operation.
fn concatenation(at: Position, left: Typed, right: Typed) -> Typed {
    let mut parts = match (left.kind, left.code) {
        (
            Type::String,
            Code {
                op: Op::Concat(parts),
                ..
            },
        ) => parts,
        (_, code) => vec![code],
    };
    match (right.kind, right.code) {
        // Only what stands in parentheses: its text is the same.
        (
            Type::String,
            Code {
                op: Op::Concat(more),
                ..
            },
        ) => parts.extend(more),
        (_, code) => parts.push(code),
    }
    Typed::new(at, Op::Concat(parts), Type::String)
}

fn is_time_operation(left: &Type, right: &Type, operator: BinaryOperator) -> bool {
    let span = is_time(right, "TimeSpan");
    let moment = |kind: &Type| is_time(kind, "DateTime") || is_time(kind, "DateTimeOffset");
    (span && (moment(left) || is_time(left, "TimeSpan")))
        || (operator == BinaryOperator::Subtract && moment(left) && moment(right))
}
