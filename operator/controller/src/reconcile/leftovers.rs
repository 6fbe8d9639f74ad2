//! What an API has in API Management that does not go with it.
//!
//! What the record or the object says, and where nobody says anything, all that
//! there can be: that costs a read each.

use std::collections::BTreeSet;

use operator_apim::Leftovers;
use operator_core::annotations;
use operator_core::apim::{PartId, PartStates, Place};
use operator_core::names::VersionSetId;
use operator_core::versions::Member;

use super::subject::Subject;
use super::{Context, claim};

/// What the API in a place may leave behind.
pub(crate) fn of(ctx: &Context, subject: &Subject, place: &Place) -> Leftovers {
    Leftovers {
        own_tags: own_tags(ctx, subject, place),
        sets: own_sets(ctx, subject, place),
        page: has_page(ctx, subject, place),
    }
}

/// Whether the API in a place can have a page: the record or the object says so,
/// or nobody knows.
fn has_page(ctx: &Context, subject: &Subject, place: &Place) -> bool {
    let (said, _) = annotations::read(&subject.meta.annotations);
    let record = claim::claim(ctx, subject).record;
    let record = record.filter(|record| record.place() == *place);
    let is_page = |part: &PartId| matches!(part, PartId::Documentation(_));
    said.wiki.is_some() || record.is_none_or(|record| record.parts.keys().any(is_page))
}

/// What the tags of the object's namespace begin with, where the API can have
/// any: what the record or the object says of tags, or a place that it left.
fn own_tags(ctx: &Context, subject: &Subject, place: &Place) -> Option<String> {
    let (said, _) = annotations::read(&subject.meta.annotations);
    let record = claim::claim(ctx, subject).record;
    let untagged = record.is_some_and(|record| {
        let mut parts = record.parts.keys();
        record.place() == *place && !parts.any(|part| matches!(part, PartId::Tag(_)))
    });
    if untagged && said.tags.is_empty() {
        return None;
    }
    let instance = ctx.instances.list();
    let instance = instance.iter().find(|one| one.name == place.instance)?;
    Some(operator_core::products::own_prefix(
        instance,
        &subject.key.namespace,
    ))
}

/// The version sets that the API in a place can be in: what the record or the
/// object says.
fn own_sets(ctx: &Context, subject: &Subject, place: &Place) -> BTreeSet<VersionSetId> {
    let record = claim::claim(ctx, subject).record;
    let record = record.filter(|record| record.place() == *place);
    let known = record.iter().flat_map(|record| sets(&record.parts));
    let mut all: BTreeSet<VersionSetId> = known.cloned().collect();
    let instances = ctx.instances.list();
    let instance = instances.iter().find(|one| one.name == place.instance);
    let said = Member::in_object(&subject.meta.annotations);
    if let (Some(instance), Some(member)) = (instance, said) {
        all.extend(member.set_id(instance, &subject.key.namespace).ok());
    }
    all
}

/// The version sets among the parts of an API.
pub(super) fn sets(parts: &PartStates) -> impl Iterator<Item = &VersionSetId> {
    parts.keys().filter_map(PartId::version_set)
}
