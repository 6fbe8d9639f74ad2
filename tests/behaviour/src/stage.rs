//! A gateway that serves what the operator made, and its callers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use apim_gateway::configuration::{self, Certificate, Service};
use apim_gateway::{
    Configuration, Gateway, ManagedIdentity, ManualClock, Options, ServerCertificate,
};
use apim_simulator::openapi_import::{
    ImportFormat, ImportedBody, ImportedOperation, ImportedParameter, import,
};
use operator_core::desired::Desired;
use serde_json::{Value, json};

use crate::api::{Api, GATEWAY};
use crate::certificates::{Authority, Identity};
use crate::world::{IDENTITY, World};

/// What the gateway's clock shows where a test begins, in seconds.
pub const START: i64 = 1_700_000_000;

/// A gateway, what is around it, and its callers.
pub struct Stage {
    /// The backend and all else that the gateway calls.
    pub world: Arc<World>,
    gateway: Gateway,
    clock: Arc<ManualClock>,
    path: String,
    authority: Option<Authority>,
    service: Service,
}

impl Stage {
    /// Serves an API.
    pub async fn of(api: Api) -> Self {
        Self::with(api, |_| {}).await
    }

    /// Serves an API of a service that has more: named values, certificates.
    pub async fn with(api: Api, change: impl FnOnce(&mut Service)) -> Self {
        Self::start(&api, None, change).await
    }

    /// Serves an API over TLS, to callers with certificates.
    pub async fn over_tls(api: Api, change: impl FnOnce(&mut Service)) -> Self {
        Self::start(&api, Some(Authority::new("gateway")), change).await
    }

    async fn start(
        api: &Api,
        authority: Option<Authority>,
        change: impl FnOnce(&mut Service),
    ) -> Self {
        // Of the client; the gateway brings its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let desired = api
            .desired()
            .unwrap_or_else(|problems| panic!("{problems:#?}"));
        let mut service = Service {
            name: "test".to_owned(),
            region: "West Europe".to_owned(),
            apis: vec![published(&desired)],
            ..Service::default()
        };
        change(&mut service);
        let world = Arc::new(World::default());
        let start = jiff::Timestamp::from_second(START).expect("a time");
        let clock = Arc::new(ManualClock::new(start));
        let options = Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: authority.as_ref().map(|authority| {
                let Identity { chain, key, .. } = authority.issue(GATEWAY, (2020, 2040));
                ServerCertificate { chain, key }
            }),
            clock: Arc::<ManualClock>::clone(&clock),
            client: Some(Arc::<World>::clone(&world)),
            identity: Some(ManagedIdentity {
                endpoint: IDENTITY.to_owned(),
                header: "secret".to_owned(),
            }),
            ..Options::default()
        };
        let configuration = Configuration {
            services: vec![service.clone()],
        };
        let gateway = Gateway::start(&configuration, options)
            .await
            .expect("a gateway");
        assert_eq!(gateway.problems(), []);
        Self {
            world,
            gateway,
            clock,
            path: api.path().to_owned(),
            authority,
            service,
        }
    }

    /// Serves these APIs instead; counters and caches stay.
    pub fn serve(&mut self, apis: &[Desired]) {
        self.service.apis = apis.iter().map(published).collect();
        self.gateway.configure(&Configuration {
            services: vec![self.service.clone()],
        });
    }

    /// What of the documents the gateway cannot execute.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let problems = self.gateway.problems();
        problems.iter().map(ToString::to_string).collect()
    }

    /// The gateway's clock, for a backend that looks at it.
    #[must_use]
    pub fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.clock)
    }

    /// Lets time pass.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A request to the API; `path` is below the API's.
    pub fn call(&self, method: &str, path: &str) -> Call<'_> {
        Call {
            stage: self,
            method: method.to_owned(),
            path: format!("{}{path}", self.path),
            headers: Vec::new(),
            body: Vec::new(),
            from: Ipv4Addr::LOCALHOST,
            identity: None,
        }
    }

    /// `GET /items/7`.
    pub fn item(&self) -> Call<'_> {
        self.call("GET", "/items/7")
    }

    /// `POST /items`.
    pub fn post(&self, content_type: &str, body: impl Into<Vec<u8>>) -> Call<'_> {
        let call = self.call("POST", "/items").body(body);
        if content_type.is_empty() {
            call
        } else {
            call.header("content-type", content_type)
        }
    }

    /// What a browser asks before it calls from a page of this origin.
    pub fn preflight(&self, origin: &str, method: &str) -> Call<'_> {
        self.call("OPTIONS", "/items/7")
            .header("origin", origin)
            .header("access-control-request-method", method)
    }
}

/// A request that is on its way.
#[must_use]
pub struct Call<'s> {
    stage: &'s Stage,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    from: Ipv4Addr,
    identity: Option<&'s Identity>,
}

impl<'s> Call<'s> {
    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a token in `Authorization`.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// To another API than the stage's.
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// From another address of this machine.
    pub fn from(mut self, address: [u8; 4]) -> Self {
        self.from = address.into();
        self
    }

