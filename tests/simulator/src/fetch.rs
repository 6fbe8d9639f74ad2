//! Fetching what a `*-link` format points to, as the service itself does.

use std::time::Duration;

/// The largest document that is fetched.
const MAX_BYTES: usize = 32 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(20);

/// The client that fetches; it trusts the simulator's own authority only, as
/// nothing else is served over TLS next to a simulator.
pub(crate) fn client(ca_pem: Option<&str>) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::limited(5))
        .no_proxy();
    builder = match ca_pem {
        Some(pem) => builder.tls_certs_only([reqwest::Certificate::from_pem(pem.as_bytes())?]),
        None => builder.tls_certs_only([]),
    };
    builder.build()
}

/// Fetches a text document, or says in one sentence why it cannot be had.
pub(crate) async fn fetch(client: &reqwest::Client, address: &str) -> Result<String, String> {
    let refused =
        |reason: String| format!("Unable to retrieve the document at '{address}': {reason}");
    let url = reqwest::Url::parse(address).map_err(|error| refused(error.to_string()))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(refused(format!(
            "the scheme '{}' is not supported.",
            url.scheme()
        )));
    }
    let mut response = client
        .get(url)
        .send()
        .await
        .map_err(|error| refused(error.to_string()))?;
    if !response.status().is_success() {
        return Err(refused(format!(
            "the server answered {}.",
            response.status()
        )));
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BYTES => {
                return Err(refused(format!("it is larger than {MAX_BYTES} bytes.")));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Err(refused(error.to_string())),
        }
    }
    String::from_utf8(body).map_err(|_| refused("it is not UTF-8 text.".to_owned()))
}
