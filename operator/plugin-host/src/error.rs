//! What can be wrong with a plugin, by cause.

use std::io;
use std::time::Duration;

use operator_core::policy::{Diagnostic, Severity};
use serde::{Deserialize, Serialize};

/// Why a host cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// wasmtime refuses the engine's settings on this machine.
    #[error("the WebAssembly engine cannot be started: {0}")]
    Engine(String),
    /// The thread that ends calls in time cannot be started.
    #[error("the thread that ends calls in time cannot be started: {0}")]
    Ticker(io::Error),
    /// The folder for compiled plugins cannot be used.
    #[error("the folder for compiled plugins, {path}, cannot be used: {reason}")]
    Cache {
        /// The folder.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a plugin cannot be loaded.
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(String),
    /// The file is larger than the limit.
    #[error("it has {bytes} bytes, and {limit} are allowed; build it optimised for size")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: usize,
    },
    /// The file is not WebAssembly, or damaged.
    #[error("it is not a WebAssembly component or module: {0}")]
    Malformed(String),
    /// It imports something that plugins do not get.
    #[error("it imports `{import}`, and a plugin gets nothing but a log: {hint}")]
    ForbiddenImport {
        /// The import.
        import: String,
        /// How to build it without.
        hint: String,
    },
    /// It was built for another major version of the interface.
    #[error(
        "it was built for `{found}`, and this operator supports {supported}: build it with the \
         matching version of the interface"
    )]
    UnsupportedInterface {
        /// What it exports or imports.
        found: String,
        /// What is supported.
        supported: String,
    },
    /// It does not export the interface.
    #[error("it does not export `{expected}`: is it a policy plugin? {detail}")]
    NotAPlugin {
        /// The interface.
        expected: String,
        /// What it exports instead.
        detail: String,
    },
    /// What it exports under the interface's name has another shape.
    #[error("it does not fit the plugin interface: {0}")]
    Interface(String),
    /// It cannot be compiled.
    #[error("it cannot be compiled: {0}")]
    Compile(String),
    /// Compiling it takes too long.
    #[error("compiling it takes longer than {} s; make it smaller", .limit.as_secs())]
    CompileTimeout {
        /// How long it may take.
        limit: Duration,
    },
    /// Compiling it takes too much memory.
    #[error("compiling it takes more than {} MiB of memory; make it smaller", .limit >> 20)]
    CompileOutOfMemory {
        /// How much it may take, in bytes.
        limit: u64,
    },
    /// Its compiled code is larger than the limit.
    #[error("its compiled code is larger than {limit} bytes; make it smaller")]
    CompiledTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The compiler died of it.
    #[error("the compiler broke off: {reason}")]
    Compiler {
        /// How.
        reason: String,
    },
    /// The compiler cannot be started. The plugin has no part in that.
    #[error("the compiler cannot be started: {reason}")]
    CompilerUnavailable {
        /// Why.
        reason: String,
    },
    /// It does not describe itself.
    #[error("it does not describe itself: {0}")]
    Describe(#[source] CallError),
    /// What it says of itself cannot be used.
    #[error("its descriptor's `{field}` cannot be used: {reason}")]
    Descriptor {
        /// The field, as a JSON pointer.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl LoadError {
    /// The cause in one word, for a status condition or a metric's label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Io(_) => "ReadError",
            Self::TooLarge { .. } => "PluginTooLarge",
            Self::Malformed(_) => "MalformedPlugin",
            Self::ForbiddenImport { .. } => "ForbiddenImport",
            Self::UnsupportedInterface { .. } => "UnsupportedInterface",
            Self::NotAPlugin { .. } | Self::Interface(_) => "NotAPlugin",
            Self::Compile(_)
            | Self::CompileTimeout { .. }
            | Self::CompileOutOfMemory { .. }
            | Self::CompiledTooLarge { .. }
            | Self::Compiler { .. } => "CompileFailed",
            Self::CompilerUnavailable { .. } => "CompilerUnavailable",
            Self::Describe(_) => "DescribeFailed",
            Self::Descriptor { .. } => "InvalidDescriptor",
        }
    }
}

