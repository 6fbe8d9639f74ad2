//! Many ExposedAPIs at once, until all are ready.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use apim_simulator::CallKind;
use e2e::{Stage, StageBuilder, exposed_api, status_of};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};

use crate::bare;
use crate::processes::{Spent, memory};
use crate::table::{Goal, Samples, Table, short};

/// So high that the bucket never holds anything back.
const UNLIMITED: &str = "1000000";
/// Nothing takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(45);

/// A stage whose operator is not held back by its own ARM bucket, nor by the
/// simulator's; nothing where Kubernetes' programs are missing.
pub(crate) async fn staged(what: &str) -> Result<Option<Stage>> {
    Ok(unthrottled().start(what).await)
}

/// Such a stage, before it is started.
pub(crate) fn unthrottled() -> StageBuilder {
    let limits = [
        "ARM_WRITES",
        "ARM_WRITE_BURST",
        "ARM_READS",
        "ARM_READ_BURST",
    ];
    limits
        .iter()
        .fold(Stage::builder(), |builder, limit| {
            builder.environment(&format!("APIM_OPERATOR_{limit}"), UNLIMITED)
        })
        // As in `deploy/operator.yaml`.
        .environment("MALLOC_ARENA_MAX", "1")
        .environment("RUST_LOG", "info")
}

/// Creates ExposedAPIs with the operator, then again with a client that only
/// writes what the operator wrote to Kubernetes.
/// Answers how long each took with the operator.
pub(crate) async fn publish(
    table: &mut Table,
    objects: u32,
    clients: usize,
) -> Result<Option<Samples>> {
    let names = names(objects);
    let Some(stage) = staged("publish").await? else {
        return Ok(None);
    };
    services(&stage, &names, clients).await?;
    stage.azure.clear_journal();
    let before = Counters::read(&stage).await?;
    let idle = Spent::so_far()?;
    let created = created_until_ready(&stage, &names, clients, plain)
        .await
        .with_context(|| tail(&stage.operator_log()))?;
    let spent = Spent::so_far()?.since(&idle);
    let asked = api_server_requests(&stage).await?;
    let took = created.took;
    // Some events come after that, and not within what was taken.
    let written = Counters::read(&stage).await?.since(&before);
    let counters = settled(&stage).await?.since(&before);
    let memory = memory(stage.operator_id().context("the operator runs")?)?;
    let calls = ArmCalls::of(&stage, &names);
    let sample = status_of(&stage.exposed_apis("shop").get(&names[0]).await?);
    drop(stage);

    let per_object = |count: f64| count / f64::from(objects);
    let Some(mut stage) = staged("publish").await? else {
        return Ok(None);
    };
    stage.kill_operator()?;
    services(&stage, &names, clients).await?;
    let writes = bare::Writes {
        objects: names.len(),
        status: rounded(written.kube_writes("ExposedAPI/status")),
        events: rounded(written.kube_writes("Event")),
    };
    let bare = bare::Client::start(&stage, sample, writes).await?;
    let idle = Spent::so_far()?;
    let started = Instant::now();
    created_until_ready(&stage, &names, clients, plain).await?;
    bare.said(writes.events).await?;
    let floor = started.elapsed();
    let floor_spent = Spent::so_far()?.since(&idle);
    let floor_asked = api_server_requests(&stage).await?;
    bare.stop()?;

    table.legend(format!(
        "publish: {objects} ExposedAPIs, {clients} created at a time, ready after {} (bare client: {}); the operator's \
         ARM bucket is raised by APIM_OPERATOR_ARM_{{WRITES,WRITE_BURST,READS,READ_BURST}}={UNLIMITED}, the local \
         Azure does not throttle",
        short(took),
        short(floor),
    ));
    table.legend(
        "objects per second: the floor is a client that makes the same Kubernetes writes (finalizer, Ingress, status, \
         and as many events as the operator had written by then), waits for the same addresses and does nothing else",
    );
    let speed = |took: Duration| f64::from(objects) / took.as_secs_f64();
    table.against(
        "objects per second",
        (
            format!("{:.1}", speed(took)),
            format!("{:.1}", speed(floor)),
        ),
        speed(took) / speed(floor),
        Some(Goal::AtLeast(0.8)),
    );
    taken(
        table,
        objects,
        (&spent, &floor_spent),
        (&asked, &floor_asked),
    );
    let reconciles = counters.sum("controller_runtime_reconcile_total");
    table.count(
        "reconciles per object",
        per_object(reconciles),
        Goal::AtMost(2.0),
    );
    for (labels, count) in counters.of("apim_operator_triggers_total") {
        table.figure(
            &format!("  triggers per object {labels}"),
            format!("{:.2}", per_object(count)),
        );
    }
    for (labels, count) in counters.of("controller_runtime_reconcile_total") {
        table.figure(
            &format!("  ended per object {labels}"),
            format!("{:.2}", per_object(count)),
        );
    }
    for (labels, count) in counters.of("apim_operator_kubernetes_writes_total") {
        table.figure(
            &format!("Kubernetes writes per object {labels}"),
            format!("{:.2}", per_object(count)),
        );
    }
    calls.report(table, objects);
    table.figure(
        "from an object's creation until it is ready",
        format!("{}, p99 {}", created.each, short(created.each.p99())),
    );
    table.figure("operator's memory, now / at most", memory);
    Ok(Some(created.each))
}

