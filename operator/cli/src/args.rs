//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use clap_complete::Shell;
use operator_core::names::ShardName;
use operator_core::policy_plugin::parse_duration;
use url::Url;

use crate::api::args::ApiArgs;
use crate::compile::CompileArgs;
use crate::plugin::args::PluginCommand;

/// Publishes ExposedAPI objects: an Ingress, an API in Azure API Management and
/// the policies that protect it, each made by a sandboxed WebAssembly plugin.
#[derive(Debug, Parser)]
#[command(
    name = "apim-operator",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  apim-operator render -f api.yaml              what would be published, without a cluster
  apim-operator render -f api.yaml -o policy    only the policy document
  apim-operator lint openapi.yaml               what would make an import fail
  apim-operator plan -f api.yaml                what applying it would change in the cluster and in Azure
  apim-operator api add stock --from-file openapi.yaml --service stock:8080 --path /stock
  apim-operator api list                        which APIs there are, and how they fare
  apim-operator plugin list                     which policies there are
  apim-operator plugin inspect rate-limit       what one of them can be told
  apim-operator crd | kubectl apply -f -        the operator's own definitions
  apim-operator run                             the operator, in or against a cluster

Exit codes: 0 fine, 1 a problem in the input or the world, 2 wrong usage, 3 `plan` found changes.
Results go to stdout, everything else to stderr."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Filter of log lines, for example `info,operator_apim=debug`. Takes
    /// precedence over LOGGING (DEBUG, INFO, WARNING, ERROR, CRITICAL).
    #[arg(
        long,
        env = "RUST_LOG",
        global = true,
        hide_env_values = true,
        value_name = "FILTER"
    )]
    pub(crate) log: Option<String>,

    /// How log lines are written.
    #[arg(long, env = "LOG_FORMAT", global = true, hide_env_values = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT", help_heading = "Log lines")]
    pub(crate) log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the operator.
    ///
    /// It finds the cluster as kubectl does: from the pod it runs in, else from
    /// KUBECONFIG. Which APIM instances it publishes in is said by ApimInstance
    /// objects, or by the Key Vault that `KEY_VAULT_NAME` names.
    Run(Box<RunArgs>),
    /// Show what would be published for ExposedAPIs, without a cluster or Azure.
    ///
    /// Nothing is fetched: for a specification by URL the operations are
    /// unknown and the hash covers the URL; a note on stderr says so.
    Render(RenderArgs),
    /// Show what the operator would do, against the live cluster and Azure.
    ///
    /// Every write to Azure and to Ingresses in its order, and what it changes:
    /// settings field by field, operations, policies statement by statement
    /// with the plugin that made them.
    Plan(Box<PlanArgs>),
    /// List, and delete, what this cluster left in API Management.
    Orphans(Box<OrphansArgs>),
    /// Take over what the original Azure operator left: its objects, its APIs,
    /// its Ingresses.
    ///
    /// Without --apply it only shows what it would do. Each API keeps its id,
    /// which the instance must allow (`ownerMay`, `allow.apiIds`).
    Migrate(Box<MigrateArgs>),
    /// Look for what makes the import of an OpenAPI document fail, or differ
    /// from what was written.
    Lint(LintArgs),
    /// Print the CustomResourceDefinitions.
    Crd(CrdArgs),
    /// Compile a plugin from stdin to stdout. Only ever started by this program.
    #[command(hide = true)]
    CompilePlugin(CompileArgs),
    /// Write, test, publish and look at plugins.
    #[command(after_help = "\
Examples:
  apim-operator plugin new acme-headers && cd acme-headers
  apim-operator plugin test                           build it and run its cases
  apim-operator plugin run . -f api.yaml              the policy of one API with it
  apim-operator plugin inspect rate-limit             what a plugin can be told
  apim-operator plugin list")]
    Plugin {
        /// What about them.
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// For the owners of APIs: add, list, describe, wait, diff, call, export.
    Api(Box<ApiArgs>),
    /// Print a script that completes this program's command line.
    #[command(after_help = "\
Examples:
  source <(apim-operator completion bash)
  apim-operator completion zsh > \"${fpath[1]}/_apim-operator\"
  apim-operator completion fish > ~/.config/fish/completions/apim-operator.fish")]
    Completion {
        /// For which shell.
        shell: Shell,
    },
}

