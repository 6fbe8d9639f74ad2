//! What tests look at beside status: API Management, Ingresses, events, the
//! operator's metrics.

use anyhow::{Context as _, Result, bail};
use apim_simulator::{CallKind, JournalEntry, JournalQuery};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use regex::Regex;
use serde_json::{Value, json};

use crate::objects::status_of;
use crate::stage::{PATIENCE, Stage, Write};

impl Stage {
    /// Calls Azure Resource Manager as somebody else than the operator: the
    /// path is below the service, an absent body makes it a GET.
    pub async fn arm(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let service = self.azure.endpoints.service_name.clone();
        self.arm_of(&service, method, path, body).await
    }

    /// The properties of an API in one of several services, or none.
    pub async fn api_of(&self, service: &str, id: &str) -> Result<Option<Value>> {
        match self
            .arm_of(service, "GET", &format!("/apis/{id}"), None)
            .await?
        {
            (200, mut api) => Ok(Some(api["properties"].take())),
            (404, _) => Ok(None),
            (status, body) => bail!("GET of API {id} of {service}: {status} {body}"),
        }
    }

    async fn arm_of(
        &self,
        service: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let endpoints = &self.azure.endpoints;
        let (services, _) = endpoints
            .service_id
            .rsplit_once('/')
            .context("a service id has segments")?;
        // The platform team's own hands: the same rights, other calls.
        let operator = endpoints
            .applications
            .iter()
            .find(|app| app.name == "operator");
        let client_id = &operator
            .context("the seed has an application for the operator")?
            .client_id;
        let audience = "https://management.azure.com";
        let token = self.azure.token(client_id, audience).context("a token")?;
        let authority = reqwest::Certificate::from_pem(self.azure.ca_pem.as_bytes())?;
        let client = reqwest::Client::builder()
            .tls_certs_only([authority])
            .build()?;
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!(
            "{}{services}/{service}{path}{separator}api-version=2024-05-01",
            endpoints.resource_manager.trim_end_matches('/'),
        );
        let mut request = client
            .request(method.parse()?, url)
            .bearer_auth(token)
            .header("if-match", "*");
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// The properties of an API in API Management, if it is there.
    pub async fn api(&self, id: &str) -> Result<Option<Value>> {
        match self.arm("GET", &format!("/apis/{id}"), None).await? {
            (200, mut api) => Ok(Some(api["properties"].take())),
            (404, _) => Ok(None),
            (status, body) => bail!("GET of API {id}: {status} {body}"),
        }
    }

    /// The policy document of an API, or of what lies below it
    /// (`shop.a/operations/b`).
    pub async fn policy(&self, of: &str) -> Result<String> {
        let path = format!("/apis/{of}/policies/policy?format=rawxml");
        let (status, body) = self.arm("GET", &path, None).await?;
        let text = body["properties"]["value"].as_str();
        text.map(str::to_owned)
            .with_context(|| format!("GET of the policy of {of}: {status} {body}"))
    }

    /// The operations of an API, as `METHOD template`, sorted.
    pub async fn operations(&self, id: &str) -> Result<Vec<String>> {
        let (status, body) = self
            .arm("GET", &format!("/apis/{id}/operations"), None)
            .await?;
        let list = body["value"]
            .as_array()
            .with_context(|| format!("operations of {id}: {status} {body}"))?;
        let text = |operation: &Value, field: &str| {
            operation["properties"][field]
                .as_str()
                .unwrap_or("?")
                .to_owned()
        };
        let mut list: Vec<String> = list
            .iter()
            .map(|o| format!("{} {}", text(o, "method"), text(o, "urlTemplate")))
            .collect();
        list.sort();
        Ok(list)
    }

    /// Every call about an API so far, reads and polls too.
    #[must_use]
    pub fn calls(&self, api_id: &str) -> Vec<JournalEntry> {
        let marker = format!("/apis/{api_id}");
        let ours = |call: &JournalEntry| {
            call.path.find(&marker).is_some_and(|at| {
                let rest = &call.path[at + marker.len()..];
                rest.is_empty() || rest.starts_with('/') || rest.starts_with(';')
            })
        };
        self.journal().into_iter().filter(ours).collect()
    }

    /// Changes an ExposedAPI, waits until Azure was asked for `writes` writes
    /// about its API and the object is ready again, and gives all writes that
    /// were asked for.
    pub async fn change(&self, name: &str, patch: &Value, writes: usize) -> Result<Vec<Write>> {
        self.azure.clear_journal();
        self.patch("shop", name, patch).await?;
        self.until_written(&format!("shop.{name}"), writes).await?;
        self.until_ready(name).await?;
        Ok(self.writes(&format!("shop.{name}")))
    }

    /// Waits until Azure has answered so many writes about an API.
    pub async fn until_written(&self, api_id: &str, writes: usize) -> Result<()> {
        let path = Some(Regex::new(&format!(
            "/apis/{}(/|;|$)",
            regex::escape(api_id)
        ))?);
        // Deletions are counted apart from writes, so both are awaited here.
        let query = |kind| JournalQuery {
            kind: Some(kind),
            path: path.clone(),
            ..JournalQuery::default()
        };
        test_harness::wait_until(
            &format!("{writes} writes about {api_id}"),
            PATIENCE,
            async || {
                let mut found = self.azure.journal(&query(CallKind::Write)).len();
                found += self.azure.journal(&query(CallKind::Delete)).len();
                if found >= writes {
                    Ok(())
                } else {
                    Err(format!("{found} writes"))
                }
            },
        )
        .await
        .with_context(|| format!("the operator's log:\n{}", self.operator_log()))
    }

    /// An ExposedAPI's status now.
    pub async fn status(&self, name: &str) -> Result<Value> {
        Ok(status_of(&self.exposed_apis("shop").get(name).await?))
    }

    /// Ingresses in namespace `shop`.
    #[must_use]
    pub fn ingresses(&self) -> Api<Ingress> {
        Api::namespaced(self.client.clone(), "shop")
    }

    /// The Ingress of an ExposedAPI, once it is as `check` wants it.
    pub async fn until_ingress<T>(
        &self,
        name: &str,
        awaited: &str,
        mut check: impl FnMut(&Ingress) -> Option<T>,
    ) -> Result<T> {
        let ingress = format!("apim-api-ingress-{name}");
        let ingresses = self.ingresses();
        let found = test_harness::wait_for(&ingresses, &ingress, awaited, PATIENCE, |found| {
            check(found?)
        });
        found
            .await
            .with_context(|| format!("the operator's log:\n{}", self.operator_log()))
    }

    /// Gives an Ingress the address that a load balancer would give it.
    pub async fn give_address(&self, name: &str, address: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": [address]}}}));
        let ingress = format!("apim-api-ingress-{name}");
        self.ingresses()
            .patch_status(&ingress, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Says whether the endpoint behind a Service is ready.
    pub async fn set_ready(&self, service: &str, ready: bool) -> Result<()> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), "shop");
        let value = if ready { "true" } else { "false" };
        let patch =
            json!({"metadata": {"annotations": {test_harness::stand_in::READY_ANNOTATION: value}}});
        services
            .patch(service, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// The events about an ExposedAPI, as `type reason: note`.
    pub async fn events(&self, name: &str) -> Result<Vec<String>> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "shop");
        let params = ListParams::default().fields(&format!("regarding.name={name}"));
        let mut events = events.list(&params).await?.items;
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        let text = |text: Option<String>| text.unwrap_or_default();
        Ok(events
            .into_iter()
            .map(|event| {
                format!(
                    "{} {}: {}",
                    text(event.type_),
                    text(event.reason),
                    text(event.note)
                )
            })
            .collect())
    }

    /// The operator's metrics that begin with `name`, one line each.
    pub async fn metrics(&self, name: &str) -> Result<Vec<String>> {
        let url = format!("http://127.0.0.1:{}/metrics", self.port());
        let text = reqwest::get(url).await?.error_for_status()?.text().await?;
        Ok(text
            .lines()
            .filter(|line| line.starts_with(name))
            .map(str::to_owned)
            .collect())
    }

    /// Kills the operator, starts it again on an empty journal, and waits until
    /// it has looked at everything that is there.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill_operator()?;
        self.azure.clear_journal();
        self.start_operator().await?;
        // What was there was queued before this one is made.
        self.settled().await
    }

    /// An ExposedAPI as it lies in the cluster.
    pub async fn object(&self, name: &str) -> Result<DynamicObject> {
        Ok(self.exposed_apis("shop").get(name).await?)
    }

    /// Deletes an ExposedAPI and does not wait.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.exposed_apis("shop")
            .delete(name, &kube::api::DeleteParams::default())
            .await?;
        Ok(())
    }
}
