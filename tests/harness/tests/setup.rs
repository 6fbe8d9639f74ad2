//! The script that finds, downloads or builds the Kubernetes binaries, with a
//! pretended network and pretended binaries: shell scripts that answer.
#![allow(clippy::unwrap_used, reason = "helper functions of tests, too")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use test_harness::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/setup/kube-tools");

/// A machine with an empty home and nothing that could fetch or build.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            dir: TempDir::new("setup-").unwrap(),
        };
        for name in ["curl", "go", "pip", "pip3"] {
            machine.program(&format!("bin/{name}"), "echo 'no network here' >&2; exit 6");
        }
        machine
    }

    fn program(&self, path: &str, script: &str) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The three programs in `folder`, with kube-apiserver of this version.
    fn tools(&self, folder: &str, version: &str) -> PathBuf {
        self.program(
            &format!("{folder}/kube-apiserver"),
            &format!("echo Kubernetes v{version}"),
        );
        self.program(&format!("{folder}/etcd"), "echo etcd");
        self.program(&format!("{folder}/kubectl"), "echo client");
        self.dir.join(folder)
    }

    /// A curl that answers with an index of releases and with an archive of
    /// the pretended binaries, whose checksum is `sum` if there is one.
    fn network(&self, sum: Option<&str>) {
        self.tools("pack/controller-tools/envtest", "1.36.9");
        let script = format!(
            r#"
cd "{dir}"
tar -czf archive -C pack controller-tools
for last; do
  [ "$before" = --output ] && output=$last
  before=$last
done
case $last in
  */envtest-releases.yaml)
    sum={sum}
    [ -n "$sum" ] || sum=$(sha512sum archive | cut -d' ' -f1)
    for version in 1.36.1 1.36.9 1.35.0; do
      name=envtest-v$version-{platform}.tar.gz
      printf '    %s:\n      hash: %s\n      selfLink: %s\n' "$name" "$sum" \
        "https://github.com/kubernetes-sigs/controller-tools/releases/download/envtest-v$version/$name"
    done >"$output" ;;
  */envtest-v1.36.9-*) cp archive "$output" ;;
  *) echo "unexpected $last" >&2; exit 22 ;;
esac"#,
            dir = self.dir.path().display(),
            sum = sum.unwrap_or_default(),
            platform = platform(),
        );
        self.program("bin/curl", &script);
    }

    fn run(&self, args: &[&str], environment: &[(&str, &Path)]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.dir.join("bin").display());
        Command::new(SCRIPT)
            .args(args)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.dir.path())
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }
}

fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}-{arch}", std::env::consts::OS)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_folder_that_is_named_comes_before_all_others_and_nothing_is_printed_but_it() {
    let machine = Machine::new();
    machine.tools(".cache/apim-operator/kube-tools-1.36.2-any", "1.36.2");
    let named = machine.tools("my tools", "1.35.1");
    let output = machine.run(&[], &[("KUBEBUILDER_ASSETS", &named)]);
    assert_eq!(stdout(&output), format!("{}\n", named.display()));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_folder_counts_only_when_all_three_run_and_are_new_enough() {
    let machine = Machine::new();
    let cached = format!(".cache/apim-operator/kube-tools-1.36.2-{}", platform());
    let good = machine.tools(&cached, "1.36.2");
    let named = machine.tools("named", "1.36.0");
    let answer = |named: &Path| machine.run(&["--find"], &[("KUBEBUILDER_ASSETS", named)]);
    assert_eq!(stdout(&answer(&named)), format!("{}\n", named.display()));

    machine.program("named/etcd", "exit 126");
    let output = answer(&named);
    assert_eq!(stdout(&output), format!("{}\n", good.display()));
    assert!(stderr(&output).contains("do not all run from there; looking elsewhere"));

    let old = machine.tools("old", "1.33.9");
    assert_eq!(stdout(&answer(&old)), format!("{}\n", good.display()));
}

#[cfg(target_os = "linux")]
#[test]
fn the_newest_that_setup_envtest_has_comes_before_our_own() {
    let machine = Machine::new();
    let cached = format!(".cache/apim-operator/kube-tools-1.36.2-{}", platform());
    machine.tools(&cached, "1.36.2");
    let place = |version: &str| {
        let folder = format!(
            ".local/share/kubebuilder-envtest/k8s/{version}-{}",
            platform()
        );
        machine.tools(&folder, version)
    };
    place("1.9.0");
    let newest = place("1.36.10");
    place("1.36.9");
    let output = machine.run(&["--find"], &[]);
    assert_eq!(stdout(&output), format!("{}\n", newest.display()));
}

#[test]
fn looking_alone_downloads_nothing() {
    let machine = Machine::new();
    machine.network(None);
    let output = machine.run(&["--find"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((stdout(&output), stderr(&output)), Default::default());
}

#[test]
fn a_download_is_kept_under_its_version_and_found_the_next_time() {
    let machine = Machine::new();
    machine.network(None);
    let first = machine.run(&[], &[]);
    let kept = format!(".cache/apim-operator/kube-tools-1.36.9-{}", platform());
    let kept = machine.dir.join(kept);
    assert_eq!(stdout(&first), format!("{}\n", kept.display()), "{first:?}");
    let step = format!("==> downloading envtest-v1.36.9-{}\n", platform());
    assert_eq!(stderr(&first), step);

    let second = machine.run(&[], &[]);
    assert_eq!(stdout(&second), stdout(&first));
    assert_eq!(stderr(&second), "");
}

#[test]
fn a_download_with_another_checksum_is_refused_and_leaves_nothing() {
    let machine = Machine::new();
    let sum = "0".repeat(128);
    machine.network(Some(&sum));
    let output = machine.run(&[], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    let said = stderr(&output);
    assert!(said.contains(&format!("and {sum} was expected")), "{said}");
    let left = fs::read_dir(machine.dir.join(".cache/apim-operator")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn without_network_and_go_it_says_what_to_install() {
    let machine = Machine::new();
    let output = machine.run(&[], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.starts_with("==> no download of the Kubernetes binaries (no network here)"),
        "{said}"
    );
    assert!(said.contains("needs Go 1.26 or newer"), "{said}");
    assert!(said.contains("set KUBEBUILDER_ASSETS to it"), "{said}");
}
