//! The part of the OCI distribution protocol (distribution-spec 1.1) that
//! plugins need.

mod lists;
mod upload;

use std::time::Duration;

use bytes::Bytes;
use oci_client::Reference;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::auth::RegistryAuth;
use crate::challenge::{Challenge, challenges};
use crate::digest::Digest;
use crate::error::Cause;
use crate::http::{Request, read_capped, same_origin, send, successful};
use crate::manifest::{DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, INDEX, MANIFEST};

/// Registries themselves take no manifest above 4 MiB.
pub(crate) const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
const MAX_TOKEN: u64 = 64 * 1024;

const DIGEST_HEADER: HeaderName = HeaderName::from_static("docker-content-digest");

/// What is done in a repository, which a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// One operation in one repository: the token is found once.
pub(crate) struct Session {
    client: Client,
    base: Url,
    repository: String,
    auth: RegistryAuth,
    access: Access,
    limit: Duration,
    authorization: Mutex<Option<HeaderValue>>,
}

/// A manifest as it came.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
    pub(crate) content_type: Option<String>,
}

/// What the registry made of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// It lists the manifest at its subject's referrers.
    ByRegistry,
    /// It does not know of referrers; the tag must say it.
    No,
}

impl Session {
    pub(crate) fn new(
        client: Client,
        reference: &Reference,
        auth: RegistryAuth,
        plain_http: bool,
        access: Access,
        limit: Duration,
    ) -> Result<Self, Cause> {
        let host = match reference.registry() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            other => other,
        };
        let scheme = if plain_http { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/v2/"))
            .map_err(|_| Cause::BadReference(format!("`{host}` is no registry's host")))?;
        Ok(Self {
            client,
            base,
            repository: reference.repository().to_owned(),
            auth,
            access,
            limit,
            authorization: Mutex::default(),
        })
    }

    fn url(&self, rest: &str) -> Result<Url, Cause> {
        self.base
            .join(&format!("{}/{rest}", self.repository))
            .map_err(|_| Cause::BadReference(format!("`{rest}` fits into no URL")))
    }

