//! How many calls run at the same time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A counting semaphore. Waiters block their thread.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Mutex<usize>,
    total: usize,
    freed: Condvar,
}

impl Slots {
    pub(crate) fn new(total: usize) -> Self {
        Self {
            free: Mutex::new(total),
            total,
            freed: Condvar::new(),
        }
    }

    /// Waits for a slot. It is free again when the guard is dropped.
    pub(crate) fn acquire(&self) -> Slot<'_> {
        let mut free = self.lock();
        while *free == 0 {
            free = self
                .freed
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot { slots: self }
    }

    /// Slots that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.total - *self.lock()
    }

    /// A number cannot be left half-written, so a poisoned lock is as good as
    /// any.
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot that is taken.
#[derive(Debug)]
#[must_use]
pub(crate) struct Slot<'a> {
    slots: &'a Slots,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.slots.lock() += 1;
        self.slots.freed.notify_one();
    }
}
