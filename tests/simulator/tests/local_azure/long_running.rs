use super::support::{Azure, petstore};
use apim_simulator::{FaultSpec, LroMode, LroSettings, SimulatorConfig};
use serde_json::json;

async fn with(mode: LroMode, polls: u32) -> Azure {
    let lro = LroSettings {
        mode,
        polls,
        ..LroSettings::default()
    };
    Azure::with(SimulatorConfig {
        lro,
        ..SimulatorConfig::default()
    })
    .await
}

fn import() -> serde_json::Value {
    json!({ "path": "pets", "format": "openapi+json", "value": petstore().to_string() })
}

#[tokio::test]
async fn the_newer_shape_answers_a_stub_and_two_urls_to_poll() {
    let azure = with(LroMode::Auto, 2).await;
    let accepted = azure.put("apis/pets", import()).await.expect(201);
    assert_eq!(
        accepted.json(),
        json!({
            "id": format!("{}/apis/pets", azure.service),
            "type": "Microsoft.ApiManagement/service/apis", "name": "pets",
            "properties": { "ProvisioningState": "InProgress" },
        })
    );
    let status = accepted.header("azure-asyncoperation").to_owned();
    let (start, id) = status
        .rsplit_once("/tenant/operationResults/")
        .expect("a status URL");
    assert_eq!(
        start,
        format!("{}{}", azure.simulator.base_url, azure.service)
    );
    let id = id
        .strip_suffix("?api-version=2024-05-01")
        .expect("the same version");
    assert_eq!(id.len(), 24);
    let location = accepted.header("location").to_owned();
    assert!(location.ends_with(&format!(
        "/apis/pets?api-version=2024-05-01&asyncId={id}&asyncCode=201"
    )));

    assert_eq!(
        azure.follow(&status).await.json(),
        json!({ "status": "InProgress" })
    );
    assert_eq!(
        azure.follow(&status).await.json(),
        json!({ "status": "Succeeded" })
    );
    let result = azure.follow(&location).await.expect(201);
    assert_eq!(result.json()["properties"]["displayName"], "Pets");
    assert!(!result.header("etag").is_empty());
    assert_eq!(
        azure.get("apis/pets").await.json()["properties"]["provisioningState"],
        "Succeeded"
    );
}

#[tokio::test]
async fn the_older_shape_answers_202_without_a_body() {
    let azure = with(LroMode::Location, 2).await;
    let accepted = azure.put("apis/pets", import()).await.expect(202);
    assert_eq!(accepted.text, "");
    assert!(!accepted.headers.contains_key("azure-asyncoperation"));
    let location = accepted.header("location").to_owned();
    let waiting = azure.follow(&location).await.expect(202);
    assert!(waiting.header("location").contains("asyncId="));
    azure.follow(&location).await.expect(201);
    azure.put("apis/pets", import()).await.expect(202);
}

#[tokio::test]
async fn without_long_running_operations_everything_is_answered_at_once() {
    let azure = with(LroMode::Sync, 1).await;
    azure.put("apis/pets", import()).await.expect(201);
    let bad = json!({ "path": "pets", "format": "openapi+json", "value": "{}" });
    azure.put("apis/pets", bad).await.expect(400);
    azure
        .delete("apis/pets?deleteRevisions=true")
        .await
        .expect(200);
    azure.get("apis/pets").await.expect(404);
}

#[tokio::test]
async fn an_api_is_busy_while_an_import_runs() {
    let azure = with(LroMode::Auto, 3).await;
    azure.api("pets", "pets").await;
    let accepted = azure.put("apis/pets", import()).await.expect(200);
    let policy = json!({ "value": "<policies><inbound><base /></inbound></policies>" });
    let busy = azure.put("apis/pets/policies/policy", policy.clone()).await;
    assert_eq!(
        busy.error(),
        (409, "PessimisticConcurrencyConflict".to_owned())
    );
    assert_eq!(
        busy.json()["error"]["message"],
        "Operation on the API is in progress"
    );
    azure.api("other", "other").await;
    azure.simulator.set_lro(LroSettings {
        busy_status: 412,
        ..LroSettings::default()
    });
    let busy = azure.put("apis/pets", import()).await;
    assert_eq!(busy.error(), (412, "PreconditionFailed".to_owned()));
    // Two refused writes were two looks; the third look is the end.
    let status = azure.follow(accepted.header("azure-asyncoperation")).await;
    assert_eq!(status.json(), json!({ "status": "Succeeded" }));
    azure
        .put("apis/pets/policies/policy", policy)
        .await
        .expect(201);
}

#[tokio::test]
async fn an_operation_ends_when_its_time_is_over() {
    let azure = with(LroMode::Auto, 1_000).await;
    let accepted = azure.put("apis/pets", import()).await.expect(201);
    let status = accepted.header("azure-asyncoperation").to_owned();
    assert_eq!(azure.follow(&status).await.json()["status"], "InProgress");
    azure.simulator.advance_clock(30_000);
    assert_eq!(azure.follow(&status).await.json()["status"], "Succeeded");
}

