//! The wiki of an API, and the page that it shows.

use operator_apim::apply::Failure;
use operator_apim::{Deleted, Leftovers};
use operator_core::annotations::Adoption;
use operator_core::apim::{PartId, PlanError};
use operator_core::class::ErrorClass;
use operator_core::mark::OwnershipMark;
use operator_core::names::ApiId;
use operator_core::wiki;
use serde_json::{Value, json};

use crate::stage::{API, MARK, Stage, Wish};

const PAGE: &str = "documentations/team.orders";
const WIKI: &str = "apis/team.orders/wikis/default";

fn id() -> ApiId {
    ApiId::parse(API).unwrap()
}

fn page(text: &str) -> Wish {
    let mark = OwnershipMark::parse(MARK).unwrap();
    Wish {
        parts: wiki::desired(text, "Orders", &id(), &mark),
        ..Wish::default()
    }
}

fn with_page() -> Leftovers {
    Leftovers {
        page: true,
        ..Leftovers::default()
    }
}

/// The writes but those that make every API.
fn of_wiki(stage: &Stage) -> Vec<String> {
    let mut all = stage.writes();
    all.retain(|call| call.contains("documentations/") || call.contains("wikis/"));
    all
}

#[tokio::test]
async fn a_page_is_made_before_the_wiki_that_shows_it_and_goes_after_it() {
    let stage = Stage::new().await;
    let one = stage.apply(&page("# Orders\n\nAsk."), None).await.unwrap();
    assert_eq!(
        of_wiki(&stage),
        [format!("PUT {PAGE} 201"), format!("PUT {WIKI} 201")]
    );
    stage.simulator.clear_journal();
    let same = page("# Orders\r\n\r\nAsk.\n");
    let again = stage.apply(&same, Some(&one.record));
    let again = again.await.unwrap();
    assert_eq!(stage.writes(), [""; 0], "the same to whoever reads it");

    let other = page("# Orders\n\nAsk twice.");
    let other = stage.apply(&other, Some(&again.record));
    let other = other.await.unwrap();
    assert_eq!(stage.writes(), [format!("PUT {PAGE} 200")]);
    stage.simulator.clear_journal();
    let left = stage.apply(&Wish::default(), Some(&other.record)).await;
    assert!(left.unwrap().record.parts.is_empty());
    assert_eq!(
        stage.writes(),
        [format!("DELETE {WIKI} 200"), format!("DELETE {PAGE} 200")]
    );
}

#[tokio::test]
async fn an_api_without_a_wiki_is_published_although_azure_answers_500_for_it() {
    let stage = Stage::new().await;
    let bare = stage.apply(&Wish::default(), None).await.unwrap();
    stage.simulator.clear_journal();
    stage
        .apply(&page("Ask."), Some(&bare.record))
        .await
        .unwrap();
    assert_eq!(
        stage.writes(),
        [format!("PUT {PAGE} 201"), format!("PUT {WIKI} 201")]
    );
    assert!(
        stage
            .reads()
            .iter()
            .all(|call| call.ends_with(" 200") || call.ends_with(" 404")),
        "{:?}",
        stage.reads()
    );
}

#[tokio::test]
async fn the_deletion_of_the_api_takes_its_page_along_also_after_a_crash() {
    let stage = Stage::new().await;
    stage.apply(&page("Ask."), None).await.unwrap();
    stage.simulator.clear_journal();
    let delete = async || {
        let deleted = stage.applier.delete_whole(&id(), MARK, with_page()).await;
        deleted.unwrap()
    };
    assert_eq!(delete().await, Deleted::Gone);
    assert_eq!(
        stage.writes(),
        [
            format!("DELETE apis/{API} 202"),
            format!("DELETE {PAGE} 200")
        ]
    );
    // The API went with a process that died before it came to the page.
    let ours = page("Ask.").parts[&PartId::Documentation(id())]
        .content
        .clone();
    stage.put(PAGE, &json!({"properties": ours})).await;
    stage.simulator.clear_journal();
    assert_eq!(delete().await, Deleted::WasAbsent);
    assert_eq!(stage.writes(), [format!("DELETE {PAGE} 200")]);
}

