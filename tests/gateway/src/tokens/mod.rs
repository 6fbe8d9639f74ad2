//! Tokens: those that callers bring, and those that the gateway gets.

mod identity;
mod jwt;
mod keys;

pub(crate) use identity::IdentityTokens;
pub(crate) use jwt::{Refusal, RequiredClaim, Rules, TokenCache, verify};
pub(crate) use keys::{KeyCache, KeyKind, Serial, VerificationKey};

use crate::body::collect;
use crate::client::{ClientError, HttpClient};
use http::Request;
use serde_json::Value;
use std::time::Duration;

/// How long a server of keys or tokens may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MOST: usize = 1024 * 1024;

/// A JSON document from a server, or why there is none.
async fn fetch_json(
    client: &dyn HttpClient,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<Value, String> {
    let mut request = Request::get(url).header("accept", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(crate::body::empty())
        .map_err(|error| format!("'{url}': {error}"))?;
    let answer = async {
        let response = client
            .send(request, None)
            .await
            .map_err(|ClientError::Connection(reason)| reason)?;
        let status = response.status();
        let body = collect(response.into_body(), MOST)
            .await
            .map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("the server answered {status}"));
        }
        serde_json::from_slice(&body).map_err(|error| format!("no JSON: {error}"))
    };
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|reason| format!("'{url}': {reason}")),
        Err(_) => Err(format!("'{url}': no answer within {TIMEOUT:?}")),
    }
}
