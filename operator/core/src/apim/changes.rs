//! What a list of steps changes, in words that a reviewer of a change reads:
//! settings field by field, operations by id, policies statement by statement.

use std::collections::BTreeMap;

use serde::Serialize;

use super::compare::difference;
use super::observed::{Observed, ObservedApi, ObservedOperation, Reading};
use super::parts::{self, PartChange};
use super::plan::Published;
use super::step::Step;
use crate::desired::{DesiredApi, Operation, Origins};
use crate::names::{ApiId, ProductId};
use crate::policy::{Format, PolicyDocument, canonical, parse};

/// One write to Azure Resource Manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArmCall {
    /// `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// What is written, below the service: `apis/<id>/policies/policy`.
    pub resource: String,
    /// What the call does.
    pub purpose: String,
}

impl Step {
    /// The write that the step makes; none for one that reads.
    #[must_use]
    pub fn call(&self, api: &ApiId) -> Option<ArmCall> {
        self.call_in(api.as_str())
    }

    /// The same in a revision, or in the API.
    fn call_in(&self, id: &str) -> Option<ArmCall> {
        let operation =
            |operation: &str| format!("apis/{id}/operations/{operation}/policies/policy");
        let (method, resource) = match self {
            Self::CreateWithoutOperations | Self::Import => ("PUT", format!("apis/{id}")),
            Self::PutPolicy { .. } => ("PUT", format!("apis/{id}/policies/policy")),
            Self::PutOperationPolicy { operation: of } => ("PUT", operation(of)),
            Self::DeleteOperationPolicy { operation: of } => ("DELETE", operation(of)),
            Self::EnterProduct { product } => ("PUT", format!("products/{product}/apis/{id}")),
            Self::LeaveProduct { product } => ("DELETE", format!("products/{product}/apis/{id}")),
            Self::MakeTag { tag, .. } => ("PUT", format!("tags/{tag}")),
            Self::PutPart { part } => ("PUT", part.path(id).join("/")),
            Self::RemovePart { part } => ("DELETE", part.path(id).join("/")),
            Self::TakeOver | Self::PatchSettings(_) => ("PATCH", format!("apis/{id}")),
            Self::StartRevision { revision, .. } => ("PUT", format!("apis/{id};rev={revision}")),
            Self::InRevision { revision, step } => {
                let call = step.call_in(&format!("{id};rev={revision}"))?;
                (call.method, call.resource)
            }
            Self::Release { release, .. } => ("PUT", format!("apis/{id}/releases/{release}")),
            Self::DropRevision { revision } => ("DELETE", format!("apis/{id};rev={revision}")),
            Self::ReadBack | Self::Verify { .. } => return None,
        };
        Some(ArmCall {
            method,
            resource,
            purpose: self.describe(),
        })
    }
}

/// What a list of steps changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// The API's settings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<FieldChange>,
    /// Its operations; absent where no document is imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<OperationChanges>,
    /// Policy documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<DocumentChange>,
    /// The products that it is put in or taken out of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductChange>,
    /// The tags and diagnostics that it gets or loses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartChange>,
}

/// A product that an API is put in or taken out of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductChange {
    /// Its id.
    pub product: ProductId,
    /// Whether the API will be in it.
    pub holds: bool,
}

impl Changes {
    /// How many differences there are, for a summary.
    #[must_use]
    pub fn count(&self) -> usize {
        let operations = self.operations.as_ref().map_or(0, |o| {
            1.max(o.added.len() + o.changed.len() + o.removed.len())
        });
        self.settings.len()
            + operations
            + self
                .policies
                .iter()
                .map(|document| document.changes.len().max(1))
                .sum::<usize>()
            + self.products.len()
            + self.parts.len()
    }

    /// The changes in one line, for a status.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        if !self.settings.is_empty() {
            let fields: Vec<&str> = self.settings.iter().map(|f| f.field).collect();
            parts.push(format!("settings {}", fields.join(", ")));
        }
        if let Some(operations) = &self.operations {
            parts.push(format!(
                "OpenAPI document (operations: {} added, {} changed, {} removed)",
                operations.added.len(),
                operations.changed.len(),
                operations.removed.len()
            ));
        }
        for document in &self.policies {
            let differences = match document.changes.len() {
                1 => "1 difference".to_owned(),
                count => format!("{count} differences"),
            };
            parts.push(match &document.operation {
                None => format!("policy ({differences})"),
                Some(id) => format!("policy of operation {id} ({differences})"),
            });
        }
        if !self.products.is_empty() {
            let change = |change: &ProductChange| {
                let sign = if change.holds { '+' } else { '-' };
                format!("{sign}{}", change.product)
            };
            let all: Vec<String> = self.products.iter().map(change).collect();
            parts.push(format!("products {}", all.join(", ")));
        }
        if !self.parts.is_empty() {
            let all: Vec<String> = self.parts.iter().map(ToString::to_string).collect();
            parts.push(all.join(", "));
        }
        parts.join("; ")
    }
}

