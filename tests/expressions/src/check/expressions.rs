//! The types of expressions.

use std::sync::Arc;

use super::conversions::nullable;
use super::{Checker, Typed};
use crate::error::{Position, Refusal};
use crate::evaluate::{Code, Op, Part, default_of};
use crate::members::registry;
use crate::syntax::{AssignOperator, Node, NodeKind, Piece, TypeName};
use crate::types::Type;
use crate::value::{Number, Value};

impl Checker {
    /// An expression that has a value.
    pub(super) fn value(&mut self, node: &Node) -> Result<Typed, Refusal> {
        let typed = self.expression(node)?;
        if typed.kind == Type::Void {
            return Err(Refusal::new(
                node.at,
                "An expression that gives no value is used as one",
            ));
        }
        Ok(typed)
    }

    /// An expression that is true or false.
    pub(super) fn condition(&mut self, node: &Node) -> Result<Code, Refusal> {
        Self::convert(self.value(node)?, &Type::Bool)
    }

    pub(super) fn resolve(name: &TypeName) -> Result<Type, Refusal> {
        registry().resolve(name, &[])
    }

    /// Any expression; what it gives may be nothing.
    pub(super) fn expression(&mut self, node: &Node) -> Result<Typed, Refusal> {
        let at = node.at;
        match &node.kind {
            NodeKind::Literal(value) => Ok(literal(at, value)),
            NodeKind::Interpolated(pieces) => self.interpolated(at, pieces),
            NodeKind::Name(name, _) => self.name(at, name),
            NodeKind::Type(name) => Err(Refusal::new(
                at,
                format!(
                    "'{}' is a type, which is not valid in the given context",
                    name.name
                ),
            )),
            NodeKind::Member(of, name, arguments) => self.member(at, of, name, arguments),
            NodeKind::Index(of, arguments) => self.index(at, of, arguments),
            NodeKind::Call(of, arguments) => self.call(at, of, arguments),
            NodeKind::NullConditional(value, rest) => self.null_conditional(at, value, rest),
            NodeKind::Receiver => match self.receivers.last() {
                Some((slot, kind)) => Ok(Typed::new(at, Op::Local(*slot), kind.clone())),
                None => Err(Refusal::new(at, "Syntax error; value expected")),
            },
            NodeKind::Unary(operator, operand) => self.unary(at, *operator, operand),
            NodeKind::Binary(operator, left, right) => self.binary(at, *operator, left, right),
            NodeKind::Assign(operator, target, value) => self.assign(at, *operator, target, value),
            NodeKind::Step { up, before, target } => self.step(at, *up, *before, target),
            NodeKind::Conditional(condition, yes, no) => self.conditional(at, condition, yes, no),
            NodeKind::Cast(name, value) => {
                let kind = Self::resolve(name)?;
                if let NodeKind::Lambda(..) = value.kind {
                    return self.lambda_as(value, &kind);
                }
                let value = self.value(value)?;
                let mut code = Self::cast(value, &kind)?;
                code.at = at;
                Ok(Typed { code, kind })
            }
            NodeKind::Is(value, name, variable) => {
                let kind = Self::resolve(name)?;
                let value = self.value(value)?;
                self.related(at, &value.kind, &kind)?;
                let target = match variable {
                    Some(variable) => {
                        self.declare(at, variable, kind.clone(), true)?;
                        self.scope.target(variable)
                    }
                    None => None,
                };
                let op = Op::Is(Box::new(value.code), kind, target);
                Ok(Typed::new(at, op, Type::Bool))
            }
            NodeKind::As(value, name) => {
                let kind = Self::resolve(name)?;
                let value = self.value(value)?;
                if registry().is_value(&kind) && !matches!(kind, Type::Nullable(_)) {
                    return Err(Refusal::new(
                        at,
                        format!(
                            "The as operator must be used with a reference type or nullable type ('{kind}' is a non-nullable value type)"
                        ),
                    ));
                }
                self.related(at, &value.kind, &kind)?;
                let op = Op::As(Box::new(value.code), kind.clone());
                Ok(Typed::new(at, op, kind))
            }
            NodeKind::Lambda(..) => Err(Refusal::new(
                at,
                "A lambda expression is only known here as an argument, or where its type is written",
            )),
            NodeKind::New(name, arguments, initializer) => {
                self.creation(at, name, arguments, initializer.as_ref())
            }
            NodeKind::NewArray(name, length, items) => {
                self.new_array(at, name.as_ref(), length.as_deref(), items.as_deref())
            }
            NodeKind::NewAnonymous(members) => self.anonymous(at, members),
            NodeKind::Default(Some(name)) => {
                let kind = Self::resolve(name)?;
                Ok(Typed::new(at, Op::Constant(default_of(&kind)), kind))
            }
            NodeKind::Default(None) => Err(Refusal::new(
                at,
                "'default' without a type is only known here as default(T)",
            )),
            NodeKind::Throw(_) => Err(Refusal::new(
                at,
                "A throw expression is not allowed in this context.",
            )),
        }
    }

