//! The local Azure of one seed, and the hands of others in it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use apim_simulator::{
    ApiShape, ApplicationSeed, CallKind, FaultSpec, JournalQuery, LroMode, LroSettings, Role,
    RoleScope, Seed, ServiceSeed, Simulator, SimulatorConfig,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::schedule::{AzureAnswer, AzureFault, Call, Shape};

/// The operator's application.
pub(crate) const OPERATOR: &str = "22222222-2222-4222-8222-000000000001";
/// The application with which somebody works in the portal.
const PORTAL: &str = "22222222-2222-4222-8222-000000000009";
/// What the portal calls itself; faults strike others.
const PORTAL_AGENT: &str = "portal";
/// The services of the two instances.
const SERVICES: [&str; 2] = ["apim-local", "apim-other"];
/// How often somebody at the portal tries again while Azure is busy with what
/// is worked on.
const TRIES: u32 = 20;
/// How long they wait in between.
const BETWEEN: Duration = Duration::from_millis(20);
/// A long-running operation that nobody looks at ends after this.
const LONGEST_OPERATION_MS: u32 = 1_500;

/// The local Azure of one seed.
pub(crate) struct Azure {
    pub(crate) simulator: Simulator,
    portal: reqwest::Client,
    /// Calls that were counted as work, and up to which.
    work: Mutex<(u64, u64)>,
}

/// The name of an instance's service.
pub(crate) const fn service(second: bool) -> &'static str {
    SERVICES[second as usize]
}

/// Where the gateway of an instance is.
pub(crate) fn gateway(second: bool) -> String {
    format!("https://{}.azure-api.net", service(second))
}

fn lro(shape: Shape, polls: u8) -> LroSettings {
    LroSettings {
        mode: match shape {
            Shape::Sync => LroMode::Sync,
            Shape::AsyncOperation => LroMode::AsyncOperation,
            Shape::Location => LroMode::Location,
        },
        polls: u32::from(polls),
        max_duration_ms: LONGEST_OPERATION_MS,
        ..LroSettings::default()
    }
}

impl Azure {
    /// Starts it; the operator's secrets are `secrets`.
    pub(crate) async fn start(lab: &Lab, secrets: &[String], two: bool) -> Result<Self> {
        let mut seed = Seed::default();
        if two {
            seed.services.push(ServiceSeed::named(service(true)));
        }
        let tenant = seed.tenants.first_mut().context("the seed has a tenant")?;
        for application in &mut tenant.applications {
            if application.client_id == OPERATOR {
                application.secrets = secrets.to_vec();
            }
        }
        tenant.applications.push(ApplicationSeed {
            client_id: PORTAL.to_owned(),
            object_id: "33333333-3333-4333-8333-000000000009".to_owned(),
            display_name: "portal".to_owned(),
            secrets: Vec::new(),
            federated_credentials: Vec::new(),
            managed_identity: false,
            role: Some(Role::Contributor),
            role_scope: RoleScope::ResourceGroup,
        });
        let simulator = Simulator::start(SimulatorConfig {
            data_dir: Some(lab.azure_dir()),
            seed,
            throttle: None,
            lro: lro(Shape::AsyncOperation, 1),
            ..SimulatorConfig::default()
        })
        .await?;
        let authority = reqwest::Certificate::from_pem(simulator.ca_pem.as_bytes())?;
        let portal = reqwest::Client::builder()
            .tls_certs_only([authority])
            .user_agent(PORTAL_AGENT)
            .build()?;
        Ok(Self {
            simulator,
            portal,
            work: Mutex::default(),
        })
    }

    /// The settings of an `ApimInstance` that connects to it, with the secret
    /// of this name.
    pub(crate) fn instance(&self, lab: &Lab, second: bool, secret: &str) -> Value {
        let endpoints = &self.simulator.endpoints;
        json!({
            "subscriptionId": endpoints.subscription_id,
            "resourceGroup": endpoints.resource_group,
            "serviceName": service(second),
            "tenantId": endpoints.tenant_id,
            "clientId": "22222222-2222-4222-8222-000000000004",
            "namespaceSelector": {},
            "credentials": {"clientSecret": {
                "tenantId": endpoints.tenant_id,
                "clientId": OPERATOR,
                "secretRef": {"name": secret, "key": "secret"},
            }},
            "cloud": {
                "authorityHost": endpoints.authority,
                "resourceManager": endpoints.resource_manager,
                "keyVaultSuffix": endpoints.key_vault_suffix,
                "caFile": lab.ca_file(),
            },
            "ownerMay": ["plugins", "plugin.*", "operation-plugins", "deletion-policy", "paused", "retry", "api-id", "instance", "adoption", "drift", "rollout", "wiki"],
            "allow": {"apiIds": ["foreign*"]},
            "grants": [{"namespaceSelector": {}, "kind": "namedValue", "names": ["value-*"]}],
        })
    }

