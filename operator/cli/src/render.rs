//! `apim-operator render`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use operator_controller::plugins::{Plugins, instance_defaults};
use operator_core::build::build;
use operator_core::desired::Desired;
use operator_core::exposure::ExposureFacts;
use operator_core::instance::spec::Grant;
use operator_core::instance::{
    ApimInstanceSpec, Instance, InstanceContext, LabelSelector, example,
};
use operator_core::names::InstanceName;
use operator_core::problem::Problem;
use operator_core::profile::Profiles;
use operator_core::validate::{
    Dereferenced, DocumentFacts, DocumentNeed, Platform, inquire, validate,
};
use serde_json::Value;
use url::Url;

use crate::Done;
use crate::args::{RenderArgs, RenderOutput};
use crate::local_azure::LocalAzure;
use crate::manifest::{self, Document};
use crate::plugin;
use crate::profile::{self, Added};
use crate::texts::Texts;

/// The cluster of ownership marks outside any cluster.
pub(crate) const NO_CLUSTER: &str = "00000000-0000-0000-0000-000000000000";

/// Prints the desired state of all ExposedAPIs of all files.
pub(crate) fn render(args: &RenderArgs) -> anyhow::Result<Done> {
    let (plugins, complete) = plugin::load(&args.plugins)?;
    let setting = Setting::new(args.instance.as_deref(), &args.backend_url)?;
    let mut fine = complete;
    let mut seen = false;
    let mut all = Vec::new();
    let mut documents = Vec::new();
    for path in &args.file {
        match manifest::read(path) {
            Ok(read) => documents.extend(read),
            // A file that cannot be read hides nothing of the others.
            Err(error) => {
                fine = false;
                eprintln!("{}", crate::sentence(&error));
            }
        }
    }
    let texts = Texts::of(&documents);
    // An API may stand before the profile that it names.
    let mut profiles = Profiles::default();
    documents.retain(|document| match profile::add(&mut profiles, document) {
        Added::No => true,
        Added::Yes => false,
        Added::Wrong(why) => {
            fine = false;
            eprintln!("{}: {why}", document.place);
            false
        }
    });
    for document in documents {
        if Texts::may_be(&document.object) {
            continue;
        }
        if let Err(why) = manifest::is_exposed_api(&document.object) {
            eprintln!("{}: skipped: {why}", document.place);
            continue;
        }
        seen = true;
        match shown(
            &document,
            &plugins,
            Beside {
                profiles: &profiles,
                texts: &texts,
            },
            &setting,
        ) {
            Some(desired) => all.push(desired),
            None => fine = false,
        }
    }
    if fine && !seen {
        // Whoever renders a folder in a pipeline wants to know that it is the
        // wrong one.
        bail!("there is no ExposedAPI in what was given");
    }
    print(&all, args.output)?;
    Ok(if fine { Done::Fine } else { Done::Problems })
}

/// What stands in the files beside an ExposedAPI.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    /// Profiles.
    pub(crate) profiles: &'a Profiles,
    /// What its document may lie in.
    pub(crate) texts: &'a Texts,
}

/// Where an API is rendered for.
pub(crate) struct Setting {
    instance: Arc<Instance>,
    context: InstanceContext,
    origin: String,
}

impl Setting {
    /// The instance of a file, or the example.
    pub(crate) fn new(file: Option<&Path>, backend: &Url) -> anyhow::Result<Self> {
        let (instance, context) = instance(file)?;
        Ok(Self {
            instance,
            context,
            origin: backend.as_str().trim_end_matches('/').to_owned(),
        })
    }
}

