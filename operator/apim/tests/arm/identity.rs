//! Who the operator is: credentials, the chain, the vault.

use apim_simulator::{Endpoints, KeyVaultSeed, Seed, SimulatorConfig};
use operator_apim::identity::Environment;
use operator_apim::keyvault::SECRETS;
use operator_apim::{Azure, Cause, Credentials, Secret, Silent, VaultError, VaultSettings};
use operator_core::class::ErrorClass;
use rsa::pkcs1::{EncodeRsaPrivateKey as _, LineEnding};
use rsa::pkcs8::EncodePublicKey as _;
use serde_json::json;

use crate::stage::{Stage, cloud, credentials, options, service};

fn azure(stage: &Stage, environment: Environment) -> Azure {
    Azure::new(cloud(&stage.simulator))
        .unwrap()
        .with_options(options())
        .with_environment(environment)
}

fn environment(stage: &Stage) -> Environment {
    let Credentials::ClientSecret {
        tenant_id,
        client_id,
        secret,
    } = credentials(&stage.simulator, "operator")
    else {
        unreachable!()
    };
    [
        ("AZURE_TENANT_ID", tenant_id),
        ("AZURE_CLIENT_ID", client_id),
        ("AZURE_CLIENT_SECRET", secret.into_exposed()),
    ]
    .into_iter()
    .collect()
}

#[tokio::test]
async fn the_chain_takes_the_client_secret_of_the_environment_first() {
    let stage = Stage::new().await;
    let azure = azure(&stage, environment(&stage));
    let client = azure
        .client(service(&stage.simulator), &Credentials::Chain)
        .unwrap();
    let info = client.reader().service().await.unwrap();
    assert_eq!(info.sku, "StandardV2");
    assert!(info.gateway_url.starts_with("http") && !info.gateway_url.ends_with('/'));
}

