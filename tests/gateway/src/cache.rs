//! The gateway's internal cache: responses and values, in bounded memory. What
//! has expired by the gateway's clock is not there.

use apim_expressions::{MultiMap, Value};
use bytes::Bytes;
use jiff::Timestamp;
use moka::sync::Cache;
use std::sync::Arc;

/// Bytes of responses that are kept.
const RESPONSES: u64 = 64 * 1024 * 1024;
/// The largest response that is kept: 2 MiB, as documented.
pub(crate) const LARGEST_RESPONSE: usize = 2 * 1024 * 1024;
/// Bytes of values that are kept.
const VALUES: u64 = 64 * 1024 * 1024;
/// What a value costs at least, in bytes.
const VALUE: usize = 256;

/// A response that was kept.
#[derive(Clone)]
pub(crate) struct CachedResponse {
    pub(crate) status: u16,
    pub(crate) headers: MultiMap,
    pub(crate) body: Bytes,
    expires: Timestamp,
}

/// Where the response of a request goes, if a `cache-store` comes.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) key: String,
    /// `private` or `public`, and whether caches must revalidate.
    pub(crate) downstream: Option<(&'static str, bool)>,
}

/// Responses by key.
pub(crate) struct ResponseCache(Cache<String, Arc<CachedResponse>>);

impl Default for ResponseCache {
    fn default() -> Self {
        let weigh = |key: &String, response: &Arc<CachedResponse>| {
            let headers: usize = response
                .headers
                .iter()
                .map(|(name, values)| name.len() + values.iter().map(String::len).sum::<usize>())
                .sum();
            u32::try_from(key.len() + headers + response.body.len()).unwrap_or(u32::MAX)
        };
        Self(
            Cache::builder()
                .max_capacity(RESPONSES)
                .weigher(weigh)
                .build(),
        )
    }
}

impl ResponseCache {
    pub(crate) fn get(&self, key: &str, now: Timestamp) -> Option<Arc<CachedResponse>> {
        self.0.get(key).filter(|response| response.expires > now)
    }

    pub(crate) fn put(
        &self,
        key: String,
        status: u16,
        headers: MultiMap,
        body: Bytes,
        expires: Timestamp,
    ) {
        self.0.insert(
            key,
            Arc::new(CachedResponse {
                status,
                headers,
                body,
                expires,
            }),
        );
    }
}

/// Values by key.
pub(crate) struct ValueCache(Cache<String, (Value, Timestamp)>);

impl Default for ValueCache {
    fn default() -> Self {
        let weigh = |key: &String, (value, _): &(Value, Timestamp)| {
            let bytes = VALUE + key.len() + value.to_string().len();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(VALUES).weigher(weigh).build())
    }
}

impl ValueCache {
    pub(crate) fn get(&self, key: &str, now: Timestamp) -> Option<Value> {
        let (value, expires) = self.0.get(key)?;
        (expires > now).then_some(value)
    }

    pub(crate) fn put(&self, key: String, value: Value, expires: Timestamp) {
        self.0.insert(key, (value, expires));
    }

    pub(crate) fn remove(&self, key: &str) {
        self.0.invalidate(key);
    }
}
