//! `cache`.

use apim_gateway::configuration::Subscription;
use plugin_behaviour::{Api, Stage, reply};
use serde_json::{Value, json};

async fn stage(config: Value) -> Stage {
    Stage::of(Api::of("cache", &config)).await
}

/// How often the backend was called for these.
async fn calls(stage: &Stage, paths: &[&str]) -> usize {
    let before = stage.world.calls();
    for path in paths {
        assert_eq!(stage.call("GET", path).status().await, 200, "{path}");
    }
    stage.world.calls() - before
}

#[tokio::test]
async fn a_response_is_kept_for_its_time_and_for_the_same_request_only() {
    let stage = stage(json!({})).await;
    let first = stage.item().send().await;
    assert_eq!(stage.item().send().await, first);
    assert_eq!(stage.world.calls(), 1);
    // Other paths, queries and media types are other requests.
    let others = ["/items/8", "/items/7?a=1", "/items/7?a=2", "/items"];
    assert_eq!(calls(&stage, &others).await, 4);
    assert_eq!(calls(&stage, &others).await, 0);
    let french = || stage.item().header("accept-language", "fr");
    assert_eq!(french().send().await, first);
    for _ in 0..2 {
        let xml = stage.item().header("accept", "text/xml");
        assert_eq!(xml.status().await, 200);
    }
    assert_eq!(stage.world.calls(), 6);
    stage.advance(299);
    assert_eq!(calls(&stage, &["/items/7"]).await, 0);
    stage.advance(1);
    assert_eq!(calls(&stage, &["/items/7", "/items/7"]).await, 1);
}

#[tokio::test]
async fn only_good_answers_to_get_are_kept_and_none_to_a_caller_with_a_token() {
    let stage = stage(json!({})).await;
    for _ in 0..2 {
        assert_eq!(stage.call("DELETE", "/items/7").status().await, 200);
        assert_eq!(stage.post("text/plain", "x").status().await, 200);
        assert_eq!(stage.item().token("mine").status().await, 200);
    }
    assert_eq!(stage.world.calls(), 6);
    // What somebody got with a token is nobody else's.
    assert_eq!(calls(&stage, &["/items/7"]).await, 1);
    stage.world.answers(|_| Some(reply(404, &[], "none")));
    for _ in 0..2 {
        assert_eq!(stage.call("GET", "/items/9").status().await, 404);
    }
    assert_eq!(stage.world.calls(), 9);
}

#[tokio::test]
async fn time_and_what_tells_requests_apart_are_as_the_config_says() {
    let config = json!({
        "duration": 10, "varyByHeaders": ["X-Team"], "varyByQuery": ["page"],
        "authorizedResponses": true, "downstream": "private", "mustRevalidate": false,
    });
    let stage = stage(config).await;
    assert_eq!(calls(&stage, &["/items?page=1&x=1"]).await, 1);
    assert_eq!(
        calls(&stage, &["/items?page=1&x=2", "/items?page=1"]).await,
        0
    );
    assert_eq!(calls(&stage, &["/items?page=2", "/items"]).await, 2);
    let team = |name: &'static str| stage.call("GET", "/items").header("x-team", name);
    assert_eq!(team("a").status().await, 200);
    assert_eq!(team("a").status().await, 200);
    assert_eq!(team("b").status().await, 200);
    assert_eq!(stage.world.calls(), 5);
    // Shared, as the config asks for: the plugin warns of it.
    assert_eq!(
        stage.call("GET", "/items").token("mine").status().await,
        200
    );
    assert_eq!(stage.world.calls(), 5);
    stage.advance(10);
    assert_eq!(calls(&stage, &["/items"]).await, 1);
}

#[tokio::test]
async fn who_may_not_call_gets_nothing_that_is_kept() {
    let key = json!({"keys": [{"namedValue": "partner"}]});
    let api = Api::chain(&[("cache", json!({})), ("api-key", key)]);
    let stage = Stage::with(api, |service| {
        let key = ("partner".to_owned(), "s3cret".to_owned());
        service.named_values.extend([key]);
    })
    .await;
    for _ in 0..2 {
        let call = stage.item().header("x-api-key", "s3cret");
        assert_eq!(call.status().await, 200);
    }
    assert_eq!(stage.world.calls(), 1);
    assert_eq!(stage.item().status().await, 401);
}

/// A stage whose callers are told apart by their subscription's key: `one` and
/// `two` are the same developer's, `three` and `four` belong to nobody.
async fn with_developers(config: &Value) -> Stage {
    let api = Api::of("cache", config).spec(
        "apiKeyVerification",
        json!({"enabled": true, "location": "header"}),
    );
    Stage::with(api, |service| {
        for (name, user) in [
            ("one", "ada"),
            ("two", "ada"),
            ("other", "bob"),
            ("three", ""),
            ("four", ""),
        ] {
            service.subscriptions.push(Subscription {
                id: name.to_owned(),
                primary_key: name.to_owned(),
                user: (!user.is_empty()).then(|| user.to_owned()),
                ..Subscription::default()
            });
        }
    })
    .await
}

/// Who was answered by the backend, of these in this order.
async fn asked_for<'k>(stage: &Stage, keys: &[&'k str]) -> Vec<&'k str> {
    let mut asked = Vec::new();
    for key in keys {
        let before = stage.world.calls();
        let call = stage.item().header("ocp-apim-subscription-key", key);
        assert_eq!(call.status().await, 200, "{key}");
        if stage.world.calls() > before {
            asked.push(*key);
        }
    }
    asked
}

#[tokio::test]
async fn a_developers_response_is_nobody_elses_where_the_config_says_so() {
    let keys = [
        "one", "two", "one", "other", "three", "four", "other", "three",
    ];
    let shared = with_developers(&json!({})).await;
    assert_eq!(asked_for(&shared, &keys).await, ["one"]);
    for config in [
        json!({"varyByDeveloper": true}),
        json!({"varyByDeveloperGroups": true}),
    ] {
        let stage = with_developers(&config).await;
        assert_eq!(
            asked_for(&stage, &keys).await,
            ["one", "other", "three", "four"],
            "{config}"
        );
        // Who has no key gets nothing of it.
        assert_eq!(stage.item().status().await, 401);
    }
}

#[tokio::test]
async fn caches_on_the_way_are_told_what_the_config_says() {
    for (config, expected) in [
        (json!({}), None),
        (json!({"downstream": "none"}), None),
        (
            json!({"downstream": "private", "duration": 20}),
            Some("private, must-revalidate, max-age=20"),
        ),
        (
            json!({"downstream": "public", "duration": 20}),
            Some("public, must-revalidate, max-age=20"),
        ),
        (
            json!({"downstream": "public", "duration": 20, "mustRevalidate": false}),
            Some("public, max-age=20"),
        ),
    ] {
        let stage = stage(config.clone()).await;
        for from in ["the backend", "the cache"] {
            let answer = stage.item().send().await;
            assert_eq!(
                answer.header("cache-control"),
                expected,
                "{config} from {from}"
            );
        }
        assert_eq!(stage.world.calls(), 1);
    }
}