#[tokio::test]
async fn a_failure_on_demand_leaves_everything_as_it_was() {
    let azure = with(LroMode::Auto, 1).await;
    azure.api("pets", "pets").await;
    let fault = FaultSpec {
        verb: Some("PUT".to_owned()),
        path: Some("/apis/pets".to_owned()),
        count: Some(1),
        lro_failure: Some(true.into()),
        ..FaultSpec::default()
    };
    azure.simulator.fault(fault).expect("a fault");
    let accepted = azure.put("apis/pets", import()).await.expect(200);
    let failed = azure
        .follow(accepted.header("azure-asyncoperation"))
        .await
        .json();
    assert_eq!(failed["status"], "Failed");
    assert_eq!(failed["error"]["code"], "InternalServerError");
    assert_eq!(
        failed["error"]["message"],
        "DeadOperationMonitor: the operation did not end in time."
    );
    assert_eq!(azure.get("apis/pets/operations").await.json()["count"], 0);
}

#[tokio::test]
async fn a_lock_can_outlive_the_success() {
    let azure = with(LroMode::Auto, 1).await;
    let fault = FaultSpec {
        verb: Some("PUT".to_owned()),
        path: Some("/apis/pets".to_owned()),
        count: Some(1),
        lock_after_success: Some(2),
        ..FaultSpec::default()
    };
    azure.simulator.fault(fault).expect("a fault");
    azure.import("pets", "pets", &petstore()).await;
    let properties = json!({ "displayName": "Pets", "path": "pets" });
    for _ in 0..2 {
        let locked = azure.put("apis/pets", properties.clone()).await;
        assert_eq!(
            locked.error(),
            (409, "PessimisticConcurrencyConflict".to_owned())
        );
    }
    azure.put("apis/pets", properties).await.expect(200);
}

#[tokio::test]
async fn an_import_can_end_well_without_its_operations() {
    let azure = with(LroMode::Auto, 1).await;
    let fault = FaultSpec {
        verb: Some("PUT".to_owned()),
        path: Some("/apis/pets".to_owned()),
        count: Some(1),
        lost_operations: Some(1),
        ..FaultSpec::default()
    };
    azure.simulator.fault(fault).expect("a fault");
    azure.import("pets", "pets", &petstore()).await;
    let short = azure.get("apis/pets/operations").await.json()["count"].clone();
    azure.import("pets", "pets", &petstore()).await;
    let all = azure.get("apis/pets/operations").await.json()["count"].clone();
    assert_eq!(all.as_u64(), short.as_u64().map(|short| short + 1));
}

#[tokio::test]
async fn a_fault_can_choose_the_shape_of_one_request() {
    let azure = with(LroMode::Auto, 1).await;
    let fault = FaultSpec {
        path: Some("/apis/pets".to_owned()),
        lro: Some(LroMode::Location),
        count: Some(1),
        ..FaultSpec::default()
    };
    azure.simulator.fault(fault).expect("a fault");
    azure.put("apis/pets", import()).await.expect(202);
    azure.get("apis/pets").await.expect(200);
    azure.put("apis/pets", import()).await.expect(200);
}

#[tokio::test]
async fn a_deletion_is_long_running_in_the_newer_shape() {
    let azure = with(LroMode::Auto, 1).await;
    azure.api("a", "a").await;
    let accepted = azure
        .delete("apis/a?deleteRevisions=true")
        .await
        .expect(202);
    assert_eq!(accepted.text, "");
    assert!(accepted.header("location").ends_with("&asyncCode=204"));
    let status = azure.follow(accepted.header("azure-asyncoperation")).await;
    assert_eq!(status.json(), json!({ "status": "Succeeded" }));
    azure.follow(accepted.header("location")).await.expect(204);
    azure.get("apis/a").await.expect(404);
    let mut old = with(LroMode::Auto, 1).await;
    old.version = "2022-08-01";
    old.api("a", "a").await;
    old.delete("apis/a").await.expect(200);
}

#[tokio::test]
async fn an_import_that_changes_no_field_keeps_the_etag() {
    let azure = with(LroMode::Auto, 1).await;
    let fields = json!({
        "displayName": "Pets", "path": "pets", "serviceUrl": "https://pets.example.com",
        "subscriptionRequired": false, "description": "d",
    });
    let created = azure.put("apis/pets", fields.clone()).await.expect(201);
    let mut import = fields.clone();
    import["format"] = "openapi+json".into();
    import["value"] = petstore().to_string().into();
    azure.put("apis/pets", import).await.expect(200);
    let imported = azure.get("apis/pets").await;
    assert_eq!(
        imported.json()["properties"]["provisioningState"],
        "Succeeded"
    );
    assert_eq!(imported.header("etag"), created.header("etag"));
    let again = azure.put("apis/pets", fields).await.expect(200);
    assert_eq!(again.header("etag"), created.header("etag"));
    assert_eq!(azure.get("apis/pets/operations").await.json()["count"], 2);
}

#[tokio::test]
async fn a_patch_of_a_named_value_answers_202() {
    let azure = with(LroMode::Auto, 1).await;
    azure
        .put(
            "namedValues/key",
            json!({ "displayName": "Key", "value": "v" }),
        )
        .await
        .expect(201);
    azure.get("namedValues/key").await.expect(200);
    let body = json!({ "properties": { "value": "w" } });
    let accepted = azure
        .arm(reqwest::Method::PATCH, "namedValues/key", Some(body))
        .await
        .expect(202);
    assert_eq!(accepted.text, "");
    let result = azure.follow(accepted.header("location")).await.expect(200);
    assert_eq!(result.json()["properties"]["value"], "w");
}
