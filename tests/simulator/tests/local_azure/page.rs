//! The page that shows a person what there is.

use crate::html::{Element, parse};
use crate::support::{Answer, Azure, answer, client};
use apim_simulator::{JournalQuery, SimulatorConfig};
use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A service whose gateway traces everything, in front of a backend that echoes.
pub(crate) async fn azure() -> Azure {
    let config = SimulatorConfig {
        gateway: Some(LOOPBACK),
        echo: Some(LOOPBACK),
        trace_requests: true,
        ..SimulatorConfig::default()
    };
    Azure::with(config).await
}

/// Publishes an API in front of the echo, with a policy.
pub(crate) async fn publish(azure: &Azure, id: &str, name: &str, path: &str, policy: &str) {
    let operation = |id: &str, summary: &str| json!({ "operationId": id, "summary": summary, "responses": { "200": { "description": "ok" } } });
    let document = json!({
        "openapi": "3.0.1",
        "info": { "title": name, "version": "1" },
        "paths": {
            "/items": { "get": operation("list", "List all"), "post": operation("make", "Make one") },
            "/items/{id}": {
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
                "get": operation("get", "Get one"),
            },
        },
    });
    let settings = json!({
        "path": path, "displayName": name, "format": "openapi+json", "value": document.to_string(),
        "serviceUrl": azure.simulator.endpoints.echo, "subscriptionRequired": false, "protocols": ["https"],
    });
    azure
        .put(&format!("apis/{id}?import=true"), settings)
        .await
        .expect(201);
    azure.get(&format!("apis/{id}")).await.expect(200);
    put_policy(azure, &format!("apis/{id}"), policy).await;
}

pub(crate) async fn put_policy(azure: &Azure, of: &str, policy: &str) {
    azure
        .put(
            &format!("{of}/policies/policy"),
            json!({ "format": "rawxml", "value": policy }),
        )
        .await
        .expect(201);
}

/// Sends a request through the gateway.
pub(crate) async fn call(
    azure: &Azure,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let url = format!(
        "{}/{path}",
        azure.simulator.gateway_url().expect("a gateway")
    );
    let mut request = client(&azure.simulator).request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request.send().await.expect("an answer")).await
}

async fn get(azure: &Azure, path: &str) -> Answer {
    let url = format!("{}{path}", azure.simulator.base_url);
    azure.send(Method::GET, &url, &[], None).await
}

/// A page, read strictly.
async fn page(azure: &Azure, path: &str) -> Element {
    parse(&get(azure, path).await.expect(200).text)
}

const CHAIN: &str = r#"<policies><inbound>
    <cors><allowed-origins><origin>https://shop.example</origin></allowed-origins></cors><base />
    <rate-limit-by-key calls="2" renewal-period="60" counter-key="all" />
    <set-header name="X-Team" exists-action="override"><value>catalog</value></set-header>
    </inbound><backend><base /></backend><outbound><base />
    <set-header name="X-Answer"><value>1</value></set-header></outbound></policies>"#;

#[tokio::test]
async fn the_page_shows_apis_operations_and_the_policies_in_the_order_in_which_they_run() {
    let azure = azure().await;
    let global = "<policies><inbound><ip-filter action=\"forbid\"><address>203.0.113.9</address></ip-filter></inbound>\
                  <backend><forward-request /></backend><outbound /><on-error /></policies>";
    azure
        .put(
            "policies/policy",
            json!({ "format": "rawxml", "value": global }),
        )
        .await
        .expect(200);
    publish(&azure, "shop", "Product catalog", "shop/v1", CHAIN).await;
    let own = "<policies><inbound><quota-by-key calls=\"5\" renewal-period=\"300\" counter-key=\"x\" /><base /></inbound></policies>";
    put_policy(&azure, "apis/shop/operations/make", own).await;

    let overview = page(&azure, "/_page").await;
    let apis = overview.with_id("apis").one("table").rows();
    assert_eq!(
        apis[1],
        [
            "Product catalog",
            "/shop/v1",
            "3",
            "cors → ip-filter → rate-limit-by-key → set-header"
        ]
    );
    let link = overview.with_id("apis").one("table").one("a");
    let link = link.attribute("href").expect("a link");
    assert_eq!(link, "/_page/apis/apim-local/shop/1");

    let api = page(&azure, link).await;
    assert_eq!(api.one("h1").text, "Product catalog");
    assert_eq!(
        api.one("table").rows()[1..],
        [
            ["GET", "/items", "List all", "no"],
            ["POST", "/items", "Make one", "yes"],
            ["GET", "/items/{id}", "Get one", "no"],
        ]
    );
    let chains: Vec<&Element> = api
        .all("div")
        .into_iter()
        .filter(|one| one.attribute("class") == Some("chain"))
        .collect();
    let told = |chain: &Element| -> Vec<String> {
        let sections = chain.all("section").into_iter();
        sections
            .flat_map(|section| {
                let title = section.one("h4").text.clone();
                let items = section.all("li").into_iter().map(move |item| {
                    let badge = item.all("span")[0].text.clone();
                    let policy = item.all("code")[0].text.clone();
                    format!("{title}: {badge} {policy}")
                });
                items.collect::<Vec<_>>()
            })
            .collect()
    };
    let every = [
        "inbound: api cors",
        "inbound: global ip-filter",
        "inbound: api rate-limit-by-key",
        "inbound: api set-header",
        "backend: global forward-request",
        "outbound: api set-header",
    ];
    assert_eq!(told(chains[0]), every);
    let mut of_one = vec!["inbound: operation quota-by-key"];
    of_one.extend(every);
    assert_eq!(told(chains[1]), of_one);
    let titles: Vec<_> = api
        .all("h3")
        .into_iter()
        .map(|one| one.text.clone())
        .collect();
    assert_eq!(titles, ["Every other operation", "POST /items"]);
    assert!(
        chains[0].text.contains(
            "<rate-limit-by-key calls=\"2\" renewal-period=\"60\" counter-key=\"all\" />"
        )
    );
}

