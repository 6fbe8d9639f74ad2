//! Products: what is read and written of them, and what is in them.

use operator_core::apim::ObservedPolicy;
use operator_core::desired::PolicyText;
use operator_core::names::ProductId;
use operator_core::product::{
    DesiredProduct, ObservedProduct, ProductSettings, ProductStep, Refused, Use, released, steps,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arm::{ArmClient, ArmReader, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::models::{Entity, Named, PolicyProperties};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    display_name: Option<String>,
    description: Option<String>,
    terms: Option<String>,
    subscription_required: Option<bool>,
    approval_required: Option<bool>,
    subscriptions_limit: Option<u32>,
    state: Option<String>,
}

impl From<Properties> for ProductSettings {
    fn from(body: Properties) -> Self {
        // The service's default, where it says nothing.
        let subscription_required = body.subscription_required.unwrap_or(true);
        Self {
            display_name: body.display_name.unwrap_or_default(),
            description: body.description.unwrap_or_default(),
            terms: body.terms.unwrap_or_default(),
            subscription_required,
            approval_required: subscription_required
                .then(|| body.approval_required.unwrap_or_default()),
            subscriptions_limit: body.subscriptions_limit,
            published: body.state.as_deref() == Some("published"),
        }
    }
}

fn body(settings: &ProductSettings) -> Value {
    let terms = (!settings.terms.is_empty()).then_some(&settings.terms);
    json!({ "properties": {
        "displayName": settings.display_name,
        "description": settings.description,
        "terms": terms,
        "subscriptionRequired": settings.subscription_required,
        "approvalRequired": settings.approval_required,
        "subscriptionsLimit": settings.subscriptions_limit,
        "state": if settings.published { "published" } else { "notPublished" },
    }})
}

/// Why a product is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProductError {
    /// It is somebody else's.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A call failed.
    #[error(transparent)]
    Arm(#[from] ArmError),
}

/// What a deletion found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletedProduct {
    /// It is gone, or was.
    Gone,
    /// It is somebody else's, and was left alone.
    NotOurs,
    /// Others use it, so it stays for now.
    InUse(Use),
}

impl ArmReader {
    /// A product without its groups, or none.
    async fn bare_product(&self, id: &ProductId) -> Result<Option<ObservedProduct>, ArmError> {
        let path = ["products", id.as_str()];
        let call = self.get(&path, &[], "product", format!("product {id}"));
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let entity: Entity<Properties> = answer.json(&call.name())?;
        Ok(Some(ObservedProduct {
            etag: answer.etag(),
            settings: entity.properties.into(),
            groups: [].into(),
            policy: None,
        }))
    }

    /// The policy document of a product, or none.
    async fn product_policy(&self, id: &ProductId) -> Result<Option<ObservedPolicy>, ArmError> {
        let path = ["products", id.as_str(), "policies", "policy"];
        let what = format!("policy of product {id}");
        let call = self.get(&path, &[("format", "rawxml")], "productPolicy", what);
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let etag = answer.etag();
        let entity: Entity<PolicyProperties> = answer.json(&call.name())?;
        Ok(Some(ObservedPolicy {
            text: entity.properties.value,
            etag,
        }))
    }

    /// A product, or none. `groups`: whether the tier has groups.
    pub async fn product(
        &self,
        id: &ProductId,
        groups: bool,
    ) -> Result<Option<ObservedProduct>, ArmError> {
        let Some(mut product) = self.bare_product(id).await? else {
            return Ok(None);
        };
        if groups {
            let all = self.names_in(id, "groups", "productGroups").await?;
            product.groups = all.iter().map(|name| name.to_ascii_lowercase()).collect();
        }
        product.policy = self.product_policy(id).await?;
        Ok(Some(product))
    }

    /// Whether who subscribes to a product must wait until somebody approves;
    /// none where there is no such product.
    pub async fn needs_approval(&self, id: &ProductId) -> Result<Option<bool>, ArmError> {
        let product = self.bare_product(id).await?;
        Ok(product.map(|product| product.settings.approval_required == Some(true)))
    }

    async fn names_in(
        &self,
        id: &ProductId,
        list: &'static str,
        kind: &'static str,
    ) -> Result<Vec<String>, ArmError> {
        let what = format!("{list} of product {id}");
        let call = self.get(&["products", id.as_str(), list], &[], kind, what);
        self.pages::<Named, String>(call).all().await
    }

    /// Who uses a product.
    pub async fn product_use(&self, id: &ProductId) -> Result<Use, ArmError> {
        Ok(Use {
            apis: self.names_in(id, "apis", "productApis").await?,
            subscriptions: self
                .names_in(id, "subscriptions", "productSubscriptions")
                .await?,
        })
    }
}

