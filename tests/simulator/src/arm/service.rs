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
    /// `GET` of the service.
    pub(super) fn service_reply(&self, request: &Request) -> Reply {
        // The service's own row is older than any of its children's.
        let etag = "AAAAAAGpcec=";
        let body = json!({
            "etag": etag,
            "properties": self.service_properties(request.is_old_version()),
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

    /// Its host names: the one that Azure gave it, and a custom domain with a
    /// certificate from a Key Vault, which is the default binding then.
    fn hosts(&self, built_in: &str) -> Value {
        let host = |name: &str, is_default: bool, vault: Option<&str>| {
            json!({
                "type": "Proxy", "hostName": name,
                "encodedCertificate": null, "keyVaultId": vault, "certificatePassword": null,
                "negotiateClientCertificate": false, "certificate": null,
                "defaultSslBinding": is_default, "identityClientId": null,
                "certificateSource": if vault.is_some() { "KeyVault" } else { "BuiltIn" },
                "certificateStatus": null,
            })
        };
        let mut hosts = vec![host(built_in, self.domain.is_none(), None)];
        if let Some(domain) = &self.domain {
            let vault = "https://certificates.vault.azure.net/secrets/gateway";
            hosts.push(host(domain, true, Some(vault)));
        }
        hosts.into()
    }

    /// The tiers of the second generation show other fields than the first,
    /// and each api-version adds some; the order is that of an answer.
    fn service_properties(&self, old_version: bool) -> Map<String, Value> {
        let second_generation = self.sku.to_ascii_lowercase().ends_with("v2");
        let host = self.gateway_url.split_once("://");
        let host = host.map_or(self.gateway_url.as_str(), |(_, host)| host);
        let custom: Map<String, Value> = CUSTOM_PROPERTIES
            .iter()
            .map(|name| {
                let name = format!("Microsoft.WindowsAzure.ApiManagement.{name}");
                (name, "False".into())
            })
            .collect();
        let own = |kind: &str| {
            (!second_generation).then(|| format!("https://{}.{kind}.azure-api.net", self.name))
        };
        let by_generation = |first: Value, second: Value| {
            if second_generation { second } else { first }
        };
        let mut shown = json!({
            "publisherEmail": "publisher@example.com",
            "publisherName": "Publisher",
            "notificationSenderEmail": "apimgmt-noreply@mail.windowsazure.com",
            "provisioningState": "Succeeded",
            "targetProvisioningState": "",
            "createdAtUtc": iso(self.created),
            "gatewayUrl": self.gateway_url,
            "gatewayRegionalUrl": own("regional"),
            "portalUrl": own("portal"),
            "developerPortalUrl": own("developer"),
            "dataApiUrl": null,
            "managementApiUrl": format!("https://{}.management.azure-api.net", self.name),
            "scmUrl": own("scm"),
            "hostnameConfigurations": self.hosts(host.trim_end_matches('/')),
            "publicIPAddresses": by_generation(json!(self.addresses), Value::Null),
            "privateIPAddresses": null,
            "additionalLocations": null,
            "virtualNetworkConfiguration": null,
            "customProperties": custom,
            "virtualNetworkType": self.network,
            "certificates": null,
            "disableGateway": false,
            "natGatewayState": by_generation("Disabled".into(), "Enabled".into()),
            "outboundPublicIPAddresses": by_generation(json!(self.addresses), json!([])),
            "apiVersionConstraint": { "minApiVersion": null },
            "publicIpAddressId": null,
            "publicNetworkAccess": "Enabled",
            "privateEndpointConnections": null,
            "platformVersion": by_generation("stv2".into(), "undetermined".into()),
            "configurationApi": null,
            "legacyPortalStatus": "Disabled",
            "developerPortalStatus": if self.portal { "Enabled" } else { "Disabled" },
        });
        let Some(shown) = shown.as_object_mut() else {
            return Map::new();
        };
        if second_generation {
            shown.shift_remove("disableGateway");
        }
        if old_version {
            for name in [
                "dataApiUrl",
                "configurationApi",
                "legacyPortalStatus",
                "developerPortalStatus",
            ] {
                shown.shift_remove(name);
            }
        }
        std::mem::take(shown)
    }
}
