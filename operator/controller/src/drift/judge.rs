//! What the reconcile makes of what a sweep saw.

use std::collections::BTreeSet;

use operator_core::annotations::Drift;
use operator_core::apim::{self, Published};
use operator_core::desired::Desired;
use operator_core::drift::{Area, DriftReport, compare, forget};
use operator_core::names::ContentHash;
use operator_core::status::Step;
use operator_core::status::reasons::Reason;
use operator_core::validate::ValidatedApi;

use super::ingress::differences;
use crate::events::EventKind;
use crate::reconcile::Context;
use crate::reconcile::claim::Claim;
use crate::reconcile::exposure::{self, owner_reference};
use crate::reconcile::subject::Subject;

/// What a step with drift leaves to do.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// The API is somebody else's, and the object says that nothing is put
    /// back: it is told instead of published.
    pub(crate) lost: Option<Step>,
}

/// Whether what differs is put back, and why not.
fn why(validated: &ValidatedApi) -> Reason {
    #[cfg(feature = "defects")]
    if operator_apim::defects::is_on(operator_apim::defects::Defect::CorrectsWhatIsReported) {
        return Reason::Correcting;
    }
    match validated.annotations().drift {
        _ if validated.annotations().paused => Reason::Paused,
        Drift::Correct => Reason::Correcting,
        Drift::Report | Drift::Off => Reason::Reported,
    }
}

/// Compares what a sweep saw with the desired state. What is to be put back is
/// taken out of the record, so that the usual plan does it.
pub(crate) fn judge(
    ctx: &Context,
    subject: &Subject,
    validated: &ValidatedApi,
    desired: &Desired,
    claim: &mut Claim,
) -> Judged {
    let key = &subject.key;
    if validated.annotations().drift == Drift::Off {
        ctx.drift.off(key);
        return Judged::default();
    }
    let sighting = ctx.drift.take_sighting(key);
    let Ok(published) = Published::of(desired) else {
        return Judged::default();
    };
    let Some(record) = claim.record.as_ref().filter(|_| claim.believed) else {
        return Judged::default();
    };
    // What is about to be written anyway is no drift.
    let covered = apim::reads(published, Some(record)).is_none();
    let why = why(validated);
    ctx.drift.because(key, why);
    if covered && (sighting.observed.is_some() || !sighting.fine.is_empty()) {
        let mut looked_at: BTreeSet<Area> = sighting.fine;
        let report = sighting
            .observed
            .map(|observed| {
                looked_at.insert(Area::Api);
                if observed.policy.was_read() {
                    looked_at.insert(Area::Policy);
                }
                if observed.operations.was_read()
                    || !observed.operation_policies.is_empty()
                    || !observed.products.is_empty()
                    || !observed.parts.is_empty()
                {
                    looked_at.insert(Area::Operations);
                }
                compare(published, record, &observed)
            })
            .unwrap_or_default();
        let (now, changed) = ctx.drift.report(key, &looked_at, report.differences, why);
        if changed && why != Reason::Correcting {
            tell(ctx, subject, &now);
        }
    }
    if !covered {
        return Judged::default();
    }
    // What looks after backends puts them back itself.
    let in_azure = in_area(ctx.drift.reported(key), |area| {
        !matches!(area, Area::Ingress | Area::Backends)
    });
    if in_azure.is_empty() {
        return Judged::default();
    }
    if why == Reason::Correcting {
        tracing::info!(object = %key, "others changed it:\n{in_azure}");
        if let Some(record) = &mut claim.record {
            forget(record, &in_azure);
            ctx.memory.confirm(key, Some(record.clone()));
        }
        ctx.drift.correcting(key, in_azure);
        return Judged::default();
    }
    let lost = in_azure.is_lost().then(|| Step::Failed {
        reason: Reason::NotOurs,
        class: operator_core::class::ErrorClass::Invalid,
        message: format!(
            "API `{}` does not carry this object's mark any more, so it is not written: {in_azure}. Set its \
             revision description back, or let the object have it by the annotation `adoption`",
            published.api.id
        ),
    });
    Judged { lost }
}

/// What others changed of the Ingress.
#[derive(Debug, Default)]
pub(crate) struct JudgedIngress {
    /// The object asks that it be left.
    pub(crate) left_alone: bool,
    /// What is put back.
    put_back: DriftReport,
}

