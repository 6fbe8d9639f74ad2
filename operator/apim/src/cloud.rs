//! Where Azure is: the public cloud, another one, or the local stand-in.

use std::path::PathBuf;

use url::Url;

/// The endpoints of a cloud. Every part can be set, since proxies and local
/// stand-ins replace single ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudSettings {
    /// Where tokens come from. Must be https: `azure_identity` refuses others.
    pub authority_host: Url,
    /// Where resources are managed, without a trailing path.
    pub resource_manager: Url,
    /// What follows a vault's name in its host, with a port where it is not
    /// 443: `vault.azure.net`.
    pub key_vault_suffix: String,
    /// The API version of `Microsoft.ApiManagement`.
    pub api_version: String,
    /// A file of PEM certificates that are trusted besides the platform's:
    /// for a corporate proxy or a local stand-in.
    pub ca_file: Option<PathBuf>,
}

/// The newest stable version of the interface.
pub const DEFAULT_API_VERSION: &str = "2024-05-01";

impl Default for CloudSettings {
    /// The public cloud.
    fn default() -> Self {
        Self::of_authority(constant("https://login.microsoftonline.com"))
    }
}

/// The well-known clouds: host of the authority, resource manager, suffix of
/// vaults. The first is the public one.
const CLOUDS: [(&str, &str, &str); 3] = [
    (
        "login.microsoftonline.com",
        "https://management.azure.com",
        "vault.azure.net",
    ),
    (
        "login.microsoftonline.us",
        "https://management.usgovcloudapi.net",
        "vault.usgovcloudapi.net",
    ),
    (
        "login.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "vault.azure.cn",
    ),
];

impl CloudSettings {
    /// The other endpoints that belong to an authority; those of the public
    /// cloud for one that is not known.
    #[must_use]
    pub fn of_authority(authority_host: Url) -> Self {
        let host = authority_host.host_str().unwrap_or_default();
        let (_, manager, vault) = CLOUDS
            .into_iter()
            .find(|(authority, ..)| *authority == host)
            .unwrap_or(CLOUDS[0]);
        Self {
            authority_host,
            resource_manager: constant(manager),
            key_vault_suffix: vault.to_owned(),
            api_version: DEFAULT_API_VERSION.to_owned(),
            ca_file: None,
        }
    }

    /// What a token for the resource manager is asked for.
    #[must_use]
    pub fn arm_scope(&self) -> String {
        let url = self.resource_manager.as_str().trim_end_matches('/');
        format!("{url}/.default")
    }

    /// The URL of a vault.
    #[must_use]
    pub fn vault_url(&self, vault: &str) -> String {
        format!("https://{vault}.{}", self.key_vault_suffix)
    }
}

fn constant(url: &'static str) -> Url {
    #[expect(clippy::expect_used, reason = "constants that parse, all tested")]
    Url::parse(url).expect("a constant URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_brings_the_other_endpoints_of_its_cloud() {
        let china = CloudSettings::of_authority(constant("https://login.chinacloudapi.cn"));
        assert_eq!(
            china.arm_scope(),
            "https://management.chinacloudapi.cn/.default"
        );
        assert_eq!(china.vault_url("kv"), "https://kv.vault.azure.cn");
        let own = CloudSettings::of_authority(constant("https://login.example"));
        assert_eq!(own.arm_scope(), "https://management.azure.com/.default");
        for (host, ..) in CLOUDS {
            let _ = CloudSettings::of_authority(Url::parse(&format!("https://{host}")).unwrap());
        }
    }
}
