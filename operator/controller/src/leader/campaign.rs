//! Getting the Lease, keeping it, and giving it back.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher::watcher};
use kube::{Client, ResourceExt as _};
use operator_core::leader::{Elector, Record, Turn};
use operator_core::retry::Jitter;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::lease::{saying, seen};
use super::{Election, Leadership, Standing, now};

/// A process that stands for election until it is told to give up.
#[derive(Debug)]
pub struct Campaign {
    task: JoinHandle<()>,
    give_up: oneshot::Sender<()>,
}

impl Campaign {
    /// Stands for election from now on. `client` is one whose writes nobody
    /// guards, since the Lease is written before there is a leader.
    #[must_use]
    pub fn start(leadership: Leadership, client: Client, election: Election) -> Self {
        let (give_up, asked) = oneshot::channel();
        let candidate = Candidate::new(leadership, client, election);
        let task = tokio::spawn(candidate.run(asked));
        Self { task, give_up }
    }

    /// Gives the Lease back if it is held, so that the next one need not wait
    /// until it is over. To be called when nothing is written any more.
    pub async fn release(self) {
        // The other end is gone where the Lease was lost.
        let _ = self.give_up.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task of the lease ended badly");
        }
    }
}

/// Whether a call succeeded, as far as the election is concerned.
enum Written {
    Yes,
    /// Somebody wrote in between, or it is not known whether it succeeded.
    Unclear,
}

struct Candidate {
    leadership: Leadership,
    api: Api<Lease>,
    election: Election,
    elector: Elector,
    /// The object as last read, for what others keep in it.
    lease: Option<Lease>,
    /// Whether the Lease must be read before the next turn.
    look: bool,
}

impl Drop for Candidate {
    /// Also when the task is aborted or panics: without it nobody renews.
    fn drop(&mut self) {
        if self.leadership.leads() {
            self.leadership.ended(Standing::Released);
        }
    }
}

impl Candidate {
    fn new(leadership: Leadership, client: Client, election: Election) -> Self {
        let id = format!("{}_{}", election.name, uuid::Uuid::new_v4());
        Self {
            leadership,
            api: Api::namespaced(client, &election.namespace),
            elector: Elector::new(id, election.timings),
            election,
            lease: None,
            look: true,
        }
    }

    async fn run(mut self, mut asked: oneshot::Receiver<()>) {
        let mut changes = self.changes();
        loop {
            let Some(pause) = self.turn().await else {
                return;
            };
            let due = tokio::time::sleep(pause);
            tokio::pin!(due);
            loop {
                tokio::select! {
                    () = &mut due => break,
                    () = self.changed(&mut changes) => {}
                    _ = &mut asked => return self.release().await,
                }
                if !self.is_stale_news().await {
                    break;
                }
            }
        }
    }

    /// Whether a change that the watch told of is nothing to act on. A holder
    /// hears of its own writes, possibly after the next one: were that a reason
    /// to write again, each write would be the reason of another.
    async fn is_stale_news(&mut self) -> bool {
        self.look = true;
        if !self.elector.leads(now()) {
            return false;
        }
        let version = |lease: &Option<Lease>| lease.as_ref().and_then(Lease::resource_version);
        let known = version(&self.lease);
        self.read().await;
        // Where it could not be read, the time to write comes before long, and
        // has to be enough for that.
        self.look || known.is_some() && version(&self.lease) == known
    }

