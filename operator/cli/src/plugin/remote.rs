//! Registries, as the commands that push and pull use them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use oci_client::Reference;
use operator_core::policy_plugin::spec::{IdentitySpec, KeySpec, VerificationSpec};
use operator_plugin_source::{
    DockerConfig, RegistryAuth, Source, Sources, SourcesConfig, Verification,
};
use tokio::runtime::{Builder, Runtime};

/// How a registry is reached.
#[derive(Debug, Clone, Args)]
pub(crate) struct RegistryArgs {
    /// Ask the registry over plain HTTP, as for one on this machine.
    #[arg(long, help_heading = "Registry")]
    pub(crate) plain_http: bool,

    /// PEM file with certificates to trust besides the system's.
    #[arg(
        long,
        env = "APIM_OPERATOR_CA_FILE",
        value_name = "FILE",
        help_heading = "Registry"
    )]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Who must have signed a plugin.
#[derive(Debug, Clone, Args)]
pub(crate) struct SignerArgs {
    /// A public key in PEM, as `cosign.pub`. May be repeated.
    #[arg(long, value_name = "FILE", help_heading = "Signature")]
    pub(crate) key: Vec<PathBuf>,

    /// The subject of a keyless signature, exactly; one that ends in `/*`
    /// means all paths below it.
    #[arg(
        long,
        value_name = "SUBJECT",
        requires = "certificate_oidc_issuer",
        help_heading = "Signature"
    )]
    pub(crate) certificate_identity: Option<String>,

    /// The OIDC issuer of a keyless signature.
    #[arg(
        long,
        value_name = "URL",
        requires = "certificate_identity",
        help_heading = "Signature"
    )]
    pub(crate) certificate_oidc_issuer: Option<String>,

    /// The `trusted_root.json` of a private sigstore.
    #[arg(long, value_name = "FILE", help_heading = "Signature")]
    pub(crate) trust_root: Option<PathBuf>,
}

impl SignerArgs {
    /// What to verify; none where nobody is named.
    pub(crate) fn verification(&self) -> anyhow::Result<Option<Verification>> {
        let read =
            |path: &PathBuf| fs::read_to_string(path).with_context(|| path.display().to_string());
        let keys = self.key.iter().map(|path| Ok(KeySpec { pem: read(path)? }));
        let keys: Vec<KeySpec> = keys.collect::<anyhow::Result<_>>()?;
        let identities: Vec<IdentitySpec> = self
            .certificate_identity
            .iter()
            .zip(&self.certificate_oidc_issuer)
            .map(|(subject, issuer)| {
                let prefix = subject.strip_suffix("/*").map(ToOwned::to_owned);
                IdentitySpec {
                    issuer: issuer.clone(),
                    subject: prefix.is_none().then(|| subject.clone()),
                    subject_prefix: prefix,
                }
            })
            .collect();
        if keys.is_empty() && identities.is_empty() {
            return Ok(None);
        }
        let root = self.trust_root.as_ref().map(read).transpose()?;
        let spec = VerificationSpec {
            keys,
            identities,
            ..VerificationSpec::default()
        };
        Ok(Some(Verification::from_spec(&spec, root.as_deref())?))
    }
}

/// A registry's client, and a runtime for its calls.
pub(crate) struct Remote {
    pub(crate) sources: Sources,
    /// Where the plugin is.
    pub(crate) source: Source,
    runtime: Runtime,
}

impl Remote {
    /// Reads the credentials that `docker login` keeps.
    pub(crate) fn open(reference: &str, args: &RegistryArgs) -> anyhow::Result<Self> {
        let parsed: Reference = reference.parse().map_err(|error| {
            anyhow!("`{reference}` is not a reference: {error}; one looks like `registry.example.com/policies/acme-headers:1.0.0`")
        })?;
        let auth = DockerConfig::of_user(|name| std::env::var_os(name))?.auth_for(&parsed)?;
        let ca_pem = args
            .ca_file
            .as_ref()
            .map(|path| fs::read(path).with_context(|| path.display().to_string()))
            .transpose()?;
        Ok(Self {
            sources: Sources::new(SourcesConfig::default())?,
            source: Source::Oci {
                reference: reference.to_owned(),
                auth,
                ca_pem,
                plain_http: args.plain_http,
            },
            runtime: Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Whether the registry gets credentials.
    pub(crate) fn has_credentials(&self) -> bool {
        matches!(&self.source, Source::Oci { auth, .. } if *auth != RegistryAuth::Anonymous)
    }

    /// Waits for a call.
    pub(crate) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }
}
