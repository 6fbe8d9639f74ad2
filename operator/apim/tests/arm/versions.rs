//! Versions of an API, and the set that holds them.

use operator_apim::Leftovers;
use operator_apim::apply::Failure;
use operator_core::apim::{DesiredPart, PartId, PlanError};
use operator_core::class::ErrorClass;
use operator_core::names::{ApiId, VersionSetId};
use serde_json::{Value, json};

use crate::stage::{Stage, Wish};

const SET: &str = "team.orders";
const MARK_OF_SET: &str = "apim-operator/1 01234567 team/orders";

fn set(content: Value) -> (PartId, DesiredPart) {
    let part = DesiredPart {
        content,
        made_as: None,
    };
    (PartId::VersionSet(VersionSetId::parse(SET).unwrap()), part)
}

fn by_header(name: &str) -> (PartId, DesiredPart) {
    set(json!({
        "displayName": "orders", "description": MARK_OF_SET,
        "versioningScheme": "Header", "versionHeaderName": name,
    }))
}

fn version(id: &'static str, mark: &'static str, version: &'static str) -> Wish {
    Wish {
        id,
        mark,
        version: Some((SET, version)),
        parts: [by_header("x-version")].into(),
        ..Wish::default()
    }
}

fn one() -> Wish {
    version("team.one", "apim-operator/1 01234567 team/one", "v1")
}

fn two() -> Wish {
    version("team.two", "apim-operator/1 01234567 team/two", "v2")
}

fn in_set() -> Leftovers {
    Leftovers {
        sets: [VersionSetId::parse(SET).unwrap()].into(),
        ..Leftovers::default()
    }
}

fn of_sets(stage: &Stage) -> Vec<String> {
    let mut all = stage.writes();
    all.retain(|call| call.contains("apiVersionSets/"));
    all
}

#[tokio::test]
async fn a_set_is_made_for_the_first_version_and_goes_with_the_last() {
    let stage = Stage::new().await;
    let first = stage.apply(&one(), None).await.unwrap();
    assert_eq!(
        stage.writes()[..2],
        [
            "PUT apiVersionSets/team.orders 201".to_owned(),
            "PUT apis/team.one 201".to_owned(),
        ],
        "before the API that names it"
    );
    stage.simulator.clear_journal();
    let second = stage.apply(&two(), None).await.unwrap();
    assert_eq!(
        of_sets(&stage),
        [""; 0],
        "it is there, and one path is shared"
    );
    stage.simulator.clear_journal();
    for (wish, applied) in [(one(), &first), (two(), &second)] {
        stage.apply(&wish, Some(&applied.record)).await.unwrap();
    }
    assert_eq!(stage.reads(), [""; 0]);

    // Another header: one write, after which the other has nothing to do.
    let renamed = |wish: Wish| Wish {
        parts: [by_header("x-api")].into(),
        ..wish
    };
    let first = stage.apply(&renamed(one()), Some(&first.record)).await;
    let second = stage.apply(&renamed(two()), Some(&second.record)).await;
    assert_eq!(stage.writes(), ["PUT apiVersionSets/team.orders 200"]);
    stage.simulator.clear_journal();

    // One leaves, with a path of its own; the set stays for the other.
    let alone = Wish {
        version: None,
        parts: [].into(),
        path: "team/alone",
        ..one()
    };
    let record = first.unwrap().record;
    let left = stage.apply(&alone, Some(&record)).await.unwrap();
    assert_eq!(stage.writes(), ["PATCH apis/team.one 200"]);
    assert!(left.record.parts.is_empty());
    stage.simulator.clear_journal();

    // Where the last one leaves, the set goes after it.
    let alone = Wish {
        version: None,
        parts: [].into(),
        ..two()
    };
    let record = second.unwrap().record;
    stage.apply(&alone, Some(&record)).await.unwrap();
    assert_eq!(
        stage.writes(),
        [
            "PATCH apis/team.two 200",
            "DELETE apiVersionSets/team.orders 200"
        ]
    );
}

#[tokio::test]
async fn the_deletion_of_the_last_version_takes_the_set_along_also_after_a_crash() {
    let stage = Stage::new().await;
    for wish in [one(), two()] {
        stage.apply(&wish, None).await.unwrap();
    }
    stage.simulator.clear_journal();
    let delete = async |wish: &Wish| {
        let id = ApiId::parse(wish.id).unwrap();
        let deleted = stage.applier.delete_whole(&id, wish.mark, in_set());
        deleted.await.unwrap()
    };
    delete(&one()).await;
    assert_eq!(of_sets(&stage), [""; 0]);
    // Already deleted, by a process that died before it came to the set.
    delete(&one()).await;
    assert_eq!(of_sets(&stage), [""; 0], "the other version is in it");
    delete(&two()).await;
    assert_eq!(of_sets(&stage), ["DELETE apiVersionSets/team.orders 200"]);

    stage.simulator.clear_journal();
    let set = by_header("x-version").1.content;
    let set = json!({"properties": set});
    stage.put("apiVersionSets/team.orders", &set).await;
    delete(&two()).await;
    assert!(
        of_sets(&stage).contains(&"DELETE apiVersionSets/team.orders 200".to_owned()),
        "{:?}",
        stage.writes()
    );
}

#[tokio::test]
async fn a_set_goes_also_where_its_last_api_was_deleted_by_others() {
    let stage = Stage::new().await;
    let applied = stage.apply(&one(), None).await.unwrap();
    let id = ApiId::parse("team.one").unwrap();
    stage.applier.delete(&id, one().mark).await.unwrap();
    let set = json!({"properties": by_header("x-version").1.content});
    stage.put("apiVersionSets/team.orders", &set).await;
    stage.simulator.clear_journal();
    let alone = Wish {
        version: None,
        parts: [].into(),
        ..one()
    };
    stage.apply(&alone, Some(&applied.record)).await.unwrap();
    assert_eq!(of_sets(&stage), ["DELETE apiVersionSets/team.orders 200"]);
}

#[tokio::test]
async fn a_set_of_somebody_else_is_left_alone() {
    let stage = Stage::new().await;
    let theirs = json!({"properties": {"displayName": "orders", "versioningScheme": "Segment"}});
    stage.put("apiVersionSets/team.orders", &theirs).await;
    stage.simulator.clear_journal();
    let error = stage.apply(&one(), None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid);
    assert!(
        matches!(&error.failure, Failure::Plan(PlanError::SetNotOurs { .. })),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "version set `team.orders` exists in API Management and is not this operator's: it carries no mark of this \
         operator; it is left alone. Name another set (annotation apim.oda.tmforum.org/version-set), or delete that one"
    );
    let id = ApiId::parse("team.one").unwrap();
    let deleted = stage.applier.delete_whole(&id, one().mark, in_set());
    deleted.await.unwrap();
    assert_eq!(stage.writes(), [""; 0]);
}

#[tokio::test]
async fn only_another_version_of_the_same_set_shares_a_path() {
    let stage = Stage::new().await;
    stage.apply(&one(), None).await.unwrap();
    let unversioned = Wish {
        version: None,
        parts: [].into(),
        ..two()
    };
    let same = Wish {
        version: Some((SET, "V1")),
        ..two()
    };
    for wish in [unversioned, same] {
        let error = stage.apply(&wish, None).await.unwrap_err();
        assert!(
            matches!(&error.failure, Failure::Plan(PlanError::PathTaken { rival, .. }) if rival == "team.one"),
            "{error}"
        );
    }
}
