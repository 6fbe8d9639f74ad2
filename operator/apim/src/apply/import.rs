//! The import: sent once, waited for, looked at, and found again after a
//! restart.

use std::borrow::Cow;
use std::collections::BTreeSet;

use operator_core::apim::{self, ObservedApi, PendingImport, Step};
use operator_core::class::ErrorClass;
use operator_core::desired::DesiredApi;
use url::Url;

use super::Failure;
use super::run::Run;
use crate::error::ArmError;
use crate::lro::{Running, Started, Unfinished};

/// How many operations a message names.
const NAMED: usize = 5;

impl Run<'_> {
    /// Sends the document and waits until it is imported.
    pub(super) async fn import(&mut self) -> Result<(), Failure> {
        let api = self.published.api;
        let client = &self.applier.client;
        let etag = self.etags.api.take();
        self.imported = true;
        let (id, here) = (self.id(), self.here());
        let running = match client.import_api(&id, &here, etag.as_deref()).await {
            Ok(Started::Ended(_)) => return Ok(()),
            Ok(Started::Running(running)) => running,
            Err(error) if error.class == ErrorClass::Conflict => {
                return Err(self.judge_conflict(error, etag.as_deref()).await.into());
            }
            Err(error) => return Err(error.into()),
        };
        let pending = PendingImport {
            spec_hash: api.document.hash,
            poll: running.url().to_string(),
            shape: running.shape(),
            etag,
            operations: self.operations_before,
            started: self.applier.now(),
        };
        // Written down before the wait, which can be long.
        if client.reader().is_below(running.url()) {
            self.known_mut().pending_import = Some(pending.clone());
            self.follow.accepted(&self.record).await;
        }
        self.wait_for(&running, &pending).await
    }

    /// The API as it is to be there: a revision that callers do not reach keeps
    /// what all of them share.
    pub(super) fn here(&self) -> Cow<'_, DesiredApi> {
        let api = self.published.api;
        match &self.current {
            Some(current) if self.revision.is_some() => Cow::Owned(apim::in_revision(api, current)),
            _ => Cow::Borrowed(api),
        }
    }

    /// A failure of an import, for people: what Azure says of a document that
    /// lies in a Secret may quote it.
    pub(super) fn withheld(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Arm(error) if self.published.api.document.origin.is_secret() => {
                Failure::Arm(error.withheld())
            }
            failure => failure,
        }
    }

    /// A 412 or 409 means that somebody wrote in between, or that something
    /// runs on the API. In the second case the ETag is what it was, and sending
    /// the document again at once would meet the same.
    async fn judge_conflict(&self, mut error: ArmError, sent: Option<&str>) -> ArmError {
        let id = &self.id()[..];
        let reader = self.applier.client.reader();
        let now = match sent {
            Some(_) => reader.api_etag(id).await.ok().flatten(),
            None => None,
        };
        if now.as_deref() == sent {
            error.class = ErrorClass::Transient;
            error.message.push_str(
                " (nobody has modified the API: another operation runs on it, or has just ended)",
            );
        }
        error
    }

    /// Waits for an import that was written down as running; one that cannot
    /// be asked for is forgotten.
    pub(super) async fn resume(&mut self) -> Result<(), Failure> {
        let Some(pending) = self.known_mut().pending_import.clone() else {
            return Ok(());
        };
        let api = self.published.api;
        let reader = self.applier.client.reader();
        let url = Url::parse(&pending.poll).ok();
        let url =
            url.filter(|url| reader.is_below(url) && !pending.is_forgotten(self.applier.now()));
        let Some(url) = url else {
            tracing::warn!(
                api = api.id.as_str(),
                "the import that was written down as running is too old, or its URL is none of the instance's; \
                 it is not asked for"
            );
            self.known_mut().pending_import = None;
            return Ok(());
        };
        let same = pending.spec_hash == api.document.hash;
        self.step = Some("wait for the import that was started before".into());
        tracing::info!(
            api = api.id.as_str(),
            started = %pending.started,
            same,
            "an import that was started before is waited for"
        );
        let call = format!("PUT API {} with its document", api.id);
        let running = Running::resumed(call, url, pending.shape);
        match self.wait_for(&running, &pending).await {
            Ok(()) if same => {
                self.verify_operations().await?;
                let known = self.known_mut();
                known.spec_hash = Some(pending.spec_hash);
                // Whether it reset any is what the next read shows.
                known.settings_hash = None;
                Ok(())
            }
            Ok(()) => Ok(()),
            // How the import of another document ended does not matter, as
            // long as it has.
            Err(Failure::Arm(error)) if !same && self.known_mut().pending_import.is_none() => {
                // That one may have been a secret.
                let error = error.withheld();
                tracing::info!(%error, "the import of an earlier document failed");
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Waits until an import has ended. It stays written down for as long as
    /// it may be running.
    async fn wait_for(
        &mut self,
        running: &Running,
        pending: &PendingImport,
    ) -> Result<(), Failure> {
        let applier = self.applier;
        let reader = applier.client.reader();
        let (error, ended) = match reader.finish(running, &applier.cancelled).await {
            Ok(_) => {
                self.known_mut().pending_import = None;
                return Ok(());
            }
            Err(Unfinished::Failed(error)) => {
                self.known_mut().pending_import = None;
                return Err(error.into());
            }
            Err(Unfinished::Cancelled(_)) => return Err(Failure::Cancelled),
            Err(Unfinished::Unasked(error)) => return Err(error.into()),
            Err(Unfinished::Lost(error)) => (error, true),
            Err(Unfinished::Endless(error)) => (error, false),
        };
        // Nothing says how it ended, or whether: the API itself is looked at.
        let done = self.took_effect(pending).await?;
        if done || ended {
            self.known_mut().pending_import = None;
        }
        if done { Ok(()) } else { Err(error.into()) }
    }

    /// Whether an import of which nothing else is known has been carried out:
    /// the API has the operations of the document, is not being modified, and
    /// it, or the number of its operations, was another before. An import that
    /// changes neither leaves no trace, and is sent once more.
    async fn took_effect(&self, pending: &PendingImport) -> Result<bool, ArmError> {
        let id = &self.id()[..];
        let reader = self.applier.client.reader();
        let Some(found) = reader.api(id).await? else {
            return Ok(false);
        };
        if !found.is_settled() {
            return Ok(false);
        }
        let Ok(count) = self.compare_operations().await? else {
            return Ok(false);
        };
        let modified = pending.etag.is_some() && found.etag != pending.etag;
        Ok(modified || pending.operations.is_some_and(|before| before != count))
    }

    /// Reads the API once after an import, repairs what it reset, and sees that
    /// the operations are there.
    pub(super) async fn read_back(&mut self) -> Result<(), Failure> {
        let here = self.here().into_owned();
        let client = &self.applier.client;
        let id = &self.id()[..];
        let Some(found) = client.reader().api(id).await? else {
            return Err(Failure::Arm(ArmError::vanished(id)));
        };
        self.see_mark(&found).await?;
        self.etags.api.clone_from(&found.etag);
        self.verify_operations().await?;
        if let Some(patch) = apim::repair(&here, &found, self.known_mut()) {
            tracing::info!(
                api = id,
                fields = patch.fields().join(", "),
                "the import reset settings"
            );
            let etag = self.etags.api.take();
            let ended = client.patch_api(id, &patch, etag.as_deref()).await?;
            self.etags.api = ended.etag();
            self.writes.repairs += 1;
            let policy = self.published.policy;
            let step = Step::PatchSettings(Box::new(patch));
            self.known_mut().after(&step, &here, policy);
        }
        Ok(())
    }

    /// Sees that nobody claimed the API while it was imported: the ETags of its
    /// policies, which are written next, say nothing of that. An import may
    /// reset the mark, so that an empty one is no claim.
    async fn see_mark(&self, found: &ObservedApi) -> Result<(), Failure> {
        let id = &self.id()[..];
        let ours = self.published.api.mark.as_str();
        let Some(mark) = found.mark.as_deref().filter(|mark| !mark.is_empty()) else {
            return Ok(());
        };
        if mark == ours || self.applier.client.reader().carries(id, ours).await? {
            return Ok(());
        }
        Err(ArmError::taken(id, mark).into())
    }

    /// Sees that the API has as many operations as its document makes: one
    /// read, and a few more where it has not, since lists can lag behind.
    async fn verify_operations(&mut self) -> Result<(), Failure> {
        let api = self.published.api;
        let reader = self.applier.client.reader();
        let id = &self.id()[..];
        let count = reader.count_operations(id).await?;
        let expected = match &api.document.operations {
            Some(made) => u32::try_from(made.len()).unwrap_or(u32::MAX),
            None => count,
        };
        if count == expected {
            self.known_mut().operations = Some(count);
            return Ok(());
        }
        let mut wrong = String::new();
        for _ in 0..=self.applier.client.options().retries {
            self.applier.settle().await;
            match self.compare_operations().await? {
                Ok(count) => {
                    self.known_mut().operations = Some(count);
                    return Ok(());
                }
                Err(difference) => wrong = difference,
            }
        }
        let known = self.known_mut();
        known.spec_hash = None;
        known.operations = None;
        Err(ArmError::unfulfilled(id, wrong).into())
    }

    /// How many operations there are, or in what they differ from those that
    /// the document makes.
    pub(super) async fn compare_operations(&self) -> Result<Result<u32, String>, ArmError> {
        let api = self.published.api;
        let reader = self.applier.client.reader();
        let there = reader.operations(&self.id()).await?;
        let there: BTreeSet<&str> = there.iter().map(|one| one.id.as_str()).collect();
        let count = u32::try_from(there.len()).unwrap_or(u32::MAX);
        let Some(made) = &api.document.operations else {
            return Ok(Ok(count));
        };
        let made: BTreeSet<&str> = made.iter().map(|one| one.id.as_str()).collect();
        if made == there {
            return Ok(Ok(count));
        }
        let mut wrong = format!(
            "API Management reported that the document was imported, but the API has {} operation(s) and the \
             document makes {}",
            there.len(),
            made.len()
        );
        for (what, ids) in [
            ("missing", made.difference(&there).collect::<Vec<_>>()),
            ("not in the document", there.difference(&made).collect()),
        ] {
            if ids.is_empty() {
                continue;
            }
            let named: Vec<String> = ids.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
            let more = if ids.len() > NAMED { ", …" } else { "" };
            wrong = format!("{wrong}; {what}: {}{more}", named.join(", "));
        }
        Ok(Err(wrong))
    }
}
