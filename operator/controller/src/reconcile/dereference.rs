//! Step: dereference. Looks up everything that decisions about an object need.

use std::sync::Arc;

use operator_core::chain::{Catalog, Readings};
use operator_core::mark::{self, OwnershipMark};
use operator_core::validate::{
    Dereferenced, DocumentFacts, DocumentNeed, Inquiry, Platform, inquire,
};

use super::claim::Claim;
use super::facts::facts;
use super::subject::Subject;
use super::{Context, Error, report};

/// Looks everything up. A claim that cannot be true is dropped on the way.
pub(super) async fn dereference(
    ctx: &Context,
    subject: &Subject,
    claim: &mut Claim,
    catalog: &Catalog,
) -> Result<Dereferenced, Error> {
    let instances = ctx.instances.list();
    if !claim.believed && !is_plausible(ctx, subject, claim, &instances).await {
        *claim = Claim::default();
    }
    let namespace_labels = ctx.world.namespace_labels(&subject.key.namespace);
    let platform = Platform {
        instances: &instances,
        namespace_labels: &namespace_labels,
        catalog,
    };
    let inquiry = inquire(
        &subject.meta,
        &subject.spec,
        platform,
        claim.record.as_ref(),
    );

    let document = document(ctx, subject, &inquiry).await?;
    let requests = inquiry.spec_requests();
    let readings = if requests.is_empty() {
        Readings::default()
    } else {
        let plugins = Arc::clone(&ctx.plugins);
        tokio::task::spawn_blocking(move || plugins.read_specs(&requests)).await?
    };
    let context = inquiry
        .instance()
        .and_then(|instance| ctx.instances.connection(&instance.name))
        .map(|connection| connection.context.clone());
    Ok(Dereferenced {
        readings,
        document,
        exposure: facts(ctx, subject),
        path_holder: None,
        context,
        cluster: ctx.cluster.clone(),
        inquiry,
    })
}

async fn document(
    ctx: &Context,
    subject: &Subject,
    inquiry: &Inquiry,
) -> Result<DocumentFacts, Error> {
    let url = match inquiry.document() {
        DocumentNeed::Nothing => return Ok(DocumentFacts::NotNeeded),
        DocumentNeed::Fetch(url) => url,
    };
    if !inquiry.findings().is_empty() {
        return Ok(DocumentFacts::NotTried);
    }
    // A server far away may take its time; who waits for `implementation.ready`
    // to be there does not.
    report::seen(ctx, subject).await?;
    let allow = inquiry
        .instance()
        .map(|instance| instance.spec.specification.allow_private.clone());
    match ctx
        .fetcher
        .fetch(url.as_str(), &allow.unwrap_or_default())
        .await
    {
        Ok(document) => Ok(DocumentFacts::Fetched(document.text.clone())),
        Err(error) => Ok(DocumentFacts::Failed {
            class: error.class(),
            message: error.to_string(),
        }),
    }
}

/// Whether a claim that somebody else could have written may name the API: it
/// names the one that the object would have anyway, or one that carries the
/// object's mark.
async fn is_plausible(
    ctx: &Context,
    subject: &Subject,
    claim: &Claim,
    instances: &[Arc<operator_core::instance::Instance>],
) -> bool {
    let Some(record) = &claim.record else {
        return false;
    };
    let Some(instance) = instances
        .iter()
        .find(|instance| instance.name == record.instance)
    else {
        return false;
    };
    if mark::api_id(&instance.spec.api_id_prefix, &subject.key).is_ok_and(|id| id == record.api_id)
    {
        return true;
    }
    let Some(connection) = ctx.instances.connection(&record.instance) else {
        return false;
    };
    let mark = OwnershipMark::new(&ctx.cluster, &subject.key);
    connection
        .applier
        .is_marked(&record.api_id, mark.as_str())
        .await
        .unwrap_or(false)
}
