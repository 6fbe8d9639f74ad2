//! What is read and written of APIs, their operations and policies.

use std::collections::BTreeMap;

use bytes::Bytes;
use operator_core::apim::{
    Observed, ObservedApi, ObservedOperation, ObservedPolicy, OperationPolicyReads, Reading, Reads,
    SettingsPatch,
};
use operator_core::desired::{DesiredApi, PolicyText};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::arm::{Answer, ArmClient, Call, Repeat};
use crate::error::ArmError;
use crate::lro::Ended;
use crate::models::{
    ApiProperties, Entity, OperationProperties, Page, PolicyProperties, Revision, api_body,
    patch_body,
};

/// Matches whatever is there; where an ETag is asked for and none is known.
const ANY: &str = "*";

/// Whose policy.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PolicyOf<'a> {
    Api,
    Operation(&'a str),
}

impl ArmClient {
    /// The API, or none.
    pub(crate) async fn get_api(&self, id: &str) -> Result<Option<ObservedApi>, ArmError> {
        let call = self.call(Method::GET, &["apis", id], &[], "api", format!("API {id}"));
        let Some(answer) = absent(self.send(&call).await)? else {
            return Ok(None);
        };
        let entity: Entity<ApiProperties> = answer.json(&call)?;
        Ok(Some(entity.properties.observed(answer.etag())))
    }

    /// What the revisions other than the current one have for a description.
    pub(crate) async fn other_marks(&self, id: &str) -> Result<Vec<String>, ArmError> {
        let call = self.call(
            Method::GET,
            &["apis", id, "revisions"],
            &[],
            "apiRevisions",
            format!("revisions of API {id}"),
        );
        let revisions: Vec<Revision> = self.list(call).await?;
        Ok(revisions
            .into_iter()
            .filter(|revision| revision.is_current != Some(true))
            .filter_map(|revision| revision.description)
            .collect())
    }

    /// The API with the marks of all its revisions, as far as they are needed
    /// to know whether it carries this one.
    pub(crate) async fn get_marked_api(
        &self,
        id: &str,
        mark: &str,
    ) -> Result<Option<ObservedApi>, ArmError> {
        let Some(mut api) = self.get_api(id).await? else {
            return Ok(None);
        };
        if !api.carries(mark) {
            api.other_marks = self.other_marks(id).await?;
        }
        Ok(Some(api))
    }

    /// The API's operations.
    pub(crate) async fn operations(&self, id: &str) -> Result<Vec<ObservedOperation>, ArmError> {
        let call = self.call(
            Method::GET,
            &["apis", id, "operations"],
            &[],
            "operations",
            format!("operations of API {id}"),
        );
        let operations: Vec<Entity<OperationProperties>> = self.list(call).await?;
        Ok(operations.into_iter().map(Into::into).collect())
    }

    /// A policy document as `rawxml`.
    pub(crate) async fn get_policy(
        &self,
        id: &str,
        of: PolicyOf<'_>,
    ) -> Result<Reading<ObservedPolicy>, ArmError> {
        let call = self.policy_call(Method::GET, id, of);
        let Some(answer) = absent(self.send(&call).await)? else {
            return Ok(Reading::Absent);
        };
        let etag = answer.etag();
        // Some services answer with the document itself.
        let text = if answer.body.trim_ascii_start().starts_with(b"<") {
            String::from_utf8_lossy(&answer.body).into_owned()
        } else {
            let entity: Entity<PolicyProperties> = answer.json(&call)?;
            entity.properties.value
        };
        Ok(Reading::Found(ObservedPolicy { text, etag }))
    }

    fn policy_call(&self, method: Method, id: &str, of: PolicyOf<'_>) -> Call {
        let query: &[(&str, &str)] = if method == Method::GET {
            &[("format", "rawxml")]
        } else {
            &[]
        };
        match of {
            PolicyOf::Api => self.call(
                method,
                &["apis", id, "policies", "policy"],
                query,
                "apiPolicy",
                format!("policy of API {id}"),
            ),
            PolicyOf::Operation(operation) => self.call(
                method,
                &["apis", id, "operations", operation, "policies", "policy"],
                query,
                "operationPolicy",
                format!("policy of operation {operation} of API {id}"),
            ),
        }
    }

