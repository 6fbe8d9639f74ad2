//! A model of one API in API Management, and of the desired states that tests
//! use. It does what a step says and knows what a caller could reach.

use std::collections::{BTreeMap, BTreeSet};

use crate::annotations::Adoption;
use crate::apim::*;
use crate::desired::*;
use crate::diagnostics::DiagnosticKind;
use crate::names::{ApiId, ContentHash, InstanceName, ObjectKey, ProductId, TagId};

pub(super) const MARK: &str = "apim-operator/1 01234567 team/orders";

/// The parts of a desired state that tests vary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub document: u8,
    /// Operation ids that the document makes. Those with the same last digit
    /// have the same method and template, of which a document has one only.
    pub operations: BTreeSet<u8>,
    /// Which of them have a policy of their own, and which one.
    pub own: BTreeMap<u8, u8>,
    pub policy: u8,
    pub settings: u8,
    pub key_required: bool,
    /// Whether the operator knows the operations.
    pub known: bool,
    /// The products that the API should be in.
    pub products: BTreeSet<u8>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            document: 0,
            operations: [0, 1].into(),
            own: BTreeMap::new(),
            policy: 0,
            settings: 0,
            key_required: false,
            known: true,
            products: BTreeSet::new(),
        }
    }
}

pub(super) fn product_id(number: u8) -> ProductId {
    ProductId::parse(&format!("product-{number}")).unwrap()
}

pub(super) fn operation_id(number: u8) -> String {
    format!("op-{number}")
}

fn api_policy(number: u8) -> String {
    format!(
        "<policies>\n    <inbound>\n        <base />\n        <set-header name=\"p{number}\" />\n    </inbound>\n</policies>\n"
    )
}

fn own_policy(number: u8) -> String {
    format!(
        "<policies>\n    <inbound>\n        <base />\n        <set-header name=\"o{number}\" />\n    </inbound>\n</policies>\n"
    )
}

impl Wish {
    /// Of the same numbers as its products: a tag of the namespace's own, one of
    /// the platform's, and two diagnostics, of which one follows the settings.
    fn parts(&self) -> DesiredParts {
        let part = |number: &u8| {
            let tag = |id: &str| PartId::Tag(TagId::parse(id).unwrap());
            let logs = |percentage: u8| {
                serde_json::json!({
                    "loggerId": "/loggers/L", "sampling": {"percentage": percentage}
                })
            };
            let (id, content, made_as) = match number {
                0 => (
                    tag("team.own"),
                    serde_json::Value::Null,
                    Some("own".to_owned()),
                ),
                1 => (tag("platform"), serde_json::Value::Null, None),
                2 => {
                    let kind = DiagnosticKind::ApplicationInsights;
                    (PartId::Diagnostic(kind), logs(self.settings), None)
                }
                _ => (
                    PartId::Diagnostic(DiagnosticKind::AzureMonitor),
                    logs(100),
                    None,
                ),
            };
            (id, DesiredPart { content, made_as })
        };
        self.products.iter().map(part).collect()
    }

    pub(super) fn desired(&self) -> Desired {
        let operations: Vec<Operation> = self
            .operations
            .iter()
            .map(|number| Operation {
                id: operation_id(*number),
                operation_id: Some(operation_id(*number)),
                method: "GET".into(),
                url_template: format!("/{}", number % 10),
            })
            .collect();
        Desired {
            monitor: None,
            backends: Vec::new(),
            named_values: Vec::new(),
            metrics: false,
            key: ObjectKey::new("team", "orders"),
            instance: Some(InstanceName::parse("default").unwrap()),
            exposure: Exposure::InCluster { url: "x".into() },
            protections: Vec::new(),
            api: Some(DesiredApi {
                id: ApiId::parse("team.orders").unwrap(),
                mark: MARK.into(),
                settings: ApiSettings {
                    display_name: format!("orders {}", self.settings),
                    description: String::new(),
                    path: "orders".into(),
                    protocols: vec!["https".into()],
                    subscription_required: self.key_required,
                    subscription_key_names: SubscriptionKeyNames::default(),
                    api_version: None,
                    api_version_set: None,
                    openid_provider: None,
                    oauth2: None,
                    about: crate::about::About::default(),
                },
                service_url: Some("https://backend.example/orders".into()),
                document: ApiDocument {
                    format: ImportFormat::OpenApiJson,
                    value: format!("document {}", self.document),
                    // The operations are part of the document.
                    hash: ContentHash::of_json(&(self.document, &self.operations)),
                    origin: DocumentOrigin::Inline,
                    operations: self.known.then_some(operations),
                },
                products: self.products.iter().copied().map(product_id).collect(),
                parts: self.parts(),
                own_prefix: String::new(),
                adoption: Adoption::default(),
                rollout: None,
                rollback: None,
                mandatory: None,
            }),
            policy: Some(DesiredPolicy {
                api: PolicyText::new(api_policy(self.policy)),
                operations: self
                    .own
                    .iter()
                    .map(|(id, number)| (operation_id(*id), PolicyText::new(own_policy(*number))))
                    .collect(),
                plugins: Vec::new(),
                origins: Origins::default(),
            }),
            warnings: Vec::new(),
        }
    }
}

