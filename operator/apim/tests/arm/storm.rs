//! Replay of an import storm. One deployment of another operator sent a
//! document of 1.75 MB about eight hundred times in 69 hours; API Management
//! was too busy with them to finish any. Here the same answers meet the real
//! client, over a transport in memory, and the real decision when to try again;
//! time is simulated.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use operator_apim::transport::{HttpAnswer, HttpRequest, Method, TransportError};
use operator_apim::{
    Applier, ArmClient, Parts, Secret, ServiceRef, Silent, TokenError, TokenSource, Transport,
};
use operator_core::apim::AppliedRecord;
use operator_core::desired::{Desired, Operation};
use operator_core::names::ContentHash;
use operator_core::retry::{Backoff, History, Jitter, Next, Outcome};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::stage::Wish;

const HOURS: Duration = Duration::from_hours(69);
const SERVICE: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/n/";

/// What became of an import in those days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// 412 although nobody modified the API.
    Precondition,
    /// 422 after 110 seconds.
    Management,
    /// Accepted; fails so many minutes later.
    DeadMonitor(u64),
    /// 409: something runs on the API.
    Lock,
    /// 429, with or without a time.
    Throttled(Option<u32>),
    /// 503 without a body.
    Unavailable,
    /// No answer.
    Silence,
}

const TROUBLES: [Trouble; 10] = [
    Trouble::Precondition,
    Trouble::Management,
    Trouble::Management,
    Trouble::Management,
    Trouble::DeadMonitor(5),
    Trouble::DeadMonitor(60),
    Trouble::Lock,
    Trouble::Throttled(None),
    Trouble::Throttled(Some(17)),
    Trouble::Unavailable,
];

/// Random enough, and the same each time.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

#[derive(Debug)]
struct Running {
    ends: Instant,
}

/// An instance in memory with one API.
struct Instance {
    desired: Mutex<Desired>,
    state: Mutex<State>,
}

struct State {
    /// None: it is well.
    dice: Option<Dice>,
    only: Option<Trouble>,
    etag: u32,
    operations: Vec<String>,
    policy: Option<String>,
    exists: bool,
    running: Option<Running>,
    /// When imports came, since the beginning.
    puts: Vec<Duration>,
    /// Imports that came while another was running.
    overlapping: u32,
    began: Instant,
}

fn answer(status: u16, body: &Value) -> HttpAnswer {
    HttpAnswer {
        status,
        body: body.to_string().into(),
        ..HttpAnswer::default()
    }
}

fn error(status: u16, code: &str, message: &str) -> HttpAnswer {
    answer(
        status,
        &json!({"error": {"code": code, "message": message, "details": null}}),
    )
}

fn with(mut answer: HttpAnswer, name: &'static str, value: &str) -> HttpAnswer {
    answer.headers.insert(name, value.parse().unwrap());
    answer
}

impl Instance {
    fn new(desired: Desired) -> Arc<Self> {
        Arc::new(Self {
            desired: Mutex::new(desired),
            state: Mutex::new(State {
                dice: None,
                only: None,
                etag: 1,
                operations: Vec::new(),
                policy: None,
                exists: false,
                running: None,
                puts: Vec::new(),
                overlapping: 0,
                began: Instant::now(),
            }),
        })
    }

    fn api(&self) -> HttpAnswer {
        let desired = self.desired.lock().unwrap();
        let api = desired.api.as_ref().unwrap();
        let state = self.state.lock().unwrap();
        if !state.exists {
            return error(404, "ResourceNotFound", "Api not found.");
        }
        let settings = &api.settings;
        let body = answer(
            200,
            &json!({"name": api.id, "properties": {
                "displayName": settings.display_name, "description": settings.description,
                "path": settings.path, "protocols": settings.protocols, "serviceUrl": api.service_url,
                "subscriptionRequired": settings.subscription_required, "apiRevision": "1",
                "apiRevisionDescription": api.mark, "isCurrent": true,
            }}),
        );
        with(body, "etag", &format!("\"{}\"", state.etag))
    }

