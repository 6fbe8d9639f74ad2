//! Variables: which function has them, and which functions share them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::evaluate::Target;
use crate::types::Type;

/// More variables than any document has.
const MAX_SLOTS: usize = 4_096;

/// The functions around a place, innermost last.
#[derive(Debug)]
pub(super) struct Scope {
    functions: Vec<FunctionScope>,
}

/// A function while it is checked.
#[derive(Debug, Default)]
pub(super) struct FunctionScope {
    blocks: Vec<BlockScope>,
    /// For each slot, whether an inner function uses it.
    shared: Vec<bool>,
    /// The variables of outer functions, as the function around sees them.
    pub(super) captured: Vec<Target>,
    captured_names: Vec<(usize, usize)>,
    /// What `return` has to give; `None` where that is found out.
    pub(super) result: Option<Type>,
    /// The types that were returned, where they are found out.
    pub(super) returned: Vec<Type>,
    /// The loops and switches around: whether it is a loop, and whether a
    /// `break` leaves it.
    pub(super) around: Vec<(bool, bool)>,
}

#[derive(Debug, Default)]
struct BlockScope {
    variables: HashMap<Arc<str>, Variable>,
    slots: Vec<usize>,
}

/// A variable or a local function.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) slot: usize,
    pub(super) kind: Type,
    pub(super) is_constant: bool,
    /// Whether it certainly has a value.
    pub(super) assigned: bool,
}

impl Scope {
    pub(super) fn new() -> Self {
        Self {
            functions: vec![FunctionScope {
                blocks: vec![BlockScope::default()],
                ..FunctionScope::default()
            }],
        }
    }

    pub(super) fn function_mut(&mut self) -> &mut FunctionScope {
        // There is always one: `new` makes it, and `leave_function` keeps it.
        let last = self.functions.len() - 1;
        &mut self.functions[last]
    }

    pub(super) fn enter_function(&mut self, result: Option<Type>) {
        self.functions.push(FunctionScope {
            blocks: vec![BlockScope::default()],
            result,
            ..FunctionScope::default()
        });
    }

    pub(super) fn leave_function(&mut self) -> FunctionScope {
        if self.functions.len() == 1 {
            return FunctionScope::default();
        }
        self.functions.pop().unwrap_or_default()
    }

    pub(super) fn shared(&mut self) -> Vec<bool> {
        self.function_mut().shared.clone()
    }

    pub(super) fn enter_block(&mut self) {
        self.function_mut().blocks.push(BlockScope::default());
    }

    /// The slots that the block declared.
    pub(super) fn leave_block(&mut self) -> Vec<usize> {
        self.function_mut()
            .blocks
            .pop()
            .map(|block| block.slots)
            .unwrap_or_default()
    }

    /// A slot of this function without a name.
    pub(super) fn temporary(&mut self) -> Option<usize> {
        let function = self.function_mut();
        let slot = function.shared.len();
        if slot == MAX_SLOTS {
            return None;
        }
        function.shared.push(false);
        Some(slot)
    }

    /// A new variable; `None` where the name is taken.
    pub(super) fn declare(&mut self, name: &Arc<str>, kind: Type, assigned: bool) -> Option<usize> {
        if self.find(name).is_some() {
            return None;
        }
        let slot = self.temporary()?;
        let block = self.function_mut().blocks.last_mut()?;
        block.slots.push(slot);
        block.variables.insert(
            name.clone(),
            Variable {
                slot,
                kind,
                is_constant: false,
                assigned,
            },
        );
        Some(slot)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Variable> {
        self.functions.iter().rev().find_map(|function| {
            function
                .blocks
                .iter()
                .rev()
                .find_map(|block| block.variables.get(name))
        })
    }

    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut Variable> {
        self.functions.iter_mut().rev().find_map(|function| {
            function
                .blocks
                .iter_mut()
                .rev()
                .find_map(|block| block.variables.get_mut(name))
        })
    }

    /// Where the innermost function finds a variable. Where it is another
    /// function's, each function between captures it.
    pub(super) fn target(&mut self, name: &str) -> Option<Target> {
        let owner = self.functions.iter().rposition(|function| {
            function
                .blocks
                .iter()
                .any(|block| block.variables.contains_key(name))
        })?;
        let slot = self.functions[owner]
            .blocks
            .iter()
            .rev()
            .find_map(|block| block.variables.get(name))?
            .slot;
        let mut target = Target::Local(slot);
        if owner + 1 < self.functions.len() {
            self.functions[owner].shared[slot] = true;
        }
        for function in &mut self.functions[owner + 1..] {
            let known = function
                .captured_names
                .iter()
                .position(|known| *known == (owner, slot));
            let index = known.unwrap_or_else(|| {
                function.captured.push(target);
                function.captured_names.push((owner, slot));
                function.captured.len() - 1
            });
            target = Target::Captured(index);
        }
        Some(target)
    }

    /// Which variables certainly have a value, to be put back where paths part.
    pub(super) fn assignments(&self) -> Vec<(usize, usize, Arc<str>, bool)> {
        let mut found = Vec::new();
        for (at, function) in self.functions.iter().enumerate() {
            for (depth, block) in function.blocks.iter().enumerate() {
                for (name, variable) in &block.variables {
                    found.push((at, depth, name.clone(), variable.assigned));
                }
            }
        }
        found
    }

    /// Puts assignments back; with `both`, a variable has a value only where
    /// it has one there and here.
    pub(super) fn restore(&mut self, saved: &[(usize, usize, Arc<str>, bool)], both: bool) {
        for (at, depth, name, assigned) in saved {
            let variable = self
                .functions
                .get_mut(*at)
                .and_then(|function| function.blocks.get_mut(*depth))
                .and_then(|block| block.variables.get_mut(name));
            if let Some(variable) = variable {
                variable.assigned = *assigned && (!both || variable.assigned);
            }
        }
    }

    /// Marks every variable as having a value, behind what never goes on.
    pub(super) fn assume_all(&mut self) {
        for function in &mut self.functions {
            for block in &mut function.blocks {
                for variable in block.variables.values_mut() {
                    variable.assigned = true;
                }
            }
        }
    }
}

impl FunctionScope {
    pub(super) fn into_parts(self) -> (Vec<bool>, Vec<Target>, Vec<Type>) {
        (self.shared, self.captured, self.returned)
    }
}
