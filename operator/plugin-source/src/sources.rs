//! Resolving and pulling, whatever the source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oci_client::Reference;
use reqwest::Client;
use url::Url;

use crate::cache::{self, Cache};
use crate::digest::Digest;
use crate::error::{Cause, SourceError};
use crate::http::{Http, Request, read_capped, send, successful};
use crate::manifest::{Descriptor, wasm_artifact};
use crate::registry::{Access, Found, MAX_MANIFEST, Session};
use crate::source::{Pulled, Resolved, Source};

/// Limits, trust and where to keep things.
#[derive(Debug, Clone)]
pub struct SourcesConfig {
    /// The folder for the cache, which is made private; without one everything
    /// is fetched anew.
    pub cache_dir: Option<PathBuf>,
    /// How much the cache may hold, in bytes; what was not used for longest
    /// goes first.
    pub cache_bytes: u64,
    /// The largest plugin, in bytes.
    pub max_bytes: u64,
    /// For name resolution, TCP and TLS of one connection.
    pub connect_timeout: Duration,
    /// For one operation, redirects and tokens included; also between two reads
    /// of one answer.
    pub timeout: Duration,
    /// Certificates, in PEM, that are trusted for all sources, beside the
    /// system's.
    pub extra_ca: Option<Vec<u8>>,
}

impl Default for SourcesConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            cache_bytes: 1024 * 1024 * 1024,
            max_bytes: 32 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_mins(2),
            extra_ca: None,
        }
    }
}

/// Resolves and pulls plugins. Clones share clients and cache.
#[derive(Debug, Clone)]
pub struct Sources {
    pub(crate) config: Arc<SourcesConfig>,
    http: Arc<Http>,
    pub(crate) cache: Option<Cache>,
}

impl Sources {
    /// Opens the cache and reads the certificates.
    pub fn new(config: SourcesConfig) -> Result<Self, SourceError> {
        let cache = config.cache_dir.as_deref().map(|folder| {
            Cache::open(folder, config.cache_bytes).map_err(|error| {
                let message = format!("the plugin cache cannot be opened: {error}");
                SourceError::new(folder.display().to_string(), Cause::Io(message))
            })
        });
        let http = Http::new(
            config.connect_timeout,
            config.timeout,
            config.extra_ca.as_deref(),
        )
        .map_err(|cause| SourceError::new("the settings of plugin sources", cause))?;
        Ok(Self {
            cache: cache.transpose()?,
            http: Arc::new(http),
            config: Arc::new(config),
        })
    }

    /// Finds out which bytes a source means now. Costs one request for a tag,
    /// none for what is pinned and cached.
    pub async fn resolve(&self, source: &Source) -> Result<Resolved, SourceError> {
        self.bounded(&source.origin(), self.resolve_inner(source))
            .await
    }

    async fn resolve_inner(&self, source: &Source) -> Result<Resolved, Cause> {
        let local = |bytes: Bytes, reference: String| {
            let size = bytes.len() as u64;
            if size > self.config.max_bytes {
                return Err(Cause::TooLarge {
                    what: "the plugin",
                    size: Some(size),
                    limit: self.config.max_bytes,
                });
            }
            Ok(Resolved {
                source: source.clone(),
                reference,
                manifest: None,
                digest: Digest::of(&bytes),
                size: Some(size),
                annotations: BTreeMap::new(),
                content: Some(bytes),
            })
        };
        match source {
            Source::Oci { reference, .. } => {
                let reference = parse_reference(reference)?;
                let found = self.manifest(source, &reference).await?;
                let artifact = wasm_artifact(
                    &found.bytes,
                    found.content_type.as_deref(),
                    self.config.max_bytes,
                )?;
                self.keep(&found.bytes);
                Ok(Resolved {
                    source: source.clone(),
                    reference: pinned(&reference, found.digest),
                    manifest: Some(found.digest),
                    digest: artifact.layer.digest,
                    size: Some(artifact.layer.size),
                    annotations: artifact.annotations,
                    content: None,
                })
            }
            Source::Http { url, sha256, .. } => {
                parse_url(url)?;
                Ok(Resolved {
                    source: source.clone(),
                    reference: source.origin(),
                    manifest: None,
                    digest: *sha256,
                    size: None,
                    annotations: BTreeMap::new(),
                    content: None,
                })
            }
            Source::File { path } => {
                let bytes = read_file(path, self.config.max_bytes)?;
                local(bytes.into(), source.origin())
            }
            Source::Bytes { origin, bytes } => local(bytes.clone(), origin.clone()),
        }
    }

    async fn manifest(&self, source: &Source, reference: &Reference) -> Result<Found, Cause> {
        let (session, name) = (self.session(source, Access::Pull)?, reference);
        let Some(digest) = name.digest() else {
            return session.manifest(name.tag().unwrap_or("latest")).await;
        };
        let digest =
            Digest::parse(digest).map_err(|error| Cause::BadReference(error.to_string()))?;
        if let Some(bytes) = self.cached_bytes(digest, MAX_MANIFEST) {
            return Ok(Found {
                bytes,
                digest,
                content_type: None,
            });
        }
        session.manifest(&digest.to_string()).await
    }

    /// The bytes of what was resolved, and of nothing else: from the cache, or
    /// from the source by digest.
    pub async fn pull(&self, resolved: &Resolved) -> Result<Pulled, SourceError> {
        let digest = resolved.digest;
        // A large file takes a while to hash.
        let sources = self.clone();
        let cached = tokio::task::spawn_blocking(move || sources.cached(digest));
        if let Ok(Some(pulled)) = cached.await {
            return Ok(pulled);
        }
        let bytes = self
            .bounded(&resolved.source.origin(), self.pull_inner(resolved))
            .await?;
        let (sources, kept) = (self.clone(), bytes.clone());
        // Only a panic there could fail it, and then it is not cached.
        let _ = tokio::task::spawn_blocking(move || sources.keep(&kept)).await;
        Ok(Pulled { bytes, digest })
    }

