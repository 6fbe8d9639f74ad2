//! `plugin run`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use operator_controller::plugins::Plugins;
use operator_core::annotations::did_you_mean;
use operator_core::desired::Desired;
use operator_core::names::PluginName;
use operator_plugin_host::builtin_plugins;
use serde_json::{Value, json};
use url::Url;

use super::progress::Progress;
use super::project::Project;
use super::{host_of, no_such_plugin, serve};
use crate::Done;
use crate::args::{RenderOutput, http_url};
use crate::local_azure;
use crate::manifest::{self, Document};
use crate::profile;
use crate::render::{self, Beside, Setting};
use crate::texts::Texts;

/// The annotations' prefix.
const PREFIX: &str = "apim.oda.tmforum.org/";

/// Arguments of `plugin run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  apim-operator plugin run . -f api.yaml --config 'team: catalog'
  apim-operator plugin run cors jwt-entra ./acme-headers.wasm -f api.yaml
  apim-operator plugin run . -f api.yaml --trace              with the lines that the plugin logs
  apim-operator plugin run . -f api.yaml --serve              and in front of a backend, for requests
  apim-operator plugin run backend-auth -f api.yaml --config '{certificate: {id: orders}}' \\
    --serve --certificate orders=client.pem --backend-url https://orders.example.com")]
pub(crate) struct RunArgs {
    /// The chain: names of built-in plugins, *.wasm files, and folders of
    /// plugins, which are built first. It takes the place of the chain that
    /// the ExposedAPI or the instance names.
    #[arg(required = true, value_name = "PLUGIN")]
    pub(crate) plugins: Vec<String>,

    /// A file with one ExposedAPI, YAML or JSON, or `-` for stdin.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Config, YAML or JSON, in place of the ExposedAPI's; for a chain of one.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) config: Option<String>,

    /// An ApimInstance manifest. Without it a documented example is used.
    #[arg(long, value_name = "FILE")]
    pub(crate) instance: Option<PathBuf>,

    /// Show what the plugins log.
    #[arg(long)]
    pub(crate) trace: bool,

    /// The URL that the gateway would send requests to; with --serve, the one
    /// that it sends them to. Without it: nobody's, and with --serve a backend
    /// that answers with what it was sent.
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub(crate) backend_url: Option<Url>,

    /// Serve the policy in front of the backend, in a local Azure, until
    /// Ctrl-C; a change of a file or of a plugin's source is served at once.
    /// Needs the program apim-simulator: beside this one, on PATH, or named by
    /// `APIM_SIMULATOR`; in a checkout of this project it is built.
    #[arg(long)]
    pub(crate) serve: bool,

    /// Where requests are served.
    #[arg(
        long,
        default_value = "127.0.0.1:8444",
        value_name = "ADDRESS",
        requires = "serve"
    )]
    pub(crate) listen: SocketAddr,

    /// A certificate that the local API Management has, by its id: a PEM file
    /// with the certificate and, for one that is shown to the backend, its
    /// private key. May be repeated.
    #[arg(
        long = "certificate",
        value_name = "ID=FILE",
        value_parser = local_azure::certificate,
        requires = "serve"
    )]
    pub(crate) certificates: Vec<(String, PathBuf)>,

    /// A named value that the local API Management has, by its name: a file
    /// with what it holds. One that a profile's secret becomes is called
    /// NAMESPACE.PROFILE.SECRET. May be repeated.
    #[arg(
        long = "named-value",
        value_name = "NAME=FILE",
        value_parser = local_azure::named_value,
        requires = "serve"
    )]
    pub(crate) named_values: Vec<(String, PathBuf)>,

    /// Keep compiled plugins in this folder. It must be private: compiled code
    /// is trusted code.
    #[arg(long, env = "APIM_OPERATOR_CACHE_DIR", value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Whether that folder goes when the program ends, as nobody named it.
    #[arg(skip)]
    pub(crate) cache_goes: bool,

    /// What to print: the policy documents alone, or the whole desired state.
    #[arg(short, long, value_enum, default_value_t = RenderOutput::Policy)]
    pub(crate) output: RenderOutput,
}

/// Where the gateway would send requests, should nobody say.
const NOWHERE: &str = "https://backend.invalid";

/// Prints the policy of one ExposedAPI as one chain makes it, or serves it.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Done> {
    // Before anything is compiled, built or started for it.
    for given in &args.plugins {
        if let Given::Name = Given::of(given)
            && builtin_plugins().iter().all(|(name, _)| name != given)
        {
            return Err(no_such_plugin(given, []));
        }
    }
    if args.serve {
        return serve::serve(args);
    }
    let backend = match &args.backend_url {
        Some(url) => url.clone(),
        None => Url::parse(NOWHERE)?,
    };
    let setting = Setting::new(args.instance.as_deref(), &backend)?;
    Ok(match desired(args, &setting)? {
        Some(desired) => {
            render::print(&[desired], args.output)?;
            Done::Fine
        }
        None => Done::Problems,
    })
}

