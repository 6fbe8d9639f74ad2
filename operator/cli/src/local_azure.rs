//! The local Azure, for commands that show what a policy does to requests.
//!
//! It is a program of its own, `apim-simulator`, which shares no code with this
//! one: what it says of a policy is a second opinion. It is told what to
//! publish as Azure is, by the calls that the operator makes.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use operator_apim::{
    Applier, Azure, CloudSettings, Credentials, NamedContent, NamedValue, OidcProvider, OpenGate,
    Secret, ServiceRef, Silent,
};
use operator_core::apim::AppliedRecord;
use operator_core::desired::Desired;
use operator_core::instance::spec::Cloud;
use operator_core::instance::{ApimInstanceSpec, Instance};
use operator_core::mark::OwnershipMark;
use serde::Deserialize;
use serde_json::{Map, json};
use tempfile::TempDir;
use url::Url;

use crate::render::NO_CLUSTER;

/// The program.
const PROGRAM: &str = "apim-simulator";
/// Its service, unless a seed says otherwise.
const SERVICE: &str = "apim-local";
/// Names another file for it.
const VARIABLE: &str = "APIM_SIMULATOR";

/// Where everything is; the simulator prints it once it is ready.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoints {
    pub(crate) resource_manager: String,
    pub(crate) authority: String,
    pub(crate) control: String,
    pub(crate) page: String,
    pub(crate) tenant_id: String,
    pub(crate) subscription_id: String,
    pub(crate) resource_group: String,
    pub(crate) service_name: String,
    pub(crate) gateway: Option<String>,
    pub(crate) gateway_key: Option<String>,
    pub(crate) echo: Option<String>,
    applications: Vec<Application>,
}

/// Somebody who can have a token.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Application {
    pub(crate) name: String,
    pub(crate) tenant_id: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
}

/// A local Azure that runs; it ends when this is dropped.
pub(crate) struct LocalAzure {
    child: Child,
    dir: TempDir,
    pub(crate) endpoints: Endpoints,
}

impl Drop for LocalAzure {
    fn drop(&mut self) {
        // It is gone already, or goes now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl LocalAzure {
    /// Starts one whose gateway listens there, and whose service has these
    /// certificates: ids, and files as [`seed`] reads them.
    pub(crate) fn start(
        gateway: SocketAddr,
        certificates: &[(String, PathBuf)],
    ) -> anyhow::Result<Self> {
        let seed = seed(certificates)?;
        let program = find()?;
        // Said here: of a program that ends at once nobody knows why.
        if let Err(error) = TcpListener::bind(gateway) {
            bail!("cannot listen on {gateway}: {error}; choose another address with --listen");
        }
        let dir = TempDir::new().context("a folder for the local Azure")?;
        let mut command = Command::new(&program);
        if let Some(seed) = seed {
            // The folder is this user's alone.
            let file = dir.path().join("seed.json");
            std::fs::write(&file, seed).with_context(|| file.display().to_string())?;
            command.arg("--seed").arg(file);
        }
        let mut child = command
            .args([
                "--port",
                "0",
                "--no-throttle",
                // It ends with this process, however that ends.
                "--end-with-stdin",
                "--echo-listen",
                "127.0.0.1:0",
                "--trace-requests",
            ])
            .arg("--gateway-listen")
            .arg(gateway.to_string())
            .arg("--data-dir")
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .with_context(|| program.display().to_string())?;
        }
        if line.is_empty() {
            let status = child.wait()?;
            bail!(
                "{} says nothing and ended with {status}: is it the {PROGRAM} of this version?",
                program.display()
            );
        }
        let endpoints = serde_json::from_str(&line).with_context(|| {
            format!("{} is not the {PROGRAM} of this version", program.display())
        })?;
        Ok(Self {
            child,
            dir,
            endpoints,
        })
    }

    /// The certificate of its authority.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Whose tokens callers have, and whom they are for.
    pub(crate) fn callers(&self) -> anyhow::Result<&Application> {
        self.application("callers")
    }

    fn application(&self, name: &str) -> anyhow::Result<&Application> {
        let mut all = self.endpoints.applications.iter();
        all.find(|one| one.name == name)
            .with_context(|| format!("the {PROGRAM} has no application `{name}`"))
    }