#[tokio::test]
async fn the_page_shows_requests_as_time_lines_and_the_calls_of_arm_with_their_budget() {
    let azure = azure().await;
    publish(&azure, "shop", "Shop", "shop/v1", CHAIN).await;
    for _ in 0..2 {
        call(&azure, Method::GET, "shop/v1/items", &[])
            .await
            .expect(200);
    }
    call(&azure, Method::GET, "shop/v1/items?q=1", &[])
        .await
        .expect(429);

    let overview = page(&azure, "/_page").await;
    let traces = overview.with_id("traces").all("details");
    assert_eq!(traces.len(), 3);
    let heading = &traces[0].one("summary").text;
    assert!(heading.contains("GET /shop/v1/items?q=1 429 "), "{heading}");
    assert_eq!(
        traces
            .iter()
            .filter(|one| one.attribute("open").is_some())
            .count(),
        1
    );
    let link = traces[1].all("a")[0].attribute("href").expect("a link");
    let trace = page(&azure, link).await;
    assert_eq!(trace.one("h1").text, "GET /shop/v1/items");
    let steps: Vec<String> = trace
        .all("li")
        .into_iter()
        .filter(|item| item.children.iter().any(|one| one.name == "svg"))
        .map(|item| {
            let head = &item.all("div")[0];
            let lists = item.all("ul").into_iter();
            let changes: Vec<_> = lists
                .flat_map(|list| list.all("li"))
                .map(|one| one.text.clone())
                .collect();
            let (what, times) = head.text.split_once(" at ").expect("when");
            assert!(times.contains(" ms, ") && times.ends_with(" ms"), "{times}");
            let bar = item.all("rect")[1];
            let number = |name: &str| {
                bar.attribute(name)
                    .and_then(|text| text.parse::<u32>().ok())
            };
            let (x, width) = (number("x").expect("x"), number("width").expect("a width"));
            assert!(width >= 4 && x + width <= 1000, "{x} {width}");
            format!("{what} {changes:?}")
        })
        .collect();
    assert_eq!(
        steps[..3],
        [
            "inbound api cors []".to_owned(),
            "inbound api rate-limit-by-key []".to_owned(),
            "inbound api set-header [\"added request header X-Team: catalog\"]".to_owned(),
        ]
    );
    let last = steps.last().expect("a policy");
    assert!(
        last.starts_with("outbound api set-header")
            && last.contains("added response header X-Answer: 1"),
        "{last}"
    );

    let calls = overview.with_id("calls").one("table").rows();
    assert_eq!(
        calls[1][2..],
        ["operator", "PUT /apis/shop/policies/policy", "201"]
    );
    let writes = page(&azure, "/_page?calls=write").await;
    let writes = writes.with_id("calls").one("table").rows();
    assert_eq!(writes.len(), 3, "{writes:?}");
    assert_eq!(writes[2][3..], ["PUT /apis/shop", "201"]);
    let budget = overview.with_id("budget").one("table").rows();
    assert_eq!(budget[1][0..2], ["operator", "read"]);
    assert_eq!(budget[2][0..2], ["operator", "write"]);
    assert!(budget[2][2].ends_with(" of 200"), "{budget:?}");
    let meter = &overview.with_id("budget").all("meter")[1];
    assert_eq!(meter.attribute("max"), Some("200"));
    let told = &overview.with_id("budget").text;
    assert!(told.contains("holds the rate limits of 1 key."), "{told}");
}

