//! A plugin that is loaded.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use operator_core::descriptor::{Descriptor, SpecReading};
use operator_core::policy::Generated;
use serde::Serialize;
use serde_json::Value;

use crate::bindings::PluginPre;
use crate::call::{self, State};
use crate::digest::Digest;
use crate::error::CallError;
use crate::host::Shared;
use crate::output::{self, Expectation};
use crate::slots::Slots;
use crate::usage::Usage;

/// Where a plugin came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PluginSource {
    /// Embedded in the operator; the name of its folder.
    BuiltIn(String),
    /// A file.
    File(PathBuf),
    /// A registry; the reference.
    Registry(String),
}

impl fmt::Display for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => write!(f, "built-in {name}"),
            Self::File(path) => path.display().fmt(f),
            Self::Registry(reference) => f.write_str(reference),
        }
    }
}

/// A plugin that is loaded. Copies are cheap and share everything.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) inner: Arc<Inner>,
    pub(crate) timeout: Duration,
}

/// What the copies of a [`Plugin`] share.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) prepared: PluginPre<State>,
    pub(crate) descriptor: Descriptor,
    pub(crate) digest: Digest,
    pub(crate) source: PluginSource,
    pub(crate) name: Arc<str>,
    /// The calls of this plugin alone: it may not take all that there are.
    pub(crate) slots: Slots,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.inner.descriptor.name)
            .field("version", &self.inner.descriptor.version)
            .field("digest", &self.inner.digest)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// What it says of itself.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.inner.descriptor
    }

    /// The digest of its file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &PluginSource {
        &self.inner.source
    }

    /// The same plugin with a time limit of its own, as far as the host's
    /// `max_timeout` allows.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(self.inner.shared.limits.max_timeout);
        self
    }

    /// Calls of it that run now.
    #[must_use]
    pub fn calls_in_flight(&self) -> usize {
        self.inner.slots.taken()
    }

    /// What a spec block means to it. `request` is
    /// `{"dialect": …, "block": …}`, as in `wit/schemas/spec-request.schema.json`.
    pub fn read_spec(&self, request: &Value) -> Result<SpecReading, CallError> {
        let [request] = self.input([request.to_string()])?;
        let (answer, _) = self.call(|exports, store| {
            exports
                .oda_policy_generator()
                .call_read_spec(store, &request)
        });
        output::reading(&answer?.map_err(output::refused)?)
    }

    /// Its policy for a context, which serializes as
    /// `wit/schemas/context.schema.json` says, and for a merged and validated
    /// config.
    pub fn generate(
        &self,
        context: &impl Serialize,
        config: &Value,
    ) -> Result<Generated, CallError> {
        self.measure(context, config)?.0
    }

    /// As [`generate`](Self::generate), and what the call used. The outer
    /// error is a request that never reached the plugin.
    pub fn measure(
        &self,
        context: &impl Serialize,
        config: &Value,
    ) -> Result<(Result<Generated, CallError>, Usage), CallError> {
        let context = serde_json::to_value(context).map_err(|error| CallError::InvalidOutput {
            reason: format!("the operator's context is not JSON: {error}"),
        })?;
        let operation = context
            .pointer("/operation/id")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned);
        let [context, config] = self.input([context.to_string(), config.to_string()])?;
        let (answer, usage) = self.call(|exports, store| {
            exports
                .oda_policy_generator()
                .call_generate(store, &context, &config)
        });
        let expected = Expectation {
            descriptor: &self.inner.descriptor,
            operation: operation.as_deref(),
            depth: self.inner.shared.limits.depth,
        };
        let generated = answer
            .and_then(|answer| answer.map_err(output::refused))
            .and_then(|policy| output::generated(policy, expected));
        Ok((generated, usage))
    }

    fn input<const N: usize>(&self, documents: [String; N]) -> Result<[String; N], CallError> {
        let bytes: usize = documents.iter().map(String::len).sum();
        let limit = self.inner.shared.limits.input_bytes;
        if bytes > limit {
            return Err(CallError::InputTooLarge { bytes, limit });
        }
        Ok(documents)
    }

    fn call<T>(
        &self,
        body: impl FnOnce(&crate::bindings::Plugin, &mut wasmtime::Store<State>) -> wasmtime::Result<T>,
    ) -> (Result<T, CallError>, Usage) {
        let inner = &*self.inner;
        // Its own slot first: whoever waits for it takes none of the others'.
        let _own = inner.slots.acquire();
        let _shared = inner.shared.slots.acquire();
        call::run(
            &inner.prepared,
            &inner.name,
            &inner.shared.limits,
            self.timeout,
            inner.shared.metered,
            body,
        )
    }
}