/// Compares the Ingress that is there with the one that was last in place. A
/// change of what is wanted is no drift, and neither is anything before the
/// first look of this process.
pub(crate) fn ingress(
    ctx: &Context,
    subject: &Subject,
    validated: &ValidatedApi,
    desired: &Desired,
) -> JudgedIngress {
    let key = &subject.key;
    let Some(wanted) = desired.exposure.object() else {
        return JudgedIngress::default();
    };
    let why = why(validated);
    let annotations = validated.annotations();
    if !ctx
        .drift
        .was_in_place(key, ContentHash::of_json(&desired.exposure))
    {
        if !annotations.paused {
            ctx.drift.changes(key);
        }
        return JudgedIngress::default();
    }
    if annotations.drift == Drift::Off {
        return JudgedIngress::default();
    }
    let seen = ctx
        .world
        .object(wanted.kind(), &key.namespace, wanted.name());
    let owner = owner_reference(subject.version(), &key.name, &subject.meta.uid);
    let manifest = exposure::manifest(wanted, &BTreeSet::new(), &owner, key);
    let found = differences(&manifest, seen.as_ref());
    let differs = !found.is_empty();
    let (report, changed) = ctx
        .drift
        .report(key, &BTreeSet::from([Area::Ingress]), found, why);
    if why == Reason::Correcting {
        return JudgedIngress {
            left_alone: false,
            put_back: in_area(report, |area| area == Area::Ingress),
        };
    }
    if changed {
        tell(ctx, subject, &report);
    }
    JudgedIngress {
        left_alone: differs,
        put_back: DriftReport::default(),
    }
}

/// Remembers the Ingress that is in place, and says what was put back of it.
pub(crate) fn exposed(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    judged: &JudgedIngress,
    exposure: &Step,
) {
    let key = &subject.key;
    let Some(wanted) = desired.exposure.object() else {
        return;
    };
    if *exposure != Step::Done || judged.left_alone {
        return;
    }
    let owner = owner_reference(subject.version(), &key.name, &subject.meta.uid);
    let seen = ctx
        .world
        .object(wanted.kind(), &key.namespace, wanted.name());
    let manifest = exposure::manifest(wanted, &BTreeSet::new(), &owner, key);
    // Not while it still holds an earlier path.
    if !differences(&manifest, seen.as_ref()).is_empty() {
        return;
    }
    ctx.drift
        .exposed(key, ContentHash::of_json(&desired.exposure));
    if !judged.put_back.is_empty() {
        ctx.drift.report(
            key,
            &BTreeSet::from([Area::Ingress]),
            Vec::new(),
            Reason::Correcting,
        );
        corrected(ctx, subject, &judged.put_back, 1);
    }
}

fn in_area(report: DriftReport, wanted: impl Fn(Area) -> bool) -> DriftReport {
    DriftReport {
        differences: report
            .differences
            .into_iter()
            .filter(|difference| wanted(difference.kind.area()))
            .collect(),
    }
}

/// Says what differs and is left as it is.
fn tell(ctx: &Context, subject: &Subject, report: &DriftReport) {
    for kind in report.kinds() {
        ctx.metrics.drift(kind.label(), "reported");
    }
    if report.is_empty() {
        return;
    }
    ctx.events.publish(
        &subject.reference(),
        EventKind::Warning,
        "Drifted",
        "Sweep",
        &report.to_string(),
    );
}

/// Keeps what a sweep must compare with, and says what was put back.
pub(crate) fn settled(
    ctx: &Context,
    subject: &Subject,
    validated: &ValidatedApi,
    desired: &Desired,
    claim: &Claim,
    apim: &Step,
) {
    let key = &subject.key;
    if validated.annotations().drift == Drift::Off {
        return;
    }
    let (Ok(published), Some(record)) = (Published::of(desired), &claim.record) else {
        ctx.drift.uncertain(key);
        return;
    };
    match apim {
        // What an earlier revision holds is not compared with what is desired.
        Step::Done if published.api.rollback.is_some() => ctx.drift.uncertain(key),
        Step::Done if apim::reads(published, Some(record)).is_none() => {
            ctx.drift.published(key, published, record);
            if let Some((report, writes)) = ctx.drift.corrected(key) {
                corrected(ctx, subject, &report, writes);
            }
        }
        Step::Failed {
            reason: Reason::NotOurs,
            ..
        } => ctx.drift.lost(key, published, record),
        _ => ctx.drift.uncertain(key),
    }
}

/// Says what was put back. Where nothing had to be written, somebody else did.
fn corrected(ctx: &Context, subject: &Subject, report: &DriftReport, writes: u32) {
    let outcome = if writes > 0 { "corrected" } else { "resolved" };
    for kind in report.kinds() {
        ctx.metrics.drift(kind.label(), outcome);
    }
    if writes == 0 {
        return;
    }
    ctx.events.publish(
        &subject.reference(),
        EventKind::Normal,
        "DriftCorrected",
        "Publish",
        &format!("put back what others had changed:\n{report}"),
    );
}
