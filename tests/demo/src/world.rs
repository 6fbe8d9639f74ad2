//! The processes of the demo, and what it waits for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tempfile::TempDir;
use test_harness::ControlPlane;
use test_harness::Process;
use test_harness::wait_until;

/// Nothing here takes that long when all is well.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the stand-in gives to Ingresses.
const LOAD_BALANCER: &str = "203.0.113.10";

const CATALOG: &str = include_str!("../data/product-catalog.swagger.json");
const LEGACY: &str = include_str!("../../../deploy/examples/exposedapi-original-dialect.yaml");
const STOCK: &str = include_str!("../../../deploy/examples/exposedapi-custom-chain.yaml");

/// Everything that runs. Dropped in this order: the operator first.
pub(crate) struct World {
    _operator: Process,
    _stand_in: Process,
    _azure: Process,
    documents: tokio::task::JoinHandle<()>,
    plane: ControlPlane,
    dir: TempDir,
    page: String,
}

impl Drop for World {
    fn drop(&mut self) {
        self.documents.abort();
    }
}

impl World {
    /// Starts all processes and installs the operator's manifests.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let started = Instant::now();
        let dir = TempDir::with_prefix("apim-operator-demo-")?;
        let step = |what: &str| eprintln!("[{:4.1} s] {what}", started.elapsed().as_secs_f32());

        step("etcd and kube-apiserver (real)");
        let plane = ControlPlane::start().await?;
        step(
            "local Azure: Entra, ARM, API Management (a simulator: no request leaves this machine)",
        );
        let azure_dir = dir.path().join("azure");
        let mut command = Command::new(program("apim-simulator")?);
        let echo = free_address()?;
        command
            .args(["--port", "0", "--gateway-listen", "127.0.0.1:0"])
            .arg("--trace-requests")
            .args(["--echo-listen", &echo])
            // Where the address leads that the stand-in gives to Ingresses.
            .args(["--backend", &format!("{LOAD_BALANCER}={echo}")])
            .arg("--data-dir")
            .arg(&azure_dir);
        let mut azure =
            Process::spawn("apim-simulator", &mut command, dir.path().join("azure.log"))?;
        let endpoints = endpoints(&mut azure, &azure_dir.join("endpoints.json")).await?;
        step("a server for OpenAPI documents");
        let (document_url, documents) = documents().await?;
        step("stand-in for load balancer and kubelet, which do not run here");
        let mut command = Command::new(program("cluster-stand-in")?);
        command.env("KUBECONFIG", plane.admin_kubeconfig_path());
        let stand_in = Process::spawn(
            "cluster-stand-in",
            &mut command,
            dir.path().join("stand-in.log"),
        )?;

        write_files(dir.path(), &endpoints, &document_url)?;
        step("the operator's manifests: definitions, rights, instance");
        let world_dir = dir.path().to_owned();
        let deploy = workspace().join("deploy");
        for file in [
            "crds-exposedapi/exposedapi.yaml",
            "crds/apim-operator.yaml",
            "namespace.yaml",
            "rbac.yaml",
        ] {
            kubectl(
                &plane,
                &["apply", "-f", &deploy.join(file).display().to_string()],
            )
            .await?;
        }
        let established = [
            "wait",
            "--for",
            "condition=Established",
            "--timeout=60s",
            "crd",
            "--all",
        ];
        kubectl(&plane, &established).await?;
        kubectl(&plane, &["create", "namespace", "shop"]).await?;
        kubectl(
            &plane,
            &[
                "apply",
                "-f",
                &world_dir.join("instance.yaml").display().to_string(),
            ],
        )
        .await?;

