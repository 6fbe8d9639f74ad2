//! What has to be looked up for an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::document::{self, DocumentNeed};
use super::rejection::Finding;
use crate::annotations::{self, Annotations, nearest::listed, permit};
use crate::apim::AppliedRecord;
use crate::chain::{self, Catalog, Plan, SpecRequest};
use crate::diagnostics;
use crate::exposed_api::{self, ExposedApi, Implementation, ObjectMeta, Segment};
use crate::exposure;
use crate::instance::spec::{Reach, Segments};
use crate::instance::{Instance, select_instance};
use crate::names::{ObjectKey, PluginName, ProfileName};
use crate::oauth2;
use crate::openapi::Declared;
use crate::paths;
use crate::policy::Grants;
use crate::problem::Problem;
use crate::products;
use crate::profile::Profiles;
use crate::protection;
use crate::routes::Route;
use crate::status::reasons::Reason;

/// What an annotation says or a field of the spec of the same name: the
/// platform decides for both.
struct InSpec {
    annotation: &'static str,
    at: &'static str,
    field: &'static str,
    annotated: fn(&Annotations) -> bool,
    written: fn(&ExposedApi) -> bool,
}

/// Operations that are declared.
static OPERATIONS: InSpec = InSpec {
    annotation: "operations",
    at: "metadata.annotations[apim.oda.tmforum.org/operations]",
    field: "spec.operations",
    annotated: |annotations| annotations.operations.is_some(),
    written: |api| api.operations.is_some(),
};

/// Parts of the API that are given to other Services.
static ROUTES: InSpec = InSpec {
    annotation: "routes",
    at: "metadata.annotations[apim.oda.tmforum.org/routes]",
    field: "spec.routes",
    annotated: |annotations| annotations.routes.is_some(),
    written: |api| api.routes.is_some(),
};

static IN_SPEC_TOO: [&InSpec; 2] = [&OPERATIONS, &ROUTES];

impl InSpec {
    fn doubled(&self) -> Finding {
        let (field, name) = (self.field, self.annotation);
        let message = format!("is there too; write {name} there or in `{field}`, not in both");
        Finding::invalid(Reason::InvalidAnnotation, Problem::new(self.at, message))
    }

    fn refused(&self, instance: &Instance) -> Option<Finding> {
        let message = permit::refused(instance, self.annotation)?;
        Some(Finding::invalid(
            Reason::Forbidden,
            Problem::new(self.field, message),
        ))
    }
}

/// Where it can be said where the document lies.
pub(super) const FROM: &str = "metadata.annotations[apim.oda.tmforum.org/specification-from]";

/// What the platform offers to an object.
#[derive(Debug, Clone, Copy)]
pub struct Platform<'a> {
    /// All instances whose settings make sense.
    pub instances: &'a [Arc<Instance>],
    /// The labels of the object's namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The plugins.
    pub catalog: &'a Catalog,
    /// The profiles.
    pub profiles: &'a Profiles,
}

/// An object, as far as it can be understood alone, and what must be looked up
/// for the rest. Problems do not end an inquiry: [`super::validate`] reports
/// them with all others.
#[derive(Debug, Clone)]
pub struct Inquiry {
    pub(super) key: ObjectKey,
    in_api_management: bool,
    pub(super) api: Option<ExposedApi>,
    pub(super) annotations: Annotations,
    pub(super) instance: Option<Arc<Instance>>,
    pub(super) applied: Option<AppliedRecord>,
    pub(super) plan: Option<Plan>,
    pub(super) grants: Grants,
    pub(super) warnings: Vec<Problem>,
    pub(super) findings: Vec<Finding>,
}

