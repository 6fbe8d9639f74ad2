//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
  apim-operator plugin list                     which policies there are
  apim-operator plugin inspect rate-limit       what one of them can be told
  apim-operator crd | kubectl apply -f -        the operator's own definitions
  apim-operator run                             the operator, in or against a cluster

Exit codes: 0 fine, 1 a problem in the input or the world, 2 wrong usage.
Results go to stdout, everything else to stderr."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Filter of log lines, for example `info,operator_apim=debug`. Takes
    /// precedence over LOGGING (DEBUG, INFO, WARNING, ERROR, CRITICAL).
    #[arg(long, env = "RUST_LOG", global = true, hide_env_values = true)]
    pub log: Option<String>,

    /// How log lines are written.
    #[arg(long, env = "LOG_FORMAT", global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    ///
    /// It finds the cluster as kubectl does: from the pod it runs in, else from
    /// KUBECONFIG. Which APIM instances it publishes in is said by ApimInstance
    /// objects, or by the Key Vault that KEY_VAULT_NAME names.
    Run(Box<RunArgs>),
    /// Show what would be published for ExposedAPIs, without a cluster or Azure.
    ///
    /// Nothing is fetched: for a specification by URL the operations are
    /// unknown and the hash covers the URL; a note on stderr says so.
    Render(RenderArgs),
    /// Print the CustomResourceDefinitions.
    Crd(CrdArgs),
    /// Look at plugins.
    Plugin {
        /// What about them.
        #[command(subcommand)]
        command: PluginCommand,
    },
}

/// Where plugins come from, besides those in the binary.
#[derive(Debug, Clone, Args)]
pub struct PluginSources {
    /// Load every *.wasm file of this folder too. A file that cannot be loaded
    /// is reported and skipped.
    #[arg(long, env = "APIM_OPERATOR_PLUGIN_DIR", value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,

    /// Keep compiled plugins in this folder. It must be private: compiled code
    /// is trusted code.
    #[arg(long, env = "APIM_OPERATOR_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Plugins.
    #[command(flatten)]
    pub plugins: PluginSources,

    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "APIM_OPERATOR_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// The namespace whose Secrets an ApimInstance may name.
    #[arg(long, env = "POD_NAMESPACE", default_value = "operators", value_name = "NAMESPACE")]
    pub namespace: String,

    /// The name of this process in events.
    #[arg(long, env = "POD_NAME", default_value = "apim-operator", value_name = "NAME")]
    pub name: String,

    /// ExposedAPIs that are worked on at the same time.
    #[arg(long, env = "APIM_OPERATOR_CONCURRENCY", default_value_t = 128, value_name = "N")]
    pub concurrency: u16,

    /// The Key Vault whose secrets describe the instance `default`, as the
    /// original Azure operator reads them: apim-service-name, resource-group,
    /// subscription-id, aad-tenant-id, aad-client-id.
    #[arg(long, env = "KEY_VAULT_NAME", value_name = "NAME", help_heading = "Without an ApimInstance")]
    pub key_vault_name: Option<String>,

    /// Where tokens come from.
    #[arg(
        long,
        env = "AZURE_AUTHORITY_HOST",
        default_value = "https://login.microsoftonline.com/",
        value_name = "URL",
        help_heading = "Without an ApimInstance"
    )]
    pub authority_host: String,

    /// Azure Resource Manager; by default the one that belongs to the
    /// authority.
    #[arg(long, env = "AZURE_RESOURCE_MANAGER_URL", value_name = "URL", help_heading = "Without an ApimInstance")]
    pub resource_manager_url: Option<String>,

    /// What follows a vault's name in its host name, with the port if it is not
    /// 443; by default that of the authority's cloud.
    #[arg(long, env = "AZURE_KEY_VAULT_SUFFIX", value_name = "SUFFIX", help_heading = "Without an ApimInstance")]
    pub key_vault_suffix: Option<String>,

    /// The version of the ARM interface.
    #[arg(
        long,
        env = "AZURE_APIM_API_VERSION",
        default_value = "2024-05-01",
        value_name = "DATE",
        help_heading = "Without an ApimInstance"
    )]
    pub api_version: String,

    /// PEM file with certificates to trust besides the system's, for a proxy
    /// or a local Azure.
    #[arg(long, env = "APIM_OPERATOR_CA_FILE", value_name = "FILE", help_heading = "Azure")]
    pub ca_file: Option<PathBuf>,

    /// Writes to Azure per second and principal. Azure's own limit is the
    /// default.
    #[arg(long, env = "APIM_OPERATOR_ARM_WRITES", default_value_t = 10.0, value_name = "N", help_heading = "Azure")]
    pub arm_writes_per_second: f64,

    /// Writes to Azure that may come at once after a quiet time.
    #[arg(long, env = "APIM_OPERATOR_ARM_WRITE_BURST", default_value_t = 200, value_name = "N", help_heading = "Azure")]
    pub arm_write_burst: u32,

    /// Reads from Azure per second and principal.
    #[arg(long, env = "APIM_OPERATOR_ARM_READS", default_value_t = 25.0, value_name = "N", help_heading = "Azure")]
    pub arm_reads_per_second: f64,

    /// Reads from Azure that may come at once after a quiet time.
    #[arg(long, env = "APIM_OPERATOR_ARM_READ_BURST", default_value_t = 250, value_name = "N", help_heading = "Azure")]
    pub arm_read_burst: u32,
}

/// Arguments of `render`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  apim-operator render -f api.yaml
  kubectl get exposedapi catalog -o yaml | apim-operator render -f - -o policy
  apim-operator render -f api.yaml --instance deploy/examples/instance.yaml --plugin-dir ./plugins")]
pub struct RenderArgs {
    /// A file with ExposedAPIs, YAML or JSON, or `-` for stdin. May be repeated.
    #[arg(short, long, required = true, value_name = "FILE")]
    pub file: Vec<PathBuf>,

    /// An ApimInstance manifest. Without it a documented example is used.
    #[arg(long, value_name = "FILE")]
    pub instance: Option<PathBuf>,

    /// Plugins.
    #[command(flatten)]
    pub plugins: PluginSources,

    /// The URL that the gateway would send requests to.
    #[arg(long, default_value = "https://backend.invalid", value_name = "URL")]
    pub backend_url: String,

    /// What to print.
    #[arg(short, long, value_enum, default_value_t = RenderOutput::Yaml)]
    pub output: RenderOutput,
}

/// What `render` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RenderOutput {
    /// The whole desired state.
    Yaml,
    /// The same as JSON.
    Json,
    /// The policy documents alone.
    Policy,
}

/// Arguments of `crd`.
#[derive(Debug, Args)]
pub struct CrdArgs {
    /// Print the ExposedAPI definition instead. Install it only where no ODA
    /// Canvas brings its own.
    #[arg(long)]
    pub exposedapi: bool,
}

/// The subcommands of `plugin`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the plugins.
    List {
        /// Plugins.
        #[command(flatten)]
        sources: PluginSources,
        /// How to print them.
        #[arg(short, long, value_enum, default_value_t = ListOutput::Text)]
        output: ListOutput,
    },
    /// Show what a plugin says of itself: phase, sections, config schema.
    Inspect {
        /// A plugin's name, or a *.wasm file.
        plugin: String,
        /// Plugins.
        #[command(flatten)]
        sources: PluginSources,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = ListOutput::Text)]
        output: ListOutput,
    },
}

/// Text or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListOutput {
    /// For people.
    Text,
    /// For programs.
    Json,
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
