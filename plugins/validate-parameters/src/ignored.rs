//! What is in no document and comes with every request.

use policy_sdk::Context;
use serde_json::Value;

/// The query parameter of a subscription key.
pub(crate) const KEY_PARAMETER: &str = "subscription-key";

/// Headers of HTTP itself (RFC 9110, 9111, 9112, 6265, 6454), of browsers (the
/// Fetch standard), of proxies and tracing, and of API Management.
const HEADERS: [&str; 56] = [
    "Accept",
    "Accept-Charset",
    "Accept-Encoding",
    "Accept-Language",
    "Access-Control-Request-Headers",
    "Access-Control-Request-Method",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Date",
    "DNT",
    "Expect",
    "Forwarded",
    "Host",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Keep-Alive",
    "Max-Forwards",
    "Ocp-Apim-Subscription-Key",
    "Origin",
    "Pragma",
    "Priority",
    "Proxy-Connection",
    "Range",
    "Referer",
    "Request-Id",
    "Sec-CH-UA",
    "Sec-CH-UA-Mobile",
    "Sec-CH-UA-Platform",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Sec-Fetch-User",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade-Insecure-Requests",
    "User-Agent",
    "Via",
    "X-Azure-Ref",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Original-Host",
    "X-Requested-With",
    "traceparent",
    "tracestate",
];

/// The headers that are let through beside those that the config names.
pub(crate) fn headers(context: &Context, named: &[String]) -> Vec<String> {
    let own = key_header(&context.api.spec);
    HEADERS
        .into_iter()
        .map(str::to_owned)
        .chain(own)
        .filter(|header| !named.iter().any(|name| name.eq_ignore_ascii_case(header)))
        .collect()
}

/// The header that the API's spec wants the subscription key in, where it is
/// one of its own.
fn key_header(spec: &Value) -> Option<String> {
    let location = spec.pointer("/apiKeyVerification/location")?.as_str()?;
    let usual = ["", "header", "query"]
        .into_iter()
        .chain(HEADERS)
        .any(|usual| usual.eq_ignore_ascii_case(location));
    (!usual && policy_sdk::text::is_token(location)).then(|| location.to_owned())
}
