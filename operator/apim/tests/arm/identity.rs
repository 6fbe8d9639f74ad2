//! Who the operator is: credentials, the chain, the vault.

use apim_simulator::{KeyVaultSeed, Seed, SimulatorConfig};
use operator_apim::identity::Environment;
use operator_apim::keyvault::SECRETS;
use operator_apim::{Azure, Cause, Credentials, Secret, VaultError, VaultSettings};
use operator_core::class::ErrorClass;

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
    let info = client.service().await.unwrap();
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
    let error = client.service().await.unwrap_err();
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
    let error = client.service().await.unwrap_err();
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
    let error = stage.client_of("stranger").service().await.unwrap_err();
    assert_eq!((error.status, error.class), (Some(403), ErrorClass::Denied));

    let reader = operator_apim::Applier::new(stage.client_of("reader"));
    let desired = crate::stage::Wish::default().desired();
    let failed = reader.apply(&desired, None, &|_| {}).await.unwrap_err();
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
        stage.client().service().await.unwrap();
    }
    let query = apim_simulator::JournalQuery {
        kind: Some(apim_simulator::CallKind::Token),
        method: Some("POST".into()),
        ..Default::default()
    };
    assert_eq!(stage.simulator.journal(&query).len(), 1);
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
    let error = client.service().await.unwrap_err();
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