        step("the operator, with the rights of its ServiceAccount and nothing else");
        let operator = operator(&plane, dir.path(), &endpoints).await?;
        step("ready");
        Ok(Self {
            _operator: operator,
            _stand_in: stand_in,
            _azure: azure,
            documents,
            plane,
            dir,
            page: text(&endpoints, "page").to_owned(),
        })
    }

    /// The demo's folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// An administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.plane.admin_kubeconfig_path()
    }

    /// The address of the local Azure's page.
    pub(crate) fn page(&self) -> &str {
        &self.page
    }

    /// Where kubectl is.
    pub(crate) fn tools(&self) -> PathBuf {
        self.plane
            .tools()
            .kubectl
            .parent()
            .map(Path::to_owned)
            .unwrap_or_default()
    }

    /// A shell in the demo's folder.
    pub(crate) fn shell(&self, command: &str) -> tokio::process::Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = tokio::process::Command::new("bash");
        shell
            .args(["-c", command])
            .current_dir(self.dir())
            .env("KUBECONFIG", self.kubeconfig())
            .env("KUBECACHEDIR", self.dir().join("kubectl-cache"))
            .env("PATH", format!("{}:{path}", self.tools().display()))
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        shell
    }

    async fn output(&self, command: &str) -> anyhow::Result<String> {
        let output = self.shell(command).output().await?;
        if !output.status.success() {
            bail!("`{command}`: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn until(
        &self,
        awaited: &str,
        command: &str,
        check: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let waited = wait_until(awaited, PATIENCE, async || {
            match self.output(command).await {
                Ok(text) if check(&text) => Ok(()),
                Ok(text) => Err(text),
                Err(error) => Err(error.to_string()),
            }
        });
        waited.await.with_context(|| {
            let log = std::fs::read_to_string(self.dir().join("operator.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!(
                "the operator's log ends with:\n{}",
                lines[lines.len().saturating_sub(20)..].join("\n")
            )
        })
    }

    /// Waits until ExposedAPIs are ready.
    pub(crate) async fn until_ready(&self, names: &[&str]) -> anyhow::Result<()> {
        for name in names {
            let command = format!(
                "kubectl get exposedapi {name} -n shop -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].status}}'"
            );
            self.until(&format!("{name} is ready"), &command, |text| text == "True")
                .await?;
        }
        Ok(())
    }

    /// Waits until an ExposedAPI is not ready for this reason.
    pub(crate) async fn until_reason(&self, name: &str, reason: &str) -> anyhow::Result<()> {
        let command = format!(
            "kubectl get exposedapi {name} -n shop -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].reason}}'"
        );
        self.until(
            &format!("{name} is not ready: {reason}"),
            &command,
            |text| text == reason,
        )
        .await?;
        let events = format!("kubectl get events -n shop --field-selector reason={reason} -o name");
        self.until(&format!("an event {reason}"), &events, |text| {
            !text.trim().is_empty()
        })
        .await
    }

    /// Waits until an API's policy holds a text.
    pub(crate) async fn until_policy(&self, api: &str, text: &str) -> anyhow::Result<()> {
        self.until(
            &format!("{text} in the policy of {api}"),
            &format!("./policy {api}"),
            |all| all.contains(text),
        )
        .await
    }

    /// Waits until nothing is published.
    pub(crate) async fn until_empty(&self) -> anyhow::Result<()> {
        self.until("no API in API Management", "./apim apis", |text| {
            text.contains("\"count\": 0")
        })
        .await
    }
}

async fn operator(plane: &ControlPlane, dir: &Path, endpoints: &Value) -> anyhow::Result<Process> {
    let kubeconfig = plane.kubeconfig_for("system:serviceaccount:operators:apim-operator", None)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let applications = endpoints["applications"].as_array().into_iter().flatten();
    let identity = applications
        .into_iter()
        .find(|app| app["name"] == "operator");
    let identity = identity.context("the local Azure has an application for the operator")?;
    let listen = free_address()?;
    let mut command = Command::new(program("apim-operator")?);
    command
        .args(["run", "--listen", &listen, "--cache-dir"])
        .arg(dir.join("plugins"))
        .env("KUBECONFIG", kubeconfig)
        .env("AZURE_TENANT_ID", text(&identity["tenantId"]))
        .env("AZURE_CLIENT_ID", text(&identity["clientId"]))
        .env("AZURE_CLIENT_SECRET", text(&identity["clientSecret"]))
        .env_remove("KEY_VAULT_NAME")
        .env_remove("RUST_LOG");
    let mut operator = Process::spawn("apim-operator", &mut command, dir.join("operator.log"))?;
    operator
        .wait_for_url(&format!("http://{listen}/readyz"), PATIENCE)
        .await?;
    Ok(operator)
}

/// An address that nobody listens on.
fn free_address() -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

/// What the local Azure says of itself once it listens.
async fn endpoints(azure: &mut Process, file: &Path) -> anyhow::Result<Value> {
    let read = async || {
        if let Some(status) = azure.try_wait().map_err(|error| error.to_string())? {
            return Err(format!("the local Azure ended with {status}"));
        }
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    Ok(wait_until("the local Azure listens", PATIENCE, read).await?)
}

/// Serves the document that `spec.specification.url` names.
async fn documents() -> anyhow::Result<(String, tokio::task::JoinHandle<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!(
        "http://{}/TMF620-ProductCatalog.swagger.json",
        listener.local_addr()?
    );
    let router = axum::Router::new().route(
        "/TMF620-ProductCatalog.swagger.json",
        axum::routing::get(async || CATALOG),
    );
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("demo: the server of OpenAPI documents ended: {error}");
        }
    });
    Ok((url, server))
}

