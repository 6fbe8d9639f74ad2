//! The requests of golden cases, sent through a local API Management.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use operator_controller::plugins::instance_defaults;
use operator_core::annotations::Adoption;
use operator_core::desired::{
    ApiDocument, ApiSettings, Desired, DesiredApi, DesiredPolicy, DocumentOrigin, Exposure,
    ImportFormat, Operation, Origins, PolicyText, SubscriptionKeyNames,
};
use operator_core::instance::{Instance, example};
use operator_core::mark::OwnershipMark;
use operator_core::names::{ApiId, ContentHash, ObjectKey};
use policy_sdk::testing::{Answer, Case, Exchange};
use reqwest::{Certificate, Client, Method};
use serde_json::{Map, Value, json};

use super::sandbox::Sandbox;
use crate::local_azure::{LocalAzure, Publisher};
use crate::render::NO_CLUSTER;

/// What is said of requests that cannot be sent; what came of the case follows.
pub(crate) const NO_POLICY: &str = "there is no policy to send requests to:";

/// What sends requests.
pub(crate) struct Requests {
    azure: LocalAzure,
    publisher: Publisher,
    instance: Instance,
    client: Client,
    cases: u32,
}

impl Requests {
    /// Starts a local Azure.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let azure = LocalAzure::start(SocketAddr::from(([127, 0, 0, 1], 0)), &[])?;
        let (instance, _) = example(&instance_defaults()?)
            .map_err(|problems| anyhow::anyhow!("the example instance: {problems:?}"))?;
        let spec = azure.moved(instance.spec.clone())?;
        let instance = Instance::new(instance.name.clone(), spec, &instance_defaults()?)
            .map_err(|problems| anyhow::anyhow!("the local instance: {problems:?}"))?;
        let publisher = azure.publisher(&instance, &[]).await?;
        let ca = std::fs::read(azure.ca_file()).context("the certificate of the local Azure")?;
        let client = Client::builder()
            .tls_certs_merge([Certificate::from_pem(&ca)?])
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            azure,
            publisher,
            instance,
            client,
            cases: 0,
        })
    }

    /// Publishes what the plugin makes of a case, sends the case's requests and
    /// answers what is not as expected, a line each.
    pub(crate) async fn run(
        &mut self,
        sandbox: &Sandbox,
        case: &Case,
    ) -> anyhow::Result<Vec<String>> {
        self.cases += 1;
        let moved = self.moved(case);
        let ran = tokio::task::block_in_place(|| sandbox.run(&moved));
        let outcome = ran.map_err(|why| anyhow::anyhow!("{why}"))?.outcome;
        if !outcome.has_policy() {
            let instead = outcome.to_yaml(0);
            let lines = std::iter::once(NO_POLICY).chain(instead.lines());
            return Ok(lines.map(str::to_owned).collect());
        }
        let desired = self.desired(&moved, outcome.policy, &outcome.operations)?;
        // Each case is an API of its own, with counters of its own.
        self.publisher.begin_anew();
        self.publisher.publish(&desired).await?;
        let mut wrong = Vec::new();
        for (number, exchange) in case.requests.iter().enumerate() {
            let path = moved.context["api"]["path"].as_str().unwrap_or_default();
            for line in self.exchange(path, exchange).await? {
                let Exchange { request, .. } = exchange;
                wrong.push(format!(
                    "request {} ({} {}): {line}",
                    number + 1,
                    request.method,
                    request.path
                ));
            }
        }
        Ok(wrong)
    }

    /// The case as it would be in the local Azure.
    fn moved(&self, case: &Case) -> Case {
        let mut moved = case.clone();
        let instance = &mut moved.context["instance"];
        let spec = &self.instance.spec;
        instance["tenantId"] = json!(spec.tenant_id);
        instance["clientId"] = json!(spec.client_id);
        instance["openidConfigurationUrl"] = json!(self.instance.openid_configuration_url());
        instance["loginHost"] = json!(self.instance.login_host());
        instance["gatewayUrl"] = json!(self.azure.endpoints.gateway);
        let path = case.context["api"]["path"].as_str().unwrap_or_default();
        moved.context["api"]["path"] = json!(format!("/case-{}{path}", self.cases));
        moved
    }

    fn desired(
        &self,
        case: &Case,
        policy: Option<String>,
        operations: &BTreeMap<String, String>,
    ) -> anyhow::Result<Desired> {
        let api = &case.context["api"];
        let text = |field: &str| api[field].as_str().unwrap_or_default();
        let key = ObjectKey::new(text("namespace"), text("name"));
        let made: Vec<Operation> = api["operations"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| {
                let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
                Operation {
                    id: text("id"),
                    operation_id: Some(text("id")),
                    method: text("method"),
                    url_template: text("urlTemplate"),
                }
            })
            .collect();
        let document = document(text("name"), &made).to_string();
        let nothing = "<policies><inbound><base /></inbound><backend><base /></backend><outbound><base /></outbound>\
                       <on-error><base /></on-error></policies>";
        Ok(Desired {
            instance: Some(self.instance.name.clone()),
            exposure: Exposure::InCluster { url: String::new() },
            protections: Vec::new(),
            monitor: None,
            backends: Vec::new(),
            named_values: Vec::new(),
            metrics: false,
            api: Some(DesiredApi {
                id: ApiId::parse(&format!("case-{}", self.cases))?,
                mark: OwnershipMark::new(NO_CLUSTER, &key).to_string(),
                settings: ApiSettings {
                    display_name: format!("Case {}", self.cases),
                    description: case.name.clone(),
                    path: text("path").trim_start_matches('/').to_owned(),
                    protocols: vec!["https".to_owned()],
                    subscription_required: api["subscriptionRequired"] == true,
                    subscription_key_names: SubscriptionKeyNames::default(),
                    api_version: None,
                    api_version_set: None,
                    openid_provider: None,
                    oauth2: None,
                    about: operator_core::about::About::default(),
                },
                service_url: self.azure.endpoints.echo.clone(),
                document: ApiDocument {
                    format: ImportFormat::OpenApiJson,
                    hash: ContentHash::of(&document),
                    value: document,
                    origin: DocumentOrigin::Generated,
                    operations: Some(made),
                },
                products: [].into(),
                parts: [].into(),
                own_prefix: String::new(),
                adoption: Adoption::default(),
                rollout: None,
                rollback: None,
                mandatory: None,
            }),
            policy: Some(DesiredPolicy {
                api: PolicyText::new(policy.unwrap_or_else(|| nothing.to_owned())),
                operations: operations
                    .iter()
                    .map(|(id, text)| (id.clone(), PolicyText::new(text.clone())))
                    .collect(),
                plugins: Vec::new(),
                origins: Origins::default(),
            }),
            key,
            warnings: Vec::new(),
        })
    }

    async fn exchange(&self, api: &str, exchange: &Exchange) -> anyhow::Result<Vec<String>> {
        let Exchange { request, expect } = exchange;
        let gateway = self.azure.endpoints.gateway.as_deref().unwrap_or_default();
        let url = format!("{}{api}{}", gateway.trim_end_matches('/'), request.path);
        let method = Method::from_bytes(request.method.as_bytes())
            .with_context(|| format!("`{}` is no method", request.method))?;
        let token = match &request.token {
            Some(claims) => Some(self.token(claims).await?),
            None => None,
        };
        let mut last = None;
        for _ in 0..request.times.max(1) {
            let mut sent = self.client.request(method.clone(), &url);
            for (name, value) in &request.headers {
                sent = sent.header(name, value);
            }
            if let Some(token) = &token {
                sent = sent.header("authorization", format!("Bearer {token}"));
            }
            if let (true, Some(key)) = (request.subscription_key, &self.azure.endpoints.gateway_key)
            {
                sent = sent.header("ocp-apim-subscription-key", key);
            }
            sent = match &request.body {
                None => sent,
                Some(Value::String(text)) => sent.body(text.clone()),
                Some(json) => {
                    let typed = request
                        .headers
                        .keys()
                        .any(|name| name.eq_ignore_ascii_case("content-type"));
                    let sent = if typed {
                        sent
                    } else {
                        sent.header("content-type", "application/json")
                    };
                    sent.body(json.to_string())
                }
            };
            let answer = sent.send().await.with_context(|| url.clone())?;
            let status = answer.status().as_u16();
            let headers = answer.headers().clone();
            last = Some((status, headers, answer.text().await?));
        }
        let (status, headers, body) = last.context("nothing was sent")?;
        Ok(differences(
            expect,
            status,
            |name| {
                headers
                    .get(name)
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            },
            &body,
        ))
    }

    async fn token(&self, claims: &Map<String, Value>) -> anyhow::Result<String> {
        let url = format!("{}/tokens", self.azure.endpoints.control);
        let answer = self
            .client
            .post(url)
            .body(json!({"claims": claims}).to_string())
            .send()
            .await?;
        let answer: Value = serde_json::from_str(&answer.text().await?)?;
        let token = answer["token"].as_str();
        Ok(token
            .with_context(|| format!("no token: {answer}"))?
            .to_owned())
    }
}

