//! The reconcile, on one page: dereference, validate, build, render the policy,
//! apply the exposure, apply to API Management, report.
//!
//! Steps with I/O live in submodules; what they carry out was decided in
//! `operator_core`. Each reconcile of an object works on what is there now and
//! may die at any point: the next one completes what it left.

pub(crate) mod claim;
mod cleanup;
mod dereference;
mod elsewhere;
pub mod exposure;
mod facts;
pub(crate) mod leftovers;
mod monitor;
mod moves;
mod progress;
mod publish;
mod report;
pub(crate) use claim::{APPLIED, Claim, claim};
pub(crate) use dereference::dereference;
pub mod subject;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use kube::runtime::controller::Action;
use operator_core::apim::PlanSummary;
use operator_core::build::build;
use operator_core::class::ErrorClass;
use operator_core::desired::Desired;
use operator_core::names::{ContentHash, FINALIZER, InstanceName};
use operator_core::pace::Pace;
use operator_core::retry::{Next, Outcome};
use operator_core::status::Step;
use operator_core::status::reasons::Reason;
use operator_core::validate::{Dereferenced, Rejection, ValidatedApi, validate};
use tracing::Instrument as _;

use crate::backends::Backends;
use crate::component::Components;
use crate::drift::{Ledger, judge};
use crate::events::Events;
use crate::instances::Instances;
use crate::kept::{KeepError, Kept, Kind, Objects};
use crate::leader::{self, Leadership};
use crate::memory::Memory;
use crate::metrics::{Metrics, ReconcileResult};
use crate::named_values::NamedValues;
use crate::paths::Paths;
use crate::plugins::{Plugins, RenderError};
use crate::products::{Calls, Made};
use crate::profiles::Profiles;
use crate::resource::ExposedApis;
use crate::said;
use crate::seats::{Seat, Seats};
use crate::shards::Shards;
use crate::slots::{Slot, Slots};
use crate::specifications::Specifications;
use crate::uses::{Health, Named, Uses};
use crate::watch::{ADDRESS, Triggers};
use crate::world::World;
use operator_apim::specification::Fetcher;
use subject::Subject;

/// What every reconcile needs.
pub struct Context {
    /// The ExposedAPIs.
    pub objects: Objects,
    /// What kind of object they are.
    pub kind: Kind,
    /// Talks to the cluster.
    pub client: Client,
    /// How the cluster keeps ExposedAPIs.
    pub exposed: ExposedApis,
    /// What is known of the cluster.
    pub world: Arc<World>,
    /// Where APIs are published.
    pub instances: Arc<Instances>,
    /// The owners of APIs in an ODA Canvas.
    pub components: Arc<Components>,
    /// What makes policies.
    pub plugins: Arc<Plugins>,
    /// What objects may name instead of plugins.
    pub profiles: Arc<Profiles>,
    /// The secrets of profiles in API Management.
    pub named_values: Arc<NamedValues>,
    /// The backends of APIs in API Management.
    pub backends: Arc<Backends>,
    /// Who uses which plugin.
    pub uses: Arc<Uses>,
    /// Who asks for which path.
    pub paths: Arc<Paths>,
    /// Asks for reconciles.
    pub triggers: Triggers,
    /// Gets OpenAPI documents.
    pub fetcher: Fetcher,
    /// Those that lie in the cluster.
    pub specifications: Arc<Specifications>,
    /// For people.
    pub events: Events,
    /// For machines.
    pub metrics: Arc<Metrics>,
    /// What is remembered of each object.
    pub memory: Memory,
    /// What is known of changes by others.
    pub drift: Arc<Ledger>,
    /// Products that were made.
    pub made: Made,
    /// Asks for looks at self-hosted gateways.
    pub gateway_calls: Calls,
    /// The UID of the `kube-system` namespace.
    pub cluster: String,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// The lines in front of the instances.
    pub slots: Slots,
    /// Where objects are worked out.
    pub seats: Seats,
    /// How fast pauses pass.
    pub pace: Pace,
    /// What is left to other operators.
    pub shards: Arc<Shards>,
}

