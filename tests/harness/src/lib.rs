//! What the tests and the demo need around the operator: a real etcd and
//! kube-apiserver as child processes, users with chosen rights, child
//! processes that never outlive the test, and small helpers to apply YAML and
//! to wait for a condition.
//!
//! It must never be linked into the product, never pretend to be Kubernetes
//! where the real thing runs (the one stand-in says so in its name), and never
//! leave a process or a file behind, however the test process ends.
//!
//! ```no_run
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let Some(cluster) = test_harness::shared("an_ingress_is_made").await else {
//!     return Ok(()); // skipped, and said so
//! };
//! let client = cluster.admin()?;
//! let namespace = test_harness::unique_namespace(&client, "ingress").await?;
//! test_harness::apply_yaml_in(&client, &namespace, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}").await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod apply;
mod control_plane;
mod pki;
mod process;
mod reaper;
pub mod stand_in;
mod tools;
mod wait;

pub use apply::{ApplyError, apply_yaml, apply_yaml_in, install_crd, unique_namespace};
pub use control_plane::{ControlPlane, StartError};
pub use pki::PkiError;
pub use process::{Exit, Process, ProcessError};
pub use reaper::TempDir;
pub use tools::{Browser, KubeTools, NotBuilt, browser, built_program, kube_tools};
pub use wait::{WaitError, wait_for, wait_until};

use std::io::Write;

use tokio::sync::OnceCell;

/// The environment variable that names the file to which skipped tests append
/// one line each, because the test runner swallows what a passing test prints.
pub const SKIP_LOG: &str = "TEST_SKIP_LOG";

/// With this environment variable set to `1`, a test that needs kube-apiserver
/// fails where it cannot run instead of being skipped.
pub const REQUIRE_KUBE: &str = "REQUIRE_KUBE";

/// With this environment variable set to `1`, a test that needs a browser fails
/// where there is none instead of being skipped.
pub const REQUIRE_BROWSER: &str = "REQUIRE_BROWSER";

static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();

/// The control plane of this test process, started at first use and stopped
/// when the process ends. `None` where the Kubernetes binaries are missing;
/// the skip of `test` is then reported already, so the caller only returns.
///
/// # Panics
///
/// When the binaries are there and the control plane does not start, and when
/// they are missing though [`REQUIRE_KUBE`] is `1`: a test has no better way
/// to fail.
#[allow(
    clippy::panic,
    reason = "a failed start must fail the test that asked for it"
)]
pub async fn shared(test: &str) -> Option<&'static ControlPlane> {
    let Some(tools) = kube_tools() else {
        let reason = "kube-apiserver, etcd or kubectl is missing; run `make setup`";
        assert!(
            std::env::var(REQUIRE_KUBE).as_deref() != Ok("1"),
            "{test} may not be skipped ({REQUIRE_KUBE}=1): {reason}"
        );
        skip(test, reason);
        return None;
    };
    match SHARED
        .get_or_try_init(|| ControlPlane::start_with(tools))
        .await
    {
        Ok(cluster) => Some(cluster),
        Err(error) => panic!("{test}: the control plane did not start: {error}"),
    }
}

/// The browser of this machine. `None` where there is none; the skip of `test`
/// is then reported already, so the caller only returns.
///
/// # Panics
///
/// When there is none though [`REQUIRE_BROWSER`] is `1`.
#[must_use]
pub fn browser_for(test: &str) -> Option<Browser> {
    let found = browser();
    if found.is_none() {
        let reason = "no browser: chromium or chromedriver is missing; run `make setup`";
        assert!(
            std::env::var(REQUIRE_BROWSER).as_deref() != Ok("1"),
            "{test} may not be skipped ({REQUIRE_BROWSER}=1): {reason}"
        );
        skip(test, reason);
    }
    found
}

/// Says on stderr, and in the file that [`SKIP_LOG`] names, that `test` does
/// not run here and why. The caller returns afterwards.
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    let mut stderr = std::io::stderr().lock();
    // A closed stderr must not turn a skip into a failure.
    let _ = stderr.write_all(line.as_bytes());
    if let Some(path) = std::env::var_os(SKIP_LOG) {
        // One write of one short line: appends of parallel tests do not mix.
        let written = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            let _ = writeln!(
                stderr,
                "{SKIP_LOG}={}: {error}",
                std::path::Path::new(&path).display()
            );
        }
    }
}
