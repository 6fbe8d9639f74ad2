//! Arguments of `api`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use operator_core::annotations::SpecificationFrom;
use operator_core::policy_plugin::parse_duration;
use url::Url;

use crate::args::{LookArgs, http_url};

/// For the owners of APIs: everything about one from the command line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator api add stock --from-file openapi.yaml --service stock:8080 --path /stock
  apim-operator api wait stock
  apim-operator api list -A
  apim-operator api describe stock
  apim-operator api call stock GET /items --token-file token.txt

Also as a kubectl plugin: a link named `kubectl-apim` to this program, somewhere on the PATH, makes
`kubectl apim list` of `apim-operator api list`.")]
pub(crate) struct ApiArgs {
    /// Where.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ApiCommand,
}

/// Which cluster and namespace, as kubectl is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArgs {
    /// The context of the kubeconfig; by default its current one.
    #[arg(long, global = true, value_name = "CONTEXT", help_heading = "Cluster")]
    pub(crate) context: Option<String>,

    /// The namespace; by default the context's.
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAMESPACE",
        help_heading = "Cluster"
    )]
    pub(crate) namespace: Option<String>,
}

/// The subcommands of `api`.
#[derive(Debug, Subcommand)]
pub(crate) enum ApiCommand {
    /// Write an ExposedAPI for a service and its OpenAPI document.
    ///
    /// It prints YAML to keep beside the service's code, or applies it.
    Add(Box<AddArgs>),
    /// List ExposedAPIs and how they fare.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one on a screen: where it is reached, what protects it, what is wrong.
    Describe(NameArgs),
    /// Wait until one is ready, or gone.
    Wait(WaitArgs),
    /// Show what a file, or what is in the cluster, would change in the cluster
    /// and in Azure.
    ///
    /// It is `plan` for one object. It reads what the operator reads, the
    /// ApimInstances among it, so it takes more rights than the others.
    Diff(Box<DiffArgs>),
    /// List the subscriptions whose keys open an API, and the Secrets that hold
    /// them.
    Keys(KeysArgs),
    /// Get a token of an application, to try an API.
    ///
    /// The client credentials flow of Microsoft Entra ID. The token goes to
    /// stdout and nowhere else.
    Token(TokenArgs),
    /// Send one request to an API through the gateway.
    ///
    /// The body goes to stdout, the rest to stderr. An answer of 400 or above
    /// is exit code 1, with what may be the matter.
    Call(Box<CallArgs>),
    /// Print APIs that are in API Management as ExposedAPIs.
    ///
    /// Their documents, paths and subscription keys are taken over; what their
    /// policies do is for plugins to do, and is shown as a comment.
    Export(Box<ExportArgs>),
    /// Delete an ExposedAPI, and with it what it published.
    Delete(DeleteArgs),
}

/// One object.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// The name of the ExposedAPI.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// How objects are printed, as kubectl prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// A table.
    Table,
    /// A table with more columns.
    Wide,
    /// The objects as YAML.
    Yaml,
    /// The objects as JSON.
    Json,
    /// A name on each line.
    Name,
}

/// YAML or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManifestFormat {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// Arguments of `api list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Those of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,

    /// Only those with these labels, as `team=shop`.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,

    /// How to print them.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub(crate) output: ListFormat,
}

/// Arguments of `api add`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("document").args(["from_file", "from_url", "from"])),
    after_help = "\
Examples:
  apim-operator api add stock --from-file openapi.yaml --service stock:8080 --path /stock
  apim-operator api add stock --from-file openapi.yaml --service stock:8080 --path /stock \\
      --plugins cors,jwt-entra,rate-limit --plugin-config rate-limit='calls: 20' --require-key
  apim-operator api add stock --from service/openapi.json --service stock:8080 --path /stock
  apim-operator api add stock --service stock:8080 --path /stock --apply --wait")]
pub(crate) struct AddArgs {
    /// The name of the ExposedAPI.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Its OpenAPI document, YAML or JSON, or `-` for stdin. It is checked as
    /// the operator checks it, and becomes part of the object.
    #[arg(long, value_name = "FILE")]
    pub(crate) from_file: Option<PathBuf>,

    /// Where its OpenAPI document is; the operator gets it from there. Without
    /// a document every path and method is let through.
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub(crate) from_url: Option<Url>,

    /// Where its OpenAPI document lies in the namespace:
    /// `configmap/NAME/KEY`, `secret/NAME/KEY`, or `service` with a path, as
    /// `service/openapi.json`. The operator follows it from there.
    #[arg(long, value_name = "PLACE", value_parser = place)]
    pub(crate) from: Option<SpecificationFrom>,

    /// The Kubernetes Service that implements it, in the same namespace.
    #[arg(long, value_name = "SERVICE:PORT", value_parser = service)]
    pub(crate) service: (String, u16),

    /// Where callers find it at the gateway, as `/stock/v1`.
    #[arg(long, value_name = "PATH", value_parser = path)]
    pub(crate) path: String,

