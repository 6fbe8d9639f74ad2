//! Statements.

use super::machine::{Frame, Machine, Slot};
use super::operators::exception;
use super::sequence::Walk;
use super::{Block, Handler, Instruction, Target, convert, default_of};
use crate::Value;
use crate::error::{Fault, FaultKind};
use crate::value::Object;

/// Where execution goes on.
pub(super) enum Flow {
    Next,
    Break,
    Continue,
    Return(Value),
}

impl Machine<'_> {
    pub(super) fn function_body(
        &mut self,
        block: &Block,
        frame: &mut Frame<'_>,
    ) -> Result<Value, Fault> {
        match self.block(block, frame)? {
            Flow::Return(value) => Ok(value),
            _ => Ok(Value::Null),
        }
    }

    fn block(&mut self, block: &Block, frame: &mut Frame<'_>) -> Result<Flow, Fault> {
        // Also of an empty one, or a loop without a body would never end.
        self.charge(1)?;
        for slot in &block.slots {
            self.fresh(*slot, frame)?;
        }
        for instruction in &block.statements {
            match self.execute(instruction, frame)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    /// A new variable in a slot.
    fn fresh(&mut self, slot: usize, frame: &mut Frame<'_>) -> Result<(), Fault> {
        let shared = frame.shared.get(slot) == Some(&true);
        let new = if shared {
            Slot::Shared(self.cell(Value::Null)?)
        } else {
            Slot::Own(Value::Null)
        };
        if let Some(place) = frame.slots.get_mut(slot) {
            *place = new;
        }
        Ok(())
    }

    fn execute(&mut self, instruction: &Instruction, frame: &mut Frame<'_>) -> Result<Flow, Fault> {
        self.charge(1)?;
        self.deeper(|machine| machine.step(instruction, frame))
    }

    fn step(&mut self, instruction: &Instruction, frame: &mut Frame<'_>) -> Result<Flow, Fault> {
        match instruction {
            Instruction::Expression(code) => {
                self.eval(code, frame)?;
                Ok(Flow::Next)
            }
            Instruction::Declare(slot, code, kind) => {
                let value = match code {
                    Some(code) => self.eval(code, frame)?,
                    None => default_of(kind),
                };
                frame.write(Target::Local(*slot), value);
                Ok(Flow::Next)
            }
            Instruction::If(condition, yes, no) => {
                if self.boolean(condition, frame)? {
                    self.block(yes, frame)
                } else if let Some(no) = no {
                    self.block(no, frame)
                } else {
                    Ok(Flow::Next)
                }
            }
            Instruction::Return(code) => Ok(Flow::Return(match code {
                Some(code) => self.eval(code, frame)?,
                None => Value::Null,
            })),
            Instruction::Break => Ok(Flow::Break),
            Instruction::Continue => Ok(Flow::Continue),
            Instruction::Block(block) => self.block(block, frame),
            Instruction::Throw(at, Some(code)) => {
                let value = self.eval(code, frame)?;
                Err(exception(&value).at(*at))
            }
            Instruction::Throw(at, None) => Err(self
                .handling
                .last()
                .cloned()
                .unwrap_or_else(|| Fault::invalid("There is no exception to throw again."))
                .at(*at)),
            Instruction::Try {
                body,
                catches,
                finally,
            } => self.try_catch(body, catches, finally.as_ref(), frame),
            Instruction::Switch { value, sections } => {
                let value = self.eval(value, frame)?;
                let wanted = sections
                    .iter()
                    .find(|(labels, _)| {
                        labels
                            .iter()
                            .flatten()
                            .any(|label| convert::equal(label, &value))
                    })
                    .or_else(|| {
                        sections
                            .iter()
                            .find(|(labels, _)| labels.iter().any(Option::is_none))
                    });
                match wanted {
                    Some((_, body)) => match self.block(body, frame)? {
                        Flow::Break => Ok(Flow::Next),
                        other => Ok(other),
                    },
                    None => Ok(Flow::Next),
                }
            }
            looping => self.repeat(looping, frame),
        }
    }

    fn repeat(&mut self, instruction: &Instruction, frame: &mut Frame<'_>) -> Result<Flow, Fault> {
        match instruction {
            Instruction::While(condition, body) => {
                while self.boolean(condition, frame)? {
                    if let Some(end) = ended(self.block(body, frame)?) {
                        return Ok(end);
                    }
                }
            }
            Instruction::DoWhile(body, condition) => loop {
                if let Some(end) = ended(self.block(body, frame)?) {
                    return Ok(end);
                }
                if !self.boolean(condition, frame)? {
                    break;
                }
            },
            Instruction::For {
                before,
                condition,
                after,
                body,
            } => {
                self.block(before, frame)?;
                loop {
                    self.charge(1)?;
                    if let Some(condition) = condition
                        && !self.boolean(condition, frame)?
                    {
                        break;
                    }
                    if let Some(end) = ended(self.block(body, frame)?) {
                        return Ok(end);
                    }
                    for code in after {
                        self.eval(code, frame)?;
                    }
                }
            }
            Instruction::ForEach {
                slot,
                conversion,
                source,
                body,
            } => {
                let source = self.eval(source, frame)?;
                if source.is_null() {
                    return Err(Fault::null());
                }
                let mut walk = Walk::of(self, &source)?;
                while let Some(mut item) = walk.next(self)? {
                    if let Some(conversion) = conversion {
                        item = self.convert(conversion, item)?;
                    }
                    self.fresh(*slot, frame)?;
                    frame.write(Target::Local(*slot), item);
                    if let Some(end) = ended(self.block(body, frame)?) {
                        return Ok(end);
                    }
                }
            }
            _ => {}
        }
        Ok(Flow::Next)
    }

    fn try_catch(
        &mut self,
        body: &Block,
        catches: &[Handler],
        finally: Option<&Block>,
        frame: &mut Frame<'_>,
    ) -> Result<Flow, Fault> {
        let mut result = self.block(body, frame);
        if let Err(fault) = &result
            && fault.kind != FaultKind::Limit
        {
            let fault = fault.clone();
            result = self.handle(fault, catches, frame);
        }
        if let Some(finally) = finally {
            // What ends the block for good wins over what ended the body.
            if !matches!(&result, Err(fault) if fault.kind == FaultKind::Limit) {
                self.block(finally, frame)?;
            }
        }
        result
    }

    fn handle(
        &mut self,
        fault: Fault,
        catches: &[Handler],
        frame: &mut Frame<'_>,
    ) -> Result<Flow, Fault> {
        for handler in catches {
            if !crate::members::exception_is(fault.name(), handler.exception) {
                continue;
            }
            if let Some(slot) = handler.slot {
                self.fresh(slot, frame)?;
                let value = Object::Exception(fault.name(), fault.message.as_str().into());
                frame.write(Target::Local(slot), Value::object(value));
            }
            if let Some(filter) = &handler.filter
                && !self.boolean(filter, frame)?
            {
                continue;
            }
            self.handling.push(fault);
            let result = self.block(&handler.body, frame);
            self.handling.pop();
            return result;
        }
        Err(fault)
    }
}

/// What a loop's body did to the loop: `Some` where it ended it.
fn ended(flow: Flow) -> Option<Flow> {
    match flow {
        Flow::Next | Flow::Continue => None,
        Flow::Break => Some(Flow::Next),
        end @ Flow::Return(_) => Some(end),
    }
}
