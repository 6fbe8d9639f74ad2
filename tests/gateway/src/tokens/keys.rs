//! The keys of OpenID providers: discovered, kept for an hour, and looked for
//! again when a token names a key that is not there.

use super::fetch_json;
use crate::shared::Shared;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// "Keys are refreshed every hour."
const REFRESH: SignedDuration = SignedDuration::from_hours(1);
/// How often an unknown key id makes the gateway look again.
const UNKNOWN_KEY: SignedDuration = SignedDuration::from_mins(5);
/// How often a provider that failed is asked again.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_secs(10);

/// How many providers are remembered: a policy may take the URL of one from the
/// request, and whoever sends ever new ones must not fill the memory.
const MOST: usize = 1000;

/// A key that verifies tokens.
#[derive(Clone)]
pub(crate) struct VerificationKey {
    /// Tells keys apart: no two are made with the same.
    pub(crate) serial: Serial,
    pub(crate) id: Option<String>,
    pub(crate) kind: KeyKind,
    /// Shared: keys are passed on for every request.
    pub(crate) key: Arc<DecodingKey>,
    /// The only algorithm that the key's owner allows, where it says so.
    pub(crate) only: Option<Algorithm>,
}

/// The number of a key that was read: one that is read again gets another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Serial(u64);

impl Serial {
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// Which algorithms a key can be used with: a public key is never a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Symmetric,
    Rsa,
}

impl KeyKind {
    /// The documented algorithms: HS256 with shared secrets (its longer forms
    /// are inferred); RS256, RS512 and PS256 with RSA keys.
    pub(crate) fn allows(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Symmetric => matches!(
                algorithm,
                Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
            ),
            Self::Rsa => matches!(
                algorithm,
                Algorithm::RS256 | Algorithm::RS512 | Algorithm::PS256
            ),
        }
    }
}

impl VerificationKey {
    /// A key of a JWK set; `None` where it is of no use here.
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let AlgorithmParameters::RSA(_) = &jwk.algorithm else {
            return None;
        };
        Some(Self {
            serial: Serial::next(),
            id: jwk.common.key_id.clone(),
            kind: KeyKind::Rsa,
            key: Arc::new(DecodingKey::from_jwk(jwk).ok()?),
            only: jwk
                .common
                .key_algorithm
                .and_then(|algorithm| algorithm.to_string().parse().ok()),
        })
    }
}

/// What a provider has said.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) keys: Arc<Vec<VerificationKey>>,
}

#[derive(Default, Clone)]
struct Entry {
    provider: Option<Provider>,
    fetched: Option<Timestamp>,
    failed: Option<(Timestamp, String)>,
}

/// Providers by the URL of their configuration.
#[derive(Default)]
pub(crate) struct KeyCache {
    entries: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Entry>>>>,
}

impl KeyCache {
    fn entry(&self, url: &str) -> Arc<tokio::sync::Mutex<Entry>> {
        let mut entries = self.entries.lock();
        if let Some(known) = entries.get(url) {
            return Arc::clone(known);
        }
        // Those that are in use are asked again, which costs a moment.
        if entries.len() >= MOST {
            entries.clear();
        }
        Arc::clone(entries.entry(url.to_owned()).or_default())
    }

    /// What a provider says. `missing` is a key id that it did not have when it
    /// was last asked. A provider that cannot be reached is what it was.
    pub(crate) async fn get(
        &self,
        shared: &Shared,
        url: &str,
        missing: Option<&str>,
    ) -> Result<Provider, String> {
        let entry = self.entry(url);
        // One request asks, the others wait for its answer.
        let mut entry = entry.lock().await;
        let now = shared.clock.now();
        let age = |then: Timestamp| now.duration_since(then);
        if let (Some(provider), Some(fetched)) = (&entry.provider, entry.fetched) {
            let has = |id: &str| {
                provider
                    .keys
                    .iter()
                    .any(|key| key.id.as_deref() == Some(id))
            };
            let stale = age(fetched) >= REFRESH
                || missing.is_some_and(|id| !has(id)) && age(fetched) >= UNKNOWN_KEY;
            if !stale {
                return Ok(provider.clone());
            }
        }
        if let Some((failed, reason)) = &entry.failed
            && age(*failed) < AFTER_FAILURE
        {
            return entry.provider.clone().ok_or_else(|| reason.clone());
        }
        match discover(shared, url).await {
            Ok(provider) => {
                *entry = Entry {
                    provider: Some(provider.clone()),
                    fetched: Some(now),
                    failed: None,
                };
                Ok(provider)
            }
            Err(reason) => {
                tracing::warn!(url, reason, "an OpenID provider cannot be asked");
                entry.failed = Some((now, reason.clone()));
                entry.provider.clone().ok_or(reason)
            }
        }
    }
}

async fn discover(shared: &Shared, url: &str) -> Result<Provider, String> {
    let client = shared.client.as_ref();
    let configuration = fetch_json(client, url, &[]).await?;
    let text = |name: &str| {
        configuration[name]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("'{url}': the configuration has no '{name}'"))
    };
    let keys = fetch_json(client, &text("jwks_uri")?, &[]).await?;
    // A key of a kind that is not known here does not take the others along.
    let keys = keys["keys"]
        .as_array()
        .ok_or_else(|| format!("'{url}': there is no array 'keys'"))?
        .iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok())
        .collect();
    let keys = JwkSet { keys };
    let keys = keys
        .keys
        .iter()
        .filter_map(VerificationKey::from_jwk)
        .collect();
    Ok(Provider {
        issuer: text("issuer")?,
        keys: Arc::new(keys),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_remembered_and_never_more_than_so_many_are() {
        let cache = KeyCache::default();
        let first = cache.entry("https://p/0");
        assert!(Arc::ptr_eq(&first, &cache.entry("https://p/0")));
        for number in 0..=MOST {
            cache.entry(&format!("https://p/{number}"));
            assert!(cache.entries.lock().len() <= MOST);
        }
        assert!(!Arc::ptr_eq(&first, &cache.entry("https://p/0")));
    }
}
