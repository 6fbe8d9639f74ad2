//! What a publication costs by each way into the cluster.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use apim_simulator::CallKind;
use e2e::routes::{gateway_api, istio};
use e2e::{Stage, exposed_api};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::publish::{Counters, created_until_ready, services, settled, tail, unthrottled};
use crate::table::{Table, short};

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";
const EXPOSURE: &str = "apim.oda.tmforum.org/exposure";
/// The first is what the others are held against.
const WAYS: [&str; 8] = [
    "ingress",
    "http-route",
    "istio",
    "load-balancer",
    "internal-load-balancer",
    "node-port",
    "in-cluster",
    "external",
];

/// Publishes by each way, one after the other in one cluster.
pub(crate) async fn ways(table: &mut Table, objects: u32, clients: usize) -> Result<()> {
    let [gateways, routes] = gateway_api();
    let settings = json!({
        "ownerMay": ["exposure", "ingress-host", "plugins"],
        "allow": {"hosts": ["*"], "backendHosts": ["backend.example.com"]},
        "exposure": {
            "httpRoute": {"parents": [{"namespace": "shop", "name": "public"}]},
            "istio": {"gateways": ["shop/public"]},
            "nodePort": {"address": "203.0.113.20"},
        },
    });
    let builder = unthrottled().instance(settings).without_operator();
    let stage = builder
        .object(gateways)
        .object(routes)
        .object(istio())
        .start("ways");
    let Some(mut stage) = stage.await else {
        return Ok(());
    };
    stage.allow("rbac-exposures.yaml").await?;
    let _controllers = controllers(&stage).await?;
    stage.start_operator().await?;
    table.legend(format!(
        "ways: {objects} ExposedAPIs by each way, {clients} created at a time, held against the way `ingress`; the \
         bench stands in for load balancers and for a Gateway's controller, which answer at once"
    ));
    // The first that is published waits for connections and plugins.
    published(&stage, "ingress", "first", clients.try_into()?, clients).await?;
    let mut plain = None;
    for way in WAYS {
        let published = published(&stage, way, way, objects, clients).await;
        let published =
            published.with_context(|| format!("{way}\n{}", tail(&stage.operator_log())))?;
        let plain = *plain.get_or_insert(published.took);
        let speed = |took: f64| f64::from(objects) / took;
        table.against(
            &format!("ways: {way}, objects per second"),
            (
                format!("{:.1}", speed(published.took)),
                format!("{:.1}", speed(plain)),
            ),
            plain / published.took,
            None,
        );
        table.figure("  until ready", published.ready);
        table.figure("  Kubernetes writes per object", published.kubernetes);
        table.figure("  ARM writes per object", published.azure);
    }
    table.legend(
        "Kubernetes writes: ExposedAPI is the finalizer; ExposedAPI/status is written when a step begins or ends that \
         others wait for; Event is one for each state that is entered; the rest is what the way makes",
    );
    table.legend(
        "ARM writes: the API without operations, its policy, then the import, so that no operation is ever without policy",
    );
    Ok(())
}

struct Published {
    /// In seconds.
    took: f64,
    ready: String,
    kubernetes: String,
    azure: String,
}

async fn published(
    stage: &Stage,
    way: &str,
    prefix: &str,
    objects: u32,
    clients: usize,
) -> Result<Published> {
    let names: Vec<String> = (0..objects).map(|i| format!("{prefix}-{i:04}")).collect();
    services(stage, &names, clients).await?;
    let before = settled(stage).await?;
    stage.azure.clear_journal();
    let created = created_until_ready(stage, &names, clients, |name| object(way, name)).await?;
    let counters: Counters = settled(stage).await?.since(&before);
    let each = |count: f64| format!("{:.2}", count / f64::from(objects));
    let kubernetes = counters
        .of("apim_operator_kubernetes_writes_total")
        .map(|(labels, count)| format!("{} {}", kind_of(labels), each(count)))
        .collect::<Vec<_>>();
    let mut azure: BTreeMap<String, u32> = BTreeMap::new();
    for call in stage.journal() {
        if matches!(call.kind, CallKind::Write | CallKind::Delete) {
            *azure.entry(written(&call.method, &call.path)).or_default() += 1;
        }
    }
    let azure: Vec<String> = azure
        .iter()
        .map(|(what, count)| format!("{what} {}", each(f64::from(*count))))
        .collect();
    Ok(Published {
        took: created.took.as_secs_f64(),
        ready: format!("{}, p99 {}", created.each, short(created.each.p99())),
        kubernetes: kubernetes.join(", "),
        azure: azure.join(", "),
    })
}

