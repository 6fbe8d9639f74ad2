//! The APIM service itself.

use std::collections::BTreeSet;

use operator_core::tier::{HostName, Network, configuration_endpoint};
use serde::Deserialize;

use crate::arm::ArmReader;
use crate::error::ArmError;

/// What the operator must know of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInfo {
    /// The tier: `Developer`, `Consumption`, `StandardV2`, …
    pub sku: String,
    /// Where callers call, without a trailing `/`.
    pub gateway_url: String,
    /// The developer portal, where there is one.
    pub developer_portal_url: Option<String>,
    /// How it is joined to a virtual network.
    pub network: Network,
    /// Its public addresses in every region, sorted: those that it says are its
    /// own, and those that its calls come from.
    pub addresses: Vec<String>,
    /// The host names of its gateway.
    pub hosts: Vec<HostName>,
    /// Where self-hosted gateways get their configuration, if that is known.
    pub configuration_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    sku: Option<Sku>,
    #[serde(default)]
    properties: Properties,
}

#[derive(Deserialize)]
struct Sku {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    gateway_url: Option<String>,
    developer_portal_url: Option<String>,
    developer_portal_status: Option<String>,
    virtual_network_type: Option<String>,
    hostname_configurations: Option<Vec<HostConfiguration>>,
    #[serde(flatten)]
    addresses: Addresses,
    additional_locations: Option<Vec<Addresses>>,
}

/// Lists that are not there are null.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Addresses {
    #[serde(rename = "publicIPAddresses")]
    own: Option<Vec<String>>,
    #[serde(rename = "outboundPublicIPAddresses")]
    outbound: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HostConfiguration {
    #[serde(rename = "type")]
    kind: String,
    host_name: String,
    default_ssl_binding: Option<bool>,
    certificate_source: Option<String>,
}

impl Properties {
    fn addresses(&self) -> Vec<String> {
        let regions = self.additional_locations.iter().flatten();
        let all: BTreeSet<String> = std::iter::once(&self.addresses)
            .chain(regions)
            .flat_map(|region| [&region.own, &region.outbound])
            .flatten()
            .flatten()
            .cloned()
            .collect();
        all.into_iter().collect()
    }

    /// Where the developer portal is, unless it is switched off. Versions of the
    /// interface that do not say whether it is say where it would be.
    fn developer_portal(&self) -> Option<String> {
        let status = self.developer_portal_status.as_deref();
        let off = status.is_some_and(|status| status.eq_ignore_ascii_case("Disabled"));
        let url = self.developer_portal_url.as_deref();
        url.filter(|url| !off && !url.is_empty()).map(str::to_owned)
    }

    /// A host name of the platform's own for it, if there is one.
    fn configuration_host(&self) -> Option<&str> {
        let mut all = self.hostname_configurations.iter().flatten();
        all.find(|host| host.kind.eq_ignore_ascii_case("ConfigurationApi"))
            .map(|host| host.host_name.as_str())
            .filter(|name| !name.is_empty())
    }

    fn hosts(&self) -> Vec<HostName> {
        let all = self.hostname_configurations.iter().flatten();
        all.filter(|host| host.kind.eq_ignore_ascii_case("Proxy"))
            .map(|host| HostName {
                name: host.host_name.clone(),
                is_default: host.default_ssl_binding == Some(true),
                is_built_in: host
                    .certificate_source
                    .as_deref()
                    .is_some_and(|source| source.eq_ignore_ascii_case("BuiltIn")),
            })
            .collect()
    }
}

impl ArmReader {
    /// Reads the service: its tier and its URLs.
    pub async fn service(&self) -> Result<ServiceInfo, ArmError> {
        let what = format!("API Management service {}", self.service_ref().service_name);
        let call = self.get(&[], &[], "service", what);
        let body: Body = self.read(&call).await?.json(&call.name())?;
        Ok(ServiceInfo {
            addresses: body.properties.addresses(),
            developer_portal_url: body.properties.developer_portal(),
            hosts: body.properties.hosts(),
            configuration_endpoint: configuration_endpoint(
                body.properties.gateway_url.as_deref().unwrap_or_default(),
                body.properties.configuration_host(),
            ),
            sku: body.sku.map(|sku| sku.name).unwrap_or_default(),
            gateway_url: body
                .properties
                .gateway_url
                .unwrap_or_default()
                .trim_end_matches('/')
                .to_owned(),
            network: Network::from_arm(&body.properties.virtual_network_type.unwrap_or_default()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_are_those_of_all_regions_and_lists_may_be_null() {
        let read = |value| -> Properties { serde_json::from_value(value).unwrap() };
        let shown = read(json!({
            "publicIPAddresses": ["20.0.0.9"], "outboundPublicIPAddresses": ["20.0.0.9", "20.0.1.0/28"],
            "additionalLocations": [{"publicIPAddresses": ["20.0.0.1"], "outboundPublicIPAddresses": null}],
            "hostnameConfigurations": [
                {"type": "Proxy", "hostName": "a.azure-api.net", "certificateSource": "BuiltIn", "defaultSslBinding": false},
                {"type": "Proxy", "hostName": "a.example", "certificateSource": "KeyVault", "defaultSslBinding": true},
                {"type": "Management", "hostName": "b.example", "certificateSource": null},
            ],
        }));
        assert_eq!(shown.addresses(), ["20.0.0.1", "20.0.0.9", "20.0.1.0/28"]);
        let host = |name: &str, is_default, is_built_in| HostName {
            name: name.into(),
            is_default,
            is_built_in,
        };
        assert_eq!(
            shown.hosts(),
            [
                host("a.azure-api.net", false, true),
                host("a.example", true, false)
            ]
        );
        let nothing = read(json!({
            "publicIPAddresses": null, "additionalLocations": null, "hostnameConfigurations": null,
        }));
        assert_eq!((nothing.addresses(), nothing.hosts()), (vec![], vec![]));
    }
}
