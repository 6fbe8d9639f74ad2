//! Version sets: made for the first version of an API, deleted with the last.

use std::collections::BTreeSet;

use operator_core::apim::{ObservedApi, ObservedPart, PartId};
use operator_core::mark::OwnershipMark;
use operator_core::names::VersionSetId;
use tokio::sync::OwnedMutexGuard;

use crate::arm::{ArmClient, ArmReader, WriteVerb, absent};
use crate::error::ArmError;
use crate::reads::ListedApi;

pub(crate) const KIND: &str = "apiVersionSet";

pub(crate) fn what(set: &VersionSetId) -> String {
    format!("version set {set}")
}

fn is_other_in(set: &VersionSetId, api: &str, listed: &ListedApi) -> bool {
    let of = listed.api.settings.api_version_set.as_ref();
    let same = of.is_some_and(|of| of.as_str().eq_ignore_ascii_case(set.as_str()));
    same && !listed.id.eq_ignore_ascii_case(api)
}

/// Whether a set was made by the operator of this cluster for this namespace:
/// those of an API's own mark.
fn is_own(set: &ObservedPart, api_mark: &str) -> bool {
    let of = |text: &str| {
        let mark = OwnershipMark::parse(text)?;
        let (namespace, _) = mark.owner().split_once('/')?;
        Some((mark.cluster().to_owned(), namespace.to_owned()))
    };
    let said = set.content["description"].as_str();
    said.and_then(of)
        .is_some_and(|own| Some(own) == of(api_mark))
}

impl ArmReader {
    /// A set that an API leaves, where it can go with it: it is there, ours, and
    /// no other API is in it. Versions of one set share a path: where the API is
    /// `found`, those at its path are read, else all.
    pub(crate) async fn set_to_drop(
        &self,
        set: &VersionSetId,
        api: &str,
        mark: &str,
        found: Option<&ObservedApi>,
    ) -> Result<Option<ObservedPart>, ArmError> {
        let part = PartId::VersionSet(set.clone());
        let Some(there) = self.part(&part, api).await?.filter(|set| is_own(set, mark)) else {
            return Ok(None);
        };
        let used = if let Some(found) = found {
            let listed = self.apis_at(&found.settings.path).await?;
            listed.iter().any(|one| is_other_in(set, api, one))
        } else {
            self.has_versions(set).await?
        };
        Ok((!used).then_some(there))
    }

    /// Whether any API is in the set. Reads the list of all.
    async fn has_versions(&self, set: &VersionSetId) -> Result<bool, ArmError> {
        let mut pages = self.apis();
        while let Some(page) = pages.next().await? {
            if page.iter().any(|one| is_other_in(set, "", one)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl ArmClient {
    /// Waits until nobody else brings an API into one of the sets, or takes one
    /// out: who is the last is known then.
    pub(crate) async fn lock_version_sets(
        &self,
        sets: &BTreeSet<VersionSetId>,
    ) -> Vec<OwnedMutexGuard<()>> {
        let mut held = Vec::new();
        // In one order for all.
        for set in sets {
            held.push(self.lock_version_set(set).await);
        }
        held
    }

    /// Deletes sets of ours that an API left which is gone, where no other is
    /// in them. `found`: the API as it was, if it was there still.
    pub(crate) async fn drop_version_sets(
        &self,
        sets: &BTreeSet<VersionSetId>,
        api: &str,
        mark: &str,
        found: Option<&ObservedApi>,
    ) -> Result<(), ArmError> {
        let reader = self.reader();
        for set in sets {
            let there = reader.set_to_drop(set, api, mark, found).await?;
            if let Some(there) = there {
                self.delete_version_set(set, there.etag.as_deref()).await?;
            }
        }
        Ok(())
    }

    /// Deletes a set; one that is not there is fine. One that is in use is
    /// refused, and stays for whoever uses it: others than the operator may have
    /// put an API of another path in it. Inferred: that the refusal is a 400.
    pub(crate) async fn delete_version_set(
        &self,
        set: &VersionSetId,
        etag: Option<&str>,
    ) -> Result<(), ArmError> {
        let path = ["apiVersionSets", set.as_str()];
        let mut call = self.call(WriteVerb::Delete, &path, &[], KIND, what(set));
        call.if_match = Some(etag.unwrap_or("*").to_owned());
        match absent(self.run(&call).await) {
            Err(error) if matches!(error.status, Some(400 | 409)) => {
                tracing::info!(%set, %error, "a version set that is in use stays");
                Ok(())
            }
            other => other.map(drop),
        }
    }
}
