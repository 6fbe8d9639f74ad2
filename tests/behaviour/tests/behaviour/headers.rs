//! `headers`.

use plugin_behaviour::{Api, Stage, reply};
use serde_json::{Value, json};

async fn stage(config: &Value) -> Stage {
    Stage::with(Api::of("headers", config), |service| {
        let token = ("backend-token".to_owned(), "Bearer s3cret".to_owned());
        service.named_values.extend([token]);
    })
    .await
}

#[tokio::test]
async fn the_backend_gets_the_request_with_the_changes_and_the_caller_does_not() {
    let config = json!({"request": {
        "set": {"X-Team": "catalog", "Authorization": {"namedValue": "backend-token"}},
        "setIfAbsent": {"X-Client": "none"},
        "append": {"X-Way": ["a", "b"]},
        "delete": ["X-Debug"],
    }});
    let stage = stage(&config).await;
    let answer = stage
        .item()
        .header("x-team", "forged")
        .header("authorization", "Bearer mine")
        .header("x-client", "phone")
        .header("x-way", "first")
        .header("x-debug", "1")
        .header("x-other", "kept")
        .send()
        .await;
    assert_eq!(answer.all_headers(), [("content-type", "application/json")]);
    let seen = stage.world.last();
    let header = |name| seen.header(name).unwrap_or_default();
    assert_eq!(header("x-team"), "catalog");
    assert_eq!(header("authorization"), "Bearer s3cret");
    assert_eq!(header("x-client"), "phone");
    assert_eq!(header("x-way").replace(", ", ","), "first,a,b");
    assert_eq!(seen.header("x-debug"), None);
    assert_eq!(header("x-other"), "kept");
    stage.item().send().await;
    assert_eq!(
        stage.world.last().header("x-client").as_deref(),
        Some("none")
    );
}

#[tokio::test]
async fn the_caller_gets_the_response_with_the_changes() {
    let config = json!({"response": {
        "set": {"Cache-Control": "no-store", "X-Odd": "a \"b\" <c> & d"},
        "setIfAbsent": {"X-Kind": "usual"}, "append": {"X-List": ["2"]}, "delete": ["X-Debug"],
    }});
    let stage = stage(&config).await;
    let sent = [
        ("cache-control", "public"),
        ("x-kind", "special"),
        ("x-list", "1"),
        ("x-debug", "stack"),
    ];
    stage
        .world
        .answers(move |_| Some(reply(201, &sent, "body")));
    let answer = stage.item().send().await;
    assert_eq!((answer.status, answer.body.as_str()), (201, "body"));
    assert_eq!(
        answer.all_headers(),
        [
            ("cache-control", "no-store"),
            ("x-kind", "special"),
            ("x-list", "1, 2"),
            ("x-odd", "a \"b\" <c> & d"),
        ]
    );
    stage.world.answers(|_| Some(reply(200, &[], "")));
    assert_eq!(stage.item().send().await.header("x-kind"), Some("usual"));
}

const SECURITY: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    (
        "strict-transport-security",
        "max-age=31536000; includeSubDomains",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

#[tokio::test]
async fn security_headers_are_on_every_answer_and_nothing_tells_of_the_server() {
    let key = json!({"keys": [{"namedValue": "backend-token"}]});
    let api = Api::chain(&[("headers", json!({"security": true})), ("api-key", key)]);
    let stage = Stage::with(api, |service| {
        let key = ("backend-token".to_owned(), "s3cret".to_owned());
        service.named_values.extend([key]);
    })
    .await;
    let sent = [
        ("server", "nginx"),
        ("x-powered-by", "PHP"),
        ("x-aspnet-version", "4"),
        ("x-aspnetmvc-version", "5"),
    ];
    stage.world.answers(move |_| Some(reply(200, &sent, "")));
    let call = || stage.item().header("x-api-key", "s3cret");
    assert_eq!(call().send().await.all_headers(), SECURITY);
    // A refusal too.
    let refused = stage.item().send().await;
    assert_eq!(refused.status, 401);
    let mut expected = SECURITY.to_vec();
    expected.insert(1, ("content-type", "application/json"));
    assert_eq!(refused.all_headers(), expected);
    // The backend knows better which page may show it, but not how safe the
    // way is.
    let sent = [
        ("x-frame-options", "SAMEORIGIN"),
        ("content-security-policy", "default-src 'self'"),
        ("referrer-policy", "origin"),
        ("strict-transport-security", "max-age=0"),
        ("x-content-type-options", "sniff"),
    ];
    stage.world.answers(move |_| Some(reply(200, &sent, "")));
    assert_eq!(
        call().send().await.all_headers(),
        [
            ("content-security-policy", "default-src 'self'"),
            ("referrer-policy", "origin"),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains"
            ),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "SAMEORIGIN"),
        ]
    );
}

#[tokio::test]
async fn single_security_headers_can_be_others_or_none() {
    let config = json!({
        "security": {
            "strictTransportSecurity": "max-age=600", "contentSecurityPolicy": false,
            "frameOptions": "SAMEORIGIN", "hideServer": false,
        },
        "response": {"set": {"Referrer-Policy": "origin"}},
    });
    let stage = stage(&config).await;
    let sent = [("server", "nginx"), ("x-frame-options", "DENY")];
    stage.world.answers(move |_| Some(reply(200, &sent, "")));
    assert_eq!(
        stage.item().send().await.all_headers(),
        [
            ("referrer-policy", "origin"),
            ("server", "nginx"),
            ("strict-transport-security", "max-age=600"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "SAMEORIGIN"),
        ]
    );
}
