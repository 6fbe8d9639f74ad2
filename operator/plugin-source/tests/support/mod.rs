//! Real registries for the tests, with a password and a private CA.
#![allow(dead_code, reason = "each test binary uses its part of it")]

pub(crate) mod fake;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use operator_plugin_source::{RegistryAuth, Source, Sources, SourcesConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use test_harness::{Process, TempDir, skip, wait_until};

pub(crate) const USER: &str = "author";
pub(crate) const PASSWORD: &str = "open sesame";
/// The bcrypt hash of the password, as `htpasswd -B` writes it.
const HTPASSWD: &str = "author:$2b$04$lA5dmMJ1vIooJYaTWyyBLuIWt6HL/xyfxbP4JufMQnalaqFD63nAq\n";

/// A registry of somebody else's, as `host:port/prefix`; it is asked with
/// `TEST_REGISTRY_USER` and `TEST_REGISTRY_PASSWORD` if they are set, and
/// without TLS where `TEST_REGISTRY_PLAIN_HTTP` is `1`.
pub(crate) const FOREIGN: &str = "TEST_REGISTRY";

/// A registry that the tests may write to.
pub(crate) struct Registry {
    pub(crate) name: &'static str,
    /// `host:port`, or `host:port/prefix`.
    pub(crate) prefix: String,
    pub(crate) auth: RegistryAuth,
    pub(crate) ca_pem: Option<Vec<u8>>,
    pub(crate) plain_http: bool,
    process: Option<Process>,
    _folder: Option<TempDir>,
}

impl Registry {
    pub(crate) fn source(&self, rest: &str) -> Source {
        Source::Oci {
            reference: format!("{}/{rest}", self.prefix),
            auth: self.auth.clone(),
            ca_pem: self.ca_pem.clone(),
            plain_http: self.plain_http,
        }
    }

    /// Whether it was started here, so that it can be stopped and its users
    /// and certificates are known.
    pub(crate) fn is_ours(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn stop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().unwrap();
        }
    }
}

/// Debian's docker-registry, which has no referrers API.
pub(crate) async fn docker_registry(test: &str) -> Option<Registry> {
    let program = set_up("docker-registry", test)?;
    let folder = TempDir::new("docker-registry").unwrap();
    let ca = pki(folder.path());
    std::fs::write(folder.join("htpasswd"), HTPASSWD).unwrap();
    // The port is asked for and given back: this registry cannot choose one.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let config = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {0}/data}}}}\n\
         http: {{addr: '{address}', tls: {{certificate: {0}/cert.pem, key: {0}/key.pem}}}}\n\
         auth: {{htpasswd: {{realm: test, path: {0}/htpasswd}}}}\n",
        folder.path().display()
    );
    std::fs::write(folder.join("config.yml"), config).unwrap();
    let mut command = Command::new(program);
    command.arg("serve").arg(folder.join("config.yml"));
    let process = Process::spawn("docker-registry", &mut command, folder.join("log")).unwrap();
    Some(ready("docker-registry", address, ca, process, folder).await)
}

/// go-containerregistry's registry, which has the referrers API.
pub(crate) async fn referrers_registry(test: &str) -> Option<Registry> {
    let program = set_up("referrers-registry", test)?;
    let folder = TempDir::new("referrers-registry").unwrap();
    let ca = pki(folder.path());
    let mut command = Command::new(program);
    command.arg("-cert").arg(folder.join("cert.pem"));
    command.arg("-key").arg(folder.join("key.pem"));
    command.args(["-user", USER, "-password", PASSWORD]);
    let mut process =
        Process::spawn("referrers-registry", &mut command, folder.join("log")).unwrap();
    let address = process
        .wait_for_line("127.0.0.1:", Duration::from_secs(20))
        .await
        .unwrap();
    Some(ready("go-containerregistry", address, ca, process, folder).await)
}

/// The registry that the environment names, if any.
pub(crate) fn foreign_registry() -> Option<Registry> {
    let prefix = std::env::var(FOREIGN).ok()?;
    let get = |name: &str| std::env::var(format!("{FOREIGN}_{name}")).ok();
    let auth = match (get("USER"), get("PASSWORD")) {
        (Some(username), Some(password)) => RegistryAuth::Basic { username, password },
        _ => RegistryAuth::Anonymous,
    };
    Some(Registry {
        name: "foreign",
        prefix,
        auth,
        ca_pem: None,
        plain_http: get("PLAIN_HTTP").as_deref() == Some("1"),
        process: None,
        _folder: None,
    })
}

async fn ready(
    name: &'static str,
    address: String,
    ca: Vec<u8>,
    process: Process,
    folder: TempDir,
) -> Registry {
    wait_until(
        "the registry listens",
        Duration::from_secs(20),
        async || tokio::net::TcpStream::connect(&address).await.map(drop),
    )
    .await
    .unwrap();
    Registry {
        name,
        prefix: address,
        auth: RegistryAuth::Basic {
            username: USER.into(),
            password: PASSWORD.into(),
        },
        ca_pem: Some(ca),
        plain_http: false,
        process: Some(process),
        _folder: Some(folder),
    }
}

/// The path that a set-up script finds; nothing is downloaded or built here.
fn set_up(script: &str, test: &str) -> Option<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/harness/setup");
    let output = Command::new(Path::new(folder).join(script))
        .arg("--find")
        .output()
        .unwrap();
    if !output.status.success() {
        skip(test, &format!("{script} is missing; run `make setup`"));
        return None;
    }
    Some(PathBuf::from(
        String::from_utf8(output.stdout).unwrap().trim(),
    ))
}

/// A CA, and a certificate of it for this machine in `cert.pem` and `key.pem`.
/// Returns the CA's certificate.
pub(crate) fn pki(folder: &Path) -> Vec<u8> {
    let (ca, cert, key) = certificate(|_| {});
    std::fs::write(folder.join("cert.pem"), cert).unwrap();
    std::fs::write(folder.join("key.pem"), key).unwrap();
    ca.into_bytes()
}

/// A CA, a certificate of it and the key, in PEM.
pub(crate) fn certificate(change: impl FnOnce(&mut CertificateParams)) -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "test CA");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &ca).unwrap();
    (ca.pem(), cert.pem(), key.serialize_pem())
}

pub(crate) fn sources(cache: Option<&Path>) -> Sources {
    Sources::new(SourcesConfig {
        cache_dir: cache.map(Path::to_owned),
        max_bytes: 1024 * 1024,
        timeout: Duration::from_secs(20),
        ..SourcesConfig::default()
    })
    .unwrap()
}

/// Bytes that nobody pushed before.
pub(crate) fn plugin(seed: &str) -> Bytes {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.extend(seed.as_bytes());
    bytes.extend(std::iter::repeat_n(7, 100_000));
    bytes.into()
}
