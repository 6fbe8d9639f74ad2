//! The floor of a policy's rendering: the same components on an engine with
//! the same settings, and nothing around them: no limits, no checks, no JSON.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use operator_plugin_host::{HostConfig, builtin_plugins};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
};

use wit::oda::policy::log::{Host, Level};

mod wit {
    #![allow(
        missing_docs,
        unreachable_pub,
        dead_code,
        clippy::all,
        clippy::pedantic,
        reason = "generated code"
    )]

    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "plugin",
    });
}

/// The log that a plugin may import; the built-in ones write nothing there.
struct Silence;

impl Host for Silence {
    fn write(&mut self, _: Level, _: String) {}
}

/// A plugin that is ready to be called.
pub(crate) struct Bare(wit::PluginPre<Silence>);

/// The built-in plugins, by the names that they give themselves.
pub(crate) fn bare_plugins() -> Result<Vec<(String, Bare)>> {
    let engine = engine()?;
    let mut linker = Linker::new(&engine);
    wit::Plugin::add_to_linker::<_, HasSelf<Silence>>(&mut linker, |state: &mut Silence| state)
        .map_err(failed)?;
    builtin_plugins()
        .iter()
        .map(|(_, bytes)| {
            let component = Component::new(&engine, bytes).map_err(failed)?;
            let prepared = linker.instantiate_pre(&component).map_err(failed)?;
            let bare = Bare(wit::PluginPre::new(prepared).map_err(failed)?);
            let descriptor: serde_json::Value = serde_json::from_str(&bare.describe()?)?;
            let name = descriptor["name"].as_str().context("a plugin has a name")?;
            Ok((name.to_owned(), bare))
        })
        .collect()
}

impl Bare {
    /// A fresh instance and one call.
    pub(crate) fn describe(&self) -> Result<String> {
        let mut store = self.store();
        let exports = self.0.instantiate(&mut store).map_err(failed)?;
        exports
            .oda_policy_generator()
            .call_describe(&mut store)
            .map_err(failed)
    }

    /// A fresh instance and one call, whatever it answers.
    pub(crate) fn call(&self, context: &str, config: &str) -> Result<()> {
        let mut store = self.store();
        let exports = self.0.instantiate(&mut store).map_err(failed)?;
        exports
            .oda_policy_generator()
            .call_generate(&mut store, context, config)
            .map(drop)
            .map_err(failed)
    }

    /// A fresh instance and one call; answers how many nodes it returned.
    pub(crate) fn generate(&self, context: &str, config: &str) -> Result<usize> {
        let mut store = self.store();
        let exports = self.0.instantiate(&mut store).map_err(failed)?;
        let answer = exports
            .oda_policy_generator()
            .call_generate(&mut store, context, config)
            .map_err(failed)?;
        let policy = answer.map_err(|said| anyhow::anyhow!("{} diagnostics", said.len()))?;
        Ok(policy.fragments.len())
    }

    fn store(&self) -> Store<Silence> {
        let mut store = Store::new(self.0.engine(), Silence);
        store.set_epoch_deadline(1_000);
        store
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

/// As the plugin host sets its engine up; a difference would make the ratio a
/// comparison of two engines.
fn engine() -> Result<Engine> {
    let host = HostConfig::default();
    let calls = u32::try_from(host.max_concurrency)?;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls * 16)
        .total_memories(calls * 2)
        .total_tables(calls * 16)
        .table_elements(100_000)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size(host.limits.memory_bytes)
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
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
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).map_err(failed)?;
    let weak = engine.weak();
    thread::Builder::new()
        .name("floor-ticker".to_owned())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(Duration::from_millis(5));
            }
        })?;
    Ok(engine)
}
