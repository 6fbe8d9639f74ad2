//! OpenAPI documents that running Services answer with.
//!
//! A document is read again when the endpoints of its Service are others: then
//! another version may run. A rollout changes them many times over, so a
//! Service is asked once in a while only, and what it answered last counts
//! until then. The endpoints are asked, not the Service's name: nobody who may
//! write a Service can send the operator elsewhere.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, ListParams};
use operator_apim::specification::{FetchError, Fetcher};
use operator_core::class::ErrorClass;
use operator_core::names::ObjectKey;
use operator_core::pace::Pace;
use operator_core::validate::DocumentFacts;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::CAUSE;
use crate::watch::Triggers;
use crate::world::{SERVICE_LABEL, World, is_ready};

/// Between two times that one Service is asked for one document.
const PAUSE: Duration = Duration::from_secs(10);
/// How many endpoints are tried.
const TRIED: usize = 3;
/// How many bytes of documents are kept.
const KEPT: usize = 32 << 20;

/// The Service that implements an API.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    /// Its name.
    pub service: &'a str,
    /// Its port.
    pub port: u16,
    /// The annotation `retry`: another value asks again.
    pub retry: Option<&'a str>,
    /// Gets documents.
    pub fetcher: &'a Fetcher,
}

/// What Services answered.
pub(super) struct Answers {
    client: Client,
    world: Arc<World>,
    triggers: Triggers,
    pause: Duration,
    kept: Mutex<HashMap<ObjectKey, Answer>>,
}

/// What a Service was asked, and what came of it.
#[derive(Clone, PartialEq)]
struct Asked {
    service: String,
    port: u16,
    path: String,
    retry: Option<String>,
    endpoints: u64,
}

struct Answer {
    asked: Asked,
    at: Instant,
    /// The last document; what came after it may have been none.
    document: Option<Arc<str>>,
    /// Why the last question had no answer.
    failure: Option<(ErrorClass, String)>,
    /// Whether it is asked again at the end of the pause.
    again: bool,
}

/// What is done about a document.
enum Now {
    Ask,
    Use(DocumentFacts),
}

