//! An API that is one of several versions.

use serde_json::{Value, json};

use super::model::Wish;
use crate::apim::*;
use crate::desired::{ApiSettings, Desired};
use crate::names::VersionSetId;

fn set() -> PartId {
    PartId::VersionSet(VersionSetId::parse("team.orders").unwrap())
}

fn content(mark: &str) -> Value {
    json!({"displayName": "orders", "description": mark, "versioningScheme": "Segment"})
}

fn versioned() -> Desired {
    let mut desired = Wish::default().desired();
    let api = desired.api.as_mut().unwrap();
    in_set(&mut api.settings, "team.orders", "v1");
    let part = DesiredPart {
        content: content("ours"),
        made_as: None,
    };
    api.parts.insert(set(), part);
    desired
}

fn in_set(settings: &mut ApiSettings, set: &str, version: &str) {
    settings.api_version = Some(version.to_owned());
    settings.api_version_set = Some(VersionSetId::parse(set).unwrap());
}

fn observed(set_there: Option<Value>) -> Observed {
    let there = set_there.map(|content| ObservedPart {
        content,
        etag: None,
    });
    Observed {
        parts: [(set(), there)].into(),
        ..Observed::default()
    }
}

#[test]
fn settings_without_a_version_are_hashed_as_ever() {
    let settings = Wish::default().desired().api.unwrap().settings;
    let said = serde_json::to_value(&settings).unwrap();
    assert!(said.get("apiVersion").is_none() && said.get("apiVersionSet").is_none());
    assert_eq!(settings.path_in_cluster(), "orders");
    let versioned = versioned().api.unwrap().settings;
    assert_eq!(versioned.path_in_cluster(), "orders/v1");
}

#[test]
fn a_set_comes_before_the_api_that_names_it_and_only_where_it_is_not_there() {
    let desired = versioned();
    let steps = plan(&desired, &observed(None), None).unwrap();
    assert_eq!(
        steps[..2],
        [Step::PutPart { part: set() }, Step::CreateWithoutOperations]
    );
    let id = &desired.api.as_ref().unwrap().id;
    let call = steps[0].call(id).unwrap();
    assert_eq!(
        (call.method, call.resource.as_str()),
        ("PUT", "apiVersionSets/team.orders")
    );
    let steps = plan(&desired, &observed(Some(content("ours"))), None).unwrap();
    assert_eq!(steps[0], Step::CreateWithoutOperations);
}

#[test]
fn a_set_with_another_mark_is_nobodys_to_write() {
    let refused = plan(&versioned(), &observed(Some(content("theirs"))), None);
    assert!(
        matches!(&refused, Err(PlanError::SetNotOurs { whose, .. }) if whose == "theirs"),
        "{refused:?}"
    );
}

#[test]
fn only_another_version_of_the_same_set_stands_beside_an_api() {
    let own = versioned().api.unwrap().settings;
    let beside = |set: &str, version: &str| {
        let mut other = own.clone();
        in_set(&mut other, set, version);
        own.stands_beside(&other)
    };
    assert!(beside("Team.Orders", "v2"));
    assert!(!beside("team.orders", "V1"));
    assert!(!beside("team.others", "v2"));
    let alone = Wish::default().desired().api.unwrap().settings;
    assert!(!own.stands_beside(&alone) && !alone.stands_beside(&alone));
}
