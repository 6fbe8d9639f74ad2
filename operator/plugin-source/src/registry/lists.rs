//! What a registry lists: what refers to a manifest, and the tags.

use reqwest::header::LINK;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use url::Url;

use super::{MAX_MANIFEST, Session, referrers_tag};
use crate::digest::Digest;
use crate::error::Cause;
use crate::http::{read_capped, same_origin};
use crate::manifest::{Descriptor, INDEX, Index};

/// How many pages of a list are read.
const MAX_PAGES: usize = 50;

impl Session {
    /// What refers to a manifest, by the referrers API; nothing where the
    /// registry has none.
    pub(crate) async fn referrers(&self, subject: Digest) -> Result<Vec<Descriptor>, Cause> {
        let mut found = Vec::new();
        let mut next = Some(self.url(&format!("referrers/{subject}"))?);
        for _ in 0..MAX_PAGES {
            let Some(url) = next.take() else { break };
            let response = self.get(url, &[INDEX]).await?;
            // 404 says that there is no such API; other registries say it in
            // other ways.
            if matches!(response.status().as_u16(), 400 | 404 | 405 | 501) {
                break;
            }
            let response = self.successful(response, "the list of referrers").await?;
            next = self.next_page(&response)?;
            found.extend(self.index(response).await?);
        }
        Ok(found)
    }

    /// What refers to a manifest, by the tag that takes the API's place in
    /// registries that have none.
    pub(crate) async fn referrers_tag(&self, subject: Digest) -> Result<Vec<Descriptor>, Cause> {
        let url = self.url(&format!("manifests/{}", referrers_tag(subject)))?;
        let response = self.get(url, &[INDEX]).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let response = self.successful(response, "the list of referrers").await?;
        self.index(response).await
    }

    async fn index(&self, response: Response) -> Result<Vec<Descriptor>, Cause> {
        let what = "the list of referrers";
        let bytes = read_capped(response, what, MAX_MANIFEST, None, self.limit).await?;
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|error| Cause::Protocol(format!("{what} cannot be read: {error}")))?;
        Ok(index.manifests)
    }

    /// The tags of the repository, as the registry sorts them.
    pub(crate) async fn tags(&self) -> Result<Vec<String>, Cause> {
        #[derive(Deserialize)]
        struct Answer {
            // An empty list may be null.
            tags: Option<Vec<String>>,
        }
        let mut found = Vec::new();
        let mut next = Some(self.url("tags/list")?);
        for _ in 0..MAX_PAGES {
            let Some(url) = next.take() else { break };
            let response = self.get(url, &[]).await?;
            let what = format!("the repository {}", self.repository);
            let response = self.successful(response, &what).await?;
            next = self.next_page(&response)?;
            let body =
                read_capped(response, "the list of tags", MAX_MANIFEST, None, self.limit).await?;
            let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
                Cause::Protocol(format!("the list of tags cannot be read: {error}"))
            })?;
            found.extend(answer.tags.unwrap_or_default());
        }
        Ok(found)
    }

    /// `Link: </v2/…?last=x>; rel="next"`. Other hosts are not followed: the
    /// request carries credentials.
    fn next_page(&self, response: &Response) -> Result<Option<Url>, Cause> {
        let Some(link) = response
            .headers()
            .get(LINK)
            .and_then(|link| link.to_str().ok())
        else {
            return Ok(None);
        };
        let target = link
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
            .filter(|(_, rest)| rest.replace('"', "").contains("rel=next"));
        let Some((target, _)) = target else {
            return Ok(None);
        };
        let url = response.url().join(target).ok();
        match url.filter(|url| same_origin(url, &self.base)) {
            Some(url) => Ok(Some(url)),
            None => Err(Cause::Protocol(
                "the registry's list goes on at another place".into(),
            )),
        }
    }
}
