//! The main loop of the replica that leads.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::controller::{Config, Controller};
use kube::runtime::reflector::ObjectRef;
use operator_core::names::ObjectKey;
use tokio::sync::mpsc;

use super::set_up::Ready;
use super::stop::Stop;
use crate::kept::Kept;
use crate::leader::Leadership;
use crate::reconcile::{Context, error_policy, reconcile};
use crate::watch::{ADDRESS, Trigger};

/// Once the process is asked to stop, writes to Azure are begun for so long:
/// what is under way is brought to its end rather than cut off.
const BEGINNING: Duration = Duration::from_secs(10);
/// And then what is under way gets so long.
const FINISHING: Duration = Duration::from_secs(15);
/// Several changes that come at once are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// Reconciles until the process is asked to stop, and finishes what is under
/// way.
pub(super) async fn control(ready: Ready, leadership: &Leadership, stop: &Stop) {
    let Ready {
        context,
        concurrency,
        pending,
        ..
    } = ready;
    let (objects, kind) = (context.objects.clone(), context.kind.clone());
    let triggered = triggered(pending, Arc::clone(&context));
    // The watch asks for reconciles as everything else does.
    let controller = Controller::for_stream_with(futures::stream::pending(), objects, kind)
        .with_config(
            Config::default()
                .concurrency(concurrency)
                .debounce(DEBOUNCE),
        )
        .reconcile_on(triggered)
        .graceful_shutdown_on(stop.clone().asked())
        .run(reconcile, error_policy, Arc::clone(&context))
        .for_each(|_| std::future::ready(()));
    let deadline = async {
        stop.clone().asked().await;
        tracing::info!(
            "stopping: reconciles under way get {:?} to finish",
            BEGINNING + FINISHING
        );
        tokio::time::sleep(BEGINNING).await;
        leadership.close();
        tokio::time::sleep(FINISHING).await;
        tracing::warn!("stopped with reconciles under way; the next leader completes them");
    };
    tokio::select! {
        () = controller => {}
        () = deadline => {}
    }
}

/// Triggers as references to objects that are there.
fn triggered(
    pending: mpsc::UnboundedReceiver<Trigger>,
    context: Arc<Context>,
) -> impl futures::Stream<Item = ObjectRef<Kept>> + Send {
    let pending = futures::stream::unfold(pending, async |mut pending| {
        let trigger = pending.recv().await?;
        Some((trigger, pending))
    });
    pending.flat_map(move |trigger| {
        let (objects, kind) = (&context.objects, &context.kind);
        let references: Vec<_> = match trigger {
            Trigger::One(key, ADDRESS) if is_late(&context, &key) => Vec::new(),
            Trigger::One(key, _) => {
                let reference = kind.reference(&key);
                objects
                    .get(&reference)
                    .map(|_| reference)
                    .into_iter()
                    .collect()
            }
            Trigger::All(_) => objects
                .state()
                .iter()
                .map(|object| kind.reference(&object.key()))
                .collect(),
        };
        futures::stream::iter(references)
    })
}

/// Whether the address of an object's exposure is looked at later: one that
/// stands in line for its instance is reconciled when its turn comes, and
/// reports the address then, without a reconcile of its own for that.
///
/// A reconcile that runs is asked first: it may have looked for the address
/// already, whoever called it, and what it leaves is known when it has ended.
fn is_late(context: &Context, key: &ObjectKey) -> bool {
    context.memory.addressed(key) || context.slots.arrives(key)
}
