//! The machine that evaluates: its limits, its frames, and how it calls.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Code, Function, FunctionBody, MemberCall, Op, Target};
use crate::error::Fault;
use crate::types::Type;
use crate::value::{Cell, Closure, Object, Opaque};
use crate::{Context, Limits, Value};

/// What every member of the tables is: its arguments, of which the first is
/// the value it is called on where there is one, to its result.
pub(crate) type Run = fn(&mut Machine<'_>, &mut Call<'_>) -> Result<Value, Fault>;

/// The arguments of a member's call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) values: &'a mut [Value],
    pub(crate) types: &'a [Type],
}

/// One evaluation.
pub(crate) struct Machine<'a> {
    pub(crate) context: &'a mut Context,
    fuel: u64,
    memory: usize,
    depth: u32,
    /// Cells of captured variables: emptied at the end, since functions can
    /// hold each other in a circle.
    cells: Vec<Cell>,
    /// What the `catch` blocks that run have caught.
    pub(super) handling: Vec<Fault>,
}

/// The greatest depth that the stack of a thread holds.
const MAX_DEPTH: u32 = 256;

/// A variable's place in a frame.
#[derive(Debug)]
pub(crate) enum Slot {
    Own(Value),
    Shared(Cell),
}

/// The variables of a running function.
pub(crate) struct Frame<'c> {
    pub(crate) slots: Vec<Slot>,
    pub(crate) captured: &'c [Cell],
    pub(crate) shared: &'c [bool],
}

impl Frame<'_> {
    pub(crate) fn read(&self, target: Target) -> Value {
        match target {
            Target::Local(slot) => match self.slots.get(slot) {
                Some(Slot::Own(value)) => value.clone(),
                Some(Slot::Shared(cell)) => cell.lock().clone(),
                None => Value::Null,
            },
            Target::Captured(index) => self
                .captured
                .get(index)
                .map_or(Value::Null, |cell| cell.lock().clone()),
        }
    }

    pub(crate) fn write(&mut self, target: Target, value: Value) {
        match target {
            Target::Local(slot) => match self.slots.get_mut(slot) {
                Some(Slot::Own(place)) => *place = value,
                Some(Slot::Shared(cell)) => *cell.lock() = value,
                None => {}
            },
            Target::Captured(index) => {
                if let Some(cell) = self.captured.get(index) {
                    *cell.lock() = value;
                }
            }
        }
    }
}

impl<'a> Machine<'a> {
    pub(crate) fn new(context: &'a mut Context, limits: &Limits) -> Self {
        Self {
            context,
            fuel: limits.fuel,
            memory: limits.memory,
            depth: limits.depth.min(MAX_DEPTH),
            cells: Vec::new(),
            handling: Vec::new(),
        }
    }

    /// Uses fuel.
    pub(crate) fn charge(&mut self, steps: usize) -> Result<(), Fault> {
        if let Some(left) = self.fuel.checked_sub(steps as u64) {
            self.fuel = left;
            Ok(())
        } else {
            self.fuel = 0;
            Err(Fault::limit("The expression takes too many steps"))
        }
    }

