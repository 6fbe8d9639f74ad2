//! Sweeps over a service that lives in memory, in simulated time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use operator_apim::sweep::Sweeper;
use operator_apim::transport::{HeaderMap, HeaderValue, HttpAnswer, HttpRequest, TransportError};
use operator_apim::{ArmReader, Parts, Secret, ServiceRef, TokenError, TokenSource, Transport};
use operator_core::annotations::Adoption;
use operator_core::apim::{AppliedRecord, Published};
use operator_core::desired::{
    ApiDocument, ApiSettings, Desired, DesiredApi, DesiredPolicy, DocumentOrigin, Exposure,
    ImportFormat, Operation, Origins, PolicyText, SubscriptionKeyNames,
};
use operator_core::drift::schedule::{Cycle, Sizes};
use operator_core::drift::{Area, Difference, Kind, KnownEtags};
use operator_core::names::{ApiId, ContentHash, InstanceName, ObjectKey};
use operator_core::status::reasons::Reason;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::ledger::{Ledger, Target};
use super::sweep::{Sweep, Tally};

const POLICY: &str = "<policies><inbound><base /></inbound></policies>";

/// What somebody changed, by the number of the API.
#[derive(Debug, Default, Clone)]
struct Changes {
    gone: BTreeSet<usize>,
    named: BTreeMap<usize, &'static str>,
    policies: BTreeMap<usize, &'static str>,
    operations: BTreeMap<usize, Vec<&'static str>>,
    /// Answers 429 until so many have been sent.
    throttled: usize,
}

/// A service with many APIs of ours, and how it was read.
struct Service {
    apis: usize,
    started: Instant,
    changes: Mutex<Changes>,
    reads: Mutex<Vec<(Duration, String)>>,
}

#[derive(Debug)]
struct Token;

#[async_trait]
impl TokenSource for Token {
    async fn token(&self) -> Result<Secret<String>, TokenError> {
        Ok(Secret::new("token".to_owned()))
    }

    async fn refused(&self, _: &Secret<String>) {}
}

fn key(number: usize) -> ObjectKey {
    ObjectKey::new("shop", format!("api-{number:05}"))
}

fn mark(number: usize) -> String {
    format!("apim-operator/1 01234567 {}", key(number))
}

impl Service {
    fn new(apis: usize) -> Arc<Self> {
        Arc::new(Self {
            apis,
            started: Instant::now(),
            changes: Mutex::default(),
            reads: Mutex::default(),
        })
    }

    fn sweeper(self: &Arc<Self>) -> Sweeper {
        let service = ServiceRef {
            subscription_id: "s".to_owned(),
            resource_group: "g".to_owned(),
            service_name: "n".to_owned(),
        };
        let url = Url::parse("https://management.example.com").unwrap();
        let transport: Arc<dyn Transport> = Arc::<Self>::clone(self);
        let parts = Parts::new(service, url, transport, Arc::new(Token));
        Sweeper::new(&ArmReader::new(&parts), 25.0)
    }

    fn entity(&self, number: usize) -> Option<Value> {
        let changes = self.changes.lock();
        if number >= self.apis || changes.gone.contains(&number) {
            return None;
        }
        let name = changes.named.get(&number).copied().unwrap_or("catalog");
        Some(json!({
            "name": format!("shop.api-{number:05}"),
            "properties": {
                "displayName": name, "path": format!("api-{number:05}"), "protocols": ["https"],
                "serviceUrl": "http://203.0.113.10", "subscriptionRequired": false,
                "apiRevision": "1", "isCurrent": true, "apiRevisionDescription": mark(number),
            },
        }))
    }

    fn page(&self, url: &Url) -> Value {
        let skip = url
            .query_pairs()
            .find(|(name, _)| name == "$skip")
            .map_or(0, |(_, value)| value.parse::<usize>().unwrap());
        let value: Vec<Value> = (skip..self.apis.min(skip + 100))
            .filter_map(|number| self.entity(number))
            .collect();
        let mut page = json!({"value": value, "count": self.apis});
        if skip + 100 < self.apis {
            let mut next = url.clone();
            next.set_query(Some(&format!("api-version=1&$skip={}", skip + 100)));
            page["nextLink"] = next.to_string().into();
        }
        page
    }

