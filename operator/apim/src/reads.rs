//! What is read of APIs, their operations, revisions and policies.

use std::collections::BTreeMap;

use operator_core::apim::{ObservedApi, ObservedOperation, ObservedPolicy, Reading};

use operator_core::names::ProductId;

use crate::arm::{ArmReader, Pages, ReadCall, absent};
use crate::error::ArmError;
use crate::models::{
    ApiProperties, Entity, OperationProperties, Page, PolicyProperties, ReleaseProperties,
    RevisionBody,
};
use serde::de::IgnoredAny;

/// Whose policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyOf<'a> {
    /// The API's.
    Api,
    /// That of the operation with this id.
    Operation(&'a str),
}

impl PolicyOf<'_> {
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Api => "apiPolicy",
            Self::Operation(_) => "operationPolicy",
        }
    }

    pub(crate) fn what(self, api: &str) -> String {
        match self {
            Self::Api => format!("policy of API {api}"),
            Self::Operation(operation) => {
                format!("policy of operation {operation} of API {api}")
            }
        }
    }

    pub(crate) fn segments<'a>(&'a self, api: &'a str) -> Vec<&'a str> {
        match self {
            Self::Api => vec!["apis", api, "policies", "policy"],
            Self::Operation(operation) => {
                vec!["apis", api, "operations", operation, "policies", "policy"]
            }
        }
    }
}

/// An entry of the list of all APIs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedApi {
    /// Its id, without a revision's suffix.
    pub id: String,
    /// Whether it is the current revision, which callers reach.
    pub is_current: bool,
    /// The API. The list of real services holds no ETags.
    pub api: ObservedApi,
}

/// A revision of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number.
    pub number: String,
    /// Its description, where a mark can stand.
    pub description: Option<String>,
    /// Whether callers reach it.
    pub is_current: bool,
}

impl ArmReader {
    /// The API, or none.
    pub async fn api(&self, id: &str) -> Result<Option<ObservedApi>, ArmError> {
        let call = self.get(&["apis", id], &[], "api", format!("API {id}"));
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let entity: Entity<ApiProperties> = answer.json(&call.name())?;
        Ok(Some(entity.properties.observed(answer.etag())))
    }

    /// The API's ETag, or none where there is no API. Costs a HEAD.
    pub async fn api_etag(&self, id: &str) -> Result<Option<String>, ArmError> {
        self.etag(&self.head(&["apis", id], "api", format!("API {id}")))
            .await
    }

    /// All APIs with their properties, as pages.
    #[must_use]
    pub fn apis(&self) -> Pages<ListedApi> {
        let call = self.get(&["apis"], &[], "apis", "APIs");
        self.pages::<Entity<ApiProperties>, _>(call)
    }

    /// The APIs at this path, in any spelling that the service treats as equal.
    pub async fn apis_at(&self, path: &str) -> Result<Vec<ListedApi>, ArmError> {
        let filter = format!("path eq '{}'", path.replace('\'', "''"));
        let what = format!("APIs at path {path}");
        let call = self.get(&["apis"], &[("$filter", &filter)], "apis", what);
        self.pages::<Entity<ApiProperties>, _>(call).all().await
    }

    /// The API's revisions.
    pub async fn revisions(&self, id: &str) -> Result<Vec<Revision>, ArmError> {
        let what = format!("revisions of API {id}");
        let call = self.get(&["apis", id, "revisions"], &[], "apiRevisions", what);
        self.pages::<RevisionBody, _>(call).all().await
    }

    /// The notes of the API's releases, by id.
    pub async fn releases(&self, id: &str) -> Result<BTreeMap<String, String>, ArmError> {
        let what = format!("releases of API {id}");
        let call = self.get(&["apis", id, "releases"], &[], "apiReleases", what);
        let all = self
            .pages::<Entity<ReleaseProperties>, _>(call)
            .all()
            .await?;
        Ok(all.into_iter().collect())
    }

