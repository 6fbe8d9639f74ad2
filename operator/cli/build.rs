//! Puts `policy-sdk` and the plugin interface into the binary, so that
//! `plugin new` needs nothing but itself.
//!
//! The copy differs from the folder in three things. Its manifest names
//! versions instead of the workspace. What `wit_bindgen::generate!` makes is
//! written out: without the macro's dependencies a plugin's first build takes
//! a fraction of the time. And the lint that forbids unsafe code lets the
//! written-out bindings pass.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator as _};

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
    let folder = env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo did not set its folder")?;
    let out = env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?;
    let workspace = fs::canonicalize(PathBuf::from(folder).join("../.."))
        .map_err(|error| format!("cannot find the workspace: {error}"))?;
    for input in [
        "policy-sdk/src",
        "policy-sdk/Cargo.toml",
        "wit",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo:rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo:rerun-if-changed=build.rs");

    let lock = Lock::parse(&read(&workspace.join("Cargo.lock"))?);
    let (manifest, dependencies) = manifest(&workspace, &lock)?;
    let mut files = BTreeMap::from([("policy-sdk/Cargo.toml".to_owned(), manifest)]);
    for folder in ["policy-sdk/src", "wit"] {
        collect(&workspace, &workspace.join(folder), &mut files)?;
    }
    write_out_bindings(&workspace, &mut files)?;

    let mut code = String::from("&[\n");
    for (path, text) in &files {
        // Writing to a string cannot fail.
        let _ = writeln!(code, "    ({path:?}, {text:?}),");
    }
    code.push_str("]\n");
    let out = PathBuf::from(out);
    write(&out.join("sdk_files.rs"), &code)?;
    write(&out.join("sdk_lock.toml"), &lock.closure(&dependencies)?)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// All files below a folder, by their path in the workspace.
fn collect(
    workspace: &Path,
    folder: &Path,
    files: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("cannot list {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if path.is_dir() {
            collect(workspace, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(workspace) {
            files.insert(name.display().to_string(), read(&path)?);
        }
    }
    Ok(())
}

/// The manifest for outside the workspace, and the names of the dependencies.
fn manifest(workspace: &Path, lock: &Lock) -> Result<(String, Vec<String>), String> {
    let shared = read(&workspace.join("Cargo.toml"))?;
    let shared = |section: &str, key: &str| {
        lines_of(&shared, section)
            .find_map(|line| {
                Some(
                    line.strip_prefix(key)?
                        .trim_start()
                        .strip_prefix('=')?
                        .trim(),
                )
            })
            .map(ToOwned::to_owned)
            .ok_or_else(|| format!("Cargo.toml: [{section}] has no `{key}`"))
    };
    let own = read(&workspace.join("policy-sdk/Cargo.toml"))?;
    let mut text = String::from("# Made by `apim-operator plugin new`.\n");
    let mut names = Vec::new();
    let mut kept = false;
    let mut section = String::new();
    for line in own.lines() {
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut section);
            kept = section == "package" || section.ends_with("dependencies");
            kept &= section != "dev-dependencies";
        }
        if !kept {
            continue;
        }
        let Some(key) = line.strip_suffix(".workspace = true") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let value = if section == "package" {
            shared("workspace.package", key)?
        } else {
            let value = shared("workspace.dependencies", key)?;
            // The generated bindings do not need what generates them.
            let value = value.replace("\"macros\", ", "");
            names.push(key.to_owned());
            with_version(&value, &lock.version_of("policy-sdk", key)?)
                .ok_or_else(|| format!("Cargo.toml: `{key}` names no version"))?
        };
        let _ = writeln!(text, "{key} = {value}");
    }
    if names.is_empty() {
        return Err("policy-sdk/Cargo.toml: no dependency is `….workspace = true`".to_owned());
    }
    Ok((text, names))
}

/// The lines of a section of a manifest.
fn lines_of<'t>(text: &'t str, section: &str) -> impl Iterator<Item = &'t str> {
    let head = format!("[{section}]");
    text.lines()
        .skip_while(move |line| *line != head)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}

/// A dependency with a version of at least this.
fn with_version(value: &str, version: &str) -> Option<String> {
    let before = value.find('"')?;
    let after = before + 1 + value[before + 1..].find('"')?;
    Some(format!(
        "{}\"{version}{}",
        &value[..before],
        &value[after..]
    ))
}

