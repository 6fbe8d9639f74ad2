//! `apim-operator api call`.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{HeaderName, StatusCode};
use operator_core::exposed_api::{self, SubscriptionKey};
use url::Url;

use super::args::{CallArgs, ClusterArgs};
use super::keys;
use super::place::{Place, secret_of};
use super::seen::SeenApi;
use crate::{Done, manifest};

/// The longest body that is looked through for a hint, in bytes.
const HINT: usize = 64 << 10;

pub(super) async fn call(at: &ClusterArgs, args: &CallArgs) -> anyhow::Result<Done> {
    let place = Place::open(at).await?;
    let object = place.get(&args.name).await?;
    let api = SeenApi::of(&object);
    let Some(published) = &api.url else {
        bail!("{} has no URL yet: {}", args.name, api.sentence());
    };
    let mut url = target(published, args.gateway.as_ref(), &args.path)?;
    if !api.ready {
        eprintln!("note: {} is not ready: {}", args.name, api.sentence());
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &args.header {
        headers.append(name, value.clone());
    }
    let token = match (&args.token, &args.token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(path)) => Some(secret_of(path)?),
        (None, None) => None,
    };
    if let Some(token) = token {
        headers.insert(
            AUTHORIZATION,
            secret_header("the token", &format!("Bearer {token}"))?,
        );
    }
    let asked = subscription(&object)?;
    let key = match (&args.subscription, &args.key_file) {
        (Some(name), _) => Some(keys::key_of(&place, name).await?),
        (None, Some(path)) => Some(secret_of(path)?),
        (None, None) => None,
    };
    if let Some(key) = key {
        let name = HeaderName::from_bytes(asked.names.header.as_bytes())
            .with_context(|| format!("`{}` is no name of a header", asked.names.header))?;
        headers.insert(name, secret_header("the subscription key", &key)?);
    }
    let body = match (&args.json, &args.data) {
        (Some(json), _) => {
            if !headers.contains_key(CONTENT_TYPE) {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            content(json)?
        }
        (None, Some(data)) => content(data)?,
        (None, None) => Vec::new(),
    };
    url.set_fragment(None);
    let shown = headers.contains_key(AUTHORIZATION);
    let client = operator_apim::http_client(args.ca_file.as_deref())?;
    let request = client
        .request(args.method.clone(), url.clone())
        .headers(headers)
        .timeout(args.timeout)
        .body(body);
    eprintln!("{} {url}", args.method);
    let answer = request
        .send()
        .await
        .map_err(|error| unanswered(error.without_url(), &url))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    eprintln!("{:?} {status}", answer.version());
    if args.include {
        for (name, value) in &headers {
            eprintln!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
    }
    let body = answer.bytes().await.map_err(reqwest::Error::without_url)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&body)?;
    if !body.is_empty() && !body.ends_with(b"\n") {
        writeln!(out)?;
    }
    if status.as_u16() < 400 {
        return Ok(Done::Fine);
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(HINT)]);
    if let Some(hint) = hint(status, &headers, &text, &asked, shown) {
        eprintln!("hint: {hint}");
    }
    Ok(Done::Problems)
}

/// The URL of a path of the API, at its own gateway or at another one.
fn target(published: &str, gateway: Option<&Url>, path: &str) -> anyhow::Result<Url> {
    let mut url = Url::parse(published).with_context(|| format!("`{published}` is no URL"))?;
    if let Some(gateway) = gateway {
        let mut other = gateway.clone();
        other.set_path(url.path());
        url = other;
    }
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(p, q)| (p, Some(q)));
    let below = path.trim_start_matches('/');
    if !below.is_empty() {
        let whole = format!("{}/{below}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
    }
    url.set_query(query);
    Ok(url)
}

/// Where the API wants the subscription key; the usual place where its spec
/// cannot be read.
fn subscription(object: &kube::api::DynamicObject) -> anyhow::Result<SubscriptionKey> {
    let whole = serde_json::to_value(object)?;
    let api = exposed_api::read(&manifest::meta(&whole), &whole["spec"]);
    Ok(api.map(|api| api.subscription).unwrap_or_default())
}

