//! `apim-operator api delete`.

use std::time::Duration;

use anyhow::bail;
use kube::api::{DeleteParams, Patch, PatchParams};
use operator_core::names::PREFIX;
use serde_json::{Value, json};

use super::args::{Awaited, ClusterArgs, DeleteArgs};
use super::place::Place;
use super::seen::{SeenApi, Told};
use super::wait;
use crate::Done;

pub(super) async fn delete(at: &ClusterArgs, args: &DeleteArgs) -> anyhow::Result<Done> {
    let place = Place::open(at).await?;
    let name = &args.name;
    place.get(name).await?;
    let objects = place.objects();
    if args.retain {
        let annotations = json!({ format!("{PREFIX}deletion-policy"): "Retain" });
        let patch: Patch<Value> = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let retained = objects
            .patch_metadata(name, &PatchParams::default(), &patch)
            .await;
        retained.map_err(|error| place.refused(error))?;
        may_retain(&place, name).await?;
    }
    let deleted = objects.delete(name, &DeleteParams::default()).await;
    deleted.map_err(|error| place.refused(error))?;
    if args.wait {
        wait::until(&place, name, Awaited::Deleted, args.timeout).await?;
        println!("exposedapi.oda.tmforum.org/{name} deleted");
    } else {
        println!("exposedapi.oda.tmforum.org/{name} is being deleted");
        eprintln!(
            "it goes when what it published is gone: apim-operator api wait {name} --for deleted"
        );
    }
    Ok(Done::Fine)
}

/// Gives the operator time to refuse what the platform does not let owners say:
/// once the deletion has begun, it is too late to take it back.
async fn may_retain(place: &Place, name: &str) -> anyhow::Result<()> {
    const TRIES: u32 = 10;
    for _ in 0..TRIES {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let api = SeenApi::of(&place.get(name).await?);
        if api.state() == "Forbidden" {
            bail!("nothing was deleted: {}", api.sentence());
        }
        if api.told == Told::Current {
            break;
        }
    }
    Ok(())
}
