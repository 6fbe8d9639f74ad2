//! The context documents that plugins are given.
//!
//! Their JSON Schema is published in `wit/schemas/`. Fields may be added within
//! interface 1.x, never changed or removed.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::chain::ChainedPlugin;
use crate::desired::Desired;
use crate::documents::{self, Documents};
use crate::exposed_api::is_url;
use crate::validate::ValidatedApi;

/// The version of the interface that the documents follow.
pub const INTERFACE: &str = "1.0";

/// The context of one call of `generate`; none for an API that is not
/// published in API Management.
#[must_use]
pub fn generate(api: &ValidatedApi, desired: &Desired, plugin: &ChainedPlugin) -> Option<Value> {
    generate_with(api, desired, plugin, &Documents::none())
}

/// The context of one call of `generate`, with the texts of what
/// [`documents::wanted`] lists for the plugin.
#[must_use]
pub fn generate_with(
    api: &ValidatedApi,
    desired: &Desired,
    plugin: &ChainedPlugin,
    documents: &Documents,
) -> Option<Value> {
    let (instance, facts) = api.instance_with_context()?;
    let published = desired.api.as_ref()?;
    let object = api.api();
    let mut context = json!({
        "interface": INTERFACE,
        "api": {
            "name": object.key.name,
            "namespace": object.key.namespace,
            "labels": object.labels,
            "path": object.path.to_string(),
            "apiType": object.api_type.as_str(),
            "segment": object.segment,
            "dialect": object.dialect,
            "backendUrl": published.service_url,
            "subscriptionRequired": object.subscription.required,
            "operations": published.document.operations,
            "spec": without_document(&object.spec),
        },
        "instance": {
            "name": instance.name,
            "sku": facts.sku,
            "gatewayUrl": facts.gateway_url,
            "tenantId": instance.spec.tenant_id,
            "clientId": instance.spec.client_id,
            "openidConfigurationUrl": instance.openid_configuration_url(),
            "audiences": instance.audiences(),
            "loginHost": instance.login_host(),
        },
        "operation": plugin.operation.as_ref().map(|id| json!({"id": id})),
    });
    // What most plugins have not.
    let granted = plugin
        .governance
        .as_ref()
        .map(|governance| documents::granted(&governance.capabilities));
    if let Some(granted) = granted.filter(|granted| !granted.is_empty()) {
        context["capabilities"] = json!(granted);
    }
    if let Some(template) = documents.template() {
        context["template"] = json!(template);
    }
    let texts: Map<String, Value> = documents
        .of_config()
        .map(|(pointer, text)| (pointer.to_owned(), json!(text)))
        .collect();
    if !texts.is_empty() {
        context["documents"] = Value::Object(texts);
    }
    Some(context)
}

/// The spec without a document that stands in it: that may have megabytes, and
/// what plugins need of it is in `operations`.
fn without_document(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Value::Object(fields) = &mut spec {
        let inline = fields
            .get("specification")
            .is_some_and(|value| match value {
                Value::String(text) => !is_url(text.trim()),
                Value::Object(object) => !object.contains_key("url"),
                _ => false,
            });
        if inline {
            fields.shift_remove("specification");
        }
    }
    spec
}
