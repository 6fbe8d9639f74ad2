//! Statements: scopes, and which paths end.

use std::sync::Arc;

use super::{Checker, Typed};
use crate::error::{Position, Refusal};
use crate::evaluate::{Block, Code, Handler, Instruction, Op};
use crate::members::as_base;
use crate::syntax::{Catch, Node, Statement, StatementKind, TypeName};
use crate::types::Type;
use crate::value::Value;

impl Checker {
    /// Statements in a scope of their own, and whether they never go on behind
    /// their end.
    pub(super) fn block(&mut self, statements: &[Statement]) -> Result<(Block, bool), Refusal> {
        self.scope.enter_block();
        let result = self.statements(statements);
        let slots = self.scope.leave_block();
        let (statements, ends) = result?;
        Ok((Block { slots, statements }, ends))
    }

    fn statements(
        &mut self,
        statements: &[Statement],
    ) -> Result<(Vec<Instruction>, bool), Refusal> {
        // Local functions can be called before they are written.
        for statement in statements {
            if let StatementKind::Function(function) = &statement.kind {
                let kind = Self::function_type(function)?;
                self.declare(statement.at, &function.name, kind, true)?;
                if let Some(variable) = self.scope.find_mut(&function.name) {
                    variable.is_constant = true;
                }
            }
        }
        let mut functions = Vec::new();
        let mut rest = Vec::new();
        let mut ends = false;
        for statement in statements {
            if let StatementKind::Function(function) = &statement.kind {
                let code = self.local_function(statement.at, function)?;
                if let Some(variable) = self.scope.find(&function.name) {
                    let kind = variable.kind.clone();
                    functions.push(Instruction::Declare(variable.slot, Some(code), kind));
                }
                continue;
            }
            ends |= self.statement(statement, &mut rest)?;
            if ends {
                self.scope.assume_all();
            }
        }
        functions.append(&mut rest);
        Ok((functions, ends))
    }

    /// A statement as a block of its own.
    fn body(&mut self, statement: &Statement) -> Result<(Block, bool), Refusal> {
        match &statement.kind {
            StatementKind::Block(statements) => self.block(statements),
            StatementKind::Local(..) | StatementKind::Function(_) => Err(Refusal::new(
                statement.at,
                "Embedded statement cannot be a declaration or labeled statement",
            )),
            _ => self.block(std::slice::from_ref(statement)),
        }
    }

