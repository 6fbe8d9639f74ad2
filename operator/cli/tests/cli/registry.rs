//! `plugin push`, `verify`, `pull` and `inspect` against a real registry.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, run, run_in, without_sizes, workspace};

/// Debian's docker-registry, for as long as a test runs.
struct Registry {
    process: Child,
    address: String,
    dir: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Registry {
    /// Starts it; none where it is not installed, which `make setup` does.
    fn start(name: &str) -> Option<Self> {
        let script = workspace().join("tests/harness/setup/docker-registry");
        let found = Command::new(script).arg("--find").output().unwrap();
        if !found.status.success() {
            assert!(
                std::env::var_os("CI").is_none(),
                "docker-registry is missing; `make setup` installs it"
            );
            eprintln!("{name}: skipped: docker-registry is missing; `make setup` installs it");
            return None;
        }
        let program = String::from_utf8(found.stdout).unwrap();
        let dir = TempDir::new().unwrap();
        let address = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().to_string()
        };
        let config = dir.path().join("config.yml");
        let data = dir.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            data.display()
        );
        fs::write(&config, text).unwrap();
        let process = Command::new(program.trim())
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not start");
            std::thread::yield_now();
        }
        Some(Self {
            process,
            address,
            dir,
        })
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// A command about the plugin at this tag.
    fn plugin(&self, command: &str, tag: &str, more: &[&str]) -> Ended {
        let reference = format!("{}/policies/empty:{tag}", self.address);
        let args = [&["plugin", command, &reference, "--plain-http"], more].concat();
        run(args)
    }

    /// What was said, without what changes with each run.
    fn stable(&self, said: &str) -> String {
        let said = said
            .replace(&self.address, "REGISTRY")
            .replace(&format!("{}/", self.dir.path().display()), "");
        let mut out = String::new();
        let mut rest = said.as_str();
        while let Some((before, after)) = rest.split_once("sha256:") {
            let hex = after
                .find(|c: char| !c.is_ascii_hexdigit())
                .unwrap_or(after.len());
            out.push_str(before);
            out.push_str("sha256:…");
            rest = &after[hex..];
        }
        without_sizes(&(out + rest))
    }
}

/// Keys of this test alone; they protect nothing.
const KEYS: [(&str, &str); 3] = [
    ("plugins.key", include_str!("keys/plugins.key")),
    ("plugins.pub", include_str!("keys/plugins.pub")),
    ("other.pub", include_str!("keys/other.pub")),
];

/// The file of a built-in plugin: one that is here without building any.
fn plugin_file(dir: &Path) -> String {
    let path = dir.join("cors.wasm");
    let mut plugins = operator_plugin_host::builtin_plugins().iter();
    let (_, bytes) = plugins.find(|(name, _)| *name == "cors").unwrap();
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

#[test]
fn a_plugin_is_pushed_signed_verified_inspected_and_pulled() {
    let Some(registry) = Registry::start("a_plugin_is_pushed") else {
        return;
    };
    for (name, text) in KEYS {
        fs::write(registry.file(name), text).unwrap();
    }
    let file = plugin_file(registry.dir.path());
    let (private, public, other) = (
        registry.file("plugins.key"),
        registry.file("plugins.pub"),
        registry.file("other.pub"),
    );

    let unsigned = registry.plugin("push", "1.0.0", &[&file]).fine();
    let manifest: Value = serde_saphyr::from_str(&unsigned.stdout).unwrap();
    assert_eq!(manifest["spec"].get("verification"), None);
    let refused = registry
        .plugin("verify", "1.0.0", &["--key", &public])
        .refused();
    insta::assert_snapshot!("verify-unsigned", registry.stable(&refused));

    let signed = registry
        .plugin("push", "1.0.1", &[&file, "--key", &private])
        .fine();
    insta::assert_snapshot!(
        "push-signed",
        format!(
            "{}\n{}",
            registry.stable(&signed.stderr),
            registry.stable(&signed.stdout)
        )
    );
    let manifest: Value = serde_saphyr::from_str(&signed.stdout).unwrap();
    // What is printed is what the operator reads.
    let spec: operator_core::policy_plugin::spec::PolicyPluginSpec =
        serde_json::from_value(manifest["spec"].clone()).unwrap();
    assert_eq!(
        spec.verification.unwrap().keys[0].pem,
        include_str!("keys/plugins.pub")
    );
    let digest = operator_plugin_host::Digest::of(&fs::read(&file).unwrap()).to_string();
    assert_eq!(spec.digest.as_ref(), Some(&digest));

    let verified = registry
        .plugin("verify", "1.0.1", &["--key", &public])
        .fine();
    insta::assert_snapshot!("verify-signed", registry.stable(&verified.stdout));
    let refused = registry
        .plugin("verify", "1.0.1", &["--key", &other])
        .refused();
    insta::assert_snapshot!("verify-other-key", registry.stable(&refused));

    let out = registry.file("got.wasm");
    registry
        .plugin("pull", "1.0.1", &["-o", &out, "--key", &public])
        .fine();
    assert!(fs::read(&out).unwrap() == fs::read(&file).unwrap());
    let refused = registry.file("refused.wasm");
    registry
        .plugin("pull", "1.0.1", &["-o", &refused, "--key", &other])
        .refused();
    assert!(
        !Path::new(&refused).exists(),
        "what nobody vouches for was written"
    );

    let inspected = registry
        .plugin("inspect", "1.0.1", &["--key", &public, "-o", "json"])
        .fine();
    let inspected: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(inspected["name"], manifest["metadata"]["name"]);
    assert_eq!(inspected["interface"], "1.0.0");
    assert_eq!(inspected["digest"], *digest);
    assert!(
        inspected["signature"]
            .as_str()
            .unwrap()
            .starts_with("by the key sha256:")
    );

    let missing = registry.plugin("pull", "9.9.9", &["-o", &out]).refused();
    insta::assert_snapshot!("pull-missing", registry.stable(&missing));
}

#[test]
fn what_cannot_be_pushed_is_refused_before_the_registry_is_asked() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("no.key"), "hello").unwrap();
    fs::write(dir.path().join("no.wasm"), "hello").unwrap();
    let file = plugin_file(dir.path());
    let push = |args: &[&str]| {
        let args = [&["plugin", "push"], args].concat();
        run_in(dir.path(), &args, &[]).refused()
    };
    let said = [
        push(&["not a reference", &file]),
        push(&["localhost:1/a:1", "no.wasm"]),
        push(&["localhost:1/a:1", &file, "--key", "no.key"]),
        push(&[
            "localhost:1/a@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            &file,
        ]),
    ];
    insta::assert_snapshot!("push-refused", without_sizes(&said.concat()));
    let nobody = run(["plugin", "verify", "localhost:1/a:1"]);
    assert_eq!(
        (nobody.code, nobody.stdout.as_str()),
        (2, ""),
        "{nobody:#?}"
    );
}
