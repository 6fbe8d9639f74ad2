//! The Secret of a subscription or a gateway: the one place where keys and tokens
//! are written to.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use operator_apim::{Keys, Secret};
use operator_core::product::rotation::Slot;

use super::{Error, Owned, Shared};
use crate::watch::MANAGED_BY;

/// The key to use, beside the two by their names.
const KEY: &str = "key";

/// What stands where the keys go.
pub(super) enum Found {
    /// Nothing.
    Absent,
    /// The object's own.
    Ours(Box<KubeSecret>),
    /// Another one, which is not touched.
    Foreign,
    /// This process may not read it.
    Forbidden(String),
}

impl Found {
    /// A key as it was last written down.
    pub(super) fn key(&self, slot: Slot) -> Option<Secret<Vec<u8>>> {
        let Self::Ours(secret) = self else {
            return None;
        };
        let value = secret.data.as_ref()?.get(slot.key())?;
        Some(Secret::new(value.0.clone()))
    }

    /// Whether all that belongs there is there.
    pub(super) fn is_whole(&self, current: Slot) -> bool {
        let Self::Ours(secret) = self else {
            return false;
        };
        let Some(data) = &secret.data else {
            return false;
        };
        let whole = [Slot::Primary, Slot::Secondary].iter().all(|slot| {
            data.get(slot.key())
                .is_some_and(|value| !value.0.is_empty())
        });
        whole && data.get(KEY) == data.get(current.key())
    }
}

pub(super) fn owner<K: Owned>(object: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}

/// Whether something in the cluster was made for an object.
pub(super) fn is_ours<K: Owned>(made: &impl kube::Resource, object: &K) -> bool {
    let uid = object.uid().unwrap_or_default();
    let owners = made.owner_references();
    owners.iter().any(|owner| owner.uid == uid)
}

impl Shared {
    fn secrets<K: Owned>(&self, object: &K) -> Api<KubeSecret> {
        let namespace = object.namespace().unwrap_or_default();
        Api::namespaced(self.ctx.client.clone(), &namespace)
    }

    /// Looks at what stands under a name.
    pub(super) async fn secret<K: Owned>(&self, object: &K, name: &str) -> Result<Found, Error> {
        match self.secrets(object).get_opt(name).await {
            Ok(None) => Ok(Found::Absent),
            Ok(Some(secret)) if is_ours(&secret, object) => Ok(Found::Ours(Box::new(secret))),
            Ok(Some(_)) => Ok(Found::Foreign),
            Err(kube::Error::Api(refused)) if refused.is_forbidden() => {
                Ok(Found::Forbidden(refused.message.clone()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes keys down. What was found there must be absent or ours.
    pub(super) async fn keep<K: Owned>(
        &self,
        object: &K,
        name: &str,
        found: Found,
        keys: &Keys,
        current: Slot,
    ) -> Result<(), Error> {
        let bytes = |slot| ByteString(keys.of(slot).expose().clone().into_bytes());
        let data: BTreeMap<String, ByteString> = [
            (KEY.to_owned(), bytes(current)),
            (Slot::Primary.key().to_owned(), bytes(Slot::Primary)),
            (Slot::Secondary.key().to_owned(), bytes(Slot::Secondary)),
        ]
        .into();
        self.keep_data(object, name, found, data, BTreeMap::new())
            .await
    }

    /// Writes data down, with these annotations. What was found there must be
    /// absent or ours.
    pub(super) async fn keep_data<K: Owned>(
        &self,
        object: &K,
        name: &str,
        found: Found,
        data: BTreeMap<String, ByteString>,
        annotations: BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let api = self.secrets(object);
        let params = PostParams::default();
        self.ctx.metrics.kube_write("Secret");
        match found {
            Found::Ours(secret) => {
                // With the version that was read: a conflict where somebody
                // else wrote in between.
                let mut secret = KubeSecret {
                    data: Some(data),
                    ..*secret
                };
                secret.annotations_mut().extend(annotations);
                api.replace(name, &params, &secret).await?;
            }
            Found::Absent => {
                let secret = KubeSecret {
                    metadata: ObjectMeta {
                        name: Some(name.to_owned()),
                        labels: Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into()),
                        annotations: (!annotations.is_empty()).then_some(annotations),
                        owner_references: Some(vec![owner(object)]),
                        ..ObjectMeta::default()
                    },
                    data: Some(data),
                    type_: Some("Opaque".to_owned()),
                    ..KubeSecret::default()
                };
                api.create(&params, &secret).await?;
            }
            Found::Foreign | Found::Forbidden(_) => {}
        }
        Ok(())
    }

    /// Deletes a Secret if it is the object's own.
    pub(super) async fn drop_secret<K: Owned>(&self, object: &K, name: &str) -> Result<(), Error> {
        let Found::Ours(secret) = self.secret(object, name).await? else {
            return Ok(());
        };
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: secret.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        self.ctx.metrics.kube_write("Secret");
        match self.secrets(object).delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(refused)) if refused.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
