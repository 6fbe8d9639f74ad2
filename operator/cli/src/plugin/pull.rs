//! `plugin pull` and `plugin verify`.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args};

use super::remote::{RegistryArgs, Remote, SignerArgs};
use super::size;
use crate::Done;

/// Arguments of `plugin pull`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator plugin pull registry.example.com/policies/acme-headers:1.0.0 -o acme-headers.wasm
  apim-operator plugin pull registry.example.com/policies/acme-headers:1.0.0 -o acme-headers.wasm --key plugins.pub")]
pub(crate) struct PullArgs {
    /// Where from: registry, repository and tag or digest.
    pub(crate) reference: String,

    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Who must have signed it.
    #[command(flatten)]
    pub(crate) signer: SignerArgs,

    /// How the registry is reached.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// Arguments of `plugin verify`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("signer").required(true).multiple(true).args(["key", "certificate_identity"]))]
#[command(after_help = "\
Examples:
  apim-operator plugin verify registry.example.com/policies/acme-headers:1.0.0 --key plugins.pub
  apim-operator plugin verify registry.example.com/policies/acme-headers:1.0.0 \\
    --certificate-identity 'https://github.com/acme/policies/*' \\
    --certificate-oidc-issuer https://token.actions.githubusercontent.com

Exit codes: 0 one of them signed it, 1 nobody of them did, 2 wrong usage.")]
pub(crate) struct VerifyArgs {
    /// Where it is: registry, repository and tag or digest.
    pub(crate) reference: String,

    /// Who must have signed it.
    #[command(flatten)]
    pub(crate) signer: SignerArgs,

    /// How the registry is reached.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// Writes a plugin's file.
pub(crate) fn pull(args: &PullArgs) -> anyhow::Result<Done> {
    let verification = args.signer.verification()?;
    let remote = Remote::open(&args.reference, &args.registry)?;
    let resolved = remote.wait(remote.sources.resolve(&remote.source))?;
    if let Some(verification) = &verification {
        let verified = remote.wait(remote.sources.verify(&resolved, verification))?;
        eprintln!("signed by {}", verified.signer);
    }
    let pulled = remote.wait(remote.sources.pull(&resolved))?;
    fs::write(&args.output, &pulled.bytes).with_context(|| args.output.display().to_string())?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}: {}, {}\n{}",
        args.output.display(),
        size(pulled.bytes.len() as u64),
        pulled.digest,
        resolved.reference
    )?;
    Ok(Done::Fine)
}

/// Says who signed a plugin.
pub(crate) fn verify(args: &VerifyArgs) -> anyhow::Result<Done> {
    let Some(verification) = args.signer.verification()? else {
        bail!("nobody is named whose signature would count");
    };
    let remote = Remote::open(&args.reference, &args.registry)?;
    let resolved = remote.wait(remote.sources.resolve(&remote.source))?;
    let verified = remote.wait(remote.sources.verify(&resolved, &verification))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\nsigned by {}", resolved.reference, verified.signer)?;
    Ok(Done::Fine)
}