fn write_out_bindings(
    workspace: &Path,
    files: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("the bindings of wit/: {error}");
    let source = files
        .get_mut("policy-sdk/src/bindings.rs")
        .ok_or("policy-sdk has no bindings.rs")?;
    let (before, rest) = source
        .split_once("wit_bindgen::generate!({")
        .ok_or("policy-sdk/src/bindings.rs: no wit_bindgen::generate!")?;
    let (arguments, after) = rest
        .split_once("});")
        .ok_or("policy-sdk/src/bindings.rs: generate! has no end")?;
    let argument = |key: &str| {
        arguments
            .lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "))
            .map(|value| value.trim_end_matches(',').trim_matches('"').to_owned())
            .ok_or_else(|| format!("policy-sdk/src/bindings.rs: generate! has no `{key}`"))
    };
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(workspace.join("policy-sdk").join(argument("path")?))
        .map_err(|error| failed(&error))?;
    let world = resolve
        .select_world(&[package], Some(&argument("world")?))
        .map_err(|error| failed(&error))?;
    let options = wit_bindgen_rust::Opts {
        format: true,
        runtime_path: Some(argument("runtime_path")?),
        pub_export_macro: argument("pub_export_macro")? == "true",
        export_macro_name: Some(argument("export_macro_name")?),
        default_bindings_module: Some(argument("default_bindings_module")?),
        ..wit_bindgen_rust::Opts::default()
    };
    let mut generated = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut generated)
        .map_err(|error| failed(&error))?;
    let (_, code) = generated.iter().next().ok_or("no bindings were made")?;
    let code = String::from_utf8_lossy(code);
    let before = before.replace(
        "    missing_docs,\n",
        "    missing_docs,\n    unsafe_code,\n",
    );
    *source = format!("{before}{code}{after}");

    let crate_root = files
        .get_mut("policy-sdk/src/lib.rs")
        .ok_or("policy-sdk has no lib.rs")?;
    let relaxed = crate_root.replace("#![forbid(unsafe_code)]", "#![deny(unsafe_code)]");
    if relaxed == *crate_root {
        return Err("policy-sdk/src/lib.rs does not forbid unsafe code".to_owned());
    }
    *crate_root = relaxed;
    Ok(())
}

/// A package of the lock file.
struct Package {
    name: String,
    version: String,
    dependencies: Vec<String>,
    text: String,
}

/// The workspace's lock file.
struct Lock(Vec<Package>);

impl Lock {
    fn parse(text: &str) -> Self {
        let packages = text.split("[[package]]\n").skip(1).map(|text| {
            let field = |key: &str| {
                text.lines()
                    .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))
                    .map(|value| value.trim_end_matches('"').to_owned())
                    .unwrap_or_default()
            };
            let entry =
                |line: &str| Some(line.strip_prefix(" \"")?.strip_suffix("\",")?.to_owned());
            Package {
                name: field("name"),
                version: field("version"),
                dependencies: text.lines().filter_map(entry).collect(),
                text: format!("[[package]]\n{}\n", text.trim_end()),
            }
        });
        Self(packages.collect())
    }

    /// The package that an entry such as `syn 2.0.1` or `serde` means.
    fn find(&self, entry: &str) -> Result<&Package, String> {
        let mut words = entry.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        self.0
            .iter()
            .find(|package| package.name == name && version.is_none_or(|v| package.version == v))
            .ok_or_else(|| format!("Cargo.lock has no `{entry}`"))
    }

    /// Which entry a package's dependency is.
    fn entry(&self, of: &str, name: &str) -> Result<&str, String> {
        let package = self.find(of)?;
        let named = |entry: &&String| entry.split(' ').next() == Some(name);
        let found = package.dependencies.iter().find(named);
        found
            .map(String::as_str)
            .ok_or_else(|| format!("Cargo.lock: `{of}` does not depend on `{name}`"))
    }

    fn version_of(&self, of: &str, name: &str) -> Result<String, String> {
        Ok(self.find(self.entry(of, name)?)?.version.clone())
    }

    /// The lock file of a project that has the SDK in it. Cargo drops what is
    /// too much in it and never takes another version of what is in it.
    fn closure(&self, dependencies: &[String]) -> Result<String, String> {
        let entries: Vec<&str> = dependencies
            .iter()
            .map(|name| self.entry("policy-sdk", name))
            .collect::<Result<_, _>>()?;
        let mut text = String::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Package> = entries
            .iter()
            .map(|entry| self.find(entry))
            .collect::<Result<_, _>>()?;
        while let Some(package) = open.pop() {
            if !seen.insert((&package.name, &package.version)) {
                continue;
            }
            text.push_str(&package.text);
            text.push('\n');
            for entry in &package.dependencies {
                open.push(self.find(entry)?);
            }
        }
        let own = self.find("policy-sdk")?;
        let mut list = entries.iter().fold(String::new(), |mut list, entry| {
            let _ = writeln!(list, " {entry:?},");
            list
        });
        list.pop();
        let _ = write!(
            text,
            "[[package]]\nname = \"policy-sdk\"\nversion = {:?}\ndependencies = [\n{list}\n]\n",
            own.version
        );
        Ok(text)
    }
}
