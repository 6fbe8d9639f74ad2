//! What there is, read from the cluster and from API Management.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt as _};
use operator_apim::{ArmReader, Azure, CloudSettings, Credentials, ServiceRef};
use operator_controller::crd::ApimInstance;
use operator_controller::instances::access;
use operator_controller::plugins::instance_defaults;
use operator_controller::reconcile::subject::Subject;
use operator_controller::resource::{ExposedApis, FIELD_MANAGER};
use operator_core::annotations;
use operator_core::exposure::ingress_name;
use operator_core::instance::{Instance, InstanceDefaults, select_instance};
use operator_core::mark::OwnershipMark;
use operator_core::migrate::{
    Facts, FoundIngress, FoundObject, MANAGED_BY, Verdict, concerns, decide,
};
use operator_core::names::{InstanceName, ObjectKey};

use super::Outcome;

/// Objects that are read at a time.
const PAGE: u32 = 500;
/// The Deployment of the original operator, by its manifests.
const ORIGINAL: &str = "apioperatorazureapim";

/// Where everything is.
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) cloud: CloudSettings,
    pub(super) key_vault: Option<String>,
}

/// How an instance is reached.
pub(super) struct Connection {
    pub(super) azure: Azure,
    pub(super) service: ServiceRef,
    pub(super) credentials: Credentials,
    reader: ArmReader,
}

/// Everything that was found.
pub(super) struct Found {
    pub(super) objects: Objects,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) connections: HashMap<String, Connection>,
    /// The original operator, where it still runs.
    pub(super) still_running: Option<String>,
}

/// How the cluster keeps what is taken over.
pub(super) struct Objects {
    pub(super) exposed: ExposedApis,
    pub(super) cluster: String,
    /// The ETag of each API, as it was when it was decided on.
    pub(super) etags: HashMap<ObjectKey, String>,
}

/// Reads everything and decides.
pub(super) async fn gather(place: &Place) -> anyhow::Result<Found> {
    let client = &place.client;
    let exposed = ExposedApis::discover(client).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = namespaces.get_metadata("kube-system").await?;
    let labels: BTreeMap<String, BTreeMap<String, String>> = all(&namespaces)
        .await?
        .into_iter()
        .map(|namespace| (namespace.name_any(), namespace.labels().clone()))
        .collect();
    let ingresses: HashMap<ObjectKey, FoundIngress> = all::<Ingress>(&Api::all(client.clone()))
        .await?
        .iter()
        .map(|ingress| {
            let namespace = ingress.namespace().unwrap_or_default();
            (
                ObjectKey::new(namespace, ingress.name_any()),
                found_ingress(ingress),
            )
        })
        .collect();
    let objects: Vec<FoundObject> = all(&exposed.all()).await?.iter().map(found).collect();
    let defaults = instance_defaults()?;
    let (instances, wrong) = instances(place, &defaults).await?;

    let mut found = Found {
        objects: Objects {
            exposed,
            cluster: system.metadata.uid.unwrap_or_default(),
            etags: HashMap::new(),
        },
        outcomes: Vec::new(),
        connections: HashMap::new(),
        still_running: still_running(client).await,
    };
    for object in &objects {
        let key = object.meta.key();
        let ingress = ingresses.get(&key.beside(ingress_name(&key)));
        if !concerns(object, ingress) {
            continue;
        }
        let namesakes: Vec<ObjectKey> = objects
            .iter()
            .filter(|other| other.meta.name == key.name && other.meta.namespace != key.namespace)
            .map(|other| other.meta.key())
            .collect();
        let none = BTreeMap::new();
        let of_namespace = labels.get(key.namespace.as_str()).unwrap_or(&none);
        let (asked, _) = annotations::read(&object.meta.annotations);
        let instance = select_instance(
            &instances,
            &key.namespace,
            of_namespace,
            asked.instance.as_ref(),
        )
        .map_err(|problem| {
            let lines = std::iter::once(problem.to_string()).chain(wrong.iter().cloned());
            lines.collect::<Vec<_>>().join("; ")
        });
        let api = match &instance {
            Ok(instance) => api(place, &mut found, instance, object).await,
            Err(why) => Err(why.clone()),
        };
        let facts = Facts {
            object,
            namesakes: &namesakes,
            ingress,
            instance: instance.as_ref().map(|i| &***i).map_err(Clone::clone),
            api: api.as_ref().map(Option::as_ref).map_err(Clone::clone),
            cluster: &found.objects.cluster,
        };
        let verdict = decide(&facts);
        if let Ok(Some(api)) = &api
            && let Some(etag) = &api.etag
        {
            found.objects.etags.insert(key.clone(), etag.clone());
        }
        if verdict != Verdict::Foreign {
            found.outcomes.push(Outcome {
                instance: instance.ok().map(|instance| instance.name.to_string()),
                api_id: api.ok().flatten().map(|_| key.name.to_string()),
                key,
                verdict,
                done: 0,
                failed: None,
            });
        }
    }
    found.outcomes.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// Every object of a kind, page by page.
async fn all<K>(api: &Api<K>) -> Result<Vec<K>, kube::Error>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut objects = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let list = api.list(&params).await?;
        objects.extend(list.items);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

fn found(object: &DynamicObject) -> FoundObject {
    let subject = Subject::of(object);
    FoundObject {
        meta: subject.meta,
        finalizers: subject.finalizers,
        spec: subject.spec,
        status: subject.status.unwrap_or_default(),
    }
}

fn found_ingress(ingress: &Ingress) -> FoundIngress {
    let points = ingress
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|balancer| balancer.ingress.clone())
        .unwrap_or_default();
    FoundIngress {
        owners: ingress
            .owner_references()
            .iter()
            .filter(|owner| owner.kind == "ExposedAPI")
            .map(|owner| {
                let blocks = owner.block_owner_deletion == Some(true);
                (owner.uid.clone(), blocks)
            })
            .collect(),
        labelled: ingress.labels().get(MANAGED_BY.0).map(String::as_str) == Some(MANAGED_BY.1),
        other_managers: other_managers(ingress),
        addresses: points
            .into_iter()
            .flat_map(|point| [point.hostname, point.ip])
            .flatten()
            .filter(|address| !address.is_empty())
            .collect(),
    }
}