/// A reconcile that could not do its work for want of the API server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It refused or did not answer.
    #[error("Kubernetes: {}", said(.0))]
    Kube(#[from] kube::Error),
    /// A thread for plugins ended badly, which is a fault of this program.
    #[error("a thread that calls plugins ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
    /// The object was not kept as it was, which is a fault of this program.
    #[error(transparent)]
    Kept(#[from] KeepError),
}

/// How long a reconcile waits for an API server that gives an error.
const KUBE_PAUSE: Duration = Duration::from_secs(5);
/// How long it waits for the cache to catch up.
const CONFLICT_PAUSE: Duration = Duration::from_millis(200);

/// Reconciles one object.
pub async fn reconcile(object: Arc<Kept>, ctx: Arc<Context>) -> Result<Action, Error> {
    let seat = ctx.seats.sit().await;
    let (key, context) = (object.key(), Arc::clone(&ctx));
    let work = context.memory.work(&key);
    let began = Instant::now();
    let ended = one(object, ctx, seat).await;
    context.slots.ended(&key, began);
    if work.end() {
        context.triggers.again(key.clone(), ADDRESS);
    }
    ended
}

async fn one(object: Arc<Kept>, ctx: Arc<Context>, seat: Seat) -> Result<Action, Error> {
    // It may have changed since it was handed over, and what was remembered
    // beside the earlier one be dropped.
    let object = ctx
        .objects
        .get(&ctx.kind.reference(&object.key()))
        .unwrap_or(object);
    let subject = Subject::open(&object)?;
    let trace = uuid::Uuid::new_v4().simple().to_string();
    let span = tracing::info_span!(
        "reconcile",
        object = %subject.key,
        instance = tracing::field::Empty,
        trace
    );
    async move {
        let _active = ctx.metrics.reconcile_started();
        let started = Instant::now();
        // Large, and thousands may wait.
        let outcome = Box::pin(run(&ctx, &subject, seat)).await;
        let result = match &outcome {
            Ok(End {
                failed: false,
                next: Next::AwaitChange,
            }) => ReconcileResult::Success,
            Ok(End { failed: false, .. }) => ReconcileResult::RequeueAfter,
            Ok(End {
                failed: true,
                next: Next::AwaitChange | Next::Stalled(_),
            }) => ReconcileResult::TerminalError,
            Ok(End { failed: true, .. }) | Err(_) => ReconcileResult::Error,
        };
        ctx.metrics.reconcile_ended(result, started.elapsed());
        tracing::debug!(?result, took = ?started.elapsed(), "reconciled");
        outcome.map(|end| action(end.next))
    }
    .instrument(span)
    .await
}

/// What happens after an error of [`reconcile`].
#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub fn error_policy(object: Arc<Kept>, error: &Error, ctx: Arc<Context>) -> Action {
    // Somebody else wrote in between, or this process itself did and the cache
    // does not show it yet.
    let conflict = matches!(error, Error::Kube(kube::Error::Api(status)) if status.is_conflict());
    let pause = if conflict { CONFLICT_PAUSE } else { KUBE_PAUSE };
    let pause = ctx.pace.of(pause);
    if matches!(error, Error::Kube(error) if leader::is_refusal(error)) {
        // Whoever leads now does it.
        tracing::debug!(object = %object.key(), "left to the replica that leads");
        return Action::await_change();
    }
    tracing::warn!(object = %object.key(), %error, "tried again in {pause:?}");
    Action::requeue(pause)
}

/// How a reconcile ended.
struct End {
    failed: bool,
    next: Next,
}

impl End {
    const DONE: Self = Self {
        failed: false,
        next: Next::AwaitChange,
    };
}

fn action(next: Next) -> Action {
    match next {
        Next::AwaitChange => Action::await_change(),
        Next::Now => Action::requeue(Duration::ZERO),
        Next::After(delay) | Next::Stalled(delay) => Action::requeue(delay),
    }
}

