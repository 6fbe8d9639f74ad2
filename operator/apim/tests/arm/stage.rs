//! A local Azure with a client, and desired states to publish there.

use std::collections::BTreeMap;
use std::time::Duration;

use apim_simulator::{
    CallKind, Endpoints, FaultSpec, JournalEntry, JournalQuery, LroSettings, Simulator,
    SimulatorConfig,
};
use operator_apim::{
    Applied, Applier, ApplyError, ArmClient, ArmOptions, Azure, CloudSettings, Credentials, Secret,
    ServiceRef, Silent,
};
use operator_core::annotations::Adoption;
use operator_core::apim::{AppliedRecord, DesiredParts};
use operator_core::desired::*;
use operator_core::names::{ApiId, ContentHash, InstanceName, ObjectKey, ProductId, VersionSetId};
use operator_core::rollout::{Rollback, Rollout};
use serde_json::json;
use url::Url;

pub(crate) const MARK: &str = "apim-operator/1 01234567 team/orders";
pub(crate) const API: &str = "team.orders";

pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) azure: Azure,
    pub(crate) applier: Applier,
    _files: tempfile::TempDir,
}

/// Short pauses; the same rules.
pub(crate) fn options() -> ArmOptions {
    ArmOptions {
        backoff: Duration::from_millis(5),
        backoff_cap: Duration::from_millis(50),
        poll: Duration::from_millis(2),
        poll_cap: Duration::from_millis(20),
        lock_wait: Duration::from_secs(5),
        probe_wait: Duration::from_millis(200),
        ..ArmOptions::default()
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(SimulatorConfig::default(), options()).await
    }

    pub(crate) async fn with_lro(lro: LroSettings) -> Self {
        let config = SimulatorConfig {
            lro,
            ..SimulatorConfig::default()
        };
        Self::with(config, options()).await
    }

    pub(crate) async fn with(config: SimulatorConfig, options: ArmOptions) -> Self {
        let files = tempfile::tempdir().unwrap();
        let config = SimulatorConfig {
            data_dir: Some(files.path().to_owned()),
            ..config
        };
        let simulator = Simulator::start(config).await.unwrap();
        let azure = Azure::new(cloud(&simulator)).unwrap().with_options(options);
        let client = azure
            .client(service(&simulator), &credentials(&simulator, "operator"))
            .unwrap();
        Self {
            applier: Applier::new(client),
            simulator,
            azure,
            _files: files,
        }
    }

    pub(crate) fn client(&self) -> &ArmClient {
        self.applier.client()
    }

    /// A client of another application.
    pub(crate) fn client_of(&self, application: &str) -> ArmClient {
        let credentials = credentials(&self.simulator, application);
        self.azure
            .client(service(&self.simulator), &credentials)
            .unwrap()
    }

    pub(crate) async fn apply(
        &self,
        wish: &Wish,
        applied: Option<&AppliedRecord>,
    ) -> Result<Applied, ApplyError> {
        self.applier.apply(&wish.desired(), applied, &Silent).await
    }

    /// Publishes, and forgets the calls that it took.
    pub(crate) async fn published(&self, wish: &Wish) -> AppliedRecord {
        let record = self.apply(wish, None).await.unwrap().record;
        self.simulator.clear_journal();
        record
    }

    /// Somebody else changes the API, as the portal does.
    pub(crate) async fn modified_by_somebody(&self) {
        self.set_by_somebody("description", "Edited in the portal")
            .await;
    }

    /// Somebody else changes a property of the API.
    pub(crate) async fn set_by_somebody(&self, property: &str, value: &str) {
        let changed = json!({ "properties": { property: value } });
        let status = self
            .by_somebody(reqwest::Method::PATCH, &format!("apis/{API}"), &changed)
            .await;
        assert_eq!(status, 200);
    }

    /// Somebody else makes an entity.
    pub(crate) async fn put(&self, path: &str, body: &serde_json::Value) {
        let status = self.by_somebody(reqwest::Method::PUT, path, body).await;
        assert!(matches!(status, 200 | 201), "{status}");
    }

    async fn by_somebody(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &serde_json::Value,
    ) -> u16 {
        let client = operator_apim::http_client(self.azure.cloud().ca_file.as_deref()).unwrap();
        let endpoints = &self.simulator.endpoints;
        let application = endpoints
            .applications
            .iter()
            .find(|one| one.name == "operator");
        let audience = endpoints.resource_manager.trim_end_matches('/');
        let token = self
            .simulator
            .token(&application.unwrap().client_id, audience)
            .unwrap();
        let service = service(&self.simulator);
        let url = format!(
            "{audience}/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ApiManagement/service/{}/{path}",
            service.subscription_id, service.resource_group, service.service_name
        );
        let answer = client
            .request(method, format!("{url}?api-version=2024-05-01"))
            .bearer_auth(token)
            .header("content-type", "application/json")
            .header("if-match", "*")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        answer.status().as_u16()
    }

    /// The calls to ARM of some kinds, as `PUT apis/x 201`.
    fn calls(&self, kinds: &[CallKind]) -> Vec<String> {
        self.simulator
            .journal(&JournalQuery::default())
            .iter()
            .filter(|entry| kinds.contains(&entry.kind))
            .map(shown)
            .collect()
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        self.calls(&[CallKind::Write, CallKind::Delete])
    }

    pub(crate) fn reads(&self) -> Vec<String> {
        self.calls(&[CallKind::Read])
    }

    /// The bodies of the policies that were put, in order.
    pub(crate) fn policies_put(&self) -> Vec<String> {
        let query = JournalQuery {
            method: Some("PUT".into()),
            path: Some(regex::Regex::new("/apis/[^/]+/policies/policy$").unwrap()),
            ..JournalQuery::default()
        };
        let entries = self.simulator.journal(&query);
        let text = |entry: &JournalEntry| {
            entry.body["properties"]["value"]
                .as_str()
                .map(str::to_owned)
        };
        entries.iter().filter_map(text).collect()
    }

    pub(crate) fn fault(&self, spec: FaultSpec) {
        self.simulator.fault(spec).unwrap();
    }
}

