//! What becomes of an edit in the portal when everything else rests: nothing
//! but a sweep can tell of it.

use std::time::Duration;

use anyhow::Result;
use apim_simulator::{CallKind, JournalQuery};
use serde_json::Value;

use super::owner::again_with;
use super::{Object, Stage};
use crate::azure::{OPERATOR, service};
use crate::check::{Violation, condition, rule};
use crate::draw::Draw;
use crate::schedule::Edit;
use crate::wanted::{Drift, Wanted};

/// How long a sweep may take to come to it, and to tell.
const PATIENCE: Duration = Duration::from_secs(20);
/// After so many sweeps more, what was to be seen was seen.
const SWEEPS: usize = 3;

impl Stage<'_> {
    /// Edits one API and sees to it that what its object asks for is done.
    pub(crate) async fn aftermath(&mut self) -> Result<Vec<Violation>> {
        let mut draw = Draw::new(self.seed ^ 0xaf7e);
        let world = self.world().await?;
        let edited: Vec<(usize, Wanted)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| match &slot.object {
                Object::There(wanted)
                    if world.is_published(self, slot, wanted)
                        && !wanted.metrics
                        && slot.edited.is_none() =>
                {
                    Some((at, wanted.clone()))
                }
                _ => None,
            })
            .collect();
        if edited.is_empty() {
            return Ok(Vec::new());
        }
        let (at, wanted) = draw.one(&edited);
        let mut edit = Edit::draw(&mut draw);
        if wanted.drift == Drift::Off && !edit.is_seen_fast() {
            edit = Edit::Policy;
        }
        let before = self.azure.simulator.last_call();
        if !self.edit(at, edit).await? {
            return Ok(Vec::new());
        }
        self.log
            .say(&format!("{edit:?} of {}", self.slots[at].name));
        let kind = format!("{}, {:?}", edit.word(), wanted.drift);
        *self.tally.edits.entry(kind).or_default() += 1;
        if wanted.drift == Drift::Correct {
            let mut wrong = self.converge().await?;
            if !wrong.is_empty() {
                let text = format!("{edit:?} was not put back");
                wrong.push(Violation::new(rule::DRIFT, text));
            }
            return Ok(wrong);
        }
        let id = self.api_id(&self.slots[at]);
        if edit == Edit::NoApi {
            // Which takes its time.
            super::until(PATIENCE, || self.azure.stored(wanted.second, &id).is_none()).await;
        }
        let stored = self.azure.stored(wanted.second, &id);
        let mut wrong = Vec::new();
        let mut say = |text: String| wrong.push(Violation::new(rule::DRIFT, text));
        if wanted.drift == Drift::Report && !self.is_reported(at).await? {
            say(format!("{edit:?} was not reported"));
        }
        self.swept(wanted.second).await;
        let status = self.status(at).await?;
        if wanted.drift == Drift::Off && condition(&status, "Drifted")["status"] == "True" {
            say(format!("{edit:?} was reported, which nobody asked for"));
        }
        if self.azure.stored(wanted.second, &id) != stored {
            say(format!("{edit:?} was to stay"));
        }
        let written = self.azure.simulator.journal(&JournalQuery {
            since: before,
            ..JournalQuery::default()
        });
        for call in written {
            if matches!(call.kind, CallKind::Write | CallKind::Delete)
                && call.principal.as_deref() == Some(OPERATOR)
                && call.path.contains(&format!("/apis/{id}"))
            {
                say(format!("{} {} was written", call.method, call.path));
            }
        }
        Ok(wrong)
    }

    async fn status(&self, at: usize) -> Result<Value> {
        let api = self.exposed_apis();
        let name = self.slots[at].name.clone();
        let object = again_with(async || api.get(&name).await).await?;
        Ok(object.data["status"].clone())
    }

    /// Waits until status tells of drift.
    async fn is_reported(&self, at: usize) -> Result<bool> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self.status(at).await?;
            let drifted = condition(&status, "Drifted");
            if drifted["status"] == "True" && drifted["reason"] == "Reported" {
                return Ok(true);
            }
            if tokio::time::Instant::now() > deadline {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until some more sweeps have begun.
    async fn swept(&self, second: bool) {
        let list = format!("/service/{}/apis", service(second));
        let lists = || {
            let reads = self.azure.simulator.journal(&JournalQuery {
                kind: Some(CallKind::Read),
                ..JournalQuery::default()
            });
            reads
                .iter()
                .filter(|call| call.path.ends_with(&list))
                .count()
        };
        let enough = lists() + SWEEPS;
        super::until(PATIENCE, || lists() >= enough).await;
    }
}
