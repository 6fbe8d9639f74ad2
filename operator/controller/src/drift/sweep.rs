//! One sweep: the fast part, and a share of the rotation.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use futures::StreamExt as _;
use operator_apim::sweep::Sweeper;
use operator_apim::{ArmError, ListedApi, PolicyOf};
use operator_core::apim::{Observed, ObservedApi, Reading};
use operator_core::class::ErrorClass;
use operator_core::drift::schedule::Cycle;
use operator_core::drift::{Area, Verdict};
use operator_core::names::ObjectKey;

use super::ledger::{Ledger, Part, Target};

/// Reads that are under way at the same time, so that a slow service does not
/// slow the sweep: the pace is the schedule's.
const CONCURRENT: usize = 32;

/// How often a page of the list is asked for again while the service throttles.
const AGAIN: u32 = 10;

/// What a sweep came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// APIs in the service.
    pub(crate) listed: u64,
    /// APIs that were looked at.
    pub(crate) looked_at: u64,
    /// Reads that failed; what they were for is looked at again in the next
    /// sweep.
    pub(crate) failed: u64,
    /// Objects whose reconcile was asked for.
    pub(crate) told: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.listed += other.listed;
        self.looked_at += other.looked_at;
        self.failed += other.failed;
        self.told += other.told;
    }
}

/// A sweep of one instance.
pub(crate) struct Sweep<'a> {
    pub(crate) sweeper: &'a Sweeper,
    pub(crate) ledger: &'a Ledger,
    /// Asks for a reconcile.
    pub(crate) tell: &'a (dyn Fn(&ObjectKey) + Send + Sync),
}

