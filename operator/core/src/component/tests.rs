//! What is written into a Component's status, and what is not.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Attempts, ComponentView, Decision, Missing, Publication, decide, removal};

fn publication() -> Publication {
    Publication {
        uid: "u-2".into(),
        url: Some("https://gateway/catalog".into()),
        developer_ui: None,
        ready: true,
    }
}

fn decided(status: &Value, publication: &Publication) -> Decision {
    decide(Some(&ComponentView::of(status)), publication)
}

#[test]
fn an_entry_is_found_by_uid_and_tested_before_it_is_changed() {
    let status = json!({
        "coreAPIs": [{"name": "a", "uid": "u-1"}],
        "managementAPIs": [{"name": "b", "uid": "u-0"}, {"name": "c", "uid": "u-2", "ready": false}],
    });
    let Decision::Patch(patch) = decided(&status, &publication()) else {
        panic!("a patch");
    };
    insta::assert_snapshot!(serde_json::to_string_pretty(&patch).unwrap(), @r#"
    [
      {
        "op": "test",
        "path": "/status/managementAPIs/1/uid",
        "value": "u-2"
      },
      {
        "op": "add",
        "path": "/status/managementAPIs/1/url",
        "value": "https://gateway/catalog"
      },
      {
        "op": "add",
        "path": "/status/managementAPIs/1/ready",
        "value": true
      }
    ]
    "#);
}

#[test]
fn an_entry_that_says_so_already_is_not_written() {
    let entry = json!({"uid": "u-2", "url": "https://gateway/catalog", "ready": true, "name": "c", "ip": "192.0.2.1"});
    assert_eq!(
        decided(&json!({"coreAPIs": [entry]}), &publication()),
        Decision::InPlace
    );
    // Nothing is known yet, and nothing is said.
    let unknown = Publication {
        uid: "u-2".into(),
        ..Publication::default()
    };
    assert_eq!(
        decided(&json!({"coreAPIs": [{"uid": "u-2"}]}), &unknown),
        Decision::InPlace
    );
}

#[test]
fn what_is_not_there_is_waited_for() {
    assert_eq!(
        decide(None, &publication()),
        Decision::Wait(Missing::Component)
    );
    for status in [
        Value::Null,
        json!({}),
        json!({"coreAPIs": null}),
        json!({"coreAPIs": {"uid": "u-2"}}),
        json!({"coreAPIs": ["u-2", 7, {"uid": 2}, {"uid": ""}]}),
        json!({"otherAPIs": [{"uid": "u-2"}]}),
    ] {
        assert_eq!(
            decided(&status, &publication()),
            Decision::Wait(Missing::Entry),
            "{status}"
        );
    }
}

#[test]
fn an_entry_stops_being_ready_and_keeps_its_url() {
    let status =
        json!({"coreAPIs": [{"uid": "u-2", "url": "https://gateway/catalog", "ready": true}]});
    let lost = Publication {
        uid: "u-2".into(),
        ..Publication::default()
    };
    assert_eq!(
        decided(&status, &lost),
        Decision::Patch(json!([
            {"op": "test", "path": "/status/coreAPIs/0/uid", "value": "u-2"},
            {"op": "add", "path": "/status/coreAPIs/0/ready", "value": false},
        ]))
    );
}

#[test]
fn a_developer_interface_comes_and_goes() {
    let with = Publication {
        developer_ui: Some("https://gateway/docs".into()),
        ..publication()
    };
    let bare = json!({"uid": "u-2", "url": "https://gateway/catalog", "ready": true});
    let mut full = bare.clone();
    full["developerUI"] = json!("https://gateway/docs");
    let test = json!({"op": "test", "path": "/status/coreAPIs/0/uid", "value": "u-2"});
    assert_eq!(
        decided(&json!({"coreAPIs": [bare]}), &with),
        Decision::Patch(
            json!([test, {"op": "add", "path": "/status/coreAPIs/0/developerUI", "value": "https://gateway/docs"}])
        )
    );
    assert_eq!(
        decided(&json!({"coreAPIs": [full]}), &publication()),
        Decision::Patch(json!([test, {"op": "remove", "path": "/status/coreAPIs/0/developerUI"}]))
    );
}

#[test]
fn a_removal_goes_from_behind_and_tests_each_entry() {
    let status = json!({"coreAPIs": [{"uid": "u-2"}, {"uid": "u-1"}, {"uid": "u-2"}]});
    let view = ComponentView::of(&status);
    assert_eq!(
        removal(&view, "u-2"),
        Some(json!([
            {"op": "test", "path": "/status/coreAPIs/2/uid", "value": "u-2"},
            {"op": "remove", "path": "/status/coreAPIs/2"},
            {"op": "test", "path": "/status/coreAPIs/0/uid", "value": "u-2"},
            {"op": "remove", "path": "/status/coreAPIs/0"},
        ]))
    );
    assert_eq!(removal(&view, "u-3"), None);
}

#[test]
fn what_status_says_is_never_ready_without_a_url() {
    let said = Publication::of("u", &json!({"implementation": {"ready": true}}));
    assert!(!said.ready);
    let said = Publication::of(
        "u",
        &json!({"apiStatus": {"url": "https://a", "developerUI": "https://a/ui"}, "implementation": {"ready": true}}),
    );
    assert!(said.ready);
    assert_eq!(said.developer_ui.as_deref(), Some("https://a/ui"));
}

#[test]
fn the_first_writes_have_no_pause_and_a_contest_is_slowed_down() {
    let second = Duration::from_secs(1);
    let mut attempts = Attempts::default();
    let mut now = Duration::from_hours(1);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let pause = attempts.pause(now);
        pauses.push(pause.as_secs());
        now += pause;
        attempts = attempts.and_one(now);
    }
    assert_eq!(pauses, [0, 0, 0, 0, 0, 1, 2, 4, 8]);
    assert!(attempts.is_contested());
    // A pause is counted from the last write, and is not endless.
    assert_eq!(attempts.pause(now + second), second * 15);
    for _ in 0..40 {
        attempts = attempts.and_one(now);
    }
    assert_eq!(attempts.pause(now), Duration::from_mins(5));
    // A quiet time forgives.
    let later = now + Duration::from_mins(10);
    assert_eq!(attempts.pause(later), Duration::ZERO);
    assert!(!attempts.and_one(later).is_contested());
}