#[tokio::test]
async fn a_chain_without_anything_says_what_each_credential_lacks() {
    let stage = Stage::new().await;
    let azure = azure(&stage, Environment::default());
    let client = azure
        .client(service(&stage.simulator), &Credentials::Chain)
        .unwrap();
    let error = client.reader().service().await.unwrap_err();
    assert_eq!(
        (error.cause, error.class),
        (Cause::Token, ErrorClass::Denied)
    );
    let message = &error.message;
    for lack in [
        "client secret: AZURE_CLIENT_SECRET is not set; ",
        "workload identity: AZURE_FEDERATED_TOKEN_FILE is not set (the workload identity webhook",
        // What exactly depends on the machine that runs the test.
        "; managed identity: ",
        "; Azure CLI: ",
    ] {
        assert!(message.contains(lack), "{lack} in {message}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_shown_to_nobody() {
    let stage = Stage::new().await;
    let Credentials::ClientSecret {
        tenant_id,
        client_id,
        ..
    } = credentials(&stage.simulator, "operator")
    else {
        unreachable!()
    };
    let wrong = Credentials::ClientSecret {
        tenant_id,
        client_id,
        secret: Secret::new("correct-horse-battery".into()),
    };
    let client = stage
        .azure
        .client(service(&stage.simulator), &wrong)
        .unwrap();
    let error = client.reader().service().await.unwrap_err();
    assert_eq!(
        (error.cause, error.class),
        (Cause::Token, ErrorClass::Denied)
    );
    let shown = format!("{error} {error:?} {wrong:?} {:?} {client:?}", stage.azure);
    assert!(!shown.contains("correct-horse-battery"), "{shown}");
    assert!(error.message.contains("AADSTS"), "{error}");
}

#[tokio::test]
async fn a_principal_without_a_role_is_denied_and_a_reader_may_read_only() {
    let stage = Stage::new().await;
    let error = stage
        .client_of("stranger")
        .reader()
        .service()
        .await
        .unwrap_err();
    assert_eq!((error.status, error.class), (Some(403), ErrorClass::Denied));

    let reader = operator_apim::Applier::new(stage.client_of("reader"));
    let desired = crate::stage::Wish::default().desired();
    let failed = reader.apply(&desired, None, &Silent).await.unwrap_err();
    assert_eq!(failed.class(), ErrorClass::Denied);
    assert_eq!(
        failed.step.as_deref(),
        Some("create the API without operations")
    );
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_kept() {
    let stage = Stage::new().await;
    for _ in 0..5 {
        stage.client().reader().service().await.unwrap();
    }
    let query = apim_simulator::JournalQuery {
        kind: Some(apim_simulator::CallKind::Token),
        method: Some("POST".into()),
        ..Default::default()
    };
    assert_eq!(stage.simulator.journal(&query).len(), 1);
}

#[tokio::test]
async fn a_token_that_azure_holds_for_expired_is_replaced_whatever_this_clock_says() {
    let stage = Stage::new().await;
    let client = stage.client();
    client.reader().service().await.unwrap();
    // By this machine's clock the token has an hour left.
    stage.simulator.advance_clock(2 * 60 * 60 * 1000);
    client.reader().service().await.unwrap();
}

#[tokio::test]
async fn without_the_ca_file_the_local_azure_is_not_trusted() {
    let stage = Stage::new().await;
    let mut cloud = cloud(&stage.simulator);
    cloud.ca_file = None;
    let azure = Azure::new(cloud).unwrap();
    let credentials = credentials(&stage.simulator, "operator");
    let client = azure
        .client(service(&stage.simulator), &credentials)
        .unwrap();
    let error = client.reader().service().await.unwrap_err();
    assert_eq!(error.cause, Cause::Token);
}

#[tokio::test]
async fn the_vaults_five_secrets_are_the_implicit_instance() {
    let stage = Stage::new().await;
    let operator = credentials(&stage.simulator, "operator");
    let settings = stage.azure.read_vault("kv-local", &operator).await.unwrap();
    let callers = stage.simulator.endpoints.applications.iter();
    let callers = callers.clone().find(|app| app.name == "callers").unwrap();
    assert_eq!(
        settings,
        VaultSettings {
            service: service(&stage.simulator),
            tenant_id: stage.simulator.endpoints.tenant_id.clone(),
            client_id: callers.client_id.clone(),
        }
    );
}

#[tokio::test]
async fn a_vault_that_lacks_secrets_is_told_all_of_them() {
    let mut seed = Seed::default();
    seed.key_vaults.push(KeyVaultSeed {
        name: "kv-half".into(),
        tenant_id: None,
        secrets: [
            ("apim-service-name".to_owned(), "apim-local".to_owned()),
            ("resource-group".to_owned(), " ".to_owned()),
        ]
        .into(),
        readers: None,
    });
    let config = SimulatorConfig {
        seed,
        ..SimulatorConfig::default()
    };
    let stage = Stage::with(config, options()).await;
    let operator = credentials(&stage.simulator, "operator");
    let error = stage
        .azure
        .read_vault("kv-half", &operator)
        .await
        .unwrap_err();
    let VaultError::Missing { names, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(names[..], SECRETS[1..]);
    assert_eq!(
        error.to_string(),
        format!(
            "the Key Vault https://kv-half.{} lacks resource-group, subscription-id, aad-tenant-id, aad-client-id: set them, or make an ApimInstance named `default`",
            stage.simulator.endpoints.key_vault_suffix
        )
    );
    let name = stage.azure.read_vault("kv/../x", &operator).await;
    assert_eq!(name, Err(VaultError::Name("kv/../x".into())));
}

#[tokio::test]
async fn a_service_account_that_entra_trusts_gets_a_token() {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let mut seed = Seed::default();
    let operator = &mut seed.tenants[0].applications[0];
    let trusted = &mut operator.federated_credentials[0];
    trusted.public_key_pem = Some(
        key.to_public_key()
            .to_public_key_pem(LineEnding::LF)
            .unwrap(),
    );
    let claims = json!({
        "iss": trusted.issuer,
        "sub": trusted.subject,
        "aud": [trusted.audiences[0]],
        "iat": jsonwebtoken::get_current_timestamp(),
        "exp": jsonwebtoken::get_current_timestamp() + 600,
    });
    let pem = key.to_pkcs1_pem(LineEnding::LF).unwrap();
    let token = jsonwebtoken::encode(
        &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256),
        &claims,
        &jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
    )
    .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), token).unwrap();

    let client_id = operator.client_id.clone();
    let config = SimulatorConfig {
        seed,
        ..SimulatorConfig::default()
    };
    let stage = Stage::with(config, options()).await;
    let environment = [(
        "AZURE_FEDERATED_TOKEN_FILE",
        file.path().display().to_string(),
    )];
    let azure = azure(&stage, environment.into_iter().collect());
    let credentials = Credentials::WorkloadIdentity {
        tenant_id: Some(stage.simulator.endpoints.tenant_id.clone()),
        client_id: Some(client_id),
    };
    let client = azure
        .client(service(&stage.simulator), &credentials)
        .unwrap();
    assert_eq!(client.reader().service().await.unwrap().sku, "StandardV2");
}

/// The SDK reads the endpoint from its process's environment, so the second
/// half runs in a process of its own.
#[tokio::test]
async fn a_managed_identity_is_asked_where_the_environment_says() {
    const CHILD: &str = "APIM_TEST_ENDPOINTS";
    if let Some(file) = std::env::var_os(CHILD) {
        let text = std::fs::read_to_string(file).unwrap();
        let endpoints: Endpoints = serde_json::from_str(&text).unwrap();
        let azure = Azure::new(crate::stage::cloud_of(&endpoints)).unwrap();
        for credentials in [
            Credentials::ManagedIdentity { client_id: None },
            Credentials::Chain,
        ] {
            let service = crate::stage::service_of(&endpoints);
            let client = azure.client(service, &credentials).unwrap();
            assert_eq!(client.reader().service().await.unwrap().sku, "StandardV2");
        }
        return;
    }
    let stage = Stage::new().await;
    let endpoints = &stage.simulator.endpoints;
    let ca_file = std::path::Path::new(endpoints.ca_file.as_ref().unwrap());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args([
            "--exact",
            "identity::a_managed_identity_is_asked_where_the_environment_says",
        ])
        .env_remove("AZURE_CLIENT_ID")
        .env_remove("AZURE_CLIENT_SECRET")
        .env_remove("AZURE_FEDERATED_TOKEN_FILE")
        .env(CHILD, ca_file.with_file_name("endpoints.json"))
        .env("IDENTITY_ENDPOINT", &endpoints.identity_endpoint)
        .env("IDENTITY_HEADER", &endpoints.identity_header);
    let output = tokio::task::spawn_blocking(move || child.output())
        .await
        .unwrap()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("1 passed"), "{shown}");
}
