//! `rewrite`.

use plugin_behaviour::{Api, Stage};
use serde_json::{Value, json};

async fn stage(api: Api) -> Stage {
    Stage::with(api, |service| {
        let key = ("backend-key".to_owned(), "a&b=c".to_owned());
        service.named_values.extend([key]);
    })
    .await
}

async fn whole(config: &Value) -> Stage {
    stage(Api::of("rewrite", config)).await
}

/// What the backend was asked for.
async fn target(stage: &Stage, path: &str) -> String {
    assert_eq!(stage.call("GET", path).status().await, 200, "{path}");
    stage.world.last().url
}

const AT: &str = "https://backend.example.com/catalog";

#[tokio::test]
async fn a_prefix_comes_before_the_path_and_nothing_leaves_it() {
    let stage = whole(&json!({"prefix": "/v2/"})).await;
    for (path, expected) in [
        ("/items/7", "/v2/items/7"),
        ("/items?page=1&x=%20", "/v2/items?page=1&x=%20"),
        ("/items/a%2Fb", "/v2/items/a%2Fb"),
    ] {
        assert_eq!(target(&stage, path).await, format!("{AT}{expected}"));
    }
    let calls = stage.world.calls();
    for outside in ["/items/%2e%2e/%2e%2e/admin", "/../admin"] {
        assert_eq!(stage.call("GET", outside).status().await, 404, "{outside}");
    }
    assert_eq!(stage.world.calls(), calls);
}

#[tokio::test]
async fn the_query_is_changed_and_a_value_is_never_more_than_one() {
    let stage = whole(&json!({"query": {
        "set": {"version": "2", "key": {"namedValue": "backend-key"}},
        "setIfAbsent": {"size": "20"}, "append": {"tag": ["a", "b & c"]}, "delete": ["debug"],
    }}))
    .await;
    assert_eq!(
        target(&stage, "/items?debug=1&version=1&x=y").await,
        format!("{AT}/items?x=y&key=a%26b%3Dc&version=2&size=20&tag=a&tag=b%20%26%20c")
    );
    assert_eq!(
        target(&stage, "/items?size=5&tag=z&key=mine").await,
        format!("{AT}/items?size=5&tag=z&key=a%26b%3Dc&version=2&tag=a&tag=b%20%26%20c")
    );
}

#[tokio::test]
async fn one_operation_can_have_a_path_of_its_own() {
    let of = |config: Value| stage(Api::chain(&[]).operation("getItem", "rewrite", &config));
    let keeping = of(json!({"template": "/stock/{id}/current"})).await;
    assert_eq!(
        target(&keeping, "/items/7?page=1").await,
        format!("{AT}/stock/7/current?page=1")
    );
    assert_eq!(
        target(&keeping, "/items?page=1").await,
        format!("{AT}/items?page=1")
    );
    // A value of the path stays one segment.
    for value in ["a%2Fb", "a%3Fadmin=1", "a%23b", "%7Bid%7D", "a;b"] {
        let odd = target(&keeping, &format!("/items/{value}")).await;
        assert_eq!(odd, format!("{AT}/stock/{value}/current"));
    }
    let calls = keeping.world.calls();
    for outside in ["..%2F..%2Fadmin", "a%2F..%2F..%2Fadmin", "%2e%2e"] {
        let call = keeping.call("GET", &format!("/items/{outside}"));
        assert!([400, 404].contains(&call.status().await), "{outside}");
    }
    assert_eq!(keeping.world.calls(), calls);
    let leaving =
        of(json!({"template": "/stock/{id}?full=true", "copyUnmatchedParams": false})).await;
    assert_eq!(
        target(&leaving, "/items/7?page=1").await,
        format!("{AT}/stock/7?full=true")
    );
}
