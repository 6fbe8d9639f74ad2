//! What a plugin's file is, found out without running or linking it.
//!
//! wasmtime would refuse a wrong component as well, but late, and with words
//! that do not tell a plugin's author what to do.

use semver::Version;
use wasmparser::{Encoding, Parser, Payload};
use wit_component::ComponentEncoder;

use crate::error::LoadError;
use crate::log::printable;

/// The exported interface, without its version.
const GENERATOR: &str = "oda:policy/generator";
/// The imported interface, without its version.
const LOG: &str = "oda:policy/log";
/// The package, with the slash.
const PACKAGE: &str = "oda:policy/";
/// The exported interface, as a message names it.
const EXPECTED: &str = "oda:policy/generator@1.x";
/// What a message says of the versions that can be loaded.
pub(crate) const SUPPORTED: &str = "oda:policy 1.x (1.0.0 up to, but not including, 2.0.0)";
/// The major version of the interface that can be loaded.
const MAJOR: u64 = 1;

/// The outermost surface of a plugin's file, whether it could be loaded or not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Surface {
    /// Whether it is a component, and not a core module that is to become one.
    pub component: bool,
    /// What it imports: interfaces, or a core module's modules.
    pub imports: Vec<String>,
    /// What it exports: interfaces, or a core module's functions.
    pub exports: Vec<String>,
}

impl Surface {
    /// Reads the surface of a file; nothing of it is run.
    pub fn of(bytes: &[u8]) -> Result<Self, LoadError> {
        let outline = Outline::read(bytes)?;
        Ok(Self {
            component: outline.encoding == Encoding::Component,
            imports: outline.imports,
            exports: outline.exports,
        })
    }

    /// The version of the plugin interface that the file exports.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        let exports = self.exports.iter();
        exports
            .filter_map(|export| export.strip_prefix(GENERATOR)?.strip_prefix('@'))
            .map(|version| version.split('#').next().unwrap_or(version))
            .next()
    }
}

/// Checks a plugin's file as [`load`](crate::PluginHost::load) does before it
/// compiles anything, and makes a component of it if it is a core module.
pub fn component_of(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    let surface = Outline::read(bytes)?;
    for import in &surface.imports {
        check_import(import)?;
    }
    match surface.encoding {
        Encoding::Component => {
            check_exports(&surface.exports)?;
            Ok(bytes.to_vec())
        }
        Encoding::Module => {
            if surface.exports.iter().any(|e| e.starts_with(GENERATOR)) {
                let functions: Vec<_> = surface
                    .exports
                    .iter()
                    .filter_map(|export| export.split_once('#'))
                    .map(|(interface, _)| interface.to_owned())
                    .collect();
                check_exports(&functions)?;
            } else if !surface.has_metadata {
                return Err(LoadError::NotAPlugin {
                    expected: EXPECTED.to_owned(),
                    detail: "It is a core module without the interface's metadata.".to_owned(),
                });
            }
            componentize(bytes)
        }
    }
}

/// The outermost imports and exports.
struct Outline {
    encoding: Encoding,
    imports: Vec<String>,
    exports: Vec<String>,
    has_metadata: bool,
}

impl Outline {
    fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        // The parser's own words for this print arrays of bytes.
        if !bytes.starts_with(b"\0asm") {
            return Err(LoadError::Malformed(
                "it does not begin as WebAssembly does, with \\0asm".to_owned(),
            ));
        }
        let malformed = |error: wasmparser::BinaryReaderError| {
            LoadError::Malformed(sentence(&error.to_string()))
        };
        let mut surface = Self {
            encoding: Encoding::Module,
            imports: Vec::new(),
            exports: Vec::new(),
            has_metadata: false,
        };
        // Modules and components within the component have their own.
        let mut depth = 0_usize;
        let mut outermost = true;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(malformed)?;
            match payload {
                Payload::Version { encoding, .. } if outermost => {
                    surface.encoding = encoding;
                    outermost = false;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ if depth > 0 => {}
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        surface
                            .imports
                            .push(import.map_err(malformed)?.module.to_owned());
                    }
                }
                Payload::ComponentImportSection(imports) => {
                    for import in imports {
                        surface
                            .imports
                            .push(import.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        surface
                            .exports
                            .push(export.map_err(malformed)?.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(exports) => {
                    for export in exports {
                        surface
                            .exports
                            .push(export.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                    surface.has_metadata = true;
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}

fn check_import(import: &str) -> Result<(), LoadError> {
    if import == LOG
        || import
            .strip_prefix(LOG)
            .is_some_and(|rest| rest.starts_with('@'))
    {
        return check_version(import);
    }
    if import.starts_with(PACKAGE) {
        // A later minor version, or another major one.
        check_version(import)?;
    }
    Err(LoadError::ForbiddenImport {
        import: import.to_owned(),
        hint: hint(import).to_owned(),
    })
}

/// How to build without an import.
fn hint(import: &str) -> &'static str {
    if import.starts_with("wasi:") {
        "build it without WASI: componentize-py with `--stub-wasi`; jco componentize with \
         `--disable all`, or with `--backend qjs --backend-qjs-stub-wasi`; Rust for \
         `wasm32-unknown-unknown` instead of `wasm32-wasip2`"
    } else if import.starts_with("wasi_") {
        "build it for a target without WASI (Rust: `wasm32-unknown-unknown` instead of \
         `wasm32-wasip1`)"
    } else if import.starts_with("__wbindgen") || import == "wbg" {
        "a dependency uses wasm-bindgen: switch off its feature for JavaScript (`js`, `wasm-bindgen`, `wasmbind`)"
    } else if import.starts_with(PACKAGE) {
        "this operator does not know that interface yet"
    } else if import == "env" {
        "it uses functions that are declared and not defined: link what defines them into it"
    } else {
        "remove what needs it"
    }
}

fn check_exports(exports: &[String]) -> Result<(), LoadError> {
    let ours: Vec<_> = exports
        .iter()
        .filter(|export| {
            export
                .strip_prefix(GENERATOR)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
        })
        .collect();
    if ours.is_empty() {
        let detail = match exports {
            [] => "It exports nothing.".to_owned(),
            [first, ..] => format!("It exports `{first}`."),
        };
        return Err(LoadError::NotAPlugin {
            expected: EXPECTED.to_owned(),
            detail,
        });
    }
    // One that offers several major versions is welcome to.
    let mut last = Ok(());
    for export in ours {
        last = check_version(export);
        if last.is_ok() {
            break;
        }
    }
    last
}

/// The version that an export has, if it is an interface that can be called.
pub(crate) fn supported_version(export: &str) -> Option<String> {
    let version = export.strip_prefix(GENERATOR)?.strip_prefix('@')?;
    check_version(export).ok().map(|()| version.to_owned())
}

fn check_version(name: &str) -> Result<(), LoadError> {
    let version = name
        .split_once('@')
        .and_then(|(_, version)| Version::parse(version).ok());
    match version {
        Some(version) if version.major == MAJOR && version.pre.is_empty() => Ok(()),
        _ => Err(LoadError::UnsupportedInterface {
            found: name.to_owned(),
            supported: SUPPORTED.to_owned(),
        }),
    }
}

/// The words of a parser or compiler: they may repeat what a plugin holds, over
/// many lines.
pub(crate) fn sentence(text: &str) -> String {
    printable(text, 500)
}

fn componentize(module: &[u8]) -> Result<Vec<u8>, LoadError> {
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| LoadError::Malformed(sentence(&format!("{error:#}"))))
}
