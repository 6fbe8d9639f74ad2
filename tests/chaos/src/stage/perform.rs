//! Each step of a schedule, done.

use std::time::Duration;

use anyhow::Result;
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::owner::{again, again_with};
use super::{Object, Stage, until};
use crate::schedule::{Hand, Kill, KubeFault, Side, Step};

/// What operators stand for election with.
const LEASE: &str = "apim-operator";
/// How long a step waits for calls that may never come.
const MOMENT: Duration = Duration::from_millis(150);
/// How long it waits for a call at which the operator is to die.
const AT_MOST: Duration = Duration::from_millis(400);
/// Nothing was called for so long: the operator rests.
const REST: Duration = Duration::from_millis(60);
/// How long a step waits for the operator to rest.
const LONGEST_REST: Duration = Duration::from_millis(1_500);

impl Stage<'_> {
    /// Does one step.
    pub(crate) async fn perform(&mut self, step: &Step) -> Result<()> {
        self.log.say(&format!("{step:?}"));
        let happened = match step {
            Step::Create { slot, wanted } => self.create(usize::from(*slot), wanted).await?,
            Step::Change { slot, change } => self.change(usize::from(*slot), change).await?,
            Step::Delete { slot } => self.delete(usize::from(*slot)).await?,
            Step::Endpoint { slot, ready } => self.endpoint(usize::from(*slot), *ready).await?,
            Step::Stamp(stamp) => self.stamped(*stamp).await?,
            Step::Azure(fault) => {
                let id = self.azure.fail(fault)?;
                self.azure_faults.insert(id, fault.clone());
                true
            }
            Step::Imports { shape, polls } => {
                self.azure.imports(*shape, *polls);
                true
            }
            Step::AzureClock { minutes } => {
                self.azure
                    .simulator
                    .advance_clock(u32::from(*minutes) * 60_000);
                true
            }
            Step::LeaseClock { minutes } => self.lease_clock(*minutes).await?,
            Step::Kube(fault) => {
                self.kube_fault(fault);
                true
            }
            Step::Partition { from, milliseconds } => {
                self.cut_off(*from, Duration::from_millis(u64::from(*milliseconds)))?;
                true
            }
            Step::RestartApiserver => {
                self.lab.restart_apiserver().await?;
                true
            }
            Step::Kill(kill) => self.kill(*kill).await?,
            Step::Start => {
                let was_down = self.first.is_none();
                self.start_operator()?;
                was_down
            }
            Step::Second(true) => {
                let was_alone = self.second.is_none();
                self.start_second()?;
                was_alone
            }
            Step::Second(false) => self.second.take().is_some_and(|second| {
                second.kill();
                true
            }),
            Step::Hand { slot, edit } => self.hand(usize::from(*slot), *edit).await?,
            Step::Edit { slot, edit } => self.edit(usize::from(*slot), *edit).await?,
            Step::Squat {
                slot,
                second,
                whose,
            } => self.squat(usize::from(*slot), *second, *whose).await?,
            Step::Holder(there) => self.hold_path(*there).await?,
            Step::Appears { value } => self.appear(*value).await?,
            Step::Wait { calls } => {
                let enough = self.calls() + u64::from(*calls);
                until(MOMENT, || self.calls() >= enough).await;
                true
            }
            Step::Settle => {
                self.settle().await;
                true
            }
            Step::Converge => self.converge().await?.is_empty(),
        };
        if happened {
            self.tally.step(step);
        }
        Ok(())
    }

    /// How many calls operators have made to anybody.
    pub(crate) fn calls(&self) -> u64 {
        self.tap.calls() + self.azure.simulator.last_call()
    }

    /// Waits until the operator does nothing any more but look. One that was
    /// just started has not begun.
    pub(super) async fn settle(&self) {
        if self.first.is_some() {
            until(LONGEST_REST, || {
                self.azure.simulator.last_call() > self.started_at
            })
            .await;
        }
        let work = || self.tap.calls() + self.azure.work();
        let mut last = (work(), tokio::time::Instant::now());
        until(LONGEST_REST, || {
            let now = work();
            if now != last.0 {
                last = (now, tokio::time::Instant::now());
            }
            last.1.elapsed() >= REST
        })
        .await;
    }

    /// Cuts operators off for a while.
    fn cut_off(&mut self, from: Side, time: Duration) -> Result<()> {
        if matches!(from, Side::Azure | Side::Both) {
            let id = self.azure.cut_off()?;
            let remove = self.azure.simulator.fault_remover();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                remove(id);
            });
        }
        if matches!(from, Side::ApiServer | Side::Both) {
            self.tap.cut_off(true);
            let tap = std::sync::Arc::clone(&self.tap);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                tap.cut_off(false);
            });
        }
        Ok(())
    }

    /// Somebody whose clock is wrong writes the time into the Lease.
    async fn lease_clock(&mut self, minutes: i16) -> Result<bool> {
        let leases: Api<Lease> = Api::namespaced(self.lab.client.clone(), &self.namespace);
        let Some(lease) = again_with(async || leases.get_opt(LEASE).await).await? else {
            return Ok(false);
        };
        let Some(MicroTime(time)) = lease.spec.and_then(|spec| spec.renew_time) else {
            return Ok(false);
        };
        let wrong = time.checked_add(SignedDuration::from_mins(i64::from(minutes)))?;
        let patch = Patch::Merge(json!({"spec": {"renewTime": MicroTime(wrong)}}));
        again(async || {
            leases
                .patch(LEASE, &PatchParams::default(), &patch)
                .await
                .map(drop)
        })
        .await?;
        Ok(true)
    }

    fn kube_fault(&self, fault: &KubeFault) {
        match fault {
            KubeFault::Calls {
                call,
                answer,
                after,
                count,
            } => self.tap.fail(*call, *answer, *after, *count),
            KubeFault::CutWatches { broken } => self.tap.cut_watches(*broken),
            KubeFault::StallWatches { milliseconds } => {
                self.tap.stall_watches(true);
                let tap = std::sync::Arc::clone(&self.tap);
                let stalled = Duration::from_millis(u64::from(*milliseconds));
                tokio::spawn(async move {
                    tokio::time::sleep(stalled).await;
                    tap.stall_watches(false);
                });
            }
        }
    }

    /// Kills the operator; says whether it ran.
    async fn kill(&mut self, kill: Kill) -> Result<bool> {
        if self.first.is_none() {
            return Ok(false);
        }
        let mut held = None;
        match kill {
            Kill::Now => {}
            Kill::After { microseconds } => {
                let next = self.calls() + 1;
                until(AT_MOST, || self.calls() >= next).await;
                tokio::time::sleep(Duration::from_micros(u64::from(microseconds))).await;
            }
            Kill::AtAzureWrite { after, done } => {
                let id = self.azure.hold_write(after, done)?;
                if self.azure.simulator.wait_for_held(1, AT_MOST).await {
                    self.tally.killed_at_a_write += 1;
                }
                held = Some(id);
            }
            Kill::AtKubeWrite { after, done } => {
                self.tap.trip(after, done);
                let tripped = self.tap.tripped.notified();
                if tokio::time::timeout(AT_MOST, tripped).await.is_ok() {
                    self.tally.killed_at_a_write += 1;
                }
            }
        }
        if let Some(operator) = self.first.take() {
            operator.kill();
        }
        if let Some(id) = held {
            self.azure.simulator.remove_fault(id);
        }
        // A second one that ran into the same trap goes on.
        self.tap.untrip();
        Ok(true)
    }

    /// Does something by hand; says whether there was something to do it to.
    async fn hand(&mut self, at: usize, edit: Hand) -> Result<bool> {
        if !matches!(self.slots[at].object, Object::There(_)) {
            return Ok(false);
        }
        let id = self.api_id(&self.slots[at]);
        match edit {
            Hand::RemoveMark | Hand::ForgeMark => {
                let Some(second) = self.place_of(&self.slots[at]) else {
                    return Ok(false);
                };
                self.slots[at].handled = true;
                self.slots[at].unmarked = Some(second);
                let mark = match edit {
                    Hand::ForgeMark => format!("apim-operator/1 0a1b2c3d {}/x", self.namespace),
                    _ => "kept by hand".to_owned(),
                };
                self.set_mark(second, &id, &mark).await?;
            }
            Hand::ClaimReady => {
                let status = json!({
                    "implementation": {"ready": true},
                    "apiStatus": {"url": "https://evil.example/"},
                });
                self.write_status(at, &status).await?;
            }
            Hand::ForgetApplied => self.write_status(at, &json!({"apim": null})).await?,
            Hand::PointElsewhere => {
                let status = json!({"apim": {"apiId": super::FOREIGN}});
                self.write_status(at, &status).await?;
            }
            Hand::Decorate => return self.decorate(at).await,
        }
        Ok(true)
    }
}
