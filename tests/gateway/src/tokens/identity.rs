//! Tokens of the gateway's managed identity.

use super::fetch_json;
use crate::shared::Shared;
use crate::target::parameter;
use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use serde_json::Value;

/// A token is asked for again this long before it ends.
const BEFORE_END: SignedDuration = SignedDuration::from_mins(5);

/// Tokens by resource and identity.
pub(crate) struct IdentityTokens(Cache<String, (String, Timestamp)>);

impl Default for IdentityTokens {
    fn default() -> Self {
        Self(Cache::new(1_000))
    }
}

impl IdentityTokens {
    /// A token for a resource; the error says why there is none.
    pub(crate) async fn get(
        &self,
        shared: &Shared,
        resource: &str,
        client: Option<&str>,
    ) -> Result<String, String> {
        let key = format!("{} {resource}", client.unwrap_or_default());
        let now = shared.clock.now();
        if let Some((token, ends)) = self.0.get(&key)
            && ends > now
        {
            return Ok(token);
        }
        let identity = shared
            .identity
            .as_ref()
            .ok_or("the gateway has no managed identity")?;
        let mut url = format!(
            "{}?api-version=2019-08-01&{}",
            identity.endpoint,
            parameter("resource", resource)
        );
        if let Some(client) = client {
            url.push('&');
            url.push_str(&parameter("client_id", client));
        }
        let headers = [("x-identity-header", identity.header.as_str())];
        let answer = fetch_json(shared.client.as_ref(), &url, &headers).await?;
        let token = answer["access_token"]
            .as_str()
            .ok_or("the answer holds no access_token")?
            .to_owned();
        let ends = match &answer["expires_on"] {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        let ends = ends
            .and_then(|second| Timestamp::from_second(second).ok())
            .and_then(|ends| ends.checked_sub(BEFORE_END).ok())
            .unwrap_or(now);
        self.0.insert(key, (token.clone(), ends));
        Ok(token)
    }
}
