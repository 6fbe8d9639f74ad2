//! Executes checked expressions.

/// A lambda or a local function, checked.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) _slots: usize,
}