async fn run(ctx: &Context, subject: &Subject, mut seat: Seat) -> Result<End, Error> {
    let mut claim = claim(ctx, subject);
    if elsewhere::is_elsewhere(ctx, subject, &claim) {
        return Ok(End::DONE);
    }
    if subject.meta.deleting {
        drop(seat);
        return leave(ctx, subject, claim).await;
    }
    seat.away(hold(ctx, subject)).await?;

    // dereference
    let view = ctx.plugins.registry().view(&subject.key);
    let input = dereference(ctx, subject, &mut claim, &view.catalog, &mut seat).await?;
    ctx.uses.seen(&subject.key, Named::of(&input.inquiry));

    if let Some(instance) = input.inquiry.instance() {
        tracing::Span::current().record("instance", instance.name.as_str());
    }

    // validate
    if is_early(ctx, subject, &input) {
        return Ok(End::DONE);
    }
    // A config may be large, and its schema is anybody's.
    let checked = tokio::task::spawn_blocking(move || {
        let validated = validate(&input);
        (input, validated)
    });
    let (input, validated) = seat.briefly(checked).await?;
    let validated = match validated {
        Ok(validated) => validated,
        Err(rejection)
            if rejection.reason == Reason::PluginLoading && is_restored(ctx, subject, &claim) =>
        {
            return Ok(End::DONE);
        }
        Err(rejection) => {
            drop(seat);
            ctx.uses
                .ended(&subject.key, health_of(&rejection), view.staged);
            return report::rejected(ctx, subject, &claim, &rejection).await;
        }
    };

    wants(ctx, subject, &validated);

    // build
    let mut desired = build(&validated);

    // render the policy
    let mut stages = Stages {
        policy: seat.briefly(render(ctx, &validated, &mut desired)).await?,
        // What is left alone is there.
        exposure: Step::Done,
        ..Stages::default()
    };

    // what others changed
    let judged = judge::judge(ctx, subject, &validated, &desired, &mut claim);
    let ingress = judge::ingress(ctx, subject, &validated, &desired);
    ctx.backends.mind(&subject.key, &desired);

    // Everything is worked out.
    drop(seat);

    // apply the exposure
    let mut facts = input.exposure.clone();
    if validated.annotations().paused {
        stages.exposure = publish::paused_exposure(&desired);
        let mandatory = if stages.policy == Step::Done {
            publish::follow_mandatory(ctx, subject, &validated, &desired, &mut claim).await
        } else {
            None
        };
        stages.apim = mandatory.unwrap_or_else(|| publish::paused(&desired, &claim));
        if stages.apim == Step::Pending {
            stages.plan = publish::planned(ctx, &desired, &claim).await;
        }
    } else {
        if !ingress.left_alone {
            stages.exposure = exposure::step(ctx, subject, &mut desired, &claim, &mut facts).await;
        }
        monitor::step(ctx, subject, &desired).await?;

        // apply to API Management
        let Turn::Now(_slot) = turn_to_publish(ctx, subject, &desired, &claim, &stages) else {
            return Ok(End::DONE);
        };
        stages.apim = publish::publish(
            ctx, subject, &validated, &desired, &mut claim, &stages, &facts,
        )
        .await?;
        if matches!(stages.apim, Step::Failed { .. }) && !ctx.leadership.may_begin() {
            // No failure of the object's: this process begins nothing any more,
            // and the next one goes on from what is in place.
            report::progressing(ctx, subject, &validated, &desired, &claim, &stages, &facts)
                .await?;
            return Ok(End::DONE);
        }
        if view.checked && stages.apim == Step::Done {
            stages.apim = publish::read_back(ctx, &desired, &claim).await;
        }
        if stages.apim == Step::Done || stages.apim == Step::NotNeeded {
            exposure::remove_unused(ctx, subject, &desired).await;
            if stages.exposure == Step::Done && !ingress.left_alone {
                // The old path, should there be one, is not called any more.
                stages.exposure =
                    exposure::step(ctx, subject, &mut desired, &claim, &mut facts).await;
            }
        }
    }

    stages.apim = judged.lost.unwrap_or(stages.apim);
    judge::settled(ctx, subject, &validated, &desired, &claim, &stages.apim);
    judge::exposed(ctx, subject, &desired, &ingress, &stages.exposure);

    // report
    ctx.uses
        .ended(&subject.key, health(&stages), view.staged.clone());
    report::built(ctx, subject, &validated, &desired, &claim, &stages, &facts).await
}

