//! A gateway inside the process that wants one.

use crate::client::{HttpClient, HyperClient, Trust, TrustError};
use crate::clock::{Clock, SystemClock};
use crate::compile::{CompileError, Snapshot};
use crate::configuration::Configuration;
use crate::server::{self, ServerCertificate, ServerTlsError};
use crate::shared::{Limits, ManagedIdentity, Shared};
use crate::trace::Trace;
use arc_swap::ArcSwap;
use jiff::SignedDuration;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How a gateway runs.
#[derive(Clone)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS, or plain HTTP without it.
    pub tls: Option<ServerCertificate>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What sends requests to backends, and for keys and tokens; one that
    /// trusts as `trust` says if absent.
    pub client: Option<Arc<dyn HttpClient>>,
    /// Whom the gateway's own client trusts.
    pub trust: Trust,
    /// What requests may use.
    pub limits: Limits,
    /// What one evaluation of an expression may use.
    pub expression_limits: apim_expressions::Limits,
    /// The authority of Entra ID for `validate-azure-ad-token`.
    pub authority: String,
    /// Where `authentication-managed-identity` gets its tokens.
    pub identity: Option<ManagedIdentity>,
    /// Whether every request is traced, and not only those with a debug token.
    pub trace_all: bool,
}

impl Default for Options {
    /// Plain HTTP on a free port of the loopback address.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            clock: Arc::new(SystemClock),
            client: None,
            trust: Trust {
                system: true,
                roots: Vec::new(),
            },
            limits: Limits::default(),
            // A request holds a thread while it evaluates: a fifth of what an
            // evaluation may use by itself is still far above any policy.
            expression_limits: apim_expressions::Limits {
                fuel: 1_000_000,
                memory: 16 * 1024 * 1024,
                ..apim_expressions::Limits::default()
            },
            authority: "https://login.microsoftonline.com".to_owned(),
            identity: None,
            trace_all: false,
        }
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] ServerTlsError),
    /// The client cannot be set up.
    #[error(transparent)]
    Client(#[from] TrustError),
}

/// A running gateway; it stops when this is dropped.
pub struct Gateway {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    stop: watch::Sender<bool>,
}

impl Gateway {
    /// Starts a gateway on the current Tokio runtime; once this returns, it
    /// accepts connections and serves `configuration`.
    pub async fn start(
        configuration: &Configuration,
        options: Options,
    ) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen {
            address: options.listen,
            source,
        };
        let tls = options.tls.as_ref().map(server::acceptor).transpose()?;
        let client = match options.client {
            Some(client) => client,
            None => Arc::new(HyperClient::new(&options.trust)?),
        };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(Snapshot::compile(configuration)),
            clock: options.clock,
            client,
            limits: options.limits,
            expression_limits: options.expression_limits,
            authority: options.authority.trim_end_matches('/').to_owned(),
            identity: options.identity,
            trace_all: options.trace_all,
            rates: crate::counters::RateCounters::default(),
            quotas: crate::counters::QuotaCounters::default(),
            responses: crate::cache::ResponseCache::default(),
            values: crate::cache::ValueCache::default(),
            keys: crate::tokens::KeyCache::default(),
            tokens: crate::tokens::TokenCache::default(),
            identity_tokens: crate::tokens::IdentityTokens::default(),
            traces: crate::trace::TraceStore::default(),
            debug: crate::debug::DebugTokens::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let scheme = if tls.is_some() { "https" } else { "http" };
        tokio::spawn(server::serve(Arc::clone(&shared), listener, tls, stopped));
        Ok(Self {
            shared,
            address,
            scheme,
            stop,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://localhost:<port>`, or `http` without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// Serves another configuration from the next request on; those that are
    /// under way keep theirs. Counters and caches stay.
    pub fn configure(&self, configuration: &Configuration) {
        let snapshot = Snapshot::compile(configuration);
        for problem in snapshot.problems() {
            tracing::warn!(%problem, "a policy document cannot be executed");
        }
        self.shared.snapshot.store(Arc::new(snapshot));
    }

    /// The documents of the current configuration that cannot be executed:
    /// requests that they apply to are answered 500.
    #[must_use]
    pub fn problems(&self) -> Vec<CompileError> {
        self.shared.snapshot.load().problems()
    }

    /// A token that traces requests to an API (its id without revision) when
    /// they carry it in `Apim-Debug-Authorization`; it lives an hour at most.
    #[must_use]
    pub fn debug_token(&self, service: &str, api: &str, life: SignedDuration) -> String {
        let now = self.shared.clock.now();
        self.shared.debug.issue(service, api, now, life)
    }

    /// A trace by the number that `Apim-Trace-Id` told.
    #[must_use]
    pub fn trace(&self, id: &str) -> Option<Arc<Trace>> {
        self.shared.traces.get(id)
    }

    /// The last traces, the newest first.
    #[must_use]
    pub fn traces(&self) -> Vec<Arc<Trace>> {
        self.shared.traces.last()
    }

    /// How many keys of rate limits are held in memory.
    #[must_use]
    pub fn rate_limit_keys(&self) -> usize {
        self.shared.rates.len()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}
