//! What the developer portal shows of an API besides its text, and what is
//! logged of its calls: tags, the portal's address, diagnostics.
#![forbid(unsafe_code)]

use anyhow::{Context as _, Result};
use e2e::{PATIENCE, Stage, document, exposed_api};
use serde_json::{Value, json};

fn note(name: &str, value: &Value) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{name}"): value}}})
}

/// Waits until an entity below the service is, or is not, there as told.
async fn until_arm(stage: &Stage, path: &str, is: impl Fn(u16, &Value) -> bool) -> Result<Value> {
    let mut seen = Value::Null;
    test_harness::wait_until(path, PATIENCE, async || {
        let answered = stage.arm("GET", path, None).await;
        let (status, body) = answered.map_err(|error| error.to_string())?;
        seen = body["properties"].clone();
        if is(status, &seen) {
            Ok(())
        } else {
            Err(format!("{status} {seen}"))
        }
    })
    .await
    .with_context(|| stage.operator_log())?;
    Ok(seen)
}

fn api(name: &str, more: &Value) -> Value {
    exposed_api(name, |object| {
        object["spec"]["specification"] = document(name, &["get"]).to_string().into();
        let annotations = &mut object["metadata"]["annotations"];
        annotations["apim.oda.tmforum.org/plugins"] = "".into();
        for (key, value) in more.as_object().into_iter().flatten() {
            annotations[format!("apim.oda.tmforum.org/{key}")] = value.clone();
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_are_put_on_an_api_and_those_of_its_namespace_go_with_their_last_user() -> Result<()> {
    let builder = Stage::builder()
        .environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms")
        .simulator(|config| config.seed.services[0].sku = "Developer".into())
        .without_operator()
        .instance(json!({
            "ownerMay": ["plugins", "tags"],
            "grants": [{"namespaceSelector": {}, "kind": "tag", "names": ["public"]}],
        }));
    let Some(mut stage) = builder.start("tags_are_put_on_an_api").await else {
        return Ok(());
    };
    stage.azure.open_portal();
    stage.start_operator().await?;
    let public = json!({"properties": {"displayName": "Public"}});
    stage.arm("PUT", "/tags/public", Some(&public)).await?;
    stage
        .apply(&api("orders", &json!({"tags": "vip, public"})))
        .await?;
    stage.apply(&api("stock", &json!({"tags": "vip"}))).await?;
    let status = stage.until_ready("orders").await?;
    stage.until_ready("stock").await?;
    let portal = "https://apim-local.developer.azure-api.net/api-details#api=shop.orders";
    assert_eq!(status["apiStatus"]["developerUI"], portal);
    let vip = until_arm(&stage, "/tags/shop.vip", |status, _| status == 200).await?;
    assert_eq!(vip["displayName"], "vip");
    for tag in [
        "apis/shop.orders/tags/shop.vip",
        "apis/shop.orders/tags/public",
    ] {
        until_arm(&stage, &format!("/{tag}"), |status, _| status == 200).await?;
    }

    // Somebody takes one off by hand: it is put back, and told.
    stage.settled().await?;
    stage
        .arm("DELETE", "/apis/shop.orders/tags/public", None)
        .await?;
    until_arm(&stage, "/apis/shop.orders/tags/public", |status, _| {
        status == 200
    })
    .await?;
    let told = "Normal DriftCorrected: put back what others had changed:\ntags/public: expected there, found (absent)";
    stage.until_event("orders", told).await?;

    // An annotation that goes takes its tags with it; the other API keeps its own.
    stage
        .patch("shop", "orders", &note("tags", &Value::Null))
        .await?;
    for tag in ["shop.vip", "public"] {
        let path = format!("/apis/shop.orders/tags/{tag}");
        until_arm(&stage, &path, |status, _| status == 404).await?;
    }
    let (status, _) = stage.arm("GET", "/tags/shop.vip", None).await?;
    assert_eq!(status, 200);
    stage.delete("stock").await?;
    until_arm(&stage, "/tags/shop.vip", |status, _| status == 404).await?;
    let (status, _) = stage.arm("GET", "/tags/public", None).await?;
    assert_eq!(status, 200, "the platform's stays");

    // One of the platform's that is not there is waited for; a typo is refused.
    stage
        .patch("shop", "orders", &note("tags", &json!("vip, vip")))
        .await?;
    let status = stage
        .until_reason("orders", "Ready", "InvalidAnnotation")
        .await?;
    assert!(
        status["conditions"]
            .to_string()
            .contains("tags]: lists `vip` twice; remove one of the two"),
        "{status}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_logged_of_calls_follows_instance_and_annotation_and_never_holds_a_key()
-> Result<()> {
    let builder = Stage::builder()
        .environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms")
        .without_operator()
        .instance(json!({
            "ownerMay": ["plugins", "diagnostics", "retry"],
            "diagnostics": [{
                "kind": "AzureMonitor", "logger": "azuremonitor", "sampling": 10, "headers": ["X-Request-Id"],
            }],
            "grants": [{"namespaceSelector": {}, "kind": "logger", "names": ["shop-insights"]}],
        }));
    let Some(mut stage) = builder.start("what_is_logged_of_calls").await else {
        return Ok(());
    };
    stage.azure.add_logger("azuremonitor", "azureMonitor");
    stage.start_operator().await?;
    stage.apply(&api("orders", &json!({}))).await?;
    stage.until_ready("orders").await?;
    let monitor = "/apis/shop.orders/diagnostics/azuremonitor";
    let logged = until_arm(&stage, monitor, |status, _| status == 200).await?;
    assert_eq!(logged["sampling"]["percentage"], 10.0);
    let request = &logged["frontend"]["request"];
    assert_eq!(request["headers"], json!(["X-Request-Id"]));
    let hidden = |list: &str, name: &str| {
        let masked = request["dataMasking"][list].as_array();
        masked.is_some_and(|all| all.contains(&json!({"value": name, "mode": "Hide"})))
    };
    assert!(hidden("headers", "Authorization") && hidden("headers", "Ocp-Apim-Subscription-Key"));
    assert!(hidden("queryParams", "subscription-key"));

    // Somebody logs tokens by hand: that is put back.
    stage.settled().await?;
    let mut frontend = logged["frontend"].clone();
    frontend["request"]["headers"] = json!(["Authorization"]);
    let theirs = json!({"properties": {"frontend": frontend}});
    let (status, _) = stage.arm("PATCH", monitor, Some(&theirs)).await?;
    assert_eq!(status, 200);
    until_arm(&stage, monitor, |_, logged| {
        logged["frontend"]["request"]["headers"] == json!(["X-Request-Id"])
    })
    .await?;
    let put_back = "Normal DriftCorrected: put back what others had changed:\ndiagnostics/azuremonitor/frontend/request/headers: expected `[\"X-Request-Id\"]`, found `[\"Authorization\"]`";
    stage.until_event("orders", put_back).await?;

    // The object says otherwise; its logger is not there yet, and is waited for.
    let insights = "[{kind: ApplicationInsights, logger: shop-insights, verbosity: Error}]";
    stage
        .patch("shop", "orders", &note("diagnostics", &json!(insights)))
        .await?;
    let status = stage
        .until_reason("orders", "Ready", "WaitingForDependency")
        .await?;
    assert!(
        status["conditions"]
            .to_string()
            .contains("waits for logger `shop-insights`"),
        "{status}"
    );
    stage
        .azure
        .add_logger("shop-insights", "applicationInsights");
    stage
        .patch("shop", "orders", &note("retry", &json!("1")))
        .await?;
    let own = "/apis/shop.orders/diagnostics/applicationinsights";
    let logged = until_arm(&stage, own, |status, _| status == 200).await?;
    assert_eq!(logged["verbosity"], "error");
    until_arm(&stage, monitor, |status, _| status == 404).await?;
    stage.until_ready("orders").await?;

    // A logger that is not granted, a header with a token: refused, and what is
    // there stays.
    for (wrong, reason, told) in [
        (
            "[{kind: AzureMonitor, logger: azuremonitor}]",
            "Forbidden",
            "does not grant logger `azuremonitor` to namespace `shop`",
        ),
        (
            "[{kind: ApplicationInsights, logger: shop-insights, headers: [Authorization]}]",
            "InvalidAnnotation",
            "`Authorization` carries a key or a token, which are never logged; take it off the list",
        ),
    ] {
        stage
            .patch("shop", "orders", &note("diagnostics", &json!(wrong)))
            .await?;
        let status = stage.until_reason("orders", "Ready", reason).await?;
        assert!(status["conditions"].to_string().contains(told), "{status}");
    }
    let (status, _) = stage.arm("GET", own, None).await?;
    assert_eq!(status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_portals_console_gets_tokens_from_a_server_that_the_instance_registers() -> Result<()> {
    let builder = Stage::builder()
        .environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms")
        .instance(json!({
            "ownerMay": ["plugins", "oauth2"],
            "oauth2Servers": [{
                "id": "partners", "authorizationEndpoint": "https://id.example.com/authorize",
                "tokenEndpoint": "https://id.example.com/token", "grantTypes": ["authorizationCode"],
                "clientId": "portal", "scopes": ["orders.read"],
            }],
            "grants": [{"namespaceSelector": {}, "kind": "authorizationServer", "names": ["partners"]}],
        }));
    let Some(stage) = builder.start("the_portals_console_gets_tokens").await else {
        return Ok(());
    };
    let orders = api("orders", &json!({"oauth2": "partners"}));
    stage.apply(&orders).await?;
    stage.until_ready("orders").await?;
    let path = "/authorizationServers/partners";
    let server = until_arm(&stage, path, |status, _| status == 200).await?;
    assert_eq!(server["clientId"], "portal");
    assert_eq!(server["defaultScope"], "orders.read");
    let published = stage.api("shop.orders").await?.context("the API")?;
    let console = &published["authenticationSettings"];
    assert_eq!(console["oAuth2"]["authorizationServerId"], "partners");
    assert!(console["openid"].is_null(), "{console}");

    // Somebody changes the server, and enters the portal's secret: the one is put
    // back, the other stays.
    stage.settled().await?;
    let theirs = json!({"properties": {"clientId": "theirs", "clientSecret": "s3cret"}});
    let (status, _) = stage.arm("PATCH", path, Some(&theirs)).await?;
    assert_eq!(status, 200);
    until_arm(&stage, path, |_, server| server["clientId"] == "portal").await?;
    let secrets = format!("{path}/listSecrets");
    let (_, secret) = stage.arm("POST", &secrets, None).await?;
    assert_eq!(secret["clientSecret"], "s3cret");

    // One that is not granted is refused; without one, the instance's provider
    // is back.
    stage
        .patch("shop", "orders", &note("oauth2", &json!("partner")))
        .await?;
    let status = stage.until_reason("orders", "Ready", "Forbidden").await?;
    let told =
        "does not grant OAuth 2.0 server `partner` to namespace `shop`; did you mean `partners`?";
    assert!(status["conditions"].to_string().contains(told), "{status}");
    stage
        .patch("shop", "orders", &note("oauth2", &Value::Null))
        .await?;
    until_arm(&stage, "/apis/shop.orders", |_, published| {
        let console = &published["authenticationSettings"];
        console["oAuth2"].is_null() && console["openid"]["openidProviderId"] == "AzureAD"
    })
    .await?;
    Ok(())
}

const PAGE: &str = "/documentations/shop.orders";
const WIKI: &str = "/apis/shop.orders/wikis/default";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_the_portal_follows_its_annotation_and_goes_with_the_object() -> Result<()> {
    let builder = Stage::builder()
        .environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms")
        .instance(json!({"ownerMay": ["plugins", "wiki"]}));
    let Some(stage) = builder.start("a_page_in_the_portal").await else {
        return Ok(());
    };
    let cluster = [
        "get",
        "namespace",
        "kube-system",
        "-o",
        "jsonpath={.metadata.uid}",
    ];
    let cluster = stage.kubectl(&cluster).await?;
    let mark = format!(
        "<!-- apim-operator/1 {} shop/orders -->",
        &cluster.trim()[..8]
    );
    let first = format!("# How to order\n\nAsk first.\n{mark}");
    let second = format!("Just ask.\n{mark}");
    let text = "# How to order\n\nAsk first.\n";
    stage.apply(&api("orders", &json!({"wiki": text}))).await?;
    stage.until_ready("orders").await?;
    let shows = json!([{"documentationId": "shop.orders"}]);
    until_arm(&stage, WIKI, |_, wiki| wiki["documents"] == shows).await?;
    let there = until_arm(&stage, PAGE, |status, _| status == 200).await?;
    assert_eq!(there, json!({"title": "How to order", "content": first}));

    // Somebody takes the wiki away, and writes into the page.
    stage.settled().await?;
    stage.arm("DELETE", WIKI, None).await?;
    until_arm(&stage, WIKI, |_, wiki| wiki["documents"] == shows).await?;
    let told = "Normal DriftCorrected: put back what others had changed:\nwikis/default: expected there, found (absent)";
    stage.until_event("orders", told).await?;
    stage.settled().await?;
    let theirs = json!({"properties": {"title": "Mine now", "content": "Ask me."}});
    stage.arm("PUT", PAGE, Some(&theirs)).await?;
    stage
        .patch("shop", "orders", &note("wiki", &json!("Just ask.")))
        .await?;
    let lost = stage.until_reason("orders", "Ready", "NotOurs").await?;
    assert!(
        lost["conditions"].to_string().contains(
            "documentation `shop.orders` exists in API Management and is not this object's: it carries no mark"
        ),
        "{lost}"
    );
    stage.arm("DELETE", WIKI, None).await?;
    stage.arm("DELETE", PAGE, None).await?;
    let there = until_arm(&stage, PAGE, |status, _| status == 200).await?;
    assert_eq!(there, json!({"title": "orders", "content": second}));
    until_arm(&stage, WIKI, |_, wiki| wiki["documents"] == shows).await?;
    stage.until_ready("orders").await?;

    stage.delete("orders").await?;
    until_arm(&stage, PAGE, |status, _| status == 404).await?;
    Ok(())
}
