//! The compiler, in a process of its own.
//!
//! Neither the parsers nor the compiler promise to withstand hostile input: a
//! file may make them work for hours, take all memory, or die. So a program
//! that is told here does that work, usually this very binary, with limits on
//! memory and time, one plugin at a time. What it answers is code that this
//! process runs: it is taken from the pipe of a child that this process
//! started, and from nowhere else.

mod child;
mod wire;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::config::Limits;
use crate::error::LoadError;
use crate::log::printable;
pub(crate) use child::panicked;
pub use child::{CompilerLimits, compile_plugin};
use wire::Answer;

/// How much of what the compiler writes to stderr is kept, in bytes.
const SAID: u64 = 4096;
/// How long a compiler may take to end once it has answered or broken off.
const FAREWELL: Duration = Duration::from_secs(2);

/// The program that compiles plugins.
///
/// It is started anew for each plugin, with an empty environment and, after
/// its own arguments, those that [`CompilerLimits`] are read from:
/// `--memory-bytes`, `--cpu-seconds` and `--module-bytes`, each with a number,
/// and `--metered` with `true` or `false`.
/// It reads the file from stdin and answers on stdout; [`compile_plugin`] is
/// its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompilerCommand {
    /// The program: an absolute path, as there is no `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// How much memory it may take beyond what its own code takes, in bytes.
    pub memory_bytes: u64,
    /// How long it may take.
    pub timeout: Duration,
}

impl CompilerCommand {
    /// A program with the usual limits: 448 MiB of memory and 60 s. The
    /// largest plugins in use, interpreters of Python and JavaScript of 12 to
    /// 18 MB, were measured to take up to 330 MiB and 10 s. A pod's own limit
    /// must leave room for this beside the operator: where memory runs out,
    /// Kubernetes ends all processes of a container together.
    #[must_use]
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            memory_bytes: 448 << 20,
            timeout: Duration::from_mins(1),
        }
    }

    /// This program itself, with the arguments that make it a compiler.
    pub fn this_program<A: Into<OsString>>(
        arguments: impl IntoIterator<Item = A>,
    ) -> io::Result<Self> {
        Ok(Self::new(std::env::current_exe()?, arguments))
    }

    /// Has a file checked and compiled. Waits for that.
    pub(crate) fn compile(
        &self,
        bytes: &[u8],
        limits: &Limits,
        metered: bool,
    ) -> Result<Vec<u8>, LoadError> {
        let mut running = self.start(bytes, limits, metered)?;
        let deadline = Instant::now() + self.timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let answer = match running.answer.recv_timeout(left()) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                return Err(LoadError::CompileTimeout {
                    limit: self.timeout,
                });
            }
            Err(RecvTimeoutError::Disconnected) => Answer::Nothing,
        };
        match answer {
            Answer::Code(code) => Ok(code),
            Answer::Refused(error) => Err(*error),
            Answer::TooLarge => Err(LoadError::CompiledTooLarge {
                limit: limits.compiled_bytes,
            }),
            Answer::Nonsense => Err(LoadError::Compiler {
                reason: "it answered nonsense".to_owned(),
            }),
            Answer::Nothing => {
                let status = running.wait(left().min(FAREWELL));
                let said = running.said.recv_timeout(FAREWELL).unwrap_or_default();
                Err(self.broken_off(status, &said))
            }
        }
    }

    fn start(&self, bytes: &[u8], limits: &Limits, metered: bool) -> Result<Running, LoadError> {
        let unavailable = |error: io::Error| LoadError::CompilerUnavailable {
            reason: format!("{}: {error}", self.program.display()),
        };
        let child = CompilerLimits {
            memory_bytes: self.memory_bytes,
            cpu_seconds: self.timeout.as_secs().max(1),
            module_bytes: limits.module_bytes as u64,
            metered,
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(child.arguments())
            // Nothing of what this process was told is for it.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ended together with whatever it starts.
            .process_group(0)
            .spawn()
            .map_err(unavailable)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut running = Running {
            child,
            answer: closed(),
            said: closed(),
        };
        if let (Some(mut stdin), Some(stdout), Some(mut stderr)) = pipes {
            let input = bytes.to_vec();
            // A child that ends early closes its end; it says why elsewhere.
            on_thread(move || drop(stdin.write_all(&input))).map_err(unavailable)?;
            let most = limits.compiled_bytes;
            running.answer = later(move || wire::read(stdout, most)).map_err(unavailable)?;
            running.said = later(move || {
                let mut said = Vec::new();
                // What was read before an error is worth as much.
                let _ = stderr.by_ref().take(SAID).read_to_end(&mut said);
                // Read on, so that it is not the pipe that stops the child.
                let _ = io::copy(&mut stderr, &mut io::sink());
                String::from_utf8_lossy(&said).into_owned()
            })
            .map_err(unavailable)?;
        }
        Ok(running)
    }

    /// Why a compiler that did not answer ended.
    fn broken_off(&self, status: Option<ExitStatus>, said: &str) -> LoadError {
        let signal = status.and_then(|status| status.signal());
        if signal == Some(Signal::XCPU.as_raw()) {
            return LoadError::CompileTimeout {
                limit: self.timeout,
            };
        }
        // What Rust's allocator says before it aborts; a test holds it to that.
        if said.contains("memory allocation of") {
            return LoadError::CompileOutOfMemory {
                limit: self.memory_bytes,
            };
        }
        let how = match (status, signal) {
            (None, _) => "it closed its output and did not end".to_owned(),
            (_, Some(9)) => {
                "it was killed, as it is where the machine or the pod has no memory left".to_owned()
            }
            (_, Some(signal)) => format!("it was ended by signal {signal}"),
            (Some(status), None) => format!("it ended without an answer ({status})"),
        };
        let said = printable(said, 300);
        LoadError::Compiler {
            reason: if said.is_empty() {
                how
            } else {
                format!("{how}; it said: {said}")
            },
        }
    }
}

/// A compiler at work. It ends when this goes.
struct Running {
    child: Child,
    answer: Receiver<Answer>,
    said: Receiver<String>,
}

impl Running {
    /// How it ended; none if it did not end in time.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its group, while it has not been waited for: the number may be
        // another's after that.
        if matches!(self.child.try_wait(), Ok(None))
            && let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        // It has been killed, or has ended.
        let _ = self.child.wait();
    }
}

fn closed<T>() -> Receiver<T> {
    mpsc::channel().1
}

/// Does something on a thread and hands over the result.
fn later<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Receiver<T>> {
    let (sender, receiver) = mpsc::channel();
    // Nobody may be waiting any more.
    on_thread(move || drop(sender.send(work())))?;
    Ok(receiver)
}

fn on_thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name("plugin-compiler".to_owned())
        .spawn(work)
        .map(drop)
}
