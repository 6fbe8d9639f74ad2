//! The gateway of the simulated services: what ARM stores, as the gateway
//! serves it.

use crate::arm::ArmState;
use crate::arm::path::Kind;
use crate::arm::product::Product;
use crate::arm::schema;
use crate::arm::store::{ApiOperation, Entity, Family, Revision, Service};
use crate::arm::vault;
use crate::clock::Clock;
use crate::config::{Seed, ServiceSeed, SimulatorConfig};
use crate::tls::Certificates;
use apim_gateway::configuration::{self as gateway, SubscriptionScope};
use apim_gateway::{
    Elsewhere, Gateway, HttpClient, ManagedIdentity, Options, ServerCertificate, Trust,
};
use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The keys of the subscription that every service has and that opens every
/// API; made up, like everything secret here.
pub(crate) const MASTER_KEYS: [&str; 2] = ["local-master-key", "local-master-key-2"];

/// A gateway and what it serves.
pub(crate) struct DataPlane {
    pub(crate) gateway: Gateway,
    /// Of the state that is served.
    served: Mutex<u64>,
}

/// The simulator's clock, which tests advance.
struct SharedClock(Arc<Clock>);

#[async_trait]
impl apim_gateway::Clock for SharedClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl DataPlane {
    pub(crate) async fn start(
        listen: SocketAddr,
        certificates: Option<&Certificates>,
        clock: &Arc<Clock>,
        base_url: &str,
        config: &SimulatorConfig,
    ) -> Result<Self, apim_gateway::StartError> {
        let trust = Trust {
            system: true,
            roots: certificates
                .map(|certificates| certificates.authority.clone())
                .into_iter()
                .collect(),
        };
        let client: Option<Arc<dyn HttpClient>> = if config.backends.is_empty() {
            None
        } else {
            Some(Arc::new(Elsewhere::new(&trust, config.backends.clone())?))
        };
        let options = Options {
            client,
            listen,
            tls: certificates.map(|certificates| ServerCertificate {
                chain: certificates.server.clone(),
                key: certificates.server_key.clone(),
            }),
            clock: Arc::new(SharedClock(Arc::clone(clock))),
            trust,
            authority: base_url.to_owned(),
            identity: Some(ManagedIdentity {
                endpoint: format!("{base_url}/msi/token"),
                header: config.seed.identity_header.clone(),
            }),
            trace_all: config.trace_requests,
            ..Options::default()
        };
        let gateway = Gateway::start(&gateway::Configuration::default(), options).await?;
        Ok(Self {
            gateway,
            served: Mutex::new(0),
        })
    }

    /// Serves what is stored now, if that is something else. The caller holds
    /// the state, so that two changes cannot overtake each other.
    pub(crate) fn publish(&self, arm: &ArmState, seed: &Seed) {
        let mark = fingerprint(arm);
        let mut served = self.served.lock();
        if *served == mark {
            return;
        }
        let services = arm
            .services
            .iter()
            .map(|service| {
                let seeded = seed.services.iter().find(|one| one.name == service.name);
                configuration(service, seeded)
            })
            .collect();
        self.gateway.configure(&gateway::Configuration { services });
        *served = mark;
    }
}

/// Differs when anything differs that the gateway serves: everything has a row
/// version.
fn fingerprint(arm: &ArmState) -> u64 {
    let mut hasher = DefaultHasher::new();
    let note = |entity: &Entity, hasher: &mut DefaultHasher| {
        entity.name.hash(hasher);
        entity.row.hash(hasher);
    };
    for service in &arm.services {
        service.name.hash(&mut hasher);
        service.gateway_url.hash(&mut hasher);
        if let Some(policy) = &service.policy {
            note(policy, &mut hasher);
        }
        for (kind, entities) in &service.entities {
            kind.segment().hash(&mut hasher);
            for entity in entities.values() {
                note(entity, &mut hasher);
            }
        }
        for product in service.products.values() {
            note(&product.entity, &mut hasher);
            product.apis.hash(&mut hasher);
            product.policy.is_some().hash(&mut hasher);
            if let Some(policy) = &product.policy {
                note(policy, &mut hasher);
            }
        }
        for subscription in service.subscriptions.values() {
            note(subscription, &mut hasher);
        }
        for family in service.families.values() {
            family.name.hash(&mut hasher);
            family.current.hash(&mut hasher);
            for (number, revision) in &family.revisions {
                number.hash(&mut hasher);
                note(&revision.entity, &mut hasher);
                for entity in revision.policy.iter().chain(revision.schemas.values()) {
                    note(entity, &mut hasher);
                }
                for operation in &revision.operations {
                    note(&operation.entity, &mut hasher);
                    operation.policy.is_some().hash(&mut hasher);
                    if let Some(policy) = &operation.policy {
                        note(policy, &mut hasher);
                    }
                }
            }
        }
    }
    // Never that of nothing.
    hasher.finish() | 1
}

fn text(entity: &Entity, name: &str) -> String {
    entity.text(name).unwrap_or_default().to_owned()
}

