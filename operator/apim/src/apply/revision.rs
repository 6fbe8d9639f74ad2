//! Making revisions, looking at them before callers reach them, and releasing
//! them.

use operator_core::apim::{self, ObservedApi, Reading, Step};
use operator_core::rollout::Probe;
use tokio::time::Instant;
use url::Url;

use super::Failure;
use super::run::{Etags, Run};
use crate::error::ArmError;
use crate::reads::PolicyOf;
use crate::transport::{HeaderMap, HttpRequest, Method};

/// The largest answer to a probe that is read, in bytes.
const LARGEST_ANSWER: usize = 1024 * 1024;

impl Run<'_> {
    /// A step that is about a revision as a whole.
    pub(super) async fn revise(&mut self, step: &Step) -> Result<(), Failure> {
        let api = self.published.api;
        let client = &self.applier.client;
        match step {
            Step::StartRevision { revision, from } => {
                let path = self.current.as_ref().map(|current| &current.settings.path);
                let path = path.unwrap_or(&api.settings.path);
                client.start_revision(api, path, *revision, from).await?;
                let id = format!("{};rev={revision}", api.id);
                self.draft_etags = Etags::of_api(client.reader().api_etag(&id).await?);
            }
            Step::Release { revision, release } => {
                self.still_ours().await?;
                client.release_revision(api, *revision, release).await?;
                // Those known are of the revision that was current.
                let etag = client.reader().api_etag(api.id.as_str()).await?;
                self.etags = Etags::of_api(etag);
            }
            Step::DropRevision { revision } => {
                let id = format!("{};rev={revision}", api.id);
                if let Some(etag) = client.reader().api_etag(&id).await? {
                    client.drop_revision(&id, &etag).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Fails where somebody changed the mark, or which revision is current, since
    /// the plan was made: a release cannot name the state that it replaces, so
    /// this is read last before it.
    async fn still_ours(&self) -> Result<(), Failure> {
        let api = self.published.api;
        let state = |found: &ObservedApi| {
            let mark = found.mark.clone().unwrap_or_default();
            (found.revision.clone(), mark)
        };
        let planned = self.current.as_ref().map(state);
        let found = self.applier.client.reader().api(api.id.as_str()).await?;
        let found = found.as_ref().map(state);
        // The mark may have been missing, and this publication have set it.
        let marked = planned
            .clone()
            .map(|(revision, _)| (revision, api.mark.clone()));
        if found == planned || found == marked {
            return Ok(());
        }
        let mark = found.map(|(_, mark)| mark).unwrap_or_default();
        Err(ArmError::taken(api.id.as_str(), &mark).into())
    }

    /// Sees that a revision is as it should be. Where it is not, it stays
    /// unreleased, and what was found is written or asked for again next time.
    pub(super) async fn verify(&mut self, revision: u32) -> Result<(), Failure> {
        self.revision = Some(revision);
        let verified = self.look(revision).await;
        self.revision = None;
        verified
    }

    async fn look(&mut self, revision: u32) -> Result<(), Failure> {
        let id = self.id();
        let reader = self.applier.client.reader();
        let Some(found) = reader.api(&id).await? else {
            return Err(ArmError::vanished(&id).into());
        };
        let differing = apim::differing_in_revision(self.published.api, &found);
        if !differing.is_empty() {
            return Err(self.unverified(
                revision,
                &format!("read back, {} differs", differing.join(", ")),
            ));
        }
        if let Err(wrong) = self.compare_operations().await? {
            self.known_mut().spec_hash = None;
            return Err(self.unverified(revision, &wrong));
        }
        if let Some(which) = self.wrong_policy(&id).await? {
            let known = self.known_mut();
            known.policy_hash = None;
            known.operation_policies = None;
            return Err(self.unverified(revision, &format!("read back, {which} is another one")));
        }
        let rollout = self.published.api.rollout.as_ref();
        if let Some(probe) = rollout.and_then(|rollout| rollout.probe.as_ref())
            && let Err(wrong) = self.probe(probe, revision).await?
        {
            return Err(self.unverified(revision, &wrong));
        }
        Ok(())
    }

    /// Which of the policies is not as it was written.
    async fn wrong_policy(&self, id: &str) -> Result<Option<String>, ArmError> {
        let policy = self.published.policy;
        let api = std::iter::once((PolicyOf::Api, &policy.api));
        let operations = policy.operations.iter();
        let operations = operations.map(|(id, text)| (PolicyOf::Operation(id), text));
        for (of, wanted) in api.chain(operations) {
            let there = self.applier.client.reader().policy(id, of).await?;
            let same = matches!(&there, Reading::Found(there) if apim::same_document(&there.text, &wanted.text));
            if !same {
                return Ok(Some(match of {
                    PolicyOf::Api => "its policy".to_owned(),
                    PolicyOf::Operation(operation) => {
                        format!("the policy of operation `{operation}`")
                    }
                }));
            }
        }
        Ok(None)
    }

    /// Asks the gateway, which needs a while until it knows a revision.
    async fn probe(&self, probe: &Probe, revision: u32) -> Result<Result<(), String>, Failure> {
        let at = probe.of_revision(revision);
        let Ok(url) = Url::parse(&at) else {
            return Ok(Err(format!("`{at}` is no URL")));
        };
        let reader = self.applier.client.reader();
        let options = reader.options();
        let until = Instant::now() + options.probe_wait;
        let mut pause = options.poll;
        loop {
            self.applier.check_cancelled()?;
            let answer = reader.ask_elsewhere(HttpRequest {
                method: Method::GET,
                url: url.clone(),
                headers: HeaderMap::new(),
                body: None,
                timeout: options.read_timeout,
                max_body: LARGEST_ANSWER,
            });
            let wrong = match answer.await {
                Ok(answer) if answer.status != 404 && answer.status < 500 => return Ok(Ok(())),
                Ok(answer) => format!("GET {at} through the gateway answers {}", answer.status),
                Err(error) => format!("GET {at} through the gateway has no answer: {error}"),
            };
            if Instant::now() + pause > until {
                return Ok(Err(wrong));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(options.poll_cap);
        }
    }

    fn unverified(&self, revision: u32, wrong: &str) -> Failure {
        let current = self
            .current
            .as_ref()
            .map(|current| current.revision.as_str());
        let current = current.unwrap_or("before");
        ArmError::unverified(
            &self.id(),
            format!("revision {revision} is not released, and callers still reach revision {current}: {wrong}"),
        )
        .into()
    }
}