impl LoadError {
    /// Whether the same file may load another time: the fault is this
    /// machine's, or may be. All else stays as it is until the file changes.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // A busy machine takes longer for everything.
            Self::Io(_)
            | Self::CompilerUnavailable { .. }
            | Self::Describe(CallError::Timeout { .. }) => true,
            Self::TooLarge { .. }
            | Self::Malformed(_)
            | Self::ForbiddenImport { .. }
            | Self::UnsupportedInterface { .. }
            | Self::NotAPlugin { .. }
            | Self::Interface(_)
            | Self::Compile(_)
            | Self::CompileTimeout { .. }
            | Self::CompileOutOfMemory { .. }
            | Self::CompiledTooLarge { .. }
            | Self::Compiler { .. }
            | Self::Describe(_)
            | Self::Descriptor { .. } => false,
        }
    }
}

/// Why a call of a plugin gave nothing that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallError {
    /// It took too long.
    #[error("the plugin took longer than {} ms{}", .limit.as_millis(), last_line(.last_log.as_deref()))]
    Timeout {
        /// How long it may take.
        limit: Duration,
        /// The last line it logged.
        last_log: Option<String>,
    },
    /// It wanted more memory than it may have.
    #[error("the plugin needs more than {} of memory", size(*.limit))]
    OutOfMemory {
        /// How much it may have, in bytes.
        limit: usize,
    },
    /// It crashed.
    #[error("the plugin crashed: {message}{}", last_line(.last_log.as_deref()))]
    Trap {
        /// What happened, in WebAssembly's terms.
        message: String,
        /// The last line it logged: with our SDK, the panic's message.
        last_log: Option<String>,
    },
    /// The request is larger than the limit.
    #[error("the plugin's request has {bytes} bytes, and {limit} are allowed")]
    InputTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The answer is larger than the limit.
    #[error("the plugin's answer is larger than {limit} bytes")]
    OutputTooLarge {
        /// The limit.
        limit: usize,
    },
    /// It refuses its config or spec block, and says why.
    #[error("{}", sentences(.0))]
    Refused(Vec<Diagnostic>),
    /// It used what the platform has not granted it.
    #[error(
        "the plugin {what}, which the platform has not granted it; `{field}` of its PolicyPlugin grants it"
    )]
    NotGranted {
        /// What it did.
        what: String,
        /// The field that would grant it, with its value.
        field: String,
    },
    /// What it answered is not what the interface says.
    #[error("the plugin's answer cannot be used: {reason}")]
    InvalidOutput {
        /// What is wrong with it.
        reason: String,
    },
}

impl CallError {
    /// The cause in one word, for a status condition or a metric's label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "PluginTimeout",
            Self::OutOfMemory { .. } => "PluginOutOfMemory",
            Self::Trap { .. } => "PluginTrap",
            Self::InputTooLarge { .. } => "PluginInputTooLarge",
            Self::OutputTooLarge { .. } => "PluginOutputTooLarge",
            Self::Refused(_) => "PluginRefused",
            Self::NotGranted { .. } => "PluginNotGranted",
            Self::InvalidOutput { .. } => "PluginInvalidOutput",
        }
    }

    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::InvalidOutput {
            reason: reason.into(),
        }
    }
}

fn last_line(line: Option<&str>) -> String {
    line.map(|line| format!(" (the last it said: {line})"))
        .unwrap_or_default()
}

fn sentences(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| match diagnostic.pointer.as_str() {
            "" => diagnostic.message.clone(),
            pointer => format!("{pointer}: {}", diagnostic.message),
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// A number of bytes for a person: in whole MiB where it is that.
fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{} KiB", bytes >> 10)
    }
}
