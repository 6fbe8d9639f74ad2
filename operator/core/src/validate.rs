//! From an object and what it refers to, to something that can be built.
//!
//! Two steps, with all I/O between them: [`inquire`] says what has to be looked
//! up, [`validate`] takes what was found. Only [`validate`] makes a
//! [`ValidatedApi`], and only that can be built.

mod document;
mod inquiry;
mod rejection;
mod routed;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;
mod versioned;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use document::{DocumentFacts, DocumentNeed};
pub use inquiry::{Inquiry, Platform, inquire};
pub use rejection::{Finding, Rejection};
pub(crate) use routed::Routed;
pub(crate) use versioned::Versioned;

use crate::about::About;
use crate::annotations::{self, Annotations, Drift};
use crate::apim::DesiredParts;
use crate::backend::{self, DesiredBackend};
use crate::chain::{Chain, Readings};
use crate::desired::{ApiDocument, DesiredProtection, Exposure, Operation};
use crate::diagnostics;
use crate::exposed_api::{ApiPath, ExposedApi, Implementation};
use crate::exposure::{self, ExposureFacts};
use crate::gateway::select::{self, Reach};
use crate::instance::{Instance, InstanceContext};
use crate::mark::{self, OwnershipMark};
use crate::names::ApiId;
use crate::openapi::Document;
use crate::paths::{self, PathClaim};
use crate::policy::{Grants, Phase, Sends};
use crate::problem::Problem;
use crate::protection::{self, Guarded};
use crate::routes::Destination;
use crate::status::reasons::Reason;
use crate::tags;
use crate::tier::Tier;
use crate::versions::{self, Scheme, Sibling};
use crate::wiki;

/// An object with everything that was looked up for it.
#[derive(Debug, Clone)]
pub struct Dereferenced {
    /// What was asked.
    pub inquiry: Inquiry,
    /// The answers to [`Inquiry::spec_requests`].
    pub readings: Readings,
    /// The answer to [`Inquiry::document`].
    pub document: DocumentFacts,
    /// What is known of the exposure.
    pub exposure: ExposureFacts,
    /// Who else gets the path in the instance; absent: the object itself does.
    pub path_holder: Option<PathClaim>,
    /// The versions of the set that it is in, itself among them; empty where it
    /// is in none, or the others are not known.
    pub siblings: Vec<Sibling>,
    /// What Azure says of the instance; absent until it was asked.
    pub context: Option<InstanceContext>,
    /// The UID of the `kube-system` namespace, which identifies the cluster.
    pub cluster: String,
}

/// An object that can be published.
#[derive(Debug, Clone)]
pub struct ValidatedApi {
    api: ExposedApi,
    annotations: Annotations,
    instance: Option<Arc<Instance>>,
    context: Option<InstanceContext>,
    chain: Chain,
    grants: Grants,
    pub(crate) publication: Option<Publication>,
    pub(crate) exposure: Exposure,
    pub(crate) protections: Vec<DesiredProtection>,
    pub(crate) backend_url: Option<String>,
    /// The Services that answer parts of it.
    pub(crate) services: BTreeSet<String>,
    /// Its backends in API Management.
    pub(crate) backends: Vec<DesiredBackend>,
    sends: Sends,
    /// The self-hosted gateway at which it is reached, if it is one.
    pub(crate) gateway: Option<Box<Reach>>,
    pub(crate) warnings: Vec<Problem>,
}

/// What of an API goes to API Management.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) id: ApiId,
    pub(crate) mark: OwnershipMark,
    pub(crate) document: ApiDocument,
    pub(crate) description: Option<String>,
    pub(crate) about: About,
    pub(crate) parts: DesiredParts,
    pub(crate) version: Option<Versioned>,
}

impl ValidatedApi {
    /// The object.
    #[must_use]
    pub const fn api(&self) -> &ExposedApi {
        &self.api
    }

    /// Its annotations.
    #[must_use]
    pub const fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// The instance it goes to; none for an API that is reached in the cluster
    /// only and whose namespace no instance serves.
    #[must_use]
    pub const fn instance(&self) -> Option<&Arc<Instance>> {
        self.instance.as_ref()
    }

    /// The instance with what Azure says of it; none for an API that is not
    /// published in API Management.
    #[must_use]
    pub fn instance_with_context(&self) -> Option<(&Instance, &InstanceContext)> {
        Some((self.instance.as_deref()?, self.context.as_ref()?))
    }

    /// What runs for it; empty for an API that is not published in API
    /// Management.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Where API Management sends requests, besides to the service URL.
    #[must_use]
    pub const fn sends(&self) -> &Sends {
        &self.sends
    }

