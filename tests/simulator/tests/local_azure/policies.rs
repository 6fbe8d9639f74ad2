use super::support::{Azure, petstore};
use reqwest::Method;
use serde_json::json;

const COMPACT: &str = "<policies><inbound><base /><set-variable name=\"a\" value=\"b\" /></inbound><backend><base /></backend><outbound><base /></outbound><on-error><base /></on-error></policies>";

#[tokio::test]
async fn a_policy_comes_back_indented_with_crlf_and_tab_in_the_format_asked_for() {
    let azure = Azure::start().await;
    azure.api("a", "a").await;
    let created = azure
        .put("apis/a/policies/policy", json!({ "value": COMPACT }))
        .await
        .expect(201);
    let indented = "<policies>\r\n\t<inbound>\r\n\t\t<base />\r\n\t\t<set-variable name=\"a\" value=\"b\" />\r\n\t</inbound>\r\n\t<backend>\r\n\t\t<base />\r\n\t</backend>\r\n\t<outbound>\r\n\t\t<base />\r\n\t</outbound>\r\n\t<on-error>\r\n\t\t<base />\r\n\t</on-error>\r\n</policies>";
    assert_eq!(
        created.json(),
        json!({
            "id": format!("{}/apis/a/policies/policy", azure.service),
            "type": "Microsoft.ApiManagement/service/apis/policies", "name": "policy",
            "properties": { "format": "xml", "value": indented },
        })
    );
    let again = azure
        .put("apis/a/policies/policy", json!({ "value": indented }))
        .await
        .expect(200);
    assert_eq!(again.header("etag"), created.header("etag"));

    let raw = COMPACT.replace("value=\"b\"", "value=\"@(1 > 0 ? \"x\" : \"y\")\"");
    let body = json!({ "format": "rawxml", "value": raw });
    let changed = azure.put("apis/a/policies/policy", body).await.expect(200);
    assert_ne!(changed.header("etag"), created.header("etag"));
    assert_eq!(changed.json()["properties"]["format"], "rawxml");
    let read = |format: &'static str| {
        let azure = &azure;
        async move {
            let body = azure
                .get(&format!("apis/a/policies/policy?format={format}"))
                .await
                .json();
            body["properties"]["value"]
                .as_str()
                .expect("text")
                .to_owned()
        }
    };
    assert!(
        read("rawxml")
            .await
            .contains(r#"value="@(1 > 0 ? "x" : "y")""#)
    );
    assert!(
        read("xml")
            .await
            .contains("value=\"@(1 &gt; 0 ? &quot;x&quot; : &quot;y&quot;)\"")
    );
    assert_eq!(
        azure
            .get("apis/a/policies/policy?format=yaml")
            .await
            .detail()
            .0,
        "format"
    );
    assert_eq!(azure.get("apis/a/policies").await.json()["count"], 1);
    azure.delete("apis/a/policies/policy").await.expect(200);
    azure.delete("apis/a/policies/policy").await.expect(204);
    assert_eq!(
        azure.get("apis/a/policies/policy").await.json()["error"]["message"],
        "Policy not found."
    );
}

#[tokio::test]
async fn a_policy_is_refused_until_what_it_refers_to_exists() {
    let azure = Azure::start().await;
    azure.api("a", "a").await;
    let policy = "<policies><inbound><set-backend-service backend-id=\"b\" /><include-fragment fragment-id=\"f\" /><set-variable name=\"v\" value=\"{{Key}}\" /></inbound></policies>";
    let body = || json!({ "format": "rawxml", "value": policy });
    let refused = azure
        .put("apis/a/policies/policy", body())
        .await
        .expect(400)
        .json();
    let messages: Vec<&str> = refused["error"]["details"]
        .as_array()
        .expect("details")
        .iter()
        .filter_map(|detail| detail["message"].as_str())
        .collect();
    assert!(
        messages
            .iter()
            .any(|text| text.contains("Backend with id 'b' could not be found.")),
        "{messages:?}"
    );
    assert!(
        messages
            .iter()
            .any(|text| text.contains("Policy fragment with id 'f' could not be found.")),
        "{messages:?}"
    );
    assert!(
        messages
            .iter()
            .any(|text| text.contains("Cannot find a property 'Key'")),
        "{messages:?}"
    );

    for (path, properties) in [
        (
            "backends/b",
            json!({ "url": "https://b.example.com", "protocol": "http" }),
        ),
        ("policyFragments/f", json!({ "value": "<fragment />" })),
        (
            "namedValues/n",
            json!({ "displayName": "Key", "value": "v" }),
        ),
    ] {
        let body = json!({ "properties": properties });
        azure
            .control(Method::PUT, &format!("state/{path}"), Some(body))
            .await
            .expect(201);
    }
    azure
        .put("apis/a/policies/policy", body())
        .await
        .expect(201);
}

#[tokio::test]
async fn an_operation_policy_needs_its_operation_and_an_api_policy_its_api() {
    let azure = Azure::start().await;
    let body = || json!({ "value": COMPACT });
    let api = azure.put("apis/a/policies/policy", body()).await;
    assert_eq!(api.error(), (404, "ResourceNotFound".to_owned()));
    azure.api("a", "a").await;
    let operation = azure
        .put("apis/a/operations/get/policies/policy", body())
        .await
        .expect(400);
    assert_eq!(
        operation.detail().1,
        "Entity with specified identifier not found"
    );
    azure.import("a", "a", &petstore()).await;
    let created = azure
        .put("apis/a/operations/listpets/policies/policy", body())
        .await
        .expect(201);
    assert_eq!(
        created.json()["type"],
        "Microsoft.ApiManagement/service/apis/operations/policies"
    );
    assert_eq!(
        azure.put("apis/a/policies/mine", body()).await.detail().0,
        "policyId"
    );
    let format = json!({ "format": "yaml", "value": COMPACT });
    assert_eq!(
        azure.put("apis/a/policies/policy", format).await.detail().0,
        "format"
    );
}

#[tokio::test]
async fn a_service_always_has_a_policy() {
    let azure = Azure::start().await;
    let default = azure.get("policies/policy").await.expect(200);
    let value = "<policies><inbound /><backend><forward-request /></backend><outbound><set-header name=\"X\" exists-action=\"delete\" /></outbound></policies>";
    azure
        .put("policies/policy", json!({ "value": value }))
        .await
        .expect(200);
    azure.delete("policies/policy").await.expect(200);
    let after = azure.get("policies/policy").await.expect(200);
    assert_eq!(after.json(), default.json());
    assert_ne!(after.header("etag"), default.header("etag"));
}