fn write_files(dir: &Path, endpoints: &Value, document_url: &str) -> anyhow::Result<()> {
    let text = |field: &str| endpoints[field].as_str().unwrap_or_default().to_owned();
    let (arm, service) = (text("resourceManager"), text("serviceId"));
    let applications = endpoints["applications"].as_array().into_iter().flatten();
    let reader = applications
        .into_iter()
        .find(|app| app["name"] == "reader")
        .cloned()
        .unwrap_or_default();
    let own = |field: &str| reader[field].as_str().unwrap_or_default().to_owned();
    let apim = format!(
        r#"#!/usr/bin/env bash
# Reads from the local API Management, as a principal that may only read.
set -euo pipefail
cd "$(dirname "$0")"
token=$(curl -sS --cacert azure/ca.pem -d grant_type=client_credentials -d client_id={client} -d client_secret={secret} \
  --data-urlencode scope={arm}/.default {authority}/{tenant}/oauth2/v2.0/token \
  | sed -E 's/.*"access_token": *"([^"]*)".*/\1/' | tr -d '\n{{}} ')
curl -sS --cacert azure/ca.pem -H "Authorization: Bearer $token" "{arm}{service}/$1?api-version=2024-05-01${{2:-}}"
"#,
        client = own("clientId"),
        secret = own("clientSecret"),
        authority = text("authority"),
        tenant = own("tenantId"),
    );
    let policy = r#"#!/usr/bin/env bash
# Prints the policy document of an API, or of one of its operations.
set -euo pipefail
body=$("$(dirname "$0")/apim" "apis/$1/policies/policy" '&format=rawxml')
printf '%b\n' "$(sed -n 's/^ *"value": "\(.*\)",\{0,1\}$/\1/p' <<<"$body" | sed 's/\\r\\n/\\n/g; s/\\"/"/g; s/\\u0027/'"'"'/g; s/\\u003c/</g; s/\\u003e/>/g; s/\\u0026/\&/g')" | tr -d '\r'
"#;
    let journal = format!(
        "#!/usr/bin/env bash\n# Every write that the local Azure was asked for.\nset -euo pipefail\n\
         cd \"$(dirname \"$0\")\"\ncurl -sS --cacert azure/ca.pem '{}/journal?kind=write' | tr -d '\\n' \
         | sed 's/\"seq\"/\\n\"seq\"/g' | sed -nE 's/.*\"method\": *\"([A-Z]+)\".*\"path\": *\"[^\"]*\\/service\\/[^\\/]*([^\"]*)\".*/\\1 \\2/p'\n",
        text("control")
    );
    let instance = format!(
        "apiVersion: apim.oda.tmforum.org/v1alpha1\nkind: ApimInstance\nmetadata: {{name: default}}\nspec:\n  \
         subscriptionId: {}\n  resourceGroup: {}\n  serviceName: {}\n  tenantId: {}\n  \
         clientId: 22222222-2222-4222-8222-000000000004\n  namespaceSelector: {{}}\n  \
         specification: {{allowPrivate: [\"127.0.0.1\"]}}\n  cloud:\n    authorityHost: {}\n    resourceManager: {arm}\n    \
         keyVaultSuffix: {}\n    caFile: {}\n",
        text("subscriptionId"),
        text("resourceGroup"),
        text("serviceName"),
        text("tenantId"),
        text("authority"),
        text("keyVaultSuffix"),
        dir.join("azure/ca.pem").display(),
    );
    let catalog = format!(
        "apiVersion: oda.tmforum.org/v1\nkind: ExposedAPI\nmetadata: {{name: catalog, namespace: shop}}\nspec:\n  \
         name: productcatalogmanagement\n  apiType: openapi\n  specification: {{url: \"{document_url}\", version: v4.0.0}}\n  \
         implementation: catalog\n  path: /catalog/tmf-api/productCatalogManagement/v4\n  port: 8080\n  \
         apiKeyVerification: {{enabled: true, location: header}}\n  \
         rateLimit: {{enabled: true, identifier: IP, limit: \"100\", interval: pm}}\n  CORS:\n    enabled: true\n    \
         allowCredentials: true\n    allowOrigins: \"https://shop.example.com, https://admin.example.com\"\n    \
         handlePreflightRequests: {{enabled: true, allowHeaders: \"Origin, Content-Type\", allowMethods: \"GET, POST, DELETE\", maxAge: 3600}}\n"
    );
    let legacy = LEGACY
        .replace("namespace: components", "namespace: shop")
        .replace("name: product-catalog\n", "name: legacy\n");
    let service = |name: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{selector: {{app: {name}}}, ports: [{{port: 8080}}]}}\n"
        )
    };
    let services = ["catalog", "stock", "tmf620-product-catalog-service"]
        .map(service)
        .concat();
    for (name, content) in [
        ("instance.yaml", instance.as_str()),
        ("catalog.yaml", &catalog),
        ("legacy.yaml", &legacy),
        ("stock.yaml", STOCK),
        ("services.yaml", &services),
        ("key", &text("gatewayKey")),
    ] {
        std::fs::write(dir.join(name), content)?;
    }
    for (name, content) in [
        ("apim", apim.as_str()),
        ("policy", policy),
        ("token", &token_script(endpoints)),
        ("call", &call_script(endpoints)),
        ("journal", &journal),
    ] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.join(name);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn text<'v>(endpoints: &'v Value, field: &str) -> &'v str {
    endpoints[field].as_str().unwrap_or_default()
}

