//! What the operator would do, without doing it.
//!
//! A plan is made by a replica that never leads: it has the same view of the
//! cluster, the same plugins and the same decisions as the one that does, but
//! its Kubernetes client refuses everything but reads, and to Azure it has an
//! [`ArmReader`](operator_apim::ArmReader), which has no call that writes.

mod ingress;
mod object;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::DynamicObject;
use operator_core::apim::{ArmCall, Changes, FieldChange};
use operator_core::profile::{ProfileRef, ProfileState};
use operator_core::status::reasons::Reason;
use serde::Serialize;

use crate::reconcile::Context;
use crate::reconcile::subject::Subject;
use crate::run::{Ready, RunError, Settings, look};

/// How long instances and plugins get before what needs them counts as waiting.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at the plugins that are being loaded.
const LOOK: Duration = Duration::from_millis(50);

/// Which objects a plan is for.
#[derive(Debug, Clone)]
pub enum Selection {
    /// All that the cluster has.
    All,
    /// Those of one namespace.
    Namespace(String),
    /// These, as they would be if they were applied; what the cluster has of
    /// them (uid, status) is taken from there.
    Objects(Vec<DynamicObject>),
}

/// The plan of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectPlan {
    /// `<namespace>/<name>`.
    pub object: String,
    /// What the plan comes to.
    pub result: PlanResult,
    /// Why there is no plan, or what is to be said with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// In a word, where there is no plan.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_word")]
    pub reason: Option<Reason>,
    /// The APIM instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The API's id there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_id: Option<String>,
    /// Writes to Kubernetes, in their order. Status and events are not listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubernetes: Vec<KubeCall>,
    /// Writes to Azure, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub azure: Vec<ArmCall>,
    /// What the writes to Azure change.
    pub changes: Changes,
    /// What the owner should know although nothing is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What a plan comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PlanResult {
    /// All is in place.
    Unchanged,
    /// Something would be written.
    Change,
    /// Nothing would be written before something else has happened.
    Waiting,
    /// The object would be refused.
    Refused,
    /// It could not be found out.
    Failed,
}

/// A write to Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeCall {
    /// `create`, `change` or `delete`.
    pub verb: &'static str,
    /// `Ingress apim-api-ingress-catalog`.
    pub resource: String,
    /// What it changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn as_word<S: serde::Serializer>(
    reason: &Option<Reason>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason.map_or("", Reason::as_str))
}

impl ObjectPlan {
    fn new(subject: &Subject) -> Self {
        Self {
            object: subject.key.to_string(),
            result: PlanResult::Unchanged,
            message: None,
            reason: None,
            instance: None,
            api_id: None,
            kubernetes: Vec::new(),
            azure: Vec::new(),
            changes: Changes::default(),
            warnings: Vec::new(),
        }
    }

    fn without(mut self, result: PlanResult, reason: Reason, message: impl Into<String>) -> Self {
        self.result = result;
        self.reason = Some(reason);
        self.message = Some(message.into());
        self
    }
}

/// A profile as it would be if it were applied.
pub type Assumed = (ProfileRef, ProfileState);

/// Makes the plans of the selected objects, in the order of their names; with
/// single objects, also of those that name one of the profiles.
pub async fn plan(
    client: Client,
    settings: Settings,
    selection: Selection,
    profiles: Vec<Assumed>,
    progress: impl Fn(&str),
) -> Result<Vec<ObjectPlan>, RunError> {
    progress("reading the cluster, its plugins and its APIM instances");
    let mut ready = look(&client, settings).await?;
    let context = Arc::clone(&ready.context);
    let folder = ready.folder.take();
    let settled = async {
        if let Some(folder) = folder {
            let _ = folder.await;
        }
        context.instances.until_tried().await;
        while context.plugins.registry().is_loading() {
            tokio::time::sleep(LOOK).await;
        }
    };
    // What is not there by then shows in the plans.
    let _ = tokio::time::timeout(PATIENCE, settled).await;
    let changed: Vec<ProfileRef> = profiles.iter().map(|(one, _)| one.clone()).collect();
    context.profiles.assume(profiles).await;
    let subjects = subjects(&ready, selection, &changed);
    let of = subjects.len();
    let mut plans = Vec::with_capacity(of);
    for (number, subject) in subjects.into_iter().enumerate() {
        progress(&format!("{} of {of}: {}", number + 1, subject.key));
        plans.push(Box::pin(object::plan(&context, &subject)).await);
    }
    Ok(plans)
}

fn subjects(ready: &Ready, selection: Selection, profiles: &[ProfileRef]) -> Vec<Subject> {
    let there = || {
        ready
            .context
            .objects
            .state()
            .into_iter()
            .filter_map(|object| Subject::open(&object).ok())
    };
    let mut subjects: Vec<Subject> = match selection {
        Selection::All => there().collect(),
        Selection::Namespace(name) => there().filter(|s| s.key.namespace == name).collect(),
        Selection::Objects(objects) => {
            let given = objects.iter().map(|object| {
                let given = Subject::of(object);
                let live = there().find(|live| live.key == given.key);
                as_applied(&ready.context, given, live)
            });
            let mut all: Vec<Subject> = given.collect();
            for live in there().filter(|live| names_one(live, profiles)) {
                if !all.iter().any(|one| one.key == live.key) {
                    all.push(live);
                }
            }
            all
        }
    };
    subjects.sort_by(|a, b| a.key.cmp(&b.key));
    subjects
}

/// Whether an object names one of these profiles.
fn names_one(subject: &Subject, profiles: &[ProfileRef]) -> bool {
    if profiles.is_empty() {
        return false;
    }
    let (annotations, _) = operator_core::annotations::read(&subject.meta.annotations);
    let namespace = &subject.key.namespace;
    let (names, mut ones) = (annotations.profile_names(), profiles.iter());
    ones.any(|one| one.is_of(namespace) && names.contains(&one.name))
}

/// An object as it would be after it was applied.
fn as_applied(context: &Context, given: Subject, live: Option<Subject>) -> Subject {
    let subject = match live {
        None => given,
        Some(live) => Subject {
            spec: given.spec,
            meta: operator_core::exposed_api::ObjectMeta {
                labels: given.meta.labels,
                annotations: annotations(given.meta.annotations, &live),
                ..live.meta.clone()
            },
            ..live
        },
    };
    context
        .paths
        .seen(&subject, context.exposed.mode().is_trusted());
    subject
}

/// What the operator wrote itself stays when an owner applies a file.
fn annotations(
    mut given: std::collections::BTreeMap<String, String>,
    live: &Subject,
) -> std::collections::BTreeMap<String, String> {
    let own = crate::reconcile::APPLIED;
    if let Some(text) = live.meta.annotations.get(own) {
        given.insert(own.to_owned(), text.clone());
    }
    given
}