    /// Sends a request, and once more with credentials if it is asked for them.
    async fn call(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Response, Cause> {
        let mut authorization = self.authorization.lock().await;
        let ours = same_origin(&url, &self.base);
        if !ours && self.base.scheme() == "https" && url.scheme() == "http" {
            return Err(Cause::Protocol(
                "the registry names an upload location without TLS; behind a proxy it must be told its own address".into(),
            ));
        }
        let request = |authorization: Option<&HeaderValue>| Request {
            method: method.clone(),
            url: url.clone(),
            headers: headers.clone(),
            authorization: authorization.filter(|_| ours).cloned(),
            body: body.clone(),
        };
        let first = request(authorization.as_ref());
        let response = send(&self.client, first, self.limit).await?;
        // Only the registry itself is answered, not where it redirects to.
        if response.status() != StatusCode::UNAUTHORIZED
            || !ours
            || !same_origin(response.url(), &self.base)
        {
            return Ok(response);
        }
        let Some(fresh) = self.authorize(&response).await? else {
            return Ok(response);
        };
        if authorization.as_ref() == Some(&fresh) {
            return Ok(response);
        }
        let second = request(Some(&fresh));
        *authorization = Some(fresh);
        send(&self.client, second, self.limit).await
    }

    /// The header that answers a challenge, if there is anything to answer
    /// with.
    async fn authorize(&self, response: &Response) -> Result<Option<HeaderValue>, Cause> {
        for challenge in challenges(response.headers()) {
            let text = match challenge {
                Challenge::Basic => match self.auth.basic() {
                    Some(basic) => format!("Basic {basic}"),
                    None => continue,
                },
                Challenge::Bearer {
                    realm,
                    service,
                    scope,
                } => {
                    let token = self.token(&realm, service.as_deref(), scope.as_deref());
                    format!("Bearer {}", token.await?)
                }
            };
            let mut value = HeaderValue::try_from(text).map_err(|_| {
                Cause::Protocol("the registry's token cannot stand in a header".into())
            })?;
            value.set_sensitive(true);
            return Ok(Some(value));
        }
        Ok(None)
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<String, Cause> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let mut url = Url::parse(realm).map_err(|_| {
            Cause::Protocol("the registry names a token service that is no URL".into())
        })?;
        if url.scheme() == "http" && self.base.scheme() == "https" {
            return Err(Cause::Protocol(
                "the registry names a token service without TLS, to which no credentials are sent"
                    .into(),
            ));
        }
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        // A scope of the registry's own kind is taken as it stands.
        let scope = match scope {
            Some(scope) if !scope.is_empty() && !scope.starts_with("repository:") => {
                scope.to_owned()
            }
            _ => format!("repository:{}:{actions}", self.repository),
        };
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let mut request = Request::get(url);
        if let Some(basic) = self.auth.basic() {
            let mut value = HeaderValue::try_from(format!("Basic {basic}")).map_err(|_| {
                Cause::BadSettings("the credentials cannot stand in a header".into())
            })?;
            value.set_sensitive(true);
            request.authorization = Some(value);
        }
        let response = send(&self.client, request, self.limit).await?;
        let response = self.successful(response, "the token service").await?;
        let body = read_capped(response, "the token", MAX_TOKEN, None, self.limit).await?;
        // serde_json's messages could quote the token.
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| Cause::Protocol("the token service answers in an unknown form".into()))?;
        answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| Cause::Protocol("the token service answers without a token".into()))
    }

    async fn successful(&self, response: Response, what: &str) -> Result<Response, Cause> {
        successful(response, what, self.auth.is_anonymous()).await
    }

    async fn get(&self, url: Url, accept: &[&'static str]) -> Result<Response, Cause> {
        let mut headers = HeaderMap::new();
        for media_type in accept {
            headers.append(ACCEPT, HeaderValue::from_static(media_type));
        }
        self.call(Method::GET, url, headers, None).await
    }

    /// The manifest of a tag or of a digest, which is then checked.
    pub(crate) async fn manifest(&self, tag_or_digest: &str) -> Result<Found, Cause> {
        let accept = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX];
        let url = self.url(&format!("manifests/{tag_or_digest}"))?;
        let response = self.get(url, &accept).await?;
        let asked = Digest::parse(tag_or_digest).ok();
        let what = match asked {
            Some(digest) => format!("the manifest {digest}"),
            None => format!("the tag {tag_or_digest}"),
        };
        let response = self.successful(response, &what).await?;
        let header = |name: HeaderName| -> Option<String> {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let content_type = header(CONTENT_TYPE).map(|value| match value.split_once(';') {
            Some((plain, _)) => plain.trim().to_owned(),
            None => value,
        });
        let promised = header(DIGEST_HEADER).and_then(|value| Digest::parse(&value).ok());
        let bytes = read_capped(response, "the manifest", MAX_MANIFEST, None, self.limit).await?;
        let digest = Digest::of(&bytes);
        if let Some(expected) = asked.or(promised)
            && expected != digest
        {
            return Err(Cause::DigestMismatch {
                what: "the manifest",
                expected,
                found: digest,
            });
        }
        Ok(Found {
            bytes,
            digest,
            content_type,
        })
    }

    /// A blob of a declared size, checked against its digest.
    pub(crate) async fn blob(
        &self,
        what: &'static str,
        blob: &Descriptor,
        max: u64,
    ) -> Result<Bytes, Cause> {
        if blob.size > max {
            return Err(Cause::TooLarge {
                what,
                size: Some(blob.size),
                limit: max,
            });
        }
        let url = self.url(&format!("blobs/{}", blob.digest))?;
        let response = self.get(url, &[]).await?;
        let response = self
            .successful(response, &format!("{what} ({})", blob.digest))
            .await?;
        let bytes = read_capped(response, what, max, Some(blob.size), self.limit).await?;
        let found = Digest::of(&bytes);
        if found != blob.digest {
            return Err(Cause::DigestMismatch {
                what,
                expected: blob.digest,
                found,
            });
        }
        Ok(bytes)
    }
}

/// The tag that lists what refers to a manifest.
pub(crate) fn referrers_tag(subject: Digest) -> String {
    format!("sha256-{}", subject.hex())
}
