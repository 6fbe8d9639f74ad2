//! Fetches the OpenAPI document that an ExposedAPI names by URL.
//!
//! The URL is an API owner's, and the owner is not trusted: addresses are
//! checked as they are connected to, at each redirect; size, time and number of
//! redirects are bounded; no credentials, cookies or referrers are sent, and a
//! URL with user information is refused.
//!
//! **Proxies are not used**, whatever the environment says: through a proxy the
//! address that is connected to is the proxy's, and the check would be the
//! proxy's to make. Where only a proxy leads out, `specification.fetch: Link`
//! lets API Management fetch the document.

pub mod address;
mod cache;
mod error;
mod resolver;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use operator_core::address::unwrapped;
use operator_core::names::ContentHash;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HOST, HeaderMap, IF_NONE_MATCH, LOCATION, RETRY_AFTER,
};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use tokio::sync::Semaphore;
use url::{Host, Url};

use self::address::{AddressKind, AllowPrivate};
use self::cache::Cache;
pub use self::error::FetchError;
use self::resolver::{Guarded, NoAddress, RefusedAddress};

/// How many clients are kept: one for each distinct allow-list, so that a
/// pooled connection never serves a list that would not have opened it.
const MAX_CLIENTS: usize = 16;
/// What is asked for.
const ACCEPTED: &str = "application/json, application/yaml, */*;q=0.5";
/// The longest Retry-After that is passed on.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Limits and trust.
#[derive(Debug, Clone)]
pub struct FetcherConfig {
    /// The largest document, in bytes.
    pub max_bytes: usize,
    /// For name resolution, TCP and TLS of one hop.
    pub connect_timeout: Duration,
    /// Between two reads of one answer.
    pub read_timeout: Duration,
    /// For everything, redirects included.
    pub total_timeout: Duration,
    /// How many redirects are followed.
    pub max_redirects: usize,
    /// How many documents are fetched at once; others wait in line, and that
    /// time does not count.
    pub max_concurrent: usize,
    /// How many documents are kept.
    pub cache_entries: usize,
    /// How many bytes of documents are kept.
    pub cache_bytes: usize,
    /// Certificates, in PEM, that are trusted beside the system's.
    pub extra_ca_pem: Vec<u8>,
    /// What the operator calls itself.
    pub user_agent: String,
}

