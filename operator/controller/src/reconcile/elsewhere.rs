//! Objects that the operator of another shard works on: they are counted, and
//! otherwise left alone.

use operator_core::instance::select_instance;
use operator_core::names::ShardName;
use operator_core::shard::{self, LABEL};
use operator_core::validate::{Platform, inquire};

use super::Context;
use super::claim::Claim;
use super::subject::Subject;
use crate::uses::Named;

/// Whether another shard's operator works on the object.
pub(super) fn is_elsewhere(ctx: &Context, subject: &Subject, claim: &Claim) -> bool {
    let assigned = assigned(ctx, subject, claim);
    if ctx.shards.assign(&subject.key, assigned) {
        return false;
    }
    // Should it come back, what is remembered of it would be of long ago.
    ctx.memory.forget(&subject.key);
    ctx.drift.forget(&subject.key);
    ctx.slots.forget(&subject.key);
    ctx.components.forget(&subject.key);
    ctx.events.forget(&subject.key);
    let instances = ctx.instances.list();
    let view = ctx.plugins.registry().view(&subject.key);
    let inquiry = inquire(
        &subject.meta,
        &subject.spec,
        Platform {
            instances: &instances,
            namespace_labels: &ctx.world.namespace_labels(&subject.key.namespace),
            catalog: &view.catalog,
            profiles: &ctx.profiles.all(),
        },
        claim.record.as_ref(),
    );
    ctx.uses.elsewhere(&subject.key, Named::of(&inquiry));
    true
}

fn assigned(ctx: &Context, subject: &Subject, claim: &Claim) -> Option<ShardName> {
    let labels = ctx.world.namespace_labels(&subject.key.namespace);
    let namespace = labels.get(LABEL).map(String::as_str);
    let named = subject.instance();
    let instance = match (named, &claim.record) {
        (None, Some(record)) => Some(record.instance.clone()),
        (named, _) => {
            let instances = ctx.instances.list();
            select_instance(&instances, &subject.key.namespace, &labels, named.as_ref())
                .ok()
                .map(|instance| instance.name.clone())
        }
    };
    let instance = instance.and_then(|name| ctx.instances.shard(&name));
    shard::assigned(namespace, instance.as_deref())
}
