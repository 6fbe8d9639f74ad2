//! A real etcd and a real kube-apiserver as child processes, started with the
//! arguments that controller-runtime's envtest uses.
//!
//! No kube-controller-manager runs: owner references are not collected,
//! namespaces stay `Terminating`, there is no `ServiceAccount` `default`, and no
//! EndpointSlices appear (`stand_in` makes those). Give each test a namespace
//! of its own and never wait for a namespace to go.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client, Config};
use serde_json::json;

use crate::pki::{Authority, PkiError, token_key};
use crate::process::{Process, ProcessError, install_crypto};
use crate::reaper::TempDir;
use crate::tools::{KubeTools, kube_tools};

/// Ports are chosen by asking for a free one and letting it go again, so
/// another process can take it in between.
const TRIES: u32 = 5;
/// Ten times what an idle 2-core machine needs.
const START_DEADLINE: Duration = Duration::from_mins(1);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// Why there is no control plane, or no user for it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// kube-apiserver, etcd or kubectl is missing.
    #[error(
        "kube-apiserver, etcd or kubectl is missing: run `make setup`, or set KUBEBUILDER_ASSETS to the folder that has them"
    )]
    NoTools,
    /// A file or a port.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A certificate.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A child process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The API server refused the harness itself.
    #[error("{what}: {source}")]
    Kube {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: Box<kube::Error>,
    },
}

/// A running control plane. Dropping it kills it and removes its files; when
/// the test process dies first, the same happens a moment later.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order: no process writes into a removed folder.
    apiserver: Process,
    apiserver_arguments: Vec<String>,
    etcd: Process,
    authority: AuthorityHandle,
    tools: KubeTools,
    url: String,
    users: AtomicU32,
    dir: TempDir,
}

struct AuthorityHandle(Authority);

