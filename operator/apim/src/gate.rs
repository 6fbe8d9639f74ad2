//! Whether this process may write at this moment.

/// Asked immediately before each attempt of each write to Azure: not once per
/// object, since what it answers can change while an object is being worked
/// on. Reads are never asked for.
pub trait WriteGate: Send + Sync {
    /// Whether a write may leave now.
    fn may_write(&self) -> bool;
}

/// Always open: for a process that shares its work with no other.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

impl WriteGate for OpenGate {
    fn may_write(&self) -> bool {
        true
    }
}