fn object(way: &str, name: &str) -> Value {
    exposed_api(name, |object| {
        object["metadata"]["annotations"][EXPOSURE] = way.into();
        match way {
            "istio" => {
                object["metadata"]["annotations"]["apim.oda.tmforum.org/ingress-host"] =
                    "apis.example.com".into();
            }
            "external" => {
                object["spec"]["implementation"] = "<external>".into();
                let mut document = e2e::document(name, &["get", "post"]);
                document["servers"] = json!([{"url": "https://backend.example.com"}]);
                object["spec"]["specification"] = document.to_string().into();
            }
            _ => {}
        }
    })
}

/// Of labels as `{kind="Ingress"}`.
fn kind_of(labels: &str) -> &str {
    let value = labels.split_once("kind=\"");
    value
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or(labels, |(kind, _)| kind)
}

/// `PUT apis`, `PUT apis policies`: the method and the kinds of a path's entities.
fn written(method: &str, path: &str) -> String {
    let (_, below) = path.split_once("/service/").unwrap_or(("", path));
    // Kinds and names take turns behind the service's name.
    let kinds = below.split(['/', '?']).skip(1).step_by(2);
    let kinds: Vec<&str> = kinds.filter(|kind| !kind.contains('=')).collect();
    format!("{method} {}", kinds.join(" "))
}

/// What answers the objects of some ways, as their controllers would.
async fn controllers(stage: &Stage) -> Result<JoinSet<()>> {
    let gateway = json!({
        "apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": {"name": "public", "namespace": "shop"},
        "spec": {"gatewayClassName": "any", "listeners": [{"name": "web", "protocol": "HTTP", "port": 8080}]},
    });
    stage.apply(&gateway).await?;
    let address =
        json!({"status": {"addresses": [{"type": "IPAddress", "value": "203.0.113.30"}]}});
    stage
        .objects(GATEWAY_API, "Gateway")
        .patch_status("public", &PatchParams::default(), &Patch::Merge(address))
        .await?;
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "reason": kind, "message": ""});
    let taken =
        json!({"parents": [{"conditions": [condition("Accepted"), condition("ResolvedRefs")]}]});
    let balanced = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.40"}]}});
    let mut tasks = JoinSet::new();
    let routes = stage.objects(GATEWAY_API, "HTTPRoute");
    tasks.spawn(answer(routes, has_no_verdict, taken));
    let services = stage.objects("v1", "Service");
    tasks.spawn(answer(services, has_no_address, balanced));
    Ok(tasks)
}

/// Gives each object that waits for it this status.
async fn answer(api: Api<DynamicObject>, waits: fn(&DynamicObject) -> bool, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    let objects = watcher(api.clone(), watcher::Config::default())
        .default_backoff()
        .applied_objects();
    objects
        .filter(|object| std::future::ready(object.as_ref().is_ok_and(waits)))
        .map_err(anyhow::Error::from)
        .try_for_each_concurrent(16, |object| {
            let (api, patch) = (&api, &patch);
            async move {
                let name = object.name_any();
                api.patch_status(&name, &PatchParams::default(), patch)
                    .await?;
                Ok(())
            }
        })
        .await
        .unwrap_or_else(|error| eprintln!("the bench's stand-in: {error:#}"));
}

fn has_no_verdict(route: &DynamicObject) -> bool {
    route.data["status"]["parents"].is_null()
}

fn has_no_address(service: &DynamicObject) -> bool {
    service.data["spec"]["type"] == "LoadBalancer"
        && service.data["status"]["loadBalancer"]["ingress"].is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_told_by_the_kinds_of_its_path() {
        let policy = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/apim/apis/a/policies/policy?api-version=1";
        assert_eq!(written("PUT", policy), "PUT apis policies");
        assert_eq!(kind_of("{kind=\"Ingress\",verb=\"apply\"}"), "Ingress");
    }
}
