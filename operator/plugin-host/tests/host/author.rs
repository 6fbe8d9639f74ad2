//! A plugin written with the SDK, built as an author builds one, loaded from a
//! file.

use std::path::{Path, PathBuf};
use std::process::Command;

use operator_core::policy::{Element, Node, Section, Value};
use operator_plugin_host::CallError;
use serde_json::json;

use super::{HOST, context};

/// Builds the plugin in `tests/greeting`, beside the built-in ones, and says
/// where its module is.
fn build() -> PathBuf {
    let target_dir = Path::new(env!("OUT_DIR")).join("plugins");
    let output = Command::new(env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/greeting"))
        .args(["build", "--locked", "--lib", "--profile", "plugin"])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target_dir)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target_dir.join("wasm32-unknown-unknown/plugin/plugin_greeting.wasm")
}

#[test]
fn a_plugin_of_an_author_is_loaded_from_its_file_and_used() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(build(), folder.path().join("greeting.wasm")).expect("copied");
    let mut found = HOST.load_dir(folder.path());
    let plugin = found
        .pop()
        .expect("one file")
        .1
        .expect("a core module as cargo makes it");
    assert_eq!(plugin.descriptor().name, "greeting");
    assert_eq!(plugin.descriptor().spec_block.as_deref(), Some("greeting"));

    let reading = plugin
        .read_spec(&json!({"dialect": "original", "block": {"enabled": "true", "text": "moin"}}))
        .expect("reads");
    assert_eq!(
        (reading.enabled, reading.config.clone()),
        (Some(true), json!({"text": "moin"}))
    );

    let policy = plugin
        .generate(&context(), &reading.config)
        .expect("generates");
    let fragment = policy.fragments.first().expect("a fragment");
    assert_eq!(fragment.section, Section::Outbound);
    let header = fragment.elements.first().expect("an element");
    assert_eq!(header.name, "set-header");
    assert_eq!(
        header.attribute("name"),
        Some(&Value::literal("x-greeting"))
    );
    assert_eq!(
        header.attribute("exists-action"),
        Some(&Value::literal("override"))
    );
    let mut value = Element::new("value");
    value
        .children
        .push(Node::Text(Value::literal("moin").at("/text")));
    assert_eq!(header.children, [Node::Element(value)]);

    // A panic is told with its place, and harms nobody.
    let error = plugin
        .generate(&context(), &json!({"text": "panic"}))
        .expect_err("panics");
    let CallError::Trap { last_log, .. } = error else {
        panic!("no crash: {error}");
    };
    let last_log = last_log.expect("the panic's message");
    assert!(
        last_log.contains("tests/greeting/src/lib.rs:") && last_log.contains("asked to panic"),
        "{last_log}"
    );
    plugin
        .generate(&context(), &json!({}))
        .expect("works as before");
}
