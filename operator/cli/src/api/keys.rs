//! `apim-operator api keys`.

use std::io::Write;

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;

use super::args::{ClusterArgs, KeysArgs};
use super::place::Place;
use super::seen::SeenApi;
use super::table::{BAD, Cell, GOOD, plain, table};
use crate::Done;

/// The key to use, in the Secret of a subscription.
const KEY: &str = "key";

pub(super) async fn keys(at: &ClusterArgs, args: &KeysArgs) -> anyhow::Result<Done> {
    let place = Place::open(at).await?;
    if let Some(name) = &args.reveal {
        println!("{}", key_of(&place, name).await?);
        return Ok(Done::Fine);
    }
    let mut list = subscriptions(&place)
        .list(&ListParams::default())
        .await
        .map_err(|error| absent_or(&place, error))?
        .items;
    if let Some(name) = &args.name {
        let api = SeenApi::of(&place.get(name).await?);
        list.retain(|subscription| opens(&subscription.data["spec"]["scope"], &api));
    }
    if list.is_empty() {
        let what = args.name.as_ref().map_or_else(
            || format!("no ApimSubscriptions in namespace {}", place.namespace),
            |name| {
                format!(
                    "no ApimSubscription of namespace {} opens {name}",
                    place.namespace
                )
            },
        );
        eprintln!("{what}");
        return Ok(Done::Fine);
    }
    print(&mut anstream::stdout().lock(), &list)?;
    Ok(Done::Fine)
}

/// The key of a subscription, from its Secret.
pub(super) async fn key_of(place: &Place, name: &str) -> anyhow::Result<String> {
    // A list of one tells a kind that is not there from an object that is not.
    let one = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = subscriptions(place).list(&one).await;
    let found = found.map_err(|error| absent_or(place, error))?;
    let Some(subscription) = found.items.into_iter().next() else {
        bail!(
            "there is no ApimSubscription `{name}` in namespace `{}`; `apim-operator api keys` lists them",
            place.namespace
        );
    };
    let secret = subscription.data["spec"]["secretName"].as_str();
    let secret = secret.with_context(|| format!("ApimSubscription `{name}` names no Secret"))?;
    let secrets: Api<Secret> = Api::namespaced(place.client.clone(), &place.namespace);
    let found = secrets.get_opt(secret).await;
    let found = found.map_err(|error| place.refused(error))?;
    let data = found.and_then(|found| found.data).unwrap_or_default();
    let Some(key) = data.get(KEY) else {
        bail!(
            "Secret `{secret}` holds no key yet: {}",
            state(&subscription).1
        );
    };
    String::from_utf8(key.0.clone())
        .ok()
        .with_context(|| format!("the key in Secret `{secret}` is no text"))
}

fn subscriptions(place: &Place) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "ApimSubscription");
    Api::namespaced_with(
        place.client.clone(),
        &place.namespace,
        &ApiResource::from_gvk(&kind),
    )
}

/// An error of the API server; one that does not know the kind says nothing
/// that helps.
fn absent_or(place: &Place, error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.code == 404 => anyhow::anyhow!(
            "this cluster has no ApimSubscriptions: the platform applies `deploy/crds/` and `deploy/rbac-products.yaml`"
        ),
        error => place.refused(error),
    }
}

/// Whether keys of this scope open an API: they are for it, or for a product
/// that its annotation names.
fn opens(scope: &Value, api: &SeenApi) -> bool {
    let text = |field: &str| scope[field].as_str();
    let products = api
        .annotations
        .iter()
        .filter(|(name, _)| name == "products")
        .flat_map(|(_, list)| list.split(',').map(str::trim));
    let own = |product: &str| format!("{}.{product}", api.namespace);
    text("api") == Some(api.name.as_str())
        || text("apiId").is_some_and(|id| Some(id) == api.apim.api_id.as_deref())
        || products.into_iter().any(|id| {
            text("productId") == Some(id)
                // An instance may put something before its ids.
                || text("product").is_some_and(|product| id.ends_with(&own(product)))
        })
}

/// Whether a subscription is ready, and why not.
fn state(subscription: &DynamicObject) -> (bool, String) {
    let conditions = subscription.data["status"]["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Ready");
    match ready {
        None => (false, "the operator has said nothing of it yet".to_owned()),
        Some(ready) => {
            let text = |field: &str| ready[field].as_str().unwrap_or_default();
            let said = format!("{}: {}", text("reason"), text("message"));
            (ready["status"] == "True", said)
        }
    }
}

fn print(out: &mut impl Write, list: &[DynamicObject]) -> std::io::Result<()> {
    let rows: Vec<Vec<Cell>> = list
        .iter()
        .map(|subscription| {
            let (spec, status) = (&subscription.data["spec"], &subscription.data["status"]);
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            let scope = spec["scope"].as_object().into_iter().flatten().next();
            let scope = scope.map_or_else(
                || "-".to_owned(),
                |(kind, name)| format!("{kind} {}", text(name)),
            );
            let ready = if state(subscription).0 {
                ("True".to_owned(), GOOD)
            } else {
                ("False".to_owned(), BAD)
            };
            vec![
                plain(subscription.name_any()),
                ready,
                plain(scope),
                plain(text(&spec["secretName"])),
                plain(text(&status["state"])),
                plain(text(&status["keys"]["next"])),
            ]
        })
        .collect();
    let head = ["NAME", "READY", "OPENS", "SECRET", "STATE", "NEXT ROTATION"];
    table(out, &head, &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::seen::tests::published;
    use super::*;

    #[test]
    fn keys_open_an_api_by_its_name_or_by_a_product_that_it_is_in() {
        let mut api = SeenApi::of(&published());
        api.annotations
            .push(("products".to_owned(), "gold, t1-shop.silver".to_owned()));
        for scope in [
            json!({"api": "stock"}),
            json!({"apiId": "shop.stock"}),
            json!({"productId": "gold"}),
            json!({"product": "silver"}),
        ] {
            assert!(opens(&scope, &api), "{scope}");
        }
        for scope in [
            json!({"api": "orders"}),
            json!({"productId": "bronze"}),
            json!({"product": "gold"}),
            json!({}),
        ] {
            assert!(!opens(&scope, &api), "{scope}");
        }
    }

    #[test]
    fn subscriptions_are_listed_with_their_secrets_and_no_key() {
        let subscription = |name: &str, status: Value| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "apim.oda.tmforum.org/v1alpha1", "kind": "ApimSubscription",
                "metadata": {"name": name, "namespace": "shop"},
                "spec": {"scope": {"product": "gold"}, "secretName": "web-keys"},
                "status": status,
            }))
            .unwrap()
        };
        let ready = json!({"state": "active", "keys": {"next": "2026-12-01T00:00:00Z"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Published", "message": ""}]});
        let list = [subscription("web", ready), subscription("new", Value::Null)];
        let mut out = Vec::new();
        print(&mut out, &list).unwrap();
        let text = anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string();
        insta::assert_snapshot!(text);
    }
}
