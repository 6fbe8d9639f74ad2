//! The HTTP client that everything here uses, the Azure SDK's crates included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use azure_core::http::Transport;
use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Says who calls, in Azure's logs.
const USER_AGENT: &str = concat!("apim-operator/", env!("CARGO_PKG_VERSION"));

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The file with extra certificates cannot be read.
    #[error("the CA file {path} cannot be read: {source}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds no certificates.
    #[error("the CA file {path} holds no PEM certificate")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The client could not be made of it.
    #[error("no HTTP client could be made: {0}")]
    Client(#[source] reqwest::Error),
}

/// A client with the platform's certificates and those of the file.
///
/// It follows no redirects, since a token must not travel along; it speaks TLS
/// by rustls with ring; names below `localhost` are this machine.
pub fn http_client(ca_file: Option<&Path>) -> Result<reqwest::Client, HttpError> {
    builder(ca_file)?.build().map_err(HttpError::Client)
}

/// What the SDK's crates send with.
#[derive(Debug, Clone)]
pub(crate) struct Transports {
    /// By the proxy that the environment names, if any.
    pub(crate) proxied: Transport,
    /// Never by a proxy: for the metadata service, which is link-local.
    pub(crate) direct: Transport,
}

/// The SDK sets no limit of its own to how long an answer may take.
const SDK_TIMEOUT: Duration = Duration::from_secs(30);

impl Transports {
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, HttpError> {
        let transport = |builder: ClientBuilder| {
            let client = builder.timeout(SDK_TIMEOUT).build();
            let client = client.map_err(HttpError::Client)?;
            Ok::<_, HttpError>(Transport::new(Arc::new(client)))
        };
        Ok(Self {
            proxied: transport(builder(ca_file)?)?,
            direct: transport(builder(ca_file)?.no_proxy())?,
        })
    }
}

fn builder(ca_file: Option<&Path>) -> Result<ClientBuilder, HttpError> {
    // The provider is process-wide and may have been chosen before, by the
    // Kubernetes client; it is ring there too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_secs(10))
        .pool_idle_timeout(Duration::from_mins(1))
        .dns_resolver(LoopbackNames);
    if let Some(path) = ca_file {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    Ok(builder)
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, HttpError> {
    let pem = std::fs::read(path).map_err(|source| HttpError::CaFile {
        path: path.to_owned(),
        source,
    })?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(HttpError::Client)?;
    if certificates.is_empty() {
        return Err(HttpError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(certificates)
}

/// Resolves names below `localhost` to this machine, as RFC 6761 asks and
/// glibc does not, and all others as the system does.
#[derive(Debug, Clone, Copy)]
struct LoopbackNames;

impl Resolve for LoopbackNames {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        Box::pin(async move {
            if is_loopback_name(&host) {
                let addresses = [
                    IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(Ipv6Addr::LOCALHOST),
                ];
                let addresses = addresses.map(|address| SocketAddr::new(address, 0));
                return Ok(Box::new(addresses.into_iter()) as Addrs);
            }
            // Port 0 is replaced by the URL's.
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

fn is_loopback_name(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_below_localhost_are_this_machine() {
        let name: Name = "vault.localhost".parse().unwrap();
        let found: Vec<SocketAddr> = LoopbackNames.resolve(name).await.unwrap().collect();
        assert_eq!(
            found,
            [
                "127.0.0.1:0".parse().unwrap(),
                "[::1]:0".parse::<SocketAddr>().unwrap()
            ]
        );
        assert!(is_loopback_name("localhost") && !is_loopback_name("notlocalhost"));
        assert!(!is_loopback_name("localhost.example"));
    }

    #[test]
    fn a_ca_file_that_is_none_is_named() {
        let missing = http_client(Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(
            missing
                .to_string()
                .starts_with("the CA file /nonexistent/ca.pem cannot be read: ")
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        let empty = http_client(Some(file.path())).unwrap_err();
        assert_eq!(
            empty.to_string(),
            format!(
                "the CA file {} holds no PEM certificate",
                file.path().display()
            )
        );
    }
}