/// A Component's status with lists of entries in any shape.
fn statuses() -> impl Strategy<Value = Value> {
    let entry = (0_u8..4, any::<bool>(), any::<Option<bool>>(), any::<bool>()).prop_map(
        |(uid, url, ready, odd)| {
            if odd {
                return json!("odd");
            }
            let mut entry = json!({"name": "n", "uid": format!("u-{uid}")});
            if url {
                entry["url"] = json!("https://old");
                entry["developerUI"] = json!("https://old/ui");
            }
            if let Some(ready) = ready {
                entry["ready"] = ready.into();
            }
            entry
        },
    );
    let apis = prop::collection::vec(entry, 0..4);
    (apis.clone(), apis.clone(), apis).prop_map(
        |(core, management, security)| json!({"coreAPIs": core, "managementAPIs": management, "securityAPIs": security}),
    )
}

/// Carries out a JSON Patch of the three operations that are used.
fn patched(document: &Value, steps: &Value) -> Option<Value> {
    let mut document = document.clone();
    for step in steps.as_array()? {
        let at = step["path"].as_str()?;
        if step["op"] == "test" {
            if document.pointer(at) != Some(&step["value"]) {
                return None;
            }
            continue;
        }
        let (parent, last) = at.rsplit_once('/')?;
        match document.pointer_mut(parent)? {
            Value::Object(fields) if step["op"] == "add" => {
                fields.insert(last.to_owned(), step["value"].clone());
            }
            Value::Object(fields) => {
                fields.remove(last)?;
            }
            Value::Array(items) if step["op"] == "remove" => {
                let index: usize = last.parse().ok()?;
                (index < items.len()).then(|| items.remove(index))?;
            }
            _ => return None,
        }
    }
    Some(document)
}

fn others(status: &Value) -> Vec<Value> {
    super::LISTS
        .iter()
        .flat_map(|list| status[*list].as_array().cloned().unwrap_or_default())
        .filter(|entry| entry["uid"] != "u-2")
        .collect()
}

proptest! {
    #[test]
    fn a_patch_brings_the_entry_in_place_and_touches_no_other(status in statuses(), ready: bool) {
        let wanted = Publication { ready, ..publication() };
        if let Decision::Patch(patch) = decided(&status, &wanted) {
            let after = patched(&json!({"status": status}), &patch).unwrap();
            prop_assert_eq!(decided(&after["status"], &wanted), Decision::InPlace);
            prop_assert_eq!(others(&after["status"]), others(&status));
        }
    }

    #[test]
    fn a_patch_made_for_another_list_changes_no_other_entry(before in statuses(), now in statuses()) {
        if let Decision::Patch(patch) = decided(&before, &publication())
            && let Some(after) = patched(&json!({"status": now}), &patch)
        {
            prop_assert_eq!(others(&after["status"]), others(&now));
        }
    }

    #[test]
    fn a_removal_leaves_the_others(status in statuses()) {
        let view = ComponentView::of(&status);
        if let Some(patch) = removal(&view, "u-2") {
            let after = patched(&json!({"status": status}), &patch).unwrap();
            prop_assert_eq!(removal(&ComponentView::of(&after["status"]), "u-2"), None);
            prop_assert_eq!(others(&after["status"]), others(&status));
        }
    }
}
