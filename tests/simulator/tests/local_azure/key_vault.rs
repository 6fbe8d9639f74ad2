use super::support::{ARM, Answer, Azure, OPERATOR, STRANGER};
use apim_simulator::{KeyVaultSeed, LroMode, LroSettings, SimulatorConfig};
use reqwest::Method;
use serde_json::json;

async fn secret(azure: &Azure, host: &str, path: &str, token: Option<&str>) -> Answer {
    let url = format!("https://{host}:{}/{path}", azure.simulator.port());
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer
        .iter()
        .map(|bearer| ("authorization", bearer.as_str()))
        .collect();
    azure.send(Method::GET, &url, &headers, None).await
}

const NAME: &str = "secrets/apim-service-name?api-version=7.5";

#[tokio::test]
async fn a_request_without_a_token_is_challenged_for_the_vaults_own_domain() {
    let azure = Azure::start().await;
    let base = &azure.simulator.base_url;
    for (host, resource) in [
        ("kv-local.vault.localhost", "https://vault.localhost"),
        ("kv-local.localhost", "https://localhost"),
    ] {
        let answer = secret(&azure, host, NAME, None).await.expect(401);
        assert_eq!(
            answer.header("www-authenticate"),
            format!(
                "Bearer authorization=\"{base}/11111111-1111-4111-8111-111111111111\", resource=\"{resource}\""
            )
        );
        let token = azure.simulator.token(OPERATOR, resource).expect("a token");
        let body = secret(&azure, host, NAME, Some(&token))
            .await
            .expect(200)
            .json();
        assert_eq!(body["value"], "apim-local");
        let id = body["id"].as_str().expect("an id");
        let start = format!(
            "https://{host}:{}/secrets/apim-service-name/",
            azure.simulator.port()
        );
        assert!(id.starts_with(&start), "{id}");
        let version = format!(
            "{}?api-version=7.5",
            &id[id.find("secrets/").expect("a path")..]
        );
        assert_eq!(
            secret(&azure, host, &version, Some(&token)).await.json()["value"],
            "apim-local"
        );
    }
}

#[tokio::test]
async fn wrong_audience_no_role_unknown_secret_and_unknown_vault_are_refused_each_in_its_way() {
    let azure = Azure::start().await;
    let host = "kv-local.vault.localhost";
    let arm = azure.simulator.token(OPERATOR, ARM).expect("a token");
    let answer = secret(&azure, host, NAME, Some(&arm)).await;
    assert_eq!(answer.error(), (401, "Unauthorized".to_owned()));
    assert_eq!(
        answer.json()["error"]["message"],
        "AKV10022: Invalid audience. Expected https://vault.localhost, found: https://management.azure.com."
    );

    let resource = "https://vault.localhost";
    let stranger = azure.simulator.token(STRANGER, resource).expect("a token");
    let answer = secret(&azure, host, NAME, Some(&stranger)).await;
    assert_eq!(answer.error(), (403, "Forbidden".to_owned()));
    assert_eq!(
        answer.json()["error"]["innererror"]["code"],
        "ForbiddenByRbac"
    );

    let token = azure.simulator.token(OPERATOR, resource).expect("a token");
    let missing = secret(
        &azure,
        host,
        "secrets/nothing?api-version=7.5",
        Some(&token),
    )
    .await;
    assert_eq!(missing.error(), (404, "SecretNotFound".to_owned()));
    let version = secret(
        &azure,
        host,
        "secrets/resource-group?api-version=1",
        Some(&token),
    )
    .await;
    assert_eq!(version.error(), (400, "BadParameter".to_owned()));
    let vault = secret(&azure, "other.vault.localhost", NAME, Some(&token)).await;
    assert_eq!(vault.error(), (404, "VaultNotFound".to_owned()));
}

#[tokio::test]
async fn a_secret_can_be_set_and_its_version_changes_with_it() {
    let azure = Azure::start().await;
    let token = azure
        .simulator
        .token(OPERATOR, "https://vault.localhost")
        .expect("a token");
    let host = "kv-local.vault.localhost";
    let before = secret(&azure, host, NAME, Some(&token)).await.json();
    let body = serde_json::json!({ "value": "other" });
    let path = "vaults/kv-local/secrets/apim-service-name";
    azure
        .control(Method::PUT, path, Some(body))
        .await
        .expect(200);
    let after = secret(&azure, host, NAME, Some(&token)).await.json();
    assert_eq!(after["value"], "other");
    assert_ne!(after["id"], before["id"]);
    azure.control(Method::DELETE, path, None).await.expect(200);
    assert_eq!(secret(&azure, host, NAME, Some(&token)).await.status, 404);
}

