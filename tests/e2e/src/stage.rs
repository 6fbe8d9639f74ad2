//! The stage itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use apim_simulator::{CallKind, JournalEntry, JournalQuery, Simulator, SimulatorConfig};
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_harness::Process;
use test_harness::{ControlPlane, stand_in};

use crate::objects::status_of;

/// Long enough for a busy machine; nothing waits that long when all is well.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// How long a start may take: the first one of all has to compile the plugins.
const START: Duration = Duration::from_mins(4);

/// Which ExposedAPI definition the cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definition {
    /// Ours.
    Ours,
    /// Any other, from a file.
    File(&'static str),
    /// None: nobody has installed it.
    Missing,
}

/// How a stage is set up.
pub struct StageBuilder {
    definition: Definition,
    instance: Value,
    plugin_dir: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
    simulator: SimulatorConfig,
    addresses: bool,
    load_balancer: bool,
    key_vault: Option<String>,
    environment: BTreeMap<String, String>,
    operator: bool,
    objects: Vec<Value>,
}

/// A write that Azure was asked for: method and the path below the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write(pub String, pub String);

/// Everything that a test needs.
pub struct Stage {
    operator: Option<Process>,
    stand_in: Option<stand_in::StandIn>,
    /// The local Azure.
    pub azure: Simulator,
    /// A client that may do everything.
    pub client: Client,
    plane: ControlPlane,
    dir: TempDir,
    builder: StageBuilder,
    version: String,
    starts: u32,
    port: u16,
}

/// One of several operators.
pub struct Replica {
    /// The process.
    pub process: Process,
    port: u16,
}

impl Replica {
    /// The value of a metric without labels, or with the first labels it has;
    /// 0 where it is not there.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        let text = reqwest::get(url).await?.error_for_status()?.text().await?;
        let line = text.lines().find(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let value = line.and_then(|line| line.rsplit_once(' '));
        Ok(value.map_or(Ok(0.0), |(_, value)| value.parse())?)
    }

