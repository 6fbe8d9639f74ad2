use super::support::Azure;
use apim_simulator::{LroMode, LroSettings, SimulatorConfig};
use reqwest::Method;
use serde_json::{Value, json};

async fn synchronous() -> Azure {
    let lro = LroSettings {
        mode: LroMode::Sync,
        ..LroSettings::default()
    };
    Azure::with(SimulatorConfig {
        lro,
        ..SimulatorConfig::default()
    })
    .await
}

#[tokio::test]
async fn a_secret_named_value_is_shown_by_list_value_only() {
    let azure = synchronous().await;
    let properties = json!({ "displayName": "Key", "value": "s3cret", "secret": true });
    let created = azure
        .put("namedValues/key", properties)
        .await
        .expect(201)
        .json();
    let shown = json!({ "displayName": "Key", "tags": null, "secret": true, "provisioningState": "Succeeded" });
    assert_eq!(created["properties"], shown);
    assert_eq!(
        azure.get("namedValues/key").await.json()["properties"],
        shown
    );
    let value = azure
        .arm(Method::POST, "namedValues/key/listValue", None)
        .await
        .expect(200);
    assert_eq!(value.json(), json!({ "value": "s3cret" }));

    let twin = azure
        .put(
            "namedValues/other",
            json!({ "displayName": "Key", "value": "v" }),
        )
        .await;
    assert_eq!(twin.detail().0, "displayName");
    for (properties, target) in [
        (json!({ "displayName": "a b", "value": "v" }), "displayName"),
        (json!({ "displayName": "a", "value": "  " }), "value"),
        (json!({ "displayName": "a" }), "value"),
        (
            json!({ "displayName": "a", "value": "v".repeat(4097) }),
            "value",
        ),
        (
            json!({ "displayName": "a", "value": "v", "keyVault": { "secretIdentifier": "https://kv/secrets/a" } }),
            "value",
        ),
        (
            json!({ "displayName": "a", "keyVault": { "secretIdentifier": "http://kv/secrets/a" } }),
            "keyVault.secretIdentifier",
        ),
        (
            json!({ "displayName": "a", "keyVault": { "secretIdentifier": "https://kv/keys/a" } }),
            "keyVault.secretIdentifier",
        ),
    ] {
        assert_eq!(
            azure
                .put("namedValues/a", properties)
                .await
                .expect(400)
                .detail()
                .0,
            target
        );
    }
    azure.delete("namedValues/key").await.expect(200);
    azure.delete("namedValues/key").await.expect(204);
    assert_eq!(
        azure.get("namedValues/key").await.error(),
        (404, "ResourceNotFound".to_owned())
    );
}

#[tokio::test]
async fn a_named_value_that_a_policy_uses_cannot_be_deleted() {
    let azure = synchronous().await;
    let properties = json!({ "displayName": "Key", "value": "s3cret", "secret": true });
    azure.put("namedValues/key", properties).await.expect(201);
    let policy = |inbound: &str| {
        json!({
            "format": "rawxml",
            "value": format!("<policies><inbound><base />{inbound}</inbound><backend><base /></backend>\
                <outbound><base /></outbound><on-error><base /></on-error></policies>"),
        })
    };
    azure.api("a", "a").await;
    let using = policy("<set-header name=\"x\"><value>{{Key}}</value></set-header>");
    azure.put("apis/a/policies/policy", using).await.expect(201);
    let refused = azure.delete("namedValues/key").await;
    assert_eq!(
        refused.detail(),
        (
            "displayName".to_owned(),
            "Property 'Key' cannot be deleted because it is used in a policy of API 'a'."
                .to_owned()
        )
    );
    azure
        .put("apis/a/policies/policy", policy(""))
        .await
        .expect(200);
    azure.delete("namedValues/key").await.expect(200);
}

#[tokio::test]
async fn a_backend_has_a_url_and_a_protocol_and_a_title_that_may_be_null() {
    let azure = synchronous().await;
    let properties = json!({ "url": "https://b.example.com", "protocol": "http" });
    let created = azure.put("backends/b", properties).await.expect(201);
    assert_eq!(
        created.json()["properties"],
        json!({ "title": null, "url": "https://b.example.com", "protocol": "http" })
    );
    let body = json!({ "properties": { "title": "B" } });
    let patched = azure
        .arm(Method::PATCH, "backends/b", Some(body))
        .await
        .expect(200);
    assert_eq!(patched.json()["properties"]["title"], "B");
    assert_ne!(patched.header("etag"), created.header("etag"));
    for (properties, target) in [
        (
            json!({ "url": "https://b", "protocol": "gopher" }),
            "protocol",
        ),
        (json!({ "url": "b", "protocol": "http" }), "url"),
        (
            json!({ "url": "https://b", "protocol": "http", "description": "" }),
            "description",
        ),
    ] {
        assert_eq!(azure.put("backends/c", properties).await.detail().0, target);
    }
    let long = format!("backends/{}", "b".repeat(81));
    let properties = json!({ "url": "https://b", "protocol": "http" });
    assert_eq!(azure.put(&long, properties).await.detail().0, "id");
}

