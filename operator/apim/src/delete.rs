//! Taking an API away.

use std::collections::BTreeSet;

use operator_core::apim::{ArmCall, SettingsPatch};
use operator_core::class::ErrorClass;
use operator_core::names::{ApiId, VersionSetId};

use crate::apply::{Applier, ApplyError, Failure};
use crate::arm::ArmReader;
use crate::error::ArmError;
use crate::reads::Revision;

/// How often the API is read again when somebody wrote in between.
const ROUNDS: u32 = 3;

/// What an API may have that does not go with it.
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    /// What the ids of the namespace's own tags begin with, where the API can
    /// have any: those go that nobody else has.
    pub own_tags: Option<String>,
    /// Version sets that it can be in, beside the one that it says: those go
    /// that no other API is in.
    pub sets: BTreeSet<VersionSetId>,
    /// Whether it can have a page in the developer portal.
    pub page: bool,
}

/// What a deletion found and did. After each of these, nothing of the object
/// is left in the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// The API was there, and is gone with all its revisions.
    Gone,
    /// There was none.
    WasAbsent,
    /// There is one, without our mark; it was left alone.
    NotOurs {
        /// What its revision description says.
        whose: Option<String>,
    },
    /// The service itself, or its resource group, does not exist.
    ServiceAbsent,
}

/// What taking the mark off found and did. After each of these, the service
/// says nothing of the object any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// The API stays, without the mark.
    Unmarked,
    /// There was none that carries it.
    NothingOfOurs,
}

