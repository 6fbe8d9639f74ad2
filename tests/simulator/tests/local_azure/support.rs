//! A simulator and a client that trusts it.

use apim_simulator::{JournalQuery, Simulator, SimulatorConfig};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const OPERATOR: &str = "22222222-2222-4222-8222-000000000001";
pub(crate) const READER: &str = "22222222-2222-4222-8222-000000000002";
pub(crate) const STRANGER: &str = "22222222-2222-4222-8222-000000000003";
pub(crate) const ARM: &str = "https://management.azure.com";
pub(crate) const VERSION: &str = "2024-05-01";

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name}: {:?}", self.headers))
    }

    /// Status and `error.code`.
    pub(crate) fn error(&self) -> (u16, String) {
        let code = self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (self.status, code)
    }

    /// Target and message of the only detail.
    pub(crate) fn detail(&self) -> (String, String) {
        let body = self.json();
        let details = body["error"]["details"].as_array().expect("details");
        assert_eq!(details.len(), 1, "{body}");
        let text = |name: &str| details[0][name].as_str().unwrap_or_default().to_owned();
        (text("target"), text("message"))
    }

    /// Checks the status and goes on.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// A running simulator with a client.
pub(crate) struct Azure {
    pub(crate) simulator: Simulator,
    pub(crate) client: Client,
    pub(crate) token: String,
    pub(crate) service: String,
    pub(crate) version: &'static str,
}

impl Azure {
    pub(crate) async fn start() -> Self {
        Self::with(SimulatorConfig::default()).await
    }

    pub(crate) async fn with(config: SimulatorConfig) -> Self {
        let simulator = Simulator::start(config).await.expect("a simulator");
        let token = simulator.token(OPERATOR, ARM).expect("a token");
        let service = simulator.endpoints.service_id.clone();
        let client = client(&simulator);
        Self {
            simulator,
            client,
            token,
            service,
            version: VERSION,
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        answer(request.send().await.expect("an answer")).await
    }

    /// The URL of a child of the service, with the api-version.
    pub(crate) fn url(&self, path: &str) -> String {
        let joiner = if path.contains('?') { '&' } else { '?' };
        let slash = if path.is_empty() { "" } else { "/" };
        format!(
            "{}{}{slash}{path}{joiner}api-version={}",
            self.simulator.base_url, self.service, self.version
        )
    }

    pub(crate) async fn arm(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.arm_if(method, path, None, body).await
    }

    pub(crate) async fn arm_if(
        &self,
        method: Method,
        path: &str,
        if_match: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        if let Some(etag) = if_match {
            headers.push(("if-match", etag));
        }
        let body = body.map(|body| body.to_string());
        self.send(method, &self.url(path), &headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.arm(Method::GET, path, None).await
    }

    pub(crate) async fn put(&self, path: &str, properties: Value) -> Answer {
        self.arm(Method::PUT, path, Some(json!({ "properties": properties })))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.arm(Method::DELETE, path, None).await
    }

    /// A GET of an absolute URL with the token.
    pub(crate) async fn follow(&self, url: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.send(Method::GET, url, &[("authorization", &bearer)], None)
            .await
    }

    /// Creates a small API.
    pub(crate) async fn api(&self, id: &str, path: &str) -> Answer {
        self.put(
            &format!("apis/{id}"),
            json!({ "displayName": id, "path": path, "protocols": ["https"] }),
        )
        .await
        .expect(201)
    }

    /// Imports a document and waits for the end.
    pub(crate) async fn import(&self, id: &str, path: &str, document: &Value) -> Answer {
        let answer = self
            .put(
                &format!("apis/{id}"),
                json!({ "path": path, "format": "openapi+json", "value": document.to_string() }),
            )
            .await;
        let status = answer.header("azure-asyncoperation").to_owned();
        assert_eq!(
            self.follow(&status).await.json(),
            json!({ "status": "Succeeded" })
        );
        answer
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let url = format!("{}/_control/{path}", self.simulator.base_url);
        self.send(method, &url, &[], body.map(|body| body.to_string()))
            .await
    }

    /// Method and path below the service of the calls so far, with the status.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.simulator
            .journal(&JournalQuery::default())
            .into_iter()
            .map(|entry| {
                let path = entry
                    .path
                    .strip_prefix(&self.service)
                    .unwrap_or(&entry.path);
                format!("{} {path} {}", entry.method, entry.status)
            })
            .collect()
    }
}

/// A client that trusts the simulator and finds its vaults.
pub(crate) fn client(simulator: &Simulator) -> Client {
    let address = ([127, 0, 0, 1], simulator.port()).into();
    let mut builder = Client::builder()
        .no_proxy()
        .resolve("localhost", address)
        .resolve("kv-local.vault.localhost", address)
        .resolve("kv-local.localhost", address)
        .resolve("other.vault.localhost", address);
    if !simulator.ca_pem.is_empty() {
        let authority = reqwest::Certificate::from_pem(simulator.ca_pem.as_bytes());
        builder = builder.tls_certs_only([authority.expect("a certificate")]);
    }
    builder.build().expect("a client")
}

pub(crate) async fn answer(response: reqwest::Response) -> Answer {
    Answer {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    value.to_str().unwrap_or_default().to_owned(),
                )
            })
            .collect(),
        text: response.text().await.expect("a text"),
    }
}

/// A document with two operations.
pub(crate) fn petstore() -> Value {
    json!({
        "openapi": "3.0.1",
        "info": { "title": "Pets", "description": "All pets", "version": "1" },
        "servers": [{ "url": "http://plain.example.com" }, { "url": "https://pets.example.com/v1" }],
        "paths": {
            "/pets": { "get": { "operationId": "listPets", "summary": "List pets",
                "responses": { "200": { "description": "ok" } } } },
            "/pets/{id}": { "get": { "operationId": "getPet",
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
                "responses": { "200": { "description": "ok" } } } },
        },
        "components": { "schemas": { "Pet": { "type": "object" } } },
    })
}
