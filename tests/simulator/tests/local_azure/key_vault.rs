use super::support::{ARM, Answer, Azure, OPERATOR, STRANGER};
use reqwest::Method;

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