    /// `is` and `as` between types that can have nothing in common are an error.
    fn related(&self, at: Position, from: &Type, to: &Type) -> Result<(), Refusal> {
        let _ = self;
        let value = |kind: &Type| registry().is_value(kind);
        let known = |kind: &Type| matches!(kind, Type::String | Type::Array(_)) || value(kind);
        let plain = super::conversions::underlying;
        if known(from)
            && known(to)
            && plain(from) != plain(to)
            && !crate::members::derives(from, to)
        {
            return Err(Refusal::new(
                at,
                format!("Cannot convert type '{from}' to '{to}'"),
            ));
        }
        Ok(())
    }

    fn interpolated(&mut self, at: Position, pieces: &[Piece]) -> Result<Typed, Refusal> {
        let mut parts = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) if text.is_empty() => {}
                Piece::Text(text) => parts.push(Part::Text(text.clone())),
                Piece::Hole {
                    value,
                    alignment,
                    format,
                } => parts.push(Part::Hole {
                    value: self.value(value)?.code,
                    alignment: alignment.unwrap_or(0),
                    format: format.clone(),
                }),
            }
        }
        Ok(Typed::new(at, Op::Interpolate(parts), Type::String))
    }

    fn null_conditional(
        &mut self,
        at: Position,
        value: &Node,
        rest: &Node,
    ) -> Result<Typed, Refusal> {
        let value = self.value(value)?;
        let kind = match &value.kind {
            Type::Nullable(inner) => (**inner).clone(),
            other if registry().is_value(other) || *other == Type::Null => {
                return Err(Refusal::new(
                    at,
                    format!("Operator '?' cannot be applied to operand of type '{other}'"),
                ));
            }
            other => other.clone(),
        };
        let slot = self.temporary(at)?;
        self.receivers.push((slot, kind));
        let rest = self.expression(rest);
        self.receivers.pop();
        let rest = rest?;
        let kind = nullable(&rest.kind);
        let op = Op::NullConditional(Box::new(value.code), slot, Box::new(rest.code));
        Ok(Typed::new(at, op, kind))
    }

    pub(super) fn temporary(&mut self, at: Position) -> Result<usize, Refusal> {
        self.scope
            .temporary()
            .ok_or_else(|| Refusal::new(at, "Too many variables"))
    }

    fn conditional(
        &mut self,
        at: Position,
        condition: &Node,
        yes: &Node,
        no: &Node,
    ) -> Result<Typed, Refusal> {
        let condition = Box::new(self.condition(condition)?);
        if let NodeKind::Throw(thrown) = &no.kind {
            let yes = self.value(yes)?;
            let no = self.thrown(no.at, thrown)?;
            let op = Op::Conditional(condition, Box::new(yes.code), Box::new(no));
            return Ok(Typed::new(at, op, yes.kind));
        }
        if let NodeKind::Throw(thrown) = &yes.kind {
            let yes = self.thrown(yes.at, thrown)?;
            let no = self.value(no)?;
            let op = Op::Conditional(condition, Box::new(yes), Box::new(no.code));
            return Ok(Typed::new(at, op, no.kind));
        }
        let saved = self.scope.assignments();
        let yes = self.value(yes)?;
        let after_yes = self.scope.assignments();
        self.scope.restore(&saved, false);
        let no = self.value(no)?;
        self.scope.restore(&after_yes, true);
        let Some(kind) = Self::common(&yes, &no) else {
            return Err(Refusal::new(
                at,
                format!(
                    "Type of conditional expression cannot be determined because there is no implicit conversion between '{}' and '{}'",
                    yes.kind, no.kind
                ),
            ));
        };
        let yes = Self::convert(yes, &kind)?;
        let no = Self::convert(no, &kind)?;
        let op = Op::Conditional(condition, Box::new(yes), Box::new(no));
        Ok(Typed::new(at, op, kind))
    }

    /// What `throw` throws.
    pub(super) fn thrown(&mut self, at: Position, value: &Node) -> Result<Code, Refusal> {
        let value = self.value(value)?;
        let code = Self::convert(value, &Type::named("Exception"))?;
        Ok(Code {
            at,
            op: Op::Throw(Box::new(code)),
        })
    }

    fn assign(
        &mut self,
        at: Position,
        operator: AssignOperator,
        target: &Node,
        value: &Node,
    ) -> Result<Typed, Refusal> {
        if let NodeKind::Name(name, _) = &target.kind {
            let Some(variable) = self.scope.find(name).cloned() else {
                return Err(self.unknown_name(target.at, name));
            };
            if variable.is_constant {
                return Err(Refusal::new(
                    at,
                    format!("Cannot assign to '{name}' because it is not a variable"),
                ));
            }
            let value = match operator {
                None => self.value_for(value, &variable.kind)?,
                Some(operator) => {
                    let old = self.name(target.at, name)?;
                    let value = self.value(value)?;
                    let result = Self::operation(at, operator, old, value)?;
                    compound(result, &variable.kind)?
                }
            };
            if let Some(variable) = self.scope.find_mut(name) {
                variable.assigned = true;
            }
            let Some(place) = self.scope.target(name) else {
                return Err(self.unknown_name(target.at, name));
            };
            let op = Op::Set(place, Box::new(value));
            return Ok(Typed::new(at, op, variable.kind));
        }
        self.assign_member(at, operator, target, value)
    }

    /// A value where a type is wanted; a lambda takes it.
    pub(super) fn value_for(&mut self, node: &Node, kind: &Type) -> Result<Code, Refusal> {
        if let NodeKind::Lambda(..) = node.kind {
            return self.lambda_as(node, kind).map(|typed| typed.code);
        }
        if let NodeKind::Default(None) = node.kind {
            return Ok(Code {
                at: node.at,
                op: Op::Constant(default_of(kind)),
            });
        }
        Self::convert(self.value(node)?, kind)
    }

    fn step(
        &mut self,
        at: Position,
        up: bool,
        before: bool,
        target: &Node,
    ) -> Result<Typed, Refusal> {
        let one = Node {
            at,
            depth: 1,
            kind: NodeKind::Literal(Value::int(1)),
        };
        let operator = if up {
            crate::syntax::BinaryOperator::Add
        } else {
            crate::syntax::BinaryOperator::Subtract
        };
        if before {
            return self.assign(at, Some(operator), target, &one);
        }
        // The old value is kept for the result.
        let old = self.value(target)?;
        if !matches!(super::conversions::underlying(&old.kind), Type::Number(_)) {
            return Err(Refusal::new(
                at,
                format!(
                    "Operator '{}' cannot be applied to operand of type '{}'",
                    if up { "++" } else { "--" },
                    old.kind
                ),
            ));
        }
        let slot = self.temporary(at)?;
        let keep = Code {
            at,
            op: Op::Set(crate::evaluate::Target::Local(slot), Box::new(old.code)),
        };
        let new = self.assign(at, Some(operator), target, &one)?;
        let result = Code {
            at,
            op: Op::Local(slot),
        };
        Ok(Typed::new(
            at,
            Op::Sequence(vec![keep, new.code, result]),
            old.kind,
        ))
    }

    fn anonymous(&mut self, at: Position, members: &[(Arc<str>, Node)]) -> Result<Typed, Refusal> {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut kinds = Vec::new();
        let mut codes = Vec::new();
        for (name, value) in members {
            if names.contains(name) {
                return Err(Refusal::new(
                    value.at,
                    format!(
                        "An anonymous type cannot have multiple properties with the same name '{name}'"
                    ),
                ));
            }
            let value = self.value(value)?;
            if value.kind == Type::Null {
                return Err(Refusal::new(
                    value.code.at,
                    format!("Cannot assign '<null>' to anonymous type property '{name}'"),
                ));
            }
            names.push(name.clone());
            kinds.push((name.clone(), value.kind));
            codes.push(value.code);
        }
        let op = Op::Anonymous(names.into(), codes);
        Ok(Typed::new(at, op, Type::Anonymous(kinds.into())))
    }
}

/// The result of `a op= b` as the type of `a`: what an explicit conversion
/// makes of it, as C# does for numbers.
pub(super) fn compound(result: Typed, kind: &Type) -> Result<Code, Refusal> {
    match (&result.kind, kind) {
        (Type::Number(_), Type::Number(_) | Type::Char) => Checker::cast(result, kind),
        _ => Checker::convert(result, kind),
    }
}

fn literal(at: Position, value: &Value) -> Typed {
    let kind = match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Char(_) => Type::Char,
        Value::String(_) => Type::String,
        Value::Number(number) => Type::Number(Number::kind(*number)),
        _ => Type::Object,
    };
    Typed::new(at, Op::Constant(value.clone()), kind)
}
