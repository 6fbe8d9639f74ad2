//! At which host name callers reach a gateway.

use std::fmt;

use super::Network;

/// A host name of a gateway (`hostnameConfigurations` of type `Proxy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    /// The name.
    pub name: String,
    /// Whether callers who name no host get its certificate.
    pub is_default: bool,
    /// Whether Azure gave it to the service, with a certificate of its own.
    pub is_built_in: bool,
}

/// Which host name is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PublishedAt {
    /// The one that Azure gave.
    #[default]
    DefaultHostName,
    /// One of the platform's own.
    CustomDomain,
}

impl fmt::Display for PublishedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DefaultHostName => "DefaultHostName",
            Self::CustomDomain => "CustomDomain",
        })
    }
}

/// The URL at which callers reach a gateway, of its own URL and its host names.
///
/// In a virtual network the default host name is known to no name server of
/// Azure (internal mode) or leads past the platform's own entry (external
/// mode); there a domain of the platform's is published, if there is one: the
/// default binding, else the first. Elsewhere the default host name is.
#[must_use]
pub fn published_at(
    network: Network,
    gateway_url: &str,
    hosts: &[HostName],
) -> (String, PublishedAt) {
    let default = gateway_url.split_once("://").map_or("", |(_, host)| host);
    let mut own = hosts
        .iter()
        .filter(|host| !host.is_built_in && !host.name.is_empty())
        .filter(|host| !host.name.eq_ignore_ascii_case(default));
    let first = own.clone().next();
    match own.find(|host| host.is_default).or(first) {
        Some(host) if network != Network::None => {
            (format!("https://{}", host.name), PublishedAt::CustomDomain)
        }
        _ => (gateway_url.to_owned(), PublishedAt::DefaultHostName),
    }
}

/// Where self-hosted gateways get their configuration: at the host name of type
/// `ConfigurationApi` that the platform gave, else at the one that Azure gives
/// beside that of the gateway: of `contoso.azure-api.net` it is
/// `contoso.configuration.azure-api.net`. That other clouds do the same with
/// their suffix is inferred.
#[must_use]
pub fn configuration_endpoint(gateway_url: &str, own: Option<&str>) -> Option<String> {
    if let Some(own) = own {
        return Some(own.to_owned());
    }
    let host = gateway_url.strip_prefix("https://")?;
    let (name, suffix) = host.split_once('.')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    (suffix.contains('.') && !name.is_empty() && suffix.chars().all(plain))
        .then(|| format!("{name}.configuration.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = "https://contoso.azure-api.net";

    fn host(name: &str, is_default: bool) -> HostName {
        HostName {
            name: name.into(),
            is_default,
            is_built_in: name.ends_with(".azure-api.net"),
        }
    }

    fn published(network: Network, hosts: &[HostName]) -> (String, String) {
        let (url, at) = published_at(network, DEFAULT, hosts);
        (url, at.to_string())
    }

    #[test]
    fn in_a_virtual_network_a_domain_of_the_platforms_is_published() {
        let built_in = host("contoso.azure-api.net", true);
        let default = (DEFAULT.to_owned(), "DefaultHostName".to_owned());
        let custom = |name: &str| (format!("https://{name}"), "CustomDomain".to_owned());
        for network in [Network::External, Network::Internal] {
            assert_eq!(published(network, &[]), default);
            assert_eq!(published(network, std::slice::from_ref(&built_in)), default);
            let first = [
                built_in.clone(),
                host("apis.example.org", false),
                host("b.example.org", false),
            ];
            assert_eq!(published(network, &first), custom("apis.example.org"));
            let bound = [host("a.example.org", false), host("b.example.org", true)];
            assert_eq!(published(network, &bound), custom("b.example.org"));
        }
        let both = [built_in, host("apis.example.org", true)];
        assert_eq!(published(Network::None, &both), default);
    }

    #[test]
    fn the_configuration_is_beside_the_gateway_or_where_the_platform_says() {
        let beside = |url| configuration_endpoint(url, None);
        assert_eq!(
            beside(DEFAULT).as_deref(),
            Some("contoso.configuration.azure-api.net")
        );
        assert_eq!(
            beside("https://contoso.azure-api.us").as_deref(),
            Some("contoso.configuration.azure-api.us")
        );
        for unknown in [
            "https://localhost:8445",
            "http://a.b.c",
            "https://contoso.local",
        ] {
            assert_eq!(beside(unknown), None, "{unknown}");
        }
        let own = configuration_endpoint(DEFAULT, Some("config.example.org"));
        assert_eq!(own.as_deref(), Some("config.example.org"));
    }

    #[test]
    fn a_host_name_without_a_source_counts_as_the_default_by_its_name() {
        let unsaid = HostName {
            name: "Contoso.azure-api.net".into(),
            is_default: true,
            is_built_in: false,
        };
        assert_eq!(published(Network::Internal, &[unsaid]).1, "DefaultHostName");
    }
}
