//! Clients for one API Management service.
//!
//! [`ArmReader`] can only read: the one call that it is able to make is a GET
//! or a HEAD. [`ArmClient`] holds a reader, the right to write, and the locks
//! that keep writes to one API serial.

mod client;
mod options;
mod reader;
mod wire;

use std::sync::Arc;

use url::Url;

pub use client::ArmClient;
pub(crate) use client::encode;
pub use options::{ArmOptions, ServiceRef};
pub use reader::{ArmReader, Pages};
pub(crate) use reader::{ReadCall, absent};
pub(crate) use wire::{Repeat, WriteCall, WriteVerb, quoted_etag};

use crate::bucket::{Buckets, Limits};
use crate::gate::{OpenGate, WriteGate};
use crate::locks::KeyedLocks;
use crate::observer::{CallObserver, NoObserver};
use crate::token::TokenSource;
use crate::transport::Transport;

/// What clients are made of. [`Azure`](crate::Azure) fills it for Azure; tests
/// do it by hand.
#[derive(Clone)]
pub struct Parts {
    /// Which service.
    pub service: ServiceRef,
    /// Where resources are managed; the only host that sees a token.
    pub resource_manager: Url,
    /// What carries requests.
    pub transport: Arc<dyn Transport>,
    /// Where tokens come from.
    pub tokens: Arc<dyn TokenSource>,
    /// The budget of the principal; clients of one principal share it.
    pub buckets: Arc<Buckets>,
    /// One writer per API; clients that can write to the same service share
    /// them.
    pub(crate) locks: Arc<KeyedLocks>,
    /// Is told of every call.
    pub observer: Arc<dyn CallObserver>,
    /// Whether writes may leave.
    pub gate: Arc<dyn WriteGate>,
    /// Times and sizes.
    pub options: ArmOptions,
}

impl Parts {
    /// With a budget and locks of its own, the default times, an open gate,
    /// and nobody who is told.
    #[must_use]
    pub fn new(
        service: ServiceRef,
        resource_manager: Url,
        transport: Arc<dyn Transport>,
        tokens: Arc<dyn TokenSource>,
    ) -> Self {
        Self {
            service,
            resource_manager,
            transport,
            tokens,
            buckets: Arc::new(Buckets::new(Limits::default())),
            locks: Arc::default(),
            observer: Arc::new(NoObserver),
            gate: Arc::new(OpenGate),
            options: ArmOptions::default(),
        }
    }
}
