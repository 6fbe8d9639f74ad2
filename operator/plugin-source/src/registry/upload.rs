//! Uploads, each in one piece.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};

use super::{DIGEST_HEADER, Listed, Session};
use crate::digest::Digest;
use crate::error::Cause;

const SUBJECT_HEADER: HeaderName = HeaderName::from_static("oci-subject");

impl Session {
    /// Uploads a blob unless it is there.
    pub(crate) async fn push_blob(&self, bytes: Bytes) -> Result<Digest, Cause> {
        let digest = Digest::of(&bytes);
        let url = self.url(&format!("blobs/{digest}"))?;
        let known = self.call(Method::HEAD, url, HeaderMap::new(), None).await?;
        if known.status().is_success() {
            return Ok(digest);
        }
        let url = self.url("blobs/uploads/")?;
        let response = self
            .call(Method::POST, url, HeaderMap::new(), Some(Bytes::new()))
            .await?;
        let response = self.successful(response, "the repository").await?;
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let mut url = location
            .and_then(|location| response.url().join(location).ok())
            .ok_or_else(|| Cause::Protocol("the registry names no place to upload to".into()))?;
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        let response = self.call(Method::PUT, url, headers, Some(bytes)).await?;
        self.successful(response, "the upload").await?;
        Ok(digest)
    }

    /// Uploads a manifest under a tag or its digest.
    pub(crate) async fn push_manifest(
        &self,
        tag_or_digest: &str,
        media_type: &'static str,
        bytes: Bytes,
    ) -> Result<(Digest, Listed), Cause> {
        let digest = Digest::of(&bytes);
        let url = self.url(&format!("manifests/{tag_or_digest}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        let response = self.call(Method::PUT, url, headers, Some(bytes)).await?;
        let response = self.successful(response, "the repository").await?;
        let kept = response.headers().get(DIGEST_HEADER);
        let kept = kept.and_then(|kept| Digest::parse(kept.to_str().ok()?).ok());
        if let Some(found) = kept
            && found != digest
        {
            return Err(Cause::DigestMismatch {
                what: "the manifest that the registry kept",
                expected: digest,
                found,
            });
        }
        let listed = if response.headers().contains_key(SUBJECT_HEADER) {
            Listed::ByRegistry
        } else {
            Listed::No
        };
        Ok((digest, listed))
    }
}