    /// Calls Azure as somebody at the portal, who tries again while Azure is
    /// busy. The path is below the service.
    pub(crate) async fn portal(
        &self,
        second: bool,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<()> {
        let (status, text) = self.tried(second, method, path, body).await?;
        if status >= 300 && status != 404 {
            bail!("{method} {path} at the portal: {status} {text}");
        }
        Ok(())
    }

    /// The same, where Azure may say no: answers whether it was done.
    pub(crate) async fn portal_may(
        &self,
        second: bool,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<bool> {
        let (status, _) = self.tried(second, method, path, body).await?;
        Ok(status < 300)
    }

    async fn tried(
        &self,
        second: bool,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, String)> {
        let endpoints = &self.simulator.endpoints;
        let token = self
            .simulator
            .token(PORTAL, "https://management.azure.com")
            .context("the portal has an application")?;
        let (below, _) = endpoints
            .service_id
            .rsplit_once('/')
            .context("the service's id has a name")?;
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!(
            "{}{below}/{}{path}{separator}api-version=2024-05-01",
            endpoints.resource_manager.trim_end_matches('/'),
            service(second)
        );
        let mut tries = 0;
        loop {
            let mut request = self
                .portal
                .request(method.parse()?, &url)
                .bearer_auth(&token)
                .header("if-match", "*");
            if let Some(body) = body {
                request = request
                    .header("content-type", "application/json")
                    .body(body.to_string());
            }
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let text = answer.text().await?;
            tries += 1;
            if !matches!(status, 409 | 412) || tries == TRIES {
                return Ok((status, text));
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// The pages of an instance as they are now, by id: what each says.
    pub(crate) fn pages(&self, second: bool) -> BTreeMap<String, String> {
        let state = self.simulator.state(service(second)).unwrap_or_default();
        let pages = state["documentations"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        pages
            .map(|page| (text(&page["name"]), text(&page["properties"]["content"])))
            .collect()
    }

    /// Which page the wiki of an API shows.
    pub(crate) fn shown_page(&self, second: bool, api: &str) -> Option<String> {
        let state = self.simulator.state(service(second))?;
        let wiki = &state["apis"][api]["wiki"]["properties"];
        let shown = wiki["documents"][0]["documentationId"].as_str();
        shown.map(str::to_owned)
    }

    /// The APIs of an instance as they are now.
    pub(crate) fn apis(&self, second: bool) -> BTreeMap<String, ApiShape> {
        let mut apis = BTreeMap::new();
        for moment in self.simulator.moments(0) {
            if moment.service != service(second) {
                continue;
            }
            match moment.now {
                Some(shape) => apis.insert(moment.api, shape),
                None => apis.remove(&moment.api),
            };
        }
        apis
    }

    /// Everything that an instance stores of an API.
    pub(crate) fn stored(&self, second: bool, id: &str) -> Option<Value> {
        let state = self.simulator.state(service(second))?;
        state["apis"].get(id).cloned()
    }

    /// How many calls operators have made to do something: a sweep, which
    /// never rests, only reads.
    pub(crate) fn work(&self) -> u64 {
        let mut work = self.work.lock();
        let last = self.simulator.last_call();
        let (count, since) = *work;
        let new = self.simulator.journal(&JournalQuery {
            since,
            ..JournalQuery::default()
        });
        let worked = new.iter().filter(|call| {
            call.seq <= last
                && call.kind != CallKind::Read
                && call.principal.as_deref() != Some(PORTAL)
        });
        let worked = u64::try_from(worked.count()).unwrap_or(u64::MAX);
        *work = (count + worked, last);
        work.0
    }

    /// A named value that policies can need, with a secret in it.
    pub(crate) async fn value(&self, second: bool, value: u8, secret: &str) -> Result<()> {
        let name = format!("value-{value}");
        let body = json!({"properties": {"displayName": name, "value": secret, "secret": true}});
        self.portal(second, "PUT", &format!("/namedValues/{name}"), Some(&body))
            .await
    }

    /// Cuts operators off.
    pub(crate) fn cut_off(&self) -> Result<u64> {
        let fault = FaultSpec {
            spare_agent: Some(PORTAL_AGENT.to_owned()),
            reset: true,
            ..FaultSpec::default()
        };
        self.simulator.fault(fault).map_err(anyhow::Error::msg)
    }

    /// Other long-running operations from now on.
    pub(crate) fn imports(&self, shape: Shape, polls: u8) {
        self.simulator.set_lro(lro(shape, polls));
    }

    /// Sets a fault.
    pub(crate) fn fail(&self, fault: &AzureFault) -> Result<u64> {
        self.simulator
            .fault(spec(fault))
            .map_err(anyhow::Error::msg)
    }

    /// Holds one of the operator's next writes.
    pub(crate) fn hold_write(&self, after: u8, done: bool) -> Result<u64> {
        let fault = FaultSpec {
            verb: Some("PUT|PATCH|DELETE".to_owned()),
            path: Some("/apis/".to_owned()),
            after: u32::from(after),
            count: Some(1),
            spare_agent: Some(PORTAL_AGENT.to_owned()),
            hold: !done,
            hold_answer: done,
            ..FaultSpec::default()
        };
        self.simulator.fault(fault).map_err(anyhow::Error::msg)
    }
}

/// A fault as the simulator takes it.
fn spec(fault: &AzureFault) -> FaultSpec {
    let (verb, path) = match fault.call {
        Call::Any => (None, "/apis/"),
        Call::Read => (Some("GET"), "/apis/"),
        Call::Api => (Some("PUT|PATCH"), "/apis/[^/?]+\\?"),
        Call::Policy => (Some("PUT|DELETE"), "/policies/policy"),
        Call::Delete => (Some("DELETE"), "/apis/[^/?]+\\?"),
        Call::Poll => (Some("GET"), "(?i)operationResults|asyncId"),
        Call::Token => (Some("POST"), "/token"),
        Call::Service => (Some("GET"), "(?i)service/apim-[a-z]+(\\?|/openidConnect)"),
    };
    let error = |code: &str, message: &str| json!({"error": {"code": code, "message": message}});
    let mut spec = FaultSpec {
        verb: verb.map(str::to_owned),
        path: Some(path.to_owned()),
        after: u32::from(fault.after),
        count: Some(u32::from(fault.count)),
        spare_agent: Some(PORTAL_AGENT.to_owned()),
        ..FaultSpec::default()
    };
    let mut answer = |status: u16, body: Value| {
        spec.status = Some(status);
        spec.body = Some(body);
    };
    match fault.answer {
        AzureAnswer::Locked => answer(
            409,
            error(
                "PessimisticConcurrencyConflict",
                "Resource was modified concurrently and has been locked",
            ),
        ),
        AzureAnswer::LockedAfter => spec.lock_after_success = Some(2),
        AzureAnswer::Precondition => answer(
            412,
            error(
                "PreconditionFailed",
                "Resource was modified since last retrieval.",
            ),
        ),
        AzureAnswer::Unprocessable => answer(
            422,
            error(
                "ManagementApiRequestFailed",
                "Failed to connect to management endpoint at apim-local.management.azure-api.net:3443 for a service deployed in a virtual network. The operation has timed out.",
            ),
        ),
        AzureAnswer::ThrottledFor | AzureAnswer::Throttled => answer(
            429,
            error(
                "TooManyRequests",
                "Rate limit is exceeded. Try again later.",
            ),
        ),
        AzureAnswer::Forbidden => answer(
            403,
            error(
                "AuthorizationFailed",
                "The client does not have authorization to perform action over scope or the scope is invalid.",
            ),
        ),
        AzureAnswer::Unauthorized => answer(
            401,
            error(
                "ExpiredAuthenticationToken",
                "The access token has expired.",
            ),
        ),
        AzureAnswer::Broken | AzureAnswer::BrokenAfter => {
            answer(500, error("InternalServerError", "Internal server error."));
        }
        AzureAnswer::Unavailable => answer(
            503,
            error("ServiceUnavailable", "The service is unavailable."),
        ),
        AzureAnswer::Missing => answer(404, error("ResourceNotFound", "Resource not found.")),
        AzureAnswer::Reset | AzureAnswer::ResetAfter => spec.reset = true,
        AzureAnswer::Cut => spec.truncate = true,
        AzureAnswer::Slow => spec.delay_ms = Some(150),
        AzureAnswer::Failed => spec.lro_failure = Some(true.into()),
        AzureAnswer::Endless => spec.polls = Some(100),
    }
    spec.effect = matches!(
        fault.answer,
        AzureAnswer::BrokenAfter | AzureAnswer::ResetAfter
    );
    if fault.answer == AzureAnswer::ThrottledFor {
        spec.headers
            .insert("Retry-After".to_owned(), "30".to_owned());
    }
    spec
}