impl Setting {
    /// The instance of a file, or the example, moved to a local Azure. Whoever
    /// brings things, by the kind that a grant names, may use them: it is this
    /// user's Azure.
    pub(crate) fn local(
        file: Option<&Path>,
        backend: &Url,
        azure: &LocalAzure,
        brought: [(&str, &[(String, PathBuf)]); 2],
    ) -> anyhow::Result<Self> {
        let given = Self::new(file, backend)?;
        let mut spec = azure.moved(given.instance.spec.clone())?;
        for (kind, things) in brought {
            if !things.is_empty() {
                spec.grants.push(Grant {
                    namespace_selector: Some(LabelSelector::everything()),
                    kind: kind.to_owned(),
                    names: things.iter().map(|(name, _)| name.clone()).collect(),
                });
            }
        }
        let name = given.instance.name.clone();
        let instance = Instance::new(name, spec, &instance_defaults()?).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", lines.join("\n"))
        })?;
        let gateway = azure.endpoints.gateway.clone();
        Ok(Self {
            instance: Arc::new(instance),
            context: InstanceContext {
                gateway_url: gateway.unwrap_or_default(),
                ..given.context
            },
            origin: given.origin,
        })
    }

    /// The instance.
    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }
}

/// The desired state of one ExposedAPI; warnings and problems go to stderr,
/// and where there are problems there is no state.
pub(crate) fn shown(
    document: &Document,
    plugins: &Plugins,
    beside: Beside<'_>,
    setting: &Setting,
) -> Option<Desired> {
    match one(document, plugins, beside, setting) {
        Ok(desired) => {
            for warning in &desired.warnings {
                eprintln!("{}: warning: {warning}", document.place);
            }
            Some(desired)
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("{}: {problem}", document.place);
            }
            None
        }
    }
}

fn instance(path: Option<&Path>) -> anyhow::Result<(Arc<Instance>, InstanceContext)> {
    let defaults = instance_defaults()?;
    let joined = |place: &str, problems: Vec<Problem>| {
        let lines = problems.iter().map(|problem| format!("{place}: {problem}"));
        anyhow::anyhow!("{}", lines.collect::<Vec<_>>().join("\n"))
    };
    let (instance, context) = match example(&defaults) {
        Ok(example) => example,
        Err(problems) => return Err(joined("the example instance", problems)),
    };
    let Some(path) = path else {
        eprintln!(
            "note: no --instance; this is what an example instance (tier {}, gateway {}) would publish, \
             which lets owners do everything; a real one allows less",
            context.sku, context.gateway_url
        );
        return Ok((Arc::new(instance), context));
    };
    let documents = manifest::read(path)?;
    let [document] = documents.as_slice() else {
        bail!(
            "{}: one ApimInstance is wanted, and there are {} documents",
            path.display(),
            documents.len()
        );
    };
    match document.object["kind"].as_str() {
        Some("ApimInstance") => {}
        Some(kind) => bail!(
            "{}: an ApimInstance is wanted, and its kind is {kind}",
            document.place
        ),
        None => bail!(
            "{}: an ApimInstance is wanted, and it has no kind",
            document.place
        ),
    }
    let name = document.object["metadata"]["name"]
        .as_str()
        .unwrap_or_default();
    let name =
        InstanceName::parse(name).with_context(|| format!("{}: metadata.name", document.place))?;
    let spec: ApimInstanceSpec = serde_path_to_error::deserialize(&document.object["spec"])
        .map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." {
                "spec".to_owned()
            } else {
                format!("spec.{path}")
            };
            anyhow::anyhow!("{}: {field}: {}", document.place, error.inner())
        })?;
    // The tier is Azure's to say; nobody asks it here.
    let gateway_url = format!("https://{}.azure-api.net", spec.service_name);
    match Instance::new(name, spec, &defaults) {
        Ok(instance) => Ok((
            Arc::new(instance),
            InstanceContext {
                gateway_url,
                ..context
            },
        )),
        Err(problems) => Err(joined(&document.place, problems)),
    }
}

