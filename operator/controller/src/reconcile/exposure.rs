//! Step: apply the exposure, after what protects it. The only code that writes
//! the objects that expose and protect APIs.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, TypeMeta};
use operator_core::apim::{AppliedRecord, settings_hash};
use operator_core::class::ErrorClass;
use operator_core::desired::Desired;
use operator_core::exposure::{ClusterObject, ExposureFacts, ExposureObject, ObjectKind};
use operator_core::names::ObjectKey;
use operator_core::protection;
use operator_core::status::Step;
use operator_core::status::reasons::Reason;
use serde_json::json;

use super::Context;
use super::claim::Claim;
use super::subject::Subject;
use crate::crd::exposed_api::{GROUP, KIND};
use crate::resource::FIELD_MANAGER;
use crate::said;
use crate::watch::{MANAGED_BY, is_installed, resource};
use crate::world::{Seen, World};

/// Why the exposure is not in place.
#[derive(Debug, thiserror::Error)]
pub enum ExposureError {
    /// The API server refused or did not answer.
    #[error("{kind} {name}: {}", said(source))]
    Kube {
        /// The kind of object.
        kind: &'static str,
        /// The object.
        name: String,
        /// What it said.
        source: kube::Error,
    },
    /// Somebody else's object has the name.
    #[error(
        "{kind} {name} exists and belongs to somebody else; delete or rename it, the operator makes its own of that name"
    )]
    NotOurs {
        /// The kind of object.
        kind: &'static str,
        /// The object.
        name: String,
    },
    /// The cluster does not have the kind.
    #[error("this cluster has no {kind}: install {comes_with}, or {instead}")]
    NotInstalled {
        /// The kind of object.
        kind: &'static str,
        /// What brings it.
        comes_with: &'static str,
        /// What else can be done.
        instead: &'static str,
    },
    /// The operator lacks the rights.
    #[error(
        "{kind} {name}: the operator may not do this: {message}; apply ClusterRole `{role}` of `deploy/rbac-exposures.yaml` and its binding"
    )]
    Denied {
        /// The kind of object.
        kind: &'static str,
        /// The object.
        name: String,
        /// The role that has the right.
        role: &'static str,
        /// What the API server said.
        message: String,
    },
    /// What the API server was asked for, it does not accept.
    #[error("{kind} {name} is refused: {message}")]
    Refused {
        /// The kind of object.
        kind: &'static str,
        /// The object.
        name: String,
        /// What it said.
        message: String,
    },
}

impl ExposureError {
    pub(super) fn step(&self) -> Step {
        let (reason, class) = match self {
            Self::Kube { .. } => (Reason::Failed, ErrorClass::Transient),
            Self::Denied { .. } => (Reason::Denied, ErrorClass::Denied),
            Self::NotInstalled { .. } => (Reason::NotAccepted, ErrorClass::Waiting),
            Self::NotOurs { .. } | Self::Refused { .. } => (Reason::Rejected, ErrorClass::Invalid),
        };
        Step::Failed {
            reason,
            class,
            message: self.to_string(),
        }
    }
}

/// Applies the exposure and learns what it is now.
///
/// While API Management still sends callers to an earlier path, the object
/// holds that one too.
pub(super) async fn step(
    ctx: &Context,
    subject: &Subject,
    desired: &mut Desired,
    claim: &Claim,
    facts: &mut ExposureFacts,
) -> Step {
    let owner = owner_reference(subject.version(), &subject.key.name, &subject.meta.uid);
    // Nothing is exposed before it is protected.
    for protection in &desired.protections {
        let kind = protection.kind();
        let none = BTreeSet::new();
        match apply(
            &ctx.client,
            &ctx.world,
            protection,
            &none,
            &owner,
            &subject.key,
        )
        .await
        {
            Ok((_, true)) => ctx.metrics.kube_write(kind.kind),
            Ok((_, false)) => {}
            Err(error) => return error.step(),
        }
    }
    let Some(wanted) = desired.exposure.object() else {
        return Step::NotNeeded;
    };
    let kind = wanted.kind();
    let also = earlier_paths(ctx, subject, desired, wanted, claim);
    match apply(&ctx.client, &ctx.world, wanted, &also, &owner, &subject.key).await {
        Ok((seen, written)) => {
            if written {
                ctx.metrics.kube_write(kind.kind);
            }
            facts.objects.insert(kind.kind, seen.facts);
            desired.exposed(facts);
            Step::Done
        }
        Err(error) => error.step(),
    }
}

