//! How far each stage came, and what the conditions say of it.

use super::conditions::{Condition, find};
use super::reasons::{Reason, conditions};
use super::{DriftSeen, Observation, Outcome, summary};
use crate::class::ErrorClass;
use crate::desired::{Desired, Exposure};
use crate::exposed_api::Implementation;
use crate::exposure::{ExposureFacts, ServiceReach, origin};
use crate::validate::ValidatedApi;

/// How far one step with I/O came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is done.
    Done,
    /// There is nothing to do for this API.
    NotNeeded,
    /// It was not reached.
    Pending,
    /// It is under way.
    Running {
        /// What is being done.
        message: String,
    },
    /// It failed.
    Failed {
        /// Why, in a word.
        reason: Reason,
        /// What happens next.
        class: ErrorClass,
        /// Why, in a sentence.
        message: String,
    },
}

impl Step {
    /// A failure whose class says enough.
    #[must_use]
    pub fn failed(class: ErrorClass, message: impl Into<String>) -> Self {
        let reason = match class {
            ErrorClass::Invalid => Reason::Rejected,
            ErrorClass::Waiting => Reason::Pending,
            ErrorClass::Conflict => Reason::Conflict,
            ErrorClass::Throttled(_) => Reason::Throttled,
            ErrorClass::Transient => Reason::Failed,
            ErrorClass::Denied => Reason::Denied,
        };
        Self::Failed {
            reason,
            class,
            message: message.into(),
        }
    }

    /// The sentence of a failure.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { message, .. } => Some(message),
            Self::Done | Self::NotNeeded | Self::Pending | Self::Running { .. } => None,
        }
    }
}

/// One stage: whether it holds, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stage {
    state: State,
    reason: Reason,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Holds,
    /// It will be tried again without anybody's doing.
    Waits,
    /// Nothing happens until somebody does something.
    Stuck,
}

impl Stage {
    fn new(state: State, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            state,
            reason,
            message: message.into(),
        }
    }

    fn of(step: &Step, done: Reason, done_message: &str) -> Self {
        match step {
            Step::Done => Self::new(State::Holds, done, done_message),
            Step::NotNeeded => Self::new(
                State::Holds,
                Reason::NotNeeded,
                "not needed for this type of API",
            ),
            Step::Pending => {
                Self::new(State::Waits, Reason::Pending, "an earlier step is not done")
            }
            Step::Running { message } => Self::new(State::Waits, Reason::Progressing, message),
            Step::Failed {
                reason,
                class,
                message,
            } => Self::new(state(*class, *reason), *reason, message),
        }
    }
}

const fn state(class: ErrorClass, reason: Reason) -> State {
    match (class, reason) {
        (ErrorClass::Invalid, _) | (_, Reason::RetriesExhausted) => State::Stuck,
        _ => State::Waits,
    }
}

/// The stages of one object.
pub(super) struct Stages {
    /// What is the same for all of them.
    overall: Option<Stage>,
    exposure: Stage,
    policy: Stage,
    apim: Stage,
    url: Option<String>,
    paused: bool,
    deleting: bool,
}

pub(super) fn stages(observation: &Observation<'_>) -> Stages {
    // One sentence for the whole; each stage points to it.
    let all = |stage: Stage| {
        let each = Stage::new(stage.state, stage.reason, "see the condition Ready");
        Stages {
            overall: Some(stage),
            exposure: each.clone(),
            policy: each.clone(),
            apim: each,
            url: None,
            paused: false,
            deleting: false,
        }
    };
    match observation.outcome {
        Outcome::Seen => all(Stage::new(
            State::Waits,
            Reason::Pending,
            "not looked at yet",
        )),
        Outcome::Rejected(rejection) => all(Stage::new(
            state(rejection.class, rejection.reason),
            rejection.reason,
            summary(&rejection.problems),
        )),
        Outcome::Deleting(step) => Stages {
            deleting: true,
            ..all(match step {
                Step::Failed { .. } => Stage::of(step, Reason::Deleting, ""),
                Step::Running { message } => Stage::new(State::Waits, Reason::Deleting, message),
                Step::Done | Step::NotNeeded | Step::Pending => Stage::new(
                    State::Waits,
                    Reason::Deleting,
                    "the object is being deleted",
                ),
            })
        },
        Outcome::Built {
            validated,
            desired,
            exposure,
            policy,
            apim,
            plan: _,
        } => Stages {
            overall: None,
            exposure: exposed(validated, desired, observation.facts, exposure),
            policy: Stage::of(policy, Reason::Rendered, "the policy is rendered"),
            apim: synced(desired, apim),
            url: validated.url(),
            paused: validated.annotations().paused,
            deleting: false,
        },
    }
}