fn shown(entry: &JournalEntry) -> String {
    let path = entry
        .path
        .rsplit_once("/service/")
        .map_or("", |(_, path)| path);
    let path = path.split_once('/').map_or("", |(_, path)| path);
    format!("{} {path} {}", entry.method, entry.status)
}

pub(crate) fn cloud(simulator: &Simulator) -> CloudSettings {
    cloud_of(&simulator.endpoints)
}

pub(crate) fn cloud_of(endpoints: &Endpoints) -> CloudSettings {
    CloudSettings {
        authority_host: Url::parse(&endpoints.authority).unwrap(),
        resource_manager: Url::parse(&endpoints.resource_manager).unwrap(),
        key_vault_suffix: endpoints.key_vault_suffix.clone(),
        ca_file: endpoints.ca_file.as_ref().map(Into::into),
        ..CloudSettings::default()
    }
}

pub(crate) fn service(simulator: &Simulator) -> ServiceRef {
    service_of(&simulator.endpoints)
}

pub(crate) fn service_of(endpoints: &Endpoints) -> ServiceRef {
    ServiceRef {
        subscription_id: endpoints.subscription_id.clone(),
        resource_group: endpoints.resource_group.clone(),
        service_name: endpoints.service_name.clone(),
    }
}

pub(crate) fn credentials(simulator: &Simulator, application: &str) -> Credentials {
    let applications = &simulator.endpoints.applications;
    let found = applications
        .iter()
        .find(|candidate| candidate.name == application)
        .unwrap();
    Credentials::ClientSecret {
        tenant_id: found.tenant_id.clone(),
        client_id: found.client_id.clone(),
        secret: Secret::new(found.client_secret.clone().unwrap()),
    }
}