/// Where plugins come from, besides those in the binary.
#[derive(Debug, Clone, Args)]
pub(crate) struct PluginSources {
    /// Load every *.wasm file of this folder too. A file that cannot be loaded
    /// is reported and skipped.
    #[arg(long, env = "APIM_OPERATOR_PLUGIN_DIR", value_name = "DIR")]
    pub(crate) plugin_dir: Option<PathBuf>,

    /// Keep compiled plugins in this folder. It must be private: compiled code
    /// is trusted code.
    #[arg(long, env = "APIM_OPERATOR_CACHE_DIR", value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// How several replicas agree on the one that writes. The names and values are
/// those of Kubernetes' own components.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several replicas")]
pub(crate) struct ElectionArgs {
    /// Write only while holding a lease, so that several replicas can run. The
    /// others keep everything ready to take over.
    #[arg(
        long = "leader-elect",
        env = "APIM_OPERATOR_LEADER_ELECT",
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    pub(crate) enabled: bool,

    /// How long the others wait for the holder to renew the lease, in whole
    /// seconds.
    #[arg(long = "leader-elect-lease-duration", env = "APIM_OPERATOR_LEADER_ELECT_LEASE_DURATION", default_value = "15s", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) lease_duration: Duration,

    /// How long the holder writes without having renewed the lease; then it
    /// ends, with exit code 1. Shorter than the lease's duration.
    #[arg(long = "leader-elect-renew-deadline", env = "APIM_OPERATOR_LEADER_ELECT_RENEW_DEADLINE", default_value = "10s", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) renew_deadline: Duration,

    /// Between two attempts to get or renew the lease.
    #[arg(long = "leader-elect-retry-period", env = "APIM_OPERATOR_LEADER_ELECT_RETRY_PERIOD", default_value = "2s", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) retry_period: Duration,

    /// The name of the lease, in the operator's own namespace.
    #[arg(
        long = "leader-elect-resource-name",
        env = "APIM_OPERATOR_LEADER_ELECT_RESOURCE_NAME",
        default_value = "apim-operator",
        value_name = "NAME"
    )]
    pub(crate) resource_name: String,
}

/// Where Azure is, and how it is reached.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReachArgs {
    /// The Key Vault whose secrets describe the instance `default`, as the
    /// original Azure operator reads them: apim-service-name, resource-group,
    /// subscription-id, aad-tenant-id, aad-client-id.
    #[arg(
        long,
        env = "KEY_VAULT_NAME",
        value_name = "NAME",
        help_heading = "Without an ApimInstance"
    )]
    pub(crate) key_vault_name: Option<String>,

    /// Where tokens come from.
    #[arg(
        long,
        env = "AZURE_AUTHORITY_HOST",
        default_value = "https://login.microsoftonline.com/",
        value_name = "URL",
        help_heading = "Without an ApimInstance"
    )]
    pub(crate) authority_host: String,

    /// Azure Resource Manager; by default the one that belongs to the
    /// authority.
    #[arg(
        long,
        env = "AZURE_RESOURCE_MANAGER_URL",
        value_name = "URL",
        help_heading = "Without an ApimInstance"
    )]
    pub(crate) resource_manager_url: Option<String>,

    /// What follows a vault's name in its host name, with the port if it is not
    /// 443; by default that of the authority's cloud.
    #[arg(
        long,
        env = "AZURE_KEY_VAULT_SUFFIX",
        value_name = "SUFFIX",
        help_heading = "Without an ApimInstance"
    )]
    pub(crate) key_vault_suffix: Option<String>,

    /// The version of the ARM interface.
    #[arg(
        long,
        env = "AZURE_APIM_API_VERSION",
        default_value = "2024-05-01",
        value_name = "DATE",
        help_heading = "Without an ApimInstance"
    )]
    pub(crate) api_version: String,

    /// PEM file with certificates to trust besides the system's, for a proxy
    /// or a local Azure.
    #[arg(
        long,
        env = "APIM_OPERATOR_CA_FILE",
        value_name = "FILE",
        help_heading = "Azure"
    )]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator run                                  in a pod: everything by its environment
  KUBECONFIG=~/.kube/config apim-operator run --listen 127.0.0.1:8080
  apim-operator run --plugin-dir ./plugins --cache-dir ./compiled
  apim-operator run --key-vault-name my-vault        without an ApimInstance
  apim-operator run --leader-elect --shard west      a second operator, for a part of the objects")]
