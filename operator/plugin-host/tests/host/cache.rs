//! Compiled plugins on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use operator_plugin_host::{HostConfig, PluginHost, PluginSource};
use serde_json::json;

use super::context;
use super::guest::Guest;

fn host(folder: &Path) -> PluginHost {
    PluginHost::new(HostConfig {
        cache_dir: Some(folder.to_owned()),
        max_concurrency: 2,
        ..HostConfig::default()
    })
    .expect("a host")
}

/// Loads a plugin, calls it, and says how often the host compiled and how
/// often it found compiled code.
fn load_with(folder: &Path) -> (u64, u64) {
    let host = host(folder);
    let plugin = host
        .load(
            &Guest::default().component(),
            PluginSource::Registry("r".into()),
        )
        .expect("loads");
    plugin.generate(&context(), &json!({})).expect("works");
    let stats = host.stats();
    (stats.compiled, stats.loaded_from_cache)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

#[test]
fn a_plugin_is_compiled_once_and_again_when_its_file_is_damaged() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("cache");
    assert_eq!(load_with(&folder), (1, 0));
    assert_eq!(load_with(&folder), (0, 1));
    let [file] = files(&folder).try_into().expect("one file, no leftovers");

    let whole = fs::read(&file).expect("readable");
    let mut flipped = whole.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    for damaged in [
        flipped.as_slice(),
        whole.get(..40).expect("longer"),
        b"",
        b"nonsense",
    ] {
        fs::write(&file, damaged).expect("writable");
        assert_eq!(load_with(&folder), (1, 0));
        assert_eq!(load_with(&folder), (0, 1), "mended");
    }

    // Somebody else could have written it.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("changed");
    assert_eq!(load_with(&folder), (1, 0));
}

#[test]
fn the_folder_is_private() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("cache");
    fs::create_dir(&folder).expect("made");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("changed");
    drop(host(&folder));
    let mode = fs::metadata(&folder).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    let link = root.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).expect("linked");
    let error = PluginHost::new(HostConfig {
        cache_dir: Some(link),
        max_concurrency: 2,
        ..HostConfig::default()
    })
    .map(|_| ())
    .expect_err("refused");
    assert!(error.to_string().contains("symbolic link"), "{error}");
}
