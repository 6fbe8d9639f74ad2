//! What is written over ARM is what the gateway serves.

use crate::support::{Azure, answer, client};
use apim_gateway::EchoBackend;
use apim_simulator::{Seed, SimulatorConfig};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

async fn azure() -> Azure {
    Azure::with(SimulatorConfig {
        gateway: Some(LOOPBACK),
        ..SimulatorConfig::default()
    })
    .await
}

fn openapi() -> String {
    json!({
        "openapi": "3.0.1",
        "info": { "title": "Shop", "version": "1" },
        "paths": {
            "/items/{id}": { "get": {
                "operationId": "getItem",
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
                "responses": { "200": { "description": "ok" } },
            } },
        },
    })
    .to_string()
}

async fn import(azure: &Azure, backend: &str) {
    azure
        .put(
            "apis/shop?import=true",
            json!({
                "path": "shop/v1", "displayName": "Shop", "format": "openapi+json", "value": openapi(),
                "serviceUrl": backend, "subscriptionRequired": false, "protocols": ["https"],
            }),
        )
        .await
        .expect(201);
    // A look at it ends the import.
    azure.get("apis/shop").await.expect(200);
}

/// Calls the API once, and answers all that is told of it anywhere: in the state,
/// on the page, in the journal and in the traces.
async fn called_and_told(azure: &Azure) -> String {
    let gateway = azure.simulator.gateway_url().expect("a gateway");
    let client = client(&azure.simulator);
    let call = client.get(format!("{gateway}/shop/v1/items/7"));
    answer(call.send().await.expect("an answer"))
        .await
        .expect(200);
    let mut told = format!("{:?}", azure.simulator.state("apim-local"));
    let endpoints = &azure.simulator.endpoints;
    let below = ["journal", "traces", "state"].map(|part| format!("{}/{part}", endpoints.control));
    for url in below.iter().chain([&endpoints.page]) {
        told += &answer(client.get(url).send().await.expect("an answer"))
            .await
            .expect(200)
            .text;
    }
    told
}

async fn put_policy(azure: &Azure, document: &str) -> crate::support::Answer {
    azure
        .put(
            "apis/shop/policies/policy",
            json!({ "format": "rawxml", "value": document }),
        )
        .await
}

#[tokio::test]
async fn an_api_and_its_policy_are_served_from_the_moment_they_are_written() {
    let azure = azure().await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    import(&azure, &format!("{}/base", backend.url())).await;
    let document = r#"<policies><inbound><cors allow-credentials="true">
        <allowed-origins><origin>https://shop.example</origin></allowed-origins>
        <allowed-headers><header>x-client</header></allowed-headers></cors><base />
        <rate-limit-by-key calls="2" renewal-period="60" counter-key="all" remaining-calls-header-name="x-left" />
        <set-header name="X-Team" exists-action="override"><value>catalog</value></set-header>
        </inbound><backend><base /></backend><outbound><base />
        <set-header name="X-Answer"><value>1</value></set-header></outbound></policies>"#;
    put_policy(&azure, document).await.expect(201);
    let url = format!(
        "{}/SHOP/v1/items/7?q=1",
        azure.simulator.gateway_url().expect("a gateway")
    );
    let client = client(&azure.simulator);
    let call = async || answer(client.get(&url).send().await.expect("an answer")).await;

    let first = call().await.expect(200);
    let seen = first.json();
    assert_eq!(seen["path"], "/base/items/7");
    assert_eq!(seen["query"], "q=1");
    assert_eq!(seen["headers"]["x-team"], "catalog");
    assert_eq!(seen["headers"]["x-forwarded-for"], "127.0.0.1");
    assert_eq!(
        seen["headers"]["host"],
        backend.url().replace("http://", "")
    );
    assert_eq!(first.header("x-left"), "1");
    assert_eq!(first.header("x-answer"), "1");
    call().await.expect(200);
    let third = call().await.expect(429);
    assert_eq!(
        third.text,
        "{ \"statusCode\": 429, \"message\": \"Rate limit is exceeded. Try again in 60 seconds.\" }"
    );
    assert_eq!(third.header("retry-after"), "60");
    azure.simulator.advance_clock(60_000);
    call().await.expect(200);

    let preflight = client
        .request(Method::OPTIONS, &url)
        .header("Origin", "https://shop.example")
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "X-Client")
        .send()
        .await
        .expect("an answer");
    let preflight = answer(preflight).await.expect(200);
    assert_eq!(preflight.text, "");
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        "https://shop.example"
    );
    assert_eq!(preflight.header("access-control-allow-methods"), "GET");

    azure.delete("apis/shop/policies/policy").await.expect(200);
    for _ in 0..3 {
        call().await.expect(200);
    }
    azure
        .arm(Method::DELETE, "apis/shop?deleteRevisions=true", None)
        .await;
    azure.get("apis/shop").await;
    let gone = call().await.expect(404);
    assert_eq!(
        gone.json(),
        json!({ "statusCode": 404, "message": "Resource not found" })
    );
}