    fn answer(&self, method: &str, url: &Url) -> (u16, Option<String>, Value) {
        let below = url.path().split_once("/service/n").unwrap().1;
        let parts: Vec<&str> = below.split('/').skip(1).collect();
        let ["apis", rest @ ..] = &parts[..] else {
            return (404, None, json!({"error": {"code": "ResourceNotFound"}}));
        };
        let Some((id, rest)) = rest.split_first() else {
            return (200, None, self.page(url));
        };
        let number: usize = id.rsplit('-').next().unwrap().parse().unwrap();
        let Some(entity) = self.entity(number) else {
            return (
                404,
                None,
                json!({"error": {"code": "ResourceNotFound", "message": "Api not found."}}),
            );
        };
        let changes = self.changes.lock();
        match (method, rest) {
            (_, ["policies", "policy"]) => {
                let text = changes.policies.get(&number).copied().unwrap_or(POLICY);
                let etag = format!("\"{}\"", &ContentHash::of(text).to_string()[..8]);
                (200, Some(etag), json!({"properties": {"value": text}}))
            }
            (_, ["operations"]) => {
                let there = changes.operations.get(&number).cloned();
                let list: Vec<Value> = there
                    .unwrap_or_else(|| vec!["get"])
                    .iter()
                    .map(|id| json!({"name": id, "properties": {"method": "GET", "urlTemplate": "/"}}))
                    .collect();
                (200, None, json!({"value": list}))
            }
            (_, ["revisions"]) => {
                let revision = json!({"apiRevision": "1", "isCurrent": true});
                (200, None, json!({"value": [revision]}))
            }
            (_, ["operations", _, "policies", "policy"]) => {
                (404, None, json!({"error": {"code": "ResourceNotFound"}}))
            }
            _ => (200, Some("\"api\"".to_owned()), entity),
        }
    }

    fn counted(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.reads
            .lock()
            .iter()
            .filter(|(_, call)| wanted(call))
            .count()
    }
}

#[async_trait]
impl Transport for Service {
    async fn exchange(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError> {
        let at = self.started.elapsed();
        let call = format!("{} {}", request.method, request.url.path());
        self.reads.lock().push((at, call));
        // A service that is far away.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut headers = HeaderMap::new();
        {
            let mut changes = self.changes.lock();
            if changes.throttled > 0 {
                changes.throttled -= 1;
                headers.insert("retry-after", HeaderValue::from_static("1"));
                return Ok(HttpAnswer {
                    status: 429,
                    headers,
                    body: bytes::Bytes::from_static(b"{}"),
                });
            }
        }
        let (status, etag, body) = self.answer(request.method.as_str(), &request.url);
        if let Some(etag) = etag {
            headers.insert("etag", etag.parse().unwrap());
        }
        Ok(HttpAnswer {
            status,
            headers,
            body: body.to_string().into(),
        })
    }
}

fn desired(number: usize) -> Desired {
    Desired {
        monitor: None,
        backends: Vec::new(),
        named_values: Vec::new(),
        metrics: false,
        key: key(number),
        instance: Some(InstanceName::parse("default").unwrap()),
        exposure: Exposure::External { url: None },
        protections: Vec::new(),
        api: Some(DesiredApi {
            id: ApiId::parse(&format!("shop.api-{number:05}")).unwrap(),
            mark: mark(number),
            settings: ApiSettings {
                display_name: "catalog".to_owned(),
                description: String::new(),
                path: format!("api-{number:05}"),
                protocols: vec!["https".to_owned()],
                subscription_required: false,
                subscription_key_names: SubscriptionKeyNames::default(),
                api_version: None,
                api_version_set: None,
                openid_provider: None,
                oauth2: None,
                about: operator_core::about::About::default(),
            },
            service_url: Some("http://203.0.113.10".to_owned()),
            document: ApiDocument {
                format: ImportFormat::OpenApiJson,
                value: "{}".to_owned(),
                hash: ContentHash::of("{}"),
                origin: DocumentOrigin::Inline,
                operations: Some(vec![Operation {
                    id: "get".to_owned(),
                    operation_id: None,
                    method: "GET".to_owned(),
                    url_template: "/".to_owned(),
                }]),
            },
            products: [].into(),
            parts: [].into(),
            own_prefix: String::new(),
            adoption: Adoption::Refuse,
            rollout: None,
            rollback: None,
            mandatory: None,
        }),
        policy: Some(DesiredPolicy {
            api: PolicyText::new(POLICY.to_owned()),
            operations: BTreeMap::new(),
            plugins: Vec::new(),
            origins: Origins::default(),
        }),
        warnings: Vec::new(),
    }
}

fn ledger(apis: usize) -> Ledger {
    let ledger = Ledger::default();
    for number in 0..apis {
        let desired = desired(number);
        let published = Published::of(&desired).unwrap();
        let mut record = AppliedRecord::of(None, published);
        record.complete(published.api, published.policy);
        record.api_revision = Some("1".to_owned());
        ledger.published(&key(number), published, &record);
    }
    ledger
}

struct Stage {
    service: Arc<Service>,
    ledger: Ledger,
    sweeper: Sweeper,
    told: Mutex<Vec<ObjectKey>>,
}

impl Stage {
    fn new(apis: usize) -> Self {
        let service = Service::new(apis);
        Self {
            sweeper: service.sweeper(),
            service,
            ledger: ledger(apis),
            told: Mutex::default(),
        }
    }