#[tokio::test]
async fn a_fragment_is_checked_and_its_etag_has_the_other_byte_order() {
    let azure = synchronous().await;
    let properties = json!({ "description": "d", "value": "<fragment></fragment>" });
    let created = azure
        .put("policyFragments/f-1", properties)
        .await
        .expect(201);
    let body = created.json();
    assert_eq!(body["id"], format!("{}/policyfragments/f-1", azure.service));
    assert_eq!(
        body["properties"],
        json!({ "description": "d", "value": "<fragment></fragment>", "provisioningState": "Succeeded" })
    );
    // Row version 0x11c02; the other order would be "AAAAAAABHAI=".
    assert_eq!(created.header("etag"), "\"AhwBAAAAAAA=\"");
    let broken = azure
        .put("policyFragments/f", json!({ "value": "<fragment>" }))
        .await
        .expect(400);
    assert_eq!(broken.detail().0, "representation");
    let unknown = json!({ "value": "<fragment><no-such-policy /></fragment>" });
    azure.put("policyFragments/f", unknown).await.expect(400);
    assert_eq!(
        azure
            .put("policyFragments/-f", json!({ "value": "<fragment />" }))
            .await
            .detail()
            .0,
        "id"
    );
}

#[tokio::test]
async fn a_pool_has_backends_that_are_there_and_keeps_them() {
    let azure = synchronous().await;
    let single = || json!({ "url": "https://b", "protocol": "http" });
    azure.put("backends/west", single()).await.expect(201);
    let service = azure
        .put("backends/east", single())
        .await
        .expect(201)
        .json();
    let id = |id: &str| {
        service["id"]
            .as_str()
            .unwrap()
            .replace("/backends/east", id)
    };
    let pool = |kind: &str, members: &[&str]| {
        let services: Vec<Value> = members.iter().map(|one| json!({ "id": id(one) })).collect();
        json!({ "url": "https://b", "protocol": "http", "type": kind, "pool": { "services": services } })
    };
    let both = ["/backends/west", "/backends/EAST"];
    azure
        .put("backends/all", pool("Pool", &both))
        .await
        .expect(201);
    for wrong in [
        pool("Pool", &["/backends/north"]),
        pool("Pool", &["/backends/all"]),
        pool("Single", &both),
        json!({ "url": "https://b", "protocol": "http", "type": "Pool" }),
    ] {
        let refused = azure.put("backends/other", wrong).await;
        assert_eq!(refused.detail().0, "pool");
    }
    let mut shows = single();
    shows["credentials"] = json!({ "certificateIds": [id("/certificates/edge")] });
    let refused = azure.put("backends/other", shows).await;
    assert_eq!(refused.detail().0, "certificateIds");
    assert_eq!(azure.delete("backends/east").await.detail().0, "pool");
    azure.delete("backends/all").await.expect(200);
    azure.delete("backends/east").await.expect(200);
}

#[tokio::test]
async fn an_openid_provider_keeps_its_secret_to_list_secrets() {
    let azure = synchronous().await;
    let properties = json!({
        "displayName": "Entra", "metadataEndpoint": "https://login.example.com/.well-known/openid-configuration",
        "clientId": "c", "clientSecret": "s3cret",
    });
    let created = azure
        .put("openidConnectProviders/AzureAD", properties)
        .await
        .expect(201)
        .json();
    assert_eq!(
        created["type"],
        "Microsoft.ApiManagement/service/openidconnectproviders"
    );
    assert_eq!(
        created["properties"],
        json!({
            "displayName": "Entra",
            "metadataEndpoint": "https://login.example.com/.well-known/openid-configuration",
            "clientId": "c", "useInTestConsole": true, "useInApiDocumentation": false,
        })
    );
    let secrets = azure
        .arm(
            Method::POST,
            "openidConnectProviders/AzureAD/listSecrets",
            None,
        )
        .await;
    assert_eq!(
        secrets.expect(200).json(),
        json!({ "clientSecret": "s3cret" })
    );
    let api = json!({
        "displayName": "a", "path": "a",
        "authenticationSettings": { "openid": { "openidProviderId": "AzureAD", "bearerTokenSendingMethods": ["authorizationHeader"] } },
    });
    azure.put("apis/a", api).await.expect(201);
    assert_eq!(
        azure.get("apis/a").await.json()["properties"]["authenticationSettings"]["openidAuthenticationSettings"],
        json!([{ "openidProviderId": "AzureAD", "bearerTokenSendingMethods": ["authorizationHeader"] }])
    );
    let long =
        json!({ "displayName": "x".repeat(51), "metadataEndpoint": "https://a", "clientId": "c" });
    assert_eq!(
        azure.put("openidConnectProviders/b", long).await.detail().0,
        "displayName"
    );
    let relative = json!({ "displayName": "x", "metadataEndpoint": "a", "clientId": "c" });
    assert_eq!(
        azure
            .put("openidConnectProviders/b", relative)
            .await
            .detail()
            .0,
        "metadataEndpoint"
    );
}