    /// What its policy may reference.
    #[must_use]
    pub const fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Its path as callers write it: with the version, where that is a segment.
    #[must_use]
    pub fn path(&self) -> &ApiPath {
        match self.publication.as_ref().and_then(|p| p.version.as_ref()) {
            Some(version) if version.member.set.scheme == Scheme::Segment => {
                &version.path_in_cluster
            }
            _ => &self.api.path,
        }
    }

    /// What callers must send for this version, where the path does not say
    /// which.
    #[must_use]
    pub fn asks(&self) -> Option<String> {
        self.publication.as_ref()?.version.as_ref()?.member.asks()
    }

    /// Where callers reach it.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        if let Some(gateway) = &self.gateway {
            let protocols = &self.instance.as_ref()?.spec.protocols;
            let origin = select::origin(gateway.host.as_deref()?, protocols);
            return Some(exposure::below(&origin, self.path()));
        }
        match (&self.exposure, &self.context) {
            (_, Some(context)) => Some(exposure::below(&context.gateway_url, self.path())),
            (Exposure::InCluster { url }, None) => Some(url.clone()),
            (_, None) => None,
        }
    }
}

/// Decides whether an object can be published. Every problem is reported.
pub fn validate(input: &Dereferenced) -> Result<ValidatedApi, Rejection> {
    let inquiry = &input.inquiry;
    let mut findings = inquiry.findings.clone();
    let read = document::read(inquiry, &input.document, &mut findings);
    let operations = read
        .as_ref()
        .and_then(|r| r.api_document.operations.as_deref());
    // Without the document, an operation's name is neither right nor wrong.
    let chain = inquiry.plan.as_ref().map_or_else(Chain::default, |plan| {
        let known = read.as_ref().and_then(document::ReadDocument::known);
        let (chain, found) = plan.decision(&input.readings, known);
        findings.extend(found);
        chain
    });
    let published = inquiry.in_api_management();
    findings.extend(not_read(input));
    findings.extend(too_many(input.context.as_ref(), operations));
    findings.extend(no_breaker(input.context.as_ref(), inquiry));
    let id = api_id(inquiry, &mut findings);
    findings.extend(conflicts(input));
    let Some(api) = &inquiry.api else {
        return Err(Rejection::of(findings));
    };
    let version = versioned::versioned(inquiry, api, &mut findings);
    let document = read.as_ref().and_then(|r| r.document.as_ref());
    let exposed_at = versioned::in_cluster(api, version.as_ref());
    let api_in_cluster = exposed_at.as_ref();
    let mut exposure = match exposed(input, api_in_cluster, document) {
        Ok(exposure) => exposure,
        Err(finding) => {
            findings.push(finding);
            return Err(Rejection::of(findings));
        }
    };
    let routed = routed::routed(
        input,
        api_in_cluster,
        read.as_ref(),
        &mut exposure,
        &mut findings,
    );
    let protections = match protected(input, api_in_cluster, &routed, &mut exposure) {
        Ok(protections) => protections,
        Err(found) => {
            findings.extend(found);
            Vec::new()
        }
    };
    let path = &api_in_cluster.path;
    let backend_url = exposure::backend_url(&exposure, path, &input.exposure, published);
    findings.extend(backend_url.as_deref().and_then(too_long));
    let parts = parts(input, api, id.as_ref(), version.as_ref(), &mut findings);
    if !findings.is_empty() {
        return Err(Rejection::of(findings));
    }
    let mut warnings = api.warnings.clone();
    warnings.extend(inquiry.warnings.iter().cloned());
    warnings.extend(routed.warnings.iter().cloned());
    warnings.extend(read.iter().flat_map(|read| of_document(read, &chain)));
    warnings.extend(chain.warnings.iter().cloned());
    let publication = match (published, id, read) {
        (true, Some(id), Some(read)) => {
            let (description, about) = inquiry.annotations.info.clone().above(read.info).parts();
            Some(Publication {
                id,
                mark: OwnershipMark::new(&input.cluster, &api.key),
                document: read.api_document,
                description,
                about,
                parts,
                version,
            })
        }
        _ => None,
    };
    let place = (path, matches!(exposure, Exposure::External { .. }));
    let (backends, sends) = backends(publication.as_ref(), inquiry, place, &routed.operations);
    Ok(ValidatedApi {
        api: api.clone(),
        annotations: inquiry.annotations.clone(),
        instance: inquiry.instance.clone(),
        context: published.then(|| input.context.clone()).flatten(),
        chain,
        grants: inquiry.grants.clone(),
        publication,
        exposure,
        protections,
        backend_url,
        services: routed.services(),
        backends,
        sends,
        gateway: input.exposure.gateway.clone().filter(|_| published),
        warnings,
    })
}