    async fn pull_inner(&self, resolved: &Resolved) -> Result<Bytes, Cause> {
        if let Some(content) = &resolved.content {
            return Ok(content.clone());
        }
        match &resolved.source {
            Source::Oci { .. } => {
                let layer = Descriptor {
                    media_type: String::new(),
                    digest: resolved.digest,
                    size: resolved.size.unwrap_or_default(),
                    artifact_type: None,
                    annotations: BTreeMap::new(),
                };
                let session = self.session(&resolved.source, Access::Pull)?;
                session
                    .blob("the plugin", &layer, self.config.max_bytes)
                    .await
            }
            Source::Http { url, ca_pem, .. } => {
                let client = self.http.client(ca_pem.as_deref())?;
                let url = parse_url(url)?;
                let bytes = self
                    .download(&client, url, "the plugin", self.config.max_bytes)
                    .await?;
                let found = Digest::of(&bytes);
                if found != resolved.digest {
                    return Err(Cause::DigestMismatch {
                        what: "the plugin",
                        expected: resolved.digest,
                        found,
                    });
                }
                Ok(bytes)
            }
            Source::File { path } => Ok(read_file(path, self.config.max_bytes)?.into()),
            Source::Bytes { bytes, .. } => Ok(bytes.clone()),
        }
    }

    /// A file that was pulled before, by any source.
    #[must_use]
    pub fn cached(&self, digest: Digest) -> Option<Pulled> {
        let bytes = self.cached_bytes(digest, self.config.max_bytes)?;
        Some(Pulled { bytes, digest })
    }

    /// The tags of the repository that an OCI source is in, as the registry
    /// sorts them.
    pub async fn tags(&self, source: &Source) -> Result<Vec<String>, SourceError> {
        self.bounded(&source.origin(), async {
            let tags = self.session(source, Access::Pull)?.tags().await?;
            // What stands for lists of signatures is no version of anything.
            let is_list = |tag: &String| {
                let hex = tag.strip_prefix("sha256-").unwrap_or_default();
                hex.len() >= 64 && hex.as_bytes()[..64].iter().all(u8::is_ascii_hexdigit)
            };
            Ok(tags.into_iter().filter(|tag| !is_list(tag)).collect())
        })
        .await
    }

    /// A session in the repository of an OCI source.
    pub(crate) fn session(&self, source: &Source, access: Access) -> Result<Session, Cause> {
        let Source::Oci {
            reference,
            auth,
            ca_pem,
            plain_http,
        } = source
        else {
            return Err(Cause::BadReference("it is not in a registry".into()));
        };
        Session::new(
            self.http.client(ca_pem.as_deref())?,
            &parse_reference(reference)?,
            auth.clone(),
            *plain_http,
            access,
            self.config.timeout,
        )
    }

    /// The body that a URL leads to.
    pub(crate) async fn download(
        &self,
        client: &Client,
        url: Url,
        what: &'static str,
        max: u64,
    ) -> Result<Bytes, Cause> {
        let limit = self.config.timeout;
        let response = send(client, Request::get(url), limit).await?;
        let response = successful(response, what, true).await?;
        read_capped(response, what, max, None, limit).await
    }

    pub(crate) fn http_client(&self, ca_pem: Option<&[u8]>) -> Result<Client, Cause> {
        self.http.client(ca_pem)
    }

    pub(crate) fn cached_bytes(&self, digest: Digest, max: u64) -> Option<Bytes> {
        self.cache.as_ref()?.get(digest, max)
    }

    pub(crate) fn keep(&self, bytes: &[u8]) {
        if let Some(cache) = &self.cache {
            cache.put(bytes);
        }
    }

    /// Within the time for one operation, and with the source's name.
    pub(crate) async fn bounded<T>(
        &self,
        origin: &str,
        work: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, SourceError> {
        let limit = self.config.timeout;
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or(Err(Cause::TimedOut { limit }))
            .map_err(|cause| SourceError::new(origin, cause))
    }
}

/// Reads a reference; what is wrong with it is said with an example.
pub fn parse_reference(text: &str) -> Result<Reference, Cause> {
    text.parse().map_err(|error| {
        Cause::BadReference(format!(
            "{error}; a reference is `<registry>/<repository>:<tag>` or `<registry>/<repository>@sha256:<digest>`, without a scheme"
        ))
    })
}

/// The reference of a manifest by its digest.
pub(crate) fn pinned(reference: &Reference, manifest: Digest) -> String {
    reference.clone_with_digest(manifest.to_string()).whole()
}

fn parse_url(text: &str) -> Result<Url, Cause> {
    let bad = |reason: &str| Err(Cause::BadReference(reason.to_owned()));
    let Ok(url) = Url::parse(text) else {
        return bad("it is no URL; write it out, as `https://host/path/plugin.wasm`");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return bad("it is no http or https URL with a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return bad("it holds a user name or password, which are not sent; leave them out");
    }
    Ok(url)
}

pub(crate) fn read_file(path: &Path, max: u64) -> Result<Vec<u8>, Cause> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Cause::NotFound {
            what: "the file".into(),
        },
        _ => Cause::Io(format!("the file cannot be read: {error}")),
    })?;
    if !metadata.is_file() {
        return Err(Cause::Io("it is no file".into()));
    }
    if metadata.len() > max {
        return Err(Cause::TooLarge {
            what: "the file",
            size: Some(metadata.len()),
            limit: max,
        });
    }
    cache::read(path, max).ok_or_else(|| Cause::Io("the file cannot be read".into()))
}
