//! Policies whose values are expressions.

use crate::stage::{Backend, LOOPBACK, Seen, Stage, inbound, reply, reply_json};
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn values_come_from_the_request_and_its_body_stays_for_the_backend() {
    let stage = Stage::new(&inbound(
        "<set-variable name=\"who\" value='@(context.Request.Headers.GetValueOrDefault(\"X-Who\", \"nobody\"))' />\
         <set-header name=\"X-Seen\"><value>@(context.Request.Method + \" \" + context.Request.MatchedParameters[\"id\"] + \" \" + (string)context.Variables[\"who\"])</value></set-header>\
         <set-header name=\"X-Path\"><value>@(context.Request.OriginalUrl.Path + \" \" + context.Request.Url.Path + \" \" + context.Api.Name)</value></set-header>",
    ))
    .await;
    stage.get_with(&[("x-who", "me")]).await;
    let seen = stage.backend.last();
    assert_eq!(seen.header("x-seen"), Some("GET 7 me"));
    assert_eq!(seen.header("x-path"), Some("/shop/items/7 /items/7 Shop"));

    let body = "<set-header name=\"X-Name\"><value>@((string)context.Request.Body.As<JObject>(preserveContent: true)[\"name\"])</value></set-header>";
    let stage = Stage::new(&inbound(body)).await;
    stage.post("application/json", "{\"name\": \"a\"}").await;
    assert_eq!(stage.backend.last().header("x-name"), Some("a"));
    assert_eq!(stage.backend.last().body, "{\"name\": \"a\"}");
    // What is read without being preserved is gone.
    let stage = Stage::new(&inbound(&body.replace("preserveContent: true", ""))).await;
    stage.post("application/json", "{\"name\": \"a\"}").await;
    assert_eq!(stage.backend.last().header("x-name"), Some("a"));
    assert_eq!(stage.backend.last().body, "");
}

#[tokio::test]
async fn each_key_has_a_window_of_its_own() {
    let stage = Stage::new(&inbound(
        "<rate-limit-by-key calls=\"1\" renewal-period=\"60\" counter-key='@(context.Request.Headers.GetValueOrDefault(\"X-Client\", \"\"))' />",
    ))
    .await;
    let call = async |client: &str| stage.get_with(&[("x-client", client)]).await.status;
    assert_eq!(
        (call("a").await, call("b").await, call("a").await),
        (200, 200, 429)
    );
    assert_eq!(stage.gateway.rate_limit_keys(), 2);
}

#[tokio::test]
async fn a_condition_on_the_response_decides_what_is_counted() {
    let calls = AtomicUsize::new(0);
    let backend = Backend::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => reply(404, ""),
        _ => reply(200, "ok"),
    })
    .await;
    let sections = inbound(
        "<rate-limit-by-key calls=\"1\" renewal-period=\"60\" counter-key=\"k\" increment-condition=\"@(context.Response.StatusCode == 200)\" />",
    );
    let stage = Stage::before(backend, &sections).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(stage.item().await.status);
    }
    assert_eq!(statuses, [404, 404, 200, 429]);
}

#[tokio::test]
async fn on_error_is_told_what_failed_and_where() {
    let told = "@(context.LastError.Source + \"|\" + context.LastError.Reason + \"|\" + context.LastError.Message + \"|\" + context.LastError.Section + \"|\" + context.LastError.Scope + \"|\" + context.LastError.Path + \"|\" + context.LastError.PolicyId + \"|\" + context.Response.StatusCode)";
    let on_error = format!(
        "<on-error><base /><set-header name=\"X-Told\"><value>{told}</value></set-header></on-error>"
    );
    let cases = [
        (
            "<choose><when condition=\"@(true)\"><check-header id=\"key\" name=\"X-Key\" failed-check-httpcode=\"401\" failed-check-error-message=\"No.\" ignore-case=\"true\" /></when></choose>",
            "check-header|HeaderNotFound|Header X-Key was not found in the request. Access denied.|inbound|api|choose[2]/when[1]/check-header[1]|key|401",
        ),
        (
            "<ip-filter action=\"forbid\"><address>127.0.0.1</address></ip-filter>",
            "ip-filter|CallerIpBlocked|Caller IP address is blocked. Access denied. 127.0.0.1|inbound|api|ip-filter[2]||403",
        ),
        (
            "<set-backend-service base-url=\"http://127.0.0.1:9\" /><validate-jwt header-name=\"Authorization\"><issuer-signing-keys><key>c2VjcmV0</key></issuer-signing-keys></validate-jwt>",
            "validate-jwt|TokenNotPresent|JWT not present.|inbound|api|validate-jwt[3]||401",
        ),
    ];
    for (policies, expected) in cases {
        let stage = Stage::new(&format!("{}{on_error}", inbound(policies))).await;
        assert_eq!(stage.item().await.header("x-told"), Some(expected));
    }
}

