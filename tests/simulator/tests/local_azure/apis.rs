use super::support::Azure;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_write_and_a_read_show_an_api_differently_and_the_slash_is_stripped() {
    let azure = Azure::start().await;
    let properties = json!({
        "displayName": "Orders", "path": "/shop/orders", "apiRevision": "v1", "type": "http",
        "apiRevisionDescription": "mark", "protocols": ["https"],
    });
    let created = azure
        .put("apis/orders", properties.clone())
        .await
        .expect(201);
    let id = format!("{}/apis/orders", azure.service);
    assert_eq!(
        created.json(),
        json!({
            "id": id, "type": "Microsoft.ApiManagement/service/apis", "name": "orders",
            "properties": {
                "displayName": "Orders", "apiRevision": "1", "subscriptionRequired": true,
                "serviceUrl": null, "backendId": null, "path": "shop/orders", "protocols": ["https"],
                "authenticationSettings": { "oAuth2": null, "openid": null },
                "subscriptionKeyParameterNames": { "header": "Ocp-Apim-Subscription-Key", "query": "subscription-key" },
                "isCurrent": true, "apiRevisionDescription": "mark",
            },
        })
    );
    assert!(
        created.text.starts_with("{\n  \"id\""),
        "indented by two spaces"
    );
    let read = azure.get("apis/ORDERS").await.expect(200);
    assert_eq!(
        read.json()["properties"]["authenticationSettings"],
        json!({
            "oAuth2": null, "openid": null,
            "oAuth2AuthenticationSettings": [], "openidAuthenticationSettings": [],
        })
    );
    assert_eq!(read.header("etag"), created.header("etag"));
    assert_eq!(read.header("cache-control"), "private");
    assert_eq!(read.header("vary"), "Accept-Encoding");
    // What was read cannot be written back as it is.
    let back = azure
        .put("apis/orders", read.json()["properties"].clone())
        .await
        .expect(400);
    assert_eq!(back.detail().0, "authenticationSettings");
}

#[tokio::test]
async fn an_identical_put_keeps_the_etag_and_so_do_policy_and_operations() {
    let azure = Azure::start().await;
    let first = azure.api("a", "a").await;
    let etag = first.header("etag").to_owned();
    let properties = json!({ "displayName": "a", "path": "a", "protocols": ["https"] });
    let again = azure.put("apis/a", properties.clone()).await.expect(200);
    assert_eq!(again.header("etag"), etag);
    let policy = json!({ "value": "<policies><inbound><base /></inbound></policies>" });
    azure
        .put("apis/a/policies/policy", policy)
        .await
        .expect(201);
    let operation = json!({ "displayName": "Get", "method": "GET", "urlTemplate": "/" });
    azure
        .put("apis/a/operations/get", operation)
        .await
        .expect(201);
    assert_eq!(azure.get("apis/a").await.header("etag"), etag);
    let mut other = properties;
    other["description"] = "now with one".into();
    assert_ne!(
        azure.put("apis/a", other).await.expect(200).header("etag"),
        etag
    );
}

#[tokio::test]
async fn if_match_is_strict_where_it_is_sent_and_permissive_where_it_is_not() {
    let azure = Azure::start().await;
    let etag = azure.api("a", "a").await.header("etag").to_owned();
    let body = || Some(json!({ "properties": { "displayName": "b", "path": "a" } }));
    let wrong = azure
        .arm_if(Method::PUT, "apis/a", Some("\"AAAAAAAAAAE=\""), body())
        .await;
    assert_eq!(wrong.error(), (412, "PreconditionFailed".to_owned()));
    assert_eq!(
        wrong.text,
        r#"{"error":{"code":"PreconditionFailed","message":"Resource was modified since last retrieval.","details":null,"innerError":null}}"#
    );
    let bare = etag.trim_matches('"');
    assert_eq!(
        azure
            .arm_if(Method::PUT, "apis/a", Some(bare), body())
            .await
            .status,
        412
    );
    let changed = azure
        .arm_if(Method::PUT, "apis/a", Some(&etag), body())
        .await
        .expect(200);
    let patch = || Some(json!({ "properties": { "description": "d" } }));
    assert_eq!(
        azure
            .arm_if(Method::PATCH, "apis/a", Some(&etag), patch())
            .await
            .status,
        412
    );
    azure
        .arm_if(
            Method::PATCH,
            "apis/a",
            Some(changed.header("etag")),
            patch(),
        )
        .await
        .expect(200);
    assert_eq!(
        azure
            .arm_if(Method::DELETE, "apis/a", Some(&etag), None)
            .await
            .status,
        412
    );
    azure
        .arm_if(
            Method::PUT,
            "apis/new",
            Some("*"),
            Some(json!({ "properties": { "displayName": "n", "path": "n" } })),
        )
        .await
        .expect(201);
    azure
        .arm_if(Method::DELETE, "apis/a", Some("*"), None)
        .await
        .expect(202);
}

