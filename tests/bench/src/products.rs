//! Many APIs in a few products, with the keys of their subscribers.

use anyhow::{Context as _, Result};
use apim_simulator::CallKind;
use e2e::{Stage, exposed_api};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};

use crate::processes::memory;
use crate::publish::{PATIENCE, created_until_ready, names, services, settled, tail, unthrottled};
use crate::table::{Goal, Table, short};

const GROUP: &str = "apim.oda.tmforum.org/v1alpha1";
const PRODUCTS: u32 = 20;
/// So many APIs to a subscription.
const SUBSCRIBED: u32 = 2;

/// Products first, then APIs that enter them, then subscriptions to them.
pub(crate) async fn products(table: &mut Table, objects: u32, clients: usize) -> Result<()> {
    let builder = unthrottled().instance(json!({"ownerMay": ["products"]}));
    let Some(mut stage) = builder.without_operator().start("products").await else {
        return Ok(());
    };
    stage.allow_products().await?;
    stage.start_operator().await?;
    let before = settled(&stage).await?;
    stage.azure.clear_journal();

    let product = |n: u32| {
        json!({
            "apiVersion": GROUP, "kind": "ApimProduct", "metadata": {"name": format!("product-{n:02}"), "namespace": "shop"},
            "spec": {"plugins": [{"name": "rate-limit", "config": {"calls": 1000}}]},
        })
    };
    let all: Vec<Value> = (0..PRODUCTS).map(product).collect();
    made(&stage, "ApimProduct", all, clients).await?;

    let names = names(objects);
    services(&stage, &names, clients).await?;
    let entering = |name: &str| {
        let number: u32 = name
            .rsplit('-')
            .next()
            .unwrap_or_default()
            .parse()
            .unwrap_or_default();
        exposed_api(name, |object| {
            let product = format!("shop.product-{:02}", number % PRODUCTS);
            object["metadata"]["annotations"] = json!({"apim.oda.tmforum.org/products": product});
        })
    };
    let created = created_until_ready(&stage, &names, clients, entering).await;
    let created = created.with_context(|| tail(&stage.operator_log()))?;

    let subscription = |n: u32| {
        json!({
            "apiVersion": GROUP, "kind": "ApimSubscription", "metadata": {"name": format!("caller-{n:04}"), "namespace": "shop"},
            "spec": {"scope": {"product": format!("product-{:02}", n % PRODUCTS)}, "secretName": format!("keys-{n:04}")},
        })
    };
    let subscriptions = objects / SUBSCRIBED;
    let all: Vec<Value> = (0..subscriptions).map(subscription).collect();
    let started = std::time::Instant::now();
    made(&stage, "ApimSubscription", all, clients).await?;
    let subscribed = started.elapsed();
    let counters = settled(&stage).await?.since(&before);

    table.legend(format!(
        "products: {PRODUCTS} ApimProducts with a policy, {objects} ExposedAPIs of which each enters one, {subscriptions} \
         ApimSubscriptions whose keys go to Secrets"
    ));
    table.figure(
        "products: APIs ready in their products after",
        short(created.took),
    );
    table.figure("products: keys in place after", short(subscribed));
    let per_object = |count: f64| count / f64::from(objects);
    table.count(
        "products: reconciles per API",
        per_object(counters.sum("controller_runtime_reconcile_total")),
        Goal::AtMost(2.0),
    );
    for (labels, count) in counters.of("apim_operator_triggers_total") {
        table.figure(
            &format!("  triggers per API {labels}"),
            format!("{:.2}", per_object(count)),
        );
    }
    for (labels, count) in counters.of("apim_operator_kubernetes_writes_total") {
        table.figure(
            &format!("products: Kubernetes writes {labels}"),
            count.to_string(),
        );
    }
    writes(table, &stage, (objects, subscriptions));
    table.figure(
        "products: operator's memory, now / at most",
        memory(stage.operator_id().context("the operator runs")?)?,
    );
    Ok(())
}

/// Whether a path below a service belongs to a kind of thing.
type Belongs = fn(&str) -> bool;

fn entry(path: &str) -> bool {
    path.contains("/products/") && path.contains("/apis/")
}

fn of_product(path: &str) -> bool {
    path.contains("/products/") && !path.contains("/apis/")
}

fn of_api(path: &str) -> bool {
    path.contains("/apis/") && !path.contains("/products/")
}

fn of_subscription(path: &str) -> bool {
    path.contains("/subscriptions/")
}

/// Writes to Azure by what they are for.
fn writes(table: &mut Table, stage: &Stage, (objects, subscriptions): (u32, u32)) {
    let journal = stage.journal();
    let count = |of: Belongs| {
        let writes = journal.iter().filter(|call| {
            matches!(call.kind, CallKind::Write | CallKind::Delete)
                && call
                    .path
                    .split_once("/service/")
                    .is_some_and(|(_, below)| of(below))
        });
        u32::try_from(writes.count()).unwrap_or(u32::MAX)
    };
    let rows: [(&str, Belongs, u32, Goal); 4] = [
        ("API", of_api, objects, Goal::Exactly(3.0)),
        ("API, for its product", entry, objects, Goal::Exactly(1.0)),
        ("product", of_product, PRODUCTS, Goal::AtMost(3.0)),
        (
            "subscription",
            of_subscription,
            subscriptions,
            Goal::AtMost(2.0),
        ),
    ];
    for (what, of, number, goal) in rows {
        table.count(
            &format!("products: ARM writes per {what}"),
            f64::from(count(of)) / f64::from(number),
            goal,
        );
    }
}

/// Creates objects and waits until all of the kind are in place.
async fn made(stage: &Stage, kind: &str, objects: Vec<Value>, clients: usize) -> Result<()> {
    let api: Api<DynamicObject> = stage.objects(GROUP, kind);
    let count = objects.len();
    futures::stream::iter(objects)
        .map(|object| {
            let api = &api;
            async move {
                let object: DynamicObject = serde_json::from_value(object)?;
                api.create(&PostParams::default(), &object).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(clients)
        .try_collect::<()>()
        .await?;
    let in_place = |object: &DynamicObject| {
        let conditions = object.data["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    test_harness::wait_until(&format!("all {kind}s are in place"), PATIENCE, async || {
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(|error| error.to_string())?;
        let there = list.items.iter().filter(|object| in_place(object)).count();
        if there == count {
            Ok(())
        } else {
            Err(format!("{there} of {count}"))
        }
    })
    .await
    .with_context(|| tail(&stage.operator_log()))?;
    Ok(())
}
