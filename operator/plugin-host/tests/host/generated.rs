//! Plugins that nobody wrote: code made at random, and plugins damaged at
//! random. Whatever they are, the host survives, every failure has a reason,
//! and no limit is passed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Unstructured;
use operator_plugin_host::{
    HostConfig, Limits, PluginHost, PluginLimits, PluginSource, builtin_plugins,
};
use serde_json::json;
use wasm_encoder::{CodeSection, Function, RawSection};
use wasm_smith::Config;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::context;
use super::guest::{Guest, descriptor};

/// A host that has no patience: hostile code loops now and then.
static HOST: LazyLock<PluginHost> = LazyLock::new(|| {
    PluginHost::new(HostConfig {
        limits: Limits {
            timeout: Duration::from_millis(100),
            max_timeout: Duration::from_millis(100),
            memory_bytes: 8 << 20,
            max_memory_bytes: 8 << 20,
            output_bytes: 64 << 10,
            max_output_bytes: 64 << 10,
            ..Limits::default()
        },
        max_concurrency: 2,
        ..HostConfig::default()
    })
    .expect("a host")
});

/// What a core module must export to be made a plugin of.
static SHAPE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    wat::parse_str(
        r#"(module
            (memory (export "memory") 2 64)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "oda:policy/generator@1.0.0#describe") (result i32) unreachable)
            (func (export "oda:policy/generator@1.0.0#read-spec") (param i32 i32) (result i32) unreachable)
            (func (export "oda:policy/generator@1.0.0#generate") (param i32 i32 i32 i32) (result i32) unreachable))"#,
    )
    .expect("WebAssembly")
});

/// Numbers that are the same on every run (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).expect("below a usize")
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8))
            .flat_map(|_| self.next().to_le_bytes())
            .take(count)
            .collect()
    }
}

/// A core module of random code with a plugin's exports.
fn module(numbers: &mut Numbers) -> Option<Vec<u8>> {
    let length = 500 + numbers.below(4000);
    let seed = numbers.bytes(length);
    // WebAssembly that no plugin needs and the engine has switched off.
    let foreign = numbers.below(10) == 0;
    let config = Config {
        exports: Some(SHAPE.clone()),
        max_imports: 0,
        max_memories: 0,
        allow_start_export: true,
        gc_enabled: foreign,
        reference_types_enabled: foreign,
        exceptions_enabled: foreign,
        tail_call_enabled: foreign,
        memory64_enabled: foreign,
        threads_enabled: foreign,
        relaxed_simd_enabled: foreign,
        wide_arithmetic_enabled: foreign,
        custom_page_sizes_enabled: foreign,
        ..Config::default()
    };
    wasm_smith::Module::new(config, &mut Unstructured::new(&seed))
        .ok()
        .map(|module| module.to_bytes())
}

/// The module with another body for the function that it exports under a
/// name: one that writes a descriptor into memory and returns where it is.
fn describing(module: &[u8]) -> Option<Vec<u8>> {
    let export = wasmparser::Parser::new(0)
        .parse_all(module)
        .filter_map(Result::ok)
        .find_map(|payload| match payload {
            Payload::ExportSection(exports) => exports
                .into_iter()
                .filter_map(Result::ok)
                .find(|export| export.name.ends_with("#describe"))
                .map(|export| export.index),
            _ => None,
        })?;
    let mut out = wasm_encoder::Module::new();
    let mut code = CodeSection::new();
    let mut index = 0;
    let mut bodies = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.ok()?;
        match &payload {
            Payload::CodeSectionStart { count, .. } => bodies = *count,
            Payload::CodeSectionEntry(body) => {
                if index == export {
                    code.function(&describe());
                } else {
                    code.raw(module.get(body.range())?);
                }
                index += 1;
                if index == bodies {
                    out.section(&code);
                }
            }
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    out.section(&RawSection {
                        id,
                        data: module.get(range)?,
                    });
                }
            }
        }
    }
    Some(out.finish())
}

fn describe() -> Function {
    let text = descriptor("generated");
    let mut bytes = Vec::new();
    bytes.extend(8_u32.to_le_bytes());
    bytes.extend(u32::try_from(text.len()).expect("short").to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let mut function = Function::new([]);
    let mut body = function.instructions();
    for (index, word) in bytes.chunks_exact(4).enumerate() {
        let word = i32::from_le_bytes(word.try_into().expect("four bytes"));
        body.i32_const(i32::try_from(4 * index).expect("small"))
            .i32_const(word)
            .i32_store(wasm_encoder::MemArg {
                offset: 0,
                align: 2,
                memory_index: 0,
            });
    }
    body.i32_const(0).end();
    function
}

/// The module as a plugin, if it can be one.
fn plugin(mut module: Vec<u8>) -> Option<Vec<u8>> {
    let (resolve, world) = Guest::default().interface();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).ok()?;
    ComponentEncoder::default()
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .ok()
}

