//! `plugin push`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use operator_core::descriptor::Descriptor;
use operator_core::instance::selector::LabelSelector;
use operator_core::policy_plugin::spec::{
    Capabilities, KeySpec, OciSource, PolicyPluginSpec, SourceSpec, VerificationSpec,
};
use operator_plugin_host::{Plugin, Surface, component_of};
use operator_plugin_source::{Artifact, Pushed, SigningKey};
use serde_json::json;

use super::project::Project;
use super::remote::{RegistryArgs, Remote};
use super::{host_of, size};
use crate::Done;

/// Arguments of `plugin push`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator plugin push registry.example.com/policies/acme-headers:1.0.0 | kubectl apply -f -
  apim-operator plugin push localhost:5000/acme-headers:1.0.0 --plain-http
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plugins.key
  apim-operator plugin push registry.example.com/policies/acme-headers:1.0.0 --key plugins.key > policyplugin.yaml

Credentials are those of `docker login` (DOCKER_CONFIG, ~/.docker/config.json).")]
pub(crate) struct PushArgs {
    /// Where to: registry, repository and tag.
    pub(crate) reference: String,

    /// The plugin: its folder, which is built first, or a *.wasm file.
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    pub(crate) plugin: PathBuf,

    /// Sign it with this private key, ECDSA P-256 in PEM: `cosign.key`, with
    /// its password in `COSIGN_PASSWORD`, or one of openssl's. The
    /// PolicyPlugin then asks for that signature.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// How the registry is reached.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// Pushes a plugin and prints the PolicyPlugin that makes it known.
pub(crate) fn push(args: &PushArgs) -> anyhow::Result<Done> {
    // What can fail without the registry fails first.
    let key = args.key.as_deref().map(signing_key).transpose()?;
    let remote = Remote::open(&args.reference, &args.registry)?;
    let (plugin, file) = loaded(&args.plugin)?;
    let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
    let descriptor = plugin.descriptor();
    let artifact = artifact(descriptor, component_of(&bytes)?)?;
    eprintln!(
        "pushing {} {} ({}) to {}",
        descriptor.name,
        descriptor.version,
        size(artifact.wasm.len() as u64),
        args.reference
    );
    let pushed = remote.wait(remote.sources.push(&remote.source, &artifact))?;
    eprintln!("pushed {}", pushed.reference);
    if let Some(key) = &key {
        remote.wait(remote.sources.sign(&remote.source, pushed.manifest, key))?;
        eprintln!("signed");
    }
    let manifest = manifest(descriptor, &pushed, key.as_ref(), args);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "# {}: {}",
        args.reference,
        descriptor.summary.replace(['\n', '\r'], " ")
    )?;
    write!(out, "{}", serde_saphyr::to_string(&manifest)?)?;
    notes(descriptor, &remote, args);
    Ok(Done::Fine)
}

/// The plugin of a folder, or in a file.
fn loaded(path: &Path) -> anyhow::Result<(Plugin, PathBuf)> {
    let host = host_of(None, false)?;
    if path.is_dir() {
        let project = Project::open(path)?;
        eprintln!("building {}", project.name);
        let built = project.build(&host)?;
        return Ok((built.plugin, built.file));
    }
    let plugin = host
        .load_file(path)
        .with_context(|| path.display().to_string())?;
    Ok((plugin, path.to_owned()))
}

fn artifact(descriptor: &Descriptor, component: Vec<u8>) -> anyhow::Result<Artifact> {
    let surface = Surface::of(&component)?;
    let annotation =
        |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    Ok(Artifact {
        wasm: component.into(),
        imports: surface.imports,
        exports: surface.exports,
        descriptor: Some(serde_json::to_string(descriptor)?),
        annotations: BTreeMap::from([
            annotation("title", &descriptor.name),
            annotation("version", &descriptor.version),
            annotation("description", &descriptor.summary),
        ]),
        ..Artifact::default()
    })
}

fn signing_key(path: &Path) -> anyhow::Result<SigningKey> {
    let pem = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    // Where cosign's users have the password already.
    let password = std::env::var("COSIGN_PASSWORD").ok();
    SigningKey::from_pem_with(&pem, password.as_deref()).with_context(|| path.display().to_string())
}

/// The PolicyPlugin, pinned to what was pushed.
fn manifest(
    descriptor: &Descriptor,
    pushed: &Pushed,
    key: Option<&SigningKey>,
    args: &PushArgs,
) -> serde_json::Value {
    let spec = PolicyPluginSpec {
        source: SourceSpec {
            oci: Some(OciSource {
                reference: pushed.reference.clone(),
                pull_secret_ref: None,
                ca_bundle: None,
                plain_http: args.registry.plain_http,
            }),
            ..SourceSpec::default()
        },
        digest: Some(pushed.digest.to_string()),
        refresh: None,
        verification: key.map(|key| VerificationSpec {
            keys: vec![KeySpec {
                pem: key.public_pem().replace("\r\n", "\n"),
            }],
            ..VerificationSpec::default()
        }),
        defaults: None,
        limits: operator_core::policy_plugin::spec::LimitsSpec::default(),
        capabilities: Capabilities::default(),
        order: 0,
        namespace_selector: Some(LabelSelector::default()),
        mandatory: None,
        unlocked: Vec::new(),
        template: None,
        rollout: None,
        replace_built_in: false,
    };
    json!({
        "apiVersion": "apim.oda.tmforum.org/v1alpha1",
        "kind": "PolicyPlugin",
        "metadata": { "name": descriptor.name },
        "spec": spec,
    })
}

/// What the printed object cannot know.
fn notes(descriptor: &Descriptor, remote: &Remote, args: &PushArgs) {
    if remote.has_credentials() {
        eprintln!(
            "note: the registry was asked with credentials; if it wants some for pulling too, name a Secret \
             in spec.source.oci.pullSecretRef"
        );
    }
    if args.registry.ca_file.is_some() {
        eprintln!("note: name the certificates of --ca-file in spec.source.oci.caBundle");
    }
    if !descriptor.capabilities.is_empty() {
        eprintln!(
            "note: it asks for {}; what of that it gets stands in spec.capabilities",
            descriptor.capabilities.join(", ")
        );
    }
}
