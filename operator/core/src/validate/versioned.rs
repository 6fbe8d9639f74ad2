//! An API that is one of several versions.

use std::borrow::Cow;

use super::{Finding, Inquiry};
use crate::annotations::{self, Annotations};
use crate::apim::{DesiredPart, PartId};
use crate::exposed_api::{ApiPath, ExposedApi};
use crate::names::{ObjectKey, VersionSetId};
use crate::problem::Problem;
use crate::status::reasons::Reason;
use crate::versions::Member;

/// What makes it one of several.
#[derive(Debug, Clone)]
pub(crate) struct Versioned {
    pub(crate) member: Member,
    pub(crate) set: VersionSetId,
    pub(crate) path_in_cluster: ApiPath,
}

impl Versioned {
    /// The set as it should be.
    pub(super) fn set(&self, cluster: &str, key: &ObjectKey) -> (PartId, DesiredPart) {
        let id = PartId::VersionSet(self.set.clone());
        (id, self.member.desired_set(cluster, &key.namespace))
    }
}

/// What the annotations of an API say that goes to API Management.
pub(super) fn versioned(
    inquiry: &Inquiry,
    api: &ExposedApi,
    findings: &mut Vec<Finding>,
) -> Option<Versioned> {
    let published = inquiry.in_api_management();
    let instance = inquiry.instance.as_deref().filter(|_| published)?;
    let member = Member::of(&inquiry.annotations)?;
    let set = member.set_id(instance, &api.key.namespace);
    let path = member.below(&api.path);
    match (set, path) {
        (Ok(set), Ok(path_in_cluster)) => Some(Versioned {
            member,
            set,
            path_in_cluster,
        }),
        (set, path) => {
            let invalid = |problem| Finding::invalid(Reason::InvalidAnnotation, problem);
            findings.extend(set.err().into_iter().chain(path.err()).map(invalid));
            None
        }
    }
}

/// The API as the cluster has it: a version at a path of its own.
pub(super) fn in_cluster<'a>(
    api: &'a ExposedApi,
    version: Option<&Versioned>,
) -> Cow<'a, ExposedApi> {
    match version {
        None => Cow::Borrowed(api),
        Some(version) => Cow::Owned(ExposedApi {
            path: version.path_in_cluster.clone(),
            ..api.clone()
        }),
    }
}

/// The warning of an API without API Management whose annotations name a
/// version.
pub(super) fn without_api_management(annotations: &Annotations) -> Option<Problem> {
    Member::of(annotations).map(|_| {
        Problem::new(
            annotations::path("version-set"),
            "has no effect: this API is reached in the cluster only, by its type or its segment, and versions are API \
             Management's",
        )
    })
}
