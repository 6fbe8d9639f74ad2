//! What a host is told at its start.

use std::path::PathBuf;
use std::time::Duration;

/// What a host is told at its start.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// The folder for compiled plugins; none: they are compiled at every
    /// start. Code in it is run as it is, so it must be the host's own: it is
    /// made with mode 0700, and refused where it belongs to somebody else.
    pub cache_dir: Option<PathBuf>,
    /// The limits of plugins and calls.
    pub limits: Limits,
    /// Calls that run at the same time; more wait. At least 2. One plugin gets
    /// at most half of them, so that one that hangs leaves room for others.
    pub max_concurrency: usize,
    /// Whether calls count what they execute, for [`Usage`](crate::Usage). It makes them two to three times slower.
    pub metered: bool,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            limits: Limits::default(),
            max_concurrency: 16,
            metered: false,
        }
    }
}

/// The limits of plugins and calls.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The size of a plugin's file, in bytes. Compiling takes time and memory
    /// in proportion.
    pub module_bytes: usize,
    /// The memory of one call, in bytes, all linear memories together.
    pub memory_bytes: usize,
    /// How long a call may take, unless the plugin has a limit of its own.
    pub timeout: Duration,
    /// The longest limit that a plugin can be given.
    pub max_timeout: Duration,
    /// The sum of a request's documents, in bytes.
    pub input_bytes: usize,
    /// What a call may hand back, in bytes, as it lies in the plugin's memory.
    pub output_bytes: usize,
    /// How deep elements may be nested.
    pub depth: usize,
    /// Lines that one call may log.
    pub log_lines: usize,
    /// The length of such a line, in bytes; the rest is cut.
    pub log_line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_bytes: 32 << 20,
            memory_bytes: 64 << 20,
            timeout: Duration::from_secs(1),
            max_timeout: Duration::from_secs(10),
            input_bytes: 8 << 20,
            output_bytes: 4 << 20,
            depth: 64,
            log_lines: 100,
            log_line_bytes: 2000,
        }
    }
}
