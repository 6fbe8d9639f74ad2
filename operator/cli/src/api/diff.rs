//! `apim-operator api diff`.

use super::args::{ClusterArgs, DiffArgs};
use super::place::Place;
use crate::{Done, cluster, plan};

pub(super) async fn diff(at: &ClusterArgs, args: &DiffArgs) -> anyhow::Result<Done> {
    let place = Place::open(at).await?;
    let chosen = match &args.name {
        Some(name) => {
            let mut object = place.get(name).await?;
            // As it would be applied anew.
            object.metadata.managed_fields = None;
            let only = operator_controller::plan::Selection::Objects(vec![object]);
            (only, Vec::new())
        }
        None => plan::of_files(&args.file, Some(&place.namespace))?,
    };
    plan::show(
        place.client.clone(),
        cluster::look(&args.look)?,
        chosen,
        args.output,
        &place.server,
    )
    .await
}
