//! Plugins in WebAssembly text.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, UnresolvedPackageGroup};

/// Where the bodies can put or find things: the answer of `generate`, all
/// zero: no nodes, no fragments, no warnings.
const EMPTY_POLICY: u32 = 64;
/// Where `DESCRIPTOR` stands.
const DESCRIPTOR_AT: u32 = 1024;
/// Where `Guest::data` stands.
pub(crate) const DATA_AT: u32 = 8192;

/// A plugin; what is not said is harmless.
pub(crate) struct Guest {
    /// The package's version.
    pub(crate) version: &'static str,
    pub(crate) descriptor: String,
    pub(crate) describe: &'static str,
    pub(crate) read_spec: &'static str,
    pub(crate) generate: String,
    /// More of the WIT interface `generator`.
    pub(crate) wit: &'static str,
    /// More of the module.
    pub(crate) extra: &'static str,
    /// Initial memory, in pages of 64 KiB.
    pub(crate) pages: u32,
    /// Bytes at [`DATA_AT`].
    pub(crate) data: Vec<u8>,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            version: "1.0.0",
            descriptor: descriptor("test"),
            describe: "i32.const 16",
            read_spec: "i32.const 128",
            generate: format!("i32.const {EMPTY_POLICY}"),
            wit: "",
            extra: "",
            pages: 2,
            data: Vec::new(),
        }
    }
}

/// A descriptor that can be used.
pub(crate) fn descriptor(name: &str) -> String {
    format!(
        r#"{{"name":"{name}","version":"1.0.0","summary":"Tests.","phase":"traffic","sections":["inbound"],"configSchema":{{"type":"object"}},"specBlock":"test"}}"#
    )
}

/// What `read-spec` answers.
pub(crate) const READING: &str = r#"{"enabled":true,"config":{"calls":1}}"#;

impl Guest {
    /// A plugin whose `generate` has this body.
    pub(crate) fn generating(body: impl Into<String>) -> Self {
        Self {
            generate: body.into(),
            ..Self::default()
        }
    }

    /// The core module, with the interface's metadata.
    pub(crate) fn module(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.wat()).expect("the text is WebAssembly");
        let (resolve, world) = self.interface();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .expect("metadata");
        module
    }

    /// The component.
    pub(crate) fn component(&self) -> Vec<u8> {
        ComponentEncoder::default()
            .module(&self.module())
            .and_then(|encoder| encoder.validate(true).encode())
            .expect("a component")
    }

    /// The interface, in the guest's version.
    pub(crate) fn interface(&self) -> (Resolve, wit_parser::WorldId) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/policy.wit");
        let text = std::fs::read_to_string(path).expect("the interface is there");
        let text = text.replace("oda:policy@1.0.0", &format!("oda:policy@{}", self.version));
        let text = text.replace(
            "interface generator {",
            &format!("interface generator {{ {}", self.wit),
        );
        let mut resolve = Resolve::default();
        let package = resolve
            .push_group(UnresolvedPackageGroup::parse("policy.wit", &text).expect("WIT"))
            .expect("WIT resolves");
        let world = resolve
            .select_world(&[package], Some("plugin"))
            .expect("the world is there");
        (resolve, world)
    }

    fn wat(&self) -> String {
        let Self {
            version,
            describe,
            read_spec,
            generate,
            extra,
            pages,
            ..
        } = self;
        let descriptor = data(DESCRIPTOR_AT, self.descriptor.as_bytes());
        let descriptor_area = data(16, &words(&[DESCRIPTOR_AT, len(&self.descriptor)]));
        let reading = data(200, READING.as_bytes());
        let reading_area = data(128, &words(&[0, 200, len(READING)]));
        let own = data(DATA_AT, &self.data);
        format!(
            r#"(module
                (import "oda:policy/log@{version}" "write" (func $log (param i32 i32 i32)))
                (memory (export "memory") {pages})
                {descriptor} {descriptor_area} {reading} {reading_area} {own}
                (global $heap (mut i32) (i32.const 65536))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                    (global.set $heap (i32.add (local.get $at) (local.get 3)))
                    (local.get $at))
                (func (export "oda:policy/generator@{version}#describe") (result i32) {describe})
                (func (export "oda:policy/generator@{version}#read-spec") (param i32 i32) (result i32) {read_spec})
                (func (export "oda:policy/generator@{version}#generate") (param i32 i32 i32 i32) (result i32) {generate})
                {extra})"#
        )
    }
}

fn len(text: &str) -> u32 {
    u32::try_from(text.len()).expect("short")
}

/// Little-endian words.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn data(at: u32, bytes: &[u8]) -> String {
    let escaped: Vec<String> = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {at}) \"{}\")", escaped.concat())
}

/// A policy whose only fragment is a tower of elements, as it lies at
/// [`DATA_AT`]; each element's only child is what `child` says.
pub(crate) fn tower(height: u32, child: impl Fn(u32) -> Option<u32>) -> Guest {
    const NODE: u32 = 40;
    let policy_bytes = 36;
    let name_at = DATA_AT + policy_bytes;
    let fragment_at = name_at + 4;
    let roots_at = fragment_at + 24;
    let children_at = roots_at + 4;
    let nodes_at = children_at + 4 * height;

    // ok, nodes, fragments, raw, diagnostics
    let mut bytes = words(&[0, nodes_at, height, fragment_at, 1, 0, 0, 0, 0]);
    bytes.extend(b"a\0\0\0");
    // section inbound, target api (and the room of an operation's id), roots
    bytes.extend(words(&[0, 0, 0, 0, roots_at, 1]));
    bytes.extend(words(&[0]));
    for index in 0..height {
        bytes.extend(words(&[child(index).unwrap_or_default()]));
    }
    for index in 0..height {
        let count = u32::from(child(index).is_some());
        // element, name, attributes, children, no pointer
        let node = words(&[0, name_at, 1, 0, 0, children_at + 4 * index, count, 0, 0, 0]);
        assert_eq!(node.len(), NODE as usize, "the size of a node");
        bytes.extend(node);
    }
    Guest {
        data: bytes,
        pages: 4,
        ..Guest::generating(format!("i32.const {DATA_AT}"))
    }
}

/// A plugin whose only fragment is text.
pub(crate) fn raw(text: &str) -> Guest {
    let fragment_at = DATA_AT + 36;
    let text_at = fragment_at + 24;
    // ok, nodes, fragments, raw, diagnostics
    let mut bytes = words(&[0, 0, 0, 0, 0, fragment_at, 1, 0, 0]);
    // section inbound, target api (and the room of an operation's id), text
    bytes.extend(words(&[0, 0, 0, 0, text_at, len(text)]));
    bytes.extend(text.as_bytes());
    Guest {
        pages: 16,
        data: bytes,
        ..Guest::generating(format!("i32.const {DATA_AT}"))
    }
}
