//! What an answer or a broken connection means.

use std::error::Error as StdError;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use url::Url;

use super::{read_capped, refused};
use crate::error::{Cause, TlsFault};
use crate::guard::RefusedAddress;

/// What is waited where a server does not say how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_mins(1);
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// How much of an error answer is read, and how much of it is quoted.
const MAX_ERROR_BODY: u64 = 16 * 1024;
const MAX_QUOTE: usize = 200;

/// An answer with a status of success, or the failure that its status means.
pub(crate) async fn successful(
    response: Response,
    what: &str,
    anonymous: bool,
) -> Result<Response, Cause> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let after = retry_after(response.headers());
    Err(match status {
        401 | 403 => Cause::Unauthorised { status, anonymous },
        404 | 410 => Cause::NotFound {
            what: what.to_owned(),
        },
        429 => Cause::Throttled {
            after: after.unwrap_or(DEFAULT_RETRY_AFTER),
        },
        // A server in maintenance says when it will be back.
        503 if after.is_some() => Cause::Throttled {
            after: after.unwrap_or(DEFAULT_RETRY_AFTER),
        },
        408 | 500.. => Cause::Server {
            status,
            message: quoted(response).await,
        },
        _ => Cause::Rejected {
            status,
            message: quoted(response).await,
        },
    })
}

/// The seconds of Retry-After; its other form, a date, would need a clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = seconds.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// What a registry says about an error, or the beginning of the text.
async fn quoted(response: Response) -> String {
    #[derive(serde::Deserialize)]
    struct Envelope {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let limit = Duration::ZERO;
    let Ok(body) = read_capped(response, "the answer", MAX_ERROR_BODY, None, limit).await else {
        return String::new();
    };
    let text = match serde_json::from_slice::<Envelope>(&body) {
        Ok(envelope) => envelope
            .errors
            .iter()
            .map(|entry| format!("{} {}", entry.code, entry.message))
            .collect::<Vec<_>>()
            .join("; "),
        Err(_) => String::from_utf8_lossy(&body).into_owned(),
    };
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MAX_QUOTE).collect::<String>().trim().to_owned()
}

/// What went wrong on the way, from what reqwest wraps it in.
pub(crate) fn failed(url: &Url, error: &reqwest::Error, limit: Duration) -> Cause {
    if error.is_timeout() {
        // Connecting has a limit of its own, which is shorter.
        return if error.is_connect() {
            Cause::Unreachable("the connection was not made in time".into())
        } else {
            Cause::TimedOut { limit }
        };
    }
    for inner in causes(error) {
        if let Some(found) = inner.downcast_ref::<RefusedAddress>() {
            return refused(found.clone());
        }
        if let Some(found) = inner.downcast_ref::<rustls::Error>() {
            return Cause::Tls(tls_fault(url, found));
        }
    }
    Cause::Unreachable(chain(error))
}

fn tls_fault(url: &Url, error: &rustls::Error) -> TlsFault {
    use rustls::CertificateError as Certificate;
    let certificate = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        // What answers a handshake with something else, as HTTP does.
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            return TlsFault::NotTls;
        }
        other => return TlsFault::Other(other.to_string()),
    };
    match certificate {
        Certificate::Expired | Certificate::ExpiredContext { .. } => TlsFault::Expired,
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => TlsFault::NotYetValid,
        // A signature that does not fit is another authority of the same name.
        Certificate::UnknownIssuer | Certificate::BadSignature => TlsFault::UnknownAuthority,
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            TlsFault::WrongName(url.host_str().unwrap_or_default().to_owned())
        }
        other => TlsFault::Other(other.to_string()),
    }
}

/// The error below an error. `io::Error` hides the one that it wraps.
fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(below(error), |error| below(*error))
}

/// The causes of an error without its own text, which holds the whole URL.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut messages: Vec<String> = Vec::new();
    for inner in causes(error) {
        let message = inner.to_string();
        // Many layers repeat what they wrap.
        if !messages.iter().any(|known| known.contains(&message)) {
            messages.push(message);
        }
    }
    if messages.is_empty() {
        messages.push("the request could not be made".into());
    }
    messages.join(": ")
}