/// Cleans up after an object that is being deleted, when its turn comes.
async fn leave(ctx: &Context, subject: &Subject, claim: Claim) -> Result<End, Error> {
    let instance = claim.record.map(|record| record.instance);
    let Turn::Now(_slot) = turn(ctx, subject, instance) else {
        return Ok(End::DONE);
    };
    cleanup::cleanup(ctx, subject).await
}

/// Whether an object may call its instance now.
enum Turn {
    /// Yes, while it keeps the place; it needs none where nobody is called.
    Now(Option<Slot>),
    /// Its turn comes, with a reconcile; until then its worker works for
    /// others.
    Later,
}

fn turn_to_publish(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    claim: &Claim,
    stages: &Stages,
) -> Turn {
    if let Some(instance) = publish::awaits_address(desired, stages) {
        ctx.slots.expect(instance, &subject.key);
    }
    turn(ctx, subject, publish::place(desired, claim, stages))
}

fn turn(ctx: &Context, subject: &Subject, instance: Option<InstanceName>) -> Turn {
    match instance {
        None => Turn::Now(None),
        Some(instance) => ctx
            .slots
            .enter(&instance, &subject.key)
            .map_or(Turn::Later, |slot| Turn::Now(Some(slot))),
    }
}

/// Remembers which documents of the platform the object's plugins work on.
fn wants(ctx: &Context, subject: &Subject, validated: &ValidatedApi) {
    let documents = validated.chain().iter().filter_map(|plugin| {
        let wanted = operator_core::documents::wanted(plugin, None).ok()?;
        Some(wanted.into_iter().map(|wanted| wanted.key))
    });
    ctx.uses.wants(&subject.key, documents.flatten().collect());
}

/// Whether nothing can be said yet that the object's status does not say
/// better: its instance is being connected, which ends in a reconcile. Without
/// this, each start of the operator would call every API not ready for a
/// moment, and write that to the cluster twice.
fn is_early(ctx: &Context, subject: &Subject, input: &Dereferenced) -> bool {
    input.inquiry.in_api_management()
        && input.context.is_none()
        && has_conditions(subject)
        && ctx.instances.is_connecting()
}

/// Whether an earlier process published the object and this one has not looked
/// at it yet; what it waits for, a plugin that is being loaded, ends in a
/// reconcile.
fn is_restored(ctx: &Context, subject: &Subject, claim: &Claim) -> bool {
    claim.record.is_some()
        && ctx.memory.confirmed(&subject.key).is_none()
        && has_conditions(subject)
}

fn has_conditions(subject: &Subject) -> bool {
    subject
        .status
        .as_ref()
        .is_some_and(|status| status.get("conditions").is_some())
}

/// How far the steps with I/O came.
struct Stages {
    exposure: Step,
    policy: Step,
    apim: Step,
    /// What would be written, were the object not paused.
    plan: Option<PlanSummary>,
}

impl Default for Stages {
    fn default() -> Self {
        Self {
            exposure: Step::Pending,
            policy: Step::Pending,
            apim: Step::Pending,
            plan: None,
        }
    }
}

/// How an object fares that goes no further.
fn health_of(rejection: &Rejection) -> Health {
    if rejection.class == ErrorClass::Invalid {
        Health::Refused(rejection.to_string())
    } else {
        Health::Pending
    }
}

