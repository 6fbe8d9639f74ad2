//! The APIs that a gateway serves.

use std::collections::{BTreeMap, BTreeSet};

use operator_apim::ArmClient;
use operator_core::gateway::DesiredGateway;
use operator_core::gateway::select::{Candidate, selects};
use operator_core::instance::Instance;
use operator_core::mark;
use operator_core::names::{ApiId, ObjectKey, PREFIX};
use operator_core::policy::ReferenceKind;

use super::{Fate, Shared, Stop, Wanted};
use crate::crd::SelfHostedGateway;
use crate::crd::self_hosted_gateway::SelfHostedGatewayStatus;
use crate::reconcile::subject::Subject;
use crate::watch::key_of;

/// What a gateway is to serve.
pub(super) struct Served {
    /// The APIs that are published.
    apis: BTreeMap<ApiId, ObjectKey>,
    /// Those that are not, or of which that is not known yet, by the ids that
    /// they would have.
    waiting: BTreeMap<String, ObjectKey>,
}

/// What a gateway is to serve, by what is known now.
pub(super) fn served(
    shared: &Shared,
    object: &SelfHostedGateway,
    wanted: &Wanted,
) -> Result<Served, Fate> {
    let key = key_of(object);
    let spec = &object.spec.0;
    let mut served = Served {
        apis: BTreeMap::new(),
        waiting: BTreeMap::new(),
    };
    let ctx = &shared.ctx;
    for kept in ctx.objects.state() {
        let of = kept.key();
        if of.namespace != key.namespace && spec.apis.namespace_selector.is_none() {
            continue;
        }
        let Ok(subject) = Subject::open(&kept) else {
            continue;
        };
        let api = Candidate {
            key: &subject.key,
            labels: &subject.meta.labels,
            namespace_labels: &ctx.world.namespace_labels(&subject.key.namespace),
        };
        if subject.meta.deleting || !selects(&spec.apis, &key.namespace, api) {
            continue;
        }
        let record = ctx.memory.confirmed(&subject.key);
        let record = record.filter(|record| record.instance == wanted.instance.name);
        if let Some(record) = record {
            granted(&key, &subject.key, record.api_id.as_str(), wanted)?;
            served.apis.insert(record.api_id, subject.key);
        } else {
            let id = expected_id(&subject, &wanted.instance);
            served.waiting.insert(id, subject.key);
        }
    }
    if let Some(name) = &spec.apis.name
        && served.apis.is_empty()
        && served.waiting.is_empty()
    {
        let it = key.beside(name.as_str());
        served.waiting.insert(it.to_string(), it);
    }
    Ok(served)
}

fn expected_id(subject: &Subject, instance: &Instance) -> String {
    let said = subject.meta.annotations.get(&format!("{PREFIX}api-id"));
    let usual = || mark::api_id(&instance.spec.api_id_prefix, &subject.key).ok();
    let usual = || usual().map_or_else(|| subject.key.to_string(), |id| id.to_string());
    said.map_or_else(usual, |text| text.trim().to_owned())
}

/// An API of another namespace is served only where the platform says so.
fn granted(gateway: &ObjectKey, api: &ObjectKey, id: &str, wanted: &Wanted) -> Result<(), Fate> {
    if gateway.namespace == api.namespace || wanted.grants.allow(ReferenceKind::Api, Some(id)) {
        return Ok(());
    }
    Err(Fate::Stalled(
        "Forbidden",
        format!(
            "spec.apis.namespaceSelector: selects ExposedAPI `{api}`, and instance `{}` does not grant api `{id}` to \
             namespace `{}`; select less, or ask the platform team for a grant of kind `api`",
            wanted.instance.name, gateway.namespace
        ),
    ))
}

/// Has the gateway serve what it is to serve, and answers what is waited for.
/// What somebody else has it serve is left alone. One API that cannot be served
/// keeps no other from it.
pub(super) async fn bring(
    status: &mut SelfHostedGatewayStatus,
    client: &ArmClient,
    desired: &DesiredGateway,
    served: &Served,
    looks: bool,
) -> Result<BTreeSet<ObjectKey>, Stop> {
    let id = desired.id.as_str();
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let mut there = status.apis.clone();
    if looks {
        let found = client.reader().gateway_apis(id).await?;
        there.retain(|api| found.iter().any(|one| same(one, api)));
    }
    let mut failure = None;
    let wanted = served.apis.keys().map(ApiId::as_str);
    let expected: Vec<&str> = wanted
        .chain(served.waiting.keys().map(String::as_str))
        .collect();
    let (kept, gone): (Vec<String>, Vec<String>) = there
        .into_iter()
        .partition(|api| expected.iter().any(|one| same(one, api)));
    let mut linked: BTreeSet<String> = kept.into_iter().collect();
    for api in gone {
        if let Err(error) = client.unlink_gateway_api(id, &desired.mark, &api).await {
            linked.insert(api);
            failure = failure.or(Some(error));
        }
    }
    for api in served.apis.keys() {
        if linked.iter().any(|one| same(one, api.as_str())) {
            continue;
        }
        match client.link_gateway_api(id, api).await {
            Ok(()) => {
                linked.insert(api.to_string());
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    // After a start, what is served is not known to be published yet.
    let waiting = served
        .waiting
        .iter()
        .filter(|(id, _)| !linked.iter().any(|one| same(one, id)))
        .map(|(_, key)| key.clone())
        .collect();
    status.apis = linked.into_iter().collect();
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(waiting),
    }
}

/// Where callers reach a gateway: without TLS where its APIs allow that, since
/// the certificate that the container has from the start is its own.
pub(super) fn url(host: Option<&str>, instance: &Instance) -> Option<String> {
    host.map(|host| operator_core::gateway::select::origin(host, &instance.spec.protocols))
}
