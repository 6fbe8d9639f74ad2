//! The reads of a sweep: in the background, at an even pace, slower while the
//! service throttles.
//!
//! When to read is decided in [`operator_core::drift::schedule`]; what is read
//! is compared by whoever asks. Nothing here can write: all calls go through an
//! [`ArmReader`] in its background lane, behind every read that somebody waits
//! for, and out of a budget that writes do not share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use operator_core::apim::{
    ObservedApi, ObservedOperation, ObservedPart, ObservedPolicy, PartId, Reading,
};
use operator_core::class::ErrorClass;
use operator_core::drift::schedule::{Governor, Pacer};
use operator_core::names::ProductId;
use operator_core::tier::Resource;
use tokio::time::Instant;

use crate::arm::{ArmReader, Pages};
use crate::certificates::CertificateThere;
use crate::error::ArmError;
use crate::models::Counted;
use crate::oauth2::OAuth2There;
use crate::oidc::OidcThere;
use crate::reads::{ListedApi, PolicyOf};
use crate::service::ServiceInfo;

/// Reads for a sweep.
#[derive(Debug)]
pub struct Sweeper {
    reader: ArmReader,
    origin: Instant,
    tempo: Mutex<Tempo>,
}

#[derive(Debug)]
struct Tempo {
    pacer: Pacer,
    /// For what is read because something did not look right: that does not
    /// wait for its turn among the others.
    prompt: Pacer,
    governor: Governor,
    gap: Duration,
    reads: u64,
}

/// A list of APIs, page by page.
#[derive(Debug)]
pub struct ApiPages<'a> {
    sweeper: &'a Sweeper,
    pages: Pages<ListedApi>,
}

impl ApiPages<'_> {
    /// The next page; none after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<ListedApi>>, ArmError> {
        let page = {
            self.sweeper.turn().await;
            self.pages.next().await
        };
        self.sweeper.note(page)
    }
}

impl Sweeper {
    /// Reads of this reader's service, at most so many per second.
    #[must_use]
    pub fn new(reader: &ArmReader, reads_per_second: f64) -> Self {
        Self {
            reader: reader.background(),
            origin: Instant::now(),
            tempo: Mutex::new(Tempo {
                pacer: Pacer::new(Duration::ZERO),
                prompt: Pacer::new(Duration::ZERO),
                governor: Governor::new(reads_per_second),
                gap: Duration::ZERO,
                reads: 0,
            }),
        }
    }

    /// From now on, reads follow each other at this distance, or at a longer
    /// one while the service throttles.
    pub fn spread(&self, gap: Duration) {
        let now = self.origin.elapsed();
        let mut tempo = self.tempo();
        tempo.gap = gap;
        tempo.pacer = Pacer::new(now);
    }