fn synced(desired: &Desired, step: &Step) -> Stage {
    let rollback = desired.api.as_ref().and_then(|api| api.rollback.as_ref());
    if let Some(rollback) = rollback {
        let message = format!(
            "callers reach revision {}, as the annotation `rollback` says; what else the object says has no effect \
             until that is removed",
            rollback.revision
        );
        return Stage::of(step, Reason::RolledBack, &message);
    }
    let message = "API Management has the API and its policy";
    Stage::of(step, Reason::Synced, message)
}

fn exposed(
    validated: &ValidatedApi,
    desired: &Desired,
    facts: &ExposureFacts,
    step: &Step,
) -> Stage {
    let waits = |reason, message: String| Stage::new(State::Waits, reason, message);
    if !matches!(step, Step::Done | Step::NotNeeded) {
        return Stage::of(step, Reason::Exposed, "");
    }
    let address = match &desired.exposure {
        Exposure::External { url: Some(url) } => {
            return Stage::new(
                State::Holds,
                Reason::Exposed,
                format!("the implementation is at {url}"),
            );
        }
        Exposure::External { url: None } => {
            let message = match facts.service.as_ref().map(|service| &service.reach) {
                Some(ServiceReach::Named(host)) => format!(
                    "the Service is another name for `{host}`, a host that the instance does not allow (`allow.backendHosts`)"
                ),
                _ => "the OpenAPI document names no https server whose host the instance allows \
                      (`allow.backendHosts`)"
                    .to_owned(),
            };
            return Stage::new(State::Stuck, Reason::NoBackend, message);
        }
        Exposure::InCluster { url } => url.clone(),
        object => match origin(object, facts) {
            Some(Ok(origin)) => origin.address,
            Some(Err(wait)) => return waits(wait.reason, wait.message),
            None => String::new(),
        },
    };
    let service = match &validated.api().implementation {
        Implementation::Service(service) => service.as_str(),
        Implementation::External => return Stage::new(State::Holds, Reason::Exposed, address),
    };
    if !facts.service_exists {
        return waits(
            Reason::NoService,
            format!("Service `{service}` (spec.implementation) does not exist in this namespace"),
        );
    }
    if !facts.ready_endpoints {
        return waits(
            Reason::NoReadyEndpoints,
            format!("Service `{service}` has no ready endpoint"),
        );
    }
    for service in &validated.services {
        let known = facts.routed.get(service).cloned().unwrap_or_default();
        if !known.exists {
            return waits(
                Reason::NoService,
                format!("Service `{service}` (routes) does not exist in this namespace"),
            );
        }
        if !known.ready {
            return waits(
                Reason::NoReadyEndpoints,
                format!("Service `{service}` (routes) has no ready endpoint"),
            );
        }
    }
    if let Some(trouble) = facts.gateway.as_ref().and_then(|one| one.trouble.as_ref()) {
        return waits(Reason::GatewayNotReady, trouble.clone());
    }
    Stage::new(
        State::Holds,
        Reason::Exposed,
        format!("exposed at {address}"),
    )
}

impl Stages {
    fn each(&self) -> [&Stage; 3] {
        [&self.exposure, &self.policy, &self.apim]
    }

    /// Whether everything holds. Never before there is a URL: who sees `ready`
    /// reads the URL next.
    pub(super) fn ready(&self) -> bool {
        !self.deleting
            && self.url.is_some()
            && self.each().into_iter().all(|s| s.state == State::Holds)
    }