#[tokio::test]
async fn operations_are_unique_by_method_and_template_and_declare_their_parameters() {
    let azure = Azure::start().await;
    azure.api("a", "a").await;
    let get = json!({ "displayName": "Get", "method": "GET", "urlTemplate": "/v1/{id}" });
    let undeclared = azure
        .put("apis/a/operations/get", get.clone())
        .await
        .expect(400);
    assert_eq!(undeclared.detail().0, "templateParameters");
    let mut declared = get;
    declared["templateParameters"] = json!([{ "name": "id", "type": "string", "required": true }]);
    let created = azure
        .put("apis/a/operations/get", declared.clone())
        .await
        .expect(201)
        .json();
    assert_eq!(
        created["properties"],
        json!({
            "displayName": "Get", "method": "GET", "urlTemplate": "/v1/{id}",
            "templateParameters": [{ "name": "id", "type": "string", "required": true }],
            "description": null,
            "request": { "queryParameters": [], "headers": [], "representations": [] },
            "responses": [], "policies": null,
        })
    );
    let twin = azure
        .put("apis/a/operations/twin", declared)
        .await
        .expect(400);
    assert_eq!(
        twin.detail(),
        (
            "urlTemplate".to_owned(),
            "Operation with the same method and URL template already exists: GET, /v1/{id}"
                .to_owned()
        )
    );
    assert_eq!(
        azure.get("apis/none/operations").await.error(),
        (404, "ResourceNotFound".to_owned())
    );
    assert_eq!(
        azure.get("apis/a/operations/none").await.json()["error"]["message"],
        "Operation not found."
    );
    azure.delete("apis/a/operations/get").await.expect(200);
    azure.delete("apis/a/operations/get").await.expect(204);
}

#[tokio::test]
async fn a_schema_is_stored_and_listed() {
    let azure = synchronous().await;
    azure.api("a", "a").await;
    let schema = json!({
        "contentType": "application/vnd.oai.openapi.components+json",
        "document": { "components": { "schemas": { "A": {} } } },
    });
    azure
        .put("apis/a/schemas/s", schema.clone())
        .await
        .expect(201);
    assert_eq!(
        azure.get("apis/a/schemas/s").await.json()["properties"],
        schema
    );
    assert_eq!(azure.get("apis/a/schemas").await.json()["count"], 1);
    assert_eq!(
        azure
            .put("apis/a/schemas/t", json!({ "document": {} }))
            .await
            .detail()
            .0,
        "contentType"
    );
    azure.delete("apis/a/schemas/s").await.expect(200);
}

#[tokio::test]
async fn a_schema_of_the_service_is_json_or_xml_and_stays_what_it_is() {
    let azure = synchronous().await;
    let xsd = "<xsd:schema xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><xsd:element name=\"a\" type=\"xsd:int\"/></xsd:schema>";
    let xml = json!({ "schemaType": "xml", "description": "orders", "value": xsd });
    let created = azure
        .put("schemas/Orders", xml.clone())
        .await
        .expect(201)
        .json();
    assert_eq!(created["type"], "Microsoft.ApiManagement/service/schemas");
    assert_eq!(created["name"], "Orders");
    let shown = json!({
        "description": "orders", "schemaType": "xml", "value": xsd, "provisioningState": "Succeeded",
    });
    assert_eq!(created["properties"], shown);
    assert_eq!(azure.get("schemas/orders").await.json(), created);
    azure.put("schemas/orders", xml.clone()).await.expect(200);
    let document = json!({ "type": "object" });
    let json = json!({ "schemaType": "json", "document": document });
    let created = azure.put("schemas/person", json).await.expect(201).json();
    assert_eq!(created["properties"]["document"], document);
    let listed = azure.get("schemas").await.json();
    assert_eq!(listed["count"], 2);
    for (id, properties, target) in [
        ("person", xml.clone(), "schemaType"),
        ("a", json!({ "value": xsd }), "schemaType"),
        (
            "a",
            json!({ "schemaType": "yaml", "value": xsd }),
            "schemaType",
        ),
        ("a", json!({ "schemaType": "xml" }), "value"),
        (
            "a",
            json!({ "schemaType": "xml", "document": document }),
            "value",
        ),
        ("a", json!({ "schemaType": "xml", "value": "<a" }), "value"),
        (
            "a",
            json!({ "schemaType": "xml", "value": "<a/>" }),
            "value",
        ),
        ("a", json!({ "schemaType": "json" }), "document"),
        (
            "a",
            json!({ "schemaType": "json", "document": [] }),
            "document",
        ),
        (
            "a",
            json!({ "schemaType": "json", "value": "{" }),
            "document",
        ),
    ] {
        let refused = azure.put(&format!("schemas/{id}"), properties).await;
        assert_eq!(refused.expect(400).detail().0, target);
    }
    let long = format!("schemas/{}", "s".repeat(81));
    azure.put(&long, xml).await.expect(400);
    let patched = azure
        .arm(Method::PATCH, "schemas/orders", Some(json!({})))
        .await;
    assert_eq!(patched.expect(405).header("allow"), "GET,HEAD,PUT,DELETE");
    azure.delete("schemas/orders").await.expect(200);
    azure.delete("schemas/orders").await.expect(204);
    assert_eq!(
        azure.get("schemas/orders").await.error(),
        (404, "ResourceNotFound".to_owned())
    );
}

