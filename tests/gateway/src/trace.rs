//! What happened to a request, policy by policy.

use crate::compile::{Scope, Section, Step};
use crate::exchange::Exchange;
use apim_expressions::MultiMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

/// How many traces are kept.
const KEPT: usize = 200;
/// Headers whose values a trace does not show: it is read by more people than
/// the request was meant for.
const SECRET: [&str; 6] = [
    "authorization",
    "cookie",
    "set-cookie",
    "ocp-apim-subscription-key",
    "apim-debug-authorization",
    "proxy-authorization",
];

/// One traced request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// Its number, as the header `Apim-Trace-Id` tells it.
    pub trace_id: String,
    /// The service.
    pub service: String,
    /// When the request came.
    pub time: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub url: String,
    /// The matched API's id.
    pub api: Option<String>,
    /// The matched operation's id.
    pub operation: Option<String>,
    /// What it was answered.
    pub status: u16,
    /// How long that took, in microseconds.
    pub duration_us: u64,
    /// The policies, in the order in which they began.
    pub entries: Vec<TraceEntry>,
}

/// One policy of a traced request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceEntry {
    /// The policy.
    pub policy: String,
    /// Where its document is attached.
    pub scope: Scope,
    /// The section it stands in.
    pub section: Section,
    /// Its place in the section.
    pub path: String,
    /// When it began, in microseconds from the request's beginning.
    pub start_us: u64,
    /// How long it took, in microseconds, policies inside it included.
    pub duration_us: u64,
    /// What is different after it.
    pub changes: Vec<TraceChange>,
    /// What it says.
    pub messages: Vec<String>,
    /// How it failed.
    pub error: Option<String>,
}

/// One difference that a policy made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TraceChange {
    /// What changed, as `request header X-Team`.
    pub what: String,
    /// What it was.
    pub from: Option<String>,
    /// What it is.
    pub to: Option<String>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} {} -> {} in {} ms",
            self.method,
            self.url,
            self.status,
            milliseconds(self.duration_us)
        )?;
        writeln!(
            f,
            "trace {} at {}, api {}, operation {}",
            self.trace_id,
            self.time,
            self.api.as_deref().unwrap_or("-"),
            self.operation.as_deref().unwrap_or("-")
        )?;
        let mut section = None;
        for entry in &self.entries {
            if section != Some(entry.section) {
                section = Some(entry.section);
                writeln!(f, "{}", entry.section.name())?;
            }
            let depth = entry.path.matches('/').count();
            writeln!(
                f,
                "  {:>9} ms  {:<9} {}{} ({} ms)",
                milliseconds(entry.start_us),
                entry.scope.to_string(),
                "  ".repeat(depth),
                entry.policy,
                milliseconds(entry.duration_us),
            )?;
            let indent = " ".repeat(27 + 2 * depth);
            for change in &entry.changes {
                match (&change.from, &change.to) {
                    (None, Some(to)) => writeln!(f, "{indent}+ {}: {to}", change.what)?,
                    (Some(from), None) => writeln!(f, "{indent}- {}: {from}", change.what)?,
                    (from, to) => writeln!(
                        f,
                        "{indent}~ {}: {} -> {}",
                        change.what,
                        from.as_deref().unwrap_or_default(),
                        to.as_deref().unwrap_or_default()
                    )?,
                }
            }
            for message in &entry.messages {
                writeln!(f, "{indent}{message}")?;
            }
            if let Some(error) = &entry.error {
                writeln!(f, "{indent}! {error}")?;
            }
        }
        Ok(())
    }
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}

/// Writes the trace of one request.
pub(crate) struct Recorder {
    began: std::time::Instant,
    entries: Vec<TraceEntry>,
    open: Vec<(usize, Seen)>,
}

/// What a trace compares.
#[derive(Clone, Default)]
struct Seen(BTreeMap<String, String>);

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            began: std::time::Instant::now(),
            entries: Vec::new(),
            open: Vec::new(),
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A word of the policy that runs.
    pub(crate) fn message(&mut self, message: String) {
        if let Some((at, _)) = self.open.last() {
            self.entries[*at].messages.push(message);
        }
    }
}