    /// The plugins that protect it, in place of the platform's list. An empty
    /// text is none.
    #[arg(long, value_name = "NAME,…")]
    pub(crate) plugins: Option<String>,

    /// What one plugin is told, as YAML: `rate-limit='calls: 20'`. May be
    /// repeated.
    #[arg(long, value_name = "PLUGIN=YAML", value_parser = plugin_config)]
    pub(crate) plugin_config: Vec<(String, String)>,

    /// Another annotation of the operator, without its prefix:
    /// `drift=Report`. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = annotation)]
    pub(crate) set: Vec<(String, String)>,

    /// The APIM instance to publish in, where the platform lets owners choose.
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Option<String>,

    /// Callers need a subscription key, in the usual header.
    #[arg(long)]
    pub(crate) require_key: bool,

    /// Apply it to the cluster rather than print it.
    #[arg(long)]
    pub(crate) apply: bool,

    /// With --apply: wait until it is published.
    #[arg(long, requires = "apply")]
    pub(crate) wait: bool,

    /// With --wait: how long at most.
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Duration,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = ManifestFormat::Yaml, conflicts_with = "apply")]
    pub(crate) output: ManifestFormat,
}

/// For what to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Awaited {
    /// The API can be called.
    Ready,
    /// The object is gone, and what it published with it.
    Deleted,
}

/// Arguments of `api wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// The name of the ExposedAPI.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// For what.
    #[arg(long = "for", value_enum, default_value_t = Awaited::Ready, value_name = "STATE")]
    pub(crate) awaited: Awaited,

    /// How long at most, as `90s` or `5m`.
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

/// Arguments of `api diff`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).args(["name", "file"])),
    after_help = "Exit codes: 0 nothing to do, 1 it is refused, waits or could not be planned, 3 changes.")]
pub(crate) struct DiffArgs {
    /// The name of an ExposedAPI in the cluster.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// A file with ExposedAPIs as they are to be applied, or `-` for stdin.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = crate::args::ListOutput::Text)]
    pub(crate) output: crate::args::ListOutput,

    /// Cluster and Azure.
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Arguments of `api keys`.
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    /// The name of an ExposedAPI; without it, all subscriptions of the
    /// namespace are listed.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Print the key of this subscription, and nothing else.
    #[arg(long, value_name = "SUBSCRIPTION", conflicts_with = "name")]
    pub(crate) reveal: Option<String>,
}

/// Arguments of `api token`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("for_what").required(true).args(["audience", "scope"])),
    after_help = "\
Examples:
  AZURE_CLIENT_SECRET=… apim-operator api token --tenant-id T --client-id C --audience A
  apim-operator api call stock GET /items --token \"$(apim-operator api token …)\"")]
pub(crate) struct TokenArgs {
    /// The tenant of the application.
    #[arg(long, env = "AZURE_TENANT_ID", value_name = "ID")]
    pub(crate) tenant_id: String,

    /// The application that calls.
    #[arg(long, env = "AZURE_CLIENT_ID", value_name = "ID")]
    pub(crate) client_id: String,

    /// A file with its secret, or `-` for stdin; else the environment variable
    /// `AZURE_CLIENT_SECRET` is read. There is no flag for the secret itself:
    /// command lines are seen by others.
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,

    /// The application that the token is for: the `clientId` of the
    /// ApimInstance.
    #[arg(long, value_name = "ID")]
    pub(crate) audience: Option<String>,

    /// The whole scope, where `<audience>/.default` is not it.
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<String>,

    /// Where tokens come from.
    #[arg(
        long,
        env = "AZURE_AUTHORITY_HOST",
        default_value = "https://login.microsoftonline.com/",
        value_name = "URL",
        value_parser = http_url
    )]
    pub(crate) authority_host: Url,

    /// PEM file with certificates to trust besides the system's.
    #[arg(long, env = "APIM_OPERATOR_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Arguments of `api call`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator api call stock                             GET / of the API
  apim-operator api call stock GET /items/7 -i
  apim-operator api call stock POST /reservations --json '{\"item\": 7}' --token-file token.txt
  apim-operator api call stock GET /items --key-file key.txt --gateway https://localhost:8443")]
pub(crate) struct CallArgs {
    /// The name of the ExposedAPI.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// The method.
    #[arg(default_value = "GET", value_name = "METHOD", value_parser = method)]
    pub(crate) method: http::Method,

    /// The path below the API's own, with its query.
    #[arg(default_value = "/", value_name = "PATH")]
    pub(crate) path: String,

    /// A header, as `Accept: text/plain`. May be repeated.
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(http::HeaderName, http::HeaderValue)>,

    /// The body; `@FILE` is a file's content, `@-` stdin's.
    #[arg(short, long, value_name = "TEXT", conflicts_with = "json")]
    pub(crate) data: Option<String>,

    /// The same as JSON, with its header.
    #[arg(long, value_name = "TEXT")]
    pub(crate) json: Option<String>,

    /// A token, which goes into the header Authorization.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    pub(crate) token: Option<String>,