/// What the two runs took of the machine and of the API server.
fn taken(
    table: &mut Table,
    objects: u32,
    (spent, floor_spent): (&Spent, &Spent),
    (asked, floor_asked): (&BTreeMap<String, f64>, &BTreeMap<String, f64>),
) {
    let per_object = |count: f64| count / f64::from(objects);
    for (program, spent) in spent.by_program() {
        let each = |spent: Duration| {
            format!(
                "{:.1} ms",
                spent.as_secs_f64() * 1000.0 / f64::from(objects)
            )
        };
        let what = format!("  CPU time per object: {program}");
        let floor = floor_spent.of(program);
        if floor.is_zero() {
            table.figure(&what, each(spent));
        } else {
            let ratio = spent.as_secs_f64() / floor.as_secs_f64();
            table.against(&what, (each(spent), each(floor)), ratio, None);
        }
    }
    // Whatever everybody asks for now and then, besides.
    for (request, count) in asked.iter().filter(|(_, count)| per_object(**count) > 0.1) {
        table.figure(
            &format!("  requests to the API server per object: {request}"),
            format!(
                "{:.2}, floor {:.2}",
                per_object(*count),
                per_object(floor_asked.get(request).copied().unwrap_or_default())
            ),
        );
    }
}

/// The names of so many objects.
pub(crate) fn names(objects: u32) -> Vec<String> {
    (0..objects).map(|i| format!("api-{i:05}")).collect()
}