#[tokio::test]
async fn a_named_value_of_a_key_vault_is_read_with_the_services_identity() {
    let mut config = SimulatorConfig {
        lro: LroSettings {
            mode: LroMode::Sync,
            ..LroSettings::default()
        },
        ..SimulatorConfig::default()
    };
    let closed = KeyVaultSeed {
        name: "closed".to_owned(),
        tenant_id: None,
        secrets: [("partner".to_owned(), "s3cret".to_owned())].into(),
        readers: Some(Vec::new()),
    };
    config.seed.key_vaults.push(closed);
    let azure = Azure::with(config).await;
    let secret = "vaults/kv-local/secrets/partner";
    let value = json!({ "value": "p4rtner" });
    azure
        .control(Method::PUT, secret, Some(value))
        .await
        .expect(200);
    let partner = "https://kv-local.vault.azure.net/secrets/partner";
    let named = |name: &str, vault: serde_json::Value| json!({ "displayName": name, "secret": true, "keyVault": vault });
    let reference = json!({ "secretIdentifier": partner, "identityClientId": OPERATOR });
    let created = azure
        .put("namedValues/key", named("Key", reference))
        .await
        .expect(201)
        .json();
    let shown = &created["properties"];
    let fields: Vec<&String> = shown.as_object().expect("an object").keys().collect();
    let expected = [
        "displayName",
        "tags",
        "secret",
        "keyVault",
        "provisioningState",
    ];
    assert_eq!(fields, expected);
    assert_eq!(shown["keyVault"]["secretIdentifier"], partner);
    assert_eq!(shown["keyVault"]["lastStatus"]["code"], "Success");
    assert_eq!(azure.get("namedValues/key").await.json(), created);

    let refused = |identifier: &str| {
        format!(
            "Failed to access KeyVault Secret {identifier} using Managed Service Identity (http://aka.ms/apimmsi) of Api Management service. \
             Check if Managed Identity of Type: SystemAssigned, ClientId: {OPERATOR} and ObjectId: 33333333-3333-4333-8333-000000000001 \
             has GET permissions on secrets in the KeyVault Access Policies."
        )
    };
    for identifier in [
        "https://kv-local.vault.azure.net/secrets/nothing",
        "https://kv-local.vault.azure.net/secrets/partner/000",
        "https://other.vault.azure.net/secrets/partner",
        "https://closed.vault.azure.net/secrets/partner",
        "https://example.com/secrets/partner",
    ] {
        let vault = json!({ "secretIdentifier": identifier });
        let answer = azure.put("namedValues/other", named("Other", vault)).await;
        let expected = ("keyVault.secretIdentifier".to_owned(), refused(identifier));
        assert_eq!(answer.expect(400).detail(), expected);
    }
    let vault = json!({ "secretIdentifier": partner, "identityClientId": STRANGER });
    let answer = azure.put("namedValues/other", named("Other", vault)).await;
    assert_eq!(
        answer.expect(400).detail(),
        (
            "identityClientId".to_owned(),
            format!(
                "Can not find Managed Identity with provided IdentityClientId : {STRANGER}. For more information please see aka.ms/apimmsi."
            )
        )
    );
    azure.get("namedValues/other").await.expect(404);

    let refresh = |id: &str| format!("namedValues/{id}/refreshSecret");
    let refreshed = azure.arm(Method::POST, &refresh("key"), None).await;
    assert_eq!(
        refreshed.expect(200).json()["properties"]["displayName"],
        "Key"
    );
    azure
        .control(Method::DELETE, secret, None)
        .await
        .expect(200);
    let answer = azure.arm(Method::POST, &refresh("key"), None).await;
    assert_eq!(answer.expect(400).detail().0, "keyVault.secretIdentifier");
    azure.get("namedValues/key").await.expect(200);
    let plain = json!({ "displayName": "Plain", "value": "v" });
    azure.put("namedValues/plain", plain).await.expect(201);
    let answer = azure.arm(Method::POST, &refresh("plain"), None).await;
    assert_eq!(answer.expect(400).detail().0, "keyVault");
    let answer = azure.arm(Method::POST, &refresh("nobody"), None).await;
    answer.expect(404);
}

#[tokio::test]
async fn what_a_key_vault_does_not_tell_is_said_at_the_end_of_a_long_running_write() {
    let azure = Azure::start().await;
    let vault = json!({ "secretIdentifier": "https://kv-local.vault.azure.net/secrets/nothing" });
    let properties = json!({ "displayName": "Key", "secret": true, "keyVault": vault });
    let accepted = azure.put("namedValues/key", properties).await.expect(201);
    let status = accepted.header("azure-asyncoperation").to_owned();
    let ended = azure.follow(&status).await.json();
    assert_eq!(ended["status"], "Failed");
    assert_eq!(
        ended["error"]["details"][0]["target"],
        "keyVault.secretIdentifier"
    );
    azure.get("namedValues/key").await.expect(404);
}