#[tokio::test]
async fn fields_are_checked_and_each_problem_is_named() {
    let azure = Azure::start().await;
    let cases = [
        (
            json!({ "displayName": "a", "path": "a", "colour": "red" }),
            "colour",
        ),
        (json!({ "displayName": "a" }), "path"),
        (json!({ "path": "a" }), "displayName"),
        (
            json!({ "displayName": "x".repeat(301), "path": "a" }),
            "displayName",
        ),
        (json!({ "displayName": "a", "path": "a/" }), "path"),
        (json!({ "displayName": "a", "path": "a b" }), "path"),
        (
            json!({ "displayName": "a", "path": "a", "serviceUrl": "nowhere" }),
            "serviceUrl",
        ),
        (
            json!({ "displayName": "a", "path": "a", "apiRevisionDescription": "d".repeat(257) }),
            "apiRevisionDescription",
        ),
        (
            json!({ "displayName": "a", "path": "a", "protocols": ["ftp"] }),
            "protocols",
        ),
        (
            json!({ "displayName": "a", "path": "a", "apiVersion": "v1" }),
            "apiVersion",
        ),
        (
            json!({ "displayName": "a", "path": "a", "apiVersionSetId": "/apiVersionSets/none" }),
            "apiVersionSetId",
        ),
        (
            json!({ "displayName": "a", "path": "a", "authenticationSettings": { "openid": { "openidProviderId": "none" } } }),
            "openidProviderId",
        ),
    ];
    for (properties, target) in cases {
        let answer = azure.put("apis/a", properties.clone()).await;
        assert_eq!(
            answer.error(),
            (400, "ValidationError".to_owned()),
            "{properties}"
        );
        assert_eq!(answer.detail().0, target, "{properties}");
    }
    let envelope = azure
        .arm(
            Method::PUT,
            "apis/a",
            Some(json!({ "properties": {}, "extra": 1 })),
        )
        .await;
    assert_eq!(envelope.detail().0, "extra");
    let bearer = format!("Bearer {}", azure.token);
    let broken = azure
        .send(
            Method::PUT,
            &azure.url("apis/a"),
            &[("authorization", &bearer)],
            Some("{".to_owned()),
        )
        .await;
    assert_eq!(broken.error(), (400, "InvalidRequestContent".to_owned()));
    assert_eq!(azure.put("apis/a:b", json!({})).await.detail().0, "apiId");
    assert_eq!(
        azure.get("apis").await.json(),
        json!({ "value": [], "count": 0 })
    );
}

#[tokio::test]
async fn a_path_belongs_to_one_api_whatever_its_case_and_the_root_to_one_as_well() {
    let azure = Azure::start().await;
    azure.api("first", "Shop/Orders").await;
    let twin = azure
        .put(
            "apis/second",
            json!({ "displayName": "s", "path": "/shop/orders" }),
        )
        .await;
    assert_eq!(twin.error().0, 400);
    assert_eq!(
        twin.detail(),
        (
            "path".to_owned(),
            "Cannot create API 'second' with the same Path 'shop/orders' as API 'first' unless it's a part of the same version set".to_owned()
        )
    );
    azure.api("root", "").await;
    let root = azure
        .put("apis/root2", json!({ "displayName": "r", "path": "" }))
        .await;
    assert_eq!(root.detail().0, "path");

    let set = json!({ "displayName": "set", "versioningScheme": "Segment" });
    azure.put("apiVersionSets/set", set).await.expect(201);
    let versioned = |version: &str| {
        json!({
            "displayName": version, "path": "v", "apiVersion": version,
            "apiVersionSetId": format!("{}/apiVersionSets/set", azure.service),
        })
    };
    azure.put("apis/v1", versioned("v1")).await.expect(201);
    let second = azure.put("apis/v2", versioned("v2")).await.expect(201);
    assert_eq!(second.json()["properties"]["apiVersionSet"]["name"], "set");
    let twin = azure.put("apis/v2b", versioned("V2")).await;
    assert_eq!(
        twin.detail(),
        (
            "apiVersion".to_owned(),
            "Cannot create API 'v2b' with the same Path 'v' and Version 'V2' as API 'v2' of the same version set".to_owned()
        )
    );
}

