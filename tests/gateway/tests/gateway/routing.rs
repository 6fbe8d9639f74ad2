//! Which request reaches what, and who may call.

use crate::stage::{Backend, LOOPBACK, Stage, inbound, operation};
use apim_gateway::configuration::{Api, Product, Subscription, SubscriptionScope};
use apim_gateway::{Configuration, EchoBackend, Gateway, Options};

const NOT_FOUND: (u16, &str) = (
    404,
    "{ \"statusCode\": 404, \"message\": \"Resource not found\" }",
);

#[tokio::test]
async fn operations_are_found_by_method_and_template_and_nothing_else_is() {
    let stage = Stage::new("").await;
    for path in [
        "/shop/items/7",
        "/SHOP/Items/7",
        "/x/../shop/items/7?a=b%20c",
    ] {
        assert_eq!(stage.get(path).await.whole(), (200, "ok"), "{path}");
    }
    assert_eq!(stage.backend.last().target, "/items/7?a=b%20c");
    for path in [
        "/shop",
        "/shop/items",
        "/shop/items/7/8",
        "/shopping/items/7",
        "/",
    ] {
        assert_eq!(stage.get(path).await.whole(), NOT_FOUND, "{path}");
    }
    let wrong_method = stage.call("DELETE", "/shop/items/7", &[], "").await;
    assert_eq!(wrong_method.whole(), NOT_FOUND);
    assert_eq!(
        wrong_method.header("content-type"),
        Some("application/json")
    );
    assert_eq!(stage.backend.calls(), 3);
}

#[tokio::test]
async fn a_revision_is_called_behind_the_path_and_the_current_one_without() {
    let stage = Stage::with(Backend::ok().await, "", |service| {
        let mut second = service.apis[0].clone();
        second.revision = 2;
        second.current = false;
        second.policy = Some(
            "<policies><inbound><return-response><set-status code=\"299\" reason=\"Second\" />\
             <set-body>two</set-body></return-response></inbound></policies>"
                .to_owned(),
        );
        service.apis.push(second);
    })
    .await;
    assert_eq!(stage.item().await.whole(), (200, "ok"));
    let second = stage.get("/shop;rev=2/items/7").await;
    assert_eq!(second.whole(), (299, "two"));
    assert_eq!(stage.get("/shop;rev=1/items/7").await.whole(), (200, "ok"));
    assert_eq!(stage.get("/shop;rev=3/items/7").await.whole(), NOT_FOUND);
}

#[tokio::test]
async fn scopes_run_around_each_other_where_base_stands() {
    let add = |value: &str| {
        format!(
            "<set-header name=\"X-Order\" exists-action=\"append\"><value>{value}</value></set-header>"
        )
    };
    let stage = Stage::with(
        Backend::ok().await,
        &format!(
            "<inbound>{}<base />{}</inbound>",
            add("api"),
            add("api-after")
        ),
        |service| {
            service.policy = Some(format!(
                "<policies><inbound>{}</inbound><backend><forward-request /></backend></policies>",
                add("global")
            ));
            let operation = &mut service.apis[0].operations[0];
            operation.policy = Some(format!(
                "<policies><inbound>{}<base /></inbound></policies>",
                add("operation")
            ));
        },
    )
    .await;
    stage.item().await;
    let seen = stage.backend.last();
    let order: Vec<&str> = seen
        .headers
        .get_all("x-order")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    assert_eq!(order, ["operation", "api", "global", "api-after"]);
}

#[tokio::test]
async fn keys_are_asked_for_in_header_and_query_and_refused_in_the_services_words() {
    let stage = Stage::with(Backend::ok().await, "", |service| {
        service.apis[0].subscription_required = true;
        service.apis[0].key_header = "X-Key".to_owned();
        service.apis[0].key_query = "k".to_owned();
        let mut other = service.apis[0].clone();
        other.id = "other".to_owned();
        other.path = "other".to_owned();
        service.apis.push(other);
        let subscription = |id: &str, scope, active| Subscription {
            id: id.to_owned(),
            primary_key: format!("{id}-1"),
            secondary_key: format!("{id}-2"),
            scope,
            active,
            ..Subscription::default()
        };
        service.subscriptions = vec![
            subscription("all", SubscriptionScope::AllApis, true),
            subscription("one", SubscriptionScope::Api("shop".to_owned()), true),
            subscription("gone", SubscriptionScope::AllApis, false),
        ];
    })
    .await;
    let missing = stage.item().await;
    assert_eq!(
        missing.whole(),
        (
            401,
            "{ \"statusCode\": 401, \"message\": \"Access denied due to missing subscription key. Make sure to include subscription key when making requests to this API.\" }"
        )
    );
    assert_eq!(
        missing.header("www-authenticate"),
        Some(
            "AzureApiManagementKey realm=\"http://127.0.0.1/shop\",name=\"X-Key\",type=\"header\""
        )
    );
    for key in ["nobody", "gone-1", ""] {
        let wrong = stage.get_with(&[("x-key", key)]).await;
        assert_eq!(
            wrong.error(),
            (401, "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription.".to_owned()),
            "{key}"
        );
    }
    for key in ["all-1", "all-2", "one-2"] {
        assert_eq!(stage.get_with(&[("x-key", key)]).await.status, 200, "{key}");
    }
    assert_eq!(stage.get("/shop/items/7?k=one-1").await.status, 200);
    assert_eq!(stage.get("/other/items/7?k=one-1").await.status, 401);
    assert_eq!(stage.get("/other/items/7?k=all-1").await.status, 200);
    assert_eq!(stage.backend.calls(), 5);
}

