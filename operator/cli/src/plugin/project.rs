//! A plugin's folder: what it is written in, and how it is built.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use operator_plugin_host::{Plugin, PluginHost, component_of};
use serde_json::Value;

use super::tools;

/// The target of Rust plugins.
const TARGET: &str = "wasm32-unknown-unknown";

/// A plugin's folder.
pub(crate) struct Project {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// What its manifest calls it.
    pub(crate) name: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rust,
    Python,
    JavaScript,
}

/// A plugin that was built and can be loaded.
pub(crate) struct Built {
    /// The file.
    pub(crate) file: PathBuf,
    /// The plugin.
    pub(crate) plugin: Plugin,
}

impl Project {
    /// Finds out what is in a folder.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let of = |kind, name| Self {
            dir: dir.to_owned(),
            name,
            kind,
        };
        if dir.join("Cargo.toml").is_file() {
            return Ok(of(Kind::Rust, package(dir)?.0));
        }
        if dir.join("package.json").is_file() {
            let path = dir.join("package.json");
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let manifest: Value =
                serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            let Some(name) = manifest["name"].as_str() else {
                bail!("{}: it has no `name`", path.display());
            };
            return Ok(of(Kind::JavaScript, name.to_owned()));
        }
        let path = dir.join("pyproject.toml");
        if path.is_file() {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let name = text
                .lines()
                .find_map(|line| line.strip_prefix("name = \"")?.split('"').next())
                .with_context(|| format!("{}: it has no `name = \"…\"`", path.display()))?;
            return Ok(of(Kind::Python, name.to_owned()));
        }
        if !dir.is_dir() {
            bail!("{}: there is no such folder", dir.display());
        }
        bail!(
            "{}: this is no plugin's folder: there is no Cargo.toml, package.json or pyproject.toml; \
             `apim-operator plugin new NAME` makes one",
            dir.display()
        )
    }

    /// Whether `cargo test` runs its cases as well.
    pub(crate) fn has_native_tests(&self) -> bool {
        self.kind == Kind::Rust
    }

    /// Builds it, writes `NAME.wasm` and loads that.
    pub(crate) fn build(&self, host: &PluginHost) -> anyhow::Result<Built> {
        let file = format!("{}.wasm", self.name);
        let file = if self.dir == Path::new(".") {
            PathBuf::from(file)
        } else {
            self.dir.join(file)
        };
        match self.kind {
            Kind::Rust => {
                let module = self.cargo()?;
                let bytes = fs::read(&module).with_context(|| module.display().to_string())?;
                let component = component_of(&bytes)
                    .with_context(|| format!("{} is built, and no plugin", self.name))?;
                fs::write(&file, component).with_context(|| file.display().to_string())?;
            }
            Kind::Python => self.componentize_py(&file)?,
            Kind::JavaScript => self.npm(&file)?,
        }
        let plugin = host
            .load_file(&file)
            .with_context(|| file.display().to_string())?;
        Ok(Built { file, plugin })
    }

    /// Builds the module, and says where it is.
    fn cargo(&self) -> anyhow::Result<PathBuf> {
        tools::require_cargo()?;
        tools::require_target(TARGET)?;
        let (_, manifest) = package(&self.dir)?;
        let mut cargo = tools::cargo();
        cargo
            .current_dir(&self.dir)
            .args(["build", "--release", "--lib", "--target", TARGET])
            .args(["--message-format", "json-render-diagnostics"])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        // The plugin's digest must not depend on where it was built, nor the
        // file tell who built it. Flags of the author's own are left alone.
        if std::env::var_os("RUSTFLAGS").is_none()
            && std::env::var_os("CARGO_ENCODED_RUSTFLAGS").is_none()
        {
            cargo.env("CARGO_ENCODED_RUSTFLAGS", remapped(&self.dir)?);
        }
        let output = cargo.output().context("cargo")?;
        if !output.status.success() {
            bail!("{} does not build; what is wrong stands above", self.name);
        }
        let messages = String::from_utf8_lossy(&output.stdout).into_owned();
        let module = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["manifest_path"].as_str() == Some(&manifest))
            .flat_map(|message| {
                let files = message["filenames"].as_array().cloned().unwrap_or_default();
                files
                    .into_iter()
                    .filter_map(|file| file.as_str().map(PathBuf::from))
            })
            .find(|file| file.extension().is_some_and(|ending| ending == "wasm"));
        module.with_context(|| {
            format!(
                "{} made no WebAssembly module: its Cargo.toml needs `[lib]` with \
                 `crate-type = [\"cdylib\", \"rlib\"]`",
                self.name
            )
        })
    }

    fn componentize_py(&self, file: &Path) -> anyhow::Result<()> {
        let mut command = Command::new("componentize-py");
        command
            .current_dir(&self.dir)
            .args(["--wit-path", "wit", "--world", "plugin"])
            .args(["componentize", "--stub-wasi", "plugin", "-o"])
            .arg(file.file_name().unwrap_or_default());
        tools::run(
            &mut command,
            "componentize-py is not here; install it with:\n\n    pip install componentize-py==0.25.1\n",
        )
    }

    fn npm(&self, file: &Path) -> anyhow::Result<()> {
        if !self.dir.join("node_modules").is_dir() {
            bail!(
                "its tools are not installed; install them with:\n\n    npm install --prefix {}\n",
                self.dir.display()
            );
        }
        let mut command = Command::new("npm");
        command
            .current_dir(&self.dir)
            .args(["run", "--silent", "build"]);
        tools::run(
            &mut command,
            "npm is not here; install Node.js 20 or newer: https://nodejs.org",
        )?;
        if !file.is_file() {
            bail!(
                "`npm run build` made no {}; the script `build` of package.json must write it",
                file.display()
            );
        }
        Ok(())
    }

    /// Runs `cargo test`; says whether all is well.
    pub(crate) fn test_natively(&self) -> anyhow::Result<bool> {
        let status = tools::cargo()
            .current_dir(&self.dir)
            .args(["test", "--tests"])
            .stdin(Stdio::null())
            .status()
            .context("cargo")?;
        Ok(status.success())
    }
}

/// The name of a folder's package, and cargo's path of its manifest.
fn package(dir: &Path) -> anyhow::Result<(String, String)> {
    tools::require_cargo()?;
    let output = tools::cargo()
        .current_dir(dir)
        .args(["read-manifest"])
        .stdin(Stdio::null())
        .output()
        .context("cargo")?;
    if !output.status.success() {
        bail!(
            "{}",
            String::from_utf8_lossy(&output.stderr)
                .trim()
                .trim_start_matches("error: ")
        );
    }
    let manifest: Value = serde_json::from_slice(&output.stdout).context("cargo read-manifest")?;
    match (
        manifest["name"].as_str(),
        manifest["manifest_path"].as_str(),
    ) {
        (Some(name), Some(path)) => Ok((name.to_owned(), path.to_owned())),
        _ => bail!("cargo read-manifest names no package"),
    }
}

/// Compiler flags that take this machine's folders out of messages.
fn remapped(dir: &Path) -> anyhow::Result<OsString> {
    let dir = fs::canonicalize(dir).with_context(|| dir.display().to_string())?;
    let mut flags = OsString::from("--remap-path-prefix=");
    flags.push(dir);
    flags.push("=.");
    let home = std::env::var_os("CARGO_HOME").or_else(|| {
        let home = PathBuf::from(std::env::var_os("HOME")?);
        Some(home.join(".cargo").into_os_string())
    });
    if let Some(home) = home {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(home);
        flags.push("=/cargo");
    }
    Ok(flags)
}
