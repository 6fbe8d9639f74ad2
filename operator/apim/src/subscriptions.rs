//! Subscriptions and their keys, which leave this crate only as [`Secret`]s.

use operator_core::product::rotation::Slot;
use serde::Deserialize;
use serde_json::json;

use crate::arm::{ArmClient, ArmReader, Repeat, WriteVerb, absent, encode};
use crate::error::ArmError;
use crate::models::Entity;
use crate::secret::Secret;

/// A subscription as it is, without its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSubscription {
    /// For `If-Match`.
    pub etag: Option<String>,
    /// What its keys open, below the service: `/products/x`, `/apis/x`.
    pub scope: String,
    /// Its name in the portal.
    pub display_name: String,
    /// `active`, `submitted`, `suspended`, `rejected`, `cancelled`, `expired`.
    pub state: String,
}

/// The two keys of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// `primaryKey`.
    pub primary: Secret<String>,
    /// `secondaryKey`.
    pub secondary: Secret<String>,
}

impl Keys {
    /// One of them.
    #[must_use]
    pub const fn of(&self, slot: Slot) -> &Secret<String> {
        match slot {
            Slot::Primary => &self.primary,
            Slot::Secondary => &self.secondary,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    scope: Option<String>,
    display_name: Option<String>,
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeysBody {
    primary_key: String,
    secondary_key: String,
}

/// The end of a scope that is a full id.
fn short(scope: &str) -> String {
    let mut parts = scope.rsplitn(3, '/');
    match (parts.next(), parts.next()) {
        (Some(id), Some(kind @ ("products" | "apis"))) => format!("/{kind}/{id}"),
        _ => scope.to_owned(),
    }
}

impl ArmReader {
    /// A subscription, or none.
    pub async fn subscription(&self, id: &str) -> Result<Option<ObservedSubscription>, ArmError> {
        let path = ["subscriptions", id];
        let call = self.get(&path, &[], "subscription", format!("subscription {id}"));
        let Some(answer) = absent(self.read(&call).await)? else {
            return Ok(None);
        };
        let entity: Entity<Properties> = answer.json(&call.name())?;
        let body = entity.properties;
        Ok(Some(ObservedSubscription {
            etag: answer.etag(),
            scope: short(&body.scope.unwrap_or_default()),
            display_name: body.display_name.unwrap_or_default(),
            state: body.state.unwrap_or_default(),
        }))
    }
}

impl ArmClient {
    /// Makes a subscription. `submitted`: somebody must approve it before its
    /// keys open anything. The answer, which holds keys, is not looked at.
    pub async fn create_subscription(
        &self,
        id: &str,
        scope: &str,
        display_name: &str,
        submitted: bool,
    ) -> Result<(), ArmError> {
        let _writer = self.lock_subscription(id).await;
        let path = ["subscriptions", id];
        let what = format!("subscription {id}");
        let mut call = self.call(WriteVerb::Put, &path, &[], "subscription", what);
        call.body = Some(encode(&json!({ "properties": {
            "scope": scope,
            "displayName": display_name,
            "state": if submitted { "submitted" } else { "active" },
        }})));
        self.run(&call).await.map(drop)
    }

    /// Changes scope and name of a subscription; its state and its keys stay.
    pub async fn change_subscription(
        &self,
        id: &str,
        scope: &str,
        display_name: &str,
        etag: Option<&str>,
    ) -> Result<(), ArmError> {
        let _writer = self.lock_subscription(id).await;
        let path = ["subscriptions", id];
        let what = format!("subscription {id}");
        let mut call = self.call(WriteVerb::Patch, &path, &[], "subscription", what);
        call.body = Some(encode(&json!({ "properties": {
            "scope": scope,
            "displayName": display_name,
        }})));
        call.if_match = Some(etag.unwrap_or("*").to_owned());
        self.run(&call).await.map(drop)
    }

    /// Deletes a subscription; one that is gone is fine.
    pub async fn delete_subscription(&self, id: &str) -> Result<(), ArmError> {
        let _writer = self.lock_subscription(id).await;
        let path = ["subscriptions", id];
        let what = format!("subscription {id}");
        let mut call = self.call(WriteVerb::Delete, &path, &[], "subscription", what);
        call.if_match = Some("*".to_owned());
        match self.run(&call).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_absent() || error.is_service_absent() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The keys of a subscription; none where there is no such subscription.
    pub async fn keys(&self, id: &str) -> Result<Option<Keys>, ArmError> {
        let path = ["subscriptions", id, "listSecrets"];
        let what = format!("keys of subscription {id}");
        let call = self.call(WriteVerb::Post, &path, &[], "subscriptionKeys", what);
        let Some(answer) = absent(self.write(&call).await)? else {
            return Ok(None);
        };
        let body: KeysBody = answer.secret_json(&call.name())?;
        Ok(Some(Keys {
            primary: body.primary_key.into(),
            secondary: body.secondary_key.into(),
        }))
    }

    /// Replaces one key of a subscription.
    pub async fn regenerate_key(&self, id: &str, slot: Slot) -> Result<(), ArmError> {
        let _writer = self.lock_subscription(id).await;
        let action = match slot {
            Slot::Primary => "regeneratePrimaryKey",
            Slot::Secondary => "regenerateSecondaryKey",
        };
        let path = ["subscriptions", id, action];
        let what = format!("{} of subscription {id}", slot.key());
        let mut call = self.call(WriteVerb::Post, &path, &[], "subscriptionKeys", what);
        call.repeat = Repeat::OnlyUnsent;
        self.run(&call).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_told_as_it_is_sent() {
        let base = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/a";
        assert_eq!(short(&format!("{base}/products/gold")), "/products/gold");
        assert_eq!(short("/apis/shop.catalog"), "/apis/shop.catalog");
        assert_eq!(short(&format!("{base}/apis")), format!("{base}/apis"));
    }

    #[test]
    fn keys_show_nothing_of_themselves() {
        let keys = Keys {
            primary: "first".to_owned().into(),
            secondary: "second".to_owned().into(),
        };
        assert_eq!(
            format!("{keys:?}"),
            "Keys { primary: Secret(…), secondary: Secret(…) }"
        );
        assert_eq!(keys.of(Slot::Secondary).expose(), "second");
    }
}