    /// The body of a loop, and whether a `break` leaves it.
    fn loop_body(&mut self, statement: &Statement) -> Result<(Block, bool), Refusal> {
        let saved = self.scope.assignments();
        self.scope.function_mut().around.push((true, false));
        let body = self.body(statement);
        let broken = self.scope.function_mut().around.pop();
        self.scope.restore(&saved, false);
        let (block, _) = body?;
        Ok((block, broken.is_some_and(|(_, broken)| broken)))
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each statement")]
    fn statement(
        &mut self,
        statement: &Statement,
        out: &mut Vec<Instruction>,
    ) -> Result<bool, Refusal> {
        let at = statement.at;
        match &statement.kind {
            StatementKind::Local(kind, variables) => {
                for (name, value) in variables {
                    out.push(self.local(at, kind.as_ref(), name, value.as_ref())?);
                }
                Ok(false)
            }
            StatementKind::Function(_) => Ok(false),
            StatementKind::Expression(node) => {
                let typed = self.expression(node)?;
                out.push(Instruction::Expression(typed.code));
                Ok(false)
            }
            StatementKind::If(condition, yes, no) => {
                let condition = self.condition(condition)?;
                let before = self.scope.assignments();
                let (yes, yes_ends) = self.body(yes)?;
                if yes_ends {
                    self.scope.assume_all();
                }
                let after_yes = self.scope.assignments();
                self.scope.restore(&before, false);
                let (no, no_ends) = match no {
                    Some(no) => {
                        let (block, ends) = self.body(no)?;
                        (Some(block), ends)
                    }
                    None => (None, false),
                };
                if no_ends {
                    self.scope.assume_all();
                }
                self.scope.restore(&after_yes, true);
                out.push(Instruction::If(condition, yes, no));
                Ok(yes_ends && no_ends)
            }
            StatementKind::While(condition, body) => {
                let condition = self.condition(condition)?;
                let forever = is_true(&condition);
                let (body, broken) = self.loop_body(body)?;
                out.push(Instruction::While(condition, body));
                Ok(forever && !broken)
            }
            StatementKind::DoWhile(body, condition) => {
                let (body, broken) = self.loop_body(body)?;
                let condition = self.condition(condition)?;
                let forever = is_true(&condition);
                out.push(Instruction::DoWhile(body, condition));
                Ok(forever && !broken)
            }
            StatementKind::For(before, condition, after, body) => {
                self.scope.enter_block();
                let result = self.for_loop(before, condition.as_ref(), after, body);
                let slots = self.scope.leave_block();
                let (statements, condition, after, body, ends) = result?;
                out.push(Instruction::For {
                    before: Block { slots, statements },
                    condition,
                    after,
                    body,
                });
                Ok(ends)
            }
            StatementKind::ForEach(kind, name, source, body) => {
                self.scope.enter_block();
                let result = self.for_each(at, kind.as_ref(), name, source, body);
                self.scope.leave_block();
                out.push(result?);
                Ok(false)
            }
            StatementKind::Switch(value, sections) => self.switch(value, sections, out),
            StatementKind::Return(value) => {
                out.push(Instruction::Return(self.returned(at, value.as_ref())?));
                Ok(true)
            }
            StatementKind::Break | StatementKind::Continue => {
                let is_break = matches!(statement.kind, StatementKind::Break);
                let around = &mut self.scope.function_mut().around;
                let place = around
                    .iter_mut()
                    .rev()
                    .find(|(is_loop, _)| is_break || *is_loop);
                let Some((_, broken)) = place else {
                    return Err(Refusal::new(
                        at,
                        "No enclosing loop out of which to break or continue",
                    ));
                };
                *broken |= is_break;
                out.push(if is_break {
                    Instruction::Break
                } else {
                    Instruction::Continue
                });
                Ok(true)
            }
            StatementKind::Block(statements) => {
                let (block, ends) = self.block(statements)?;
                out.push(Instruction::Block(block));
                Ok(ends)
            }
            StatementKind::Try(body, catches, finally) => {
                self.try_catch(at, body, catches, finally.as_deref(), out)
            }
            StatementKind::Throw(value) => {
                let code = match value {
                    Some(value) => {
                        let value = self.value(value)?;
                        Some(Self::convert(value, &Type::named("Exception"))?)
                    }
                    None => None,
                };
                out.push(Instruction::Throw(at, code));
                Ok(true)
            }
        }
    }

    fn local(
        &mut self,
        at: Position,
        kind: Option<&TypeName>,
        name: &Arc<str>,
        value: Option<&Node>,
    ) -> Result<Instruction, Refusal> {
        let (code, kind) = match (kind, value) {
            (Some(kind), Some(value)) => {
                let kind = Self::resolve(kind)?;
                (Some(self.value_for(value, &kind)?), kind)
            }
            (Some(kind), None) => (None, Self::resolve(kind)?),
            (None, Some(value)) => {
                let typed = self.value(value)?;
                (Some(typed.code), typed.kind)
            }
            (None, None) => {
                return Err(Refusal::new(
                    at,
                    "Implicitly-typed variables must be initialized",
                ));
            }
        };
        let slot = self.declare(at, name, kind.clone(), code.is_some())?;
        Ok(Instruction::Declare(slot, code, kind))
    }

    #[allow(clippy::type_complexity, reason = "the parts of one statement")]
    fn for_loop(
        &mut self,
        before: &[Statement],
        condition: Option<&Node>,
        after: &[Node],
        body: &Statement,
    ) -> Result<(Vec<Instruction>, Option<Code>, Vec<Code>, Block, bool), Refusal> {
        let mut statements = Vec::new();
        for statement in before {
            self.statement(statement, &mut statements)?;
        }
        let condition = match condition {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        let forever = condition.as_ref().is_none_or(is_true);
        let (body, broken) = self.loop_body(body)?;
        let mut steps = Vec::new();
        for step in after {
            steps.push(self.expression(step)?.code);
        }
        Ok((statements, condition, steps, body, forever && !broken))
    }

    fn for_each(
        &mut self,
        at: Position,
        kind: Option<&TypeName>,
        name: &Arc<str>,
        source: &Node,
        body: &Statement,
    ) -> Result<Instruction, Refusal> {
        let mut source = self.value(source)?;
        if source.kind == Type::named("JObject") {
            // A JObject is walked by its pairs, though it is also a sequence of tokens.
            source = self.method_of(at, source, &"__pairs".into(), Vec::new())?;
        }
        let Some(Type::Named(_, arguments)) = as_base(&source.kind, "IEnumerable") else {
            return Err(Refusal::new(
                source.code.at,
                format!(
                    "foreach statement cannot operate on variables of type '{}'",
                    source.kind
                ),
            ));
        };
        let element = arguments.first().cloned().unwrap_or(Type::Object);
        let (conversion, kind) = match kind {
            None => (None, element),
            Some(kind) => {
                let kind = Self::resolve(kind)?;
                let item = Typed::new(at, Op::Local(0), element);
                let conversion = match Self::cast(item, &kind)?.op {
                    Op::Convert(conversion, _) => Some(conversion),
                    _ => None,
                };
                (conversion, kind)
            }
        };
        let slot = self.declare(at, name, kind, true)?;
        if let Some(variable) = self.scope.find_mut(name) {
            variable.is_constant = true;
        }
        let (body, _) = self.loop_body(body)?;
        Ok(Instruction::ForEach {
            slot,
            conversion,
            source: source.code,
            body,
        })
    }

    fn returned(&mut self, at: Position, value: Option<&Node>) -> Result<Option<Code>, Refusal> {
        let wanted = self.scope.function_mut().result.clone();
        match (value, wanted) {
            (None, Some(Type::Void)) => Ok(None),
            (None, _) => Err(Refusal::new(
                at,
                "An object of a type convertible to the result is required",
            )),
            (Some(value), Some(Type::Void)) => Err(Refusal::new(
                value.at,
                "A method that returns void cannot return a value",
            )),
            (Some(value), Some(kind)) => self.value_for(value, &kind).map(Some),
            (Some(value), None) => {
                let typed = self.value(value)?;
                self.scope.function_mut().returned.push(typed.kind);
                Ok(Some(typed.code))
            }
        }
    }

    fn switch(
        &mut self,
        value: &Node,
        sections: &[(Vec<Option<Node>>, Vec<Statement>)],
        out: &mut Vec<Instruction>,
    ) -> Result<bool, Refusal> {
        let value = self.value(value)?;
        let kind = value.kind.clone();
        let before = self.scope.assignments();
        let mut checked = Vec::new();
        let mut has_default = false;
        self.scope.function_mut().around.push((false, false));
        let mut afters = Vec::new();
        for (labels, statements) in sections {
            let mut known = Vec::new();
            for label in labels {
                let Some(node) = label else {
                    has_default = true;
                    known.push(None);
                    continue;
                };
                let label = self.value(node)?;
                match Self::convert(label, &kind)?.op {
                    Op::Constant(value) => known.push(Some(value)),
                    _ => return Err(Refusal::new(node.at, "A constant value is expected")),
                }
            }
            self.scope.restore(&before, false);
            let at = statements
                .first()
                .map_or(Position(0), |statement| statement.at);
            let (block, ends) = self.block(statements)?;
            if !ends {
                return Err(Refusal::new(
                    at,
                    "Control cannot fall through from one case label to another",
                ));
            }
            afters.push(self.scope.assignments());
            checked.push((known, block));
        }
        let broken = self
            .scope
            .function_mut()
            .around
            .pop()
            .is_some_and(|(_, broken)| broken);
        self.scope.restore(&before, false);
        out.push(Instruction::Switch {
            value: value.code,
            sections: checked,
        });
        Ok(has_default && !broken)
    }

    fn try_catch(
        &mut self,
        at: Position,
        body: &[Statement],
        catches: &[Catch],
        finally: Option<&[Statement]>,
        out: &mut Vec<Instruction>,
    ) -> Result<bool, Refusal> {
        let before = self.scope.assignments();
        let (body, mut ends) = self.block(body)?;
        if ends {
            self.scope.assume_all();
        }
        let mut after = self.scope.assignments();
        let mut handlers = Vec::new();
        for catch in catches {
            self.scope.restore(&before, false);
            self.scope.enter_block();
            let handler = self.handler(at, catch);
            self.scope.leave_block();
            let (handler, catch_ends) = handler?;
            ends &= catch_ends;
            if catch_ends {
                self.scope.assume_all();
            }
            self.scope.restore(&after, true);
            after = self.scope.assignments();
            handlers.push(handler);
        }
        let finally = match finally {
            Some(statements) => {
                let (block, finally_ends) = self.block(statements)?;
                if finally_ends {
                    return Err(Refusal::new(
                        at,
                        "Control cannot leave the body of a finally clause",
                    ));
                }
                Some(block)
            }
            None => None,
        };
        out.push(Instruction::Try {
            body,
            catches: handlers,
            finally,
        });
        Ok(ends)
    }

    fn handler(&mut self, at: Position, catch: &Catch) -> Result<(Handler, bool), Refusal> {
        let kind = match &catch.kind {
            Some(name) => Self::resolve(name)?,
            None => Type::named("Exception"),
        };
        let Type::Named(exception, _) = &kind else {
            return Err(Refusal::new(
                at,
                "The type caught or thrown must be derived from System.Exception",
            ));
        };
        if !crate::members::derives(&kind, &Type::named("Exception")) {
            return Err(Refusal::new(
                at,
                "The type caught or thrown must be derived from System.Exception",
            ));
        }
        let slot = match &catch.name {
            Some(name) => Some(self.declare(at, name, kind.clone(), true)?),
            None => None,
        };
        let filter = match &catch.filter {
            Some(filter) => Some(self.condition(filter)?),
            None => None,
        };
        let (body, ends) = self.block(&catch.body)?;
        Ok((
            Handler {
                exception,
                slot,
                filter,
                body,
            },
            ends,
        ))
    }
}

fn is_true(code: &Code) -> bool {
    matches!(code.op, Op::Constant(Value::Bool(true)))
}
