//! Whose the API under an id is, and what it takes to take it over.

use std::collections::BTreeSet;

use super::compare::{difference, same_document};
use super::observed::{Observed, ObservedApi, Reading};
use super::parts::content_hash;
use super::step::PlanError;
use crate::annotations::Adoption;
use crate::desired::{DesiredApi, DesiredPolicy};
use crate::mark::OwnershipMark;

/// Whose an API is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It carries the object's mark.
    Ours,
    /// It does not, but may be taken over if it equals what is desired.
    IfEqual,
    /// It does not, and may be taken over as it is.
    TakeOver,
}

/// Whose the API is that stands under the desired id, or why it is left alone.
///
/// The mark of another object of this cluster is never overridden: two objects
/// that take one API from each other would write it for ever.
pub fn standing(api: &DesiredApi, found: &ObservedApi) -> Result<Standing, PlanError> {
    if found.carries(&api.mark) {
        return Ok(Standing::Ours);
    }
    if let Some(owner) = other_owner(api, found) {
        return Err(PlanError::OtherObjects {
            api_id: api.id.to_string(),
            owner,
        });
    }
    match api.adoption {
        Adoption::Refuse => Err(PlanError::NotOurs {
            api_id: api.id.to_string(),
            whose: found.whose(),
        }),
        Adoption::Match => Ok(Standing::IfEqual),
        Adoption::Override => Ok(Standing::TakeOver),
    }
}

/// The other object of this cluster whose mark stands in a revision.
fn other_owner(api: &DesiredApi, found: &ObservedApi) -> Option<String> {
    let own = OwnershipMark::parse(&api.mark)?;
    let marks = found.mark.iter().chain(&found.other_marks);
    marks
        .filter_map(|text| OwnershipMark::parse(text))
        .find(|mark| mark.cluster() == own.cluster() && mark.owner() != own.owner())
        .map(|mark| mark.owner().to_owned())
}

/// In what an API, of which everything was read, differs from what is desired;
/// the mark does not count. Empty: it can be taken over as it is.
///
/// The document cannot be read back, so its operations stand for it: their
/// ids, methods and templates.
#[must_use]
pub(super) fn mismatches(
    api: &DesiredApi,
    policy: &DesiredPolicy,
    found: &ObservedApi,
    observed: &Observed,
) -> Vec<String> {
    let mut patch = difference(api, found);
    patch.mark = None;
    let mut out: Vec<String> = patch.fields().iter().map(ToString::to_string).collect();
    match &observed.policy {
        Reading::Found(there) if same_document(&there.text, &policy.api.text) => {}
        Reading::Found(_) => out.push("its policy".into()),
        Reading::Absent | Reading::NotRead => out.push("its policy, which it has not".into()),
    }
    let there: BTreeSet<(&str, String, &str)> = observed
        .operations
        .found()
        .into_iter()
        .flatten()
        .map(|o| {
            (
                o.id.as_str(),
                o.method.to_uppercase(),
                o.url_template.as_str(),
            )
        })
        .collect();
    match &api.document.operations {
        Some(made) => {
            let made: BTreeSet<_> = made
                .iter()
                .map(|o| {
                    (
                        o.id.as_str(),
                        o.method.to_uppercase(),
                        o.url_template.as_str(),
                    )
                })
                .collect();
            let differing: BTreeSet<&str> = made
                .symmetric_difference(&there)
                .map(|(id, ..)| *id)
                .collect();
            out.extend(differing.into_iter().map(|id| format!("operation `{id}`")));
        }
        None => out.push("its operations, since API Management fetches the document itself".into()),
    }
    let outside = api
        .products
        .iter()
        .filter(|product| observed.products.get(*product) != Some(&true));
    out.extend(outside.map(|product| format!("product `{product}`, in which it is not")));
    let differing = api.parts.iter().filter(|(id, part)| {
        let there = observed.parts.get(*id).and_then(Option::as_ref);
        there.is_none_or(|there| content_hash(&there.content) != part.hash())
    });
    out.extend(differing.map(|(id, _)| format!("`{id}`")));
    let own: BTreeSet<&String> = observed
        .operation_policies
        .iter()
        .filter(|(_, reading)| reading.found().is_some())
        .map(|(id, _)| id)
        .chain(policy.operations.keys())
        .collect();
    for id in own {
        let there = observed.operation_policies.get(id).and_then(Reading::found);
        let wanted = policy.operations.get(id);
        let equal = match (there, wanted) {
            (Some(there), Some(wanted)) => same_document(&there.text, &wanted.text),
            (None, None) => true,
            _ => false,
        };
        if !equal {
            out.push(format!("the policy of operation `{id}`"));
        }
    }
    out
}

/// Whether it must be known which other APIs hold the desired path: before it
/// is taken, by itself or as a version of a set.
#[must_use]
pub fn takes_path(api: &DesiredApi, found: Option<&ObservedApi>) -> bool {
    found.is_none_or(|found| {
        let (want, have) = (&api.settings, &found.settings);
        !same_path(&have.path, &want.path)
            || !want.is_in_set_of(have)
            || want.api_version != have.api_version
    })
}

/// Whether two paths are one to API Management: it looks neither at case nor
/// at slashes at the ends.
#[must_use]
pub fn same_path(one: &str, other: &str) -> bool {
    one.trim_matches('/')
        .eq_ignore_ascii_case(other.trim_matches('/'))
}
