//! The engine: which WebAssembly there is, and who stops it.

use std::thread;
use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
};

use crate::config::HostConfig;
use crate::error::HostError;

/// How often the clock of calls ticks. A deadline is rounded up to ticks.
const TICK: Duration = Duration::from_millis(5);

/// Tables of one instance: large enough for interpreters compiled to
/// WebAssembly, small enough to be reserved for every slot.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;

/// Starts an engine and its clock.
pub(crate) fn start(config: &HostConfig) -> Result<Engine, HostError> {
    let mut pooled = settings(config.metered);
    pooled.allocation_strategy(pool(config));
    let engine = match Engine::new(&pooled) {
        Ok(engine) => engine,
        // A machine with a small address space has no room for the pool.
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "plugin instances are allocated on demand: no pool can be reserved"
            );
            Engine::new(&settings(config.metered))
                .map_err(|error| HostError::Engine(format!("{error:#}")))?
        }
    };
    start_ticker(engine.weak())?;
    Ok(engine)
}

/// Everything that plugins do not need is off. `gc` and `threads` are compiled
/// in and off: builds without them were the subject of advisories. Multiple
/// memories stay on: components with several modules need them.
pub(crate) fn settings(metered: bool) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .consume_fuel(metered)
        .max_wasm_stack(512 << 10)
        .cranelift_nan_canonicalization(true)
        .wasm_threads(false)
        .wasm_memory64(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_stack_switching(false)
        .wasm_wide_arithmetic(false)
        .gc_support(false)
        .concurrency_support(false)
        // For native debuggers and profilers only; it would be read whole at
        // every load, and kept.
        .native_unwind_info(false);
    config
}

fn pool(config: &HostConfig) -> InstanceAllocationStrategy {
    let calls = u32::try_from(config.max_concurrency.max(2)).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(16))
        .total_memories(calls.saturating_mul(2))
        .total_tables(calls.saturating_mul(16))
        .table_elements(TABLE_ELEMENTS)
        // The defaults are too small for guests of the size of an interpreter.
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size(
            config
                .limits
                .max_memory_bytes
                .max(config.limits.memory_bytes),
        )
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}

/// An OS thread, so that nothing that blocks an async runtime can stop it. It
/// lives exactly as long as the engine.
fn start_ticker(engine: EngineWeak) -> Result<(), HostError> {
    thread::Builder::new()
        .name("plugin-ticker".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map(|_| ())
        .map_err(HostError::Ticker)
}

/// A time limit in ticks: rounded up, and one for the tick that is under way.
pub(crate) fn ticks(limit: Duration) -> u64 {
    u64::try_from(limit.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 4) + 1
}
