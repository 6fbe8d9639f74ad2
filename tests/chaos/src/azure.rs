//! The local Azure of one seed, and the hands of others in it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use apim_simulator::{
    ApiShape, ApplicationSeed, FaultSpec, LroMode, LroSettings, Role, RoleScope, Seed, Simulator,
    SimulatorConfig,
};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::schedule::{AzureAnswer, AzureFault, Call, Shape};

/// The operator's application.
pub(crate) const OPERATOR: &str = "22222222-2222-4222-8222-000000000001";
/// The application with which somebody works in the portal.
const PORTAL: &str = "22222222-2222-4222-8222-000000000009";
/// Where the gateway of the simulated service is.
pub(crate) const GATEWAY: &str = "https://apim-local.azure-api.net";
pub(crate) const SERVICE: &str = "apim-local";
/// How often somebody at the portal tries again.
const TRIES: u32 = 12;
/// A long-running operation that nobody looks at ends after this.
const LONGEST_OPERATION_MS: u32 = 1_500;

/// The local Azure of one seed.
pub(crate) struct Azure {
    pub(crate) simulator: Simulator,
    portal: reqwest::Client,
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
    /// Starts it; the operator's secret is `secret`.
    pub(crate) async fn start(lab: &Lab, secret: &str) -> Result<Self> {
        let mut seed = Seed::default();
        let tenant = seed.tenants.first_mut().context("the seed has a tenant")?;
        for application in &mut tenant.applications {
            if application.client_id == OPERATOR {
                application.secrets = vec![secret.to_owned()];
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
            .build()?;
        Ok(Self { simulator, portal })
    }

    /// The settings of the `ApimInstance` that connects to it.
    pub(crate) fn instance(&self, lab: &Lab) -> Value {
        let endpoints = &self.simulator.endpoints;
        json!({
            "subscriptionId": endpoints.subscription_id,
            "resourceGroup": endpoints.resource_group,
            "serviceName": endpoints.service_name,
            "tenantId": endpoints.tenant_id,
            "clientId": "22222222-2222-4222-8222-000000000004",
            "namespaceSelector": {},
            "credentials": {"clientSecret": {
                "tenantId": endpoints.tenant_id,
                "clientId": OPERATOR,
                "secretRef": {"name": "operator", "key": "secret"},
            }},
            "cloud": {
                "authorityHost": endpoints.authority,
                "resourceManager": endpoints.resource_manager,
                "keyVaultSuffix": endpoints.key_vault_suffix,
                "caFile": lab.ca_file(),
            },
            "ownerMay": ["plugins", "plugin.*", "operation-plugins", "deletion-policy", "paused", "retry", "api-id"],
            "allow": {"apiIds": ["foreign*"]},
        })
    }

    /// Calls Azure as somebody at the portal, who tries again what a fault
    /// spoils. The path is below the service.
    pub(crate) async fn portal(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let endpoints = &self.simulator.endpoints;
        let token = self
            .simulator
            .token(PORTAL, "https://management.azure.com")
            .context("the portal has an application")?;
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!(
            "{}{}{path}{separator}api-version=2024-05-01",
            endpoints.resource_manager.trim_end_matches('/'),
            endpoints.service_id
        );
        let mut last = String::new();
        for _ in 0..TRIES {
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
            let answer = async {
                let answer = request.send().await?;
                Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await?))
            };
            match answer.await {
                Ok((status, text)) if status < 300 || status == 404 => {
                    return Ok((status, serde_json::from_str(&text).unwrap_or_default()));
                }
                Ok((status, text)) => last = format!("{status} {text}"),
                Err(error) => last = error.to_string(),
            }
        }
        bail!("{method} {path} at the portal: {last}")
    }

    /// The APIs as they are now.
    pub(crate) fn apis(&self) -> BTreeMap<String, ApiShape> {
        let mut apis = BTreeMap::new();
        for moment in self.simulator.moments(0) {
            match moment.now {
                Some(shape) => apis.insert(moment.api, shape),
                None => apis.remove(&moment.api),
            };
        }
        apis
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
        Call::Service => (Some("GET"), "(?i)service/apim-local(\\?|/openidConnect)"),
    };
    let error = |code: &str, message: &str| json!({"error": {"code": code, "message": message}});
    let mut spec = FaultSpec {
        verb: verb.map(str::to_owned),
        path: Some(path.to_owned()),
        after: u32::from(fault.after),
        count: Some(u32::from(fault.count)),
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
