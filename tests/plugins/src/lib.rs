//! Builds the example plugins in `deploy/examples/plugins`, each with the
//! commands of its README.
//!
//! A plugin is built once for each content of its folder and of `wit/`: making
//! one of Python takes half a minute. Tools are looked for where `make setup`
//! puts them; nothing is downloaded here.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use operator_plugin_host::Digest;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

/// The languages of the examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// With policy-sdk.
    Rust,
    /// With the bindings of wit-bindgen and nothing else.
    C,
    /// In `QuickJS`.
    JavaScript,
    /// With its interpreter.
    Python,
}

impl Language {
    /// The folder of its example.
    fn folder(self) -> PathBuf {
        workspace()
            .join("deploy/examples/plugins")
            .join(match self {
                Self::Rust => "rust",
                Self::C => "c",
                Self::JavaScript => "javascript",
                Self::Python => "python",
            })
    }

    /// The set-up script that has its tool; Rust needs only what the workspace
    /// needs.
    const fn tool(self) -> Option<&'static str> {
        match self {
            Self::Rust => None,
            Self::C => Some("zig"),
            Self::JavaScript => Some("componentize-qjs"),
            Self::Python => Some("componentize-py"),
        }
    }
}

/// An example that cannot be built here.
#[derive(Debug)]
pub struct Missing(pub String);

/// Builds an example below `out`, and says where the file is.
///
/// # Errors
/// What the tools say. A tool that is not there is no error.
pub fn build(language: Language, out: &Path) -> Result<Result<PathBuf, Missing>> {
    let tool = match language.tool().map(find) {
        None => PathBuf::new(),
        Some(Some(tool)) => tool,
        Some(None) => {
            let script = language.tool().unwrap_or_default();
            return Ok(Err(Missing(format!(
                "{script} is missing; run `make setup`"
            ))));
        }
    };
    let mut inputs = vec![language.folder(), workspace().join("wit")];
    if language == Language::Rust {
        inputs.push(workspace().join("policy-sdk"));
    }
    let key = Digest::of(fingerprint(&inputs, &tool)?.as_bytes()).to_string();
    let key = key.rsplit(':').next().unwrap_or_default();
    let plugin = out.join(format!("{language:?}-{key}.wasm"));
    if plugin.is_file() {
        return Ok(Ok(plugin));
    }
    // The tools write beside their sources, so they work on a copy.
    let work = out.join(format!("{language:?}.build"));
    fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
    let made = match language {
        Language::Rust => rust(&work)?,
        Language::C => c(&tool, &work)?,
        Language::JavaScript => javascript(&tool, &work)?,
        Language::Python => python(&tool, &work)?,
    };
    fs::rename(&made, &plugin).with_context(|| made.display().to_string())?;
    Ok(Ok(plugin))
}

/// Builds a copy, with the versions that the workspace has: nothing is
/// downloaded for the example, and nothing is written beside its source.
fn rust(work: &Path) -> Result<PathBuf> {
    let folder = Language::Rust.folder();
    let sdk = workspace().join("policy-sdk");
    let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
    let (from, to) = ("../../../../policy-sdk", sdk.display().to_string());
    if !manifest.contains(from) {
        bail!("{} does not name {from}", folder.display());
    }
    fs::create_dir_all(work.join("src"))?;
    fs::write(work.join("Cargo.toml"), manifest.replace(from, &to))?;
    fs::copy(folder.join("src/lib.rs"), work.join("src/lib.rs"))?;
    fs::copy(workspace().join("Cargo.lock"), work.join("Cargo.lock"))?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(work)
        .args(["build", "--offline", "--release", "--lib"])
        .args([
            "--target",
            "wasm32-unknown-unknown",
            "--target-dir",
            "target",
        ])
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    run(&mut cargo)?;
    Ok(work.join("target/wasm32-unknown-unknown/release/example_rust.wasm"))
}

fn c(zig: &Path, work: &Path) -> Result<PathBuf> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(workspace().join("wit"))?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    let mut bindings = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut bindings)?;
    for (name, content) in bindings.iter() {
        fs::write(work.join(name), content)?;
    }
    let plugin = work.join("plugin.wasm");
    let mut compiler = Command::new(zig);
    compiler
        .current_dir(Language::C.folder())
        .args(["cc", "-target", "wasm32-freestanding", "-Os", "-nostdlib"])
        .args([
            "-fno-builtin",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wl,--no-entry",
        ])
        .args(["-I", "include", "-I"])
        .arg(work)
        .arg("-o")
        .arg(&plugin)
        .args(["main.c", "json.c", "runtime.c"])
        .arg(work.join("plugin.c"))
        .arg(work.join("plugin_component_type.o"))
        .env("ZIG_GLOBAL_CACHE_DIR", work.join("zig-cache"))
        .env("ZIG_LOCAL_CACHE_DIR", work.join("zig-cache"));
    run(&mut compiler)?;
    Ok(plugin)
}

fn javascript(componentize: &Path, work: &Path) -> Result<PathBuf> {
    fs::copy(
        Language::JavaScript.folder().join("plugin.js"),
        work.join("plugin.js"),
    )?;
    let mut tool = Command::new(componentize);
    tool.current_dir(work)
        .arg("--wit")
        .arg(workspace().join("wit"))
        .args(["--world", "plugin", "--js", "plugin.js"])
        .args(["--stub-wasi", "--sync", "-o", "plugin.wasm"]);
    run(&mut tool)?;
    Ok(work.join("plugin.wasm"))
}

fn python(componentize: &Path, work: &Path) -> Result<PathBuf> {
    fs::copy(
        Language::Python.folder().join("plugin.py"),
        work.join("plugin.py"),
    )?;
    let mut tool = Command::new(componentize);
    tool.current_dir(work)
        .arg("-d")
        .arg(workspace().join("wit"))
        .args(["-w", "plugin", "componentize", "--stub-wasi", "plugin"])
        .args(["-o", "plugin.wasm"]);
    run(&mut tool)?;
    Ok(work.join("plugin.wasm"))
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Where a set-up script finds its tool.
fn find(script: &str) -> Option<PathBuf> {
    let script = workspace().join("tests/harness/setup").join(script);
    let output = Command::new(script).arg("--find").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

/// Names and contents of all files below some folders, and the tool's path,
/// which holds its version.
fn fingerprint(folders: &[PathBuf], tool: &Path) -> Result<String> {
    let mut text = format!("{}\n", tool.display());
    let mut left = folders.to_vec();
    while let Some(path) = left.pop() {
        if path.is_file() {
            let content = fs::read(&path).with_context(|| path.display().to_string())?;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} {}", path.display(), Digest::of(&content));
        } else if path.file_name().is_some_and(|name| name != "target") {
            let mut inner = fs::read_dir(&path)
                .and_then(|entries| {
                    entries
                        .map(|e| e.map(|e| e.path()))
                        .collect::<Result<Vec<_>, _>>()
                })
                .with_context(|| path.display().to_string())?;
            inner.sort();
            left.append(&mut inner);
        }
    }
    Ok(text)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
