//! Step: dereference. Looks up everything that decisions about an object need.

use std::sync::Arc;

use operator_core::apim::same_path;
use operator_core::chain::{Catalog, Readings};
use operator_core::instance::{Instance, select_instance};
use operator_core::mark::{self, OwnershipMark};
use operator_core::paths::{self, PathClaim};
use operator_core::validate::{
    Dereferenced, DocumentFacts, DocumentNeed, Inquiry, Platform, inquire,
};

use super::claim::Claim;
use super::facts::all_facts;
use super::subject::Subject;
use super::{Context, Error, report};
use crate::paths::Held;
use crate::seats::Seat;
use crate::specifications::Running;

/// Looks everything up. A claim that cannot be true is dropped on the way.
pub(crate) async fn dereference(
    ctx: &Context,
    subject: &Subject,
    claim: &mut Claim,
    catalog: &Catalog,
    seat: &mut Seat,
) -> Result<Dereferenced, Error> {
    let instances = ctx.instances.list();
    // What this process knows itself needs no second look.
    if ctx.memory.confirmed(&subject.key).is_none() {
        let named = names_its_api(ctx, subject, claim, &instances);
        let named = seat.away(named).await;
        if !named.unwrap_or(claim.believed) {
            *claim = Claim::default();
        }
    }
    let namespace_labels = ctx.world.namespace_labels(&subject.key.namespace);
    let platform = Platform {
        instances: &instances,
        namespace_labels: &namespace_labels,
        catalog,
        profiles: &ctx.profiles.all(),
    };
    let inquiry = inquire(
        &subject.meta,
        &subject.spec,
        platform,
        claim.record.as_ref(),
    );

    let document = document(ctx, subject, &inquiry, seat).await?;
    let requests = inquiry.spec_requests();
    let readings = if requests.is_empty() {
        Readings::default()
    } else {
        let plugins = Arc::clone(&ctx.plugins);
        let read = tokio::task::spawn_blocking(move || plugins.read_specs(&requests));
        seat.briefly(read).await?
    };
    let context = inquiry
        .instance()
        .and_then(|instance| ctx.instances.context(&instance.name));
    let exposure = seat.away(all_facts(ctx, subject, &inquiry)).await?;
    Ok(Dereferenced {
        readings,
        document,
        exposure,
        path_holder: path_holder(ctx, subject, &inquiry, claim, &instances),
        context,
        cluster: ctx.cluster.clone(),
        inquiry,
    })
}

/// Who else gets the path that the object asks for.
fn path_holder(
    ctx: &Context,
    subject: &Subject,
    inquiry: &Inquiry,
    claim: &Claim,
    instances: &[Arc<Instance>],
) -> Option<PathClaim> {
    let path = inquiry.api()?.path.as_api_management();
    let instance = inquiry.instance().filter(|_| inquiry.in_api_management())?;
    let rivals = ctx.paths.at(path);
    if rivals.iter().all(|(key, _)| *key == subject.key) {
        return None;
    }
    let holds = |held: Option<&Held>| {
        held.is_some_and(|held| {
            held.instance == instance.name
                && held
                    .path
                    .as_deref()
                    .is_some_and(|held| same_path(held, path))
        })
    };
    let held_by_itself = claim.record.clone().filter(|_| claim.believed);
    let own = PathClaim {
        key: subject.key.clone(),
        created: subject.created.clone(),
        holds: holds(held_by_itself.map(Held::from).as_ref()),
    };
    let others = rivals.into_iter().filter(|(key, _)| *key != subject.key);
    let others = others.filter_map(|(key, asked)| {
        let held = ctx.memory.confirmed(&key).map(Held::from).or(asked.held);
        let labels = ctx.world.namespace_labels(&key.namespace);
        let named = asked.instance.as_ref();
        let there = match (named, &held) {
            (None, Some(held)) => Some(held.instance.clone()),
            _ => select_instance(instances, &key.namespace, &labels, named)
                .ok()
                .map(|instance| instance.name.clone()),
        };
        (there.as_ref() == Some(&instance.name)).then(|| PathClaim {
            key,
            created: asked.created.to_string(),
            holds: holds(held.as_ref()),
        })
    });
    paths::winner(others.chain([own])).filter(|winner| winner.key != subject.key)
}

async fn document(
    ctx: &Context,
    subject: &Subject,
    inquiry: &Inquiry,
    seat: &mut Seat,
) -> Result<DocumentFacts, Error> {
    let from = inquiry.annotations().specification_from.as_ref();
    let from = from.filter(|_| inquiry.in_api_management());
    ctx.specifications.want(&subject.key, from);
    let need = inquiry.document();
    if need == DocumentNeed::Nothing {
        return Ok(DocumentFacts::NotNeeded);
    }
    if !inquiry.findings().is_empty() {
        return Ok(DocumentFacts::NotTried);
    }
    // A server far away may take its time; who waits for `implementation.ready`
    // to be there does not.
    if ctx.leadership.leads() {
        seat.away(report::seen(ctx, subject)).await?;
    }
    match need {
        DocumentNeed::Nothing => Ok(DocumentFacts::NotNeeded),
        DocumentNeed::Take(from) => {
            let running = Running {
                service: subject.implementation().unwrap_or_default(),
                port: inquiry.api().map_or(0, |api| api.port),
                retry: inquiry.annotations().retry.as_deref(),
                fetcher: &ctx.fetcher,
            };
            let taken = ctx.specifications.take(&subject.key, &from, running);
            // Large, and thousands may wait.
            Ok(seat.away(Box::pin(taken)).await?)
        }
        DocumentNeed::Fetch(url) => {
            let allow = inquiry
                .instance()
                .map(|instance| instance.spec.specification.allow_private.clone());
            let allow = allow.unwrap_or_default();
            match seat.away(ctx.fetcher.fetch(url.as_str(), &allow)).await {
                Ok(document) => Ok(DocumentFacts::Fetched(document.text.clone())),
                Err(error) => Ok(DocumentFacts::Failed {
                    class: error.class(),
                    message: error.to_string(),
                }),
            }
        }
    }
}

/// Whether a claim names the object's API: the one that the object would have
/// anyway, or one that carries the object's mark. Nothing where that cannot be
/// found out now. Also where only the operator writes status, whoever may
/// administer the cluster can, and the id in it is the one that is kept.
async fn names_its_api(
    ctx: &Context,
    subject: &Subject,
    claim: &Claim,
    instances: &[Arc<Instance>],
) -> Option<bool> {
    let record = claim.record.as_ref()?;
    let mut there = instances.iter();
    let instance = there.find(|instance| instance.name == record.instance)?;
    if mark::api_id(&instance.spec.api_id_prefix, &subject.key).is_ok_and(|id| id == record.api_id)
    {
        return Some(true);
    }
    let reader = ctx.instances.reader(&record.instance)?;
    let mark = OwnershipMark::new(&ctx.cluster, &subject.key);
    let found = reader.carries(record.api_id.as_str(), mark.as_str()).await;
    found.ok()
}