    /// What the revisions other than the current one have for a description.
    pub async fn other_marks(&self, id: &str) -> Result<Vec<String>, ArmError> {
        let revisions = self.revisions(id).await?;
        Ok(revisions
            .into_iter()
            .filter(|revision| !revision.is_current)
            .filter_map(|revision| revision.description)
            .collect())
    }

    /// The API with the marks of all its revisions, as far as they are needed
    /// to know whether it carries this one.
    pub async fn marked_api(&self, id: &str, mark: &str) -> Result<Option<ObservedApi>, ArmError> {
        let Some(mut api) = self.api(id).await? else {
            return Ok(None);
        };
        #[cfg(feature = "defects")]
        if crate::defects::is_on(crate::defects::Defect::SkipsMark) {
            api.mark = Some(mark.to_owned());
        }
        if !api.carries(mark) {
            api.other_marks = self.other_marks(id).await?;
        }
        Ok(Some(api))
    }

    /// Whether there is such an API and it carries this mark.
    pub async fn carries(&self, id: &str, mark: &str) -> Result<bool, ArmError> {
        let api = self.marked_api(id, mark).await?;
        Ok(api.is_some_and(|api| api.carries(mark)))
    }

    /// The API's operations.
    pub async fn operations(&self, id: &str) -> Result<Vec<ObservedOperation>, ArmError> {
        let what = format!("operations of API {id}");
        let call = self.get(&["apis", id, "operations"], &[], "operations", what);
        let pages = self.pages::<Entity<OperationProperties>, _>(call);
        pages.all().await
    }

    /// How many operations the API has. Costs one read of a short page, where
    /// the service counts as its interface says.
    pub async fn count_operations(&self, id: &str) -> Result<u32, ArmError> {
        let what = format!("number of operations of API {id}");
        let one = [("$top", "1")];
        let call = self.get(&["apis", id, "operations"], &one, "operations", what);
        let page: Page<IgnoredAny> = self.read(&call).await?.json(&call.name())?;
        if let Some(count) = page.count {
            return Ok(count);
        }
        let all = self.operations(id).await?.len();
        Ok(u32::try_from(all).unwrap_or(u32::MAX))
    }

    /// A policy document as `rawxml`.
    pub async fn policy(
        &self,
        id: &str,
        of: PolicyOf<'_>,
    ) -> Result<Reading<ObservedPolicy>, ArmError> {
        let format = [("format", "rawxml")];
        let call = self.get(&of.segments(id), &format, of.kind(), of.what(id));
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(Reading::Absent);
        };
        let etag = answer.etag();
        // Some services answer with the document itself.
        let text = if answer.body.trim_ascii_start().starts_with(b"<") {
            String::from_utf8_lossy(&answer.body).into_owned()
        } else {
            let entity: Entity<PolicyProperties> = answer.json(&call.name())?;
            entity.properties.value
        };
        Ok(Reading::Found(ObservedPolicy { text, etag }))
    }

    /// A policy document's ETag, or none where there is no document. Costs a
    /// HEAD.
    pub async fn policy_etag(
        &self,
        id: &str,
        of: PolicyOf<'_>,
    ) -> Result<Option<String>, ArmError> {
        self.etag(&self.head(&of.segments(id), of.kind(), of.what(id)))
            .await
    }

    /// Whether a product holds the API. Costs a HEAD; a product that does not
    /// exist holds nothing.
    pub async fn in_product(&self, product: &ProductId, id: &str) -> Result<bool, ArmError> {
        let path = ["products", product.as_str(), "apis", id];
        let what = format!("API {id} in product {product}");
        let answer = absent(self.read(&self.head(&path, "productApi", what)).await)?;
        Ok(answer.is_some())
    }

    /// An entity that is there has an ETag, by the interface's contract; one
    /// without counts as an empty text, which equals no other.
    async fn etag(&self, call: &ReadCall) -> Result<Option<String>, ArmError> {
        let answer = absent(self.read(call).await)?;
        Ok(answer.map(|answer| answer.etag().unwrap_or_default()))
    }
}