/// How an object fares with the plugins that it has.
fn health(stages: &Stages) -> Health {
    let steps = [&stages.exposure, &stages.policy, &stages.apim];
    let refused = steps.iter().find_map(|step| match step {
        Step::Failed {
            class: ErrorClass::Invalid | ErrorClass::Denied,
            message,
            ..
        } => Some(message.clone()),
        _ => None,
    });
    match refused {
        Some(message) => Health::Refused(message),
        None if matches!(stages.apim, Step::Done | Step::NotNeeded) => Health::Published,
        None => Health::Pending,
    }
}

/// Sees that the object cannot go before the operator has cleaned up. Comes
/// before anything that would have to be cleaned up.
async fn hold(ctx: &Context, subject: &Subject) -> Result<(), Error> {
    #[cfg(feature = "defects")]
    if operator_apim::defects::is_on(operator_apim::defects::Defect::ForgetsFinalizer) {
        return Ok(());
    }
    let version = subject.resource_version.as_deref();
    if subject.is_held() || ctx.memory.is_held(&subject.key, version) {
        return Ok(());
    }
    let mut finalizers = subject.finalizers.clone();
    finalizers.push(FINALIZER.to_owned());
    ctx.metrics.kube_write("ExposedAPI");
    let held = ctx
        .exposed
        .set_finalizers(&subject.key, &finalizers, version)
        .await?;
    ctx.memory.held(&subject.key, held.as_deref());
    Ok(())
}

/// Renders the policy into the desired state.
async fn render(
    ctx: &Context,
    validated: &ValidatedApi,
    desired: &mut Desired,
) -> Result<Step, Error> {
    if desired.api.is_none() {
        return Ok(Step::NotNeeded);
    }
    let plugins = Arc::clone(&ctx.plugins);
    let (validated, snapshot) = (validated.clone(), desired.clone());
    let rendered =
        tokio::task::spawn_blocking(move || plugins.render(&validated, &snapshot)).await?;
    match rendered {
        Ok(rendered) => {
            desired.take(rendered);
            Ok(ctx.named_values.check(desired))
        }
        Err(error) => Ok(failed_render(&error)),
    }
}

fn failed_render(error: &RenderError) -> Step {
    // Time is the one thing in a plugin's call that does not depend on its
    // input alone: on a busy machine, the next attempt may do.
    match error.step() {
        Step::Failed {
            reason: reason @ Reason::PluginTimeout,
            message,
            ..
        } => Step::Failed {
            reason,
            class: ErrorClass::Transient,
            message,
        },
        step => step,
    }
}

/// What an attempt was made with: while it is the same, failures add up.
fn input_hash(desired: &Desired, retry: Option<&str>) -> ContentHash {
    let policy = desired
        .policy
        .as_ref()
        .map(|policy| (&policy.api.hash, policy.hash()));
    let object = desired.exposure.object().map(|_| &desired.exposure);
    let protections = &desired.protections;
    let backends = &desired.backends;
    let secrets: Vec<_> = desired
        .named_values
        .iter()
        .map(|value| (&value.id, &value.version))
        .collect();
    ContentHash::of_json(&(
        &desired.instance,
        &desired.api,
        policy,
        object,
        (protections, backends),
        secrets,
        retry,
    ))
}

/// Turns the stages into what happens next.
fn next(ctx: &Context, subject: &Subject, input: &ContentHash, stages: &Stages) -> End {
    let failure = [&stages.exposure, &stages.policy, &stages.apim]
        .into_iter()
        .find_map(|step| match step {
            Step::Failed { class, .. } => Some((*class, step)),
            _ => None,
        });
    match failure {
        None => {
            ctx.memory.ended(&subject.key, input, Outcome::Done, None);
            End::DONE
        }
        Some((class, step)) => {
            if let Some((left, _)) = ctx.memory.waits(&subject.key, input) {
                return End {
                    failed: true,
                    next: Next::After(left),
                };
            }
            let next = ctx.memory.ended(
                &subject.key,
                input,
                Outcome::Failed(class),
                Some(step.clone()),
            );
            End { failed: true, next }
        }
    }
}