/// Reads an object. `applied` is where it is published already, if that is
/// known and believable.
#[must_use]
pub fn inquire(
    meta: &ObjectMeta,
    spec: &Value,
    platform: Platform<'_>,
    applied: Option<&AppliedRecord>,
) -> Inquiry {
    let (api, mut findings) = match exposed_api::read(meta, spec) {
        Ok(api) => (Some(api), Vec::new()),
        Err(problems) => (None, each(Reason::InvalidSpec, problems)),
    };
    let (annotations, problems) = annotations::read(&meta.annotations);
    findings.extend(each(Reason::InvalidAnnotation, problems));
    let key = meta.key();
    let by_type = !exposed_api::in_api_management(spec);
    let instance = match instance(&key, &annotations, platform, applied, by_type) {
        Ok(instance) => instance,
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    let by_segment = match instance.as_ref().filter(|_| !by_type) {
        Some(instance) => kept_in_cluster(instance, api.as_ref(), spec, &mut findings),
        None => false,
    };
    let in_cluster = by_type || by_segment;
    let grants = instance
        .as_ref()
        .map_or_else(Grants::default, |i| i.grants(platform.namespace_labels));
    let in_spec: Vec<&InSpec> = IN_SPEC_TOO
        .into_iter()
        .filter(|one| api.as_ref().is_some_and(one.written))
        .collect();
    let doubled = in_spec.iter().filter(|one| (one.annotated)(&annotations));
    findings.extend(doubled.map(|one| one.doubled()));
    findings.extend(document::misplaced(&annotations, api.as_ref()));
    let mut warnings = Vec::new();
    let mut plan = None;
    if let Some(instance) = &instance {
        findings.extend(each(
            Reason::Forbidden,
            annotations.forbidden(&key, instance),
        ));
        findings.extend(in_spec.iter().filter_map(|one| one.refused(instance)));
        findings.extend(each(
            Reason::Forbidden,
            products::forbidden(&annotations.products, &key, instance, &grants),
        ));
        let logged = annotations.diagnostics.as_deref().unwrap_or_default();
        findings.extend(each(
            Reason::Forbidden,
            diagnostics::forbidden(logged, &key.namespace, instance, &grants),
        ));
        let server = annotations.oauth2.as_ref();
        let server = oauth2::forbidden(server, &key.namespace, instance, &grants);
        findings.extend(server.map(|problem| Finding::invalid(Reason::Forbidden, problem)));
        if let (Some(api), false) = (&api, in_cluster) {
            let labels = platform.namespace_labels;
            findings.extend(
                paths::may_use(instance, &api.path, &key.namespace, labels)
                    .err()
                    .map(|problem| Finding::invalid(Reason::Forbidden, problem)),
            );
        }
    }
    if in_cluster {
        warnings.extend(super::plugins_without_api_management(&annotations));
        warnings.extend(super::versioned::without_api_management(&annotations));
    } else if let Some(instance) = &instance {
        let dialect = exposed_api::dialect(spec);
        let (profiles, found) = platform.profiles.resolve(
            &annotations,
            &key.namespace,
            platform.namespace_labels,
            instance,
        );
        findings.extend(found);
        let target = chain::Target {
            namespace: &key.namespace,
            namespace_labels: platform.namespace_labels,
            labels: &meta.labels,
            instance,
            profiles: &profiles,
            dialect,
            spec,
        };
        let (planned, found) = chain::planned(&annotations, target, platform.catalog);
        findings.extend(found);
        plan = Some(planned);
    }
    Inquiry {
        key,
        in_api_management: !in_cluster,
        api,
        annotations,
        instance,
        applied: applied.cloned(),
        plan,
        grants,
        warnings,
        findings,
    }
}

impl Inquiry {
    /// The object's key.
    #[must_use]
    pub const fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// The object, if its spec was understood.
    #[must_use]
    pub const fn api(&self) -> Option<&ExposedApi> {
        self.api.as_ref()
    }

    /// Its annotations, as far as they were understood.
    #[must_use]
    pub const fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// The instance it goes to, if that is known.
    #[must_use]
    pub const fn instance(&self) -> Option<&Arc<Instance>> {
        self.instance.as_ref()
    }

    /// Whether the API goes to API Management.
    #[must_use]
    pub const fn in_api_management(&self) -> bool {
        self.in_api_management
    }

    /// Whether it must be known what the implementation's Service is like.
    #[must_use]
    pub fn reads_service(&self) -> bool {
        let instance = self.instance.as_ref().filter(|_| self.in_api_management);
        instance.is_some_and(|instance| {
            exposure::way(&self.annotations, instance).reads_service()
                || protection::reads_service(instance)
        })
    }

    /// What the object says of what was applied, as far as it is believed.
    #[must_use]
    pub const fn applied(&self) -> Option<&AppliedRecord> {
        self.applied.as_ref()
    }

    /// Whether callers reach it at a gateway that runs in the cluster.
    #[must_use]
    pub fn at_gateway(&self) -> bool {
        let instance = self.instance.as_ref().filter(|_| self.in_api_management);
        instance.is_some_and(|instance| {
            exposure::way(&self.annotations, instance) == exposure::Way::InCluster
        })
    }

    /// The document that must be fetched, if any.
    #[must_use]
    pub fn document(&self) -> DocumentNeed {
        document::need(self)
    }

    /// The operations that the object declares, and where.
    pub(super) fn declared(&self) -> Option<(&[Declared], &'static str)> {
        let annotated = self.annotations.operations.as_deref();
        let in_spec = self.api.as_ref().and_then(|api| api.operations.as_deref());
        annotated
            .map(|list| (list, OPERATIONS.at))
            .or(in_spec.map(|list| (list, OPERATIONS.field)))
    }

    /// The object's routes, and where they stand.
    pub(super) fn routes(&self) -> Option<(&[Route], &'static str)> {
        let annotated = self.annotations.routes.as_deref();
        let in_spec = self.api.as_ref().and_then(|api| api.routes.as_deref());
        annotated
            .map(|list| (list, ROUTES.at))
            .or(in_spec.map(|list| (list, ROUTES.field)))
    }

    /// The Services that answer parts of the API.
    #[must_use]
    pub fn routed_services(&self) -> BTreeSet<&str> {
        let routes = self.routes().filter(|_| self.in_api_management);
        let routes = routes.into_iter().flat_map(|(routes, _)| routes);
        routes.map(|one| one.destination.service.as_str()).collect()
    }

    /// The calls of `read-spec` that must be made.
    #[must_use]
    pub fn spec_requests(&self) -> Vec<SpecRequest> {
        self.plan.iter().flat_map(Plan::requests).collect()
    }

    /// Every plugin that the object's chain names, also those that cannot be
    /// used.
    #[must_use]
    pub fn plugin_names(&self) -> BTreeSet<PluginName> {
        self.plan
            .as_ref()
            .map(|plan| plan.names().clone())
            .unwrap_or_default()
    }

    /// Those of them that are mandatory.
    #[must_use]
    pub fn mandatory_plugins(&self) -> BTreeSet<PluginName> {
        self.plan
            .as_ref()
            .map(|plan| plan.mandatory().clone())
            .unwrap_or_default()
    }

    /// The profiles that the object names, whether they are there or not.
    #[must_use]
    pub fn profile_names(&self) -> BTreeSet<ProfileName> {
        self.annotations.profile_names()
    }

    /// What is known to be wrong already. Where there is something, nothing
    /// need be fetched.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

fn each(reason: Reason, problems: Vec<Problem>) -> Vec<Finding> {
    problems
        .into_iter()
        .map(|problem| Finding::invalid(reason, problem))
        .collect()
}

/// Whether the instance keeps the object's segment in the cluster. A segment
/// that is none is an error where that matters: a typo must not publish what
/// the platform keeps in.
fn kept_in_cluster(
    instance: &Instance,
    api: Option<&ExposedApi>,
    spec: &Value,
    findings: &mut Vec<Finding>,
) -> bool {
    let segments = &instance.spec.exposure.segments;
    if *segments == Segments::default() {
        return false;
    }
    let mut refuse = |message: String| {
        let problem = Problem::new("spec.segment", message);
        findings.push(Finding::invalid(Reason::InvalidSpec, problem));
        false
    };
    let segment = match exposed_api::segment(spec) {
        Ok(segment) => segment,
        Err(found) => {
            return refuse(format!(
                "{found} is no segment, and instance `{}` publishes by segment; write one of {}",
                instance.name,
                listed(Segment::ALL.map(Segment::as_str).into_iter())
            ));
        }
    };
    if segments.reach(segment) == Reach::ApiManagement {
        return false;
    }
    if api.is_some_and(|api| api.implementation == Implementation::External) {
        return refuse(format!(
            "instance `{}` keeps APIs of segment `{}` in the cluster (`exposure.segments`), and this one is implemented outside of it (`spec.implementation`)",
            instance.name,
            segment.as_str()
        ));
    }
    true
}

/// The instance for an object. A published one stays where it is until an
/// annotation asks for another.
fn instance(
    key: &ObjectKey,
    annotations: &Annotations,
    platform: Platform<'_>,
    applied: Option<&AppliedRecord>,
    in_cluster: bool,
) -> Result<Option<Arc<Instance>>, Finding> {
    let Platform {
        instances,
        namespace_labels,
        ..
    } = platform;
    let asked = annotations.instance.as_ref();
    if let (None, Some(applied), false) = (asked, applied, in_cluster) {
        let found = instances.iter().find(|i| i.name == applied.instance);
        let why = match found {
            Some(found) if found.serves(namespace_labels) => return Ok(Some(Arc::clone(found))),
            Some(_) => "does not serve this namespace any more",
            None => "does not exist any more, or its settings are wrong",
        };
        let serving = instances.iter().filter(|i| i.serves(namespace_labels));
        return Err(Finding::invalid(
            Reason::NotServed,
            Problem::new(
                annotations::path("instance"),
                format!(
                    "the API is published in instance `{}`, which {why}; it stays published as it is. Restore \
                     the instance, or name another one in this annotation (serving this namespace: {})",
                    applied.instance,
                    listed(serving.map(|i| i.name.as_str()))
                ),
            ),
        ));
    }
    match select_instance(instances, &key.namespace, namespace_labels, asked) {
        Ok(found) => Ok(Some(Arc::clone(found))),
        // What is reached in the cluster needs no instance.
        Err(_) if in_cluster && asked.is_none() => Ok(None),
        Err(problem) => Err(Finding::waiting(Reason::NoInstance, problem)),
    }
}