/// Nothing is known of the instance yet.
fn not_read(input: &Dereferenced) -> Option<Finding> {
    let published = input.inquiry.in_api_management() && input.inquiry.instance.is_some();
    (published && input.context.is_none()).then(|| {
        Finding::waiting(
            Reason::InstanceUnavailable,
            Problem::new(
                "metadata.namespace",
                "the API Management instance has not been read yet; see the ApimInstance's conditions",
            ),
        )
    })
}

/// What is odd about a document.
fn of_document(read: &document::ReadDocument, chain: &Chain) -> Vec<Problem> {
    let mut warnings = read.warnings.clone();
    if !read.api_document.origin.is_secret() {
        warnings.extend(preflight(chain, read.api_document.operations.as_deref()));
    }
    warnings
}

/// Who else asks for the same place.
fn conflicts(input: &Dereferenced) -> Vec<Finding> {
    let inquiry = &input.inquiry;
    let disagree = versions::disagreements(&inquiry.key, &input.siblings);
    let mut findings: Vec<Finding> = disagree
        .into_iter()
        .map(|problem| Finding::waiting(Reason::VersionConflict, problem))
        .collect();
    if let (Some(holder), Some(instance), Some(api)) =
        (&input.path_holder, &inquiry.instance, &inquiry.api)
    {
        let taken = paths::taken(&api.path, instance, holder);
        findings.push(Finding::waiting(Reason::PathConflict, taken));
    }
    findings
}

/// The tags, diagnostics, version set and wiki of an API that is published.
fn parts(
    input: &Dereferenced,
    api: &ExposedApi,
    id: Option<&ApiId>,
    version: Option<&Versioned>,
    findings: &mut Vec<Finding>,
) -> DesiredParts {
    let inquiry = &input.inquiry;
    let mut parts = DesiredParts::new();
    let published = inquiry.in_api_management();
    let Some(instance) = inquiry.instance.as_deref().filter(|_| published) else {
        return parts;
    };
    let said = &inquiry.annotations;
    let (namespace, grants) = (&inquiry.key.namespace, &inquiry.grants);
    let tags = tags::desired(&said.tags, namespace, instance, grants);
    let keys = &api.subscription.names;
    let logged = diagnostics::desired(said.diagnostics.as_deref(), instance, keys);
    for made in [tags, logged] {
        match made {
            Ok(made) => parts.extend(made),
            Err(problems) => findings.extend(
                problems
                    .into_iter()
                    .map(|problem| Finding::invalid(Reason::InvalidAnnotation, problem)),
            ),
        }
    }
    parts.extend(version.map(|version| version.set(&input.cluster, &api.key)));
    if let (Some(text), Some(id)) = (&said.wiki, id) {
        let mark = OwnershipMark::new(&input.cluster, &api.key);
        parts.extend(wiki::desired(text, &api.name, id, &mark));
    }
    parts
}

fn exposed(
    input: &Dereferenced,
    api: &ExposedApi,
    document: Option<&Document>,
) -> Result<Exposure, Finding> {
    let inquiry = &input.inquiry;
    let exposure = exposure::exposure(
        api,
        &inquiry.annotations,
        inquiry.instance.as_deref(),
        document,
        inquiry.in_api_management(),
        &input.exposure,
    );
    exposure.map_err(|unfit| {
        let problem = Problem::new(unfit.path, unfit.message);
        match unfit.waits {
            Some(reason) => Finding::waiting(reason, problem),
            None => Finding::invalid(Reason::InvalidSpec, problem),
        }
    })
}

/// What protects what is exposed. What stays in the cluster by its type or
/// segment is not exposed.
fn protected(
    input: &Dereferenced,
    api: &ExposedApi,
    routed: &Routed,
    exposure: &mut Exposure,
) -> Result<Vec<DesiredProtection>, Vec<Finding>> {
    let inquiry = &input.inquiry;
    match (&api.implementation, &inquiry.instance) {
        (Implementation::Service(service), Some(instance)) if inquiry.in_api_management() => {
            let guarded = Guarded {
                api,
                targets: protection::targets(api, service, routed, &input.exposure),
                annotations: &inquiry.annotations,
                instance,
                context: input.context.as_ref(),
                facts: &input.exposure,
            };
            protection::protect(&guarded, exposure)
        }
        _ => Ok(Vec::new()),
    }
}