    fn targets(&self) -> Vec<Arc<Target>> {
        self.ledger
            .targets(&InstanceName::parse("default").unwrap())
    }

    fn cycle(&self, interval: Duration) -> Cycle {
        let apis = u64::try_from(self.service.apis).unwrap();
        let sizes = Sizes {
            listed: apis,
            watched: apis,
            rotation: apis * 3,
        };
        Cycle::new(interval, self.sweeper.rate(), sizes)
    }

    /// A fast sweep: what it came to, how long it took, who was told.
    async fn fast(&self) -> (Tally, Duration, Vec<ObjectKey>) {
        self.service.reads.lock().clear();
        let started = Instant::now();
        let tell = |key: &ObjectKey| self.told.lock().push(key.clone());
        let sweep = Sweep {
            sweeper: &self.sweeper,
            ledger: &self.ledger,
            tell: &tell,
        };
        let cycle = self.cycle(Duration::from_mins(10));
        let tally = sweep.fast(&self.targets(), &cycle).await;
        let mut told = std::mem::take(&mut *self.told.lock());
        told.sort();
        told.dedup();
        (tally, started.elapsed(), told)
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_apis_are_swept_at_the_budgets_pace_and_who_changed_is_told() {
    let stage = Stage::new(10_000);
    // After a start, no ETag is known: each policy is read once.
    let (first, took, told) = stage.fast().await;
    assert_eq!(first.failed, 0);
    assert_eq!((first.listed, first.looked_at), (10_000, 10_000));
    assert_eq!(told, []);
    assert!(took <= Duration::from_secs(440), "{took:?}");
    assert_eq!(stage.service.counted(|call| call.starts_with("HEAD")), 0);
    assert_eq!(stage.service.reads.lock().len(), 10_100);

    // From then on, a HEAD tells.
    {
        let mut changes = stage.service.changes.lock();
        changes.gone.insert(17);
        changes.named.insert(170, "theirs");
        changes
            .policies
            .insert(9_999, "<policies><inbound /></policies>");
        // Azure has written it anew, and it means the same.
        changes.policies.insert(
            5_000,
            "<policies>\r\n\t<inbound>\r\n\t\t<base />\r\n\t</inbound>\r\n</policies>",
        );
    }
    let (second, took, told) = stage.fast().await;
    assert_eq!(second.failed, 0);
    assert_eq!(told, [17, 170, 9_999].map(key));
    assert!(took <= Duration::from_secs(440), "{took:?}");
    assert_eq!(
        stage.service.counted(|call| call.starts_with("HEAD")),
        10_000
    );
    let reads = stage.service.reads.lock().len();
    assert!((10_100..10_115).contains(&reads), "{reads}");

    // Evenly: no second has more reads than the budget and one that was late.
    let mut by_second: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, _) in stage.service.reads.lock().iter() {
        *by_second.entry(at.as_secs()).or_default() += 1;
    }
    // A list of pages that come one after the other is caught up with once.
    let most = by_second.values().max().unwrap();
    let above = by_second.values().filter(|reads| **reads > 27).count();
    assert!(
        *most <= 50 && above <= 2,
        "{most} in a second, {above} seconds"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_before_a_write_is_not_judged_after_it() {
    let stage = Stage::new(3);
    let before = stage.targets();
    stage.ledger.busy(&key(1));
    for target in &before {
        let told = stage
            .ledger
            .saw(target, operator_core::apim::Observed::default());
        assert_eq!(told, target.key != key(1));
    }
    assert!(stage.ledger.take_sighting(&key(1)).observed.is_none());
    assert!(stage.ledger.take_sighting(&key(2)).observed.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_throttles_is_read_more_slowly() {
    let stage = Stage::new(200);
    stage.fast().await;
    stage.service.changes.lock().throttled = 12;
    let (tally, ..) = stage.fast().await;
    // The page is asked for again, and everything is looked at, later.
    assert_eq!((tally.failed, tally.looked_at), (0, 200));
    let slow = stage.sweeper.rate();
    assert!(slow < 10.0, "{slow}");
    stage.fast().await;
    assert!(stage.sweeper.rate() > slow, "the pace recovers");
}

#[tokio::test(start_paused = true)]
async fn the_rotation_goes_on_where_the_last_sweep_stopped() {
    let stage = Stage::new(10);
    stage
        .service
        .changes
        .lock()
        .operations
        .insert(9, vec!["get", "backdoor"]);
    let tell = |key: &ObjectKey| stage.told.lock().push(key.clone());
    let sweep = Sweep {
        sweeper: &stage.sweeper,
        ledger: &stage.ledger,
        tell: &tell,
    };
    let targets = stage.targets();
    let cycle = stage.cycle(Duration::from_mins(10));
    assert_eq!(cycle.slow.reads, 5);
    let (mut rotation, mut counts) = (VecDeque::new(), BTreeMap::new());
    let mut sweeps = 0;
    while counts.len() < 10 {
        let looked = sweep
            .slow(&mut rotation, &targets, &cycle, &mut counts)
            .await;
        assert_eq!(looked.failed, 0);
        assert!((1..=2).contains(&looked.looked_at), "{looked:?}");
        sweeps += 1;
    }
    // Three reads for each API, five in a sweep: a sweep ends what it began.
    assert_eq!(sweeps, 5);
    assert_eq!(*stage.told.lock(), [key(9)]);
    assert_eq!(counts.values().sum::<u64>(), 11);
    let seen = stage.ledger.take_sighting(&key(9)).observed.unwrap();
    assert_eq!(seen.operations.found().map(Vec::len), Some(2));
}

#[tokio::test(start_paused = true)]
async fn an_api_that_was_lost_is_told_when_it_is_ours_again_or_gone() {
    let stage = Stage::new(3);
    for number in 0..3 {
        let desired = desired(number);
        let published = Published::of(&desired).unwrap();
        let record = AppliedRecord::of(None, published);
        stage.ledger.lost(&key(number), published, &record);
    }
    // As it is where nothing is put back.
    let areas = BTreeSet::from([Area::Api]);
    let forged = || Difference::new(Kind::Ownership, "apiRevisionDescription", "ours", "theirs");
    let why = Reason::Reported;
    for number in [0, 2] {
        stage
            .ledger
            .report(&key(number), &areas, vec![forged()], why);
    }
    stage.service.changes.lock().gone.insert(2);
    let (tally, _, told) = stage.fast().await;
    // Those that are there carry the mark.
    assert_eq!(told, [0, 1, 2].map(key));
    assert_eq!(
        tally.looked_at, 0,
        "the policy of what is not ours is not read"
    );
    // What was said of the mark can be taken back.
    let sighting = stage.ledger.take_sighting(&key(0));
    assert_eq!(sighting.fine, areas);
    let sighting = stage.ledger.take_sighting(&key(2));
    assert_eq!(sighting.observed.map(|observed| observed.api), Some(None));
}

#[test]
fn what_others_set_right_is_told_once() {
    let ledger = ledger(1);
    let target = ledger
        .targets(&InstanceName::parse("default").unwrap())
        .remove(0);
    assert!(!ledger.fine(&target, Area::Policy), "nothing was reported");
    let difference = Difference::new(Kind::Policy, "policy", "a", "b");
    let looked_at = BTreeSet::from([Area::Policy]);
    let why = Reason::Reported;
    let (report, changed) = ledger.report(&key(0), &looked_at, vec![difference], why);
    assert!(changed && report.differences.len() == 1);
    assert!(ledger.fine(&target, Area::Policy));
    let sighting = ledger.take_sighting(&key(0));
    assert_eq!(sighting.fine, looked_at);
    let (report, changed) = ledger.report(&key(0), &sighting.fine, Vec::new(), why);
    assert!(changed && report.is_empty());
    assert!(!ledger.fine(&target, Area::Policy));
}

#[test]
fn etags_of_the_last_write_are_known_at_once() {
    let ledger = ledger(1);
    let name = InstanceName::parse("default").unwrap();
    assert!(!ledger.targets(&name)[0].has_policy_etag);
    let etags = KnownEtags {
        policy: Some("\"A\"".to_owned()),
        operations: BTreeMap::new(),
    };
    ledger.wrote(&key(0), etags, 1);
    let desired = desired(0);
    let published = Published::of(&desired).unwrap();
    let mut record = AppliedRecord::of(None, published);
    record.complete(published.api, published.policy);
    ledger.published(&key(0), published, &record);
    assert!(ledger.targets(&name)[0].has_policy_etag);
    // A write that did not touch the policy leaves its ETag known.
    ledger.wrote(&key(0), KnownEtags::default(), 1);
    ledger.published(&key(0), published, &record);
    assert!(ledger.targets(&name)[0].has_policy_etag);
}

#[test]
fn an_ingress_that_the_operator_began_to_change_was_not_changed_by_others() {
    let ledger = Ledger::default();
    let key = ObjectKey::new("shop", "catalog");
    let (first, second) = (ContentHash::of("first"), ContentHash::of("second"));
    assert!(!ledger.was_in_place(&key, first));
    ledger.exposed(&key, first);
    assert!(ledger.was_in_place(&key, first) && !ledger.was_in_place(&key, second));
    ledger.changes(&key);
    assert!(
        !ledger.was_in_place(&key, first),
        "the second one never came to be"
    );
}