/// What a paused object keeps of its plan: enough to see that there is
/// something to do, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanSummary {
    /// How many writes to Azure would be made.
    pub writes: usize,
    /// How many differences they would make.
    pub changes: usize,
    /// Which, in one line.
    pub summary: String,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// As ARM spells it.
    pub field: &'static str,
    /// What is there; absent where there is no API, or no such setting.
    pub from: Option<String>,
    /// What will be there; absent where the setting goes.
    pub to: Option<String>,
}

/// What an import does to the operations of an API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationChanges {
    /// New ones.
    pub added: Vec<OperationChange>,
    /// Those whose method or template changes.
    pub changed: Vec<OperationChange>,
    /// Those that go, with the policies that they have.
    pub removed: Vec<OperationChange>,
    /// API Management fetches the document itself, so what it makes is not
    /// known.
    pub unknown: bool,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationChange {
    /// Its id.
    pub id: String,
    /// `GET /orders/{id}` as it is.
    pub from: Option<String>,
    /// The same as it will be.
    pub to: Option<String>,
    /// It has a policy of its own, which goes with it.
    pub destroys_policy: bool,
}

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentChange {
    /// The operation whose document it is; absent: the API's.
    pub operation: Option<String>,
    /// Its differences, in document order.
    pub changes: Vec<PolicyChange>,
}

/// A difference in a policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyChange {
    /// Such as `inbound/rate-limit-by-key/@calls`.
    pub path: String,
    /// What is there.
    pub from: Option<String>,
    /// What will be there.
    pub to: Option<String>,
    /// The plugin that made the statement; absent where no plugin of the chain
    /// makes it any more.
    pub plugin: Option<String>,
}

/// What the steps change. `observed` should hold the operations and the
/// policies of those that the import removes; what was not read is left out.
#[must_use]
pub fn changes(published: Published<'_>, observed: &Observed, steps: &[Step]) -> Changes {
    let Published { api, policy, .. } = published;
    let steps: Vec<Step> = steps.iter().map(|step| step.inner().clone()).collect();
    let steps = &steps[..];
    let imports = steps.contains(&Step::Import);
    let touches_settings = imports
        || steps.iter().any(|step| {
            matches!(
                step,
                Step::CreateWithoutOperations | Step::PatchSettings(_) | Step::TakeOver
            )
        });
    let mut documents: BTreeMap<Option<&str>, DocumentChange> = BTreeMap::new();
    for step in steps {
        let (operation, text) = match step {
            Step::PutPolicy { .. } => (None, Some(&policy.api)),
            Step::PutOperationPolicy { operation } => {
                (Some(operation.as_str()), policy.operations.get(operation))
            }
            Step::DeleteOperationPolicy { operation } => (Some(operation.as_str()), None),
            _ => continue,
        };
        let there = match operation {
            None => observed.policy.found(),
            Some(id) => observed.operation_policies.get(id).and_then(Reading::found),
        };
        documents
            .entry(operation)
            .or_insert_with(|| DocumentChange {
                operation: operation.map(str::to_owned),
                changes: policy_changes(
                    there.map(|there| there.text.as_str()),
                    text.map(|text| text.text.as_str()),
                    &policy.origins,
                    operation,
                ),
            });
    }
    Changes {
        settings: if touches_settings {
            settings(api, observed.api.as_ref())
        } else {
            Vec::new()
        },
        operations: imports.then(|| operations(api, observed)),
        policies: documents.into_values().collect(),
        products: steps.iter().filter_map(product_change).collect(),
        parts: parts::changes(&api.parts, &observed.parts, steps),
    }
}

fn product_change(step: &Step) -> Option<ProductChange> {
    let (product, holds) = match step {
        Step::EnterProduct { product } => (product, true),
        Step::LeaveProduct { product } => (product, false),
        _ => return None,
    };
    Some(ProductChange {
        product: product.clone(),
        holds,
    })
}

