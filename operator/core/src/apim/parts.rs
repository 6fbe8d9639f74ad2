//! What an API has beside its operations and policies: its tags, its
//! diagnostics, the version set that it is in, and its wiki with a page. And
//! what leads from those that are there to those that are wanted.
//!
//! Somebody else may have put a part there; that is left alone until it is
//! wanted. So the record names every part that the operator may have put there,
//! from before the first write on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::step::{PlanError, Step};
use crate::annotations::Adoption;
use crate::desired::DesiredApi;
use crate::diagnostics::DiagnosticKind;
use crate::mark::OwnershipMark;
use crate::names::{ApiId, ContentHash, InvalidName, TagId, VersionSetId};
use crate::wiki;

/// The id of the only wiki that an API has (ARM specification 2024-05-01).
const WIKI: &str = "default";

/// A part of an API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum PartId {
    /// A tag that it has.
    Tag(TagId),
    /// What is logged of its calls, and where to.
    Diagnostic(DiagnosticKind),
    /// The version set that it is in, which others share.
    VersionSet(VersionSetId),
    /// The page of its wiki. It stands below the service, and has the API's own
    /// id.
    Documentation(ApiId),
    /// Its wiki: which pages the portal shows.
    Wiki,
}

impl PartId {
    /// The list that it stands in and its id, as ARM spells both.
    fn segments(&self) -> [&str; 2] {
        match self {
            Self::Tag(id) => ["tags", id.as_str()],
            Self::Diagnostic(kind) => ["diagnostics", kind.id()],
            Self::VersionSet(id) => ["apiVersionSets", id.as_str()],
            Self::Documentation(id) => ["documentations", id.as_str()],
            Self::Wiki => ["wikis", WIKI],
        }
    }

    /// Where it stands, below the service.
    #[must_use]
    pub fn path<'a>(&'a self, api: &'a str) -> Vec<&'a str> {
        let [list, id] = self.segments();
        if self.outlives_api() {
            vec![list, id]
        } else {
            vec!["apis", api, list, id]
        }
    }

    /// Whether it stands beside the API, which refers to it: it is made before,
    /// and is left when the API is gone.
    #[must_use]
    pub const fn outlives_api(&self) -> bool {
        match self {
            Self::VersionSet(_) | Self::Documentation(_) => true,
            Self::Tag(_) | Self::Diagnostic(_) | Self::Wiki => false,
        }
    }

    /// The version set, which the API refers to and does not hold.
    #[must_use]
    pub const fn version_set(&self) -> Option<&VersionSetId> {
        match self {
            Self::VersionSet(set) => Some(set),
            Self::Tag(_) | Self::Diagnostic(_) | Self::Documentation(_) | Self::Wiki => None,
        }
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments().join("/"))
    }
}

impl From<PartId> for String {
    fn from(id: PartId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for PartId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let part = match text.split_once('/') {
            Some(("tags", id)) => TagId::parse(id).ok().map(Self::Tag),
            Some(("diagnostics", id)) => DiagnosticKind::of_id(id).map(Self::Diagnostic),
            Some(("apiVersionSets", id)) => VersionSetId::parse(id).ok().map(Self::VersionSet),
            Some(("documentations", id)) => ApiId::parse(id).ok().map(Self::Documentation),
            Some(("wikis", WIKI)) => Some(Self::Wiki),
            _ => None,
        };
        part.ok_or(InvalidName {
            value: text,
            expected: "a part of an API: `tags/<id>`, `diagnostics/<id>`, `apiVersionSets/<id>`, `documentations/<id>` \
                       or `wikis/default`",
        })
    }
}

/// A part as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredPart {
    /// What it says, as ARM takes it; null for a tag.
    pub content: Value,
    /// The name under which a tag is made where there is none of its id; absent
    /// for one that is the platform's, and for what is no tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_as: Option<String>,
}

impl DesiredPart {
    /// By which it is known that it is in place.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        content_hash(&self.content)
    }
}

/// All parts that an API should have.
pub type DesiredParts = BTreeMap<PartId, DesiredPart>;

/// A part as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPart {
    /// What it says, as ARM gave it; null for a tag.
    pub content: Value,
    /// For `If-Match`.
    pub etag: Option<String>,
}

/// Of the parts that were asked for: what is there.
pub type ObservedParts = BTreeMap<PartId, Option<ObservedPart>>;