/// A header that no log shows.
fn secret_header(what: &str, text: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .ok()
        .with_context(|| format!("{what} holds what no header can"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A text, or what `@FILE` names.
fn content(text: &str) -> anyhow::Result<Vec<u8>> {
    let Some(file) = text.strip_prefix('@') else {
        return Ok(text.as_bytes().to_owned());
    };
    if file == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(Path::new(file)).with_context(|| file.to_owned())
}

fn unanswered(error: reqwest::Error, url: &Url) -> anyhow::Error {
    let host = url.host_str().unwrap_or_default();
    let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
    let untrusted = chain
        .map(ToString::to_string)
        .any(|text| text.contains("certificate"));
    let why = if untrusted {
        format!("the certificate of {host} is not trusted; --ca-file FILE names whom to trust")
    } else if error.is_timeout() {
        format!("{host} did not answer in time; --timeout waits longer")
    } else {
        format!(
            "{host} could not be called; where the gateway is in a virtual network, call from within or name a way in with --gateway"
        )
    };
    anyhow::Error::new(error).context(why)
}

/// What may be the matter, by what API Management is known to answer.
fn hint(
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    asked: &SubscriptionKey,
    shown: bool,
) -> Option<String> {
    let said = |text: &str| body.to_ascii_lowercase().contains(text);
    Some(match status.as_u16() {
        401 if said("missing subscription key") => format!(
            "the API wants a subscription key in the header {} (or the parameter {}): --key-file FILE, or --subscription NAME, of which `apim-operator api keys` has a list",
            asked.names.header, asked.names.query
        ),
        401 if said("invalid subscription key") => {
            "the subscription key is none of this API's, or its subscription is not active".to_owned()
        }
        401 if shown => "the API does not take what was sent as Authorization: a token may have ended, or be for another audience; `apim-operator api describe` shows the plugins that look at it".to_owned(),
        401 => "nothing was sent as Authorization: --token-file FILE, and `apim-operator api token` gets a token; `apim-operator api describe` shows the plugins that ask for it".to_owned(),
        403 => "a policy keeps this caller out: `apim-operator api describe` shows the plugins".to_owned(),
        404 if said("resource not found") => {
            "no operation of the API matches this method and path".to_owned()
        }
        429 => match headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) {
            Some(seconds) => format!("a limit is reached; it lets calls in again in {seconds} s"),
            None => "a limit is reached".to_owned(),
        },
        500..=599 => "the gateway or the implementation failed: `apim-operator api describe` shows whether the implementation has ready endpoints".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_below_the_apis_own() {
        let at = |path| {
            target("https://gateway.example.com/shop/stock", None, path)
                .unwrap()
                .to_string()
        };
        assert_eq!(at("/"), "https://gateway.example.com/shop/stock");
        assert_eq!(
            at("items/7"),
            "https://gateway.example.com/shop/stock/items/7"
        );
        assert_eq!(
            at("/items?top=3&x=a/b"),
            "https://gateway.example.com/shop/stock/items?top=3&x=a/b"
        );
    }

    #[test]
    fn another_gateway_serves_the_same_path() {
        let gateway = Url::parse("http://localhost:8443/ignored?too=1").unwrap();
        let url = target(
            "https://gateway.example.com/stock",
            Some(&gateway),
            "/items",
        )
        .unwrap();
        assert_eq!(url.as_str(), "http://localhost:8443/stock/items");
    }

    #[test]
    fn what_api_management_answers_is_explained() {
        type Headers = [(&'static str, &'static str)];
        let told_of = |status: u16, headers: &Headers, body: &str, shown: bool| {
            let headers = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            let status = StatusCode::from_u16(status).unwrap();
            hint(status, &headers, body, &SubscriptionKey::default(), shown).unwrap_or_default()
        };
        let told =
            |status: u16, headers: &Headers, body: &str| told_of(status, headers, body, false);
        let missing =
            r#"{"statusCode": 401, "message": "Access denied due to missing subscription key."}"#;
        assert!(told(401, &[], missing).contains("header Ocp-Apim-Subscription-Key"));
        let refused = "Invalid or missing token.";
        assert!(told(401, &[], refused).contains("--token-file"));
        assert!(told_of(401, &[], refused, true).contains("another audience"));
        assert!(told(429, &[("retry-after", "17")], "").contains("in 17 s"));
        assert!(told(404, &[], r#"{"message": "Resource not found"}"#).contains("no operation"));
        assert_eq!(
            told(404, &[], "no such item"),
            "",
            "the implementation's own answer"
        );
    }

    #[test]
    fn a_token_that_no_header_can_hold_is_refused_without_showing_it() {
        let error = secret_header("the token", "Bearer a\nb")
            .unwrap_err()
            .to_string();
        assert_eq!(error, "the token holds what no header can");
    }
}
