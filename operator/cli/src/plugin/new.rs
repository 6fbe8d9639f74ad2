//! `plugin new`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use operator_core::names::PluginName;

use super::args::{Language, NewArgs};
use crate::Done;

/// What `policy-sdk` and `wit/` hold, by path.
pub(crate) const SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));
/// The packages that the SDK needs, in the versions that this program was
/// built with.
const LOCK: &str = include_str!(concat!(env!("OUT_DIR"), "/sdk_lock.toml"));

/// A file of a template: its path in the project, and its text.
type File = (&'static str, &'static str);

macro_rules! template {
    ($folder:literal: $($path:literal <- $file:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("templates/", $folder, "/", $file)))),*]
    };
}

const RUST: &[File] = template!("rust":
    "Cargo.toml" <- "Cargo.toml",
    "src/lib.rs" <- "src/lib.rs",
    "config.schema.json" <- "config.schema.json",
    "cases/team.yaml" <- "cases/team.yaml",
    "cases/operation.yaml" <- "cases/operation.yaml",
    "cases/reserved-header.yaml" <- "cases/reserved-header.yaml",
    "cases/no-team.yaml" <- "cases/no-team.yaml",
    "cases/code.yaml" <- "cases/code.yaml",
    "README.md" <- "README.md",
    ".gitignore" <- "gitignore",
);

/// The cases of the other languages, which are the same plugin.
const CASES: &[File] = template!("rust":
    "cases/team.yaml" <- "cases/team.yaml",
    "cases/operation.yaml" <- "cases/operation.yaml",
    "cases/reserved-header.yaml" <- "cases/reserved-header.yaml",
    "cases/no-team.yaml" <- "cases/no-team.yaml",
    "cases/code.yaml" <- "cases/code.yaml",
);

const PYTHON: &[File] = template!("python":
    "plugin.py" <- "plugin.py",
    "pyproject.toml" <- "pyproject.toml",
    ".gitignore" <- "gitignore",
);

const JS: &[File] = template!("js":
    "plugin.js" <- "plugin.js",
    "package.json" <- "package.json",
    ".gitignore" <- "gitignore",
);

const GUEST_README: &str = include_str!("templates/guest-README.md");

/// What the README of a language says of it.
const PYTHON_WORDS: [(&str, &str); 6] = [
    ("@LANGUAGE@", "Python"),
    ("@INSTALL@", "pip install componentize-py==0.25.1"),
    ("@SOURCE@", "plugin.py"),
    ("@MANIFEST@", "pyproject.toml"),
    (
        "@SIZE@",
        "The interpreter is part of the plugin: 18 MB, some seconds to compile, a millisecond or two per call.",
    ),
    ("@ERRORS@", "Raise `Err([Diagnostic(…)])`."),
];
const JS_WORDS: [(&str, &str); 6] = [
    ("@LANGUAGE@", "JavaScript"),
    ("@INSTALL@", "npm install"),
    ("@SOURCE@", "plugin.js"),
    ("@MANIFEST@", "package.json"),
    (
        "@SIZE@",
        "QuickJS is part of the plugin: 1.6 MB, a second or two to compile.",
    ),
    ("@ERRORS@", "Throw a list of diagnostics."),
];

/// Writes a plugin's folder.
pub(crate) fn new(args: &NewArgs) -> anyhow::Result<Done> {
    let name = PluginName::parse(&args.name)?;
    let name = name.as_str();
    let dir = Path::new(name);
    if dir.exists() {
        bail!("{name} is there already; nothing was written. Take another name, or delete it");
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) && args.lang == Language::Rust {
        bail!("`{name}`: a Rust package cannot begin with a digit; begin the name with a letter");
    }
    let (sdk, vendored) = match &args.sdk {
        None => ("{ path = \"vendor/policy-sdk\" }".to_owned(), true),
        Some(sdk) => (dependency(sdk)?, false),
    };
    let fill = |text: &str| {
        text.replace("@NAME@", name)
            .replace("@TYPE@", &type_name(name))
            .replace("@SDK@", &sdk)
    };
    let mut files = Vec::new();
    match args.lang {
        Language::Rust => {
            files.extend(
                RUST.iter()
                    .map(|(path, text)| ((*path).to_owned(), fill(text))),
            );
            if vendored {
                let sdk = SDK.iter();
                files
                    .extend(sdk.map(|(path, text)| (format!("vendor/{path}"), (*text).to_owned())));
                files.push(("Cargo.lock".to_owned(), lock(name)));
            }
        }
        Language::Python | Language::Js => {
            if args.sdk.is_some() {
                bail!("--sdk is for Rust: the other languages work with the interface itself");
            }
            let (template, words) = match args.lang {
                Language::Python => (PYTHON, PYTHON_WORDS),
                _ => (JS, JS_WORDS),
            };
            files.extend(guest(template, words, fill));
        }
    }
    for (path, text) in &files {
        let path = dir.join(path);
        let folder = path.parent().unwrap_or(dir);
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    let install = match args.lang {
        Language::Rust => "",
        Language::Python => "  pip install componentize-py==0.25.1\n",
        Language::Js => "  npm install\n",
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{name}/ is a plugin that sets a header; its README.md explains the files. Next:\n\n  \
         cd {name}\n{install}  apim-operator plugin test\n  \
         apim-operator plugin push REGISTRY/{name}:0.1.0 | kubectl apply -f -"
    )?;
    Ok(Done::Fine)
}

/// The files of a plugin that is written against the interface itself.
fn guest(
    template: &[File],
    words: [(&str, &str); 6],
    fill: impl Fn(&str) -> String,
) -> Vec<(String, String)> {
    let own = template
        .iter()
        .map(|(path, text)| ((*path).to_owned(), fill(text)));
    // An interpreter needs more than the budget of the Rust plugin.
    let cases = CASES.iter().map(|(path, text)| {
        let lines = text.lines().filter(|line| !line.starts_with("budget:"));
        let text: Vec<&str> = lines.collect();
        ((*path).to_owned(), text.join("\n") + "\n")
    });
    let wit = SDK.iter().filter(|(path, _)| path.starts_with("wit/"));
    let wit = wit.map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let readme = words
        .iter()
        .fold(GUEST_README.to_owned(), |text, (from, to)| {
            text.replace(from, to)
        });
    let mut files: Vec<_> = own.chain(cases).chain(wit).collect();
    files.push(("README.md".to_owned(), fill(&readme)));
    files
}

/// The dependency on another SDK than the one in this program.
fn dependency(sdk: &str) -> anyhow::Result<String> {
    let path = Path::new(sdk);
    if path.join("Cargo.toml").is_file() {
        let path = fs::canonicalize(path).with_context(|| sdk.to_owned())?;
        return Ok(format!("{{ path = {:?} }}", path.display().to_string()));
    }
    let version = sdk.starts_with(|c: char| c.is_ascii_digit())
        && sdk
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c));
    if !version {
        bail!("--sdk `{sdk}` is neither a folder with a Cargo.toml nor a version such as `0.1.0`");
    }
    Ok(format!("{sdk:?}"))
}

/// The lock file of the new project.
fn lock(name: &str) -> String {
    let own = format!(
        "[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\ndependencies = [\n \"policy-sdk\",\n \"serde\",\n \"serde_json\",\n]\n\n"
    );
    format!("version = 4\n\n{own}{LOCK}")
}

/// `acme-headers` as `AcmeHeaders`.
fn type_name(name: &str) -> String {
    name.split('-')
        .map(|part| {
            let mut letters = part.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_ascii_uppercase().to_string() + letters.as_str()
            })
        })
        .collect()
}
