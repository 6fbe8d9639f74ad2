//! Step: dereference. Looks up everything that decisions about an object need.

use std::sync::Arc;

use operator_core::apim::same_path;
use operator_core::chain::{Catalog, Readings};
use operator_core::instance::{Instance, select_instance};
use operator_core::mark::{self, OwnershipMark};
use operator_core::names::ObjectKey;
use operator_core::paths::{self, PathClaim};
use operator_core::validate::{
    Dereferenced, DocumentFacts, DocumentNeed, Inquiry, Platform, inquire,
};
use operator_core::versions::{Member, Sibling};

use super::claim::Claim;
use super::facts::all_facts;
use super::subject::Subject;
use super::{Context, Error, report};
use crate::paths::{Asked, Held};
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
    let rivals = rivals(ctx, subject, &inquiry, claim, &instances);
    Ok(Dereferenced {
        readings,
        document,
        exposure,
        path_holder: rivals.holder,
        siblings: rivals.siblings,
        context,
        cluster: ctx.cluster.clone(),
        inquiry,
    })
}

/// Who else asks for the object's path in its instance.
#[derive(Default)]
struct Rivals {
    /// Who gets it, if that is another.
    holder: Option<PathClaim>,
    /// The versions of the set that the object is in, itself among them.
    siblings: Vec<Sibling>,
}

fn rivals(
    ctx: &Context,
    subject: &Subject,
    inquiry: &Inquiry,
    claim: &Claim,
    instances: &[Arc<Instance>],
) -> Rivals {
    let instance = inquiry.instance().filter(|_| inquiry.in_api_management());
    let (Some(api), Some(instance)) = (inquiry.api(), instance) else {
        return Rivals::default();
    };
    let path = api.path.as_api_management();
    let member = Member::of(inquiry.annotations());
    let at_path = ctx.paths.at(path);
    let in_set = member.as_ref().map(|member| {
        let name = &member.set.name;
        ctx.paths.in_set(&subject.key.namespace, name)
    });
    let in_set = in_set.unwrap_or_default();
    let mut all = at_path.iter().chain(&in_set);
    if all.all(|(key, _)| *key == subject.key) {
        return Rivals::default();
    }
    let holds = |held: Option<&Held>, path: &str| {
        held.is_some_and(|held| {
            held.instance == instance.name
                && held
                    .path
                    .as_deref()
                    .is_some_and(|held| same_path(held, path))
        })
    };
    // Those that go to the same instance, and whether they hold what they ask for.
    let here = |(key, asked): (ObjectKey, Asked)| {
        if key == subject.key {
            return None;
        }
        let held = ctx.memory.confirmed(&key).map(Held::from).or(asked.held);
        let labels = ctx.world.namespace_labels(&key.namespace);
        let named = asked.instance.as_ref();
        let there = match (named, &held) {
            (None, Some(held)) => Some(held.instance.clone()),
            _ => select_instance(instances, &key.namespace, &labels, named)
                .ok()
                .map(|instance| instance.name.clone()),
        };
        (there.as_ref() == Some(&instance.name)).then(|| {
            let claim = PathClaim {
                key,
                created: asked.created.to_string(),
                holds: holds(held.as_ref(), &asked.path),
            };
            (claim, asked.path, asked.member)
        })
    };
    let held_by_itself = claim.record.clone().filter(|_| claim.believed);
    let own = PathClaim {
        key: subject.key.clone(),
        created: subject.created.clone(),
        holds: holds(held_by_itself.map(Held::from).as_ref(), path),
    };
    let sibling = |claim: PathClaim, path: &str, member: Member| Sibling {
        key: claim.key,
        created: claim.created,
        holds: claim.holds,
        path: path.to_owned(),
        member,
    };
    let mut siblings: Vec<Sibling> = in_set
        .into_iter()
        .filter_map(here)
        .filter_map(|(claim, path, member)| Some(sibling(claim, &path, *member?)))
        .collect();
    siblings.extend(member.map(|member| sibling(own.clone(), path, member)));
    let others = at_path
        .into_iter()
        .filter_map(here)
        .map(|(claim, ..)| claim);
    // Where one of a set has the path, all have it.
    let holder = paths::winner(others.chain([own])).filter(|winner| {
        winner.key != subject.key && !siblings.iter().any(|one| one.key == winner.key)
    });
    Rivals { holder, siblings }
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
