//! One call: a fresh instance, its limits, and what became of it.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::HasSelf;
use wasmtime::{Store, Trap};

use crate::bindings::{Plugin as Exports, PluginPre};
use crate::config::Limits;
use crate::engine::ticks;
use crate::error::CallError;
use crate::limits::CallLimits;
use crate::log::{LogSink, printable};
use crate::memory::MemoryLimiter;
use crate::usage::Usage;

/// wasmtime's error for an answer that is larger than the host-call fuel is
/// private; a test holds this text to it.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// What an instance can reach while it runs.
#[derive(Debug)]
pub(crate) struct State {
    memory: MemoryLimiter,
    pub(crate) log: LogSink,
}

/// What an instance's log import gets.
pub(crate) type LogData = HasSelf<LogSink>;

/// Runs `body` on a fresh instance, and says what that used. `metered` says
/// whether the engine counts fuel.
pub(crate) fn run<T>(
    prepared: &PluginPre<State>,
    name: &Arc<str>,
    host: &Limits,
    limits: CallLimits,
    metered: bool,
    body: impl FnOnce(&Exports, &mut Store<State>) -> wasmtime::Result<T>,
) -> (Result<T, CallError>, Usage) {
    let started = Instant::now();
    let state = State {
        memory: MemoryLimiter::new(limits.memory),
        log: LogSink::new(Arc::clone(name), host),
    };
    let mut store = Store::new(prepared.engine(), state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(limits.output);
    // Before instantiating: that runs code of the plugin, too.
    store.set_epoch_deadline(ticks(limits.time));
    store.epoch_deadline_trap();
    let fuelled = if metered {
        store.set_fuel(u64::MAX)
    } else {
        Ok(())
    };
    let result = fuelled
        .and_then(|()| prepared.instantiate(&mut store))
        .and_then(|exports| body(&exports, &mut store))
        .map_err(|error| classify(&error, store.data(), limits));
    let fuel = metered.then(|| store.get_fuel().ok()).flatten();
    let usage = Usage {
        fuel: fuel.map(|left| u64::MAX - left),
        memory_bytes: store.data().memory.used(),
        elapsed: started.elapsed(),
    };
    (result, usage)
}

fn classify(error: &wasmtime::Error, state: &State, limits: CallLimits) -> CallError {
    let last_log = || state.log.last().map(ToOwned::to_owned);
    // Whatever came of it: this is what it began with.
    if state.memory.exceeded() {
        return CallError::OutOfMemory {
            limit: limits.memory,
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => CallError::Timeout {
            limit: limits.time,
            last_log: last_log(),
        },
        Some(trap) => CallError::Trap {
            message: trap.to_string(),
            last_log: last_log(),
        },
        None => {
            let text = format!("{error:#}");
            if text.contains(FUEL_EXHAUSTED) {
                CallError::OutputTooLarge {
                    limit: limits.output,
                }
            } else {
                // Strings that are not UTF-8, pointers out of bounds and the
                // like: the instance ran, and its answer makes no sense.
                CallError::invalid(printable(&text, 500))
            }
        }
    }
}
