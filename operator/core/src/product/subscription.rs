//! From an `ApimSubscription` to the subscription that should exist.

use std::time::Duration;

use serde::Serialize;

use super::rotation;
use super::spec::{ApimSubscriptionSpec, ScopeSpec};
use crate::exposed_api::is_dns_subdomain;
use crate::instance::Instance;
use crate::mark;
use crate::names::{ApiId, ContentHash, ObjectKey, ProductId};
use crate::policy::{Grants, ReferenceKind};
use crate::problem::Problem;
use crate::products;

/// The longest display name (ARM specification 2024-05-01).
const MAX_DISPLAY_NAME: usize = 100;

/// A subscription that should exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredSubscription {
    /// `<prefix><namespace>.<name>`.
    pub id: ApiId,
    /// 1 to 100 characters.
    pub display_name: String,
    /// What its keys open.
    pub scope: Scope,
    /// Where its keys are written to.
    pub secret: String,
    /// Between two replacements of a key.
    #[serde(skip)]
    pub every: Option<Duration>,
}

/// What keys open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// A product.
    Product(ProductId),
    /// The API of an ExposedAPI of the same namespace, which must carry its
    /// mark.
    Exposed {
        /// The object.
        key: ObjectKey,
        /// The id that it has unless it asks for another.
        usual: ApiId,
    },
    /// An API that is granted.
    Api(ApiId),
}

impl DesiredSubscription {
    /// One hash for all that is written of it.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        ContentHash::of_json(self)
    }
}

/// The subscription of an object, or everything that is wrong with it.
pub fn subscription(
    spec: &ApimSubscriptionSpec,
    key: &ObjectKey,
    instance: &Instance,
    grants: &Grants,
) -> Result<DesiredSubscription, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: String| {
        problems.push(Problem::new(format!("spec.{field}"), message));
    };
    let display_name = spec.display_name.as_deref().unwrap_or(&key.name).trim();
    let display_name = match display_name.chars().count() {
        // A name of Kubernetes may be longer.
        length if length > MAX_DISPLAY_NAME && spec.display_name.is_none() => {
            display_name.chars().take(MAX_DISPLAY_NAME).collect()
        }
        1..=MAX_DISPLAY_NAME => display_name.to_owned(),
        _ => {
            wrong(
                "displayName",
                format!("has to have 1 to {MAX_DISPLAY_NAME} characters"),
            );
            String::new()
        }
    };
    if !is_dns_subdomain(&spec.secret_name) {
        wrong(
            "secretName",
            format!(
                "`{}` is not the name of a Secret: write lowercase letters, digits, `-` and `.`",
                crate::annotations::nearest::shown(&spec.secret_name)
            ),
        );
    }
    let every = spec.rotation.as_ref().map(|rule| {
        rotation::period(&rule.every).map_err(|message| wrong("rotation.every", message))
    });
    let scope = scope(&spec.scope, key, instance, grants)
        .map_err(|(field, message)| wrong(field, message))
        .ok();
    let id = mark::api_id(&instance.spec.api_id_prefix, key)
        .map_err(|error| wrong("metadata.name", error.to_string()))
        .ok();
    match (id, scope) {
        (Some(id), Some(scope)) if problems.is_empty() => Ok(DesiredSubscription {
            id,
            display_name,
            scope,
            secret: spec.secret_name.clone(),
            every: every.and_then(Result::ok),
        }),
        _ => Err(problems),
    }
}