/// Services with endpoints, which are not what is measured.
pub(crate) async fn services(stage: &Stage, names: &[String], clients: usize) -> Result<()> {
    let services: Api<Service> = Api::namespaced(stage.client.clone(), "shop");
    futures::stream::iter(names)
        .map(|name| {
            let services = &services;
            async move {
                let service = serde_json::from_value(json!({
                    "metadata": {"name": name},
                    // Headless: a small cluster has few addresses for Services.
                    "spec": {"clusterIP": "None", "selector": {"app": name}, "ports": [{"port": 8080, "targetPort": 8080}]},
                }))?;
                services.create(&PostParams::default(), &service).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(clients)
        .try_collect::<()>()
        .await?;
    let slices: Api<EndpointSlice> = Api::namespaced(stage.client.clone(), "shop");
    test_harness::wait_until("an EndpointSlice for each Service", PATIENCE, async || {
        let found = slices
            .list_metadata(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?
            .items
            .len();
        if found >= names.len() {
            Ok(())
        } else {
            Err(format!("{found} of {}", names.len()))
        }
    })
    .await?;
    Ok(())
}

/// An ExposedAPI with the default chain.
pub(crate) fn plain(name: &str) -> Value {
    exposed_api(name, |_| ())
}

/// How long it took until objects were ready.
pub(crate) struct Created {
    /// From the first creation until the last was.
    pub(crate) took: Duration,
    /// From the answer to each one's creation until it was.
    pub(crate) each: Samples,
}

/// Creates objects and waits until all are ready.
pub(crate) async fn created_until_ready(
    stage: &Stage,
    names: &[String],
    clients: usize,
    object: impl Fn(&str) -> Value,
) -> Result<Created> {
    let api = stage.exposed_apis("shop");
    let ready = all_ready(api.clone(), names);
    let started = Instant::now();
    let created = futures::stream::iter(names)
        .map(|name| {
            let (api, object) = (&api, &object);
            async move {
                let object: DynamicObject = serde_json::from_value(object(name))?;
                api.create(&PostParams::default(), &object).await?;
                anyhow::Ok((name.as_str(), Instant::now()))
            }
        })
        .buffer_unordered(clients)
        .try_collect::<HashMap<_, _>>();
    let (created, ready) =
        tokio::time::timeout(PATIENCE, async { tokio::try_join!(created, ready) })
            .await
            .context("not all objects became ready")??;
    let mut each = Samples::default();
    for (name, ready) in &ready {
        if let Some(created) = created.get(name.as_str()) {
            each.push(ready.saturating_duration_since(*created));
        }
    }
    Ok(Created {
        took: started.elapsed(),
        each,
    })
}

/// When each of them was first seen to be ready.
async fn all_ready(api: Api<DynamicObject>, names: &[String]) -> Result<HashMap<String, Instant>> {
    let wanted: HashSet<&String> = names.iter().collect();
    let mut ready = HashMap::new();
    let mut objects = std::pin::pin!(
        watcher(api, watcher::Config::default())
            .default_backoff()
            .applied_objects()
    );
    while let Some(object) = objects.next().await {
        // A watch that fell behind begins anew.
        let Ok(object) = object else { continue };
        let name = object.metadata.name.clone().unwrap_or_default();
        if wanted.contains(&name) && status_of(&object)["implementation"]["ready"] == true {
            ready.entry(name).or_insert_with(Instant::now);
        }
        if ready.len() == wanted.len() {
            return Ok(ready);
        }
    }
    bail!("the watch ended")
}

/// Waits until the operator has nothing more to do, events included, which are
/// written beside the reconciles.
pub(crate) async fn settled(stage: &Stage) -> Result<Counters> {
    let mut last = None;
    let counters = test_harness::wait_until("the operator is at rest", PATIENCE, async || {
        let now = Counters::read(stage)
            .await
            .map_err(|error| error.to_string())?;
        let done = now.sum("controller_runtime_reconcile_total")
            + now.sum("apim_operator_kubernetes_writes_total");
        let active = now.sum("controller_runtime_active_workers");
        let at_rest = last.replace(done) == Some(done) && active < 0.5;
        if at_rest {
            Ok(now)
        } else {
            Err(format!("{done} reconciles and writes, {active} under way"))
        }
    });
    Ok(counters.await?)
}

/// The operator's metrics at one moment.
pub(crate) struct Counters(BTreeMap<String, f64>);

impl Counters {
    pub(crate) async fn read(stage: &Stage) -> Result<Self> {
        let lines = stage.metrics("").await?;
        let sample = |line: &String| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(Self(
            lines
                .iter()
                .filter(|line| !line.starts_with('#'))
                .filter_map(sample)
                .collect(),
        ))
    }

    pub(crate) fn since(mut self, before: &Self) -> Self {
        for (name, value) in &mut self.0 {
            *value -= before.0.get(name).copied().unwrap_or_default();
        }
        self
    }

    /// The samples of one metric that are not 0: their labels and values.
    pub(crate) fn of(&self, metric: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().filter_map(move |(name, value)| {
            let labels = name.strip_prefix(metric)?;
            let whole = labels.is_empty() || labels.starts_with('{');
            (whole && *value > 0.0).then_some((labels, *value))
        })
    }

    pub(crate) fn sum(&self, metric: &str) -> f64 {
        self.of(metric).map(|(_, value)| value).sum()
    }

    fn kube_writes(&self, kind: &str) -> f64 {
        let label = format!("kind=\"{kind}\"");
        self.of("apim_operator_kubernetes_writes_total")
            .filter(|(labels, _)| labels.contains(&label))
            .map(|(_, value)| value)
            .sum()
    }
}

/// How often the API server was asked for what, since it started: by verb and
/// resource. Watches count when they end.
async fn api_server_requests(stage: &Stage) -> Result<BTreeMap<String, f64>> {
    let metrics = stage.kubectl(&["get", "--raw", "/metrics"]).await?;
    let mut requests = BTreeMap::new();
    for line in metrics.lines() {
        let Some((labels, count)) = line
            .strip_prefix("apiserver_request_total{")
            .and_then(|rest| rest.rsplit_once("} "))
        else {
            continue;
        };
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0)
        };
        let words = ["verb", "resource", "subresource"].map(|name| label(name).unwrap_or_default());
        let request = words.join(" ").trim_end().to_owned();
        *requests.entry(request).or_default() += count.parse::<f64>()?;
    }
    Ok(requests)
}

/// What Azure was asked for, by API.
struct ArmCalls {
    writes: BTreeMap<String, u32>,
    reads: u32,
    polls: u32,
}

impl ArmCalls {
    fn of(stage: &Stage, names: &[String]) -> Self {
        let mut calls = Self {
            writes: names
                .iter()
                .map(|name| (format!("shop.{name}"), 0))
                .collect(),
            reads: 0,
            polls: 0,
        };
        for call in stage.journal() {
            match call.kind {
                CallKind::Write | CallKind::Delete => {
                    let api = call.path.split_once("/apis/").map_or("", |(_, rest)| rest);
                    let id = api.split(['/', ';', '?']).next().unwrap_or_default();
                    *calls.writes.entry(id.to_owned()).or_default() += 1;
                }
                CallKind::Read => calls.reads += 1,
                CallKind::Poll => calls.polls += 1,
                _ => {}
            }
        }
        calls
    }

    fn report(&self, table: &mut Table, objects: u32) {
        let total: u32 = self.writes.values().sum();
        let (least, most) = (self.writes.values().min(), self.writes.values().max());
        let what = format!(
            "ARM writes per object (least {}, most {})",
            least.copied().unwrap_or_default(),
            most.copied().unwrap_or_default()
        );
        table.count(
            &what,
            f64::from(total) / f64::from(objects),
            Goal::Exactly(3.0),
        );
        let each = |count: u32| format!("{:.2}", f64::from(count) / f64::from(objects));
        table.figure("ARM reads per object", each(self.reads));
        table.figure(
            "ARM polls of long-running operations per object",
            each(self.polls),
        );
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a handful"
)]
fn rounded(writes: f64) -> usize {
    writes.round() as usize
}

pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    format!(
        "the operator's log ends with:\n{}",
        lines[lines.len().saturating_sub(20)..].join("\n")
    )
}

/// A status that says that an object is not ready yet.
pub(crate) fn not_ready(status: &Value, step: usize) -> Value {
    let mut status = status.clone();
    status["implementation"]["ready"] = false.into();
    if let Some(condition) = status["conditions"]
        .as_array_mut()
        .and_then(|conditions| conditions.first_mut())
    {
        condition["status"] = "False".into();
        condition["message"] = format!("step {step}").into();
    }
    status
}