/// The text of a policy document.
fn policy(entity: Option<&Entity>) -> Option<String> {
    entity?.text("rawxml").map(str::to_owned)
}

/// What documents may refer to: the part of a service that they are compiled
/// against.
pub(crate) fn referred(service: &Service) -> gateway::Service {
    let entities = |kind: Kind| service.entities.get(&kind).into_iter().flatten();
    gateway::Service {
        name: service.name.clone(),
        fragments: entities(Kind::PolicyFragment)
            .map(|(_, entity)| (entity.name.clone(), text(entity, "rawxml")))
            .collect(),
        named_values: entities(Kind::NamedValue)
            .map(|(_, entity)| {
                let value = entity.text("value").or_else(|| entity.text(vault::HELD));
                let value = value.unwrap_or_default().to_owned();
                (text(entity, "displayName"), value)
            })
            .collect(),
        backends: entities(Kind::Backend)
            .map(|(_, entity)| (entity.name.clone(), backend(entity)))
            .collect(),
        certificates: service.certificates.clone(),
        schemas: entities(Kind::Schema)
            .map(|(_, entity)| (entity.name.clone(), schema::document(entity)))
            .collect(),
        ..gateway::Service::default()
    }
}

pub(crate) fn configuration(service: &Service, seeded: Option<&ServiceSeed>) -> gateway::Service {
    let host = url::Url::parse(&service.gateway_url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let mut subscriptions = vec![gateway::Subscription {
        id: "master".to_owned(),
        name: "Built-in all-access subscription".to_owned(),
        primary_key: MASTER_KEYS[0].to_owned(),
        secondary_key: MASTER_KEYS[1].to_owned(),
        ..gateway::Subscription::default()
    }];
    if let Some(seeded) = seeded {
        subscriptions.extend(seeded.subscriptions.iter().cloned());
    }
    subscriptions.extend(service.subscriptions.values().map(subscription));
    gateway::Service {
        hosts: host.into_iter().collect(),
        region: service.location.clone(),
        policy: policy(service.policy.as_ref()),
        products: seeded
            .map(|seeded| seeded.products.clone())
            .unwrap_or_default()
            .into_iter()
            .chain(service.products.values().map(|one| product(service, one)))
            .collect(),
        apis: service
            .families
            .values()
            .flat_map(|family| {
                family
                    .revisions
                    .iter()
                    .map(|(number, revision)| api(service, family, *number, revision))
            })
            .collect(),
        subscriptions,
        ..referred(service)
    }
}

fn product(service: &Service, product: &Product) -> gateway::Product {
    let entity = &product.entity;
    let apis = product
        .apis
        .iter()
        .filter_map(|key| service.families.get(key));
    gateway::Product {
        id: entity.name.clone(),
        name: text(entity, "displayName"),
        published: entity.text("state") == Some("published"),
        subscription_required: entity.properties.get("subscriptionRequired")
            != Some(&Value::Bool(false)),
        apis: apis.map(|family| family.name.clone()).collect(),
        policy: policy(product.policy.as_ref()),
    }
}

fn subscription(entity: &Entity) -> gateway::Subscription {
    let scope = text(entity, "scope");
    let mut parts = scope.rsplit('/');
    let (last, before) = (parts.next().unwrap_or_default(), parts.next());
    gateway::Subscription {
        id: entity.name.clone(),
        name: text(entity, "displayName"),
        scope: match before {
            Some("products") => SubscriptionScope::Product(last.to_owned()),
            Some("apis") => SubscriptionScope::Api(last.to_owned()),
            _ => SubscriptionScope::AllApis,
        },
        active: entity.text("state") == Some("active"),
        primary_key: text(entity, "primaryKey"),
        secondary_key: text(entity, "secondaryKey"),
        user: None,
    }
}

fn api(service: &Service, family: &Family, number: u32, revision: &Revision) -> gateway::Api {
    let entity = &revision.entity;
    let names = entity.properties.get("subscriptionKeyParameterNames");
    let key_name = |place: &str, default: String| {
        names
            .and_then(|names| names[place].as_str())
            .map_or(default, str::to_owned)
    };
    let defaults = gateway::Api::default();
    gateway::Api {
        id: family.name.clone(),
        name: text(entity, "displayName"),
        revision: number,
        current: number == family.current,
        path: text(entity, "path"),
        version: version(service, entity),
        service_url: entity.text("serviceUrl").map(str::to_owned),
        protocols: entity
            .properties
            .get("protocols")
            .and_then(Value::as_array)
            .map(|all| {
                all.iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default(),
        subscription_required: entity.properties.get("subscriptionRequired")
            == Some(&Value::Bool(true)),
        key_header: key_name("header", defaults.key_header),
        key_query: key_name("query", defaults.key_query),
        policy: policy(revision.policy.as_ref()),
        operations: revision.operations.iter().map(operation).collect(),
        schemas: revision
            .schemas
            .iter()
            .map(|(id, schema)| (id.clone(), schema_document(schema)))
            .collect(),
    }
}

/// The version of an API that is one of a set.
fn version(service: &Service, api: &Entity) -> Option<gateway::ApiVersion> {
    let set = api.text("apiVersionSetId")?.rsplit('/').next()?;
    let set = service.entity(Kind::ApiVersionSet, set)?;
    let scheme = match set.text("versioningScheme")? {
        "Query" => gateway::VersionScheme::Query(text(set, "versionQueryName")),
        "Header" => gateway::VersionScheme::Header(text(set, "versionHeaderName")),
        _ => gateway::VersionScheme::Segment,
    };
    Some(gateway::ApiVersion {
        value: text(api, "apiVersion"),
        scheme,
    })
}

/// The document of an API's schema: JSON that stands in it, or as text; the text
/// of an XML schema.
fn schema_document(schema: &Entity) -> Value {
    let document = schema.properties.get("document");
    let text = document.and_then(|document| document["value"].as_str());
    match text {
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        None => document.cloned().unwrap_or_default(),
    }
}

fn operation(operation: &ApiOperation) -> gateway::Operation {
    let fields = &operation.entity.properties;
    let request = fields.get("request").cloned().unwrap_or_default();
    let responses = fields.get("responses").and_then(Value::as_array);
    gateway::Operation {
        id: operation.entity.name.clone(),
        name: text(&operation.entity, "displayName"),
        method: text(&operation.entity, "method"),
        url_template: text(&operation.entity, "urlTemplate"),
        template_parameters: parameters(fields.get("templateParameters")),
        query_parameters: parameters(request.get("queryParameters")),
        header_parameters: parameters(request.get("headers")),
        request: representations(request.get("representations")),
        responses: responses
            .into_iter()
            .flatten()
            .map(|response| gateway::Response {
                status: response["statusCode"]
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok())
                    .unwrap_or_default(),
                representations: representations(response.get("representations")),
            })
            .collect(),
        policy: policy(operation.policy.as_ref()),
    }
}

fn parameters(all: Option<&Value>) -> Vec<gateway::Parameter> {
    all.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|one| {
            let values = one["values"].as_array().filter(|values| !values.is_empty());
            gateway::Parameter {
                name: one["name"].as_str().unwrap_or_default().to_owned(),
                required: one["required"] == true,
                kind: one["type"].as_str().unwrap_or_default().to_owned(),
                schema: values.map(|values| serde_json::json!({ "enum": values })),
            }
        })
        .collect()
}

fn representations(all: Option<&Value>) -> Vec<gateway::Representation> {
    all.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|one| {
            let field = |name: &str| one[name].as_str().map(str::to_owned);
            let examples = one["examples"].as_object();
            let schema = field("schemaId").map(|id| gateway::SchemaRef {
                schema_id: id.to_lowercase(),
                type_name: field("typeName").unwrap_or_default(),
            });
            gateway::Representation {
                content_type: field("contentType").unwrap_or_default(),
                schema,
                examples: examples
                    .into_iter()
                    .flatten()
                    .filter_map(|(_, example)| match &example["value"] {
                        Value::Null => None,
                        Value::String(text) => Some(text.clone()),
                        json => Some(json.to_string()),
                    })
                    .collect(),
            }
        })
        .collect()
}