pub(crate) struct RunArgs {
    /// Plugins.
    #[command(flatten)]
    pub(crate) plugins: PluginSources,

    /// Azure.
    #[command(flatten)]
    pub(crate) reach: ReachArgs,

    /// Address of /healthz, /readyz and /metrics.
    #[arg(
        long,
        env = "APIM_OPERATOR_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS"
    )]
    pub(crate) listen: SocketAddr,

    /// The namespace whose Secrets an ApimInstance may name.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        default_value = "operators",
        value_name = "NAMESPACE"
    )]
    pub(crate) namespace: String,

    /// The name of this process in events.
    #[arg(
        long,
        env = "POD_NAME",
        default_value = "apim-operator",
        value_name = "NAME"
    )]
    pub(crate) name: String,

    /// ExposedAPIs that are worked on at the same time, of which a quarter in
    /// one APIM instance.
    #[arg(long, env = "APIM_OPERATOR_CONCURRENCY", default_value_t = 256, value_name = "N", value_parser = value_parser!(u16).range(4..))]
    pub(crate) concurrency: u16,

    /// Election.
    #[command(flatten)]
    pub(crate) election: ElectionArgs,

    /// Work on what this shard is assigned: ExposedAPIs whose namespace, or
    /// whose ApimInstance, has the label `apim.oda.tmforum.org/shard=NAME`.
    /// Without it, on what has no such label. Each shard has a lease of its own,
    /// so this needs --leader-elect.
    #[arg(long, env = "APIM_OPERATOR_SHARD", value_name = "NAME", value_parser = shard_name, help_heading = "Several shards")]
    pub(crate) shard: Option<ShardName>,

    /// Pauses and periods pass so many times faster. For tests of what happens
    /// over hours; time-outs and the lease stay as they are.
    #[arg(long, env = "APIM_OPERATOR_TIME_SCALE", default_value_t = NonZeroU32::MIN, value_name = "N", hide = true)]
    pub(crate) time_scale: NonZeroU32,

    /// Writes to Azure per second and principal. Azure's own limit is the
    /// default.
    #[arg(long, env = "APIM_OPERATOR_ARM_WRITES", default_value_t = 10.0, value_name = "N", value_parser = per_second, help_heading = "Azure")]
    pub(crate) arm_writes_per_second: f64,

    /// Writes to Azure that may come at once after a quiet time.
    #[arg(long, env = "APIM_OPERATOR_ARM_WRITE_BURST", default_value_t = 200, value_name = "N", value_parser = value_parser!(u32).range(1..), help_heading = "Azure")]
    pub(crate) arm_write_burst: u32,

    /// Reads from Azure per second and principal.
    #[arg(long, env = "APIM_OPERATOR_ARM_READS", default_value_t = 25.0, value_name = "N", value_parser = per_second, help_heading = "Azure")]
    pub(crate) arm_reads_per_second: f64,

    /// How often to look for what others changed in API Management, as `10m`;
    /// `0` never looks. Objects say by the annotation `drift` what becomes of
    /// what is found.
    #[arg(long, env = "APIM_OPERATOR_DRIFT_INTERVAL", default_value = "10m", value_name = "TIME", value_parser = duration, help_heading = "Azure")]
    pub(crate) drift_interval: Duration,

    /// Reads from Azure that may come at once after a quiet time.
    #[arg(long, env = "APIM_OPERATOR_ARM_READ_BURST", default_value_t = 250, value_name = "N", value_parser = value_parser!(u32).range(1..), help_heading = "Azure")]
    pub(crate) arm_read_burst: u32,
}

