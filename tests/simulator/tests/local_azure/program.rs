use apim_simulator::Endpoints;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

async fn start(arguments: &[&str]) -> (Child, Endpoints) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_apim-simulator"))
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program");
    let output = child.stdout.take().expect("its output");
    let line = BufReader::new(output)
        .lines()
        .next_line()
        .await
        .expect("a line");
    let endpoints = serde_json::from_str(&line.expect("a line")).expect("endpoints");
    (child, endpoints)
}

fn read(dir: &Path, file: &str) -> String {
    std::fs::read_to_string(dir.join(file)).expect("a file")
}

#[tokio::test]
async fn the_program_writes_its_authority_and_endpoints_and_keeps_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().to_str().expect("a path");
    let (mut child, endpoints) = start(&["--port", "0", "--data-dir", folder]).await;
    let authority = read(dir.path(), "ca.pem");
    let written: Endpoints =
        serde_json::from_str(&read(dir.path(), "endpoints.json")).expect("endpoints");
    assert_eq!(written.resource_manager, endpoints.resource_manager);
    assert_eq!(endpoints.service_name, "apim-local");

    let certificate = reqwest::Certificate::from_pem(authority.as_bytes()).expect("a certificate");
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([certificate])
        .build()
        .expect("a client");
    let keys = |endpoints: &Endpoints| {
        let url = format!(
            "{}/{}/discovery/keys",
            endpoints.authority, endpoints.tenant_id
        );
        let request = client.get(url);
        async move {
            request
                .send()
                .await
                .expect("an answer")
                .text()
                .await
                .expect("keys")
        }
    };
    let first = keys(&endpoints).await;
    child.kill().await.expect("killed");
    let (_child, endpoints) = start(&["--port", "0", "--data-dir", folder]).await;
    assert_eq!(keys(&endpoints).await, first);
    assert_eq!(read(dir.path(), "ca.pem"), authority);
}

#[tokio::test]
async fn the_program_takes_a_seed_and_speaks_plain_http_on_request() {
    let dir = tempfile::tempdir().expect("a folder");
    let seed = dir.path().join("seed.yaml");
    std::fs::write(
        &seed,
        "resourceGroup: mine\nservices: [{ name: my-apim, sku: Consumption }]\n",
    )
    .expect("a file");
    let seed = seed.to_str().expect("a path");
    let (_child, endpoints) = start(&["--port", "0", "--http", "--seed", seed]).await;
    assert!(
        endpoints
            .service_id
            .ends_with("/resourceGroups/mine/providers/Microsoft.ApiManagement/service/my-apim")
    );
    assert!(endpoints.resource_manager.starts_with("http://localhost:"));
    let answer = reqwest::get(&endpoints.control).await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_wrong_seed_is_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let seed = dir.path().join("seed.yaml");
    for (text, expected) in [
        (
            "services: []",
            "services: is empty; name at least one API Management service",
        ),
        (
            "tenantId: nobody",
            "tenantId: `nobody` is not among the tenants",
        ),
        ("colour: red", "cannot be understood: "),
    ] {
        std::fs::write(&seed, text).expect("a file");
        let output = Command::new(env!("CARGO_BIN_EXE_apim-simulator"))
            .args(["--seed", seed.to_str().expect("a path")])
            .output()
            .await
            .expect("the program");
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains(expected), "{text}: {message}");
    }
}