/// An OpenAPI document with these operations.
fn document(title: &str, operations: &[Operation]) -> Value {
    let mut paths = Map::new();
    for operation in operations {
        let parameters: Vec<Value> = operation
            .url_template
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(name, _)| {
                json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
            })
            .collect();
        paths
            .entry(operation.url_template.clone())
            .or_insert_with(|| json!({}))[operation.method.to_lowercase()] = json!({
            "operationId": operation.id,
            "parameters": parameters,
            "responses": {"200": {"description": "what the backend was sent"}},
        });
    }
    json!({"openapi": "3.0.1", "info": {"title": title, "version": "1"}, "paths": paths})
}

/// What of an answer is not as expected.
fn differences(
    expect: &Answer,
    status: u16,
    header: impl Fn(&str) -> Option<String>,
    body: &str,
) -> Vec<String> {
    let mut wrong = Vec::new();
    if status != expect.status {
        let shown: String = body.chars().take(300).collect();
        wrong.push(format!(
            "its status is {status}, not {}: {shown}",
            expect.status
        ));
    }
    for (name, wanted) in &expect.headers {
        let there = header(name);
        if there != *wanted {
            let told = |value: Option<&String>| {
                value.map_or_else(|| "absent".to_owned(), |value| format!("`{value}`"))
            };
            wrong.push(format!(
                "its header {name} is {}, not {}",
                told(there.as_ref()),
                told(wanted.as_ref())
            ));
        }
    }
    if let Some(part) = &expect.body
        && !body.contains(part)
    {
        let shown: String = body.chars().take(300).collect();
        wrong.push(format!("its body does not hold `{part}`: {shown}"));
    }
    if let Some(wanted) = &expect.backend {
        match serde_json::from_str::<Value>(body) {
            Ok(echo) => compare("backend", &Value::Object(wanted.clone()), &echo, &mut wrong),
            Err(_) => wrong.push("the backend was not reached".to_owned()),
        }
    }
    wrong
}

