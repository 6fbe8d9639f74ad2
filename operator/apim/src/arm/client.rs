//! The client that can write.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use operator_core::names::{ProductId, TagId, VersionSetId};
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use super::wire::{Repeat, WriteCall, WriteRight, WriteVerb};
use super::{ArmOptions, ArmReader, Parts, ServiceRef};
use crate::error::ArmError;
use crate::locks::KeyedLocks;
use crate::transport::HttpAnswer;

/// Reads and writes one APIM service under one principal.
#[derive(Clone)]
pub struct ArmClient {
    reader: ArmReader,
    writer: Arc<Writer>,
}

struct Writer {
    right: WriteRight,
    locks: Arc<KeyedLocks>,
}

impl fmt::Debug for ArmClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArmClient")
            .field("service", self.service_ref())
            .finish_non_exhaustive()
    }
}

impl ArmClient {
    /// A client with a reader of its own.
    #[must_use]
    pub fn new(parts: &Parts) -> Self {
        Self {
            reader: ArmReader::new(parts),
            writer: Arc::new(Writer {
                right: WriteRight::new(parts.gate.clone()),
                locks: parts.locks.clone(),
            }),
        }
    }

    /// The half that cannot write.
    #[must_use]
    pub const fn reader(&self) -> &ArmReader {
        &self.reader
    }

    /// The same client, whose calls carry this id in Azure's activity log
    /// (`x-ms-correlation-request-id`).
    #[must_use]
    pub fn with_correlation(&self, id: &str) -> Self {
        Self {
            reader: self.reader.with_correlation(id),
            writer: self.writer.clone(),
        }
    }

    /// The service that the client is for.
    #[must_use]
    pub fn service_ref(&self) -> &ServiceRef {
        self.reader.service_ref()
    }

    pub(crate) fn options(&self) -> &ArmOptions {
        self.reader.options()
    }

    /// Waits until nobody else writes to the API.
    pub(crate) async fn lock_api(&self, api_id: &str) -> OwnedMutexGuard<()> {
        let key = format!("{}/{api_id}", self.reader.wire.base);
        self.writer.locks.lock(&key).await
    }

    /// Waits until nobody else writes to the product: two writes to what belongs
    /// to one product at a time are refused with 412.
    pub(crate) async fn lock_product(&self, product: &ProductId) -> OwnedMutexGuard<()> {
        let key = format!("{}/products/{product}", self.reader.wire.base);
        self.writer.locks.lock(&key).await
    }

    /// Waits until nobody else writes to the tag, puts it on something or takes
    /// it off.
    pub(crate) async fn lock_tag(&self, tag: &TagId) -> OwnedMutexGuard<()> {
        let tag = tag.as_str().to_ascii_lowercase();
        let key = format!("{}/tags/{tag}", self.reader.wire.base);
        self.writer.locks.lock(&key).await
    }

    /// Waits until nobody else brings an API into the version set, or takes one
    /// out.
    pub(crate) async fn lock_version_set(&self, id: &VersionSetId) -> OwnedMutexGuard<()> {
        let key = format!("{}/apiVersionSets/{id}", self.reader.wire.base);
        self.writer.locks.lock(&key).await
    }

    /// Waits until nobody else writes to the subscription.
    pub(crate) async fn lock_subscription(&self, id: &str) -> OwnedMutexGuard<()> {
        let key = format!("{}/subscriptions/{id}", self.reader.wire.base);
        self.writer.locks.lock(&key).await
    }

    /// Waits until nobody else writes to the gateway.
    pub(crate) async fn lock_gateway(&self, id: &str) -> OwnedMutexGuard<()> {
        let key = format!("{}/gateways/{id}", self.reader.wire.base);
        self.writer.locks.lock(&key).await
    }

    /// A write of something below the service.
    pub(crate) fn call(
        &self,
        verb: WriteVerb,
        segments: &[&str],
        query: &[(&str, &str)],
        kind: &'static str,
        what: impl Into<String>,
    ) -> WriteCall {
        WriteCall {
            verb,
            target: self.reader.wire.target(segments, query, kind, what),
            body: None,
            if_match: None,
            repeat: Repeat::Yes,
            hidden: None,
        }
    }

    /// Makes the call, without waiting for what it starts.
    pub(crate) async fn write(&self, call: &WriteCall) -> Result<HttpAnswer, ArmError> {
        let correlation = &self.reader.correlation;
        let right = &self.writer.right;
        self.reader.wire.write(right, call, correlation).await
    }
}

/// A body.
pub(crate) fn encode(body: &Value) -> Bytes {
    Bytes::from(body.to_string())
}