/// What is known of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PartState {
    /// It says this.
    Known(ContentHash),
    /// It was being written or taken away, and how that ended is not known.
    Begun,
}

/// The parts that the operator put there, or may have.
pub type PartStates = BTreeMap<PartId, PartState>;

/// The fields of a part that count. Azure gives back more than it got.
const FIELDS: [&str; 16] = [
    "loggerId",
    "alwaysLog",
    "sampling",
    "frontend",
    "backend",
    "logClientIp",
    "httpCorrelationProtocol",
    "verbosity",
    "displayName",
    "description",
    "versioningScheme",
    "versionHeaderName",
    "versionQueryName",
    "title",
    "content",
    "documents",
];

/// What a part says, so that two that mean the same are equal: of the fields
/// that the operator writes, without those that say nothing, lists as sets,
/// numbers by value, and a logger by its own id alone.
#[must_use]
pub fn normal(content: &Value) -> Value {
    let Value::Object(fields) = content else {
        return Value::Null;
    };
    let counted = fields
        .iter()
        .filter(|(field, _)| FIELDS.contains(&field.as_str()))
        .filter_map(|(field, value)| {
            let value = match (field.as_str(), value) {
                ("loggerId", Value::String(id)) => {
                    let own = id.rsplit('/').next().unwrap_or_default();
                    own.to_ascii_lowercase().into()
                }
                ("content", Value::String(text)) => wiki::normal(text).into(),
                _ => cleaned(field, value)?,
            };
            Some((field.clone(), value))
        });
    sorted(counted)
}

/// Fields in one order, in which they are compared as text.
fn sorted(fields: impl Iterator<Item = (String, Value)>) -> Value {
    let fields: BTreeMap<String, Value> = fields.collect();
    Value::Object(fields.into_iter().collect())
}

fn cleaned(field: &str, value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            let nothing = field == "bytes" && number == 0.0;
            (!nothing).then(|| number.into())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().filter_map(|v| cleaned("", v)).collect();
            items.sort_by_key(ToString::to_string);
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), cleaned(name, value)?)));
            match sorted(fields) {
                Value::Object(fields) if fields.is_empty() => None,
                fields => Some(fields),
            }
        }
        other => Some(other.clone()),
    }
}

/// By which two contents that mean the same are known.
#[must_use]
pub fn content_hash(content: &Value) -> ContentHash {
    ContentHash::of_json(&normal(content))
}

/// A difference in what a part says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentChange {
    /// Such as `sampling/percentage`.
    pub path: String,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What will be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// In which fields two contents differ.
#[must_use]
pub fn content_changes(from: &Value, to: &Value) -> Vec<ContentChange> {
    let mut out = Vec::new();
    descend("", Some(&normal(from)), Some(&normal(to)), &mut out);
    out
}

fn descend(path: &str, from: Option<&Value>, to: Option<&Value>, out: &mut Vec<ContentChange>) {
    if from == to {
        return;
    }
    let fields = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    if let (Some(left), Some(right)) = (fields(from.or(to)), fields(to.or(from))) {
        let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for name in names {
            let below = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            };
            let at = |value: Option<&Value>| value.and_then(|value| value.get(name)).cloned();
            descend(&below, at(from).as_ref(), at(to).as_ref(), out);
        }
        return;
    }
    let text = |value: Option<&Value>| value.map(said);
    out.push(ContentChange {
        path: path.to_owned(),
        from: text(from),
        to: text(to),
    });
}

fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A part that is written or taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartChange {
    /// Which.
    pub part: PartId,
    /// Whether it will be there.
    pub holds: bool,
    /// What of its content changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ContentChange>,
}

impl fmt::Display for PartChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.holds { '+' } else { '-' };
        write!(f, "{sign}{}", self.part)
    }
}

/// Whether the API has the parts that are wanted, and no other by the
/// operator's doing.
pub(super) fn covered(known: &PartStates, wanted: &DesiredParts) -> bool {
    known.len() == wanted.len() && wanted.iter().all(|(id, part)| is_known(known, id, part))
}

fn is_known(known: &PartStates, id: &PartId, part: &DesiredPart) -> bool {
    known.get(id) == Some(&PartState::Known(part.hash()))
}

/// The parts that have to be read.
pub(super) fn unknown(known: &PartStates, wanted: &DesiredParts) -> BTreeSet<PartId> {
    let missing = wanted
        .iter()
        .filter(|(id, part)| !is_known(known, id, part))
        .map(|(id, _)| id);
    let surplus = known.keys().filter(|id| !wanted.contains_key(*id));
    missing.chain(surplus).cloned().collect()
}