/// Compares the fields that are wanted; null wants that a field is absent.
fn compare(at: &str, wanted: &Value, there: &Value, wrong: &mut Vec<String>) {
    match wanted {
        Value::Object(fields) => {
            for (name, wanted) in fields {
                let found = there.get(name).unwrap_or(&Value::Null);
                compare(&format!("{at}.{name}"), wanted, found, wrong);
            }
        }
        _ if wanted != there => wrong.push(format!("{at} is {there}, not {wanted}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn everything_that_is_not_as_expected_is_said() {
        let expect = answer(
            "{status: 401, headers: {x-a: '1', x-b: null}, body: denied, backend: {path: /x, headers: {x-c: null}}}",
        );
        let body = r#"{"path": "/y", "headers": {"x-c": "there"}}"#;
        let header = |name: &str| (name == "x-b").then(|| "2".to_owned());
        assert_eq!(
            differences(&expect, 200, header, body),
            [
                format!("its status is 200, not 401: {body}"),
                "its header x-a is absent, not `1`".to_owned(),
                "its header x-b is `2`, not absent".to_owned(),
                format!("its body does not hold `denied`: {body}"),
                "backend.path is \"/y\", not \"/x\"".to_owned(),
                "backend.headers.x-c is \"there\", not null".to_owned(),
            ]
        );
    }

    #[test]
    fn an_answer_that_is_as_expected_says_nothing() {
        let expect = answer("{status: 200, headers: {x-a: '1'}, backend: {method: GET}}");
        let header = |_: &str| Some("1".to_owned());
        assert_eq!(
            differences(&expect, 200, header, r#"{"method": "GET", "path": "/"}"#),
            [""; 0]
        );
        let refused = answer("{status: 200, backend: {method: GET}}");
        assert_eq!(
            differences(&refused, 200, |_| None, "denied"),
            ["the backend was not reached"]
        );
    }
}
