//! A plugin that does nothing: what a call costs before a plugin does anything.

use anyhow::{Context as _, anyhow};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, UnresolvedPackageGroup};

use super::new::SDK;

/// Three functions that answer with constants: a descriptor, a reading that
/// says nothing, a policy without fragments. Memory is handed out and never
/// taken back, as a call ends with its instance.
const MODULE: &str = r#"(module
    (memory (export "memory") 1)
    (data (i32.const 16) "\00\02\00\00\94\00\00\00")
    (data (i32.const 128) "\00\00\00\00\c0\00\00\00\1c\00\00\00")
    (data (i32.const 192) "{\22enabled\22:null,\22config\22:{}}")
    (data (i32.const 512) "{\22name\22:\22empty\22,\22version\22:\221.0.0\22,\22summary\22:\22Nothing.\22,\22phase\22:\22traffic\22,\22sections\22:[\22inbound\22],\22configSchema\22:{\22type\22:\22object\22},\22specBlock\22:\22none\22}")
    (global $heap (mut i32) (i32.const 4096))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
        (global.set $heap (i32.add (local.get $at) (local.get 3)))
        (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
            (then (drop (memory.grow (i32.add (i32.const 1)
                (i32.div_u (local.get 3) (i32.const 65536)))))))
        (local.get $at))
    (func (export "oda:policy/generator@1.0.0#describe") (result i32) (i32.const 16))
    (func (export "oda:policy/generator@1.0.0#read-spec") (param i32 i32) (result i32) (i32.const 128))
    (func (export "oda:policy/generator@1.0.0#generate") (param i32 i32 i32 i32) (result i32) (i32.const 64)))"#;

/// The plugin.
pub(crate) fn component() -> anyhow::Result<Vec<u8>> {
    let (_, interface) = SDK
        .iter()
        .find(|(path, _)| *path == "wit/policy.wit")
        .context("the interface is not in this program")?;
    let mut resolve = Resolve::default();
    let wit = |error: &dyn std::fmt::Display| anyhow!("wit/policy.wit: {error}");
    let group =
        UnresolvedPackageGroup::parse("policy.wit", interface).map_err(|error| wit(&error.1))?;
    let package = resolve.push_group(group).map_err(|error| wit(&error))?;
    let world = resolve
        .select_world(&[package], Some("plugin"))
        .map_err(|error| wit(&error))?;
    let mut module = wat::parse_str(MODULE)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| anyhow!("the empty plugin: {error:#}"))?;
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| anyhow!("the empty plugin: {error:#}"))
}