/// What the object still holds of earlier paths.
fn earlier_paths(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    wanted: &dyn ExposureObject,
    claim: &Claim,
) -> BTreeSet<String> {
    let settled = desired.api.as_ref().is_none_or(|api| {
        // A version has a path of its own in the cluster, which the record does
        // not say: all settings must be in place.
        let is_there = |record: &AppliedRecord| {
            let sets = record.parts.keys().any(|part| part.version_set().is_some());
            let versioned = sets || api.settings.api_version.is_some();
            let in_place = || record.settings_hash == Some(settings_hash(api));
            record.path.as_deref() == Some(api.settings.path.as_str()) && (!versioned || in_place())
        };
        claim.believed && claim.record.as_ref().is_some_and(is_there)
    });
    let namespace = &subject.key.namespace;
    let there = ctx.world.object(wanted.kind(), namespace, wanted.name());
    there
        .filter(|there| !settled && there.owner_uid.as_deref() == Some(&subject.meta.uid))
        .map(|there| (wanted.kind().paths)(&there.spec()))
        .into_iter()
        .flatten()
        .filter(|path| Some(path.as_str()) != wanted.path())
        .collect()
}

/// What protects the exposure, as the next reconcile would write it.
pub(crate) fn protections(
    subject: &Subject,
    desired: &Desired,
) -> Vec<(&'static ObjectKind, DynamicObject)> {
    let owner = owner_reference(subject.version(), &subject.key.name, &subject.meta.uid);
    let all = desired.protections.iter();
    all.map(|one| {
        let made = manifest(one, &BTreeSet::new(), &owner, &subject.key);
        (one.kind(), made)
    })
    .collect()
}

/// The object as the next reconcile would write it.
pub(crate) fn wanted(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    wanted: &dyn ExposureObject,
    claim: &Claim,
) -> DynamicObject {
    let owner = owner_reference(subject.version(), &subject.key.name, &subject.meta.uid);
    let also = earlier_paths(ctx, subject, desired, wanted, claim);
    manifest(wanted, &also, &owner, &subject.key)
}

/// Deletes what the object does not need any more. Comes after API Management,
/// which may still send callers to it until it was told of another address.
pub(super) async fn remove_unused(ctx: &Context, subject: &Subject, desired: &Desired) {
    if !desired.is_reachable() {
        return;
    }
    for (kind, name) in unused(ctx, subject, desired) {
        match delete(&ctx.client, kind, &subject.key, &name, &subject.meta.uid).await {
            Ok(true) => ctx.metrics.kube_write(kind.kind),
            Ok(false) => {}
            // The next reconcile tries again; nothing else depends on it.
            Err(error) => {
                tracing::warn!(%error, "what does not expose or protect an API any more could not be deleted");
            }
        }
    }
}

/// What is there of the object's and not needed any more.
pub(crate) fn unused(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
) -> Vec<(&'static ObjectKind, String)> {
    let exposes = desired.exposure.object();
    let exposes = exposes.map(|object| (object.kind(), object.name()));
    let protects = desired.protections.iter();
    let protects = protects.map(|object| (object.kind(), object.name()));
    let needed: Vec<_> = exposes.into_iter().chain(protects).collect();
    let all =
        protection::kinds().flat_map(|kind| made(ctx, subject, kind).map(move |name| (kind, name)));
    all.filter(|(kind, name)| !needed.contains(&(*kind, name)))
        .collect()
}