#[tokio::test]
async fn a_revision_copies_its_source_and_is_deleted_alone_or_with_all() {
    let azure = Azure::start().await;
    azure.api("a", "a").await;
    let operation = json!({ "displayName": "Get", "method": "GET", "urlTemplate": "/" });
    azure
        .put("apis/a/operations/get", operation)
        .await
        .expect(201);
    let source = format!("{}/apis/a", azure.service);
    let revision =
        json!({ "path": "a", "sourceApiId": source, "apiRevisionDescription": "second" });
    let accepted = azure.put("apis/a;rev=2", revision).await.expect(201);
    azure
        .follow(accepted.header("azure-asyncoperation"))
        .await
        .expect(200);
    let created = azure.follow(accepted.header("location")).await.json();
    assert_eq!(created["name"], "a;rev=2");
    assert_eq!(created["properties"]["apiRevision"], "2");
    assert_eq!(created["properties"]["displayName"], "a");
    assert_eq!(created["properties"].get("isCurrent"), None);
    azure.get("apis/a;rev=2/operations/get").await.expect(200);
    azure
        .delete("apis/a;rev=2/operations/get")
        .await
        .expect(200);
    azure.get("apis/a/operations/get").await.expect(200);

    let moved = azure
        .put("apis/a;rev=2", json!({ "displayName": "a", "path": "b" }))
        .await;
    assert_eq!(
        moved.detail(),
        (
            "path".to_owned(),
            "Can't change property Path for non-current revision".to_owned()
        )
    );
    let revisions = azure.get("apis/a/revisions").await.json();
    let shown: Vec<(&Value, &Value)> = revisions["value"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|revision| (&revision["apiRevision"], &revision["isCurrent"]))
        .collect();
    assert_eq!(
        shown,
        [(&json!("1"), &json!(true)), (&json!("2"), &json!(false))]
    );

    assert_eq!(azure.delete("apis/a").await.detail().0, "apiId");
    azure.delete("apis/a;rev=2").await.expect(202);
    azure.get("apis/a;rev=2").await.expect(404);
    azure
        .delete("apis/a?deleteRevisions=true")
        .await
        .expect(202);
    let missing = azure.get("apis/a").await;
    assert_eq!(
        missing.text,
        r#"{"error":{"code":"ResourceNotFound","message":"Api not found.","details":null,"innerError":null}}"#
    );
    azure
        .delete("apis/a?deleteRevisions=true")
        .await
        .expect(204);
}

/// Makes revision 2 of an API `a`, which has a policy and an operation more.
async fn with_two_revisions() -> Azure {
    let azure = Azure::start().await;
    azure.api("a", "a").await;
    let source = format!("{}/apis/a", azure.service);
    let revision =
        json!({ "path": "a", "sourceApiId": source, "serviceUrl": "https://two.example" });
    let accepted = azure.put("apis/a;rev=2", revision).await.expect(201);
    azure
        .follow(accepted.header("azure-asyncoperation"))
        .await
        .expect(200);
    azure
}