/// A plugin of which a few bytes are others, missing or doubled.
fn damaged(mut bytes: Vec<u8>, numbers: &mut Numbers) -> Vec<u8> {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let end = (at + 1 + numbers.below(64)).min(bytes.len());
        match numbers.below(6) {
            0 => bytes.truncate(at.max(8)),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            3 => {
                let noise = numbers.bytes(end - at);
                bytes[at..end].copy_from_slice(&noise);
            }
            _ => {
                let bit = numbers.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// The case of a number.
fn case(number: u64) -> Vec<u8> {
    let mut numbers = Numbers(number);
    match numbers.below(10) {
        0 => {
            let length = numbers.below(2000);
            let mut bytes = b"\0asm".to_vec();
            bytes.extend(match numbers.below(3) {
                0 => [1, 0, 0, 0],
                1 => [0x0d, 0, 1, 0],
                _ => [numbers.bytes(1)[0], 0, 1, 0],
            });
            bytes.extend(numbers.bytes(length));
            bytes
        }
        1..=3 => {
            let guest = Guest::default();
            let whole = if numbers.below(2) == 0 {
                guest.component()
            } else {
                guest.module()
            };
            damaged(whole, &mut numbers)
        }
        4 if number.is_multiple_of(4) => {
            let all = builtin_plugins();
            let (_, bytes) = all[numbers.below(all.len())];
            damaged(bytes.to_vec(), &mut numbers)
        }
        kind => {
            let Some(module) = module(&mut numbers) else {
                return Vec::new();
            };
            let module = if kind == 9 {
                module
            } else {
                describing(&module).expect("what was just made can be read")
            };
            plugin(module.clone()).unwrap_or(module)
        }
    }
}

/// What became of a case, by its reason.
fn outcome(bytes: &[u8]) -> &'static str {
    let loaded = HOST.load(bytes, PluginSource::Registry("generated".into()));
    let plugin = match loaded {
        Ok(plugin) => plugin.with_limits(PluginLimits {
            time: Some(Duration::from_millis(20)),
            ..PluginLimits::default()
        }),
        Err(error) => {
            assert!(error.to_string().len() < 20_000, "a long story");
            if std::env::var_os("FUZZ_SHOW").is_some() {
                eprintln!("{error}");
            }
            return error.reason();
        }
    };
    let read = plugin.read_spec(&json!({"dialect": "canonical", "block": {}}));
    let generated = plugin.generate(&context(), &json!({}));
    assert_eq!(plugin.calls_in_flight(), 0);
    match (read.err(), generated.err()) {
        (None, None) => "Works",
        (_, Some(error)) | (Some(error), None) => {
            assert!(error.to_string().len() < 200_000, "a long story");
            error.reason()
        }
    }
}

/// Runs cases and counts what became of them. `progress` is told now and then.
fn run(cases: std::ops::Range<u64>, progress: impl Fn(u64)) -> BTreeMap<&'static str, u64> {
    let mut reasons = BTreeMap::new();
    for number in cases {
        let bytes = case(number);
        let outcome = catch_unwind(AssertUnwindSafe(|| outcome(&bytes)))
            .unwrap_or_else(|_| panic!("case {number} ({} bytes) got through", bytes.len()));
        *reasons.entry(outcome).or_default() += 1;
        progress(number);
    }
    assert_eq!(HOST.stats().calls_in_flight, 0);
    reasons
}

#[test]
fn generated_plugins_fail_for_a_reason_or_work() {
    let reasons = run(0..300, |_| ());
    assert_eq!(reasons.values().sum::<u64>(), 300);
    // They get as far as each of these.
    for reason in [
        "MalformedPlugin",
        "Works",
        "PluginTrap",
        "PluginInvalidOutput",
    ] {
        assert!(reasons.contains_key(reason), "{reasons:?}");
    }
}

#[test]
#[ignore = "takes minutes: `make fuzz`"]
fn many_generated_plugins() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    };
    let (first, count) = (
        number("FUZZ_FIRST", 1_000_000),
        number("FUZZ_CASES", 10_000),
    );
    let reasons = run(first..first + count, |number| {
        let done = number - first + 1;
        if done.is_multiple_of(500) {
            eprintln!("{done} of {count}");
        }
    });
    eprintln!("{count} generated plugins, by what became of them:");
    for (reason, count) in &reasons {
        eprintln!("{count:>8}  {reason}");
    }
    assert_eq!(reasons.values().sum::<u64>(), count);
}