#[tokio::test]
async fn a_subscription_key_is_asked_for_where_the_api_wants_one() {
    let azure = azure().await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    import(&azure, &backend.url()).await;
    let body: Value = json!({ "properties": { "subscriptionRequired": true } });
    azure
        .arm_if(Method::PATCH, "apis/shop", Some("*"), Some(body))
        .await
        .expect(200);
    let url = format!(
        "{}/shop/v1/items/7",
        azure.simulator.gateway_url().expect("a gateway")
    );
    let client = client(&azure.simulator);
    let without = answer(client.get(&url).send().await.expect("an answer")).await;
    assert_eq!(without.status, 401);
    let key = azure.simulator.endpoints.gateway_key.clone();
    let with = client
        .get(&url)
        .header("Ocp-Apim-Subscription-Key", key.expect("a key"));
    answer(with.send().await.expect("an answer"))
        .await
        .expect(200);
}

#[tokio::test]
async fn policies_that_are_not_executed_are_named_when_they_are_written_and_when_they_are_met() {
    let azure = azure().await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    import(&azure, &backend.url()).await;
    let document = "<policies><inbound><base /><redirect-content-urls /></inbound>\
                    <outbound><jsonp callback-parameter-name=\"cb\" /></outbound></policies>";
    let written = put_policy(&azure, document).await.expect(201);
    assert_eq!(
        written.header("x-simulator-not-executed"),
        "jsonp, redirect-content-urls"
    );
    let url = format!(
        "{}/shop/v1/items/7",
        azure.simulator.gateway_url().expect("a gateway")
    );
    let client = client(&azure.simulator);
    let met = answer(client.get(&url).send().await.expect("an answer")).await;
    assert_eq!(
        (
            met.status,
            met.json()["message"].as_str().unwrap_or_default()
        ),
        (
            501,
            "The local gateway does not execute the policy 'redirect-content-urls'."
        )
    );
}