/// How commands that a person runs see the cluster and Azure.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// Plugins.
    #[command(flatten)]
    pub(crate) plugins: PluginSources,

    /// Azure.
    #[command(flatten)]
    pub(crate) reach: ReachArgs,

    /// The operator's namespace, where Secrets of ApimInstances and ConfigMaps
    /// of plugins lie.
    #[arg(long, default_value = "operators", value_name = "NAMESPACE")]
    pub(crate) operator_namespace: String,

    /// Sign in to Azure as you are (environment, workload identity, managed
    /// identity, Azure CLI) rather than with the credentials of the
    /// ApimInstances, which may be Secrets that you cannot read.
    #[arg(long, help_heading = "Azure")]
    pub(crate) own_credentials: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(
    group(clap::ArgGroup::new("selection").required(true).multiple(true).args(["file", "namespace", "all"])),
    after_help = "\
Nothing is written: the Kubernetes client refuses everything but reads, and the Azure client has no
call that writes. Status and events are not listed.

Exit codes: 0 nothing to do, 1 an object is refused, waits or could not be planned, 3 changes.

Examples:
  apim-operator plan -f api.yaml                  what applying this file would do
  apim-operator plan --namespace shop             what the operator has left to do there
  apim-operator plan --all -o json | jq .summary
  apim-operator plan -f api.yaml --own-credentials")]
pub(crate) struct PlanArgs {
    /// A file with ExposedAPIs and profiles as they are to be applied, YAML or
    /// JSON, or `-` for stdin. Of a profile, those that name it are planned.
    /// May be repeated.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,

    /// The ExposedAPIs of one namespace; with files, the namespace of objects
    /// that name none.
    #[arg(
        short = 'n',
        long = "namespace",
        id = "namespace",
        value_name = "NAMESPACE"
    )]
    pub(crate) of_namespace: Option<String>,

    /// All ExposedAPIs of the cluster.
    #[arg(long, conflicts_with_all = ["file", "namespace"])]
    pub(crate) all: bool,

    /// How to print the plan.
    #[arg(short, long, value_enum, default_value_t = ListOutput::Text)]
    pub(crate) output: ListOutput,

    /// Cluster and Azure.
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Arguments of `orphans`.
#[derive(Debug, Args)]
#[command(after_help = "\
An orphan carries this cluster's mark and has no ExposedAPI: what a deletion-policy Retain left while
Azure did not answer, or what a restored cluster forgot. Each is read again before it is deleted.

Exit codes: 0 none (or all of those named were deleted), 1 a problem, 3 there are orphans.

Examples:
  apim-operator orphans
  apim-operator orphans -o json
  apim-operator orphans --delete shop.catalog --delete shop.orders")]
pub(crate) struct OrphansArgs {
    /// Delete this, named by its id as the list has it. May be repeated.
    #[arg(long, value_name = "ID")]
    pub(crate) delete: Vec<String>,

    /// Only this instance.
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Option<String>,

    /// How to print them.
    #[arg(short, long, value_enum, default_value_t = ListOutput::Text)]
    pub(crate) output: ListOutput,

    /// Cluster and Azure.
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Arguments of `render`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator render -f api.yaml
  kubectl get exposedapi catalog -o yaml | apim-operator render -f - -o policy
  apim-operator render -f api.yaml --instance deploy/examples/instance.yaml --plugin-dir ./plugins")]
pub(crate) struct RenderArgs {
    /// A file with ExposedAPIs and the profiles that they name, YAML or JSON, or
    /// `-` for stdin. May be repeated.
    #[arg(short, long, required = true, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,