    /// What happens to an import.
    async fn import(&self, request: &HttpRequest) -> Result<HttpAnswer, TransportError> {
        let trouble = {
            let mut state = self.state.lock().unwrap();
            let at = state.began.elapsed();
            state.puts.push(at);
            state.overlapping += u32::from(
                state
                    .running
                    .as_ref()
                    .is_some_and(|running| running.ends > Instant::now()),
            );
            let only = state.only;
            state.dice.as_mut().map(|dice| {
                let at = usize::try_from(dice.roll()).unwrap() % TROUBLES.len();
                only.unwrap_or(TROUBLES[at])
            })
        };
        let Some(trouble) = trouble else {
            self.carry_out();
            return Ok(self.api());
        };
        Ok(match trouble {
            Trouble::Precondition => error(
                412,
                "PreconditionFailed",
                "Resource was modified since last retrieval.",
            ),
            Trouble::Management => {
                tokio::time::sleep(Duration::from_secs(110)).await;
                error(
                    422,
                    "ManagementApiRequestFailed",
                    "Management API request timed out.",
                )
            }
            Trouble::DeadMonitor(minutes) => {
                let ends = Instant::now() + Duration::from_mins(minutes);
                self.state.lock().unwrap().running = Some(Running { ends });
                with(
                    answer(
                        201,
                        &json!({"properties": {"ProvisioningState": "InProgress"}}),
                    ),
                    "azure-asyncoperation",
                    &format!("https://management.azure.com{SERVICE}tenant/operationResults/1"),
                )
            }
            Trouble::Lock => error(
                409,
                "PessimisticConcurrencyConflict",
                "Operation on the API is in progress",
            ),
            Trouble::Throttled(time) => {
                let refused = error(429, "TooManyRequests", "Too many requests.");
                match time {
                    Some(time) => with(refused, "retry-after", &time.to_string()),
                    None => refused,
                }
            }
            Trouble::Unavailable => HttpAnswer {
                status: 503,
                ..HttpAnswer::default()
            },
            Trouble::Silence => {
                tokio::time::sleep(request.timeout).await;
                return Err(TransportError::TimedOut("no answer".into()));
            }
        })
    }

    fn carry_out(&self) {
        let desired = self.desired.lock().unwrap();
        let made = desired.api.as_ref().unwrap().document.operations.as_ref();
        let mut state = self.state.lock().unwrap();
        state.operations = made.unwrap().iter().map(|one| one.id.clone()).collect();
        state.etag += 1;
        state.exists = true;
    }

    fn poll(&self) -> HttpAnswer {
        let mut state = self.state.lock().unwrap();
        if state
            .running
            .as_ref()
            .is_some_and(|one| one.ends > Instant::now())
        {
            return answer(200, &json!({"status": "InProgress"}));
        }
        state.running = None;
        answer(
            200,
            &json!({"status": "Failed", "error": {
                "code": "InternalServerError", "message": "DeadOperationMonitor: the operation is dead.",
            }}),
        )
    }
}

#[async_trait]
impl Transport for Instance {
    async fn exchange(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let path = request.url.path().strip_prefix(SERVICE).unwrap().to_owned();
        let is_import = |body: &[u8]| {
            let body: Value = serde_json::from_slice(body).unwrap();
            body["properties"]["value"].is_string()
        };
        let body = request.body.clone().unwrap_or_default();
        Ok(match (request.method.clone(), path.as_str()) {
            (Method::PUT, "apis/team.orders") if is_import(&body) => {
                return self.import(&request).await;
            }
            (Method::PUT, "apis/team.orders") => {
                self.state.lock().unwrap().exists = true;
                let mut made = self.api();
                made.status = 201;
                made
            }
            (Method::PUT, "apis/team.orders/policies/policy") => {
                let body: Value = serde_json::from_slice(&body).unwrap();
                let text = body["properties"]["value"].as_str().map(str::to_owned);
                self.state.lock().unwrap().policy = text;
                answer(201, &body)
            }
            (Method::GET | Method::HEAD, "apis/team.orders") => self.api(),
            (Method::GET, "apis") => answer(200, &json!({"value": [], "count": 0})),
            (Method::GET, "apis/team.orders/policies/policy") => {
                match &self.state.lock().unwrap().policy {
                    Some(text) => answer(200, &json!({"properties": {"value": text}})),
                    None => error(404, "ResourceNotFound", "Policy not found."),
                }
            }
            (Method::GET, "apis/team.orders/operations") => {
                let state = self.state.lock().unwrap();
                let all: Vec<Value> = state
                    .operations
                    .iter()
                    .map(|id| json!({"name": id, "properties": {"method": "GET", "urlTemplate": "/"}}))
                    .collect();
                answer(200, &json!({"value": all, "count": all.len()}))
            }
            (Method::GET, "tenant/operationResults/1") => self.poll(),
            (method, path) => panic!("{method} {path}"),
        })
    }
}