#[tokio::test]
async fn a_release_makes_its_revision_current_once_and_keeps_its_notes() {
    let azure = with_two_revisions().await;
    let current = async || azure.get("apis/a").await.json()["properties"]["serviceUrl"].clone();
    let of = |number: u8| json!({ "apiId": format!("{}/apis/a;rev={number}", azure.service), "notes": "go" });
    assert_ne!(current().await, "https://two.example");
    let released = azure.put("apis/a/releases/first", of(2)).await.expect(201);
    let released = released.json();
    assert_eq!(
        released["type"],
        "Microsoft.ApiManagement/service/apis/releases"
    );
    assert_eq!(released["properties"]["notes"], "go");
    assert!(released["properties"]["createdDateTime"].is_string());
    assert_eq!(current().await, "https://two.example");
    azure.put("apis/a/releases/back", of(1)).await.expect(201);
    assert_ne!(current().await, "https://two.example");
    // One that is there takes other notes, and releases nothing again.
    azure.put("apis/a/releases/first", of(2)).await.expect(200);
    assert_ne!(current().await, "https://two.example");
    assert_eq!(
        azure.put("apis/a/releases/first", of(1)).await.detail(),
        (
            "apiId".into(),
            "Can't change property ApiId of a release.".into()
        )
    );
    let list = azure.get("apis/a/releases").await.json();
    let names: Vec<&Value> = list["value"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["back", "first"]);

    for (body, told) in [
        (json!({}), "The apiId field is required.".to_owned()),
        (
            of(3),
            format!(
                "Api with id '{}/apis/a;rev=3' could not be found.",
                azure.service
            ),
        ),
        (
            json!({ "apiId": "/apis/other" }),
            "Api with id '/apis/other' could not be found.".to_owned(),
        ),
    ] {
        let refused = azure.put("apis/a/releases/new", body).await;
        assert_eq!(refused.detail(), ("apiId".to_owned(), told));
    }
    // The revision that callers reach is not deleted, a release may be.
    assert_eq!(azure.delete("apis/a;rev=1").await.detail().0, "apiId");
    azure.delete("apis/a/releases/back").await.expect(200);
    azure.delete("apis/a/releases/back").await.expect(204);
    assert_ne!(current().await, "https://two.example");
}

#[tokio::test]
async fn what_all_revisions_share_is_changed_in_the_current_one_and_shows_in_all() {
    let azure = with_two_revisions().await;
    for (field, value, shown) in [
        ("displayName", json!("b"), "DisplayName"),
        ("description", json!("new"), "Description"),
        ("protocols", json!(["http"]), "Protocols"),
        ("subscriptionRequired", json!(false), "SubscriptionRequired"),
        ("path", json!("b"), "Path"),
    ] {
        let body = Some(json!({ "properties": { field: value } }));
        let refused = azure.arm(Method::PATCH, "apis/a;rev=2", body.clone()).await;
        let told = format!("Can't change property {shown} for non-current revision");
        assert_eq!(refused.detail(), (field.to_owned(), told));
        azure.arm(Method::PATCH, "apis/a", body).await.expect(200);
        let there = azure.get("apis/a;rev=2").await.json();
        assert_eq!(there["properties"][field], value);
    }
    // What a revision has of its own.
    let body = Some(json!({ "properties": { "serviceUrl": "https://three.example" } }));
    azure
        .arm(Method::PATCH, "apis/a;rev=2", body)
        .await
        .expect(200);
    let current = azure.get("apis/a").await.json();
    assert_ne!(current["properties"]["serviceUrl"], "https://three.example");
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let azure = Azure::start().await;
    azure.api("a", "a").await;
    let before = azure.get("apis/a").await.json();
    let body = json!({ "properties": { "serviceUrl": "https://b.example.com", "subscriptionRequired": false } });
    let after = azure
        .arm(Method::PATCH, "apis/a", Some(body))
        .await
        .expect(200)
        .json();
    let mut expected = before;
    expected["properties"]["serviceUrl"] = "https://b.example.com".into();
    expected["properties"]["subscriptionRequired"] = false.into();
    assert_eq!(after, expected);
    let none = azure
        .arm(
            Method::PATCH,
            "apis/none",
            Some(json!({ "properties": {} })),
        )
        .await;
    assert_eq!(none.error(), (404, "ResourceNotFound".to_owned()));
}

#[tokio::test]
async fn lists_are_filtered_cut_and_linked() {
    let azure = Azure::start().await;
    for id in ["a1", "a2", "a3", "b1"] {
        azure.api(id, id).await;
    }
    let names = |body: &Value| -> Vec<String> {
        let items = body["value"].as_array().expect("a list");
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let page = azure
        .get("apis?$top=2&$filter=startswith(name,'a')")
        .await
        .expect(200)
        .json();
    assert_eq!(names(&page), ["a1", "a2"]);
    assert_eq!(page["count"], 3);
    let rest = azure
        .follow(page["nextLink"].as_str().expect("a link"))
        .await
        .expect(200)
        .json();
    assert_eq!(names(&rest), ["a3"]);
    assert_eq!(rest.get("nextLink"), None);
    assert_eq!(names(&azure.get("apis?$skip=3").await.json()), ["b1"]);
    assert_eq!(azure.get("apis?$top=0").await.detail().0, "$top");
    assert_eq!(
        azure.get("apis?$filter=length(name) gt 1").await.detail().0,
        "$filter"
    );
}
