//! Faults on demand: what should go wrong, for which calls, how often.

use crate::config::LroMode;
use crate::http::Call;
use parking_lot::Mutex;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// One fault, as it is posted to `/_control/faults`. What a call suffers is
/// the sum of what the fault says: a delay, then a hold, then an answer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that may go wrong beside the others"
)]
pub struct FaultSpec {
    /// The HTTP method, or several with `|` between them; absent: any.
    pub verb: Option<String>,
    /// A regular expression that is searched in path and query; absent: any.
    pub path: Option<String>,
    /// Calls whose `User-Agent` is this do not suffer, and are not counted.
    pub spare_agent: Option<String>,
    /// How many calls suffer; absent: all.
    pub count: Option<u32>,
    /// How many matching calls pass first.
    pub after: u32,
    /// Answer with this status.
    pub status: Option<u16>,
    /// The body of that answer; text is sent as it is, the rest as JSON.
    pub body: Option<Value>,
    /// Headers of that answer.
    pub headers: BTreeMap<String, String>,
    /// Wait so long before anything else.
    pub delay_ms: Option<u64>,
    /// Close the connection instead of answering.
    pub reset: bool,
    /// Do what was asked before `status` or `reset` hides it.
    pub effect: bool,
    /// Block the call until the fault is released or deleted.
    pub hold: bool,
    /// Do what was asked, then block the answer until the fault is released or
    /// deleted.
    pub hold_answer: bool,
    /// Close the connection in the middle of the answer's body; an answer
    /// without a body is reset as a whole.
    pub truncate: bool,
    /// Accept the request as a long-running operation that fails, with this
    /// `{code, message}` or, for `true`, with `InternalServerError`.
    pub lro_failure: Option<Value>,
    /// After the request has succeeded, refuse so many writes to the same API
    /// with 409 `PessimisticConcurrencyConflict`.
    pub lock_after_success: Option<u32>,
    /// Let an import end well although its last so many operations were not
    /// made.
    pub lost_operations: Option<usize>,
    /// Use this shape of long-running operation.
    pub lro: Option<LroMode>,
    /// Let the operation take so many looks.
    pub polls: Option<u32>,
}

struct Fault {
    id: u64,
    spec: FaultSpec,
    path: Option<Regex>,
    seen: u32,
    used: u32,
    released: watch::Sender<bool>,
}

/// What one call has to suffer.
#[derive(Debug, Clone)]
pub(crate) struct Injection {
    pub(crate) id: u64,
    pub(crate) spec: FaultSpec,
    released: watch::Receiver<bool>,
}

impl Injection {
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.spec.delay_ms.map(Duration::from_millis)
    }

    /// Waits until the fault is released or deleted.
    pub(crate) async fn released(&mut self) {
        // An error means that the fault is gone, which releases as well.
        let _ = self.released.wait_for(|released| *released).await;
    }
}

/// All faults that are set, and how many calls are being held.
#[derive(Default)]
pub(crate) struct Faults {
    faults: Mutex<(u64, Vec<Fault>)>,
    pub(crate) held: watch::Sender<usize>,
}

impl Faults {
    /// Sets a fault and returns its id.
    pub(crate) fn add(&self, spec: FaultSpec) -> Result<u64, String> {
        let path = match &spec.path {
            None => None,
            Some(text) => Some(
                Regex::new(text)
                    .map_err(|error| format!("path: `{text}` is no regular expression: {error}"))?,
            ),
        };
        if let Some(status) = spec.status
            && !(200..=599).contains(&status)
        {
            return Err(format!("status: {status} is not between 200 and 599"));
        }
        let mut guard = self.faults.lock();
        guard.0 += 1;
        let id = guard.0;
        guard.1.push(Fault {
            id,
            spec,
            path,
            seen: 0,
            used: 0,
            released: watch::Sender::new(false),
        });
        Ok(id)
    }

    /// The first fault that applies to a call; uses it up by one.
    pub(crate) fn strike(&self, call: &Call) -> Option<Injection> {
        let target = call.target();
        let mut guard = self.faults.lock();
        for fault in &mut guard.1 {
            let verb = fault.spec.verb.as_deref();
            let is_method = |verb: &str| verb.eq_ignore_ascii_case(call.method.as_str());
            let matches = verb.is_none_or(|verb| verb.split('|').any(is_method))
                && fault
                    .path
                    .as_ref()
                    .is_none_or(|path| path.is_match(&target))
                && fault.spec.count.is_none_or(|count| fault.used < count)
                && (fault.spec.spare_agent.is_none()
                    || fault.spec.spare_agent.as_deref() != call.header("user-agent"));
            if !matches {
                continue;
            }
            fault.seen += 1;
            if fault.seen <= fault.spec.after {
                continue;
            }
            fault.used += 1;
            return Some(Injection {
                id: fault.id,
                spec: fault.spec.clone(),
                released: fault.released.subscribe(),
            });
        }
        None
    }

    /// Lets the calls go on that a fault holds; says whether it exists. The
    /// fault holds no further call.
    pub(crate) fn release(&self, id: u64) -> bool {
        let guard = self.faults.lock();
        match guard.1.iter().find(|fault| fault.id == id) {
            Some(fault) => {
                fault.released.send_replace(true);
                true
            }
            None => false,
        }
    }

    /// Deletes one fault, or all; says how many there were.
    pub(crate) fn remove(&self, id: Option<u64>) -> usize {
        let mut guard = self.faults.lock();
        let before = guard.1.len();
        guard.1.retain(|fault| id.is_some_and(|id| fault.id != id));
        before - guard.1.len()
    }

    /// How often each fault that is set was used.
    pub(crate) fn used(&self) -> BTreeMap<u64, u32> {
        let guard = self.faults.lock();
        guard.1.iter().map(|fault| (fault.id, fault.used)).collect()
    }

    /// All faults, with how often each was used.
    pub(crate) fn list(&self) -> Value {
        let guard = self.faults.lock();
        guard
            .1
            .iter()
            .map(|fault| {
                serde_json::json!({
                    "id": fault.id, "seen": fault.seen, "used": fault.used, "fault": fault.spec,
                })
            })
            .collect()
    }
}
