//! What a call used.

use std::time::Duration;

/// What one call used, whether it went well or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// What it executed, in wasmtime's fuel: about one unit per WebAssembly
    /// instruction, the same for the same plugin and the same request. None
    /// unless the host is [metered](crate::HostConfig::metered).
    pub fuel: Option<u64>,
    /// The most linear memory it had, in bytes.
    pub memory_bytes: usize,
    /// How long it took, from making the instance to its answer; waiting for
    /// other calls is not in it.
    pub elapsed: Duration,
}
