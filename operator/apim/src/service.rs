//! The APIM service itself.

use operator_core::tier::Network;
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
    virtual_network_type: Option<String>,
}

impl ArmReader {
    /// Reads the service: its tier and its URLs.
    pub async fn service(&self) -> Result<ServiceInfo, ArmError> {
        let what = format!("API Management service {}", self.service_ref().service_name);
        let call = self.get(&[], &[], "service", what);
        let body: Body = self.read(&call).await?.json(&call.name())?;
        Ok(ServiceInfo {
            sku: body.sku.map(|sku| sku.name).unwrap_or_default(),
            gateway_url: body
                .properties
                .gateway_url
                .unwrap_or_default()
                .trim_end_matches('/')
                .to_owned(),
            developer_portal_url: body.properties.developer_portal_url,
            network: Network::from_arm(&body.properties.virtual_network_type.unwrap_or_default()),
        })
    }
}
