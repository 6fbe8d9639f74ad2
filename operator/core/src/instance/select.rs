//! Which instance an object goes to.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::Instance;
use crate::annotations::nearest::{did_you_mean, listed};
use crate::names::{InstanceName, PREFIX};
use crate::problem::Problem;

/// The name that wins where several instances serve a namespace.
pub(super) const DEFAULT: &str = "default";

/// The instance for an object: the one that its annotation names, else of
/// those that serve its namespace the one named `default`, else the only one.
pub fn select_instance<'a, I: Borrow<Instance>>(
    instances: &'a [I],
    namespace: &str,
    namespace_labels: &BTreeMap<String, String>,
    annotation: Option<&InstanceName>,
) -> Result<&'a I, Problem> {
    let path = format!("metadata.annotations[{PREFIX}instance]");
    let serving: Vec<&I> = instances
        .iter()
        .filter(|i| (*i).borrow().serves(namespace_labels))
        .collect();
    let names = || serving.iter().map(|i| (**i).borrow().name.as_str());
    if let Some(asked) = annotation {
        if let Some(found) = serving.iter().find(|i| (**i).borrow().name == *asked) {
            return Ok(found);
        }
        let exists = instances.iter().any(|i| i.borrow().name == *asked);
        return Err(Problem::new(
            path,
            if exists {
                format!(
                    "instance `{asked}` does not serve namespace `{namespace}`; those that do: {}. \
                     Name one of them, or ask the platform team to extend its `namespaceSelector`",
                    listed(names())
                )
            } else {
                let hint = did_you_mean(asked.as_str(), names());
                format!(
                    "there is no instance `{asked}`{}; those that serve namespace `{namespace}`: {}",
                    hint.trim_end_matches('?'),
                    listed(names())
                )
            },
        ));
    }
    let default = serving
        .iter()
        .find(|i| (**i).borrow().name.as_str() == DEFAULT);
    match (default, serving.as_slice()) {
        (Some(found), _) | (None, [found]) => Ok(found),
        (None, []) if instances.is_empty() => Err(Problem::new(
            "metadata.namespace",
            "there is no API Management instance: create an ApimInstance, or set `KEY_VAULT_NAME` for the \
             operator",
        )),
        (None, []) => Err(Problem::new(
            "metadata.namespace",
            format!(
                "no API Management instance serves namespace `{namespace}`: ask the platform team to extend \
                 the `namespaceSelector` of one of {}",
                listed(instances.iter().map(|i| i.borrow().name.as_str()))
            ),
        )),
        (None, [..]) => Err(Problem::new(
            path,
            format!(
                "several instances serve namespace `{namespace}` and none is named `{DEFAULT}`: name one of {}",
                listed(names())
            ),
        )),
    }
}