#[derive(Debug)]
struct Token;

#[async_trait]
impl TokenSource for Token {
    async fn token(&self) -> Result<Secret<String>, TokenError> {
        Ok(Secret::new("token".into()))
    }

    async fn refused(&self, _: &Secret<String>) {}
}

/// A document of 1.75 MB with 300 operations.
fn large(version: &str) -> Desired {
    let mut desired = Wish::default().desired();
    let document = &mut desired.api.as_mut().unwrap().document;
    let mut paths = serde_json::Map::new();
    let text = "x".repeat(5_700);
    let mut operations = Vec::new();
    for number in 0..300 {
        let id = format!("operation-{number}");
        paths.insert(
            format!("/{id}"),
            json!({"get": {"operationId": id, "description": text, "responses": {"200": {"description": "fine"}}}}),
        );
        operations.push(Operation {
            operation_id: Some(id.clone()),
            method: "GET".into(),
            url_template: format!("/{id}"),
            id,
        });
    }
    document.value = json!({"openapi": "3.0.3", "info": {"title": "Orders", "version": version}, "paths": paths})
        .to_string();
    assert!((1_700_000..1_800_000).contains(&document.value.len()));
    document.hash = ContentHash::of(&document.value);
    document.operations = Some(operations);
    desired
}

/// What the operator's loop is made of, around one object.
struct Loop {
    instance: Arc<Instance>,
    applier: Applier,
    desired: Desired,
    record: Option<AppliedRecord>,
    history: History,
    jitter: Dice,
    last_error: String,
}

impl Loop {
    /// Published, when all was well.
    async fn published(seed: u64) -> Self {
        let desired = large("1");
        let instance = Instance::new(desired.clone());
        let service = ServiceRef {
            subscription_id: "s".into(),
            resource_group: "g".into(),
            service_name: "n".into(),
        };
        let manager = Url::parse("https://management.azure.com").unwrap();
        let parts = Parts::new(service, manager, instance.clone(), Arc::new(Token));
        let mut this = Self {
            applier: Applier::new(ArmClient::new(&parts)),
            instance,
            desired,
            record: None,
            history: History::default(),
            jitter: Dice(seed),
            last_error: String::new(),
        };
        assert_eq!(this.attempt().await, Outcome::Done, "{}", this.last_error);
        this
    }

    async fn attempt(&mut self) -> Outcome {
        let applied = self.record.as_ref();
        match self.applier.apply(&self.desired, applied, &Silent).await {
            Ok(applied) => {
                self.record = Some(applied.record);
                Outcome::Done
            }
            Err(error) => {
                self.last_error = error.to_string();
                let class = error.class();
                self.record = error.record;
                Outcome::Failed(class)
            }
        }
    }

    /// What the owner wishes next.
    fn wish(&mut self, desired: Desired) {
        *self.instance.desired.lock().unwrap() = desired.clone();
        self.desired = desired;
        self.changed();
    }

    /// A change, or a new value of `retry`.
    fn changed(&mut self) {
        let backoff = Backoff::default();
        let (history, next) = backoff.next(
            self.history,
            Outcome::Changed,
            Duration::ZERO,
            Jitter::new(0.0),
        );
        assert_eq!(next, Next::Now);
        self.history = history;
    }