impl std::fmt::Debug for AuthorityHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl ControlPlane {
    /// Starts etcd and kube-apiserver and waits until both answer and the
    /// namespace `default` exists (3 to 5 seconds).
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(kube_tools().ok_or(StartError::NoTools)?).await
    }

    /// As [`ControlPlane::start`], with these binaries.
    pub async fn start_with(tools: KubeTools) -> Result<Self, StartError> {
        install_crypto();
        let mut tried = 1;
        loop {
            match Self::try_start(&tools).await {
                // Another process took the port: both programs then end at
                // once and say so.
                Err(StartError::Process(ProcessError::Ended { tail, .. }))
                    if tried < TRIES && tail.contains("address already in use") =>
                {
                    tried += 1;
                }
                other => return other,
            }
        }
    }

    async fn try_start(tools: &KubeTools) -> Result<Self, StartError> {
        let dir = TempDir::new("control-plane-")
            .map_err(|source| io_error("folder for temporary files", source))?;
        let authority = Authority::new()?;

        let (etcd_url, mut etcd) = start_etcd(tools, &dir)?;
        etcd.wait_for_url(&format!("{etcd_url}/health"), START_DEADLINE)
            .await?;
        let (url, apiserver_arguments, mut apiserver) =
            start_apiserver(tools, &dir, &authority, &etcd_url)?;
        // Anonymous requests may read it, and its port is ours alone.
        apiserver
            .wait_for_url(&format!("{url}/readyz"), START_DEADLINE)
            .await?;

        let started = Self {
            apiserver,
            apiserver_arguments,
            etcd,
            authority: AuthorityHandle(authority),
            tools: tools.clone(),
            url,
            users: AtomicU32::new(0),
            dir,
        };
        started.write_kubeconfig("admin", "admin", Some("system:masters"))?;
        started.wait_for_default_namespace().await?;
        Ok(started)
    }

    async fn wait_for_default_namespace(&self) -> Result<(), StartError> {
        let namespaces: Api<Namespace> = Api::all(self.admin()?);
        let since = Instant::now();
        loop {
            match namespaces.get_opt("default").await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) if since.elapsed() < START_DEADLINE => tokio::time::sleep(POLL).await,
                Ok(None) => {
                    let source = io::Error::other("it was not made in time");
                    return Err(io_error("namespace default", source));
                }
                Err(source) => return Err(kube_error("namespace default", source)),
            }
        }
    }

    /// `https://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder of its files: logs, certificates, kubeconfigs. It goes when
    /// the control plane goes.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process ids of kube-apiserver and etcd.
    #[must_use]
    pub fn process_ids(&self) -> [u32; 2] {
        [self.apiserver.id(), self.etcd.id()]
    }

    /// The binaries it runs on.
    #[must_use]
    pub fn tools(&self) -> &KubeTools {
        &self.tools
    }

    /// How to connect as a member of `system:masters`.
    pub fn admin_config(&self) -> Result<Config, StartError> {
        self.user_config("admin", Some("system:masters"))
    }

    /// A client for a member of `system:masters`. Clients belong to the
    /// runtime that made them, so every test makes its own.
    pub fn admin(&self) -> Result<Client, StartError> {
        self.client(self.admin_config()?)
    }

    /// A client for `config`.
    pub fn client(&self, config: Config) -> Result<Client, StartError> {
        Client::try_from(config).map_err(|source| kube_error("client", source))
    }

    /// A kubeconfig for a member of `system:masters`.
    #[must_use]
    pub fn admin_kubeconfig_path(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// How to connect as `user`, by a client certificate. A certificate made
    /// here names at most one group; `system:authenticated` comes by itself.
    /// A user `system:serviceaccount:<namespace>:<name>` has the rights that
    /// are bound to that `ServiceAccount`.
    pub fn user_config(&self, user: &str, group: Option<&str>) -> Result<Config, StartError> {
        let (certificate, key) = self.write_client_pair(user, group)?;
        let mut config = self.anonymous_config()?;
        config.auth_info.client_certificate = Some(certificate.display().to_string());
        config.auth_info.client_key = Some(key.display().to_string());
        Ok(config)
    }

    /// A kubeconfig for `user`; as [`ControlPlane::user_config`].
    pub fn kubeconfig_for(&self, user: &str, group: Option<&str>) -> Result<PathBuf, StartError> {
        let number = self.users.fetch_add(1, Ordering::Relaxed);
        self.write_kubeconfig(&format!("user-{number}"), user, group)
    }

    /// How to connect as an existing `ServiceAccount`, by a token from the
    /// `TokenRequest` API as a pod would have it, valid for one hour.
    pub async fn service_account_config(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Config, StartError> {
        let what = format!("token for ServiceAccount {namespace}/{name}");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin()?, namespace);
        // All defaults: for the API server itself, valid for an hour.
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &TokenRequest::default())
            .await
            .map_err(|source| kube_error(&what, source))?;
        let token = answer.status.and_then(|status| status.token);
        let mut config = self.anonymous_config()?;
        config.auth_info.token = token.map(Into::into);
        Ok(config)
    }

    fn anonymous_config(&self) -> Result<Config, StartError> {
        let url = self.url.parse().map_err(|error| {
            io_error(
                "URL of the API server",
                io::Error::other(format!("{error}")),
            )
        })?;
        let mut config = Config::new(url);
        config.root_cert = Some(vec![self.authority.0.der()]);
        Ok(config)
    }

    fn write_client_pair(
        &self,
        user: &str,
        group: Option<&str>,
    ) -> Result<(PathBuf, PathBuf), StartError> {
        let pair = self.authority.0.client(user, group)?;
        let number = self.users.fetch_add(1, Ordering::Relaxed);
        Ok((
            write(
                &self.dir,
                &format!("client-{number}.crt"),
                &pair.certificate,
            )?,
            write(&self.dir, &format!("client-{number}.key"), &pair.key)?,
        ))
    }

    fn write_kubeconfig(
        &self,
        file: &str,
        user: &str,
        group: Option<&str>,
    ) -> Result<PathBuf, StartError> {
        let (certificate, key) = self.write_client_pair(user, group)?;
        // JSON is YAML; kubectl and client libraries read it.
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": self.url,
                "certificate-authority": self.dir.join("client-ca.crt"),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate": certificate,
                "client-key": key,
            }}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        });
        write(
            &self.dir,
            &format!("{file}.kubeconfig"),
            &format!("{text:#}\n"),
        )
    }

    /// Runs kubectl as a member of `system:masters` and waits for its end. Its
    /// discovery cache lies in [`ControlPlane::dir`], not in the home folder.
    pub async fn kubectl<A: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Output, StartError> {
        tokio::process::Command::from(self.kubectl_command(args))
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| io_error("kubectl", source))
    }

    /// The command that [`ControlPlane::kubectl`] runs, to change or to run
    /// with the terminal's output.
    pub fn kubectl_command<A: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(&self.tools.kubectl);
        command
            .args(args)
            .env("KUBECONFIG", self.admin_kubeconfig_path())
            .env("KUBECACHEDIR", self.dir.join("kubectl-cache"))
            .stdin(std::process::Stdio::null());
        command
    }

    /// Kills kube-apiserver and starts it again on the same data, at the same
    /// address, with the same certificates. Returns once it answers.
    pub async fn restart_apiserver(&mut self) -> Result<(), StartError> {
        self.apiserver.kill()?;
        let mut command = Command::new(&self.tools.apiserver);
        command.args(&self.apiserver_arguments);
        self.apiserver = Process::spawn(
            "kube-apiserver",
            &mut command,
            self.dir.join("kube-apiserver-again.log"),
        )?;
        self.apiserver
            .wait_for_url(&format!("{}/readyz", self.url), START_DEADLINE)
            .await?;
        Ok(())
    }

    /// Stops kube-apiserver, then etcd, and removes their files.
    pub async fn stop(mut self) -> Result<(), StartError> {
        self.apiserver.terminate(STOP_DEADLINE).await?;
        self.etcd.terminate(STOP_DEADLINE).await?;
        Ok(())
    }
}

