use super::support::{Azure, petstore};
use apim_simulator::{LroSettings, Seed, SimulatorConfig};
use axum::Router;
use axum::routing::get;
use reqwest::Method;
use serde_json::{Value, json};

async fn operations(azure: &Azure, api: &str) -> Vec<(String, String, String)> {
    let body = azure
        .get(&format!("apis/{api}/operations"))
        .await
        .expect(200)
        .json();
    let items = body["value"].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    items
        .iter()
        .map(|item| {
            let properties = &item["properties"];
            (
                text(&item["name"]),
                text(&properties["method"]),
                text(&properties["urlTemplate"]),
            )
        })
        .collect()
}

fn owned(list: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    list.iter()
        .map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned()))
        .collect()
}

#[tokio::test]
async fn an_import_takes_from_the_document_what_the_request_does_not_send() {
    let azure = Azure::start().await;
    azure.import("pets", "pets", &petstore()).await;
    let properties = azure.get("apis/pets").await.json()["properties"].clone();
    assert_eq!(properties["displayName"], "Pets");
    assert_eq!(properties["description"], "All pets");
    assert_eq!(properties["serviceUrl"], "https://pets.example.com/v1");
    assert_eq!(properties["subscriptionRequired"], true);
    assert_eq!(
        operations(&azure, "pets").await,
        owned(&[
            ("listpets", "GET", "/pets"),
            ("getpet", "GET", "/pets/{id}")
        ])
    );
    let schemas = azure.get("apis/pets/schemas").await.json();
    assert_eq!(
        schemas["value"][0]["properties"]["document"]["components"]["schemas"],
        json!({ "Pet": { "type": "object" } })
    );

    // What the request sends stays, what it does not is reset.
    let body = json!({
        "path": "pets", "format": "openapi+json", "value": petstore().to_string(),
        "displayName": "Mine", "serviceUrl": "https://mine.example.com", "subscriptionRequired": false,
        "apiRevisionDescription": "mark",
    });
    azure.put("apis/pets", body).await.expect(200);
    let properties = azure.get("apis/pets").await.json()["properties"].clone();
    assert_eq!(properties["displayName"], "Mine");
    assert_eq!(properties["serviceUrl"], "https://mine.example.com");
    assert_eq!(properties["subscriptionRequired"], false);
    azure.import("pets", "pets", &petstore()).await;
    let properties = azure.get("apis/pets").await.json()["properties"].clone();
    assert_eq!(properties["displayName"], "Pets");
    assert_eq!(properties["serviceUrl"], "https://pets.example.com/v1");
    assert_eq!(properties["subscriptionRequired"], true);
    assert_eq!(properties["apiRevisionDescription"], "mark");
}

#[tokio::test]
async fn a_second_import_updates_in_place_and_deletes_what_is_gone_with_its_policy() {
    let azure = Azure::start().await;
    azure.import("pets", "pets", &petstore()).await;
    let policy = json!({ "value": "<policies><inbound><base /></inbound></policies>" });
    for operation in ["listpets", "getpet"] {
        let path = format!("apis/pets/operations/{operation}/policies/policy");
        azure.put(&path, policy.clone()).await.expect(201);
    }
    let kept = azure
        .get("apis/pets/operations/listpets")
        .await
        .header("etag")
        .to_owned();

    let mut document = petstore();
    let paths = document["paths"].as_object_mut().expect("paths");
    paths.remove("/pets/{id}");
    paths.insert(
        "/toys".to_owned(),
        json!({ "get": { "responses": { "200": { "description": "" } } } }),
    );
    azure.import("pets", "pets", &document).await;
    assert_eq!(
        operations(&azure, "pets").await,
        owned(&[("listpets", "GET", "/pets"), ("get-toys", "GET", "/toys")])
    );
    assert_eq!(
        azure
            .get("apis/pets/operations/listpets")
            .await
            .header("etag"),
        kept
    );
    azure
        .get("apis/pets/operations/listpets/policies/policy")
        .await
        .expect(200);
    azure
        .get("apis/pets/operations/getpet/policies/policy")
        .await
        .expect(404);

    // A new id for the same method and template inherits the policy.
    document["paths"]["/pets"]["get"]["operationId"] = "allPets".into();
    azure.import("pets", "pets", &document).await;
    azure
        .get("apis/pets/operations/allpets/policies/policy")
        .await
        .expect(200);
}

