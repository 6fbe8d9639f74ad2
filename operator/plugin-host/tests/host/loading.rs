//! What can be loaded, and what is said of what cannot.

use operator_plugin_host::{HostConfig, Limits, LoadError, Plugin, PluginHost, PluginSource};
use serde_json::json;

use super::guest::{Guest, descriptor};
use super::{HOST, context, load, load_error};

#[test]
fn a_core_module_with_metadata_is_made_a_component() {
    let guest = Guest::default();
    let module = load(&guest.module()).expect("loads");
    assert_eq!(module.descriptor().name, "test");
    module.generate(&context(), &json!({})).expect("works");
    // The digest is that of the file, whatever the host makes of it.
    assert_ne!(
        module.digest(),
        load(&guest.component()).expect("loads").digest()
    );
}

#[test]
fn a_later_minor_version_of_the_interface_is_loaded() {
    let plugin = load(
        &Guest {
            version: "1.7.3",
            ..Guest::default()
        }
        .component(),
    )
    .expect("loads");
    plugin.generate(&context(), &json!({})).expect("works");
}

#[test]
fn another_major_version_is_refused_with_the_range() {
    for version in ["2.0.0", "0.9.0"] {
        let guest = Guest {
            version,
            ..Guest::default()
        };
        for bytes in [guest.component(), guest.module()] {
            let error = load_error(&bytes);
            assert_eq!(error.reason(), "UnsupportedInterface", "{error}");
            let text = error.to_string();
            assert!(text.contains(&format!("@{version}`")), "{text}");
            assert!(text.contains("oda:policy 1.x (1.0.0 up to"), "{text}");
        }
    }
}

#[test]
fn wasi_is_refused_with_the_flag_that_removes_it() {
    let component = wat::parse_str(
        r#"(component (import "wasi:clocks/wall-clock@0.2.6" (instance (export "now" (func)))))"#,
    )
    .expect("a component");
    let error = load_error(&component);
    assert_eq!(error.reason(), "ForbiddenImport");
    let text = error.to_string();
    assert!(
        text.starts_with("it imports `wasi:clocks/wall-clock@0.2.6`"),
        "{text}"
    );
    assert!(text.contains("--stub-wasi"), "{text}");

    let module = wat::parse_str(
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32))))"#,
    )
    .expect("a module");
    let text = load_error(&module).to_string();
    assert!(text.contains("`wasi_snapshot_preview1`"), "{text}");
    assert!(text.contains("wasm32-unknown-unknown"), "{text}");
}

#[test]
fn an_interface_of_ours_that_is_not_there_yet_is_refused() {
    let component = wat::parse_str(
        r#"(component (import "oda:policy/clock@1.4.0" (instance (export "now" (func)))))"#,
    )
    .expect("a component");
    let text = load_error(&component).to_string();
    assert!(text.contains("does not know that interface yet"), "{text}");
}

#[test]
fn what_is_not_a_plugin_is_told_apart() {
    let component = |text: &str| wat::parse_str(text).expect("WebAssembly");
    let table = [
        (component("(component)"), "NotAPlugin"),
        (component("(module)"), "NotAPlugin"),
        (
            component(
                r#"(component (instance $i) (export "oda:policy/generator@1.0.0" (instance $i)))"#,
            ),
            "NotAPlugin",
        ),
        (b"#!/bin/sh".to_vec(), "MalformedPlugin"),
        (Vec::new(), "MalformedPlugin"),
    ];
    for (bytes, reason) in table {
        let error = load_error(&bytes);
        assert_eq!(error.reason(), reason, "{error}");
    }
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_malformed() {
    let bytes = Guest::default().component();
    for end in [4, 8, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        let cut = bytes.get(..end).expect("shorter");
        let error = load_error(cut);
        assert!(
            matches!(
                error,
                LoadError::Malformed(_) | LoadError::NotAPlugin { .. } | LoadError::Compile(_)
            ),
            "{end}: {error}"
        );
    }
}

#[test]
fn a_file_over_the_limit_is_not_even_parsed() {
    let host = PluginHost::new(HostConfig {
        limits: Limits {
            module_bytes: 100,
            ..Limits::default()
        },
        max_concurrency: 2,
        ..HostConfig::default()
    })
    .expect("a host");
    let error = host
        .load(&[0; 101], PluginSource::Registry("r".into()))
        .map(|_| ())
        .expect_err("too large");
    assert!(
        matches!(
            error,
            LoadError::TooLarge {
                bytes: 101,
                limit: 100
            }
        ),
        "{error}"
    );
}

#[test]
fn a_folder_gives_every_wasm_file_and_reports_the_bad_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("written");
    };
    write("b.wasm", &Guest::default().component());
    write("a.wasm", b"nonsense");
    write(
        "c.wasm",
        &Guest {
            descriptor: descriptor("c"),
            ..Guest::default()
        }
        .module(),
    );
    write("README.md", b"no plugin");
    std::fs::create_dir(folder.path().join("d.wasm")).expect("made");
    let found: Vec<_> = HOST
        .load_dir(folder.path())
        .into_iter()
        .map(|(path, result)| {
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default()
                .to_owned();
            let outcome = match result {
                Ok(plugin) => plugin.descriptor().name.clone(),
                Err(error) => error.reason().to_owned(),
            };
            (name, outcome)
        })
        .collect();
    let expected = [
        ("a.wasm", "MalformedPlugin"),
        ("b.wasm", "test"),
        ("c.wasm", "c"),
        ("d.wasm", "ReadError"),
    ]
    .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()));
    assert_eq!(found, expected);
    assert!(matches!(
        HOST.load_dir(&folder.path().join("none")).as_slice(),
        [(_, Err(LoadError::Io(_)))]
    ));
}

/// Callers keep them in many threads at once.
const _: () = {
    const fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Plugin>();
    shared::<PluginHost>();
};