#[tokio::test]
async fn a_request_is_traced_with_a_token_from_arm() {
    let azure = azure().await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    import(&azure, &backend.url()).await;
    let document = "<policies><inbound><base /><set-header name=\"X-Team\"><value>catalog</value></set-header></inbound></policies>";
    put_policy(&azure, document).await.expect(201);
    let ask = async |action: &str, body: Value| {
        let path = format!("gateways/managed/{action}");
        azure.arm(Method::POST, &path, Some(body)).await
    };
    let api = format!("{}/apis/shop", azure.service);
    let wanted = json!({ "credentialsExpireAfter": "PT1H", "apiId": api, "purposes": ["tracing"] });
    let token = ask("listDebugCredentials", wanted).await.expect(200).json();
    let url = format!(
        "{}/shop/v1/items/7",
        azure.simulator.gateway_url().expect("a gateway")
    );
    let request = client(&azure.simulator).get(&url).header(
        "Apim-Debug-Authorization",
        token["token"].as_str().expect("a token"),
    );
    let traced = answer(request.send().await.expect("an answer"))
        .await
        .expect(200);
    let id = traced.header("apim-trace-id");
    let trace = ask("listTrace", json!({ "traceId": id })).await.expect(200);
    assert_eq!(trace.json()["entries"][0]["policy"], "set-header");
    ask("listTrace", json!({ "traceId": "none" }))
        .await
        .expect(404);
    let shown = format!(
        "{}/_control/traces/{id}?format=text",
        azure.simulator.base_url
    );
    let shown = azure.send(Method::GET, &shown, &[], None).await.expect(200);
    assert!(
        shown.text.contains("+ request header X-Team: catalog"),
        "{}",
        shown.text
    );
}