/// The tags that have to be there before the API can have them, of those that
/// are to be read.
pub fn own_tags<'a>(
    wanted: &'a DesiredParts,
    read: &'a BTreeSet<PartId>,
) -> impl Iterator<Item = &'a TagId> {
    read.iter().filter_map(|id| match id {
        PartId::Tag(tag) if wanted.get(id)?.made_as.is_some() => Some(tag),
        _ => None,
    })
}

/// Who would lose it if a part were written that stands beside the API and is
/// somebody else's.
pub(super) fn foreign(api: &DesiredApi, observed: &ObservedParts) -> Option<PlanError> {
    api.parts.iter().find_map(|(id, part)| {
        let there = &observed.get(id)?.as_ref()?.content;
        match id {
            PartId::VersionSet(set) => {
                let field = |content: &Value| content["description"].as_str().map(str::to_owned);
                let theirs = field(there);
                (theirs != field(&part.content)).then(|| PlanError::SetNotOurs {
                    set: set.clone(),
                    whose: theirs.unwrap_or_default(),
                })
            }
            PartId::Documentation(page) => {
                let theirs = wiki::mark_of(there);
                (!may_write(api, theirs)).then(|| PlanError::PageNotOurs {
                    page: page.clone(),
                    whose: theirs.map(str::to_owned),
                })
            }
            PartId::Tag(_) | PartId::Diagnostic(_) | PartId::Wiki => None,
        }
    })
}

/// Whether a page with this mark is ours, or may be taken over with its API.
/// As with the API itself, no other object of this cluster loses its own.
fn may_write(api: &DesiredApi, theirs: Option<&str>) -> bool {
    let of = |mark: &str| {
        let mark = OwnershipMark::parse(mark)?;
        Some(mark.cluster().to_owned())
    };
    theirs == Some(api.mark.as_str())
        || api.adoption == Adoption::Override
            && theirs.is_none_or(|theirs| of(theirs) != of(&api.mark))
}

/// What comes before the API is written: what it, or a part of it, is about to
/// refer to. All others come after it.
pub(super) fn referred_first(steps: Vec<Step>) -> (Vec<Step>, Vec<Step>) {
    let is_first = |step: &Step| matches!(step, Step::PutPart { part } if part.outlives_api());
    steps.into_iter().partition(is_first)
}

/// What gives the API the parts that are wanted, and then takes those away that
/// are not. What was read counts more than what is remembered.
pub(super) fn steps(
    known: &PartStates,
    wanted: &DesiredParts,
    observed: &ObservedParts,
    tags: &BTreeMap<TagId, bool>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (id, part) in wanted {
        let in_place = match observed.get(id) {
            Some(Some(there)) => content_hash(&there.content) == part.hash(),
            Some(None) => false,
            None => is_known(known, id, part),
        };
        if in_place {
            continue;
        }
        if let (PartId::Tag(tag), Some(name)) = (id, &part.made_as)
            && tags.get(tag) != Some(&true)
        {
            steps.push(Step::MakeTag {
                tag: tag.clone(),
                name: name.clone(),
            });
        }
        steps.push(Step::PutPart { part: id.clone() });
    }
    // What refers to another goes before it.
    let surplus = known
        .keys()
        .rev()
        .filter(|id| !wanted.contains_key(*id))
        .filter(|id| observed.get(*id) != Some(&None));
    steps.extend(surplus.map(|id| Step::RemovePart { part: id.clone() }));
    steps
}

/// Corrects what is known by what was read. A part that is there and wanted
/// counts as one that the operator put there.
pub(super) fn learn(known: &mut PartStates, wanted: &DesiredParts, observed: &ObservedParts) {
    for (id, there) in observed {
        match (there, wanted.get(id)) {
            (None, _) => {
                known.remove(id);
            }
            (Some(there), Some(part)) => {
                let hash = content_hash(&there.content);
                let state = if hash == part.hash() {
                    PartState::Known(hash)
                } else {
                    PartState::Begun
                };
                known.insert(id.clone(), state);
            }
            (Some(_), None) => {}
        }
    }
}

