//! What a host is told at its start.

use std::path::PathBuf;
use std::time::Duration;

use crate::compiler::CompilerCommand;

/// What a host is told at its start.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// The folder for compiled plugins; none: they are compiled at every
    /// start. Code in it is run as it is, so it must be the host's own: it is
    /// made with mode 0700, and refused where it belongs to somebody else.
    pub cache_dir: Option<PathBuf>,
    /// How much that folder may hold, in bytes; what was not used for longest
    /// goes first.
    pub cache_bytes: u64,
    /// The program that compiles plugins; none: this process does it itself,
    /// and a plugin that the compiler cannot bear may take the process down.
    pub compiler: Option<CompilerCommand>,
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
            cache_bytes: 512 << 20,
            compiler: None,
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
    /// The size of its compiled code, in bytes.
    pub compiled_bytes: usize,
    /// The memory of one call, in bytes, all linear memories together, unless
    /// the plugin has a limit of its own.
    pub memory_bytes: usize,
    /// The most memory that a plugin can be given, in bytes.
    pub max_memory_bytes: usize,
    /// How long a call may take, unless the plugin has a limit of its own.
    pub timeout: Duration,
    /// The longest limit that a plugin can be given.
    pub max_timeout: Duration,
    /// The sum of a request's documents, in bytes.
    pub input_bytes: usize,
    /// What a call may hand back, in bytes, as it lies in the plugin's memory,
    /// unless the plugin has a limit of its own.
    pub output_bytes: usize,
    /// The most that a plugin can be allowed to hand back, in bytes.
    pub max_output_bytes: usize,
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
            compiled_bytes: 256 << 20,
            memory_bytes: 64 << 20,
            max_memory_bytes: 256 << 20,
            timeout: Duration::from_secs(1),
            max_timeout: Duration::from_secs(10),
            input_bytes: 8 << 20,
            output_bytes: 4 << 20,
            max_output_bytes: 16 << 20,
            depth: 64,
            log_lines: 100,
            log_line_bytes: 2000,
        }
    }
}
