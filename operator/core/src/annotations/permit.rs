//! What an instance lets API owners annotate.

use super::{Annotations, path};
use crate::instance::Instance;
use crate::instance::pattern::{any_matches, display};
use crate::names::ObjectKey;
use crate::problem::Problem;

impl Annotations {
    /// Every annotation that the instance does not let owners set, or not to
    /// this value.
    #[must_use]
    pub fn forbidden(&self, key: &ObjectKey, instance: &Instance) -> Vec<Problem> {
        let mut problems = Vec::new();
        let allowed = |annotation: &str| {
            // The operator's own note to itself.
            annotation == "applied" || any_matches(&instance.owner_may, annotation)
        };
        let refused = |annotation: &str| {
            format!(
                "instance `{}` does not let API owners set `{annotation}`; it lets them set {}. Remove the \
                 annotation, or ask the platform team to add it to `ownerMay`",
                instance.name,
                display(&instance.owner_may)
            )
        };
        for annotation in self.keys.iter().filter(|k| !allowed(k)) {
            problems.push(Problem::new(path(annotation), refused(annotation)));
        }
        for operation in &self.operation_plugins {
            for name in operation.configs.keys() {
                let annotation = format!("plugin.{name}");
                if !allowed(&annotation) {
                    let at = format!(
                        "{} /{}/config/{name}",
                        path("operation-plugins"),
                        crate::config::escape(&operation.operation)
                    );
                    problems.push(Problem::new(at, refused(&annotation)));
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
