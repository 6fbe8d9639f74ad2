//! What could be called at each moment: every state that an API went through,
//! with who brought it there. The journal says what was asked; this says what
//! came of it, also where a fault hid the answer.

use crate::arm::store::Service;
use std::collections::BTreeMap;

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
    known: BTreeMap<(String, String), ApiShape>,
    rows: BTreeMap<String, (u64, usize)>,
}

impl Moments {
    /// Remembers what has changed in a service.
    pub(crate) fn note(&mut self, service: &Service, by: &str, after: u64) {
        let parts = service.families.values().flat_map(|family| {
            family.revisions.values().map(|revision| {
                let operations = &revision.operations;
                let own = operations.iter().filter(|one| one.policy.is_some());
                1 + operations.len() + own.count() + usize::from(revision.policy.is_some())
            })
        });
        // Every write takes a new row version; a deletion takes something away.
        let rows = (service.last_row(), parts.sum());
        if self.rows.insert(service.name.clone(), rows) == Some(rows) {
            return;
        }
        let now = shapes(service);
        let of_service = |(name, _): &&(String, String)| *name == service.name;
        let mut ids: Vec<String> = self
            .known
            .keys()
            .filter(of_service)
            .map(|(_, id)| id.clone())
            .collect();
        ids.extend(now.keys().cloned());
        ids.sort();
        ids.dedup();
        for id in ids {
            let key = (service.name.clone(), id.clone());
            let shape = now.get(&id).cloned();
            let before = match &shape {
                Some(shape) => self.known.insert(key, shape.clone()),
                None => self.known.remove(&key),
            };
            if before != shape {
                self.list.push(Moment {
                    service: service.name.clone(),
                    api: id,
                    by: by.to_owned(),
                    after,
                    before,
                    now: shape,
                });
            }
        }
    }

    /// The moments from the given number on.
    pub(crate) fn since(&self, number: usize) -> Vec<Moment> {
        self.list.get(number..).unwrap_or_default().to_vec()
    }
}

fn shapes(service: &Service) -> BTreeMap<String, ApiShape> {
    let policy_text =
        |policy: &crate::arm::store::Entity| policy.text("rawxml").unwrap_or_default().to_owned();
    service
        .families
        .values()
        .filter_map(|family| {
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
            let shape = ApiShape {
                path: api.text("path").unwrap_or_default().to_owned(),
                service_url: api.text("serviceUrl").map(str::to_owned),
                revision_description: api.text("apiRevisionDescription").map(str::to_owned),
                policy: revision.policy.as_ref().map(policy_text),
                operations: operations.collect(),
            };
            Some((family.name.clone(), shape))
        })
        .collect()
}
