//! The tags of an API: those of the platform by grant, and those of its
//! namespace.

use crate::annotations::path;
use crate::apim::{DesiredPart, DesiredParts, PartId};
use crate::instance::Instance;
use crate::names::TagId;
use crate::policy::{Grants, ReferenceKind};
use crate::problem::Problem;
use crate::products::own_prefix;
use serde_json::Value;

/// The tags that an object asks for. One that is granted is the platform's and
/// must exist. Any other is the namespace's own, `<prefix><namespace>.<name>`:
/// it is made for the first API that has it and goes with the last, and bears
/// the name alone in the portal.
pub fn desired(
    names: &[TagId],
    namespace: &str,
    instance: &Instance,
    grants: &Grants,
) -> Result<DesiredParts, Vec<Problem>> {
    let mut parts = DesiredParts::new();
    let mut problems = Vec::new();
    for name in names {
        let granted = grants.allow(ReferenceKind::Tag, Some(name.as_str()));
        let own = || TagId::parse(&format!("{}{name}", own_prefix(instance, namespace)));
        match if granted { Ok(name.clone()) } else { own() } {
            Ok(id) => {
                let part = DesiredPart {
                    content: Value::Null,
                    made_as: (!granted).then(|| name.to_string()),
                };
                parts.insert(PartId::Tag(id), part);
            }
            Err(error) => problems.push(Problem::new(
                path("tags"),
                format!("makes a tag whose id is too long: {error}; write a shorter name"),
            )),
        }
    }
    if problems.is_empty() {
        Ok(parts)
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::instance::InstanceDefaults;
    use crate::names::InstanceName;

    #[test]
    fn a_granted_tag_is_the_platforms_and_any_other_the_namespaces_own() {
        let spec = json!({
            "subscriptionId": "s", "resourceGroup": "r", "serviceName": "a", "tenantId": "t", "clientId": "c",
            "apiIdPrefix": "dev-",
            "grants": [{"namespaceSelector": {}, "kind": "tag", "names": ["public"]}],
        });
        let spec = serde_json::from_value(spec).unwrap();
        let name = InstanceName::parse("default").unwrap();
        let instance = Instance::new(name, spec, &InstanceDefaults::default()).unwrap();
        let grants = instance.grants(&[].into());
        let tags = |names: &[&str]| {
            let names: Vec<TagId> = names.iter().map(|n| TagId::parse(n).unwrap()).collect();
            desired(&names, "shop", &instance, &grants)
        };
        let made: Vec<(String, Option<String>)> = tags(&["public", "Orders"])
            .unwrap()
            .into_iter()
            .map(|(id, part)| (id.to_string(), part.made_as))
            .collect();
        assert_eq!(
            made,
            [
                ("tags/dev-shop.Orders".to_owned(), Some("Orders".to_owned())),
                ("tags/public".to_owned(), None),
            ]
        );
        let long = "x".repeat(72);
        let refused = tags(&[&long]).unwrap_err();
        assert!(
            refused[0].to_string().starts_with(
                "metadata.annotations[apim.oda.tmforum.org/tags]: makes a tag whose id is too long: `dev-shop."
            ),
            "{}",
            refused[0]
        );
    }
}
