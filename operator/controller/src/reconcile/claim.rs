//! What is said to be in API Management, and by whom.

use operator_core::apim::AppliedRecord;
use operator_core::status::{Applied, applied};

use super::Context;
use super::subject::Subject;
use crate::resource::StatusMode;

/// The annotation that remembers where status does not.
pub(crate) const APPLIED: &str = "apim.oda.tmforum.org/applied";

/// What is said to be in API Management, and whether it is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    pub(crate) record: Option<AppliedRecord>,
    /// Written by the operator where nobody else can write, or read back.
    pub(crate) believed: bool,
}

/// Where the record comes from: what this process knows itself, else what
/// stands in status or in the annotation.
pub(crate) fn claim(ctx: &Context, subject: &Subject) -> Claim {
    if let Some(record) = ctx.memory.confirmed(&subject.key) {
        return Claim {
            record: Some(record),
            believed: true,
        };
    }
    let mode = ctx.exposed.mode();
    let record = match mode {
        StatusMode::Subresource | StatusMode::MainResource => {
            subject.status.as_ref().and_then(applied)
        }
        StatusMode::Pruned => subject
            .meta
            .annotations
            .get(APPLIED)
            .and_then(|text| Applied::from_annotation(text, &subject.key)),
    };
    Claim {
        believed: mode.is_trusted(),
        record,
    }
}
