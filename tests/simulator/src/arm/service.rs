//! The service itself, as a read shows it.

use super::request::Request;
use super::store::Service;
use crate::clock::iso;
use crate::http::Reply;
use serde_json::{Map, Value, json};

/// Protocols and ciphers that a service lists in `customProperties`.
const CUSTOM_PROPERTIES: [&str; 8] = [
    "Gateway.Security.Protocols.Tls10",
    "Gateway.Security.Protocols.Tls11",
    "Gateway.Security.Protocols.Ssl30",
    "Gateway.Security.Ciphers.TripleDes168",
    "Gateway.Security.Backend.Protocols.Tls10",
    "Gateway.Security.Backend.Protocols.Tls11",
    "Gateway.Security.Backend.Protocols.Ssl30",
    "Gateway.Protocols.Server.Http2",
];

impl Service {
    /// `GET` of the service. The tiers of the second generation show other
    /// fields than the first, and each api-version adds some.
    pub(super) fn service_reply(&self, request: &Request) -> Reply {
        let second_generation = self.sku.to_ascii_lowercase().ends_with("v2");
        let host = self
            .gateway_url
            .split_once("://")
            .map_or(self.gateway_url.as_str(), |(_, host)| host)
            .trim_end_matches('/');
        let custom: Map<String, Value> = CUSTOM_PROPERTIES
            .iter()
            .map(|name| {
                (
                    format!("Microsoft.WindowsAzure.ApiManagement.{name}"),
                    "False".into(),
                )
            })
            .collect();
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| {
            shown.insert(name.to_owned(), value);
        };
        let own = |kind: &str| -> Value {
            if second_generation {
                Value::Null
            } else {
                format!("https://{}.{kind}azure-api.net", self.name).into()
            }
        };
        put("publisherEmail", "publisher@example.com".into());
        put("publisherName", "Publisher".into());
        put(
            "notificationSenderEmail",
            "apimgmt-noreply@mail.windowsazure.com".into(),
        );
        put("provisioningState", "Succeeded".into());
        put("targetProvisioningState", "".into());
        put("createdAtUtc", iso(self.created).into());
        put("gatewayUrl", self.gateway_url.clone().into());
        put("gatewayRegionalUrl", own("regional."));
        put("portalUrl", own("portal."));
        put("developerPortalUrl", own("developer."));
        if !request.is_old_version() {
            put("dataApiUrl", Value::Null);
        }
        put(
            "managementApiUrl",
            format!("https://{}.management.azure-api.net", self.name).into(),
        );
        put("scmUrl", own("scm."));
        put(
            "hostnameConfigurations",
            json!([{
                "type": "Proxy", "hostName": host, "encodedCertificate": null, "keyVaultId": null,
                "certificatePassword": null, "negotiateClientCertificate": false,
                "certificate": null, "defaultSslBinding": true, "identityClientId": null,
                "certificateSource": "BuiltIn", "certificateStatus": null,
            }]),
        );
        let addresses = if second_generation {
            Value::Null
        } else {
            json!(["203.0.113.10"])
        };
        put("publicIPAddresses", addresses);
        for name in [
            "privateIPAddresses",
            "additionalLocations",
            "virtualNetworkConfiguration",
        ] {
            put(name, Value::Null);
        }
        put("customProperties", custom.into());
        put("virtualNetworkType", "None".into());
        put("certificates", Value::Null);
        if !second_generation {
            put("disableGateway", false.into());
        }
        let nat = if second_generation {
            "Enabled"
        } else {
            "Disabled"
        };
        put("natGatewayState", nat.into());
        let outbound = if second_generation {
            json!([])
        } else {
            json!(["203.0.113.10"])
        };
        put("outboundPublicIPAddresses", outbound);
        put("apiVersionConstraint", json!({ "minApiVersion": null }));
        put("publicIpAddressId", Value::Null);
        put("publicNetworkAccess", "Enabled".into());
        put("privateEndpointConnections", Value::Null);
        let platform = if second_generation {
            "undetermined"
        } else {
            "stv2"
        };
        put("platformVersion", platform.into());
        if !request.is_old_version() {
            put("configurationApi", Value::Null);
            put("legacyPortalStatus", "Disabled".into());
            put("developerPortalStatus", "Disabled".into());
        }
        // The service's own row is older than any of its children's.
        let etag = "AAAAAAGpcec=";
        let body = json!({
            "etag": etag,
            "properties": shown,
            "sku": { "name": self.sku, "capacity": 1 },
            "identity": null,
            "zones": null,
            "systemData": {
                "createdBy": null, "createdByType": null, "createdAt": null,
                "lastModifiedBy": "publisher@example.com", "lastModifiedByType": "User",
                "lastModifiedAt": iso(self.created),
            },
            "location": self.location,
            "tags": {},
            "id": self.id(),
            "name": self.name,
            "type": "Microsoft.ApiManagement/service",
        });
        Reply::json(200, &body).with("ETag", format!("\"{etag}\""))
    }
}