/// What may be claimed before the first write: every part that a write may
/// reach stands there, and is not known any more.
pub(super) fn certain(known: &mut PartStates, wanted: &DesiredParts) {
    for (id, state) in known.iter_mut() {
        if !wanted
            .get(id)
            .is_some_and(|part| *state == PartState::Known(part.hash()))
        {
            *state = PartState::Begun;
        }
    }
    for id in wanted.keys() {
        known.entry(id.clone()).or_insert(PartState::Begun);
    }
}

/// Those of the parts that are left when the API is gone, of which nothing else
/// is known; they are read when there is no API, since there may have been one.
pub(super) fn left_without_api<'a>(parts: impl Iterator<Item = &'a PartId>) -> PartStates {
    let left = parts.filter(|id| id.outlives_api());
    left.map(|id| (id.clone(), PartState::Begun)).collect()
}

/// All that are wanted, and no other.
#[must_use]
pub fn all(wanted: &DesiredParts) -> PartStates {
    let known = |(id, part): (&PartId, &DesiredPart)| (id.clone(), PartState::Known(part.hash()));
    wanted.iter().map(known).collect()
}

/// What the steps change.
pub(super) fn changes(
    wanted: &DesiredParts,
    observed: &ObservedParts,
    steps: &[Step],
) -> Vec<PartChange> {
    let change = |step: &Step| {
        let (part, holds) = match step {
            Step::PutPart { part } => (part, true),
            Step::RemovePart { part } => (part, false),
            _ => return None,
        };
        let there = observed.get(part).and_then(Option::as_ref);
        let there = there.map_or(&Value::Null, |there| &there.content);
        let to = wanted.get(part).map_or(&Value::Null, |part| &part.content);
        let changes = if holds {
            content_changes(there, to)
        } else {
            Vec::new()
        };
        Some(PartChange {
            part: part.clone(),
            holds,
            changes,
        })
    };
    steps.iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_azure_adds_and_orders_is_no_difference_and_what_others_add_is() {
        let sent = json!({
            "loggerId": "/loggers/Insights", "sampling": {"samplingType": "fixed", "percentage": 50},
            "frontend": {"request": {"headers": [], "body": {"bytes": 0}, "dataMasking": {"headers": [
                {"value": "Authorization", "mode": "Hide"}, {"value": "Cookie", "mode": "Hide"},
            ]}}},
            "logClientIp": false,
        });
        let back = json!({
            "alwaysLog": null, "loggerId": "/subscriptions/s/service/a/loggers/insights", "metrics": true,
            "sampling": {"samplingType": "fixed", "percentage": 50.0},
            "frontend": {"request": {"dataMasking": {"headers": [
                {"mode": "Hide", "value": "Cookie"}, {"mode": "Hide", "value": "Authorization"},
            ]}}, "response": null},
        });
        assert_eq!(content_hash(&sent), content_hash(&back));
        let mut theirs = back;
        theirs["frontend"]["request"]["headers"] = json!(["Authorization"]);
        theirs["sampling"]["percentage"] = json!(100);
        let found = content_changes(&theirs, &sent);
        let told: Vec<String> = found
            .iter()
            .map(|c| format!("{} {:?} {:?}", c.path, c.from, c.to))
            .collect();
        assert_eq!(
            told,
            [
                r#"frontend/request/headers Some("[\"Authorization\"]") None"#,
                r#"sampling/percentage Some("100.0") Some("50.0")"#,
            ]
        );
    }

    #[test]
    fn the_names_of_parts_are_read_back() {
        let tag = PartId::Tag(TagId::parse("shop.vip").unwrap());
        let logs = PartId::Diagnostic(DiagnosticKind::AzureMonitor);
        for (part, text) in [
            (
                PartId::VersionSet(VersionSetId::parse("shop.orders").unwrap()),
                "\"apiVersionSets/shop.orders\"",
            ),
            (
                PartId::Documentation(ApiId::parse("shop.orders").unwrap()),
                "\"documentations/shop.orders\"",
            ),
            (PartId::Wiki, "\"wikis/default\""),
            (tag, "\"tags/shop.vip\""),
            (logs, "\"diagnostics/azuremonitor\""),
        ] {
            assert_eq!(serde_json::to_string(&part).unwrap(), text);
            assert_eq!(serde_json::from_str::<PartId>(text).unwrap(), part);
        }
        for wrong in ["\"tags/a/b\"", "\"diagnostics/x\"", "\"wikis/main\""] {
            assert!(serde_json::from_str::<PartId>(wrong).is_err(), "{wrong}");
        }
    }
}
