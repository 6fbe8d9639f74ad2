//! A plugin that is loaded.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use operator_core::descriptor::{Descriptor, SpecReading};
use operator_core::policy::Generated;
use operator_core::policy_plugin::{Capabilities, PluginLimits};
use serde::Serialize;
use serde_json::Value;

use crate::bindings::PluginPre;
use crate::call::{self, State};
use crate::digest::Digest;
use crate::error::CallError;
use crate::host::Shared;
use crate::limits::CallLimits;
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
    pub(crate) limits: CallLimits,
    pub(crate) capabilities: Arc<Capabilities>,
}

/// What the copies of a [`Plugin`] share.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) prepared: PluginPre<State>,
    pub(crate) descriptor: Descriptor,
    pub(crate) interface: Option<String>,
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

    /// The version of the interface that it was built against and is called
    /// through, such as `1.0.0`. Absent where it names none.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        self.inner.interface.as_deref()
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

    /// The same plugin with limits of its own, each as far as the host's
    /// maxima allow. What is absent is the host's. Nothing is compiled again.
    #[must_use]
    pub fn with_limits(mut self, limits: PluginLimits) -> Self {
        self.limits = CallLimits::of_plugin(limits, &self.inner.shared.limits);
        self
    }

    /// What each call may use.
    #[must_use]
    pub fn limits(&self) -> CallLimits {
        self.limits
    }

    /// The same plugin with what the platform grants it. Without this it has
    /// nothing beyond writing known policies in their usual places. The host
    /// holds it to `raw_xml`; the elements are held to where policies are
    /// composed ([`operator_core::policy::Contribution`]).
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = Arc::new(capabilities);
        self
    }

    /// What the platform grants it.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What its descriptor asks for and the platform does not grant, as the
    /// fields of a `PolicyPlugin` that would. It loads all the same: what it
    /// is good for without them is its own to know, and a call that uses one
    /// fails with an error that names the field.
    #[must_use]
    pub fn missing_capabilities(&self) -> Vec<&'static str> {
        let granted = &*self.capabilities;
        [
            ("raw-xml", granted.raw_xml, "spec.capabilities.rawXml"),
            (
                "passthrough-elements",
                !granted.passthrough_elements.is_empty(),
                "spec.capabilities.passthroughElements",
            ),
            (
                "preflight-elements",
                !granted.preflight_elements.is_empty(),
                "spec.capabilities.preflightElements",
            ),
            (
                "inline-templates",
                granted.inline_templates,
                "spec.capabilities.inlineTemplates",
            ),
        ]
        .into_iter()
        .filter(|(name, granted, _)| {
            !granted
                && self
                    .inner
                    .descriptor
                    .capabilities
                    .iter()
                    .any(|asked| asked == name)
        })
        .map(|(_, _, field)| field)
        .collect()
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
            raw_xml: self.capabilities.raw_xml,
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
            self.limits,
            inner.shared.metered,
            body,
        )
    }
}
