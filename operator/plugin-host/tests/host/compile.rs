//! Compiling in a process of its own: what it cannot do to this one.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use operator_plugin_host::{
    CompilerCommand, HostConfig, Limits, LoadError, PluginHost, PluginSource,
};
use serde_json::json;
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module, TypeSection, ValType,
};

use super::context;
use super::guest::{Guest, descriptor};

fn real() -> CompilerCommand {
    let arguments: [&str; 0] = [];
    CompilerCommand::new(env!("CARGO_BIN_EXE_plugin-compiler"), arguments)
}

/// A compiler that does what a shell is told.
fn fake(script: &str) -> CompilerCommand {
    CompilerCommand::new("/bin/sh", ["-c", script])
}

fn host(compiler: CompilerCommand) -> PluginHost {
    PluginHost::new(HostConfig {
        compiler: Some(compiler),
        max_concurrency: 4,
        limits: Limits {
            timeout: Duration::from_secs(10),
            ..Limits::default()
        },
        ..HostConfig::default()
    })
    .expect("a host")
}

fn source() -> PluginSource {
    PluginSource::Registry("r".into())
}

fn error(host: &PluginHost, bytes: &[u8]) -> LoadError {
    host.load(bytes, source())
        .map(|plugin| format!("{plugin:?}"))
        .expect_err("must not load")
}

/// A module with one function that is far too large to be compiled in the time
/// or memory that the tests give.
fn laborious() -> Vec<u8> {
    let locals = 200;
    let mut body = Function::new([(locals, ValType::I32)]);
    let mut instructions = body.instructions();
    for round in 0..200_000_u32 {
        let (a, b) = (round % locals + 1, (round * 7919) % locals + 1);
        instructions
            .local_get(a)
            .local_get(b)
            .i32_rotl()
            .i32_const(i32::from_ne_bytes(round.to_ne_bytes()))
            .i32_xor()
            .local_set(b)
            .local_get(a)
            .if_(wasm_encoder::BlockType::Empty)
            .local_get(b)
            .local_set(a)
            .end();
    }
    instructions.local_get(1).end();
    beside_a_plugin(&functions(std::iter::once(body)))
}

/// A module of functions from number to number; the first is exported.
fn functions(bodies: impl Iterator<Item = Function>) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    for body in bodies {
        functions.function(0);
        code.function(&body);
    }
    let mut exports = ExportSection::new();
    exports.export("f", ExportKind::Func, 0);
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&exports)
        .section(&code);
    module.finish()
}

/// A plugin that is in order, and in the same file another module: a component
/// may hold any number of them, and all are compiled.
fn beside_a_plugin(module: &[u8]) -> Vec<u8> {
    let mut bytes = Guest::default().component();
    bytes.push(1); // the section of a core module
    leb128(module.len(), &mut bytes);
    bytes.extend(module);
    bytes
}

fn leb128(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[test]
fn a_plugin_is_compiled_elsewhere_and_runs_here() {
    let host = host(real());
    for bytes in [Guest::default().component(), Guest::default().module()] {
        let plugin = host.load(&bytes, source()).expect("loads");
        plugin.generate(&context(), &json!({})).expect("works");
    }
    assert_eq!(host.stats().compiled, 2);
}

#[test]
fn code_from_the_compiler_is_kept_for_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |compiler| {
        PluginHost::new(HostConfig {
            cache_dir: Some(folder.path().join("compiled")),
            compiler: Some(compiler),
            max_concurrency: 2,
            ..HostConfig::default()
        })
        .expect("a host")
    };
    let bytes = Guest::default().component();
    start(real()).load(&bytes, source()).expect("loads");
    // Nothing is compiled, nor even looked at.
    let host = start(fake("exit 1"));
    let plugin = host.load(&bytes, source()).expect("loads");
    plugin.generate(&context(), &json!({})).expect("works");
    let stats = host.stats();
    assert_eq!((stats.compiled, stats.loaded_from_cache), (0, 1));
}

#[test]
fn what_is_wrong_with_a_file_arrives_as_it_was_found() {
    let host = host(real());
    let later = Guest {
        version: "2.0.0",
        ..Guest::default()
    };
    let wasi = wat::parse_str(r#"(component (import "wasi:io/poll@0.2.0" (instance)))"#)
        .expect("a component");
    for (bytes, reason, part) in [
        (b"nonsense".to_vec(), "MalformedPlugin", "\\0asm"),
        (
            later.component(),
            "UnsupportedInterface",
            "oda:policy 1.x (1.0.0 up",
        ),
        (wasi, "ForbiddenImport", "--stub-wasi"),
    ] {
        let error = error(&host, &bytes);
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.is_transient());
    }
}