    /// Reads per second that the service bears at the moment.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.tempo().governor.rate()
    }

    /// Reads so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.tempo().reads
    }

    fn tempo(&self) -> MutexGuard<'_, Tempo> {
        self.tempo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn turn(&self) {
        let due = {
            let mut tempo = self.tempo();
            let gap = tempo.gap.max(tempo.governor.gap());
            tempo.reads += 1;
            tempo.pacer.due(self.origin.elapsed(), gap)
        };
        tokio::time::sleep_until(self.origin + due).await;
    }

    /// A turn at the shortest distance that the service bears.
    async fn prompt_turn(&self) {
        let due = {
            let mut tempo = self.tempo();
            let gap = tempo.governor.gap();
            tempo.reads += 1;
            tempo.prompt.due(self.origin.elapsed(), gap)
        };
        tokio::time::sleep_until(self.origin + due).await;
    }

    fn note<T>(&self, result: Result<T, ArmError>) -> Result<T, ArmError> {
        let mut tempo = self.tempo();
        match &result {
            Ok(_) => tempo.governor.served(),
            Err(error) if matches!(error.class, ErrorClass::Throttled(_)) => {
                tempo.governor.throttled();
            }
            Err(_) => {}
        }
        result
    }

    async fn paced<T>(
        &self,
        read: impl Future<Output = Result<T, ArmError>>,
    ) -> Result<T, ArmError> {
        self.turn().await;
        self.note(read.await)
    }

    async fn prompt<T>(
        &self,
        read: impl Future<Output = Result<T, ArmError>>,
    ) -> Result<T, ArmError> {
        self.prompt_turn().await;
        self.note(read.await)
    }

    /// All current APIs, those of others too.
    #[must_use]
    pub fn apis(&self) -> ApiPages<'_> {
        ApiPages {
            sweeper: self,
            pages: self.reader.apis(),
        }
    }

    /// An API with the marks of its revisions, as far as they are needed. Read
    /// at once.
    pub async fn api(&self, id: &str, mark: &str) -> Result<Option<ObservedApi>, ArmError> {
        self.prompt(self.reader.marked_api(id, mark)).await
    }

    /// The number of the current revision.
    pub async fn current_revision(&self, id: &str) -> Result<Option<String>, ArmError> {
        let revisions = self.paced(self.reader.revisions(id)).await?;
        Ok(revisions
            .into_iter()
            .find(|revision| revision.is_current)
            .map(|revision| revision.number))
    }

    /// A policy document's ETag; none where there is no document.
    pub async fn policy_etag(
        &self,
        id: &str,
        of: PolicyOf<'_>,
    ) -> Result<Option<String>, ArmError> {
        self.paced(self.reader.policy_etag(id, of)).await
    }

    /// A policy document.
    pub async fn policy(
        &self,
        id: &str,
        of: PolicyOf<'_>,
    ) -> Result<Reading<ObservedPolicy>, ArmError> {
        self.paced(self.reader.policy(id, of)).await
    }

    /// A policy document that does not look right. Read at once.
    pub async fn policy_now(
        &self,
        id: &str,
        of: PolicyOf<'_>,
    ) -> Result<Reading<ObservedPolicy>, ArmError> {
        self.prompt(self.reader.policy(id, of)).await
    }

    /// The operations of an API.
    pub async fn operations(&self, id: &str) -> Result<Vec<ObservedOperation>, ArmError> {
        self.paced(self.reader.operations(id)).await
    }

    /// Whether a product holds an API.
    pub async fn in_product(&self, product: &ProductId, id: &str) -> Result<bool, ArmError> {
        self.paced(self.reader.in_product(product, id)).await
    }

    /// A tag or a diagnostic of an API.
    pub async fn part(&self, part: &PartId, id: &str) -> Result<Option<ObservedPart>, ArmError> {
        self.paced(self.reader.part(part, id)).await
    }

    /// The service itself.
    pub async fn service(&self) -> Result<ServiceInfo, ArmError> {
        self.prompt(self.reader.service()).await
    }

    /// The certificates of the service.
    pub async fn certificates(&self) -> Result<Vec<CertificateThere>, ArmError> {
        match self.prompt(self.reader.certificates()).await {
            // What a tier lacks has no list there.
            Err(error) if error.is_absent() || error.class == ErrorClass::Invalid => Ok(Vec::new()),
            other => other,
        }
    }

    /// An OpenID provider.
    pub async fn oidc_provider(&self, id: &str) -> Result<Option<OidcThere>, ArmError> {
        self.prompt(self.reader.oidc_provider(id)).await
    }

    /// An OAuth 2.0 server.
    pub async fn oauth2_server(&self, id: &str) -> Result<Option<OAuth2There>, ArmError> {
        self.prompt(self.reader.oauth2_server(id)).await
    }

    /// How many there are of a resource that has a list of its own; none where
    /// the service does not count, or the tier has no such thing.
    pub async fn count(&self, resource: Resource) -> Result<Option<u64>, ArmError> {
        let Some(list) = resource.list() else {
            return Ok(None);
        };
        match self.prompt(self.reader.count(&[list])).await {
            // What a tier lacks has no list there.
            Err(error) if error.is_absent() || error.class == ErrorClass::Invalid => Ok(None),
            other => other,
        }
    }
}

impl ArmReader {
    /// How many entries a list has, by its shortest page.
    async fn count(&self, list: &[&str]) -> Result<Option<u64>, ArmError> {
        let what = format!("number of {}", list.join("/"));
        let call = self.get(list, &[("$top", "1")], "count", what);
        let counted: Counted = self.read(&call).await?.json(&call.name())?;
        Ok(counted.count)
    }
}

#[cfg(test)]
mod tests;
