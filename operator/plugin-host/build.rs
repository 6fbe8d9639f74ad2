//! Compiles every folder in `plugins/` for WebAssembly, makes components of
//! them and has them embedded. The list of built-in plugins is the list of
//! those folders; no name stands anywhere else.
//!
//! The compilation is a cargo of its own with a target folder of its own
//! below `OUT_DIR`: it cannot wait for a lock that the outer one holds, and
//! nothing of the outer one's flags or wrappers reaches it.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "plugin";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let workspace = path_of("CARGO_MANIFEST_DIR")?.join("../..");
    let workspace = fs::canonicalize(&workspace)
        .map_err(|error| format!("cannot find {}: {error}", workspace.display()))?;
    let out = path_of("OUT_DIR")?;
    for input in ["plugins", "policy-sdk", "wit", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo:rerun-if-changed=build.rs");

    let plugins = plugin_folders(&workspace.join("plugins"))?;
    require_target()?;
    let modules = compile(&workspace, &plugins, &out.join("plugins"))?;

    let components = out.join("components");
    fs::create_dir_all(&components)
        .map_err(|error| format!("cannot make {}: {error}", components.display()))?;
    let mut list = String::from("&[\n");
    let mut digests = String::from("&[\n");
    for name in plugins.keys() {
        let module = modules
            .get(name)
            .ok_or_else(|| format!("plugins/{name} built no .wasm file: its [lib] needs crate-type = [\"cdylib\", \"rlib\"]"))?;
        let component = components.join(format!("{name}.wasm"));
        let bytes = componentize(module)
            .map_err(|error| format!("plugins/{name} is no plugin: {error}"))?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        fs::write(&component, bytes)
            .map_err(|error| format!("cannot write {}: {error}", component.display()))?;
        let file = format!("/components/{name}.wasm");
        // Writing to a string cannot fail.
        let _ = writeln!(
            list,
            "    ({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), {file:?}))),"
        );
        let _ = writeln!(digests, "    {digest:?},");
    }
    list.push_str("]\n");
    digests.push_str("]\n");
    fs::write(out.join("builtin.rs"), list)
        .and_then(|()| fs::write(out.join("digests.rs"), digests))
        .map_err(|error| format!("cannot write the list: {error}"))
}

fn path_of(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo did not set {variable}"))
}

/// The folders in `plugins/` that hold a crate, by name.
fn plugin_folders(folder: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let problem = |error: std::io::Error| format!("cannot list {}: {error}", folder.display());
    let mut plugins = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str())
            && path.join("Cargo.toml").is_file()
        {
            plugins.insert(name.to_owned(), path);
        }
    }
    Ok(plugins)
}

/// Without the target the compiler's own message is about a missing `core`.
fn require_target() -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("cannot run {}: {error}", rustc.display()))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && folder.is_dir() {
        return Ok(());
    }
    Err(format!(
        "The built-in plugins are compiled for {TARGET}, whose standard library is not installed.\n\
         Install it with:\n\n    rustup target add {TARGET}\n\n\
         Without rustup, install your distribution's package for it (Debian and Ubuntu: \
         libstd-rust-dev-wasm32)."
    ))
}

/// Compiles the plugins and says where each one's module is.
fn compile(
    workspace: &Path,
    plugins: &BTreeMap<String, PathBuf>,
    target_dir: &Path,
) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut cargo = cargo(workspace);
    cargo
        .args([
            "build",
            "--locked",
            "--target",
            TARGET,
            "--profile",
            PROFILE,
        ])
        .args(["--lib", "--message-format", "json-render-diagnostics"])
        .arg("--target-dir")
        .arg(target_dir);
    for id in package_ids(workspace, plugins)? {
        cargo.args(["--package", &id]);
    }
    // The digest of a plugin must not depend on where it was built.
    let mut flags = vec![format!("--remap-path-prefix={}=.", workspace.display())];
    if let Some(home) = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
    {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));

    let output = cargo
        .output()
        .map_err(|error| format!("cannot run cargo for the plugins: {error}"))?;
    if !output.status.success() {
        return Err("the built-in plugins do not compile; the errors are above".to_owned());
    }
    let folders: BTreeMap<PathBuf, &String> = plugins
        .iter()
        .map(|(name, folder)| (folder.join("Cargo.toml"), name))
        .collect();
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter_map(|message: Value| {
            let manifest = message.get("manifest_path")?.as_str()?;
            let name = folders.get(Path::new(manifest))?;
            let module = message
                .get("filenames")?
                .as_array()?
                .iter()
                .filter_map(Value::as_str)
                .map(PathBuf::from)
                .find(|file| {
                    file.extension()
                        .is_some_and(|extension| extension == "wasm")
                })?;
            Some(((*name).clone(), module))
        })
        .collect())
}

/// What cargo calls the packages in these folders: a plugin's package may have
/// any name.
fn package_ids(
    workspace: &Path,
    plugins: &BTreeMap<String, PathBuf>,
) -> Result<Vec<String>, String> {
    let output = cargo(workspace)
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .output()
        .map_err(|error| format!("cannot run cargo for the plugins: {error}"))?;
    if !output.status.success() {
        return Err("cargo cannot list the packages; the errors are above".to_owned());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    plugins
        .iter()
        .map(|(name, folder)| {
            let manifest = folder.join("Cargo.toml");
            packages
                .iter()
                .find(|package| {
                    package.get("manifest_path").and_then(Value::as_str) == manifest.to_str()
                })
                .and_then(|package| package.get("id")?.as_str())
                .map(ToOwned::to_owned)
                .ok_or_else(|| format!("plugins/{name} is no member of the workspace"))
        })
        .collect()
}

/// A cargo that knows nothing of the one that runs this script.
fn cargo(workspace: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    for (name, _) in env::vars_os() {
        if name.to_str().is_none_or(leaks) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Whether a variable of the outer build would change the inner one. What
/// says where cargo's registry is, and how to reach it, stays.
fn leaks(name: &str) -> bool {
    const KEPT: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_TERM_",
    ];
    let ours = name.starts_with("CARGO_") && !KEPT.iter().any(|kept| name.starts_with(kept));
    ours || matches!(
        name,
        "RUSTC_WRAPPER"
            | "RUSTC_WORKSPACE_WRAPPER"
            | "RUSTC_LINKER"
            | "RUSTFLAGS"
            | "RUSTDOCFLAGS"
            | "CLIPPY_ARGS"
            | "CLIPPY_CONF_DIR"
            | "TARGET"
            | "HOST"
            | "PROFILE"
            | "OPT_LEVEL"
            | "DEBUG"
            | "OUT_DIR"
            | "NUM_JOBS"
    )
}

fn componentize(module: &Path) -> Result<Vec<u8>, String> {
    let bytes =
        fs::read(module).map_err(|error| format!("cannot read {}: {error}", module.display()))?;
    ComponentEncoder::default()
        .module(&bytes)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}"))
}
