//! Instances that nobody wrote down.

use super::select::DEFAULT;
use super::spec::{Allow, ApimInstanceSpec, Cloud, ExposureSpec, SpecificationSettings};
use super::{Instance, InstanceContext, InstanceDefaults, LabelSelector};
use crate::names::InstanceName;
use crate::problem::Problem;
use crate::rollout::RolloutSpec;

/// What the vault's secrets say: `apim-service-name`, `resource-group`,
/// `subscription-id`, `aad-tenant-id` and `aad-client-id`, as for the original
/// Azure operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImplicitSettings {
    /// `apim-service-name`.
    pub service_name: String,
    /// `resource-group`.
    pub resource_group: String,
    /// `subscription-id`.
    pub subscription_id: String,
    /// `aad-tenant-id`.
    pub tenant_id: String,
    /// `aad-client-id`.
    pub client_id: String,
}

/// The instance named `default` of a cluster without one: it serves all
/// namespaces and allows what an instance allows that does not say.
pub fn implicit(
    settings: ImplicitSettings,
    cloud: Cloud,
    defaults: &InstanceDefaults,
) -> Result<Instance, Vec<Problem>> {
    let spec = ApimInstanceSpec {
        namespace_selector: Some(LabelSelector::everything()),
        cloud,
        ..bare(settings)
    };
    named(DEFAULT, spec, defaults)
}

/// The instance that `render` uses where it is given none. It serves all
/// namespaces and lets owners use every annotation, so that an object can be
/// looked at before there is any instance; its ids are not real ones.
pub fn example(defaults: &InstanceDefaults) -> Result<(Instance, InstanceContext), Vec<Problem>> {
    let spec = ApimInstanceSpec {
        namespace_selector: Some(LabelSelector::everything()),
        owner_may: Some(vec!["*".to_owned()]),
        allow: Allow {
            api_ids: vec!["*".to_owned()],
            hosts: vec!["*".to_owned()],
            ingress_annotations: vec!["*".to_owned()],
            backend_hosts: vec!["*".to_owned()],
            images: vec!["*".to_owned()],
        },
        ..bare(ImplicitSettings {
            service_name: "example".to_owned(),
            resource_group: "example".to_owned(),
            subscription_id: "00000000-0000-0000-0000-000000000000".to_owned(),
            tenant_id: "11111111-1111-1111-1111-111111111111".to_owned(),
            client_id: "22222222-2222-2222-2222-222222222222".to_owned(),
        })
    };
    let context = InstanceContext {
        sku: "Developer".to_owned(),
        gateway_url: "https://example.azure-api.net".to_owned(),
        published_at: crate::tier::PublishedAt::default(),
        network: crate::tier::Network::None,
        // Set aside for documentation (RFC 5737).
        addresses: vec!["192.0.2.1".to_owned()],
        developer_portal: None,
        configuration_endpoint: Some("example.configuration.azure-api.net".to_owned()),
        ending: Vec::new(),
    };
    Ok((named("example", spec, defaults)?, context))
}

fn named(
    name: &str,
    spec: ApimInstanceSpec,
    defaults: &InstanceDefaults,
) -> Result<Instance, Vec<Problem>> {
    let name = InstanceName::parse(name)
        .map_err(|error| vec![Problem::new("metadata.name", error.to_string())])?;
    Instance::new(name, spec, defaults)
}

fn bare(settings: ImplicitSettings) -> ApimInstanceSpec {
    ApimInstanceSpec {
        subscription_id: settings.subscription_id,
        resource_group: settings.resource_group,
        service_name: settings.service_name,
        tenant_id: settings.tenant_id,
        client_id: settings.client_id,
        credentials: None,
        cloud: Cloud::default(),
        api_id_prefix: String::new(),
        diagnostics: Vec::new(),
        rollout: RolloutSpec::default(),
        oauth2_servers: Vec::new(),
        oidc_provider_id: "AzureAD".to_owned(),
        protocols: vec!["https".to_owned()],
        plugins: None,
        exposure: ExposureSpec::default(),
        specification: SpecificationSettings::default(),
        namespace_selector: None,
        path_ownership: Vec::new(),
        owner_may: None,
        allow: Allow::default(),
        grants: Vec::new(),
    }
}