/// More operations than the tier takes.
fn too_many(
    context: Option<&InstanceContext>,
    operations: Option<&[Operation]>,
) -> Option<Finding> {
    let exceeded = context?.tier().check_operations(operations?.len()).err()?;
    let message = format!("its operations: {exceeded}");
    let problem = Problem::new("spec.specification", message);
    Some(Finding::invalid(Reason::TierLimit, problem))
}

/// "Currently, the backend circuit breaker isn't supported in the Consumption
/// tier of API Management": <https://learn.microsoft.com/azure/api-management/backends>.
fn no_breaker(context: Option<&InstanceContext>, inquiry: &Inquiry) -> Option<Finding> {
    let instance = inquiry.instance.as_ref()?;
    let tier = context?.tier();
    let asked = instance.spec.exposure.circuit_breaker.is_some() && inquiry.in_api_management();
    (asked && tier == Tier::Consumption).then(|| {
        let path = format!("ApimInstance/{} spec.exposure.circuitBreaker", instance.name);
        let message = format!(
            "cannot be had on {tier}: its backends have no circuit breaker; leave it out, or use an instance of another tier"
        );
        Finding::invalid(Reason::InvalidInstance, Problem::new(path, message))
    })
}

/// The backends of what goes to API Management, and what is sent to them.
fn backends(
    publication: Option<&Publication>,
    inquiry: &Inquiry,
    (path, is_external): (&ApiPath, bool),
    operations: &BTreeMap<String, (Destination, String)>,
) -> (Vec<DesiredBackend>, Sends) {
    let (Some(publication), Some(instance)) = (publication, &inquiry.instance) else {
        return (Vec::new(), Sends::default());
    };
    backend::backends(&backend::Parts {
        key: &inquiry.key,
        prefix: &instance.spec.api_id_prefix,
        mark: publication.mark.as_str(),
        drift: match inquiry.annotations.drift {
            Drift::Correct if inquiry.annotations.paused => Drift::Report,
            drift => drift,
        },
        exposure: &instance.spec.exposure,
        path,
        is_external,
        operations,
    })
}

/// The longest `serviceUrl` (ARM specification 2024-05-01).
const MAX_SERVICE_URL: usize = 2000;

fn too_long(url: &str) -> Option<Finding> {
    (url.len() > MAX_SERVICE_URL).then(|| {
        Finding::invalid(
            Reason::InvalidSpec,
            Problem::new(
                "spec.path",
                format!(
                    "makes a backend URL of {} characters; API Management takes at most {MAX_SERVICE_URL}",
                    url.len()
                ),
            ),
        )
    })
}

/// The id of the API: what the object asks for, else the one it is published
/// under, else the one made of its name.
fn api_id(inquiry: &Inquiry, findings: &mut Vec<Finding>) -> Option<ApiId> {
    let instance = inquiry
        .instance
        .as_ref()
        .filter(|_| inquiry.in_api_management())?;
    if let Some(asked) = &inquiry.annotations.api_id {
        return Some(asked.clone());
    }
    if let Some(applied) = inquiry
        .applied
        .as_ref()
        .filter(|a| a.instance == instance.name)
    {
        return Some(applied.api_id.clone());
    }
    match mark::api_id(&instance.spec.api_id_prefix, &inquiry.key) {
        Ok(id) => Some(id),
        Err(error) => {
            findings.push(Finding::invalid(
                Reason::InvalidSpec,
                Problem::new("metadata.name", error.to_string()),
            ));
            None
        }
    }
}

/// An operation for OPTIONS takes preflight requests away from a plugin that
/// answers them.
fn preflight(chain: &Chain, operations: Option<&[Operation]>) -> Option<Problem> {
    let plugin = chain
        .iter()
        .find(|p| p.plugin.descriptor.phase == Phase::Preflight)?;
    let operation = operations?.iter().find(|o| o.method == "OPTIONS")?;
    Some(Problem::of_plugin(
        plugin.name().as_str(),
        "spec.specification",
        format!(
            "the document has operation `OPTIONS {}`, so API Management sends preflight requests there and not \
             to plugin `{}`; remove the operation from the document",
            operation.url_template,
            plugin.name()
        ),
    ))
}

/// The warning of an API without API Management whose annotations ask for
/// plugins.
fn plugins_without_api_management(annotations: &Annotations) -> Option<Problem> {
    let asked = annotations.plugins.as_ref().is_some_and(|p| !p.is_empty())
        || !annotations.profiles.is_empty()
        || !annotations.configs.is_empty()
        || !annotations.operation_plugins.is_empty();
    asked.then(|| {
        Problem::new(
            annotations::path("plugins"),
            "has no effect: this API is reached in the cluster only, by its type or its segment, and no plugin runs there",
        )
    })
}
