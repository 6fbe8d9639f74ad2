//! The page of an API's wiki, which stands beside the API, and the wiki that
//! shows it.

use operator_core::apim::{ObservedPart, PartId};
use operator_core::names::ApiId;
use operator_core::wiki;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arm::{ArmClient, ArmReader, WriteVerb, absent, encode};
use crate::error::ArmError;

pub(crate) const KIND: &str = "documentation";

pub(crate) fn what(page: &ApiId) -> String {
    format!("documentation {page}")
}

#[derive(Deserialize)]
struct ListedWiki {
    properties: Value,
}

impl ArmReader {
    /// The wiki of an API. It is read as a list of one: where there is none, a
    /// GET of the wiki itself is answered with 500, as other clients found,
    /// which says the same as a service in trouble.
    pub(crate) async fn wiki(
        &self,
        part: &PartId,
        api: &str,
    ) -> Result<Option<ObservedPart>, ArmError> {
        let what = format!("{part} of API {api}");
        let call = self.get(&["apis", api, "wikis"], &[], "apiWikis", what);
        let all = self.pages::<ListedWiki, ListedWiki>(call).all().await?;
        Ok(all.into_iter().next().map(|wiki| ObservedPart {
            content: wiki.properties,
            etag: None,
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