/// An API as the service holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub mark: String,
    pub settings: ApiSettings,
    pub service_url: Option<String>,
    pub policy: Option<String>,
    pub document: Option<String>,
    /// Operation id to URL template and policy.
    pub operations: BTreeMap<String, (String, Option<String>)>,
    pub products: BTreeSet<ProductId>,
    pub parts: BTreeMap<PartId, serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Model {
    pub api: Option<Held>,
    /// Whether imports reset the display name, as some do.
    pub resets: bool,
}

impl Model {
    pub(super) fn observe(&self, reads: &Reads) -> Observed {
        let Some(held) = &self.api else {
            return Observed::default();
        };
        let policy = |text: &Option<String>| match text {
            Some(text) => Reading::Found(ObservedPolicy {
                text: text.replace("\n    ", "\r\n\t"),
                etag: None,
            }),
            None => Reading::Absent,
        };
        let ids: BTreeSet<String> = match &reads.operation_policies {
            OperationPolicyReads::Listed(listed) => listed.clone(),
            OperationPolicyReads::Every => held.operations.keys().cloned().collect(),
        };
        Observed {
            api: Some(Self::observed_api(held)),
            policy: if reads.policy {
                policy(&held.policy)
            } else {
                Reading::NotRead
            },
            operations: if reads.operations {
                let all = held.operations.iter();
                Reading::Found(
                    all.map(|(id, (template, _))| ObservedOperation {
                        id: id.clone(),
                        method: "get".into(),
                        url_template: template.clone(),
                    })
                    .collect(),
                )
            } else {
                Reading::NotRead
            },
            operation_policies: ids
                .into_iter()
                .map(|id| {
                    let there = held.operations.get(&id);
                    let reading = there.map_or(Reading::Absent, |(_, text)| policy(text));
                    (id, reading)
                })
                .collect(),
            products: reads
                .products
                .iter()
                .map(|product| (product.clone(), held.products.contains(product)))
                .collect(),
            parts: reads
                .parts
                .iter()
                .map(|id| {
                    let there = held.parts.get(id).cloned();
                    let there = there.map(|content| ObservedPart {
                        content,
                        etag: None,
                    });
                    (id.clone(), there)
                })
                .collect(),
            tags: BTreeMap::new(),
            revisions: None,
            rivals: Vec::new(),
        }
    }

    fn observed_api(held: &Held) -> ObservedApi {
        ObservedApi {
            etag: None,
            revision: "1".into(),
            mark: Some(held.mark.clone()),
            other_marks: Vec::new(),
            settings: held.settings.clone(),
            service_url: held.service_url.clone(),
            provisioning: None,
        }
    }