#[tokio::test]
async fn every_page_has_a_language_a_title_headings_in_order_and_tables_with_headers() {
    let azure = azure().await;
    publish(&azure, "shop", "Shop", "shop/v1", CHAIN).await;
    call(&azure, Method::GET, "shop/v1/items", &[])
        .await
        .expect(200);
    let id = azure.simulator.gateway().expect("a gateway").traces()[0]
        .trace_id
        .clone();
    let lost = get(&azure, "/_page/traces/none").await.expect(404);
    for page in [
        page(&azure, "/_page").await,
        page(&azure, "/_page/apis/apim-local/shop/1").await,
        page(&azure, &format!("/_page/traces/{id}")).await,
        parse(&lost.text),
    ] {
        assert_eq!(page.one("html").attribute("lang"), Some("en"));
        assert_eq!(
            page.one("title").text,
            format!("{} · local Azure", page.one("h1").text)
        );
        let main = page.one("main").everything();
        let levels: Vec<u32> = main
            .iter()
            .filter_map(|one| one.name.strip_prefix('h')?.parse().ok())
            .collect();
        assert_eq!(levels[0], 1);
        for two in levels.windows(2) {
            assert!(two[1] <= two[0] + 1, "{levels:?}");
        }
        for table in page.all("table") {
            assert_eq!(table.all("caption").len(), 1);
            assert!(
                table
                    .one("thead")
                    .all("th")
                    .iter()
                    .all(|one| one.attribute("scope") == Some("col"))
            );
            for row in table.one("tbody").all("tr") {
                assert_eq!(row.one("th").attribute("scope"), Some("row"));
            }
        }
        for one in page.everything() {
            assert!(!["script", "style", "img", "iframe", "form"].contains(&one.name.as_str()));
            for (name, value) in &one.attributes {
                assert!(!name.starts_with("on") && name != "style", "{name}={value}");
                if matches!(name.as_str(), "href" | "src") {
                    assert!(
                        value.starts_with("/_page") || value.starts_with('#'),
                        "{value}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn the_page_can_only_be_read_and_allows_nothing_from_elsewhere() {
    let azure = azure().await;
    let before = azure.simulator.journal(&JournalQuery::default()).len();
    for path in ["/_page", "/_page/style.css", "/_page/nothing"] {
        let answer = get(&azure, path).await;
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let url = format!("{}/_page", azure.simulator.base_url);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let refused = azure.send(method, &url, &[], None).await.expect(405);
        assert_eq!(refused.header("allow"), "GET, HEAD");
    }
    assert_eq!(
        azure.simulator.journal(&JournalQuery::default()).len(),
        before
    );
}

#[tokio::test]
async fn the_page_shows_products_and_what_the_keys_of_subscriptions_open() {
    let azure = azure().await;
    let none = page(&azure, "/_page").await;
    assert!(
        none.with_id("access").text.contains("There is no product."),
        "{}",
        none.with_id("access").text
    );
    publish(&azure, "shop", "Product catalog", "shop/v1", CHAIN).await;
    gold(&azure).await;
    let overview = page(&azure, "/_page").await;
    let tables = overview.with_id("access").all("table");
    assert_eq!(
        tables[0].rows()[1..],
        [
            ["Draft <i>", "not published", "not needed", "none", "no"],
            ["Gold", "published", "needed", "Product catalog", "yes"],
        ]
    );
    let link = tables[0].one("a").attribute("href").expect("a link");
    assert_eq!(link, "/_page/apis/apim-local/shop/1");
    assert_eq!(
        tables[1].rows()[1..],
        [
            ["Built-in all-access subscription", "every API", "active"],
            ["Of Gold", "the product Gold", "active"],
            ["Of one API", "the API Product catalog", "not active"],
        ]
    );
    let api = page(&azure, link).await;
    let through = api.all("h3").into_iter().map(|one| one.text.as_str());
    assert!(
        through
            .clone()
            .any(|text| text == "Through the product Gold"),
        "{:?}",
        through.collect::<Vec<_>>()
    );
    for path in ["/_page", link] {
        let text = get(&azure, path).await.text;
        for key in ["gold-primary-key", "gold-secondary-key", "one-primary-key"] {
            assert!(!text.contains(key), "{path} shows {key}");
        }
    }
}

/// A product with the API `shop` and a policy of its own, one that is not done
/// yet, and a subscription of each scope.
pub(crate) async fn gold(azure: &Azure) {
    let product = |name: &str, state: &str, key: bool| json!({ "displayName": name, "state": state, "subscriptionRequired": key });
    let put = async |path: &str, properties: Value| {
        azure.put(path, properties).await.expect(201);
    };
    put("products/gold", product("Gold", "published", true)).await;
    put(
        "products/draft",
        product("Draft <i>", "notPublished", false),
    )
    .await;
    azure
        .arm(Method::PUT, "products/gold/apis/shop", None)
        .await
        .expect(201);
    let own = "<policies><inbound><base /><rate-limit calls=\"100\" renewal-period=\"60\" /></inbound></policies>";
    put_policy(azure, "products/gold", own).await;
    for (id, name, scope, state) in [
        ("gold", "Of Gold", "/products/gold", "active"),
        ("one", "Of one API", "/apis/shop", "suspended"),
    ] {
        let keys = json!({
            "displayName": name, "scope": scope, "state": state,
            "primaryKey": format!("{id}-primary-key"), "secondaryKey": format!("{id}-secondary-key"),
        });
        put(&format!("subscriptions/{id}"), keys).await;
    }
}

#[tokio::test]
async fn no_secret_is_shown_however_it_came_into_a_request_or_a_policy() {
    let azure = azure().await;
    azure
        .put(
            "namedValues/backend-password",
            json!({ "displayName": "backend-password", "value": "pa55 & <word>", "secret": true }),
        )
        .await;
    azure.get("namedValues/backend-password").await.expect(200);
    let policy = r#"<policies><inbound><base />
        <set-header name="X-Copy"><value>{{backend-password}}</value></set-header>
        <set-query-parameter name="sent"><value>{{backend-password}}</value></set-query-parameter>
        <set-header name="X-Api-Key"><value>written-out-key</value></set-header>
        <set-variable name="mine" value="@(context.Request.Headers.GetValueOrDefault("Authorization","").Replace("Bearer ", ""))" />
        <authentication-basic username="shop" password="written-out-password" />
        </inbound></policies>"#;
    publish(&azure, "shop", "Shop", "shop", policy).await;
    let token = azure
        .simulator
        .token(crate::support::OPERATOR, crate::support::ARM)
        .expect("a token");
    let bearer = format!("Bearer {token}");
    let path = "shop/items?subscription-key=local-master-key&access_token=unknown-one";
    call(
        &azure,
        Method::GET,
        path,
        &[
            ("Authorization", &bearer),
            ("X-Other", "local-master-key-2"),
        ],
    )
    .await
    .expect(200);
    // What was a secret when it was traced stays one.
    azure
        .put(
            "namedValues/backend-password",
            json!({ "displayName": "backend-password", "value": "another one", "secret": true }),
        )
        .await;
    let trace = azure.simulator.gateway().expect("a gateway").traces()[0].clone();
    let id = trace.trace_id.clone();
    let raw = json!(*trace).to_string();
    assert!(
        raw.contains("pa55 & <word>"),
        "the test tests nothing: {raw}"
    );
    let signature = token.rsplit('.').next().expect("a signature");
    let listed = azure
        .arm(
            Method::POST,
            "gateways/managed/listTrace",
            Some(json!({ "traceId": id })),
        )
        .await
        .expect(200);
    let mut texts = vec![("listTrace".to_owned(), listed.text)];
    for path in [
        "/_page".to_owned(),
        "/_page/apis/apim-local/shop/1".to_owned(),
        format!("/_page/traces/{id}"),
        "/_control/traces".to_owned(),
        format!("/_control/traces/{id}"),
        format!("/_control/traces/{id}?format=text"),
    ] {
        let text = get(&azure, &path).await.expect(200).text;
        texts.push((path, text));
    }
    for (path, text) in texts {
        assert!(text.matches("•••").count() > 1, "{path}: {text}");
        for secret in [
            "pa55",
            "another one",
            "local-master-key",
            "unknown-one",
            "written-out-key",
            "written-out-password",
            "operator-secret",
            signature,
            &token[..20],
            // Basic shop:written-out-password
            "c2hvcDp3cml0",
        ] {
            assert!(!text.contains(secret), "{path} shows {secret}: {text}");
        }
    }
    let shown = page(&azure, &format!("/_page/traces/{id}"))
        .await
        .one("main")
        .text
        .clone();
    assert!(
        shown.contains("added request header X-Copy: •••"),
        "{shown}"
    );
    let shown = page(&azure, "/_page/apis/apim-local/shop/1")
        .await
        .one("main")
        .text
        .clone();
    assert!(shown.contains("{{backend-password}}"), "{shown}");
}

const HOSTILE: &str =
    "<script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>&lt;b&gt;{{x}}";

#[tokio::test]
async fn what_others_wrote_is_text_and_never_markup() {
    let azure = azure().await;
    let policy = r#"<policies><inbound><base />
        <set-variable name="&lt;script&gt;" value="@(context.Request.Headers.GetValueOrDefault("X-Hostile",""))" />
        <trace source="s"><message>@(context.Request.Headers.GetValueOrDefault("X-Hostile",""))</message></trace>
        </inbound></policies>"#;
    publish(&azure, "shop", HOSTILE, "shop", policy).await;
    call(
        &azure,
        Method::GET,
        "shop/items?a=%3Cscript%3E'\"",
        &[("X-Hostile", HOSTILE)],
    )
    .await
    .expect(200);
    azure.get("apis/<script>alert(1)</script>").await;
    let id = azure.simulator.gateway().expect("a gateway").traces()[0]
        .trace_id
        .clone();
    let hostile_link = "/_page/apis/apim-local/shop/1";
    for path in ["/_page", hostile_link, &format!("/_page/traces/{id}")] {
        let tree = page(&azure, path).await;
        for one in tree.everything() {
            assert!(
                !["script", "img", "b"].contains(&one.name.as_str()),
                "{path}"
            );
        }
    }
    let api = page(&azure, hostile_link).await;
    assert_eq!(api.one("h1").text, HOSTILE);
    let trace = page(&azure, &format!("/_page/traces/{id}")).await.text;
    assert!(
        trace.contains(&format!("added variable <script>: {HOSTILE}")),
        "{trace}"
    );
}

#[tokio::test]
async fn a_document_that_cannot_be_executed_is_told_where_it_is_seen() {
    let azure = azure().await;
    publish(&azure, "shop", "Shop", "shop", CHAIN).await;
    // Refused over ARM where it is written: but a named value in it may become
    // what cannot be executed.
    azure
        .put(
            "namedValues/limit",
            json!({ "displayName": "limit", "value": "2" }),
        )
        .await;
    azure.get("namedValues/limit").await.expect(200);
    let policy = r#"<policies><inbound><base /><rate-limit-by-key calls="{{limit}}" renewal-period="60" counter-key="a" /></inbound></policies>"#;
    azure
        .put(
            "apis/shop/policies/policy",
            json!({ "format": "rawxml", "value": policy }),
        )
        .await
        .expect(200);
    let many = json!({ "properties": { "displayName": "limit", "value": "many" } });
    azure
        .control(Method::PUT, "state/namedValues/limit", Some(many))
        .await
        .expect(200);
    let overview = page(&azure, "/_page").await;
    assert_eq!(
        overview.with_id("apis").one("table").rows()[1][3],
        "refuses every request"
    );
    let told = &overview.one("main").text;
    assert!(told.contains("The value 'many' is not"), "{told}");
    let api = page(&azure, "/_page/apis/apim-local/shop/1").await.text;
    assert!(
        api.contains("The document at api scope cannot be executed"),
        "{api}"
    );
}

#[tokio::test]
async fn without_a_gateway_the_page_still_shows_the_chains() {
    let azure = Azure::start().await;
    azure.api("plain", "plain").await;
    let overview = page(&azure, "/_page").await;
    assert_eq!(overview.with_id("apis").one("table").rows()[1][0], "plain");
    assert!(
        overview
            .with_id("traces")
            .text
            .contains("There is no gateway.")
    );
    let api = page(&azure, "/_page/apis/apim-local/plain/1").await;
    assert!(api.text.contains("forward-request"), "{}", api.text);
    let shown: Value = get(&azure, "/_control/endpoints").await.json();
    assert_eq!(shown["page"], format!("{}/_page", azure.simulator.base_url));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_name_is_shown_as_it_is(name in "[\\PC]{1,60}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let azure = Azure::start().await;
            let put = azure
                .put("apis/x", json!({ "displayName": name, "path": "x", "protocols": ["https"] }))
                .await;
            if put.status == 201 {
                let api = page(&azure, "/_page/apis/apim-local/x/1").await;
                let shown = &api.one("h1").text;
                prop_assert!(*shown == name || shown.contains("•••") || name.trim().is_empty(), "{shown:?} {name:?}");
            }
            Ok(())
        })?;
    }
}
