//! Policies that change requests and responses, and those that end them.

use crate::stage::{Backend, Stage, inbound, reply};
use apim_gateway::configuration::{Backend as NamedBackend, PoolMember};

#[tokio::test]
async fn headers_are_set_appended_skipped_and_deleted() {
    let stage = Stage::new(
        "<inbound><base />\
         <set-header name=\"A\" exists-action=\"override\"><value>1</value><value>2</value></set-header>\
         <set-header name=\"B\" exists-action=\"append\"><value>y</value></set-header>\
         <set-header name=\"C\" exists-action=\"skip\"><value>new</value></set-header>\
         <set-header name=\"D\" exists-action=\"delete\" />\
         <set-header name=\"E\"><value>{{secret}}</value></set-header></inbound>\
         <outbound><base /><set-header name=\"X-Out\"><value>@@home</value></set-header></outbound>"
            .replace("{{secret}}", "plain")
            .as_str(),
    )
    .await;
    let answer = stage
        .get_with(&[("a", "0"), ("b", "x"), ("c", "old"), ("d", "gone")])
        .await;
    let seen = stage.backend.last();
    let all = |name: &str| -> Vec<String> {
        let values = seen.headers.get_all(name).iter();
        values
            .map(|value| value.to_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(all("a"), ["1", "2"]);
    assert_eq!(all("b"), ["x", "y"]);
    assert_eq!(all("c"), ["old"]);
    assert_eq!(all("d"), [""; 0]);
    assert_eq!(all("e"), ["plain"]);
    assert_eq!(answer.header("x-out"), Some("@home"));
}

#[tokio::test]
async fn query_method_body_and_named_values_change_what_the_backend_sees() {
    let sections = inbound(
        "<set-query-parameter name=\"a\" exists-action=\"override\"><value>x &amp; y</value></set-query-parameter>\
         <set-query-parameter name=\"b\" exists-action=\"delete\" />\
         <set-query-parameter name=\"c\" exists-action=\"skip\"><value>new</value></set-query-parameter>\
         <set-query-parameter name=\"d\" exists-action=\"append\"><value>2</value></set-query-parameter>\
         <set-method>PUT</set-method><set-body>{{greeting}} you</set-body>",
    );
    let stage = Stage::with(Backend::ok().await, &sections, |service| {
        service
            .named_values
            .insert("greeting".to_owned(), "hello".to_owned());
    })
    .await;
    stage.get("/shop/items/7?A=1&b=2&c=old&d=1&e=%2F").await;
    let seen = stage.backend.last();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("PUT", "/items/7?c=old&d=1&e=%2F&a=x%20%26%20y&d=2")
    );
    // What was appended stands where it was appended.
    assert_eq!(seen.body, "hello you");
}

#[tokio::test]
async fn a_returned_response_ends_everything() {
    let stage = Stage::new(
        "<inbound><base /><choose><when condition=\"false\"><set-header name=\"X\"><value>1</value></set-header></when>\
         <otherwise><return-response><set-status code=\"401\" reason=\"Go away\" />\
         <set-header name=\"WWW-Authenticate\"><value>Basic</value></set-header><set-body>no</set-body></return-response></otherwise></choose></inbound>\
         <outbound><base /><set-header name=\"X-Out\"><value>1</value></set-header></outbound>",
    )
    .await;
    let answer = stage.item().await;
    assert_eq!(answer.whole(), (401, "no"));
    assert_eq!(answer.header("www-authenticate"), Some("Basic"));
    assert_eq!(answer.header("x-out"), None);
    assert_eq!(stage.backend.calls(), 0);
}

#[tokio::test]
async fn an_error_goes_through_on_error_and_skips_the_rest() {
    let stage = Stage::new(
        "<inbound><base /><check-header name=\"X-Key\" failed-check-httpcode=\"403\" failed-check-error-message=\"Key!\" ignore-case=\"true\"><value>Abc</value></check-header></inbound>\
         <outbound><base /><set-header name=\"X-Out\"><value>1</value></set-header></outbound>\
         <on-error><base /><set-header name=\"X-Error\"><value>1</value></set-header></on-error>",
    )
    .await;
    let missing = stage.item().await;
    assert_eq!(missing.error(), (403, "Key!".to_owned()));
    assert_eq!(
        (missing.header("x-out"), missing.header("x-error")),
        (None, Some("1"))
    );
    assert_eq!(stage.get_with(&[("x-key", "other")]).await.status, 403);
    let allowed = stage.get_with(&[("x-key", "aBC")]).await;
    assert_eq!((allowed.status, allowed.header("x-error")), (200, None));
}

#[tokio::test]
async fn fragments_stand_where_they_are_included() {
    let stage = Stage::with(
        Backend::ok().await,
        &inbound("<include-fragment fragment-id=\"Team\" />"),
        |service| {
            let fragment = "<fragment><set-header name=\"X-Team\"><value>catalog</value></set-header></fragment>";
            service.fragments.insert("team".to_owned(), fragment.to_owned());
        },
    )
    .await;
    stage.item().await;
    assert_eq!(stage.backend.last().header("x-team"), Some("catalog"));
}

#[tokio::test]
async fn callers_are_let_in_by_their_address() {
    let filter = |action: &str, inner: &str| {
        inbound(&format!(
            "<ip-filter action=\"{action}\">{inner}</ip-filter>"
        ))
    };
    let here = "<address>10.0.0.1</address><address-range from=\"127.0.0.0\" to=\"127.0.0.9\" />";
    let elsewhere =
        "<address-range from=\"10.0.0.0\" to=\"10.255.255.255\" /><address>::1</address>";
    for (action, inner, expected) in [
        ("allow", here, 200),
        ("allow", elsewhere, 403),
        ("forbid", here, 403),
        ("forbid", elsewhere, 200),
    ] {
        let stage = Stage::new(&filter(action, inner)).await;
        let answer = stage.item().await;
        assert_eq!(answer.status, expected, "{action} {inner}");
        if expected == 403 {
            assert_eq!(answer.error().1, "Forbidden");
        }
    }
}

#[tokio::test]
async fn a_uri_is_rewritten_with_the_templates_parameters() {
    let stage = Stage::new(&inbound(
        "<rewrite-uri template=\"/v2/{id}/detail?from={id}\" />",
    ))
    .await;
    stage.get("/shop/items/a%2Fb?x=1").await;
    assert_eq!(
        stage.backend.last().target,
        "/v2/a%2Fb/detail?from=a%2Fb&x=1"
    );
    let bare = Stage::new(&inbound(
        "<rewrite-uri template=\"/v2\" copy-unmatched-params=\"false\" />",
    ))
    .await;
    bare.get("/shop/items/7?x=1").await;
    assert_eq!(bare.backend.last().target, "/v2");
    // A value cannot climb out of its place.
    stage.get("/shop/items/%252e%252e").await;
    assert_eq!(
        stage.backend.last().target,
        "/v2/%252e%252e/detail?from=%252e%252e"
    );
}

#[tokio::test]
async fn the_backend_is_the_one_that_a_policy_names() {
    let other = Backend::start(|_| reply(200, "other")).await;
    let sections = inbound(&format!(
        "<set-backend-service base-url=\"{}/v2\" />",
        other.url
    ));
    let stage = Stage::new(&sections).await;
    assert_eq!(stage.get("/shop/items/7?a=1").await.body, "other");
    assert_eq!(other.last().target, "/v2/items/7?a=1");
    assert_eq!(
        other.last().header("host"),
        Some(other.url.trim_start_matches("http://"))
    );

    let url = other.url.clone();
    let named = Stage::with(
        Backend::ok().await,
        &inbound(
            r#"<set-backend-service backend-id='@(context.Request.Headers.GetValueOrDefault("to", "orders"))' />"#,
        ),
        move |service| {
            let backend = NamedBackend {
                url,
                headers: vec![("X-Api-Key".to_owned(), "key-{{key}}".to_owned())],
                query: vec![("code".to_owned(), "{{code}}".to_owned())],
                ..NamedBackend::default()
            };
            let lost = NamedBackend {
                headers: vec![("X-Api-Key".to_owned(), "{{lost}}".to_owned())],
                ..backend.clone()
            };
            service.backends.insert("Orders".to_owned(), backend);
            service.backends.insert("lost".to_owned(), lost);
            for (name, value) in [("key", "s3cret"), ("code", "1")] {
                service.named_values.insert(name.to_owned(), value.to_owned());
            }
        },
    )
    .await;
    assert_eq!(named.item().await.body, "other");
    assert_eq!(other.last().header("x-api-key"), Some("key-s3cret"));
    assert_eq!(other.last().target, "/items/7?code=1");
    let before = other.calls();
    assert_eq!(named.get_with(&[("to", "lost")]).await.status, 500);
    assert_eq!(other.calls(), before, "nothing was sent");
}

#[tokio::test]
async fn a_pool_shares_requests_among_those_of_its_first_priority() {
    let [large, small, spare] = [
        Backend::ok().await,
        Backend::ok().await,
        Backend::ok().await,
    ];
    let members = [
        (&large, "large", 3, 1),
        (&small, "small", 1, 1),
        (&spare, "spare", 9, 2),
    ];
    let members = members.map(|(backend, id, weight, priority)| {
        let member = PoolMember {
            backend: id.to_uppercase(),
            weight: Some(weight),
            priority: Some(priority),
        };
        (id, backend.url.clone(), member)
    });
    let stage = Stage::with(
        Backend::ok().await,
        &inbound("<set-backend-service backend-id=\"all\" />"),
        move |service| {
            let pool = members.iter().map(|(_, _, member)| member.clone());
            let all = NamedBackend {
                url: "http://nobody.invalid".to_owned(),
                pool: pool.collect(),
                ..NamedBackend::default()
            };
            service.backends.insert("all".to_owned(), all);
            for (id, url, _) in members {
                let one = NamedBackend {
                    url,
                    ..NamedBackend::default()
                };
                service.backends.insert(id.to_owned(), one);
            }
        },
    )
    .await;
    for _ in 0..8 {
        assert_eq!(stage.item().await.status, 200);
    }
    let took = [&large, &small, &spare].map(|one| one.seen().len());
    assert_eq!(took, [6, 2, 0]);
}

#[tokio::test]
async fn a_mock_answers_with_the_examples_of_the_operation() {
    let stage = Stage::new(&inbound(
        "<mock-response status-code=\"201\" content-type=\"application/json\" index=\"1\" />",
    ))
    .await;
    let mocked = stage.post("text/plain", "x").await;
    assert_eq!(mocked.whole(), (201, "{\"id\": 2}"));
    assert_eq!(mocked.header("content-type"), Some("application/json"));
    let nothing = stage.item().await;
    assert_eq!(nothing.whole(), (201, ""));
    assert_eq!(stage.backend.calls(), 0);
}

#[tokio::test]
async fn credentials_for_the_backend_replace_those_of_the_caller() {
    let stage = Stage::new(&inbound(
        "<authentication-basic username=\"me\" password=\"p:w\" />",
    ))
    .await;
    stage.get_with(&[("authorization", "Bearer x")]).await;
    assert_eq!(
        stage.backend.last().header("authorization"),
        Some("Basic bWU6cDp3")
    );
}

#[tokio::test]
async fn what_is_not_executed_answers_501_only_where_it_is_met() {
    let stage = Stage::new(&inbound(
        "<choose><when condition=\"false\"><json-to-xml apply=\"always\" /></when></choose>",
    ))
    .await;
    assert_eq!(stage.item().await.status, 200);
    let met = Stage::new("<outbound><base /><xml-to-json kind=\"direct\" apply=\"always\" consider-accept-header=\"false\" /></outbound>").await;
    assert_eq!(
        met.item().await.error(),
        (
            501,
            "The local gateway does not execute the policy 'xml-to-json'.".to_owned()
        )
    );
}