fn start_etcd(tools: &KubeTools, dir: &TempDir) -> Result<(String, Process), StartError> {
    let peer = format!("http://127.0.0.1:{}", free_port()?);
    let url = format!("http://127.0.0.1:{}", free_port()?);
    let process = Process::spawn(
        "etcd",
        Command::new(&tools.etcd).args([
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--data-dir={}", dir.join("etcd").display()),
            // What a test loses in a power cut is not worth a disk flush.
            "--unsafe-no-fsync=true".to_owned(),
        ]),
        dir.join("etcd.log"),
    )?;
    Ok((url, process))
}

fn start_apiserver(
    tools: &KubeTools,
    dir: &TempDir,
    authority: &Authority,
    etcd_url: &str,
) -> Result<(String, Vec<String>, Process), StartError> {
    let certificates = dir.join("apiserver");
    std::fs::create_dir(&certificates)
        .map_err(|source| io_error(&certificates.display().to_string(), source))?;
    let serving = authority.serving()?;
    let tokens = token_key()?;
    write(dir, "apiserver/apiserver.crt", &serving.certificate)?;
    write(dir, "apiserver/apiserver.key", &serving.key)?;
    let authority_file = write(dir, "client-ca.crt", &authority.pem())?;
    let token_public = write(dir, "service-accounts.pub", &tokens.certificate)?;
    let token_private = write(dir, "service-accounts.key", &tokens.key)?;

    let port = free_port()?;
    let url = format!("https://127.0.0.1:{port}");
    let arguments = vec![
        format!("--etcd-servers={etcd_url}"),
        format!("--cert-dir={}", certificates.display()),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        format!("--service-account-issuer={url}/"),
        format!("--service-account-key-file={}", token_public.display()),
        format!(
            "--service-account-signing-key-file={}",
            token_private.display()
        ),
        format!("--client-ca-file={}", authority_file.display()),
    ];
    let process = Process::spawn(
        "kube-apiserver",
        Command::new(&tools.apiserver).args(&arguments),
        dir.join("kube-apiserver.log"),
    )?;
    Ok((url, arguments, process))
}

fn free_port() -> Result<u16, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| io_error("free port on 127.0.0.1", source))
}

fn write(dir: &TempDir, name: &str, text: &str) -> Result<PathBuf, StartError> {
    let path = dir.join(name);
    std::fs::write(&path, text).map_err(|source| io_error(&path.display().to_string(), source))?;
    Ok(path)
}

fn io_error(what: &str, source: io::Error) -> StartError {
    StartError::Io {
        what: what.to_owned(),
        source,
    }
}

fn kube_error(what: &str, source: kube::Error) -> StartError {
    StartError::Kube {
        what: what.to_owned(),
        source: Box::new(source),
    }
}