/// The last segment of an id.
pub(crate) fn last(id: &str) -> String {
    id.rsplit('/').next().unwrap_or_default().to_owned()
}

fn members(pool: &Entity) -> Vec<gateway::PoolMember> {
    let pool = pool.properties.get("pool").map(|pool| &pool["services"]);
    let members = pool.and_then(Value::as_array).into_iter().flatten();
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let members = members.map(|one| gateway::PoolMember {
        backend: one["id"].as_str().map(last).unwrap_or_default(),
        weight: number(&one["weight"]),
        priority: number(&one["priority"]),
    });
    members.collect()
}

fn backend(entity: &Entity) -> gateway::Backend {
    let credentials = entity
        .properties
        .get("credentials")
        .cloned()
        .unwrap_or_default();
    let lists = |name: &str| {
        let lists = credentials[name].as_object().cloned().unwrap_or_default();
        let pairs: BTreeMap<String, Vec<String>> = lists
            .into_iter()
            .map(|(name, values)| {
                let values = values.as_array().into_iter().flatten();
                let values = values.filter_map(Value::as_str).map(str::to_owned);
                (name, values.collect())
            })
            .collect();
        pairs
            .into_iter()
            .flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)))
            .collect::<Vec<_>>()
    };
    let mut headers = lists("header");
    let authorization = &credentials["authorization"];
    if let (Some(scheme), Some(parameter)) = (
        authorization["scheme"].as_str(),
        authorization["parameter"].as_str(),
    ) {
        headers.push(("Authorization".to_owned(), format!("{scheme} {parameter}")));
    }
    gateway::Backend {
        url: text(entity, "url"),
        headers,
        query: lists("query"),
        certificate: credentials["certificateIds"][0].as_str().map(last),
        pool: members(entity),
    }
}