#[tokio::test]
async fn a_page_goes_also_where_its_api_was_deleted_by_others() {
    let stage = Stage::new().await;
    let applied = stage.apply(&page("Ask."), None).await.unwrap();
    stage.applier.delete(&id(), MARK).await.unwrap();
    stage.simulator.clear_journal();
    let wish = Wish::default();
    stage.apply(&wish, Some(&applied.record)).await.unwrap();
    assert_eq!(of_wiki(&stage), [format!("DELETE {PAGE} 200")]);
}

#[tokio::test]
async fn a_page_of_somebody_else_is_neither_written_nor_deleted() {
    for (content, whose) in [
        (json!("Theirs."), "it carries no mark of this operator"),
        (
            json!("Theirs.\n<!-- apim-operator/1 89abcdef team/orders -->"),
            "its mark is `apim-operator/1 89abcdef team/orders`",
        ),
        (Value::Null, "it carries no mark of this operator"),
    ] {
        let stage = Stage::new().await;
        let theirs = json!({"properties": {"title": "Orders", "content": content}});
        stage.put(PAGE, &theirs).await;
        stage.simulator.clear_journal();
        let error = stage.apply(&page("Ask."), None).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Invalid);
        assert!(
            matches!(&error.failure, Failure::Plan(PlanError::PageNotOurs { .. })),
            "{error}"
        );
        assert_eq!(
            error.to_string(),
            format!(
                "documentation `team.orders` exists in API Management and is not this object's: {whose}; it is left \
                 alone. Delete it there, remove the annotation apim.oda.tmforum.org/wiki, or have it taken over \
                 (annotation apim.oda.tmforum.org/adoption: Override, where the instance allows it)"
            )
        );
        let deleted = stage.applier.delete_whole(&id(), MARK, with_page()).await;
        assert_eq!(deleted.unwrap(), Deleted::WasAbsent);
        assert_eq!(stage.writes(), [""; 0]);
    }
}

#[tokio::test]
async fn a_wiki_that_somebody_else_made_shows_the_page_instead_and_their_own_page_stays() {
    let stage = Stage::new().await;
    let bare = stage.apply(&Wish::default(), None).await.unwrap();
    let theirs = json!({"properties": {"title": "By hand", "content": "Theirs."}});
    stage.put("documentations/5f1a", &theirs).await;
    let shown = json!({"properties": {"documents": [{"documentationId": "5f1a"}]}});
    stage.put(WIKI, &shown).await;
    stage.simulator.clear_journal();
    stage
        .apply(&page("Ask."), Some(&bare.record))
        .await
        .unwrap();
    assert_eq!(
        stage.writes(),
        [format!("PUT {PAGE} 201"), format!("PUT {WIKI} 200")]
    );
}

#[tokio::test]
async fn a_page_is_taken_over_with_its_api_but_not_from_another_object_of_this_cluster() {
    let taking = Wish {
        adoption: Adoption::Override,
        ..page("Ask.")
    };
    for (content, is_taken) in [
        ("Left behind.", true),
        (
            "Theirs.\n<!-- apim-operator/1 89abcdef team/orders -->",
            true,
        ),
        (
            "Theirs.\n<!-- apim-operator/1 01234567 team/others -->",
            false,
        ),
    ] {
        let stage = Stage::new().await;
        let theirs = json!({"properties": {"title": "Orders", "content": content}});
        stage.put(PAGE, &theirs).await;
        stage.simulator.clear_journal();
        let applied = stage.apply(&taking, None).await;
        assert_eq!(applied.is_ok(), is_taken, "{content}");
        let wrote = of_wiki(&stage).contains(&format!("PUT {PAGE} 200"));
        assert_eq!(wrote, is_taken, "{content}");
    }
}

#[tokio::test]
async fn a_page_that_stays_with_its_api_loses_the_mark_and_keeps_its_text() {
    let stage = Stage::new().await;
    stage.apply(&page("Ask."), None).await.unwrap();
    stage.simulator.clear_journal();
    let client = stage.applier.client();
    for _ in 0..2 {
        client.release_page(&id(), MARK).await.unwrap();
    }
    assert_eq!(stage.writes(), [format!("PATCH {PAGE} 200")], "once");
    let left = client.reader().page_to_drop(&id(), MARK).await.unwrap();
    assert_eq!(left, None);
}