impl Default for FetcherConfig {
    fn default() -> Self {
        Self {
            max_bytes: 10 * 1024 * 1024,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
            max_redirects: 5,
            max_concurrent: 8,
            cache_entries: 1024,
            cache_bytes: 64 * 1024 * 1024,
            extra_ca_pem: Vec::new(),
            user_agent: concat!("apim-operator/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A document as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedDocument {
    /// The text, without a byte order mark.
    pub text: String,
    /// The hash of the text.
    pub content_hash: ContentHash,
    /// The server's ETag, as it came.
    pub etag: Option<String>,
    /// The URL that answered, after redirects.
    pub final_url: Url,
}

/// The fetcher cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum FetcherError {
    /// The extra certificates are not PEM.
    #[error("the extra CA certificates are not valid PEM: {0}")]
    Certificates(#[source] reqwest::Error),
    /// TLS cannot be set up, as when the system has no certificates at all.
    #[error("the HTTP client for OpenAPI documents cannot be made: {}", chain(.0))]
    Client(#[source] reqwest::Error),
}

/// Fetches documents.
#[derive(Debug)]
pub struct Fetcher {
    config: FetcherConfig,
    certificates: Vec<Certificate>,
    clients: Mutex<HashMap<AllowPrivate, Client>>,
    cache: Cache,
    slots: Semaphore,
}

impl Fetcher {
    /// A fetcher; fails on certificates that cannot be read.
    pub fn new(config: FetcherConfig) -> Result<Self, FetcherError> {
        let certificates = if config.extra_ca_pem.is_empty() {
            Vec::new()
        } else {
            Certificate::from_pem_bundle(&config.extra_ca_pem)
                .map_err(FetcherError::Certificates)?
        };
        let fetcher = Self {
            certificates,
            clients: Mutex::default(),
            cache: Cache::new(config.cache_entries, config.cache_bytes),
            slots: Semaphore::new(config.max_concurrent.max(1)),
            config,
        };
        // Wrong settings show at the start and not with the first object.
        fetcher
            .client(&AllowPrivate::default())
            .map_err(FetcherError::Client)?;
        Ok(fetcher)
    }

    /// Fetches a document, or confirms that the one from before is still right.
    /// `allow_private` is the instance's `specification.allowPrivate`.
    pub async fn fetch(
        &self,
        url: &str,
        allow_private: &[String],
    ) -> Result<Arc<FetchedDocument>, FetchError> {
        let allow = AllowPrivate::parse(allow_private)?;
        let asked = Url::parse(url).map_err(|_| FetchError::BadUrl {
            // What is no URL cannot be cut at its query either.
            url: url.chars().take_while(|c| *c != '?').take(200).collect(),
            reason: "is not a URL; write it out, as `https://host/path`",
        })?;
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await.ok();
        let limit = self.config.total_timeout;
        tokio::time::timeout(limit, self.hops(&asked, &allow))
            .await
            .unwrap_or_else(|_| {
                Err(FetchError::TimedOut {
                    url: shown(&asked),
                    limit,
                })
            })
    }

    /// Fetches a document from an endpoint of a Service, by plain HTTP, with
    /// the Service's name as the host. No redirect is followed, and addresses
    /// of the operator's own pod and of its node are refused: whoever may write
    /// EndpointSlices must not reach what only the operator can.
    pub async fn fetch_at(
        &self,
        endpoint: SocketAddr,
        host: &str,
        path: &str,
    ) -> Result<FetchedDocument, FetchError> {
        let bad = |reason| FetchError::BadUrl {
            url: format!(
                "http://{host}{}",
                path.split('?').next().unwrap_or_default()
            ),
            reason,
        };
        let base = Url::parse(&format!("http://{endpoint}/")).ok();
        let url = base.as_ref().and_then(|base| base.join(path).ok());
        let url = url.filter(|url| base.as_ref().is_some_and(|b| b.origin() == url.origin()));
        let url =
            url.ok_or_else(|| bad("is no path of the Service; write it as `/openapi.json`"))?;
        let kind = AddressKind::of(endpoint.ip());
        if !is_endpoint(endpoint.ip(), kind) {
            return Err(FetchError::Endpoint {
                address: endpoint.ip(),
                kind,
            });
        }
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await.ok();
        let limit = self.config.total_timeout;
        let fetch = async {
            let client = self.client(&AllowPrivate::default());
            let client = client.map_err(|error| FetchError::Unreachable {
                url: shown(&url),
                message: chain(&error),
            })?;
            let request = client
                .get(url.clone())
                .header(HOST, host)
                .header(ACCEPT, ACCEPTED);
            let response = request.send().await.map_err(|e| failed(&url, &e))?;
            match response.status() {
                StatusCode::OK => self.read(url.clone(), response).await,
                status if is_redirect(status) => Err(FetchError::Redirect {
                    url: shown(&url),
                    reason: "to another place, which is not followed; name the path it leads to"
                        .to_owned(),
                }),
                status => Err(FetchError::Status {
                    url: shown(&url),
                    status: status.as_u16(),
                    retry_after: retry_after(response.headers()),
                }),
            }
        };
        tokio::time::timeout(limit, fetch)
            .await
            .unwrap_or_else(|_| {
                Err(FetchError::TimedOut {
                    url: shown(&url),
                    limit,
                })
            })
    }

    async fn hops(
        &self,
        asked: &Url,
        allow: &AllowPrivate,
    ) -> Result<Arc<FetchedDocument>, FetchError> {
        let client = self
            .client(allow)
            .map_err(|error| FetchError::Unreachable {
                url: shown(asked),
                message: chain(&error),
            })?;
        let known = self.cache.get(asked.as_str());
        let mut url = asked.clone();
        for _ in 0..=self.config.max_redirects {
            check_url(&url, allow)?;
            let mut request = client.get(url.clone()).header(ACCEPT, ACCEPTED);
            let known = known.as_ref().filter(|known| known.final_url == url);
            if let Some(etag) = known.and_then(|known| known.etag.as_deref()) {
                request = request.header(IF_NONE_MATCH, etag);
            }
            let response = request.send().await.map_err(|e| failed(&url, &e))?;
            match (response.status(), known) {
                (StatusCode::OK, _) => {
                    let document = self.read(url, response).await?;
                    return Ok(self.cache.put(asked.as_str(), document));
                }
                (StatusCode::NOT_MODIFIED, Some(known)) => return Ok(Arc::clone(known)),
                (status, _) if is_redirect(status) => url = next_hop(&url, response.headers())?,
                (status, _) => {
                    return Err(FetchError::Status {
                        url: shown(&url),
                        status: status.as_u16(),
                        retry_after: retry_after(response.headers()),
                    });
                }
            }
        }
        Err(FetchError::Redirect {
            url: shown(asked),
            reason: format!("more than {} times", self.config.max_redirects),
        })
    }

    async fn read(&self, url: Url, mut response: Response) -> Result<FetchedDocument, FetchError> {
        let limit = self.config.max_bytes;
        let too_large = || FetchError::TooLarge {
            url: shown(&url),
            limit,
        };
        if text_header(response.headers(), &CONTENT_TYPE)
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
        {
            return Err(FetchError::WebPage { url: shown(&url) });
        }
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).unwrap_or(usize::MAX) > limit {
            return Err(too_large());
        }
        let etag = text_header(response.headers(), &ETAG);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failed(&url, &e))? {
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        let text =
            String::from_utf8(bytes).map_err(|_| FetchError::NotText { url: shown(&url) })?;
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        Ok(FetchedDocument {
            content_hash: ContentHash::of(&text),
            text,
            etag,
            final_url: url,
        })
    }

    fn client(&self, allow: &AllowPrivate) -> Result<Client, reqwest::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(allow) {
            return Ok(client.clone());
        }
        // reqwest takes the process's provider and panics without one. Another
        // part of the program may have set it already, which is as good.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::builder()
            .user_agent(&self.config.user_agent)
            .no_proxy()
            .referer(false)
            // Redirects are followed here, with the checks between.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .dns_resolver(Guarded::new(allow.clone()))
            .connect_timeout(self.config.connect_timeout)
            .read_timeout(self.config.read_timeout)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(30))
            .tls_certs_merge(self.certificates.iter().cloned())
            .build()?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(allow.clone(), client.clone());
        Ok(client)
    }
}

/// Checks what stands in the URL itself. Host names are checked where they are
/// resolved; addresses are never resolved.
fn check_url(url: &Url, allow: &AllowPrivate) -> Result<(), FetchError> {
    let bad = |reason| {
        Err(FetchError::BadUrl {
            url: shown(url),
            reason,
        })
    };
    if !matches!(url.scheme(), "http" | "https") {
        return bad("is neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return bad(
            "holds a user name or password; the operator sends no credentials, leave them out",
        );
    }
    let address: IpAddr = match url.host() {
        None => return bad("has no host"),
        Some(Host::Domain(_)) => return Ok(()),
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    if allow.allows(&host, address) {
        return Ok(());
    }
    Err(FetchError::Refused {
        host,
        address,
        kind: AddressKind::of(address),
    })
}

/// Whether pods can have such an address. Clusters take theirs also from ranges
/// that are set aside, such as the one for benchmarks.
fn is_endpoint(address: IpAddr, kind: AddressKind) -> bool {
    let address = unwrapped(address);
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    match kind {
        AddressKind::Public | AddressKind::Private => true,
        AddressKind::Loopback | AddressKind::LinkLocal => false,
        AddressKind::Reserved => !(address.is_unspecified() || address.is_multicast() || broadcast),
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn next_hop(url: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
    let redirect = |reason: &str| FetchError::Redirect {
        url: shown(url),
        reason: reason.to_owned(),
    };
    let location =
        text_header(headers, &LOCATION).ok_or_else(|| redirect("without saying where"))?;
    let next = url
        .join(&location)
        .map_err(|_| redirect("to something that is not a URL"))?;
    if url.scheme() == "https" && next.scheme() == "http" {
        return Err(redirect(
            "from https to http, which is not followed; use the URL it leads to",
        ));
    }
    Ok(next)
}

fn text_header(headers: &HeaderMap, name: &reqwest::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The seconds of Retry-After; its other form, a date, would need a clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text_header(headers, &RETRY_AFTER)?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// A URL for messages: without query, fragment and user information, any of
/// which may be a secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Fails for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// What went wrong on the way, from what reqwest wraps it in.
fn failed(url: &Url, error: &reqwest::Error) -> FetchError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<RefusedAddress>() {
            return FetchError::Refused {
                host: refused.host.clone(),
                address: refused.address,
                kind: refused.kind,
            };
        }
        if let Some(missing) = inner.downcast_ref::<NoAddress>() {
            return FetchError::Unresolved {
                host: missing.host.clone(),
                message: missing.message.clone(),
            };
        }
        cause = inner.source();
    }
    FetchError::Unreachable {
        url: shown(url),
        message: chain(error),
    }
}

/// The causes of an error without its own text, which holds the whole URL.
fn chain(error: &reqwest::Error) -> String {
    let mut messages: Vec<String> = Vec::new();
    if error.is_timeout() {
        messages.push("timed out".into());
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        // Many layers repeat what they wrap.
        if !messages.iter().any(|known| known.contains(&message)) {
            messages.push(message);
        }
        cause = inner.source();
    }
    if messages.is_empty() {
        messages.push("the request could not be made".into());
    }
    messages.join(": ")
}