/// The parts of a desired state that tests vary.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) id: &'static str,
    pub(crate) mark: &'static str,
    pub(crate) path: &'static str,
    pub(crate) display_name: &'static str,
    /// Operation ids; all are GETs of their own path.
    pub(crate) operations: Vec<&'static str>,
    pub(crate) document_title: &'static str,
    /// The value of a header that the API's policy sets.
    pub(crate) policy: &'static str,
    /// The same of operations.
    pub(crate) own: BTreeMap<&'static str, &'static str>,
    /// The products that it is in.
    pub(crate) products: Vec<&'static str>,
    /// Its tags and diagnostics.
    pub(crate) parts: DesiredParts,
    /// The version set that it is in, and which version it is.
    pub(crate) version: Option<(&'static str, &'static str)>,
    /// What to do with an API that is there.
    pub(crate) adoption: Adoption,
    /// How changes reach callers.
    pub(crate) rollout: Option<Rollout>,
    /// The revision that callers are to reach.
    pub(crate) rollback: Option<u32>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            id: API,
            mark: MARK,
            path: "team/orders",
            display_name: "Orders",
            operations: vec!["list-orders", "get-order"],
            document_title: "Orders",
            policy: "one",
            own: BTreeMap::new(),
            products: Vec::new(),
            parts: DesiredParts::new(),
            version: None,
            adoption: Adoption::Refuse,
            rollout: None,
            rollback: None,
        }
    }
}

fn policy(value: &str) -> String {
    format!(
        "<policies>\n    <inbound>\n        <base />\n        <set-header name=\"x-test\" exists-action=\"override\">\n            <value>{value}</value>\n        </set-header>\n    </inbound>\n    <backend>\n        <base />\n    </backend>\n    <outbound>\n        <base />\n    </outbound>\n    <on-error>\n        <base />\n    </on-error>\n</policies>\n"
    )
}

impl Wish {
    pub(crate) fn desired(&self) -> Desired {
        let mut paths = serde_json::Map::new();
        for id in &self.operations {
            let get = json!({"operationId": id, "responses": {"200": {"description": "fine"}}});
            paths.insert(format!("/{id}"), json!({ "get": get }));
        }
        let document = json!({
            "openapi": "3.0.3",
            "info": {"title": self.document_title, "version": "1"},
            "paths": paths,
        })
        .to_string();
        let operations = self.operations.iter().map(|id| Operation {
            id: (*id).to_owned(),
            operation_id: Some((*id).to_owned()),
            method: "GET".into(),
            url_template: format!("/{id}"),
        });
        Desired {
            monitor: None,
            backends: Vec::new(),
            named_values: Vec::new(),
            metrics: false,
            key: ObjectKey::new("team", "orders"),
            instance: Some(InstanceName::parse("default").unwrap()),
            exposure: Exposure::InCluster { url: String::new() },
            protections: Vec::new(),
            api: Some(DesiredApi {
                id: ApiId::parse(self.id).unwrap(),
                mark: self.mark.into(),
                settings: ApiSettings {
                    display_name: self.display_name.into(),
                    description: "Orders of a team".into(),
                    path: self.path.into(),
                    protocols: vec!["https".into()],
                    subscription_required: false,
                    subscription_key_names: SubscriptionKeyNames::default(),
                    api_version: self.version.map(|(_, version)| version.to_owned()),
                    api_version_set: self
                        .version
                        .map(|(set, _)| VersionSetId::parse(set).unwrap()),
                    openid_provider: None,
                    oauth2: None,
                    about: operator_core::about::About::default(),
                },
                service_url: Some("https://backend.example/orders".into()),
                document: ApiDocument {
                    format: ImportFormat::OpenApiJson,
                    hash: ContentHash::of(&document),
                    value: document,
                    origin: DocumentOrigin::Inline,
                    operations: Some(operations.collect()),
                },
                products: self
                    .products
                    .iter()
                    .map(|id| ProductId::parse(id).unwrap())
                    .collect(),
                parts: self.parts.clone(),
                own_prefix: "team.".into(),
                adoption: self.adoption,
                rollout: self.rollout.clone(),
                rollback: self.rollback.map(|revision| Rollback { revision }),
                mandatory: None,
            }),
            policy: Some(DesiredPolicy {
                api: PolicyText::new(policy(self.policy)),
                operations: self
                    .own
                    .iter()
                    .map(|(id, value)| ((*id).to_owned(), PolicyText::new(policy(value))))
                    .collect(),
                plugins: Vec::new(),
                origins: Origins::default(),
            }),
            warnings: Vec::new(),
        }
    }
}