/// The desired state of the ExposedAPI with the chain; nothing where there are
/// problems, which were told.
pub(super) fn desired(args: &RunArgs, setting: &Setting) -> anyhow::Result<Option<Desired>> {
    let documents = manifest::read(&args.file)?;
    let profiles = profile::of(&documents)?;
    let texts = Texts::of(&documents);
    let mut documents: Vec<Document> = documents
        .into_iter()
        .filter(|document| document.object["kind"] == "ExposedAPI")
        .collect();
    let (Some(mut document), true) = (documents.pop(), documents.is_empty()) else {
        bail!(
            "{}: one ExposedAPI is wanted; for several there is `apim-operator render`",
            args.file.display()
        );
    };
    let (plugins, chain) = chain(args)?;
    select(&mut document, &chain, args)?;
    let beside = Beside {
        profiles: &profiles,
        texts: &texts,
    };
    Ok(render::shown(&document, &plugins, beside, setting))
}

/// What is given as a plugin.
enum Given {
    /// The folder of one, to be built.
    Folder,
    File,
    /// The name of a built-in one.
    Name,
}

impl Given {
    fn of(given: &str) -> Self {
        let path = Path::new(given);
        if path.is_dir() {
            Self::Folder
        } else if given.contains('/') || path.extension().is_some_and(|ending| ending == "wasm") {
            Self::File
        } else {
            Self::Name
        }
    }
}

/// Loads the plugins of the chain. What is given as a file takes the place of
/// a built-in plugin of the same name.
fn chain(args: &RunArgs) -> anyhow::Result<(Plugins, Vec<PluginName>)> {
    let plugins = Plugins::new(host_of(args.cache_dir.clone(), false)?, None);
    let mut chain = Vec::new();
    let mut named = false;
    for given in &args.plugins {
        let path = Path::new(given);
        let file = match Given::of(given) {
            Given::Folder => {
                let project = Project::open(path)?;
                eprintln!("building {}", project.name);
                let host = host_of(args.cache_dir.clone(), false)?;
                Some(project.build(&host)?.file)
            }
            Given::File => Some(path.to_owned()),
            Given::Name => None,
        };
        chain.push(if let Some(file) = file {
            plugins
                .add_file(&file)
                .map_err(|unusable| anyhow::anyhow!("{}: {}", unusable.origin, unusable.error))?
        } else {
            named = true;
            PluginName::parse(given)?
        });
    }
    if named {
        // Those whose place is taken are refused, and that is what is wanted.
        let progress = Progress::of(plugins.host(), args.cache_dir.as_deref(), !args.cache_goes);
        plugins.load_builtin_telling(|done, all| progress.tell(done, all));
    }
    Ok((plugins, chain))
}

/// Writes the chain and its config into the object's annotations.
fn select(document: &mut Document, chain: &[PluginName], args: &RunArgs) -> anyhow::Result<()> {
    let names: Vec<&str> = chain.iter().map(PluginName::as_str).collect();
    let place = document.place.clone();
    let annotations = &mut document.object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    let Some(annotations) = annotations.as_object_mut() else {
        return Ok(());
    };
    let others: Vec<String> = annotations
        .keys()
        .filter(|key| {
            let Some(key) = key.strip_prefix(PREFIX) else {
                return false;
            };
            key == "operation-plugins"
                || key
                    .strip_prefix("plugin.")
                    .is_some_and(|name| !names.contains(&name))
        })
        .cloned()
        .collect();
    // The object may select plugins that are not tried here. Whatever else
    // looks like the config of one is a mistake that would leave a plugin with
    // its defaults.
    let selected = annotations.get(&format!("{PREFIX}plugins"));
    let mut known: Vec<String> = selected
        .and_then(Value::as_str)
        .into_iter()
        .flat_map(|selected| selected.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    known.extend(builtin_plugins().iter().map(|(name, _)| (*name).to_owned()));
    for key in others {
        annotations.shift_remove(&key);
        let own = key.strip_prefix(PREFIX).unwrap_or(&key);
        let why = match own.strip_prefix("plugin.") {
            None => "only the plugins of the command line run".to_owned(),
            Some(name) if known.iter().any(|known| known == name) => {
                format!("`{name}` is not on the command line")
            }
            Some(name) => {
                let choices = names
                    .iter()
                    .copied()
                    .chain(known.iter().map(String::as_str));
                let hint = did_you_mean(name, choices);
                bail!(
                    "{place}: annotation `{own}`: `{name}` is not in the chain `{}`{hint}",
                    names.join(", ")
                );
            }
        };
        eprintln!("{place}: note: {key} is left out: {why}");
    }
    let chain = names.join(", ");
    let own = annotations.insert(format!("{PREFIX}plugins"), Value::from(chain.clone()));
    if let Some(own) = own.as_ref().and_then(Value::as_str)
        && own.split(',').map(str::trim).ne(names.iter().copied())
    {
        eprintln!(
            "{}: note: {PREFIX}plugins says `{own}`; the command line takes its place: `{chain}`",
            document.place
        );
    }
    if let Some(config) = &args.config {
        let [name] = names.as_slice() else {
            bail!(
                "--config is for a chain of one plugin; write the annotations plugin.NAME into the ExposedAPI"
            )
        };
        annotations.insert(
            format!("{PREFIX}plugin.{name}"),
            Value::from(config.clone()),
        );
    }
    Ok(())
}
