//! `apim-operator api wait`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher;

use super::args::{Awaited, ClusterArgs, WaitArgs};
use super::place::Place;
use super::seen::{SeenApi, Told};
use crate::Done;

pub(super) async fn wait(at: &ClusterArgs, args: &WaitArgs) -> anyhow::Result<Done> {
    let place = Place::open(at).await?;
    until(&place, &args.name, args.awaited, args.timeout).await?;
    Ok(Done::Fine)
}

/// How long the operator is given to look at what has just been changed. A
/// change of annotations alone leaves no trace in status until it has, and
/// where it changes nothing it leaves none at all.
const GRACE: Duration = Duration::from_secs(2);

/// What of an object's state ends the waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// What was waited for is so.
    Reached,
    /// It will not be, unless somebody changes something.
    Hopeless(String),
    /// Not yet; this is the state.
    NotYet(String),
}

/// Waits, and tells on stderr how far it is whenever that changes.
pub(super) async fn until(
    place: &Place,
    name: &str,
    awaited: Awaited,
    timeout: Duration,
) -> anyhow::Result<()> {
    let objects = place.objects();
    let found = objects.get_opt(name).await;
    match (found.map_err(|error| place.refused(error))?, awaited) {
        (None, Awaited::Deleted) => return Ok(()),
        (None, Awaited::Ready) => bail!("{}", place.absent(name).await),
        (Some(_), _) => {}
    }
    let mut said = String::new();
    let watched = async {
        let mut changes = std::pin::pin!(watcher::watch_object(objects, name));
        let mut grace = std::pin::pin!(tokio::time::sleep(GRACE));
        let mut seen = None;
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(Ok(object)) => seen = Some(object),
                    // The watcher begins anew by itself; a right that is
                    // missing does not come by waiting.
                    Some(Err(watcher::Error::InitialListFailed(error))) => {
                        return Err(place.refused(error));
                    }
                    Some(Err(_)) => {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        continue;
                    }
                    None => return Ok(()),
                },
                () = &mut grace, if !grace.is_elapsed() => {}
            }
            let Some(object) = &seen else { continue };
            match verdict(object.as_ref(), awaited, !grace.is_elapsed()) {
                Verdict::Reached => {
                    if let (Awaited::Ready, Some(object)) = (awaited, object) {
                        eprintln!("{}", SeenApi::of(object).sentence());
                    }
                    return Ok(());
                }
                Verdict::Hopeless(why) => bail!("{name} is stuck: {why}"),
                Verdict::NotYet(state) if state != said => {
                    eprintln!("{state}");
                    said = state;
                }
                Verdict::NotYet(_) => {}
            }
        }
    };
    let waited = tokio::time::timeout(timeout, watched).await;
    let what = match awaited {
        Awaited::Ready => "ready",
        Awaited::Deleted => "gone",
    };
    waited.with_context(|| {
        format!("{name} is not {what} after {timeout:?}; --timeout waits longer")
    })?
}

fn verdict(object: Option<&DynamicObject>, awaited: Awaited, may_be_late: bool) -> Verdict {
    let Some(api) = object.map(SeenApi::of) else {
        return match awaited {
            Awaited::Deleted => Verdict::Reached,
            Awaited::Ready => Verdict::Hopeless("it was deleted".to_owned()),
        };
    };
    let current = api.told != Told::Earlier;
    let stalled = current && api.says("Stalled");
    match awaited {
        Awaited::Ready if api.deleting => Verdict::Hopeless("it is being deleted".to_owned()),
        Awaited::Ready if may_be_late && api.told == Told::PerhapsEarlier => {
            Verdict::NotYet("the operator is looking at the last change".to_owned())
        }
        Awaited::Ready if api.ready && current => Verdict::Reached,
        Awaited::Deleted if !api.deleting => {
            Verdict::Hopeless("nobody has asked for its deletion".to_owned())
        }
        Awaited::Ready if stalled => Verdict::Hopeless(api.sentence()),
        _ if !current => Verdict::NotYet("the operator has not looked at it yet".to_owned()),
        _ => Verdict::NotYet(api.sentence()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::tests::{published, refused};
    use super::*;

    #[test]
    fn an_api_is_waited_for_until_status_speaks_of_it_as_it_is_and_is_well() {
        let mut object = published();
        assert_eq!(
            verdict(Some(&object), Awaited::Ready, false),
            Verdict::Reached
        );
        object.metadata.generation = Some(9);
        assert_eq!(
            verdict(Some(&object), Awaited::Ready, false),
            Verdict::NotYet("the operator has not looked at it yet".to_owned())
        );
    }

    #[test]
    fn a_change_of_annotations_alone_is_given_time_to_be_seen() {
        let written = |manager: &str, time: &str| {
            serde_json::from_value(
                serde_json::json!({"manager": manager, "operation": "Apply", "time": time}),
            )
            .unwrap()
        };
        let mut object = published();
        let told = written("apim-operator", "2026-11-21T10:00:05Z");
        for (changed, late) in [
            ("2026-11-21T10:00:04Z", false),
            ("2026-11-21T10:00:05Z", true),
        ] {
            object.metadata.managed_fields = Some(vec![
                written("kubectl", changed),
                written("apim-operator", "2026-11-21T10:00:05Z"),
            ]);
            let found = verdict(Some(&object), Awaited::Ready, true);
            assert_eq!(matches!(found, Verdict::NotYet(_)), late, "{changed}");
            assert_eq!(
                verdict(Some(&object), Awaited::Ready, false),
                Verdict::Reached
            );
        }
        object.metadata.managed_fields = Some(vec![told]);
        assert_eq!(
            verdict(Some(&object), Awaited::Ready, true),
            Verdict::Reached
        );
    }

    #[test]
    fn nobody_waits_for_what_only_a_change_can_mend() {
        let Verdict::Hopeless(why) = verdict(Some(&refused()), Awaited::Ready, false) else {
            panic!("it waits");
        };
        assert_eq!(
            why,
            "Invalid: annotation `plugins`: there is no plugin `crs`; did you mean `cors`?"
        );
        let mut changed = refused();
        changed.metadata.generation = Some(4);
        assert!(
            matches!(
                verdict(Some(&changed), Awaited::Ready, false),
                Verdict::NotYet(_)
            ),
            "the change may have mended it"
        );
    }

    #[test]
    fn a_deletion_is_waited_for_once_it_was_asked_for() {
        let mut object = published();
        assert!(matches!(
            verdict(Some(&object), Awaited::Deleted, false),
            Verdict::Hopeless(_)
        ));
        object.metadata.deletion_timestamp = object.metadata.creation_timestamp.clone();
        assert!(matches!(
            verdict(Some(&object), Awaited::Deleted, false),
            Verdict::NotYet(_)
        ));
        assert!(matches!(
            verdict(Some(&object), Awaited::Ready, false),
            Verdict::Hopeless(_)
        ));
        assert_eq!(verdict(None, Awaited::Deleted, false), Verdict::Reached);
    }
}