    /// Uses memory, and the fuel that filling it takes.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<(), Fault> {
        self.charge(bytes / 16)?;
        match self.memory.checked_sub(bytes) {
            Some(left) => {
                self.memory = left;
                Ok(())
            }
            None => Err(Fault::limit("The expression makes too much data")),
        }
    }

    /// A string that was just made.
    pub(crate) fn text(&mut self, text: impl Into<Arc<str>>) -> Result<Value, Fault> {
        let text = text.into();
        self.allocate(text.len())?;
        Ok(Value::String(text))
    }

    /// A `byte[]` that was just made.
    pub(crate) fn bytes(&mut self, bytes: Vec<u8>) -> Result<Value, Fault> {
        self.allocate(bytes.len())?;
        Ok(Value::from_bytes(bytes))
    }

    /// Runs one level deeper.
    pub(crate) fn deeper<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(Fault::limit("The expression nests its calls too deeply"));
        };
        self.depth = depth;
        let result = part(self);
        self.depth += 1;
        result
    }

    /// The next random number: one step of the generator `SplitMix64`.
    pub(crate) fn random(&mut self) -> u64 {
        split_mix(&mut self.context.seed)
    }

    /// A new variable that functions share.
    pub(crate) fn cell(&mut self, value: Value) -> Result<Cell, Fault> {
        self.allocate(64)?;
        let cell = Arc::new(Mutex::new(value));
        self.cells.push(cell.clone());
        Ok(cell)
    }

    /// Runs a whole expression.
    pub(crate) fn run(&mut self, function: &Function) -> Result<Value, Fault> {
        let result = self.enter(function, &[], &[]);
        let result = result.and_then(|value| self.settled(value));
        for cell in std::mem::take(&mut self.cells) {
            let value = std::mem::take(&mut *cell.lock());
            drop(value);
        }
        result
    }

    /// A sequence that is not yet made would need this machine: it is walked.
    fn settled(&mut self, value: Value) -> Result<Value, Fault> {
        match &value {
            Value::Object(Opaque(object)) => match &**object {
                Object::Query(_) => {
                    let items = super::sequence::collect(self, &value)?;
                    Ok(super::sequence::list(Type::Object, items))
                }
                _ => Ok(value),
            },
            _ => Ok(value),
        }
    }

    /// Calls a function that is a value.
    pub(crate) fn invoke(&mut self, function: &Value, arguments: &[Value]) -> Result<Value, Fault> {
        self.charge(4)?;
        let Value::Object(Opaque(object)) = function else {
            return Err(Fault::null());
        };
        let Object::Closure(Closure { function, captured }) = &**object else {
            return Err(Fault::null());
        };
        // A call takes as much stack as several operations.
        let Some(depth) = self.depth.checked_sub(4) else {
            return Err(Fault::limit("The expression nests its calls too deeply"));
        };
        self.depth = depth;
        let result = self.enter(function, captured, arguments);
        self.depth += 4;
        result
    }

    fn enter(
        &mut self,
        function: &Function,
        captured: &[Cell],
        arguments: &[Value],
    ) -> Result<Value, Fault> {
        let mut slots = Vec::with_capacity(function.shared.len());
        for slot in 0..function.shared.len() {
            slots.push(match arguments.get(slot) {
                Some(value) if slot < function.parameters => {
                    if function.shared[slot] {
                        Slot::Shared(self.cell(value.clone())?)
                    } else {
                        Slot::Own(value.clone())
                    }
                }
                _ if function.shared[slot] => Slot::Shared(self.cell(Value::Null)?),
                _ => Slot::Own(Value::Null),
            });
        }
        let mut frame = Frame {
            slots,
            captured,
            shared: &function.shared,
        };
        match &function.body {
            FunctionBody::Expression(code) => self.eval(code, &mut frame),
            FunctionBody::Block(block) => self.function_body(block, &mut frame),
        }
    }

    /// The value of an expression.
    pub(crate) fn eval(&mut self, code: &Code, frame: &mut Frame<'_>) -> Result<Value, Fault> {
        match &code.op {
            Op::Constant(value) => return Ok(value.clone()),
            Op::Local(slot) => return Ok(frame.read(Target::Local(*slot))),
            Op::Captured(index) => return Ok(frame.read(Target::Captured(*index))),
            _ => {}
        }
        self.charge(1)?;
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(Fault::limit("The expression nests its calls too deeply").at(code.at));
        };
        self.depth = depth;
        let result = match &code.op {
            Op::Call(call) => self.call(call, frame),
            _ => self.operate(&code.op, frame),
        };
        self.depth += 1;
        result.map_err(|fault| fault.at(code.at))
    }

    pub(super) fn eval_all(
        &mut self,
        codes: &[Code],
        frame: &mut Frame<'_>,
    ) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::with_capacity(codes.len());
        for code in codes {
            values.push(self.eval(code, frame)?);
        }
        Ok(values)
    }

    fn call(&mut self, call: &MemberCall, frame: &mut Frame<'_>) -> Result<Value, Fault> {
        let mut values = self.eval_all(&call.arguments, frame)?;
        if call.on_instance && values.first().is_some_and(Value::is_null) {
            return Err(Fault::null());
        }
        let result = (call.run)(
            self,
            &mut Call {
                values: &mut values,
                types: &call.types,
            },
        )?;
        for (index, target) in &call.outs {
            if let Some(value) = values.get_mut(*index) {
                frame.write(*target, std::mem::take(value));
            }
        }
        Ok(result)
    }
}

/// Vigna's `SplitMix64`: a good 64-bit number for each step of a counter.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