/// The names of what was made of a kind for the object and is there.
pub(crate) fn made(
    ctx: &Context,
    subject: &Subject,
    kind: &ObjectKind,
) -> impl Iterator<Item = String> {
    let namespace = &subject.key.namespace;
    let uid = Some(&*subject.meta.uid);
    let mut names = ctx.world.objects_of(kind, &subject.key);
    names.retain(|name| {
        let seen = ctx.world.object(kind, namespace, name);
        seen.is_some_and(|seen| seen.owner_uid.as_deref() == uid)
    });
    names.into_iter()
}

/// The object as it should be: only what the operator owns.
pub(crate) fn manifest(
    desired: &dyn ClusterObject,
    also: &BTreeSet<String>,
    owner: &OwnerReference,
    key: &ObjectKey,
) -> DynamicObject {
    let kind = desired.kind();
    let annotations = desired.annotations();
    DynamicObject {
        types: Some(TypeMeta {
            api_version: kind.api_version(),
            kind: kind.kind.to_owned(),
        }),
        metadata: ObjectMeta {
            name: Some(desired.name().to_owned()),
            namespace: Some(key.namespace.to_string()),
            labels: Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into()),
            annotations: (!annotations.is_empty()).then(|| annotations.clone()),
            owner_references: Some(vec![owner.clone()]),
            ..ObjectMeta::default()
        },
        data: json!({"spec": desired.spec(also)}),
    }
}

/// The reference that ties an object to its ExposedAPI. It does not block the
/// owner's deletion: in a foreground deletion the API must leave API Management
/// first, while what exposes it still stands.
#[must_use]
pub fn owner_reference(version: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: format!("{GROUP}/{version}"),
        kind: KIND.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}

/// Applies the object unless it already is as desired, and answers how it is
/// now with whether it was written.
pub async fn apply(
    client: &Client,
    world: &World,
    desired: &dyn ClusterObject,
    also: &BTreeSet<String>,
    owner: &OwnerReference,
    key: &ObjectKey,
) -> Result<(Seen, bool), ExposureError> {
    let (kind, name) = (desired.kind(), desired.name());
    let unseen = std::iter::once(&kind.kind).chain(kind.reads);
    if let Some(role) = kind.role
        && let Some(message) = unseen.copied().find_map(|kind| world.denied(kind))
    {
        // What cannot be seen is not made: nobody would put it right.
        let name = name.to_owned();
        return Err(ExposureError::Denied {
            kind: kind.kind,
            name,
            role,
            message,
        });
    }
    let wanted = manifest(desired, also, owner, key);
    let known = world.object(kind, &key.namespace, name);
    let ours = known
        .as_ref()
        .is_some_and(|seen| seen.owner_uid.as_deref() == Some(owner.uid.as_str()));
    if let Some(seen) = known
        && ours
        && seen.has(&wanted)
    {
        return Ok((seen, false));
    }
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &key.namespace, &resource(kind));
    // What is ours is put right by force. What is not known yet is created
    // without: should somebody else's object have the name, it is a conflict.
    let params = PatchParams {
        force: ours,
        ..PatchParams::apply(FIELD_MANAGER)
    };
    // Before the answer comes, its echo may come through the watch; it finds
    // what was recorded here and triggers nothing.
    world.object_expected(kind, &wanted);
    let mut applied = api.patch(name, &params, &Patch::Apply(&wanted)).await;
    if applied.as_ref().is_err_and(is_conflict) {
        applied = match is_ours(&api, name, &owner.uid).await {
            // Somebody changed what is ours, and the operator did not know
            // that it is.
            Ok(Some(true)) => {
                let force = PatchParams::apply(FIELD_MANAGER).force();
                api.patch(name, &force, &Patch::Apply(&wanted)).await
            }
            Ok(Some(false)) => {
                world.object_gone(kind, &key.beside(name));
                let name = name.to_owned();
                return Err(ExposureError::NotOurs {
                    kind: kind.kind,
                    name,
                });
            }
            // Two writes met: the next one finds what came of them.
            Ok(None) => applied,
            Err(error) => Err(error),
        };
    }
    match applied {
        Ok(applied) => Ok((world.object_written(kind, &applied), true)),
        Err(source) => {
            world.object_gone(kind, &key.beside(name));
            if let Some(comes_with) = kind.comes_with
                && !is_installed(client, &resource(kind)).await
            {
                return Err(ExposureError::NotInstalled {
                    kind: kind.kind,
                    comes_with,
                    instead: kind.instead,
                });
            }
            Err(refused(kind, name, source))
        }
    }
}