/// The differences between two policy documents. One that cannot be read as a
/// document is compared as a whole.
#[must_use]
pub fn policy_changes(
    from: Option<&str>,
    to: Option<&str>,
    origins: &Origins,
    operation: Option<&str>,
) -> Vec<PolicyChange> {
    let read = |text: Option<&str>| match text {
        None => Ok(PolicyDocument::default()),
        Some(text) => parse(text, Format::RawXml),
    };
    let (Ok(left), Ok(right)) = (read(from), read(to)) else {
        return vec![PolicyChange {
            path: "policies".into(),
            from: from.map(|_| "a document that cannot be compared".into()),
            to: to.map(|_| "the document as rendered".into()),
            plugin: None,
        }];
    };
    canonical::diff_statements(&left, &right)
        .into_iter()
        .map(|found| PolicyChange {
            plugin: found
                .statement
                .and_then(|at| origins.plugin(operation, found.section, at))
                .map(str::to_owned),
            path: found.difference.path,
            from: found.difference.left,
            to: found.difference.right,
        })
        .collect()
}

fn settings(api: &DesiredApi, found: Option<&ObservedApi>) -> Vec<FieldChange> {
    let wanted = texts(&api.settings, api.service_url.as_deref(), &api.mark);
    let Some(found) = found else {
        return wanted
            .into_iter()
            .filter(|(_, text)| text.is_some())
            .map(|(field, to)| FieldChange {
                field,
                from: None,
                to,
            })
            .collect();
    };
    let there = texts(
        &found.settings,
        found.service_url.as_deref(),
        found.mark.as_deref().unwrap_or_default(),
    );
    let differing = difference(api, found).fields();
    wanted
        .into_iter()
        .zip(there)
        .filter(|((field, _), _)| differing.contains(field))
        .map(|((field, to), (_, from))| FieldChange { field, from, to })
        .collect()
}

/// The settings as texts, under the names that a patch gives them.
fn texts(
    settings: &crate::desired::ApiSettings,
    service_url: Option<&str>,
    mark: &str,
) -> [(&'static str, Option<String>); 13] {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let names = &settings.subscription_key_names;
    [
        ("displayName", filled(&settings.display_name)),
        ("description", filled(&settings.description)),
        ("path", Some(settings.path.clone())),
        ("apiVersion", settings.version_line()),
        ("protocols", Some(settings.protocols.join(", "))),
        (
            "subscriptionRequired",
            Some(settings.subscription_required.to_string()),
        ),
        (
            "subscriptionKeyParameterNames",
            Some(format!("header {}, query {}", names.header, names.query)),
        ),
        ("authenticationSettings", settings.console()),
        ("termsOfServiceUrl", settings.about.terms_of_service.clone()),
        ("contact", settings.about.contact_line()),
        ("license", settings.about.license_line()),
        ("serviceUrl", service_url.and_then(filled)),
        ("apiRevisionDescription", filled(mark)),
    ]
}

fn operations(api: &DesiredApi, observed: &Observed) -> OperationChanges {
    let none = Vec::new();
    let there: &[ObservedOperation] = observed.operations.found().unwrap_or(&none);
    let Some(made) = &api.document.operations else {
        return OperationChanges {
            unknown: true,
            ..OperationChanges::default()
        };
    };
    let line = |method: &str, template: &str| format!("{} {template}", method.to_uppercase());
    let now = |o: &Operation| line(&o.method, &o.url_template);
    let before = |o: &ObservedOperation| line(&o.method, &o.url_template);
    let old = |id: &str| there.iter().find(|o| o.id == id);
    let change = |id: &str, from: Option<String>, to: Option<String>| OperationChange {
        id: id.to_owned(),
        from,
        to,
        destroys_policy: false,
    };
    OperationChanges {
        added: made
            .iter()
            .filter(|o| old(&o.id).is_none())
            .map(|o| change(&o.id, None, Some(now(o))))
            .collect(),
        changed: made
            .iter()
            .filter_map(|o| {
                let old = old(&o.id)?;
                (before(old) != now(o)).then(|| change(&o.id, Some(before(old)), Some(now(o))))
            })
            .collect(),
        removed: there
            .iter()
            .filter(|o| !made.iter().any(|made| made.id == o.id))
            .map(|o| OperationChange {
                destroys_policy: observed
                    .operation_policies
                    .get(&o.id)
                    .is_some_and(|reading| reading.found().is_some()),
                ..change(&o.id, Some(before(o)), None)
            })
            .collect(),
        unknown: false,
    }
}
