//! `apim-operator crd`.

use std::io::Write as _;

use kube::CustomResourceExt as _;
use operator_controller::crd::{ApimInstance, exposed_api};

use crate::Done;
use crate::args::CrdArgs;

/// Prints the definitions.
pub(crate) fn print(args: &CrdArgs) -> anyhow::Result<Done> {
    let (definition, note) = if args.exposedapi {
        let note = "# Only for clusters without an ODA Canvas, which brings its own.\n";
        (exposed_api::definition()?, note)
    } else {
        (ApimInstance::crd(), "")
    };
    let yaml = serde_saphyr::to_string(&definition)?;
    let mut out = std::io::stdout().lock();
    write!(out, "# Generated: `make crds`.\n{note}{yaml}")?;
    if !yaml.ends_with('\n') {
        writeln!(out)?;
    }
    Ok(Done::Fine)
}