impl ArmClient {
    /// Brings a product to what it should be, and answers how many writes that
    /// took. It is read before, always; one of somebody else is left alone.
    pub async fn apply_product(
        &self,
        desired: &DesiredProduct,
        groups: bool,
    ) -> Result<u32, ProductError> {
        let id = &desired.id;
        let _writer = self.lock_product(id).await;
        let found = self.reader().product(id, groups).await?;
        let mut etag = found.as_ref().and_then(|found| found.etag.clone());
        let steps = steps(desired, found.as_ref())?;
        let mut writes = 0;
        for step in steps {
            match step {
                ProductStep::Create(settings) => {
                    etag = self.put_product(id, &settings, None).await?;
                }
                ProductStep::Change(settings) => {
                    etag = self.put_product(id, &settings, etag.as_deref()).await?;
                }
                ProductStep::PutPolicy(text) => {
                    self.put_product_policy(id, &text).await?;
                }
                ProductStep::DeletePolicy => self.delete_product_policy(id).await?,
                ProductStep::EnterGroup(group) => {
                    self.product_group(WriteVerb::Put, id, &group).await?;
                }
                ProductStep::LeaveGroup(group) => {
                    self.product_group(WriteVerb::Delete, id, &group).await?;
                }
            }
            writes += 1;
        }
        Ok(writes)
    }

    /// Deletes a product that carries the mark and that nobody uses. It is read
    /// before, always.
    pub async fn delete_product(
        &self,
        id: &ProductId,
        mark: &str,
    ) -> Result<DeletedProduct, ArmError> {
        let _writer = self.lock_product(id).await;
        let found = match self.reader().bare_product(id).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(DeletedProduct::Gone),
            Err(error) if error.is_service_absent() => return Ok(DeletedProduct::Gone),
            Err(error) => return Err(error),
        };
        if !found.carries(mark) {
            return Ok(DeletedProduct::NotOurs);
        }
        let used = self.reader().product_use(id).await?;
        if !used.is_none() {
            return Ok(DeletedProduct::InUse(used));
        }
        let path = ["products", id.as_str()];
        // Without `deleteSubscriptions`: one that was made in between keeps it.
        let mut call = self.call(
            WriteVerb::Delete,
            &path,
            &[],
            "product",
            format!("product {id}"),
        );
        call.if_match = Some(found.etag.unwrap_or_else(|| "*".to_owned()));
        absent(self.run(&call).await)?;
        Ok(DeletedProduct::Gone)
    }

    /// Takes the mark off a product that stays behind.
    pub async fn release_product(&self, id: &ProductId, mark: &str) -> Result<(), ArmError> {
        let _writer = self.lock_product(id).await;
        let found = match self.reader().bare_product(id).await {
            Ok(Some(found)) if found.carries(mark) => found,
            Ok(_) => return Ok(()),
            Err(error) if error.is_service_absent() => return Ok(()),
            Err(error) => return Err(error),
        };
        let settings = ProductSettings {
            description: released(&found),
            ..found.settings
        };
        self.put_product(id, &settings, found.etag.as_deref())
            .await
            .map(drop)
    }

    async fn put_product(
        &self,
        id: &ProductId,
        settings: &ProductSettings,
        etag: Option<&str>,
    ) -> Result<Option<String>, ArmError> {
        let path = ["products", id.as_str()];
        let mut call = self.call(
            WriteVerb::Put,
            &path,
            &[],
            "product",
            format!("product {id}"),
        );
        call.body = Some(encode(&body(settings)));
        call.if_match = etag.map(str::to_owned);
        Ok(self.run(&call).await?.etag())
    }

    async fn put_product_policy(&self, id: &ProductId, text: &PolicyText) -> Result<(), ArmError> {
        let path = ["products", id.as_str(), "policies", "policy"];
        let what = format!("policy of product {id}");
        let mut call = self.call(WriteVerb::Put, &path, &[], "productPolicy", what);
        call.body = Some(encode(&json!({
            "properties": { "format": "rawxml", "value": text.text }
        })));
        self.run(&call).await.map(drop)
    }

    async fn delete_product_policy(&self, id: &ProductId) -> Result<(), ArmError> {
        let path = ["products", id.as_str(), "policies", "policy"];
        let what = format!("policy of product {id}");
        let mut call = self.call(WriteVerb::Delete, &path, &[], "productPolicy", what);
        call.if_match = Some("*".to_owned());
        absent(self.run(&call).await).map(drop)
    }

    async fn product_group(
        &self,
        verb: WriteVerb,
        id: &ProductId,
        group: &str,
    ) -> Result<(), ArmError> {
        let path = ["products", id.as_str(), "groups", group];
        let what = format!("group {group} of product {id}");
        let call = self.call(verb, &path, &[], "productGroup", what);
        self.run(&call).await.map(drop)
    }
}
