//! A client for which some hosts are somewhere else: what a load balancer or a
//! name server would do where there is none.

use crate::body::Body;
use crate::client::{ClientError, HttpClient, HyperClient, Trust, TrustError};
use crate::identity::ClientIdentity;
use async_trait::async_trait;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Sends requests to these hosts to these addresses, without TLS (so without a
/// certificate) and with the `Host` that they were for; all others go where
/// they say.
#[derive(Clone)]
pub struct Elsewhere {
    client: HyperClient,
    hosts: BTreeMap<String, SocketAddr>,
}

impl Elsewhere {
    /// A client with its own pool of connections.
    pub fn new(trust: &Trust, hosts: BTreeMap<String, SocketAddr>) -> Result<Self, TrustError> {
        Ok(Self {
            client: HyperClient::new(trust)?,
            hosts,
        })
    }

    /// Where a request to this URI goes instead.
    fn instead(&self, uri: &Uri) -> Option<Uri> {
        let address = self.hosts.get(uri.host()?)?;
        let mut parts = uri.clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Authority::try_from(address.to_string()).ok();
        Uri::from_parts(parts).ok()
    }
}

#[async_trait]
impl HttpClient for Elsewhere {
    async fn send(
        &self,
        mut request: Request<Body>,
        identity: Option<&ClientIdentity>,
    ) -> Result<Response<Body>, ClientError> {
        if let Some(uri) = self.instead(request.uri()) {
            let host = request.uri().authority().map(Authority::as_str);
            if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
                request.headers_mut().entry(header::HOST).or_insert(host);
            }
            *request.uri_mut() = uri;
        }
        self.client.send(request, identity).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hosts_that_are_named_are_elsewhere() {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let hosts = BTreeMap::from([("203.0.113.10".to_owned(), address)]);
        let client = Elsewhere::new(&Trust::default(), hosts).unwrap();
        let instead = |uri: &'static str| client.instead(&Uri::from_static(uri));
        assert_eq!(
            instead("https://203.0.113.10/catalog?x=1"),
            Some(Uri::from_static("http://127.0.0.1:8080/catalog?x=1"))
        );
        assert_eq!(instead("http://203.0.113.11/catalog"), None);
    }
}