#[tokio::test]
async fn a_version_set_says_where_the_version_stands_and_stays_while_an_api_is_in_it() {
    let azure = synchronous().await;
    let set = json!({
        "displayName": "Orders", "description": "ours", "versioningScheme": "Header", "versionHeaderName": "x-version",
    });
    let created = azure.put("apiVersionSets/orders", set).await.expect(201);
    let etag = created.header("etag").to_owned();
    let shown = json!({
        "displayName": "Orders", "description": "ours", "versioningScheme": "Header",
        "versionQueryName": null, "versionHeaderName": "x-version",
    });
    assert_eq!(created.json()["properties"], shown);
    let listed = azure.get("apiVersionSets").await.expect(200).json();
    assert_eq!(listed["value"][0]["properties"], shown);
    for (properties, target) in [
        (json!({ "versioningScheme": "Segment" }), "displayName"),
        (json!({ "displayName": "a" }), "versioningScheme"),
        (
            json!({ "displayName": "a", "versioningScheme": "Path" }),
            "versioningScheme",
        ),
        (
            json!({ "displayName": "a".repeat(101), "versioningScheme": "Segment" }),
            "displayName",
        ),
        (
            json!({ "displayName": "a", "versioningScheme": "Header" }),
            "versionHeaderName",
        ),
        (
            json!({ "displayName": "a", "versioningScheme": "Query", "versionHeaderName": "x" }),
            "versionQueryName",
        ),
    ] {
        let refused = azure.put("apiVersionSets/a", properties).await.expect(400);
        assert_eq!(refused.detail().0, target);
    }
    let long = format!("apiVersionSets/{}", "a".repeat(81));
    let properties = json!({ "displayName": "a", "versioningScheme": "Segment" });
    assert_eq!(
        azure.put(&long, properties).await.expect(400).detail().0,
        "id"
    );

    let changed = json!({ "properties": { "displayName": "Orders 2" } });
    azure
        .arm_if(
            Method::PATCH,
            "apiVersionSets/orders",
            Some("\"AAAAAAAAAAA=\""),
            Some(changed.clone()),
        )
        .await
        .expect(412);
    let changed = azure
        .arm_if(
            Method::PATCH,
            "apiVersionSets/orders",
            Some(&etag),
            Some(changed),
        )
        .await
        .expect(200);
    assert_eq!(changed.json()["properties"]["displayName"], "Orders 2");
    assert_ne!(changed.header("etag"), etag);

    let version = json!({
        "displayName": "v1", "path": "orders", "apiVersion": "v1",
        "apiVersionSetId": format!("{}/apiVersionSets/orders", azure.service),
    });
    azure.put("apis/v1", version).await.expect(201);
    assert_eq!(
        azure
            .delete("apiVersionSets/orders")
            .await
            .expect(400)
            .detail(),
        (
            "apiVersionSetId".to_owned(),
            "API version set 'orders' cannot be deleted because API 'v1' is part of it.".to_owned()
        )
    );
    azure
        .delete("apis/v1?deleteRevisions=true")
        .await
        .expect(200);
    azure.delete("apiVersionSets/orders").await.expect(200);
    azure.delete("apiVersionSets/orders").await.expect(204);
    assert_eq!(
        azure.get("apiVersionSets/orders").await.error(),
        (404, "ResourceNotFound".to_owned())
    );
}
