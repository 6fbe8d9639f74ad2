//! The compiler of plugins as a program of its own: what
//! `apim-operator compile-plugin` does, for the tests of this crate. It must
//! never do anything else.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use operator_plugin_host::{CompilerLimits, compile_plugin};

fn main() -> ExitCode {
    match limits().and_then(compile_plugin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plugin-compiler: {error}");
            ExitCode::FAILURE
        }
    }
}

fn limits() -> io::Result<CompilerLimits> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        arguments
            .iter()
            .skip_while(|argument| *argument != name)
            .nth(1)
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| io::Error::other(format!("{name} needs a number")))
    };
    let metered = arguments
        .iter()
        .skip_while(|argument| *argument != "--metered")
        .nth(1)
        .is_some_and(|metered| metered == "true");
    Ok(CompilerLimits {
        memory_bytes: number("--memory-bytes")?,
        cpu_seconds: number("--cpu-seconds")?,
        module_bytes: number("--module-bytes")?,
        metered,
    })
}
