//! Requests with every hop checked, every body capped and every failure named.

mod failure;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use operator_core::address::AddressKind;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Method, Response, StatusCode, redirect};
use url::Url;

use self::failure::chain;
pub(crate) use self::failure::{failed, successful};
use crate::digest::Digest;
use crate::error::Cause;
use crate::guard::{Guarded, RefusedAddress, check_literal};

const USER_AGENT: &str = concat!("apim-operator/", env!("CARGO_PKG_VERSION"));
const MAX_REDIRECTS: usize = 5;
/// How many clients are kept, one for each set of trusted certificates.
const MAX_CLIENTS: usize = 16;

/// The clients of all sources.
#[derive(Debug)]
pub(crate) struct Http {
    connect_timeout: Duration,
    read_timeout: Duration,
    extra_ca: Vec<Certificate>,
    clients: Mutex<HashMap<Option<Digest>, Client>>,
}

/// One request, to be sent along redirects.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Sent to the first host only.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) body: Option<Bytes>,
}

impl Request {
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            body: None,
        }
    }
}

impl Http {
    pub(crate) fn new(
        connect_timeout: Duration,
        read_timeout: Duration,
        extra_ca: Option<&[u8]>,
    ) -> Result<Self, Cause> {
        let http = Self {
            connect_timeout,
            read_timeout,
            extra_ca: extra_ca.map_or(Ok(Vec::new()), certificates)?,
            clients: Mutex::default(),
        };
        // Wrong settings show at the start and not with the first plugin.
        http.client(None)?;
        Ok(http)
    }

    /// A client that trusts these certificates beside the usual ones.
    pub(crate) fn client(&self, ca_pem: Option<&[u8]>) -> Result<Client, Cause> {
        let key = ca_pem.map(Digest::of);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let own = ca_pem.map_or(Ok(Vec::new()), certificates)?;
        // reqwest takes the process's provider and panics without one. Another
        // part of the program may have set it already, which is as good.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .referer(false)
            // Redirects are followed here, with the checks between.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .dns_resolver(Guarded)
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.read_timeout)
            .pool_max_idle_per_host(2)
            .pool_idle_timeout(Duration::from_secs(30))
            .tls_certs_merge(self.extra_ca.iter().cloned().chain(own))
            .build()
            .map_err(|error| {
                Cause::BadSettings(format!("no HTTP client can be made: {}", chain(&error)))
            })?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, Cause> {
    let found = Certificate::from_pem_bundle(pem).unwrap_or_default();
    if found.is_empty() {
        return Err(Cause::BadSettings(
            "the CA certificates that were given hold no PEM certificate".into(),
        ));
    }
    Ok(found)
}

/// Sends a request and follows redirects of GET and HEAD. The answer is
/// whatever came in the end, whatever its status.
pub(crate) async fn send(
    client: &Client,
    request: Request,
    limit: Duration,
) -> Result<Response, Cause> {
    let follow = matches!(request.method, Method::GET | Method::HEAD);
    let first = origin_of(&request.url);
    let mut url = request.url;
    for _ in 0..=MAX_REDIRECTS {
        check_url(&url)?;
        let mut builder = client
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone());
        if let Some(authorization) = &request.authorization
            && origin_of(&url) == first
        {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let response = builder
            .send()
            .await
            .map_err(|error| failed(&url, &error, limit))?;
        if !follow || !is_redirect(response.status()) {
            return Ok(response);
        }
        url = next_hop(&url, response.headers())?;
    }
    Err(Cause::Redirect(format!(
        "more than {MAX_REDIRECTS} times; use the URL it leads to in the end"
    )))
}

/// Whether two URLs lead to the same server by the same protocol.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    origin_of(one) == origin_of(other)
}

fn origin_of(url: &Url) -> (String, Option<String>, Option<u16>) {
    (
        url.scheme().to_owned(),
        url.host_str().map(str::to_owned),
        url.port_or_known_default(),
    )
}