    /// An instance's settings, moved to this Azure.
    pub(crate) fn moved(&self, spec: ApimInstanceSpec) -> anyhow::Result<ApimInstanceSpec> {
        let at = &self.endpoints;
        Ok(ApimInstanceSpec {
            subscription_id: at.subscription_id.clone(),
            resource_group: at.resource_group.clone(),
            service_name: at.service_name.clone(),
            tenant_id: at.tenant_id.clone(),
            client_id: self.callers()?.client_id.clone(),
            credentials: None,
            cloud: Cloud {
                authority_host: Some(at.authority.clone()),
                resource_manager: Some(at.resource_manager.clone()),
                ca_file: Some(self.ca_file().display().to_string()),
                ..Cloud::default()
            },
            ..spec
        })
    }

    /// What publishes in it, as the operator would; the service gets these
    /// named values: names, and files with what they hold.
    pub(crate) async fn publisher(
        &self,
        instance: &Instance,
        named_values: &[(String, PathBuf)],
    ) -> anyhow::Result<Publisher> {
        let url = |text: &str| Url::parse(text).with_context(|| text.to_owned());
        let mut cloud = CloudSettings::of_authority(url(&self.endpoints.authority)?);
        cloud.resource_manager = url(&self.endpoints.resource_manager)?;
        cloud.ca_file = Some(self.ca_file());
        let operator = self.application("operator")?;
        let credentials = Credentials::ClientSecret {
            tenant_id: operator.tenant_id.clone(),
            client_id: operator.client_id.clone(),
            secret: Secret::new(operator.client_secret.clone().unwrap_or_default()),
        };
        let service = ServiceRef {
            subscription_id: self.endpoints.subscription_id.clone(),
            resource_group: self.endpoints.resource_group.clone(),
            service_name: self.endpoints.service_name.clone(),
        };
        let azure = Azure::new(cloud)?.with_gate(Arc::new(OpenGate));
        let client = azure.client(service, &credentials)?;
        client
            .ensure_oidc_provider(&OidcProvider {
                id: instance.spec.oidc_provider_id.clone(),
                display_name: "Azure AD".to_owned(),
                mark: OwnershipMark::of_instance(NO_CLUSTER).to_string(),
                metadata_endpoint: instance.openid_configuration_url(),
                client_id: instance.spec.client_id.clone(),
            })
            .await?;
        for (name, file) in named_values {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let value = text.trim_end_matches(['\r', '\n']);
            if value.is_empty() {
                bail!("{}: it is empty, and a named value is not", file.display());
            }
            let wanted = NamedValue {
                id: name.clone(),
                mark: OwnershipMark::of_instance(NO_CLUSTER).to_string(),
                content: NamedContent::Text {
                    value: Secret::new(value.to_owned()),
                    version: "given".to_owned(),
                },
            };
            client
                .ensure_named_value(&wanted, None)
                .await
                .with_context(|| format!("--named-value {name}"))?;
        }
        Ok(Publisher {
            applier: Applier::new(client),
            record: None,
        })
    }
}

/// Publishes one API after the other.
pub(crate) struct Publisher {
    applier: Applier,
    record: Option<AppliedRecord>,
}

impl Publisher {
    /// Forgets what was published: the next API is another one.
    pub(crate) fn begin_anew(&mut self) {
        self.record = None;
    }

    /// Brings the local Azure to the desired state; how many writes that took.
    pub(crate) async fn publish(&mut self, desired: &Desired) -> anyhow::Result<u32> {
        let applied = self
            .applier
            .apply(desired, self.record.as_ref(), &Silent)
            .await?;
        self.record = Some(applied.record);
        Ok(applied.writes.planned + applied.writes.repairs)
    }
}

/// `ID=FILE` of a certificate.
pub(crate) fn certificate(text: &str) -> Result<(String, PathBuf), String> {
    named_file(text).ok_or_else(|| "write ID=FILE, as orders=client.pem".to_owned())
}

/// `NAME=FILE` of a named value.
pub(crate) fn named_value(text: &str) -> Result<(String, PathBuf), String> {
    named_file(text).ok_or_else(|| "write NAME=FILE, as partner-password=password.txt".to_owned())
}

