//! Tags and diagnostics of an API.

use operator_apim::Leftovers;
use operator_core::apim::{DesiredPart, PartId};
use operator_core::class::ErrorClass;
use operator_core::diagnostics::DiagnosticKind;
use operator_core::names::{ApiId, TagId};
use serde_json::{Value, json};

use crate::stage::{API, MARK, Stage, Wish};

fn tag(id: &str, made_as: Option<&str>) -> (PartId, DesiredPart) {
    let part = DesiredPart {
        content: Value::Null,
        made_as: made_as.map(str::to_owned),
    };
    (PartId::Tag(TagId::parse(id).unwrap()), part)
}

fn logs(percentage: u8) -> (PartId, DesiredPart) {
    let content = json!({
        "loggerId": "/loggers/insights", "sampling": {"samplingType": "fixed", "percentage": percentage},
    });
    let part = DesiredPart {
        content,
        made_as: None,
    };
    (
        PartId::Diagnostic(DiagnosticKind::ApplicationInsights),
        part,
    )
}

fn with<const N: usize>(parts: [(PartId, DesiredPart); N]) -> Wish {
    Wish {
        parts: parts.into(),
        ..Wish::default()
    }
}

fn own_tags() -> Leftovers {
    Leftovers {
        own_tags: Some("team.".to_owned()),
        ..Leftovers::default()
    }
}

/// The writes but those that make every API.
fn others(stage: &Stage) -> Vec<String> {
    let mut all = stage.writes();
    all.retain(|call| call.contains("tags/") || call.contains("diagnostics/"));
    all
}

#[tokio::test]
async fn a_tag_of_the_namespace_is_made_for_the_first_api_and_goes_with_the_last() {
    let stage = Stage::new().await;
    let own = || tag("team.vip", Some("vip"));
    let one = stage.apply(&with([own()]), None).await.unwrap();
    assert_eq!(
        others(&stage),
        [
            "PUT tags/team.vip 201",
            "PUT apis/team.orders/tags/team.vip 201"
        ]
    );
    stage.simulator.clear_journal();
    let other = Wish {
        id: "team.stock",
        mark: "apim-operator/1 01234567 team/stock",
        path: "team/stock",
        ..with([own()])
    };
    stage.apply(&other, None).await.unwrap();
    assert_eq!(
        others(&stage),
        ["PUT apis/team.stock/tags/team.vip 201"],
        "the tag is there already"
    );
    stage.simulator.clear_journal();
    stage
        .apply(&with([own()]), Some(&one.record))
        .await
        .unwrap();
    assert_eq!(stage.reads(), [] as [&str; 0]);

    stage.apply(&with([]), Some(&one.record)).await.unwrap();
    assert_eq!(
        others(&stage),
        ["DELETE apis/team.orders/tags/team.vip 200"],
        "the other one has it"
    );
    stage.simulator.clear_journal();
    let id = ApiId::parse("team.stock").unwrap();
    let deleted = stage.applier.delete_whole(&id, other.mark, own_tags());
    deleted.await.unwrap();
    assert_eq!(
        stage.writes(),
        [
            "DELETE apis/team.stock/tags/team.vip 200",
            "DELETE tags/team.vip 200",
            "DELETE apis/team.stock 202"
        ]
    );
}

#[tokio::test]
async fn a_tag_of_the_platform_is_waited_for_and_never_made_or_deleted() {
    let stage = Stage::new().await;
    let wish = with([tag("public", None)]);
    let error = stage.apply(&wish, None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Waiting, "{error}");
    let missing = error.arm().unwrap().missing.as_ref().unwrap();
    assert_eq!(missing.to_string(), "tag `public`");
    stage
        .put(
            "tags/public",
            &json!({"properties": {"displayName": "Public"}}),
        )
        .await;
    let record = error.record.unwrap();
    let applied = stage.apply(&wish, Some(&record)).await.unwrap();
    stage.simulator.clear_journal();
    stage.apply(&with([]), Some(&applied.record)).await.unwrap();
    assert_eq!(others(&stage), ["DELETE apis/team.orders/tags/public 200"]);
    let id = ApiId::parse(API).unwrap();
    let deleted = stage.applier.delete_whole(&id, MARK, own_tags());
    deleted.await.unwrap();
    assert_eq!(others(&stage), ["DELETE apis/team.orders/tags/public 200"]);
}

#[tokio::test]
async fn a_diagnostic_is_written_where_it_differs_and_waits_for_its_logger() {
    let stage = Stage::new().await;
    let error = stage.apply(&with([logs(50)]), None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Waiting, "{error}");
    let missing = error.arm().unwrap().missing.as_ref().unwrap();
    assert_eq!(missing.to_string(), "logger `insights`");
    stage
        .simulator
        .add_logger("insights", "applicationInsights");
    let record = error.record.unwrap();
    let applied = stage.apply(&with([logs(50)]), Some(&record)).await.unwrap();
    stage.simulator.clear_journal();
    // Without a record, what is there is read and not written again.
    let again = stage.apply(&with([logs(50)]), None).await.unwrap();
    assert_eq!(others(&stage), [] as [&str; 0]);
    assert_eq!(again.record.parts, applied.record.parts);

    let changed = stage.apply(&with([logs(10)]), Some(&applied.record)).await;
    assert_eq!(
        others(&stage),
        ["PUT apis/team.orders/diagnostics/applicationinsights 200"]
    );
    stage.simulator.clear_journal();
    let record = changed.unwrap().record;
    stage.apply(&with([]), Some(&record)).await.unwrap();
    assert_eq!(
        stage.writes(),
        ["DELETE apis/team.orders/diagnostics/applicationinsights 200"]
    );
}
