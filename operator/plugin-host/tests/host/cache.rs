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

fn files_of(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut files = files(folder);
    files.retain(|file| file.extension().is_some_and(|extension| extension == kind));
    files.sort();
    files
}

#[test]
fn a_plugin_is_compiled_once_and_again_when_its_file_is_damaged() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("cache");
    assert_eq!(load_with(&folder), (1, 0));
    assert_eq!(load_with(&folder), (0, 1));
    assert_eq!(files(&folder).len(), 2, "code and descriptor, no leftovers");
    let [file] = files_of(&folder, "cwasm").try_into().expect("one plugin");

    let whole = fs::read(&file).expect("readable");
    let mut flipped = whole.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    let mut inside = whole.clone();
    let middle = inside.len() / 2;
    *inside.get_mut(middle).expect("not empty") ^= 1;
    let mut longer = whole.clone();
    longer.push(0);
    for damaged in [
        flipped.as_slice(),
        inside.as_slice(),
        longer.as_slice(),
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
    assert_eq!(load_with(&folder), (1, 0));
    // Open to others, as the volume of a pod is for a group: what is in it
    // could be anybody's.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o2777)).expect("changed");
    assert_eq!(load_with(&folder), (1, 0));
    let mode = fs::metadata(&folder).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    assert_eq!(load_with(&folder), (0, 1));

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

#[test]
fn a_folder_of_somebody_else_is_refused_with_the_way_out() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("cache");
    fs::create_dir(&folder).expect("made");
    // Only the superuser can give a folder away; others need not try.
    if std::os::unix::fs::chown(&folder, Some(12345), None).is_err() {
        return;
    }
    let error = PluginHost::new(HostConfig {
        cache_dir: Some(folder.clone()),
        max_concurrency: 2,
        ..HostConfig::default()
    })
    .map(|_| ())
    .expect_err("refused")
    .to_string();
    assert!(error.contains("it belongs to user 12345"), "{error}");
    assert!(
        error.contains(&folder.join("compiled").display().to_string()),
        "{error}"
    );
}

fn named(name: &str) -> Vec<u8> {
    Guest {
        descriptor: super::guest::descriptor(name),
        ..Guest::default()
    }
    .component()
}

#[test]
fn the_code_of_one_plugin_is_not_taken_for_another_one_s() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("cache");
    let load = |name: &str| {
        let host = host(&folder);
        let plugin = host
            .load(&named(name), PluginSource::Registry("r".into()))
            .expect("loads");
        (plugin.descriptor().name.clone(), host.stats().compiled)
    };
    assert_eq!(load("one"), ("one".to_owned(), 1));
    assert_eq!(load("two"), ("two".to_owned(), 1));
    for kind in ["cwasm", "json"] {
        let [a, b] = files_of(&folder, kind).try_into().expect("two plugins");
        let swap = folder.join("swap");
        fs::rename(&a, &swap).expect("moved");
        fs::rename(&b, &a).expect("moved");
        fs::rename(&swap, &b).expect("moved");
    }
    assert_eq!(load("one"), ("one".to_owned(), 1));
    assert_eq!(load("two"), ("two".to_owned(), 1));
    assert_eq!(load("two"), ("two".to_owned(), 0));
}

#[test]
fn what_was_not_used_for_longest_goes_when_the_folder_is_full() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("cache");
    let start = |bytes: u64| {
        PluginHost::new(HostConfig {
            cache_dir: Some(folder.clone()),
            cache_bytes: bytes,
            max_concurrency: 2,
            ..HostConfig::default()
        })
        .expect("a host")
    };
    let load = |host: &PluginHost, name: &str| {
        let before = host.stats().compiled;
        host.load(&named(name), PluginSource::Registry("r".into()))
            .expect("loads");
        host.stats().compiled > before
    };
    let unlimited = start(u64::MAX);
    assert!(load(&unlimited, "one"));
    let size: u64 = files(&folder)
        .iter()
        .map(|file| fs::metadata(file).expect("there").len())
        .sum();
    // Used in another order than made.
    let hours = |ago: u64| std::time::SystemTime::now() - std::time::Duration::from_hours(ago);
    for file in files(&folder) {
        let file = fs::File::open(file).expect("there");
        file.set_modified(hours(9)).expect("marked");
    }
    assert!(load(&unlimited, "two"));
    for file in files(&folder) {
        if fs::metadata(&file)
            .expect("there")
            .modified()
            .expect("known")
            > hours(8)
        {
            let file = fs::File::open(file).expect("there");
            file.set_modified(hours(5)).expect("marked");
        }
    }
    assert!(!load(&unlimited, "one"), "its use is marked");
    // Room for two and a half.
    let full = start(size * 5 / 2);
    assert!(load(&full, "three"));
    assert!(!load(&full, "one"));
    assert!(!load(&full, "three"));
    assert!(load(&full, "two"), "was not used for longest");
    // What is used stays, however small the folder.
    let tiny = start(1);
    assert_eq!(files(&folder), Vec::<PathBuf>::new());
    assert!(load(&tiny, "one"));
    assert_eq!(files_of(&folder, "cwasm").len(), 1);
}

/// A host whose start is warm: it compiles nothing, and asks no plugin what it
/// is.
#[test]
fn a_warm_start_runs_no_plugin() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("cache");
    // Says so whenever it is asked.
    let bytes = Guest {
        data: b"asked".to_vec(),
        describe: "(call $log (i32.const 3) (i32.const 8192) (i32.const 5)) i32.const 16",
        ..Guest::default()
    }
    .component();
    let asked = |folder: &Path| {
        let sink = super::hostile::Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        let plugin = tracing::subscriber::with_default(subscriber, || {
            host(folder).load(&bytes, PluginSource::Registry("r".into()))
        });
        assert_eq!(plugin.expect("loads").descriptor().name, "test");
        sink.text().matches("asked").count()
    };
    assert_eq!(asked(&folder), 1);
    assert_eq!(asked(&folder), 0);
    // What it said is as safe as its code: a damaged descriptor is asked for.
    let [file] = files_of(&folder, "json").try_into().expect("one plugin");
    let mut damaged = fs::read(&file).expect("readable");
    *damaged.last_mut().expect("not empty") ^= 1;
    fs::write(&file, damaged).expect("writable");
    assert_eq!(asked(&folder), 1);
    assert_eq!(asked(&folder), 0);
}
