//! The Secret of a subscription: the one place where keys are written to.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::{Resource as _, ResourceExt as _};
use operator_apim::{Keys, Secret};
use operator_core::product::rotation::Slot;

use super::{Error, Shared};
use crate::crd::ApimSubscription;
use crate::watch::MANAGED_BY;

/// The key to use, beside the two by their names.
const KEY: &str = "key";

/// What stands where the keys go.
pub(super) enum Found {
    /// Nothing.
    Absent,
    /// The subscription's own.
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

fn owner(object: &ApimSubscription) -> OwnerReference {
    OwnerReference {
        api_version: ApimSubscription::api_version(&()).into_owned(),
        kind: ApimSubscription::kind(&()).into_owned(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}

fn is_ours(secret: &KubeSecret, object: &ApimSubscription) -> bool {
    let uid = object.uid().unwrap_or_default();
    let owners = secret.owner_references();
    owners.iter().any(|owner| owner.uid == uid)
}

impl Shared {
    fn secrets(&self, object: &ApimSubscription) -> Api<KubeSecret> {
        let namespace = object.namespace().unwrap_or_default();
        Api::namespaced(self.ctx.client.clone(), &namespace)
    }

    /// Looks at what stands under a name.
    pub(super) async fn secret(
        &self,
        object: &ApimSubscription,
        name: &str,
    ) -> Result<Found, Error> {
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
    pub(super) async fn keep(
        &self,
        object: &ApimSubscription,
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
        let api = self.secrets(object);
        let params = PostParams::default();
        self.ctx.metrics.kube_write("Secret");
        match found {
            Found::Ours(secret) => {
                // With the version that was read: a conflict where somebody
                // else wrote in between.
                let secret = KubeSecret {
                    data: Some(data),
                    ..*secret
                };
                api.replace(name, &params, &secret).await?;
            }
            Found::Absent => {
                let secret = KubeSecret {
                    metadata: ObjectMeta {
                        name: Some(name.to_owned()),
                        labels: Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into()),
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

    /// Deletes a Secret if it is the subscription's own.
    pub(super) async fn drop_secret(
        &self,
        object: &ApimSubscription,
        name: &str,
    ) -> Result<(), Error> {
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