    /// The sum of a metric over its labels.
    pub async fn sum(&self, name: &str) -> Result<f64> {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        let text = reqwest::get(url).await?.error_for_status()?.text().await?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (_, value) = rest
                .starts_with(['{', ' '])
                .then(|| rest.rsplit_once(' '))??;
            value.parse::<f64>().ok()
        });
        Ok(values.sum())
    }

    /// Whether it leads.
    pub async fn leads(&self) -> Result<bool> {
        Ok(self.metric("leader_election_master_status").await? > 0.5)
    }

    /// The status of one of its probes.
    pub async fn probe(&self, path: &str) -> Result<u16> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        Ok(reqwest::get(url).await?.status().as_u16())
    }

    /// Waits until it leads.
    pub async fn until_leading(&self) -> Result<()> {
        test_harness::wait_until("the replica leads", PATIENCE, async || {
            match self.leads().await {
                Ok(true) => Ok(()),
                Ok(false) => Err(tail(&self.process.log().unwrap_or_default())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        Ok(())
    }

    /// Waits until the process has ended, and gives its exit code.
    pub async fn until_ended(&mut self) -> Result<Option<i32>> {
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status.code());
            }
            if started.elapsed() > PATIENCE {
                bail!("it still runs:\n{}", tail(&self.process.log()?));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Default for StageBuilder {
    fn default() -> Self {
        Self {
            definition: Definition::Ours,
            instance: json!({}),
            plugin_dir: None,
            cache_dir: None,
            simulator: SimulatorConfig {
                throttle: None,
                ..SimulatorConfig::default()
            },
            addresses: true,
            load_balancer: true,
            key_vault: None,
            environment: BTreeMap::new(),
            operator: true,
            objects: Vec::new(),
        }
    }
}

impl StageBuilder {
    /// Another ExposedAPI definition.
    #[must_use]
    pub fn definition(mut self, definition: Definition) -> Self {
        self.definition = definition;
        self
    }

    /// Settings that the ApimInstance has besides those that connect it.
    #[must_use]
    pub fn instance(mut self, settings: Value) -> Self {
        self.instance = settings;
        self
    }

    /// A folder of plugins.
    #[must_use]
    pub fn plugin_dir(mut self, dir: &Path) -> Self {
        self.plugin_dir = Some(dir.to_owned());
        self
    }

    /// A cache of plugins that no other stage uses.
    #[must_use]
    pub fn cache_dir(mut self, dir: &Path) -> Self {
        self.cache_dir = Some(dir.to_owned());
        self
    }

    /// A local Azure with other settings.
    #[must_use]
    pub fn simulator(mut self, change: impl FnOnce(&mut SimulatorConfig)) -> Self {
        change(&mut self.simulator);
        self
    }

    /// No load balancer: Ingresses get an address only from the test.
    #[must_use]
    pub fn without_addresses(mut self) -> Self {
        self.addresses = false;
        self
    }

    /// Services get endpoints, Ingresses get an address only from the test.
    #[must_use]
    pub fn without_load_balancer(mut self) -> Self {
        self.load_balancer = false;
        self
    }

    /// No ApimInstance: the operator learns of its instance from a key vault.
    #[must_use]
    pub fn key_vault(mut self, name: &str) -> Self {
        self.key_vault = Some(name.to_owned());
        self
    }

    /// No operator is started: the test starts its own.
    #[must_use]
    pub fn without_operator(mut self) -> Self {
        self.operator = false;
        self
    }

    /// An environment variable of the operator.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Something that is there before the operator starts.
    #[must_use]
    pub fn object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }

    fn stand_in(&self) -> stand_in::Options {
        let mut options = stand_in::Options::default();
        if !self.load_balancer {
            // Nobody asks for this one.
            options.ingress_classes.insert("none".to_owned());
        }
        options
    }

    /// Starts everything; nothing where Kubernetes' programs are missing.
    ///
    /// # Panics
    ///
    /// When something does not start: a test has no better way to fail.
    pub async fn start(self, test: &str) -> Option<Stage> {
        if test_harness::kube_tools().is_none() {
            test_harness::skip(
                test,
                "kube-apiserver, etcd or kubectl is missing; run `make setup`",
            );
            return None;
        }
        // Large, and nobody who awaits it needs to be.
        match Box::pin(Stage::start(self)).await {
            Ok(stage) => Some(stage),
            Err(error) => panic!("the stage for {test} could not be set: {error:#}"),
        }
    }
}

impl Stage {
    /// A stage that can be changed before it is started.
    #[must_use]
    pub fn builder() -> StageBuilder {
        StageBuilder::default()
    }

    async fn start(builder: StageBuilder) -> Result<Self> {
        let plane = ControlPlane::start().await?;
        let client = plane.admin()?;
        let dir = TempDir::new()?;
        let azure = Simulator::start(SimulatorConfig {
            data_dir: Some(dir.path().join("azure")),
            ..builder.simulator.clone()
        })
        .await?;
        let deploy = workspace().join("deploy");
        let version = install(&client, &deploy, builder.definition).await?;
        let stand_in = if builder.addresses {
            Some(stand_in::StandIn::start(client.clone(), builder.stand_in()).await)
        } else {
            None
        };
        let mut stage = Self {
            operator: None,
            stand_in,
            azure,
            client,
            plane,
            dir,
            builder,
            version,
            starts: 0,
            port: 0,
        };
        for object in stage.builder.objects.clone() {
            test_harness::apply_yaml(&stage.client, &object.to_string()).await?;
        }
        if stage.builder.key_vault.is_none() {
            let instance = stage.instance_manifest();
            stage.apply(&instance).await?;
        }
        if stage.builder.operator {
            stage.start_operator().await?;
        }
        Ok(stage)
    }

    /// The ApimInstance `default` as the stage applies it, for tests that
    /// change it or make another one of it.
    #[must_use]
    pub fn instance_manifest(&self) -> Value {
        let endpoints = &self.azure.endpoints;
        let mut spec = json!({
            "subscriptionId": endpoints.subscription_id,
            "resourceGroup": endpoints.resource_group,
            "serviceName": endpoints.service_name,
            "tenantId": endpoints.tenant_id,
            "clientId": "22222222-2222-4222-8222-000000000004",
            "namespaceSelector": {},
            "cloud": {
                "authorityHost": endpoints.authority,
                "resourceManager": endpoints.resource_manager,
                "keyVaultSuffix": endpoints.key_vault_suffix,
                "caFile": self.dir.path().join("azure/ca.pem"),
            },
        });
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), self.builder.instance.as_object())
        {
            spec.extend(more.clone());
        }
        json!({
            "apiVersion": "apim.oda.tmforum.org/v1alpha1",
            "kind": "ApimInstance",
            "metadata": {"name": "default"},
            "spec": spec,
        })
    }

    /// Starts the operator, as the user that the shipped RBAC is bound to, and
    /// waits until it is ready.
    pub async fn start_operator(&mut self) -> Result<()> {
        self.spawn_operator()?;
        let url = format!("http://127.0.0.1:{}/readyz", self.port);
        let operator = self.operator.as_mut().context("it was just started")?;
        operator.wait_for_url(&url, START).await?;
        Ok(())
    }

    /// Starts the operator and does not wait, for tests in which it cannot
    /// become ready.
    pub fn spawn_operator(&mut self) -> Result<()> {
        self.starts += 1;
        let log = self
            .dir
            .path()
            .join(format!("operator-{}.log", self.starts));
        let kubeconfig = self.operator_kubeconfig()?;
        let (operator, port) = self.launch(&kubeconfig, log, &BTreeMap::new())?;
        self.operator = Some(operator);
        self.port = port;
        Ok(())
    }

    /// Starts one more operator beside the others and waits until it is ready.
    /// `name` is its pod's; `environment` goes over the stage's.
    pub async fn replica(
        &self,
        name: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Replica> {
        self.replica_of(&self.operator_kubeconfig()?, name, environment)
            .await
    }

    /// The same with a kubeconfig of the test's own.
    pub async fn replica_of(
        &self,
        kubeconfig: &Path,
        name: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Replica> {
        let mut environment = environment.clone();
        environment.insert("POD_NAME".to_owned(), name.to_owned());
        let log = self.dir.path().join(format!("{name}.log"));
        let (process, port) = self.launch(kubeconfig, log, &environment)?;
        let mut replica = Replica { process, port };
        let url = format!("http://127.0.0.1:{port}/readyz");
        replica.process.wait_for_url(&url, START).await?;
        Ok(replica)
    }

    /// The kubeconfig of the user that the shipped RBAC is bound to.
    pub fn operator_kubeconfig(&self) -> Result<PathBuf> {
        let user = "system:serviceaccount:operators:apim-operator";
        Ok(self.plane.kubeconfig_for(user, None)?)
    }

    /// The API server's own address.
    #[must_use]
    pub fn api_server(&self) -> &str {
        self.plane.url()
    }

    fn launch(
        &self,
        kubeconfig: &Path,
        log: PathBuf,
        environment: &BTreeMap<String, String>,
    ) -> Result<(Process, u16)> {
        let operator_app = self
            .azure
            .endpoints
            .applications
            .iter()
            .find(|app| app.name == "operator");
        let operator_app = operator_app.context("the seed has an application for the operator")?;
        let port = free_port()?;
        let mut command = Command::new(program("apim-operator")?);
        command
            .args(["run", "--listen", &format!("127.0.0.1:{port}")])
            .arg("--cache-dir")
            .arg(match &self.builder.cache_dir {
                Some(dir) => dir.clone(),
                None => plugin_cache()?,
            })
            .env("KUBECONFIG", kubeconfig)
            .env("AZURE_TENANT_ID", &operator_app.tenant_id)
            .env("AZURE_CLIENT_ID", &operator_app.client_id)
            .env(
                "AZURE_CLIENT_SECRET",
                operator_app.client_secret.as_deref().unwrap_or_default(),
            )
            .env(
                "RUST_LOG",
                "info,operator_controller=debug,operator_apim=debug",
            )
            .env_remove("KEY_VAULT_NAME")
            .envs(&self.builder.environment)
            .envs(environment);
        if let Some(vault) = &self.builder.key_vault {
            let endpoints = &self.azure.endpoints;
            command
                .env("KEY_VAULT_NAME", vault)
                .env("AZURE_AUTHORITY_HOST", &endpoints.authority)
                .env("AZURE_RESOURCE_MANAGER_URL", &endpoints.resource_manager)
                .env("AZURE_KEY_VAULT_SUFFIX", &endpoints.key_vault_suffix)
                .env(
                    "APIM_OPERATOR_CA_FILE",
                    self.dir.path().join("azure/ca.pem"),
                );
        }
        if let Some(dir) = &self.builder.plugin_dir {
            command.arg("--plugin-dir").arg(dir);
        }
        Ok((Process::spawn("apim-operator", &mut command, log)?, port))
    }

    /// Starts the command line and does not wait.
    pub fn cli_process(&self, args: &[&str]) -> Result<std::process::Child> {
        let applications = &self.azure.endpoints.applications;
        let identity = applications.iter().find(|app| app.name == "operator");
        let identity = identity.context("the seed has an application for the operator")?;
        let mut command = Command::new(program("apim-operator")?);
        command
            .args(args)
            .env("KUBECONFIG", self.plane.admin_kubeconfig_path())
            .env("AZURE_TENANT_ID", &identity.tenant_id)
            .env("AZURE_CLIENT_ID", &identity.client_id)
            .env(
                "AZURE_CLIENT_SECRET",
                identity.client_secret.as_deref().unwrap_or_default(),
            )
            .env_remove("KEY_VAULT_NAME")
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(command.spawn()?)
    }

    /// The operator's process, to be stopped in the test's own way.
    pub fn take_operator(&mut self) -> Option<Process> {
        self.operator.take()
    }

    /// Runs a command of `apim-operator` as an administrator of the cluster
    /// with the operator's rights in Azure, and gives its exit code, what it
    /// printed and what it said besides.
    pub async fn cli(&self, args: &[&str]) -> Result<(i32, String, String)> {
        let applications = &self.azure.endpoints.applications;
        let app = applications.iter().find(|app| app.name == "operator");
        let app = app.context("the seed has an application for the operator")?;
        let secret = app.client_secret.as_deref().unwrap_or_default();
        let azure = [
            ("AZURE_TENANT_ID", app.tenant_id.as_str()),
            ("AZURE_CLIENT_ID", app.client_id.as_str()),
            ("AZURE_CLIENT_SECRET", secret),
        ];
        self.cli_of("platform-team", Some("system:masters"), &azure, args)
            .await
    }

    /// The same as somebody else, who has nothing in Azure but what the
    /// environment says.
    pub async fn cli_of(
        &self,
        user: &str,
        group: Option<&str>,
        environment: &[(&str, &str)],
        args: &[&str],
    ) -> Result<(i32, String, String)> {
        let kubeconfig = self.plane.kubeconfig_for(user, group)?;
        let output = tokio::process::Command::new(program("apim-operator")?)
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("APIM_OPERATOR_CACHE_DIR", plugin_cache()?)
            .env_remove("AZURE_TENANT_ID")
            .env_remove("AZURE_CLIENT_ID")
            .env_remove("AZURE_CLIENT_SECRET")
            .env_remove("KEY_VAULT_NAME")
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .output()
            .await?;
        Ok((
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }

    /// Sets an environment variable of the operators that are started from now
    /// on.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        let environment = &mut self.builder.environment;
        environment.insert(name.to_owned(), value.to_owned());
    }

    /// `kill -9`.
    pub fn kill_operator(&mut self) -> Result<()> {
        if let Some(mut operator) = self.operator.take() {
            operator.kill()?;
        }
        Ok(())
    }

    /// What the operator has logged since it was last started.
    pub fn operator_log(&self) -> String {
        self.operator
            .as_ref()
            .and_then(|operator| operator.log().ok())
            .unwrap_or_default()
    }

    /// The operator's process.
    #[must_use]
    pub fn operator_id(&self) -> Option<u32> {
        self.operator.as_ref().map(Process::id)
    }

    /// Starts or stops handing out addresses and endpoints.
    pub async fn addresses(&mut self, on: bool) -> Result<()> {
        self.stand_in = match (on, self.stand_in.take()) {
            (true, None) => {
                Some(stand_in::StandIn::start(self.client.clone(), self.builder.stand_in()).await)
            }
            (true, running) => running,
            (false, _) => None,
        };
        Ok(())
    }

    /// The API of ExposedAPIs in a namespace.
    #[must_use]
    pub fn exposed_apis(&self, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("oda.tmforum.org", &self.version, "ExposedAPI");
        let resource = ApiResource::from_gvk_with_plural(&kind, "exposedapis");
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Applies an object as a user would; an ExposedAPI gets a Service beside
    /// it, unless it is implemented elsewhere.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        if object["kind"] == "ExposedAPI"
            && let Some(service) = object["spec"]["implementation"].as_str()
            && service != "<external>"
        {
            let service = json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": service, "namespace": object["metadata"]["namespace"]},
                "spec": {"selector": {"app": service}, "ports": [{"port": object["spec"]["port"], "targetPort": 8080}]},
            });
            test_harness::apply_yaml(&self.client, &service.to_string()).await?;
        }
        test_harness::apply_yaml(&self.client, &object.to_string()).await?;
        Ok(())
    }

    /// Merges a patch into an ExposedAPI.
    pub async fn patch(&self, namespace: &str, name: &str, patch: &Value) -> Result<()> {
        self.exposed_apis(namespace)
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Waits until an ExposedAPI's status is as `check` wants it.
    pub async fn until(
        &self,
        name: &str,
        awaited: &str,
        mut check: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        let api = self.exposed_apis("shop");
        let found = test_harness::wait_for(&api, name, awaited, PATIENCE, |object| {
            let status = status_of(object?);
            check(&status).then_some(status)
        })
        .await;
        found.with_context(|| {
            format!(
                "the operator's log ends with:\n{}",
                tail(&self.operator_log())
            )
        })
    }

    /// Waits until an ExposedAPI is ready.
    pub async fn until_ready(&self, name: &str) -> Result<Value> {
        self.until(name, "ready", |status| {
            status["implementation"]["ready"] == true && is(status, "Ready", "True")
        })
        .await
    }

    /// Waits until an ExposedAPI's condition `kind` has this reason.
    pub async fn until_reason(&self, name: &str, kind: &str, reason: &str) -> Result<Value> {
        self.until(name, &format!("{kind} with reason {reason}"), |status| {
            condition(status, kind).is_some_and(|condition| condition["reason"] == reason)
        })
        .await
    }

    /// Waits until an ExposedAPI is gone.
    pub async fn until_gone(&self, name: &str) -> Result<()> {
        let api = self.exposed_apis("shop");
        let gone = test_harness::wait_for(&api, name, "gone", PATIENCE, |object| {
            object.is_none().then_some(())
        })
        .await;
        gone.with_context(|| {
            format!(
                "the operator's log ends with:\n{}",
                tail(&self.operator_log())
            )
        })
    }

    /// Waits until the operator has finished a reconcile of everything that
    /// was asked for until now: an ExposedAPI that is made now is ready.
    pub async fn settled(&self) -> Result<()> {
        let object = crate::exposed_api("settled", |object| {
            // A text is not a document in the canonical definition.
            object["spec"]
                .as_object_mut()
                .map(|spec| spec.remove("specification"));
        });
        self.apply(&object).await?;
        self.until_ready("settled").await?;
        self.exposed_apis("shop")
            .delete("settled", &DeleteParams::default())
            .await?;
        self.until_gone("settled").await
    }

    /// The writes that Azure was asked for about an API, in order.
    #[must_use]
    pub fn writes(&self, api_id: &str) -> Vec<Write> {
        let marker = format!("/apis/{api_id}");
        self.journal()
            .into_iter()
            .filter(|call| matches!(call.kind, CallKind::Write | CallKind::Delete))
            .filter_map(|call| {
                let at = call.path.find(&marker)?;
                let rest = &call.path[at + marker.len()..];
                let whole = rest.is_empty() || rest.starts_with('/') || rest.starts_with(';');
                whole.then(|| Write(call.method.clone(), format!("{}{}", rest, import_of(&call))))
            })
            .collect()
    }

    /// Every call to Azure Resource Manager so far.
    #[must_use]
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.azure.journal(&JournalQuery::default())
    }

    /// Runs kubectl as an administrator and gives its output.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let output = self.plane.kubectl(args).await?;
        if !output.status.success() {
            bail!(
                "kubectl {}: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The port of the operator's probes and metrics.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A folder that lives as long as the stage.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Marks a PUT of an API that brings a document.
fn import_of(call: &JournalEntry) -> &'static str {
    if call.body["properties"]["value"].is_string() && call.body["properties"]["path"].is_string() {
        " (import)"
    } else {
        ""
    }
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

fn is(status: &Value, kind: &str, value: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition["status"] == value)
}

async fn install(client: &Client, deploy: &Path, definition: Definition) -> Result<String> {
    let read =
        |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let exposed = match definition {
        Definition::Ours => Some(read(&deploy.join("crds-exposedapi/exposedapi.yaml"))?),
        Definition::File(path) => Some(read(&workspace().join(path))?),
        Definition::Missing => None,
    };
    for text in exposed.iter().cloned().chain([
        read(&deploy.join("crds/apim-operator.yaml"))?,
        read(&deploy.join("namespace.yaml"))?,
        read(&deploy.join("rbac.yaml"))?,
        "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}".to_owned(),
    ]) {
        test_harness::apply_yaml(client, &text).await?;
    }
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let crds: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let exposedapis = exposed.map(|_| "exposedapis.oda.tmforum.org");
    for name in exposedapis
        .into_iter()
        .chain(["apiminstances.apim.oda.tmforum.org"])
    {
        test_harness::wait_for(&crds, name, "established", PATIENCE, |object| {
            let status = status_of(object?);
            is(&status, "Established", "True").then_some(())
        })
        .await?;
    }
    let Some(exposedapis) = exposedapis else {
        return Ok(String::new());
    };
    let versions = crds.get(exposedapis).await?.data["spec"]["versions"].clone();
    let served: Vec<&str> = versions
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v["name"].as_str())
        .collect();
    let newest = ["v1", "v1beta4", "v1beta3"]
        .into_iter()
        .find(|name| served.contains(name));
    newest
        .map(str::to_owned)
        .context("a version of ExposedAPI is served")
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program of this workspace, which cargo has built beside the tests.
fn program(name: &str) -> Result<PathBuf> {
    Ok(test_harness::built_program(name)?)
}

/// One cache of compiled plugins for all stages: what differs has another
/// digest.
fn plugin_cache() -> Result<PathBuf> {
    let dir = program("apim-operator")?.with_file_name("e2e-plugin-cache");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}
