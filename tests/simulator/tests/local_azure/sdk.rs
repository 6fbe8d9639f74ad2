//! The Azure SDK itself against the simulator.

use super::support::{Azure, OPERATOR, TENANT};
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, Transport};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use std::sync::Arc;

fn options(azure: &Azure) -> ClientOptions {
    let mut cloud = CustomConfiguration::default();
    cloud
        .authority_host
        .clone_from(&azure.simulator.endpoints.authority);
    ClientOptions {
        cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
        transport: Some(Transport::new(Arc::new(azure.client.clone()))),
        ..ClientOptions::default()
    }
}

#[tokio::test]
async fn the_sdk_gets_a_token_and_a_secret_with_its_challenge_check_on() {
    let azure = Azure::start().await;
    let credential = ClientSecretCredential::new(
        TENANT,
        OPERATOR.to_owned(),
        Secret::new("operator-secret"),
        Some(ClientSecretCredentialOptions {
            client_options: options(&azure),
        }),
    )
    .expect("a credential");
    let scope = format!("{}/.default", azure.simulator.base_url);
    let token = credential
        .get_token(&[&scope], None)
        .await
        .expect("a token");
    let answer = azure
        .client
        .get(azure.url("apis"))
        .bearer_auth(token.token.secret())
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 200);

    let vault = azure.simulator.endpoints.key_vaults[0].clone();
    let vault_options = SecretClientOptions {
        client_options: options(&azure),
        ..SecretClientOptions::default()
    };
    let client = SecretClient::new(&vault, credential, Some(vault_options)).expect("a client");
    let secret = client
        .get_secret("apim-service-name", None)
        .await
        .expect("a secret");
    let secret = secret.into_model().expect("a model");
    assert_eq!(secret.value.as_deref(), Some("apim-local"));
}