    /// Tries for a while; answers what was decided last.
    async fn run(&mut self, time: Duration) -> Next {
        let start = Instant::now();
        {
            let mut state = self.instance.state.lock().unwrap();
            state.began = start;
            state.puts.clear();
        }
        loop {
            let outcome = self.attempt().await;
            #[expect(clippy::cast_precision_loss, reason = "31 bits")]
            let random = self.jitter.roll() as f64 / f64::from(1_u32 << 31);
            let (history, next) = Backoff::default().next(
                self.history,
                outcome,
                start.elapsed(),
                Jitter::new(random),
            );
            self.history = history;
            let pause = match next {
                Next::AwaitChange => return next,
                Next::Now => Duration::ZERO,
                Next::After(pause) | Next::Stalled(pause) => pause,
            };
            if start.elapsed() + pause > time {
                return next;
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn storm(&self, seed: u64, only: Option<Trouble>) {
        let mut state = self.instance.state.lock().unwrap();
        state.dice = Some(Dice(seed));
        state.only = only;
    }

    fn calm(&self) {
        let mut state = self.instance.state.lock().unwrap();
        state.dice = None;
        state.running = None;
    }

    fn puts(&self) -> Vec<Duration> {
        self.instance.state.lock().unwrap().puts.clone()
    }

    fn overlapping(&self) -> u32 {
        self.instance.state.lock().unwrap().overlapping
    }
}

#[tokio::test(start_paused = true)]
async fn in_69_hours_of_an_import_storm_the_document_is_sent_ten_times_at_most() {
    let mut most = 0;
    for seed in 0..40 {
        let mut object = Loop::published(seed).await;
        object.storm(seed, None);
        object.wish(large("2"));
        let next = object.run(HOURS).await;
        let puts = object.puts();
        assert!(puts.len() <= 10, "seed {seed}: {puts:?}");
        assert_eq!(object.overlapping(), 0, "seed {seed}");
        assert!(matches!(next, Next::Stalled(_)), "seed {seed}: {next:?}");
        assert!(
            object.last_error.starts_with("could not "),
            "seed {seed}: {}",
            object.last_error
        );
        assert_eq!(object.record.as_ref().unwrap().spec_hash, None);
        most = most.max(puts.len());
    }
    // The bound is no accident of few attempts: outages pass, and are noticed.
    assert!(most >= 7, "{most}");
}

#[tokio::test(start_paused = true)]
async fn each_trouble_alone_is_met_at_most_ten_times() {
    for trouble in TROUBLES.into_iter().chain([Trouble::Silence]) {
        let mut object = Loop::published(7).await;
        object.storm(7, Some(trouble));
        object.wish(large("2"));
        let next = object.run(HOURS).await;
        let puts = object.puts();
        assert!(puts.len() <= 10, "{trouble:?}: {puts:?}");
        assert_eq!(object.overlapping(), 0, "{trouble:?}");
        assert!(matches!(next, Next::Stalled(_)), "{trouble:?}: {next:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_import_recovers_by_a_change_and_by_retry() {
    for change in [true, false] {
        let mut object = Loop::published(3).await;
        object.storm(3, Some(Trouble::DeadMonitor(5)));
        object.wish(large("2"));
        assert!(matches!(object.run(HOURS).await, Next::Stalled(_)));
        assert!(
            object.last_error.contains("DeadOperationMonitor"),
            "{}",
            object.last_error
        );
        object.calm();
        if change {
            object.wish(large("3"));
        } else {
            object.changed();
        }
        assert_eq!(
            object.run(Duration::from_mins(1)).await,
            Next::AwaitChange,
            "{}",
            object.last_error
        );
        assert_eq!(object.puts().len(), 1);
        let wanted = &object.desired.api.as_ref().unwrap().document.hash;
        assert_eq!(object.record.unwrap().spec_hash.as_ref(), Some(wanted));
        assert_eq!(object.history, History::default());
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_passes_needs_nobodys_hand() {
    let mut object = Loop::published(5).await;
    object.storm(5, Some(Trouble::Management));
    object.wish(large("2"));
    let next = object.run(Duration::from_mins(20)).await;
    assert!(matches!(next, Next::Stalled(_)), "{next:?}");
    object.calm();
    assert_eq!(object.run(HOURS).await, Next::AwaitChange);
}
