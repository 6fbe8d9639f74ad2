//! What could be called at each moment: every state that an API went through,
//! with who brought it there. The journal says what was asked; this says what
//! came of it, also where a fault hid the answer.

use crate::arm::store::{Entity, Family, Service};
use std::collections::{BTreeMap, BTreeSet};

/// An operation as callers find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationShape {
    /// Its id.
    pub id: String,
    /// Its HTTP method.
    pub method: String,
    /// Its URL template.
    pub template: String,
    /// Its own policy document, if it has one.
    pub policy: Option<String>,
}

/// The current revision of an API as callers find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiShape {
    /// Its path below the gateway.
    pub path: String,
    /// Where it sends calls to.
    pub service_url: Option<String>,
    /// The description of its revision.
    pub revision_description: Option<String>,
    /// Its policy document, if it has one.
    pub policy: Option<String>,
    /// Its operations, in the order in which they were made.
    pub operations: Vec<OperationShape>,
}

/// A change of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The service.
    pub service: String,
    /// The id of the API.
    pub api: String,
    /// The client id of the caller in whose request it came to pass.
    pub by: String,
    /// The last journal entry before it.
    pub after: u64,
    /// What it was before; absent: not there.
    pub before: Option<ApiShape>,
    /// What it is from now on; absent: not there.
    pub now: Option<ApiShape>,
}

/// All moments of all services.
#[derive(Debug, Default)]
pub(crate) struct Moments {
    list: Vec<Moment>,
    /// By service and by the key of the API.
    known: BTreeMap<String, BTreeMap<String, Known>>,
}

/// An API as it was last seen.
#[derive(Debug)]
struct Known {
    name: String,
    state: State,
    shape: ApiShape,
}

/// Tells one state of an API from another without looking at all of it: every
/// write takes a new row version, and a deletion takes something away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    current: u32,
    newest: u64,
    parts: usize,
}

impl State {
    fn of(family: &Family) -> Self {
        let rows = family.revisions.values().flat_map(|revision| {
            let operations = revision.operations.iter();
            let operations = operations
                .flat_map(|operation| std::iter::once(&operation.entity).chain(&operation.policy));
            let own = std::iter::once(&revision.entity).chain(&revision.policy);
            own.chain(operations).map(|entity| entity.row)
        });
        let (newest, parts) =
            rows.fold((0, 0), |(newest, parts), row| (row.max(newest), parts + 1));
        Self {
            current: family.current,
            newest,
            parts,
        }
    }
}

impl Moments {
    /// Remembers what has changed in a service: in some of the APIs that were
    /// touched.
    pub(crate) fn note(
        &mut self,
        service: &Service,
        touched: &BTreeSet<String>,
        by: &str,
        after: u64,
    ) {
        if touched.is_empty() {
            return;
        }
        let known = self.known.entry(service.name.clone()).or_default();
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        for key in touched {
            let Some(family) = service.families.get(key) else {
                gone.push(key);
                continue;
            };
            let state = State::of(family);
            if known.get(key).is_none_or(|before| before.state != state) {
                changed.push((key, family, state));
            }
        }
        let list = &mut self.list;
        let mut tell = |api: &str, before: Option<ApiShape>, now: Option<ApiShape>| {
            if before != now {
                list.push(Moment {
                    service: service.name.clone(),
                    api: api.to_owned(),
                    by: by.to_owned(),
                    after,
                    before,
                    now,
                });
            }
        };
        for key in gone {
            if let Some(left) = known.remove(key) {
                tell(&left.name, Some(left.shape), None);
            }
        }
        for (key, family, state) in changed {
            let Some(shape) = shape(family) else { continue };
            let name = family.name.clone();
            let now = Known {
                name,
                state,
                shape: shape.clone(),
            };
            let before = known.insert(key.clone(), now);
            tell(&family.name, before.map(|before| before.shape), Some(shape));
        }
    }

    /// The moments from the given number on.
    pub(crate) fn since(&self, number: usize) -> Vec<Moment> {
        self.list.get(number..).unwrap_or_default().to_vec()
    }
}

/// What callers find of an API.
fn shape(family: &Family) -> Option<ApiShape> {
    let policy_text = |policy: &Entity| policy.text("rawxml").unwrap_or_default().to_owned();
    let revision = family.revisions.get(&family.current)?;
    let api = &revision.entity;
    let operations = revision.operations.iter().map(|operation| {
        let text = |name| operation.entity.text(name).unwrap_or_default().to_owned();
        OperationShape {
            id: operation.entity.name.clone(),
            method: text("method"),
            template: text("urlTemplate"),
            policy: operation.policy.as_ref().map(policy_text),
        }
    });
    Some(ApiShape {
        path: api.text("path").unwrap_or_default().to_owned(),
        service_url: api.text("serviceUrl").map(str::to_owned),
        revision_description: api.text("apiRevisionDescription").map(str::to_owned),
        policy: revision.policy.as_ref().map(policy_text),
        operations: operations.collect(),
    })
}
