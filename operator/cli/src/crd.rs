//! `apim-operator crd`.

use std::io::Write as _;

use kube::CustomResourceExt as _;
use operator_controller::crd::{
    ApimInstance, ApimProduct, ApimSubscription, ClusterPolicyProfile, PolicyPlugin, PolicyProfile,
    SelfHostedGateway, exposed_api,
};

use crate::Done;
use crate::args::CrdArgs;

/// Prints the definitions.
pub(crate) fn print(args: &CrdArgs) -> anyhow::Result<Done> {
    let (definitions, note) = if args.exposedapi {
        let note = "# Only for clusters without an ODA Canvas, which brings its own.\n";
        (vec![exposed_api::definition()?], note)
    } else {
        let own = vec![
            ApimInstance::crd(),
            PolicyPlugin::crd(),
            ApimProduct::crd(),
            ApimSubscription::crd(),
            PolicyProfile::crd(),
            ClusterPolicyProfile::crd(),
            SelfHostedGateway::crd(),
        ];
        (own, "")
    };
    let mut out = std::io::stdout().lock();
    write!(out, "# Generated: `make crds`.\n{note}")?;
    for (i, definition) in definitions.iter().enumerate() {
        if i > 0 {
            writeln!(out, "---")?;
        }
        let yaml = serde_saphyr::to_string(definition)?;
        writeln!(out, "{}", yaml.trim_end())?;
    }
    Ok(Done::Fine)
}