fn scope(
    spec: &ScopeSpec,
    key: &ObjectKey,
    instance: &Instance,
    grants: &Grants,
) -> Result<Scope, (&'static str, String)> {
    let ungranted = |kind: &str, id: &str| {
        format!(
            "instance `{}` does not grant {kind} `{}` to namespace `{}`; name one of this namespace, or ask the \
             platform team for a grant of kind `{kind}`",
            instance.name,
            crate::annotations::nearest::shown(id),
            key.namespace
        )
    };
    let beside = |name: &String| {
        let other = key.beside(name.as_str());
        let id = mark::api_id(&instance.spec.api_id_prefix, &other);
        id.map(|id| (other, id)).map_err(|error| error.to_string())
    };
    match (&spec.product, &spec.product_id, &spec.api, &spec.api_id) {
        (Some(name), None, None, None) => {
            let at = "scope.product";
            let (_, id) = beside(name).map_err(|message| (at, message))?;
            let id = ProductId::parse(id.as_str());
            Ok(Scope::Product(id.map_err(|error| (at, error.to_string()))?))
        }
        (None, Some(id), None, None) => {
            let at = "scope.productId";
            let parsed = ProductId::parse(id).map_err(|error| (at, error.to_string()))?;
            if !products::may_use(id, instance, &key.namespace, grants) {
                return Err((at, ungranted("product", id)));
            }
            Ok(Scope::Product(parsed))
        }
        (None, None, Some(name), None) => {
            let (key, usual) = beside(name).map_err(|message| ("scope.api", message))?;
            Ok(Scope::Exposed { key, usual })
        }
        (None, None, None, Some(id)) => {
            let at = "scope.apiId";
            let parsed = ApiId::parse(id).map_err(|error| (at, error.to_string()))?;
            if !grants.allow(ReferenceKind::Api, Some(id)) {
                return Err((at, ungranted("api", id)));
            }
            Ok(Scope::Api(parsed))
        }
        _ => Err((
            "scope",
            "write exactly one of `product`, `productId`, `api` and `apiId`".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::instance::InstanceDefaults;
    use crate::names::InstanceName;
    use crate::product::desired::product;

    fn instance() -> Instance {
        let spec = json!({
            "subscriptionId": "s", "resourceGroup": "r", "serviceName": "a", "tenantId": "t", "clientId": "c",
            "grants": [
                {"namespaceSelector": {}, "kind": "product", "names": ["gold"]},
                {"namespaceSelector": {}, "kind": "api", "names": ["team.*"]},
                {"namespaceSelector": {}, "kind": "group", "names": ["partners"]},
            ],
        });
        let spec = serde_json::from_value(spec).unwrap();
        let name = InstanceName::parse("default").unwrap();
        Instance::new(name, spec, &InstanceDefaults::default()).unwrap()
    }

    fn read(spec: Value) -> Result<DesiredSubscription, Vec<String>> {
        let spec = serde_json::from_value(spec).unwrap();
        let instance = instance();
        let grants = instance.grants(&[].into());
        let key = ObjectKey::new("shop", "web");
        subscription(&spec, &key, &instance, &grants)
            .map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_scope_is_of_the_namespace_or_granted() {
        let scope =
            |scope: Value| read(json!({"scope": scope, "secretName": "keys"})).map(|it| it.scope);
        let id = |text: &str| ProductId::parse(text).unwrap();
        assert_eq!(
            scope(json!({"product": "silver"})),
            Ok(Scope::Product(id("shop.silver")))
        );
        assert_eq!(
            scope(json!({"productId": "gold"})),
            Ok(Scope::Product(id("gold")))
        );
        assert_eq!(
            scope(json!({"apiId": "team.orders"})),
            Ok(Scope::Api(ApiId::parse("team.orders").unwrap()))
        );
        let exposed = Scope::Exposed {
            key: ObjectKey::new("shop", "catalog"),
            usual: ApiId::parse("shop.catalog").unwrap(),
        };
        assert_eq!(scope(json!({"api": "catalog"})), Ok(exposed));
        for (asked, field) in [
            (json!({"productId": "silver"}), "spec.scope.productId"),
            (json!({"apiId": "other.orders"}), "spec.scope.apiId"),
            (json!({"product": "a/b"}), "spec.scope.product"),
            (json!({}), "spec.scope:"),
            (json!({"product": "a", "api": "b"}), "spec.scope:"),
        ] {
            let refused = scope(asked).unwrap_err();
            assert!(
                refused.len() == 1 && refused[0].starts_with(field),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let refused = read(json!({
            "scope": {}, "secretName": "Keys", "displayName": "", "rotation": {"every": "1m"},
        }));
        let fields: Vec<String> = refused
            .unwrap_err()
            .iter()
            .map(|text| text.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            fields,
            [
                "spec.displayName",
                "spec.secretName",
                "spec.rotation.every",
                "spec.scope"
            ]
        );
        let long = read(json!({
            "scope": {"product": "gold"}, "secretName": "keys", "displayName": "d".repeat(101),
        }));
        assert_eq!(
            long.unwrap_err(),
            ["spec.displayName: has to have 1 to 100 characters"]
        );
    }

    fn made(spec: Value, sku: &str) -> Result<Value, Vec<String>> {
        let spec = serde_json::from_value(spec).unwrap();
        let instance = instance();
        let grants = instance.grants(&[].into());
        let key = ObjectKey::new("shop", "gold");
        product(&spec, &key, &instance, sku, &grants, "0123456789")
            .map(|it| json!(it))
            .map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_product_that_says_nothing_is_published_and_needs_keys() {
        assert_eq!(
            made(json!({}), "Developer"),
            Ok(json!({
                "id": "shop.gold",
                "mark": "apim-operator/1 01234567 shop/gold",
                "settings": {
                    "displayName": "gold",
                    "description": "<!-- apim-operator/1 01234567 shop/gold -->",
                    "terms": "",
                    "subscriptionRequired": true,
                    "approvalRequired": false,
                    "subscriptionsLimit": null,
                    "published": true,
                },
                "groups": [],
            }))
        );
    }

    #[test]
    fn what_a_product_cannot_be_is_refused_by_its_field() {
        let fields = |spec: Value, sku: &str| -> Vec<String> {
            let refused = made(spec, sku).unwrap_err();
            let field = |text: &String| text.split(':').next().unwrap().to_owned();
            refused.iter().map(field).collect()
        };
        assert_eq!(
            fields(
                json!({
                    "displayName": " ", "description": "a <!-- b", "subscriptionRequired": false,
                    "approvalRequired": true, "subscriptionsLimit": 1, "groups": ["developers", "others", "Partners"],
                }),
                "Developer"
            ),
            [
                "spec.displayName",
                "spec.description",
                "spec.approvalRequired",
                "spec.subscriptionsLimit",
                "spec.groups[1]",
                "spec.groups[2]",
            ]
        );
        assert_eq!(
            made(json!({"description": "d".repeat(960)}), "Developer").unwrap_err(),
            [
                "spec.description: is too long: beside the operator's mark there is room for 956 characters"
            ]
        );
        assert!(made(json!({"description": "d".repeat(956)}), "Developer").is_ok());
        assert_eq!(
            fields(json!({"groups": ["developers"]}), "Consumption"),
            ["spec.groups[0]"]
        );
        assert!(
            made(
                json!({"groups": ["partners", "Administrators"]}),
                "Developer"
            )
            .is_ok()
        );
    }
}