impl Applier {
    /// Takes the mark off an API that stays behind, in all its revisions. It
    /// is read before, always.
    pub async fn release(&self, api_id: &ApiId, mark: &str) -> Result<Released, ApplyError> {
        let client = self.client();
        let id = api_id.as_str();
        let _writer = client.lock_api(id).await;
        let unmarked = SettingsPatch {
            mark: Some(String::new()),
            ..SettingsPatch::default()
        };
        let mut conflicts = 0;
        let mut taken = false;
        // Each round takes one mark off; an older revision may carry it too.
        loop {
            let api = match client.reader().marked_api(id, mark).await {
                Ok(Some(api)) if api.carries(mark) => api,
                Ok(_) if taken => return Ok(Released::Unmarked),
                Ok(_) => return Ok(Released::NothingOfOurs),
                Err(error) if error.is_service_absent() => return Ok(Released::NothingOfOurs),
                Err(error) => return Err(failed(error)),
            };
            self.check_cancelled().map_err(ApplyError::bare)?;
            let patched = if api.mark.as_deref() == Some(mark) {
                client.patch_api(id, &unmarked, api.etag.as_deref()).await
            } else {
                let revisions = client.reader().revisions(id).await.map_err(failed)?;
                let ours = |revision: &&Revision| revision.description.as_deref() == Some(mark);
                // Between two reads; whoever took it off did this one's work.
                let Some(revision) = revisions.iter().find(ours) else {
                    return Ok(Released::Unmarked);
                };
                let revision = format!("{id};rev={}", revision.number);
                let etag = client.reader().api_etag(&revision).await.map_err(failed)?;
                client
                    .patch_api(&revision, &unmarked, etag.as_deref())
                    .await
            };
            match patched {
                Ok(_) => taken = true,
                Err(error) if error.class == ErrorClass::Conflict && conflicts < ROUNDS => {
                    conflicts += 1;
                    self.settle().await;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Deletes the API with all its revisions, if it carries the mark. It is
    /// read before, always.
    pub async fn delete(&self, api_id: &ApiId, mark: &str) -> Result<Deleted, ApplyError> {
        self.delete_whole(api_id, mark, Leftovers::default()).await
    }

    /// As [`Applier::delete`], and what it leaves behind with it.
    pub async fn delete_whole(
        &self,
        api_id: &ApiId,
        mark: &str,
        leftovers: Leftovers,
    ) -> Result<Deleted, ApplyError> {
        let Leftovers {
            own_tags,
            mut sets,
            page,
        } = leftovers;
        let client = self.client();
        let id = api_id.as_str();
        let _writer = client.lock_api(id).await;
        let mut round = 1;
        loop {
            let api = match client.reader().marked_api(id, mark).await {
                Ok(None) => {
                    let _sets = client.lock_version_sets(&sets).await;
                    let dropped = client.drop_version_sets(&sets, id, mark, None).await;
                    dropped.map_err(failed)?;
                    if page {
                        client.drop_page(api_id, mark).await.map_err(failed)?;
                    }
                    return Ok(Deleted::WasAbsent);
                }
                Ok(Some(api)) => api,
                Err(error) if error.is_service_absent() => return Ok(Deleted::ServiceAbsent),
                Err(error) => return Err(failed(error)),
            };
            if !api.carries(mark) {
                return Ok(Deleted::NotOurs { whose: api.whose() });
            }
            self.check_cancelled().map_err(ApplyError::bare)?;
            if let Some(own) = &own_tags {
                client.remove_own_tags(id, own).await.map_err(failed)?;
            }
            sets.extend(api.settings.api_version_set.clone());
            let _sets = client.lock_version_sets(&sets).await;
            match client.delete_api(id, api.etag.as_deref()).await {
                Ok(()) => {
                    let dropped = client.drop_version_sets(&sets, id, mark, Some(&api)).await;
                    dropped.map_err(failed)?;
                    if page {
                        client.drop_page(api_id, mark).await.map_err(failed)?;
                    }
                    return Ok(Deleted::Gone);
                }
                // Where nothing says how the deletion ended, a read does.
                Err(error)
                    if (error.class == ErrorClass::Conflict || error.is_lost())
                        && round < ROUNDS =>
                {
                    round += 1;
                    self.settle().await;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl ArmReader {
    /// The writes of [`Applier::delete_whole`]; none where there is nothing of
    /// the object. Only reads.
    pub async fn plan_deletion(
        &self,
        api_id: &ApiId,
        mark: &str,
        leftovers: &Leftovers,
    ) -> Result<Vec<ArmCall>, ArmError> {
        let id = api_id.as_str();
        let mut calls = Vec::new();
        let mut delete = |resource: String, purpose: String| {
            calls.push(ArmCall {
                method: "DELETE",
                resource,
                purpose,
            });
        };
        let api = match self.marked_api(id, mark).await {
            Ok(api) => api,
            Err(error) if error.is_service_absent() => return Ok(calls),
            Err(error) => return Err(error),
        };
        let mut sets = leftovers.sets.clone();
        if let Some(api) = &api {
            if !api.carries(mark) {
                return Ok(calls);
            }
            if let Some(own) = &leftovers.own_tags {
                for (tag, goes) in self.own_tags(id, own).await? {
                    let purpose = format!("take tag {tag} off the API");
                    delete(format!("apis/{id}/tags/{tag}"), purpose);
                    if goes {
                        let purpose = format!("delete tag {tag}, which nothing else has");
                        delete(format!("tags/{tag}"), purpose);
                    }
                }
            }
            let purpose = "delete the API with all its revisions".to_owned();
            delete(format!("apis/{id}"), purpose);
            sets.extend(api.settings.api_version_set.clone());
        }
        for set in &sets {
            let goes = self.set_to_drop(set, id, mark, api.as_ref()).await?;
            if goes.is_some() {
                let purpose = format!("delete version set {set}, whose last version goes");
                delete(format!("apiVersionSets/{set}"), purpose);
            }
        }
        if leftovers.page && self.page_to_drop(api_id, mark).await?.is_some() {
            let purpose = "delete the page of its wiki".to_owned();
            delete(format!("documentations/{id}"), purpose);
        }
        Ok(calls)
    }
}

fn failed(error: ArmError) -> ApplyError {
    ApplyError::bare(Failure::Arm(error))
}