    /// The same from a file, or `-` for stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// A file with a subscription key, or `-` for stdin. It goes into the
    /// header or parameter that the API asks for.
    #[arg(long, value_name = "FILE", conflicts_with = "subscription")]
    pub(crate) key_file: Option<PathBuf>,

    /// The key of this subscription of the namespace, from its Secret.
    #[arg(long, value_name = "NAME")]
    pub(crate) subscription: Option<String>,

    /// Another gateway than the one in the object's status: a local one, or
    /// one behind a tunnel.
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub(crate) gateway: Option<Url>,

    /// Show the answer's headers.
    #[arg(short, long)]
    pub(crate) include: bool,

    /// How long the answer may take.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Duration,

    /// PEM file with certificates to trust besides the system's.
    #[arg(long, env = "APIM_OPERATOR_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Arguments of `api export`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("which").required(true).multiple(true).args(["id", "all"])),
    after_help = "\
Examples:
  apim-operator api export echo-api > echo.yaml
  apim-operator api export --all --instance default -o json

What is exported is not adopted: applying it publishes it anew, unless the annotations `api-id` and
`adoption` name the API that is there (the platform must allow both).")]
pub(crate) struct ExportArgs {
    /// The id of an API in API Management. May be repeated.
    #[arg(value_name = "ID", conflicts_with = "all")]
    pub(crate) id: Vec<String>,

    /// All of the instance that this operator did not publish.
    #[arg(long)]
    pub(crate) all: bool,

    /// The ApimInstance; by default the only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Option<String>,

    /// How to print them.
    #[arg(short, long, value_enum, default_value_t = ManifestFormat::Yaml)]
    pub(crate) output: ManifestFormat,

    /// Cluster and Azure.
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Arguments of `api delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The name of the ExposedAPI.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Leave what is published in API Management, without the operator's mark.
    #[arg(long)]
    pub(crate) retain: bool,

    /// Wait until it is gone.
    #[arg(long)]
    pub(crate) wait: bool,

    /// With --wait: how long at most.
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

fn service(text: &str) -> Result<(String, u16), String> {
    let wanted = "SERVICE:PORT is wanted, as `stock:8080`";
    let (name, port) = text.split_once(':').ok_or(wanted)?;
    if name.is_empty() {
        return Err(wanted.to_owned());
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok((name.to_owned(), port)),
        _ => Err(format!(
            "`{port}` is no port: a number from 1 to 65535 is wanted"
        )),
    }
}

/// A place in the namespace; what lies there is checked with the annotation.
fn place(text: &str) -> Result<SpecificationFrom, String> {
    let wanted = "`configmap/NAME/KEY`, `secret/NAME/KEY` or `service/PATH` is wanted";
    let (kind, rest) = text.split_once('/').unwrap_or((text, ""));
    let named = || {
        let (name, key) = rest.split_once('/').ok_or(wanted)?;
        Ok::<_, String>((name.to_owned(), key.to_owned()))
    };
    match kind.to_ascii_lowercase().as_str() {
        "configmap" | "cm" => named().map(|(name, key)| SpecificationFrom::ConfigMap { name, key }),
        "secret" => named().map(|(name, key)| SpecificationFrom::Secret { name, key }),
        "service" | "svc" => Ok(SpecificationFrom::Service {
            path: match rest {
                "" => "/openapi.json".to_owned(),
                rest => format!("/{rest}"),
            },
        }),
        _ => Err(wanted.to_owned()),
    }
}

fn path(text: &str) -> Result<String, String> {
    operator_core::exposed_api::ApiPath::parse(text).map(|path| path.to_string())
}

fn pair(text: &str, wanted: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{wanted} is wanted")),
    }
}

fn plugin_config(text: &str) -> Result<(String, String), String> {
    pair(text, "PLUGIN=YAML, as `rate-limit='calls: 20'`,")
}

fn annotation(text: &str) -> Result<(String, String), String> {
    pair(text, "NAME=VALUE, as `drift=Report`,")
}

const METHODS: [http::Method; 8] = [
    http::Method::GET,
    http::Method::PUT,
    http::Method::POST,
    http::Method::DELETE,
    http::Method::OPTIONS,
    http::Method::HEAD,
    http::Method::PATCH,
    http::Method::TRACE,
];

fn method(text: &str) -> Result<http::Method, String> {
    let upper = text.to_ascii_uppercase();
    METHODS
        .into_iter()
        .find(|method| method.as_str() == upper)
        .ok_or_else(|| "no HTTP method; it stands before the path, as `GET /items`".to_owned())
}

fn header(text: &str) -> Result<(http::HeaderName, http::HeaderValue), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("NAME: VALUE is wanted, as `Accept: text/plain`")?;
    let name = http::HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| format!("`{}` is no name of a header", name.trim()))?;
    let value = http::HeaderValue::from_str(value.trim())
        .map_err(|_| format!("the value of `{name}` holds what no header can"))?;
    Ok((name, value))
}