#[tokio::test]
async fn fields_that_an_import_is_told_to_reset_are_reset_although_they_were_sent() {
    let azure = Azure::start().await;
    azure.simulator.set_lro(LroSettings {
        import_resets: vec![
            "serviceUrl".to_owned(),
            "subscriptionKeyParameterNames".to_owned(),
        ],
        ..LroSettings::default()
    });
    let body = json!({
        "path": "pets", "format": "openapi+json", "value": petstore().to_string(),
        "serviceUrl": "https://mine.example.com", "displayName": "Mine",
        "subscriptionKeyParameterNames": {"header": "X-Key"},
    });
    azure.put("apis/pets", body).await.expect(201);
    let properties = azure.get("apis/pets").await.json()["properties"].clone();
    assert_eq!(properties["serviceUrl"], "https://pets.example.com/v1");
    assert_eq!(properties["displayName"], "Mine");
    assert_eq!(
        properties["subscriptionKeyParameterNames"]["header"],
        "Ocp-Apim-Subscription-Key"
    );
}

#[tokio::test]
async fn a_document_that_does_not_parse_fails_the_operation_and_leaves_the_api_alone() {
    let azure = Azure::start().await;
    azure.import("pets", "pets", &petstore()).await;
    let before = azure.get("apis/pets").await;
    let body = json!({ "path": "pets", "format": "openapi", "value": "openapi: 3.0.1\ninfo: : x" });
    let accepted = azure.put("apis/pets", body).await.expect(200);
    let failed = azure
        .follow(accepted.header("azure-asyncoperation"))
        .await
        .expect(200)
        .json();
    assert_eq!(failed["status"], "Failed");
    assert_eq!(failed["error"]["code"], "ValidationError");
    assert_eq!(failed["error"]["details"][0]["target"], "representation");
    let message = failed["error"]["details"][0]["message"]
        .as_str()
        .expect("text");
    assert!(message.starts_with("Parsing error(s): "), "{message}");
    let location = azure.follow(accepted.header("location")).await;
    assert_eq!(location.error(), (400, "ValidationError".to_owned()));
    let after = azure.get("apis/pets").await;
    assert_eq!(
        (after.json(), after.header("etag")),
        (before.json(), before.header("etag"))
    );
    assert_eq!(operations(&azure, "pets").await.len(), 2);
}