    pub(super) fn conditions(&self, observation: &Observation<'_>) -> Vec<Condition> {
        let condition = |kind, status, reason, message: &str| Condition {
            kind,
            status,
            reason,
            message: summary::cut(message, summary::MAX_MESSAGE),
        };
        let of = |kind, stage: &Stage| {
            condition(
                kind,
                stage.state == State::Holds,
                stage.reason,
                &stage.message,
            )
        };
        let mut all = vec![
            self.ready_condition(observation, condition),
            self.reconciling(condition),
            self.stalled(condition),
            of(conditions::EXPOSURE_READY, &self.exposure),
            of(conditions::POLICY_RENDERED, &self.policy),
            of(conditions::APIM_SYNCED, &self.apim),
        ];
        match observation.drift {
            DriftSeen::Differs { report, why } => all.push(condition(
                conditions::DRIFTED,
                true,
                why,
                &report.to_string(),
            )),
            // Who never drifted has no such condition.
            DriftSeen::InPlace if find(observation.previous, conditions::DRIFTED).is_some() => {
                all.push(condition(
                    conditions::DRIFTED,
                    false,
                    Reason::InPlace,
                    "nothing differs from what was put in place",
                ));
            }
            DriftSeen::InPlace | DriftSeen::NotYet => {}
        }
        all
    }

    fn ready_condition(
        &self,
        observation: &Observation<'_>,
        condition: impl Fn(&'static str, bool, Reason, &str) -> Condition,
    ) -> Condition {
        let Some(url) = self.url.as_ref().filter(|_| self.ready()) else {
            let first = self
                .first(State::Stuck)
                .or_else(|| self.first(State::Waits));
            let (reason, message) = first
                .map_or((Reason::Pending, "there is no URL yet"), |stage| {
                    (stage.reason, stage.message.as_str())
                });
            return if self.paused {
                let message = format!("the object is paused; before that: {message}");
                condition(conditions::READY, false, Reason::Paused, &message)
            } else {
                condition(conditions::READY, false, reason, message)
            };
        };
        let (warnings, asks) = match observation.outcome {
            Outcome::Built {
                validated, desired, ..
            } => (desired.warnings.len(), validated.asks()),
            _ => (0, None),
        };
        let asks = asks.map_or_else(String::new, |asks| format!(" for calls with {asks}"));
        let warned = match warnings {
            0 => String::new(),
            1 => "; there is a warning in status.warnings".to_owned(),
            n => format!("; there are {n} warnings in status.warnings"),
        };
        let paused = if self.paused {
            "; paused, so changes have no effect"
        } else {
            ""
        };
        let back = match observation.outcome {
            Outcome::Built { desired, .. } => {
                desired.api.as_ref().and_then(|api| api.rollback.as_ref())
            }
            _ => None,
        };
        let back = back.map_or_else(String::new, |back| {
            format!("; led back to revision {}", back.revision)
        });
        let message = format!("published at {url}{asks}{warned}{paused}{back}");
        condition(conditions::READY, true, Reason::Published, &message)
    }

    fn reconciling(
        &self,
        condition: impl Fn(&'static str, bool, Reason, &str) -> Condition,
    ) -> Condition {
        const KIND: &str = conditions::RECONCILING;
        // What is stuck is not being worked on, whatever waits behind it.
        match self.first(State::Waits) {
            _ if self.paused => condition(
                KIND,
                false,
                Reason::Paused,
                "annotation `paused` is set: nothing but status is written",
            ),
            Some(stage) if self.first(State::Stuck).is_none() => {
                condition(KIND, true, stage.reason, &stage.message)
            }
            _ => condition(KIND, false, Reason::Done, "nothing is under way"),
        }
    }

    fn stalled(
        &self,
        condition: impl Fn(&'static str, bool, Reason, &str) -> Condition,
    ) -> Condition {
        self.first(State::Stuck).map_or_else(
            || condition(conditions::STALLED, false, Reason::Done, "nothing is stuck"),
            |stage| condition(conditions::STALLED, true, stage.reason, &stage.message),
        )
    }

    fn first(&self, state: State) -> Option<&Stage> {
        self.overall
            .iter()
            .chain(self.each())
            .find(|stage| stage.state == state)
    }
}
