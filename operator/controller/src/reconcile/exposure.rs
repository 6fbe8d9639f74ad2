//! Step: apply the exposure. The only code that writes Ingresses.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams};
use operator_core::class::ErrorClass;
use operator_core::desired::{Desired, DesiredIngress, Exposure};
use operator_core::exposure::{ExposureFacts, IngressFacts, ingress_name};
use operator_core::names::ObjectKey;
use operator_core::status::Step;

use super::claim::Claim;
use super::subject::Subject;
use super::{Context, Error};
use crate::crd::exposed_api::{GROUP, KIND};
use crate::resource::FIELD_MANAGER;
use crate::watch::MANAGED_BY;
use crate::world::{IngressSeen, World};

/// Why the exposure is not in place.
#[derive(Debug, thiserror::Error)]
pub enum ExposureError {
    /// The API server refused or did not answer.
    #[error("Ingress {name}: {source}")]
    Kube {
        /// The Ingress.
        name: String,
        /// What it said.
        source: kube::Error,
    },
    /// Somebody else's Ingress has the name.
    #[error(
        "Ingress {name} exists and belongs to somebody else; delete or rename it, the operator makes its own of that name"
    )]
    NotOurs {
        /// The Ingress.
        name: String,
    },
}

/// Applies the exposure and learns what it is now.
///
/// While API Management still sends callers to an earlier path, the Ingress
/// holds that one too.
pub(super) async fn step(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    claim: &Claim,
    facts: &mut ExposureFacts,
) -> Step {
    let Exposure::Ingress(wanted) = &desired.exposure else {
        return Step::NotNeeded;
    };
    let wanted = &with_earlier_paths(ctx, subject, desired, wanted, claim);
    let owner = owner_reference(subject.version(), &subject.key.name, &subject.meta.uid);
    match apply(&ctx.client, &ctx.world, wanted, &owner, &subject.key).await {
        Ok((seen, written)) => {
            if written {
                ctx.metrics.kube_write("Ingress");
            }
            facts.ingress = Some(IngressFacts {
                uid: seen.uid,
                hostname: seen.hostname,
                ip: seen.ip,
            });
            Step::Done
        }
        Err(error @ ExposureError::NotOurs { .. }) => {
            Step::failed(ErrorClass::Invalid, error.to_string())
        }
        Err(error @ ExposureError::Kube { .. }) => {
            Step::failed(ErrorClass::Transient, error.to_string())
        }
    }
}

/// The Ingress, with what it still holds of earlier paths.
fn with_earlier_paths(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    wanted: &DesiredIngress,
    claim: &Claim,
) -> DesiredIngress {
    let settled = desired.api.as_ref().is_none_or(|api| {
        claim.believed
            && claim
                .record
                .as_ref()
                .is_some_and(|record| record.path.as_deref() == Some(api.settings.path.as_str()))
    });
    let there = ctx.world.ingress(&subject.key.namespace, &wanted.name);
    DesiredIngress {
        also: there
            .filter(|there| !settled && there.owner_uid.as_deref() == Some(&subject.meta.uid))
            .map(|there| there.paths().into_iter())
            .into_iter()
            .flatten()
            .filter(|path| *path != wanted.path)
            .collect(),
        ..wanted.clone()
    }
}

/// The Ingress as the next reconcile would write it.
pub(crate) fn wanted(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    wanted: &DesiredIngress,
    claim: &Claim,
) -> Ingress {
    let owner = owner_reference(subject.version(), &subject.key.name, &subject.meta.uid);
    let wanted = with_earlier_paths(ctx, subject, desired, wanted, claim);
    ingress(&wanted, &owner, &subject.key)
}

/// Deletes an Ingress that the object does not need any more. Comes after API
/// Management, which may still send callers to it.
pub(super) async fn remove_unused(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
) -> Result<(), Error> {
    let name = ingress_name(&subject.key);
    let needed = matches!(desired.exposure, Exposure::Ingress(_));
    if needed || ctx.world.ingress(&subject.key.namespace, &name).is_none() {
        return Ok(());
    }
    if let Err(error) = delete(&ctx.client, &subject.key, &name, &subject.meta.uid).await {
        // The next reconcile tries again; nothing else depends on it.
        tracing::warn!(%error, "an Ingress that is not needed any more could not be deleted");
    }
    Ok(())
}

