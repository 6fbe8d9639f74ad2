//! Why a document could not be fetched.

use std::net::IpAddr;
use std::time::Duration;

use operator_core::class::ErrorClass;

use super::address::{AddressKind, InvalidEntry};

/// A document could not be fetched. URLs are shown without their query, which
/// may hold a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not a URL, or not one that is fetched.
    #[error("`{url}` {reason}")]
    BadUrl {
        /// The URL.
        url: String,
        /// What is wrong with it and what to do.
        reason: &'static str,
    },
    /// The instance's list cannot be read.
    #[error(transparent)]
    AllowList(#[from] InvalidEntry),
    /// The address is not public and not allowed.
    #[error(
        "`{host}` leads to {address}, {}, from which nothing is fetched unless `specification.allowPrivate` of the ApimInstance lists the host or the address",
        kind.label()
    )]
    Refused {
        /// The host in the URL, or in a redirect.
        host: String,
        /// One of the addresses.
        address: IpAddr,
        /// What kind of address it is.
        kind: AddressKind,
    },
    /// An endpoint of a Service that no pod has.
    #[error("the endpoint {address} is {}, from which nothing is fetched", kind.label())]
    Endpoint {
        /// Its address.
        address: IpAddr,
        /// What kind of address it is.
        kind: AddressKind,
    },
    /// The name has no address.
    #[error("the host `{host}` cannot be resolved: {message}")]
    Unresolved {
        /// The host.
        host: String,
        /// What the resolver said.
        message: String,
    },
    /// No answer, or none in time.
    #[error("no answer from `{url}`: {message}")]
    Unreachable {
        /// The URL.
        url: String,
        /// What happened.
        message: String,
    },
    /// It took too long altogether.
    #[error("fetching `{url}` took longer than {} s", limit.as_secs_f64())]
    TimedOut {
        /// The URL that was asked for.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// A redirect that is not followed.
    #[error("`{url}` redirects {reason}")]
    Redirect {
        /// The URL that answered.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Any status but 200.
    #[error("`{url}` answers with status {status}{}", advice(*status))]
    Status {
        /// The URL that answered.
        url: String,
        /// The status.
        status: u16,
        /// The server's Retry-After.
        retry_after: Option<Duration>,
    },
    /// The document is larger than the limit.
    #[error(
        "the document at `{url}` is larger than {limit} bytes; split the API, or let API Management fetch it (`specification.fetch: Link` in the ApimInstance)"
    )]
    TooLarge {
        /// The URL that answered.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// HTML.
    #[error("`{url}` is a web page and no OpenAPI document; use the link to the raw file")]
    WebPage {
        /// The URL that answered.
        url: String,
    },
    /// Neither JSON nor YAML is written in anything else.
    #[error("the document at `{url}` is not UTF-8 text")]
    NotText {
        /// The URL that answered.
        url: String,
    },
}

const fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "; the operator sends no credentials, so the document must be readable without"
        }
        404 | 410 => "; there is no document there",
        _ => "",
    }
}

impl FetchError {
    /// What decides when it is tried again.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::BadUrl { .. }
            | Self::TooLarge { .. }
            | Self::WebPage { .. }
            | Self::NotText { .. } => ErrorClass::Invalid,
            // A name may lead elsewhere tomorrow, without a change here.
            Self::AllowList(_)
            | Self::Refused { .. }
            | Self::Endpoint { .. }
            | Self::Redirect { .. } => ErrorClass::Denied,
            Self::Unresolved { .. } | Self::Unreachable { .. } | Self::TimedOut { .. } => {
                ErrorClass::Transient
            }
            Self::Status {
                status,
                retry_after,
                ..
            } => match (*status, *retry_after) {
                (429 | 503, Some(wait)) => ErrorClass::Throttled(wait),
                (408 | 425 | 429 | 500..=599, _) => ErrorClass::Transient,
                // The document comes first, and nothing tells when it is there.
                _ => ErrorClass::Waiting,
            },
        }
    }
}