fn token_script(endpoints: &Value) -> String {
    format!(
        r#"#!/usr/bin/env bash
# A token of the local Entra: `callers` is the application that the APIs' tokens
# are for; any other application's tokens are for somebody else.
set -euo pipefail
cd "$(dirname "$0")"
case "$1" in
{clients}esac
curl -sS --cacert azure/ca.pem -d grant_type=client_credentials -d client_id="$id" -d client_secret="$1-secret" \
  -d scope="$audience/.default" {authority}/{tenant}/oauth2/v2.0/token \
  | sed -E 's/.*"access_token": *"([^"]*)".*/\1/' | tr -d '\n{{}} '
"#,
        clients = clients(endpoints),
        authority = text(endpoints, "authority"),
        tenant = text(endpoints, "tenantId"),
    )
}

fn call_script(endpoints: &Value) -> String {
    format!(
        r#"#!/usr/bin/env bash
# Calls the local gateway: the status, the headers that matter, the body.
set -euo pipefail
cd "$(dirname "$0")"
path=$1; shift
curl -sS --cacert azure/ca.pem -i "$@" "{gateway}$path" | tr -d '\r' \
  | grep -vi -E '^(date|content-length|content-type|connection|vary|request-context):' | cut -c1-200 | sed '/^$/d'
"#,
        gateway = text(endpoints, "gateway"),
    )
}

/// For each application that can have a token its id and whom the token is for,
/// as cases of a shell script.
fn clients(endpoints: &Value) -> String {
    let applications = endpoints["applications"].as_array().into_iter().flatten();
    let case = |application: &Value| {
        let (name, id) = (&application["name"], &application["clientId"]);
        let (name, id) = (name.as_str()?, id.as_str()?);
        let audience = if name == "callers" {
            id
        } else {
            "https://management.azure.com"
        };
        Some(format!("  {name}) id={id} audience={audience} ;;\n"))
    };
    applications.filter_map(case).collect()
}

async fn kubectl(plane: &ControlPlane, args: &[&str]) -> anyhow::Result<()> {
    let output = plane.kubectl(args).await?;
    if !output.status.success() {
        bail!(
            "kubectl {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// A program that lies beside this one.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing: run `make build` first", path.display());
    }
    Ok(path)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