#[tokio::test]
async fn an_import_is_checked_at_once_where_the_service_can() {
    let azure = Azure::start().await;
    let document = petstore().to_string();
    for (body, target) in [
        (json!({ "path": "a", "format": "openapi+json" }), "value"),
        (json!({ "path": "a", "value": document }), "format"),
        (
            json!({ "path": "a", "format": "raml", "value": document }),
            "format",
        ),
        (
            json!({ "path": "a", "format": "openapi+json", "value": document, "backendId": null }),
            "backendId",
        ),
    ] {
        assert_eq!(
            azure
                .put("apis/a", body.clone())
                .await
                .expect(400)
                .detail()
                .0,
            target,
            "{body}"
        );
    }
    let body = json!({ "path": "a", "displayName": "a" });
    let forced = azure
        .put("apis/a?import=true", body)
        .await
        .expect(400)
        .json();
    assert_eq!(forced["error"]["details"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_link_is_fetched_by_the_service_itself() {
    let azure = Azure::start().await;
    let text = petstore().to_string();
    let router = Router::new().route("/pets.json", get(move || async move { text }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });

    let link = |path: &str| json!({ "path": "pets", "format": "openapi+json-link", "value": format!("http://{address}/{path}") });
    azure.put("apis/pets", link("pets.json")).await.expect(201);
    azure.get("apis/pets").await.expect(200);
    assert_eq!(operations(&azure, "pets").await.len(), 2);

    let accepted = azure.put("apis/pets", link("gone.json")).await.expect(200);
    let failed = azure
        .follow(accepted.header("azure-asyncoperation"))
        .await
        .json();
    assert_eq!(failed["status"], "Failed");
    assert_eq!(
        failed["error"]["details"][0]["message"],
        format!(
            "Unable to retrieve the document at 'http://{address}/gone.json': the server answered 404 Not Found."
        )
    );
}

#[tokio::test]
async fn an_export_leads_to_a_document_with_the_same_operations() {
    let azure = Azure::start().await;
    azure.import("pets", "pets", &petstore()).await;
    let body = azure
        .get("apis/pets?export=true&format=openapi%2Bjson-link")
        .await
        .expect(200)
        .json();
    let link = body["value"]["link"].as_str().expect("a link").to_owned();
    assert_eq!(body["link"], link.as_str());
    let document = azure.follow(&link).await.expect(200).json();
    assert_eq!(document["info"]["title"], "Pets");
    assert_eq!(
        document["servers"][0]["url"],
        "https://apim-local.azure-api.net/pets"
    );
    assert_eq!(
        document["paths"]["/pets/{id}"]["get"]["operationId"],
        "getpet"
    );
    azure.simulator.advance_clock(300_000);
    azure.follow(&link).await.expect(403);
    azure
        .arm(Method::GET, "apis/pets?export=true&format=raml", None)
        .await
        .expect(400);
}

#[tokio::test]
async fn required_query_parameters_go_into_the_template_unless_told_otherwise() {
    let azure = Azure::start().await;
    let mut document = petstore();
    document["paths"]["/pets"]["get"]["parameters"] = json!([{ "name": "kind", "in": "query", "required": true, "schema": { "type": "string" } }]);
    azure.import("pets", "pets", &document).await;
    let operation = "apis/pets/operations/listpets";
    let before = azure.get(operation).await.json()["properties"].clone();
    assert_eq!(before["urlTemplate"], "/pets?kind={kind}");
    let body = json!({
        "path": "pets", "format": "openapi+json", "value": document.to_string(),
        "translateRequiredQueryParameters": "query",
    });
    azure.put("apis/pets", body).await.expect(200);
    azure.get("apis/pets").await.expect(200);
    let after = azure.get(operation).await.json()["properties"].clone();
    assert_eq!(after["urlTemplate"], "/pets");
    assert_eq!(after["templateParameters"], json!([]));
    assert_eq!(
        after["request"]["queryParameters"],
        before["templateParameters"]
    );
}

#[tokio::test]
async fn a_basic_v2_service_takes_a_hundred_operations_per_api() {
    let mut seed = Seed::default();
    "BasicV2".clone_into(&mut seed.services[0].sku);
    let azure = Azure::with(SimulatorConfig {
        seed,
        ..SimulatorConfig::default()
    })
    .await;
    let document = |count: usize| {
        let mut document = petstore();
        document["paths"] = (0..count)
            .map(|number| {
                let item = json!({ "get": { "responses": { "200": { "description": "" } } } });
                (format!("/p{number}"), item)
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        document
    };
    azure.import("pets", "pets", &document(100)).await;
    let page = azure.get("apis/pets/operations?$top=1").await.json();
    assert_eq!(page["count"], 100);
    let body =
        json!({ "path": "pets", "format": "openapi+json", "value": document(101).to_string() });
    let accepted = azure.put("apis/pets", body).await.expect(200);
    let failed = azure
        .follow(accepted.header("azure-asyncoperation"))
        .await
        .json();
    let message = failed["error"]["details"][0]["message"]
        .as_str()
        .expect("text");
    assert!(
        message.starts_with("You've reached the maximum number of Operations (100) in API."),
        "{message}"
    );
    assert_eq!(
        azure.get("apis/pets/operations?$top=1").await.json()["count"],
        100
    );
    assert_eq!(
        azure.get("apis/pets").await.json()["properties"]["displayName"],
        "Pets"
    );
}
