//! The simulator's journal, as tests read it.

use std::time::Duration;

use anyhow::{Result, bail};
use apim_simulator::{CallKind, FaultSpec, JournalEntry, JournalQuery};
use regex::Regex;

use crate::Stage;

/// One of the three writes that publish an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    /// The API without operations.
    Create,
    /// Its policy.
    Policy,
    /// Its document.
    Import,
}

impl Publishing {
    /// All three, in order.
    pub const ALL: [Self; 3] = [Self::Create, Self::Policy, Self::Import];

    /// A lower-case word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Policy => "policy",
            Self::Import => "import",
        }
    }

    /// `fault`, limited to this write of a new API.
    #[must_use]
    pub fn struck_by(self, api_id: &str, fault: FaultSpec) -> FaultSpec {
        let id = regex::escape(api_id);
        let (path, after) = match self {
            Self::Create => (format!("/apis/{id}\\?"), 0),
            Self::Policy => (format!("/apis/{id}/policies/policy\\?"), 0),
            // The first PUT of that path is the creation.
            Self::Import => (format!("/apis/{id}\\?"), 1),
        };
        FaultSpec {
            verb: Some("PUT".to_owned()),
            path: Some(path),
            after,
            ..fault
        }
    }
}

impl Stage {
    /// The writes about an API with what was answered, in order: `create 201`,
    /// `policy 201`, `import 202`, `patch 200`, `delete 200`. A connection that
    /// was reset counts as 0.
    #[must_use]
    pub fn traffic(&self, api_id: &str) -> Vec<String> {
        self.entries(api_id)
            .iter()
            .map(|call| format!("{} {}", step_of(call), call.status))
            .collect()
    }

    /// The writes about an API, in order.
    #[must_use]
    pub fn entries(&self, api_id: &str) -> Vec<JournalEntry> {
        let marker = format!("/apis/{api_id}");
        let about = |call: &JournalEntry| {
            let at = call.path.find(&marker)?;
            let rest = &call.path[at + marker.len()..];
            (rest.is_empty() || rest.starts_with(['/', ';'])).then_some(())
        };
        let mut calls = self.journal();
        calls.retain(|call| {
            matches!(call.kind, CallKind::Write | CallKind::Delete) && about(call).is_some()
        });
        calls
    }

    /// Waits until an event about an ExposedAPI begins with `text`; events are
    /// written beside everything else.
    pub async fn until_event(&self, name: &str, text: &str) -> Result<()> {
        let awaited = format!("an event `{text}` about {name}");
        test_harness::wait_until(&awaited, crate::stage::PATIENCE, async || {
            let events = self.events(name).await.map_err(|error| error.to_string())?;
            if events.iter().any(|event| event.starts_with(text)) {
                Ok(())
            } else {
                Err(events.join("\n"))
            }
        })
        .await?;
        Ok(())
    }

    /// Sets a fault; a mistake in it is the test's.
    pub fn strike(&self, fault: FaultSpec) -> Result<u64> {
        self.azure.fault(fault).map_err(anyhow::Error::msg)
    }

    /// Waits until so many calls are held.
    pub async fn until_held(&self, count: usize) -> Result<()> {
        if !self
            .azure
            .wait_for_held(count, crate::stage::PATIENCE)
            .await
        {
            bail!(
                "{count} calls were to be held; the operator's log:\n{}",
                self.operator_log()
            );
        }
        Ok(())
    }

    /// Whether so many calls are held at this moment.
    pub async fn is_held(&self, count: usize) -> bool {
        self.azure.wait_for_held(count, Duration::ZERO).await
    }

    /// Waits until so many calls were answered whose path matches.
    pub async fn until_called(
        &self,
        method: &str,
        path: &str,
        count: usize,
    ) -> Result<Vec<JournalEntry>> {
        let query = JournalQuery {
            method: Some(method.to_owned()),
            path: Some(Regex::new(path)?),
            ..JournalQuery::default()
        };
        let calls = self
            .azure
            .wait_for_journal(&query, count, crate::stage::PATIENCE)
            .await;
        if calls.len() < count {
            bail!(
                "{count} calls {method} {path} were to come, not {}; the operator's log:\n{}",
                calls.len(),
                self.operator_log()
            );
        }
        Ok(calls)
    }
}

/// What a write is for.
#[must_use]
pub fn step_of(call: &JournalEntry) -> &'static str {
    match call.method.as_str() {
        "DELETE" => "delete",
        "PATCH" => "patch",
        _ if call.path.contains("/policies/") => "policy",
        _ if call.body["properties"]["value"].is_string() => "import",
        _ => "create",
    }
}

/// Fails unless every document was imported after the policy had been
/// accepted: before, an operation could be called without it.
///
/// # Panics
///
/// That is how it fails.
pub fn assert_protected(calls: &[String]) {
    let protected = calls.iter().position(|call| call.starts_with("policy 2"));
    let imported = calls.iter().position(|call| call.starts_with("import"));
    assert!(
        imported.is_none() || protected.is_some() && protected < imported,
        "{calls:?}"
    );
}