#[tokio::test]
async fn an_expression_that_fails_or_loops_ends_in_an_error_and_nothing_else() {
    for expression in [
        "@{ while (true) { } return \"never\"; }",
        "@{ var text = \"a\"; for (var i = 0; i < 100000; i++) { text = text + text; } return text; }",
        "@(context.Variables[\"none\"].ToString())",
        "@(int.Parse(\"x\").ToString())",
    ] {
        let policy = format!("<set-header name=\"X\"><value>{expression}</value></set-header>");
        let options = apim_gateway::Options {
            listen: LOOPBACK,
            expression_limits: apim_expressions::Limits {
                fuel: 20_000,
                memory: 1024 * 1024,
                ..apim_expressions::Limits::default()
            },
            ..apim_gateway::Options::default()
        };
        let backend = Backend::ok().await;
        let stage = Stage::as_said(backend, &inbound(&policy), options, |_| {}).await;
        let answer = stage.item().await;
        assert_eq!(
            answer.error(),
            (500, "Internal server error".to_owned()),
            "{expression}"
        );
        assert_eq!(stage.backend.calls(), 0);
    }
}

#[tokio::test]
async fn a_retry_asks_its_condition_after_answers_and_failures() {
    let calls = AtomicUsize::new(0);
    let backend = Backend::start(move |_: &Seen| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => reply(503, "busy"),
        _ => reply(200, "ok"),
    })
    .await;
    let sections = "<backend><retry condition=\"@(context.Response == null || context.Response.StatusCode == 503)\" count=\"3\" interval=\"1\"><forward-request /></retry></backend>";
    let stage = Stage::before(backend, sections).await;
    assert_eq!(stage.item().await.whole(), (200, "ok"));
    assert_eq!(stage.backend.calls(), 2);
}

#[tokio::test]
async fn answers_of_other_servers_and_values_of_the_cache_are_variables() {
    let other = Backend::start(|_| reply_json(&serde_json::json!({ "plan": "gold" }))).await;
    let sections = inbound(&format!(
        "<cache-lookup-value key=\"plan\" variable-name=\"plan\" />\
         <choose><when condition='@(!context.Variables.ContainsKey(\"plan\"))'>\
         <send-request mode=\"new\" response-variable-name=\"r\" timeout=\"5\"><set-url>{}</set-url></send-request>\
         <set-variable name=\"plan\" value='@((string)((IResponse)context.Variables[\"r\"]).Body.As<JObject>()[\"plan\"])' />\
         <cache-store-value key=\"plan\" value='@((string)context.Variables[\"plan\"])' duration=\"60\" /></when></choose>\
         <set-header name=\"X-Plan\"><value>@((string)context.Variables[\"plan\"])</value></set-header>",
        other.url
    ));
    let stage = Stage::new(&sections).await;
    for (wait, asked) in [(0, 1), (0, 1), (60, 2)] {
        stage.advance(wait);
        assert_eq!(stage.item().await.status, 200);
        assert_eq!(stage.backend.last().header("x-plan"), Some("gold"));
        assert_eq!(other.calls(), asked);
    }
}
