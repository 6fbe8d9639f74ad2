//! Finding the signatures of something: the bundles that refer to an artifact
//! in its registry, or the file beside a file.

use std::collections::BTreeSet;

use bytes::Bytes;
use url::Url;

use super::BUNDLE;
use super::bundle::check;
use super::error::{VerifyCause, VerifyError};
use super::policy::{Signer, Verification};
use crate::digest::Digest;
use crate::error::Cause;
use crate::manifest::{Descriptor, EMPTY, Manifest};
use crate::registry::{Access, Session};
use crate::source::{Resolved, Source};
use crate::sources::{Sources, read_file};

/// A bundle with its certificate and log entry is some 10 KiB.
const MAX_BUNDLE: u64 = 1024 * 1024;
/// How many bundles of one artifact are looked at.
const MAX_BUNDLES: usize = 64;
/// What stands behind the name of a file that is signed.
const SUFFIX: &str = ".sigstore.json";
/// What the type of a bundle was before 0.3 had its name.
const OLD_BUNDLE: &str = "application/vnd.dev.sigstore.bundle+json";

/// A signature that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is.
    pub signer: Signer,
    /// The digest of the bundle.
    pub bundle: Digest,
}

/// What came of the bundles so far.
struct Search<'a> {
    subject: Digest,
    verification: &'a Verification,
    closest: Option<VerifyCause>,
}

impl Search<'_> {
    fn try_bundle(&mut self, bundle: &[u8]) -> Option<Verified> {
        match check(bundle, self.subject, self.verification) {
            Ok(signer) => Some(Verified {
                signer,
                bundle: Digest::of(bundle),
            }),
            Err(cause) => {
                self.failed(cause);
                None
            }
        }
    }

    fn failed(&mut self, cause: VerifyCause) {
        let closest = self.closest.as_ref().map(VerifyCause::closeness);
        if closest < Some(cause.closeness()) {
            self.closest = Some(cause);
        }
    }
}

impl Sources {
    /// Checks that somebody who is trusted signed what was resolved, before its
    /// bytes are here. A signature that was accepted before costs no network.
    pub async fn verify(
        &self,
        resolved: &Resolved,
        verification: &Verification,
    ) -> Result<Verified, VerifyError> {
        let mut search = Search {
            subject: resolved.manifest.unwrap_or(resolved.digest),
            verification,
            closest: None,
        };
        if let Some(verified) = self.verify_cached(&mut search) {
            return Ok(verified);
        }
        search.closest = None;
        let found = self
            .bounded(&resolved.reference, async {
                Ok(self.verify_inner(resolved, &mut search).await)
            })
            .await
            .unwrap_or_else(|error| Err(VerifyCause::Source(error.cause)));
        match found {
            Ok((verified, bundle)) => {
                if let Some(cache) = &self.cache {
                    cache.put(&bundle);
                    cache.put_bundles(search.subject, &[verified.bundle]);
                }
                Ok(verified)
            }
            Err(cause) => Err(VerifyError::new(&resolved.reference, cause)),
        }
    }

    fn verify_cached(&self, search: &mut Search<'_>) -> Option<Verified> {
        let cache = self.cache.as_ref()?;
        cache
            .bundles(search.subject)
            .into_iter()
            .find_map(|digest| {
                let bundle = cache.get(digest, MAX_BUNDLE)?;
                search.try_bundle(&bundle)
            })
    }

    async fn verify_inner(
        &self,
        resolved: &Resolved,
        search: &mut Search<'_>,
    ) -> Result<(Verified, Bytes), VerifyCause> {
        let beside = match &resolved.source {
            Source::Oci { .. } => return self.verify_artifact(resolved, search).await,
            Source::Http { url, ca_pem, .. } => self.beside_url(url, ca_pem.as_deref()).await,
            Source::File { path } => {
                let mut beside = path.clone().into_os_string();
                beside.push(SUFFIX);
                read_file(beside.as_ref(), MAX_BUNDLE).map(Bytes::from)
            }
            Source::Bytes { .. } => {
                return Err(VerifyCause::NotPossible(
                    "a plugin in a ConfigMap or in the binary",
                ));
            }
        };
        let bundle = match beside {
            Err(Cause::NotFound { .. }) => Err(VerifyCause::NoSignature {
                hint: format!(" (none at its name with `{SUFFIX}` behind it)"),
            }),
            other => other.map_err(VerifyCause::Source),
        }?;
        check(&bundle, search.subject, search.verification).map(|signer| {
            let digest = Digest::of(&bundle);
            (
                Verified {
                    signer,
                    bundle: digest,
                },
                bundle,
            )
        })
    }

    async fn beside_url(&self, url: &str, ca_pem: Option<&[u8]>) -> Result<Bytes, Cause> {
        let mut url =
            Url::parse(url).map_err(|_| Cause::BadReference("it is no URL".to_owned()))?;
        url.set_path(&format!("{}{SUFFIX}", url.path()));
        let client = self.http_client(ca_pem)?;
        self.download(&client, url, "the signature", MAX_BUNDLE)
            .await
    }

    async fn verify_artifact(
        &self,
        resolved: &Resolved,
        search: &mut Search<'_>,
    ) -> Result<(Verified, Bytes), VerifyCause> {
        let session = self
            .session(&resolved.source, Access::Pull)
            .map_err(VerifyCause::Source)?;
        let mut seen = BTreeSet::new();
        // The tag may list what was signed before the registry had the API.
        for place in [Place::Api, Place::Tag] {
            let listed = match place {
                Place::Api => session.referrers(search.subject).await,
                Place::Tag => session.referrers_tag(search.subject).await,
            };
            let listed = listed.map_err(VerifyCause::Source)?;
            for referrer in listed.iter().filter(|found| may_be_bundle(found)) {
                if seen.len() >= MAX_BUNDLES || !seen.insert(referrer.digest) {
                    continue;
                }
                match fetch(&session, referrer).await {
                    Ok(Some(bundle)) => {
                        if let Some(verified) = search.try_bundle(&bundle) {
                            return Ok((verified, bundle));
                        }
                    }
                    // A list may name what is gone, or something else.
                    Ok(None) | Err(Cause::NotFound { .. }) => {}
                    Err(cause) => search.failed(VerifyCause::Source(cause)),
                }
            }
        }
        Err(search.closest.take().unwrap_or(VerifyCause::NoSignature {
            hint: String::new(),
        }))
    }
}

/// Where a registry lists what refers to a manifest.
#[derive(Debug, Clone, Copy)]
enum Place {
    Api,
    Tag,
}

/// Registries derive the type that they list in different ways: some take the
/// config's, and old lists have none. What it really is, its manifest says.
fn may_be_bundle(descriptor: &Descriptor) -> bool {
    match descriptor.artifact_type.as_deref() {
        None | Some("" | EMPTY | BUNDLE) => true,
        Some(other) => other.starts_with(OLD_BUNDLE),
    }
}

async fn fetch(session: &Session, referrer: &Descriptor) -> Result<Option<Bytes>, Cause> {
    let found = session.manifest(&referrer.digest.to_string()).await?;
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&found.bytes) else {
        return Ok(None);
    };
    let is_bundle = |layer: &&Descriptor| {
        layer.media_type == BUNDLE || layer.media_type.starts_with(OLD_BUNDLE)
    };
    match manifest.layers.iter().find(is_bundle) {
        Some(layer) => session
            .blob("the signature", layer, MAX_BUNDLE)
            .await
            .map(Some),
        None => Ok(None),
    }
}
