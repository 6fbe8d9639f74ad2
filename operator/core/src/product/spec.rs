//! What owners write in an `ApimProduct` and an `ApimSubscription`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::policy::any_object;

/// A product: several APIs that are subscribed to as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApimProductSpec {
    /// The ApimInstance; absent: of those that serve the namespace, the one
    /// named `default`, else the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its name in the developer portal; absent: the object's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What it is, for the developer portal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The terms that who subscribes in the developer portal must accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// Whether its APIs need a key. Without, whoever reaches the gateway can
    /// call every API that is in the product.
    pub subscription_required: bool,
    /// Whether somebody must approve a subscription before its keys open
    /// anything. Only where a subscription is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_required: Option<bool>,
    /// How many subscriptions one user may have; absent: any number. Only where
    /// a subscription is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriptions_limit: Option<u32>,
    /// The groups that see it in the developer portal, beside the
    /// administrators: `developers`, `guests`, or one that is granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The plugins that make its policy, which holds for all of its APIs when
    /// they are called through it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<ProductPluginSpec>,
    /// Whether its keys open its APIs, and its groups see it.
    pub published: bool,
}

/// A plugin of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductPluginSpec {
    /// Its name.
    pub name: String,
    /// Its config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub config: Option<Value>,
}

impl Default for ApimProductSpec {
    fn default() -> Self {
        Self {
            instance: None,
            display_name: None,
            description: None,
            terms: None,
            subscription_required: true,
            approval_required: None,
            subscriptions_limit: None,
            groups: Vec::new(),
            plugins: Vec::new(),
            published: true,
        }
    }
}

/// A subscription: two keys, either of which opens a product or an API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApimSubscriptionSpec {
    /// The ApimInstance; absent: of those that serve the namespace, the one
    /// named `default`, else the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its name in the developer portal; absent: the object's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What its keys open.
    pub scope: ScopeSpec,
    /// The Secret that the keys are written to, which must not exist yet.
    pub secret_name: String,
    /// When keys are replaced; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationSpec>,
}

/// What the keys of a subscription open; exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScopeSpec {
    /// An ApimProduct of this namespace, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// A product that is granted, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// An ExposedAPI of this namespace, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// An API that is granted, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_id: Option<String>,
}

/// When keys are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RotationSpec {
    /// Between two replacements, such as `720h`. Each time the older key is
    /// replaced and becomes the one to use; the other stays valid until the
    /// next time.
    pub every: String,
}
