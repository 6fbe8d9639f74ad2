//! `basic-auth`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_behaviour::{Api, Stage};
use serde_json::{Value, json};

async fn stage(config: &Value) -> Stage {
    Stage::with(Api::of("basic-auth", config), |service| {
        for (name, value) in [
            ("password", "pass:w o'rd é"),
            ("auditor", "Auditor"),
            ("auditor-password", "x"),
        ] {
            service
                .named_values
                .insert(name.to_owned(), value.to_owned());
        }
    })
    .await
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[tokio::test]
async fn only_a_known_pair_gets_in_and_the_backend_does_not_see_it() {
    let config = json!({"credentials": [
        {"user": "partner", "password": {"namedValue": "password"}},
        {"user": {"namedValue": "auditor"}, "password": {"namedValue": "auditor-password"}},
    ]});
    let stage = stage(&config).await;
    for good in ["partner:pass:w o'rd é", "Auditor:x"] {
        let call = stage.item().header("authorization", &basic(good));
        assert_eq!(call.status().await, 200, "{good}");
        assert_eq!(stage.world.last().header("authorization"), None);
    }
    let calls = stage.world.calls();
    let refused = [
        String::new(),
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic %%%".to_owned(),
        basic(""),
        basic(":"),
        basic("partner"),
        basic("partner:"),
        basic("partner:pass:w o'rd"),
        basic("partner:pass:w o'rd é "),
        basic("partner:pass:w o'rd É"),
        basic("Partner:pass:w o'rd é"),
        basic("partner:x"),
        basic("Auditor:pass:w o'rd é"),
        basic("auditor:x"),
        basic("Auditor:xx"),
        basic("partner:{{password}}"),
        basic("Auditor:x").replace("Basic ", "Bearer "),
        "partner:pass:w o'rd é".to_owned(),
    ];
    let mut answers = vec![stage.item().send().await];
    for header in &refused {
        answers.push(stage.item().header("authorization", header).send().await);
    }
    for (number, answer) in answers.into_iter().enumerate() {
        let sent = number.checked_sub(1).map(|at| &refused[at]);
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{sent:?}");
        assert_eq!(
            answer.all_headers(),
            [(
                "www-authenticate",
                "Basic realm=\"catalog\", charset=\"UTF-8\""
            )],
            "{sent:?}"
        );
    }
    assert_eq!(stage.world.calls(), calls);
}

#[tokio::test]
async fn realm_and_forwarding_are_as_the_config_says() {
    let config = json!({
        "credentials": [{"user": "o'neil \"@(1)\" {{x}}", "password": {"namedValue": "auditor-password"}}],
        "realm": "Partners' catalog", "forward": true,
    });
    let stage = stage(&config).await;
    let refused = stage.item().send().await;
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Basic realm=\"Partners' catalog\", charset=\"UTF-8\"")
    );
    let sent = basic("o'neil \"@(1)\" {{x}}:x");
    assert_eq!(
        stage.item().header("authorization", &sent).status().await,
        200
    );
    assert_eq!(
        stage.world.last().header("authorization").as_deref(),
        Some(sent.as_str())
    );
}