fn named_file(text: &str) -> Option<(String, PathBuf)> {
    let (name, file) = text.split_once('=')?;
    (!name.is_empty() && !file.is_empty()).then(|| (name.to_owned(), file.into()))
}

/// What the program is told of certificates: nothing where there are none. A
/// file is PEM and holds a certificate, those that signed it, and a private key
/// where it is one that is shown to backends.
fn seed(certificates: &[(String, PathBuf)]) -> anyhow::Result<Option<String>> {
    if certificates.is_empty() {
        return Ok(None);
    }
    let mut held = Map::new();
    for (id, file) in certificates {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let (key, pem) = blocks(&text).partition::<Vec<&str>, _>(|block| {
            block
                .lines()
                .next()
                .is_some_and(|begin| begin.contains("PRIVATE KEY"))
        });
        if pem.is_empty() {
            bail!("{}: there is no certificate in PEM in it", file.display());
        }
        let mut one = json!({"pem": pem.concat()});
        if !key.is_empty() {
            one["key"] = key.concat().into();
        }
        held.insert(id.clone(), one);
    }
    let seed = json!({"services": [{"name": SERVICE, "certificates": held}]});
    Ok(Some(seed.to_string()))
}

/// The blocks of a PEM file, each with its first and last line.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = text
        .match_indices("-----BEGIN ")
        .map(|(at, _)| at)
        .collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts
        .into_iter()
        .zip(ends)
        .map(|(start, end)| &text[start..end])
}

/// Finds the program: where the environment says, beside this one, on PATH; or
/// builds it, in a checkout of this project.
fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!(
                "{VARIABLE} names {}, and there is no such file",
                path.display()
            );
        }
        return Ok(path);
    }
    let name = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let on_path = std::env::var_os("PATH");
    let on_path = on_path.iter().flat_map(std::env::split_paths);
    let found = beside
        .into_iter()
        .chain(on_path)
        .map(|dir| dir.join(&name))
        .find(|path| path.is_file());
    if let Some(found) = found {
        return Ok(found);
    }
    let here = std::env::current_dir().context("the current folder")?;
    let checkout = here
        .ancestors()
        .find(|dir| dir.join("tests/simulator/Cargo.toml").is_file());
    match checkout {
        Some(checkout) => built(checkout, &name),
        None => bail!(
            "requests need a local Azure, the program `{PROGRAM}`, and it is not beside this one and not on PATH. \
             Build it in a checkout of apim-operator with `cargo build --release -p {PROGRAM}`, and put it on PATH \
             or name its file in {VARIABLE}"
        ),
    }
}

fn built(checkout: &Path, name: &str) -> anyhow::Result<PathBuf> {
    eprintln!("building {PROGRAM} in {}", checkout.display());
    let output = crate::plugin::tools::cargo()
        .current_dir(checkout)
        .args(["build", "--release", "--package", PROGRAM])
        .args(["--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo")?;
    if !output.status.success() {
        bail!("{PROGRAM} could not be built");
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let made = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    made.into_iter()
        .find(|path| path.file_name().is_some_and(|file| file == name))
        .with_context(|| format!("cargo built no {PROGRAM}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_certificate_and_its_key_is_told_apart() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("client.pem");
        let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN EC PRIVATE KEY-----\nBB==\n-----END EC PRIVATE KEY-----\n";
        std::fs::write(
            &file,
            format!("said before\n{key}{certificate}{certificate}"),
        )
        .unwrap();
        let all = [("orders".to_owned(), file.clone())];
        let seed: serde_json::Value = serde_json::from_str(&seed(&all).unwrap().unwrap()).unwrap();
        assert_eq!(
            seed["services"][0]["certificates"],
            json!({"orders": {"pem": certificate.repeat(2), "key": key}})
        );
        std::fs::write(&file, key).unwrap();
        let error = super::seed(&all).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("client.pem: there is no certificate in PEM in it")
        );
        assert_eq!(super::seed(&[]).unwrap(), None);
        for wrong in ["orders", "=client.pem", "orders="] {
            assert_eq!(
                super::certificate(wrong),
                Err("write ID=FILE, as orders=client.pem".to_owned())
            );
        }
    }
}