#[test]
fn a_file_that_takes_too_long_is_given_up_and_a_neighbour_works_meanwhile() {
    let host = host(CompilerCommand {
        timeout: Duration::from_secs(3),
        memory_bytes: 4 << 30,
        ..real()
    });
    let neighbour = host
        .load(&Guest::default().component(), source())
        .expect("loads");
    let bytes = Arc::new(laborious());
    let hostile = {
        let (host, bytes) = (host.clone(), Arc::clone(&bytes));
        thread::spawn(move || error(&host, &bytes))
    };
    while !host.stats().compiling {
        thread::yield_now();
    }
    neighbour
        .generate(&context(), &json!({}))
        .expect("is not held up");
    assert!(host.stats().compiling, "the compiler was done already");
    let error = hostile.join().expect("no panic");
    assert!(
        matches!(&error, LoadError::CompileTimeout { limit } if *limit == Duration::from_secs(3)),
        "{error}"
    );
    assert_eq!(error.reason(), "CompileFailed");
    // And whoever waited for its turn gets it.
    let other = Guest {
        descriptor: descriptor("other"),
        ..Guest::default()
    };
    host.load(&other.component(), source()).expect("loads");
}

#[test]
fn files_made_to_hurt_the_compiler_hurt_nobody_else() {
    use wasm_encoder::{BlockType, Instruction};
    let function = |instructions: &dyn Fn(&mut Function)| {
        let mut body = Function::new([]);
        instructions(&mut body);
        body.instruction(&Instruction::I32Const(0));
        body.instruction(&Instruction::End);
        body
    };
    let nested = function(&|body| {
        for _ in 0..400_000 {
            body.instruction(&Instruction::Block(BlockType::Empty));
        }
        for _ in 0..400_000 {
            body.instruction(&Instruction::End);
        }
    });
    let wide = function(&|body| {
        for _ in 0..20 {
            body.instruction(&Instruction::Block(BlockType::Empty));
        }
        for _ in 0..30 {
            body.instruction(&Instruction::LocalGet(0));
            body.instruction(&Instruction::BrTable(
                (0..60_000).map(|at| at % 20).collect::<Vec<_>>().into(),
                0,
            ));
        }
        for _ in 0..20 {
            body.instruction(&Instruction::End);
        }
    });
    let many = (0..300_000).map(|_| function(&|_| ()));
    let calls = function(&|body| {
        for _ in 0..300_000 {
            body.instruction(&Instruction::I32Const(1));
            body.instruction(&Instruction::Call(0));
            body.instruction(&Instruction::Drop);
        }
    });
    let host = host(CompilerCommand {
        timeout: Duration::from_secs(2),
        memory_bytes: 96 << 20,
        ..real()
    });
    let neighbour = host
        .load(&Guest::default().component(), source())
        .expect("loads");
    for module in [
        functions(std::iter::once(nested)),
        functions(std::iter::once(wide)),
        functions(many),
        functions(std::iter::once(calls)),
    ] {
        if let Err(error) = host.load(&beside_a_plugin(&module), source()) {
            assert_eq!(error.reason(), "CompileFailed", "{error}");
            assert!(!error.is_transient(), "{error}");
        }
        neighbour
            .generate(&context(), &json!({}))
            .expect("works as before");
    }
}

#[test]
fn a_file_that_takes_too_much_memory_is_given_up() {
    let host = host(CompilerCommand {
        memory_bytes: 48 << 20,
        timeout: Duration::from_mins(5),
        ..real()
    });
    let error = error(&host, &laborious());
    assert!(
        matches!(&error, LoadError::CompileOutOfMemory { limit } if *limit == 48 << 20),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "compiling it takes more than 48 MiB of memory; make it smaller"
    );
    // The limit is high enough for a plugin.
    host.load(&Guest::default().component(), source())
        .expect("loads");
}

#[test]
fn code_that_is_too_large_is_not_taken() {
    let host = PluginHost::new(HostConfig {
        compiler: Some(real()),
        max_concurrency: 2,
        limits: Limits {
            compiled_bytes: 1000,
            ..Limits::default()
        },
        ..HostConfig::default()
    })
    .expect("a host");
    let error = error(&host, &Guest::default().component());
    assert!(
        matches!(error, LoadError::CompiledTooLarge { limit: 1000 }),
        "{error}"
    );
}

