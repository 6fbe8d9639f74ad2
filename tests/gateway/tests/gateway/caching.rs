//! Responses and values that are kept.

use crate::stage::{Backend, Stage, reply};
use std::sync::atomic::{AtomicUsize, Ordering};

async fn counting_backend() -> Backend {
    let calls = AtomicUsize::new(0);
    Backend::start(move |_| {
        reply(
            200,
            &format!("answer {}", calls.fetch_add(1, Ordering::SeqCst)),
        )
    })
    .await
}

const SECTIONS: &str = "<inbound><base /><cache-lookup vary-by-developer=\"false\" vary-by-developer-groups=\"false\" downstream-caching-type=\"public\">\
    <vary-by-header>Accept</vary-by-header><vary-by-query-parameter>page</vary-by-query-parameter></cache-lookup></inbound>\
    <outbound><set-header name=\"X-Before\"><value>1</value></set-header><base /><cache-store duration=\"60\" />\
    <set-header name=\"X-After\" exists-action=\"append\"><value>1</value></set-header></outbound>";

#[tokio::test]
async fn a_response_is_kept_for_its_time_and_goes_on_behind_the_store() {
    let stage = Stage::before(counting_backend().await, SECTIONS).await;
    let page = async |page: &str| {
        stage
            .get(&format!("/shop/items/7?page={page}&other={page}"))
            .await
    };
    let first = page("1").await;
    assert_eq!(first.whole(), (200, "answer 0"));
    assert_eq!(
        first.header("cache-control"),
        Some("public, must-revalidate, max-age=60")
    );
    let kept = page("1").await;
    assert_eq!(kept.whole(), (200, "answer 0"));
    assert_eq!(
        (kept.header("x-before"), kept.header("x-after")),
        (Some("1"), Some("1"))
    );
    assert_eq!(page("2").await.body, "answer 1");
    assert_eq!(
        stage.get("/shop/items/7?page=1&more=1").await.body,
        "answer 0"
    );
    let accept = [("accept", "text/plain")];
    assert_eq!(
        stage
            .call("GET", "/shop/items/7?page=1", &accept, "")
            .await
            .body,
        "answer 2"
    );
    // What a caller got with a token is for nobody else.
    let token = [("authorization", "Bearer x")];
    assert_eq!(
        stage
            .call("GET", "/shop/items/7?page=1", &token, "")
            .await
            .body,
        "answer 3"
    );
    assert_eq!(page("1").await.body, "answer 0");
    stage.advance(60);
    assert_eq!(page("1").await.body, "answer 4");
}

#[tokio::test]
async fn only_good_responses_are_kept() {
    let stage = Stage::before(Backend::start(|_| reply(404, "none")).await, SECTIONS).await;
    stage.item().await;
    stage.item().await;
    assert_eq!(stage.backend.calls(), 2);
}
