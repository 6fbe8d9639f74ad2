//! Which products an object may put its API in.

use crate::annotations::path;
use crate::instance::Instance;
use crate::names::{ObjectKey, ProductId};
use crate::policy::{Grants, ReferenceKind};
use crate::problem::Problem;

/// The id that products of a namespace begin with, which need no grant.
#[must_use]
pub fn own_prefix(instance: &Instance, namespace: &str) -> String {
    format!("{}{namespace}.", instance.spec.api_id_prefix)
}

/// Whether a product is the namespace's own, or granted to it. Ids are compared
/// without case, as API Management does.
#[must_use]
pub fn may_use(product: &str, instance: &Instance, namespace: &str, grants: &Grants) -> bool {
    let own = own_prefix(instance, namespace).to_ascii_lowercase();
    let rest = product.to_ascii_lowercase();
    rest.strip_prefix(&own).is_some_and(|rest| !rest.is_empty())
        || grants.allow(ReferenceKind::Product, Some(product))
}

/// A problem for each product of an annotation that is not granted.
#[must_use]
pub fn forbidden(
    products: &[ProductId],
    key: &ObjectKey,
    instance: &Instance,
    grants: &Grants,
) -> Vec<Problem> {
    products
        .iter()
        .filter(|product| !may_use(product.as_str(), instance, &key.namespace, grants))
        .map(|product| {
            Problem::new(
                path("products"),
                format!(
                    "instance `{}` does not grant product `{product}` to namespace `{}`; name a product of the \
                     namespace (`{}…`), or ask the platform team for a grant of kind `product`",
                    instance.name,
                    key.namespace,
                    own_prefix(instance, &key.namespace)
                ),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::instance::InstanceDefaults;
    use crate::names::InstanceName;

    fn instance() -> Instance {
        let spec = json!({
            "subscriptionId": "s", "resourceGroup": "r", "serviceName": "a", "tenantId": "t", "clientId": "c",
            "apiIdPrefix": "dev-",
            "grants": [{"namespaceSelector": {}, "kind": "product", "names": ["gold", "partner-*"]}],
        });
        let spec = serde_json::from_value(spec).unwrap();
        let name = InstanceName::parse("default").unwrap();
        Instance::new(name, spec, &InstanceDefaults::default()).unwrap()
    }

    #[test]
    fn a_product_is_the_namespaces_own_or_granted() {
        let instance = instance();
        let grants = instance.grants(&[].into());
        let may = |product: &str| may_use(product, &instance, "shop", &grants);
        for product in ["gold", "partner-a", "dev-shop.gold", "DEV-Shop.gold"] {
            assert!(may(product), "{product}");
        }
        for product in [
            "silver",
            "dev-shop.",
            "dev-shop-b.gold",
            "dev-other.gold",
            "shop.gold",
        ] {
            assert!(!may(product), "{product}");
        }
    }

    #[test]
    fn a_refusal_names_the_product_and_the_way_out() {
        let instance = instance();
        let grants = instance.grants(&[].into());
        let asked = ["gold", "silver"].map(|id| ProductId::parse(id).unwrap());
        let key = ObjectKey::new("shop", "catalog");
        let found = forbidden(&asked, &key, &instance, &grants);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "metadata.annotations[apim.oda.tmforum.org/products]: instance `default` does not grant product \
                 `silver` to namespace `shop`; name a product of the namespace (`dev-shop.…`), or ask the platform \
                 team for a grant of kind `product`"
            ]
        );
    }
}
