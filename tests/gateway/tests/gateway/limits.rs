//! Rate limits and quotas, on a clock that stands still.

use crate::stage::{Backend, Stage, inbound, reply};
use apim_gateway::configuration::Subscription;

#[tokio::test]
async fn a_rate_limit_by_key_slides_and_says_what_is_left() {
    let stage = Stage::new(&inbound(
        "<rate-limit-by-key calls=\"2\" renewal-period=\"60\" counter-key=\"all\" remaining-calls-header-name=\"X-Left\" total-calls-header-name=\"X-Total\" />",
    ))
    .await;
    let first = stage.item().await;
    assert_eq!(
        (
            first.status,
            first.header("x-left"),
            first.header("x-total")
        ),
        (200, Some("1"), Some("2"))
    );
    stage.advance(30);
    assert_eq!(stage.item().await.header("x-left"), Some("0"));
    stage.advance(4);
    let over = stage.item().await;
    assert_eq!(
        over.whole(),
        (
            429,
            "{ \"statusCode\": 429, \"message\": \"Rate limit is exceeded. Try again in 26 seconds.\" }"
        )
    );
    assert_eq!(
        (over.header("retry-after"), over.header("x-left")),
        (Some("26"), Some("0"))
    );
    stage.advance(26);
    assert_eq!(stage.item().await.status, 200);
    assert_eq!(stage.item().await.status, 429);
    assert_eq!(stage.backend.calls(), 3);
    assert_eq!(stage.gateway.rate_limit_keys(), 1);
}

fn with_subscriptions(service: &mut apim_gateway::configuration::Service) {
    service.subscriptions = ["a", "b"]
        .map(|id| Subscription {
            id: id.to_owned(),
            primary_key: id.to_owned(),
            ..Subscription::default()
        })
        .into();
}

#[tokio::test]
async fn a_rate_limit_counts_each_subscription_and_nobody_without_one() {
    let sections = inbound(
        "<rate-limit calls=\"1\" renewal-period=\"10\"><api name=\"Other\" calls=\"1\" renewal-period=\"10\" /></rate-limit>",
    );
    let stage = Stage::with(Backend::ok().await, &sections, with_subscriptions).await;
    let with = async |key: &str| {
        let headers = [("ocp-apim-subscription-key", key)];
        stage.get_with(&headers).await.status
    };
    assert_eq!(
        (with("a").await, with("a").await, with("b").await),
        (200, 429, 200)
    );
    stage.advance(10);
    assert_eq!(with("a").await, 200);
    for _ in 0..3 {
        assert_eq!(stage.item().await.status, 200);
    }
}

#[tokio::test]
async fn a_quota_is_full_until_its_period_ends() {
    let stage = Stage::new(&inbound(
        "<quota-by-key calls=\"2\" renewal-period=\"300\" counter-key=\"k\" first-period-start=\"2023-11-14T22:12:00Z\" />",
    ))
    .await;
    // The clock stands at 22:13:20.
    assert_eq!(stage.item().await.status, 200);
    assert_eq!(stage.item().await.status, 200);
    let over = stage.item().await;
    assert_eq!(
        over.whole(),
        (
            403,
            "{ \"statusCode\": 403, \"message\": \"Out of call volume quota. Quota will be replenished in 00:03:40.\" }"
        )
    );
    assert_eq!(over.header("retry-after"), Some("220"));
    stage.advance(219);
    assert_eq!(stage.item().await.status, 403);
    stage.advance(1);
    assert_eq!(stage.item().await.status, 200);
}

#[tokio::test]
async fn bandwidth_is_what_was_sent_and_answered() {
    let body = "x".repeat(1000);
    let answer = body.clone();
    let backend = Backend::start(move |_| reply(200, &answer)).await;
    let sections =
        inbound("<quota-by-key bandwidth=\"2\" renewal-period=\"300\" counter-key=\"k\" />");
    let stage = Stage::before(backend, &sections).await;
    // 2,000 bytes are less than 2 KB, 3,000 are not.
    assert_eq!(stage.post("text/plain", &body).await.status, 200);
    assert_eq!(stage.item().await.status, 200);
    let over = stage.item().await;
    assert_eq!(over.status, 403);
    assert!(
        over.error()
            .1
            .starts_with("Out of bandwidth quota. Quota will be replenished in 00:0"),
        "{}",
        over.body
    );
}

#[tokio::test]
async fn a_quota_of_a_subscription_counts_its_parts() {
    let sections = inbound(
        "<quota calls=\"3\" renewal-period=\"3600\"><api id=\"shop\" calls=\"9\"><operation name=\"GET /items/{id}\" calls=\"1\" /></api></quota>",
    );
    let stage = Stage::with(Backend::ok().await, &sections, with_subscriptions).await;
    let key = [("ocp-apim-subscription-key", "a")];
    assert_eq!(stage.get_with(&key).await.status, 200);
    assert_eq!(stage.get_with(&key).await.status, 403);
    let post = async || stage.call("POST", "/shop/items", &key, "").await.status;
    assert_eq!((post().await, post().await, post().await), (200, 200, 403));
}
