//! The operator's rights beyond `rbac.yaml`, as they are shipped.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::Stage;

/// A file of `deploy/`.
pub fn shipped(file: &str) -> Result<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("../../deploy").join(file);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The ClusterRole that a file of `deploy/` begins with.
pub fn role(file: &str) -> Result<Value> {
    let text = shipped(file)?;
    let first = text.split("\n---").next().unwrap_or_default();
    serde_saphyr::from_str(first).context("it is no YAML")
}

/// Gives the operator a ClusterRole in the namespace `shop`.
#[must_use]
pub fn bound_in_shop(role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": "shop"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "apim-operator", "namespace": "operators"}],
    })
}

impl Stage {
    /// Gives the operator the rights of a file of `deploy/`.
    pub async fn allow(&self, file: &str) -> Result<()> {
        test_harness::apply_yaml(&self.client, &shipped(file)?).await?;
        Ok(())
    }

    /// The rights for products and subscriptions, those to Secrets in `shop`.
    pub async fn allow_products(&self) -> Result<()> {
        self.allow("rbac-products.yaml").await?;
        self.apply(&bound_in_shop("apim-operator-subscriptions"))
            .await
    }

    /// The rights for gateways, those to objects in `shop`.
    pub async fn allow_gateways(&self) -> Result<()> {
        self.allow("rbac-gateways.yaml").await?;
        self.apply(&bound_in_shop("apim-operator-gateway-objects"))
            .await
    }
}