    /// One look and one write, as far as they are due; answers how long to
    /// wait, or nothing when the Lease is lost.
    async fn turn(&mut self) -> Option<Duration> {
        let leading = self.elector.leads(now());
        if self.look || !leading {
            self.read().await;
        }
        let pause = self.election.timings.pause(Jitter::new(rand::random()));
        let written = match self.elector.turn(now()) {
            Turn::Create(record) => self.write(&record, None).await,
            Turn::Replace { record, version } => self.write(&record, Some(&version)).await,
            Turn::Wait(until) => return Some(pause.min(until.saturating_sub(now()))),
            Turn::Lost(loss) => {
                tracing::error!("leadership is lost: {loss}");
                self.leadership.ended(Standing::Lost(loss));
                return None;
            }
        };
        let Some(until) = self.elector.may_write_until() else {
            return Some(pause);
        };
        match written {
            Written::Yes => {
                if !leading {
                    tracing::info!(lease = self.election.lease, "this replica leads");
                }
                self.leadership.renewed(until);
                Some(pause)
            }
            // Soon again: what is left until the deadline is short.
            Written::Unclear => Some((pause / 4).min(until.saturating_sub(now()))),
        }
    }

    async fn read(&mut self) {
        let limit = self.limit();
        match tokio::time::timeout(limit, self.api.get_opt(&self.election.lease)).await {
            Ok(Ok(found)) => {
                self.elector.observe(found.as_ref().map(seen), now());
                self.lease = found;
                self.look = false;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, lease = self.election.lease, "the lease cannot be read");
            }
            Err(_) => {
                tracing::warn!(
                    lease = self.election.lease,
                    "the lease was not read in {limit:?}"
                );
            }
        }
    }

    async fn write(&mut self, record: &Record, version: Option<&str>) -> Written {
        let name = self.election.lease.clone();
        let before = self.lease.as_ref().filter(|_| version.is_some());
        let wanted = saying(before, &name, record, version, Timestamp::now());
        let params = PostParams::default();
        let sent = now();
        let limit = self.limit();
        let call = async {
            match version {
                None => self.api.create(&params, &wanted).await,
                Some(_) => self.api.replace(&name, &params, &wanted).await,
            }
        };
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(written)) => {
                self.elector.written(seen(&written), sent, now());
                self.lease = Some(written);
                self.look = false;
                return Written::Yes;
            }
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() => {
                tracing::debug!(lease = name, "another replica was faster");
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, lease = name, "the lease cannot be written");
            }
            Err(_) => tracing::warn!(lease = name, "the lease was not written in {limit:?}"),
        }
        self.look = true;
        Written::Unclear
    }

    /// How long a call may take: never past the moment at which a holder must
    /// stop.
    fn limit(&self) -> Duration {
        let half = self.election.timings.renew_deadline() / 2;
        let left = self
            .elector
            .may_write_until()
            .map(|until| until.saturating_sub(now()));
        // A holder whose time is over reads and writes nothing; the call is
        // only there to fail.
        left.map_or(half, |left| half.min(left))
            .max(Duration::from_millis(1))
    }

    async fn release(mut self) {
        let Some((record, version)) = self.elector.release(now()) else {
            return;
        };
        // Before the Lease is free nobody else writes; after it, not this one.
        self.leadership.ended(Standing::Released);
        if matches!(self.write(&record, Some(&version)).await, Written::Yes) {
            tracing::info!(lease = self.election.lease, "the lease is given back");
        }
    }

    /// Tells of changes of the Lease, as a hint to look at it.
    fn changes(&self) -> BoxStream<'static, Option<String>> {
        let only = format!("metadata.name={}", self.election.lease);
        watcher(self.api.clone(), watcher::Config::default().fields(&only))
            .default_backoff()
            .filter_map(|event| async {
                match event {
                    Ok(Event::Apply(lease) | Event::InitApply(lease)) => {
                        Some(lease.resource_version())
                    }
                    Ok(Event::Delete(_)) => Some(None),
                    Ok(Event::Init | Event::InitDone) => None,
                    Err(error) => {
                        tracing::warn!(%error, "the watch of the lease failed and is started again");
                        None
                    }
                }
            })
            .boxed()
    }

    /// Waits for a version of the Lease that is not the one that is known.
    async fn changed(&self, changes: &mut BoxStream<'static, Option<String>>) {
        let known = self.lease.as_ref().and_then(Lease::resource_version);
        while let Some(version) = changes.next().await {
            if version != known {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}