impl Answers {
    pub(super) fn new(
        client: Client,
        world: Arc<World>,
        triggers: Triggers,
        pace: Pace,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            world,
            triggers,
            pause: pace.of(PAUSE),
            kept: Mutex::default(),
        })
    }

    /// Whether an API's document comes from its Service.
    pub(super) fn want(&self, key: &ObjectKey, wants: bool) {
        self.world.asks_service(key, wants);
        if !wants {
            self.kept.lock().remove(key);
        }
    }

    pub(super) async fn take(
        self: &Arc<Self>,
        key: &ObjectKey,
        path: &str,
        running: Running<'_>,
    ) -> Result<DocumentFacts, kube::Error> {
        let asked = Asked {
            service: running.service.to_owned(),
            port: running.port,
            path: path.to_owned(),
            retry: running.retry.map(str::to_owned),
            endpoints: self.world.endpoints(&key.namespace, running.service),
        };
        let ready = self.world.is_ready(&key.namespace, running.service);
        if let Now::Use(facts) = self.decide(key, &asked, ready) {
            return Ok(facts);
        }
        let answer = match self.endpoints(key, running).await? {
            Ok(endpoints) => ask(key, path, running, endpoints).await,
            Err(missing) => Err((ErrorClass::Waiting, missing)),
        };
        let facts = match &answer {
            Ok(document) => DocumentFacts::Fetched(document.clone()),
            Err(failure) => failed(failure),
        };
        self.keep(key, asked, answer);
        Ok(facts)
    }

    /// Whether the Service is asked, or what it answered last counts.
    fn decide(self: &Arc<Self>, key: &ObjectKey, asked: &Asked, ready: bool) -> Now {
        let mut kept = self.kept.lock();
        let Some(answer) = kept.get_mut(key) else {
            return Now::Ask;
        };
        let same_place = Asked {
            retry: asked.retry.clone(),
            endpoints: asked.endpoints,
            ..answer.asked.clone()
        } == *asked;
        if !same_place {
            return Now::Ask;
        }
        if let Some(document) = &answer.document {
            let fetched = || Now::Use(DocumentFacts::Fetched(document.to_string()));
            // Nobody answers now: what is published is not wrong for that.
            if (answer.failure.is_none() && answer.asked == *asked) || !ready {
                return fetched();
            }
        }
        if answer.asked.retry != asked.retry || answer.at.elapsed() >= self.pause {
            return Now::Ask;
        }
        if !answer.again {
            answer.again = true;
            let (at, this, key) = (answer.at + self.pause, Arc::clone(self), key.clone());
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                if let Some(answer) = this.kept.lock().get_mut(&key) {
                    answer.again = false;
                }
                this.triggers.one(key, CAUSE);
            });
        }
        match (&answer.failure, &answer.document) {
            (Some(failure), _) => Now::Use(failed(failure)),
            (None, Some(document)) => Now::Use(DocumentFacts::Fetched(document.to_string())),
            (None, None) => Now::Ask,
        }
    }

    fn keep(&self, key: &ObjectKey, asked: Asked, answer: Result<String, (ErrorClass, String)>) {
        let mut kept = self.kept.lock();
        let before = kept.remove(key);
        let (document, failure) = match answer {
            Ok(document) => (Some(Arc::from(document)), None),
            Err(failure) => (before.and_then(|before| before.document), Some(failure)),
        };
        let answer = Answer {
            asked,
            at: Instant::now(),
            document,
            failure,
            again: false,
        };
        kept.insert(key.clone(), answer);
        let mut bytes: usize = kept.values().map(Answer::bytes).sum();
        while bytes > KEPT {
            let others = kept
                .iter()
                .filter(|(one, answer)| *one != key && answer.bytes() > 0);
            let oldest = others.min_by_key(|(_, answer)| answer.at);
            let Some(oldest) = oldest.map(|(one, _)| one.clone()) else {
                return;
            };
            bytes -= kept.remove(&oldest).map_or(0, |answer| answer.bytes());
        }
    }

    /// The ready endpoints behind the Service's port.
    async fn endpoints(
        &self,
        key: &ObjectKey,
        running: Running<'_>,
    ) -> Result<Result<Vec<SocketAddr>, String>, kube::Error> {
        let Running { service, port, .. } = running;
        let at = format!("Service `{}/{service}`", key.namespace);
        let services: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        let Some(found) = services.get_opt(service).await? else {
            return Ok(Err(format!(
                "{at}, which is to answer with the document, is not there"
            )));
        };
        let ports = found.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let Some(asked) = ports.iter().find(|one| one.port == i32::from(port)) else {
            return Ok(Err(format!(
                "{at}, which is to answer with the document, has no port {port} (`spec.port`)"
            )));
        };
        let name = asked.name.clone().unwrap_or_default();
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &key.namespace);
        let of_service = ListParams::default().labels(&format!("{SERVICE_LABEL}={service}"));
        let mut all = Vec::new();
        for slice in slices.list(&of_service).await? {
            let ports = slice.ports.iter().flatten();
            let mut named = ports.filter(|one| one.name.as_deref().unwrap_or_default() == name);
            let Some(number) = named.find_map(|one| u16::try_from(one.port?).ok()) else {
                continue;
            };
            let ready = slice.endpoints.iter().flatten().filter(|one| is_ready(one));
            let addresses = ready.flat_map(|one| &one.addresses);
            all.extend(addresses.filter_map(|address| {
                let address: IpAddr = address.parse().ok()?;
                Some(SocketAddr::new(address, number))
            }));
        }
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            return Ok(Err(format!(
                "{at}, which is to answer with the document, has no ready endpoint; it is asked when it has one"
            )));
        }
        Ok(Ok(all))
    }
}

impl Answer {
    fn bytes(&self) -> usize {
        self.document.as_ref().map_or(0, |document| document.len())
    }
}

fn failed((class, message): &(ErrorClass, String)) -> DocumentFacts {
    DocumentFacts::Failed {
        class: *class,
        message: message.clone(),
    }
}

/// Asks one endpoint after the other, until one answers.
async fn ask(
    key: &ObjectKey,
    path: &str,
    running: Running<'_>,
    endpoints: Vec<SocketAddr>,
) -> Result<String, (ErrorClass, String)> {
    let host = format!("{}.{}.svc:{}", running.service, key.namespace, running.port);
    let mut failure = None;
    for endpoint in endpoints.into_iter().take(TRIED) {
        match running.fetcher.fetch_at(endpoint, &host, path).await {
            Ok(document) => return Ok(document.text),
            Err(error) => failure = Some(error),
        }
    }
    let Some(error) = failure else {
        return Err((ErrorClass::Waiting, "there is no endpoint".to_owned()));
    };
    let class = error.class();
    let way_out = match error {
        FetchError::Unreachable { .. } | FetchError::TimedOut { .. } => {
            "; where a NetworkPolicy guards the pods, it must admit the operator"
        }
        FetchError::Status { .. } | FetchError::WebPage { .. } => {
            "; name where the document is in `service: {path: …}`"
        }
        _ => "",
    };
    let service = format!("Service `{}/{}`", key.namespace, running.service);
    let message = format!("{service} does not answer with the document: {error}{way_out}");
    Err((class, message))
}
