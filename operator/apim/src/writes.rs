//! What is written of APIs, their operations and policies.

use operator_core::apim::SettingsPatch;
use operator_core::desired::{DesiredApi, PolicyText};
use operator_core::names::ProductId;
use operator_core::rollout;
use serde_json::json;

use crate::arm::{ArmClient, Repeat, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::lro::{Ended, Started};
use crate::models::{api_body, patch_body, revision_body};
use crate::reads::PolicyOf;

/// Matches whatever is there; where an ETag is asked for and none is known.
const ANY: &str = "*";

impl ArmClient {
    /// Makes the API without a document, so without operations.
    pub(crate) async fn create_api(&self, api: &DesiredApi) -> Result<Ended, ArmError> {
        let id = api.id.as_str();
        let what = format!("API {id} without operations");
        let mut call = self.call(WriteVerb::Put, &["apis", id], &[], "api", what);
        call.body = Some(encode(&api_body(api, false)));
        self.run(&call).await
    }

    /// Sends the document, with all settings, and does not wait until it is
    /// imported.
    pub(crate) async fn import_api(
        &self,
        id: &str,
        api: &DesiredApi,
        etag: Option<&str>,
    ) -> Result<Started, ArmError> {
        let what = format!("API {id} with its document");
        let mut call = self.call(WriteVerb::Put, &["apis", id], &[], "apiImport", what);
        call.body = Some(encode(&api_body(api, true)));
        call.if_match = Some(precondition(etag));
        // Imports sent again while the first still ran once kept an instance
        // busy for days.
        call.repeat = Repeat::OnlyUnsent;
        self.start(&call).await
    }

    /// Makes a revision as a copy of another, with its operations and policies.
    pub(crate) async fn start_revision(
        &self,
        api: &DesiredApi,
        path: &str,
        revision: u32,
        from: &str,
    ) -> Result<(), ArmError> {
        let id = format!("{};rev={revision}", api.id);
        let what = format!("revision {revision} of API {}", api.id);
        let mut call = self.call(WriteVerb::Put, &["apis", &id], &[], "api", what);
        let source = format!("{}/apis/{};rev={from}", self.service_ref().id(), api.id);
        call.body = Some(encode(&revision_body(api, path, &source)));
        self.run(&call).await.map(drop)
    }

    /// Makes a revision the one that callers reach.
    pub(crate) async fn release_revision(
        &self,
        api: &DesiredApi,
        revision: u32,
        release: &str,
    ) -> Result<(), ArmError> {
        let path = ["apis", api.id.as_str(), "releases", release];
        let what = format!("release {release} of API {}", api.id);
        let mut call = self.call(WriteVerb::Put, &path, &[], "apiRelease", what);
        call.body = Some(encode(&json!({ "properties": {
            "apiId": format!("{}/apis/{};rev={revision}", self.service_ref().id(), api.id),
            "notes": rollout::notes(api.mandatory),
        } })));
        self.run(&call).await.map(drop)
    }

    /// Deletes a revision that callers do not reach; one that is not there is
    /// fine.
    pub(crate) async fn drop_revision(&self, id: &str, etag: &str) -> Result<(), ArmError> {
        let what = format!("revision {id}");
        let mut call = self.call(WriteVerb::Delete, &["apis", id], &[], "api", what);
        call.if_match = Some(precondition(Some(etag)));
        absent(self.run(&call).await).map(drop)
    }

    /// Changes some settings.
    pub(crate) async fn patch_api(
        &self,
        id: &str,
        patch: &SettingsPatch,
        etag: Option<&str>,
    ) -> Result<Ended, ArmError> {
        let what = format!("{} of API {id}", patch.fields().join(", "));
        let mut call = self.call(WriteVerb::Patch, &["apis", id], &[], "api", what);
        call.body = Some(encode(&patch_body(patch)));
        call.if_match = Some(precondition(etag));
        self.run(&call).await
    }

    /// Puts a mark on an API that carries none of ours, if it is still as it was
    /// read: the one write to an API that is not the object's yet. Who calls it
    /// has seen that it may become that.
    pub async fn put_mark(&self, id: &str, mark: &str, etag: &str) -> Result<(), ArmError> {
        let _writer = self.lock_api(id).await;
        let patch = SettingsPatch {
            mark: Some(mark.to_owned()),
            ..SettingsPatch::default()
        };
        self.patch_api(id, &patch, Some(etag)).await.map(drop)
    }

    /// Deletes the API with all its revisions.
    pub(crate) async fn delete_api(&self, id: &str, etag: Option<&str>) -> Result<(), ArmError> {
        let mut call = self.call(
            WriteVerb::Delete,
            &["apis", id],
            &[("deleteRevisions", "true")],
            "api",
            format!("API {id}"),
        );
        call.if_match = Some(precondition(etag));
        absent(self.run(&call).await).map(|_| ())
    }

    /// Puts the API into a product, which must exist.
    pub(crate) async fn enter_product(
        &self,
        product: &ProductId,
        id: &str,
    ) -> Result<(), ArmError> {
        let _writer = self.lock_product(product).await;
        let path = ["products", product.as_str(), "apis", id];
        let what = format!("API {id} in product {product}");
        let call = self.call(WriteVerb::Put, &path, &[], "productApi", what);
        self.run(&call).await.map(drop).map_err(|mut error| {
            if let Some(missing) = &mut error.missing
                && missing.name.is_none()
            {
                missing.name = Some(product.to_string());
            }
            error
        })
    }

    /// Takes the API out of a product; one that is not in it, or a product that
    /// does not exist, is fine.
    pub(crate) async fn leave_product(
        &self,
        product: &ProductId,
        id: &str,
    ) -> Result<(), ArmError> {
        let _writer = self.lock_product(product).await;
        let path = ["products", product.as_str(), "apis", id];
        let what = format!("API {id} in product {product}");
        let call = self.call(WriteVerb::Delete, &path, &[], "productApi", what);
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
        let mut call = self.call(
            WriteVerb::Put,
            &of.segments(id),
            &[],
            of.kind(),
            of.what(id),
        );
        call.body = Some(encode(&json!({
            "properties": { "format": "rawxml", "value": text.text }
        })));
        call.if_match = etag.map(|etag| precondition(Some(etag)));
        self.run(&call).await
    }

    /// Removes the policy document of an operation.
    pub(crate) async fn delete_operation_policy(
        &self,
        id: &str,
        operation: &str,
        etag: Option<&str>,
    ) -> Result<(), ArmError> {
        let of = PolicyOf::Operation(operation);
        let mut call = self.call(
            WriteVerb::Delete,
            &of.segments(id),
            &[],
            of.kind(),
            of.what(id),
        );
        call.if_match = Some(precondition(etag));
        absent(self.run(&call).await).map(|_| ())
    }
}

/// What a write names as the state that it replaces.
fn precondition(etag: Option<&str>) -> String {
    #[cfg(feature = "defects")]
    if crate::defects::is_on(crate::defects::Defect::WritesBlindly) {
        return ANY.to_owned();
    }
    etag.unwrap_or(ANY).to_owned()
}