/// A policy begins.
pub(crate) fn begin(exchange: &mut Exchange, step: &Step) {
    let Some(mut recorder) = exchange.trace.take() else {
        return;
    };
    let start_us = recorder.elapsed();
    recorder.entries.push(TraceEntry {
        policy: step.name.clone(),
        scope: step.scope,
        section: step.section,
        path: step.path.clone(),
        start_us,
        duration_us: 0,
        changes: Vec::new(),
        messages: Vec::new(),
        error: None,
    });
    let at = recorder.entries.len() - 1;
    recorder.open.push((at, seen(exchange)));
    exchange.trace = Some(recorder);
}

/// The policy that began last has ended.
pub(crate) fn end(exchange: &mut Exchange, error: Option<&str>) {
    let Some(mut recorder) = exchange.trace.take() else {
        return;
    };
    let now = recorder.elapsed();
    if let Some((at, before)) = recorder.open.pop() {
        // What policies inside it changed is told there.
        let nested = recorder.entries.len() > at + 1;
        let entry = &mut recorder.entries[at];
        entry.duration_us = now.saturating_sub(entry.start_us);
        entry.error = error.map(str::to_owned);
        if !nested {
            entry.changes = changes(&before.0, &seen(exchange).0);
        }
    }
    exchange.trace = Some(recorder);
}

fn changes(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<TraceChange> {
    let mut changes = Vec::new();
    for (what, from) in before {
        let to = after.get(what);
        if to != Some(from) {
            changes.push(TraceChange {
                what: what.clone(),
                from: Some(from.clone()),
                to: to.cloned(),
            });
        }
    }
    for (what, to) in after {
        if !before.contains_key(what) {
            changes.push(TraceChange {
                what: what.clone(),
                from: None,
                to: Some(to.clone()),
            });
        }
    }
    changes
}

fn seen(exchange: &Exchange) -> Seen {
    let mut seen = BTreeMap::new();
    let context = &exchange.context;
    seen.insert("request method".to_owned(), context.request.method.clone());
    let url = exchange.target.url(&context.request.original_url);
    seen.insert("request url".to_owned(), url.to_string());
    note_headers(&mut seen, "request", &context.request.headers);
    if let Some(response) = &context.response {
        let status = format!("{} {}", response.status_code, response.status_reason);
        seen.insert("response status".to_owned(), status);
        note_headers(&mut seen, "response", &response.headers);
    }
    for (name, value) in &exchange.on_every_response {
        seen.insert(
            format!("response header {name} (set at the end)"),
            value.clone(),
        );
    }
    for (name, value) in &context.variables {
        seen.insert(format!("variable {name}"), shown(&value.to_string()));
    }
    Seen(seen)
}

fn note_headers(seen: &mut BTreeMap<String, String>, whose: &str, headers: &MultiMap) {
    for (name, values) in headers.iter() {
        let secret = SECRET.iter().any(|known| name.eq_ignore_ascii_case(known));
        let value = if secret {
            "***".to_owned()
        } else {
            shown(&values.join(", "))
        };
        seen.insert(format!("{whose} header {name}"), value);
    }
}

/// The beginning of a text.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The last traces.
#[derive(Default)]
pub(crate) struct TraceStore(Mutex<VecDeque<Arc<Trace>>>);

impl TraceStore {
    /// Keeps the trace of a request that was answered.
    pub(crate) fn keep(&self, exchange: &mut Exchange, status: u16) {
        let Some(recorder) = exchange.trace.take() else {
            return;
        };
        let context = &exchange.context;
        let original = &context.request.original_url;
        let trace = Trace {
            trace_id: context.request_id.to_string(),
            service: exchange.service.configuration.name.clone(),
            time: context.timestamp,
            method: context.request.method.clone(),
            url: format!("{}{}", original.path, original.query_string),
            api: exchange.api().map(|api| api.id.clone()),
            operation: exchange.operation().map(|operation| operation.id.clone()),
            status,
            duration_us: recorder.elapsed(),
            entries: recorder.entries,
        };
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::new(trace));
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Trace>> {
        let kept = self.0.lock();
        kept.iter().find(|trace| trace.trace_id == id).cloned()
    }

    /// The newest first.
    pub(crate) fn last(&self) -> Vec<Arc<Trace>> {
        self.0.lock().iter().rev().cloned().collect()
    }
}
