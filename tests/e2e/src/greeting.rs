//! The plugin that no operator has heard of, in several versions.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, Result};

/// One build at a time: they share a target folder, and each takes the place of
/// the one before.
static BUILT: Mutex<BTreeMap<(String, String), Vec<u8>>> = Mutex::new(BTreeMap::new());

/// Builds the plugin `greeting` as an author does: with this version and this
/// default text.
pub fn greeting(version: &str, text: &str) -> Result<Vec<u8>> {
    let mut built = BUILT
        .lock()
        .map_err(|_| anyhow::anyhow!("a build failed"))?;
    let key = (version.to_owned(), text.to_owned());
    if let Some(module) = built.get(&key) {
        return Ok(module.clone());
    }
    // Beside the other build results, so that it is compiled once.
    let program = std::env::current_exe()?;
    let target = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .context("the program lies in cargo's target folder")?
        .join("e2e-guests");
    let output = Command::new(env!("CARGO"))
        .current_dir(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../operator/plugin-host/tests/greeting"
        ))
        .args(["build", "--locked", "--lib", "--profile", "plugin"])
        .args(["--target", "wasm32-unknown-unknown"])
        .arg("--target-dir")
        .arg(&target)
        .env("GREETING_VERSION", version)
        .env("GREETING_TEXT", text)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .output()?;
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let module = target.join("wasm32-unknown-unknown/plugin/plugin_greeting.wasm");
    let bytes = std::fs::read(module)?;
    built.insert(key, bytes.clone());
    Ok(bytes)
}