#[test]
fn a_compiler_that_misbehaves_is_this_plugins_problem_alone() {
    let bytes = Guest::default().component();
    let frame = "printf 'oda-plugin-pipe1\\000'";
    for (script, message) in [
        (
            "kill -ABRT $$",
            "the compiler broke off: it was ended by signal 6",
        ),
        (
            "kill -SEGV $$",
            "the compiler broke off: it was ended by signal 11",
        ),
        (
            "kill -KILL $$",
            "the compiler broke off: it was killed, as it is where the machine or the pod has no memory left",
        ),
        (
            "kill -XCPU $$",
            "compiling it takes longer than 2 s; make it smaller",
        ),
        (
            "echo thread main panicked >&2; exit 101",
            "the compiler broke off: it ended without an answer (exit status: 101); it said: thread main panicked",
        ),
        (
            "echo memory allocation of 99 bytes failed >&2; kill -ABRT $$",
            "compiling it takes more than 448 MiB of memory; make it smaller",
        ),
        (
            "exit 0",
            "the compiler broke off: it ended without an answer (exit status: 0)",
        ),
        ("echo hello", "the compiler broke off: it answered nonsense"),
        (
            "exec cat /dev/zero",
            "the compiler broke off: it answered nonsense",
        ),
        (
            &format!("{frame}; printf '\\377\\377\\377\\377\\377\\377\\377\\000'; exec sleep 600"),
            "its compiled code is larger than 268435456 bytes; make it smaller",
        ),
        (
            &format!("{frame}; printf '\\004\\000\\000\\000\\000\\000\\000\\000code'"),
            "the compiler broke off: it ended without an answer (exit status: 0)",
        ),
        (
            "exec sleep 600",
            "compiling it takes longer than 2 s; make it smaller",
        ),
        // What it started ends with it.
        (
            "sleep 600 & sleep 600",
            "compiling it takes longer than 2 s; make it smaller",
        ),
        (
            "exec >&-; exec sleep 600",
            "the compiler broke off: it closed its output and did not end",
        ),
        (
            "cat > /dev/null; tr '\\0' x < /dev/zero | head -c 9999999 >&2",
            &format!(
                "the compiler broke off: it ended without an answer (exit status: 0); it said: {}…",
                "x".repeat(300)
            ),
        ),
    ] {
        let host = host(CompilerCommand {
            timeout: Duration::from_secs(2),
            ..fake(script)
        });
        let error = error(&host, &bytes);
        assert_eq!(error.to_string(), message, "{script}");
        assert!(!error.is_transient(), "{script}");
    }
}

#[test]
fn code_of_another_engine_is_not_run() {
    // A whole answer, whose content is no code of this engine.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("answer");
    let payload = b"code";
    let digest = operator_plugin_host::Digest::of(payload).hex();
    let digest: Vec<u8> = (0..32)
        .map(|i| u8::from_str_radix(&digest[2 * i..2 * i + 2], 16).expect("hex"))
        .collect();
    let mut answer = b"oda-plugin-pipe1\0\x04\0\0\0\0\0\0\0code".to_vec();
    answer.extend(digest);
    std::fs::write(&file, answer).expect("written");
    let host = host(fake(&format!("exec cat {}", file.display())));
    let error = error(&host, &Guest::default().component());
    assert!(
        error
            .to_string()
            .starts_with("the compiler broke off: its code does not fit this process"),
        "{error}"
    );
}

#[test]
fn a_compiler_that_is_not_there_is_not_the_plugins_fault() {
    let arguments: [&str; 0] = [];
    let host = host(CompilerCommand::new("/nowhere/compiler", arguments));
    let error = error(&host, &Guest::default().component());
    assert!(error.is_transient());
    assert_eq!(error.reason(), "CompilerUnavailable");
    assert!(error.to_string().contains("/nowhere/compiler"), "{error}");
}

#[test]
fn a_compiler_knows_nothing_of_this_process() {
    // Its environment comes back in what it says.
    let host = host(fake("/usr/bin/env >&2; pwd >&2; exit 1"));
    let text = error(&host, &Guest::default().component()).to_string();
    assert!(!text.contains("CARGO") && !text.contains("HOME"), "{text}");
}