/// Who else owns a part of the spec. Writers of status are the load balancer's.
pub(super) fn other_managers(ingress: &Ingress) -> Vec<String> {
    ingress
        .managed_fields()
        .iter()
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER))
        .filter(|entry| {
            let fields = entry.fields_v1.as_ref();
            fields.is_some_and(|fields| fields.0.get("f:spec").is_some())
        })
        .map(|entry| entry.manager.clone().unwrap_or_default())
        .collect()
}

/// The instances whose settings make sense, and what is wrong with the others.
async fn instances(
    place: &Place,
    defaults: &InstanceDefaults,
) -> anyhow::Result<(Vec<Arc<Instance>>, Vec<String>)> {
    let listed = all::<ApimInstance>(&Api::all(place.client.clone())).await;
    let objects = match listed {
        Ok(objects) => objects,
        // Its definition is not installed; a vault may do.
        Err(kube::Error::Api(status)) if status.is_not_found() => Vec::new(),
        Err(error) => return Err(error).context("ApimInstances"),
    };
    let mut instances = Vec::new();
    let mut wrong = Vec::new();
    for object in &objects {
        let made = InstanceName::parse(&object.name_any())
            .map_err(|error| error.to_string())
            .and_then(|name| {
                Instance::new(name, object.spec.0.clone(), defaults).map_err(|problems| {
                    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    problems.join("; ")
                })
            });
        match made {
            Ok(instance) => instances.push(Arc::new(instance)),
            Err(why) => wrong.push(why),
        }
    }
    let has_default = objects.iter().any(|object| object.name_any() == "default");
    if let Some(vault) = place.key_vault.as_ref().filter(|_| !has_default) {
        let azure = Azure::new(place.cloud.clone())?;
        match access::implicit_of_vault(&azure, vault, &place.cloud, defaults).await {
            Ok(instance) => instances.push(Arc::new(instance)),
            Err((_, why)) => wrong.push(why),
        }
    }
    Ok((instances, wrong))
}

/// The API whose id is the object's name, with the marks of all its revisions.
async fn api(
    place: &Place,
    found: &mut Found,
    instance: &Instance,
    object: &FoundObject,
) -> Result<Option<operator_core::apim::ObservedApi>, String> {
    let name = instance.name.as_str();
    if !found.connections.contains_key(name) {
        let connection = connect(place, instance)
            .await
            .map_err(|why| format!("instance `{name}`: {why}"))?;
        found.connections.insert(name.to_owned(), connection);
    }
    let Some(connection) = found.connections.get(name) else {
        return Ok(None);
    };
    let mark = OwnershipMark::new(&found.objects.cluster, &object.meta.key());
    connection
        .reader
        .marked_api(&object.meta.name, mark.as_str())
        .await
        .map_err(|error| format!("instance `{name}`: {error}"))
}

async fn connect(place: &Place, instance: &Instance) -> Result<Connection, String> {
    let spec = &instance.spec;
    let cloud = access::cloud(&spec.cloud, &place.cloud)?;
    let azure = Azure::new(cloud).map_err(|error| error.to_string())?;
    let credentials = access::credentials(&place.client, &place.namespace, spec).await?;
    let service = access::service(spec);
    let reader = azure
        .reader(service.clone(), &credentials)
        .map_err(|error| error.to_string())?;
    Ok(Connection {
        azure,
        service,
        credentials,
        reader,
    })
}

/// The original operator, where its Deployment has replicas. Who may not look
/// is told nothing.
async fn still_running(client: &Client) -> Option<String> {
    let deployments: Api<Deployment> = Api::all(client.clone());
    let params = ListParams::default().fields(&format!("metadata.name={ORIGINAL}"));
    let list = deployments.list(&params).await.ok()?;
    let running = list.items.into_iter().find(|deployment| {
        let spec = deployment.spec.as_ref();
        spec.and_then(|spec| spec.replicas).unwrap_or(1) > 0
    })?;
    let namespace = running.namespace().unwrap_or_default();
    Some(format!("Deployment {namespace}/{ORIGINAL}"))
}