    /// With a client certificate.
    pub fn as_client(mut self, identity: &'s Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The answer.
    pub async fn send(self) -> Answer {
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .local_address(IpAddr::from(self.from));
        let url = match &self.stage.authority {
            None => {
                client = client.tls_certs_only([]);
                format!("http://{}{}", self.stage.gateway.address(), self.path)
            }
            Some(authority) => {
                let root = reqwest::Certificate::from_pem(authority.pem.as_bytes());
                client = client.tls_certs_only([root.expect("a root")]);
                if let Some(Identity { chain, key, .. }) = self.identity {
                    let pem = format!("{chain}{key}");
                    let identity = reqwest::Identity::from_pem(pem.as_bytes());
                    client = client.identity(identity.expect("an identity"));
                }
                format!("{}{}", self.stage.gateway.url(), self.path)
            }
        };
        let method = reqwest::Method::from_bytes(self.method.as_bytes()).expect("a method");
        let client = client.build().expect("a client");
        let mut request = client.request(method, url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.body.is_empty() {
            request = request.body(self.body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in response.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers
                .entry(name.to_string())
                .and_modify(|known| *known = format!("{known}, {value}"))
                .or_insert(value);
        }
        // Of the server, for every answer.
        headers.remove("date");
        headers.remove("content-length");
        headers.remove("transfer-encoding");
        Answer {
            status,
            headers,
            body: response.text().await.expect("a body"),
        }
    }

    /// The answer's status.
    pub async fn status(self) -> u16 {
        self.send().await.status
    }

    /// Status and message of the gateway's own answer.
    pub async fn error(self) -> (u16, String) {
        self.send().await.error()
    }
}

/// An answer of the gateway, read whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers by their names in lower case, without those of
    /// the connection and `date`; several of one name are joined.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// All headers, with their values.
    #[must_use]
    pub fn all_headers(&self) -> Vec<(&str, &str)> {
        let all = self.headers.iter();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// Status, and `message` of the service's errors.
    #[must_use]
    pub fn error(&self) -> (u16, String) {
        let body: Value =
            serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(body["statusCode"], self.status, "{self:?}");
        let message = body["message"].as_str().expect("a message").to_owned();
        (self.status, message)
    }
}

/// The API as it is after the operator's writes: the document's operations as
/// the import makes them, and the policy documents.
fn published(desired: &Desired) -> configuration::Api {
    let api = desired.api.as_ref().expect("an API");
    let policy = desired.policy.as_ref().expect("a policy");
    let imported = import(ImportFormat::OpenApi, &api.document.value)
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut schemas = Schemas {
        documents: BTreeMap::new(),
        components: imported.schemas,
    };
    let operations: Vec<_> = imported
        .operations
        .into_iter()
        .map(|operation| {
            let text = policy.operations.get(&operation.id);
            schemas.operation(operation, text.map(|text| text.text.clone()))
        })
        .collect();
    assert!(
        policy
            .operations
            .keys()
            .all(|id| operations.iter().any(|one| one.id == *id)),
        "{:?}",
        policy.operations
    );
    configuration::Api {
        id: api.id.to_string(),
        name: api.settings.display_name.clone(),
        path: api.settings.path.clone(),
        service_url: api.service_url.clone(),
        protocols: api.settings.protocols.clone(),
        subscription_required: api.settings.subscription_required,
        key_header: api.settings.subscription_key_names.header.clone(),
        key_query: api.settings.subscription_key_names.query.clone(),
        policy: Some(policy.api.text.clone()),
        operations,
        schemas: schemas.documents,
        ..configuration::Api::default()
    }
}

/// The schemas of an API: one document for each body, which holds the
/// components that it refers to.
struct Schemas {
    documents: BTreeMap<String, Value>,
    components: Value,
}

impl Schemas {
    fn operation(
        &mut self,
        operation: ImportedOperation,
        policy: Option<String>,
    ) -> configuration::Operation {
        configuration::Operation {
            name: operation.display_name,
            method: operation.method,
            url_template: operation.url_template,
            template_parameters: parameters(operation.template_parameters),
            query_parameters: parameters(operation.query_parameters),
            header_parameters: parameters(operation.headers),
            request: self.representations(&operation.id, operation.request_bodies),
            responses: operation
                .responses
                .into_iter()
                .map(|response| configuration::Response {
                    status: response.status_code,
                    representations: self.representations(
                        &format!("{}-{}", operation.id, response.status_code),
                        response.bodies,
                    ),
                })
                .collect(),
            policy,
            id: operation.id,
        }
    }

    fn representations(
        &mut self,
        whose: &str,
        bodies: Vec<ImportedBody>,
    ) -> Vec<configuration::Representation> {
        let mut representations = Vec::new();
        for (number, body) in bodies.into_iter().enumerate() {
            let id = format!("{whose}-{number}").to_lowercase();
            let schema = (!body.schema.is_null()).then(|| {
                let document = json!({"components": {"schemas": self.components}});
                let mut named = document;
                named["components"]["schemas"][&id] = body.schema;
                self.documents.insert(id.clone(), named);
                configuration::SchemaRef {
                    schema_id: id.clone(),
                    type_name: id,
                }
            });
            representations.push(configuration::Representation {
                content_type: body.content_type,
                schema,
                examples: body
                    .examples
                    .into_iter()
                    .map(|(_, example)| match example {
                        Value::String(text) => text,
                        json => json.to_string(),
                    })
                    .collect(),
            });
        }
        representations
    }
}

fn parameters(all: Vec<ImportedParameter>) -> Vec<configuration::Parameter> {
    all.into_iter()
        .map(|one| configuration::Parameter {
            name: one.name,
            required: one.required,
            kind: one.type_name,
            schema: (!one.values.is_empty()).then(|| json!({"enum": one.values})),
        })
        .collect()
}

/// The certificate as a service holds it.
impl From<&Authority> for Certificate {
    fn from(authority: &Authority) -> Self {
        Self {
            pem: authority.pem.clone(),
            trusted_root: true,
            ..Self::default()
        }
    }
}

/// The certificate with its key, to be shown to backends.
impl From<&Identity> for Certificate {
    fn from(identity: &Identity) -> Self {
        Self {
            pem: identity.chain.clone(),
            key: Some(identity.key.clone().into()),
            ..Self::default()
        }
    }
}
