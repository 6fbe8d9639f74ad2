//! What an instance lets API owners annotate.

use super::{Annotations, path};
use crate::instance::Instance;
use crate::instance::pattern::{any_matches, display};
use crate::names::ObjectKey;
use crate::problem::Problem;

/// Whether the instance lets owners set an annotation, or the field of the spec
/// that means the same; if not, what to say.
pub(crate) fn refused(instance: &Instance, annotation: &str) -> Option<String> {
    // The operator's own note to itself.
    if annotation == "applied" || any_matches(&instance.owner_may, annotation) {
        return None;
    }
    Some(format!(
        "instance `{}` does not let API owners set `{annotation}`; it lets them set {}. Remove it, or ask the \
         platform team to add it to `ownerMay`",
        instance.name,
        display(&instance.owner_may)
    ))
}

impl Annotations {
    /// Every annotation that the instance does not let owners set, or not to
    /// this value.
    #[must_use]
    pub fn forbidden(&self, key: &ObjectKey, instance: &Instance) -> Vec<Problem> {
        let mut problems = Vec::new();
        for annotation in &self.keys {
            if let Some(message) = refused(instance, annotation) {
                problems.push(Problem::new(path(annotation), message));
            }
        }
        for operation in &self.operation_plugins {
            let profiles = (!operation.profiles.is_empty()).then_some("profiles");
            if let Some(message) = profiles.and_then(|key| refused(instance, key)) {
                problems.push(Problem::new(operation.path("/profiles"), message));
            }
            for name in operation.configs.keys() {
                if let Some(message) = refused(instance, &format!("plugin.{name}")) {
                    let at = operation.path(&format!("/config/{name}"));
                    problems.push(Problem::new(at, message));
                }
            }
        }
        problems.extend(self.foreign_api_id(key, instance));
        problems.extend(self.foreign_host(instance));
        for annotation in self.ingress_annotations.keys() {
            if !any_matches(&instance.allow.ingress_annotations, annotation) {
                problems.push(Problem::new(
                    path("ingress-annotations"),
                    format!(
                        "instance `{}` does not let API owners set the Ingress annotation `{annotation}`; \
                         allowed: {} (`allow.ingressAnnotations`)",
                        instance.name,
                        display(&instance.allow.ingress_annotations)
                    ),
                ));
            }
        }
        problems
    }

    fn foreign_api_id(&self, key: &ObjectKey, instance: &Instance) -> Option<Problem> {
        let id = self.api_id.as_ref()?;
        let own = format!("{}{}.", instance.spec.api_id_prefix, key.namespace);
        if id.as_str().starts_with(&own) || any_matches(&instance.allow.api_ids, id.as_str()) {
            return None;
        }
        Some(Problem::new(
            path("api-id"),
            format!(
                "`{id}` does not begin with `{own}`, and instance `{}` allows no other id like it; \
                 allowed: {} (`allow.apiIds`)",
                instance.name,
                display(&instance.allow.api_ids)
            ),
        ))
    }

    fn foreign_host(&self, instance: &Instance) -> Option<Problem> {
        let host = self.ingress_host.as_ref()?;
        (!any_matches(&instance.allow.hosts, host)).then(|| {
            Problem::new(
                path("ingress-host"),
                format!(
                    "instance `{}` does not let API owners use host `{host}`; allowed: {} (`allow.hosts`)",
                    instance.name,
                    display(&instance.allow.hosts)
                ),
            )
        })
    }
}