/// Deletes the object if it is there and ours; answers whether it was there.
pub async fn delete(
    client: &Client,
    kind: &'static ObjectKind,
    key: &ObjectKey,
    name: &str,
    owner_uid: &str,
) -> Result<bool, ExposureError> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &key.namespace, &resource(kind));
    let ours = is_ours(&api, name, owner_uid).await;
    let ours = ours.map_err(|source| refused(kind, name, source))?;
    if ours != Some(true) {
        return Ok(false);
    }
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(source) => Err(refused(kind, name, source)),
    }
}

/// Whether an object belongs to the owner of this uid; none where it is not
/// there. A list of one, since the operator may not get what it may list.
async fn is_ours(
    api: &Api<DynamicObject>,
    name: &str,
    owner_uid: &str,
) -> Result<Option<bool>, kube::Error> {
    let one = kube::api::ListParams::default().fields(&format!("metadata.name={name}"));
    let listed = api.list_metadata(&one).await?;
    Ok(listed.items.first().map(|item| {
        let mut owners = item.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.uid == owner_uid)
    }))
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict())
}

fn refused(kind: &'static ObjectKind, name: &str, source: kube::Error) -> ExposureError {
    let name = name.to_owned();
    let (kind, role) = (kind.kind, kind.role);
    match (&source, role) {
        (kube::Error::Api(status), Some(role)) if status.is_forbidden() => ExposureError::Denied {
            kind,
            name,
            role,
            message: status.message.clone(),
        },
        (kube::Error::Api(status), _) if status.is_invalid() => ExposureError::Refused {
            kind,
            name,
            message: status.message.clone(),
        },
        _ => ExposureError::Kube { kind, name, source },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use operator_core::desired::DesiredIngress;

    use super::*;

    fn desired() -> DesiredIngress {
        DesiredIngress {
            name: "apim-api-ingress-catalog".into(),
            class: "istio".into(),
            host: Some("api.internal".into()),
            tls_secret: Some("tls".into()),
            annotations: BTreeMap::new(),
            path: "/catalog".into(),
            service: "catalog-svc".into(),
            port: 8080,
            routes: Vec::new(),
        }
    }

    #[test]
    fn the_ingress_holds_only_what_the_operator_owns() {
        let owner = owner_reference("v1", "catalog", "u-0");
        let key = ObjectKey::new("shop", "catalog");
        let made = manifest(&desired(), &BTreeSet::new(), &owner, &key);
        insta::assert_json_snapshot!(made, @r#"
        {
          "apiVersion": "networking.k8s.io/v1",
          "kind": "Ingress",
          "metadata": {
            "labels": {
              "app.kubernetes.io/managed-by": "apim-operator"
            },
            "name": "apim-api-ingress-catalog",
            "namespace": "shop",
            "ownerReferences": [
              {
                "apiVersion": "oda.tmforum.org/v1",
                "blockOwnerDeletion": false,
                "controller": true,
                "kind": "ExposedAPI",
                "name": "catalog",
                "uid": "u-0"
              }
            ]
          },
          "spec": {
            "ingressClassName": "istio",
            "rules": [
              {
                "host": "api.internal",
                "http": {
                  "paths": [
                    {
                      "backend": {
                        "service": {
                          "name": "catalog-svc",
                          "port": {
                            "number": 8080
                          }
                        }
                      },
                      "path": "/catalog",
                      "pathType": "Prefix"
                    }
                  ]
                }
              }
            ],
            "tls": [
              {
                "hosts": [
                  "api.internal"
                ],
                "secretName": "tls"
              }
            ]
          }
        }
        "#);
    }
}