fn check_url(url: &Url) -> Result<(), Cause> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Cause::BadReference(format!(
            "`{}` is neither http nor https",
            shown(url)
        )));
    }
    check_literal(url).map_err(refused)
}

fn refused(refused: RefusedAddress) -> Cause {
    Cause::Refused {
        kind: AddressKind::of(refused.address),
        host: refused.host,
        address: refused.address,
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn next_hop(url: &Url, headers: &HeaderMap) -> Result<Url, Cause> {
    let redirect = |reason: &str| Cause::Redirect(reason.to_owned());
    let location = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| redirect("without saying where"))?;
    let next = url
        .join(location)
        .map_err(|_| redirect("to something that is not a URL"))?;
    if url.scheme() == "https" && next.scheme() == "http" {
        return Err(redirect("from https to http, which is not followed"));
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(redirect("to a URL with credentials, which is not followed"));
    }
    Ok(next)
}

/// Reads a body to its end, or fails at the first byte above the limit.
/// `declared` is what the body must be as long as, where that is known.
pub(crate) async fn read_capped(
    mut response: Response,
    what: &'static str,
    max: u64,
    declared: Option<u64>,
    limit: Duration,
) -> Result<Bytes, Cause> {
    let too_large = |size| Cause::TooLarge {
        what,
        size,
        limit: max,
    };
    let announced = response.content_length();
    if let Some(size) = announced
        && size > max
    {
        return Err(too_large(Some(size)));
    }
    let url = response.url().clone();
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let size = (body.len() + chunk.len()) as u64;
                if declared.is_some_and(|declared| size > declared) {
                    return Err(Cause::Protocol(format!(
                        "{what} is longer than the {} bytes that were declared",
                        declared.unwrap_or_default()
                    )));
                }
                if size > max {
                    return Err(too_large(None));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(None) => break,
            // A connection that ends early is told apart from one that stalls.
            Err(error) if !error.is_timeout() => {
                let expected = declared.or(announced);
                return Err(match expected {
                    Some(expected) if (body.len() as u64) < expected => Cause::Truncated {
                        expected,
                        found: body.len() as u64,
                    },
                    _ => failed(&url, &error, limit),
                });
            }
            Err(error) => return Err(failed(&url, &error, limit)),
        }
    }
    match declared {
        Some(expected) if (body.len() as u64) < expected => Err(Cause::Truncated {
            expected,
            found: body.len() as u64,
        }),
        _ => Ok(body.freeze()),
    }
}

/// A URL for messages: without query, fragment and user information, any of
/// which may be a secret.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Fails for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(from: &str, location: &'static str) -> Result<String, String> {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        next_hop(&Url::parse(from).unwrap(), &headers)
            .map(|url| url.to_string())
            .map_err(|cause| cause.to_string())
    }

    #[test]
    fn a_redirect_never_leaves_tls() {
        assert_eq!(
            hop("https://a.example/x", "http://a.example/x"),
            Err("is redirected from https to http, which is not followed".into())
        );
        for (from, location, to) in [
            (
                "https://a.example/x/y",
                "z?q=1",
                "https://a.example/x/z?q=1",
            ),
            ("https://a.example/x", "//b.example/", "https://b.example/"),
            (
                "http://a.example/x",
                "https://a.example/x",
                "https://a.example/x",
            ),
        ] {
            assert_eq!(hop(from, location), Ok(to.to_owned()));
        }
    }

    #[test]
    fn credentials_belong_to_scheme_host_and_port() {
        let url = |text: &str| Url::parse(text).unwrap();
        let base = url("https://r.example/v2/");
        for (other, same) in [
            ("https://r.example:443/x", true),
            ("https://R.example/x", true),
            ("http://r.example/x", false),
            ("https://r.example:8443/x", false),
            ("https://r.example.evil/x", false),
        ] {
            assert_eq!(same_origin(&base, &url(other)), same, "{other}");
        }
    }
}
