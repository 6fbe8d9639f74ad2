//! What is written of APIs, their operations and policies.

use operator_core::apim::SettingsPatch;
use operator_core::desired::{DesiredApi, PolicyText};
use operator_core::names::ProductId;
use serde_json::json;

use crate::arm::{ArmClient, Repeat, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::lro::{Ended, Started};
use crate::models::{api_body, patch_body};
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
        api: &DesiredApi,
        etag: Option<&str>,
    ) -> Result<Started, ArmError> {
        let id = api.id.as_str();
        let what = format!("API {id} with its document");
        let mut call = self.call(WriteVerb::Put, &["apis", id], &[], "apiImport", what);
        call.body = Some(encode(&api_body(api, true)));
        call.if_match = Some(precondition(etag));
        // Imports sent again while the first still ran once kept an instance
        // busy for days.
        call.repeat = Repeat::OnlyUnsent;
        self.start(&call).await
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