impl Sweep<'_> {
    /// The list of APIs, then the ETag of each policy.
    pub(crate) async fn fast(&self, targets: &[Arc<Target>], cycle: &Cycle) -> Tally {
        self.sweeper.spread(cycle.fast.gap);
        let mut tally = Tally::default();
        let suspects = match self.list(targets, &mut tally).await {
            Ok(suspects) => suspects,
            Err(error) => {
                tracing::debug!(%error, "the list of APIs could not be read");
                tally.failed += 1;
                return tally;
            }
        };
        let looks = futures::stream::iter(suspects)
            .map(|(target, listed)| self.api(target, listed))
            .buffer_unordered(CONCURRENT)
            .fold(Tally::default(), sum)
            .await;
        tally.add(looks);
        let policies: Vec<Arc<Target>> = targets
            .iter()
            .filter(|target| !target.lost)
            .cloned()
            .collect();
        let looks = futures::stream::iter(policies)
            .map(|target| self.policy(target))
            .buffer_unordered(CONCURRENT)
            .fold(Tally::default(), sum)
            .await;
        tally.add(looks);
        tally
    }

    /// Goes through the list and answers what does not look right in it.
    async fn list(
        &self,
        targets: &[Arc<Target>],
        tally: &mut Tally,
    ) -> Result<Vec<(Arc<Target>, Option<ObservedApi>)>, ArmError> {
        let mut missing: HashMap<String, Arc<Target>> = targets
            .iter()
            .map(|target| (target.api_id.to_ascii_lowercase(), Arc::clone(target)))
            .collect();
        let mut suspects = Vec::new();
        let mut pages = self.sweeper.apis();
        let mut left = AGAIN;
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                // The sweep slows down with each of these.
                Err(error) if matches!(error.class, ErrorClass::Throttled(_)) && left > 0 => {
                    left -= 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for ListedApi {
                id,
                is_current,
                api,
            } in page
            {
                tally.listed += 1;
                let Some(target) = missing.get(&id.to_ascii_lowercase()).cloned() else {
                    continue;
                };
                if !is_current {
                    continue;
                }
                missing.remove(&id.to_ascii_lowercase());
                if target.lost {
                    // It is enough to know that it is ours again.
                    if api.mark.as_deref() == Some(&*target.mark) {
                        tally.told += self.regained(&target);
                    }
                    continue;
                }
                match self.ledger.judge(&target, |watched| watched.listed(&api)) {
                    Some(Verdict::Fine) => tally.told += self.fine(&target, Area::Api),
                    Some(_) => suspects.push((target, Some(api))),
                    None => {}
                }
            }
        }
        // What the list does not have.
        let mut absent: Vec<Arc<Target>> = missing.into_values().collect();
        absent.sort_by(|a, b| a.api_id.cmp(&b.api_id));
        for target in absent {
            suspects.push((target, None));
        }
        Ok(suspects)
    }

    /// Reads an API that does not look right in the list.
    async fn api(&self, target: Arc<Target>, listed: Option<ObservedApi>) -> Tally {
        let target = &*target;
        let found = match self.sweeper.api(&target.api_id, &target.mark).await {
            Ok(found) => found,
            Err(error) => return failed(target, &error),
        };
        if target.lost {
            return match found {
                Some(api) if !api.carries(&target.mark) => Tally::default(),
                Some(_) => counted(self.regained(target)),
                None => {
                    self.ledger.saw(target, Observed::default());
                    counted(self.told(target))
                }
            };
        }
        let verdict = self.ledger.judge(target, |watched| {
            watched.api(found.as_ref(), listed.as_ref())
        });
        counted(match verdict {
            Some(Verdict::Fine) => self.fine(target, Area::Api),
            Some(_) => self.saw(
                target,
                Observed {
                    api: found,
                    ..Observed::default()
                },
            ),
            None => 0,
        })
    }

    /// The policy by its ETag, and by its text where that does not tell.
    async fn policy(&self, target: Arc<Target>) -> Tally {
        let target = &*target;
        let id = &target.api_id;
        let mut tally = Tally {
            looked_at: 1,
            ..Tally::default()
        };
        if target.has_policy_etag {
            let etag = match self.sweeper.policy_etag(id, PolicyOf::Api).await {
                Ok(etag) => etag,
                Err(error) => return failed(target, &error),
            };
            let verdict = self
                .ledger
                .judge(target, |watched| watched.policy_etag(etag.as_deref()));
            if verdict == Some(Verdict::Fine) {
                tally.told += self.fine(target, Area::Policy);
                tally.told += self.looked(target, Part::Fast);
                return tally;
            }
        }
        let policy = if target.has_policy_etag {
            self.sweeper.policy_now(id, PolicyOf::Api).await
        } else {
            self.sweeper.policy(id, PolicyOf::Api).await
        };
        let policy = match policy {
            Ok(policy) => policy,
            Err(error) => return failed(target, &error),
        };
        let verdict = self.ledger.judge(target, |watched| watched.policy(&policy));
        match verdict {
            Some(Verdict::Fine) => tally.told += self.fine(target, Area::Policy),
            Some(_) => {
                // With the API, which says whether it is ours to judge.
                match self.sweeper.api(id, &target.mark).await {
                    Ok(api) => {
                        let observed = Observed {
                            api,
                            policy,
                            ..Observed::default()
                        };
                        tally.told += self.saw(target, observed);
                    }
                    Err(error) => return failed(target, &error),
                }
            }
            None => {}
        }
        tally.told += self.looked(target, Part::Fast);
        tally
    }

    /// Takes APIs from the front of the rotation for as many reads as the
    /// cycle has for it, and puts them back behind. Answers how many operations
    /// each had.
    pub(crate) async fn slow(
        &self,
        rotation: &mut VecDeque<ObjectKey>,
        targets: &[Arc<Target>],
        cycle: &Cycle,
        counts: &mut BTreeMap<ObjectKey, u64>,
    ) -> Tally {
        self.sweeper.spread(cycle.slow.gap);
        let by_key: HashMap<&ObjectKey, &Arc<Target>> =
            targets.iter().map(|target| (&target.key, target)).collect();
        rotation.retain(|key| by_key.contains_key(key));
        counts.retain(|key, _| by_key.contains_key(key));
        let waiting: std::collections::HashSet<ObjectKey> = rotation.iter().cloned().collect();
        for target in targets {
            if !waiting.contains(&target.key) {
                rotation.push_back(target.key.clone());
            }
        }
        let mut tally = Tally::default();
        let last = self.sweeper.reads() + cycle.slow.reads;
        let mut left = rotation.len();
        while left > 0 && self.sweeper.reads() < last {
            left -= 1;
            let Some(key) = rotation.pop_front() else {
                break;
            };
            if let Some(target) = by_key.get(&key).copied().filter(|target| !target.lost) {
                let (looked, operations) = self.operations(target).await;
                tally.add(looked);
                if let Some(operations) = operations {
                    counts.insert(key.clone(), operations);
                }
            }
            rotation.push_back(key);
        }
        tally
    }

    /// Revision, operations and their policies of one API.
    async fn operations(&self, target: &Target) -> (Tally, Option<u64>) {
        let id = &target.api_id;
        let looked = async {
            let mut told = 0;
            let mut right = true;
            let revision = self.sweeper.current_revision(id).await?;
            let same = self.ledger.judge(target, |watched| {
                watched.current_revision(revision.as_deref())
            });
            let operations = self.sweeper.operations(id).await?;
            let count = u64::try_from(operations.len()).unwrap_or(u64::MAX);
            let mut observed = Observed::default();
            if same == Some(Verdict::Differs) {
                right = false;
            }
            let verdict = self
                .ledger
                .judge(target, |watched| watched.operations(&operations));
            if verdict == Some(Verdict::Differs) {
                right = false;
                observed.operations = Reading::Found(operations.clone());
            }
            for operation in &operations {
                let of = PolicyOf::Operation(&operation.id);
                let etag = self.sweeper.policy_etag(id, of).await?;
                let verdict = self.ledger.judge(target, |watched| {
                    watched.operation_policy_etag(&operation.id, etag.as_deref())
                });
                let policy = match verdict {
                    None | Some(Verdict::Fine) => continue,
                    Some(Verdict::Differs) => Reading::Absent,
                    Some(Verdict::Unclear) => self.sweeper.policy_now(id, of).await?,
                };
                let verdict = self.ledger.judge(target, |watched| {
                    watched.operation_policy(&operation.id, &policy)
                });
                if verdict == Some(Verdict::Differs) {
                    right = false;
                    observed
                        .operation_policies
                        .insert(operation.id.clone(), policy);
                }
            }
            for product in &target.products {
                if !self.sweeper.in_product(product, id).await? {
                    right = false;
                    observed.products.insert(product.clone(), false);
                }
            }
            for part in &target.parts {
                let found = self.sweeper.part(part, id).await?;
                let verdict = self
                    .ledger
                    .judge(target, |watched| watched.part(part, found.as_ref()));
                if verdict == Some(Verdict::Differs) {
                    right = false;
                    observed.parts.insert(part.clone(), found);
                }
            }
            if right {
                told += self.fine(target, Area::Operations);
            } else {
                observed.api = self.sweeper.api(id, &target.mark).await?;
                told += self.saw(target, observed);
            }
            told += self.looked(target, Part::Slow);
            Ok::<_, ArmError>((told, count))
        };
        match looked.await {
            Ok((told, count)) => (
                Tally {
                    looked_at: 1,
                    told,
                    ..Tally::default()
                },
                Some(count),
            ),
            Err(error) => (failed(target, &error), None),
        }
    }

    fn told(&self, target: &Target) -> u64 {
        (self.tell)(&target.key);
        1
    }

    fn fine(&self, target: &Target, area: Area) -> u64 {
        if self.ledger.fine(target, area) {
            self.told(target)
        } else {
            0
        }
    }

    /// One that was lost carries the mark again: what was said of that is not so
    /// any more.
    fn regained(&self, target: &Target) -> u64 {
        self.ledger.fine(target, Area::Api);
        self.told(target)
    }

    fn saw(&self, target: &Target, observed: Observed) -> u64 {
        if self.ledger.saw(target, observed) {
            self.told(target)
        } else {
            0
        }
    }

    fn looked(&self, target: &Target, part: Part) -> u64 {
        if self.ledger.looked(target, part) {
            self.told(target)
        } else {
            0
        }
    }
}

async fn sum(mut all: Tally, one: Tally) -> Tally {
    all.add(one);
    all
}

fn counted(told: u64) -> Tally {
    Tally {
        told,
        ..Tally::default()
    }
}

fn failed(target: &Target, error: &ArmError) -> Tally {
    tracing::debug!(object = %target.key, %error, "a look at an API failed");
    Tally {
        failed: 1,
        ..Tally::default()
    }
}