    /// Reads what a plan needs. The API comes first; where it is absent or does
    /// not carry the mark, nothing else is read.
    pub(crate) async fn observe(
        &self,
        id: &str,
        mark: &str,
        reads: &Reads,
    ) -> Result<Observed, ArmError> {
        let mut observed = Observed {
            api: self.get_marked_api(id, mark).await?,
            ..Observed::default()
        };
        if !observed.api.as_ref().is_some_and(|api| api.carries(mark)) {
            return Ok(observed);
        }
        if reads.policy {
            observed.policy = self.get_policy(id, PolicyOf::Api).await?;
        }
        if reads.operations {
            observed.operations = Reading::Found(self.operations(id).await?);
        }
        let of: Vec<String> = match (&reads.operation_policies, &observed.operations) {
            (OperationPolicyReads::Listed(listed), _) => listed.iter().cloned().collect(),
            (OperationPolicyReads::Every, Reading::Found(there)) => {
                there.iter().map(|operation| operation.id.clone()).collect()
            }
            (OperationPolicyReads::Every, _) => Vec::new(),
        };
        let mut policies = BTreeMap::new();
        for operation in of {
            let there = match &observed.operations {
                Reading::Found(all) if !all.iter().any(|one| one.id == operation) => {
                    Reading::Absent
                }
                _ => self.get_policy(id, PolicyOf::Operation(&operation)).await?,
            };
            policies.insert(operation, there);
        }
        observed.operation_policies = policies;
        Ok(observed)
    }

    /// Makes the API without a document, so without operations.
    pub(crate) async fn create_api(&self, api: &DesiredApi) -> Result<Ended, ArmError> {
        let id = api.id.as_str();
        let what = format!("API {id} without operations");
        let mut call = self.call(Method::PUT, &["apis", id], &[], "api", what);
        call.body = Some(encode(&api_body(api, false)));
        self.run(&call).await
    }

    /// Imports the document, with all settings.
    pub(crate) async fn import_api(
        &self,
        api: &DesiredApi,
        etag: Option<&str>,
    ) -> Result<Ended, ArmError> {
        let id = api.id.as_str();
        let what = format!("API {id} with its document");
        let mut call = self.call(Method::PUT, &["apis", id], &[], "apiImport", what);
        call.body = Some(encode(&api_body(api, true)));
        call.if_match = Some(etag.unwrap_or(ANY).to_owned());
        // Imports sent again while the first still ran once kept an instance
        // busy for days.
        call.repeat = Repeat::OnlyUnsent;
        self.run(&call).await
    }

    /// Changes some settings.
    pub(crate) async fn patch_api(
        &self,
        id: &str,
        patch: &SettingsPatch,
        etag: Option<&str>,
    ) -> Result<Ended, ArmError> {
        let what = format!("{} of API {id}", patch.fields().join(", "));
        let mut call = self.call(Method::PATCH, &["apis", id], &[], "api", what);
        call.body = Some(encode(&patch_body(patch)));
        call.if_match = Some(etag.unwrap_or(ANY).to_owned());
        self.run(&call).await
    }

    /// Deletes the API with all its revisions.
    pub(crate) async fn delete_api(&self, id: &str, etag: Option<&str>) -> Result<(), ArmError> {
        let mut call = self.call(
            Method::DELETE,
            &["apis", id],
            &[("deleteRevisions", "true")],
            "api",
            format!("API {id}"),
        );
        call.if_match = Some(etag.unwrap_or(ANY).to_owned());
        match self.run(&call).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes a policy document.
    pub(crate) async fn put_policy(
        &self,
        id: &str,
        of: PolicyOf<'_>,
        text: &PolicyText,
        etag: Option<&str>,
    ) -> Result<Ended, ArmError> {
        let mut call = self.policy_call(Method::PUT, id, of);
        call.body = Some(encode(&json!({
            "properties": { "format": "rawxml", "value": text.text }
        })));
        call.if_match = etag.map(str::to_owned);
        self.run(&call).await
    }

    /// Removes the policy document of an operation.
    pub(crate) async fn delete_operation_policy(
        &self,
        id: &str,
        operation: &str,
        etag: Option<&str>,
    ) -> Result<(), ArmError> {
        let mut call = self.policy_call(Method::DELETE, id, PolicyOf::Operation(operation));
        call.if_match = Some(etag.unwrap_or(ANY).to_owned());
        absent(self.run(&call).await).map(|_| ())
    }

    /// All pages of a list.
    async fn list<T: DeserializeOwned>(&self, mut call: Call) -> Result<Vec<T>, ArmError> {
        let mut all = Vec::new();
        loop {
            let answer = self.send(&call).await?;
            let page: Page<T> = answer.json(&call)?;
            all.extend(page.value);
            // The next page's URL passes the same check as every other.
            match page.next_link.and_then(|link| Url::parse(&link).ok()) {
                Some(next) if next != call.url => call.url = next,
                _ => return Ok(all),
            }
        }
    }
}

/// An answer, or none where what was called does not exist.
fn absent<T>(result: Result<T, ArmError>) -> Result<Option<T>, ArmError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn encode(body: &Value) -> Bytes {
    Bytes::from(body.to_string())
}

impl Answer {
    /// The entity's properties.
    pub(crate) fn properties<T: DeserializeOwned>(&self, call: &Call) -> Result<T, ArmError> {
        Ok(self.json::<Entity<T>>(call)?.properties)
    }
}
