//! What all requests of a gateway share.

use crate::cache::{ResponseCache, ValueCache};
use crate::client::HttpClient;
use crate::clock::Clock;
use crate::compile::Snapshot;
use crate::counters::{QuotaCounters, RateCounters};
use crate::debug::DebugTokens;
use crate::tokens::{KeyCache, TokenCache};
use crate::trace::TraceStore;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;

/// What requests may use before they are refused.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest body that a policy may read, in bytes.
    pub buffered_body: usize,
    /// The largest head of a request, in bytes.
    pub head: usize,
    /// The longest path with its query, in bytes.
    pub url: usize,
    /// How long a client may take to send a request's head.
    pub head_timeout: Duration,
    /// How long a client may pause while it sends a body, and how far it may
    /// fall behind 240 bytes a second.
    pub body_timeout: Duration,
    /// Connections that are served at once.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            buffered_body: 16 * 1024 * 1024,
            head: 64 * 1024,
            // The length that the service documents for its Consumption tier.
            url: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            connections: 10_000,
        }
    }
}

/// Where `authentication-managed-identity` gets its tokens: an endpoint in the
/// form of App Service.
#[derive(Debug, Clone)]
pub struct ManagedIdentity {
    /// Its URL.
    pub endpoint: String,
    /// The value of `X-IDENTITY-HEADER`.
    pub header: String,
}

pub(crate) struct Shared {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: Arc<dyn HttpClient>,
    pub(crate) limits: Limits,
    pub(crate) expression_limits: apim_expressions::Limits,
    /// The authority of Entra ID, without a slash at the end.
    pub(crate) authority: String,
    pub(crate) identity: Option<ManagedIdentity>,
    pub(crate) trace_all: bool,
    pub(crate) rates: RateCounters,
    pub(crate) quotas: QuotaCounters,
    pub(crate) responses: ResponseCache,
    pub(crate) values: ValueCache,
    pub(crate) keys: KeyCache,
    pub(crate) tokens: TokenCache,
    pub(crate) identity_tokens: crate::tokens::IdentityTokens,
    pub(crate) traces: TraceStore,
    pub(crate) debug: DebugTokens,
}
