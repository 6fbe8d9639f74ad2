//! How much an evaluation may use.

/// What one evaluation may use before it ends with an error. The defaults are
/// far above what a policy needs and far below what a gateway would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Steps: about one for each operation, element and sixteen bytes handled.
    pub fuel: u64,
    /// How deep calls and operations may nest. Above 256 a thread with the
    /// usual two megabytes of stack can overflow in a build for debugging, so
    /// that a greater value is read as 256.
    pub depth: u32,
    /// Bytes made in all, also those dropped again.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 5_000_000,
            depth: 256,
            memory: 64 * 1024 * 1024,
        }
    }
}