    /// An ApimInstance manifest. Without it a documented example is used.
    #[arg(long, value_name = "FILE")]
    pub(crate) instance: Option<PathBuf>,

    /// Plugins.
    #[command(flatten)]
    pub(crate) plugins: PluginSources,

    /// The URL that the gateway would send requests to.
    #[arg(long, default_value = "https://backend.invalid", value_name = "URL", value_parser = http_url)]
    pub(crate) backend_url: Url,

    /// What to print: the whole desired state of each API (in JSON: of one API
    /// an object, of several a list), or the policy documents alone.
    #[arg(short, long, value_enum, default_value_t = RenderOutput::Yaml)]
    pub(crate) output: RenderOutput,
}

/// What `render` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RenderOutput {
    /// The whole desired state.
    Yaml,
    /// The same as JSON.
    Json,
    /// The policy documents alone.
    Policy,
}

/// Arguments of `migrate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator migrate                    what would be done; nothing is written
  apim-operator migrate -o json
  apim-operator migrate --apply            with the original operator stopped

Exit codes: 0 nothing was left alone, 1 something was, 2 wrong usage.")]
pub(crate) struct MigrateArgs {
    /// Do it. Stop the original operator first.
    #[arg(long)]
    pub(crate) apply: bool,

    /// Text or JSON.
    #[arg(short, long, value_enum, default_value_t = ListOutput::Text)]
    pub(crate) output: ListOutput,

    /// The namespace of the Secrets that ApimInstances name.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        default_value = "operators",
        value_name = "NAMESPACE"
    )]
    pub(crate) namespace: String,

    /// Azure.
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// Arguments of `lint`.
#[derive(Debug, Args)]
#[command(after_help = "\
The checks are those that run before an import; their findings are in an ExposedAPI's status, too.

  syntax, refused, not-convertible, size        errors: the document is not imported
  operation-id, number                          warnings that --fix mends
  external-reference, dangling-reference, recursion, converted
                                                warnings: imported otherwise than it is written

Exit codes: 0 no errors, 1 errors (with --strict: or warnings), 2 wrong usage.

Examples:
  apim-operator lint openapi.yaml
  apim-operator lint --fix services/*/openapi.yaml
  apim-operator lint -o json openapi.json | jq '.[].findings[].rule'")]
pub(crate) struct LintArgs {
    /// OpenAPI documents, YAML or JSON, or `-` for stdin.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,

    /// Mend what can be mended without changing what a document means. Only
    /// what is mended changes in the file; of stdin, the mended document is
    /// printed.
    #[arg(long)]
    pub(crate) fix: bool,

    /// Take warnings for errors.
    #[arg(long)]
    pub(crate) strict: bool,

    /// How to print what was found.
    #[arg(short, long, value_enum, default_value_t = ListOutput::Text)]
    pub(crate) output: ListOutput,
}

/// Arguments of `crd`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator crd | kubectl apply -f -
  apim-operator crd --exposedapi | kubectl apply -f -   without an ODA Canvas")]
pub(crate) struct CrdArgs {
    /// Print the ExposedAPI definition instead. Install it only where no ODA
    /// Canvas brings its own.
    #[arg(long)]
    pub(crate) exposedapi: bool,
}

/// Text or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListOutput {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A time such as `30s` or `10m`; `0` is none.
fn duration(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    operator_core::policy_plugin::parse_duration(text)
}

/// A rate; nothing would ever be done at the rate of 0.
fn shard_name(text: &str) -> Result<ShardName, String> {
    ShardName::parse(text).map_err(|error| error.to_string())
}

fn per_second(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("a number above 0 is wanted, as `10` or `0.5`".to_owned()),
    }
}

pub(crate) fn http_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(url),
        Ok(_) => Err("an https or http URL is wanted, as `https://backend.example.com`".to_owned()),
        Err(error) => Err(format!(
            "{error}; a URL looks like `https://backend.example.com`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