#[tokio::test]
async fn what_an_imported_document_says_of_bodies_is_validated_and_mocked() {
    let azure = azure().await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    let item = json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } });
    let content = |schema: Value| json!({ "application/json": { "schema": schema, "example": { "name": "drawn" } } });
    let document = json!({
        "openapi": "3.0.1", "info": { "title": "Shop", "version": "1" },
        "paths": { "/items": {
            "post": {
                "operationId": "make",
                "requestBody": { "content": content(json!({ "$ref": "#/components/schemas/Item" })) },
                "responses": { "201": { "description": "made", "content": content(item.clone()) } },
            },
            "put": {
                "operationId": "change",
                "requestBody": { "content": content(json!({ "type": "array", "items": { "type": "integer" } })) },
                "responses": { "200": { "description": "ok" } },
            },
        } },
        "components": { "schemas": { "Item": item } },
    });
    azure
        .put(
            "apis/shop?import=true",
            json!({
                "path": "shop/v1", "format": "openapi+json", "value": document.to_string(),
                "serviceUrl": backend.url(), "subscriptionRequired": false,
            }),
        )
        .await
        .expect(201);
    azure.get("apis/shop").await.expect(200);
    let validated = r#"<policies><inbound><base />
        <validate-content unspecified-content-type-action="prevent" max-size="1000" size-exceeded-action="prevent">
        <content type="application/json" validate-as="json" action="prevent" /></validate-content>
        <choose><when condition="{{mock}}"><mock-response status-code="201" content-type="application/json" /></when></choose>
        </inbound></policies>"#;
    put_policy(&azure, &validated.replace("{{mock}}", "false"))
        .await
        .expect(201);
    let url = format!(
        "{}/shop/v1/items",
        azure.simulator.gateway_url().expect("a gateway")
    );
    let client = client(&azure.simulator);
    let send = async |method: Method, body: &str| {
        let request = client
            .request(method, &url)
            .header("content-type", "application/json")
            .body(body.to_owned());
        answer(request.send().await.expect("an answer")).await
    };
    for (method, body, expected) in [
        (Method::POST, r#"{"name": "a"}"#, 200),
        (Method::POST, r#"{"nam": "a"}"#, 400),
        (Method::PUT, "[1, 2]", 200),
        (Method::PUT, r#"["a"]"#, 400),
    ] {
        assert_eq!(send(method, body).await.status, expected, "{body}");
    }
    put_policy(&azure, &validated.replace("{{mock}}", "true"))
        .await
        .expect(200);
    let mocked = send(Method::POST, r#"{"name": "a"}"#).await;
    assert_eq!(
        (mocked.status, mocked.json()),
        (201, json!({ "name": "drawn" }))
    );
}

#[tokio::test]
async fn a_schema_of_the_service_is_validated_with_from_the_moment_it_is_there() {
    let azure = azure().await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    import(&azure, &backend.url()).await;
    let validated = r#"<policies><inbound><base />
        <validate-content unspecified-content-type-action="prevent" max-size="1000" size-exceeded-action="prevent">
        <content type="application/xml" validate-as="xml" schema-id="item" action="prevent" />
        <content type="text/xml" validate-as="soap" action="prevent" /></validate-content>
        </inbound></policies>"#;
    let written = put_policy(&azure, validated).await.expect(201);
    assert!(!written.headers.contains_key("x-simulator-not-executed"));
    let url = format!(
        "{}/shop/v1/items/1",
        azure.simulator.gateway_url().expect("a gateway")
    );
    let client = client(&azure.simulator);
    let send = async |kind: &str, body: &str| {
        let request = client
            .get(&url)
            .header("content-type", kind)
            .body(body.to_owned());
        answer(request.send().await.expect("an answer"))
            .await
            .status
    };
    let xml = "application/xml";
    assert_eq!(send(xml, "<a>1</a>").await, 400);
    let schema = |kind: &str| {
        format!(
            "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"><xs:element name=\"a\" type=\"{kind}\"/></xs:schema>"
        )
    };
    let put = async |kind: &str| {
        let properties = json!({ "schemaType": "xml", "value": schema(kind) });
        let answer = azure.put("schemas/item", properties).await;
        // A look at it ends what takes long.
        azure.get("schemas/item").await;
        answer
    };
    put("xs:int").await.expect(201);
    assert_eq!(send(xml, "<a>1</a>").await, 200);
    assert_eq!(send(xml, "<a>x</a>").await, 400);
    // One that nothing can be held against is refused; the last one stays.
    let (target, message) = put("xs:nothing").await.expect(400).detail();
    assert_eq!(target, "value");
    assert!(message.contains("nothing"), "{message}");
    assert_eq!(send(xml, "<a>x</a>").await, 400);
    put("xs:string").await.expect(200);
    assert_eq!(send(xml, "<a>x</a>").await, 200);
    // The API's own are those that its operations mean.
    let soap = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><a>1</a></s:Body></s:Envelope>";
    assert_eq!(send("text/xml", soap).await, 400);
    let own = json!({
        "contentType": "application/vnd.ms-azure-apim.xsd+xml",
        "document": { "value": schema("xs:int") },
    });
    azure.put("apis/shop/schemas/x", own).await.expect(201);
    azure.get("apis/shop/schemas/x").await.expect(200);
    assert_eq!(send("text/xml", soap).await, 200);
    assert_eq!(send("text/xml", &soap.replace('1', "x")).await, 400);
    azure.delete("schemas/item").await.expect(200);
    assert_eq!(send(xml, "<a>1</a>").await, 400);
}

#[tokio::test]
async fn an_expression_that_is_not_known_is_refused_with_its_place() {
    let azure = azure().await;
    import(&azure, "http://127.0.0.1:9").await;
    let document = "<policies>\n<inbound>\n  <set-header name=\"x\">\n    <value>@(context.Nothing.Here)</value>\n  </set-header>\n</inbound>\n</policies>";
    let refused = put_policy(&azure, document).await.expect(400);
    let (target, message) = refused.detail();
    assert_eq!(target, "set-header");
    assert!(
        message.starts_with("Error in element 'set-header' on line 3, column 4: "),
        "{message}"
    );
}

/// A certificate and its key in PEM.
fn issued(name: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// A text as a block of YAML, so deep.
fn block(text: &str, depth: usize) -> String {
    let lines = text
        .lines()
        .map(|line| format!("\n{}{line}", " ".repeat(depth)));
    format!("|{}", lines.collect::<String>())
}

/// A PKCS #12 file in Base64.
fn pfx(pem: &str, key: &str, password: &str) -> String {
    use base64::Engine as _;
    use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let certificate = Certificate::from_der(&der).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let key = PrivateKey::from_der(key.secret_der()).expect("a key");
    let mut store = KeyStore::new();
    let chain = PrivateKeyChain::new(vec![1], key, [certificate]);
    store.add_entry("one", KeyStoreEntry::PrivateKeyChain(chain));
    let writer = store.writer(password);
    let file = writer.encryption_iterations(10).mac_iterations(10).write();
    base64::engine::general_purpose::STANDARD.encode(file.expect("a file"))
}

#[tokio::test]
async fn a_certificate_is_put_as_a_file_and_its_key_is_shown_nowhere() {
    let azure = azure().await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    import(&azure, &backend.url()).await;
    let document = "<policies><inbound><base /><authentication-certificate certificate-id=\"orders\" /></inbound></policies>";
    let refused = put_policy(&azure, document).await.expect(400);
    let (_, message) = refused.detail();
    assert!(
        message.ends_with("Certificate with id 'orders' could not be found."),
        "{message}"
    );
    let (pem, key) = issued("orders.example");
    let file = pfx(&pem, &key, "pa55-word");
    for properties in [
        json!({}),
        json!({ "data": "no base64" }),
        json!({ "data": "TUlJSw==" }),
        json!({ "data": file }),
        json!({ "data": file, "password": "other" }),
    ] {
        let answer = azure.put("certificates/orders", properties).await;
        assert_eq!(answer.expect(400).detail().0, "data");
    }
    let good = json!({ "data": file, "password": "pa55-word" });
    let created = azure
        .put("certificates/Orders", good.clone())
        .await
        .expect(201)
        .json();
    assert_eq!(
        created["type"],
        "Microsoft.ApiManagement/service/certificates"
    );
    let shown = created["properties"].as_object().expect("an object");
    let fields: Vec<&String> = shown.keys().collect();
    assert_eq!(fields, ["subject", "thumbprint", "expirationDate"]);
    assert_eq!(shown["thumbprint"].as_str().map(str::len), Some(40));
    assert_eq!(azure.get("certificates/orders").await.json(), created);
    azure.put("certificates/orders", good).await.expect(200);
    assert_eq!(azure.get("certificates").await.json()["count"], 1);
    put_policy(&azure, document).await.expect(201);
    let told = called_and_told(&azure).await;
    assert!(told.contains("[redacted]"), "{told}");
    let lines = key.lines().filter(|line| !line.starts_with("-----"));
    for secret in lines.chain(["pa55-word", &file]) {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    azure.delete("certificates/orders").await.expect(200);
    azure.delete("certificates/orders").await.expect(204);
    put_policy(&azure, document).await.expect(400);
}

#[tokio::test]
async fn what_policies_name_may_come_from_a_key_vault_and_is_read_again_when_it_is_refreshed() {
    let azure = azure().await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    import(&azure, &backend.url()).await;
    let keep = async |name: &str, value: &str| {
        let path = format!("vaults/kv-local/secrets/{name}");
        let body = json!({ "value": value });
        let kept = azure.control(Method::PUT, &path, Some(body)).await;
        kept.expect(200);
    };
    let reference = |name: &str| json!({ "secretIdentifier": format!("https://kv-local.vault.azure.net/secrets/{name}") });

    keep("partner", "first-p4rtner").await;
    let named = json!({ "displayName": "Key", "secret": true, "keyVault": reference("partner") });
    azure.put("namedValues/key", named).await.expect(201);
    azure.get("namedValues/key").await.expect(200);
    let document = "<policies><inbound><base /><check-header name=\"X-Key\" failed-check-httpcode=\"401\" failed-check-error-message=\"no\" \
        ignore-case=\"false\"><value>{{Key}}</value></check-header><authentication-certificate certificate-id=\"orders\" /></inbound></policies>";
    put_policy(&azure, document).await.expect(400);

    let (pem, key) = issued("orders.example");
    for (secret, why) in [
        ("no base64", "The certificate's data is not Base64."),
        (
            "TUlJSw==",
            "The certificate cannot be used: it is no PKCS #12 file, or the password is wrong.",
        ),
        (
            &pfx(&pem, &key, "pa55-word"),
            "The certificate cannot be used: it is no PKCS #12 file, or the password is wrong.",
        ),
    ] {
        keep("orders", secret).await;
        let held = json!({ "keyVault": reference("orders") });
        let refused = azure.put("certificates/orders", held).await.expect(400);
        let expected = ("keyVault.secretIdentifier".to_owned(), why.to_owned());
        assert_eq!(refused.detail(), expected);
    }
    let file = pfx(&pem, &key, "");
    keep("orders", &file).await;
    let both = json!({ "keyVault": reference("orders"), "data": file });
    let refused = azure.put("certificates/orders", both).await.expect(400);
    assert_eq!(refused.detail().0, "data");
    let missing = json!({ "keyVault": reference("nothing") });
    let refused = azure.put("certificates/orders", missing).await.expect(400);
    assert_eq!(refused.detail().0, "keyVault.secretIdentifier");
    let held = json!({ "keyVault": reference("orders") });
    let created = azure.put("certificates/orders", held).await.expect(201);
    let shown = &created.json()["properties"];
    assert_eq!(shown["thumbprint"].as_str().map(str::len), Some(40));
    assert_eq!(shown["keyVault"]["lastStatus"]["code"], "Success");
    put_policy(&azure, document).await.expect(201);

    let gateway = azure.simulator.gateway_url().expect("a gateway");
    let client = client(&azure.simulator);
    let status = async |sent: &str| {
        let call = client.get(format!("{gateway}/shop/v1/items/7"));
        let call = call.header("X-Key", sent).send().await;
        call.expect("an answer").status().as_u16()
    };
    assert_eq!(status("first-p4rtner").await, 200);
    assert_eq!(status("").await, 401);
    // What changes in the vault holds when the service has looked again.
    keep("partner", "second-p4rtner").await;
    assert_eq!(status("first-p4rtner").await, 200);
    let refresh = azure.arm(Method::POST, "namedValues/key/refreshSecret", None);
    refresh.await.expect(200);
    assert_eq!(status("first-p4rtner").await, 401);
    assert_eq!(status("second-p4rtner").await, 200);

    let (pem, key) = issued("orders.example");
    keep("orders", &pfx(&pem, &key, "")).await;
    let refresh = azure.arm(Method::POST, "certificates/orders/refreshSecret", None);
    let refreshed = refresh.await.expect(200).json();
    assert_ne!(refreshed["properties"]["thumbprint"], shown["thumbprint"]);
    assert_eq!(azure.get("certificates/orders").await.json(), refreshed);
    assert_eq!(status("second-p4rtner").await, 200);

    let endpoints = &azure.simulator.endpoints;
    let lines = key.lines().filter(|line| !line.starts_with("-----"));
    let secrets: Vec<&str> = lines.chain(["p4rtner", &file]).collect();
    let journal = format!("{}/journal", endpoints.control);
    for url in [&journal, &endpoints.page] {
        let told = client.get(url).send().await.expect("an answer");
        let told = answer(told).await.expect(200).text;
        for secret in &secrets {
            assert!(!told.contains(secret), "{secret}: {told}");
        }
    }
}

#[tokio::test]
async fn a_seed_gives_certificates_whose_keys_stay_secret() {
    let (pem, key) = issued("orders.example");
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("seed.yaml");
    let seed = |key: &str| {
        let text = format!(
            "services:\n- name: apim-local\n  certificates:\n    public:\n      pem: {}\n    orders:\n      pem: {}\n      key: {}\n",
            block(&pem, 8),
            block(&pem, 8),
            block(key, 8)
        );
        std::fs::write(&file, text).expect("written");
        Seed::from_file(&file).map_err(|error| error.to_string())
    };
    // One of another certificate.
    let (_, other) = issued("other.example");
    assert_eq!(
        seed(&other).map(|_| ()),
        Err("services[0].certificates.orders: its private key is not the certificate's, or of a kind that is not supported".to_owned())
    );
    let azure = Azure::with(SimulatorConfig {
        gateway: Some(LOOPBACK),
        seed: seed(&key).expect("a seed"),
        trace_requests: true,
        ..SimulatorConfig::default()
    })
    .await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    import(&azure, &backend.url()).await;
    let document = |id: &str| {
        format!(
            "<policies><inbound><base /><authentication-certificate certificate-id=\"{id}\" /></inbound></policies>"
        )
    };
    let position = "Error in element 'authentication-certificate' on line 1, column 29: ";
    for (id, why) in [
        ("nobody", "Certificate with id 'nobody' could not be found."),
        (
            "public",
            "Certificate with id 'public' cannot be shown to a backend: it has no private key.",
        ),
    ] {
        let refused = put_policy(&azure, &document(id)).await.expect(400);
        assert_eq!(
            refused.detail(),
            (
                "authentication-certificate".to_owned(),
                format!("{position}{why}")
            )
        );
    }
    let written = put_policy(&azure, &document("orders")).await.expect(201);
    assert!(!written.headers.contains_key("x-simulator-not-executed"));
    let told = called_and_told(&azure).await;
    assert!(told.contains("orders"), "{told}");
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!told.contains(line), "{told}");
    }
}

#[tokio::test]
async fn a_version_is_found_by_segment_header_or_parameter_as_its_set_says_now() {
    let azure = azure().await;
    let backend = EchoBackend::start(LOOPBACK).await.expect("a backend");
    let set = json!({ "displayName": "Shop", "versioningScheme": "Segment" });
    azure.put("apiVersionSets/shop", set).await.expect(201);
    for version in ["v1", "v2"] {
        let id = format!("apis/{version}");
        azure
            .put(
                &format!("{id}?import=true"),
                json!({
                    "path": "shop", "format": "openapi+json", "value": openapi(), "subscriptionRequired": false,
                    "serviceUrl": format!("{}/{version}", backend.url()), "apiVersion": version,
                    "apiVersionSetId": format!("{}/apiVersionSets/shop", azure.service),
                }),
            )
            .await
            .expect(201);
        azure.get(&id).await.expect(200);
    }
    let gateway = azure.simulator.gateway_url().expect("a gateway");
    let client = client(&azure.simulator);
    let call = async |path: &str, header: Option<&str>| {
        let request = client.get(format!("{gateway}/{path}"));
        let request = match header {
            Some(version) => request.header("x-version", version),
            None => request,
        };
        answer(request.send().await.expect("an answer")).await
    };
    let backend_path = |answer: crate::support::Answer| answer.expect(200).json()["path"].clone();
    for version in ["v1", "v2"] {
        let path = format!("shop/{version}/items/7");
        assert_eq!(
            backend_path(call(&path, None).await),
            format!("/{version}/items/7")
        );
    }
    call("shop/items/7", None).await.expect(404);

    let by_header =
        json!({ "properties": { "versioningScheme": "Header", "versionHeaderName": "x-version" } });
    azure
        .arm(Method::PATCH, "apiVersionSets/shop", Some(by_header))
        .await
        .expect(200);
    assert_eq!(
        backend_path(call("shop/items/7", Some("v2")).await),
        "/v2/items/7"
    );
    call("shop/items/7", None).await.expect(404);
    call("shop/items/7", Some("v3")).await.expect(404);

    let by_query =
        json!({ "properties": { "versioningScheme": "Query", "versionQueryName": "api-version" } });
    azure
        .arm(Method::PATCH, "apiVersionSets/shop", Some(by_query))
        .await
        .expect(200);
    assert_eq!(
        backend_path(call("shop/items/7?api-version=v1", None).await),
        "/v1/items/7"
    );
    call("shop/items/7", Some("v1")).await.expect(404);
}
