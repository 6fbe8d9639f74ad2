//! What is told while an API is written, and what was done in the end.

use async_trait::async_trait;
use operator_apim::{Follow, Progress};
use operator_core::apim::{AppliedRecord, Memberships, PartStates, Published};
use operator_core::desired::Desired;
use operator_core::exposure::ExposureFacts;
use operator_core::validate::ValidatedApi;

use super::claim::Claim;
use super::subject::Subject;
use super::{Context, Stages, report};

/// Tells the log of each step, and status of an import that runs.
pub(super) struct Told<'a> {
    pub(super) ctx: &'a Context,
    pub(super) subject: &'a Subject,
    pub(super) validated: &'a ValidatedApi,
    pub(super) desired: &'a Desired,
    pub(super) stages: &'a Stages,
    pub(super) facts: &'a ExposureFacts,
    pub(super) trace: &'a str,
}

#[async_trait]
impl Follow for Told<'_> {
    fn step(&self, progress: Progress<'_>) {
        tracing::info!(
            correlation = self.trace,
            "{} of {}: {}",
            progress.number,
            progress.of,
            progress.step.describe()
        );
    }

    async fn accepted(&self, record: &AppliedRecord) {
        let claim = Claim {
            record: Some(record.clone()),
            believed: true,
        };
        self.ctx
            .memory
            .confirm(&self.subject.key, claim.record.clone());
        let told = report::progressing(
            self.ctx,
            self.subject,
            self.validated,
            self.desired,
            &claim,
            self.stages,
            self.facts,
        );
        // Without it, a restart before the end imports once more.
        if let Err(error) = told.await {
            tracing::warn!(%error, "the import that runs could not be written down");
        }
    }
}

/// What changed in the products of an API, for people.
fn products_changed(before: &Memberships, now: &Memberships) -> Vec<String> {
    let listed = |these: &Memberships, those: &Memberships| {
        let only = these.keys().filter(|product| !those.contains_key(*product));
        only.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let entered = Some(listed(now, before)).filter(|all| !all.is_empty());
    let left = Some(listed(before, now)).filter(|all| !all.is_empty());
    entered
        .map(|all| format!("put into product {all}"))
        .into_iter()
        .chain(left.map(|all| format!("taken out of product {all}")))
        .collect()
}

/// What changed in the tags and diagnostics of an API, for people.
fn parts_changed(before: &PartStates, now: &PartStates) -> Vec<String> {
    let written = now
        .iter()
        .filter(|(id, state)| before.get(*id) != Some(*state));
    let removed = before.keys().filter(|id| !now.contains_key(*id));
    written
        .map(|(id, _)| format!("{id} written"))
        .chain(removed.map(|id| format!("{id} removed")))
        .collect()
}

/// What was done, for people.
pub(super) fn describe(
    published: Published<'_>,
    now: &AppliedRecord,
    before: &AppliedRecord,
    first: bool,
) -> String {
    let place = format!(
        "API {} in instance {}",
        published.api.id, published.instance
    );
    let operations = now
        .operations
        .map(|count| format!(" with {count} operations"))
        .unwrap_or_default();
    if first || before.spec_hash.is_none() && before.policy_hash.is_none() {
        return format!("published {place}{operations}");
    }
    if let Some(revision) = now.rolled_back {
        return format!("{place}: callers were led back to revision {revision}");
    }
    let mut changes = Vec::new();
    if let (Some(from), Some(to)) = (&before.api_revision, &now.api_revision)
        && from != to
    {
        changes.push(format!("revision {to} released in the place of {from}"));
    }
    if now.spec_hash != before.spec_hash {
        changes.push(format!("OpenAPI document imported{operations}"));
    }
    if now.policy_hash != before.policy_hash || now.operation_policies != before.operation_policies
    {
        changes.push("policy replaced".to_owned());
    }
    if now.settings_hash != before.settings_hash {
        changes.push("settings changed".to_owned());
    }
    changes.extend(products_changed(&before.products, &now.products));
    changes.extend(parts_changed(&before.parts, &now.parts));
    if changes.is_empty() {
        changes.push("put right".to_owned());
    }
    format!("{place}: {}", changes.join(", "))
}
