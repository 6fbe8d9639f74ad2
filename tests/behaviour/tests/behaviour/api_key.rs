//! `api-key`.

use plugin_behaviour::{Api, Stage};
use serde_json::{Value, json};

async fn stage(config: &Value) -> Stage {
    Stage::with(Api::of("api-key", config), |service| {
        for (name, value) in [("partner", "s3cret"), ("next", "N3xt")] {
            service
                .named_values
                .insert(name.to_owned(), value.to_owned());
        }
    })
    .await
}

#[tokio::test]
async fn only_callers_with_a_key_get_in_and_the_backend_does_not_see_it() {
    let config = json!({"keys": [{"namedValue": "partner"}, {"namedValue": "next"}]});
    let stage = stage(&config).await;
    for key in ["s3cret", "N3xt"] {
        let answer = stage.item().header("X-API-Key", key).send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(stage.world.last().header("x-api-key"), None);
    }
    assert_eq!(stage.world.calls(), 2);
    let refused = (
        401,
        "Unauthorized. The API key is missing or wrong.".to_owned(),
    );
    assert_eq!(stage.item().error().await, refused);
    for key in [
        "",
        "S3CRET",
        "s3cre",
        "s3cret ",
        "s3cret,N3xt",
        "{{partner}}",
        "partner",
    ] {
        let answer = stage.item().header("X-API-Key", key).send().await;
        // Spaces around a header's value are no part of it.
        if key.trim() == "s3cret" {
            assert_eq!(answer.status, 200);
            continue;
        }
        assert_eq!(answer.error(), refused, "{key}");
        assert_eq!(
            answer.all_headers(),
            [("content-type", "application/json")],
            "{key}"
        );
    }
    // Elsewhere than in the header it is no key.
    let in_query = stage.call("GET", "/items/7?X-API-Key=s3cret");
    assert_eq!(in_query.error().await, refused);
    let twice = stage.item().header("x-api-key", "wrong");
    let twice = twice.header("x-api-key", "s3cret").send().await;
    assert_eq!(twice.error(), refused);
    assert_eq!(stage.world.calls(), 3);
}

#[tokio::test]
async fn header_answer_and_forwarding_are_as_the_config_says() {
    let config = json!({
        "keys": [{"namedValue": "partner"}], "header": "X-Partner", "failureCode": 403,
        "failureMessage": "No \"key\" & no <entry>.", "forward": true,
    });
    let stage = stage(&config).await;
    let answer = stage.item().header("x-partner", "s3cret").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        stage.world.last().header("x-partner").as_deref(),
        Some("s3cret")
    );
    let refused = (403, "No \"key\" & no <entry>.".to_owned());
    assert_eq!(stage.item().error().await, refused);
    assert_eq!(
        stage.item().header("x-api-key", "s3cret").error().await,
        refused
    );
    assert_eq!(stage.world.calls(), 1);
}
