use super::support::{ARM, Azure, OPERATOR, READER, STRANGER};
use apim_simulator::{Seed, SimulatorConfig, TenantSeed, ThrottleLimits};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_call_without_a_token_gets_a_challenge() {
    let azure = Azure::start().await;
    let answer = azure.send(Method::GET, &azure.url("apis"), &[], None).await;
    assert_eq!(answer.error(), (401, "AuthenticationFailed".to_owned()));
    assert!(answer.header("www-authenticate").starts_with(&format!(
        "Bearer authorization_uri=\"{}/11111111-1111-4111-8111-111111111111\", error=\"invalid_token\"",
        azure.simulator.base_url
    )));
    assert_eq!(answer.header("x-ms-failure-cause"), "gateway");
}

#[tokio::test]
async fn a_forged_an_expired_and_a_misdirected_token_are_told_apart() {
    let mut azure = Azure::start().await;
    let right = azure.token.clone();

    let (signed, signature) = right.rsplit_once('.').expect("three parts");
    azure.token = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    assert_eq!(
        azure.get("apis").await.error().1,
        "InvalidAuthenticationToken"
    );

    azure.token = azure
        .simulator
        .token(OPERATOR, "https://vault.azure.net")
        .expect("a token");
    assert_eq!(
        azure.get("apis").await.error().1,
        "InvalidAuthenticationTokenAudience"
    );

    azure.token = azure
        .simulator
        .token(OPERATOR, &azure.simulator.base_url)
        .expect("a token");
    azure.get("apis").await.expect(200);

    azure.token = right;
    azure.simulator.advance_clock(3_600_000);
    let expired = azure.get("apis").await;
    assert_eq!(
        expired.error(),
        (401, "ExpiredAuthenticationToken".to_owned())
    );
}

#[tokio::test]
async fn a_token_of_another_tenant_is_refused() {
    const OTHER: &str = "44444444-4444-4444-8444-444444444444";
    let mut seed = Seed::default();
    let mut visitor = seed.tenants[0].applications[0].clone();
    visitor.client_id = "55555555-5555-4555-8555-555555555555".to_owned();
    seed.tenants.push(TenantSeed {
        id: OTHER.to_owned(),
        applications: vec![visitor.clone()],
    });
    let mut azure = Azure::with(SimulatorConfig {
        seed,
        ..SimulatorConfig::default()
    })
    .await;
    azure.token = azure
        .simulator
        .token(&visitor.client_id, ARM)
        .expect("a token");
    assert_eq!(
        azure.get("apis").await.error(),
        (401, "InvalidAuthenticationTokenTenant".to_owned())
    );
}

#[tokio::test]
async fn a_principal_without_a_role_is_forbidden_and_a_reader_may_only_read() {
    let mut azure = Azure::start().await;
    azure.token = azure.simulator.token(STRANGER, ARM).expect("a token");
    let answer = azure.get("apis").await;
    assert_eq!(answer.error(), (403, "AuthorizationFailed".to_owned()));
    assert_eq!(
        answer.json()["error"]["message"],
        format!(
            "The client '{STRANGER}' with object id '33333333-3333-4333-8333-000000000003' does not have authorization to perform action 'Microsoft.ApiManagement/service/apis/read' over scope '{}/apis' or the scope is invalid. If access was recently granted, please refresh your credentials.",
            azure.service
        )
    );

    azure.token = azure.simulator.token(READER, ARM).expect("a token");
    azure.get("apis").await.expect(200);
    assert_eq!(azure.put("apis/a", json!({})).await.status, 403);
    assert_eq!(azure.delete("apis/a").await.status, 403);
    assert_eq!(
        azure
            .arm(Method::POST, "namedValues/a/listValue", None)
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn another_service_is_not_found_and_another_group_out_of_reach() {
    let mut azure = Azure::start().await;
    let right = azure.service.clone();
    azure.service = right.replace("apim-local", "other");
    let answer = azure.get("").await;
    assert_eq!(answer.error(), (404, "ResourceNotFound".to_owned()));
    assert_eq!(
        answer.json()["error"]["message"],
        "The Resource 'Microsoft.ApiManagement/service/other' under resource group 'rg-apim' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    );
    azure.service = right.replace("rg-apim", "other");
    assert_eq!(azure.get("").await.status, 403);
    // Names are compared without case.
    azure.service = right.to_uppercase();
    azure.get("").await.expect(200);
}

#[tokio::test]
async fn an_unknown_or_missing_api_version_is_refused() {
    let mut azure = Azure::start().await;
    for version in ["2024-05-02", "", "2021-08-01"] {
        azure.version = version;
        let answer = azure.get("apis").await;
        assert_eq!(
            answer.error(),
            (400, "MissingOrIncorrectVersionParameter".to_owned())
        );
        assert_eq!(
            answer.json()["error"]["message"],
            "API version query parameter is not specified or was specified incorrectly. Supported versions: 2022-08-01, 2023-05-01-preview, 2024-05-01"
        );
    }
}

#[tokio::test]
async fn what_is_not_simulated_says_so_and_a_wrong_method_is_refused() {
    let azure = Azure::start().await;
    let answer = azure.get("products/starter/wikis").await;
    assert_eq!(answer.error(), (501, "NotSimulated".to_owned()));
    assert_eq!(
        answer.json()["error"]["message"],
        "Microsoft.ApiManagement/service/products/starter/wikis exists in Azure but is not simulated here."
    );
    assert_eq!(
        azure.get("gizmos").await.error(),
        (404, "InvalidResourceType".to_owned())
    );
    let answer = azure.delete("apis").await.expect(405);
    assert_eq!(answer.header("allow"), "GET");
    assert_eq!(
        answer.json(),
        json!({ "Message": "The requested resource does not support http method 'DELETE'." })
    );
}

#[tokio::test]
async fn writes_beyond_the_burst_are_throttled_until_the_clock_has_moved() {
    let throttle = ThrottleLimits {
        writes_burst: 2,
        ..ThrottleLimits::default()
    };
    let config = SimulatorConfig {
        throttle: Some(throttle),
        ..SimulatorConfig::default()
    };
    let azure = Azure::with(config).await;
    let answer = azure.api("a", "a").await;
    assert_eq!(
        answer.header("x-ms-ratelimit-remaining-subscription-writes"),
        "1"
    );
    azure.api("b", "b").await;
    let properties = json!({ "displayName": "c", "path": "c" });
    // The real clock runs as well: with 10 tokens per second a slow machine
    // may be given one, so the bucket is emptied until it refuses.
    let mut refused = None;
    for _ in 0..50 {
        let answer = azure.put("apis/c", properties.clone()).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a refusal");
    assert_eq!(refused.error().1, "SubscriptionRequestsThrottled");
    assert_eq!(refused.header("retry-after"), "1");
    azure.get("apis").await.expect(200);
    azure.simulator.advance_clock(1_000);
    let after = azure.put("apis/c", properties).await;
    assert!([200, 201].contains(&after.status), "{}", after.text);
}
