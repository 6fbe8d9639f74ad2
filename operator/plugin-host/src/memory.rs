//! How much memory a call may have.

use wasmtime::ResourceLimiter;

use crate::engine::TABLE_ELEMENTS;

/// Counts the linear memories of one call together. Says afterwards whether it
/// was asked for too much: the error that wasmtime makes of that has no type.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    used: usize,
    exceeded: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            exceeded: false,
        }
    }

    /// The most that it had. Linear memories never shrink.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Whether more was wanted than there is.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded
    }

    fn refuse(&mut self) -> wasmtime::Result<bool> {
        self.exceeded = true;
        Err(wasmtime::Error::msg("the call's memory limit is reached"))
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        if used > self.limit {
            return self.refuse();
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            return self.refuse();
        }
        Ok(true)
    }
}