/// The Ingress as it should be: only what the operator owns.
pub(crate) fn ingress(
    desired: &DesiredIngress,
    owner: &OwnerReference,
    key: &ObjectKey,
) -> Ingress {
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: desired.service.clone(),
            port: Some(ServiceBackendPort {
                number: Some(i32::from(desired.port)),
                name: None,
            }),
        }),
        resource: None,
    };
    let paths = std::iter::once(&desired.path).chain(&desired.also);
    let paths = paths.map(|path| HTTPIngressPath {
        path: Some(path.clone()),
        path_type: "Prefix".into(),
        backend: backend.clone(),
    });
    let tls = desired.tls_secret.as_ref().map(|secret| {
        vec![IngressTLS {
            hosts: desired.host.as_ref().map(|host| vec![host.clone()]),
            secret_name: Some(secret.clone()),
        }]
    });
    Ingress {
        metadata: ObjectMeta {
            name: Some(desired.name.clone()),
            namespace: Some(key.namespace.clone()),
            labels: Some(BTreeMap::from([(
                MANAGED_BY.0.to_owned(),
                MANAGED_BY.1.to_owned(),
            )])),
            annotations: (!desired.annotations.is_empty()).then(|| desired.annotations.clone()),
            owner_references: Some(vec![owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: Some(IngressSpec {
            ingress_class_name: Some(desired.class.clone()),
            rules: Some(vec![IngressRule {
                host: desired.host.clone(),
                http: Some(HTTPIngressRuleValue {
                    paths: paths.collect(),
                }),
            }]),
            tls,
            default_backend: None,
        }),
        status: None,
    }
}

/// The reference that ties an Ingress to its ExposedAPI. It does not block the
/// owner's deletion: in a foreground deletion the API must leave API Management
/// first, while its Ingress still stands.
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

/// Applies the Ingress unless it already is as desired, and answers how it is
/// now with whether it was written.
pub async fn apply(
    client: &Client,
    world: &World,
    desired: &DesiredIngress,
    owner: &OwnerReference,
    key: &ObjectKey,
) -> Result<(IngressSeen, bool), ExposureError> {
    let wanted = ingress(desired, owner, key);
    let known = world.ingress(&key.namespace, &desired.name);
    let ours = known
        .as_ref()
        .is_some_and(|seen| seen.owner_uid.as_deref() == Some(owner.uid.as_str()));
    if let Some(seen) = known
        && ours
        && seen.has(&wanted)
    {
        return Ok((seen, false));
    }
    let api: Api<Ingress> = Api::namespaced(client.clone(), &key.namespace);
    // What is ours is put right by force. What is not known yet is created
    // without: should somebody else's Ingress have the name, it is a conflict.
    let params = PatchParams {
        force: ours,
        ..PatchParams::apply(FIELD_MANAGER)
    };
    // Before the answer comes, its echo may come through the watch; it finds
    // what was recorded here and triggers nothing.
    world.ingress_expected(&wanted);
    match api
        .patch(&desired.name, &params, &Patch::Apply(&wanted))
        .await
    {
        Ok(applied) => Ok((world.ingress_written(&applied), true)),
        Err(source) => {
            world.ingress_gone(&ObjectKey::new(&key.namespace, &desired.name));
            Err(refused(&desired.name, source))
        }
    }
}

/// Deletes the Ingress if it is there and ours; answers whether it was there.
pub async fn delete(
    client: &Client,
    key: &ObjectKey,
    name: &str,
    owner_uid: &str,
) -> Result<bool, ExposureError> {
    let api: Api<Ingress> = Api::namespaced(client.clone(), &key.namespace);
    let listed = api
        .list_metadata(&kube::api::ListParams::default().fields(&format!("metadata.name={name}")))
        .await;
    let listed = listed.map_err(|source| refused(name, source))?;
    let ours = listed.items.iter().any(|item| {
        item.metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| owner.uid == owner_uid)
    });
    if !ours {
        return Ok(false);
    }
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(source) => Err(refused(name, source)),
    }
}

fn refused(name: &str, source: kube::Error) -> ExposureError {
    let name = name.to_owned();
    match &source {
        kube::Error::Api(status) if status.is_conflict() => ExposureError::NotOurs { name },
        _ => ExposureError::Kube { name, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desired() -> DesiredIngress {
        DesiredIngress {
            name: "apim-api-ingress-catalog".into(),
            class: "istio".into(),
            host: Some("api.internal".into()),
            tls_secret: Some("tls".into()),
            annotations: BTreeMap::new(),
            path: "/catalog".into(),
            also: std::collections::BTreeSet::new(),
            service: "catalog-svc".into(),
            port: 8080,
        }
    }

    #[test]
    fn the_ingress_holds_only_what_the_operator_owns() {
        let owner = owner_reference("v1", "catalog", "u-0");
        let made = ingress(&desired(), &owner, &ObjectKey::new("shop", "catalog"));
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
