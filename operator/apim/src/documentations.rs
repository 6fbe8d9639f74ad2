//! The page of an API's wiki, which stands beside the API, and the wiki that
//! shows it.

use operator_core::apim::{ObservedPart, PartId};
use operator_core::names::ApiId;
use operator_core::wiki;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arm::{ArmClient, ArmReader, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::models::Entity;

pub(crate) const KIND: &str = "documentation";

pub(crate) fn what(page: &ApiId) -> String {
    format!("documentation {page}")
}

/// An entry of the list, of which nothing but its being there counts.
#[derive(Deserialize)]
struct Listed {}

impl ArmReader {
    /// The wiki of an API. Where there is none, a GET of it is answered with 500,
    /// as other clients found, which says the same as a service in trouble; so
    /// the list is asked before, which says no ETag.
    pub(crate) async fn wiki(
        &self,
        part: &PartId,
        api: &str,
    ) -> Result<Option<ObservedPart>, ArmError> {
        let what = format!("{part} of API {api}");
        let list = self.get(&["apis", api, "wikis"], &[], "apiWikis", what.clone());
        let all = self.pages::<Listed, Listed>(list).all().await?;
        if all.is_empty() {
            return Ok(None);
        }
        let call = self.get(&part.path(api), &[], "apiWiki", what);
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let etag = answer.etag();
        let there: Entity<Value> = answer.json(&call.name())?;
        Ok(Some(ObservedPart {
            content: there.properties,
            etag,
        }))
    }

    /// A page that an API leaves, where it is ours.
    pub async fn page_to_drop(
        &self,
        page: &ApiId,
        mark: &str,
    ) -> Result<Option<ObservedPart>, ArmError> {
        let part = PartId::Documentation(page.clone());
        let there = self.part(&part, page.as_str()).await?;
        Ok(there.filter(|there| wiki::mark_of(&there.content) == Some(mark)))
    }
}

impl ArmClient {
    /// Takes the mark off the page of an API that stays behind, where it is ours.
    pub async fn release_page(&self, page: &ApiId, mark: &str) -> Result<(), ArmError> {
        let Some(there) = self.reader().page_to_drop(page, mark).await? else {
            return Ok(());
        };
        let part = PartId::Documentation(page.clone());
        let path = part.path(page.as_str());
        let mut call = self.call(WriteVerb::Patch, &path, &[], KIND, what(page));
        let left = json!({"properties": {"content": wiki::unmarked(&there.content)}});
        call.body = Some(encode(&left));
        call.if_match = Some(there.etag.unwrap_or_else(|| "*".to_owned()));
        absent(self.run(&call).await).map(drop)
    }

    /// Deletes the page of an API that is gone, where it is ours.
    pub(crate) async fn drop_page(&self, page: &ApiId, mark: &str) -> Result<(), ArmError> {
        let Some(there) = self.reader().page_to_drop(page, mark).await? else {
            return Ok(());
        };
        let part = PartId::Documentation(page.clone());
        self.remove_part(&part, page.as_str(), there.etag.as_deref(), "")
            .await
    }
}
