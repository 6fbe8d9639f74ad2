//! The compiler's side.

use std::any::Any;
use std::fs;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wasmtime::Engine;

use super::wire;
use crate::error::LoadError;
use crate::{engine, inspect};

/// What the address space holds beside what the limit is about, where that
/// cannot be found out.
const OWN_BYTES: u64 = 1 << 30;

/// What a compiler may take, and what it makes, as its arguments say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompilerLimits {
    /// `--memory-bytes`: address space beyond what it has at its start.
    pub memory_bytes: u64,
    /// `--cpu-seconds`: time on a processor.
    pub cpu_seconds: u64,
    /// `--module-bytes`: the size of the file.
    pub module_bytes: u64,
    /// `--metered true`: the code counts what it executes.
    pub metered: bool,
}

impl CompilerLimits {
    pub(super) fn arguments(&self) -> [String; 8] {
        [
            "--memory-bytes".to_owned(),
            self.memory_bytes.to_string(),
            "--cpu-seconds".to_owned(),
            self.cpu_seconds.to_string(),
            "--module-bytes".to_owned(),
            self.module_bytes.to_string(),
            "--metered".to_owned(),
            self.metered.to_string(),
        ]
    }

    /// Holds this process to them, for good. Before the first byte of the file
    /// is read.
    fn hold(&self) -> io::Result<()> {
        let lower = |resource: Resource, limit: u64| {
            let now = getrlimit(resource);
            let limit = now.maximum.map_or(limit, |most| limit.min(most));
            setrlimit(
                resource,
                Rlimit {
                    current: Some(limit),
                    // One second from the signal that says what it is to the
                    // one that does not.
                    maximum: Some(now.maximum.map_or(limit + 1, |most| most.min(limit + 1))),
                },
            )
        };
        lower(Resource::As, own_bytes().saturating_add(self.memory_bytes))?;
        lower(Resource::Cpu, self.cpu_seconds)?;
        lower(Resource::Core, 0)?;
        lower(Resource::Fsize, 0)?;
        // Where memory runs out all the same, the operator is not the one to
        // go. Not all machines let it.
        let _ = fs::write("/proc/self/oom_score_adj", "1000");
        Ok(())
    }
}

/// The address space that this process has now.
fn own_bytes() -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let size = text.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
            let kib: u64 = size.trim().strip_suffix(" kB")?.parse().ok()?;
            kib.checked_mul(1024)
        })
        .unwrap_or(OWN_BYTES)
}

/// Reads a plugin's file from stdin and writes its compiled code to stdout, or
/// why there is none: the body of the program that
/// [`CompilerCommand`](super::CompilerCommand) names. Lowers the limits of the
/// whole process; call it from a process that does nothing else.
pub fn compile_plugin(limits: CompilerLimits) -> io::Result<()> {
    limits.hold()?;
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(limits.module_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let code = if bytes.len() as u64 > limits.module_bytes {
        Err(LoadError::TooLarge {
            bytes: bytes.len() as u64,
            limit: usize::try_from(limits.module_bytes).unwrap_or(usize::MAX),
        })
    } else {
        catch_unwind(AssertUnwindSafe(|| compile(&bytes, limits.metered)))
            .unwrap_or_else(|panic| Err(panicked(&*panic)))
    };
    wire::write(io::stdout().lock(), code.as_deref())
}

/// What a panic of the compiler is told as.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> LoadError {
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it does not say why");
    LoadError::Compile(format!(
        "the compiler panicked, which is a fault of it that this file meets: {}",
        inspect::sentence(said)
    ))
}

fn compile(bytes: &[u8], metered: bool) -> Result<Vec<u8>, LoadError> {
    let failed =
        |error: wasmtime::Error| LoadError::Compile(inspect::sentence(&format!("{error:#}")));
    let component = inspect::component_of(bytes)?;
    // Without a pool: it would reserve more address space than there is.
    let engine = Engine::new(&engine::settings(metered)).map_err(failed)?;
    engine.precompile_component(&component).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_its_own_words() {
        let panic = catch_unwind(|| {
            let place = 7;
            panic!("no block\n{place}")
        });
        assert_eq!(
            panicked(&*panic.expect_err("it panics")).to_string(),
            "it cannot be compiled: the compiler panicked, which is a fault of it that this file meets: no block 7"
        );
    }
}
