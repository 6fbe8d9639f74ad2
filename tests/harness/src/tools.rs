//! Where kube-apiserver, etcd and kubectl are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The three programs of a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeTools {
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// etcd.
    pub etcd: PathBuf,
    /// kubectl.
    pub kubectl: PathBuf,
}

impl KubeTools {
    /// The tools in `dir`, with the single overrides that controller-runtime's
    /// envtest knows (`TEST_ASSET_KUBE_APISERVER`, `_ETCD`, `_KUBECTL`); `None`
    /// unless all three are there.
    fn locate(dir: Option<&Path>) -> Option<Self> {
        let find = |variable: &str, name: &str| {
            std::env::var_os(variable)
                .map(PathBuf::from)
                .or_else(|| dir.map(|dir| dir.join(name)))
                .filter(|path| path.is_file())
        };
        Some(Self {
            apiserver: find("TEST_ASSET_KUBE_APISERVER", "kube-apiserver")?,
            etcd: find("TEST_ASSET_ETCD", "etcd")?,
            kubectl: find("TEST_ASSET_KUBECTL", "kubectl")?,
        })
    }
}

/// The Kubernetes binaries of this machine: `TEST_ASSET_*`, then
/// `KUBEBUILDER_ASSETS`, then the places that `make setup` looks at and fills.
/// Nothing is downloaded or built here. The search runs once per process.
#[must_use]
pub fn kube_tools() -> Option<KubeTools> {
    static FOUND: OnceLock<Option<KubeTools>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let named = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
            KubeTools::locate(named.as_deref()).or_else(|| KubeTools::locate(Some(&searched()?)))
        })
        .clone()
}

/// The folder that the set-up script finds: one list of places, in one file.
fn searched() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/setup/kube-tools");
    let output = Command::new(script).arg("--find").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !path.trim().is_empty()).then(|| PathBuf::from(path.trim()))
}

/// A browser and the program that drives it over the `WebDriver` protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// Chromium.
    pub browser: PathBuf,
    /// chromedriver.
    pub driver: PathBuf,
}

/// The browser of this machine, which the set-up script finds. Nothing is
/// installed here. The search runs once per process.
#[must_use]
pub fn browser() -> Option<Browser> {
    static FOUND: OnceLock<Option<Browser>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/setup/browser");
            let output = Command::new(script).arg("--find").output().ok()?;
            let paths = String::from_utf8(output.stdout).ok()?;
            let mut paths = paths.lines().map(PathBuf::from);
            Some(Browser {
                browser: paths.next()?,
                driver: paths.next()?,
            })
        })
        .clone()
}

/// A program of this workspace, by its name (`apim-operator`). It lies beside
/// the test that asks, in cargo's target folder, and is as new as the last
/// `cargo build`.
pub fn built_program(name: &str) -> Result<PathBuf, NotBuilt> {
    let exe = std::env::current_exe().unwrap_or_default();
    // A test is in target/debug/deps, a program in target/debug.
    exe.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| NotBuilt {
            name: name.to_owned(),
            beside: exe,
        })
}

/// A program of this workspace was asked for and is not built.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not built (looked beside {beside}): run `cargo build --workspace` first")]
pub struct NotBuilt {
    name: String,
    beside: PathBuf,
}