/// The desired state of one ExposedAPI.
fn one(
    document: &Document,
    plugins: &Plugins,
    Beside { profiles, texts }: Beside<'_>,
    setting: &Setting,
) -> Result<Desired, Vec<Problem>> {
    let Setting {
        instance,
        context,
        origin,
    } = setting;
    let object = &document.object;
    let problems = manifest::not_text(object);
    if !problems.is_empty() {
        return Err(problems);
    }
    let meta = manifest::meta(object);
    if meta.name.is_empty() {
        return Err(vec![Problem::new(
            "metadata.name",
            "is missing; give the object a name",
        )]);
    }
    let instances = [Arc::clone(instance)];
    // The namespace exists in no cluster; it gets what every namespace has.
    let namespace_labels = BTreeMap::from([(
        "kubernetes.io/metadata.name".to_owned(),
        meta.namespace.clone(),
    )]);
    let serves = instance.serves(&namespace_labels);
    let labels = if serves {
        namespace_labels
    } else {
        selected_labels(instance, namespace_labels)
    };
    let catalog = plugins.catalog();
    let platform = Platform {
        instances: &instances,
        namespace_labels: &labels,
        catalog: &catalog,
        profiles,
    };
    let inquiry = inquire(&meta, &object["spec"], platform, None);
    let facts = match inquiry.document() {
        DocumentNeed::Nothing => DocumentFacts::NotNeeded,
        DocumentNeed::Fetch(url) => {
            eprintln!(
                "{}: note: {url} is not fetched here: its operations are unknown",
                document.place
            );
            DocumentFacts::NotTried
        }
        DocumentNeed::Take(from) => {
            if let Some(text) = texts.get(&meta.namespace, &from) {
                DocumentFacts::Fetched(text.clone())
            } else {
                eprintln!(
                    "{}: note: {from} is not in the files that were given: its operations are unknown",
                    document.place
                );
                DocumentFacts::NotTried
            }
        }
    };
    let readings = plugins.read_specs(&inquiry.spec_requests());
    let validated = validate(&Dereferenced {
        inquiry,
        readings,
        document: facts,
        exposure: ExposureFacts {
            assumed_origin: Some(origin.clone()),
            ..ExposureFacts::default()
        },
        path_holder: None,
        siblings: Vec::new(),
        context: Some(context.clone()),
        cluster: NO_CLUSTER.to_owned(),
    })
    .map_err(|rejection| rejection.problems)?;
    let mut desired = build(&validated);
    if desired.api.is_some() {
        let rendered = plugins
            .render(&validated, &desired)
            .map_err(|error| error.problems)?;
        desired.take(rendered);
    }
    Ok(desired)
}

/// Labels that the instance's selector asks for: which namespaces have them is
/// not known outside a cluster, and `render` shows what happens where they do.
fn selected_labels(
    instance: &Instance,
    mut labels: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let selector = instance.spec.namespace_selector.as_ref();
    let wanted = selector
        .and_then(|selector| serde_json::to_value(selector).ok())
        .unwrap_or_default();
    for (key, value) in wanted["matchLabels"].as_object().into_iter().flatten() {
        labels.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
    }
    labels
}

pub(crate) fn print(all: &[Desired], output: RenderOutput) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        RenderOutput::Json => {
            let list: Vec<Value> = all.iter().map(whole).collect::<Result<_, _>>()?;
            match list.as_slice() {
                [one] => writeln!(out, "{}", serde_json::to_string_pretty(one)?)?,
                many => writeln!(out, "{}", serde_json::to_string_pretty(many)?)?,
            }
        }
        RenderOutput::Yaml => {
            for (i, desired) in all.iter().enumerate() {
                if i > 0 {
                    writeln!(out, "---")?;
                }
                writeln!(
                    out,
                    "{}",
                    serde_saphyr::to_string(&whole(desired)?)?.trim_end()
                )?;
            }
        }
        RenderOutput::Policy => {
            let documents: Vec<(String, &str)> = all.iter().flat_map(documents).collect();
            for (title, text) in &documents {
                if documents.len() > 1 {
                    writeln!(out, "<!-- {title} -->")?;
                }
                writeln!(out, "{}", text.trim_end())?;
            }
        }
    }
    Ok(())
}

/// The desired state with its own hash in it.
fn whole(desired: &Desired) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(desired)?;
    value["hash"] = serde_json::to_value(desired.hash())?;
    Ok(value)
}

/// The policy documents of one API, with their titles.
fn documents(desired: &Desired) -> Vec<(String, &str)> {
    let Some(policy) = &desired.policy else {
        return Vec::new();
    };
    let api = (desired.key.to_string(), policy.api.text.as_str());
    let operations = policy.operations.iter();
    let operations = operations.map(|(id, text)| {
        (
            format!("{} operation {id}", desired.key),
            text.text.as_str(),
        )
    });
    std::iter::once(api).chain(operations).collect()
}