#[tokio::test]
async fn products_open_their_apis_and_bring_their_policies() {
    let stage = Stage::with(Backend::ok().await, "", |service| {
        service.apis[0].subscription_required = true;
        let product = |id: &str, subscription_required, published| Product {
            id: id.to_owned(),
            name: id.to_owned(),
            published,
            subscription_required,
            apis: vec!["shop".to_owned()],
            policy: Some(format!(
                "<policies><inbound><base /><set-header name=\"X-Product\"><value>{id}</value></set-header></inbound></policies>"
            )),
        };
        service.products = vec![product("gold", true, true), product("draft", false, false)];
        service.subscriptions = vec![Subscription {
            id: "s".to_owned(),
            primary_key: "k".to_owned(),
            scope: SubscriptionScope::Product("gold".to_owned()),
            ..Subscription::default()
        }];
    })
    .await;
    assert_eq!(stage.item().await.status, 401);
    let key = [("ocp-apim-subscription-key", "k")];
    assert_eq!(stage.get_with(&key).await.status, 200);
    assert_eq!(stage.backend.last().header("x-product"), Some("gold"));
}

#[tokio::test]
async fn a_browser_learns_from_the_preflight_what_the_chain_begins_with() {
    let cors = "<cors><allowed-origins><origin>https://shop.example</origin></allowed-origins>\
        <allowed-methods preflight-result-max-age=\"600\"><method>GET</method></allowed-methods>\
        <allowed-headers><header>x-client</header></allowed-headers>\
        <expose-headers><header>etag</header></expose-headers></cors>";
    let denied = "<check-header name=\"X-Secret\" failed-check-httpcode=\"403\" failed-check-error-message=\"No.\" ignore-case=\"false\" />";
    let stage = Stage::new(&format!("<inbound>{cors}<base />{denied}</inbound>")).await;
    let ask = async |origin: &str, method: &str, header: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", method),
            ("access-control-request-headers", header),
        ];
        stage.call("OPTIONS", "/shop/items/7", &headers, "").await
    };
    let allowed = ask("https://shop.example:443", "GET", "x-client").await;
    assert_eq!(allowed.whole(), (200, ""));
    for (name, value) in [
        ("access-control-allow-origin", "https://shop.example:443"),
        ("access-control-allow-methods", "GET"),
        ("access-control-allow-headers", "x-client"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(allowed.header(name), Some(value));
    }
    for (origin, method, header) in [
        ("https://evil.example", "GET", "x-client"),
        ("https://shop.example", "PUT", "x-client"),
        ("https://shop.example", "GET", "x-other"),
    ] {
        let refused = ask(origin, method, header).await;
        assert_eq!(refused.whole(), (200, ""));
        assert_eq!(refused.header("access-control-allow-origin"), None);
    }
    // The browser may read why the call itself was refused.
    let call = stage.get_with(&[("origin", "https://shop.example")]).await;
    assert_eq!(call.error(), (403, "No.".to_owned()));
    assert_eq!(
        call.header("access-control-allow-origin"),
        Some("https://shop.example")
    );
    assert_eq!(call.header("access-control-expose-headers"), Some("etag"));
    let foreign = stage.get_with(&[("origin", "https://evil.example")]).await;
    assert_eq!(foreign.whole(), (200, ""));
    assert_eq!(stage.backend.calls(), 0);

    let late = Stage::new(&format!("<inbound><base />{denied}{cors}</inbound>")).await;
    let headers = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "GET"),
    ];
    let asked = late.call("OPTIONS", "/shop/items/7", &headers, "").await;
    assert_eq!(asked.whole(), NOT_FOUND);
}

#[tokio::test]
async fn an_operation_for_options_takes_preflights_itself() {
    let cors = "<cors><allowed-origins><origin>*</origin></allowed-origins></cors>";
    let stage = Stage::with(
        Backend::ok().await,
        &format!("<inbound>{cors}<base /></inbound>"),
        |service| {
            let options = operation("OPTIONS", "/items/{id}");
            service.apis[0].operations.push(options);
        },
    )
    .await;
    let headers = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "GET"),
    ];
    let asked = stage.call("OPTIONS", "/shop/items/7", &headers, "").await;
    assert_eq!(asked.whole(), (200, "ok"));
    assert_eq!(asked.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_configuration_is_swapped_between_two_requests() {
    let echo = EchoBackend::start(LOOPBACK).await.expect("a backend");
    let api = |policy: Option<&str>| Configuration {
        services: vec![apim_gateway::configuration::Service {
            apis: vec![Api {
                id: "all".to_owned(),
                service_url: Some(echo.url()),
                operations: vec![operation("*", "/*")],
                policy: policy.map(str::to_owned),
                ..Api::default()
            }],
            ..apim_gateway::configuration::Service::default()
        }],
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let gateway = Gateway::start(&api(None), Options::default())
        .await
        .expect("a gateway");
    let url = format!("http://{}/anything?a=1", gateway.address());
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .expect("a client");
    let call = async || client.get(&url).send().await.expect("an answer");
    let first: serde_json::Value =
        serde_json::from_str(&call().await.text().await.expect("text")).expect("JSON");
    assert_eq!(
        (&first["path"], &first["query"]),
        (&"/anything".into(), &"a=1".into())
    );
    gateway.configure(&api(Some(
        "<policies><inbound><return-response><set-status code=\"418\" /></return-response></inbound></policies>",
    )));
    assert_eq!(call().await.status(), 418);
    // What cannot be executed lets nothing pass.
    gateway.configure(&api(Some(
        "<policies><inbound><rate-limit-by-key /></inbound></policies>",
    )));
    assert_eq!(
        gateway.problems()[0].to_string(),
        "Error in element 'rate-limit-by-key' on line 1, column 21: The required attribute 'calls' is missing."
    );
    assert_eq!(call().await.status(), 500);
    assert_eq!(inbound("x"), "<inbound><base />x</inbound>");
}
