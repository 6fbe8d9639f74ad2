//! The tools of other people that plugins are built with, and what to say where
//! one is missing.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A cargo, without what an outer cargo would tell it of another package.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(program("CARGO", "cargo"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_")
            || name_text.starts_with("CARGO_MANIFEST_")
            || name_text.starts_with("CARGO_BIN_")
        {
            cargo.env_remove(&name);
        }
    }
    cargo
}

fn program(variable: &str, name: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| OsString::from(name))
}

/// Says how to get Rust, where there is no cargo.
pub(crate) fn require_cargo() -> anyhow::Result<()> {
    let there = cargo()
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match there {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("cargo is not here; install Rust 1.95 or newer: https://rustup.rs")
        }
        Err(error) => Err(error).context("cargo"),
    }
}

/// Without the target the compiler's own message is about a missing `core`.
pub(crate) fn require_target(target: &str) -> anyhow::Result<()> {
    let rustc = program("RUSTC", "rustc");
    let output = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", target])
        .stdin(Stdio::null())
        .output()
        .with_context(|| rustc.display().to_string())?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && folder.is_dir() {
        return Ok(());
    }
    bail!(
        "the compiler has no {target}; install it with:\n\n    rustup target add {target}\n\n\
         Without rustup, install your distribution's package for it (Debian and Ubuntu: \
         libstd-rust-dev-wasm32)."
    )
}

/// Runs a tool whose output goes to stderr; `missing` says how to get it.
pub(crate) fn run(command: &mut Command, missing: &str) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("{missing}"),
        Err(error) => return Err(error).context(name),
    };
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        bail!("{name} failed; what is wrong stands above");
    }
    Ok(())
}