    /// Does what a step says; gives the number of writes.
    pub(super) fn carry_out(
        &mut self,
        step: &Step,
        desired: &Desired,
        record: &mut AppliedRecord,
    ) -> u32 {
        let Published { api, policy, .. } = Published::of(desired).unwrap();
        record.before(step, api);
        let resets = self.resets;
        let mut writes = 1;
        if *step == Step::CreateWithoutOperations {
            assert!(self.api.is_none(), "created twice");
            self.api = Some(Held {
                mark: api.mark.clone(),
                settings: api.settings.clone(),
                service_url: api.service_url.clone(),
                policy: None,
                document: None,
                operations: BTreeMap::new(),
                products: BTreeSet::new(),
                parts: BTreeMap::new(),
            });
            record.after(step, api, policy);
            return 1;
        }
        let observed = self.api.as_ref().map(Self::observed_api);
        let held = self.api.as_mut().unwrap();
        match step {
            Step::CreateWithoutOperations | Step::MakeTag { .. } => {}
            Step::StartRevision { .. }
            | Step::InRevision { .. }
            | Step::Verify { .. }
            | Step::Release { .. }
            | Step::DropRevision { .. } => panic!("one revision alone has no {step:?}"),
            Step::TakeOver => held.mark.clone_from(&api.mark),
            Step::PutPolicy { guard } => {
                held.policy = Some(policy_text(policy, guard).unwrap().text);
            }
            Step::PutOperationPolicy { operation } => {
                let text = policy.operations.get(operation).unwrap().text.clone();
                held.operations.get_mut(operation).expect("the operation").1 = Some(text);
            }
            Step::DeleteOperationPolicy { operation } => {
                let there = held.operations.get_mut(operation);
                let taken = there.and_then(|(_, text)| text.take());
                writes = u32::from(taken.is_some());
            }
            Step::EnterProduct { product } => {
                assert!(held.products.insert(product.clone()), "put in twice");
            }
            Step::LeaveProduct { product } => {
                assert!(held.products.remove(product), "taken out twice");
            }
            Step::PutPart { part } => {
                let content = api.parts[part].content.clone();
                let before = held.parts.insert(part.clone(), content.clone());
                assert_ne!(before, Some(content), "written twice");
            }
            Step::RemovePart { part } => {
                assert!(held.parts.remove(part).is_some(), "removed twice");
            }
            Step::Import => import(held, api, resets),
            Step::ReadBack => {
                writes = 0;
                if let Some(patch) = repair(api, &observed.unwrap(), record) {
                    writes = self.carry_out(&Step::PatchSettings(Box::new(patch)), desired, record);
                }
                return writes;
            }
            Step::PatchSettings(patch) => {
                assert!(!patch.is_empty());
                held.settings = api.settings.clone();
                held.service_url.clone_from(&api.service_url);
                held.mark.clone_from(&api.mark);
            }
        }
        record.after(step, api, policy);
        writes
    }
}

fn import(held: &mut Held, api: &DesiredApi, resets: bool) {
    // What the document makes is in its hash; tests know it from the wish.
    let made = api.document.operations.clone().unwrap_or_default();
    let before = std::mem::take(&mut held.operations);
    for operation in made {
        let text = before.get(&operation.id).map_or_else(
            || {
                // A new operation with the method and template of a deleted
                // one gets its policy.
                before
                    .values()
                    .find(|(template, _)| *template == operation.url_template)
                    .and_then(|(_, text)| text.clone())
            },
            |(_, text)| text.clone(),
        );
        held.operations
            .insert(operation.id, (operation.url_template, text));
    }
    held.document = Some(api.document.value.clone());
    held.settings = api.settings.clone();
    held.service_url.clone_from(&api.service_url);
    held.mark.clone_from(&api.mark);
    if resets {
        held.settings.display_name = "from the document".into();
    }
}

/// What an apply left behind.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub steps: Vec<Step>,
    pub writes: u32,
    pub record: AppliedRecord,
}

/// Reads, plans and carries out; `check` sees the model after every step, and
/// `stop_after` ends it early, as a crash does.
pub(super) fn apply(
    model: &mut Model,
    desired: &Desired,
    applied: Option<&AppliedRecord>,
    stop_after: Option<usize>,
    check: impl Fn(&Model),
) -> Outcome {
    let published = Published::of(desired).unwrap();
    let mut record = AppliedRecord::of(applied, published);
    let Some(reads) = reads(published, applied) else {
        return Outcome {
            steps: Vec::new(),
            writes: 0,
            record,
        };
    };
    let observed = model.observe(&reads);
    let steps = plan(desired, &observed, applied).unwrap();
    record.learn(published, &observed);
    let mut writes = 0;
    for (index, step) in steps.iter().enumerate() {
        if stop_after == Some(index) {
            return Outcome {
                steps,
                writes,
                record,
            };
        }
        writes += model.carry_out(step, desired, &mut record);
        check(model);
    }
    record.complete(published.api, published.policy);
    Outcome {
        steps,
        writes,
        record,
    }
}
